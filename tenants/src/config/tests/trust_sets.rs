//! Trust sets: what is refused, and that it refuses the tenants that use the set alone.

use std::fs;

use super::{HTTPS, Site};

const MAC: &str = "mac = { attribute = \"CN\", pattern = \"^([0-9A-F]{12})$\" }";

fn said_of(set: &str) -> Vec<String> {
    let site = Site::new();
    let leaf = rcgen::generate_simple_self_signed(["leaf".to_owned()]).unwrap();
    site.write("trust/leaf.pem", &leaf.cert.pem());
    site.write("trust/none.pem", "nothing\n");
    fs::write(site.path("trust/ca.der"), super::authority().der()).unwrap();
    site.write("provost.toml", &format!("state = \"state\"\n[trust.poly]\n{set}\n"));
    site.acme("");
    let loaded = site.load().unwrap();
    assert_eq!(loaded.deployment.tenants.len(), 1, "a tenant that does not use the set is served");
    site.lines(loaded.problems.errors()).into_iter().map(|line| line.replace("provost.toml:", "")).collect()
}

/// A list in PEM that names nobody, of the first of January of `from` to that of `to`.
pub(super) fn revocation_list(from: i32, to: i32, issuer: &rcgen::Issuer<'_, rcgen::KeyPair>) -> String {
    let list = rcgen::CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(from, 1, 1),
        next_update: rcgen::date_time_ymd(to, 1, 1),
        crl_number: rcgen::SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    list.signed_by(issuer).unwrap().pem().unwrap()
}

#[test]
fn each_bad_form_is_refused() {
    let good = "anchors = [\"trust/ca.pem\"]";
    for (set, expected) in [
        (format!("{good}\n{MAC}"), None),
        (format!("anchors = [\"trust/ca.*\"]\n{MAC}\nouis = [\"0004f2\"]"), None),
        (
            MAC.to_owned(),
            Some(
                "2: trust.poly.anchors: is missing: expected globs of CA certificates, such as [\"trust/poly/*.pem\"]",
            ),
        ),
        (
            format!("anchors = []\n{MAC}"),
            Some(
                "3: trust.poly.anchors: an empty list lets nobody in: expected globs of CA certificates, such as [\"trust/poly/*.pem\"]",
            ),
        ),
        (
            format!("anchors = [\"trust/x*.pem\"]\n{MAC}"),
            Some("3: trust.poly.anchors[0] = \"trust/x*.pem\": no file is there"),
        ),
        (
            format!("anchors = [\"trust/[\"]\n{MAC}"),
            Some("3: trust.poly.anchors[0] = \"trust/[\": expected a glob: unclosed character class; missing ']'"),
        ),
        (
            format!("anchors = [\"trust/leaf.pem\"]\n{MAC}"),
            Some(
                "3: trust.poly.anchors[0] = \"trust/leaf.pem\": trust/leaf.pem: `CN=rcgen self signed cert` is not a CA certificate",
            ),
        ),
        (
            format!("anchors = [\"trust/none.pem\"]\n{MAC}"),
            Some("3: trust.poly.anchors[0] = \"trust/none.pem\": trust/none.pem: expected a certificate in PEM or DER"),
        ),
        (
            format!("{good}\n{MAC}\ncrls = [\"trust/none.pem\"]"),
            Some(
                "5: trust.poly.crls[0] = \"trust/none.pem\": trust/none.pem: expected a revocation list in PEM or DER",
            ),
        ),
        (
            format!("{good}\n{MAC}\nlegacy = [\"md5\"]"),
            Some("5: trust.poly.legacy[0] = \"md5\": expected `sha1`, `rsa1024`, `x509v1`, `expired` or `any-eku`"),
        ),
        (format!("{good}\n{MAC}\nlegacy = [\"expired\", \"any-eku\"]"), None),
        (format!("{good}\n{MAC}\nouis = [\"0004f2\"]\nlegacy = [\"sha1\", \"rsa1024\", \"x509v1\"]"), None),
        (
            format!("{good}\n{MAC}\nlegacy = [\"rsa1024\", \"sha1\", \"expired\"]"),
            Some(
                "2: trust.poly.ouis: is missing: with legacy = [\"sha1\", \"rsa1024\"] a certificate of this CA may be forged, so say which vendors it speaks for, such as [\"00:0b:82\"]",
            ),
        ),
        (
            format!("{good}\n{MAC}\nouis = []"),
            Some("5: trust.poly.ouis: names no vendor: expected OUIs, such as [\"00:04:f2\"]"),
        ),
        (format!("{good}\nmac = []"), Some("4: trust.poly.mac: names no place where the MAC stands")),
        (
            format!("{good}\nmac = [{{ attribute = \"DN\", pattern = \"^(.*)$\" }}]"),
            Some(
                "4: trust.poly.mac[0].attribute = \"DN\": expected a subject attribute: CN, ST, L, O, OU or serialNumber",
            ),
        ),
        (
            format!("{good}\nmac = {{ attribute = \"CN\", pattern = \"([0-9A-F]{{12}})\" }}"),
            Some("4: trust.poly.mac.pattern = \"([0-9A-F]{12})\": expected a pattern from `^` to `$`"),
        ),
    ] {
        let said = said_of(&set);
        assert_eq!(said.first().map(String::as_str), expected, "{set}: {said:?}");
    }
}

