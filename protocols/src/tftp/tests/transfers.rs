//! Files that arrive, and what disturbs them on their way.

use provost_tenants::{Limits, Rollover, TftpSettings};

use super::super::packet::Packet;
use super::phone::{Got, Phone};
use super::site::{Plan, Site};
use super::{MAC, content};

#[tokio::test]
async fn files_arrive_with_any_options() {
    let sizes = [0, 1, 511, 512, 513, 70_000, 600_000];
    let files: Vec<_> = sizes.iter().map(|size| (format!("{size}.cfg"), content(*size))).collect();
    let named: Vec<_> = files.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
    let site = Site::with(&named);
    for options in
        ["", " blksize=8192", " blksize=1428 windowsize=16", " blksize=65464 windowsize=64 tsize=0 timeout=2"]
    {
        for (name, content) in &files {
            let fetched = Phone::of(site.address).await.fetch(&format!("RRQ {name} octet{options}")).await;
            assert!(fetched == *content, "{name}{options}");
        }
    }
    let records = site.ended().await;
    assert_eq!(records.len(), files.len() * 4);
    for (record, bytes) in records.iter().zip(sizes.iter().cycle()) {
        assert!(record.contains(&format!(" path={bytes}.cfg outcome=served ")), "{record}");
        assert!(record.contains(&format!(" bytes={bytes} ")), "{record}");
    }
}

#[tokio::test]
async fn past_the_tenants_memory_windows_are_smaller_and_files_arrive() {
    let limits = Limits { memory: 64 * 1024, ..Limits::default() };
    let site = Site::planned(&Plan { limits, ..Plan::default() }, &[("a.cfg", &content(300_000))]);
    let request = "RRQ a.cfg octet blksize=8192 windowsize=8";
    let mut phones = [Phone::of(site.address).await, Phone::of(site.address).await];
    for (phone, window) in phones.iter_mut().zip([8, 2]) {
        phone.ask(request).await;
        assert_eq!(phone.get().await, Got::OptionAck(format!("blksize 8192 windowsize {window} ")));
    }
    let mut third = Phone::of(site.address).await;
    assert!(third.fetch(request).await == content(300_000));
    third.store(&format!("WRQ {MAC}-app.log octet"), 512, &content(200_000)).await;
    assert!(site.upload(&format!("{MAC}-app.log")).unwrap() == content(200_000));
    for phone in &phones {
        phone.send(Packet::Error { code: 8, text: b"enough" }).await;
    }
    site.ended().await;
    phones[0].ask(request).await;
    assert_eq!(phones[0].get().await, Got::OptionAck("blksize 8192 windowsize 8 ".into()), "it came back");
}

#[tokio::test]
async fn names_are_read_as_phones_write_them() {
    let site = Site::with(&[("sip.cfg", b"x")]);
    for name in ["sip.cfg", "/sip.cfg", "\\sip.cfg", "//./sip.cfg", "/tftpboot/sip.cfg", "yealink/../sip.cfg"] {
        assert_eq!(Phone::of(site.address).await.fetch(&format!("RRQ {name} Octet")).await, b"x", "{name}");
    }
}

#[tokio::test]
async fn text_is_translated_both_ways() {
    let site = Site::with(&[("a.cfg", b"one\ntwo\rthree\n")]);
    let mut phone = Phone::of(site.address).await;
    assert_eq!(phone.fetch("RRQ a.cfg netascii tsize=0").await, b"one\r\ntwo\r\0three\r\n");
    phone.store(&format!("WRQ {MAC}-app.log NetAscii blksize=8"), 8, b"1234567\r\n\r\0x").await;
    assert_eq!(site.upload(&format!("{MAC}-app.log")).unwrap(), b"1234567\n\rx");
}

#[tokio::test]
async fn the_size_is_told() {
    let site = Site::with(&[("a.cfg", b"one\n"), ("b.cfg", &content(100_000))]);
    for (request, options) in [
        ("RRQ a.cfg octet tsize=0", "tsize 4 "),
        ("RRQ a.cfg netascii tsize=0", "tsize 5 "),
        ("RRQ b.cfg octet tsize=0", "tsize 100000 "),
        ("RRQ b.cfg netascii tsize=0 blksize=600", "blksize 600 "),
    ] {
        let mut phone = Phone::of(site.address).await;
        phone.ask(request).await;
        assert_eq!(phone.get().await, Got::OptionAck(options.into()), "{request}");
        phone.send(Packet::Error { code: 8, text: b"only the size" }).await;
    }
    for record in site.ended().await {
        assert!(record.contains("outcome=aborted") && record.contains("reason=peer_error"), "{record}");
        assert!(record.contains("the peer sent error 8: only the size"), "{record}");
    }
}

