//! TFTP with the clients that are installed everywhere: tftp-hpa and atftp, both ways.

use std::net::SocketAddr;

use crate::harness::clients::{Scratch, atftp, run, tftp_hpa};
use crate::harness::scene::{self, NEIGHBOUR, POLY, Scene, UNLISTED};

fn scene() -> Scene {
    let scene = Scene::of(&[scene::acme().listener("tftp", "")]);
    scene.deployment.write(&format!("files/acme/{POLY}-big.bin"), big());
    scene.deployment.write("files/acme/text.cfg", "one\ntwo\r\nthree\rfour\n");
    scene
}

/// More than a hundred blocks, and no multiple of any block size used here.
fn big() -> Vec<u8> {
    (0..100_003_u32).flat_map(|number| [(number % 251).to_le_bytes()[0]]).collect()
}

fn address(scene: &Scene) -> SocketAddr {
    scene.server.address("acme", "tftp")
}

#[test]
fn tftp_hpa_reads_what_a_listed_device_may_read() {
    let scene = scene();
    let to = Scratch::new();
    for (name, content) in [
        (format!("{POLY}.cfg"), format!("acme file of {POLY}\n").into_bytes()),
        (format!("/{}.cfg", POLY.to_uppercase()), format!("acme file of {POLY}\n").into_bytes()),
        ("sip.cfg".into(), b"acme sip.cfg\n".to_vec()),
        ("/sub/site.cfg".into(), b"acme sub/site.cfg\n".to_vec()),
        (r"sub\site.cfg".into(), b"acme sub/site.cfg\n".to_vec()),
        ("3111-44500-001.sip.ld".into(), b"firmware\n".to_vec()),
        (format!("{POLY}-big.bin"), big()),
    ] {
        tftp_hpa(address(&scene), "binary", "get", &name, &to.text("got")).succeeded();
        assert!(to.read("got") == content, "{name}");
    }
}

#[test]
fn tftp_hpa_is_told_at_once_that_there_is_no_file() {
    let scene = scene();
    let to = Scratch::new();
    for name in [
        "none.cfg".to_owned(),
        format!("{POLY}-license.cfg"),
        format!("{UNLISTED}.cfg"),
        format!("{UNLISTED}-license.cfg"),
        "sub".into(),
    ] {
        let run = tftp_hpa(address(&scene), "binary", "get", &name, &to.text("got"));
        let said = format!("{}{}", run.stdout, run.stderr);
        assert!(said.contains("Error code 1"), "{name}: {run:?}");
    }
}

#[test]
fn atftp_reads_with_every_option() {
    let scene = scene();
    let to = Scratch::new();
    for options in [
        &[][..],
        &["blksize 1428"],
        &["blksize 8"],
        &["blksize 65464"],
        &["tsize"],
        &["timeout 3"],
        &["blksize 1428", "windowsize 8"],
        &["blksize 512", "windowsize 64"],
        &["tsize", "blksize 1024", "timeout 2", "windowsize 4"],
    ] {
        // Eight-byte blocks over a hundred thousand bytes are fine; atftp does not mind.
        atftp(address(&scene), options, true, &format!("{POLY}-big.bin"), &to.path("got")).succeeded();
        assert!(to.read("got") == big(), "{options:?}");
    }
}

#[test]
fn netascii_is_translated_on_the_wire_and_back() {
    let scene = scene();
    let to = Scratch::new();
    // tftp-hpa translates back, so that its file is what the server has.
    tftp_hpa(address(&scene), "netascii", "get", "text.cfg", &to.text("got")).succeeded();
    assert_eq!(String::from_utf8_lossy(&to.read("got")), "one\ntwo\r\nthree\rfour\n");
    let log = format!("{POLY}-app.log");
    let from = to.with("log", b"line one\nline two\n");
    tftp_hpa(address(&scene), "netascii", "put", &from, &log).succeeded();
    let stored = std::fs::read_to_string(scene.deployment.upload("acme", &log)).unwrap();
    assert_eq!(stored, "line one\nline two\n");
}