#[test]
fn a_tenant_that_uses_a_bad_set_is_told_so() {
    let site = Site::new();
    site.write("provost.toml", &format!("state = \"state\"\n[trust.poly]\nanchors = [\"none\"]\n{MAC}\n"));
    assert_eq!(
        site.refused(&format!("{HTTPS}trust = [\"poly\"]\n")),
        [
            "provost.toml:3: trust.poly.anchors[0] = \"none\": no file is there",
            "10: listener[0].trust[0] = \"poly\": [trust.poly] in provost.toml has errors",
        ]
    );
    let loaded = site.load().unwrap();
    let told = &loaded.failed.first().unwrap().errors;
    assert!(told.iter().any(|error| error.contains("trust.poly.anchors[0]")), "the cause is told with it: {told:?}");
}

#[test]
fn a_vendor_that_has_published_no_list_yet_is_warned_of_and_served() {
    let site = Site::new();
    let set = format!("anchors = [\"trust/ca.pem\"]\ncrls = [\"trust/*.crl\"]\n{MAC}");
    site.write("provost.toml", &format!("state = \"state\"\n[trust.poly]\n{set}\n"));
    site.acme(&format!("{HTTPS}trust = [\"poly\"]\n"));
    let loaded = site.load().unwrap();
    assert_eq!(
        site.lines(loaded.problems.iter()),
        [
            "provost.toml:4: warning: trust.poly.crls[0] = \"trust/*.crl\": no file is there, so nothing of this trust set is revoked"
        ]
    );
}

#[test]
fn a_list_that_has_expired_still_revokes_and_is_warned_of() {
    let site = Site::new();
    let mut parameters = rcgen::CertificateParams::default();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    parameters.key_usages = vec![rcgen::KeyUsagePurpose::CrlSign, rcgen::KeyUsagePurpose::KeyCertSign];
    let key = rcgen::KeyPair::generate().unwrap();
    let authority = parameters.self_signed(&key).unwrap();
    let issuer = rcgen::Issuer::new(parameters, key);
    site.write("trust/ca.pem", &authority.pem());
    site.write("trust/list.crl", &revocation_list(2020, 2021, &issuer));
    let set = format!("[trust.poly]\nanchors = [\"trust/ca.pem\"]\ncrls = [\"trust/*.crl\"]\n{MAC}\n");
    site.write("provost.toml", &format!("state = \"state\"\n{set}"));
    site.acme(&format!("{HTTPS}trust = [\"poly\"]\n"));
    let loaded = site.load().unwrap();
    assert_eq!(
        site.lines(loaded.problems.iter()),
        [
            "provost.toml:4: warning: trust.poly.crls[0] = \"trust/*.crl\": trust/list.crl: the list has expired; what it names stays revoked, what was revoked since is not"
        ]
    );
    let tenant = loaded.deployment.tenants.first().unwrap();
    let tls = tenant.listeners.first().and_then(|listener| listener.tls.as_ref()).unwrap();
    assert_eq!(tls.trust.first().map(|set| set.crls.len()), Some(1));
}

#[test]
fn a_pattern_that_searches_is_warned_of() {
    let site = Site::new();
    let mut parameters = rcgen::CertificateParams::default();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    site.write("trust/ca.pem", &parameters.self_signed(&key).unwrap().pem());
    site.acme("");
    for (pattern, searches) in [
        ("^.*([0-9A-F]{12})$", true),
        ("^([0-9A-F]{12}).*$", true),
        ("^CP-.*-SEP([0-9A-F]{12})$", false),
        ("^([0-9A-F]{12})$", false),
    ] {
        let mac = format!("mac = {{ attribute = \"CN\", pattern = \"{pattern}\" }}");
        site.write("provost.toml", &format!("state = \"state\"\n[trust.poly]\nanchors = [\"trust/ca.pem\"]\n{mac}\n"));
        let loaded = site.load().unwrap();
        let said = site.lines(loaded.problems.iter());
        let warned =
            said.iter().any(|line| line.contains("warning: trust.poly.mac.pattern") && line.contains("anywhere"));
        assert_eq!(warned, searches, "{pattern}: {said:?}");
    }
}

#[test]
fn names_of_cas_that_a_handshake_has_no_room_for_are_refused_and_long_ones_warned_of() {
    let site = Site::new();
    let key = rcgen::KeyPair::generate().unwrap();
    let authorities = |count: usize| {
        let authority = |number| {
            let mut parameters = rcgen::CertificateParams::default();
            parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            parameters.distinguished_name.push(rcgen::DnType::CommonName, format!("{number:0>1000}"));
            parameters.self_signed(&key).unwrap().pem()
        };
        // Each twice: a name is sent once.
        (0..count).map(authority).collect::<String>().repeat(2)
    };
    let set = format!("[trust.poly]\nanchors = [\"trust/ca.pem\"]\n{MAC}\n");
    site.write("provost.toml", &format!("state = \"state\"\n{set}"));
    for (count, hints, expected) in [
        (10, true, None),
        (20, true, Some("warning: listener[0].trust: the names of these CAs take 20")),
        (70, true, Some("10: listener[0].trust: the names of these CAs take 7")),
        (70, false, None),
    ] {
        site.write("trust/ca.pem", &authorities(count));
        site.acme(&format!("{HTTPS}trust = [\"poly\"]\nhints = {hints}\n"));
        let loaded = site.load().unwrap();
        let said = site.lines(loaded.problems.iter());
        assert_eq!(said.len(), usize::from(expected.is_some()), "{count} {said:?}");
        assert!(expected.is_none_or(|expected| said[0].contains(expected)), "{count} {said:?}");
    }
}
