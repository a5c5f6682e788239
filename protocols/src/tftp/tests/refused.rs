//! What is refused, and with which words.

use std::net::Ipv4Addr;

use provost_tenants::Limits;
use socket2::SockRef;

use super::super::packet::Packet;
use super::MAC;
use super::phone::{Got, Phone};
use super::site::{Plan, Site};

#[tokio::test]
async fn each_refusal_has_its_error_and_its_record() {
    let site = Site::with(&[("0004f2ddeeff.cfg", b"of a device that is not listed")]);
    for (request, code, outcome) in [
        ("RRQ missing.cfg octet", 1, "outcome=missing"),
        ("RRQ 0004f2ddeeff.cfg octet", 1, "outcome=denied reason=unknown_device"),
        ("RRQ ../x octet", 2, "outcome=denied reason=path_leaves_root"),
        ("RRQ a.cfg mail", 4, "outcome=rejected reason=mode"),
        ("RRQ a.cfg binary", 4, "outcome=rejected reason=mode"),
        ("WRQ a.cfg octet", 2, "outcome=denied reason=rule_denies"),
        ("WRQ 0004f2ddeeff-app.log octet", 2, "outcome=denied reason=unknown_device"),
        ("WRQ 0004f2aabbcc-phone.cfg octet", 2, "outcome=denied reason=unbound_write"),
        ("WRQ 0004f2aabbcc-app.log mail", 4, "outcome=rejected reason=mode"),
    ] {
        let mut phone = Phone::of(site.address).await;
        phone.ask(request).await;
        assert_eq!(phone.get().await, Got::Error(code), "{request}");
        let records = site.ended().await;
        assert!(records.last().unwrap().contains(outcome), "{request}: {records:#?}");
    }
}

