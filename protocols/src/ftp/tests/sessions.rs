//! The control connection, names and settings.

use std::net::{Ipv6Addr, SocketAddr};

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::harness::{Options, Server, code_of, read_to_end};

#[tokio::test]
async fn each_command_has_its_reply_and_the_session_goes_on() {
    let server = Server::start();
    let mut client = server.session().await;
    let rows = [
        ("PWD", 257),
        ("XPWD", 257),
        ("CWD", 501),
        ("CWD logs", 250),
        ("XCUP", 250),
        ("CDUP", 250),
        ("CWD ../..", 550),
        ("MKD logs", 257),
        ("XMKD /a/b", 257),
        ("MKD ../a", 553),
        ("RMD logs", 550),
        ("DELE sip.cfg", 550),
        ("RNFR a", 550),
        ("RNTO b", 503),
        ("SITE CHMOD 777 a", 502),
        ("STOU", 502),
        ("SMNT /", 202),
        ("ALLO 100", 202),
        ("ALLO 100 R 10", 202),
        ("ALLO x", 501),
        ("TYPE A", 200),
        ("TYPE A N", 200),
        ("TYPE A T", 200),
        ("TYPE A C", 504),
        ("type i", 200),
        ("TYPE L 8", 200),
        ("TYPE L 36", 504),
        ("TYPE E", 504),
        ("TYPE X", 501),
        ("TYPE", 501),
        ("MODE S", 200),
        ("MODE B", 504),
        ("MODE", 501),
        ("STRU F", 200),
        ("STRU R", 504),
        ("REST 10", 350),
        ("REST ten", 501),
        ("REST 99999999999999999999", 501),
        ("OPTS UTF8 ON", 200),
        ("OPTS MLST size;type;", 200),
        ("OPTS X", 501),
        ("RETR", 501),
        ("RETR sip.cfg", 425),
        ("STOR", 501),
        ("SIZE", 501),
        ("ABOR", 226),
        ("STAT", 211),
        ("HELP RETR", 214),
        ("HELP XYZZY", 500),
        ("PROT P", 502),
        ("PBSZ 0", 502),
        ("", 500),
        ("XYZZY", 500),
        ("NOOP", 200),
    ];
    for (command, code) in rows {
        assert_eq!(client.code(command).await, code, "{command}");
    }
}

#[tokio::test]
async fn what_no_phone_may_do_is_recorded_and_a_flood_of_it_is_not() {
    let server = Server::start();
    let mut client = server.session().await;
    let rows = [
        ("DELE sip.cfg", "method=DELE path=/sip.cfg outcome=rejected reason=not_offered"),
        ("RNFR a", "method=RNFR path=/a outcome=rejected reason=not_offered"),
        ("RMD logs", "method=RMD path=/logs outcome=rejected reason=not_offered"),
        ("STOU", "method=STOU path=/ outcome=rejected reason=not_offered"),
        (
            "MDTM 20260101000000 sip.cfg",
            "method=MDTM path=\"/20260101000000 sip.cfg\" outcome=rejected reason=not_offered",
        ),
        ("CWD ../..", "method=CWD path=/../.. outcome=denied reason=path_leaves_root"),
        ("MKD ../a", "method=MKD path=/../a outcome=denied reason=path_leaves_root"),
    ];
    for (command, _) in rows {
        client.code(command).await;
    }
    let records = server.records().await;
    for (command, record) in rows {
        assert_eq!(records.matches(record).count(), 1, "{command}: {records}");
    }
    let floods = [
        ("DELE sip.cfg", 550),
        ("PORT 8,8,8,8,200,1", 500),
        ("RETR sip.cfg", 425),
        ("STOR 0004f2aabbcc-app.log", 425),
        ("LIST", 425),
    ];
    for (command, code) in floods {
        client.send(format!("{command}\r\n").repeat(300).as_bytes()).await;
        for _ in 0..300 {
            assert_eq!(client.next_code().await, code, "{command}");
        }
    }
    assert!(server.records().await.lines().count() < 300);
}

