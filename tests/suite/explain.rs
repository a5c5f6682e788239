//! `provost explain --live`: the running server walks its ladder, and says what the offline one says as long as both know the
//! same.

use std::io::Write as _;
use std::os::unix::net::UnixStream;

use crate::harness::clients::{Curl, Run, run, text};
use crate::harness::deployment::{Deployment, TLS};
use crate::harness::scene::{self, NEIGHBOUR, POLY, Scene, UNLISTED};
use crate::harness::server::BINARY;

fn scene() -> Scene {
    Scene::of(&[
        scene::acme().https("").listener("http", "").listener("tftp", "").listener("ftp", "").listener_at(
            "absent",
            "tftp",
            "192.0.2.77:6969",
            "",
        ),
        scene::globex().listener("tftp", ""),
    ])
}

/// Asks the question of the configuration on disk, or with `--live` in it of the server.
fn explain(deployment: &Deployment, question: &str) -> Run {
    let question = question.replace("DIR", &text(&deployment.path("device")));
    let config = text(&deployment.config());
    let words: Vec<&str> = question.split(' ').collect();
    run(BINARY, &[&["explain", "--config", &config], &words[..]].concat())
}

#[test]
fn the_running_server_and_the_disk_say_the_same_of_the_same_configuration() {
    let scene = scene();
    for (question, code) in [
        (format!("--listener https --certificate DIR/{POLY}.pem GET /{POLY}.cfg"), 0),
        (format!("--listener https --certificate DIR/{POLY}.pem GET /{NEIGHBOUR}.cfg"), 1),
        (format!("--listener https --mac {POLY} PUT /{POLY}-app.log"), 0),
        (format!("--listener https --mac {POLY} HEAD /{POLY}-app.log"), 0),
        ("--listener https GET /sip.cfg".to_owned(), 1),
        (format!("--listener tftp RRQ {UNLISTED}.cfg"), 1),
        (format!("--listener tftp RRQ {POLY}.cfg"), 0),
        (format!("--listener ftp --user nobody RETR {POLY}.cfg"), 0),
        ("--listener http GET /%2e%2e/x".to_owned(), 1),
        ("--listener tftp GET x".to_owned(), 2),
        (format!("--listener tftp --mac {POLY} RRQ x"), 2),
        ("--listener none RRQ x".to_owned(), 2),
    ] {
        let question = format!("--tenant acme --from 127.0.0.1 {question}");
        let (offline, live) =
            (explain(&scene.deployment, &question), explain(&scene.deployment, &format!("--live {question}")));
        assert_eq!((offline.code, live.code), (code, code), "{question}\n{offline:?}\n{live:?}");
        // But for what nobody knows of a source without a server.
        let (asked, not_asked) =
            ("ok     the source is not throttled", "-      not asked: --live tells whether the source is throttled");
        assert_eq!(offline.stdout, live.stdout.replace(asked, not_asked), "{question}");
        let said = |run: &Run| run.stderr.replace("error: the server refused: ", "error: ");
        assert_eq!(said(&offline), said(&live), "{question}");
    }
}

#[test]
fn what_is_served_counts_and_not_what_the_disk_says_by_now() {
    let scene = scene();
    let question = "--tenant acme --listener http --from 127.0.0.1 GET /sip.cfg";
    scene.deployment.replace("tenants.d/acme.toml", "[files]\n", "enabled = false\n[files]\n");
    assert_eq!(explain(&scene.deployment, question).code, 1);
    assert_eq!(explain(&scene.deployment, &format!("--live {question}")).code, 0);
    run(BINARY, &["reload", "--config", &text(&scene.deployment.config())]).succeeded();
    let live = explain(&scene.deployment, &format!("--live {question}"));
    assert!(live.code == 1 && live.stdout.contains("1 enabled     DENIED"), "{live:?}");
}

