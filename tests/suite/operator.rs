//! The operator's commands: uploads, trust, dhcp.

use serde_json::Value;

use crate::harness::clients::{Run, Scratch, run, run_with_input, text};
use crate::harness::deployment::{Deployment, TLS};
use crate::harness::scene::{self, NEIGHBOUR, POLY, Scene};
use crate::harness::server::BINARY;

#[test]
fn uploads_are_listed_shown_and_discarded_by_path_and_by_device() {
    let scene = Scene::of(&[scene::acme().https("")]);
    let put = |mac: &str, name: &str| {
        let reply = scene.https("acme", mac, &format!("{mac}-{name}")).upload(name.as_bytes()).run();
        assert_eq!(reply.status, 201, "{reply:?}");
    };
    for name in ["app.log", "web.cfg", "directory.xml"] {
        put(POLY, name);
    }
    put(NEIGHBOUR, "app.log");
    let config = text(scene.server.config());
    let uploads = |arguments: &[&str]| {
        let arguments = [&["uploads", arguments[0], "--config", &config, "--tenant", "acme"], &arguments[1..]].concat();
        run(BINARY, &arguments)
    };
    let listed = |arguments: &[&str]| uploads(&[&["list"], arguments].concat()).succeeded().stdout;
    let (own, other) = (format!("{POLY}-web.cfg"), format!("{NEIGHBOUR}-app.log"));
    assert!(listed(&[]).contains(&own) && listed(&[]).contains(&other));
    let of_device = listed(&["--mac", "00:04:F2:AA:BB:CC"]);
    assert!(of_device.contains(&own) && !of_device.contains(&other), "{of_device}");
    assert_eq!(uploads(&["show", &own]).succeeded().stdout, "web.cfg");
    assert_eq!(uploads(&["show", "--mac", NEIGHBOUR]).succeeded().stdout, "app.log");
    for refused in
        [&["show", "--mac", POLY][..], &["show", "none"], &["show", "../secret.txt"], &["show"], &["discard"]]
    {
        let refused = uploads(refused);
        assert!(refused.code != 0 && refused.stdout.is_empty() && !refused.stderr.is_empty(), "{refused:?}");
    }
    uploads(&["discard", &own]).succeeded();
    assert_eq!(scene.phone(&own).run().status, 404);
    uploads(&["discard", "--mac", POLY]).succeeded();
    assert!(!listed(&[]).contains(POLY) && listed(&[]).contains(&other));
    assert_ne!(uploads(&["discard", "--mac", POLY]).code, 0);
    assert_ne!(uploads(&["discard", "../../../files/acme/sip.cfg"]).code, 0);
    assert_eq!(scene.phone("sip.cfg").run().status, 200);
    // The running server takes the next upload as ever.
    put(POLY, "web.cfg");
    // A phone chose this name, which would turn the line around.
    put(NEIGHBOUR, "%E2%80%AEgol.log");
    let escaped = format!("{NEIGHBOUR}-\\u{{202e}}gol.log");
    assert!(listed(&[]).contains(&escaped), "{}", listed(&[]));
    assert!(uploads(&["show", "--mac", NEIGHBOUR]).stderr.contains(&escaped));
    assert!(uploads(&["discard", "--mac", NEIGHBOUR]).succeeded().stdout.contains(&escaped));
}

