//! The guard against enumeration: a site that boots is served whole, and who tries out addresses learns few.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::DEADLINE;
use crate::harness::clients::{run, text};
use crate::harness::deployment::{Deployment, Tenant};
use crate::harness::scene::Scene;
use crate::harness::server::{BINARY, Server};
use crate::harness::tftp_client::{Packet, TftpClient};

/// The phones of the site.
const SITE: u32 = 5000;
/// Devices of other sites, beside which a scanner finds addresses that nobody has.
const ELSEWHERE: u32 = 200;
const SCANNED: u32 = 10_000;

fn mac(number: u32) -> String {
    format!("0004f2{number:06x}")
}

/// The phones of the site from 0 on, the others among [`SCANNED`] addresses from 100,000 on.
fn elsewhere() -> impl Iterator<Item = u32> {
    (0..ELSEWHERE).map(|index| 100_000 + index * (SCANNED / ELSEWHERE) + 7)
}

fn scene(listeners: impl Fn(Tenant) -> Tenant) -> Scene {
    let deployment = Deployment::new();
    let macs: Vec<String> = (0..SITE).chain(elsewhere()).map(mac).collect();
    deployment.write("devices.csv", format!("mac\n{}\n", macs.join("\n")));
    deployment.add(&listeners(Tenant::new("acme", &[]).devices("file = \"../devices.csv\"")));
    for mac in &macs {
        deployment.write(&format!("files/acme/{mac}.cfg"), mac);
    }
    Scene::start(deployment)
}

#[test]
fn what_cannot_be_read_at_the_start_is_told_of() {
    let deployment = Deployment::new();
    deployment.write("state/guard/acme.pairs/in-the-way", "");
    deployment.add(&Tenant::new("acme", &[]).devices("policy = \"any\"").listener("http", ""));
    Server::start(&deployment.config(), &[]).event("cannot read which source had which device");
}

/// A phone that boots: it asks for its file, and again as phones do while nothing comes.
struct Phone {
    mac: String,
    client: TftpClient,
    asked: Instant,
}

/// When a phone asks again.
const AGAIN: Duration = Duration::from_secs(2);

impl Phone {
    fn new(server: SocketAddr, number: u32) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = TftpClient::on(socket, server);
        let phone = Self { mac: mac(number), client, asked: Instant::now() };
        phone.ask();
        phone
    }

    fn ask(&self) {
        self.client.read_request(&format!("{}.cfg", self.mac), "octet", &[]);
    }

    /// What has come, if anything has.
    fn look(&mut self) -> Option<Packet> {
        let Ok((packet, from)) = self.client.look() else {
            if self.asked.elapsed() > AGAIN {
                self.ask();
                self.asked = Instant::now();
            }
            return None;
        };
        self.client.acknowledge(1, from);
        Some(packet)
    }
}

/// Fetches the files of all these phones at once, each from a port of its own. Gives back how many were refused.
fn boot(server: SocketAddr, phones: impl Iterator<Item = u32>) -> usize {
    let mut waiting: Vec<Phone> = phones.map(|number| Phone::new(server, number)).collect();
    let (mut refused, until) = (0, Instant::now() + DEADLINE);
    while !waiting.is_empty() {
        assert!(Instant::now() < until, "{} phones have no answer", waiting.len());
        waiting.retain_mut(|phone| match phone.look() {
            Some(Packet::Data(1, bytes)) => {
                assert_eq!(bytes, phone.mac.as_bytes());
                false
            }
            Some(other) => {
                eprintln!("{}: {other:?}", phone.mac);
                refused += 1;
                false
            }
            None => true,
        });
        // The server has the same processors.
        std::thread::yield_now();
    }
    refused
}

/// Asks for one address after the other, and gives back those of which it got the file.
fn scan(server: SocketAddr, from: &str, numbers: impl Iterator<Item = u32>) -> BTreeSet<u32> {
    let client = || TftpClient::on(UdpSocket::bind(from).unwrap(), server);
    numbers
        .filter(|number| {
            let client = client();
            client.read_request(&format!("{}.cfg", mac(*number)), "octet", &[]);
            match client.receive() {
                (Packet::Data(1, _), from) => {
                    client.acknowledge(1, from);
                    true
                }
                (Packet::Error(1, _), _) => false,
                (other, _) => panic!("{other:?}"),
            }
        })
        .collect()
}

/// All of a range, in an order without order.
fn shuffled(first: u32, count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(move |index| first + index * 7919 % count)
}

#[test]
fn a_site_of_5000_phones_boots_at_once_while_scanners_of_10000_addresses_learn_few() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let all = rustix::process::Rlimit { current: limit.maximum, ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, all).unwrap();
    let scene = scene(|tenant| tenant.listener("tftp", ""));
    let server = scene.server.address("acme", "tftp");
    std::thread::scope(|threads| {
        let beside = threads.spawn(|| scan(server, "127.0.0.2:0", shuffled(100_000, SCANNED)));
        assert_eq!(boot(server, 0..SITE), 0, "the first boot");
        let learned = beside.join().unwrap();
        assert!(learned.len() <= 32, "from beside: {learned:?}");
    });
    let learned = scan(server, "127.0.0.1:0", shuffled(100_000, SCANNED));
    assert!(learned.len() <= 32, "from behind the same NAT: {learned:?}");
    scene.server.record(&[("reason", "throttled"), ("outcome", "denied")]);
    scene.server.record(&[("alarm", "source_throttled")]);
    assert_eq!(boot(server, 0..SITE), 0, "a throttled source keeps what it had");
}

