//! The device that a leaf certificate names.
//!
//! The subject is turned into attributes and their texts; which of them names a device is the core's [`MacRule`].

use provost_core::identity::{AttributeValue, MacRule};
use provost_core::proof::Attribute;
use provost_core::{Mac, NoIdentity};
use x509_parser::asn1_rs::{Any, Tag};
use x509_parser::der_parser::Oid;
use x509_parser::oid_registry::{
    OID_X509_COMMON_NAME, OID_X509_LOCALITY_NAME, OID_X509_ORGANIZATION_NAME, OID_X509_ORGANIZATIONAL_UNIT,
    OID_X509_SERIALNUMBER, OID_X509_STATE_OR_PROVINCE_NAME,
};
use x509_parser::prelude::{FromDer, RelativeDistinguishedName, X509Certificate, X509Name};

/// Reads the device from a leaf, in DER, whose chain has been verified.
///
/// # Errors
/// - [`NoIdentity::Malformed`]: not a certificate, bytes behind its end, or a subject that cannot be read to its end
/// - what [`MacRule::device`] says of its subject
pub fn device_of(leaf: &[u8], rule: &MacRule) -> Result<Mac, NoIdentity> {
    let Ok((rest, certificate)) = X509Certificate::from_der(leaf) else { return Err(NoIdentity::Malformed) };
    if !rest.is_empty() || !is_read_whole(certificate.subject()) {
        return Err(NoIdentity::Malformed);
    }
    rule.device(&attributes(certificate.subject()))
}

/// Whether no attribute was overlooked. x509-parser ends a name at the first RDN that it cannot read, and an RDN at the first
/// attribute, without a word: a second name might stand behind.
fn is_read_whole(subject: &X509Name<'_>) -> bool {
    attributes_in(subject.as_raw()) == Some(subject.iter_attributes().count())
}

/// How many attributes the DER of a name has, each of a type and a value, in RDNs of one or more (RFC 5280 section 4.1.2.4).
fn attributes_in(name: &[u8]) -> Option<usize> {
    let [ref name] = parts(name)?[..] else { return None };
    let mut count = 0;
    for rdn in parts(name.data)? {
        let attributes = parts(rdn.data)?;
        let is_pair = |attribute: &Any<'_>| parts(attribute.data).is_some_and(|parts| parts.len() == 2);
        if attributes.is_empty() || !attributes.iter().all(is_pair) {
            return None;
        }
        count += attributes.len();
    }
    Some(count)
}

/// What stands one behind another. `None` where something else stands among it.
fn parts(mut der: &[u8]) -> Option<Vec<Any<'_>>> {
    let mut parts = Vec::new();
    while !der.is_empty() {
        let (rest, part) = Any::from_der(der).ok()?;
        parts.push(part);
        der = rest;
    }
    Some(parts)
}

/// Every occurrence of an attribute that may hold a MAC, in multi-valued RDNs too: an occurrence that is overlooked
/// would be a second name that nobody checks.
pub(super) fn attributes(subject: &X509Name<'_>) -> Vec<(Attribute, AttributeValue)> {
    let known = |oid: &Oid<'_>| {
        [
            (OID_X509_COMMON_NAME, Attribute::CommonName),
            (OID_X509_STATE_OR_PROVINCE_NAME, Attribute::StateOrProvince),
            (OID_X509_LOCALITY_NAME, Attribute::Locality),
            (OID_X509_ORGANIZATION_NAME, Attribute::Organization),
            (OID_X509_ORGANIZATIONAL_UNIT, Attribute::OrganizationalUnit),
            (OID_X509_SERIALNUMBER, Attribute::SerialNumber),
        ]
        .into_iter()
        .find_map(|(known, attribute)| (known == *oid).then_some(attribute))
    };
    let of_interest = |item: &x509_parser::x509::AttributeTypeAndValue<'_>| {
        Some((known(item.attr_type())?, text(item.attr_value()).map_or(AttributeValue::NotText, AttributeValue::Text)))
    };
    subject.iter_rdn().flat_map(RelativeDistinguishedName::iter).filter_map(of_interest).collect()
}

/// The text of a `DirectoryString` (RFC 5280 section 4.1.2.4), or of an `IA5String`, which some vendors put there.
///
/// `TeletexString` is read as ASCII alone: what its other bytes mean differs between readers.
pub(super) fn text(value: &Any<'_>) -> Option<String> {
    let bytes: &[u8] = value.data;
    let ascii = || bytes.is_ascii().then(|| String::from_utf8_lossy(bytes).into_owned());
    match value.header.tag() {
        Tag::Utf8String => String::from_utf8(bytes.to_vec()).ok(),
        Tag::PrintableString | Tag::Ia5String | Tag::T61String => ascii(),
        Tag::BmpString => utf16(bytes),
        _ => None,
    }
}