#[tokio::test]
async fn an_upload_that_is_too_large_leaves_what_was_there() {
    let site = Site::planned(&Plan { max_upload: 100_000, ..Plan::default() }, &[]);
    let name = format!("{MAC}-app.log");
    let mut phone = Phone::of(site.address).await;
    phone.store(&format!("WRQ {name} octet"), 512, b"before").await;

    let mut announced = Phone::of(site.address).await;
    announced.ask(&format!("WRQ {name} octet tsize=100001")).await;
    assert_eq!(announced.get().await, Got::Error(3));

    let mut silent = Phone::of(site.address).await;
    silent.ask(&format!("WRQ {name} octet blksize=60000")).await;
    silent.get().await;
    let mut answers = Vec::new();
    for block in 1..=2 {
        silent.send(Packet::Data { block, bytes: &vec![7; 60000] }).await;
        answers.push(silent.get().await);
    }
    assert_eq!(answers, [Got::Ack(1), Got::Error(3)]);
    assert_eq!(site.upload(&name).unwrap(), b"before");
    site.recorded(1, "reason=too_large").await;
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_what_was_there() {
    let site = Site::with(&[]);
    let name = format!("{MAC}-app.log");
    Phone::of(site.address).await.store(&format!("WRQ {name} octet"), 512, b"before").await;
    let mut phone = Phone::of(site.address).await;
    phone.ask(&format!("WRQ {name} octet")).await;
    phone.get().await;
    phone.send(Packet::Data { block: 1, bytes: &[7; 512] }).await;
    assert_eq!(phone.get().await, Got::Ack(1));
    phone.send(Packet::Error { code: 0, text: b"power" }).await;
    site.recorded(1, "reason=peer_error").await;
    assert_eq!(site.upload(&name).unwrap(), b"before");
}

#[tokio::test]
async fn an_upload_that_is_shorter_than_announced_leaves_what_was_there() {
    let site = Site::with(&[]);
    let name = format!("{MAC}-app.log");
    Phone::of(site.address).await.store(&format!("WRQ {name} octet"), 512, b"before").await;
    let mut phone = Phone::of(site.address).await;
    phone.ask(&format!("WRQ {name} octet tsize=600")).await;
    phone.get().await;
    phone.send(Packet::Data { block: 1, bytes: &[7; 100] }).await;
    assert_eq!(phone.get().await, Got::Error(0));
    site.recorded(1, "reason=body_length").await;
    assert_eq!(site.upload(&name).unwrap(), b"before");
    Phone::of(site.address).await.store(&format!("WRQ {name} octet tsize=100"), 512, &[7; 600]).await;
    assert_eq!(site.upload(&name).unwrap().len(), 600, "it grew while it was sent");
}

#[tokio::test]
async fn who_says_that_it_will_send_and_does_not_keeps_no_device_from_sending() {
    let site = Site::with(&[]);
    let mut silent = Vec::new();
    for number in 0..100 {
        let mut phone = Phone::of(site.address).await;
        phone.ask(&format!("WRQ {MAC}-{number}.log octet")).await;
        assert_eq!(phone.get().await, Got::Ack(0));
        silent.push(phone);
    }
    let name = format!("{MAC}-app.log");
    Phone::of(site.address).await.store(&format!("WRQ {name} octet"), 512, b"log").await;
    assert_eq!(site.upload(&name).unwrap(), b"log");
    assert_eq!(std::fs::read_dir(site.scratch("uploads")).unwrap().count(), 1, "nothing is kept for the others");
}

#[tokio::test]
async fn an_address_outside_the_prefixes_hears_nothing() {
    let site = Site::planned(&Plan { allow: "127.0.0.2/32", ..Plan::default() }, &[("a.cfg", b"x")]);
    let outside = Phone::of(site.address).await;
    outside.ask("RRQ a.cfg octet").await;
    outside.send(Packet::Ack(1)).await;
    let mut inside = Phone::at("127.0.0.2:0", site.address).await;
    assert_eq!(inside.fetch("RRQ a.cfg octet").await, b"x");
    assert!(outside.hears_nothing());
    let records = site.ended().await;
    assert_eq!(records.iter().filter(|record| record.contains("reason=outside_tenant")).count(), 1, "{records:#?}");
}

#[tokio::test]
async fn a_tenant_without_a_place_is_silent_and_then_serves_again() {
    let limits = Limits { connections: 1, ..Limits::default() };
    let site = Site::planned(&Plan { limits, ..Plan::default() }, &[("a.cfg", b"x")]);
    let mut first = Phone::of(site.address).await;
    first.ask("RRQ a.cfg octet").await;
    first.get().await;
    let mut second = Phone::of(site.address).await;
    second.ask("RRQ a.cfg octet").await;
    first.ask("RRQ a.cfg octet").await;
    first.get().await;
    assert!(second.hears_nothing());
    first.send(Packet::Ack(1)).await;
    site.ended().await;
    assert_eq!(second.fetch("RRQ a.cfg octet").await, b"x");
    assert!(site.ended().await.iter().any(|record| record.contains("outcome=refused reason=busy")));
}

#[tokio::test]
async fn noise_on_the_port_is_not_answered_and_stops_nothing() {
    let site = Site::with(&[("a.cfg", b"x")]);
    let mut phone = Phone::of(site.address).await;
    for noise in [&b""[..], b"\0", b"\0\x05\0\0x\0", b"\xff\xff\xff\xff", &[0x41; 5000]] {
        phone.socket.send_to(noise, site.address).await.unwrap();
    }
    assert_eq!(phone.fetch("RRQ a.cfg octet").await, b"x");
    assert_eq!(site.ended().await.len(), 1);
    let mut lost = Phone::of(site.address).await;
    lost.send(Packet::Data { block: 1, bytes: b"x" }).await;
    assert_eq!(lost.get().await, Got::Error(4));
}

#[tokio::test]
async fn a_request_to_whoever_there_is_is_ignored() {
    let site = Site::planned(&Plan { address: "0.0.0.0:0", ..Plan::default() }, &[("a.cfg", b"x")]);
    let asked = |ip: [u8; 4]| (ip, site.address.port()).into();
    let everybody = Phone::of(asked([224, 0, 0, 1])).await;
    SockRef::from(&everybody.socket).set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
    everybody.ask("RRQ a.cfg octet").await;
    assert_eq!(Phone::of(asked([127, 0, 0, 1])).await.fetch("RRQ a.cfg octet").await, b"x");
    assert!(everybody.hears_nothing());
    assert_eq!(site.ended().await.len(), 1);
}
