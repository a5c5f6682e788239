//! USER and PASS.

use provost_core::policy::Unbound;
use provost_core::{Exception, Require};

use super::harness::{Options, Server, code_of};
use super::{OTHER, OWN};

#[tokio::test]
async fn where_no_password_is_required_any_logs_in_and_where_one_is_only_a_right_one() {
    let rows = [
        ("address", "anonymous", "a@b", 230),
        ("address", "PlcmSpIp", "wrong", 230),
        ("address", "PlcmSpIp", "shared-secret", 230),
        ("address", OWN, "own-secret", 230),
        ("password", "anonymous", "a@b", 530),
        ("password", "PlcmSpIp", "wrong", 530),
        ("password", "PlcmSpIp", "shared-secret", 230),
        ("password", OWN, "own-secret", 230),
        ("password", OWN, "other-secret", 530),
        ("password", OTHER, "other-secret", 230),
        ("address+password", "PlcmSpIp", "", 530),
    ];
    for (require, user, password, code) in rows {
        let server = Server::with(Options { require, ..Options::default() });
        let mut client = server.connect().await;
        assert_eq!(client.code(&format!("USER {user}")).await, 331);
        assert_eq!(client.code(&format!("PASS {password}")).await, code, "{require} {user} {password}");
        assert_eq!(client.code("PWD").await, if code == 230 { 257 } else { 530 }, "{require} {user} {password}");
    }
}

#[tokio::test]
async fn before_login_little_is_answered() {
    let server = Server::start();
    let mut client = server.connect().await;
    let rows = [
        ("NOOP", 200),
        ("SYST", 215),
        ("FEAT", 211),
        ("HELP", 214),
        ("OPTS UTF8 ON", 200),
        ("ACCT x", 202),
        ("AUTH TLS", 502),
        ("PASS x", 503),
        ("USER", 501),
        ("PASV", 530),
        ("PORT 127,0,0,1,200,200", 530),
        ("RETR sip.cfg", 530),
        ("SIZE sip.cfg", 530),
        ("STAT", 530),
        ("CWD /", 530),
        ("GARBAGE", 500),
    ];
    for (command, code) in rows {
        assert_eq!(client.code(command).await, code, "{command}");
    }
    assert_eq!(client.code("QUIT").await, 221);
    assert_eq!(client.reply().await, "");
}

#[tokio::test]
async fn wrong_passwords_end_the_session_and_never_reach_a_record() {
    let server = Server::with(Options { require: "password", ..Options::default() });
    let mut client = server.connect().await;
    for code in [530, 530, 530, 421] {
        assert_eq!(client.code("USER PlcmSpIp").await, 331);
        assert_eq!(client.code("PASS hunter2-guess").await, code);
    }
    assert_eq!(client.reply().await, "");
    let records = server.records().await;
    assert_eq!(records.matches("method=PASS").count(), 4, "{records}");
    assert_eq!(records.matches("reason=wrong_password").count(), 4, "{records}");
    assert!(!records.contains("hunter2"), "{records}");
}

#[tokio::test]
async fn where_an_exception_needs_no_password_a_wrong_one_leaves_its_trace() {
    let password: Require = ["password".parse().unwrap()].into_iter().collect();
    let reported =
        Exception { ouis: vec!["00:22:ee".parse().unwrap()], require: password, shared: false, report_only: true };
    let server = Server::with(Options { require: "password", exceptions: vec![reported], ..Options::default() });
    server.provide("sip.cfg", b"sip");
    for (user, sent) in [("PlcmSpIp", "hunter2-guess"), ("stranger", "hunter2-guess"), (OWN, "hunter2-guess")] {
        let mut client = server.session_of(user, sent).await;
        assert_eq!(client.code("SIZE sip.cfg").await, 530, "{user}");
    }
    let mut right = server.session_of("PlcmSpIp", "shared-secret").await;
    assert_eq!(right.code("SIZE sip.cfg").await, 213);
    let records = server.records().await;
    assert_eq!(records.matches("method=PASS").count(), 3, "{records}");
    assert_eq!(records.matches("reason=wrong_password").count(), 3, "{records}");
    assert_eq!(records.matches("user and password are wrong").count(), 3, "{records}");
    assert!(!records.contains("hunter2"), "{records}");

    // That of a device stores settings, and one that devices share reads what is shut without it.
    let rows = [(Unbound::Listed, OWN, 213), (Unbound::Refuse, OWN, 550), (Unbound::Refuse, "PlcmSpIp", 550)];
    for (unbound, user, code) in rows {
        let server = Server::with(Options { unbound, ..Options::default() });
        server.provide("sip.cfg", b"sip");
        let mut client = server.session_of(user, "hunter2-guess").await;
        for (command, code) in [("SIZE sip.cfg", code), ("STAT /", code)] {
            assert_eq!(client.code(command).await, code, "{user} {command}");
        }
        let records = server.records().await;
        assert_eq!(records.matches("reason=wrong_password").count(), 1, "{unbound:?} {user}: {records}");
        let told = records.matches("user and password are wrong").count();
        assert_eq!(told, if code == 550 { 2 } else { 0 }, "{unbound:?} {user}: {records}");
    }

    // Where a password opens nothing, phones send the one that they were made with.
    let server = Server::start();
    server.session_of("PlcmSpIp", "hunter2-guess").await;
    assert!(!server.records().await.contains("method=PASS"));
}

