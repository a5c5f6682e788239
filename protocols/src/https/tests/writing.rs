//! PUT.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::site::{Answer, DEVICE, STRANGER, Site, Who};

const WHO: Who = Who::Device(DEVICE);
const LOG: &str = "/0004f2aabbcc-app.log";

/// Both conditions hold when the bodies begin; one does no more when its body has come.
#[tokio::test]
async fn conditions_are_asked_again_when_the_body_has_come() {
    let site = Site::https();
    let who = Who::Device(DEVICE);
    let name = "/0004f2aabbcc-web.cfg";
    let head = |length: usize, condition: &str| {
        format!(
            "PUT {name} HTTP/1.1\r\nHost: acme\r\n{condition}\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let mut first = site.connect(who).await;
    first.write(head(5, "If-None-Match: *")).await;
    assert!(first.read_until("\r\n\r\n").await.starts_with(b"HTTP/1.1 100 "));
    assert_eq!(site.put(who, name, "second").await.status, 201);
    first.write("first").await;
    assert_eq!(Answer::of(&first.finish().await).status, 412);
    assert_eq!(site.upload("0004f2aabbcc-web.cfg").as_deref(), Some("second"));
    let tag = site.get(who, name).await.field("ETag").map(str::to_owned).unwrap();
    let mut third = site.connect(who).await;
    third.write(head(5, &format!("If-Match: {tag}"))).await;
    assert!(third.read_until("\r\n\r\n").await.starts_with(b"HTTP/1.1 100 "));
    third.write("third").await;
    assert_eq!(Answer::of(&third.finish().await).status, 200);
    assert_eq!(site.ask(who, &format!("PUT {name}\nContent-Length: 1\nIf-Match: {tag}"), "x").await.status, 412);
    assert_eq!(site.upload("0004f2aabbcc-web.cfg").as_deref(), Some("third"));
    let records = site.records();
    assert_eq!(records.iter().filter(|record| *record == "refused/precondition").count(), 2, "{records:?}");
}

#[tokio::test]
async fn a_put_creates_then_replaces() {
    let site = Site::https();
    let created = site.put(WHO, "/0004f2aabbcc-web.cfg", "one").await;
    assert_eq!((created.status, created.text()), (201, "stored"));
    assert_eq!(site.put(WHO, "/0004f2aabbcc-web.cfg", "two!").await.status, 200);
    assert_eq!(site.get(WHO, "/0004f2aabbcc-web.cfg").await.text(), "two!");
    let records = site.full_records();
    assert_eq!(records[0]["outcome"], "stored");
    assert_eq!(records[0]["bytes"], 3);
    assert_eq!(records[2]["outcome"], "served");
}

#[tokio::test]
async fn a_log_grows_by_ranges() {
    let site = Site::https();
    for (range, body, status, record, held) in [
        ("bytes 0-4/*", "aaaaa", 201, "stored", "aaaaa"),
        ("bytes 5-9/*", "bbbbb", 200, "stored", "aaaaabbbbb"),
        ("bytes 5-9/*", "bbbbb", 200, "stored/repeated", "aaaaabbbbb"),
        ("bytes=10-11/12", "cc", 200, "stored", "aaaaabbbbbcc"),
        ("bytes 20-21/*", "dd", 200, "stored/gap", "aaaaabbbbbccdd"),
        ("bytes 0-4/3", "aaaaa", 400, "rejected/content_range", "aaaaabbbbbccdd"),
        ("bytes 4-0/*", "aaaaa", 400, "rejected/content_range", "aaaaabbbbbccdd"),
        ("items 0-4/5", "aaaaa", 400, "rejected/content_range", "aaaaabbbbbccdd"),
        ("bytes 14-18/*", "ee", 400, "rejected/content_range", "aaaaabbbbbccdd"),
        ("bytes 0-4/5\nContent-Range: bytes 0-4/5", "aaaaa", 400, "rejected/content_range", "aaaaabbbbbccdd"),
        ("bytes 0-1/*", "xx", 200, "stored/rotated", "xx"),
    ] {
        let answer = site.put(WHO, &format!("{LOG}\nContent-Range: {range}"), body).await;
        assert_eq!(answer.status, status, "{range}");
        assert_eq!(site.records(), [record], "{range}");
        assert_eq!(site.get(WHO, LOG).await.text(), held, "{range}");
        site.records();
    }
}

#[tokio::test]
async fn a_part_past_the_end_of_settings_is_told_the_size() {
    let site = Site::https();
    site.put(WHO, "/0004f2aabbcc-web.cfg", "12345").await;
    let answer = site.put(WHO, "/0004f2aabbcc-web.cfg\nContent-Range: bytes 9-9/*", "x").await;
    assert_eq!((answer.status, answer.field("Content-Range")), (416, Some("bytes */5")));
    assert_eq!(site.records()[1], "refused/beyond_end");
}

#[tokio::test]
async fn what_may_not_be_written_is_refused() {
    let site = Site::https();
    for (who, head, status, record) in [
        (WHO, "/0004f2ddeeff-app.log", 403, "denied/not_own"),
        (WHO, "/site.cfg", 403, "denied/rule_denies"),
        (WHO, "/0004f2aabbcc.cfg", 403, "denied/rule_denies"),
        (Who::Device(STRANGER), "/0004f2ddeeff-app.log", 403, "denied/unknown_device"),
        (Who::Nobody, LOG, 403, "denied/require_not_met"),
        (WHO, "/0004f2aabbcc-app.log\nContent-Encoding: gzip", 415, "rejected/content_encoding"),
        (WHO, "/0004f2aabbcc-app.log\nIf-Match: *", 412, "refused/precondition"),
        (WHO, "/a%2f0004f2aabbcc-app.log", 400, "rejected/target_separator"),
    ] {
        assert_eq!(site.put(who, head, "x").await.status, status, "{head}");
        assert_eq!(site.records(), [record], "{head}");
    }
    assert_eq!(site.ask(WHO, &format!("PUT {LOG}"), "").await.status, 411);
    for coding in ["gzip, chunked", "chunked, chunked", "gzip\nTransfer-Encoding: chunked"] {
        let coded = site.ask(WHO, &format!("PUT {LOG}\nTransfer-Encoding: {coding}"), "1\r\nx\r\n0\r\n\r\n").await;
        assert_eq!(coded.status, 501, "{coding}");
    }
    assert_eq!(site.put(WHO, &format!("{LOG}\nIf-None-Match: *\nContent-Encoding: identity"), "x").await.status, 201);
    assert_eq!(site.put(WHO, &format!("{LOG}\nIf-None-Match: *"), "y").await.status, 412);
}

#[tokio::test]
async fn chunks_and_http_1_0_are_read() {
    let site = Site::https();
    let chunks = "5\r\naaaaa\r\n3;x=y\r\nbbb\r\n0\r\nTrailer: x\r\n\r\n";
    let answer = site.ask(WHO, &format!("PUT {LOG}\nTransfer-Encoding: chunked"), chunks).await;
    assert_eq!(answer.status, 201);
    assert_eq!(site.get(WHO, LOG).await.text(), "aaaaabbb");
    let range = format!("PUT {LOG}\nTransfer-Encoding: chunked\nContent-Range: bytes 8-8/*");
    assert_eq!(site.ask(WHO, &range, "1\r\nc\r\n0\r\n\r\n").await.status, 200);
    assert_eq!(site.ask(WHO, &range, "2\r\ncc\r\n0\r\n\r\n").await.status, 400);
    let old = format!("PUT {LOG} HTTP/1.0\r\nContent-Length: 3\r\n\r\nold");
    assert_eq!(Answer::of(&site.send(WHO, old).await).status, 200);
    assert_eq!(site.get(WHO, LOG).await.text(), "old");
    let records = ["stored", "served", "stored", "rejected/body_length", "stored", "served"];
    assert_eq!(site.records(), records);
}

#[tokio::test]
async fn a_large_body_is_stored_whole() {
    let site = Site::https();
    let body = "0123456789abcdef".repeat(60_000);
    assert_eq!(site.put(WHO, "/0004f2aabbcc-core.bin", &body).await.status, 201);
    assert!(site.get(WHO, "/0004f2aabbcc-core.bin").await.text() == body);
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_what_was_there() {
    let site = Site::https();
    site.put(WHO, LOG, "before").await;
    let half = "PUT /0004f2aabbcc-app.log HTTP/1.1\r\nHost: acme\r\nContent-Length: 100\r\n\r\nhalf";
    site.send(WHO, half).await;
    let mut wire = site.connect(WHO).await;
    wire.write(half).await;
    wire.vanish().await;
    let chunks =
        "PUT /0004f2aabbcc-app.log HTTP/1.1\r\nHost: acme\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf!\r\nzz";
    site.send(WHO, chunks).await;
    assert_eq!(site.get(WHO, LOG).await.text(), "before");
    let broken = "aborted/body_broken";
    assert_eq!(site.records(), ["stored", broken, broken, broken, "served"]);
}

#[tokio::test]
async fn a_refusal_comes_before_the_body_is_asked_for() {
    let site = Site::https();
    let expecting = |path: &str, length: u32| {
        format!("PUT {path} HTTP/1.1\r\nHost: acme\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n")
    };
    for (path, length, status) in
        [("/0004f2ddeeff-app.log", 5, 403), (LOG, 2 << 20, 413), ("/0004f2aabbcc.cfg", 5, 403)]
    {
        let mut wire = site.connect(WHO).await;
        wire.write(expecting(path, length)).await;
        let answer = Answer::of(&wire.until_closed().await);
        assert_eq!((answer.status, answer.field("Connection")), (status, Some("close")), "{path}");
    }
    assert_eq!(site.records(), ["denied/not_own", "refused/too_large", "denied/rule_denies"]);
    let mut wire = site.connect(WHO).await;
    wire.write(expecting(LOG, 5)).await;
    assert_eq!(wire.read_until("\r\n\r\n").await, b"HTTP/1.1 100 Continue\r\n\r\n");
    wire.write("12345").await;
    assert_eq!(Answer::of(&wire.finish().await).status, 201);
}

#[tokio::test]
async fn a_refused_body_on_its_way_does_not_hide_the_answer() {
    let site = Site::https();
    let mut wire = site.connect(WHO).await;
    let head = "PUT /0004f2ddeeff-app.log HTTP/1.1\r\nHost: acme\r\nContent-Length: 900000\r\n\r\n";
    wire.write(head).await;
    // What the server does not read would be answered with a reset, if it closed at once.
    wire.write(vec![b'x'; 900_000]).await;
    let answer = Answer::of(&wire.finish().await);
    assert_eq!((answer.status, answer.field("Connection")), (403, Some("close")));
}

#[tokio::test]
async fn a_small_refused_body_costs_no_connection() {
    let site = Site::https();
    let mut wire = site.connect(WHO).await;
    wire.write("PUT /0004f2ddeeff-app.log HTTP/1.1\r\nHost: acme\r\nContent-Length: 5\r\n\r\n12345").await;
    let refused = Answer::of(&wire.read_until("\r\n\r\nForbidden").await);
    assert_eq!((refused.status, refused.field("Connection")), (403, None));
    wire.write("PUT /0004f2aabbcc-app.log HTTP/1.1\r\nHost: acme\r\nContent-Length: 5\r\n\r\n12345").await;
    let rest = wire.finish().await;
    assert!(String::from_utf8(rest).unwrap().contains("HTTP/1.1 201 Created\r\n"));
    assert_eq!(site.records(), ["denied/not_own", "stored"]);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_where_it_passes_it() {
    let site = Site::https();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let body = format!("{}0\r\n\r\n", chunk.repeat(20));
    let answer = site.ask(WHO, &format!("PUT {LOG}\nTransfer-Encoding: chunked"), body).await;
    assert_eq!(answer.status, 413);
    assert_eq!(site.records(), ["refused/too_large"]);
    assert_eq!(site.upload("0004f2aabbcc-app.log"), None);
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up() {
    let limits = provost_tenants::Limits { stall: std::time::Duration::from_millis(50), ..Default::default() };
    let site = Site::new(provost_core::Protocol::Https, &["certificate"], limits);
    let mut wire = site.connect(WHO).await;
    wire.write("PUT /0004f2aabbcc-app.log HTTP/1.1\r\nHost: acme\r\nContent-Length: 100\r\n\r\nhalf").await;
    let mut answer = Vec::new();
    wire.stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(Answer::of(&answer).status, 408);
    wire.finish().await;
    assert_eq!(site.records(), ["aborted/body_stalled"]);
}

#[tokio::test]
async fn a_body_that_drips_is_given_up_though_it_never_stalls() {
    let stall = std::time::Duration::from_millis(400);
    let limits = provost_tenants::Limits { stall, least_rate: 1 << 20, ..Default::default() };
    let site = Site::new(provost_core::Protocol::Https, &["certificate"], limits);
    let mut wire = site.connect(WHO).await;
    wire.write("PUT /0004f2aabbcc-app.log HTTP/1.1\r\nHost: acme\r\nContent-Length: 10000\r\n\r\n").await;
    let (mut reading, mut writing) = wire.stream.split();
    let mut answer = Vec::new();
    let drip = async {
        while writing.write_all(b"x").await.is_ok() {
            tokio::time::sleep(stall / 20).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        read = reading.read_to_end(&mut answer) => drop(read.unwrap()),
        () = drip => {}
    }
    assert_eq!(Answer::of(&answer).status, 408);
    wire.finish().await;
    assert_eq!(site.records(), ["aborted/body_stalled"]);
    assert_eq!(site.upload("0004f2aabbcc-app.log"), None);
}
