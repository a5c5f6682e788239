//! Certificates, keys and revocation lists that change while phones are served, without a reload.

use std::time::Duration;

use serde_json::Value;

use crate::harness::clients::{run, text};
use crate::harness::deployment::Deployment;
use crate::harness::old_authority::{MODERN, MODERN_CA, OldAuthority};
use crate::harness::scene::{self, NEIGHBOUR, POLY, Scene};
use crate::harness::server::BINARY;
use crate::harness::tls_client::{Stream, ask, connect, status};
use crate::harness::until;

const REQUEST: &str = "GET /sip.cfg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

/// A connection that has been used.
fn connected(scene: &Scene, device: &str) -> Stream {
    let mut phone = connect(&scene.deployment, scene.server.address("acme", "https"), device);
    assert_eq!(status(&ask(&mut phone, REQUEST)), 200);
    phone
}

/// With a revocation list, and a phone of the number 4711 that it does not name.
fn with_a_list() -> Scene {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    let anchors = "anchors = [\"trust/poly.pem\"]";
    deployment.replace("provost.toml", anchors, &format!("{anchors}\ncrls = [\"trust/poly.crl\"]"));
    deployment.write("trust/poly.crl", deployment.poly.revokes(&[1]));
    deployment.certificate("phone", &deployment.poly.numbered(POLY, 4711));
    deployment.add(&scene::acme().https(""));
    Scene::start(deployment)
}

/// The certificate that the server shows now.
fn shown(scene: &Scene) -> Vec<u8> {
    connected(scene, POLY).conn.peer_certificates().unwrap()[0].to_vec()
}

/// Waits until it is so.
fn errors(scene: &Scene) -> String {
    let asked = run(BINARY, &["status", "--json", "--config", &text(&scene.deployment.config())]);
    let status: Value = serde_json::from_str(&asked.stdout).unwrap();
    status.pointer("/tenants/0/errors").unwrap().to_string()
}

#[test]
fn a_pair_that_is_swapped_is_shown_once_both_halves_are_there() {
    let scene = Scene::of(&[scene::acme().https("")]);
    let mut open = connected(&scene, POLY);
    let before = shown(&scene);
    scene.deployment.stranger.server().write(&scene.deployment.path("tls"), "next");
    let swap = |half: &str| {
        let file = |name: &str| scene.deployment.path(&format!("tls/{name}.{half}"));
        std::fs::rename(file("next"), file("server")).unwrap();
    };
    swap("pem");
    scene.server.event("a certificate, key or revocation list cannot be served: the former ones are");
    assert!(errors(&scene).contains("is not the key of `certificate`"), "{}", errors(&scene));
    assert_eq!(shown(&scene), before, "half a pair is not taken");
    // What stands in the tenant's file meanwhile waits for the reload.
    scene.deployment.replace("tenants.d/acme.toml", "name = \"acme\"", "name = \"acme\"\nenabled = false");
    swap("key");
    until("the new certificate", || shown(&scene) != before);
    assert_eq!(errors(&scene), "[]");
    assert_eq!(status(&ask(&mut open, REQUEST)), 200, "an open connection goes on");
}

#[test]
fn a_revocation_list_that_appears_counts_at_the_next_request_of_an_open_connection() {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    let anchors = "anchors = [\"trust/poly.pem\"]";
    deployment.replace("provost.toml", anchors, &format!("{anchors}\ncrls = [\"trust/*.crl\"]"));
    deployment.write("trust/0.crl", deployment.cisco.revokes(&[1]));
    deployment.certificate("phone", &deployment.poly.numbered(POLY, 4711));
    deployment.add(&scene::acme().https(""));
    let scene = Scene::start(deployment);
    let (mut phone, mut neighbour) = (connected(&scene, "phone"), connected(&scene, NEIGHBOUR));
    scene.deployment.write("trust/1.crl", scene.deployment.poly.revokes(&[4711]));
    until("the phone is refused", || status(&ask(&mut phone, REQUEST)) == 403);
    assert_eq!(status(&ask(&mut neighbour, REQUEST)), 200);
    // A list that is damaged revokes nothing more and forgets nothing.
    scene.deployment.write("trust/1.crl", "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n");
    scene.server.event("a certificate, key or revocation list cannot be served: the former ones are");
    assert!(errors(&scene).contains("1.crl"), "{}", errors(&scene));
    assert_eq!(status(&ask(&mut phone, REQUEST)), 403);
    // One that is gone is what a careless replacement looks like for a moment.
    std::fs::remove_file(scene.deployment.path("trust/1.crl")).unwrap();
    until("what is missing is said", || errors(&scene).contains("CN=Polycom Test Root` is gone"));
    assert_eq!(status(&ask(&mut phone, REQUEST)), 403);
    run(BINARY, &["reload", "--config", &text(&scene.deployment.config())]).succeeded();
    assert_eq!((status(&ask(&mut phone, REQUEST)), errors(&scene).as_str()), (200, "[]"));
}

