//! Bodies and connections that break, and forms of a body that clients choose.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use crate::harness::DEADLINE;
use crate::harness::clients::{self, run};
use crate::harness::deployment::Deployment;
use crate::harness::scene::{self, POLY, Scene};
use crate::harness::tls_client::{self, Stream, status};

const SETTINGS: &str = "0004f2aabbcc-web.cfg";

fn scene() -> Scene {
    Scene::of(&[scene::acme().https("")])
}

fn connect(scene: &Scene) -> Stream {
    tls_client::connect(&scene.deployment, scene.server.address("acme", "https"), POLY)
}

fn held(scene: &Scene) -> String {
    std::fs::read_to_string(scene.deployment.upload("acme", SETTINGS)).unwrap()
}

#[test]
fn every_form_of_a_body_is_stored() {
    let scene = scene();
    for (arguments, body) in [
        (&["-H", "Expect: 100-continue"][..], "expected"),
        (&["-H", "Expect:"], "unasked"),
        (&["-H", "Transfer-Encoding: chunked"], "chunked"),
        (&["--http1.0"], "of another time"),
        (&["-H", "Content-Range: bytes 0-4/5", "-H", "Transfer-Encoding: chunked"], "whole"),
    ] {
        let reply = scene.phone(SETTINGS).upload(body.as_bytes()).args(arguments.iter().copied()).run();
        assert!([200, 201].contains(&reply.status), "{arguments:?}: {reply:?}");
        assert_eq!(held(&scene), body, "{arguments:?}");
    }
    let request = format!("PUT /{SETTINGS} HTTP/1.0\r\nContent-Length: 3\r\n\r\n1.0");
    assert_eq!(status(&tls_client::send(connect(&scene), request.as_bytes())), 200);
    assert_eq!(held(&scene), "1.0");
}

#[test]
fn a_body_is_asked_for_only_where_it_may_be_stored() {
    let scene = scene();
    let ask = |name: &str| {
        let request = format!(
            "PUT /{name} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        );
        let mut stream = connect(&scene);
        stream.write_all(request.as_bytes()).unwrap();
        let mut first = [0; 12];
        std::io::Read::read_exact(&mut stream, &mut first).unwrap();
        String::from_utf8_lossy(&first).into_owned()
    };
    assert_eq!(ask(SETTINGS), "HTTP/1.1 100");
    assert_eq!(ask("0004f2000002-web.cfg"), "HTTP/1.1 403");
}

#[test]
fn a_body_that_breaks_off_leaves_what_was_there() {
    let scene = scene();
    assert_eq!(scene.phone(SETTINGS).upload(b"stands").run().status, 201);
    for (length, range) in [("Content-Length: 100", ""), ("Content-Length: 100", "Content-Range: bytes 6-105/*\r\n")] {
        let request = format!("PUT /{SETTINGS} HTTP/1.1\r\nHost: 127.0.0.1\r\n{range}{length}\r\n\r\nhalf");
        let mut stream = connect(&scene);
        stream.write_all(request.as_bytes()).unwrap();
        stream.flush().unwrap();
        drop(stream);
    }
    let mut chunked = connect(&scene);
    let request =
        format!("PUT /{SETTINGS} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    chunked.write_all(request.as_bytes()).unwrap();
    chunked.flush().unwrap();
    drop(chunked);
    scene.server.records(&[("method", "PUT"), ("outcome", "aborted")], 3);
    assert_eq!(held(&scene), "stands");
    // The record is written when the request ends; what it spooled is removed off the runtime, soon after.
    let until = Instant::now() + DEADLINE;
    while !temporaries(&scene.deployment.path("state")).is_empty() {
        assert!(Instant::now() < until, "{:?}", temporaries(&scene.deployment.path("state")));
        std::thread::yield_now();
    }
}

/// The server's own temporaries below a folder.
fn temporaries(folder: &std::path::Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| {
            let path = entry.path();
            let is_temporary = entry.file_name().to_string_lossy().starts_with(".provost-") && path.is_file();
            if path.is_dir() { temporaries(&path) } else { is_temporary.then_some(path).into_iter().collect() }
        })
        .collect()
}

#[test]
fn a_request_that_is_no_request_is_answered_and_recorded() {
    let scene = scene();
    for (request, expected) in [
        ("NONSENSE\r\n\r\n".to_owned(), 400),
        ("GET /sip.cfg HTTP/1.1\r\nConnection: close\r\n\r\n".into(), 400),
        ("GET /sip.cfg HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n".into(), 400),
        (format!("GET /sip.cfg HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(40_000)), 431),
        (format!("PUT /{SETTINGS} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"), 400),
        (
            format!(
                "PUT /{SETTINGS} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Range: bytes 0-1/2\r\nContent-Range: bytes 0-2/3\r\nContent-Length: 2\r\n\r\nab"
            ),
            400,
        ),
    ] {
        let answer = tls_client::send(connect(&scene), request.as_bytes());
        let cut = request.chars().take(120).collect::<String>();
        assert_eq!(status(&answer), expected, "{cut:?}: {answer:?}");
    }
    scene.server.records(&[("outcome", "rejected")], 6);
    assert!(!scene.deployment.upload("acme", SETTINGS).exists());
}

#[test]
fn two_writers_at_once_leave_one_whole_file() {
    let scene = scene();
    let bodies = ["a", "b"].map(|letter| letter.repeat(300_000));
    std::thread::scope(|scope| {
        let writers = bodies.each_ref().map(|body| {
            let scene = &scene;
            scope.spawn(move || {
                for _ in 0..8 {
                    let reply = scene.phone(SETTINGS).upload(body.as_bytes()).run();
                    assert!([200, 201].contains(&reply.status), "{reply:?}");
                }
            })
        });
        while writers.iter().any(|writer| !writer.is_finished()) {
            let reply = scene.phone(SETTINGS).run();
            assert!(reply.status == 404 || bodies.contains(&reply.text()), "{} bytes", reply.body.len());
        }
    });
    assert!(bodies.contains(&held(&scene)));
}

#[test]
fn two_writers_that_append_to_one_log_lose_no_byte() {
    let scene = scene();
    let name = format!("{POLY}-app.log");
    // Both claim an offset past the end, as two updates of a phone that has lost count would: all of it is kept.
    std::thread::scope(|scope| {
        for letter in ["a", "b"] {
            let (scene, name) = (&scene, &name);
            scope.spawn(move || {
                for number in 0..10 {
                    let first = 1_000_000 + number * 100;
                    let range = format!("Content-Range: bytes {first}-{}/*", first + 9);
                    let line = format!("{letter}{number:08}\n");
                    let reply = scene.phone(name).header(&range).upload(line.as_bytes()).run();
                    assert!([200, 201].contains(&reply.status), "{reply:?}");
                }
            });
        }
    });
    let log = std::fs::read_to_string(scene.deployment.upload("acme", &name)).unwrap();
    for letter in ["a", "b"] {
        let lines: Vec<&str> = log.lines().filter(|line| line.starts_with(letter)).collect();
        let expected: Vec<String> = (0..10).map(|number| format!("{letter}{number:08}")).collect();
        assert_eq!(lines, expected);
    }
}

/// A small file system over a folder. Unmounted when it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&folder).unwrap();
        let mounted = run("mount", &["-t", "tmpfs", "-o", "size=1m", "tmpfs", &clients::text(&folder)]);
        if mounted.code != 0 {
            println!("skipped: a small file system needs the right to mount: {}", mounted.stderr.trim());
            return None;
        }
        Some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &["-l", &clients::text(&self.0)]);
    }
}

