//! What phones fetch: RETR and lists; the ways to a data connection; and what is said while one is in use.

use std::net::Ipv4Addr;
use std::time::Duration;

use provost_tenants::{FtpSettings, Limits};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use super::harness::{Options, Server, accept, connect_as, read_to_end};
use super::{OTHER, OWN};

/// More than all the buffers between two sockets hold.
const LARGE: usize = 64 << 20;

#[tokio::test]
async fn files_are_sent_whole_from_an_offset_and_with_network_line_ends() {
    let server = Server::start();
    let long: Vec<u8> = (0..700_000_u32).flat_map(u32::to_be_bytes).collect();
    server.provide("firmware/sip.ld", &long);
    server.provide("sip.cfg", b"one\ntwo\r\n");
    server.provide("empty.cfg", b"");
    server.provide(&format!("{OWN}.cfg"), b"own");
    let mut client = server.session().await;
    assert_eq!(client.fetch("RETR /firmware/sip.ld").await, (226, long.clone()));
    assert_eq!(client.fetch("RETR empty.cfg").await, (226, Vec::new()));
    assert_eq!(client.fetch(&format!("RETR {OWN}.cfg")).await, (226, b"own".to_vec()));
    assert_eq!(client.code("REST 2799990").await, 350);
    assert_eq!(client.fetch("RETR /firmware/sip.ld").await, (226, long[2_799_990..].to_vec()));
    assert_eq!(client.fetch("RETR sip.cfg").await, (226, b"one\ntwo\r\n".to_vec()), "REST holds for one transfer");
    assert_eq!(client.code("REST 9").await, 350);
    assert_eq!(client.fetch("RETR sip.cfg").await, (226, Vec::new()));
    assert_eq!(client.code("REST 10").await, 350);
    assert_eq!(client.fetch("RETR sip.cfg").await.0, 554);
    assert_eq!(client.ask("SIZE sip.cfg").await, "213 9\r\n");
    assert_eq!(client.code("MDTM sip.cfg").await, 213);
    assert_eq!(client.code("TYPE A").await, 200);
    assert_eq!(client.fetch("RETR sip.cfg").await, (226, b"one\r\ntwo\r\n".to_vec()));
    assert_eq!(client.code("SIZE sip.cfg").await, 550);
    let records = server.records().await;
    assert!(records.contains("method=RETR path=/firmware/sip.ld outcome=served"), "{records}");
    assert!(records.contains("method=SIZE path=/sip.cfg outcome=rejected reason=ascii_size"), "{records}");
    assert!(records.contains("bytes=2800000"), "{records}");
}

#[tokio::test]
async fn past_the_tenants_memory_files_go_in_small_pieces_and_arrive() {
    let limits = Limits { memory: 1, ..Limits::default() };
    let server = Server::with(Options { limits, ..Options::default() });
    let (long, text) = (b"a line\n".repeat(40_000), b"a line\r\n".repeat(40_000));
    server.provide("sip.ld", &long);
    let mut client = server.session().await;
    assert_eq!(client.fetch("RETR sip.ld").await, (226, long.clone()));
    assert_eq!(client.store(&format!("STOR {OWN}-app.log"), &long).await, 226);
    assert_eq!(client.fetch(&format!("RETR {OWN}-app.log")).await, (226, long.clone()));
    assert_eq!(client.code("TYPE A").await, 200);
    assert_eq!(client.fetch("RETR sip.ld").await, (226, text.clone()));
    assert_eq!(client.store(&format!("STOR {OWN}-boot.log"), &text).await, 226);
    assert_eq!(client.code("TYPE I").await, 200);
    assert_eq!(client.fetch(&format!("RETR {OWN}-boot.log")).await, (226, long));
}

