//! Passwords over https: what an exception opens, what it leaves shut, and how a password is exchanged for the next one.

use crate::harness::clients::{Curl, Reply, run, text};
use crate::harness::deployment::Deployment;
use crate::harness::scene::{self, NEIGHBOUR, POLY, Scene, YEALINK};
use crate::harness::server::BINARY;

/// A Yealink phone that is served by its certificate alone.
const PINNED: &str = "805ec0445566";

fn scene(exception: &str) -> Scene {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    deployment.write(
        "devices.csv",
        format!("mac,password,proof\n{YEALINK},device-secret,\n{POLY},poly-secret,\n{PINNED},,certificate\n"),
    );
    deployment.write(&format!("files/acme/{PINNED}.cfg"), "acme pinned\n");
    let exception = format!("[[listener.exception]]\n{exception}\n");
    deployment.add(&scene::acme().devices("file = \"../devices.csv\"").https(&exception).table(
        "[[users]]\nname = \"PlcmSpIp\"\npassword = \"new\"\nexpires = 2125-01-01\n\
         [[users]]\nname = \"PlcmSpIp\"\npassword = \"old\"\n\
         [[users]]\nname = \"PlcmSpIp\"\npassword = \"oldest\"\nexpires = 2020-01-01",
    ));
    Scene::start(deployment)
}

fn ask(scene: &Scene, login: &str, path: &str) -> Reply {
    let curl = scene.https("acme", "", path);
    if login.is_empty() { curl.run() } else { curl.args(["-u", login]).run() }
}

#[test]
fn an_exception_takes_a_password_instead_of_a_certificate() {
    let scene = scene("ouis = [\"80:5e:c0\"]\nrequire = [\"password\"]");
    let device = format!("{YEALINK}:device-secret");
    let (own, neighbour, pinned) = (format!("{YEALINK}.cfg"), format!("{NEIGHBOUR}.cfg"), format!("{PINNED}.cfg"));
    let mut number = 0;
    for (login, path, status, word) in [
        ("PlcmSpIp:old", own.as_str(), 200, "exception"),
        ("PlcmSpIp:new", &own, 200, "exception"),
        (&device, &own, 200, "own"),
        ("", &own, 401, "require_not_met"),
        ("PlcmSpIp:wrong", &own, 401, "require_not_met"),
        ("PlcmSpIp:oldest", &own, 401, "require_not_met"),
        ("PlcmSpIp:", &own, 401, "require_not_met"),
        ("nobody:old", &own, 401, "require_not_met"),
        (&format!("{YEALINK}:old"), &own, 401, "require_not_met"),
        (&format!("{YEALINK}:poly-secret"), &own, 401, "require_not_met"),
        // The exception is for one vendor's files: it opens no other's, nor those of all devices.
        ("PlcmSpIp:old", &neighbour, 403, "require_not_met"),
        (&format!("{POLY}:poly-secret"), &format!("{POLY}.cfg"), 403, "require_not_met"),
        ("PlcmSpIp:old", "sip.cfg", 403, "require_not_met"),
        (&device, "sip.cfg", 200, "device"),
        (&device, &neighbour, 403, "require_not_met"),
        // A password is asked for only where one would help: of a file of all devices, that of one device.
        ("", &neighbour, 403, "require_not_met"),
        ("", "sip.cfg", 401, "require_not_met"),
        (&device, &pinned, 403, "not_own"),
        ("PlcmSpIp:old", &pinned, 404, "pinned"),
        ("PlcmSpIp:old", "805ec0999999.cfg", 404, "unknown_device"),
    ] {
        let reply = ask(&scene, login, path);
        number += 1;
        let record = scene.server.records(&[("protocol", "https")], number).pop().unwrap();
        assert_eq!(reply.status, status, "{login} {path}: {record}");
        assert_eq!(record[if status == 200 { "opening" } else { "reason" }], word, "{login} {path}: {record}");
        assert_eq!(reply.text().starts_with("acme"), status == 200, "{login} {path}: {reply:?}");
        let asks = reply.header.iter().any(|(_, field)| field.starts_with("Basic realm=\"acme\""));
        assert_eq!(asks, status == 401, "{reply:?}");
        assert!(!record.to_string().contains(":old") && !record.to_string().contains("secret"), "{record}");
    }
    // With its certificate a phone is served as ever.
    assert_eq!(scene.phone(&format!("{POLY}.cfg")).run().status, 200);
    let uploaded =
        scene.https("acme", "", &format!("{YEALINK}-app.log")).args(["-u", "PlcmSpIp:old"]).upload(b"x").run();
    assert_eq!(uploaded.status, 201, "{uploaded:?}");
}

