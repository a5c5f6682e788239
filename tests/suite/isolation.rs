//! Three enterprises with the same addresses in networks of their own, all protocols at once: each answer and each stored
//! byte is the right tenant's, and a host of the phones' address in the server's own network never gets a packet.
//!
//! Traffic goes for a few seconds; `PROVOST_ISOLATION_SECONDS=60` makes it a minute.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::clients::{Scratch, run, text};
use crate::harness::deployment::Deployment;
use crate::harness::networks::{self, Host, ip};
use crate::harness::scene::POLY;
use crate::harness::server::{self, Server};

const TENANTS: [&str; 3] = ["acme", "globex", "initech"];
const PLAIN: [&str; 3] = ["http", "tftp", "ftp"];
/// Some 20 KiB: more than a block or a segment.
const LINES: usize = 2000;

/// By which addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

impl Family {
    /// The address that every tenant's server has.
    const fn server(self) -> &'static str {
        match self {
            Self::V4 => "10.0.0.1",
            Self::V6 => "[fd00::1]",
        }
    }

    /// The address that every tenant's phone has, and the host in the server's own network.
    const fn phone(self) -> &'static str {
        match self {
            Self::V4 => "10.0.0.2",
            Self::V6 => "[fd00::2]",
        }
    }

    /// The host, with addresses of this family at both ends of the link.
    fn of(self, host: Host, device: &str, near: &str) -> Host {
        match self {
            Self::V4 => host,
            Self::V6 => host.with_ipv6(device, near),
        }
    }

    fn received(self, host: &Host) -> u64 {
        match self {
            Self::V4 => host.received(),
            Self::V6 => host.received_by_ipv6(),
        }
    }
}

/// What a phone does, over and over.
#[derive(Debug, Clone, Copy)]
enum Traffic {
    Https,
    Tftp,
    Passive,
    Active,
}

#[test]
fn tenants_of_the_same_address_in_namespaces_never_meet() {
    if networks::inside("isolation::tenants_of_the_same_address_in_namespaces_never_meet") {
        in_namespaces(Family::V4);
    }
}

#[test]
fn tenants_of_the_same_ipv6_address_in_namespaces_never_meet() {
    if networks::inside("isolation::tenants_of_the_same_ipv6_address_in_namespaces_never_meet") {
        in_namespaces(Family::V6);
    }
}

fn in_namespaces(family: Family) {
    for tenant in TENANTS {
        ip(&format!("netns add {tenant}"));
    }
    // A path serves as well as a name.
    let networks = ["namespace = \"acme\"", "namespace = \"/run/netns/globex\"", "namespace = \"initech\""];
    never_meet(family, networks, |tenant| {
        let device = format!("to-{tenant}");
        family.of(Host::behind(&device, tenant), &device, tenant)
    });
}

#[test]
fn tenants_of_the_same_address_on_devices_never_meet() {
    if networks::inside("isolation::tenants_of_the_same_address_on_devices_never_meet") {
        on_devices(Family::V4);
    }
}

#[test]
fn tenants_of_the_same_ipv6_address_on_devices_never_meet() {
    if networks::inside("isolation::tenants_of_the_same_ipv6_address_on_devices_never_meet") {
        on_devices(Family::V6);
    }
}

fn on_devices(family: Family) {
    // Sockets are bound to a VRF device and to an interface alike, and not every kernel has VRFs.
    never_meet(family, ["vrf = \"to-acme\"", "interface = \"to-globex\"", "vrf = \"to-initech\""], |tenant| {
        let device = format!("to-{tenant}");
        family.of(Host::behind(&device, ""), &device, "")
    });
}

#[test]
fn tenants_of_the_same_address_in_vrfs_never_meet() {
    if networks::inside("isolation::tenants_of_the_same_address_in_vrfs_never_meet") && networks::vrfs() {
        in_vrfs(Family::V4);
    }
}

