//! Secret links: what they open, what beside them is denied, and that no record shows a token.

use crate::harness::clients::{Curl, Reply, run};
use crate::harness::deployment::Deployment;
use crate::harness::scene::{self, NEIGHBOUR, POLY, Scene, YEALINK};
use crate::harness::server::BINARY;

const TOKEN: &str = "7Vx2kQ0mZsJd1RfYbT9wHg";
const OTHER: &str = "9f86d081884c7d659a2feaa0c55ad015";
const WRONG: &str = "9f86d081884c7d659a2feaa0c55ad016";

fn scene() -> Scene {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    deployment.write(
        "devices.csv",
        format!(
            "mac,password,link,blocked\n{YEALINK},own-secret,{TOKEN},\n{POLY},,{OTHER},\n{NEIGHBOUR},,blocked-link-0001,yes\n"
        ),
    );
    let require = "require = [\"certificate\", \"link\"]\n";
    deployment.add(
        &scene::acme()
            .devices("file = \"../devices.csv\"")
            .https(require)
            .listener("http", "require = [\"link\"]\nunbound = \"refuse\"\n")
            .listener_named("open", "http", "")
            .table("[[rule]]\npath = \"public.txt\"\nread = \"anyone\""),
    );
    deployment.write("files/acme/public.txt", "for anyone\n");
    Scene::start(deployment)
}

fn linked(token: &str, path: &str) -> String {
    format!("k/{token}/{path}")
}

#[test]
fn a_link_proves_its_device_on_https_and_http() {
    let scene = scene();
    let (own, neighbour) = (format!("{YEALINK}.cfg"), format!("{POLY}.cfg"));
    for scheme in ["https", "http"] {
        let mut number = 0;
        for (path, status, word) in [
            (linked(TOKEN, &own), 200, "own"),
            (linked(TOKEN, "sip.cfg"), 200, "device"),
            (linked(OTHER, &neighbour), 200, "own"),
            (linked(TOKEN, &neighbour), 403, "not_own"),
            (linked(TOKEN, "missing.cfg"), 404, ""),
            (linked("blocked-link-0001", "sip.cfg"), 403, "blocked"),
            (linked(WRONG, &own), 404, "wrong_link"),
            (linked(WRONG, "sip.cfg"), 404, "wrong_link"),
            (linked(WRONG, "public.txt"), 404, "wrong_link"),
            (linked(WRONG, "missing.cfg"), 404, "wrong_link"),
            (linked("short", "sip.cfg"), 403, "require_not_met"),
            (own.clone(), 403, "require_not_met"),
            ("public.txt".to_owned(), 200, "anyone"),
            (format!("x/../{}", linked(TOKEN, &own)), 403, "require_not_met"),
            (format!("%6b/{TOKEN}/{own}"), 200, "own"),
            (format!("k/{TOKEN}/%zz"), 400, "target_percent_encoding"),
        ] {
            let curl = if scheme == "http" {
                Curl::new(scene.url("http", "acme", &path))
            } else {
                scene.https("acme", "", &path)
            };
            let reply = curl.run();
            number += 1;
            let record = scene.server.records(&[("protocol", scheme)], number).pop().unwrap();
            assert_eq!(reply.status, status, "{scheme} {path}: {record}");
            let key = if status == 200 { "opening" } else { "reason" };
            assert_eq!(record[key].as_str().unwrap_or_default(), word, "{scheme} {path}: {record}");
            let text = record.to_string();
            assert!(![TOKEN, OTHER, WRONG].iter().any(|token| text.contains(token)), "{scheme} {path}: {record}");
            assert!(record["proof"] == "link" || !["own", "device", "not_own", "blocked"].contains(&word), "{record}");
        }
    }
}

