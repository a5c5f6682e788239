//! H(A1): the digest of user, realm and password that a Digest is made from (RFC 7616 section 3.4.2). It checks a password
//! that was sent as it is, too.
//!
//! Whoever has it can answer a Digest of this user in this realm: it is worth as much as the password there, and nowhere
//! else.

use std::fmt;

use md5::{Digest as _, Md5};

use super::keyed::same;
use crate::sha256::Sha256;

/// A hash function of Digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RFC 7616.
    Sha256,
    /// RFC 2617, for phones that know nothing else.
    Md5,
}

/// The H(A1) of one password, under each algorithm for which it is known.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Ha1 {
    pub(super) sha256: Option<[u8; 32]>,
    pub(super) md5: Option<[u8; 16]>,
}

impl Algorithm {
    /// The hash of these parts with a colon between two, in lower-case hex.
    pub fn hex(self, parts: &[&[u8]]) -> String {
        match self {
            Self::Sha256 => hex(&sha256(parts)),
            Self::Md5 => hex(&md5(parts)),
        }
    }
}

impl Ha1 {
    /// Of a password that is known.
    pub fn of(user: &[u8], realm: &str, password: &[u8]) -> Self {
        let parts = [user, realm.as_bytes(), password];
        Self { sha256: Some(sha256(&parts)), md5: Some(md5(&parts)) }
    }

    /// Whether the other, of a password that is known, is of the same password.
    pub(super) fn is(&self, shown: &Self) -> bool {
        match (&self.sha256, &self.md5, &shown.sha256, &shown.md5) {
            (Some(own), _, Some(shown), _) => same(own, shown),
            (None, Some(own), _, Some(shown)) => same(own, shown),
            (Some(_), _, None, _) | (None, Some(_), _, None) | (None, None, _, _) => false,
        }
    }

    /// In lower-case hex, where it is known under this algorithm.
    pub fn hex(&self, algorithm: Algorithm) -> Option<String> {
        match algorithm {
            Algorithm::Sha256 => self.sha256.as_ref().map(|digest| hex(digest)),
            Algorithm::Md5 => self.md5.as_ref().map(|digest| hex(digest)),
        }
    }
}

/// Says nothing: it is worth as much as a password.
impl fmt::Debug for Ha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ha1")
    }
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut digest = Sha256::default();
    joined(parts, |bytes| digest.update(bytes));
    digest.finish()
}

fn md5(parts: &[&[u8]]) -> [u8; 16] {
    let mut context = Md5::new();
    joined(parts, |bytes| context.update(bytes));
    context.finalize().into()
}

fn joined(parts: &[&[u8]], mut update: impl FnMut(&[u8])) {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            update(b":");
        }
        update(part);
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The bytes of exactly so many hex digits, in either case.
pub(super) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let digit = char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())?;
            *byte = *byte << 4 | digit;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7616 section 3.9.1: the response that its example computes.
    #[test]
    fn the_example_of_the_rfc_holds() {
        let ha1 = Ha1::of(b"Mufasa", "http-auth@example.org", b"Circle of Life");
        for (algorithm, response) in [
            (Algorithm::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
            (Algorithm::Sha256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let a1 = ha1.hex(algorithm).unwrap_or_default();
            let a2 = algorithm.hex(&[b"GET", b"/dir/index.html"]);
            let parts = [
                a1.as_str(),
                "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
                "00000001",
                "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
                "auth",
                a2.as_str(),
            ];
            assert_eq!(algorithm.hex(&parts.map(str::as_bytes)), response, "{algorithm:?}");
        }
    }

    #[test]
    fn one_that_is_known_under_one_algorithm_is_compared_under_it() {
        let [right, wrong] = [b"right".as_slice(), b"wrong"].map(|password| Ha1::of(b"u", "r", password));
        let md5 = Ha1 { sha256: None, ..right.clone() };
        let sha256 = Ha1 { md5: None, ..right.clone() };
        for ha1 in [&right, &md5, &sha256] {
            assert!(ha1.is(&right) && !ha1.is(&wrong));
        }
        assert!(!Ha1::default().is(&Ha1::default()), "what is unknown proves nothing");
        assert_eq!(format!("{right:?}"), "Ha1");
    }
}
