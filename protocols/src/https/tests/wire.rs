//! What stands around a request: methods, hosts, kept connections, and limits.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use provost_core::{ClientAddr, Protocol};
use provost_tenants::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::site::{Answer, DEVICE, Site, Who};
use crate::https::connection;
use crate::https::peer::{Peer, Security};
use crate::passwords::Known;

const WHO: Who = Who::Device(DEVICE);

fn limited(limits: Limits) -> Site {
    let site = Site::new(Protocol::Https, &["certificate"], limits);
    site.file("a.cfg", b"a");
    site
}

#[tokio::test]
async fn other_methods_are_told_which_there_are() {
    let site = limited(Limits::default());
    for method in ["OPTIONS", "POST", "DELETE", "PROPFIND", "CONNECT", "get", "TRACE"] {
        let target = if method == "CONNECT" { "acme:443" } else { "/a.cfg" };
        let answer = site.ask(WHO, &format!("{method} {target}"), "").await;
        assert_eq!((answer.status, answer.field("Allow")), (405, Some("GET, HEAD, PUT")), "{method}");
        let records = site.full_records();
        assert_eq!((records.len(), &records[0]["method"]), (1, &method.into()));
    }
    assert_eq!(site.ask(WHO, "OPTIONS *", "").await.status, 405);
}

