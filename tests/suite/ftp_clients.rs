//! FTP with the clients that phones' makers and operators have: ncftp, busybox, wget, and lftp with whole trees.

use std::net::SocketAddr;

use crate::harness::clients::{Run, Scratch, lftp, run};
use crate::harness::scene::{self, Scene};

const LOG: &str = "0004f2aabbcc-app.log";

fn scene() -> Scene {
    let scene = Scene::of(&[scene::acme().listener("ftp", "").listener_at("six", "ftp", "[::1]:0", "")]);
    scene.deployment.write("files/acme/big.bin", big());
    for name in ["tree/one.txt", "tree/two words.txt", "tree/deep/three.txt", "tree/deep/er/four.txt"] {
        scene.deployment.write(&format!("files/acme/{name}"), name);
    }
    scene
}

fn big() -> Vec<u8> {
    (0..1_000_003_u32).map(|number| (number % 241).to_le_bytes()[0]).collect()
}

fn stored(scene: &Scene) -> String {
    std::fs::read_to_string(scene.deployment.upload("acme", LOG)).unwrap_or_default()
}

/// Runs a program with the login and the port that its options name.
fn client(program: &str, server: SocketAddr, options: &[&str], rest: &[&str]) -> Run {
    let port = server.port().to_string();
    let mut arguments = options.to_vec();
    arguments.extend(["-P", &port, "-u", "a", "-p", "b"]);
    arguments.extend(rest);
    run(program, &arguments)
}

#[test]
fn ncftp_reads_writes_resumes_and_takes_whole_trees() {
    let scene = scene();
    let server = scene.server.address("acme", "ftp");
    for mode in ["-F", "-E"] {
        let local = Scratch::new();
        let folder = local.text(".");
        client("ncftpget", server, &["-V", mode], &["127.0.0.1", &folder, "big.bin"]).succeeded();
        assert!(local.read("big.bin") == big(), "{mode}");
        std::fs::write(local.path("big.bin"), &big()[..400_000]).unwrap();
        client("ncftpget", server, &["-V", mode, "-z"], &["127.0.0.1", &folder, "big.bin"]).succeeded();
        assert!(local.read("big.bin") == big(), "{mode} resumed");
        client("ncftpget", server, &["-V", mode, "-R", "-T"], &["127.0.0.1", &folder, "tree"]).succeeded();
        assert_eq!(local.read("tree/deep/er/four.txt"), b"tree/deep/er/four.txt", "{mode}");
        assert_eq!(local.read("tree/two words.txt"), b"tree/two words.txt", "{mode}");
        let log = local.with(LOG, b"by ncftp");
        client("ncftpput", server, &["-V", mode], &["127.0.0.1", "/", &log]).succeeded();
        assert_eq!(stored(&scene), "by ncftp", "{mode}");
        client("ncftpput", server, &["-V", mode, "-A"], &["127.0.0.1", "/", &log]).succeeded();
        assert_eq!(stored(&scene), "by ncftpby ncftp", "{mode} appended");
        let listed = client("ncftpls", server, &[mode, "-l"], &[&format!("ftp://127.0.0.1:{}/tree/", server.port())])
            .succeeded();
        assert!(listed.stdout.contains("two words.txt") && listed.stdout.contains("deep"), "{listed:?}");
    }
}

#[test]
fn busybox_reads_resumes_and_writes() {
    let scene = scene();
    let server = scene.server.address("acme", "ftp");
    let local = Scratch::new();
    let got = local.text("got");
    let busybox = |applet: &str, options: &[&str], rest: &[&str]| {
        let applet = [&[applet], options].concat();
        client("busybox", server, &applet, rest).succeeded();
    };
    busybox("ftpget", &[], &["127.0.0.1", &got, "big.bin"]);
    assert!(local.read("got") == big());
    std::fs::write(local.path("got"), &big()[..400_000]).unwrap();
    busybox("ftpget", &["-c"], &["127.0.0.1", &got, "big.bin"]);
    assert!(local.read("got") == big(), "resumed");
    busybox("ftpput", &[], &["127.0.0.1", LOG, &local.with("log", b"by busybox")]);
    assert_eq!(stored(&scene), "by busybox");
}

#[test]
fn wget_reads_resumes_and_takes_whole_trees() {
    let scene = scene();
    for listener in ["ftp", "six"] {
        let server = scene.server.address("acme", listener);
        let local = Scratch::new();
        let (got, folder) = (local.text("got"), local.text("."));
        let url = format!("ftp://a:b@{server}");
        let wget = |arguments: &[&str]| run("wget", &[&["-q", "--tries=1", "--timeout=60"], arguments].concat());
        wget(&["-O", &got, &format!("{url}/big.bin")]).succeeded();
        assert!(local.read("got") == big(), "{listener}");
        local.with("big.bin", &big()[..400_000]);
        wget(&["-c", "-P", &folder, &format!("{url}/big.bin")]).succeeded();
        assert!(local.read("big.bin") == big(), "{listener} resumed");
        wget(&["-r", "-nH", "-P", &folder, &format!("{url}/tree/")]).succeeded();
        assert_eq!(local.read("tree/deep/er/four.txt"), b"tree/deep/er/four.txt", "{listener}");
        wget(&["--no-passive-ftp", "-O", &got, &format!("{url}/sip.cfg")]).succeeded();
        assert_eq!(local.read("got"), b"acme sip.cfg\n", "{listener} active");
    }
}

#[test]
fn lftp_mirrors_by_list_and_by_facts() {
    let scene = scene();
    for listener in ["ftp", "six"] {
        for settings in ["set ftp:use-mlsd yes", "set ftp:use-mlsd no", "set ftp:passive-mode no"] {
            let local = Scratch::new();
            let commands = format!("{settings}; mirror --parallel=4 tree {}", local.text("tree"));
            lftp(scene.server.address("acme", listener), "a,b", &commands).succeeded();
            for name in ["one.txt", "two words.txt", "deep/three.txt", "deep/er/four.txt"] {
                let name = format!("tree/{name}");
                assert_eq!(local.read(&name), name.as_bytes(), "{listener} {settings} {name}");
            }
        }
    }
}
