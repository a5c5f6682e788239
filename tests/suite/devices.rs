//! The list of devices: read again while phones are served, and done without.

use std::time::{Duration, Instant};

use crate::harness::DEADLINE;
use crate::harness::clients::Curl;
use crate::harness::deployment::Deployment;
use crate::harness::scene::{self, FOREIGN, NEIGHBOUR, POLY, Scene, UNLISTED};
use crate::harness::tftp_client::TftpClient;
use crate::harness::tls_client::{ask, connect, status};

const BLOCKED: &str = "0004f2b10c4d";

fn with_file(rows: &str) -> Scene {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    deployment.write("devices.csv", format!("mac,blocked\n{rows}"));
    deployment.add(&scene::acme().devices("file = \"../devices.csv\"").https(""));
    Scene::start(deployment)
}

/// Asks until the answer has that status.
fn until(expected: u16, mut ask: impl FnMut() -> u16) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let status = ask();
        if status == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{status} and never {expected}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_phone_that_is_blocked_in_the_file_is_refused_on_its_open_connection() {
    let scene = with_file("");
    let address = scene.server.address("acme", "https");
    let (mut phone, mut neighbour) =
        (connect(&scene.deployment, address, POLY), connect(&scene.deployment, address, NEIGHBOUR));
    let request = |mac: &str| format!("GET /{mac}.cfg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    assert_eq!(status(&ask(&mut phone, &request(POLY))), 200);
    assert_eq!(status(&ask(&mut neighbour, &request(NEIGHBOUR))), 200);
    scene.deployment.write("devices.csv", format!("mac,blocked\n{POLY},yes\n"));
    until(403, || status(&ask(&mut phone, &request(POLY))));
    scene.server.event("the devices were read again");
    scene.server.record(&[("outcome", "denied"), ("reason", "blocked"), ("mac", POLY)]);
    assert_eq!(status(&ask(&mut phone, &request("000000000000"))), 403, "nor is it served anything else");
    assert_eq!(status(&ask(&mut neighbour, &request(NEIGHBOUR))), 200);
    scene.deployment.write("devices.csv", "mac,blocked\n");
    until(200, || status(&ask(&mut phone, &request(POLY))));
}

#[test]
fn a_bad_row_keeps_the_former_devices_and_blocks_all_the_same() {
    let scene = with_file(&format!("{UNLISTED},\n"));
    let own = |mac: &str| scene.https("acme", mac, &format!("{mac}-x.cfg")).run().status;
    assert_eq!((own(UNLISTED), own(FOREIGN)), (404, 403));
    scene.deployment.write("devices.csv", format!("mac,blocked\n{NEIGHBOUR},yes\n{FOREIGN},\nno mac,\n"));
    scene.server.event("the device file has errors: the former devices are served");
    assert_eq!((own(NEIGHBOUR), own(UNLISTED), own(FOREIGN)), (403, 404, 403));
    scene.deployment.write("devices.csv", format!("mac,blocked\n{UNLISTED},\n{FOREIGN},\n"));
    scene.server.event("the devices were read again");
    until(404, || own(FOREIGN));
    assert_eq!(own(NEIGHBOUR), 404);
}

#[test]
fn a_loss_of_more_than_a_tenth_keeps_the_former_devices() {
    let scene = with_file(&format!("{UNLISTED},\n{FOREIGN},\n"));
    let own = |mac: &str| scene.https("acme", mac, &format!("{mac}-x.cfg")).run().status;
    assert_eq!(own(UNLISTED), 404);
    scene.deployment.write("devices.csv", "mac,blocked\n");
    scene.server.event("the device file lost more than a tenth of the devices: the former ones are served");
    assert_eq!((own(UNLISTED), own(FOREIGN)), (404, 404));
}

#[test]
fn any_device_that_proves_itself_is_served_where_the_policy_says_so() {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    deployment.write("devices.csv", format!("mac,blocked\n{BLOCKED},yes\n"));
    for mac in [UNLISTED, BLOCKED] {
        deployment.write(&format!("files/acme/{mac}.cfg"), format!("acme file of {mac}\n"));
    }
    deployment.certificate(BLOCKED, &deployment.poly.common_name(BLOCKED));
    let devices = "policy = \"any\"\nfile = \"../devices.csv\"";
    deployment.add(&scene::acme().devices(devices).https("").listener("tftp", "").listener("http", ""));
    let scene = Scene::start(deployment);
    for (mac, path, status) in [
        (UNLISTED, format!("{UNLISTED}.cfg"), 200),
        (UNLISTED, "sip.cfg".into(), 200),
        (UNLISTED, format!("{POLY}.cfg"), 403),
        (POLY, format!("{UNLISTED}.cfg"), 403),
        (BLOCKED, format!("{BLOCKED}.cfg"), 403),
        (BLOCKED, "sip.cfg".into(), 403),
    ] {
        assert_eq!(scene.https("acme", mac, &path).run().status, status, "{mac} {path}");
    }
    let log = scene.https("acme", UNLISTED, &format!("{UNLISTED}-app.log")).upload(b"x").run();
    assert_eq!(log.status, 201, "{log:?}");
    for (mac, opens) in [(UNLISTED, true), (POLY, true), (BLOCKED, false)] {
        let path = format!("{mac}.cfg");
        let got = TftpClient::new(scene.server.address("acme", "tftp")).get(&path, "octet", &[]);
        assert_eq!(got.is_ok(), opens, "{mac}");
        let http = Curl::new(scene.url("http", "acme", &path)).run();
        assert_eq!(http.status, if opens { 200 } else { 404 }, "{mac}");
    }
}