#[test]
fn a_source_that_is_throttled_is_told_and_asking_throttles_nobody() {
    let scene = scene();
    let question = |mac: &str| format!("--live --tenant acme --listener http --from 127.0.0.1 GET /{mac}.cfg");
    // As often as would throttle whoever really asked.
    for number in 0..40 {
        let live = explain(&scene.deployment, &question(&format!("0004f2e000{number:02x}")));
        assert!(live.stdout.contains("6 throttle    ok"), "{live:?}");
    }
    let address = scene.server.address("acme", "http");
    let read = |mac: &str| Curl::new(format!("http://{address}/{mac}.cfg")).run().status;
    assert_eq!(read(POLY), 200);
    for number in 0..40 {
        assert_eq!(read(&format!("0004f2e000{number:02x}")), 404);
    }
    let live = explain(&scene.deployment, &question(NEIGHBOUR));
    assert!(live.code == 1 && live.stdout.contains("6 throttle    DENIED"), "{live:?}");
    assert_eq!(read(NEIGHBOUR), 404, "the ladder said otherwise than the server");
    // What it already had it keeps.
    let live = explain(&scene.deployment, &question(POLY));
    assert!(live.code == 0 && live.stdout.contains("6 throttle    ok"), "{live:?}");
    // The disk knows of no source.
    let offline = explain(&scene.deployment, &question(NEIGHBOUR).replace("--live ", ""));
    assert!(offline.code == 0 && offline.stdout.contains("6 throttle    -      not asked: --live"), "{offline:?}");
}

#[test]
fn a_question_without_an_answer_says_why() {
    let scene = scene();
    scene.deployment.add(&scene::globex().https("alow = []"));
    run(BINARY, &["reload", "--config", &text(&scene.deployment.config())]);
    scene.deployment.write("tenants.d/initech.toml", "name = \"initech\"\n");
    run(BINARY, &["reload", "--config", &text(&scene.deployment.config())]);
    for (question, says) in [
        ("--tenant none --listener tftp RRQ x", "no tenant `none` is served; the tenants are: acme, globex"),
        ("--tenant acme --listener none RRQ x", "no listener `none` in tenant acme; the listeners are: https, http"),
        ("--tenant initech --listener tftp RRQ x", "tenant initech is not served: "),
        ("--tenant acme --listener tftp GET x", "listener tftp speaks tftp, which has no GET"),
    ] {
        let live = explain(&scene.deployment, &format!("--live --from 127.0.0.1 {question}"));
        assert!(live.code == 2 && live.stdout.is_empty() && live.stderr.contains(says), "{question}: {live:?}");
    }
    let waiting = explain(&scene.deployment, "--live --tenant acme --listener absent --from 127.0.0.1 RRQ sip.cfg");
    assert!(waiting.code == 0 && waiting.stdout.starts_with("  the listener does not listen since "), "{waiting:?}");
    // Its own file has errors by now, and it is served as it was.
    let kept = explain(&scene.deployment, "--live --tenant globex --listener tftp --from 127.0.0.1 RRQ sip.cfg");
    assert_eq!(kept.code, 0, "{kept:?}");
    let config = text(&scene.deployment.config());
    scene.server.kill();
    let question = ["--live", "--tenant", "acme", "--listener", "tftp", "--from", "127.0.0.1", "RRQ", "x"];
    let nobody = run(BINARY, &[&["explain", "--config", &config][..], &question].concat());
    assert!(nobody.code == 2 && nobody.stderr.contains("no server answers at "), "{nobody:?}");
}

#[test]
fn what_is_no_question_is_refused_on_the_admin_socket() {
    let deployment = Deployment::new();
    deployment.add(&scene::acme().listener("https", TLS));
    let scene = Scene::start(deployment);
    for (line, says) in [
        ("{\"command\":\"explain\"}", "missing field"),
        (
            "{\"command\":\"explain\",\"tenant\":\"acme\",\"listener\":\"https\",\"from\":\"127.0.0.1\",\"method\":\"MOVE\",\"path\":\"x\"}",
            "no protocol has a method",
        ),
        (
            "{\"command\":\"explain\",\"tenant\":\"acme\",\"listener\":\"https\",\"from\":\"127.0.0.1\",\"method\":\"GET\",\"path\":\"x\",\"mac\":\"me\"}",
            "is no MAC",
        ),
        (
            "{\"command\":\"explain\",\"tenant\":\"acme\",\"listener\":\"https\",\"from\":\"127.0.0.1\",\"method\":\"GET\",\"path\":\"x\",\"certificate\":\"AAAA\"}",
            "cannot use the certificate",
        ),
        (
            "{\"command\":\"explain\",\"tenant\":\"acme\",\"listener\":\"https\",\"from\":\"127.0.0.1\",\"method\":\"GET\",\"path\":\"x\",\"certificate\":\"?\"}",
            "not understood",
        ),
        ("{\"command\":\"format\"}", "not understood"),
    ] {
        let mut socket = UnixStream::connect(scene.deployment.path("admin.sock")).unwrap();
        socket.write_all(format!("{line}\n").as_bytes()).unwrap();
        let answer = std::io::read_to_string(socket).unwrap();
        assert!(answer.starts_with("{\"answer\":\"refused\"") && answer.contains(says), "{line}: {answer}");
    }
}
