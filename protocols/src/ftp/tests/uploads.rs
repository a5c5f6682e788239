//! What phones send: STOR and APPE, and what becomes of an upload that does not arrive whole.

use std::time::Duration;

use provost_tenants::Limits;
use tokio::io::AsyncWriteExt;

use super::OWN;
use super::harness::{Options, Server, read_to_end};

#[tokio::test]
async fn an_upload_that_drips_is_given_up_though_it_never_stalls() {
    let stall = Duration::from_millis(400);
    let limits = Limits { stall, least_rate: 1 << 20, ..Limits::default() };
    let server = Server::with(Options { limits, ..Options::default() });
    let mut client = server.session_of(OWN, "own-secret").await;
    let mut data = client.data().await;
    assert_eq!(client.code(&format!("STOR {OWN}-app.log")).await, 150);
    while data.write_all(b"x").await.is_ok() {
        tokio::time::sleep(stall / 20).await;
    }
    assert_eq!(client.next_code().await, 426);
    assert!(server.records().await.contains("reason=data_stalled"));
}

#[tokio::test]
async fn uploads_are_stored_before_they_are_answered() {
    let server = Server::start();
    let mut client = server.session_of(OWN, "own-secret").await;
    let phone = format!("{OWN}-phone.cfg");
    let app_log = format!("{OWN}-app.log");
    assert_eq!(client.store(&format!("STOR {phone}"), b"first").await, 226);
    assert_eq!(client.fetch(&format!("RETR {phone}")).await, (226, b"first".to_vec()));
    let long = vec![3; 1_000_000];
    assert_eq!(client.store(&format!("STOR {phone}"), &long).await, 226);
    assert_eq!(client.fetch(&format!("RETR {phone}")).await, (226, long));
    assert_eq!(client.store(&format!("STOR {phone}"), b"").await, 226);
    assert_eq!(client.fetch(&format!("RETR {phone}")).await, (226, Vec::new()));
    assert_eq!(client.store(&format!("APPE {app_log}"), b"one ").await, 226);
    assert_eq!(client.store(&format!("APPE {app_log}"), b"two ").await, 226);
    assert_eq!(client.ask(&format!("SIZE {app_log}")).await, "213 8\r\n");
    assert_eq!(client.code("REST 8").await, 350);
    assert_eq!(client.store(&format!("STOR {app_log}"), b"three").await, 226);
    assert_eq!(client.fetch(&format!("RETR {app_log}")).await, (226, b"one two three".to_vec()));
    assert_eq!(client.code("TYPE A").await, 200);
    assert_eq!(client.store(&format!("STOR {phone}"), b"a\r\nb\r\n").await, 226);
    assert_eq!(client.code("REST 3").await, 350);
    assert_eq!(client.store(&format!("STOR {phone}"), b"x").await, 554);
    assert_eq!(client.code("TYPE I").await, 200);
    assert_eq!(client.fetch(&format!("RETR {phone}")).await, (226, b"a\nb\n".to_vec()));
    assert_eq!(client.code("REST 100").await, 350);
    assert_eq!(client.store(&format!("STOR {phone}"), b"x").await, 554, "settings have no gaps");
}