#[tokio::test]
async fn a_folder_is_put_before_names() {
    let server = Server::start();
    server.provide("a/b/c.cfg", b"c");
    server.provide("sip.cfg", b"sip!");
    let mut client = server.session().await;
    let rows = [
        ("CWD a", "SIZE b/c.cfg", "213 1\r\n"),
        ("CWD b", "SIZE c.cfg", "213 1\r\n"),
        ("CWD ./", "SIZE ../../sip.cfg", "213 4\r\n"),
        ("CWD /a/b", "SIZE /sip.cfg", "213 4\r\n"),
        ("CWD \\a\\b", "PWD", "257 \"/a/b\" is the current folder.\r\n"),
        ("CWD /tftpboot", "SIZE sip.cfg", "213 4\r\n"),
        ("CWD ..", "SIZE sip.cfg", "213 4\r\n"),
        ("CWD say \"hi\"", "PWD", "257 \"/say \"\"hi\"\"\" is the current folder.\r\n"),
    ];
    for (folder, command, reply) in rows {
        assert_eq!(client.code(folder).await, 250, "{folder}");
        assert_eq!(client.ask(command).await, reply, "{folder}, {command}");
    }
    assert_eq!(client.code("CWD /a").await, 250);
    for name in ["../../sip.cfg", "/../sip.cfg", ".provost-x"] {
        assert_eq!(client.code(&format!("SIZE {name}")).await, 550, "{name}");
    }
}

#[tokio::test]
async fn names_that_are_not_utf8_are_refused_and_the_session_goes_on() {
    let server = Server::start();
    let mut client = server.session().await;
    client.send(b"SIZE \xe9t\xe9.cfg\r\n").await;
    assert_eq!(client.next_code().await, 550);
    client.send(b"CWD \xe9\r\n").await;
    assert_eq!(client.next_code().await, 550);
    assert!(server.records().await.contains("reason=path_not_utf8"));
}

#[tokio::test]
async fn over_long_lines_are_passed_over_and_endless_ones_end_the_session() {
    let server = Server::start();
    let mut client = server.connect().await;
    client.send(&[&[b'A'; 600][..], b"\r\nNOOP\r\n"].concat()).await;
    assert_eq!(client.next_code().await, 500);
    assert_eq!(client.next_code().await, 200);
    let mut client = server.session().await;
    assert_eq!(client.code(&format!("NOOP {}", "x".repeat(4000))).await, 200);
    assert_eq!(client.code(&format!("NOOP {}", "x".repeat(5000))).await, 500);
    assert_eq!(client.code("NOOP").await, 200);

    let mut hostile = server.connect().await;
    let mut sent = 0;
    while sent < 64 << 20 && hostile.flood(&vec![b'A'; 65536]).await.is_ok() {
        sent += 65536;
    }
    assert!(sent < 64 << 20, "the server reads an endless line");
    let records = server.records().await;
    assert!(records.contains("method=CONNECT path=\"\" outcome=rejected reason=endless_line"), "{records}");
}

#[tokio::test]
async fn pipelined_commands_are_answered_in_order() {
    let server = Server::start();
    let mut client = server.connect().await;
    client.send(b"USER a\r\nPASS b\nTYPE I\r\nPWD\r\n\xff\xf4\xff\xf2NOOP\r\nQUIT\r\n").await;
    for code in [331, 230, 200, 257, 200, 221] {
        assert_eq!(client.next_code().await, code);
    }
    assert_eq!(client.reply().await, "");
}

#[tokio::test]
async fn port_leads_to_the_peer_alone() {
    let server = Server::start();
    let mut client = server.session().await;
    let third = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let [high, low] = third.local_addr().unwrap().port().to_be_bytes();
    let rows = [
        (format!("PORT 127,0,0,2,{high},{low}"), 500),
        (format!("EPRT |1|127.0.0.2|{}|", third.local_addr().unwrap().port()), 500),
        ("PORT 127,0,0,1,0,22".into(), 500),
        ("PORT 127,0,0,1,3,255".into(), 500),
        ("EPRT |2|::1|5000|".into(), 522),
        ("EPRT |3|x|5000|".into(), 522),
        ("PORT 127,0,0,1".into(), 501),
    ];
    for (command, code) in rows {
        assert_eq!(client.code(&command).await, code, "{command}");
        assert_eq!(client.code("LIST").await, 425, "{command}");
    }
    assert_eq!(server.records().await.matches("reason=bounce").count(), 4);
    let nobody = third.into_std().unwrap().accept().map_err(|error| error.kind());
    assert_eq!(nobody.err(), Some(std::io::ErrorKind::WouldBlock), "the third party was connected to");
}

