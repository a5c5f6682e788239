//! Sockets of the service manager: what comes while no server runs is served by the next one, and one server hands over to
//! another without a phone noticing.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Instant;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::DEADLINE;
use crate::harness::activation::Sockets;
use crate::harness::clients::{Curl, Run, run, text};
use crate::harness::deployment::{Deployment, TLS};
use crate::harness::networks::{self, Host, ip};
use crate::harness::scene::{self, POLY};
use crate::harness::server::BINARY;
use crate::harness::tftp_client::{Packet, TftpClient};
use crate::harness::tls_client;

/// More than the sockets on both sides hold, so that its transfer runs until it is read.
const LARGE: usize = 32 * 1024 * 1024;

/// Where the sockets are that were passed.
struct Addresses {
    https: SocketAddr,
    http: SocketAddr,
    ftp: SocketAddr,
    tftp: SocketAddr,
}

/// Acme at sockets that nobody serves yet.
fn passed() -> (Deployment, Sockets, Addresses) {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    deployment.certificate(POLY, &deployment.poly.common_name(POLY.to_uppercase()));
    let mut sockets = Sockets::default();
    let at = Addresses {
        https: sockets.tcp("phones"),
        http: sockets.tcp("web"),
        ftp: sockets.tcp("ftp"),
        tftp: sockets.udp("boot"),
    };
    let mut tenant = scene::acme();
    for (protocol, address, more) in
        [("https", at.https, TLS), ("http", at.http, ""), ("ftp", at.ftp, ""), ("tftp", at.tftp, "")]
    {
        tenant = tenant.listener_at(protocol, protocol, &address.to_string(), more);
    }
    deployment.add(&tenant);
    (deployment, sockets, at)
}

fn provost(deployment: &Deployment, arguments: &[&str]) -> Run {
    run(BINARY, &[arguments, &["--config", &text(&deployment.config())]].concat())
}