fn utf16(bytes: &[u8]) -> Option<String> {
    let (units, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let units: Vec<u16> = units.iter().map(|unit| u16::from_be_bytes(*unit)).collect();
    String::from_utf16(&units).ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use provost_core::identity::MacPlace;
    use rcgen::string::{BmpString, Ia5String, PrintableString, TeletexString, UniversalString};
    use rcgen::{DnType, DnValue};

    use super::*;
    use crate::trust::testing::self_signed;

    const CN: Attribute = Attribute::CommonName;
    const ST: Attribute = Attribute::StateOrProvince;

    fn rule(attribute: Attribute) -> MacRule {
        MacRule::new(vec![MacPlace::new(attribute, "^([0-9A-Fa-f]{12})$").unwrap()], None)
    }

    fn device(attribute: Attribute, subject: Vec<(DnType, DnValue)>) -> Result<String, NoIdentity> {
        device_of(&self_signed(subject), &rule(attribute)).map(|mac| mac.to_string())
    }

    fn name(text: &str) -> Vec<(DnType, DnValue)> {
        vec![(DnType::CommonName, text.into())]
    }

    #[test]
    fn a_poly_certificate_names_its_device_in_the_cn() {
        let subject =
            vec![(DnType::OrganizationName, "Polycom Inc.".into()), (DnType::CommonName, "0004F2AABBCC".into())];
        assert_eq!(device(CN, subject), Ok("0004f2aabbcc".into()));
    }

    #[test]
    fn a_cisco_certificate_names_its_device_in_the_st() {
        let subject = vec![
            (DnType::StateOrProvinceName, "708105B37234".into()),
            (DnType::LocalityName, "CBT153908BX".into()),
            (DnType::OrganizationalUnitName, "cisco.com".into()),
            (DnType::CommonName, "SPA-525G2, MAC: 708105B37234, Serial: CBT153908BX".into()),
        ];
        assert_eq!(device(ST, subject.clone()), Ok("708105b37234".into()));
        assert_eq!(device(CN, subject), Err(NoIdentity::NoMatch(CN)));
    }

    #[test]
    fn certificates_that_name_no_device_for_certain_are_no_identity() {
        let second = DnType::CustomDnType(vec![2, 5, 4, 3]);
        let two = |a: &str, b: &str| vec![(DnType::CommonName, a.into()), (second.clone(), b.into())];
        for (subject, why) in [
            (name(""), NoIdentity::NoMatch(CN)),
            (name("0004f2"), NoIdentity::NoMatch(CN)),
            (name("Generic Phone"), NoIdentity::NoMatch(CN)),
            (name("0004f2aabbcc\0"), NoIdentity::Nul(CN)),
            (name("0004f2aabbcc\0.example.net"), NoIdentity::Nul(CN)),
            (two("0004f2aabbcc", "0004f2aabbcc"), NoIdentity::Repeated(CN)),
            (two("0004f2aabbcc", "other"), NoIdentity::Repeated(CN)),
            (vec![(DnType::OrganizationName, "0004f2aabbcc".into())], NoIdentity::Missing(CN)),
            (vec![], NoIdentity::Missing(CN)),
        ] {
            assert_eq!(device(CN, subject.clone()), Err(why), "{subject:?}");
        }
    }

    #[test]
    fn every_string_type_that_phones_use_is_read() {
        let mac = "0004F2AABBCC";
        for value in [
            DnValue::Utf8String(mac.into()),
            DnValue::PrintableString(PrintableString::try_from(mac).unwrap()),
            DnValue::Ia5String(Ia5String::try_from(mac).unwrap()),
            DnValue::TeletexString(TeletexString::try_from(mac).unwrap()),
            DnValue::BmpString(BmpString::try_from(mac).unwrap()),
        ] {
            assert_eq!(device(CN, vec![(DnType::CommonName, value.clone())]), Ok("0004f2aabbcc".into()), "{value:?}");
        }
        let other = DnValue::UniversalString(UniversalString::try_from(mac).unwrap());
        assert_eq!(device(CN, vec![(DnType::CommonName, other)]), Err(NoIdentity::NotText(CN)));
    }

    /// Else the second name would be overlooked.
    #[test]
    fn a_subject_that_cannot_be_read_to_its_end_is_no_identity() {
        let second = DnType::CustomDnType(vec![2, 5, 4, 3]);
        let subject = vec![
            (DnType::CommonName, "0004F2AABBCC".into()),
            (DnType::OrganizationName, "x12345678".into()),
            (second, "0004F2DDEEFF".into()),
        ];
        let der = self_signed(subject).to_vec();
        let organization = b"\x31\x12\x30\x10\x06\x03\x55\x04\x0a\x0c\x09x12345678";
        let at = der.windows(organization.len()).rposition(|window| window == organization).unwrap();
        assert_eq!(device_of(&der, &rule(CN)), Err(NoIdentity::Repeated(CN)));
        let rows: [(&str, &[u8]); 5] = [
            ("an RDN that is no set", b"\x30\x12\x30\x10"),
            ("an empty RDN", b"\x31\x00\x31\x10"),
            ("an attribute that is no sequence", b"\x31\x12\x04\x10"),
            ("bytes behind an attribute", b"\x31\x12\x30\x08\x06\x03\x55\x04\x0a\x0c\x01"),
            ("bytes behind a value", b"\x31\x12\x30\x10\x06\x03\x55\x04\x0a\x0c\x01"),
        ];
        for (what, bytes) in rows {
            let mut der = der.clone();
            der[at..at + bytes.len()].copy_from_slice(bytes);
            assert_eq!(device_of(&der, &rule(CN)), Err(NoIdentity::Malformed), "{what}");
        }
    }

    #[test]
    fn bytes_behind_the_certificate_are_refused() {
        let mut der = self_signed(name("0004F2AABBCC")).to_vec();
        assert!(device_of(&der, &rule(CN)).is_ok());
        der.push(0);
        assert_eq!(device_of(&der, &rule(CN)), Err(NoIdentity::Malformed));
        assert_eq!(device_of(b"\x30\x00", &rule(CN)), Err(NoIdentity::Malformed));
        assert_eq!(device_of(b"", &rule(CN)), Err(NoIdentity::Malformed));
    }
}
