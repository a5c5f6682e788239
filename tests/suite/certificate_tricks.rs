//! Certificates that seem to prove something and do not, one row each, and what the operator reads of them.

use rcgen::string::{BmpString, TeletexString, UniversalString};
use rcgen::{DnType, DnValue};

use crate::harness::authority::{Authority, Pair};
use crate::harness::clients::run;
use crate::harness::deployment::{Deployment, TLS};
use crate::harness::old_authority::{MODERN, MODERN_CA, Make, OldAuthority};
use crate::harness::scene::{self, CISCO, POLY, Scene};

/// Listeners with the sets of the deployment: one that requires a certificate, and one that has an exception, so that a certificate
/// may be missing.
fn scene_of(trust: &str, rows: &[(&str, Pair)]) -> Scene {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    start(deployment, trust, rows)
}

fn start(deployment: Deployment, trust: &str, rows: &[(&str, Pair)]) -> Scene {
    deployment.replace("provost.toml", "anchors = [\"trust/poly.pem\"]", trust);
    for (name, pair) in rows {
        deployment.certificate(name, pair);
    }
    let open = format!("{TLS}[[listener.exception]]\nouis = [\"00:22:ee\"]\nrequire = [\"address\"]\n");
    deployment.add(&scene::acme().https("").listener_named("open", "https", &open));
    Scene::start(deployment)
}

/// Neither listener serves the phone's file to it, and both records say why.
#[track_caller]
fn proves_nothing(scene: &Scene, name: &str, required: u16, why: &str) {
    for (listener, status) in [("https", required), ("open", 403)] {
        let outcome = if status == 0 { "handshake" } else { "denied" };
        let records = |count| scene.server.records(&[("listener", listener), ("outcome", outcome)], count);
        let before = records(0).len();
        let reply = scene.at(listener, name, &format!("{POLY}.cfg")).run();
        assert_eq!(reply.status, status, "{name} at {listener}: {reply:?}");
        let record = records(before + 1).pop().unwrap().to_string();
        assert!(record.contains(why), "{name} at {listener}: {why}: {record}");
    }
}

#[track_caller]
fn is_served(scene: &Scene, name: &str, path: &str) {
    let reply = scene.https("acme", name, path).run();
    assert_eq!(reply.status, 200, "{name}: {reply:?}");
}

#[test]
fn a_subject_that_is_not_exactly_a_mac_names_nobody() {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    let (poly, cisco): (&Authority, &Authority) = (&deployment.poly, &deployment.cisco);
    let named = |name: &str| poly.common_name(name);
    let mac = "0004F2AABBCC";
    let rows = [
        ("empty", poly.common_name(""), "names no MAC address"),
        ("oui", named("0004F2"), "names no MAC address"),
        ("longer", named("0004F2AABBCC00"), "names no MAC address"),
        ("before", named("x0004F2AABBCC"), "names no MAC address"),
        ("behind", named("0004F2AABBCC.example.net"), "names no MAC address"),
        ("spaced", named(" 0004F2AABBCC"), "names no MAC address"),
        ("line", named("0004F2AABBCC\n"), "names no MAC address"),
        ("separated", named("00:04:F2:AA:BB:CC"), "names no MAC address"),
        ("generic", named("Yealink Generic"), "names no MAC address"),
        ("nul", named("0004F2AABBCC\0"), "holds a NUL"),
        ("nul-within", named("0004F2AABBCC\0.example.net"), "holds a NUL"),
        ("two", poly.two_common_names(mac, "0004F2000002"), "has more than one CN"),
        ("twice", poly.two_common_names(mac, mac), "has more than one CN"),
        ("zero", named("000000000000"), "names no device's address"),
        ("foreign", named("708105B37234"), "may not speak for 70:81:05"),
        (
            "universal",
            poly.common_name(DnValue::UniversalString(UniversalString::try_from(mac).unwrap())),
            "is not text",
        ),
        ("cisco-generic", cisco.generic(), "has no ST"),
        // A leaf of one vendor that has the other vendor's form.
        ("crossed", cisco.common_name(mac), "has no ST"),
    ];
    let pairs: Vec<(&str, Pair)> = rows.iter().map(|(name, pair, _)| (*name, pair.clone())).collect();
    let scene = start(deployment, "anchors = [\"trust/poly.pem\"]\nouis = [\"00:04:f2\"]", &pairs);
    for (name, _, why) in &rows {
        proves_nothing(&scene, name, 403, why);
    }
    is_served(&scene, POLY, &format!("{POLY}.cfg"));
    is_served(&scene, CISCO, &format!("SEP{}.cnf.xml", CISCO.to_uppercase()));
}