#[tokio::test]
async fn what_may_not_be_had_is_refused_with_one_record_each() {
    let server = Server::start();
    server.provide(&format!("{OTHER}.cfg"), b"other");
    let mut client = server.session_of(OWN, "own-secret").await;
    let rows = [
        ("RETR missing.cfg".to_owned(), 550, "outcome=missing"),
        (format!("RETR {OTHER}.cfg"), 550, "reason=not_own"),
        ("RETR ../x".to_owned(), 550, "reason=path_leaves_root"),
        ("STOR sip.cfg".to_owned(), 553, "reason=rule_denies"),
        (format!("STOR {OTHER}-app.log"), 553, "reason=not_own"),
        (format!("APPE ../{OWN}-app.log"), 553, "reason=path_leaves_root"),
    ];
    for (index, (command, code, word)) in rows.into_iter().enumerate() {
        assert_eq!(client.fetch(&command).await.0, code, "{command}");
        let records = server.records().await;
        let lines: Vec<&str> = records.lines().collect();
        assert_eq!(lines.len(), index + 1, "{records}");
        assert!(lines[index].contains(word), "{command}: {records}");
    }
}

#[tokio::test]
async fn a_stranger_at_the_passive_port_does_not_use_it_up() {
    let server = Server::start();
    server.provide("sip.cfg", b"sip");
    let mut client = server.session().await;
    let address = client.pasv().await;
    let first = connect_as([127, 0, 0, 2], address).await;
    let second = connect_as([127, 0, 0, 3], address).await;
    assert_eq!(client.code("RETR sip.cfg").await, 150);
    let data = TcpStream::connect(address).await.unwrap();
    assert_eq!(read_to_end(data).await.unwrap(), b"sip");
    assert_eq!(client.next_code().await, 226);
    for stranger in [first, second] {
        assert_eq!(read_to_end(stranger).await.unwrap_or_default(), b"");
    }
    assert!(TcpStream::connect(address).await.is_err(), "the port is closed behind the transfer");
}

#[tokio::test]
async fn a_session_has_one_passive_port_at_a_time() {
    let server = Server::start();
    let mut client = server.session().await;
    let first = client.pasv().await;
    let second = client.pasv().await;
    assert!(TcpStream::connect(first).await.is_err());
    assert!(TcpStream::connect(second).await.is_ok());
}

#[tokio::test]
async fn passive_ports_come_from_their_range_with_the_address_that_is_told() {
    // The system's own pick names a port that is free here.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let told = Ipv4Addr::new(192, 0, 2, 7);
    let ftp = FtpSettings { passive_ports: Some(free..=free), passive_address: Some(told), ..FtpSettings::default() };
    let server = Server::with(Options { ftp, ..Options::default() });
    let mut client = server.session().await;
    let address = client.pasv().await;
    assert_eq!((address.ip(), address.port()), (told.into(), free));
    let mut other = server.session().await;
    assert_eq!(other.code("EPSV").await, 425, "the one port is taken");
    assert_eq!(client.code("ABOR").await, 226);
    assert_eq!(other.code("EPSV").await, 229);
}

#[tokio::test]
async fn active_data_connections_lead_to_the_client() {
    let server = Server::start();
    server.provide("sip.cfg", b"sip");
    let mut client = server.session().await;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let [high, low] = listener.local_addr().unwrap().port().to_be_bytes();
    assert_eq!(client.code(&format!("PORT 127,0,0,1,{high},{low}")).await, 200);
    assert_eq!(client.code("RETR sip.cfg").await, 150);
    assert_eq!(read_to_end(accept(&listener).await).await.unwrap(), b"sip");
    assert_eq!(client.next_code().await, 226);
    drop(listener);
    assert_eq!(client.code(&format!("PORT 127,0,0,1,{high},{low}")).await, 200);
    assert_eq!(client.code("RETR sip.cfg").await, 150);
    assert_eq!(client.next_code().await, 425, "nobody listens any more");
    assert_eq!(client.code("NOOP").await, 200);
}

#[tokio::test]
async fn a_peer_that_never_connects_or_never_reads_is_given_up() {
    let limits = Limits { stall: Duration::from_millis(100), ..Limits::default() };
    let server = Server::with(Options { limits, ..Options::default() });
    server.provide("large.bin", &vec![7; LARGE]);
    let mut client = server.session().await;
    client.pasv().await;
    assert_eq!(client.code("RETR large.bin").await, 150);
    assert_eq!(client.next_code().await, 425);
    let data = client.data().await;
    assert_eq!(client.code("RETR large.bin").await, 150);
    assert_eq!(client.next_code().await, 426);
    assert!(read_to_end(data).await.is_err(), "a part must not look complete");
    assert!(server.records().await.contains("reason=data_stalled"));
}

