//! TFTP transfers that answer from the listening port, for firewalls that let nothing else pass.

use std::net::SocketAddr;

use crate::harness::clients::{Scratch, atftp, run, text, tftp_hpa};
use crate::harness::scene::{self, POLY, Scene};
use crate::harness::server::BINARY;
use crate::harness::tftp_client::{Packet, TftpClient};

const LISTENING: &str = "transfer_ports = \"listening\"";

/// More than a hundred blocks, and no multiple of any block size used here.
fn big() -> Vec<u8> {
    (0..100_003_u32).map(|number| (number % 251).to_le_bytes()[0]).collect()
}

fn scene(more: &str) -> (Scene, SocketAddr) {
    let scene = Scene::of(&[scene::acme().listener("tftp", more)]);
    scene.deployment.write(&format!("files/acme/{POLY}-big.bin"), big());
    let address = scene.server.address("acme", "tftp");
    (scene, address)
}

fn reload(scene: &Scene) -> String {
    run(BINARY, &["reload", "--config", &text(&scene.deployment.config())]).succeeded().stdout
}

#[test]
fn the_usual_clients_read_and_write() {
    let (scene, server) = scene(LISTENING);
    let to = Scratch::new();
    let (name, log) = (format!("{POLY}-big.bin"), format!("{POLY}-app.log"));
    let local = to.with("log", &big());
    let stored = |by: &str| {
        let path = scene.deployment.upload("acme", &log);
        assert!(std::fs::read(&path).unwrap() == big(), "{by}");
        std::fs::remove_file(path).unwrap();
    };
    tftp_hpa(server, "binary", "get", &name, &to.text("got")).succeeded();
    assert!(to.read("got") == big());
    tftp_hpa(server, "binary", "put", &local, &log).succeeded();
    stored("tftp-hpa");
    for options in [&[][..], &["blksize 1428", "windowsize 16"], &["blksize 65464"], &["tsize", "timeout 2"]] {
        atftp(server, options, true, &name, &to.path("got")).succeeded();
        assert!(to.read("got") == big(), "{options:?}");
        atftp(server, options, false, &log, &to.path("log")).succeeded();
        stored("atftp");
    }
    let url = |name: &str| format!("tftp://{server}/{name}");
    run("curl", &["-sS", "--tftp-blksize", "8192", "-o", &to.text("got"), &url(&name)]).succeeded();
    assert!(to.read("got") == big());
    run("curl", &["-sS", "-T", &local, &url(&log)]).succeeded();
    stored("curl");
    assert_eq!(run("curl", &["-sS", "-o", &to.text("got"), &url("none.cfg")]).code, 68);
}

#[test]
fn a_reload_changes_the_ports_and_a_listener_that_goes_frees_its_own() {
    let (scene, server) = scene("");
    let from = |client: &TftpClient| {
        client.read_request(&format!("{POLY}-big.bin"), "octet", &[]);
        match client.receive() {
            (Packet::Data(1, _), from) => from,
            other => panic!("{other:?}"),
        }
    };
    let [first, second] = [(); 2].map(|()| TftpClient::new(server));
    let own = from(&first);
    assert_ne!(own, server);
    scene.deployment.replace(
        "tenants.d/acme.toml",
        "protocol = \"tftp\"",
        &format!("protocol = \"tftp\"\n{LISTENING}"),
    );
    reload(&scene);
    assert_eq!(from(&second), server);
    second.acknowledge(1, server);
    assert!(matches!(second.receive(), (Packet::Data(2, _), from) if from == server));
    first.acknowledge(1, own);
    assert!(matches!(first.receive(), (Packet::Data(2, _), from) if from == own), "it goes on where it began");

    scene.deployment.replace("tenants.d/acme.toml", LISTENING, &format!("{LISTENING}\nenabled = false"));
    reload(&scene);
    assert!(!scene.server.waits_at(server));
}
