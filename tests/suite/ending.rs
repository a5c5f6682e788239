//! The server is told to end, by whoever runs it, and tells the service manager how it stands.

use std::io::Write as _;
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::DEADLINE;
use crate::harness::clients::{run, text};
use crate::harness::deployment::Deployment;
use crate::harness::scene::{self, POLY, Scene};
use crate::harness::server::BINARY;
use crate::reload::{LARGE, begin, provost, rest, status_of, with_large_file};

#[test]
fn a_server_that_is_told_to_end_lets_a_download_end_first() {
    let scene = with_large_file("large.bin");
    let download = begin(&scene, "large.bin");
    let address = scene.server.address("acme", "http");
    scene.server.signal(rustix::process::Signal::TERM);
    scene.server.event("ending");
    while TcpStream::connect(address).is_ok() {
        std::thread::yield_now();
    }
    let status = provost(&scene, &["status"]);
    assert!(status.code == 1 && status.stdout.contains("ending: the server ends"), "{status:?}");
    assert!(status_of(&scene)["tenants"].to_string().matches("\"state\":\"closed\"").count() == 3);
    assert_eq!(rest(download), LARGE);
    scene.server.event("ended");
    let (ended, records) = scene.server.stop();
    assert!(ended.success(), "{ended}");
    assert!(
        records.iter().any(|record| record["outcome"] == "served" && record["path"] == "/large.bin"),
        "{records:?}"
    );
}

#[test]
fn a_server_that_is_told_to_end_twice_waits_for_nobody() {
    let scene = with_large_file("large.bin");
    let download = begin(&scene, "large.bin");
    scene.server.signal(rustix::process::Signal::TERM);
    scene.server.event("ending");
    scene.server.signal(rustix::process::Signal::TERM);
    scene.server.event("requests are cut");
    scene.server.event("ended");
    assert!(rest(download) < LARGE);
    let (ended, records) = scene.server.ended();
    assert!(ended.success(), "{ended}");
    let is_cut = |record: &Value| record["outcome"] == "aborted" && record["reason"] == "cut";
    assert!(records.iter().any(is_cut), "what is cut is recorded: {records:?}");
}

#[test]
fn an_upload_that_the_end_cuts_is_recorded_with_what_had_come_of_it() {
    let scene = Scene::of(&[scene::acme().listener("http", "")]);
    let mut upload = TcpStream::connect(scene.server.address("acme", "http")).unwrap();
    let put = format!("PUT /{POLY}-app.log HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n{}", "x".repeat(36_000));
    upload.write_all(put.as_bytes()).unwrap();
    let spooled = || {
        let folder = std::fs::read_dir(scene.deployment.upload("acme", ""));
        let mut entries = folder.into_iter().flatten().flatten();
        entries.any(|entry| entry.file_name().to_string_lossy().starts_with(".provost-"))
    };
    crate::harness::until("the upload is under way", spooled);
    crate::harness::until("it is told of", || status_of(&scene)["tenants"][0]["underway"] == 1);
    let signal = || scene.server.signal(rustix::process::Signal::TERM);
    signal();
    scene.server.event("ending");
    signal();
    scene.server.event("ended");
    let (_, records) = scene.server.ended();
    let cut = records.iter().find(|record| record["method"] == "PUT").unwrap();
    assert_eq!(cut["reason"], "cut", "{cut}");
    assert!(cut["bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{cut}");
}

#[test]
fn a_tftp_peer_that_never_answered_does_not_hold_up_the_end() {
    let scene = Scene::of(&[scene::acme().listener("tftp", "")]);
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(DEADLINE)).unwrap();
    peer.send_to(b"\0\x01sip.cfg\0octet\0", scene.server.address("acme", "tftp")).unwrap();
    peer.recv_from(&mut [0; 600]).unwrap();
    let (ended, records) = scene.server.stop();
    assert!(ended.success(), "{ended}");
    let request = records.iter().find(|record| record["method"] == "RRQ").unwrap();
    assert_eq!((&request["outcome"], &request["reason"]), (&"aborted".into(), &"gave_way".into()), "{request}");
}

#[test]
fn a_standard_error_that_takes_nothing_holds_up_nobody() {
    let deployment = Deployment::new();
    deployment.add(&scene::acme().listener("http", ""));
    let (unread, events) = std::io::pipe().unwrap();
    let mut full = events.try_clone().unwrap();
    std::thread::spawn(move || while full.write_all(&[b'x'; 4096]).is_ok() {});
    let mut command = Command::new(BINARY);
    command.args(["serve", "--config"]).arg(deployment.config());
    let mut server = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(events).spawn().unwrap();
    let status = || run(BINARY, &["status", "--config", &text(&deployment.config())]);
    crate::harness::until("the server answers", || status().code == 0);
    for _ in 0..20 {
        status().succeeded();
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&server), rustix::process::Signal::TERM).unwrap();
    assert!(server.wait().unwrap().success());
    drop(unread);
}

#[test]
fn the_service_manager_hears_how_the_server_stands() {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    deployment.add(&scene::acme().listener("http", ""));
    let path = deployment.path("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(DEADLINE)).unwrap();
    let variables = [("NOTIFY_SOCKET", text(&path)), ("WATCHDOG_USEC", "60000000".to_owned())];
    let scene = Scene::start_with(deployment, &variables.each_ref().map(|(name, value)| (*name, value.as_str())));
    let hear = |wanted: &str| loop {
        let mut message = [0; 256];
        let length = manager.recv(&mut message).unwrap();
        if String::from_utf8_lossy(&message[..length]).lines().any(|line| line.starts_with(wanted)) {
            break;
        }
    };
    hear("READY=1");
    hear("WATCHDOG=1");
    scene.server.signal(rustix::process::Signal::HUP);
    hear("MONOTONIC_USEC=");
    hear("READY=1");
    assert!(scene.server.stop().0.success());
    hear("STOPPING=1");
}
