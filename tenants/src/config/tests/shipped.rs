//! The shipped configuration: as it is, and with every key that it shows taken at its word.

use std::fs;
use std::path::Path;

use super::{Site, authority};

fn shipped(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/etc/provost").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// With the `#` before keys and tables taken away; before prose a space follows it.
fn in_full(text: &str) -> String {
    let uncomment = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|first: char| first.is_ascii_lowercase() || first == '[') => rest.to_owned(),
        Some(_) | None => line.to_owned(),
    };
    text.lines().map(uncomment).collect::<Vec<_>>().join("\n")
}

/// A machine on which everything that the samples name is there.
fn installed() -> Site {
    let site = Site::new();
    for folder in ["files/example", "files/firmware", "trust/poly/anchors", "trust/cisco/anchors"] {
        fs::create_dir_all(site.path(folder)).unwrap();
    }
    for (from, to) in [
        ("tls/server.pem", "tls/example.pem"),
        ("tls/server.key", "tls/example.key"),
        ("tls/server.pem", "tls/example-ecdsa.pem"),
        ("tls/server.key", "tls/example-ecdsa.key"),
    ] {
        fs::copy(site.path(from), site.path(to)).unwrap();
    }
    let mut parameters = rcgen::CertificateParams::default();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    parameters.key_usages = vec![rcgen::KeyUsagePurpose::CrlSign, rcgen::KeyUsagePurpose::KeyCertSign];
    let key = rcgen::KeyPair::generate().unwrap();
    site.write("trust/poly/anchors/ca.pem", &parameters.self_signed(&key).unwrap().pem());
    site.write("trust/cisco/anchors/ca.pem", &authority().pem());
    let list = super::trust_sets::revocation_list(2020, 2999, &rcgen::Issuer::new(parameters, key));
    site.write("trust/poly/list.crl", &list);
    site.write_secret("tenants.d/example.password", "PlcmSpIp\n");
    site.write("tenants.d/example-devices.csv", "mac,label,password,proof,blocked\n0004f2aabbcd,lobby,,,\n");
    site
}

fn write(site: &Site, name: &str, text: &str) {
    let text = text.replace("/srv/provost", &site.path("files").display().to_string());
    site.write(name, &text.replace("/var/lib/provost", &site.path("state").display().to_string()));
}

/// Every key that the samples show, without what it stands in.
fn keys() -> Vec<String> {
    let text = in_full(&shipped("provost.toml")) + "\n" + &in_full(&shipped("tenants.d/example.toml.sample"));
    let key = |line: &str| {
        let key = line.split_once(" = ")?.0.rsplit('.').next()?;
        key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_').then(|| key.to_owned())
    };
    text.lines().filter_map(key).collect()
}

#[test]
fn the_reference_has_every_key_that_the_samples_show() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let reference = fs::read_to_string(path).unwrap();
    let keys = keys();
    assert!(keys.len() > 60, "{keys:?}");
    let missing: Vec<&String> = keys.iter().filter(|key| !reference.contains(&format!("\n| `{key}` |"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_fresh_installation_is_sound_and_has_no_tenant() {
    let site = installed();
    write(&site, "provost.toml", &shipped("provost.toml"));
    assert_eq!(site.said(), ["provost.toml: warning: no tenant: no file is `tenants.d/*.toml`"]);
}

#[test]
fn a_folder_that_is_named_like_a_tenants_file_is_told() {
    let site = Site::new();
    fs::create_dir(site.path("tenants.d/globex.toml")).unwrap();
    let told =
        "provost.toml: warning: tenants.d/globex.toml is no tenant: it is a folder, and `tenants.d/*.toml` names files";
    assert!(site.said().contains(&told.to_owned()), "{:?}", site.said());
}

#[test]
fn the_sample_is_a_tenant() {
    let site = installed();
    write(&site, "provost.toml", &shipped("provost.toml"));
    write(&site, "tenants.d/example.toml", &shipped("tenants.d/example.toml.sample"));
    let loaded = site.load().unwrap();
    assert!(!loaded.problems.has_errors(), "{}", loaded.problems);
    assert_eq!(loaded.deployment.tenants.len(), 1);
}

#[test]
fn every_key_that_the_sample_shows_is_accepted() {
    let site = installed();
    write(&site, "provost.toml", &in_full(&shipped("provost.toml")));
    write(&site, "tenants.d/example.toml", &in_full(&shipped("tenants.d/example.toml.sample")));
    let loaded = site.load().unwrap_or_else(|problems| panic!("{problems}"));
    assert!(!loaded.problems.has_errors(), "{}", loaded.problems);
    let tenant = loaded.deployment.tenants.first().unwrap();
    assert_eq!(tenant.listeners.len(), 4);
    let defaults = crate::Limits { bandwidth: Some(50 << 20), ..crate::Limits::default() };
    assert_eq!(tenant.limits, defaults, "the limits that the sample shows are the defaults");
}