#[test]
fn a_full_disk_refuses_an_upload_and_keeps_what_stands() {
    let deployment = Deployment::new();
    let Some(disk) = SmallDisk::mount(deployment.path("state")) else { return };
    scene::write_files(&deployment);
    deployment.add(&scene::acme().https(""));
    let scene = Scene::start(deployment);
    assert_eq!(scene.phone(SETTINGS).upload(b"stands").run().status, 201);
    let big = vec![b'x'; 2 << 20];
    let known = scene.phone(SETTINGS).upload(&big).run();
    assert_eq!(known.status, 507, "{known:?}");
    let chunked = scene.phone(SETTINGS).upload(&big).header("Transfer-Encoding: chunked").run();
    assert_eq!(chunked.status, 507, "{chunked:?}");
    let part = scene.phone(&format!("{POLY}-app.log")).upload(&big).header("Content-Range: bytes 0-2097151/*").run();
    assert_eq!(part.status, 507, "{part:?}");
    assert_eq!(held(&scene), "stands");
    assert_eq!(scene.phone(SETTINGS).upload(b"goes on").run().status, 200);
    assert_eq!(held(&scene), "goes on");
    // A folder that is mounted on cannot be removed: first the server ends, then the disk goes, then the folder.
    let Scene { server, deployment } = scene;
    drop(server);
    drop(disk);
    drop(deployment);
}

/// The statuses of what comes until the connection ends or says nothing more for a moment.
fn statuses(stream: &mut Stream) -> Vec<u16> {
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = std::io::Read::read(stream, &mut piece) {
        answer.extend_from_slice(&piece[..read]);
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let lines = answer.match_indices("HTTP/1.1 ").filter_map(|(at, _)| answer.get(at + 9..at + 12));
    lines.map(|status| status.parse().unwrap()).collect()
}

#[test]
fn the_beginning_of_a_next_request_outlives_a_rest_of_the_connection() {
    let scene = scene();
    let mut stream = connect(&scene);
    stream.write_all(b"GET /sip.cfg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nDELETE /x HTTP/1.1\r\nX: ").unwrap();
    stream.flush().unwrap();
    // The rest itself: longer than a connection keeps its buffers.
    std::thread::sleep(std::time::Duration::from_millis(1600));
    stream.write_all(b"GET /sip.cfg HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(statuses(&mut stream), [200, 405]);
}

#[test]
fn two_lengths_are_refused_in_a_request_that_comes_with_another_too() {
    let scene = scene();
    let mut stream = connect(&scene);
    let get = "GET /sip.cfg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    let put = format!(
        "PUT /{SETTINGS} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    );
    stream.write_all(format!("{get}{put}{get}").as_bytes()).unwrap();
    assert_eq!(statuses(&mut stream), [200, 400]);
    assert!(!scene.deployment.upload("acme", SETTINGS).exists());
}
