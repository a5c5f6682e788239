//! Reading over https by curl: which certificate opens which file, and what an answer tells.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use crate::harness::deployment::Deployment;
use crate::harness::scene::{self, CISCO, FOREIGN, NEIGHBOUR, POLY, Scene, UNLISTED, YEALINK};
use crate::harness::tls_client;

fn scene() -> Scene {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    deployment.write_doubtful_certificates();
    deployment.add(&scene::acme().https(""));
    Scene::start(deployment)
}

/// What each certificate gets. `---` is a handshake that fails; nothing that a certificate only seems to say opens a
/// file, and a phone of another tenant is no phone here although its vendor's CA is trusted.
const MATRIX: &str = "
certificate      own other site folder firmware own-missing site-missing other-missing unlisted
poly             200 403   200  200    200      404         404          403           403
cisco            200 403   200  200    200      404         404          403           403
yealink          200 403   200  200    200      404         404          403           403
foreign          403 403   403  403    403      403         403          403           403
unlisted         403 403   403  403    403      403         403          403           403
generic          403 403   403  403    403      403         403          403           403
yealink-generic  403 403   403  403    403      403         403          403           403
empty            403 403   403  403    403      403         403          403           403
oui              403 403   403  403    403      403         403          403           403
nul              403 403   403  403    403      403         403          403           403
long             403 403   403  403    403      403         403          403           403
two              403 403   403  403    403      403         403          403           403
wrong-ca         --- ---   ---  ---    ---      ---         ---          ---           ---
expired          --- ---   ---  ---    ---      ---         ---          ---           ---
none             --- ---   ---  ---    ---      ---         ---          ---           ---
";

#[test]
fn each_certificate_opens_its_own_devices_files_alone() {
    let scene = scene();
    let header = MATRIX.lines().nth(1).unwrap();
    let widths: Vec<usize> = header.split_inclusive(' ').fold(Vec::new(), |mut columns, part| {
        // A column begins with its word; the spaces behind it are part of its width.
        if part.trim().is_empty() {
            *columns.last_mut().unwrap() += part.len();
        } else {
            columns.push(part.len());
        }
        columns
    });
    let mut matrix = format!("\n{header}\n");
    for row in MATRIX.lines().skip(2) {
        let name = row.split(' ').next().unwrap();
        let (certificate, own, missing) = match name {
            "cisco" => (CISCO, format!("SEP{}.cnf.xml", CISCO.to_uppercase()), format!("SEP{CISCO}.tlv")),
            "yealink" => (YEALINK, format!("{YEALINK}.cfg"), format!("{YEALINK}.boot")),
            "poly" => (POLY, format!("{POLY}.cfg"), format!("{POLY}-web.cfg")),
            "foreign" => (FOREIGN, format!("{FOREIGN}.cfg"), format!("{FOREIGN}-web.cfg")),
            "unlisted" => (UNLISTED, format!("{UNLISTED}.cfg"), format!("{UNLISTED}-web.cfg")),
            "none" => ("", format!("{POLY}.cfg"), format!("{POLY}-web.cfg")),
            other => (other, format!("{POLY}.cfg"), format!("{POLY}-web.cfg")),
        };
        let _ = write!(matrix, "{name:0$}", widths[0]);
        let paths = [
            own,
            format!("{NEIGHBOUR}.cfg"),
            "sip.cfg".into(),
            "sub/site.cfg".into(),
            "3111-44500-001.sip.ld".into(),
            missing,
            "none.cfg".into(),
            format!("{NEIGHBOUR}-license.cfg"),
            "0004f2777777.cfg".into(),
        ];
        let mut cells = String::new();
        for (path, width) in paths.iter().zip(&widths[1..]) {
            let reply = scene.https("acme", certificate, path).run();
            let cell = if reply.status == 0 { "---".to_owned() } else { reply.status.to_string() };
            assert!(
                (reply.status == 200) == reply.text().starts_with(expected_start(path)),
                "{name} {path}: {reply:?}"
            );
            let _ = write!(cells, "{cell:width$}");
        }
        let _ = writeln!(matrix, "{}", cells.trim_end());
    }
    assert_eq!(matrix, MATRIX);
}