#[test]
fn every_spelling_of_text_that_phones_use_is_read() {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    let mac = "0004F2AABBCC";
    let rows: [(&str, DnValue); 4] = [
        ("utf8", DnValue::Utf8String(mac.into())),
        ("bmp", DnValue::BmpString(BmpString::try_from(mac).unwrap())),
        ("t61", DnValue::TeletexString(TeletexString::try_from(mac).unwrap())),
        ("lower", DnValue::Utf8String(mac.to_lowercase())),
    ];
    let pairs: Vec<(&str, Pair)> =
        rows.into_iter().map(|(name, value)| (name, deployment.poly.common_name(value))).collect();
    let scene = start(deployment, "anchors = [\"trust/poly.pem\"]", &pairs);
    for (name, _) in &pairs {
        is_served(&scene, name, &format!("{POLY}.cfg"));
    }
}

/// A leaf for the phone with these extensions, and the certificates that are sent behind it.
fn chain(issuer: &OldAuthority, extensions: &'static str, sent: &[&OldAuthority]) -> Pair {
    let mut pair = issuer.leaf("/CN=0004F2AABBCC", Make { extensions, ..MODERN });
    pair.certificate.extend(sent.iter().map(|authority| authority.pem()));
    pair
}

#[test]
fn a_chain_that_does_not_hold_counts_as_none() {
    let leaf = MODERN.extensions;
    let root = OldAuthority::new("Root", MODERN_CA);
    let issuing = root.intermediate("Issuing", MODERN_CA);
    let last =
        root.intermediate("Last", Make { extensions: "basicConstraints=critical,CA:TRUE,pathlen:0", ..MODERN_CA });
    let beyond = last.intermediate("Beyond", MODERN_CA);
    let no_ca = root.intermediate("0004f2000002", MODERN);
    let names = "basicConstraints=critical,CA:TRUE\nnameConstraints=critical,permitted;DNS:example.net";
    let constrained = root.intermediate("Constrained", Make { extensions: names, ..MODERN_CA });
    let stranger = OldAuthority::new("Stranger", MODERN_CA);
    let same_name = OldAuthority::new("Root", MODERN_CA);
    let other_name = "basicConstraints=CA:FALSE\nsubjectAltName=DNS:phone.example.org";
    let own_name = "basicConstraints=CA:FALSE\nsubjectAltName=DNS:phone.example.net";
    let own = OldAuthority::new("0004F2AABBCC", MODERN);
    let rows = [
        ("self-signed", own.pair().clone(), "it is self-signed"),
        ("stranger", chain(&stranger, leaf, &[]), "its issuer `CN=Stranger` leads to no anchor"),
        ("same-name", chain(&same_name, leaf, &[]), "a signature in its chain is wrong"),
        ("missing", chain(&issuing, leaf, &[]), "its issuer `CN=Issuing` leads to no anchor"),
        ("ca-true", chain(&root, MODERN_CA.extensions, &[]), "it is the certificate of a CA"),
        ("purpose", chain(&root, "extendedKeyUsage=serverAuth", &[]), "not made for client authentication"),
        ("path-length", chain(&beyond, leaf, &[&beyond, &last]), "its chain is longer than a CA in it allows"),
        ("no-ca", chain(&no_ca, leaf, &[&no_ca]), "a certificate in its chain is no CA's"),
        (
            "constrained",
            chain(&constrained, other_name, &[&constrained]),
            "a name in it is none that its chain may give",
        ),
        ("critical", chain(&root, "1.2.3.4=critical,ASN1:NULL", &[]), "a critical extension in its chain is not known"),
    ];
    let mut pairs: Vec<(&str, Pair)> = rows.iter().map(|(name, pair, _)| (*name, pair.clone())).collect();
    let good = [
        ("direct", chain(&root, leaf, &[])),
        ("through", chain(&issuing, leaf, &[&issuing])),
        ("with-root", chain(&issuing, leaf, &[&issuing, &root])),
        ("with-others", chain(&issuing, leaf, &[&stranger, &no_ca, &issuing])),
        ("last", chain(&last, leaf, &[&last])),
        ("permitted", chain(&constrained, own_name, &[&constrained])),
    ];
    pairs.extend(good.iter().cloned());
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    deployment.write("trust/root.pem", root.pem());
    for (name, from, to) in [("future", 2090, 2100), ("past", 2006, 2016)] {
        deployment.certificate(name, &deployment.poly.timed(&POLY.to_uppercase(), from, to));
    }
    let scene = start(deployment, "anchors = [\"trust/root.pem\", \"trust/poly.pem\"]", &pairs);
    for (name, _, why) in &rows {
        proves_nothing(&scene, name, 0, why);
    }
    proves_nothing(&scene, "future", 0, "it is not valid before 2090-01-01");
    proves_nothing(&scene, "past", 0, "it expired at 2016-01-01");
    for (name, _) in &good {
        is_served(&scene, name, &format!("{POLY}.cfg"));
    }
}

