//! Several tenants at one https address: the server name says whose a phone is, and nothing crosses from one to the other.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::DEADLINE;
use crate::harness::clients::{Curl, Reply, Run, run, text};
use crate::harness::deployment::{Deployment, TLS, Tenant};
use crate::harness::scene::{self, FOREIGN, NEIGHBOUR, POLY, Scene};
use crate::harness::server::BINARY;
use crate::harness::tls_client::{ask, connect_as, status};

const ACME: &str = "server_names = [\"acme.prov.example.net\"]\n";
const GLOBEX: &str = "server_names = [\"globex.prov.example.net\", \"*.globex.example.net\"]\n";

/// An address that nobody has: on loopback, where only this test looks.
fn free(last: u8) -> SocketAddr {
    let listener = TcpListener::bind(SocketAddr::from(([127, 83, 0, last], 0))).unwrap();
    listener.local_addr().unwrap()
}

fn at(tenant: Tenant, address: SocketAddr, more: &str) -> Tenant {
    tenant.listener_at("https", "https", &address.to_string(), &format!("{TLS}{more}"))
}

/// Acme and globex at one address.
fn shared(address: SocketAddr, acme: &str, globex: &str) -> Scene {
    let acme = at(scene::acme(), address, &format!("{ACME}{acme}"));
    Scene::of(&[acme, at(scene::globex(), address, &format!("{GLOBEX}{globex}"))])
}

/// A request of a phone, to whatever stands in the URL.
fn get(scene: &Scene, address: SocketAddr, certificate: &str, host: &str, path: &str) -> Reply {
    let [pem, key] = scene.deployment.pair(certificate);
    let port = address.port();
    let curl = Curl::new(format!("https://{host}:{port}/{path}")).args(["-k", "--cert", &pem, "--key", &key]);
    curl.args(["--resolve", &format!("{host}:{port}:{}", address.ip())]).run()
}

fn provost(scene: &Scene, arguments: &[&str]) -> Run {
    run(BINARY, &[arguments, &["--config", &text(&scene.deployment.config())]].concat())
}

#[test]
fn the_server_name_says_whose_phone_asks() {
    let address = free(1);
    let scene = shared(address, "", "");
    let own = |mac: &str| format!("{mac}.cfg");
    for (certificate, host, path, status, body) in [
        (POLY, "acme.prov.example.net", own(POLY), 200, "acme file of 0004f2aabbcc\n"),
        (POLY, "ACME.prov.example.net", "sip.cfg".to_owned(), 200, "acme sip.cfg\n"),
        (FOREIGN, "globex.prov.example.net", own(FOREIGN), 200, "globex file of 0004f2ddeeff\n"),
        (FOREIGN, "site7.globex.example.net", "sip.cfg".to_owned(), 200, "globex sip.cfg\n"),
        // Each has the other's name, and a certificate of the same vendor.
        (POLY, "globex.prov.example.net", own(POLY), 403, ""),
        (FOREIGN, "acme.prov.example.net", own(FOREIGN), 403, ""),
    ] {
        let reply = get(&scene, address, certificate, host, &path);
        assert_eq!(reply.status, status, "{certificate} {host} {path}: {reply:?}");
        assert!(body.is_empty() || reply.text() == body, "{certificate} {host} {path}: {reply:?}");
    }
    for host in ["initech.prov.example.net", "a.b.globex.example.net", "globex.example.net"] {
        let reply = get(&scene, address, POLY, host, "sip.cfg");
        assert_eq!(reply.status, 0, "{host}");
        assert!(reply.stderr.contains("unrecognized name"), "{}", reply.stderr);
        let detail = format!("the peer asked for the server name `{host}`, which is not one of this listener's");
        let record = scene.server.record(&[("reason", "unrecognised_name"), ("detail", &detail)]);
        assert_eq!((&record["tenant"], &record["outcome"]), (&"".into(), &"handshake".into()), "{record}");
    }
    // Without a name there is nobody to be.
    let said = run("openssl", &["s_client", "-connect", &address.to_string(), "-noservername"]);
    assert!(said.stderr.contains("unrecognized name"), "{}", said.stderr);
    scene.server.record(&[("reason", "no_server_name"), ("tenant", "")]);
    let asked =
        ["explain", "--tenant", "acme", "--listener", "https", "--from", "127.0.0.1", "--mac", POLY, "GET", "/sip.cfg"];
    let explained = run(BINARY, &[&asked[..1], &["--config", &text(&scene.deployment.config())], &asked[1..]].concat());
    let says =
        format!("one of the server names acme.prov.example.net, or for none where no other tenant shares {address}");
    assert!(explained.stdout.contains(&says), "{}", explained.stdout);
    let dhcp = provost(&scene, &["dhcp", "--tenant", "globex", "--format", "dnsmasq"]).succeeded().stdout;
    assert!(dhcp.contains(&format!("https://globex.prov.example.net:{}/", address.port())), "{dhcp}");
    let status: Value = serde_json::from_str(&provost(&scene, &["status", "--json"]).stdout).unwrap();
    for (tenant, name) in [(0, "acme.prov.example.net"), (1, "globex.prov.example.net")] {
        let listener = &status["tenants"][tenant]["listeners"][0];
        assert_eq!(listener["address"], address.to_string(), "{listener}");
        assert_eq!((&listener["server_names"][0], &listener["shared_with"]), (&name.into(), &1.into()), "{listener}");
    }
}

