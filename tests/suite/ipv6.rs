//! The same over IPv6: `[::1]` for https, http, TFTP and FTP.

use std::net::UdpSocket;

use crate::harness::clients::{Curl, Scratch, ftplib, lftp, run};
use crate::harness::deployment::TLS;
use crate::harness::scene::{self, NEIGHBOUR, POLY, Scene, UNLISTED};
use crate::harness::tftp_client::{Packet, TftpClient};

fn scene() -> Scene {
    let at = "[::1]:0";
    Scene::of(&[scene::acme()
        .listener_at("https", "https", at, TLS)
        .listener_at("http", "http", at, "")
        .listener_at("tftp", "tftp", at, "")
        .listener_at("ftp", "ftp", at, "")
        .listener_at("narrow", "http", at, "allow = [\"127.0.0.0/8\"]\n")])
}

#[test]
fn https_and_http_serve() {
    let scene = scene();
    for (path, status) in [(format!("{POLY}.cfg"), 200), (format!("{NEIGHBOUR}.cfg"), 403), ("sip.cfg".into(), 200)] {
        let reply = scene.at("https", POLY, &path).run();
        assert_eq!(reply.status, status, "{path}: {reply:?}");
    }
    let record = scene.server.record(&[("protocol", "https"), ("outcome", "served")]);
    assert!(record["client"].as_str().unwrap().contains("::1"), "{record}");
    let http = |listener: &str| format!("http://{}/sip.cfg", scene.server.address("acme", listener));
    assert_eq!(Curl::new(http("http")).run().text(), "acme sip.cfg\n");
    assert_eq!(Curl::new(http("narrow")).run().status, 0);
    scene.server.record(&[("listener", "narrow"), ("reason", "outside_listener")]);
}

#[test]
fn tftp_serves() {
    let scene = scene();
    let address = scene.server.address("acme", "tftp");
    let client = || TftpClient::on(UdpSocket::bind("[::1]:0").unwrap(), address);
    let big: Vec<u8> = (0..70_000_u32).flat_map(|number| [(number % 251).to_le_bytes()[0]]).collect();
    scene.deployment.write("files/acme/big.bin", &big);
    assert!(client().get("big.bin", "octet", &[("blksize", "1428"), ("windowsize", "8")]).unwrap().content == big);
    assert!(matches!(client().get(&format!("{UNLISTED}.cfg"), "octet", &[]), Err(Packet::Error(1, _))));
    let to = Scratch::new();
    let (ip, port) = (address.ip().to_string(), address.port().to_string());
    run("tftp", &["-6", "-m", "binary", &ip, &port, "-c", "get", "sip.cfg", &to.text("got")]).succeeded();
    assert_eq!(to.read("got"), b"acme sip.cfg\n");
    let local = to.with("log", b"a log by IPv6");
    let log = format!("{POLY}-boot.log");
    run("tftp", &["-6", "-m", "binary", &ip, &port, "-c", "put", &local, &log]).succeeded();
    assert_eq!(std::fs::read(scene.deployment.upload("acme", &log)).unwrap(), b"a log by IPv6");
}

#[test]
fn ftp_serves_by_epsv_and_eprt() {
    let scene = scene();
    let address = scene.server.address("acme", "ftp");
    let url = format!("ftp://{address}/sip.cfg");
    for way in [&[][..], &["--disable-epsv"], &["--ftp-port", "-"]] {
        let reply = Curl::new(&url).args(["-u", "a:b"]).args(way.iter().copied()).run();
        assert_eq!((reply.code, reply.text().as_str()), (0, "acme sip.cfg\n"), "{way:?}: {reply:?}");
    }
    let listed = lftp(address, "a,b", "cls -1").succeeded().stdout;
    assert!(listed.contains("sip.cfg"), "{listed}");
    // PASV has no room for such an address (RFC 2428 section 1); the connection outlives the question.
    let script = "ftp.login('a', 'b')\ntry:\n    print(ftp.sendcmd('PASV'))\nexcept ftplib.all_errors as error:\n    print(error)\nprint(ftp.sendcmd('EPSV'))";
    let said = ftplib(address, script).succeeded().stdout;
    let codes: Vec<&str> = said.lines().map(|line| line.get(..3).unwrap_or_default()).collect();
    assert!(matches!(codes[..], ["425" | "501" | "502" | "522", "229"]), "{said}");
}