#[tokio::test]
async fn transfers_that_are_withdrawn_are_recorded_with_the_bytes_that_passed() {
    let server = Server::start();
    server.provide("large.bin", &vec![7; LARGE]);
    let mut reader = server.session().await;
    let mut data = reader.data().await;
    assert_eq!(reader.code("RETR large.bin").await, 150);
    data.read_exact(&mut [0; 4096]).await.unwrap();
    let mut writer = server.session_of(OWN, "own-secret").await;
    let _upload = writer.begin_store(&format!("{OWN}-app.log"), b"a part").await;
    while !writer.ask("STAT").await.starts_with("213 6 bytes") {}
    server.withdraw();
    assert_eq!((reader.reply().await, writer.reply().await), (String::new(), String::new()));
    let mut records = server.records().await;
    while records.matches("reason=withdrawn").count() < 2 {
        tokio::task::yield_now().await;
        records = server.records().await;
    }
    let bytes = |method: &str| {
        let record = records.lines().find(|record| record.contains(method)).unwrap();
        let (_, bytes) = record.split_once("bytes=").unwrap();
        bytes.split(' ').next().unwrap().parse::<usize>().unwrap()
    };
    assert_eq!(bytes("method=STOR"), 6, "{records}");
    assert!((4096..LARGE).contains(&bytes("method=RETR")), "{records}");
}

#[tokio::test]
async fn abor_stops_a_transfer_and_the_session_goes_on() {
    let server = Server::start();
    server.provide("large.bin", &vec![7; LARGE]);
    server.provide("sip.cfg", b"sip");
    let mut client = server.session().await;
    let mut data = client.data().await;
    assert_eq!(client.code("RETR large.bin").await, 150);
    data.read_exact(&mut [0; 4096]).await.unwrap();
    // As the telnet protocol has it: interrupt, synch, and the last byte urgent.
    client.send(b"\xff\xf4").await;
    client.send_urgently(b"\xff\xf2");
    client.send(b"ABOR\r\n").await;
    assert_eq!(client.next_code().await, 426);
    assert_eq!(client.next_code().await, 226);
    assert!(read_to_end(data).await.is_err(), "a part must not look complete");
    assert_eq!(client.fetch("RETR sip.cfg").await, (226, b"sip".to_vec()));

    let data = client.data().await;
    assert_eq!(client.code("RETR large.bin").await, 150);
    client.send_urgently(b"ABOR\r\n");
    assert_eq!(client.next_code().await, 426);
    assert_eq!(client.next_code().await, 226);
    drop(data);
    assert_eq!(client.code("NOOP").await, 200);
}

#[tokio::test]
async fn during_a_transfer_stat_and_noop_are_answered_and_the_rest_waits() {
    let server = Server::start();
    server.provide("large.bin", &vec![7; LARGE]);
    let mut client = server.session().await;
    let mut data = client.data().await;
    assert_eq!(client.code("RETR large.bin").await, 150);
    data.read_exact(&mut [0; 4096]).await.unwrap();
    assert_eq!(client.code("STAT").await, 213);
    assert_eq!(client.code("NOOP").await, 200);
    client.send(b"PWD\r\nNOOP\r\nSTAT\r\nQUIT\r\n").await;
    assert_eq!(read_to_end(data).await.unwrap().len(), LARGE - 4096);
    for code in [226, 257, 200, 211, 221] {
        assert_eq!(client.next_code().await, code, "replies come in the order of the commands");
    }
}

#[tokio::test]
async fn what_waits_behind_rein_is_answered_in_the_session_that_begins_anew() {
    let server = Server::start();
    server.provide("large.bin", &vec![7; LARGE]);
    let mut client = server.session().await;
    let data = client.data().await;
    assert_eq!(client.code("RETR large.bin").await, 150);
    client.send(b"REIN\r\nPWD\r\nNOOP\r\nUSER a\r\nPASS b\r\n").await;
    assert_eq!(read_to_end(data).await.unwrap().len(), LARGE, "it does not end the transfer");
    for code in [226, 220, 530, 200, 331, 230] {
        assert_eq!(client.next_code().await, code);
    }
}