#[test]
fn a_log_is_taken_and_settings_are_not() {
    let scene = scene();
    let from = Scratch::new();
    let content = big();
    let local = from.with("log", &content);
    let log = format!("{POLY}-app.log");
    tftp_hpa(address(&scene), "binary", "put", &local, &log).succeeded();
    assert!(std::fs::read(scene.deployment.upload("acme", &log)).unwrap() == content);
    for options in [&["blksize 1428"][..], &["tsize", "timeout 2"], &["blksize 1428", "windowsize 8"]] {
        std::fs::remove_file(scene.deployment.upload("acme", &log)).unwrap();
        atftp(address(&scene), options, false, &log, &from.path("log")).succeeded();
        assert!(std::fs::read(scene.deployment.upload("acme", &log)).unwrap() == content, "{options:?}");
    }
    // Nothing that could not prove its address may change what a user set, nor write for a device that is not known:
    // and it hears the same in each case.
    let said: Vec<String> = [
        format!("{POLY}-web.cfg"),
        format!("{NEIGHBOUR}-phone.cfg"),
        format!("{UNLISTED}-web.cfg"),
        format!("{UNLISTED}-app.log"),
        "sip.cfg".into(),
    ]
    .iter()
    .map(|name| {
        let run = tftp_hpa(address(&scene), "binary", "put", &local, name);
        format!("{}{}", run.stdout, run.stderr)
    })
    .collect();
    assert!(said.iter().all(|text| text.contains("Error code 2")), "{said:?}");
    assert!(!scene.deployment.upload("acme", &format!("{POLY}-web.cfg")).exists());
}

#[test]
fn a_log_of_nobody_takes_no_folder_of_the_name_of_a_phones_settings() {
    let rule = "[[rule]]\npath = \"{mac}/settings.xml\"\nkind = \"settings\"\nread = \"own\"\nwrite = \"own\"\n";
    let scene = Scene::of(&[scene::acme().https("").listener("tftp", "").table(rule)]);
    let from = Scratch::new();
    let local = from.with("log", b"log\n");
    let put = |name: &str| tftp_hpa(address(&scene), "binary", "put", &local, name);
    let refused = put(&format!("{POLY}/settings.xml/{POLY}-x.log"));
    assert!(format!("{}{}", refused.stdout, refused.stderr).contains("Error code 2"), "{refused:?}");
    scene.server.record(&[("protocol", "tftp"), ("reason", "unstorable")]);
    put(&format!("{POLY}/logs/{POLY}-x.log")).succeeded();
    let settings = format!("{POLY}/settings.xml");
    assert_eq!(scene.phone(&settings).upload(b"<set/>").run().status, 201);
    assert_eq!(scene.phone(&settings).run().text(), "<set/>");
}

#[test]
fn curl_reads_and_writes() {
    let scene = scene();
    let to = Scratch::new();
    let url = |name: &str| format!("tftp://{}/{name}", address(&scene));
    for options in [&[][..], &["--tftp-no-options"], &["--tftp-blksize", "1428"], &["--tftp-blksize", "65464"]] {
        let (got, from) = (to.text("got"), url(&format!("{POLY}-big.bin")));
        let arguments = [options, &["-sS", "-o", &got, &from]].concat();
        run("curl", &arguments).succeeded();
        assert!(to.read("got") == big(), "{options:?}");
    }
    let local = to.with("log", b"by curl");
    run("curl", &["-sS", "-T", &local, &url(&format!("{POLY}-boot.log"))]).succeeded();
    let stored = std::fs::read(scene.deployment.upload("acme", &format!("{POLY}-boot.log"))).unwrap();
    assert_eq!(stored, b"by curl");
    // CURLE_TFTP_NOTFOUND and CURLE_TFTP_PERM.
    assert_eq!(run("curl", &["-sS", "-o", &to.text("got"), &url("none.cfg")]).code, 68);
    assert_eq!(run("curl", &["-sS", "-T", &local, &url(&format!("{POLY}-web.cfg"))]).code, 69);
}