#[test]
fn a_vendors_pack_is_sorted_and_can_be_trusted_as_it_stands() {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    for (name, content) in [
        ("pack/poly.pem", deployment.poly.pem().to_owned()),
        ("pack/again/poly.crt", deployment.poly.pem().to_owned()),
        ("pack/both.pem", format!("{}{}", deployment.cisco.pem(), deployment.stranger.pem())),
        ("pack/leaf.pem", deployment.poly.common_name(POLY).certificate),
        ("pack/read\u{1b}me.txt", "Read me.".into()),
    ] {
        deployment.write(name, content);
    }
    let [pack, into] = ["pack", "imported"].map(|name| text(&deployment.path(name)));
    let said = run(BINARY, &["trust", "import", &pack, "--into", &into]).succeeded().stdout;
    for word in ["written", "duplicate", "leaf", "skipped", "read\\u{1b}me.txt", "anchors"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let written: Vec<_> = std::fs::read_dir(deployment.path("imported/anchors")).unwrap().collect();
    assert_eq!(written.len(), 3, "{said}");
    let again = run(BINARY, &["trust", "import", &pack, "--into", &into]).succeeded().stdout;
    assert!(again.contains("unchanged") && !again.lines().any(|line| line.starts_with("written")), "{again}");
    deployment.replace("provost.toml", "trust/poly.pem", "imported/anchors/*.pem");
    deployment.add(&scene::acme().https(""));
    let scene = Scene::start(deployment);
    assert_eq!(scene.phone(&format!("{POLY}.cfg")).run().status, 200);
}

/// `provost dhcp` for a tenant on addresses that nobody listens on.
fn dhcp(format: &str) -> Run {
    let deployment = Deployment::new();
    let https = format!("{TLS}server_names = [\"acme.example.net\"]\n");
    deployment.add(&scene::acme().listener_at("https", "https", "10.0.0.1:443", &https).listener_at(
        "tftp",
        "tftp",
        "10.0.0.1:69",
        "",
    ));
    let config = text(&deployment.config());
    run(BINARY, &["dhcp", "--config", &config, "--tenant", "acme", "--format", format])
}

#[test]
fn kea_options_are_json_with_comments() {
    let said = dhcp("kea").succeeded().stdout;
    // Kea takes comments; Python's parser does not.
    let json = "import json, sys\nlines = [l for l in sys.stdin if not l.lstrip().startswith('//')]\nprint(json.dumps(json.loads(''.join(lines))))";
    let parsed = run_with_input("python3", &["-c", json], said.as_bytes()).succeeded().stdout;
    let parsed: Value = serde_json::from_str(&parsed).unwrap();
    let data = parsed["option-data"].as_array().unwrap();
    let value = |name: &str| data.iter().find(|option| option["name"] == name).map(|option| &option["data"]);
    assert_eq!(value("tftp-server-name"), Some(&"https://acme.example.net/".into()), "{said}");
    assert_eq!(value("boot-server"), Some(&"https://acme.example.net/".into()), "{said}");
    assert_eq!(value("tftp-servers"), Some(&"10.0.0.1".into()), "{said}");
    for option in data {
        let known = ["tftp-server-name", "vendor-encapsulated-options"];
        let name = &option["name"];
        let defined = parsed["option-def"].as_array().unwrap().iter().any(|definition| &definition["name"] == name);
        assert!(defined || known.iter().any(|known| name == known), "{name} is not defined: {said}");
    }
}

#[test]
fn dhcp_options_are_written_for_each_server() {
    for (format, lines) in [
        (
            "isc",
            &[
                "option boot-server code 160 = string;",
                "option tftp-server-name \"https://acme.example.net/\";",
                "option tftp-servers 10.0.0.1;",
            ][..],
        ),
        ("dnsmasq", &["dhcp-option=66,\"https://acme.example.net/\"", "dhcp-option=150,10.0.0.1"]),
        ("mikrotik", &["/ip dhcp-server option add name=acme-66 code=66 value=\"s'https://acme.example.net/'\""]),
    ] {
        let said = dhcp(format).succeeded().stdout;
        for line in lines {
            assert!(said.lines().any(|found| found == *line), "{format}: {line}\n{said}");
        }
        for line in said.lines().filter(|line| !line.starts_with('#')) {
            assert!(line.matches('"').count() % 2 == 0, "{format}: {line}");
            let formed = match format {
                "isc" => line.starts_with("option ") && line.ends_with(';'),
                "dnsmasq" => line.starts_with("dhcp-option="),
                _ => line.starts_with("/ip dhcp-server option "),
            };
            assert!(formed, "{format}: {line}");
        }
    }
    assert_ne!(dhcp("windows").code, 0);
}

#[test]
fn dnsmasq_itself_takes_its_options() {
    if run("dnsmasq", &["--version"]).code != 0 {
        println!("skipped: dnsmasq is not installed");
        return;
    }
    let said = dhcp("dnsmasq").succeeded().stdout;
    let scratch = Scratch::new();
    let file = scratch.with("dnsmasq.conf", said.as_bytes());
    run("dnsmasq", &["--test", &format!("--conf-file={file}")]).succeeded();
}

#[test]
fn completions_offer_the_commands_that_help_shows() {
    let scratch = Scratch::new();
    run(BINARY, &["generate", "completions", "--into", &scratch.text("made")]).succeeded();
    let made = std::fs::read_dir(scratch.path("made")).unwrap().map(|entry| entry.unwrap().path());
    for path in made {
        let script = std::fs::read_to_string(&path).unwrap();
        assert!(script.contains("reload") && script.contains("accept-removals"), "{}", path.display());
        assert!(!script.contains("generate"), "{}", path.display());
    }
}
