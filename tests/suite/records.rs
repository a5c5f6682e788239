//! One record for each request and each failed handshake, with its reason.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use crate::harness::clients::{Curl, run};
use crate::harness::deployment::Deployment;
use crate::harness::scene::{self, FOREIGN, NEIGHBOUR, POLY, Scene, UNLISTED};
use crate::harness::server::{BINARY, Server};
use crate::harness::tftp_client::TftpClient;

fn scene() -> Scene {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    deployment.write_doubtful_certificates();
    deployment.write(
        "devices.csv",
        format!("mac,label,password,proof,blocked\n0004f2b10c4d,Lost,,,true\n{NEIGHBOUR},Pinned,,certificate,\n"),
    );
    let acme = scene::acme()
        .devices("file = \"../devices.csv\"")
        .https("")
        .listener("http", "")
        .listener("tftp", "")
        .listener("ftp", "require = [\"password\"]\n")
        .table("[[users]]\nname = \"PlcmSpIp\"\npassword = \"secret\"")
        .table("[[rule]]\npath = \"secret/*\"\nread = \"nobody\"");
    deployment.add(&acme);
    deployment.certificate("blocked", &deployment.poly.common_name("0004F2B10C4D"));
    Scene::start(deployment)
}

/// What is asked over https: certificate, arguments of curl, path, and the record's outcome, reason, opening and MAC.
type Row<'a> = (&'a str, &'a [&'a str], &'a str, [&'a str; 4]);

#[test]
fn each_https_request_has_its_record() {
    let scene = scene();
    let rows: &[Row<'_>] = &[
        (POLY, &[], "0004f2aabbcc.cfg", ["served", "", "own", POLY]),
        (POLY, &["-I"], "0004f2aabbcc.cfg?head", ["served", "", "own", POLY]),
        (POLY, &[], "sip.cfg", ["served", "", "device", POLY]),
        (POLY, &[], "none.cfg", ["missing", "", "device", POLY]),
        (POLY, &[], "0004f2000002.cfg", ["denied", "not_own", "", POLY]),
        (POLY, &[], "secret/a", ["denied", "rule_denies", "", POLY]),
        (POLY, &[], "../a", ["denied", "path_leaves_root", "", POLY]),
        (POLY, &[], "a%00b", ["denied", "path_nul", "", POLY]),
        (POLY, &[], "a%0ab", ["denied", "path_control", "", POLY]),
        (POLY, &[], "a%ffb", ["denied", "path_not_utf8", "", POLY]),
        (POLY, &[], ".provost-a", ["denied", "path_reserved", "", POLY]),
        (POLY, &[], "0004f2aabbcc-0004f2000002.cfg", ["denied", "ambiguous_device", "", POLY]),
        (POLY, &["-T", "-"], "0004f2aabbcc-app.log", ["stored", "", "own", POLY]),
        (POLY, &["-T", "-"], "0004f2aabbcc.cfg", ["denied", "rule_denies", "", POLY]),
        (FOREIGN, &[], "0004f2ddeeff.cfg", ["denied", "unknown_device", "", FOREIGN]),
        ("blocked", &[], "0004f2b10c4d.cfg", ["denied", "blocked", "", "0004f2b10c4d"]),
        ("generic", &[], "generic.cfg", ["denied", "require_not_met", "", ""]),
        ("two", &[], "two.cfg", ["denied", "require_not_met", "", ""]),
        (POLY, &["-X", "DELETE"], "deleted.cfg", ["rejected", "method", "", POLY]),
        (POLY, &["-X", "POST"], "0004f2000002.cfg", ["rejected", "method", "", POLY]),
        (
            POLY,
            &["-T", "-", "-H", "Content-Range: bytes 5-4/*"],
            "0004f2aabbcc-app.log",
            ["rejected", "content_range", "", POLY],
        ),
    ];
    for (certificate, arguments, path, _) in rows {
        scene.https("acme", certificate, path).args(arguments.iter().copied()).run();
    }
    let records = scene.server.records(&[("protocol", "https")], rows.len());
    for ((certificate, arguments, path, expected), record) in rows.iter().zip(&records) {
        let text = |key: &str| record.get(key).and_then(|value| value.as_str()).unwrap_or_default();
        let got = [text("outcome"), text("reason"), text("opening"), text("mac")];
        let row = format!("{certificate} {arguments:?} {path}: {record}");
        assert_eq!(got, *expected, "{row}");
        assert!(text("client").starts_with("127.0.0.1") && text("tenant") == "acme", "{row}");
    }
    assert_eq!(scene.server.stop().1.len(), rows.len(), "one record each, and no more");
}