#[test]
fn tenants_of_the_same_ipv6_address_in_vrfs_never_meet() {
    if networks::inside("isolation::tenants_of_the_same_ipv6_address_in_vrfs_never_meet") && networks::vrfs() {
        in_vrfs(Family::V6);
    }
}

fn in_vrfs(family: Family) {
    never_meet(family, ["vrf = \"vrf-acme\"", "vrf = \"vrf-globex\"", "vrf = \"vrf-initech\""], |tenant| {
        let (device, vrf) = (format!("to-{tenant}"), format!("vrf-{tenant}"));
        networks::vrf(&vrf);
        // After it: IPv6 loses its addresses on the way into a VRF.
        family.of(Host::behind_vrf(&device, &vrf), &device, "").with_trouble(&device)
    });
}

#[test]
fn vrfs_and_the_servers_own_network_never_meet() {
    if !networks::inside("isolation::vrfs_and_the_servers_own_network_never_meet") || !networks::vrfs() {
        return;
    }
    let own = Host::behind("management", "");
    networks::vrf("vrf-acme");
    let acme = Host::behind_vrf("to-acme", "vrf-acme");
    // The one that is mounted shows the devices of the network outside.
    run("mount", &["-t", "sysfs", "none", "/sys"]).succeeded();
    for (device, is_none) in [("vrf-acme", false), ("to-acme", true)] {
        let deployment = Deployment::new();
        plain(&deployment, "acme", &format!("network.vrf = {device:?}\n"), "10.0.0.1", &PLAIN);
        let check = run(server::BINARY, &["check", "--config", &text(&deployment.config())]);
        let said = format!("{}{}", check.stdout, check.stderr);
        assert_eq!(said.contains("this device is no VRF"), is_none, "{device}: {said}");
    }
    // Linux refuses a UDP socket of the server's own network that is bound to no device beside one of a VRF.
    for (network, protocols) in [("", &["http", "ftp"][..]), ("network.interface = \"management\"\n", &PLAIN)] {
        for address in ["10.0.0.1", "0.0.0.0", "[::]"] {
            let deployment = Deployment::new();
            plain(&deployment, "own", network, address, protocols);
            plain(&deployment, "acme", "network.vrf = \"vrf-acme\"\n", address, &PLAIN);
            let _server = Server::start(&deployment.config(), &[]);
            for (host, tenant, protocols) in [(&own, "own", protocols), (&acme, "acme", &PLAIN)] {
                for protocol in protocols {
                    let read =
                        host.run("curl", &["-sS", "--max-time", "60", &format!("{protocol}://10.0.0.1/sip.cfg")]);
                    assert_eq!(read.succeeded().stdout, format!("{tenant}\n"), "{network}{address} {protocol}");
                }
            }
        }
    }
}

#[test]
fn check_warns_where_the_kernel_lets_sockets_without_a_device_answer_in_vrfs() {
    if !networks::inside("isolation::check_warns_where_the_kernel_lets_sockets_without_a_device_answer_in_vrfs") {
        return;
    }
    let settings = ["tcp", "udp"].map(|protocol| format!("/proc/sys/net/ipv4/{protocol}_l3mdev_accept"));
    if settings.iter().any(|setting| !std::path::Path::new(setting).exists()) {
        println!("this kernel knows no such setting");
        return;
    }
    let deployment = Deployment::new();
    plain(&deployment, "acme", "network.vrf = \"vrf-acme\"\n", "10.0.0.1", &PLAIN);
    plain(&deployment, "own", "", "10.0.0.9", &PLAIN);
    plain(&deployment, "near", "network.interface = \"lo\"\n", "10.0.0.8", &PLAIN);
    let warned = || {
        let check = run(server::BINARY, &["check", "--config", &text(&deployment.config())]);
        let said = format!("{}{}", check.stdout, check.stderr);
        let lines = said.lines().filter(|line| line.contains("so this listener answers in every VRF"));
        let warned: Vec<_> = lines.map(str::to_owned).collect();
        assert!(warned.iter().all(|line| line.contains("own.toml")), "{warned:?}");
        ["tcp", "udp"].map(|name| warned.iter().filter(|line| line.contains(&format!("{name}_l3mdev"))).count())
    };
    for [tcp, udp] in [[0, 0], [1, 0], [0, 1], [1, 1]] {
        for (setting, value) in settings.iter().zip([tcp, udp]) {
            std::fs::write(setting, value.to_string()).unwrap();
        }
        assert_eq!(warned(), [2 * tcp, udp], "{tcp} {udp}");
    }
    // Without VRFs there is nothing to answer in.
    plain(&deployment, "acme", "network.interface = \"lo\"\n", "10.0.0.1", &PLAIN);
    assert_eq!(warned(), [0, 0]);
}

