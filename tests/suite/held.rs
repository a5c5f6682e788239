//! Small files that the server holds in memory, over every protocol: what clients get is the file as it is on the disk.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crate::harness::DEADLINE;
use crate::harness::clients::{Curl, Scratch, atftp, ftplib, lftp, run, tftp_hpa};
use crate::harness::scene::{self, POLY, Scene};

/// Every line end, and no multiple of a block size.
fn content() -> Vec<u8> {
    let line = b"one\ntwo\r\nthree\rfour\0five ";
    (0..9_001).map(|index| line[index % line.len()]).collect()
}

fn scene() -> Scene {
    let mut tenant = scene::acme().https("");
    for protocol in ["http", "tftp", "ftp"] {
        tenant = tenant.listener(protocol, "");
    }
    Scene::of(&[tenant])
}

/// Asks for files until the server holds them, which it does once they have not changed for two seconds.
fn until_held(scene: &Scene, names: &[&str]) {
    let path = |name: &str| scene.deployment.path(&format!("files/acme/{name}"));
    let until = Instant::now() + DEADLINE;
    let mut left: Vec<&str> = names.to_vec();
    while !left.is_empty() {
        for name in &left {
            assert_eq!(Curl::new(scene.url("http", "acme", name)).run().status, 200);
        }
        let open = scene.server.open();
        left.retain(|name| !open.contains(path(name).as_path()));
        assert!(Instant::now() < until, "never held: {left:?}");
    }
}

/// Whether the file or folder has not changed for longer than the server mistrusts what has.
fn is_settled(path: &Path) -> bool {
    let facts = std::fs::metadata(path).unwrap();
    let age =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + Duration::from_secs(facts.ctime().unsigned_abs()));
    age.is_ok_and(|age| age > Duration::from_secs(4))
}

#[test]
fn clients_of_every_protocol_get_held_files_whole_and_in_part() {
    let scene = scene();
    let (name, content) = ("held.cfg", content());
    scene.deployment.write(&format!("files/acme/{name}"), &content);
    scene.deployment.write("files/acme/empty.cfg", "");
    until_held(&scene, &[name, "empty.cfg"]);

    let [tftp, ftp] = ["tftp", "ftp"].map(|protocol| scene.server.address("acme", protocol));
    let to = Scratch::new();
    for mode in ["binary", "netascii"] {
        // The client translates back, so that its file is what the server has.
        tftp_hpa(tftp, mode, "get", name, &to.text("got")).succeeded();
        assert!(to.read("got") == content, "tftp-hpa, {mode}");
        tftp_hpa(tftp, mode, "get", "empty.cfg", &to.text("got")).succeeded();
        assert!(to.read("got").is_empty());
    }
    for options in [&[][..], &["blksize 8"], &["blksize 1428", "windowsize 4"], &["blksize 65464", "tsize"]] {
        atftp(tftp, options, true, name, &to.path("got")).succeeded();
        assert!(to.read("got") == content, "atftp, {options:?}");
    }
    run("curl", &["-sS", "-o", &to.text("got"), &format!("tftp://{tftp}/{name}")]).succeeded();
    assert!(to.read("got") == content, "curl by tftp");

    let urls = [format!("ftp://{ftp}/{name}"), scene.url("http", "acme", name)];
    for get in urls.iter().map(|url| || Curl::new(url.as_str())) {
        assert!(get().run().body == content);
        for (range, part) in [("0-0", 0..1), ("10-4106", 10..4107), ("8999-", 8999..9001)] {
            assert!(get().args(["-r", range]).run().body == content[part], "{range}");
        }
    }
    assert!(scene.phone(name).run().body == content, "https");
    assert_eq!(Curl::new(format!("ftp://{ftp}/empty.cfg")).run().body, b"");
    std::fs::write(to.path("got"), &content[..5000]).unwrap();
    lftp(ftp, "PlcmSpIp,PlcmSpIp", &format!("get -c {name} -o {}", to.text("got"))).succeeded();
    assert!(to.read("got") == content, "lftp resumed");
    // In ASCII a line ends by CR LF on the wire (RFC 959 section 3.1.1.1); one that does so already stays as it is.
    let lines = format!(
        "ftp.login('PlcmSpIp', 'PlcmSpIp')\ngot = bytearray()\nftp.voidcmd('TYPE A')\n\
         with ftp.transfercmd('RETR {name}') as data:\n    while part := data.recv(65536): got += part\n\
         ftp.voidresp()\nopen({:?}, 'wb').write(got)",
        to.text("got")
    );
    ftplib(ftp, &lines).succeeded();
    let expected = String::from_utf8(content).unwrap().replace("\r\n", "\n").replace('\n', "\r\n");
    assert_eq!(to.read("got"), expected.into_bytes());
}