#[test]
fn whoever_names_nobody_is_the_default_tenants() {
    let address = free(2);
    let scene = shared(address, "default = true\n", "");
    let reply = get(&scene, address, POLY, "initech.prov.example.net", "sip.cfg");
    assert_eq!((reply.status, reply.text().as_str()), (200, "acme sip.cfg\n"), "{reply:?}");
    let reply = get(&scene, address, FOREIGN, "globex.prov.example.net", "sip.cfg");
    assert_eq!((reply.status, reply.text().as_str()), (200, "globex sip.cfg\n"), "{reply:?}");
    // curl names no host where it is given an address.
    let [pem, key] = scene.deployment.pair(POLY);
    let unnamed = |host: Option<&str>| {
        let header = host.map(|host| format!("Host: {host}"));
        let curl = Curl::new(format!("https://{address}/sip.cfg")).args(["-k", "--cert", &pem, "--key", &key]);
        header.iter().fold(curl, |curl, header| curl.header(header)).run()
    };
    assert_eq!(unnamed(None).text(), "acme sip.cfg\n");
    assert_eq!(unnamed(Some("acme.prov.example.net")).status, 200);
    for host in ["globex.prov.example.net", "site7.globex.example.net"] {
        assert_eq!(unnamed(Some(host)).status, 421, "{host}");
    }
}

#[test]
fn a_reload_says_whether_the_listener_takes_the_unnamed() {
    let address = free(11);
    let scene = Scene::of(&[at(scene::acme(), address, ACME)]);
    let taken = format!("{ACME}default = true\n");
    for (from, to, status) in [("", "", 0), (ACME, taken.as_str(), 200), (taken.as_str(), ACME, 0)] {
        scene.deployment.replace("tenants.d/acme.toml", from, to);
        provost(&scene, &["reload"]).succeeded();
        let reply = get(&scene, address, POLY, "initech.prov.example.net", "sip.cfg");
        assert_eq!(reply.status, status, "{to}: {reply:?}");
    }
}

#[test]
fn a_host_of_another_tenant_is_misdirected_on_a_connection_that_is_open() {
    let address = free(3);
    let scene = shared(address, "default = true\n", "");
    let mut phone = connect_as(&scene.deployment, address, POLY, "acme.prov.example.net");
    let request = |host: &str| format!("GET /sip.cfg HTTP/1.1\r\nHost: {host}\r\n\r\n");
    for (host, expected) in [
        ("acme.prov.example.net", 200),
        ("globex.prov.example.net", 421),
        ("127.83.0.3", 421),
        ("acme.prov.example.net.", 200),
    ] {
        assert_eq!(status(&ask(&mut phone, &request(host))), expected, "{host}");
    }
    scene.server.record(&[("tenant", "acme"), ("reason", "host_misdirected")]);
}

#[test]
fn a_session_of_one_tenant_is_nothing_at_another() {
    let address = free(4);
    let scene = shared(address, "default = true\n", "");
    let [pem, key] = scene.deployment.pair(POLY);
    let file = text(&scene.deployment.path("session.pem"));
    let request = "printf 'GET /sip.cfg HTTP/1.1\\r\\nHost: acme.prov.example.net\\r\\nConnection: close\\r\\n\\r\\n'";
    for (version, ticket) in [("-tls1_2", ""), ("-tls1_2", "-no_ticket"), ("-tls1_3", "")] {
        let client =
            format!("timeout 60 openssl s_client -connect {address} {version} {ticket} -cert {pem} -key {key}");
        let first = format!("{request} | {client} -ign_eof -servername acme.prov.example.net -sess_out {file}");
        let began = run("sh", &["-c", &first]).succeeded();
        assert!(began.stdout.contains("200 OK") && began.stdout.contains("New, "), "{version}: {}", began.stdout);
        for (name, resumed) in [
            ("-servername globex.prov.example.net", false),
            ("-servername site7.globex.example.net", false),
            ("-servername acme.prov.example.net", true),
        ] {
            let again = run("sh", &["-c", &format!("{client} {name} -sess_in {file} < /dev/null")]);
            assert_eq!(again.stdout.contains("Reused, "), resumed, "{version} {ticket} {name}: {}", again.stdout);
            assert_eq!(again.stdout.contains("New, "), !resumed, "{version} {ticket} {name}: {}", again.stdout);
        }
    }
}

