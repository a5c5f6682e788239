//! Certificates and revocation lists from files: PEM with any number of them, or one in DER.

use std::time::SystemTime;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use super::facts;

/// Why bytes are no certificates or revocation lists.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// PEM, but damaged.
    #[error("the PEM is damaged: {0}")]
    Pem(String),
    /// Whole, but nothing of what was looked for.
    #[error("expected a {expected} in PEM or DER")]
    NoneFound {
        /// What was looked for.
        expected: &'static str,
    },
    /// One of them cannot be read, or has bytes behind its end.
    #[error("number {number} in the file is no valid {expected}")]
    Malformed {
        /// Which, counted from 1.
        number: usize,
        /// What it should be.
        expected: &'static str,
    },
}

/// The certificates in a file, in order. Other things in the PEM, such as keys, are passed over.
///
/// # Errors
/// - any [`ReadError`]; a file of which one certificate is damaged gives none
pub fn certificates_in(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, ReadError> {
    read(bytes, "certificate", is_certificate)
}

/// The revocation lists in a file, in order. Other things in the PEM are passed over.
///
/// # Errors
/// - as [`certificates_in`]
pub fn crls_in(bytes: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, ReadError> {
    read(bytes, "revocation list", is_crl)
}

/// When a revocation list should have been followed by the next one. A list past this time still revokes what it
/// lists; whoever loads it warns. `None`: the list does not say, or cannot be read.
pub fn revocation_list_ends(crl: &CertificateRevocationListDer<'_>) -> Option<SystemTime> {
    let (_, crl) = CertificateRevocationList::from_der(crl).ok()?;
    crl.next_update().map(facts::system_time)
}

fn is_certificate(der: &[u8]) -> bool {
    X509Certificate::from_der(der).is_ok_and(|(rest, _)| rest.is_empty())
}

fn is_crl(der: &[u8]) -> bool {
    CertificateRevocationList::from_der(der).is_ok_and(|(rest, _)| rest.is_empty())
}

fn read<T>(bytes: &[u8], expected: &'static str, is_valid: fn(&[u8]) -> bool) -> Result<Vec<T>, ReadError>
where
    T: PemObject + AsRef<[u8]> + From<Vec<u8>>,
{
    if !bytes.windows(PEM_MARK.len()).any(|window| window == PEM_MARK) {
        return if is_valid(bytes) { Ok(vec![bytes.to_vec().into()]) } else { Err(ReadError::NoneFound { expected }) };
    }
    let items: Vec<T> =
        T::pem_slice_iter(bytes).collect::<Result<_, _>>().map_err(|error| ReadError::Pem(error.to_string()))?;
    if items.is_empty() {
        return Err(ReadError::NoneFound { expected });
    }
    match items.iter().position(|item| !is_valid(item.as_ref())) {
        Some(index) => Err(ReadError::Malformed { number: index + 1, expected }),
        None => Ok(items),
    }
}

const PEM_MARK: &[u8] = b"-----BEGIN ";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::testing::Ca;

    #[test]
    fn pem_gives_each_and_der_gives_one() {
        let (one, two) = (Ca::new("One"), Ca::new("Two"));
        let pem = format!("bag attributes\n{}{}{}", one.pem(), one.key_pem(), two.pem());
        assert_eq!(certificates_in(pem.as_bytes()), Ok(vec![one.der(), two.der()]));
        assert_eq!(certificates_in(&one.der()), Ok(vec![one.der()]));
        let crl = one.crl(&[]);
        assert_eq!(crls_in(&crl), Ok(vec![crl.clone()]));
        assert!(revocation_list_ends(&crl).is_some());
    }

    #[test]
    fn damaged_files_give_none() {
        let ca = Ca::new("One");
        let none = ReadError::NoneFound { expected: "certificate" };
        assert_eq!(certificates_in(b""), Err(none.clone()));
        assert_eq!(certificates_in(ca.key_pem().as_bytes()), Err(none.clone()));
        assert_eq!(certificates_in(&[&ca.der()[..], b"x"].concat()), Err(none));
        let cut = ca.pem().replace("-----END CERTIFICATE-----", "");
        assert!(matches!(certificates_in(cut.as_bytes()), Err(ReadError::Pem(_))));
        let hollow = format!("{}-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", ca.pem());
        let malformed = ReadError::Malformed { number: 2, expected: "certificate" };
        assert_eq!(certificates_in(hollow.as_bytes()), Err(malformed));
        assert!(crls_in(ca.pem().as_bytes()).is_err());
    }
}
