//! The same over IPv6: `[::1]` for https, http, TFTP and FTP.

use std::net::{SocketAddr, TcpStream, UdpSocket};

use crate::harness::clients::{Curl, Scratch, ftplib, lftp, run, text};
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

#[test]
fn the_wildcard_of_ipv6_serves_both_and_knows_an_ipv4_phone_as_one() {
    let at = "[::]:0";
    let scene = Scene::of(&[scene::acme()
        .listener_at("https", "https", at, TLS)
        .listener_at("http", "http", at, "")
        .listener_at("v4", "http", at, "allow = [\"127.0.0.0/8\"]\n")
        .listener_at("v6", "http", at, "allow = [\"::1\"]\n")
        .listener_at("tftp", "tftp", at, "")
        .listener_at("ftp", "ftp", at, "")]);
    let at = |host: &str, listener: &str| format!("{host}:{}", scene.server.port("acme", listener));
    let [pem, key] = scene.deployment.pair(POLY);
    for (host, client) in [("127.0.0.1", "127.0.0.1:"), ("[::1]", "[::1]:")] {
        let https = Curl::new(format!("https://{}/{POLY}.cfg", at(host, "https")));
        let ca = text(&scene.deployment.path("tls/ca.pem"));
        let reply = https.args(["--cacert", &ca, "--cert", &pem, "--key", &key]).run();
        assert_eq!(reply.text(), format!("acme file of {POLY}\n"), "{host}: {reply:?}");
        assert_eq!(Curl::new(format!("http://{}/sip.cfg", at(host, "http"))).run().text(), "acme sip.cfg\n");
        let ftp = Curl::new(format!("ftp://{}/sip.cfg", at(host, "ftp"))).args(["-u", "a:b"]).run();
        assert_eq!(ftp.text(), "acme sip.cfg\n", "{host}: {ftp:?}");
        let local = UdpSocket::bind(if client.starts_with('[') { "[::1]:0" } else { "127.0.0.1:0" }).unwrap();
        let tftp = TftpClient::on(local, at(host, "tftp").parse().unwrap());
        assert_eq!(tftp.get("sip.cfg", "octet", &[]).unwrap().content, b"acme sip.cfg\n", "{host}");
        for protocol in ["https", "http", "ftp", "tftp"] {
            scene.server.record_from(client, &[("listener", protocol), ("outcome", "served")]);
        }
        let reached = ["v4", "v6"].map(|only| Curl::new(format!("http://{}/sip.cfg", at(host, only))).run().status);
        assert_eq!(reached, if client.starts_with('[') { [0, 200] } else { [200, 0] }, "{host}");
    }
}

#[test]
fn an_address_of_ipv6_alone_takes_no_ipv4() {
    let scene = scene();
    for listener in ["https", "http", "ftp"] {
        let address = SocketAddr::from(([127, 0, 0, 1], scene.server.port("acme", listener)));
        TcpStream::connect(address).map(|_| panic!("{listener} answers at {address}")).unwrap_err();
    }
}