#[test]
fn a_shared_exception_opens_what_names_no_device() {
    let scene = scene("ouis = [\"80:5e:c0\"]\nshared = true\nrequire = [\"password\"]");
    for (login, path, status) in [
        ("PlcmSpIp:old", "sip.cfg", 200),
        ("PlcmSpIp:old", "3111-44500-001.sip.ld", 200),
        ("", "sip.cfg", 401),
        ("PlcmSpIp:wrong", "sip.cfg", 401),
        ("PlcmSpIp:old", &format!("{NEIGHBOUR}.cfg"), 403),
    ] {
        assert_eq!(ask(&scene, login, path).status, status, "{login} {path}");
    }
}

#[test]
fn a_report_only_exception_refuses_nobody_and_says_whom_it_would() {
    let scene = scene("ouis = [\"80:5e:c0\"]\nreport_only = true");
    let path = format!("{YEALINK}.cfg");
    assert_eq!(ask(&scene, "", &path).text(), format!("acme file of {YEALINK}\n"));
    let record = scene.server.record(&[("outcome", "served"), ("mac", YEALINK)]);
    assert_eq!(record["opening"], "report_only", "{record}");
    assert_eq!(scene.https("acme", YEALINK, &path).run().status, 200);
    let record = scene.server.records(&[("outcome", "served"), ("mac", YEALINK)], 2).pop().unwrap();
    assert_eq!(record["opening"], "own", "{record}");
    for other in [format!("{POLY}.cfg"), "sip.cfg".into()] {
        let reply = ask(&scene, "", &other);
        assert_eq!((reply.status, reply.value("www-authenticate")), (403, None), "{other}");
    }
    // Who would be refused is told together, across a reload.
    scene.deployment.replace("tenants.d/acme.toml", "name = \"acme\"", "name = \"acme\"\nlimits.connections = 100");
    let config = text(&scene.deployment.config());
    run(BINARY, &["reload", "--config", &config]).succeeded();
    assert_eq!(ask(&scene, "", &path).status, 200);
    let said = run(BINARY, &["status", "--json", "--config", &config]).succeeded().stdout;
    let status: serde_json::Value = serde_json::from_str(&said).unwrap();
    let expected = serde_json::json!([
        { "exception": "80:5e:c0", "requests": 2, "devices": { YEALINK: 2 }, "of_others": 0 }
    ]);
    let listeners = status["tenants"][0]["listeners"].as_array().unwrap();
    assert_eq!(listeners.iter().find(|listener| listener["name"] == "https").unwrap()["report_only"], expected);
    let table = run(BINARY, &["status", "--report-only", "--config", &config]).succeeded().stdout;
    assert!(table.contains("80:5e:c0") && table.contains(YEALINK), "{table}");
}

#[test]
fn no_password_is_taken_without_tls() {
    let user = "[[users]]\nname = \"PlcmSpIp\"\npassword = \"old\"";
    let scene = Scene::of(&[scene::acme().listener("http", "unbound = \"refuse\"\n").table(user)]);
    let reply = Curl::new(scene.url("http", "acme", &format!("{POLY}.cfg"))).args(["-u", "PlcmSpIp:old"]).run();
    assert_eq!((reply.status, reply.value("www-authenticate")), (404, None), "{reply:?}");
}
