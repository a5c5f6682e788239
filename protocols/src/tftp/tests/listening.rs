//! Transfers that answer from the listening port.

use provost_tenants::{Limits, TftpSettings, TransferPorts};
use tokio::net::UdpSocket;

use super::super::packet::Packet;
use super::MAC;
use super::phone::{Got, Phone};
use super::site::{Plan, Site};

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| u8::try_from(index % 253).unwrap()).collect()
}

fn plan(address: &'static str) -> Plan {
    let tftp = TftpSettings { transfer_ports: TransferPorts::Listening, ..TftpSettings::default() };
    Plan { address, allow: "127.0.0.0/8 ::1/128", tftp, ..Plan::default() }
}

fn site(files: &[(&str, &[u8])]) -> Site {
    Site::planned(&plan("127.0.0.1:0"), files)
}

#[tokio::test]
async fn files_come_and_go_through_the_port_and_the_address_that_were_asked() {
    for address in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"] {
        let site = Site::planned(&plan(address), &[("a.cfg", &content(300_000))]);
        for asked in ["127.0.0.1", "127.0.0.2"].into_iter().take(if address == "127.0.0.1:0" { 1 } else { 2 }) {
            let asked = (asked.parse::<std::net::IpAddr>().unwrap(), site.address.port()).into();
            for options in ["", " blksize=8192", " blksize=1428 windowsize=16", " blksize=65464 windowsize=64 tsize=0"]
            {
                let mut phone = Phone::of(asked).await;
                assert!(phone.fetch(&format!("RRQ a.cfg octet{options}")).await == content(300_000), "{options}");
                assert_eq!(phone.transfer, asked);
            }
            for (block, options) in [(512, ""), (8192, " blksize=8192"), (65464, " blksize=65464 windowsize=2")] {
                let (name, file) = (format!("{MAC}-app.log"), content(130_000));
                let mut phone = Phone::of(asked).await;
                if options.contains("windowsize") {
                    phone.ask(&format!("WRQ {name} octet{options}")).await;
                    assert!(matches!(phone.get().await, Got::OptionAck(_)));
                    for (number, bytes) in (1..).zip(file.chunks(block)) {
                        phone.send(Packet::Data { block: number, bytes }).await;
                    }
                    assert_eq!(phone.get().await, Got::Ack(2));
                } else {
                    phone.store(&format!("WRQ {name} octet{options}"), block, &file).await;
                }
                assert!(site.upload(&name).unwrap() == file, "{options}");
                assert_eq!(phone.transfer, asked);
            }
        }
    }
}

#[tokio::test]
async fn a_block_for_an_ipv6_peer_fits_every_link() {
    let site = Site::planned(&plan("[::]:0"), &[("a.cfg", &content(300_000))]);
    let asked = (std::net::Ipv6Addr::LOCALHOST, site.address.port()).into();
    let mut phone = Phone::at("[::1]:0", asked).await;
    phone.ask("RRQ a.cfg octet blksize=8192 windowsize=64").await;
    assert_eq!(phone.get().await, Got::OptionAck("blksize 1228 windowsize 64 ".into()));
    phone.send(Packet::Error { code: 8, text: b"only the options" }).await;
    let mut phone = Phone::at("[::1]:0", asked).await;
    assert!(phone.fetch("RRQ a.cfg octet blksize=8192 windowsize=64").await == content(300_000));
    assert_eq!(phone.transfer, asked);
}

#[tokio::test]
async fn peers_are_told_apart_by_address_and_port() {
    let (a, b) = (content(2000), vec![7; 2000]);
    let site = site(&[("a.cfg", &a), ("b.cfg", &b)]);
    let mut phones = [Phone::of(site.address).await, Phone::of(site.address).await];
    phones[0].ask("RRQ a.cfg octet").await;
    phones[1].ask("RRQ b.cfg octet").await;
    for block in 1..=4_u16 {
        for (phone, file) in phones.iter_mut().zip([&a, &b]) {
            let bytes = file.chunks(512).nth(usize::from(block) - 1).unwrap().to_vec();
            assert_eq!(phone.get().await, Got::Data(block, bytes));
        }
        for phone in &phones {
            phone.send(Packet::Ack(block)).await;
        }
    }
    site.recorded(2, "outcome=served").await;
    site.ended().await;
}