fn expected_start(path: &str) -> &'static str {
    if path.contains("sip.ld") { "firmware" } else { "acme " }
}

#[test]
fn no_spelling_of_a_path_leaves_the_root_or_reaches_a_neighbour() {
    let scene = scene();
    std::os::unix::fs::symlink("..", scene.deployment.path("files/acme/escape")).unwrap();
    std::os::unix::fs::symlink("../secret.txt", scene.deployment.path("files/acme/link.txt")).unwrap();
    for (path, status) in [
        ("../secret.txt", 400),
        ("/../secret.txt", 400),
        ("./../secret.txt", 400),
        ("sub/../../secret.txt", 400),
        ("%2e%2e/secret.txt", 400),
        ("%2E%2E%2Fsecret.txt", 400),
        ("..%2fsecret.txt", 400),
        ("..%5csecret.txt", 400),
        (r"..\secret.txt", 400),
        (r"sub\..\..\secret.txt", 400),
        ("%252e%252e/secret.txt", 404),
        ("%c0%ae%c0%ae/secret.txt", 400),
        ("..;/secret.txt", 404),
        (".../secret.txt", 404),
        ("sip.cfg%00.txt", 400),
        ("sip.cfg%0a", 400),
        ("%zz/secret.txt", 400),
        ("sub%2fsite.cfg", 400),
        ("sub%5csite.cfg", 400),
        ("escape/secret.txt", 404),
        ("link.txt", 404),
        ("sub", 404),
        ("", 404),
        (".provost-1", 400),
        (&format!("{POLY}.cfg/../{NEIGHBOUR}.cfg"), 403),
        (&format!("{POLY}%2f..%2f{NEIGHBOUR}.cfg"), 400),
        (&format!("sub/%30004f2000002.cfg/../../{NEIGHBOUR}.cfg"), 403),
        (&format!("{POLY}/{NEIGHBOUR}.cfg"), 404),
        // What phones do write, and what it resolves to.
        ("sub/../sip.cfg", 200),
        ("//sip.cfg", 200),
        (r"sub\site.cfg", 200),
        ("sip%2ecfg?boot=1", 200),
    ] {
        let reply = scene.phone(path).run();
        assert!(!reply.text().contains("SECRET"), "{path}: {reply:?}");
        assert_eq!(reply.status, status, "{path}: {reply:?}");
    }
}

#[test]
fn an_answer_does_not_tell_whether_another_device_is_known() {
    let scene = scene();
    let faces = [
        format!("{NEIGHBOUR}.cfg"),
        format!("{NEIGHBOUR}-license.cfg"),
        format!("{UNLISTED}.cfg"),
        format!("{FOREIGN}.cfg"),
    ]
    .map(|path| [scene.phone(&path).run().face(), scene.phone(&path).head().face()]);
    assert!(faces.iter().all(|face| face == &faces[0]), "{faces:?}");
    assert_eq!(faces[0][0].0, 403);
    let written = [NEIGHBOUR, UNLISTED, FOREIGN]
        .map(|mac| ["app.log", "web.cfg"].map(|name| scene.phone(&format!("{mac}-{name}")).upload(b"x").run().face()));
    assert!(written.iter().all(|face| face == &written[0]), "{written:?}");
    assert_eq!(written[0][0].0, 403);
}

