//! Phones that come through a proxy, which says whose connection it passes on: the PROXY protocol, version 2.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::harness::DEADLINE;
use crate::harness::clients::{Curl, run, text};
use crate::harness::deployment::{Deployment, TLS};
use crate::harness::scene::{self, FOREIGN, POLY, Scene};
use crate::harness::server::BINARY;
use crate::harness::tls_client::{ask, handshake, handshake_as, send, status};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// What this test connects from, unless it says otherwise.
const PROXY: &str = "proxy = [\"127.0.0.1\"]\nallow = [\"10.1.0.0/16\", \"fd00:1::/32\"]\n";
const REQUEST: &str = "GET /sip.cfg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

/// A header of version 2 with this command, family and what follows.
fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

/// The header of a connection from there, with something that a proxy might add.
fn from(peer: &str) -> Vec<u8> {
    let peer: SocketAddr = peer.parse().unwrap();
    let (mut rest, family) = match peer.ip() {
        IpAddr::V4(ip) => ([ip.octets(), [192, 0, 2, 1]].concat(), 0x11),
        IpAddr::V6(ip) => ([ip.octets(), [0; 16]].concat(), 0x21),
    };
    rest.extend(peer.port().to_be_bytes());
    rest.extend([1, 187]);
    rest.extend([0x04, 0, 2, 0, 0]);
    header(0x21, family, &rest)
}

fn scene() -> Scene {
    let deployment = Deployment::with_settings("[arrivals]\nclient_hello = \"1500ms\"");
    scene::write_files(&deployment);
    let acme = scene::acme().https(PROXY).listener("http", PROXY);
    let all = "allow = [\"10.1.0.0/16\", \"fd00:1::/32\", \"127.0.0.0/8\"]";
    deployment.add(&acme);
    deployment.replace("tenants.d/acme.toml", "allow = [\"127.0.0.0/8\", \"::1\"]", all);
    Scene::start(deployment)
}