/// A tenant that serves one file to whoever is near.
fn plain(deployment: &Deployment, tenant: &str, network: &str, address: &str, protocols: &[&str]) {
    deployment.write(&format!("files/{tenant}/sip.cfg"), format!("{tenant}\n"));
    let port =
        |protocol| ["ftp", "tftp", "http"].into_iter().zip([21, 69, 80]).find(|(of, _)| *of == protocol).unwrap().1;
    let listeners = protocols.iter().map(|protocol| {
        format!("[[listener]]\nprotocol = {protocol:?}\naddress = \"{address}:{}\"\n", port(*protocol))
    });
    deployment.write(
        &format!("tenants.d/{tenant}.toml"),
        format!(
            "name = {tenant:?}\n{network}allow = [\"10.0.0.0/24\"]\nfiles.root = \"../files/{tenant}\"\n\
             devices.policy = \"any\"\n{}",
            listeners.collect::<String>()
        ),
    );
}

/// What no other tenant's file could be mistaken for.
fn content(tenant: &str, what: &str) -> String {
    format!("{tenant} {what}\n").repeat(LINES)
}

fn deployment(family: Family, networks: [&str; 3]) -> Deployment {
    let deployment = Deployment::new();
    deployment.certificate(POLY, &deployment.poly.common_name(POLY.to_uppercase()));
    // In an emulated machine a client may take seconds between two packets.
    let patience = "limits.handshake = \"60s\"\nlimits.client_hello = \"60s\"\n";
    for (tenant, network) in TENANTS.into_iter().zip(networks) {
        let tls = "certificate = \"../tls/server.pem\"\nkey = \"../tls/server.key\"\ntrust = [\"poly\"]\n";
        let listener = |protocol: &str, port: u16, more: &str| {
            format!("[[listener]]\nprotocol = {protocol:?}\naddress = \"{}:{port}\"\n{more}", family.server())
        };
        // One that answers from the listening port is as much in its own network.
        let ports = if tenant == TENANTS[2] { "transfer_ports = \"listening\"\n" } else { "" };
        deployment.write(&format!("files/{tenant}/{POLY}.cfg"), content(tenant, "file"));
        deployment.write(
            &format!("tenants.d/{tenant}.toml"),
            format!(
                "name = {tenant:?}\nnetwork = {{ {network} }}\nallow = [\"10.0.0.0/24\", \"fd00::/64\"]\nfiles.root = \"../files/{tenant}\"\n\
                 uploads.min_free = \"0MiB\"\ndevices.list = [{POLY:?}]\n{patience}{}{}{}",
                listener("https", 443, tls),
                listener("tftp", 69, ports),
                listener("ftp", 21, ""),
            ),
        );
    }
    deployment
}