#[tokio::test]
async fn an_upload_is_on_the_disk_when_its_last_block_is_acknowledged() {
    let site = Site::with(&[]);
    let name = format!("{MAC}-boot.log");
    for size in [0, 512, 700, 200_000] {
        let mut phone = Phone::of(site.address).await;
        phone.store(&format!("WRQ {name} octet tsize={size}"), 512, &content(size)).await;
        assert!(site.upload(&name).unwrap() == content(size), "{size}");
        let last = u16::try_from(size / 512 + 1).unwrap();
        let bytes = &content(size)[size / 512 * 512..];
        phone.send(Packet::Data { block: last, bytes }).await;
        assert_eq!(phone.get().await, Got::Ack(last), "the last ACK may have been lost");
    }
    let records = site.records();
    assert_eq!(records.iter().filter(|record| record.contains("outcome=stored")).count(), 4, "{records:#?}");
}

#[tokio::test]
async fn a_window_of_an_upload_is_acknowledged_as_a_whole() {
    let site = Site::with(&[]);
    let mut phone = Phone::of(site.address).await;
    phone.ask(&format!("WRQ {MAC}-app.log octet windowsize=3 blksize=8")).await;
    assert_eq!(phone.get().await, Got::OptionAck("blksize 8 windowsize 3 ".into()));
    for block in [1, 2, 3] {
        phone.send(Packet::Data { block, bytes: b"12345678" }).await;
    }
    assert_eq!(phone.get().await, Got::Ack(3));
    for block in [4, 6, 5, 6, 7] {
        phone.send(Packet::Data { block, bytes: if block == 7 { b"" } else { b"abcdefgh" } }).await;
    }
    assert_eq!(phone.get().await, Got::Ack(4), "5 is missing");
    assert_eq!(phone.get().await, Got::Ack(7));
    assert_eq!(site.upload(&format!("{MAC}-app.log")).unwrap().len(), 48);
}

#[tokio::test]
async fn blocks_behind_a_lost_first_one_are_told_what_is_missing() {
    let site = Site::with(&[]);
    let mut phone = Phone::of(site.address).await;
    phone.ask(&format!("WRQ {MAC}-app.log octet windowsize=4 blksize=8")).await;
    assert_eq!(phone.get().await, Got::OptionAck("blksize 8 windowsize 4 ".into()));
    for block in [2, 3, 4] {
        phone.send(Packet::Data { block, bytes: b"12345678" }).await;
    }
    // A second OACK would be taken for the acknowledgement of the window.
    assert_eq!(phone.get().await, Got::Ack(0));
    for block in [1, 2, 3, 4] {
        phone.send(Packet::Data { block, bytes: b"12345678" }).await;
    }
    assert_eq!(phone.get().await, Got::Ack(4));
    phone.send(Packet::Data { block: 5, bytes: b"" }).await;
    assert_eq!(phone.get().await, Got::Ack(5));
    assert_eq!(site.upload(&format!("{MAC}-app.log")).unwrap().len(), 32);
}

#[tokio::test]
async fn a_repeated_ack_makes_nothing_be_sent_again() {
    let site = Site::with(&[("a.cfg", &content(1024))]);
    let mut phone = Phone::of(site.address).await;
    phone.ask("RRQ a.cfg octet").await;
    phone.get().await;
    for _ in 0..3 {
        phone.send(Packet::Ack(1)).await;
    }
    let received = [phone.get().await, {
        phone.send(Packet::Ack(2)).await;
        phone.get().await
    }];
    assert!(matches!(received, [Got::Data(2, _), Got::Data(3, _)]), "{received:?}");
}

