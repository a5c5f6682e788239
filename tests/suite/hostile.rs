//! Requests that no phone makes, byte by byte, and exactly what each is answered: traversal, smuggling, range abuse, floods.
//!
//! Whatever comes, nothing outside the roots is told, nothing is stored that was not decided on, no connection yields an
//! answer more than it asked for, and the server goes on.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};

use crate::harness::DEADLINE;
use crate::harness::scene::{self, POLY, Scene};

/// What is sent, and the statuses of all that is answered until the server closes.
type Row = (&'static str, String, &'static [u16]);

const TAIL: &str = "HTTP/1.1\r\nHost: acme\r\n\r\n";

fn get(name: &'static str, target: &str, statuses: &'static [u16]) -> Row {
    (name, format!("GET {target} {TAIL}"), statuses)
}

fn fields(name: &'static str, fields: &str, statuses: &'static [u16]) -> Row {
    (name, format!("GET /sip.cfg HTTP/1.1\r\nHost: acme\r\n{fields}\r\n\r\n"), statuses)
}

fn put(name: &'static str, fields: &str, body: &str, statuses: &'static [u16]) -> Row {
    (name, format!("PUT /{POLY}-app.log HTTP/1.1\r\nHost: acme\r\n{fields}\r\n\r\n{body}"), statuses)
}

fn traversal() -> Vec<Row> {
    vec![
        get("dots", "/../secret.txt", &[400]),
        get("encoded dots", "/%2e%2e/secret.txt", &[400]),
        get("encoded slash", "/..%2fsecret.txt", &[400]),
        get("encoded backslash", "/..%5csecret.txt", &[400]),
        get("backslash", r"/..\secret.txt", &[400]),
        get("down and up", "/sub/../../secret.txt", &[400]),
        get("double slash", "//../secret.txt", &[400]),
        get("many slashes", "/////..////../secret.txt", &[400]),
        get("dots encoded twice", "/%252e%252e/secret.txt", &[404]),
        get("path parameters", "/sub/..;/..;/secret.txt", &[404]),
        get("over-long UTF-8 dots", "/%c0%ae%c0%ae/secret.txt", &[400]),
        get("IIS unicode", "/%u002e%u002e/secret.txt", &[400]),
        get("NUL between dots", "/.%00./secret.txt", &[400]),
        get("NUL before an extension", "/sip.cfg%00.xml", &[400]),
        get("three dots", "/.../secret.txt", &[404]),
        get("half an encoding", "/sip.cfg%2", &[400]),
        get("the system's files", "/etc/passwd", &[404]),
        get("absolute form with dots", "http://acme/../secret.txt", &[400]),
        get("another scheme", "file:///etc/passwd", &[400]),
        get("the server's own names", "/.provost-0", &[400]),
        get("a folder", "/sub", &[404]),
        get("the root", "/", &[404]),
        get("line feed in the path", "/sip.cfg%0aX-Injected:1", &[400]),
        get("a device that is not listed", "/0004f2999999.cfg", &[404]),
        get("a device that is listed and has no such file", "/708105b37234.cfg", &[404]),
    ]
}