#[tokio::test]
async fn after_epsv_all_nothing_else_settles_a_data_connection() {
    let server = Server::start();
    let mut client = server.session().await;
    assert_eq!(client.code("EPSV ALL").await, 200);
    for command in ["PASV", "PORT 127,0,0,1,200,200", "EPRT |1|127.0.0.1|5000|"] {
        assert_eq!(client.code(command).await, 503, "{command}");
    }
    assert_eq!(client.code("EPSV").await, 229);
    assert_eq!(client.code("EPSV 1").await, 229);
    for (argument, code) in [("2", 522), ("3", 522), ("x", 501), ("-1", 501)] {
        assert_eq!(client.code(&format!("EPSV {argument}")).await, code, "{argument}");
    }
}

#[tokio::test]
async fn by_ipv6_epsv_and_eprt_work_and_pasv_keeps_the_session() {
    let server = Server::with(Options { ip: Ipv6Addr::LOCALHOST.into(), ..Options::default() });
    server.provide("sip.cfg", b"sip");
    let mut client = server.session().await;
    assert_eq!(client.code("PASV").await, 425);
    let reply = client.ask("EPSV 2").await;
    let port: u16 = reply.split('|').nth(3).unwrap().parse().unwrap();
    let data = TcpStream::connect(SocketAddr::new(server.address.ip(), port)).await.unwrap();
    assert_eq!(client.code("RETR sip.cfg").await, 150);
    assert_eq!(read_to_end(data).await.unwrap(), b"sip");
    assert_eq!(client.next_code().await, 226);
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    assert_eq!(client.ask("EPRT |1|127.0.0.1|5000|").await, "522 Network protocol not supported, use (2).\r\n");
    assert_eq!(client.code(&format!("EPRT |2|::1|{port}|")).await, 200);
    client.send(b"RETR sip.cfg\r\n").await;
    assert_eq!(client.next_code().await, 150);
    assert_eq!(read_to_end(super::harness::accept(&listener).await).await.unwrap(), b"sip");
    assert_eq!(client.next_code().await, 226);
}

#[tokio::test]
async fn help_names_no_command_that_a_listener_without_tls_does_not_have() {
    let server = Server::start();
    let mut client = server.session().await;
    let help = client.ask("HELP").await;
    let names: Vec<&str> = help.lines().skip(1).flat_map(|line| line.split(' ')).collect();
    assert!(names.contains(&"RETR"), "{help}");
    for name in ["AUTH", "PBSZ", "PROT", "CCC", "STOU"] {
        assert!(!names.contains(&name), "{name}: {help}");
        assert_eq!(client.code(&format!("HELP {name}")).await, 500, "{name}");
    }
}

#[tokio::test]
async fn features_name_the_facts_that_are_chosen() {
    let server = Server::start();
    let mut client = server.session().await;
    let features = client.ask("FEAT").await;
    assert!(features.contains("\r\n MLST type*;size*;modify*;perm*;\r\n"), "{features}");
    assert!(features.contains("\r\n REST STREAM\r\n"), "{features}");
    assert_eq!(client.ask("OPTS MLST Type;").await, "200 MLST OPTS type;\r\n");
    assert!(client.ask("FEAT").await.contains(" MLST type*;size;modify;perm;\r\n"));
    assert_eq!(code_of(&client.ask("MLST").await), 250);
}

#[tokio::test]
async fn what_stands_behind_a_flood_of_telnet_options_is_heard() {
    let server = Server::start();
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client.write_all(&[&b"\xff\xfd\x06".repeat(40)[..], b"QUIT\r\n"].concat()).await.unwrap();
    let said = read_to_end(client).await.unwrap();
    assert!(said.ends_with(b"221 Goodbye.\r\n"), "{}", said.escape_ascii());
    assert_eq!(said.split(|byte| *byte == 0xff).count(), 1 + 32);
}
