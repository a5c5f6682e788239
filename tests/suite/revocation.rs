//! Phones that lose their access while they are connected, or come back with a session of before.

use crate::harness::clients::{run, run_with_input, text};
use crate::harness::deployment::{Deployment, TLS};
use crate::harness::old_authority::{MODERN, MODERN_CA, Make, OldAuthority};
use crate::harness::scene::{self, NEIGHBOUR, POLY, Scene};
use crate::harness::server::BINARY;
use crate::harness::tls_client::{self, Stream, connect, status};
use crate::harness::until;

/// How a phone keeps its session: what openssl is told.
const KEEPING: [(&str, &[&str]); 3] =
    [("id", &["-tls1_2", "-no_ticket"]), ("ticket", &["-tls1_2"]), ("psk", &["-tls1_3"])];

const ANCHORS: &str = "anchors = [\"trust/poly.pem\"]";

/// A phone whose certificate has the number 4711, at a listener that requires one and at one that has an exception.
fn scene_of(devices: &str) -> Scene {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    deployment.replace("provost.toml", ANCHORS, &format!("{ANCHORS}\ncrls = [\"trust/*.crl\"]"));
    deployment.write("trust/0.crl", deployment.poly.revokes(&[1]));
    deployment.write("devices.csv", devices);
    deployment.certificate("phone", &deployment.poly.numbered(POLY, 4711));
    let open = format!("{TLS}[[listener.exception]]\nouis = [\"00:22:ee\"]\nrequire = [\"address\"]\n");
    let tenant = scene::tenant_of_file("../devices.csv").https("").listener_named("open", "https", &open);
    deployment.add(&tenant);
    Scene::start(deployment)
}