#[tokio::test]
async fn what_is_lost_is_sent_again() {
    let site = Site::with(&[("a.cfg", &content(100))]);
    let mut phone = Phone::of(site.address).await;
    phone.ask("RRQ a.cfg octet blksize=16 windowsize=4").await;
    phone.get().await;
    let option_ack = phone.get().await;
    assert_eq!(option_ack, Got::OptionAck("blksize 16 windowsize 4 ".into()), "the first one was lost");
    phone.send(Packet::Ack(0)).await;
    for block in 1..=4 {
        assert!(matches!(phone.get().await, Got::Data(number, _) if number == block));
    }
    phone.send(Packet::Ack(2)).await;
    for block in 3..=6 {
        assert!(matches!(phone.get().await, Got::Data(number, _) if number == block));
    }
    phone.send(Packet::Ack(2)).await;
    phone.send(Packet::Ack(6)).await;
    assert_eq!(phone.get().await, Got::Data(7, content(100)[96..].to_vec()));
    phone.send(Packet::Ack(7)).await;
    assert_eq!(site.ended().await.len(), 1);
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_sent_ends_the_transfer_and_one_that_is_replaced_does_not() {
    let names = ["a.ld", "b.ld", "c.ld"];
    let whole = content(2_000_000);
    let site = Site::with(&names.map(|name| (name, whole.as_slice())));
    let mut phones = Vec::new();
    for name in names {
        let mut phone = Phone::of(site.address).await;
        phone.ask(&format!("RRQ {name} octet")).await;
        assert!(matches!(phone.get().await, Got::Data(1, _)));
        phones.push((phone, name));
    }
    std::fs::write(site.root("a.ld"), vec![7; 2_000_000]).unwrap();
    std::fs::write(site.root("new"), vec![7; 2_000_000]).unwrap();
    std::fs::rename(site.root("new"), site.root("b.ld")).unwrap();
    // As `cp -al` keeps an edition.
    std::fs::hard_link(site.root("c.ld"), site.root("kept")).unwrap();
    for (mut phone, name) in phones {
        let (mut file, mut block) = (content(512), 1);
        let end = loop {
            phone.send(Packet::Ack(block)).await;
            match phone.get().await {
                Got::Data(number, bytes) if bytes.len() == 512 => {
                    block = number;
                    file.extend(bytes);
                }
                end => break end,
            }
        };
        assert!(whole.starts_with(&file), "{name}: bytes of two files");
        if name == "a.ld" {
            assert_eq!(end, Got::Error(0));
        } else {
            assert_eq!(end, Got::Data(3907, whole[3906 * 512..].to_vec()));
            phone.send(Packet::Ack(3907)).await;
        }
    }
    site.recorded(1, "reason=changed").await;
    site.recorded(2, "outcome=served").await;
}

#[tokio::test]
async fn a_block_behind_65535_is_0_or_as_the_listener_says_1() {
    for (rollover, behind) in [(Rollover::Zero, 0), (Rollover::One, 1)] {
        let tftp = TftpSettings { rollover, ..TftpSettings::default() };
        let site = Site::planned(&Plan { tftp, ..Plan::default() }, &[("a.ld", &content(65_536 * 8 + 3))]);
        let mut phone = Phone::of(site.address).await;
        phone.ask("RRQ a.ld octet blksize=8 windowsize=64").await;
        assert!(matches!(phone.get().await, Got::OptionAck(_)));
        phone.send(Packet::Ack(0)).await;
        let mut numbers = Vec::new();
        while let Got::Data(number, bytes) = phone.get().await {
            numbers.push(number);
            if numbers.len() % 64 == 0 || bytes.len() < 8 {
                phone.send(Packet::Ack(number)).await;
            }
            if bytes.len() < 8 {
                break;
            }
        }
        assert_eq!(numbers[65_534..], [65535, behind, behind + 1]);
        site.recorded(1, "outcome=served").await;

        let name = format!("{MAC}-app.log");
        phone.ask(&format!("WRQ {name} octet blksize=8 windowsize=64")).await;
        assert!(matches!(phone.get().await, Got::OptionAck(_)));
        for (at, number) in (1..=65535).chain([behind, behind + 1]).enumerate() {
            let bytes: &[u8] = if at == 65_536 { b"" } else { b"12345678" };
            phone.send(Packet::Data { block: number, bytes }).await;
            if (at + 1) % 64 == 0 || bytes.is_empty() {
                assert_eq!(phone.get().await, Got::Ack(number), "{rollover:?} {at}");
            }
        }
        assert_eq!(site.upload(&name).map(|log| log.len()), Some(65_536 * 8));
    }
}