#[test]
fn prefixes_count_as_soon_as_the_tenant_is_known_and_all_of_them_before() {
    let address = free(5);
    let scene = shared(address, "allow = [\"127.83.1.0/24\"]\n", "allow = [\"127.83.2.0/24\"]\n");
    let reach = |from: &str, name: &str| {
        let [pem, key] = scene.deployment.pair(if name.starts_with("acme") { POLY } else { FOREIGN });
        let port = address.port();
        Curl::new(format!("https://{name}:{port}/sip.cfg"))
            .args(["-k", "--cert", &pem, "--key", &key, "--interface", from])
            .args(["--resolve", &format!("{name}:{port}:{}", address.ip())])
            .run()
            .status
    };
    assert_eq!(reach("127.83.1.1", "acme.prov.example.net"), 200);
    assert_eq!(reach("127.83.2.1", "globex.prov.example.net"), 200);
    assert_eq!(reach("127.83.2.1", "acme.prov.example.net"), 0);
    let record = scene.server.record(&[("tenant", "acme"), ("reason", "outside_listener")]);
    assert!(record["client"].as_str().unwrap().starts_with("127.83.2.1:"), "{record}");
    assert_eq!(reach("127.83.3.1", "acme.prov.example.net"), 0);
    let record = scene.server.record(&[("tenant", ""), ("reason", "outside_tenant")]);
    assert!(record["client"].as_str().unwrap().starts_with("127.83.3.1:"), "{record}");
}

#[test]
fn who_says_nothing_has_a_place_among_the_strangers_and_not_for_long() {
    let address = free(6);
    let arrivals = "[arrivals]\nconnections = 8\nconnections_per_address = 3\nclient_hello = \"1500ms\"";
    let deployment = Deployment::with_settings(arrivals);
    scene::write_files(&deployment);
    deployment.add(&at(scene::acme(), address, ACME));
    deployment.add(&at(scene::globex(), address, GLOBEX));
    let scene = Scene::start(deployment);
    let mut silent: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
    let began = Instant::now();
    // The fourth of this address is closed at once, whatever it says.
    let mut fourth = TcpStream::connect(address).unwrap();
    fourth.set_read_timeout(Some(DEADLINE)).unwrap();
    assert_eq!(fourth.read(&mut [0]).unwrap_or(0), 0);
    assert!(began.elapsed() < Duration::from_millis(1400), "{:?}", began.elapsed());
    scene.server.record(&[("tenant", ""), ("reason", "busy")]);
    // Another address has its own place meanwhile.
    let [pem, key] = scene.deployment.pair(POLY);
    let port = address.port();
    let other = Curl::new(format!("https://acme.prov.example.net:{port}/sip.cfg"))
        .args(["-k", "--cert", &pem, "--key", &key, "--interface", "127.83.9.9"])
        .args(["--resolve", &format!("acme.prov.example.net:{port}:{}", address.ip())])
        .run();
    assert_eq!(other.status, 200, "{other:?}");
    for stream in &mut silent {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0, "it is closed");
    }
    scene.server.records(&[("tenant", ""), ("reason", "client_hello_timeout")], 3);
    assert_eq!(get(&scene, address, POLY, "acme.prov.example.net", "sip.cfg").status, 200);
    let mut plain = TcpStream::connect(address).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    scene.server.record(&[("tenant", ""), ("reason", "not_tls")]);
}

#[test]
fn who_has_said_nothing_for_the_longest_gives_way() {
    let address = free(10);
    let arrivals = "[arrivals]\nconnections = 4\nconnections_per_address = 4\nclient_hello = \"1m\"";
    let deployment = Deployment::with_settings(arrivals);
    scene::write_files(&deployment);
    deployment.add(&at(scene::acme(), address, ACME));
    deployment.add(&at(scene::globex(), address, GLOBEX));
    let scene = Scene::start(deployment);
    let mut silent: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
    // More than would find a place beside them.
    for _ in 0..4 {
        assert_eq!(get(&scene, address, POLY, "acme.prov.example.net", "sip.cfg").status, 200);
    }
    scene.server.record(&[("tenant", ""), ("reason", "gave_way")]);
    // Long before the minute that it may say nothing.
    silent[0].set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    match silent[0].read(&mut [0]) {
        Ok(0) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        other => panic!("the first of them is not closed: {other:?}"),
    }
}