#[tokio::test]
async fn malformed_requests_are_answered_once_and_recorded_once() {
    let site = limited(Limits::default());
    let long = format!("GET /{} HTTP/1.1\r\nHost: acme\r\n\r\n", "a".repeat(16 * 1024));
    let many = format!("GET / HTTP/1.1\r\nHost: acme\r\n{}\r\n", "a: b\r\n".repeat(200));
    for (request, status, record) in [
        ("GET /a.cfg HTTP/1.1\r\n\r\n", 400, "rejected/host_missing"),
        ("GET /a.cfg HTTP/1.1\r\nHost: acme\r\nHost: acme\r\n\r\n", 400, "rejected/host_several"),
        ("GET /a.cfg HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "rejected/host_malformed"),
        ("GET /a.cfg HTTP/1.1\r\nHost: other\r\n\r\n", 421, "rejected/host_misdirected"),
        ("GET a.cfg HTTP/1.1\r\nHost: acme\r\n\r\n", 400, "rejected/target_not_a_path"),
        ("GET ftp://acme/a.cfg HTTP/1.1\r\nHost: acme\r\n\r\n", 400, "rejected/target_not_a_path"),
        ("rubbish\r\n\r\n", 400, "rejected/header_malformed"),
        ("GET /a.cfg\r\n\r\n", 400, "rejected/header_malformed"),
        ("GET /a.cfg HTTP/2.0\r\nHost: acme\r\n\r\n", 400, "rejected/header_malformed"),
        ("GET /a b.cfg HTTP/1.1\r\nHost: acme\r\n\r\n", 400, "rejected/header_malformed"),
        ("GET /a.cfg HTTP/1.1\r\nHost : acme\r\n\r\n", 400, "rejected/header_malformed"),
        ("GET /a.cfg HTTP/1.1\r\nHost: acme\r\n folded: x\r\n\r\n", 400, "rejected/header_malformed"),
        (
            "PUT /a HTTP/1.1\r\nHost: acme\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            400,
            "rejected/header_malformed",
        ),
        ("PUT /a HTTP/1.1\r\nHost: acme\r\nContent-Length: +1\r\n\r\na", 400, "rejected/header_malformed"),
        ("PUT /a HTTP/1.1\r\nHost: acme\r\nTransfer-Encoding: gzip\r\n\r\na", 400, "rejected/header_malformed"),
        ("PUT /a HTTP/1.0\r\nHost: acme\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "rejected/header_malformed"),
        (
            "PUT /a HTTP/1.1\r\nHost: acme\r\nContent-Length: 18446744073709551615\r\n\r\na",
            431,
            "rejected/content_length",
        ),
        ("GET /a.cfg HTTP/1.1\r\nHost: a:8x\r\n\r\n", 400, "rejected/host_malformed"),
        (&long, 431, "rejected/header_too_large"),
        (&many, 431, "rejected/header_too_large"),
    ] {
        let answer = Answer::of(&site.send(WHO, request).await);
        assert_eq!(answer.status, status, "{request}");
        assert_eq!(site.records(), [record], "{request}");
    }
}

#[tokio::test]
async fn a_request_without_its_host_ends_the_connection() {
    let site = limited(Limits::default());
    for host in ["", "Host: acme\r\nHost: acme\r\n", "Host: a b\r\n"] {
        let mut wire = site.connect(WHO).await;
        wire.write(format!("GET /a.cfg HTTP/1.1\r\n{host}\r\n")).await;
        let answer = Answer::of(&wire.until_closed().await);
        assert_eq!((answer.status, answer.field("Connection")), (400, Some("close")), "{host}");
    }
    let mut wire = site.connect(WHO).await;
    wire.write("GET /a.cfg HTTP/1.1\r\nHost: other\r\n\r\nGET /a.cfg HTTP/1.1\r\nHost: acme\r\n\r\n").await;
    assert!(wire.read_until("\r\n\r\na").await.starts_with(b"HTTP/1.1 421 "));
}

#[tokio::test]
async fn length_and_chunks_together_are_refused_and_end_the_connection() {
    let site = limited(Limits::default());
    for lengths in
        ["Content-Length: 3\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\ncontent-length: 3"]
    {
        let both = format!("PUT /0004f2aabbcc-app.log HTTP/1.1\r\nHost: acme\r\n{lengths}\r\n\r\n1\r\na\r\n0\r\n\r\n");
        let answers = site.send(WHO, format!("{both}GET /a.cfg HTTP/1.1\r\nHost: acme\r\n\r\n")).await;
        let text = String::from_utf8(answers).unwrap();
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{text}");
        assert!(text.starts_with("HTTP/1.1 400 ") && text.contains("Connection: close"), "{text}");
        assert_eq!(site.records(), ["rejected/two_lengths"]);
    }
    assert_eq!(site.upload("0004f2aabbcc-app.log"), None);
}

/// Whether a header came alone, behind a request without a body, or with its first part before that one's answer.
#[tokio::test]
async fn a_length_beside_chunks_is_seen_wherever_a_header_began() {
    const GET: &str = "GET /a.cfg HTTP/1.1\r\nHost: acme\r\n\r\n";
    const PUT: &str = "PUT /0004f2aabbcc-app.log HTTP/1.1\r\nHost: acme\r\n";
    const CHUNKS: &str = "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
    const LENGTH: &str = "Content-Length: 3\r\n";
    let whole = format!("{PUT}Content-Length: 1\r\n\r\na");
    for (first, then, status, record) in [
        (format!("{GET}{PUT}{CHUNKS}"), String::new(), 201, "stored"),
        (format!("{GET}{PUT}{LENGTH}{CHUNKS}"), String::new(), 400, "rejected/two_lengths"),
        (format!("{GET}{PUT}{LENGTH}"), CHUNKS.to_owned(), 400, "rejected/two_lengths"),
        (format!("{GET}{PUT}Content-"), format!("Length: 3\r\n{CHUNKS}"), 400, "rejected/two_lengths"),
        (format!("{whole}{PUT}{LENGTH}"), CHUNKS.to_owned(), 400, "rejected/unseen_lengths"),
        (format!("{whole}{PUT}{CHUNKS}"), String::new(), 400, "rejected/unseen_lengths"),
        (whole, format!("{PUT}{CHUNKS}"), 200, "stored"),
    ] {
        let site = limited(Limits::default());
        let mut wire = site.connect(WHO).await;
        wire.write(&first).await;
        let answered = wire.read_until("\r\n\r\n").await;
        assert!(answered.starts_with(b"HTTP/1.1 20"), "{first}");
        wire.write(&then).await;
        let rest = wire.read_until(&format!("HTTP/1.1 {status} ")).await;
        assert!(!rest.is_empty(), "{first}|{then}");
        wire.finish().await;
        assert_eq!(site.records().last().map(String::as_str), Some(record), "{first}|{then}");
    }
}

#[tokio::test]
async fn what_is_expected_beside_100_continue_is_refused() {
    let site = limited(Limits::default());
    let put = |expect: &str| format!("PUT /0004f2aabbcc-web.cfg\nContent-Length: 1\n{expect}");
    let answer = site.ask(WHO, &put("Expect: 200-ok"), "a").await;
    assert_eq!((answer.status, answer.field("Connection")), (417, Some("close")));
    assert_eq!(site.records(), ["rejected/expectation"]);
    let old = "GET /a.cfg HTTP/1.0\r\nExpect: anything\r\n\r\n";
    assert_eq!(Answer::of(&site.send(WHO, old).await).status, 200);
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let site = limited(Limits::default());
    let request = "GET /a.cfg HTTP/1.1\r\nHost: acme\r\n\r\n";
    let mut wire = site.connect(WHO).await;
    for _ in 0..3 {
        wire.write(request).await;
        assert!(wire.read_until("\r\n\r\na").await.starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
    assert_eq!(wire.finish().await, b"");
    let both = site.send(WHO, format!("{request}{request}")).await;
    assert_eq!(String::from_utf8(both).unwrap().matches("HTTP/1.1 200 OK").count(), 2);
    assert_eq!(site.records(), ["served"; 5]);
}

/// It has given its buffers back by then.
#[tokio::test]
async fn a_connection_that_rested_is_served_again() {
    let site = limited(Limits::default());
    let mut wire = site.connect(WHO).await;
    for _ in 0..2 {
        // A header that is longer than what is read of a connection that wakes.
        let fields = "X: y\r\n".repeat(90);
        wire.write(format!("GET /a.cfg HTTP/1.1\r\nHost: acme\r\n{fields}\r\n")).await;
        assert!(wire.read_until("\r\n\r\na").await.starts_with(b"HTTP/1.1 200 OK\r\n"));
        tokio::time::sleep(Duration::from_millis(1200)).await;
    }
    wire.write("PUT /0004f2aabbcc-web.cfg HTTP/1.1\r\nHost: acme\r\nContent-Length: 3\r\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    wire.write("abc").await;
    assert_eq!(Answer::of(&wire.finish().await).status, 201);
    assert_eq!(site.records(), ["served", "served", "stored"]);
}

#[tokio::test]
async fn http_1_0_is_closed_or_kept_as_it_asks() {
    let site = limited(Limits::default());
    let mut wire = site.connect(WHO).await;
    wire.write("GET /a.cfg HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
    let kept = Answer::of(&wire.read_until("\r\n\r\na").await);
    assert_eq!(kept.field("Connection"), Some("keep-alive"));
    wire.write("GET /a.cfg HTTP/1.0\r\n\r\n").await;
    let closed = Answer::of(&wire.until_closed().await);
    assert_eq!((closed.status, closed.text()), (200, "a"));
}

#[tokio::test]
async fn a_header_has_its_time_and_a_rest_has_its_own() {
    let limits = Limits { header: Duration::from_millis(50), idle: Duration::from_hours(1), ..Limits::default() };
    let site = limited(limits);
    let mut slow = site.connect(WHO).await;
    slow.write("GET /a.cfg HTTP/1.1\r\nHo").await;
    let answer = Answer::of(&slow.until_closed().await);
    assert_eq!((answer.status, answer.field("Connection")), (408, Some("close")));
    assert!(answer.field("Date").is_some());
    let records = site.full_records();
    assert_eq!(records[0]["reason"], "header_timeout");
    assert_eq!(records[0]["detail"], "the header was not complete within 50ms");
    assert!(records[0]["duration_ms"].as_f64().unwrap() >= 50.0);
    let limits = Limits { header: Duration::from_hours(1), idle: Duration::from_millis(50), ..Limits::default() };
    let site = limited(limits);
    let mut resting = site.connect(WHO).await;
    resting.write("GET /a.cfg HTTP/1.1\r\nHost: acme\r\n\r\n").await;
    let answer = Answer::of(&resting.until_closed().await);
    assert_eq!(answer.text(), "a");
    let silent = site.connect(WHO).await;
    assert_eq!(silent.until_closed().await, b"");
    assert_eq!(site.records(), ["served"], "a rest that ends is no request");
}

#[tokio::test]
async fn empty_lines_before_a_request_are_a_part_of_the_rest() {
    let limits = Limits { header: Duration::from_millis(50), idle: Duration::from_hours(1), ..Limits::default() };
    let site = limited(limits);
    let mut wire = site.connect(WHO).await;
    for (before, rest) in [("", 100), ("\r\n", 100), ("", 1500)] {
        wire.write(before).await;
        tokio::time::sleep(Duration::from_millis(rest)).await;
        wire.write("GET /a.cfg HTTP/1.1\r\nHost: acme\r\n\r\n\r\n").await;
        wire.read_until("\r\n\r\na").await;
    }
    assert_eq!(site.records(), ["served"; 3]);
}

#[tokio::test]
async fn a_header_that_breaks_off_is_recorded() {
    let site = limited(Limits::default());
    site.send(WHO, "GET /a.cfg HTTP/1.1\r\nHo").await;
    assert_eq!(site.records(), ["aborted/header_incomplete"]);
    site.send(WHO, "").await;
    assert!(site.records().is_empty());
}

#[tokio::test]
async fn a_peer_that_takes_nothing_is_dropped() {
    let site = limited(Limits { stall: Duration::from_millis(50), ..Limits::default() });
    site.file("sip.ld", &vec![7; 64 << 20]);
    let mut wire = site.connect(WHO).await;
    wire.write("GET /sip.ld HTTP/1.1\r\nHost: acme\r\n\r\n").await;
    let mut stream = wire.join().await;
    // The system does not keep for it what it has not taken.
    let end = stream.read_to_end(&mut Vec::new()).await.map_err(|error| error.kind());
    assert_eq!(end, Err(std::io::ErrorKind::ConnectionReset));
    let records = site.full_records();
    assert_eq!(records[0]["outcome"], "aborted");
    assert_eq!(records[0]["reason"], "answer_stalled");
    assert_eq!(records[0]["detail"], "the answer was not taken for 50ms, or too slowly");
    assert!(records[0]["bytes"].as_u64().unwrap() < 64 << 20);
}

/// A server that ends waits for requests under way, and then drops what its connections still hold.
#[tokio::test]
async fn a_request_is_under_way_until_the_peer_has_taken_its_last_byte() {
    let site = Site::http();
    let length = 40 * 1024;
    site.file("large.cfg", &vec![b'x'; length]);
    // All of the file fits into the connection's buffer, and almost nothing of it into the stream.
    let (mut phone, stream) = tokio::io::duplex(64);
    let client = ClientAddr::from(SocketAddr::from(([127, 0, 0, 1], 9)));
    let peer = Peer { client, security: Security::Plain, known: Known::default() };
    let served = tokio::spawn(connection::drive(Arc::clone(&site.front), peer, stream));
    phone.write_all(b"GET /large.cfg HTTP/1.1\r\nHost: acme\r\n\r\n").await.unwrap();
    let mut read = vec![0; length];
    phone.read_exact(&mut read).await.unwrap();
    assert_eq!(site.front.life().underway(), 1, "its last bytes are not sent");
    phone.shutdown().await.unwrap();
    phone.read_to_end(&mut read).await.unwrap();
    assert_eq!(Answer::of(&read).body.len(), length);
    served.await.unwrap();
    assert_eq!(site.front.life().underway(), 0);
}

#[tokio::test]
async fn what_peers_that_read_nothing_are_sent_counts_as_the_tenants_memory_whatever_the_size_of_the_file() {
    let share = 1 << 20;
    let site = Site::new(Protocol::Http, &["address"], Limits { memory: share, ..Limits::default() });
    site.file("sip.cfg", &vec![b'x'; 200 * 1024]);
    let mut wires = Vec::new();
    for _ in 0..8 {
        let mut wire = site.connect(Who::Plain).await;
        // More than the system's buffers take.
        wire.write("GET /sip.cfg HTTP/1.1\r\nHost: acme\r\n\r\n".repeat(150)).await;
        wires.push(wire);
    }
    let held = || site.front.shares().memory_held();
    let fills = async {
        while held() < share - 200 * 1024 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), fills).await.unwrap();
    assert!(held() < share + 8 * 100 * 1024, "{} bytes", held());
    for wire in wires {
        wire.vanish().await;
    }
    assert_eq!(held(), 0);
}