fn begin(scene: &Scene, listener: &str, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(scene.server.address("acme", listener)).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

#[test]
fn the_address_that_a_proxy_tells_is_the_phones() {
    let scene = scene();
    for peer in ["10.1.2.3:4711", "[fd00:1::7]:4712"] {
        let mut phone = handshake(&scene.deployment, begin(&scene, "https", &from(peer)), POLY);
        assert_eq!(status(&ask(&mut phone, REQUEST)), 200, "{peer}");
        scene.server.record(&[("listener", "https"), ("outcome", "served"), ("client", peer)]);
        let close = REQUEST.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        let answer = send(begin(&scene, "http", &from(peer)), close.as_bytes());
        assert!(answer.ends_with("acme sip.cfg\n"), "{peer}: {answer}");
        scene.server.record(&[("listener", "http"), ("outcome", "served"), ("client", peer)]);
    }
    // Byte by byte, and an address of IPv4 in the dress of IPv6.
    let mut slow = begin(&scene, "http", b"");
    slow.set_nodelay(true).unwrap();
    for byte in from("[::ffff:10.1.2.4]:4713") {
        slow.write_all(&[byte]).unwrap();
    }
    assert_eq!(status(&send(slow, REQUEST.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").as_bytes())), 200);
    scene.server.record(&[("outcome", "served"), ("client", "10.1.2.4:4713")]);
}

#[test]
fn allow_counts_for_the_phone_and_not_for_the_proxy() {
    let scene = scene();
    for listener in ["https", "http"] {
        let mut outside = begin(&scene, listener, &from("10.2.0.1:99"));
        assert_eq!(outside.read(&mut [0]).unwrap_or(0), 0);
        let wanted = [("listener", listener), ("client", "10.2.0.1:99")];
        assert_eq!(scene.server.record(&wanted)["reason"], "outside_tenant");
        // A proxy that looks whether we are there is not let in as a phone.
        let mut local = begin(&scene, listener, &[header(0x20, 0, b""), b"GET".to_vec()].concat());
        assert_eq!(local.read(&mut [0]).unwrap_or(0), 0);
        let record = scene.server.record(&[("listener", listener), ("reason", "outside_listener")]);
        assert!(record["client"].as_str().unwrap().starts_with("127.0.0.1:"), "{record}");
    }
}

#[test]
fn a_proxy_that_sends_no_sound_header_is_refused() {
    let scene = scene();
    let v4 = |family| header(0x21, family, &[0; 12]);
    let unfinished = &from("10.1.2.3:4711")[..20];
    for (bytes, reason) in [
        (b"PROXY TCP4 10.1.2.3 192.0.2.1 4711 80\r\nGET / HTTP/1.1\r\n\r\n".to_vec(), "proxy_missing"),
        (REQUEST.as_bytes().to_vec(), "proxy_missing"),
        (b"G".to_vec(), "proxy_missing"),
        (vec![22, 3, 1, 0, 200, 1], "proxy_missing"),
        (header(0x11, 0x11, &[0; 12]), "proxy_malformed"),
        (header(0x22, 0x11, &[0; 12]), "proxy_malformed"),
        (v4(0x00), "proxy_malformed"),
        (v4(0x12), "proxy_malformed"),
        (v4(0x31), "proxy_malformed"),
        (v4(0x21), "proxy_malformed"),
        (header(0x21, 0x11, &[0; 11]), "proxy_malformed"),
        (header(0x21, 0x11, &[0; 2049])[..16].to_vec(), "proxy_malformed"),
    ] {
        for listener in ["https", "http"] {
            let mut stream = begin(&scene, listener, &bytes);
            // What was not read makes the system reset the connection.
            assert_eq!(stream.read(&mut [0; 8]).unwrap_or(0), 0, "{bytes:?}");
            let from = stream.local_addr().unwrap().to_string();
            let record = scene.server.record(&[("listener", listener), ("client", &from)]);
            assert_eq!((&record["reason"], &record["method"]), (&reason.into(), &"PROXY".into()), "{bytes:?} {record}");
        }
    }
    let began = Instant::now();
    for bytes in [&b""[..], unfinished] {
        let mut silent = begin(&scene, "https", bytes);
        assert_eq!(silent.read(&mut [0; 8]).unwrap_or(0), 0);
    }
    assert!(began.elapsed() >= Duration::from_secs(3), "each had its time: {:?}", began.elapsed());
    scene.server.records(&[("listener", "https"), ("reason", "proxy_timeout")], 2);
    drop(begin(&scene, "http", unfinished));
    scene.server.record(&[("listener", "http"), ("reason", "proxy_incomplete")]);
}

#[test]
fn a_proxy_that_only_looks_whether_the_server_is_there_leaves_no_record() {
    let scene = scene();
    for _ in 0..3 {
        let mut look = begin(&scene, "https", &header(0x20, 0, &[]));
        look.shutdown(Shutdown::Write).unwrap();
        assert_eq!(look.read(&mut [0; 8]).unwrap_or(0), 0);
    }
    let mut phone = handshake(&scene.deployment, begin(&scene, "https", &from("10.1.2.3:4711")), POLY);
    assert_eq!(status(&ask(&mut phone, REQUEST)), 200);
    assert_eq!(scene.server.records(&[("listener", "https")], 1).len(), 1);
}

#[test]
fn from_anywhere_else_a_header_is_no_header() {
    let scene = scene();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let claim = [from("10.1.2.3:4711"), REQUEST.as_bytes().to_vec()].concat();
    for _ in ["https", "http"] {
        scene.deployment.replace("tenants.d/acme.toml", PROXY, "proxy = [\"127.0.0.1\"]\n");
    }
    let config = text(&scene.deployment.config());
    run(BINARY, &["reload", "--config", &config]).succeeded();
    for (listener, reason) in [("http", "header_malformed"), ("https", "not_tls")] {
        let address = scene.server.address("acme", listener);
        let script = format!(
            "import socket\ns = socket.socket()\ns.settimeout(60)\ns.bind(('127.84.0.9', 0))\ns.connect(({:?}, {}))\n\
             s.sendall(bytes.fromhex('{}'))\ntry:\n    print(s.recv(4096))\nexcept ConnectionResetError:\n    print(b'')\n",
            address.ip().to_string(),
            address.port(),
            hex(&claim),
        );
        let said = run("python3", &["-c", &script]).succeeded().stdout;
        assert!(!said.contains("acme sip.cfg") && !said.contains("200 OK"), "{said}");
        let record = scene.server.record(&[("listener", listener), ("reason", reason)]);
        assert!(record["client"].as_str().unwrap().starts_with("127.84.0.9:"), "{record}");
    }
    // Without one it is a phone like any other.
    let http = scene.server.address("acme", "http");
    let direct = Curl::new(format!("http://{http}/sip.cfg")).args(["--interface", "127.84.0.9"]).run();
    assert_eq!(direct.text(), "acme sip.cfg\n");
}

#[test]
fn a_header_of_a_proxy_that_a_reload_took_away_meanwhile_is_not_believed() {
    let deployment = Deployment::with_settings("[arrivals]\nclient_hello = \"30s\"");
    scene::write_files(&deployment);
    deployment.add(&scene::acme().listener("http", "proxy = [\"127.0.0.1\"]\n"));
    let scene = Scene::start(deployment);
    let claim = from("127.0.0.9:4711");
    let mut early = begin(&scene, "http", &claim[..20]);
    // Whoever came before another one that was served has been taken as a proxy.
    let close = REQUEST.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    let answer = send(begin(&scene, "http", &claim), close.as_bytes());
    assert!(answer.ends_with("acme sip.cfg\n"), "{answer}");
    scene.deployment.replace("tenants.d/acme.toml", "proxy = [\"127.0.0.1\"]\n", "");
    run(BINARY, &["reload", "--config", &text(&scene.deployment.config())]).succeeded();
    early.write_all(&[&claim[20..], close.as_bytes()].concat()).unwrap();
    assert_eq!(early.read(&mut [0; 8]).unwrap_or(0), 0);
    let client = early.local_addr().unwrap().to_string();
    scene.server.record(&[("client", &client), ("reason", "proxy_withdrawn"), ("method", "PROXY")]);
}

#[test]
fn behind_a_proxy_an_address_is_shared_all_the_same() {
    let listener = TcpListener::bind("127.84.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    for (tenant, allow) in [(scene::acme(), "10.1.0.0/16"), (scene::globex(), "10.2.0.0/16")] {
        let name = if allow.starts_with("10.1") { "acme" } else { "globex" };
        let more = format!("{TLS}proxy = [\"127.0.0.1\"]\nserver_names = [\"{name}.example.net\"]\n");
        deployment.add(&tenant.listener_at("https", "https", &address.to_string(), &more));
        deployment.replace(
            &format!("tenants.d/{name}.toml"),
            "allow = [\"127.0.0.0/8\", \"::1\"]",
            &format!("allow = [\"{allow}\"]"),
        );
    }
    let scene = Scene::start(deployment);
    let meet = |peer: &str, certificate: &str, name: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(&from(peer)).unwrap();
        let stream = handshake_as(&scene.deployment, stream, certificate, &format!("{name}.example.net"));
        let request = format!("GET /sip.cfg HTTP/1.1\r\nHost: {name}.example.net\r\nConnection: close\r\n\r\n");
        send(stream, request.as_bytes())
    };
    assert!(meet("10.1.0.1:5", POLY, "acme").ends_with("acme sip.cfg\n"));
    assert!(meet("10.2.0.1:5", FOREIGN, "globex").ends_with("globex sip.cfg\n"));
    assert_eq!(meet("10.2.0.1:6", POLY, "acme"), "");
    scene.server.record(&[("tenant", "acme"), ("client", "10.2.0.1:6"), ("reason", "outside_tenant")]);
    assert_eq!(meet("10.3.0.1:7", POLY, "acme"), "");
    scene.server.record(&[("tenant", ""), ("client", "10.3.0.1:7"), ("reason", "outside_tenant")]);
    let mut bare = TcpStream::connect(address).unwrap();
    bare.write_all(b"PROXY UNKNOWN\r\n").unwrap();
    scene.server.record(&[("tenant", ""), ("reason", "proxy_missing")]);
}
