//! What survives: a server that is killed while it takes uploads keeps every byte that it has answered for.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::deployment::Deployment;
use crate::harness::scene::{self, POLY, Scene};
use crate::harness::server::Server;
use crate::harness::tls_client::{self, Stream};
use crate::harness::until;

const LOG: &str = "0004f2aabbcc-app.log";
const ROUNDS: usize = 6;

#[test]
fn a_kill_during_appends_loses_no_byte_that_was_answered() {
    let mut scene = Scene::of(&[scene::acme().https("").uploads("max_size = \"16MiB\"")]);
    let mut answered = String::new();
    let mut line = 0;
    for round in 0..ROUNDS {
        let stream = tls_client::connect(&scene.deployment, scene.server.address("acme", "https"), POLY);
        // Another moment of the work in each round; the writer sees the connection break.
        let enough = 3 + round * 7;
        let (heard, at) = std::sync::mpsc::channel();
        let written = answered.clone();
        let writer = std::thread::spawn(move || append(stream, written, line, &heard));
        for _ in 0..enough {
            at.recv_timeout(Duration::from_secs(90)).unwrap();
        }
        scene.server.kill();
        (answered, line) = writer.join().unwrap();
        let on_disk = std::fs::read_to_string(scene.deployment.upload("acme", LOG)).unwrap();
        assert!(on_disk.starts_with(&answered), "round {round}: {} of {} bytes", on_disk.len(), answered.len());
        let rest = &on_disk[answered.len()..];
        assert!(rest.is_empty() || rest == text(line), "round {round}: {rest:?}");
        scene = Scene::start(scene.deployment);
        // The phone asks how much has come, and goes on from there.
        let facts = scene.phone(LOG).head();
        assert_eq!(facts.value("content-length"), Some(on_disk.len().to_string().as_str()));
        line += usize::from(!rest.is_empty());
        answered = on_disk;
    }
    let lines: Vec<String> = answered.lines().map(|line| format!("{line}\n")).collect();
    assert_eq!(lines, (0..line).map(text).collect::<Vec<_>>());
}

#[test]
fn what_a_crash_left_goes_before_any_phone_sends() {
    let deployment = Deployment::new();
    let left = |tenant| deployment.upload(tenant, ".provost-1-abc-0");
    for tenant in ["acme", "globex"] {
        deployment.write(&format!("state/uploads/{tenant}/.provost-1-abc-0"), "half");
    }
    deployment.add(&scene::acme().https(""));
    let server = Server::start(&deployment.config(), &[]);
    until("the uploads are looked at after the start", || !left("acme").exists());
    assert!(left("globex").exists());
    deployment.add(&scene::globex().https(""));
    server.signal(Signal::HUP);
    until("the uploads of a tenant that comes are looked at", || !left("globex").exists());
}

/// Appends line after line until the connection breaks. Gives what was answered, and the number of the next line.
fn append(
    stream: Stream,
    mut answered: String,
    mut line: usize,
    heard: &std::sync::mpsc::Sender<()>,
) -> (String, usize) {
    let mut stream = BufReader::new(stream);
    loop {
        let text = text(line);
        let (first, last) = (answered.len(), answered.len() + text.len() - 1);
        let request = format!(
            "PUT /{LOG} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Range: bytes {first}-{last}/*\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        );
        let sent = stream.get_mut().write_all(request.as_bytes()).and_then(|()| stream.get_mut().flush());
        let Some(status) = sent.ok().and_then(|()| answer(&mut stream)) else { return (answered, line) };
        assert!(status.starts_with("HTTP/1.1 20"), "{status}");
        answered.push_str(&text);
        line += 1;
        let _ = heard.send(());
    }
}

fn text(line: usize) -> String {
    format!("line {line:06} {}\n", "x".repeat(line % 97))
}

/// The status line of one answer, whose body is read away. `None` where the connection has broken.
fn answer(stream: &mut BufReader<Stream>) -> Option<String> {
    let (mut status, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        status.get_or_insert_with(|| line.to_owned());
    }
    stream.read_exact(&mut vec![0; length]).ok()?;
    status
}
