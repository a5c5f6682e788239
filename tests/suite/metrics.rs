//! Metrics, as a monitoring system asks for them.

use std::net::{TcpListener, TcpStream};

use crate::harness::clients::{Curl, run, text};
use crate::harness::deployment::Deployment;
use crate::harness::scene::{self, POLY, Scene, UNLISTED};
use crate::harness::server::BINARY;

fn scene() -> (Scene, String) {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    deployment.replace("provost.toml", "[admin]\n", "[admin]\nmetrics = \"127.0.0.1:0\"\n");
    deployment.add(&scene::acme().listener("http", "").listener_at("gone", "http", "192.0.2.1:1", ""));
    let scene = Scene::start(deployment);
    let address = scene.server.event("metrics")["address"].as_str().unwrap().to_owned();
    (scene, format!("http://{address}"))
}

#[test]
fn requests_denials_and_states_are_told_in_the_openmetrics_form() {
    let (scene, metrics) = scene();
    for (path, status) in [(format!("{POLY}.cfg"), 200), (format!("{UNLISTED}.cfg"), 404), ("none.cfg".into(), 404)] {
        assert_eq!(Curl::new(scene.url("http", "acme", &path)).run().status, status, "{path}");
    }
    scene.server.record(&[("path", "/none.cfg")]);
    let answer = Curl::new(format!("{metrics}/metrics")).run();
    assert_eq!(answer.status, 200);
    assert!(answer.value("content-type").unwrap().starts_with("application/openmetrics-text"));
    let text = answer.text();
    for line in [
        "provost_requests_total{tenant=\"acme\",listener=\"http\",protocol=\"http\",outcome=\"served\"} 1",
        "provost_requests_total{tenant=\"acme\",listener=\"http\",protocol=\"http\",outcome=\"missing\"} 1",
        "provost_denials_total{tenant=\"acme\",listener=\"http\",protocol=\"http\",reason=\"unknown_device\"} 1",
        "provost_listener_up{tenant=\"acme\",listener=\"http\",protocol=\"http\"} 1",
        "provost_listener_up{tenant=\"acme\",listener=\"gone\",protocol=\"http\"} 0",
        "provost_devices{tenant=\"acme\"} 4",
        "provost_configuration_errors 0",
        "# EOF",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(!text.contains(POLY), "no device is named");
}

#[test]
fn status_tells_where_metrics_are() {
    let (scene, metrics) = scene();
    let status =
        |more: &[&str]| run(BINARY, &[&["status", "--config", &text(&scene.deployment.config())], more].concat());
    assert!(status(&[]).stdout.contains(&format!("metrics at {metrics}/metrics\n")), "{:?}", status(&[]));
    let json: serde_json::Value = serde_json::from_str(&status(&["--json"]).stdout).unwrap();
    assert_eq!(json["metrics"], metrics.trim_start_matches("http://"));
}

#[test]
fn status_tells_why_there_are_no_metrics() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    deployment.replace("provost.toml", "[admin]\n", &format!("[admin]\nmetrics = \"{address}\"\n"));
    deployment.add(&scene::acme().listener("http", ""));
    let scene = Scene::start(deployment);
    let status = run(BINARY, &["status", "--config", &text(&scene.deployment.config())]);
    let told = format!("error: no metrics, which are tried again: {address}: Address already in use");
    assert!(status.code == 1 && status.stdout.contains(&told), "{status:?}");
}

#[test]
fn a_tenant_that_is_not_served_counts_as_errors_until_it_is() {
    let (scene, metrics) = scene();
    let reload = || run(BINARY, &["reload", "--config", &text(&scene.deployment.config())]);
    let told = |wanted: &[&str]| {
        let text = Curl::new(format!("{metrics}/metrics")).run().text();
        let is_there = |line: &&str| text.lines().any(|found| found == *line);
        assert!(wanted.iter().all(is_there), "{wanted:?}\n{text}");
        assert_eq!(text.matches("provost_tenant_errors{tenant=\"acme\"}").count(), 1, "{text}");
    };
    scene.deployment.add(&scene::globex().listener("http", "alow = []"));
    // Another file that claims the name of a tenant that is served: its series is that one's.
    scene.deployment.write("tenants.d/acme2.toml", "name = \"acme\"\nalow = []\n");
    assert_eq!(reload().code, 1);
    told(&["provost_tenant_errors{tenant=\"globex\"} 1"]);
    scene.deployment.add(&scene::globex().listener("http", ""));
    std::fs::remove_file(scene.deployment.path("tenants.d/acme2.toml")).unwrap();
    // Without a name it is told by its file.
    let odd = "tenants.d/a\"b\\c.toml";
    scene.deployment.write(odd, "= broken\n");
    assert_eq!(reload().code, 1);
    let escaped = text(&scene.deployment.path("tenants.d/a")) + "\\\"b\\\\c.toml";
    told(&[&format!("provost_tenant_errors{{tenant=\"{escaped}\"}} 2")]);
    std::fs::remove_file(scene.deployment.path(odd)).unwrap();
    reload().succeeded();
    told(&["provost_tenant_errors{tenant=\"globex\"} 0", "provost_configuration_errors 0"]);
}

#[test]
fn nothing_else_is_told_there() {
    let (_scene, metrics) = scene();
    assert_eq!(Curl::new(format!("{metrics}/{POLY}.cfg")).run().status, 404);
    assert_eq!(Curl::new(format!("{metrics}/metrics")).upload(b"x").run().status, 405);
}

#[test]
fn silent_connections_keep_nobody_from_the_metrics() {
    let (_scene, metrics) = scene();
    let address = metrics.strip_prefix("http://").unwrap();
    let _silent: Vec<_> = (0..200).map(|_| TcpStream::connect(address).unwrap()).collect();
    assert_eq!(Curl::new(format!("{metrics}/metrics")).run().status, 200);
}