#[test]
fn head_has_the_header_of_get_and_no_body() {
    let scene = scene();
    for path in [format!("{POLY}.cfg"), "none.cfg".into(), format!("{NEIGHBOUR}.cfg")] {
        let get = scene.phone(&path).run();
        let head = scene.phone(&path).head();
        assert_eq!(head.status, get.status, "{path}");
        let header = |face: (u16, Vec<(String, String)>, String)| face.1;
        assert_eq!(header(head.face()), header(get.face()), "{path}");
    }
    let head = scene.phone(&format!("{POLY}.cfg")).head();
    assert_eq!(head.value("content-length"), Some("26"), "{head:?}");
    // curl does not look for a body here; a connection that the server closes shows that none comes.
    let stream = tls_client::connect(&scene.deployment, scene.server.address("acme", "https"), POLY);
    let answer = tls_client::send(stream, b"HEAD /sip.cfg HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[test]
fn conditional_requests_save_the_body() {
    let scene = scene();
    let path = format!("{POLY}.cfg");
    // Of what is younger no answer says the date.
    let file = std::fs::File::options().write(true).open(scene.deployment.path(&format!("files/acme/{path}"))).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_mins(1)).unwrap();
    let first = scene.phone(&path).run();
    let tag = first.value("etag").unwrap().to_owned();
    let modified = first.value("last-modified").unwrap().to_owned();
    for (line, status) in [
        (format!("If-None-Match: {tag}"), 304),
        (format!("If-None-Match: \"x\", {tag}"), 304),
        ("If-None-Match: *".into(), 304),
        ("If-None-Match: \"x\"".into(), 200),
        (format!("If-Modified-Since: {modified}"), 304),
        ("If-Modified-Since: Mon, 01 Jan 2001 00:00:00 GMT".into(), 200),
        ("If-Modified-Since: nonsense".into(), 200),
    ] {
        let reply = scene.phone(&path).header(&line).run();
        assert_eq!((reply.status, reply.body.is_empty()), (status, status == 304), "{line}: {reply:?}");
    }
    scene.deployment.write(&format!("files/acme/{path}"), "acme changed\n");
    let changed = scene.phone(&path).header(&format!("If-None-Match: {tag}")).run();
    assert_eq!((changed.status, changed.text().as_str()), (200, "acme changed\n"));
}

#[test]
fn a_part_of_a_file_can_be_read() {
    let scene = scene();
    scene.deployment.write(&format!("files/acme/{POLY}.cfg"), "0123456789");
    for (range, status, content, body) in [
        ("bytes=2-5", 206, Some("bytes 2-5/10"), "2345"),
        ("bytes=7-", 206, Some("bytes 7-9/10"), "789"),
        ("bytes=7-99", 206, Some("bytes 7-9/10"), "789"),
        ("bytes=-3", 206, Some("bytes 7-9/10"), "789"),
        ("bytes=0-9", 206, Some("bytes 0-9/10"), "0123456789"),
        ("bytes=10-", 416, Some("bytes */10"), ""),
        ("items=1-2", 200, None, "0123456789"),
        ("bytes=5-2", 200, None, "0123456789"),
    ] {
        let reply = scene.phone(&format!("{POLY}.cfg")).header(&format!("Range: {range}")).run();
        let got = (reply.status, reply.value("content-range"));
        assert_eq!(got, (status, content), "{range}: {reply:?}");
        assert!(status == 416 || reply.text() == body, "{range}: {reply:?}");
    }
}

#[test]
fn a_method_that_is_not_of_provisioning_is_refused() {
    let scene = scene();
    for method in ["DELETE", "POST", "OPTIONS", "TRACE", "PROPFIND", "MKCOL", "PATCH"] {
        let reply = scene.phone(&format!("{POLY}.cfg")).args(["-X", method]).run();
        assert_eq!(reply.status, 405, "{method}: {reply:?}");
        assert!(reply.value("allow").is_some(), "{method}: {reply:?}");
    }
    let unknown = scene.phone(&format!("{POLY}.cfg")).args(["-X", "BREW"]).run();
    assert!([405, 501].contains(&unknown.status), "{unknown:?}");
    assert_eq!(scene.phone(&format!("{POLY}.cfg")).run().status, 200);
}
