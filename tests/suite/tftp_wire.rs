//! TFTP packet by packet: options, windows, silence, and phones that start again.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use crate::harness::scene::{self, FOREIGN, NEIGHBOUR, POLY, Scene, UNLISTED};
use crate::harness::tftp_client::{Packet, TftpClient};

fn scene() -> Scene {
    let acme = scene::acme().uploads("max_size = \"1MiB\"");
    let scene =
        Scene::of(&[acme.listener("tftp", "").listener_named("narrow", "tftp", "allow = [\"127.0.0.2/32\"]\n")]);
    scene.deployment.write("files/acme/exact.bin", vec![7; 1024]);
    scene.deployment.write("files/acme/empty.bin", "");
    scene.deployment.write("files/acme/big.bin", big());
    scene.deployment.write("files/acme/text.cfg", "one\ntwo\rthree\n");
    scene
}

fn big() -> Vec<u8> {
    (0..300_007_u32).map(|number| (number % 253).to_le_bytes()[0]).collect()
}

fn address(scene: &Scene) -> SocketAddr {
    scene.server.address("acme", "tftp")
}

#[test]
fn options_are_granted_within_their_bounds_and_unknown_ones_ignored() {
    let scene = scene();
    for (asked, granted) in [
        (&[][..], &[][..]),
        (&[("tsize", "0")], &[("tsize", "1024")]),
        (&[("TSIZE", "0")], &[("tsize", "1024")]),
        (&[("blksize", "1428")], &[("blksize", "1428")]),
        (&[("blksize", "65535")], &[("blksize", "65464")]),
        (&[("timeout", "7")], &[("timeout", "7")]),
        (&[("windowsize", "4")], &[("windowsize", "4")]),
        (&[("windowsize", "65535")], &[("windowsize", "64")]),
        (&[("multicast", "")], &[]),
        (&[("blksize", "7")], &[]),
        (&[("blksize", "nonsense")], &[]),
        (&[("windowsize", "0")], &[]),
        (&[("timeout", "0")], &[]),
    ] {
        let fetched = TftpClient::new(address(&scene)).get("exact.bin", "octet", asked).unwrap();
        assert_eq!(fetched.content, vec![7; 1024], "{asked:?}");
        let granted: Vec<(String, String)> =
            granted.iter().map(|(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(fetched.granted, granted, "{asked:?}");
    }
}

#[test]
fn files_of_every_length_arrive_whole() {
    let scene = scene();
    for (name, content) in [("exact.bin", vec![7; 1024]), ("empty.bin", Vec::new()), ("big.bin", big())] {
        for options in [
            &[][..],
            &[("blksize", "512"), ("windowsize", "16")],
            &[("blksize", "1024")],
            &[("blksize", "1428"), ("windowsize", "64")],
            &[("blksize", "65464"), ("windowsize", "4")],
        ] {
            let fetched = TftpClient::new(address(&scene)).get(name, "octet", options).unwrap();
            assert!(fetched.content == content, "{name} {options:?}: {} bytes", fetched.content.len());
        }
    }
}

#[test]
fn block_numbers_roll_over() {
    let scene = scene();
    let content: Vec<u8> = (0..70_000 * 8_u32).map(|number| (number / 8 % 255).to_le_bytes()[0]).collect();
    scene.deployment.write("files/acme/long.bin", &content);
    let options = [("blksize", "8"), ("windowsize", "64")];
    let fetched = TftpClient::new(address(&scene)).get("long.bin", "OCTET", &options).unwrap();
    assert!(fetched.content == content);
    let log = format!("{POLY}-app.log");
    TftpClient::new(address(&scene)).put(&log, "octet", &options, &content).unwrap();
    assert!(std::fs::read(scene.deployment.upload("acme", &log)).unwrap() == content);
}

#[test]
fn uploads_of_every_length_arrive_whole() {
    let scene = scene();
    let log = format!("{POLY}-app.log");
    for content in [Vec::new(), vec![1; 511], vec![2; 512], vec![3; 1024], big()] {
        for options in [&[][..], &[("blksize", "1428")], &[("blksize", "1024"), ("windowsize", "8"), ("tsize", "0")]] {
            TftpClient::new(address(&scene)).put(&log, "octet", options, &content).unwrap();
            // The last acknowledgement follows the data on the disk.
            assert!(std::fs::read(scene.deployment.upload("acme", &log)).unwrap() == content, "{options:?}");
        }
    }
}

#[test]
fn netascii_on_the_wire_has_its_line_ends() {
    let scene = scene();
    let fetched = TftpClient::new(address(&scene)).get("text.cfg", "netascii", &[]).unwrap();
    assert_eq!(String::from_utf8_lossy(&fetched.content), "one\r\ntwo\r\0three\r\n");
    let log = format!("{POLY}-app.log");
    TftpClient::new(address(&scene)).put(&log, "NetASCII", &[], b"a\r\nb\r\0c\r\n").unwrap();
    assert_eq!(std::fs::read(scene.deployment.upload("acme", &log)).unwrap(), b"a\nb\rc\n");
}

#[test]
fn each_refusal_has_its_error() {
    let scene = scene();
    let ask = |opcode: u16, name: &[u8], mode: &str| {
        let client = TftpClient::new(address(&scene));
        client.request(opcode, name, mode, &[]);
        match client.receive().0 {
            Packet::Error(code, _) => code,
            other => panic!("{other:?}"),
        }
    };
    let missing = format!("{POLY}-license.cfg");
    let unlisted = format!("{UNLISTED}.cfg");
    let foreign = format!("{FOREIGN}.cfg");
    let log = format!("{UNLISTED}-app.log");
    for (opcode, name, mode, code) in [
        (1, &b"none.cfg"[..], "octet", 1),
        (1, missing.as_bytes(), "octet", 1),
        (1, unlisted.as_bytes(), "octet", 1),
        (1, foreign.as_bytes(), "octet", 1),
        (2, log.as_bytes(), "octet", 2),
        (2, b"sip.cfg", "octet", 2),
    ] {
        assert_eq!(ask(opcode, name, mode), code, "{}", String::from_utf8_lossy(name));
    }
    for (opcode, name, mode) in [
        (1, &b"../secret.txt"[..], "octet"),
        (1, br"..\secret.txt", "octet"),
        (1, b"\xff\xfe.cfg", "octet"),
        (1, b"sip.cfg", "mail"),
        (1, b"sip.cfg", "nonsense"),
    ] {
        let code = ask(opcode, name, mode);
        assert!([0, 1, 2, 4].contains(&code), "{code}: {}", String::from_utf8_lossy(name));
    }
}

#[test]
fn a_request_that_is_cut_off_is_refused_and_recorded() {
    let scene = scene();
    for (datagram, path) in [(&b"\0\x01sip.cfg\0octet"[..], "sip.cfg"), (b"\0\x01late.cfg\0", "late.cfg")] {
        let client = TftpClient::new(address(&scene));
        client.send(datagram, address(&scene));
        assert!(matches!(client.receive().0, Packet::Error(4, _)), "{path}");
        let record = scene.server.record(&[("listener", "tftp"), ("path", path)]);
        assert_eq!((&record["outcome"], &record["reason"]), (&"rejected".into(), &"mode".into()));
    }
}

#[test]
fn an_error_does_not_tell_whether_a_device_is_known() {
    let scene = scene();
    let answer = |opcode: u16, name: String| {
        let client = TftpClient::new(address(&scene));
        client.request(opcode, name.as_bytes(), "octet", &[]);
        client.receive().0
    };
    let read = [POLY, NEIGHBOUR, UNLISTED, FOREIGN].map(|mac| answer(1, format!("{mac}-license.cfg")));
    assert!(read.iter().all(|packet| packet == &read[0]), "{read:?}");
    let written = [POLY, NEIGHBOUR, UNLISTED, FOREIGN].map(|mac| answer(2, format!("{mac}-web.cfg")));
    assert!(written.iter().all(|packet| packet == &written[0]), "{written:?}");
}

#[test]
fn a_peer_outside_the_prefixes_hears_nothing() {
    let scene = scene();
    let narrow = scene.server.address("acme", "narrow");
    let outside = TftpClient::new(narrow);
    outside.read_request("sip.cfg", "octet", &[]);
    let record = scene.server.record(&[("listener", "narrow"), ("outcome", "denied")]);
    assert_eq!(record["reason"], "outside_listener");
    // The record stands, and the peer from inside is answered after it: had there been an answer, it would be here.
    let inside = TftpClient::on(UdpSocket::bind("127.0.0.2:0").unwrap(), narrow);
    assert_eq!(inside.get("sip.cfg", "octet", &[]).unwrap().content, b"acme sip.cfg\n");
    assert!(outside.try_receive(Duration::from_millis(1)).is_err());
}

#[test]
fn a_phone_that_starts_again_on_the_same_port_is_served_at_once() {
    let scene = scene();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let client = TftpClient::on(socket, address(&scene));
    client.read_request("big.bin", "octet", &[("blksize", "1024")]);
    let (first, old) = client.receive();
    assert!(matches!(first, Packet::Options(_)), "{first:?}");
    client.acknowledge(0, old);
    assert!(matches!(client.receive().0, Packet::Data(1, _)));
    // The power goes, and comes back: the same port, another file.
    client.read_request("exact.bin", "octet", &[]);
    let (block, new) = loop {
        match client.receive() {
            (Packet::Data(1, bytes), from) if bytes.len() == 512 && bytes[0] == 7 => break (bytes, from),
            (Packet::Data(..), _) => {}
            (other, _) => panic!("{other:?}"),
        }
    };
    assert_eq!(block, vec![7; 512]);
    client.acknowledge(1, new);
    loop {
        match client.receive() {
            (Packet::Data(2, bytes), from) if from == new => break assert_eq!(bytes, vec![7; 512]),
            (Packet::Data(..), _) => {}
            (other, _) => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_request_that_comes_twice_begins_one_transfer() {
    let scene = scene();
    let client = TftpClient::new(address(&scene));
    client.read_request("exact.bin", "octet", &[]);
    client.read_request("exact.bin", "octet", &[]);
    let (first, peer) = client.receive();
    let (second, again) = client.receive();
    assert_eq!((&first, peer), (&second, again));
    client.acknowledge(1, peer);
    client.acknowledge(1, peer);
    // The Sorcerer's Apprentice (RFC 1123, 4.2.3.1): a second acknowledgement sends no second block 2.
    assert!(matches!(client.receive_after(&first).0, Packet::Data(2, _)));
    client.acknowledge(2, peer);
    let Packet::Data(3, last) = client.receive().0 else { panic!("the empty last block") };
    assert!(last.is_empty());
    client.acknowledge(3, peer);
    let record = scene.server.record(&[("method", "RRQ"), ("path", "exact.bin")]);
    assert_eq!((&record["outcome"], &record["bytes"]), (&"served".into(), &1024.into()));
    assert_eq!(scene.server.records(&[("path", "exact.bin")], 1).len(), 1);
}

#[test]
fn a_stranger_in_a_transfer_is_told_so_and_disturbs_nothing() {
    let scene = scene();
    let client = TftpClient::new(address(&scene));
    client.read_request("exact.bin", "octet", &[]);
    let (first, peer) = client.receive();
    let stranger = TftpClient::new(peer);
    stranger.acknowledge(1, peer);
    // RFC 1350 section 4: error 5, and the transfer goes on.
    assert!(matches!(stranger.receive().0, Packet::Error(5, _)));
    client.acknowledge(1, peer);
    assert!(matches!(client.receive_after(&first).0, Packet::Data(2, _)));
}

#[test]
fn an_error_of_the_client_ends_the_transfer() {
    let scene = scene();
    let client = TftpClient::new(address(&scene));
    client.read_request("big.bin", "octet", &[]);
    let (_, peer) = client.receive();
    client.send(b"\0\x05\0\x00gone\0", peer);
    let record = scene.server.record(&[("method", "RRQ"), ("path", "big.bin")]);
    assert_eq!(record["outcome"], "aborted");
}

#[test]
fn a_lost_block_of_a_window_is_sent_again() {
    let scene = scene();
    let client = TftpClient::new(address(&scene));
    client.read_request("big.bin", "octet", &[("windowsize", "4")]);
    let (_, peer) = client.receive();
    client.acknowledge(0, peer);
    let window: Vec<u16> = (0..4).map(|_| number(&client)).collect();
    assert_eq!(window, [1, 2, 3, 4]);
    // Blocks 3 and 4 were lost.
    client.acknowledge(2, peer);
    let window: Vec<u16> = (0..4).map(|_| number(&client)).collect();
    assert_eq!(window, [3, 4, 5, 6]);
    client.acknowledge(6, peer);
    assert_eq!(number(&client), 7);
}

fn number(client: &TftpClient) -> u16 {
    match client.receive().0 {
        Packet::Data(number, _) => number,
        other => panic!("{other:?}"),
    }
}

#[test]
fn packets_that_are_no_requests_do_not_harm() {
    let scene = scene();
    let address = address(&scene);
    let client = TftpClient::new(address);
    for packet in [
        &b""[..],
        b"\0",
        b"\0\x01",
        b"\0\x01sip.cfg",
        b"\0\x01sip.cfg\0",
        b"\0\x01sip.cfg\0octet",
        b"\0\x01\0octet\0",
        b"\0\x03\0\x01data",
        b"\0\x04\0\x01",
        b"\0\x05\0\x01\0",
        b"\0\x06\0",
        b"\xff\xff\xff",
        &vec![b'a'; 60_000],
    ] {
        client.send(packet, address);
    }
    // Trailing garbage after the options, an odd number of words, and a name in a folder that is stripped of nothing.
    let phone = TftpClient::new(address);
    phone.send(b"\0\x01sip.cfg\0octet\0\0\0\0garbage", address);
    let (packet, _) = phone.receive();
    assert!(matches!(packet, Packet::Data(1, _) | Packet::Options(_)), "{packet:?}");
    assert_eq!(TftpClient::new(address).get("sip.cfg", "octet", &[]).unwrap().content, b"acme sip.cfg\n");
}