#[test]
fn a_revoked_phone_is_refused_whatever_else_is_broken() {
    let scene = with_a_list();
    let mut phone = connected(&scene, "phone");
    // The other half never comes.
    scene.deployment.stranger.server().write(&scene.deployment.path("tls"), "next");
    std::fs::rename(scene.deployment.path("tls/next.key"), scene.deployment.path("tls/server.key")).unwrap();
    until("what is wrong is said", || errors(&scene).contains("is not the key of `certificate`"));
    scene.deployment.write("trust/poly.crl", scene.deployment.poly.revokes(&[4711]));
    until("the phone is refused", || status(&ask(&mut phone, REQUEST)) == 403);
    assert!(errors(&scene).contains("is not the key of `certificate`"), "{}", errors(&scene));
}

#[test]
fn a_list_that_another_key_signed_follows_none_while_an_anchor_is_broken() {
    let [authority, namesake] = [(); 2].map(|()| OldAuthority::new("Root", MODERN_CA));
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    let anchors = "anchors = [\"trust/poly.pem\"]";
    deployment.replace("provost.toml", anchors, "anchors = [\"trust/root*.pem\"]\ncrls = [\"trust/root.crl\"]");
    deployment.write("trust/root.pem", authority.pem());
    // Neither says which key signed it.
    let list = |by: &OldAuthority, serial: &str| by.crl(serial, "sha256", "issuerAltName=DNS:x");
    deployment.write("trust/root.crl", list(&authority, "01"));
    deployment.certificate("phone", &authority.numbered("/CN=0004F2AABBCC", MODERN, "0x4711"));
    deployment
        .certificate("other", &authority.numbered(&format!("/CN={}", NEIGHBOUR.to_uppercase()), MODERN, "0x4712"));
    deployment.add(&scene::acme().https(""));
    let scene = Scene::start(deployment);
    let mut phone = connected(&scene, "phone");
    scene.deployment.write("trust/root.crl", list(&authority, "4711"));
    until("the phone is refused", || status(&ask(&mut phone, REQUEST)) == 403);
    scene.deployment.write("trust/root-2.pem", "broken");
    scene.deployment.write("trust/root-3.pem", namesake.pem());
    scene.deployment.write("trust/root.crl", list(&namesake, "01"));
    // Whoever has seen this has seen both.
    let shown = || connected(&scene, "other").conn.peer_certificates().unwrap()[0].to_vec();
    let before = shown();
    scene.deployment.stranger.server().write(&scene.deployment.path("tls"), "server");
    until("the next certificate", || shown() != before);
    assert!(errors(&scene).contains("root-2.pem"), "{}", errors(&scene));
    assert_eq!(status(&ask(&mut phone, REQUEST)), 403);
}

#[test]
fn a_list_that_cannot_be_read_for_a_moment_is_read_once_it_can() {
    let scene = with_a_list();
    let mut phone = connected(&scene, "phone");
    let limit_files = |limit: &str| {
        let (process, limit) = (scene.server.id().to_string(), format!("--nofile={limit}:"));
        run("prlimit", &["--pid", &process, &limit]).succeeded();
    };
    limit_files("3");
    scene.deployment.write("trust/poly.crl", scene.deployment.poly.revokes(&[4711]));
    scene.server.event("a certificate, key or revocation list cannot be served: the former ones are");
    let list = scene.deployment.path("trust/poly.crl");
    let age = || std::fs::metadata(&list).unwrap().modified().unwrap().elapsed().unwrap();
    until("its times tell all that there is to see of it", || age() > Duration::from_secs(5));
    limit_files("1024");
    until("the phone is refused", || status(&ask(&mut phone, REQUEST)) == 403);
    assert_eq!(errors(&scene), "[]");
}