#[test]
fn tenants_come_and_go_while_the_socket_and_others_connections_stay() {
    let address = free(7);
    let scene = Scene::of(&[at(scene::acme(), address, ACME)]);
    let mut phone = connect_as(&scene.deployment, address, POLY, "acme.prov.example.net");
    let request = "GET /sip.cfg HTTP/1.1\r\nHost: acme.prov.example.net\r\n\r\n";
    assert_eq!(status(&ask(&mut phone, request)), 200);
    // A socket that is bound anew would be another one.
    let socket = || {
        let port = format!(":{:04X} 00000000:0000 0A", address.port());
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let line = table.lines().find(|line| line.contains(&port)).map(str::to_owned);
        line.and_then(|line| line.split_whitespace().nth(9).map(str::to_owned)).unwrap_or_else(|| panic!("{table}"))
    };
    let before = socket();
    let reload = || {
        let run = provost(&scene, &["reload"]);
        assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    };
    assert_eq!(get(&scene, address, FOREIGN, "globex.prov.example.net", "sip.cfg").status, 0);
    scene.deployment.add(&at(scene::globex(), address, GLOBEX));
    reload();
    assert_eq!(get(&scene, address, FOREIGN, "globex.prov.example.net", "sip.cfg").status, 200);
    let mut guest = connect_as(&scene.deployment, address, FOREIGN, "globex.prov.example.net");
    let guests = "GET /sip.cfg HTTP/1.1\r\nHost: globex.prov.example.net\r\n\r\n";
    assert_eq!(status(&ask(&mut guest, guests)), 200);
    assert_eq!(status(&ask(&mut phone, request)), 200);
    assert_eq!(socket(), before);

    // The first leaves, with its connections; the other one's go on.
    std::fs::remove_file(scene.deployment.path("tenants.d/acme.toml")).unwrap();
    reload();
    assert_eq!(status(&ask(&mut guest, guests)), 200);
    assert_eq!(phone.sock.read(&mut [0; 64]).unwrap_or(0), 0, "its connection ended");
    assert_eq!(get(&scene, address, POLY, "acme.prov.example.net", "sip.cfg").status, 0);
    assert_eq!(socket(), before);

    // All go and another comes in one reload: the socket stays for it.
    std::fs::remove_file(scene.deployment.path("tenants.d/globex.toml")).unwrap();
    scene.deployment.add(&at(scene::acme(), address, ACME));
    reload();
    assert_eq!(get(&scene, address, POLY, "acme.prov.example.net", "sip.cfg").status, 200);
    assert_eq!(socket(), before);

    // When the last goes it is closed, and something else may have the address.
    std::fs::remove_file(scene.deployment.path("tenants.d/acme.toml")).unwrap();
    scene.deployment.add(&scene::globex().listener_at("ftp", "ftp", &address.to_string(), ""));
    reload();
    let mut greeting = [0; 3];
    TcpStream::connect(address).unwrap().read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"220");
}

#[test]
fn a_name_that_moves_to_another_tenant_leaves_no_connection_behind() {
    let address = free(8);
    let scene = shared(address, "", "");
    let mut phone = connect_as(&scene.deployment, address, POLY, "acme.prov.example.net");
    let request = "GET /sip.cfg HTTP/1.1\r\nHost: acme.prov.example.net\r\n\r\n";
    assert_eq!(status(&ask(&mut phone, request)), 200);
    scene.deployment.replace("tenants.d/acme.toml", "\"acme.prov.example.net\"", "\"old.prov.example.net\"");
    scene.deployment.replace("tenants.d/globex.toml", "\"globex.prov", "\"acme.prov.example.net\", \"globex.prov");
    assert_eq!(provost(&scene, &["reload"]).code, 0);
    assert_eq!(status(&ask(&mut phone, request)), 421);
    let reply = get(&scene, address, FOREIGN, "acme.prov.example.net", "sip.cfg");
    assert_eq!((reply.status, reply.text().as_str()), (200, "globex sip.cfg\n"));
    assert_eq!(get(&scene, address, NEIGHBOUR, "old.prov.example.net", "sip.cfg").text(), "acme sip.cfg\n");
}
