//! Large files and little memory.

use std::net::SocketAddr;

use crate::harness::clients::{run, text};
use crate::harness::deployment::Tenant;
use crate::harness::scene::{self, POLY, Scene};
use crate::harness::server::Server;
use crate::harness::tftp_client::TftpClient;

const GIBIBYTE: u64 = 1 << 30;
/// What serving may add to the peak of the resident memory, whatever the size of the file, in KiB.
const ALLOWANCE: u64 = 8 * 1024;
/// What TFTP keeps of files for all its transfers, in KiB (`serve.cache`).
const CACHE: u64 = 32 * 1024;

fn scene() -> Scene {
    let listeners = |tenant: Tenant| tenant.https("").listener("tftp", "").listener("ftp", "");
    let scene = Scene::of(&[listeners(scene::acme()), listeners(scene::globex())]);
    let huge = std::fs::File::create(scene.deployment.path("shared/huge.bin")).unwrap();
    huge.set_len(GIBIBYTE).unwrap();
    scene
}

/// The peak that `work` adds, in KiB.
fn peak(server: &Server, work: impl FnOnce()) -> u64 {
    let before = server.memory("VmRSS");
    work();
    server.memory("VmHWM").saturating_sub(before)
}

fn curl_counts(arguments: &[&str]) {
    let arguments = [&["-sS", "-o", "/dev/null", "-w", "%{size_download}"], arguments].concat();
    assert_eq!(run("curl", &arguments).succeeded().stdout, GIBIBYTE.to_string());
}

#[test]
fn a_gibibyte_over_https_needs_no_memory_of_its_size() {
    let scene = scene();
    let [ca, certificate, key] = ["tls/ca.pem".to_owned(), format!("device/{POLY}.pem"), format!("device/{POLY}.key")]
        .map(|name| text(&scene.deployment.path(&name)));
    let url = scene.url("https", "acme", "huge.bin");
    let added = peak(&scene.server, || curl_counts(&["--cacert", &ca, "--cert", &certificate, "--key", &key, &url]));
    assert!(added < ALLOWANCE, "{added} KiB");
}

#[test]
fn a_gibibyte_over_ftp_needs_no_memory_of_its_size() {
    let scene = scene();
    let url = scene.url("ftp", "acme", "huge.bin");
    let added = peak(&scene.server, || curl_counts(&[&url]));
    assert!(added < ALLOWANCE, "{added} KiB");
}

#[test]
fn a_gibibyte_over_tftp_needs_no_memory_of_its_size() {
    let scene = scene();
    let address: SocketAddr = scene.server.address("acme", "tftp");
    let added = peak(&scene.server, || {
        let options = [("blksize", "65464"), ("tsize", "0")];
        let (length, granted) = TftpClient::new(address).fetch("huge.bin", "octet", &options, |_| {}).unwrap();
        assert_eq!(length, GIBIBYTE);
        assert!(granted.contains(&("tsize".into(), GIBIBYTE.to_string())), "{granted:?}");
    });
    assert!(added < ALLOWANCE + CACHE, "{added} KiB");
}

#[test]
fn an_idle_server_of_two_tenants_is_small() {
    let scene = scene();
    // What the server takes for itself is anonymous: some 3 MiB. The rest of the 20 MiB that an idle server may have is the
    // binary, mapped from its file, which is larger here than in a release build.
    let anonymous = scene.server.memory("RssAnon");
    assert!(anonymous < 8 * 1024, "{anonymous} KiB");
}