#[tokio::test]
async fn an_upload_over_the_quota_is_552_and_leaves_what_was_there() {
    let server = Server::with(Options { quota: 1 << 20, ..Options::default() });
    let mut client = server.session_of(OWN, "own-secret").await;
    let phone = format!("{OWN}-phone.cfg");
    assert_eq!(client.store(&format!("STOR {phone}"), b"first").await, 226);
    let mut data = client.data().await;
    assert_eq!(client.code(&format!("STOR {phone}")).await, 150);
    // The server may reset the data connection before it has all.
    let _ = data.write_all(&vec![0; 4 << 20]).await;
    drop(data);
    assert_eq!(client.next_code().await, 552);
    assert_eq!(client.fetch(&format!("RETR {phone}")).await, (226, b"first".to_vec()));
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_what_was_there() {
    let server = Server::start();
    let phone = format!("{OWN}-phone.cfg");
    let mut client = server.session_of(OWN, "own-secret").await;
    assert_eq!(client.store(&format!("STOR {phone}"), b"first").await, 226);

    let data = client.begin_store(&phone, b"second, and then a reset").await;
    socket2::SockRef::from(&data).set_linger(Some(Duration::ZERO)).unwrap();
    drop(data);
    assert_eq!(client.next_code().await, 426);
    assert_eq!(client.fetch(&format!("RETR {phone}")).await, (226, b"first".to_vec()));

    let data = client.begin_store(&phone, b"third, and then ABOR").await;
    assert_eq!(client.code("ABOR").await, 426);
    assert_eq!(client.next_code().await, 226);
    drop(data);
    assert_eq!(client.fetch(&format!("RETR {phone}")).await, (226, b"first".to_vec()));

    let mut doomed = server.session_of(OWN, "own-secret").await;
    let data = doomed.begin_store(&phone, b"fourth, and then the client is killed").await;
    drop(doomed);
    assert!(read_to_end(data).await.is_err(), "the server resets the data connection");
    assert_eq!(client.fetch(&format!("RETR {phone}")).await, (226, b"first".to_vec()));
    let records = server.records().await;
    for reason in ["data_broken", "abort", "control_lost"] {
        assert_eq!(records.matches(&format!("reason={reason}")).count(), 1, "{reason}: {records}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_aborted_as_its_data_ends_is_not_complete_and_what_is_pipelined_before_it_is_answered() {
    let server = Server::start();
    let phone = format!("{OWN}-phone.cfg");
    let mut client = server.session_of(OWN, "own-secret").await;
    assert_eq!(client.store(&format!("STOR {phone}"), b"first").await, 226);
    // Now and then the end of the data is seen first.
    for _ in 0..300 {
        let data = client.begin_store(&phone, b"a piece of the second").await;
        client.send(b"SYST\r\nABOR\r\n").await;
        drop(data);
        for code in [426, 226, 215] {
            assert_eq!(client.next_code().await, code);
        }
    }
    assert_eq!(client.ask(&format!("SIZE {phone}")).await, "213 5\r\n");
    let data = client.begin_store(&phone, b"whole").await;
    drop(data);
    client.send(b"SYST\r\nNOOP\r\n").await;
    for code in [226, 215, 200] {
        assert_eq!(client.next_code().await, code);
    }
}

#[tokio::test]
async fn an_upload_of_a_client_that_is_killed_is_not_complete() {
    let server = Server::start();
    let phone = format!("{OWN}-phone.cfg");
    for _ in 0..20 {
        let mut doomed = server.session_of(OWN, "own-secret").await;
        let data = doomed.begin_store(&phone, b"a part").await;
        // As the system does it: both are closed, in the order in which they were opened.
        drop((doomed, data));
    }
    let mut client = server.session_of(OWN, "own-secret").await;
    while server.records().await.matches("method=STOR").count() < 20 {
        tokio::task::yield_now().await;
    }
    assert_eq!(client.fetch(&format!("RETR {phone}")).await.0, 550);
    assert_eq!(server.records().await.matches("reason=control_lost").count(), 20);
}

#[tokio::test]
async fn an_upload_of_a_client_that_is_killed_with_commands_behind_it_is_not_complete_and_one_that_takes_leave_is() {
    let server = Server::start();
    let phone = format!("{OWN}-phone.cfg");
    let mut client = server.session_of(OWN, "own-secret").await;
    assert_eq!(client.store(&format!("STOR {phone}"), b"stands").await, 226);
    let commands = "SYST\r\n".repeat(20);
    for number in 1..=20 {
        let mut doomed = server.session_of(OWN, "own-secret").await;
        let data = doomed.begin_store(&phone, b"a part").await;
        doomed.send(commands.as_bytes()).await;
        drop((doomed, data));
        while server.records().await.matches("method=STOR").count() <= number {
            tokio::task::yield_now().await;
        }
        assert_eq!(client.fetch(&format!("RETR {phone}")).await, (226, b"stands".to_vec()));
    }
    let mut leaving = server.session_of(OWN, "own-secret").await;
    let data = leaving.begin_store(&phone, b"whole").await;
    leaving.send(b"SYST\r\nQUIT\r\n").await;
    drop((leaving, data));
    while server.records().await.matches("outcome=stored").count() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(client.fetch(&format!("RETR {phone}")).await, (226, b"whole".to_vec()));
}

#[tokio::test]
async fn an_upload_of_a_client_that_takes_leave_behind_it_and_waits_for_nothing_is_stored() {
    let server = Server::start();
    for number in 1..=20 {
        let mut client = server.session_of(OWN, "own-secret").await;
        let data = client.begin_store(&format!("{OWN}-phone.cfg"), b"whole").await;
        drop(data);
        client.send(b"QUIT\r\n").await;
        drop(client);
        while server.records().await.matches("method=STOR").count() < number {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(server.records().await.matches("outcome=stored").count(), 20);
}

#[tokio::test]
async fn a_stranger_s_log_makes_no_folder_in_the_way_of_settings() {
    let server = Server::start();
    let mut anyone = server.session().await;
    for (name, code) in [
        (format!("{OWN}-phone.cfg/{OWN}.log"), 553),
        (format!("logs/{OWN}-app.log.1/{OWN}.log"), 553),
        (format!("{OWN}/{OWN}-app.log"), 226),
        (format!("logs/{OWN}-app.log"), 226),
    ] {
        assert_eq!(anyone.store(&format!("STOR {name}"), b"log").await, code, "{name}");
    }
    let mut device = server.session_of(OWN, "own-secret").await;
    assert_eq!(device.store(&format!("STOR {OWN}-phone.cfg"), b"settings").await, 226);
}

#[tokio::test]
async fn an_upload_that_stalls_is_given_up_however_much_the_peer_says_meanwhile() {
    let limits = Limits { stall: Duration::from_millis(300), commands_per_second: 20, ..Limits::default() };
    let server = Server::with(Options { limits, ..Options::default() });
    let mut client = server.session().await;
    let _data = client.begin_store(&format!("{OWN}-app.log"), b"a part").await;
    // There is always a line more to be heard.
    client.flood(&b"NOOP\r\n".repeat(400)).await.unwrap();
    loop {
        match client.next_code().await {
            200 => {}
            code => break assert_eq!(code, 426),
        }
    }
    assert!(server.records().await.contains("reason=data_stalled"));
}