#[test]
fn each_failed_handshake_has_its_record() {
    let scene = scene();
    let expected = [("", "no certificate"), ("wrong-ca", "leads to no anchor"), ("expired", "expired")];
    for (number, (certificate, words)) in (1..).zip(expected) {
        assert_eq!(scene.https("acme", certificate, "sip.cfg").run().status, 0, "{certificate}");
        let record = scene.server.records(&[("outcome", "handshake")], number).pop().unwrap();
        assert!(record["detail"].to_string().contains(words), "{certificate}: {record}");
    }
    // A peer that speaks no TLS, one that says nothing and goes, and one that cannot do better than TLS 1.1.
    let plain = Curl::new(format!("http://127.0.0.1:{}/sip.cfg", scene.server.port("acme", "https"))).run();
    assert_eq!(plain.status, 0, "{plain:?}");
    drop(TcpStream::connect(scene.server.address("acme", "https")).unwrap());
    let target = scene.server.address("acme", "https").to_string();
    run("openssl", &["s_client", "-connect", &target, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
    let records = scene.server.records(&[("outcome", "handshake")], 5);
    assert!(records.iter().all(|record| record["tenant"] == "acme" && record["protocol"] == "https"), "{records:?}");
}

#[test]
fn the_record_of_a_handshake_counts_from_the_connection() {
    let scene = scene();
    // It says nothing until the limit of three seconds for the ClientHello ends it.
    let silent = TcpStream::connect(scene.server.address("acme", "https")).unwrap();
    let record = scene.server.record(&[("outcome", "handshake")]);
    assert!(record["duration_ms"].as_f64().is_some_and(|duration| duration > 2900.0), "{record}");
    drop(silent);
}

#[test]
fn each_plain_request_has_its_record() {
    let scene = scene();
    let pinned = format!("{NEIGHBOUR}.cfg");
    let own = format!("{POLY}.cfg");
    let unlisted = format!("{UNLISTED}.cfg");
    let expected = [
        (own.as_str(), "served", "", "unbound"),
        (pinned.as_str(), "denied", "pinned", ""),
        (unlisted.as_str(), "denied", "unknown_device", ""),
        ("0004f2b10c4d.cfg", "denied", "blocked", ""),
        ("none.cfg", "missing", "", "unbound"),
        ("sip.cfg", "served", "", "unbound"),
        ("secret/a", "denied", "rule_denies", ""),
    ];
    for (path, ..) in expected {
        let _ = TftpClient::new(scene.server.address("acme", "tftp")).get(path, "octet", &[]);
        Curl::new(scene.url("http", "acme", path)).run();
        Curl::new(scene.url("ftp", "acme", path)).args(["-u", "PlcmSpIp:secret", "--ftp-method", "nocwd"]).run();
    }
    for (protocol, method) in [("tftp", "RRQ"), ("http", "GET"), ("ftp", "RETR")] {
        for (path, outcome, reason, opening) in expected {
            let sent = if protocol == "tftp" { path.to_owned() } else { format!("/{path}") };
            let mut wanted = vec![("protocol", protocol), ("path", &sent), ("outcome", outcome)];
            // curl asks FTP for the size before it reads, and where that is refused it may read no more.
            if protocol != "ftp" || outcome == "served" {
                wanted.push(("method", method));
            }
            let record = scene.server.record(&wanted);
            let text = |key: &str| record.get(key).and_then(|value| value.as_str()).unwrap_or_default();
            assert_eq!([text("outcome"), text("reason"), text("opening")], [outcome, reason, opening], "{record}");
        }
    }
}

#[test]
fn a_failed_login_has_its_record() {
    let scene = scene();
    let reply = Curl::new(scene.url("ftp", "acme", "sip.cfg")).args(["-u", "PlcmSpIp:tellnobody"]).run();
    assert_eq!(reply.code, 67, "{reply:?}");
    let record = scene.server.record(&[("protocol", "ftp")]);
    assert!(["handshake", "denied"].contains(&record["outcome"].as_str().unwrap_or_default()), "{record}");
    assert!(!record.to_string().contains("tellnobody"), "{record}");
}

#[test]
fn what_a_peer_sends_stands_in_a_record_without_harm() {
    let scene = scene();
    let agent = "Evil\u{1b}[31m \"quoted\" \\ \u{7f}end";
    let path = format!("{}.cfg", "a%22%0d%0aforged=1%1b".repeat(100));
    scene.phone(&path).args(["-A", agent]).run();
    scene.phone("sip.cfg").args(["-A", "FileTransport PolycomVVX-VVX_500-UA/5.9.7.47435 Type/Updater"]).run();
    let good = scene.server.record(&[("path", "/sip.cfg")]);
    assert_eq!(good["agent"], "FileTransport PolycomVVX-VVX_500-UA/5.9.7.47435 Type/Updater");
    let records = scene.server.records(&[("protocol", "https")], 2);
    let bad = records.iter().find(|record| record["outcome"] != "served").unwrap();
    assert!(bad["path"].as_str().unwrap_or_default().chars().count() <= 300, "{bad}");
}

#[test]
fn a_server_that_is_asked_to_stop_ends_well_and_has_written_its_records() {
    let scene = scene();
    for number in 0..20 {
        assert_eq!(Curl::new(scene.url("http", "acme", &format!("sip.cfg?{number}"))).run().status, 200);
    }
    let (status, records) = Server::stop(scene.server);
    assert!(status.success(), "{status}");
    assert_eq!(records.len(), 20);
}

#[test]
fn an_output_that_takes_nothing_does_not_keep_the_server_from_ending() {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    deployment.add(&scene::acme().listener("http", ""));
    let mut command = std::process::Command::new(BINARY);
    command.args(["serve", "--config"]).arg(deployment.config());
    // Nobody reads the records, and the pipe takes no more than a few of them.
    let (unread, records) = std::io::pipe().unwrap();
    let server = Server::run_to(command, &deployment.config(), records.into());
    let address = server.address("acme", "http");
    let mut stream = TcpStream::connect(address).unwrap();
    let long = "x".repeat(200);
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    // Some 500 bytes a record, and a pipe of 64 KiB.
    for _ in 0..400 {
        stream.write_all(format!("HEAD /{long} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).unwrap();
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            assert!(answers.read_line(&mut line).unwrap() > 0);
        }
    }
    drop((stream, answers));
    server.signal(rustix::process::Signal::TERM);
    server.event("records are lost");
    assert!(server.ended().0.success());
    drop(unread);
}

#[test]
fn what_the_tls_library_says_of_a_bad_handshake_is_no_event() {
    let scene = Scene::of(&[scene::acme().https("")]);
    let server = &scene.server;
    let mut peer = TcpStream::connect(server.address("acme", "https")).unwrap();
    // A handshake message that no ClientHello is.
    peer.write_all(b"\x16\x03\x01\x00\x04\xb5\0\0\0").unwrap();
    server.record(&[("listener", "https"), ("outcome", "handshake")]);
    run(BINARY, &["status", "--config", server.config().to_str().unwrap()]).succeeded();
    // What it says of the question comes after what it would have said of the handshake.
    server.event("admin");
    let events = server.events();
    assert!(!events.iter().any(|event| event.to_string().contains("rustls")), "{events:?}");
}