#[test]
fn a_wrong_token_is_answered_as_a_file_that_is_not_there() {
    let scene = scene();
    let ask = |token: &str, path: &str| scene.https("acme", "", &linked(token, path)).run().face();
    let missing = ask(TOKEN, "missing.cfg");
    for path in ["missing.cfg", "sip.cfg", "public.txt", &format!("{YEALINK}.cfg"), &format!("{POLY}-app.log")] {
        assert_eq!(ask(WRONG, path), missing, "{path}");
    }
}

#[test]
fn a_link_takes_uploads_and_heads_and_no_other_proof_of_another_device() {
    let scene = scene();
    let log = format!("{YEALINK}-app.log");
    let url = linked(TOKEN, &log);
    let put = scene.https("acme", "", &url).upload(b"booted\n").run();
    assert_eq!(put.status, 201, "{put:?}");
    assert_eq!(std::fs::read(scene.deployment.upload("acme", &log)).unwrap(), b"booted\n");
    let head: Reply = Curl::new(scene.url("http", "acme", &url)).head();
    assert_eq!((head.status, head.value("content-length")), (200, Some("7")), "{head:?}");
    let settings = format!("{YEALINK}-phone.cfg");
    assert_eq!(scene.https("acme", "", &linked(TOKEN, &settings)).upload(b"x").run().status, 201);
    assert_eq!(scene.https("acme", "", &linked(WRONG, &settings)).upload(b"x").run().status, 403);
    let own = format!("{YEALINK}.cfg");
    let device = format!("{YEALINK}:own-secret");
    for (certificate, login, token, status) in [
        (POLY, "", TOKEN, 403),
        (POLY, "", WRONG, 404),
        (YEALINK, "", TOKEN, 200),
        ("", device.as_str(), TOKEN, 200),
        ("", &device, OTHER, 403),
    ] {
        let curl = scene.https("acme", certificate, &linked(token, &own));
        let reply = if login.is_empty() { curl.run() } else { curl.args(["-u", login]).run() };
        assert_eq!(reply.status, status, "{certificate} {login} {token}: {reply:?}");
    }
    // A link binds where none is required, too, and one that is nobody's does not fall back to the address.
    let open = scene.server.address("acme", "open");
    let at = |path: String| Curl::new(format!("http://{open}/{path}")).run().status;
    assert_eq!(
        [at(own.clone()), at(linked(TOKEN, &own)), at(linked(OTHER, &own)), at(linked(WRONG, &own))],
        [200, 200, 403, 404]
    );
}

#[test]
fn a_token_that_is_changed_counts_at_once_and_explain_knows_it() {
    let scene = scene();
    let own = linked(TOKEN, &format!("{YEALINK}.cfg"));
    let explain = |path: &str| {
        let config = scene.deployment.config();
        let arguments = ["explain", "--config", config.to_str().unwrap(), "--tenant", "acme", "--listener", "https"];
        run(BINARY, &[&arguments[..], &["--from", "127.0.0.1", "GET", path]].concat())
    };
    let explained = explain(&own);
    assert_eq!(explained.code, 0, "{explained:?}");
    assert!(explained.stdout.contains(&format!("the secret link proves {YEALINK}")), "{explained:?}");
    assert!(!explained.stdout.contains(TOKEN), "{explained:?}");
    let wrong = explain(&linked(WRONG, "sip.cfg"));
    assert!(wrong.code == 1 && wrong.stdout.contains("wrong_link"), "{wrong:?}");
    assert_eq!(scene.https("acme", "", &own).run().status, 200);
    scene.deployment.replace("devices.csv", TOKEN, WRONG);
    run(BINARY, &["reload", "--config", scene.deployment.config().to_str().unwrap()]).succeeded();
    assert_eq!(scene.https("acme", "", &own).run().status, 404);
    assert_eq!(scene.https("acme", "", &linked(WRONG, &format!("{YEALINK}.cfg"))).run().status, 200);
    let (_, records) = scene.server.stop();
    let records: String = records.iter().map(ToString::to_string).collect();
    assert!(!records.contains(TOKEN) && !records.contains(WRONG), "{records}");
}
