//! `provost check` and `provost explain`, and what a bad configuration does to a running server.

use crate::harness::clients::{Run, run, text};
use crate::harness::deployment::Deployment;
use crate::harness::scene::{self, FOREIGN, NEIGHBOUR, POLY, Scene, UNLISTED};
use crate::harness::server::{BINARY, Server};
use crate::harness::tftp_client::{Packet, TftpClient};

fn check(deployment: &Deployment) -> Run {
    run(BINARY, &["check", "--config", &text(&deployment.config())])
}

/// The number of the line that begins so, from 1.
fn line_of(deployment: &Deployment, file: &str, start: &str) -> usize {
    let content = std::fs::read_to_string(deployment.path(file)).unwrap();
    content.lines().position(|line| line.trim_start().starts_with(start)).expect("such a line") + 1
}

#[test]
fn a_good_configuration_passes_the_check() {
    let deployment = Deployment::new();
    deployment.add(&scene::acme().https("").listener("http", "").listener("tftp", "").listener("ftp", ""));
    deployment.add(&scene::globex().https(""));
    let checked = check(&deployment).succeeded();
    assert!(checked.stdout.contains("2 tenants") && checked.stdout.contains("5 devices"), "{checked:?}");
    let rules = run(BINARY, &["check", "--rules", "--config", &text(&deployment.config())]).succeeded();
    assert!(rules.stdout.contains("{mac}-phone.cfg"), "{rules:?}");
    assert!(!deployment.path("state").exists(), "a check changes nothing on the disk");
}

#[test]
fn a_configuration_without_tenants_is_none_that_could_be_served() {
    let checked = check(&Deployment::new());
    assert!(checked.code == 1 && checked.stdout.contains("there is no tenant"), "{checked:?}");
}

#[test]
fn every_error_is_told_at_once_with_its_file_and_line() {
    let deployment = Deployment::new();
    deployment.add(
        &scene::acme()
            .devices("polcy = \"listed\"")
            .https("require = [\"certficate\"]\n")
            .listener_named("t", "tftp", "allow = [\"10.0.0.0/33\"]\n")
            .table("[[rule]]\npath = \"logs/*.log\"\nwrite = \"own\"")
            .table("[[users]]\nname = \"phone\"\npassword = \"do-not-print-me\"\nexpires = \"soon\""),
    );
    let unknown = "certificate = \"../tls/server.pem\"\nkey = \"../tls/server.key\"\ntrust = [\"unknown\"]\n";
    deployment.add(&scene::globex().listener("https", unknown).uploads("device_quota = \"16 parsecs\""));
    let checked = check(&deployment);
    assert_eq!(checked.code, 1, "{checked:?}");
    let said = format!("{}{}", checked.stdout, checked.stderr);
    for (tenant, start, words) in [
        ("acme", "polcy", "polcy"),
        ("acme", "require", "certficate"),
        ("acme", "allow = [\"10.0.0.0/33\"]", "10.0.0.0/33"),
        ("acme", "path = \"logs/*.log\"", "{mac}"),
        ("acme", "expires", "soon"),
        ("globex", "device_quota", "16 parsecs"),
        ("globex", "trust", "unknown"),
    ] {
        let line = line_of(&deployment, &format!("tenants.d/{tenant}.toml"), start);
        let place = format!("{tenant}.toml:{line}:");
        assert!(
            said.lines().any(|told| told.contains(&place) && told.contains(words)),
            "nothing says {place} {words}:\n{said}"
        );
    }
    assert!(!said.contains("do-not-print-me"), "{said}");
}

#[test]
fn a_bad_tenant_file_does_not_stop_the_other() {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    deployment.add(&scene::acme().https("").listener("tftp", ""));
    deployment.add(&scene::globex().https("").listener("tftp", "unbound = \"perhaps\"\n"));
    deployment.write("tenants.d/broken.toml", "name = \"broken\n[[[");
    assert_eq!(check(&deployment).code, 1);
    let scene = Scene::start(deployment);
    assert!(!scene.server.listens("globex", "https"));
    assert_eq!(scene.phone(&format!("{POLY}.cfg")).run().status, 200);
    let tftp = TftpClient::new(scene.server.address("acme", "tftp"));
    assert_eq!(tftp.get("sip.cfg", "octet", &[]).unwrap().content, b"acme sip.cfg\n");
}

#[test]
fn a_server_without_anything_to_serve_ends_and_says_why() {
    let deployment = Deployment::with_settings("sate = \"x\"");
    deployment.add(&scene::acme().https(""));
    let served = run(BINARY, &["serve", "--config", &text(&deployment.config())]);
    assert_eq!(served.code, 1, "{served:?}");
    assert!(format!("{}{}", served.stdout, served.stderr).contains("provost.toml:3"), "{served:?}");
    let missing = run(BINARY, &["serve", "--config", "/nonexistent/provost.toml"]);
    assert_eq!(missing.code, 1, "{missing:?}");
    assert!(missing.stderr.contains("/nonexistent/provost.toml"), "{missing:?}");
}

