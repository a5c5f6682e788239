//! Uploads by PUT: the table of partial uploads row by row, and what may break on the way.

use crate::harness::clients::{Reply, run};
use crate::harness::deployment::Tenant;
use crate::harness::scene::{self, NEIGHBOUR, POLY, Scene};

fn scene_of(change: impl FnOnce(Tenant) -> Tenant) -> Scene {
    Scene::of(&[change(scene::acme().https(""))])
}

/// One PUT and what it leaves: range (none where it is empty), body, status, what stands there afterwards.
type Row<'a> = (&'a str, &'a str, u16, &'a str);

/// Plays the rows in order against one file.
fn play(scene: &Scene, name: &str, rows: &[Row<'_>]) -> Vec<Reply> {
    rows.iter()
        .map(|(range, body, status, after)| {
            let reply = put(scene, name, range, body);
            assert_eq!(reply.status, *status, "{range} {body:?}: {reply:?}");
            assert_eq!(held(scene, name).as_deref().unwrap_or(""), *after, "{range} {body:?}");
            reply
        })
        .collect()
}

fn put(scene: &Scene, name: &str, range: &str, body: &str) -> Reply {
    let put = scene.phone(name).upload(body.as_bytes());
    if range.is_empty() { put.run() } else { put.header(&format!("Content-Range: {range}")).run() }
}

/// What the server keeps, as the phone would read it and as it stands on the disk.
fn held(scene: &Scene, name: &str) -> Option<String> {
    let on_disk = std::fs::read_to_string(scene.deployment.upload("acme", name)).ok();
    if let Some(text) = &on_disk {
        let head = scene.phone(name).head();
        assert_eq!(head.value("content-length"), Some(text.len().to_string().as_str()), "{head:?}");
        assert_eq!(scene.phone(name).run().text(), *text);
    }
    on_disk
}

const LOG: &str = "0004f2aabbcc-app.log";
const SETTINGS: &str = "0004f2aabbcc-web.cfg";

#[test]
fn the_table_for_logs_holds_row_by_row() {
    let scene = scene_of(|acme| acme);
    play(
        &scene,
        LOG,
        &[
            // No upload there yet: created with these bytes, wherever they claim to begin.
            ("bytes 500-504/*", "start", 201, "start"),
            // The same range and bytes as the last one answered.
            ("bytes 500-504/*", "start", 200, "start"),
            // a == S, in each form that phones may write.
            ("bytes 5-6/*", "56", 200, "start56"),
            ("bytes 7-8/9", "78", 200, "start5678"),
            ("bytes=9-9/*", "9", 200, "start56789"),
            ("Bytes  10 - 11 / * ", "ab", 200, "start56789ab"),
            ("Bytes  10 - 11 / * ", "ab", 200, "start56789ab"),
            // a == 0 and the bytes stand there.
            ("bytes 0-4/*", "start", 200, "start56789ab"),
            ("bytes 0-4/5", "start", 200, "start56789ab"),
            // a == 0 and they differ: a new log begins.
            ("bytes 0-2/*", "new", 200, "new"),
            // The answer was lost and the phone asks again: nothing rotates twice.
            ("bytes 0-2/*", "new", 200, "new"),
            // 0 < a < S, within and past the end.
            ("bytes 1-1/*", "E", 200, "nEw"),
            ("bytes 2-4/5", "WER", 200, "nEWER"),
            // a > S.
            ("bytes 10-12/*", "gap", 200, "nEWERgap"),
            // Without a range it replaces.
            ("", "whole", 200, "whole"),
        ],
    );
    assert_eq!(held(&scene, &format!("{LOG}.1")).as_deref(), Some("start56789ab"));
    assert!(!scene.deployment.upload("acme", &format!("{LOG}.2")).exists());
    for note in ["late_start", "repeated", "rotated", "gap"] {
        scene.server.record(&[("outcome", "stored"), ("reason", note)]);
    }
}

#[test]
fn a_log_whose_rule_refuses_gaps_says_where_it_ends() {
    let scene = scene_of(|acme| {
        acme.table(
            "[[rule]]\npath = \"{mac}-app.log\"\nkind = \"log\"\nread = \"own\"\nwrite = \"own\"\ngap = \"refuse\"",
        )
    });
    let rows = [("bytes 0-4/*", "start", 201, "start"), ("bytes 9-11/*", "gap", 416, "start")];
    let replies = play(&scene, LOG, &rows);
    assert_eq!(replies[1].value("content-range"), Some("bytes */5"));
}

#[test]
fn the_table_for_settings_holds_row_by_row() {
    let scene = scene_of(|acme| acme);
    let replies = play(
        &scene,
        SETTINGS,
        &[
            // No upload there yet: as a PUT where a is 0.
            ("bytes 5-9/*", "56789", 416, ""),
            ("bytes 0-4/*", "01234", 201, "01234"),
            ("bytes 0-4/*", "01234", 200, "01234"),
            ("bytes 5-9/*", "56789", 200, "0123456789"),
            ("bytes=10-10/11", "a", 200, "0123456789a"),
            // a == 0 with the whole: as a PUT. Else in place.
            ("bytes 0-3/*", "ABCD", 200, "ABCD456789a"),
            ("bytes 0-1/9", "ab", 200, "abCD456789a"),
            ("bytes 0-3/4", "full", 200, "full"),
            ("bytes 0-3/4", "FULL", 200, "FULL"),
            ("bytes 2-5/*", "ller", 200, "FUller"),
            ("bytes 9-9/*", "x", 416, "FUller"),
            ("", "", 200, ""),
            ("", "again", 200, "again"),
        ],
    );
    assert_eq!(replies[0].value("content-range"), Some("bytes */0"));
    assert_eq!(replies[10].value("content-range"), Some("bytes */6"));
}

#[test]
fn a_malformed_range_changes_nothing() {
    let scene = scene_of(|acme| acme);
    for name in [LOG, SETTINGS] {
        play(&scene, name, &[("", "stands", 201, "stands")]);
        for range in [
            "bytes 4-0/*",
            "bytes 6-10/3",
            "bytes 6-10/10",
            "bytes 6-9/*",
            "bytes 6-11/*",
            "bytes 6-10",
            "bytes */5",
            "bytes -4/5",
            "bytes 6-/*",
            "bytes +6-10/*",
            "bytes 0x6-10/*",
            "items 6-10/*",
            "6-10/*",
            "bytes 6-18446744073709551616/*",
            "bytes 18446744073709551615-18446744073709551619/*",
            "bytes 0-18446744073709551615/*",
        ] {
            play(&scene, name, &[(range, "12345", 400, "stands")]);
        }
    }
}

#[test]
fn only_what_the_rules_name_can_be_written() {
    let scene = scene_of(|acme| acme);
    for (name, status) in [
        (format!("{POLY}-app.log"), 201),
        (format!("logs/{}-boot.log", POLY.to_uppercase()), 201),
        (format!("{POLY}-phone.cfg"), 201),
        (format!("{POLY}-directory.xml"), 201),
        (format!("{POLY}.cfg"), 403),
        ("sip.cfg".into(), 403),
        ("new.log".into(), 403),
        (format!("{NEIGHBOUR}-app.log"), 403),
        (format!("../{POLY}-app.log"), 400),
        (format!(".provost-{POLY}.log"), 400),
    ] {
        assert_eq!(put(&scene, &name, "", "x").status, status, "{name}");
    }
    // Stored in lower case, and read back in any.
    assert!(scene.deployment.upload("acme", &format!("logs/{POLY}-boot.log")).exists());
    assert_eq!(scene.phone(&format!("logs/{}-boot.log", POLY.to_uppercase())).run().text(), "x");
    let original = std::fs::read_to_string(scene.deployment.path(&format!("files/acme/{POLY}.cfg"))).unwrap();
    assert!(original.starts_with("acme file"));
}

#[test]
fn an_upload_shadows_the_operators_file_unless_the_rule_prefers_the_root() {
    let scene = scene_of(|acme| {
        acme.table("[[rule]]\npath = \"{mac}-user.cfg\"\nkind = \"settings\"\nread = \"own\"\nwrite = \"own\"\nprefer = \"root\"")
    });
    for name in [format!("{POLY}-web.cfg"), format!("{POLY}-user.cfg")] {
        scene.deployment.write(&format!("files/acme/{name}"), "operator");
        assert_eq!(scene.phone(&name).run().text(), "operator");
        assert_eq!(scene.phone(&name).upload(b"phone").run().status, 201, "{name}");
    }
    assert_eq!(scene.phone(&format!("{POLY}-web.cfg")).run().text(), "phone");
    assert_eq!(scene.phone(&format!("{POLY}-user.cfg")).run().text(), "operator");
    // HEAD of a log asks how much of it has come: a file of the operator is no answer.
    scene.deployment.write(&format!("files/acme/{LOG}"), "operator");
    assert_eq!(scene.phone(LOG).head().status, 404);
}

#[test]
fn a_log_past_its_size_rotates_and_keeps_three() {
    let scene = scene_of(|acme| acme.uploads("max_size = \"1KiB\""));
    for letter in ["a", "b", "c", "d", "e", "f"] {
        let size = std::fs::metadata(scene.deployment.upload("acme", LOG)).map_or(0, |facts| facts.len());
        let range = format!("bytes {size}-{}/*", size + 799);
        let reply = put(&scene, LOG, &range, &letter.repeat(800));
        assert!([200, 201].contains(&reply.status), "{reply:?}");
    }
    let kept: Vec<bool> =
        (1..=4).map(|number| scene.deployment.upload("acme", &format!("{LOG}.{number}")).exists()).collect();
    assert_eq!(kept, [true, true, true, false]);
    // The last bytes are in the log itself or in the one that has just rotated.
    let newest = [LOG.to_owned(), format!("{LOG}.1")]
        .iter()
        .filter_map(|name| std::fs::read_to_string(scene.deployment.upload("acme", name)).ok())
        .collect::<String>();
    assert!(newest.contains(&"f".repeat(800)));
}

#[test]
fn what_exceeds_a_bound_is_refused_and_changes_nothing() {
    let scene = scene_of(|acme| acme.uploads("max_upload = \"64KiB\"\ndevice_quota = \"100KiB\"\ndevice_files = 3"));
    assert_eq!(put(&scene, SETTINGS, "", "stands").status, 201);
    let big = "x".repeat(65 * 1024);
    assert_eq!(put(&scene, SETTINGS, "", &big).status, 413);
    let chunked = scene.phone(SETTINGS).upload(big.as_bytes()).header("Transfer-Encoding: chunked").run();
    assert_eq!(chunked.status, 413, "{chunked:?}");
    assert_eq!(held(&scene, SETTINGS).as_deref(), Some("stands"));
    let most = "y".repeat(60 * 1024);
    assert_eq!(put(&scene, &format!("{POLY}-phone.cfg"), "", &most).status, 201);
    assert_eq!(put(&scene, &format!("{POLY}-user.cfg"), "", &most).status, 507);
    assert_eq!(put(&scene, &format!("{POLY}-calls.xml"), "", "small").status, 201);
    assert_eq!(put(&scene, &format!("{POLY}-directory.xml"), "", "small").status, 507, "a fourth file");
    assert_eq!(put(&scene, SETTINGS, "", "changed").status, 200);
    // One phone's quota is not its neighbour's.
    let neighbour = scene.https("acme", NEIGHBOUR, &format!("{NEIGHBOUR}-web.cfg")).upload(most.as_bytes()).run();
    assert_eq!(neighbour.status, 201);
}

#[test]
fn a_client_that_sends_all_of_a_large_body_first_hears_that_it_is_refused() {
    let scene = Scene::of(&[scene::acme().listener("http", "unbound_write = \"logs\"")]);
    let address = scene.server.address("acme", "http");
    for (name, mebibytes, status) in [("zzz.cfg", 30, "403"), (LOG, 40, "413")] {
        let put = format!(
            "import http.client\nc = http.client.HTTPConnection('{}', {})\n\
             c.request('PUT', '/{name}', b'x' * ({mebibytes} << 20))\nprint(c.getresponse().status)",
            address.ip(),
            address.port(),
        );
        assert_eq!(run("python3", &["-c", &put]).succeeded().stdout.trim(), status, "{name}");
    }
}
