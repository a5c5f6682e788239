//! What a trust set tolerates of old certificates, on request.
//!
//! Each option opens one door for one set and no other: a set without it refuses what it refused before, on the same
//! listener too.

use std::fmt;
use std::str::FromStr;

/// What a certificate would need a trust set to tolerate (`legacy` in the configuration).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Legacy {
    /// It is signed with SHA-1, of which forgeries have been made since 2017.
    Sha1,
    /// Its RSA key, or its issuer's, has 1,024 to 2,047 bits.
    Rsa1024,
    /// It is of X.509 version 1 or 2, which has no extensions and so cannot tell a CA from a phone.
    X509v1,
    /// Its time is over.
    Expired,
    /// It is made for other purposes than client authentication (RFC 5280 section 4.2.1.12).
    AnyEku,
}

impl Legacy {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 5] = [Self::Sha1, Self::Rsa1024, Self::X509v1, Self::Expired, Self::AnyEku];

    /// Whether somebody with enough computers can make certificates of such a CA. A trust set that tolerates it has to say
    /// which vendors it speaks for: otherwise one forged leaf of a weak CA would read another vendor's files.
    pub const fn is_forgeable(self) -> bool {
        match self {
            Self::Sha1 | Self::Rsa1024 | Self::X509v1 => true,
            Self::Expired | Self::AnyEku => false,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Rsa1024 => "rsa1024",
            Self::X509v1 => "x509v1",
            Self::Expired => "expired",
            Self::AnyEku => "any-eku",
        }
    }
}

/// No word for what can be tolerated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected `sha1`, `rsa1024`, `x509v1`, `expired` or `any-eku`")]
pub struct UnknownLegacy;

impl FromStr for Legacy {
    type Err = UnknownLegacy;

    fn from_str(text: &str) -> Result<Self, UnknownLegacy> {
        Self::ALL.into_iter().find(|legacy| legacy.name() == text).ok_or(UnknownLegacy)
    }
}

impl fmt::Display for Legacy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The options as the configuration spells them: `legacy = ["sha1", "rsa1024"]`.
pub fn spelled(legacy: &[Legacy]) -> String {
    let words: Vec<String> = legacy.iter().map(|legacy| format!("\"{legacy}\"")).collect();
    format!("legacy = [{}]", words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_as_it_is_written() {
        for legacy in Legacy::ALL {
            assert_eq!(legacy.to_string().parse(), Ok(legacy));
        }
        assert_eq!("md5".parse::<Legacy>(), Err(UnknownLegacy));
        assert_eq!(spelled(&[Legacy::Sha1, Legacy::AnyEku]), "legacy = [\"sha1\", \"any-eku\"]");
    }
}
