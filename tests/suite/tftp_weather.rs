//! TFTP over bad networks and narrow ones, and the keys that fit it to them.

use std::net::UdpSocket;
use std::time::Duration;

use provost_protocols::tftp::options::{Asked, pairs};
use provost_protocols::tftp::packet::Packet as Wire;
use provost_protocols::tftp::receiver::{Receiver, Taken};

use crate::harness::deployment::Deployment;
use crate::harness::networks::{self, Host};
use crate::harness::relay::{Relay, Weather};
use crate::harness::scene::{self, POLY, Scene};
use crate::harness::tftp_client::TftpClient;

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at % 251).to_le_bytes()[0]).collect()
}

/// A client that sends its last packet again when nothing comes.
fn fetch(server: std::net::SocketAddr, request: &[u8], patience: Duration) -> Result<Vec<u8>, String> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(patience)).unwrap();
    let (mut last, mut to, mut silent) = (request.to_vec(), server, 0);
    let (mut receiver, mut file, mut room) = (Receiver::new(512, 1), Vec::new(), vec![0; 65536]);
    socket.send_to(&last, to).unwrap();
    loop {
        let Ok((length, from)) = socket.recv_from(&mut room) else {
            silent += 1;
            if silent > 40 {
                return Err(format!("nothing more after {} bytes", file.len()));
            }
            receiver.acknowledged();
            socket.send_to(&last, to).unwrap();
            continue;
        };
        (to, silent) = (from, 0);
        match Wire::parse(&room[..length]) {
            Some(Wire::OptionAck(options)) if file.is_empty() => {
                let granted = Asked::of(pairs(options));
                receiver = Receiver::new(granted.block.unwrap_or(512), granted.window.unwrap_or(1));
                last = Wire::Ack(0).to_bytes();
                socket.send_to(&last, to).unwrap();
            }
            Some(Wire::Data { block, bytes }) => {
                let taken = receiver.received(block, bytes.len());
                if matches!(taken, Taken::Keep | Taken::KeepAndAcknowledge | Taken::Last) {
                    file.extend_from_slice(bytes);
                    last = Wire::Ack(receiver.arrived()).to_bytes();
                }
                if matches!(taken, Taken::Acknowledge | Taken::KeepAndAcknowledge | Taken::Last) {
                    socket.send_to(&last, to).unwrap();
                }
                if taken == Taken::Last {
                    return Ok(file);
                }
            }
            Some(Wire::Error { code, .. }) => return Err(format!("error {code}")),
            Some(Wire::Ack(_) | Wire::OptionAck(_)) | None => {}
        }
    }
}

#[test]
fn files_arrive_through_loss_delay_doubled_and_overtaken_packets() {
    let scene = Scene::of(&[scene::acme().listener("tftp", "")]);
    let whole = content(50_001);
    scene.deployment.write("files/acme/image.ld", &whole);
    let server = scene.server.address("acme", "tftp");
    let delay = Duration::from_millis(30);
    for (seed, lost) in [(1, 10), (2, 50)] {
        let relay = Relay::start(server, Weather { lost, doubled: 10, overtaken: 10, delay }, seed);
        let requests = [
            &b"\0\x01image.ld\0octet\0blksize\x001428\0"[..],
            b"\0\x01image.ld\0octet\0blksize\x001428\0windowsize\x0016\0",
            b"\0\x01image.ld\0octet\0windowsize\x0016\0tsize\x000\0",
            b"\0\x01image.ld\0octet\0blksize\x008192\0",
        ];
        std::thread::scope(|scope| {
            let threads = requests
                .into_iter()
                .cycle()
                .take(12)
                .map(|request| scope.spawn(move || fetch(relay.address, request, Duration::from_millis(400))));
            for (at, thread) in threads.collect::<Vec<_>>().into_iter().enumerate() {
                let outcome = thread.join().unwrap();
                assert!(outcome.as_ref() == Ok(&whole), "{lost} {at}: {:?}", outcome.map(|file| file.len()));
            }
        });
    }
}

#[test]
fn the_keys_of_a_listener_and_a_rule_hold() {
    let rules = "[[rule]]\npath = \"plain/*\"\nread = \"device\"\ntftp_options = false\n\
                 [[rule]]\npath = \"size/*\"\nread = \"device\"\ntftp_options = [\"tsize\"]\n\
                 [[rule]]\npath = \"{mac}-plain.log\"\nkind = \"log\"\nwrite = \"own\"\ntftp_options = false\n";
    let start = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    let ports = format!("transfer_ports = \"{start}-{}\"\nrollover = 1\n", start + 500);
    let scene = Scene::of(&[scene::acme().table(rules).listener("tftp", &ports)]);
    for name in ["plain/a.cfg", "size/a.cfg", "a.cfg"] {
        scene.deployment.write(&format!("files/acme/{name}"), content(3000));
    }
    let server = scene.server.address("acme", "tftp");
    let options = [("blksize", "1024"), ("tsize", "0"), ("windowsize", "2"), ("timeout", "3")];
    for (name, granted) in [
        ("plain/a.cfg", &[][..]),
        ("size/a.cfg", &[("tsize", "3000")]),
        ("a.cfg", &[("blksize", "1024"), ("timeout", "3"), ("tsize", "3000"), ("windowsize", "2")]),
    ] {
        let fetched = TftpClient::new(server).get(name, "octet", &options).unwrap();
        let told: Vec<_> = fetched.granted.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!((fetched.content == content(3000), told), (true, granted.to_vec()), "{name}");
    }
    // A size that is not granted says nothing, however wrong it is.
    for size in ["1000", "99999999999"] {
        let granted = TftpClient::new(server).put(&format!("{POLY}-plain.log"), "octet", &[("tsize", size)], b"short");
        assert_eq!(granted, Ok(Vec::new()), "{size}");
    }
    let client = TftpClient::new(server);
    client.read_request("a.cfg", "octet", &[]);
    let (_, from) = client.receive();
    assert!((start..=start + 500).contains(&from.port()), "{from}");
}

#[test]
fn windows_arrive_over_a_link_of_1500_bytes() {
    if !networks::inside("tftp_weather::windows_arrive_over_a_link_of_1500_bytes") {
        return;
    }
    let host = Host::behind("near", "");
    let deployment = Deployment::new();
    deployment.add(&scene::acme().listener_at("tftp", "tftp", "10.0.0.1:69", ""));
    deployment.replace("tenants.d/acme.toml", "127.0.0.0/8", "10.0.0.0/24");
    let scene = Scene::start(deployment);
    let whole = content(1_000_003);
    scene.deployment.write(&format!("files/acme/{POLY}-image.bin"), &whole);
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("got");
    // Blocks that fit the link go out together; those that do not are sent one by one, and fragmented.
    for options in [
        ["blksize 1428", "windowsize 16"],
        ["blksize 1468", "windowsize 64"],
        ["blksize 8192", "windowsize 16"],
        ["blksize 65464", "windowsize 4"],
        ["blksize 512", "windowsize 64"],
    ] {
        let local = to.to_str().unwrap();
        let remote = format!("{POLY}-image.bin");
        let [block, window] = options;
        host.run("atftp", &["--option", block, "--option", window, "-g", "-r", &remote, "-l", local, "10.0.0.1", "69"])
            .succeeded();
        assert!(std::fs::read(&to).unwrap() == whole, "{options:?}");
    }
}
