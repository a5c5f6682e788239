//! Whose a port, a place and a packet are: phones that begin anew, ask twice or never answer, and strangers.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU16, Ordering};

use provost_tenants::{Limits, TftpSettings, TransferPorts};

use super::super::packet::Packet;
use super::phone::{Got, Phone};
use super::site::{Plan, Site};
use super::{MAC, content};

/// A site whose transfers answer from so many ports, and its file `a.cfg`. The ports lie below those that the system picks, where
/// nobody takes them meanwhile, and are other ones for each site.
fn site_with_ports(count: u16, file: &[u8]) -> (Site, RangeInclusive<u16>) {
    static SITES: AtomicU16 = AtomicU16::new(0);
    let start = 10_000 + u16::try_from(std::process::id() % 20_000).unwrap();
    let start = start + 16 * SITES.fetch_add(1, Ordering::Relaxed);
    let is_free = |port: u16| std::net::UdpSocket::bind(("127.0.0.1", port)).is_ok();
    let first = (start..32_000).find(|first| (*first..first + count).all(is_free)).unwrap();
    let ports = first..=first + count - 1;
    let tftp = TftpSettings { transfer_ports: TransferPorts::Among(ports.clone()), ..TftpSettings::default() };
    (Site::planned(&Plan { tftp, ..Plan::default() }, &[("a.cfg", file)]), ports)
}

#[tokio::test]
async fn who_asks_and_never_answers_gives_way_and_who_has_answered_does_not() {
    let limits = Limits { connections: 8, ..Limits::default() };
    let site = Site::planned(&Plan { limits, ..Plan::default() }, &[("a.cfg", &content(600))]);
    let mut reads = Phone::of(site.address).await;
    reads.ask("RRQ a.cfg octet").await;
    reads.get().await;
    reads.send(Packet::Ack(1)).await;
    assert!(matches!(reads.get().await, Got::Data(2, _)));
    let mut silent = Vec::new();
    for asked in 1..=10 {
        let mut phone = Phone::of(site.address).await;
        phone.ask("RRQ a.cfg octet").await;
        phone.get().await;
        silent.push(phone);
        // Each that comes when three quarters of the places are taken so ends the oldest.
        site.recorded(asked.max(6) - 6, "reason=gave_way").await;
    }
    reads.send(Packet::Ack(2)).await;
    site.recorded(1, "outcome=served").await;
}

#[tokio::test]
async fn a_log_that_was_stored_leaves_its_port_to_who_asks() {
    let (site, _) = site_with_ports(1, &content(600));
    let mut phone = Phone::of(site.address).await;
    phone.store(&format!("WRQ {MAC}-app.log octet"), 512, b"log").await;
    assert!(Phone::of(site.address).await.fetch("RRQ a.cfg octet").await == content(600));
    assert!(!site.records().iter().any(|record| record.contains("transfer_ports")), "at once");
}

#[tokio::test]
async fn a_phone_that_begins_anew_has_the_port_that_it_had() {
    let (site, ports) = site_with_ports(1, &content(2000));
    let mut phone = Phone::of(site.address).await;
    phone.ask("RRQ a.cfg octet").await;
    phone.get().await;
    phone.send(Packet::Ack(1)).await;
    assert!(matches!(phone.get().await, Got::Data(2, _)));
    assert!(phone.fetch("RRQ a.cfg octet").await == content(2000));
    assert!(ports.contains(&phone.transfer.port()));
    assert!(!site.records().iter().any(|record| record.contains("transfer_ports")), "at once");
}

#[tokio::test]
async fn a_request_that_comes_twice_is_one_request() {
    let site = Site::with(&[("a.cfg", b"x")]);
    let mut phone = Phone::of(site.address).await;
    phone.ask("RRQ a.cfg octet").await;
    let first = (phone.get().await, phone.transfer);
    phone.ask("RRQ a.cfg octet").await;
    assert_eq!((phone.get().await, phone.transfer), first);
    phone.send(Packet::Ack(1)).await;
    assert_eq!(site.ended().await.len(), 1);
}

#[tokio::test]
async fn a_phone_that_begins_anew_on_its_port_is_served_at_once() {
    let site = Site::with(&[("a.cfg", &content(2000)), ("b.cfg", b"y")]);
    let mut phone = Phone::of(site.address).await;
    phone.ask("RRQ a.cfg octet").await;
    phone.get().await;
    phone.send(Packet::Ack(1)).await;
    assert!(matches!(phone.get().await, Got::Data(2, _)));
    let former = phone.transfer;
    assert!(phone.fetch("RRQ a.cfg octet").await == content(2000));
    assert_ne!(phone.transfer, former);
    phone.ask("RRQ a.cfg octet").await;
    phone.get().await;
    assert_eq!(phone.fetch("RRQ b.cfg octet").await, b"y", "another request needs no answer before");
    site.recorded(2, "reason=restarted").await;
    site.recorded(2, "outcome=served").await;
}

