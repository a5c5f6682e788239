//! What a listener requires of a request before rules about own files are asked.

use std::fmt;
use std::str::FromStr;

use crate::mac::{Mac, Oui};
use crate::proof::Proofs;

/// A kind of proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProofKind {
    /// The source lies in the prefixes of `allow`.
    Address,
    /// A certificate that names a device.
    Certificate,
    /// A valid password, shared or of one device.
    Password,
    /// A device's secret link.
    Link,
}

/// Proofs that must all be shown, such as `certificate+password`. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative(Vec<ProofKind>);

/// Alternatives of which one must be met. Without any, nothing meets it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Require(Vec<Alternative>);

/// Devices that cannot do what a listener requires, and what is required of them instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// The vendors whose devices it is for, by the MAC in the path, or, where that names none, of the per-device password or link.
    pub ouis: Vec<Oui>,
    /// What is required instead.
    pub require: Require,
    /// Whether it is for files that name no device, too.
    pub shared: bool,
    /// Whether it refuses nobody and only records who would have been refused.
    pub report_only: bool,
}

/// Why a text is no alternative.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AlternativeError {
    /// No such proof.
    #[error("expected `address`, `certificate`, `password` or `link`, or several joined by `+`")]
    UnknownProof,
    /// A proof stands there twice.
    #[error("names a proof twice")]
    Repeated,
}

impl ProofKind {
    fn shown_by(self, proofs: &Proofs) -> bool {
        match self {
            // The ladder has refused a source outside the prefixes before anything asks this.
            Self::Address => true,
            Self::Certificate => proofs.certificate.is_ok(),
            Self::Password => proofs.password.holds(),
            Self::Link => proofs.link.device().is_some(),
        }
    }
}

impl Alternative {
    /// Whether all its proofs are shown.
    pub fn met_by(&self, proofs: &Proofs) -> bool {
        self.0.iter().all(|kind| kind.shown_by(proofs))
    }

    /// Whether all its proofs but this one are shown.
    pub fn lacks_only(&self, missing: ProofKind, proofs: &Proofs) -> bool {
        let (lacking, others): (Vec<ProofKind>, Vec<ProofKind>) = self.0.iter().partition(|kind| **kind == missing);
        !lacking.is_empty() && !missing.shown_by(proofs) && others.iter().all(|kind| kind.shown_by(proofs))
    }

    /// Whether it needs this proof.
    pub fn needs(&self, kind: ProofKind) -> bool {
        self.0.contains(&kind)
    }

    /// Whether the address alone meets it.
    pub fn is_address_alone(&self) -> bool {
        self.0 == [ProofKind::Address]
    }

    /// Whether everything that meets `other` meets this one, so that `other` is idle beside it.
    pub fn subsumes(&self, other: &Self) -> bool {
        self.0.iter().all(|kind| *kind == ProofKind::Address || other.needs(*kind))
    }
}

impl Require {
    /// Whether one alternative is met.
    pub fn met_by(&self, proofs: &Proofs) -> bool {
        self.0.iter().any(|alternative| alternative.met_by(proofs))
    }

    /// The alternatives.
    pub fn iter(&self) -> impl Iterator<Item = &Alternative> {
        self.0.iter()
    }

    /// Whether some alternative needs this proof.
    pub fn mentions(&self, kind: ProofKind) -> bool {
        self.0.iter().any(|alternative| alternative.needs(kind))
    }

    /// Whether it can be met without this proof.
    pub fn can_do_without(&self, kind: ProofKind) -> bool {
        self.0.iter().any(|alternative| !alternative.needs(kind))
    }
}

impl Exception {
    /// Whether it is for this request: `named` is the device in the path, `bound` that of the per-device password or link.
    pub fn covers(&self, named: Option<Mac>, bound: Option<Mac>) -> bool {
        let is_for = |mac: Mac| self.ouis.contains(&mac.oui());
        match named {
            Some(mac) => is_for(mac),
            // Whoever shows more than nothing must not be refused for it.
            None => self.shared || bound.is_some_and(is_for),
        }
    }
}

impl From<ProofKind> for Alternative {
    fn from(kind: ProofKind) -> Self {
        Self(vec![kind])
    }
}

impl FromIterator<Alternative> for Require {
    fn from_iter<T: IntoIterator<Item = Alternative>>(alternatives: T) -> Self {
        Self(alternatives.into_iter().collect())
    }
}

impl FromStr for Alternative {
    type Err = AlternativeError;

    fn from_str(text: &str) -> Result<Self, AlternativeError> {
        let mut kinds = text
            .split('+')
            .map(|proof| match proof {
                "address" => Ok(ProofKind::Address),
                "certificate" => Ok(ProofKind::Certificate),
                "password" => Ok(ProofKind::Password),
                "link" => Ok(ProofKind::Link),
                _ => Err(AlternativeError::UnknownProof),
            })
            .collect::<Result<Vec<_>, _>>()?;
        kinds.sort_unstable();
        if kinds.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(AlternativeError::Repeated);
        }
        Ok(Self(kinds))
    }
}

impl fmt::Display for ProofKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "address",
            Self::Certificate => "certificate",
            Self::Password => "password",
            Self::Link => "link",
        })
    }
}

impl fmt::Display for Alternative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_joined(f, &self.0, "+")
    }
}

impl fmt::Display for Require {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_joined(f, &self.0, " or ")
    }
}

fn write_joined(f: &mut fmt::Formatter<'_>, items: &[impl fmt::Display], separator: &str) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        let before = if index == 0 { "" } else { separator };
        write!(f, "{before}{item}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alternative(text: &str) -> Alternative {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn one_alternative_can_make_another_idle() {
        for (wider, narrower, subsumes) in [
            ("certificate", "certificate+password", true),
            ("certificate+password", "certificate", false),
            ("address", "certificate", true),
            ("address", "password+link", true),
            ("certificate", "password", false),
            ("address+password", "password", true),
        ] {
            assert_eq!(alternative(wider).subsumes(&alternative(narrower)), subsumes, "{wider} {narrower}");
        }
    }

    #[test]
    fn texts_that_are_no_alternative_are_refused() {
        for (text, error) in [
            ("", AlternativeError::UnknownProof),
            ("certificate,password", AlternativeError::UnknownProof),
            ("certificate+", AlternativeError::UnknownProof),
            ("password+password", AlternativeError::Repeated),
        ] {
            assert_eq!(text.parse::<Alternative>(), Err(error), "{text}");
        }
    }
}
