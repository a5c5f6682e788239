//! Shares: what one tenant takes past its own is refused to it, and costs no other one anything. How fast the others are
//! served meanwhile is measured in `benches/fair`, not here.

use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::clients::Curl;
use crate::harness::scene::{self, Scene};
use crate::harness::tftp_client::TftpClient;

#[test]
fn a_tenant_that_has_all_its_places_is_refused_more_and_the_other_is_served() {
    let acme = scene::acme().listener("http", "").listener("tftp", "").table("[limits]\nconnections = 4");
    let scene = Scene::of(&[acme, scene::globex().listener("http", "").listener("tftp", "")]);
    let address = scene.server.address("acme", "http");
    let held: Vec<_> = (0..4).map(|_| TcpStream::connect(address).unwrap()).collect();
    let refused = Curl::new(scene.url("http", "acme", "sip.cfg")).run();
    let seconds: u32 = refused.value("retry-after").unwrap_or_default().parse().unwrap_or(0);
    assert!(refused.status == 503 && seconds > 0, "{refused:?}");
    scene.server.record(&[("tenant", "acme"), ("outcome", "refused"), ("reason", "busy")]);
    // Transfers take places, too.
    let tftp = TftpClient::new(scene.server.address("acme", "tftp"));
    tftp.read_request("sip.cfg", "octet", &[]);
    scene.server.record(&[("tenant", "acme"), ("listener", "tftp"), ("reason", "busy")]);

    assert_eq!(Curl::new(scene.url("http", "globex", "sip.cfg")).run().text(), "globex sip.cfg\n");
    let tftp = TftpClient::new(scene.server.address("globex", "tftp"));
    assert_eq!(tftp.get("sip.cfg", "octet", &[]).unwrap().content, b"globex sip.cfg\n");
    drop(held);
    let freed = Curl::new(scene.url("http", "acme", "sip.cfg")).args(["--retry", "10", "--retry-all-errors"]).run();
    assert_eq!(freed.text(), "acme sip.cfg\n");
}

#[test]
fn a_flood_from_outside_leaves_few_records_and_says_how_many_it_left_out() {
    const FLOOD: u64 = 5000;
    const ROUND: u64 = 50;
    let acme = scene::acme().listener("tftp", "allow = [\"127.0.0.1/32\"]\n");
    let scene = Scene::of(&[acme]);
    let server = scene.server.address("acme", "tftp");
    let began = Instant::now();
    let stranger = TftpClient::on(UdpSocket::bind("127.0.0.2:0").unwrap(), server);
    let phone = || TftpClient::new(server).get("sip.cfg", "octet", &[]).unwrap().content;
    for round in 0..FLOOD {
        stranger.read_request("sip.cfg", "octet", &[]);
        if round % ROUND == ROUND - 1 {
            // What the socket cannot hold is lost, and then nothing is left out.
            assert_eq!(phone(), b"acme sip.cfg\n");
        }
    }
    let of_stranger =
        |record: &&Value| record["client"].as_str().is_some_and(|client| client.starts_with("127.0.0.2:"));
    let accounted = |records: &[Value]| -> u64 {
        let turned = records.iter().filter(of_stranger);
        turned.map(|record| 1 + record["left_out"].as_u64().unwrap_or(0)).sum()
    };
    // The next one that is written says how many before it were not.
    let mut sent = FLOOD;
    for phones in FLOOD / ROUND + 1.. {
        stranger.read_request("sip.cfg", "octet", &[]);
        phone();
        sent += 1;
        // Records come in order: those of strangers before that of the phone behind them.
        scene.server.records(&[("outcome", "served")], usize::try_from(phones).unwrap());
        if accounted(&scene.server.records(&[], 0)) == sent {
            break;
        }
        assert!(sent < 2 * FLOOD, "nothing says how many were left out");
    }
    let most = 100 + 1 + began.elapsed().as_millis() / 100;
    let (status, records) = scene.server.stop();
    assert!(status.success(), "{status}");
    let turned: Vec<_> = records.iter().filter(of_stranger).collect();
    assert!(turned.iter().all(|record| record["method"] == "RRQ" && record["path"] == "sip.cfg"), "{turned:?}");
    assert!((100..=most).contains(&(turned.len() as u128)), "{} records, at most {most}", turned.len());
    assert_eq!(accounted(&records), sent);
}

#[test]
fn downloads_of_a_tenant_are_held_to_its_bandwidth() {
    let limits = "[limits]\nbandwidth = \"1MiB/s\"";
    let acme = scene::acme().listener("http", "").listener("tftp", "").listener("ftp", "").table(limits);
    let scene = Scene::of(&[acme]);
    let content = vec![b'x'; 1 << 20];
    scene.deployment.write("files/acme/large.bin", &content);
    // A quarter of a second's worth goes at once, and the last chunk does not wait for its own.
    let least = Duration::from_millis(400);
    for scheme in ["http", "ftp"] {
        let began = Instant::now();
        assert_eq!(Curl::new(scene.url(scheme, "acme", "large.bin")).run().body.len(), content.len(), "{scheme}");
        assert!(began.elapsed() >= least, "{scheme}: {:?}", began.elapsed());
    }
    let began = Instant::now();
    let options = [("blksize", "1428"), ("windowsize", "16")];
    let tftp = TftpClient::new(scene.server.address("acme", "tftp"));
    assert_eq!(tftp.get("large.bin", "octet", &options).unwrap().content, content);
    assert!(began.elapsed() >= least, "tftp: {:?}", began.elapsed());
}