#[tokio::test]
async fn a_stranger_is_turned_away_and_disturbs_nothing() {
    let site = Site::with(&[("a.cfg", b"x")]);
    let mut phone = Phone::of(site.address).await;
    phone.ask("RRQ a.cfg octet").await;
    phone.get().await;
    let mut stranger = Phone::of(phone.transfer).await;
    stranger.send(Packet::Error { code: 0, text: b"stop" }).await;
    stranger.send(Packet::Ack(1)).await;
    assert_eq!(stranger.get().await, Got::Error(5));
    assert!(stranger.hears_nothing());
    phone.send(Packet::Ack(1)).await;
    let records = site.ended().await;
    assert!(records.len() == 1 && records[0].contains("outcome=served"), "{records:#?}");
}

#[tokio::test]
async fn answers_leave_from_the_address_that_was_asked() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        let site = Site::planned(&Plan { address, ..Plan::default() }, &[("a.cfg", b"x")]);
        for asked in ["127.0.0.1", "127.0.0.2"] {
            let asked: std::net::IpAddr = asked.parse().unwrap();
            let mut phone = Phone::of((asked, site.address.port()).into()).await;
            assert_eq!(phone.fetch("RRQ a.cfg octet").await, b"x");
            assert_eq!(phone.transfer.ip(), asked);
            let mut lost = Phone::of((asked, site.address.port()).into()).await;
            lost.send(Packet::Ack(9)).await;
            assert_eq!((lost.get().await, lost.transfer.ip()), (Got::Error(4), asked));
        }
    }
}

#[tokio::test]
async fn a_phone_that_asks_for_one_file_after_the_other_from_one_port_has_them_all() {
    let site = Site::with(&[("a.cfg", &content(2000))]);
    let mut phone = Phone::of(site.address).await;
    for _ in 0..50 {
        assert!(phone.fetch("RRQ a.cfg octet").await == content(2000));
    }
    site.recorded(50, "outcome=served").await;
}

#[tokio::test]
async fn transfers_answer_from_the_ports_that_they_may_take() {
    let (site, ports) = site_with_ports(1, &content(600));
    for _ in 0..3 {
        let mut phone = Phone::of(site.address).await;
        assert!(phone.fetch("RRQ a.cfg octet").await == content(600));
        assert!(ports.contains(&phone.transfer.port()));
        site.ended().await;
    }
    let (mut holds, mut waits) = (Phone::of(site.address).await, Phone::of(site.address).await);
    holds.ask("RRQ a.cfg octet").await;
    holds.get().await;
    holds.send(Packet::Ack(1)).await;
    holds.get().await;
    waits.ask("RRQ a.cfg octet").await;
    site.recorded(1, "outcome=refused reason=transfer_ports").await;
    assert!(waits.hears_nothing(), "a phone asks again");
    holds.send(Packet::Ack(2)).await;
    site.ended().await;
    assert!(waits.fetch("RRQ a.cfg octet").await == content(600));
}

#[tokio::test]
async fn one_address_leaves_ports_of_a_small_range_to_others() {
    let (site, _) = site_with_ports(4, &content(600));
    let mut greedy = Vec::new();
    for asked in 1..=4 {
        let mut phone = Phone::of(site.address).await;
        phone.ask("RRQ a.cfg octet").await;
        if asked <= 2 {
            assert!(matches!(phone.get().await, Got::Data(1, _)));
            phone.send(Packet::Ack(1)).await;
            assert!(matches!(phone.get().await, Got::Data(2, _)));
        } else {
            site.recorded(asked - 2, "outcome=refused reason=transfer_ports").await;
        }
        greedy.push(phone);
    }
    assert_eq!(Phone::at("127.0.0.2:0", site.address).await.fetch("RRQ a.cfg octet").await, content(600));
    for phone in &greedy[..2] {
        phone.send(Packet::Ack(2)).await;
    }
    site.ended().await;
    assert_eq!(greedy[2].fetch("RRQ a.cfg octet").await, content(600));
}

