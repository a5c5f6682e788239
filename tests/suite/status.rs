//! `provost status`: how the server stands, as JSON and as a table.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use crate::harness::DEADLINE;
use crate::harness::clients::{Curl, Run, run, text};
use crate::harness::deployment::Deployment;
use crate::harness::scene::{self, POLY, Scene, UNLISTED};
use crate::harness::server::BINARY;

/// More than the sockets on both sides hold, so that its transfer runs until it is read.
const LARGE: usize = 32 * 1024 * 1024;

fn status(scene: &Scene, more: &[&str]) -> Run {
    run(BINARY, &[&["status", "--config", &text(&scene.deployment.config())], more].concat())
}

fn json(scene: &Scene) -> Value {
    serde_json::from_str(&status(scene, &["--json"]).stdout).unwrap()
}

#[test]
fn status_tells_of_listeners_connections_transfers_and_denials() {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    deployment.write("files/acme/large.bin", vec![b'x'; LARGE]);
    deployment.add(&scene::acme().listener("http", "").listener_at("absent", "tftp", "192.0.2.77:6969", ""));
    deployment.add(&scene::globex().listener("http", "enabled = false\n"));
    let scene = Scene::start(deployment);
    let address = scene.server.address("acme", "http");
    let _idle = TcpStream::connect(address).unwrap();
    let mut transfer = TcpStream::connect(address).unwrap();
    transfer.set_read_timeout(Some(DEADLINE)).unwrap();
    transfer.write_all(b"GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    transfer.read_exact(&mut [0]).unwrap();
    for _ in 0..3 {
        assert_eq!(Curl::new(format!("http://{address}/{UNLISTED}.cfg")).run().status, 404);
    }
    assert_eq!(Curl::new(format!("http://{address}/../x")).arg("--path-as-is").run().status, 400);
    scene.server.records(&[("outcome", "denied")], 4);

    let status_now = json(&scene);
    let at = |pointer: &str| status_now.pointer(pointer).cloned().unwrap_or_default();
    assert_eq!(at("/pid"), scene.server.id());
    assert_eq!((at("/tenants/0/name"), at("/tenants/1/name")), ("acme".into(), "globex".into()));
    assert_eq!((at("/tenants/0/connections"), at("/tenants/0/underway")), (2.into(), 1.into()), "{status_now}");
    assert_eq!(at("/tenants/0/listeners/0/address"), address.to_string());
    assert_eq!(at("/tenants/0/listeners/0/state"), "up");
    assert_eq!(at("/tenants/0/listeners/0/denied"), 4);
    assert_eq!(at("/tenants/0/listeners/0/denials"), serde_json::json!({ "path_leaves_root": 1, "unknown_device": 3 }));
    assert_eq!(at("/tenants/0/listeners/1/state"), "waiting");
    assert!(at("/tenants/0/listeners/1/reason").as_str().unwrap().contains("assign requested address"), "{status_now}");
    assert_eq!(at("/tenants/1/listeners/0/state"), "disabled");

    let table = status(&scene, &[]);
    assert_eq!(table.code, 1, "{table:?}");
    for says in ["192.0.2.77:6969", "waiting since ", "disabled", "path_leaves_root 1, unknown_device 3", "under way"] {
        assert!(table.stdout.contains(says), "{says}: {}", table.stdout);
    }
}

#[test]
fn status_tells_what_the_server_failed_at() {
    let scene = Scene::of(&[scene::acme().listener("http", "").listener("tftp", "")]);
    let address = scene.server.address("acme", "http");
    let put = |name: &str| Curl::new(format!("http://{address}/{POLY}-{name}")).upload(b"a log").run().status;
    assert_eq!(put("app.log"), 201);
    assert_eq!(json(&scene).pointer("/tenants/0/listeners/0/last_errors"), Some(&serde_json::json!([])));
    // Where the folder is merely gone it is made anew.
    let folder = scene.deployment.path("state/uploads/acme");
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::write(&folder, "no folder").unwrap();
    for round in 0..7 {
        assert_eq!(put(&format!("{round}-app.log")), 500);
    }
    scene.server.records(&[("outcome", "error")], 7);
    let status_now = json(&scene);
    let errors = status_now.pointer("/tenants/0/listeners/0/last_errors").and_then(Value::as_array).unwrap();
    let texts: Vec<&str> = errors.iter().filter_map(|error| error["text"].as_str()).collect();
    assert_eq!(texts.len(), 5, "{status_now}");
    for (text, round) in texts.iter().zip(2..) {
        assert!(text.starts_with(&format!("PUT /{POLY}-{round}-app.log: ")), "{texts:?}");
    }
    let table = status(&scene, &[]).stdout;
    assert_eq!(
        table.lines().filter(|line| line.starts_with("failed: ") && line.contains("acme http: PUT /")).count(),
        5
    );
}