/// `behind` makes a tenant's network and the phone in it.
fn never_meet(family: Family, networks: [&str; 3], behind: impl Fn(&str) -> Host) {
    // It has the phones' address in the server's own network. It comes first, so that a socket without a device goes there.
    let decoy = family.of(Host::behind("decoy", ""), "decoy", "");
    let hosts = TENANTS.map(behind);
    let deployment = deployment(family, networks);
    let server = Server::start(&deployment.config(), &[]);
    for tenant in TENANTS {
        assert_eq!(server.address(tenant, "ftp"), format!("{}:21", family.server()).parse().unwrap());
    }
    let until = Instant::now() + networks::traffic();
    let before = family.received(&decoy);
    let rounds: Vec<usize> = thread::scope(|scope| {
        let phones = TENANTS.into_iter().zip(&hosts).flat_map(|(tenant, host)| {
            [Traffic::Https, Traffic::Tftp, Traffic::Passive, Traffic::Active].map(|traffic| (tenant, host, traffic))
        });
        let deployment = &deployment;
        let phones: Vec<_> = phones
            .map(|(tenant, host, traffic)| {
                scope.spawn(move || phone(deployment, family, (tenant, host), traffic, until))
            })
            .collect();
        phones.into_iter().map(|phone| phone.join().expect("a phone met another tenant, or nobody")).collect()
    });
    assert!(rounds.iter().all(|rounds| *rounds > 0), "{rounds:?}");
    println!("rounds of {TENANTS:?}, each by https, tftp, passive and active ftp: {rounds:?}");
    assert_eq!(
        family.received(&decoy),
        before,
        "packets for a phone went to the host of its address in the server's network"
    );
    // The count can fail: a socket of the server's own network does reach that host.
    let refused =
        TcpStream::connect_timeout(&format!("{}:5000", family.phone()).parse().unwrap(), Duration::from_secs(10));
    assert_eq!(refused.map(drop).map_err(|error| error.kind()), Err(ErrorKind::ConnectionRefused));
    assert!(family.received(&decoy) > before);
}

/// One phone's traffic: it reads its file and uploads another, again and again. Every tenant's phone has the same MAC, address
/// and certificate, and names the same paths; gives how many rounds there were.
fn phone(
    deployment: &Deployment,
    family: Family,
    (tenant, host): (&str, &Host),
    traffic: Traffic,
    until: Instant,
) -> usize {
    let server = family.server();
    let [resolve, tftp, ftp] =
        [format!("localhost:443:{server}"), format!("tftp://{server}"), format!("ftp://{server}")];
    let scratch = Scratch::new();
    let (ca, certificate, key) = (
        text(&deployment.path("tls/ca.pem")),
        text(&deployment.path(&format!("device/{POLY}.pem"))),
        text(&deployment.path(&format!("device/{POLY}.key"))),
    );
    let https = ["--resolve", &resolve, "--cacert", &ca, "--cert", &certificate, "--key", &key];
    let (url, options, upload): (&str, &[&str], &str) = match traffic {
        Traffic::Https => ("https://localhost", &https, "web.cfg"),
        Traffic::Tftp => (&tftp, &[], "boot.log"),
        Traffic::Passive => (&ftp, &[], "app.log"),
        Traffic::Active => (&ftp, &["--ftp-port", "-"], "sys.log"),
    };
    let upload = format!("{POLY}-{upload}");
    let curl = |options: &[&str], more: &[&str]| {
        let common: &[&str] = &["-sS", "--fail", "--max-time", "60"];
        let run = host.run("curl", &[common, options, more].concat());
        assert_eq!(run.code, 0, "{tenant} {traffic:?} {more:?}: {}", run.stderr);
    };
    for round in 1.. {
        let read = scratch.text("read");
        curl(options, &["-o", &read, &format!("{url}/{POLY}.cfg")]);
        assert_eq!(scratch.read("read"), content(tenant, "file").as_bytes(), "{tenant} {traffic:?}");
        let sent = content(tenant, &format!("{traffic:?} {round}"));
        curl(options, &["-T", &scratch.with("sent", sent.as_bytes()), &format!("{url}/{upload}")]);
        let stored = std::fs::read(deployment.upload(tenant, &upload)).unwrap();
        assert_eq!(stored, sent.as_bytes(), "{tenant} {traffic:?} {upload}");
        if Instant::now() >= until {
            return round;
        }
    }
    0
}