#[test]
fn a_held_file_that_is_replaced_or_written_to_is_seen_by_the_next_request() {
    let scene = scene();
    let path = scene.deployment.path("files/acme/sip.cfg");
    let [tftp, ftp] = ["tftp", "ftp"].map(|protocol| scene.server.address("acme", protocol));
    let to = Scratch::new();
    let read = |by: usize| match by {
        0 => Curl::new(scene.url("http", "acme", "sip.cfg")).run().text(),
        1 => Curl::new(format!("ftp://{ftp}/sip.cfg")).run().text(),
        _ => {
            tftp_hpa(tftp, "binary", "get", "sip.cfg", &to.text("got")).succeeded();
            String::from_utf8(to.read("got")).unwrap()
        }
    };
    for (by, as_written) in ["ACME SIP.CFG\n", "acme sip.cfg\n", "Acme Sip.cfg\n"].into_iter().enumerate() {
        until_held(&scene, &["sip.cfg"]);
        if by % 2 == 0 {
            // As long as it was, in place: only the times tell.
            std::fs::write(&path, as_written).unwrap();
        } else {
            std::fs::write(scene.deployment.path("new"), as_written).unwrap();
            std::fs::rename(scene.deployment.path("new"), &path).unwrap();
        }
        assert_eq!(read(by), as_written);
    }
    until_held(&scene, &["sip.cfg"]);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(Curl::new(scene.url("http", "acme", "sip.cfg")).run().status, 404);
    let refused = tftp_hpa(tftp, "binary", "get", "sip.cfg", &to.text("got"));
    assert!(format!("{}{}", refused.stdout, refused.stderr).contains("Error code 1"), "{refused:?}");
}

#[test]
fn an_upload_is_seen_by_the_next_request_where_its_folder_had_not_changed_for_long() {
    let scene = scene();
    let (name, log) = (format!("{POLY}-web.cfg"), format!("{POLY}-app.log"));
    scene.deployment.write(&format!("files/acme/{name}"), "operator");
    // The folder of the device's uploads is there, without the name that is looked for.
    assert_eq!(scene.phone(&log).upload(b"log").run().status, 201);
    let folder = scene.deployment.upload("acme", &log);
    let folder = folder.parent().unwrap();
    let until = Instant::now() + DEADLINE;
    loop {
        let settled = is_settled(folder);
        // Twice after it settled: the second look is spared.
        for _ in 0..2 {
            assert_eq!(scene.phone(&name).run().text(), "operator");
        }
        if settled {
            break;
        }
        assert!(Instant::now() < until, "the folder keeps changing");
    }
    let tftp = scene.server.address("acme", "tftp");
    let to = Scratch::new();
    let read = || {
        tftp_hpa(tftp, "binary", "get", &name, &to.text("got")).succeeded();
        [String::from_utf8(to.read("got")).unwrap(), scene.phone(&name).run().text()]
    };
    assert_eq!(read(), ["operator", "operator"]);
    assert_eq!(scene.phone(&name).upload(b"phone").run().status, 201);
    assert_eq!(read(), ["phone", "phone"]);
}
