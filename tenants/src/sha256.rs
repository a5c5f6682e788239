//! SHA-256 (FIPS 180-4). What a digest is made of, and what it stands for, is said where it is made.

use aws_lc_rs::digest::{Context, SHA256};

/// A digest that is being made.
pub struct Sha256(Context);

impl Sha256 {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> [u8; 32] {
        let mut digest = Self::default();
        digest.update(bytes);
        digest.finish()
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all that was added.
    pub fn finish(self) -> [u8; 32] {
        let mut digest = [0; 32];
        // SHA-256 has 32 bytes.
        digest.copy_from_slice(self.0.finish().as_ref());
        digest
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_digest_of_the_standard_however_the_bytes_come() {
        // FIPS 180-2 appendix B.1.
        let abc = [
            0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03,
            0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
        ];
        assert_eq!(Sha256::of(b"abc"), abc);
        let mut digest = Sha256::default();
        for bytes in [b"a".as_slice(), b"", b"bc"] {
            digest.update(bytes);
        }
        assert_eq!(digest.finish(), abc);
    }
}
