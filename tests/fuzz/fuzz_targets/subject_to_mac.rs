//! A certificate names the device that a plain reading of its subject names, and else none: one value of the attribute, text in its
//! encoding, 12 hex digits and nothing else, in a subject that has the form of one to its end.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use provost_core::identity::{MacPlace, MacRule};
use provost_core::proof::Attribute;
use provost_tenants::trust::device_of;

/// What is fuzzed: a subject whose form is right, and bytes that may be any certificate.
#[derive(Arbitrary, Debug)]
struct Input<'a> {
    subject: Vec<Vec<Value<'a>>>,
    behind: &'a [u8],
    raw: &'a [u8],
}

#[derive(Arbitrary, Debug)]
struct Value<'a> {
    kind: Kind,
    tag: Tag,
    bytes: Bytes<'a>,
}

#[derive(Arbitrary, Debug, Clone, Copy, PartialEq)]
enum Kind {
    CommonName,
    State,
    Locality,
    Other(u8),
    /// No attribute: it has no type.
    None,
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Tag {
    Utf8,
    Printable,
    Ia5,
    T61,
    Bmp,
    Universal,
    Octets,
    Integer,
}

/// Digits are not found by chance.
#[derive(Arbitrary, Debug)]
enum Bytes<'a> {
    Any(&'a [u8]),
    Mac([u8; 6]),
    Wide([u8; 6]),
    Around(&'a [u8], [u8; 6], &'a [u8]),
}

impl Bytes<'_> {
    fn content(&self) -> Vec<u8> {
        let digits = |octets: &[u8; 6]| octets.iter().flat_map(|octet| format!("{octet:02X}").into_bytes()).collect();
        match self {
            Self::Any(bytes) => bytes.to_vec(),
            Self::Mac(octets) => digits(octets),
            Self::Wide(octets) => digits(octets).into_iter().flat_map(|digit: u8| [0, digit]).collect(),
            Self::Around(before, octets, behind) => [*before, &digits(octets)[..] as &[u8], *behind].concat(),
        }
    }
}

impl Tag {
    fn number(self) -> u8 {
        match self {
            Self::Utf8 => 0x0c,
            Self::Printable => 0x13,
            Self::Ia5 => 0x16,
            Self::T61 => 0x14,
            Self::Bmp => 0x1e,
            Self::Universal => 0x1c,
            Self::Octets => 0x04,
            Self::Integer => 0x02,
        }
    }

    /// The oracle's reading of a text.
    fn text(self, bytes: &[u8]) -> Option<String> {
        match self {
            Self::Utf8 => std::str::from_utf8(bytes).ok().map(str::to_owned),
            Self::Printable | Self::Ia5 | Self::T61 if bytes.is_ascii() => {
                Some(bytes.iter().map(|b| *b as char).collect())
            }
            Self::Bmp if bytes.len() % 2 == 0 => {
                let units: Vec<u16> =
                    bytes.chunks(2).map(|pair| u16::from(pair[0]) << 8 | u16::from(pair[1])).collect();
                String::from_utf16(&units).ok()
            }
            _ => None,
        }
    }
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut der = vec![tag];
    match length {
        0..=0x7f => der.push(length as u8),
        0x80..=0xff => der.extend([0x81, length as u8]),
        0x100..=0xffff => der.extend([0x82, (length >> 8) as u8, length as u8]),
        _ => der.extend([0x83, (length >> 16) as u8, (length >> 8) as u8, length as u8]),
    }
    der.extend(content);
    der
}

fn attribute(value: &Value<'_>) -> Vec<u8> {
    let last = match value.kind {
        Kind::CommonName => 3,
        Kind::State => 8,
        Kind::Locality => 7,
        Kind::Other(number) => 0x40 | (number & 0x3f),
        Kind::None => return tlv(value.tag.number(), &value.bytes.content()),
    };
    let oid = tlv(6, &[0x55, 4, last]);
    tlv(0x30, &[oid, tlv(value.tag.number(), &value.bytes.content())].concat())
}

/// A certificate of version 3 that nobody signed, with this subject.
fn certificate(subject: &[Vec<Value<'_>>]) -> Vec<u8> {
    let rdn = |values: &Vec<Value<'_>>| tlv(0x31, &values.iter().flat_map(attribute).collect::<Vec<_>>());
    let subject = tlv(0x30, &subject.iter().flat_map(rdn).collect::<Vec<_>>());
    let algorithm = tlv(0x30, &tlv(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]));
    let validity = tlv(0x30, &[tlv(0x17, b"250101000000Z"), tlv(0x17, b"490101000000Z")].concat());
    let key = tlv(0x30, &[tlv(0x30, &tlv(6, &[0x2b, 0x65, 0x70])), tlv(3, &[0; 33])].concat());
    let version = tlv(0xa0, &tlv(2, &[2]));
    let issuer = tlv(0x30, &[]);
    let signed = tlv(0x30, &[version, tlv(2, &[1]), algorithm.clone(), issuer, validity, subject, key].concat());
    tlv(0x30, &[signed, algorithm, tlv(3, &[0; 9])].concat())
}

/// The 12 digits that the only value of an attribute is.
fn plain(subject: &[Vec<Value<'_>>], kind: Kind) -> Option<String> {
    let mut values = subject.iter().flatten().filter(|value| value.kind == kind);
    let (value, None) = (values.next()?, values.next()) else { return None };
    let text = value.tag.text(&value.bytes.content())?;
    let is_mac = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) && !text.starts_with("000000");
    is_mac.then(|| text.to_ascii_lowercase())
}

fn rule(attributes: &[Attribute]) -> MacRule {
    let place = |attribute: &Attribute| MacPlace::new(*attribute, "^([0-9A-Fa-f]{12})$").unwrap();
    MacRule::new(attributes.iter().map(place).collect(), None)
}

/// Built once: patterns take most of the time.
static RULES: LazyLock<[MacRule; 3]> = LazyLock::new(|| {
    let (cn, st) = (Attribute::CommonName, Attribute::StateOrProvince);
    [rule(&[cn]), rule(&[st]), rule(&[cn, st])]
});

fuzz_target!(|input: Input<'_>| {
    let [cn, st, both] = &*RULES;
    let der = certificate(&input.subject);
    // An RDN is a set of at least one attribute (RFC 5280 appendix A.1); behind what is none a second name might stand.
    let has_form = |values: &Vec<Value<'_>>| !values.is_empty() && values.iter().all(|value| value.kind != Kind::None);
    let is_whole = input.subject.iter().all(has_form);
    let [in_cn, in_st] = [Kind::CommonName, Kind::State].map(|kind| plain(&input.subject, kind).filter(|_| is_whole));
    for (rule, expected) in [(cn, &in_cn), (st, &in_st)] {
        assert_eq!(device_of(&der, rule).ok().map(|mac| mac.to_string()), *expected);
    }
    // Of two places what is found stands in one of them, and not another address in the other.
    if let Ok(mac) = device_of(&der, both) {
        let mac = Some(mac.to_string());
        assert!(in_cn == mac || in_st == mac);
        assert!(in_cn.is_none() || in_st.is_none() || in_cn == in_st);
    }
    // Bytes behind the end, and any bytes at all.
    if !input.behind.is_empty() {
        assert!(device_of(&[&der[..], input.behind].concat(), cn).is_err());
    }
    if let Ok(mac) = device_of(input.raw, cn) {
        let digits = mac.to_string().into_bytes();
        let narrow: Vec<u8> = input.raw.iter().filter(|byte| **byte != 0).map(u8::to_ascii_lowercase).collect();
        assert!(narrow.windows(12).any(|window| window == digits));
    }
});
