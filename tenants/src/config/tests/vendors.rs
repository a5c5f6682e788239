//! The trust sets that are shipped for the vendors' phones: each takes the subjects that are documented, and no generic one.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use provost_core::identity::AttributeValue;
use provost_core::proof::Attribute::{self, CommonName as CN, Locality as L, Organization as O, StateOrProvince as ST};
use provost_core::{NoIdentity, Oui};

use super::{Site, authority};
use crate::config::trust_sets;
use crate::trust::{CommonPlace, TrustSet};

fn sample() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/etc/provost/trust-sets.toml.sample");
    fs::read_to_string(path).unwrap()
}

const SPA: &str = "SPA-525G2, MAC: 708105B37234, Serial: CBT153908BX";

type Subject = &'static [(Attribute, &'static str)];

/// The sets of the sample, on a machine that has a CA for each, where `provost trust import` puts it.
fn shipped() -> HashMap<String, Arc<TrustSet>> {
    let site = Site::new();
    let sample = sample();
    for vendor in sample.lines().filter_map(|line| line.strip_prefix("[trust.")?.strip_suffix(']')) {
        fs::create_dir_all(site.path(&format!("trust/{vendor}/anchors"))).unwrap();
        site.write(&format!("trust/{vendor}/anchors/ca.pem"), &authority().pem());
    }
    site.write("provost.toml", &sample);
    let (sets, problems) = trust_sets(&site.path("provost.toml"), []).unwrap();
    assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), [""; 0]);
    sets.into_iter().map(|set| (set.name.to_string(), set)).collect()
}

fn device(set: &TrustSet, subject: &[(Attribute, &str)]) -> Result<String, NoIdentity> {
    let subject: Vec<_> =
        subject.iter().map(|(name, text)| (*name, AttributeValue::Text((*text).to_owned()))).collect();
    set.mac.device(&subject).map(|mac| mac.to_string())
}

#[test]
fn the_documented_subjects_name_their_devices() {
    let sets = shipped();
    let subjects: [(&str, Subject, &str); 11] = [
        ("poly", &[(O, "Polycom Inc."), (CN, "0004F2AABBCC")], "0004f2aabbcc"),
        ("yealink", &[(CN, "805EC0112233")], "805ec0112233"),
        ("yealink", &[(CN, "001565a1b2c3")], "001565a1b2c3"),
        ("cisco-spa", &[(ST, "708105B37234"), (L, "CBT153908BX"), (CN, SPA)], "708105b37234"),
        ("cisco-mic", &[(O, "Cisco Systems Inc."), (CN, "CP-8841-SEP001122AABBCC")], "001122aabbcc"),
        ("grandstream-gen1", &[(CN, "000B82AABBCC")], "000b82aabbcc"),
        ("grandstream", &[(CN, "C074ADAABBCC")], "c074adaabbcc"),
        ("snom", &[(CN, "000413AABBCC")], "000413aabbcc"),
        ("algo", &[(CN, "0022EEAABBCC")], "0022eeaabbcc"),
        ("panasonic", &[(CN, "0080F0AABBCC")], "0080f0aabbcc"),
        ("gigaset", &[(CN, "7C2F80AABBCC")], "7c2f80aabbcc"),
    ];
    for (set, subject, mac) in subjects {
        assert_eq!(device(&sets[set], subject), Ok(mac.to_owned()), "{set}");
    }
    let tested: Vec<&str> = subjects.iter().map(|(set, ..)| *set).collect();
    assert!(sets.keys().all(|set| tested.contains(&set.as_str())), "{:?}", sets.keys());
}

#[test]
fn generic_certificates_and_those_of_other_vendors_name_none() {
    for (name, set) in shipped() {
        let subjects: [&[(Attribute, &str)]; 9] = [
            &[(ST, ""), (L, "ciscogeneric"), (CN, "SPA-525G2, MAC: generic, Serial: generic")],
            &[(O, "Polycom Inc."), (CN, "Polycom")],
            &[(CN, "Yealink Generic")],
            &[(CN, "Grandstream")],
            &[(CN, "CP-8841-SEP")],
            &[(CN, "0004f2"), (ST, "0004f2")],
            &[(CN, "00000000002A"), (ST, "00000000002A")],
            &[(CN, "mac 0004F2AABBCC"), (ST, "x0004F2AABBCC")],
            &[],
        ];
        for subject in subjects {
            assert!(device(&set, subject).is_err(), "{name}: {subject:?}");
        }
        // The plain form of another vendor: where the set does not look for it, or not for this vendor.
        let foreign = device(&set, &[(CN, "0002FC000001")]);
        let of_vendor = Err(NoIdentity::ForeignOui("00:02:fc".parse::<Oui>().unwrap()));
        assert!(foreign == of_vendor || name.starts_with("cisco"), "{name}: {foreign:?}");
    }
}

#[test]
fn the_patterns_are_those_that_are_tried_without_a_configuration() {
    let sample = sample();
    let patterns: Vec<&str> = sample
        .lines()
        .filter_map(|line| line.split_once("pattern = \"")?.1.split_once('"'))
        .map(|(one, _)| one)
        .collect();
    assert!(patterns.len() > 9, "{patterns:?}");
    for pattern in patterns {
        assert!(CommonPlace::ALL.iter().any(|place| place.pattern == pattern), "{pattern}");
    }
}