#[test]
fn who_never_answers_is_not_sent_more_files_than_throttle_it_and_missing_ones_count_for_none() {
    let scene =
        scene(|tenant| tenant.listener("tftp", "").table("[[rule]]\npath = \"{mac}-public.cfg\"\nread = \"anyone\""));
    let server = scene.server.address("acme", "tftp");
    // Each from a port of its own, and none of them acknowledges anything.
    let ask = |name: String| {
        let client = TftpClient::new(server);
        client.read_request(&name, "octet", &[]);
        client
    };
    for number in 0..32 {
        let (answer, _) = ask(format!("{}-license.cfg", mac(number))).receive();
        assert!(matches!(answer, Packet::Error(1, _)), "{number}: {answer:?}");
    }
    for number in 0..27 {
        let (answer, _) = ask(format!("{}.cfg", mac(number))).receive();
        assert!(matches!(answer, Packet::Data(1, _)), "{number}: {answer:?}");
    }
    let further = || (27..40).map(|number| ask(format!("{}.cfg", mac(number)))).collect::<Vec<_>>();
    let waiting = further();
    // They wait when this one, which was sent the file before, has it again.
    let again = ask(format!("{}.cfg", mac(0)));
    let (answer, from) = again.receive();
    assert!(matches!(answer, Packet::Data(1, _)), "{answer:?}");
    assert!(waiting.iter().all(|client| client.look().is_err()), "the next one is due after two minutes");
    let explained = |name: &str| {
        let config = text(&scene.deployment.config());
        let question = ["--tenant", "acme", "--listener", "tftp", "--from", "127.0.0.1", "RRQ", name];
        run(BINARY, &[&["explain", "--live", "--config", &config], &question[..]].concat())
    };
    let told = explained(&format!("{}.cfg", mac(30)));
    assert!(told.code == 1 && told.stdout.contains("(unanswered)"), "{told:?}");
    // What anyone may read tells of no device.
    let public = format!("{}-public.cfg", mac(30));
    assert_eq!(explained(&public).code, 0, "{:?}", explained(&public));
    assert!(matches!(ask(public).receive(), (Packet::Error(1, _), _)));
    // The first that acknowledges opens the way for all.
    again.acknowledge(1, from);
    scene.server.record(&[("path", &format!("{}.cfg", mac(0))), ("outcome", "served")]);
    for client in further() {
        let (answer, _) = client.receive();
        assert!(matches!(answer, Packet::Data(1, _)), "{answer:?}");
    }
}

/// The status codes of these requests, one after the other on one connection.
fn statuses(server: SocketAddr, requests: impl Iterator<Item = String>) -> Vec<u16> {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    requests
        .map(|request| {
            write!(stream, "{request} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").unwrap();
            let (mut header, mut byte) = (Vec::new(), [0]);
            while !header.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte).unwrap();
                header.push(byte[0]);
            }
            let header = String::from_utf8(header).unwrap().to_ascii_lowercase();
            let length = header.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next());
            let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
            stream.read_exact(&mut body).unwrap();
            header.split(' ').nth(1).unwrap().parse().unwrap()
        })
        .collect()
}

#[test]
fn reading_and_writing_count_together_and_a_restart_forgets_nobodys_phones() {
    let mut scene = scene(|tenant| tenant.listener("http", ""));
    let server = scene.server.address("acme", "http");
    let get = |number: u32| format!("GET /{}.cfg", mac(number));
    let put = |number: u32| format!("PUT /{}-app.log", mac(number));
    assert_eq!(statuses(server, [get(1), put(1)].into_iter()), [200, 201]);
    let unlisted = (200_000..200_016).flat_map(|number| [get(number), put(number + 100)]);
    assert!(statuses(server, unlisted).iter().all(|status| matches!(status, 404 | 403)));
    let after = [get(1), put(1), get(2), put(2), "GET /nothing.cfg".to_owned(), get(300_000)];
    let expected = [200, 200, 404, 403, 404, 404];
    assert_eq!(statuses(server, after.clone().into_iter()), expected, "new ones are refused, known ones are not");
    let status: Value =
        serde_json::from_str(&run(BINARY, &["status", "--json", "--config", &text(&scene.deployment.config())]).stdout)
            .unwrap();
    let alarm = &status["tenants"][0]["alarms"][0];
    assert_eq!((alarm["alarm"].as_str(), alarm["source"].as_str()), (Some("source_throttled"), Some("127.0.0.1")));

    let Scene { server: old, deployment } = scene;
    old.stop();
    scene = Scene::start(deployment);
    let server = scene.server.address("acme", "http");
    let unlisted = (200_000..200_032).map(get);
    assert!(statuses(server, unlisted).iter().all(|status| *status == 404));
    assert_eq!(statuses(server, [get(1), get(2)].into_iter()), [200, 404], "the pair was kept");
}

#[test]
fn a_named_site_has_its_own_limit_and_proof_of_the_device_needs_none() {
    let named = "[guard]\nunlisted = 4\n[[guard.site]]\nprefixes = [\"127.0.0.1\"]\nunlisted = 8\n";
    let scene = scene(|tenant| tenant.https("unbound = \"listed\"\nrequire = [\"address\"]\n").table(named));
    let status =
        |certificate: &str, number: u32| scene.https("acme", certificate, &format!("{}.cfg", mac(number))).run().status;
    let pair = scene.deployment.poly.common_name("0004F2000001");
    scene.deployment.certificate("phone", &pair);
    for number in 0..7 {
        assert_eq!(status("", 200_000 + number), 404);
    }
    assert_eq!(status("", 5), 200, "below the site's limit");
    assert_eq!(status("", 200_007), 404);
    assert_eq!(status("", 6), 404, "throttled");
    assert_eq!(status("phone", 1), 200, "a certificate is its own proof");
}