fn smuggling() -> Vec<Row> {
    let hidden = format!("GET /{POLY}.cfg {TAIL}");
    vec![
        put("length and chunks", "Content-Length: 6\r\nTransfer-Encoding: chunked", "0\r\n\r\nG", &[400]),
        put("chunks and length", "Transfer-Encoding: chunked\r\nContent-Length: 6", "0\r\n\r\nG", &[400]),
        put("two lengths", "Content-Length: 1\r\nContent-Length: 2", "ab", &[400]),
        put("a list of lengths", "Content-Length: 1, 2", "ab", &[400]),
        put("a signed length", "Content-Length: +1", "a", &[400]),
        put("a negative length", "Content-Length: -1", "a", &[400]),
        put("a hexadecimal length", "Content-Length: 0x1", "a", &[400]),
        put("a length past 64 bits", "Content-Length: 99999999999999999999", "a", &[400]),
        put("a length of 1 TiB", "Content-Length: 1099511627776", "a", &[413]),
        put("no length", "X: y", "", &[411]),
        put("another coding", "Transfer-Encoding: gzip", "a", &[400]),
        put("chunks and another coding", "Transfer-Encoding: chunked, identity", "0\r\n\r\n", &[400]),
        put("a coding before chunks", "Transfer-Encoding: gzip, chunked", "0\r\n\r\n", &[501]),
        put("a word like chunked", "Transfer-Encoding: xchunked", "0\r\n\r\n", &[400]),
        put("a space before the colon", "Transfer-Encoding : chunked", "0\r\n\r\n", &[400]),
        put("a folded field", "X: a\r\n Transfer-Encoding: chunked", "0\r\n\r\n", &[400]),
        put("a chunk size past 64 bits", "Transfer-Encoding: chunked", "fffffffffffffffff\r\na\r\n0\r\n\r\n", &[400]),
        put("a negative chunk size", "Transfer-Encoding: chunked", "-1\r\na\r\n0\r\n\r\n", &[400]),
        put("a chunk longer than said", "Transfer-Encoding: chunked", "1\r\nabc\r\n0\r\n\r\n", &[400]),
        put("a line feed in a chunk extension", "Transfer-Encoding: chunked", "1;a\nb\r\na\r\n0\r\n\r\n", &[400]),
        put("a body that breaks off", "Content-Length: 9", "half", &[400]),
        put("an encoded body", "Content-Encoding: gzip\r\nContent-Length: 1", "a", &[415]),
        (
            "HTTP/1.0 in chunks",
            format!("PUT /{POLY}-app.log HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            &[400],
        ),
        (
            "a request in a GET's body",
            format!("GET /sip.cfg HTTP/1.1\r\nHost: acme\r\nContent-Length: {}\r\n\r\n{hidden}", hidden.len()),
            &[200],
        ),
        (
            "a request in a POST's body",
            format!("POST /sip.cfg HTTP/1.1\r\nHost: acme\r\nContent-Length: {}\r\n\r\n{hidden}", hidden.len()),
            &[405],
        ),
        ("junk behind a request", format!("GET /sip.cfg {TAIL}\0\0\0\r\n\r\n"), &[200, 400]),
    ]
}

fn forms() -> Vec<Row> {
    let long = "a".repeat(20_000);
    let fields_200 = "X: y\r\n".repeat(200);
    vec![
        ("no Host", "GET /sip.cfg HTTP/1.1\r\n\r\n".into(), &[400]),
        ("two Hosts", "GET /sip.cfg HTTP/1.1\r\nHost: acme\r\nHost: evil\r\n\r\n".into(), &[400]),
        ("a path as Host", "GET /sip.cfg HTTP/1.1\r\nHost: acme/../\r\n\r\n".into(), &[400]),
        (
            "a field before Host with a bare CR",
            "GET /sip.cfg HTTP/1.1\r\nX: a\rHost: evil\r\nHost: acme\r\n\r\n".into(),
            &[400],
        ),
        ("the preface of HTTP/2, which is closed", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), &[]),
        ("HTTP/9.9", "GET /sip.cfg HTTP/9.9\r\nHost: acme\r\n\r\n".into(), &[400]),
        ("HTTP/0.9", "GET /sip.cfg\r\n\r\n".into(), &[400]),
        ("a TLS hello", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\r\n\r\n".into(), &[400]),
        ("a space in the target", "GET /sip.cfg evil HTTP/1.1\r\nHost: acme\r\n\r\n".into(), &[400]),
        ("a NUL in a field", "GET /sip.cfg HTTP/1.1\r\nHost: acme\r\nX: a\0b\r\n\r\n".into(), &[400]),
        ("a name that is none", "GET /sip.cfg HTTP/1.1\r\nHost: acme\r\nX(y): a\r\n\r\n".into(), &[400]),
        ("an unknown expectation", "GET /sip.cfg HTTP/1.1\r\nHost: acme\r\nExpect: tea\r\n\r\n".into(), &[417]),
        ("a target of 20 kB", format!("GET /{long} {TAIL}"), &[431]),
        ("a field of 20 kB", format!("GET /sip.cfg HTTP/1.1\r\nHost: acme\r\nX: {long}\r\n\r\n"), &[431]),
        ("a name of 20 kB", format!("GET /sip.cfg HTTP/1.1\r\nHost: acme\r\n{long}: x\r\n\r\n"), &[431]),
        ("200 fields", format!("GET /sip.cfg HTTP/1.1\r\nHost: acme\r\n{fields_200}\r\n"), &[431]),
        ("TRACE", format!("TRACE /sip.cfg {TAIL}"), &[405]),
        ("CONNECT", "CONNECT evil:443 HTTP/1.1\r\nHost: evil:443\r\n\r\n".into(), &[405]),
        ("OPTIONS of all", format!("OPTIONS * {TAIL}"), &[405]),
        ("DELETE", format!("DELETE /{POLY}.cfg {TAIL}"), &[405]),
        ("a method in small letters", format!("get /sip.cfg {TAIL}"), &[405]),
        ("a method of 300 letters", format!("{} /sip.cfg {TAIL}", "M".repeat(300)), &[405]),
    ]
}

fn ranges() -> Vec<Row> {
    let many = (0..1000).map(|n| format!("{n}-{n}")).collect::<Vec<_>>().join(",");
    vec![
        fields("ranges that overlap", "Range: bytes=0-,0-,0-,0-,0-", &[200]),
        fields("1,000 ranges", &format!("Range: bytes={many}"), &[200]),
        fields("a range backwards", "Range: bytes=9-1", &[200]),
        fields("a range past 64 bits", "Range: bytes=0-99999999999999999999999", &[206]),
        fields("a suffix past 64 bits", "Range: bytes=-99999999999999999999999", &[206]),
        fields("a range past the end", "Range: bytes=4294967296-", &[416]),
        fields("two Ranges", "Range: bytes=0-0\r\nRange: bytes=1-1", &[200]),
        put(
            "a range of 64 bits",
            "Content-Range: bytes 18446744073709551614-18446744073709551615/*\r\nContent-Length: 2",
            "ab",
            &[400],
        ),
        put("a part backwards", "Content-Range: bytes 5-1/10\r\nContent-Length: 5", "abcde", &[400]),
        put("a part longer than the whole", "Content-Range: bytes 0-4/3\r\nContent-Length: 5", "abcde", &[400]),
        put("a part of another length", "Content-Range: bytes 0-4/5\r\nContent-Length: 3", "abc", &[400]),
        put("a part in another unit", "Content-Range: lines 0-4/5\r\nContent-Length: 5", "abcde", &[400]),
        put(
            "two Content-Ranges",
            "Content-Range: bytes 0-1/2\r\nContent-Range: bytes 0-2/3\r\nContent-Length: 2",
            "ab",
            &[400],
        ),
    ]
}

/// The statuses of all answers.
fn ask(server: SocketAddr, request: &str) -> (Vec<u16>, String) {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    // A server that has answered and closed early makes writing fail; its answer counts.
    let _ = stream.write_all(request.as_bytes()).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let starts = answer.match_indices("HTTP/1.").filter_map(|(at, _)| answer.get(at + 9..at + 12)?.parse().ok());
    (starts.collect(), answer)
}

#[test]
fn hostile_requests_are_answered_exactly_so() {
    let scene = Scene::of(&[scene::acme().listener("http", "")]);
    let server = scene.server.address("acme", "http");
    let rows: Vec<Row> = [traversal(), smuggling(), forms(), ranges()].into_iter().flatten().collect();
    assert!(rows.len() >= 60, "{}", rows.len());
    let mut wrong = Vec::new();
    for (name, request, expected) in &rows {
        let (statuses, answer) = ask(server, request);
        if statuses != *expected || answer.contains("SECRET") || answer.contains("root:") {
            wrong.push(format!("{name}: {statuses:?} for {expected:?}: {answer:.300}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(!scene.deployment.upload("acme", &format!("{POLY}-app.log")).exists());
    let requests: usize = rows.iter().map(|(_, _, statuses)| statuses.len()).sum();
    assert!(scene.server.records(&[("tenant", "acme")], requests).len() >= requests, "each is recorded");
    assert_eq!(ask(server, &format!("GET /{POLY}.cfg {TAIL}")).0, [200]);
}

/// The same words for a device that is listed and for one that is not: nobody sorts addresses by the answer.
#[test]
fn a_device_that_is_not_listed_looks_like_one_without_the_file() {
    let scene = Scene::of(&[scene::acme().listener("http", "")]);
    let server = scene.server.address("acme", "http");
    let face = |target: &str| {
        let answer = ask(server, &format!("GET /{target} {TAIL}")).1;
        answer.lines().filter(|line| !line.starts_with("Date:")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(face("0004f2999999.cfg"), face("708105b37234.cfg"));
    assert_eq!(face("0004f2999999-app.log"), face("708105b37234-app.log"));
}