#[tokio::test]
async fn a_list_that_a_report_only_exception_lets_pass_is_reported_once() {
    let reported = Exception { ouis: Vec::new(), require: Require::default(), shared: true, report_only: true };
    let server = Server::with(Options { require: "password", exceptions: vec![reported], ..Options::default() });
    server.provide("sub/sip.cfg", b"sip");
    let mut client = server.session().await;
    let rows = ["STAT sub", "MLST sub", "MLST sub/sip.cfg", "STAT sub/sip.cfg", "SIZE sub/sip.cfg"];
    for (before, command) in (0..).zip(rows) {
        assert_eq!(server.reported(), before, "{command}");
        assert!([213, 250].contains(&client.code(command).await), "{command}");
    }
    assert_eq!(client.fetch("LIST sub").await.0, 226);
    assert_eq!(server.reported(), 6);
    let records = server.records().await;
    assert_eq!(records.matches("opening=report_only").count(), 6, "{records}");
    let mut right = server.session_of("PlcmSpIp", "shared-secret").await;
    assert_eq!(right.code("STAT sub").await, 213);
    assert_eq!(server.records().await.matches("outcome=listed opening=unbound").count(), 1);
    assert_eq!(server.reported(), 6);
    assert!(server.shared_password_is_in_use(), "by a list alone");
}

#[tokio::test]
async fn where_a_rule_is_for_anyone_any_logs_in_and_reads_what_it_opens() {
    let server = Server::with(Options { require: "password", open: Some("*.ld"), ..Options::default() });
    server.provide("sip.ld", b"firmware");
    server.provide("sip.cfg", b"sip");
    for (user, password, settings) in
        [("anonymous", "a@b", 530), ("PlcmSpIp", "wrong", 530), ("PlcmSpIp", "shared-secret", 226)]
    {
        let mut client = server.session_of(user, password).await;
        assert_eq!(client.fetch("RETR sip.ld").await, (226, b"firmware".to_vec()), "{user} {password}");
        assert_eq!(client.fetch("RETR sip.cfg").await.0, settings, "{user} {password}");
    }
}

#[tokio::test]
async fn a_new_user_command_forgets_what_was_proven() {
    let server = Server::with(Options { require: "password", ..Options::default() });
    server.provide("sip.cfg", b"sip");
    let mut client = server.session_of("PlcmSpIp", "shared-secret").await;
    assert_eq!(client.code("SIZE sip.cfg").await, 213);
    assert_eq!(client.code("USER someone").await, 331);
    assert_eq!(client.code("SIZE sip.cfg").await, 530);
    assert_eq!(client.code("PASS shared-secret").await, 530);
    assert_eq!(client.code("SIZE sip.cfg").await, 530);
}

#[tokio::test]
async fn a_second_password_changes_nothing() {
    let server = Server::with(Options { require: "password", ..Options::default() });
    server.provide("sip.cfg", b"sip");
    let mut client = server.session_of("PlcmSpIp", "shared-secret").await;
    for password in ["shared-secret", "wrong"] {
        assert_eq!(client.code(&format!("PASS {password}")).await, 202);
        assert_eq!(client.code("SIZE sip.cfg").await, 213, "{password}");
    }
}

#[tokio::test]
async fn a_login_that_takes_too_long_ends() {
    let limits = provost_tenants::Limits { login: std::time::Duration::from_millis(50), ..Default::default() };
    let server = Server::with(Options { limits, ..Options::default() });
    let mut client = server.connect().await;
    assert_eq!(code_of(&client.reply().await), 421);
    assert_eq!(client.reply().await, "");
    let records = server.records().await;
    assert!(records.contains("method=CONNECT path=\"\" outcome=handshake reason=login_timeout"), "{records}");
}

#[tokio::test]
async fn what_is_asked_before_login_is_recorded_with_its_path_and_never_with_a_password() {
    let server = Server::start();
    let mut client = server.connect().await;
    for command in ["NOOP", "PASV", "CWD logs", &format!("RETR {OWN}.cfg"), "STOR sip.cfg", "PASS hunter2"] {
        client.code(command).await;
    }
    let records = server.records().await;
    for (method, path) in [("CWD", "/logs"), ("RETR", &format!("/{OWN}.cfg")), ("STOR", "/sip.cfg")] {
        let record = records.lines().find(|record| record.contains(&format!("method={method} path={path} ")));
        assert!(record.is_some_and(|record| record.contains("outcome=handshake reason=login_required")), "{records}");
    }
    assert!(records.contains(&format!("mac={OWN} proof=path method=RETR")), "{records}");
    assert_eq!(records.lines().count(), 3, "{records}");
}

#[tokio::test]
async fn an_idle_session_ends() {
    let limits = provost_tenants::Limits { idle: std::time::Duration::from_millis(50), ..Default::default() };
    let server = Server::with(Options { limits, ..Options::default() });
    let mut client = server.session().await;
    assert_eq!(code_of(&client.reply().await), 421);
    assert_eq!(client.reply().await, "");
}