/// What `explain` says: whether it permits, and the code in the verdict.
fn explain(server: &Server, arguments: &[&str]) -> (bool, String) {
    let config = text(server.config());
    let arguments = [&["explain", "--config", &config, "--tenant", "acme", "--from", "127.0.0.1"], arguments].concat();
    let explained = run(BINARY, &arguments);
    assert!([0, 1].contains(&explained.code), "{arguments:?}: {explained:?}");
    let verdict = explained.stdout.lines().find(|line| line.starts_with("permitted:") || line.starts_with("denied:"));
    let verdict = verdict.unwrap_or_else(|| panic!("{arguments:?}: {explained:?}"));
    let code = verdict.rsplit_once('(').map_or("", |(_, code)| code.trim_end_matches(')'));
    (explained.code == 0, code.to_owned())
}

#[test]
fn explain_says_what_the_server_does() {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    deployment.write_doubtful_certificates();
    let rule = "[[rule]]\npath = \"secret/*\"\nread = \"nobody\"";
    deployment.add(&scene::acme().https("").listener("tftp", "").table(rule));
    let scene = Scene::start(deployment);
    let mut number = 0;
    for (certificate, method, path) in [
        (POLY, "GET", format!("{POLY}.cfg")),
        (POLY, "GET", "sip.cfg".into()),
        (POLY, "GET", "none.cfg".into()),
        (POLY, "HEAD", format!("{NEIGHBOUR}.cfg")),
        (POLY, "GET", "secret/a".into()),
        (POLY, "GET", "%2e%2e/secret.txt".into()),
        (POLY, "GET", "a%2fb.cfg".into()),
        (POLY, "GET", format!("sub%5C{POLY}.cfg")),
        (POLY, "HEAD", format!("sub/..%2F{POLY}.cfg")),
        (POLY, "PUT", format!("logs%2f{POLY}-app.log")),
        (POLY, "GET", "a%zz.cfg".into()),
        (POLY, "GET", "a%".into()),
        (POLY, "GET", "a%252fb.cfg".into()),
        (POLY, "GET", r"sub\site.cfg?version=%2f".into()),
        (POLY, "GET", format!("{POLY}-{NEIGHBOUR}.cfg")),
        (POLY, "PUT", format!("{POLY}-app.log")),
        (POLY, "PUT", format!("{POLY}.cfg")),
        (FOREIGN, "GET", format!("{FOREIGN}.cfg")),
        ("generic", "GET", "sip.cfg".into()),
        ("two", "GET", format!("{POLY}.cfg")),
    ] {
        let pem = text(&scene.deployment.path(&format!("device/{certificate}.pem")));
        let (permits, code) = explain(&scene.server, &["--listener", "https", "--certificate", &pem, method, &path]);
        let request = scene.https("acme", certificate, &path);
        let reply = match method {
            "PUT" => request.upload(b"x").run(),
            "HEAD" => request.arg("-I").run(),
            _ => request.run(),
        };
        // A file that may be read and is not there is permitted, too.
        let answered = [200, 201].contains(&reply.status)
            || (reply.status == 404 && ["none.cfg", "a%252fb.cfg"].contains(&&*path));
        assert_eq!(permits, answered, "{certificate} {method} {path}: {code} {reply:?}");
        number += 1;
        let record = scene.server.records(&[("protocol", "https")], number).pop().unwrap();
        let key = if permits { "opening" } else { "reason" };
        assert_eq!(record[key], code, "{certificate} {method} {path}: {record}");
    }
    for (path, mac) in [(format!("{POLY}.cfg"), POLY), (format!("{UNLISTED}.cfg"), UNLISTED)] {
        let (permits, code) = explain(&scene.server, &["--listener", "tftp", "RRQ", &path]);
        let got = TftpClient::new(scene.server.address("acme", "tftp")).get(&path, "octet", &[]);
        assert_eq!(permits, got.is_ok(), "{path}: {code}");
        assert!(permits || matches!(got, Err(Packet::Error(1, _))));
        let record = scene.server.record(&[("protocol", "tftp"), ("mac", mac)]);
        assert_eq!(record[if permits { "opening" } else { "reason" }], code, "{record}");
    }
}

#[test]
fn the_operator_sees_what_phones_have_sent() {
    let scene = Scene::of(&[scene::acme().https("")]);
    let log = format!("{POLY}-app.log");
    assert_eq!(scene.phone(&log).upload(b"hello operator").run().status, 201);
    let config = text(scene.server.config());
    let uploads = |arguments: &[&str]| {
        let arguments = [&["uploads", arguments[0], "--config", &config, "--tenant", "acme"], &arguments[1..]].concat();
        run(BINARY, &arguments).succeeded().stdout
    };
    assert!(uploads(&["list"]).contains(&log));
    assert!(!uploads(&["list", "--mac", NEIGHBOUR]).contains(&log));
    assert_eq!(uploads(&["show", &log]), "hello operator");
    uploads(&["discard", &log]);
    assert_eq!(scene.phone(&log).run().status, 404);
}
