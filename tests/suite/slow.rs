//! Peers that are slow on purpose: each ends in a bounded time, whatever it is slow with, and costs little until then.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::harness::DEADLINE;
use crate::harness::clients::Curl;
use crate::harness::scene::{self, NEIGHBOUR, POLY, Scene};
use crate::harness::tls_client;

/// Peers of each kind.
const PEERS: usize = 40;
/// What all of them may add to the server's memory, in KiB.
const MEMORY: u64 = 40 * 1024;

const LIMITS: &str =
    "[limits]\nheader = \"1s\"\nstall = \"1s\"\nidle = \"1s\"\nhandshake = \"1s\"\nclient_hello = \"1s\"";

fn scene() -> Scene {
    let acme = scene::acme().https("").listener("http", "unbound_write = \"listed\"").table(LIMITS);
    let deployment = crate::harness::deployment::Deployment::new();
    scene::write_files(&deployment);
    deployment.add(&acme);
    deployment.write("files/acme/sip.ld", vec![7; 64 << 20]);
    Scene::start(deployment)
}

fn connect(server: SocketAddr, first: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(first.as_bytes()).unwrap();
    stream
}

/// The resident memory of the server, in KiB.
fn memory(scene: &Scene) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", scene.server.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Sends a byte now and then until the server has closed.
fn drip(mut stream: TcpStream, byte: u8) -> Vec<u8> {
    let began = Instant::now();
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut answer = Vec::new();
    while began.elapsed() < DEADLINE {
        let gone = stream.write_all(&[byte]).is_err();
        match stream.read_to_end(&mut answer) {
            Err(error) if !gone && error.kind() == std::io::ErrorKind::WouldBlock => {}
            Ok(_) | Err(_) => return answer,
        }
    }
    panic!("the server still listens to a peer that drips");
}

#[test]
fn whoever_is_slow_ends_in_time_and_costs_little() {
    let scene = scene();
    let (plain, secured) = (scene.server.address("acme", "http"), scene.server.address("acme", "https"));
    assert_eq!(Curl::new(scene.url("http", "acme", "sip.cfg")).run().status, 200);
    let before = memory(&scene);
    let many = |server, first: &str| (0..PEERS).map(|_| connect(server, first)).collect::<Vec<_>>();
    let get = "GET /sip.ld HTTP/1.1\r\nHost: acme\r\n\r\n";
    let put = format!("PUT /{POLY}-web.cfg HTTP/1.1\r\nHost: acme\r\nContent-Length: 100000\r\n\r\n");
    let silent = many(plain, "");
    let halves = many(plain, "GET /sip.cfg HTTP/1.1\r\nHost: ac");
    let bodies = many(plain, &put);
    let readers = many(plain, get);
    let hellos = many(secured, "\u{16}\u{3}\u{1}\u{2}");
    let hushed = many(secured, "");
    let mut taking = tls_client::connect(&scene.deployment, secured, POLY);
    taking.write_all(get.as_bytes()).unwrap();
    taking.flush().unwrap();
    let dripping = [
        std::thread::spawn({
            let stream = connect(plain, "GET /sip.cfg HTTP/1.1\r\nHost: acme\r\nX: ");
            move || drip(stream, b'x')
        }),
        std::thread::spawn({
            let stream = connect(plain, &put.replace(POLY, NEIGHBOUR));
            move || drip(stream, b'x')
        }),
    ];
    let mut most = before;
    let began = Instant::now();
    // Each is closed from the other side: none of these reads waits for its own time limit.
    for (name, peers, answer) in [
        ("silent", silent, ""),
        ("half a header", halves, "HTTP/1.1 408"),
        // One device spools a few bodies at once: to some it says 507.
        ("a body that does not come", bodies, "HTTP/1.1 "),
        ("silent for TLS", hushed, ""),
        ("half a ClientHello", hellos, ""),
    ] {
        for mut peer in peers {
            let mut read = Vec::new();
            let _ = peer.read_to_end(&mut read);
            most = most.max(memory(&scene));
            let read = String::from_utf8_lossy(&read);
            assert!(read.starts_with(answer), "{name}: {read}");
        }
    }
    for answer in dripping {
        let answer = answer.join().unwrap();
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));
    }
    scene.server.records(&[("path", "/sip.ld"), ("outcome", "aborted")], PEERS + 1);
    most = most.max(memory(&scene));
    assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
    assert!(most < before + MEMORY, "{before} KiB before, {most} KiB with them");
    drop((readers, taking));
    assert_eq!(Curl::new(scene.url("http", "acme", "sip.cfg")).run().status, 200);
}