#[tokio::test]
async fn lists_show_own_files_to_their_proven_device_alone() {
    let server = Server::start();
    for name in ["sip.cfg", "logs/a.txt", &format!("{OWN}.cfg"), &format!("{OTHER}.cfg")] {
        server.provide(name, b"four");
    }
    let names = |list: (u16, Vec<u8>)| {
        assert_eq!(list.0, 226);
        let text = String::from_utf8(list.1).unwrap();
        text.lines().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let own = format!("{OWN}.cfg");
    let mut anyone = server.session().await;
    let mut device = server.session_of(OWN, "own-secret").await;
    for command in ["LIST", "LIST -la", "NLST", "MLSD", "MLSD /", "LIST /x/.."] {
        assert_eq!(names(anyone.fetch(command).await), ["logs", "sip.cfg"], "{command}");
        assert_eq!(names(device.fetch(command).await), [own.as_str(), "logs", "sip.cfg"], "{command}");
    }
    assert_eq!(names(anyone.fetch("NLST logs").await), ["logs/a.txt"]);
    assert_eq!(names(anyone.fetch("LIST sip.cfg").await), ["sip.cfg"]);
    assert_eq!(anyone.fetch("MLSD sip.cfg").await.0, 501);
    assert_eq!(anyone.fetch("MLSD nowhere").await, (226, Vec::new()));
    assert_eq!(names(anyone.fetch(&format!("LIST {own}")).await), [""; 0]);
    assert_eq!(names(device.fetch(&format!("LIST {own}")).await), [own.as_str()]);
    assert_eq!(names(device.fetch(&format!("LIST {OTHER}.cfg")).await), [""; 0]);
    assert_eq!(names(device.fetch("LIST nowhere").await), [""; 0]);
    assert!(!anyone.ask("STAT /").await.contains(OWN));
    assert!(device.ask("STAT /").await.contains(OWN));
    let facts = device.ask(&format!("MLST {own}")).await;
    assert!(facts.contains("type=file;size=4;modify="), "{facts}");
    assert!(facts.ends_with(&format!(";perm=r; /{own}\r\n250 End.\r\n")), "{facts}");
    assert!(anyone.ask("MLST logs").await.contains("type=dir;"));
    assert_eq!(anyone.code("MLST nowhere").await, 550);
    assert_eq!(device.code(&format!("MLST {OTHER}.cfg")).await, 550);
}

#[tokio::test]
async fn a_pattern_in_the_last_segment_picks_names_that_the_folder_shows() {
    let server = Server::start();
    for name in ["sip.cfg", "site.xml", "logs/a.txt", "logs/b.cfg", &format!("{OWN}.cfg"), &format!("{OTHER}.cfg")] {
        server.provide(name, b"four");
    }
    let own = format!("{OWN}.cfg");
    let mut anyone = server.session().await;
    let mut device = server.session_of(OWN, "own-secret").await;
    let rows: [(&str, &[&str], &[&str]); 9] = [
        ("NLST s*.cfg", &["sip.cfg"], &["sip.cfg"]),
        ("NLST *.cfg", &["sip.cfg"], &[&own, "sip.cfg"]),
        ("NLST -la *.cfg", &["sip.cfg"], &[&own, "sip.cfg"]),
        ("NLST si[pt]*", &["sip.cfg", "site.xml"], &["sip.cfg", "site.xml"]),
        ("NLST logs/?.txt", &["logs/a.txt"], &["logs/a.txt"]),
        ("NLST /logs/*", &["/logs/a.txt", "/logs/b.cfg"], &["/logs/a.txt", "/logs/b.cfg"]),
        ("NLST sip.cfg/*", &[], &[]),
        ("NLST *.CFG", &[], &[]),
        ("MLSD *.cfg", &[], &[]),
    ];
    for (command, shown, shown_to_device) in rows {
        for (client, expected) in [(&mut anyone, shown), (&mut device, shown_to_device)] {
            let (code, list) = client.fetch(command).await;
            let list = String::from_utf8(list).unwrap();
            assert_eq!((code, list.lines().collect::<Vec<_>>()), (226, expected.to_vec()), "{command}");
        }
    }
    assert!(anyone.fetch("LIST *.cfg").await.1.ends_with(b" sip.cfg\r\n"));
    let status = anyone.ask("STAT *.cfg").await;
    assert!(status.contains(" sip.cfg\r\n") && !status.contains("site.xml"), "{status}");
    assert!(server.records().await.contains("method=NLST path=/logs/ outcome=listed"));
}

#[tokio::test]
async fn lists_that_nobody_takes_hold_up_nobody() {
    let server = Server::start();
    server.provide("sip.cfg", b"sip");
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let mut client = server.session().await;
        client.pasv().await;
        assert_eq!(client.code("LIST").await, 150);
        waiting.push(client);
    }
    let mut late = server.session().await;
    assert_eq!(late.fetch("LIST").await.0, 226);
    assert!(late.ask("STAT /").await.contains("sip.cfg"));
    assert_eq!(waiting.first_mut().unwrap().code("ABOR").await, 426);
}