#[tokio::test]
async fn who_asks_and_never_answers_leaves_its_port_to_who_asks_next() {
    let (site, _) = site_with_ports(2, &content(600));
    let mut silent = Vec::new();
    for address in ["127.0.0.3:0", "127.0.0.4:0"] {
        let mut phone = Phone::at(address, site.address).await;
        phone.ask("RRQ a.cfg octet").await;
        assert!(matches!(phone.get().await, Got::Data(1, _)));
        silent.push(phone);
    }
    assert!(Phone::of(site.address).await.fetch("RRQ a.cfg octet").await == content(600));
    site.recorded(1, "reason=gave_way").await;
    assert!(!site.records().iter().any(|record| record.contains("client=127.0.0.4") && record.contains("gave_way")));
}

#[tokio::test]
async fn packets_that_belong_nowhere_are_answered_at_a_low_rate() {
    let site = Site::with(&[("a.cfg", b"x")]);
    let stranger = Phone::of(site.address).await;
    let (began, mut answers) = (std::time::Instant::now(), 0);
    for _ in 0..400 {
        stranger.send(Packet::Ack(1)).await;
        // Nothing waits in a full socket while the server works.
        assert_eq!(Phone::of(site.address).await.fetch("RRQ a.cfg octet").await, b"x");
        while !stranger.hears_nothing() {
            answers += 1;
        }
    }
    let most = 100 + 10 * (began.elapsed().as_secs() + 1);
    assert!((50..=most).contains(&answers), "{answers} of at most {most}");
}

#[tokio::test]
async fn a_flood_of_strangers_is_answered_a_few_times() {
    let site = Site::with(&[("a.cfg", b"x")]);
    let mut phone = Phone::of(site.address).await;
    phone.ask("RRQ a.cfg octet").await;
    phone.get().await;
    let stranger = Phone::of(phone.transfer).await;
    for _ in 0..100 {
        stranger.send(Packet::Ack(1)).await;
    }
    phone.send(Packet::Ack(1)).await;
    site.recorded(1, "outcome=served").await;
    let mut answers = 0;
    while !stranger.hears_nothing() {
        answers += 1;
    }
    assert_eq!(answers, 16);
}

#[tokio::test]
async fn the_same_request_from_the_same_port_is_answered_though_it_overtakes_the_last_ack() {
    let site = Site::with(&[("a.cfg", b"x")]);
    let mut phone = Phone::of(site.address).await;
    phone.ask("RRQ a.cfg octet").await;
    for _ in 0..200 {
        assert_eq!(phone.get().await, Got::Data(1, b"x".to_vec()));
        let former = phone.transfer;
        // Both stand there before the server looks: the transfer sees its end, and the listener a request that it knows.
        phone.ask("RRQ a.cfg octet").await;
        phone.send(Packet::Ack(1)).await;
        let again = tokio::time::timeout(std::time::Duration::from_millis(900), phone.get()).await;
        assert_eq!(again.ok(), Some(Got::Data(1, b"x".to_vec())), "silence");
        // A repeated block of the former transfer is no answer to the new request.
        if phone.transfer == former {
            assert_eq!(phone.get().await, Got::Data(1, b"x".to_vec()));
        }
        phone.send(Packet::Ack(1)).await;
        site.ended().await;
        phone.ask("RRQ a.cfg octet").await;
    }
}

#[tokio::test]
async fn a_missing_file_that_is_asked_for_again_and_again_is_answered_each_time() {
    let site = Site::with(&[]);
    let mut phone = Phone::of(site.address).await;
    for _ in 0..200 {
        phone.ask("RRQ none.cfg octet").await;
        let answer = tokio::time::timeout(std::time::Duration::from_secs(5), phone.get()).await;
        assert_eq!(answer.ok(), Some(Got::Error(1)), "silence");
    }
}

#[tokio::test]
async fn a_request_that_comes_twice_before_it_is_refused_is_refused_once() {
    let site = Site::with(&[("a.cfg", b"x")]);
    for name in ["none.cfg", "../../etc/passwd"] {
        let mut phone = Phone::of(site.address).await;
        // Both stand there before the server looks.
        phone.ask(&format!("RRQ {name} octet")).await;
        phone.ask(&format!("RRQ {name} octet")).await;
        assert!(matches!(phone.get().await, Got::Error(_)));
        phone.ask("RRQ a.cfg octet").await;
        assert_eq!(phone.get().await, Got::Data(1, b"x".to_vec()), "the second ERROR is no answer to this");
        phone.send(Packet::Ack(1)).await;
    }
    assert_eq!(site.ended().await.len(), 4);
}
