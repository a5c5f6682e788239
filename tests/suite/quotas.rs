//! What phones may keep: the refusals of each protocol, and a log that rotates before the phone's eyes.

use crate::harness::clients::{Curl, Reply, Scratch, ftplib, run, text, tftp_hpa};
use crate::harness::deployment::{Deployment, Tenant};
use crate::harness::scene::{self, NEIGHBOUR, POLY, Scene};
use crate::harness::server::BINARY;
use crate::harness::tftp_client::{Packet, TftpClient};

fn scene(uploads: &str) -> Scene {
    let listed = "unbound_write = \"listed\"\n";
    Scene::of(&[scene::acme().uploads(uploads).https("").listener("tftp", listed).listener("ftp", listed)])
}

fn put(scene: &Scene, path: &str, size: usize) -> Reply {
    scene.phone(path).upload(&vec![b'x'; size]).run()
}

#[test]
fn a_device_past_its_quota_is_told_in_each_protocols_words() {
    let scene = scene("device_quota = \"64KiB\"");
    let stands = format!("{POLY}-phone.cfg");
    let another = format!("{POLY}-web.cfg");
    assert_eq!(put(&scene, &stands, 40_000).status, 201);
    assert_eq!(put(&scene, &another, 40_000).status, 507);
    let big = vec![b'x'; 40_000];
    let tftp = TftpClient::new(scene.server.address("acme", "tftp"));
    let refused = tftp.put(&another, "octet", &[("blksize", "1428")], &big);
    assert!(matches!(refused, Err(Packet::Error(3, _))), "{refused:?}");
    let local = Scratch::new();
    let told = tftp_hpa(scene.server.address("acme", "tftp"), "binary", "put", &local.with("big", &big), &another);
    assert!(format!("{}{}", told.stdout, told.stderr).contains("Error code 3"), "{told:?}");
    let script = format!(
        "ftp.login('a', 'b')\ntry:\n    ftp.storbinary('STOR {another}', io.BytesIO(b'x' * 40000))\n    print('stored')\nexcept ftplib.all_errors as error:\n    print(error)\nprint(ftp.sendcmd('NOOP'))"
    );
    let told = ftplib(scene.server.address("acme", "ftp"), &script).succeeded().stdout;
    assert!(told.starts_with("552 ") && told.contains("\n200"), "{told}");
    for protocol in ["https", "tftp", "ftp"] {
        let record = scene.server.record(&[("protocol", protocol), ("reason", "no_space")]);
        assert_eq!(record["outcome"], "refused", "{record}");
    }
    assert!(!scene.deployment.upload("acme", &another).exists());
    assert_eq!(std::fs::metadata(scene.deployment.upload("acme", &stands)).unwrap().len(), 40_000);
    // Its neighbour has a share of its own, and what stands may be replaced within it.
    let neighbour = format!("{NEIGHBOUR}-phone.cfg");
    assert_eq!(scene.https("acme", NEIGHBOUR, &neighbour).upload(&big).run().status, 201);
    assert_eq!(put(&scene, &stands, 30_000).status, 200);
}

#[test]
fn a_tenant_past_its_quota_and_a_disk_without_room_are_refused() {
    let tenant = scene("device_quota = \"64KiB\"\nquota = \"80KiB\"");
    let neighbour = format!("{NEIGHBOUR}-phone.cfg");
    assert_eq!(put(&tenant, &format!("{POLY}-phone.cfg"), 60_000).status, 201);
    let reply = tenant.https("acme", NEIGHBOUR, &neighbour).upload(&vec![b'y'; 60_000]).run();
    assert_eq!(reply.status, 507, "{reply:?}");
    assert_eq!(tenant.https("acme", NEIGHBOUR, &neighbour).upload(b"small").run().status, 201);
    drop(tenant);
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    deployment.add(&scene::acme().https(""));
    deployment.replace("tenants.d/acme.toml", "min_free = \"0MiB\"", "min_free = \"1000TiB\"");
    let full = Scene::start(deployment);
    assert_eq!(put(&full, &format!("{POLY}-app.log"), 1).status, 507);
    assert_eq!(full.phone("sip.cfg").run().status, 200);
}

#[test]
fn what_devices_left_that_are_listed_no_more_is_in_nobodys_way() {
    let acme = |devices: &[&str]| Tenant::new("acme", devices).uploads("device_quota = \"64KiB\"").https("");
    let scene = Scene::of(&[acme(&[POLY, NEIGHBOUR])]);
    let log = format!("{NEIGHBOUR}-app.log");
    assert_eq!(scene.https("acme", NEIGHBOUR, &log).upload(&vec![b'x'; 50_000]).run().status, 201);
    scene.deployment.add(&acme(&[POLY]));
    let config = text(&scene.deployment.config());
    run(BINARY, &["reload", "--accept-removals", "--config", &config]).succeeded();
    assert_eq!(put(&scene, &format!("{POLY}-web.cfg"), 40_000).status, 201);
    assert_eq!(put(&scene, &format!("{POLY}-phone.cfg"), 40_000).status, 507);
}

#[test]
fn a_phone_sees_its_log_rotate() {
    let scene = scene("max_size = \"1KiB\"");
    let log = format!("{POLY}-app.log");
    let size = || {
        let head = scene.phone(&log).head();
        let length = head.value("content-length").filter(|_| head.status == 200);
        length.map(|length| length.parse::<usize>().unwrap())
    };
    assert_eq!(size(), None);
    let mut sizes = Vec::new();
    // As Poly's phones do it: ask how much there is, and append behind it.
    for number in 0..6 {
        let first = size().unwrap_or(0);
        let part = format!("{number}").repeat(400);
        let range = format!("Content-Range: bytes {first}-{}/*", first + 399);
        let reply = scene.phone(&log).header(&range).upload(part.as_bytes()).run();
        assert!([200, 201].contains(&reply.status), "{reply:?}");
        sizes.push(size().unwrap_or(0));
    }
    assert!(sizes.iter().all(|size| *size <= 1200), "{sizes:?}");
    assert!(sizes.windows(2).any(|pair| pair[1] <= pair[0]), "{sizes:?}");
    scene.server.record(&[("outcome", "stored"), ("reason", "rotated")]);
    let text = |name: &str| scene.phone(name).run().text();
    let whole = format!("{}{}{}", text(&format!("{log}.2")), text(&format!("{log}.1")), text(&log));
    let digits: Vec<usize> = (0..6).map(|number| whole.matches(&number.to_string()).count()).collect();
    assert!(digits.iter().all(|count| *count >= 400), "{digits:?}");
    let ftp = Curl::new(scene.url("ftp", "acme", &log)).args(["-u", "a:b"]).head();
    assert_eq!(ftp.value("content-length"), size().map(|size| size.to_string()).as_deref(), "{ftp:?}");
}