fn status(deployment: &Deployment) -> Value {
    let run = provost(deployment, &["status", "--json"]);
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"))
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

fn ask(stream: &mut TcpStream, path: &str) {
    stream.write_all(format!("GET /{path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
}

fn answer(mut stream: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let header = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    answer.split_off(header + 4)
}

/// An FTP session by hand.
struct Session(BufReader<TcpStream>);

impl Session {
    fn reply(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    fn say(&mut self, command: &str) -> String {
        self.0.get_mut().write_all(format!("{command}\r\n").as_bytes()).unwrap();
        self.reply()
    }

    fn log_in(&mut self) {
        assert!(self.reply().starts_with("220"));
        assert!(self.say("USER a").starts_with("331"));
        assert!(self.say("PASS b").starts_with("230"));
        assert!(self.say("TYPE I").starts_with("200"));
    }

    /// Fetches a file by a passive data connection.
    fn fetch(&mut self, name: &str) -> String {
        let passive = self.say("EPSV");
        let port = passive.split('|').nth(3).and_then(|port| port.parse().ok()).expect("a port");
        let mut data = connect(SocketAddr::new(self.0.get_ref().peer_addr().unwrap().ip(), port));
        assert!(self.say(&format!("RETR {name}")).starts_with("150"));
        let mut content = String::new();
        data.read_to_string(&mut content).unwrap();
        assert!(self.reply().starts_with("226"));
        content
    }
}

#[test]
fn what_comes_while_no_server_runs_is_served_after_the_start() {
    let (deployment, sockets, at) = passed();
    // Before the first start, and between two.
    for _ in 0..2 {
        let mut https = tls_client::handshake(&deployment, connect(at.https), POLY);
        let mut http = connect(at.http);
        ask(&mut http, "sip.cfg");
        let mut ftp = Session(BufReader::new(connect(at.ftp)));
        let tftp = TftpClient::new(at.tftp);
        tftp.read_request("sip.cfg", "octet", &[]);

        let server = sockets.start(&deployment.config());
        assert_eq!(answer(http), b"acme sip.cfg\n");
        let answer = tls_client::ask(&mut https, &format!("GET /{POLY}.cfg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"));
        assert!(answer.ends_with(&format!("acme file of {POLY}\n")), "{answer}");
        ftp.log_in();
        assert_eq!(ftp.fetch("sip.cfg"), "acme sip.cfg\n");
        let (packet, from) = tftp.receive();
        assert_eq!(packet, Packet::Data(1, b"acme sip.cfg\n".to_vec()));
        tftp.acknowledge(1, from);

        let status = status(&deployment);
        for listener in status.pointer("/tenants/0/listeners").and_then(Value::as_array).unwrap() {
            assert_eq!((&listener["state"], &listener["socket"]), (&"up".into(), &"passed".into()), "{listener}");
        }
        assert_eq!(status["unused_sockets"], serde_json::json!([]));
        assert_eq!(provost(&deployment, &["status"]).code, 0);
        drop((https, ftp));
        assert!(server.stop().0.success());
    }
}

#[test]
fn one_server_ends_what_it_has_begun_while_the_next_one_serves() {
    let (deployment, sockets, at) = passed();
    deployment.write("files/acme/large.bin", vec![b'x'; LARGE]);
    deployment.replace("provost.toml", "[admin]\n", "[admin]\nmetrics = \"127.0.0.1:0\"\n");
    let former = sockets.start(&deployment.config());
    let metrics = former.event("metrics")["address"].as_str().unwrap().to_owned();
    deployment.replace("provost.toml", "127.0.0.1:0", &metrics);
    let mut download = connect(at.http);
    ask(&mut download, "large.bin");
    let mut first = [0];
    download.read_exact(&mut first).unwrap();
    let tftp = TftpClient::new(at.tftp);
    tftp.read_request("large.bin", "octet", &[("blksize", "1024")]);
    let (options, transfer) = tftp.receive();
    assert_eq!(options, Packet::Options(vec![("blksize".into(), "1024".into())]));
    // Neither of these has a request under way: the phone is between two commands, or has not spoken yet.
    let mut ftp = Session(BufReader::new(connect(at.ftp)));
    ftp.log_in();

    former.signal(Signal::TERM);
    former.event("accepts nothing more");
    let waiting = connect(at.http);
    let next = sockets.start(&deployment.config());
    // The next one serves what has come since, and whoever comes now.
    let mut waiting = waiting;
    ask(&mut waiting, "sip.cfg");
    assert_eq!(answer(waiting), b"acme sip.cfg\n");
    let fetched = TftpClient::new(at.tftp).get("sip.cfg", "octet", &[]).map(|fetched| fetched.content);
    assert_eq!(fetched, Ok(b"acme sip.cfg\n".to_vec()));
    for (protocol, count) in [("http", 1), ("tftp", 1)] {
        next.records(&[("protocol", protocol), ("outcome", "served")], count);
    }
    // The former one ends what is its own.
    assert_eq!(ftp.fetch("sip.cfg"), "acme sip.cfg\n");
    drop(ftp);
    tftp.acknowledge(0, transfer);
    assert_eq!(tftp.receive_after(&options), (Packet::Data(1, vec![b'x'; 1024]), transfer));
    tftp.send(&[0, 5, 0, 0, b'.', 0], transfer);
    assert_eq!(answer(download).len(), LARGE);
    let (status_of_end, records) = former.ended();
    assert!(status_of_end.success());
    let served = |protocol: &str| {
        let served = |record: &&Value| record["protocol"] == protocol && record["outcome"] == "served";
        records.iter().filter(served).count()
    };
    assert_eq!((served("http"), served("ftp")), (1, 1), "{records:?}");
    // The admin socket is the next one's as soon as the former has gone.
    let until = Instant::now() + DEADLINE;
    while provost(&deployment, &["status"]).code != 0 {
        assert!(Instant::now() < until, "the next server never took the admin socket");
    }
    assert_eq!(status(&deployment)["pid"], next.id());
    assert_eq!(next.event("metrics")["address"], metrics);
    assert_eq!(Curl::new(format!("http://{metrics}/metrics")).run().status, 200);
}

#[test]
fn a_connection_that_has_not_asked_yet_is_served_before_the_server_ends() {
    let (deployment, sockets, at) = passed();
    let server = sockets.start(&deployment.config());
    let mut late = connect(at.http);
    let until = Instant::now() + DEADLINE;
    while status(&deployment).pointer("/tenants/0/connections").and_then(Value::as_u64) != Some(1) {
        assert!(Instant::now() < until, "the connection was never accepted");
    }
    server.signal(Signal::TERM);
    server.event("accepts nothing more");
    ask(&mut late, "sip.cfg");
    assert_eq!(answer(late), b"acme sip.cfg\n");
    assert!(server.ended().0.success());
}

#[test]
fn a_socket_that_no_listener_has_is_told_and_closed() {
    let (deployment, mut sockets, at) = passed();
    let (tcp, udp) = (sockets.tcp("old-web"), sockets.udp("old-boot"));
    let local = deployment.path("local.sock");
    sockets.add("local", UnixListener::bind(&local).unwrap());
    sockets.add("connection", connect(at.http));
    let server = sockets.start(&deployment.config());
    let said = status(&deployment)["unused_sockets"].clone();
    let said: Vec<&str> = said.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let unused = "no listener has this address and network";
    assert_eq!(
        said,
        [
            "local (descriptor 9): it is no TCP or UDP socket",
            "connection (descriptor 10): it does not listen (a unit with `Accept=yes`?)",
            &format!("old-web (TCP {tcp}): {unused}"),
            &format!("old-boot (UDP {udp}): {unused}"),
        ]
    );
    let table = provost(&deployment, &["status"]);
    assert_eq!(table.code, 1);
    assert!(table.stdout.contains(&format!("a passed socket was closed: old-web (TCP {tcp})")), "{}", table.stdout);
    assert!(table.stdout.contains("up, passed"), "{}", table.stdout);
    server.event("a passed socket is closed");
    assert!(server.waits_at(at.http) && server.waits_at(at.tftp));
    assert!(!server.waits_at(tcp) && !server.waits_at(udp));
    // Nobody has it open any more once the service manager has not, nor a process that another test is just starting.
    drop(sockets);
    let until = Instant::now() + DEADLINE;
    while UnixStream::connect(&local).is_ok() {
        assert!(Instant::now() < until, "the server has it open");
        std::thread::yield_now();
    }
    assert_eq!(Curl::new(format!("http://{}/sip.cfg", at.http)).run().text(), "acme sip.cfg\n");
}

#[test]
fn a_reload_keeps_passed_sockets_and_moves_them_with_their_address() {
    let (deployment, sockets, at) = passed();
    deployment.add(&scene::globex().listener("tftp", ""));
    let server = sockets.start(&deployment.config());
    let read = || Curl::new(format!("http://{}/sip.cfg", at.http)).run().text();
    deployment.replace("tenants.d/acme.toml", "[files]\n", "limits.connections = 100\n[files]\n");
    assert_eq!(provost(&deployment, &["reload"]).succeeded().stdout, "changed acme\n1 tenant is as it was\n");
    assert_eq!(read(), "acme sip.cfg\n");
    // The service manager has the address, so that nobody could bind it.
    TcpListener::bind(at.http).unwrap_err();
    let listener = format!("name = \"http\"\nprotocol = \"http\"\naddress = \"{}\"\n", at.http);
    deployment.replace("tenants.d/acme.toml", &format!("[[listener]]\n{listener}"), "");
    deployment.add(&scene::globex().listener_at("web", "http", &at.http.to_string(), ""));
    provost(&deployment, &["reload"]).succeeded();
    assert_eq!(read(), "globex sip.cfg\n");
    let web = status(&deployment).pointer("/tenants/1/listeners/0").cloned().unwrap();
    assert_eq!((&web["state"], &web["socket"]), (&"up".into(), &"passed".into()), "{web}");

    deployment.add(&scene::globex().listener("tftp", ""));
    provost(&deployment, &["reload"]).succeeded();
    let unused = status(&deployment)["unused_sockets"].clone();
    let expected = format!("web (TCP {}): no listener has this address and network", at.http);
    assert_eq!(unused, serde_json::json!([expected]));
    assert!(!server.waits_at(at.http));
}

#[test]
fn a_tenant_in_a_network_of_its_own_takes_no_passed_socket() {
    if !networks::inside("activation::a_tenant_in_a_network_of_its_own_takes_no_passed_socket") {
        return;
    }
    ip("netns add acme");
    let (own, acme) = (Host::behind("management", ""), Host::behind("to-acme", "acme"));
    let deployment = Deployment::new();
    for (tenant, network, port, protocol) in
        [("acme", "network.namespace = \"acme\"\n", 80, "http"), ("own", "", 21, "ftp")]
    {
        deployment.write(&format!("files/{tenant}/sip.cfg"), format!("{tenant}\n"));
        deployment.write(
            &format!("tenants.d/{tenant}.toml"),
            format!(
                "name = {tenant:?}\n{network}allow = [\"10.0.0.0/24\"]\nfiles.root = \"../files/{tenant}\"\n\
                 devices.policy = \"any\"\n[[listener]]\nprotocol = {protocol:?}\naddress = \"10.0.0.1:{port}\"\n"
            ),
        );
    }
    let mut sockets = Sockets::default();
    // The address of acme's listener, and in the host's network.
    sockets.add("web", TcpListener::bind("10.0.0.1:80").unwrap());
    // The address of the other tenant's listener, and in acme's network.
    let inside = std::thread::spawn(|| {
        let namespace = std::fs::File::open("/run/netns/acme").unwrap();
        rustix::thread::move_into_link_name_space(
            std::os::fd::AsFd::as_fd(&namespace),
            Some(rustix::thread::LinkNameSpaceType::Network),
        )
        .unwrap();
        TcpListener::bind("10.0.0.1:21").unwrap()
    });
    sockets.add("ftp", inside.join().unwrap());
    let _server = sockets.start(&deployment.config());
    assert_eq!(
        status(&deployment)["unused_sockets"],
        serde_json::json!([
            "ftp (descriptor 4): it lies in another network namespace; a tenant's own sockets are made by the server",
            "web (TCP 10.0.0.1:80): no listener has this address and network",
        ])
    );
    for (host, url, tenant) in [(&acme, "http://10.0.0.1/sip.cfg", "acme"), (&own, "ftp://10.0.0.1/sip.cfg", "own")] {
        let read = host.run("curl", &["-sS", "--max-time", "60", url]).succeeded();
        assert_eq!(read.stdout, format!("{tenant}\n"));
    }
}