#[tokio::test]
async fn a_request_that_comes_twice_is_answered_again_and_another_one_takes_its_place() {
    let site = site(&[("a.cfg", &content(2000)), ("b.cfg", &[7; 2000])]);
    let mut phone = Phone::of(site.address).await;
    phone.ask("RRQ a.cfg octet").await;
    let first = phone.get().await;
    phone.ask("RRQ a.cfg octet").await;
    assert_eq!(phone.get().await, first);
    phone.send(Packet::Ack(1)).await;
    assert!(matches!(phone.get().await, Got::Data(2, _)));
    assert!(phone.fetch("RRQ b.cfg octet").await == [7; 2000], "bytes of two files");
    for _ in 0..50 {
        assert!(phone.fetch("RRQ a.cfg octet").await == content(2000));
    }
    site.recorded(1, "reason=restarted").await;
    site.recorded(51, "outcome=served").await;
}

#[tokio::test]
async fn an_error_of_the_peer_ends_its_transfer_and_nobody_elses() {
    let site = site(&[("a.cfg", &content(2000))]);
    let [mut ends, mut stays] = [Phone::of(site.address).await, Phone::of(site.address).await];
    for phone in [&mut ends, &mut stays] {
        phone.ask("RRQ a.cfg octet").await;
        phone.get().await;
    }
    ends.send(Packet::Error { code: 0, text: b"power" }).await;
    site.recorded(1, "reason=peer_error").await;
    assert_eq!(site.shares.taken(), 1);
    stays.send(Packet::Ack(1)).await;
    assert!(matches!(stays.get().await, Got::Data(2, _)));
}

#[tokio::test]
async fn a_packet_of_no_transfer_disturbs_none_and_a_block_is_told_so() {
    let site = site(&[("a.cfg", b"x")]);
    let mut phone = Phone::of(site.address).await;
    phone.ask("RRQ a.cfg octet").await;
    phone.get().await;
    let mut stranger = Phone::of(site.address).await;
    stranger.send(Packet::Error { code: 0, text: b"stop" }).await;
    stranger.send(Packet::Ack(1)).await;
    stranger.send(Packet::Data { block: 1, bytes: b"x" }).await;
    assert_eq!(stranger.get().await, Got::Error(5));
    assert!(stranger.hears_nothing(), "an ACK that comes after the end is not answered");
    phone.send(Packet::Ack(1)).await;
    site.recorded(1, "outcome=served").await;
    assert_eq!(site.ended().await.len(), 1);
}

#[tokio::test]
async fn what_one_peer_floods_holds_up_no_other() {
    let site = site(&[("a.cfg", &content(2000))]);
    let mut flooder = Phone::of(site.address).await;
    flooder.ask(&format!("WRQ {MAC}-app.log octet")).await;
    assert_eq!(flooder.get().await, Got::Ack(0));
    for number in 0..2000 {
        flooder.send(Packet::Data { block: 7, bytes: &[7; 512] }).await;
        if number % 100 == 0 {
            assert!(Phone::of(site.address).await.fetch("RRQ a.cfg octet").await == content(2000));
        }
    }
    flooder.send(Packet::Error { code: 0, text: b"enough" }).await;
    assert!(Phone::of(site.address).await.fetch("RRQ a.cfg octet").await == content(2000));
}

#[tokio::test]
async fn the_port_is_free_when_the_listener_has_ended_and_its_transfers_end() {
    let site = site(&[("a.cfg", &content(2000))]);
    let mut reads = Phone::of(site.address).await;
    reads.ask("RRQ a.cfg octet").await;
    reads.get().await;
    let mut writes = Phone::of(site.address).await;
    writes.ask(&format!("WRQ {MAC}-app.log octet")).await;
    writes.get().await;
    site.close().await;
    UdpSocket::bind(site.address).await.unwrap();
    site.recorded(2, "reason=listener_closed").await;
    site.ended().await;
    assert_eq!(site.upload(&format!("{MAC}-app.log")), None);
}

#[tokio::test]
async fn a_place_and_a_prefix_count_as_elsewhere() {
    let limits = Limits { connections: 1, ..Limits::default() };
    let site = Site::planned(&Plan { limits, allow: "127.0.0.1/32", ..plan("0.0.0.0:0") }, &[("a.cfg", b"x")]);
    let asked = ([127, 0, 0, 1], site.address.port()).into();
    let (mut first, second) = (Phone::of(asked).await, Phone::of(asked).await);
    let outside = Phone::at("127.0.0.2:0", asked).await;
    first.ask("RRQ a.cfg octet").await;
    first.get().await;
    second.ask("RRQ a.cfg octet").await;
    outside.ask("RRQ a.cfg octet").await;
    outside.send(Packet::Data { block: 1, bytes: b"x" }).await;
    first.ask("RRQ a.cfg octet").await;
    first.get().await;
    assert!(second.hears_nothing() && outside.hears_nothing());
    first.send(Packet::Ack(1)).await;
    site.ended().await;
}