#[tokio::test]
async fn long_lists_that_an_address_does_not_take_leave_places_to_others() {
    let server = Server::start();
    let names = crate::ftp::lists::SHORT_BYTES / 60;
    (0..names).for_each(|number| server.provide(&format!("{number}.cfg"), b""));
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let mut client = server.session().await;
        client.pasv().await;
        assert_eq!(client.code("LIST").await, 150);
        waiting.push(client);
    }
    let mut late = server.session().await;
    let data = late.data().await;
    late.send(b"LIST\r\n").await;
    let mut other = server.session_from([127, 0, 0, 2]).await;
    let address = other.pasv().await;
    let taken = connect_as([127, 0, 0, 2], address).await;
    assert_eq!(other.code("LIST").await, 150);
    let list = read_to_end(taken).await.unwrap();
    assert_eq!(list.split(|byte| *byte == b'\n').count(), names + 1);
    assert_eq!(other.next_code().await, 226);
    // A list that needs no place would be there by now; one that waits never is.
    assert!(tokio::time::timeout(Duration::from_millis(200), late.reply()).await.is_err());
    assert_eq!(waiting.first_mut().unwrap().code("ABOR").await, 426);
    assert_eq!(late.next_code().await, 150);
    assert_eq!(read_to_end(data).await.unwrap(), list);
    assert_eq!(late.next_code().await, 226);
}

#[tokio::test]
async fn what_mlst_tells_of_a_file_for_anyone_is_recorded_without_another_reason() {
    let server = Server::with(Options { require: "password", open: Some("/pub.cfg"), ..Options::default() });
    server.provide("pub.cfg", b"open");
    let mut client = server.session_of("nobody", "wrong").await;
    assert_eq!(client.code("MLST pub.cfg").await, 250);
    let records = server.records().await;
    let record = records.lines().find(|record| record.contains("method=MLST")).unwrap();
    assert!(record.contains("outcome=listed") && !record.contains("reason="), "{record}");
}

#[tokio::test]
async fn what_goes_over_one_data_connection_holds_up_no_other_for_long() {
    let limits = Limits { bandwidth: Some(64 << 10), ..Limits::default() };
    let server = Server::with(Options { limits, ..Options::default() });
    server.provide("large.cfg", &vec![b'x'; 512 << 10]);
    server.provide("small.cfg", b"small");
    for (representation, large) in [("TYPE A", "RETR large.cfg"), ("TYPE I", "RETR large.cfg")] {
        let mut takes = server.session().await;
        assert_eq!(takes.code(representation).await, 200);
        let _data = takes.data().await;
        assert_eq!(takes.code(large).await, 150);
        let mut asks = server.session().await;
        // As one piece, what the other one takes would be four to eight seconds of the tenant's bandwidth.
        let small = tokio::time::timeout(Duration::from_secs(3), asks.fetch("RETR small.cfg")).await;
        assert_eq!(small.ok(), Some((226, b"small".to_vec())), "{representation}");
    }
}