#[test]
fn a_huge_chain_costs_its_peer_the_handshake_and_nobody_else_anything() {
    let root = OldAuthority::new("Root", MODERN_CA);
    // Names that lead to each other, so that a search for a path has much to try.
    let names: Vec<OldAuthority> = (0..3).map(|_| root.intermediate("Loop", MODERN_CA)).collect();
    let last = names[0].intermediate("Loop", MODERN_CA);
    let leaf = last.leaf("/CN=0004F2AABBCC", MODERN);
    let sent = |times: usize| {
        let more: String = names.iter().map(OldAuthority::pem).collect::<String>().repeat(times);
        Pair { certificate: leaf.certificate.clone() + &more, key: leaf.key.clone() }
    };
    let scene = scene_of("anchors = [\"trust/poly.pem\"]", &[("long", sent(20)), ("huge", sent(60))]);
    for name in ["long", "huge"] {
        let began = std::time::Instant::now();
        let reply = scene.https("acme", name, &format!("{POLY}.cfg")).run();
        assert_eq!(reply.status, 0, "{name}: {reply:?}");
        assert!(began.elapsed() < std::time::Duration::from_secs(30), "{name}");
        is_served(&scene, POLY, &format!("{POLY}.cfg"));
    }
    scene.server.records(&[("outcome", "handshake")], 2);
}

#[test]
fn two_sets_of_one_authority_read_the_subject_in_the_listeners_order() {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    let mut spa = rcgen::DistinguishedName::new();
    spa.push(DnType::StateOrProvinceName, POLY.to_uppercase());
    spa.push(DnType::CommonName, "SPA-525G2");
    let in_state = deployment.poly.with_subject(spa);
    let revoked = deployment.poly.numbered(POLY, 4711);
    // Both sets believe the same CA, and only the second has its revocation list.
    deployment.write("trust/cisco.pem", deployment.poly.pem());
    deployment.write("trust/cisco.crl", deployment.poly.revokes(&[4711]));
    let cisco = "anchors = [\"trust/cisco.pem\"]";
    deployment.replace("provost.toml", cisco, &format!("{cisco}\ncrls = [\"trust/cisco.crl\"]"));
    let scene = start(deployment, "anchors = [\"trust/poly.pem\"]", &[("state", in_state), ("revoked", revoked)]);
    is_served(&scene, "state", &format!("{POLY}.cfg"));
    is_served(&scene, POLY, &format!("{POLY}.cfg"));
    proves_nothing(&scene, "revoked", 0, "trust set cisco: it is revoked");
}

#[test]
fn a_long_list_of_names_reaches_the_phone_whole() {
    let names: Vec<OldAuthority> =
        (0..40).map(|number| OldAuthority::new(&format!("{number:0>60}"), Make { key: "ec", ..MODERN_CA })).collect();
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    let long = |authority: &OldAuthority| authority.pem().to_owned();
    deployment.write("trust/many.pem", names.iter().map(long).collect::<String>());
    let scene = start(deployment, "anchors = [\"trust/many.pem\", \"trust/poly.pem\"]", &[]);
    let [pem, key] = scene.deployment.pair(POLY);
    let target = scene.server.address("acme", "https").to_string();
    for version in ["-tls1_2", "-tls1_3"] {
        let shown = run("openssl", &["s_client", "-connect", &target, version, "-cert", &pem, "-key", &key]).stdout;
        let sent = shown.lines().filter(|line| line.contains("0000000000")).count();
        assert_eq!(sent, 40, "{version}: {shown}");
    }
    is_served(&scene, POLY, &format!("{POLY}.cfg"));
}