/// Whether a session was resumed, and the status that the phone got for its own file; 0 where the handshake failed.
fn ask(scene: &Scene, listener: &str, how: &[&str], session: &[&str]) -> (bool, u16) {
    let target = scene.server.address("acme", listener).to_string();
    let [pem, key] = scene.deployment.pair("phone");
    let asked = ["s_client", "-ign_eof", "-connect", &target, "-cert", &pem, "-key", &key];
    let request = format!("GET /{POLY}.cfg HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let said = run_with_input("openssl", &[&asked[..], how, session].concat(), request.as_bytes()).stdout;
    let status = said.split("HTTP/1.1 ").nth(1).and_then(|rest| rest.get(..3)?.parse().ok()).unwrap_or(0);
    (said.lines().any(|line| line.starts_with("Reused, ")), status)
}

/// Each way to keep a session, and each listener: one session of before is shown to the server after `lose`. `expected` says
/// whether it is resumed, and the status.
fn loses(scene: &Scene, lose: impl Fn(), is_lost: impl Fn() -> bool, expected: impl Fn(&str) -> (bool, u16)) {
    let ways = || KEEPING.iter().flat_map(|(name, how)| ["https", "open"].map(|listener| (*name, *how, listener)));
    let file = |name: &str, listener: &str| text(&scene.deployment.path(&format!("session-{name}-{listener}")));
    for (name, how, listener) in ways() {
        let file = file(name, listener);
        assert_eq!(ask(scene, listener, how, &["-sess_out", &file]), (false, 200), "{name} at {listener}");
        assert_eq!(ask(scene, listener, how, &["-sess_in", &file]), (true, 200), "{name} at {listener}");
        // A session of TLS 1.3 is used once (RFC 8446 appendix C.4): another one for later.
        ask(scene, listener, how, &["-sess_out", &file]);
    }
    lose();
    until("the phone has lost its access", is_lost);
    for (name, how, listener) in ways() {
        let answer = ask(scene, listener, how, &["-sess_in", &file(name, listener)]);
        assert_eq!(answer, expected(listener), "{name} at {listener}");
    }
}

#[test]
fn a_revoked_phone_comes_back_with_no_session_of_before() {
    let scene = scene_of(&format!("mac\n{POLY}\n{NEIGHBOUR}\n"));
    let lose = || scene.deployment.write("trust/1.crl", scene.deployment.poly.revokes(&[4711]));
    let is_lost = || ask(&scene, "open", &["-tls1_3"], &[]).1 == 403;
    // Where a certificate is required there is no handshake; where another may do without, it counts as none.
    loses(&scene, lose, is_lost, |listener| (false, if listener == "https" { 0 } else { 403 }));
    let record = scene.server.record(&[("listener", "open"), ("reason", "require_not_met")]).to_string();
    assert!(record.contains("revoked"), "{record}");
    assert_eq!(scene.https("acme", NEIGHBOUR, &format!("{NEIGHBOUR}.cfg")).run().status, 200);
}

#[test]
fn a_blocked_phone_is_refused_on_a_session_of_before() {
    let scene = scene_of(&format!("mac,blocked\n{POLY},\n{NEIGHBOUR},\n"));
    let rows = format!("mac,blocked\n{POLY},yes\n{NEIGHBOUR},\n");
    let is_lost = || ask(&scene, "https", &["-tls1_3"], &[]).1 == 403;
    loses(&scene, || scene.deployment.write("devices.csv", &rows), is_lost, |_| (true, 403));
    scene.server.record(&[("outcome", "denied"), ("reason", "blocked"), ("mac", POLY)]);
}

#[test]
fn a_removed_phone_is_refused_on_a_session_of_before() {
    let others = (0..20).map(|number| format!("0004f20001{number:02x}")).collect::<Vec<_>>().join("\n");
    let scene = scene_of(&format!("mac\n{POLY}\n{NEIGHBOUR}\n{others}\n"));
    let rows = format!("mac\n{NEIGHBOUR}\n{others}\n");
    let is_lost = || ask(&scene, "https", &["-tls1_3"], &[]).1 == 403;
    loses(&scene, || scene.deployment.write("devices.csv", &rows), is_lost, |_| (true, 403));
    scene.server.record(&[("outcome", "denied"), ("reason", "unknown_device"), ("mac", POLY)]);
}

#[test]
fn a_phone_whose_anchor_goes_from_its_trust_set_loses_connection_and_sessions() {
    let scene = scene_of(&format!("mac\n{POLY}\n{NEIGHBOUR}\n"));
    let mut open = connected(&scene);
    let lose = || scene.deployment.write("trust/poly.pem", scene.deployment.stranger.pem());
    let is_lost = || ask(&scene, "open", &["-tls1_3"], &[]).1 == 403;
    loses(&scene, lose, is_lost, |listener| (false, if listener == "https" { 0 } else { 403 }));
    assert_eq!(status_of_own(&mut open), 403);
    let record = scene.server.record(&[("listener", "open"), ("reason", "require_not_met")]).to_string();
    assert!(record.contains("leads to no anchor of poly"), "{record}");
}

#[test]
fn a_phone_that_a_changed_rule_names_no_more_loses_connection_and_sessions() {
    let scene = scene_of(&format!("mac\n{POLY}\n{NEIGHBOUR}\n"));
    let mut open = connected(&scene);
    let lose = || {
        let rule = |attribute: &str| format!("mac = {{ attribute = \"{attribute}\"");
        scene.deployment.replace("provost.toml", &rule("CN"), &rule("serialNumber"));
        run(BINARY, &["reload", "--config", &text(&scene.deployment.config())]).succeeded();
    };
    let is_lost = || ask(&scene, "open", &["-tls1_3"], &[]).1 == 403;
    loses(&scene, lose, is_lost, |_| (false, 403));
    assert_eq!(status_of_own(&mut open), 403);
}

/// A phone that has fetched its own file over a connection that stays.
fn connected(scene: &Scene) -> Stream {
    let mut phone = connect(&scene.deployment, scene.server.address("acme", "open"), "phone");
    assert_eq!(status_of_own(&mut phone), 200);
    phone
}

fn status_of_own(phone: &mut Stream) -> u16 {
    status(&tls_client::ask(phone, &format!("GET /{POLY}.cfg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")))
}

#[test]
fn an_overdue_list_is_warned_of_and_counted_and_still_revokes() {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    let ca = OldAuthority::new("Old", MODERN_CA);
    deployment.write("trust/poly.pem", ca.pem());
    deployment.replace("provost.toml", ANCHORS, &format!("{ANCHORS}\ncrls = [\"trust/*.crl\"]"));
    deployment.write("trust/0.crl", ca.crl_of("1267", "sha256", "", "20210101000000Z"));
    deployment.certificate("phone", &ca.numbered(&format!("/CN={POLY}"), MODERN, "4711"));
    deployment.certificate("valid", &ca.numbered(&format!("/CN={POLY}"), MODERN, "4712"));
    deployment.add(&scene::acme().https(""));
    let config = text(&deployment.config());
    let checked = run(BINARY, &["check", "--config", &config]);
    assert!(checked.code == 0 && checked.stdout.contains("0.crl: the list has expired"), "{}", checked.stdout);
    let scene = Scene::start(deployment);
    let own = format!("{POLY}.cfg");
    assert_eq!(scene.https("acme", "phone", &own).run().status, 0);
    assert_eq!(scene.https("acme", "valid", &own).run().status, 200);
    scene.server.event_of("revocation lists are overdue; what they list stays revoked", "acme", 1);
    let status = || run(BINARY, &["status", "--config", &config]).stdout;
    assert!(status().contains("tenant acme: revocation lists that are overdue: 1"), "{}", status());
    // One that is read again is told of again.
    scene.deployment.write("trust/1.crl", ca.crl_of("1268", "sha256", "", "20210101000000Z"));
    scene.server.event_of("revocation lists are overdue; what they list stays revoked", "acme", 2);
    assert!(status().contains("overdue: 2"), "{}", status());
    assert_eq!(scene.https("acme", "valid", &own).run().status, 0);
}

#[test]
fn lists_that_revoke_nothing_are_refused_or_warned_of_by_name() {
    let deployment = Deployment::new();
    let ca = OldAuthority::new("Old", MODERN_CA);
    let forger = OldAuthority::new("Old", MODERN_CA);
    let issuing = ca.intermediate("Issuing", MODERN_CA);
    deployment.write("trust/poly.pem", ca.pem());
    deployment.replace("provost.toml", ANCHORS, &format!("{ANCHORS}\ncrls = [\"trust/list.crl\"]"));
    deployment.add(&scene::acme().https(""));
    for (list, code, expected) in [
        (ca.crl("01", "sha256", ""), 0, "ok:"),
        (forger.crl("01", "sha256", ""), 1, "trust/list.crl: cannot be used: no anchor `CN=Old` signed it"),
        (issuing.crl("01", "sha256", ""), 0, "its issuer `CN=Issuing` is no anchor of this set"),
        (ca.crl_of_version_1("01"), 1, "a list of version 1, or without extensions, cannot be used"),
        (ca.crl("01", "sha256", "deltaCRL=ASN1:INTEGER:1"), 1, "a delta list tells only what changed"),
        (ca.crl("01", "sha256", "2.5.29.27=critical,ASN1:INTEGER:1"), 1, "a delta list tells only what changed"),
        (ca.crl("01", "sha1", ""), 1, "it needs legacy = [\"sha1\"]"),
        ("-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n".into(), 1, "number 1 in the file is no valid"),
    ] {
        deployment.write("trust/list.crl", list);
        let checked = run(BINARY, &["check", "--config", &text(&deployment.config())]);
        assert_eq!(checked.code, code, "{expected}: {}", checked.stdout);
        assert!(checked.stdout.contains(expected), "{expected}: {}", checked.stdout);
    }
}

#[test]
fn a_list_of_an_intermediate_that_phones_send_revokes_its_leaves_alone() {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    let ca = OldAuthority::new("Root", MODERN_CA);
    let issuing = ca.intermediate("Issuing", Make { ..MODERN_CA });
    deployment.write("trust/poly.pem", ca.pem());
    deployment.replace("provost.toml", ANCHORS, &format!("{ANCHORS}\ncrls = [\"trust/*.crl\"]"));
    // The CA's own list names the intermediate: only the leaf is looked up.
    deployment.write("trust/root.crl", ca.crl("02", "sha256", ""));
    deployment.write("trust/issuing.crl", issuing.crl("1267", "sha256", ""));
    // The issuer has moved its lists: the phones name the new address, and this one says that it is for the old one.
    let old = "issuingDistributionPoint=critical,@old\n[old]\nfullname=URI:http://ca.example/old.crl";
    deployment.write("trust/moved.crl", issuing.crl("1269", "sha256", old));
    let moved = "basicConstraints=critical,CA:FALSE\ncrlDistributionPoints=URI:http://ca.example/new.crl";
    let moved = Make { extensions: moved, ..MODERN };
    for (name, make, serial) in [("revoked", MODERN, "4711"), ("valid", moved, "4712"), ("moved", moved, "4713")] {
        let mut pair = issuing.numbered(&format!("/CN={POLY}"), make, serial);
        pair.certificate += issuing.pem();
        deployment.certificate(name, &pair);
    }
    deployment.add(&scene::acme().https(""));
    let scene = Scene::start(deployment);
    let own = format!("{POLY}.cfg");
    assert_eq!(scene.https("acme", "valid", &own).run().status, 200);
    for revoked in ["revoked", "moved"] {
        assert_eq!(scene.https("acme", revoked, &own).run().status, 0, "{revoked}");
    }
    let record = scene.server.record(&[("outcome", "handshake")]).to_string();
    assert!(record.contains("it is revoked"), "{record}");
}
