//! GET and HEAD.

use super::site::{Answer, DEVICE, STRANGER, Site, Who};

const FILE: &[u8] = b"0123456789abcdefghij";

fn site() -> Site {
    let site = Site::https();
    site.file("0004f2aabbcc.cfg", FILE);
    site.file("0004f2ddeeff.cfg", b"another's");
    site.file("site.xml", b"<site/>");
    site.file("empty.cfg", b"");
    site
}

#[tokio::test]
async fn a_device_reads_its_own_and_shared_files() {
    let site = site();
    let own = site.get(Who::Device(DEVICE), "/0004f2aabbcc.cfg").await;
    assert_eq!((own.status, own.body.as_slice()), (200, FILE));
    assert_eq!(own.field("Content-Length"), Some("20"));
    assert_eq!(own.field("Content-Type"), Some("text/plain"));
    assert_eq!(own.field("X-Content-Type-Options"), Some("nosniff"));
    assert_eq!(own.field("Accept-Ranges"), Some("bytes"));
    assert!(own.field("Date").is_some() && own.field("ETag").is_some() && own.field("Last-Modified").is_some());
    assert_eq!(own.field("Server"), None);
    let shared = site.get(Who::Device(DEVICE), "http://acme/site.xml?a=b").await;
    assert_eq!((shared.status, shared.text()), (200, "<site/>"));
    let empty = site.get(Who::Device(DEVICE), "/empty.cfg").await;
    assert_eq!((empty.status, empty.field("Content-Length"), empty.text()), (200, Some("0"), ""));
    let records = site.full_records();
    assert_eq!(records.len(), 3);
    assert_eq!(records[0]["outcome"], "served");
    assert_eq!(records[0]["opening"], "own");
    assert_eq!(records[0]["mac"], "0004f2aabbcc");
    assert_eq!(records[0]["bytes"], 20);
    assert_eq!(records[1]["path"], "/site.xml");
    assert_eq!(records[2]["outcome"], "served");
}

#[tokio::test]
async fn what_may_not_be_had_is_refused_by_decision() {
    let site = site();
    for (who, path, status, record) in [
        (Who::Device(DEVICE), "/0004f2ddeeff.cfg", 403, "denied/not_own"),
        (Who::Device(STRANGER), "/site.xml", 403, "denied/unknown_device"),
        (Who::Nobody, "/0004f2aabbcc.cfg", 403, "denied/require_not_met"),
        (Who::Device(DEVICE), "/0004f2aabbcc-missing.cfg", 404, "missing"),
        (Who::Device(DEVICE), "/../0004f2aabbcc.cfg", 400, "denied/path_leaves_root"),
        (Who::Device(DEVICE), "/%2e%2e/0004f2aabbcc.cfg", 400, "denied/path_leaves_root"),
        (Who::Device(DEVICE), "/0004f2aabbcc.cfg%00", 400, "denied/path_nul"),
        (Who::Device(DEVICE), "/a%2f0004f2aabbcc.cfg", 400, "rejected/target_separator"),
        (Who::Device(DEVICE), "/0004f2aabbcc%2", 400, "rejected/target_percent_encoding"),
        (Who::Device(DEVICE), "*", 400, "rejected/target_not_a_path"),
        (Who::Device(DEVICE), "http://other/site.xml", 421, "rejected/host_misdirected"),
    ] {
        assert_eq!(site.get(who, path).await.status, status, "{path}");
        assert_eq!(site.records(), [record], "{path}");
    }
}

#[tokio::test]
async fn a_stranger_cannot_tell_a_listed_device_from_another() {
    let site = Site::http();
    let answers = [
        site.get(Who::Plain, "/0004f2aabbcc.cfg").await,
        site.get(Who::Plain, "/0004f2ddeeff.cfg").await,
        site.get(Who::Plain, "/nothing.cfg").await,
    ];
    assert_eq!(site.records(), ["missing", "denied/unknown_device", "missing"]);
    for answer in &answers {
        assert_eq!(answer.status, 404);
        assert_eq!(answer.head_without_date(), answers[0].head_without_date());
        assert_eq!(answer.body, answers[0].body);
    }
}

#[tokio::test]
async fn without_tls_no_password_is_asked_for_as_it_is() {
    let require = ["password"];
    let https = Site::new(provost_core::Protocol::Https, &require, provost_tenants::Limits::default());
    https.file("0004f2aabbcc.cfg", FILE);
    let answer = https.get(Who::Nobody, "/0004f2aabbcc.cfg").await;
    assert_eq!(answer.status, 401);
    let schemes = ["SHA-256", "MD5", "Basic"];
    let asked: Vec<&str> = answer.fields("WWW-Authenticate").collect();
    assert!(asked.len() == 3 && asked.iter().zip(schemes).all(|(asked, scheme)| asked.contains(scheme)), "{asked:?}");
    let with = |credentials: &str| format!("GET /0004f2aabbcc.cfg\nAuthorization: {credentials}");
    // 0004f2aabbcc:secret
    let right = "Basic MDAwNGYyYWFiYmNjOnNlY3JldA==";
    assert_eq!(https.ask(Who::Nobody, &with(right), "").await.status, 200);
    for wrong in ["Basic MDAwNGYyYWFiYmNjOndyb25n", "Basic !", "Bearer x", "Basic"] {
        assert_eq!(https.ask(Who::Nobody, &with(wrong), "").await.status, 401, "{wrong}");
    }
    let http = Site::new(provost_core::Protocol::Http, &require, provost_tenants::Limits::default());
    http.file("0004f2aabbcc.cfg", FILE);
    let answer = http.ask(Who::Plain, &with(right), "").await;
    let asked: Vec<&str> = answer.fields("WWW-Authenticate").collect();
    assert_eq!((answer.status, asked.len()), (401, 2), "{asked:?}");
    assert!(asked.iter().all(|asked| asked.starts_with("Digest ")), "{asked:?}");
}

#[tokio::test]
async fn a_record_says_why_a_password_was_of_no_use() {
    let site = |require| Site::new(provost_core::Protocol::Http, require, provost_tenants::Limits::default());
    let digest = |user: &str, rest: &str| {
        let response = "0".repeat(32);
        format!(
            "Digest username=\"{user}\", realm=\"acme\", nonce=\"n\", uri=\"/0004f2aabbcc.cfg\", response={response}{rest}"
        )
    };
    let whole = ", qop=auth, nc=00000001, cnonce=c";
    for (require, path, credentials, said) in [
        (&["password"], "0004f2aabbcc.cfg", digest("0004f2aabbcc", ""), "the Digest has no `qop`"),
        (&["password"], "0004f2aabbcc.cfg", digest("0004f2aabbcc", ", qop=auth, nc=1, cnonce=c"), "a malformed `nc`"),
        (
            &["password"],
            "0004f2aabbcc.cfg",
            digest("0004f2aabbcc", whole),
            "requires password; user and password are wrong",
        ),
        (&["password"], "0004f2aabbcc.cfg", digest("0004F2AABBCC", whole), "not written in lower case for Digest"),
        (
            &["password"],
            "0004f2aabbcc.cfg",
            "Basic MDAwNGYyYWFiYmNjOnNlY3JldA==".to_owned(),
            "readable over plain http",
        ),
        (&["password"], "0004f2aabbcc.cfg", "Bearer x".to_owned(), "neither Basic nor Digest"),
        (&["address"], "0004f2aabbcc.cfg", digest("0004f2aabbcc", whole), ""),
        (&["address"], "001565ffffff.cfg", digest("0004f2aabbcc", ""), "is not listed; the Digest has no `qop`"),
    ] {
        let site = site(require);
        site.file("0004f2aabbcc.cfg", FILE);
        let credentials = credentials.replace("0004f2aabbcc.cfg", path);
        site.ask(Who::Plain, &format!("GET /{path}\nAuthorization: {credentials}"), "").await;
        let record = site.full_records().pop().unwrap();
        let detail = record["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(said) && detail.is_empty() == said.is_empty(), "{credentials}: {record}");
    }
}

#[tokio::test]
async fn where_too_many_passwords_wait_a_phone_is_told_to_come_again_and_who_was_right_before_is_served() {
    use provost_tenants::passwords::{Cost, Slow};
    let site = Site::new(provost_core::Protocol::Https, &["password"], provost_tenants::Limits::default());
    site.file("0004f2aabbcc.cfg", FILE);
    let stored = Slow::store(b"secret", Cost { memory: 16, passes: 1, lanes: 1 }).unwrap();
    site.devices(&format!("mac,password\n0004f2aabbcc,\"{stored}\"\n"));
    let with = |credentials: &str| format!("GET /0004f2aabbcc.cfg\nAuthorization: Basic {credentials}");
    // 0004f2aabbcc:secret and 0004f2aabbcc:wrong
    let [right, wrong] = ["MDAwNGYyYWFiYmNjOnNlY3JldA==", "MDAwNGYyYWFiYmNjOndyb25n"].map(with);
    assert_eq!(site.ask(Who::Nobody, &right, "").await.status, 200);
    site.fill_password_checks();
    assert_eq!(site.ask(Who::Nobody, &right, "").await.status, 200);
    for credentials in [&wrong, &with("bm9ib2R5Ong="), &with("MDAwNGYyZGRlZWZmOng=")] {
        let answer = site.ask(Who::Nobody, credentials, "").await;
        // Users that are no MAC have no password that takes time here.
        let is_mac = !credentials.contains("bm9ib2R5Ong=");
        assert_eq!(answer.status, if is_mac { 503 } else { 401 }, "{credentials}");
        let again = answer.field("Retry-After").map(|seconds| seconds.parse::<u64>().unwrap());
        assert!(again.map_or(!is_mac, |seconds| (1..=10).contains(&seconds)), "{again:?}");
    }
    assert!(site.records().contains(&"refused/passwords".to_owned()));
}

#[tokio::test]
async fn head_says_what_get_says() {
    let site = site();
    for path in ["/0004f2aabbcc.cfg", "/site.xml", "/empty.cfg", "/missing.cfg", "/0004f2ddeeff.cfg", "/%2f"] {
        let get = site.get(Who::Device(DEVICE), path).await;
        let head = site.ask(Who::Device(DEVICE), &format!("HEAD {path}"), "").await;
        let sorted = |answer: &Answer| {
            let head = answer.head_without_date();
            let mut lines: Vec<String> = head.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&get), sorted(&head), "{path}");
        assert_eq!(head.text(), "", "{path}");
    }
}

#[tokio::test]
async fn head_of_a_log_is_about_the_upload_alone() {
    let site = site();
    site.file("0004f2aabbcc-app.log", b"the operator's");
    let head = "HEAD /0004f2aabbcc-app.log";
    assert_eq!(site.ask(Who::Device(DEVICE), head, "").await.status, 404);
    assert_eq!(site.put(Who::Device(DEVICE), "/0004f2aabbcc-app.log", "12345").await.status, 201);
    assert_eq!(site.ask(Who::Device(DEVICE), head, "").await.field("Content-Length"), Some("5"));
}

#[tokio::test]
async fn conditions_and_ranges() {
    let site = site();
    let first = site.get(Who::Device(DEVICE), "/0004f2aabbcc.cfg").await;
    let (tag, date) = (first.field("ETag").unwrap(), first.field("Last-Modified").unwrap());
    for (fields, status, content_range, body) in [
        (format!("If-None-Match: {tag}"), 304, None, ""),
        (format!("If-Modified-Since: {date}"), 304, None, ""),
        ("If-Match: \"x\"".into(), 412, None, "Precondition Failed"),
        ("Range: bytes=0-4".into(), 206, Some("bytes 0-4/20"), "01234"),
        ("Range: bytes=18-".into(), 206, Some("bytes 18-19/20"), "ij"),
        ("Range: bytes=-2".into(), 206, Some("bytes 18-19/20"), "ij"),
        ("Range: bytes=20-".into(), 416, Some("bytes */20"), "Range Not Satisfiable"),
        (format!("Range: bytes=0-4\nIf-Range: {tag}"), 206, Some("bytes 0-4/20"), "01234"),
        ("Range: bytes=0-4\nIf-Range: \"x\"".into(), 200, None, "0123456789abcdefghij"),
        ("Range: bytes=0-4\nRange: bytes=5-6".into(), 200, None, "0123456789abcdefghij"),
    ] {
        let answer = site.ask(Who::Device(DEVICE), &format!("GET /0004f2aabbcc.cfg\n{fields}"), "").await;
        assert_eq!((answer.status, answer.field("Content-Range")), (status, content_range), "{fields}");
        assert_eq!(answer.text(), body, "{fields}");
    }
    assert_eq!(site.records()[1], "not_modified");
}

#[tokio::test]
async fn several_ranges_come_in_parts() {
    let site = site();
    let answer = site.ask(Who::Device(DEVICE), "GET /0004f2aabbcc.cfg\nRange: bytes=0-1,10-12", "").await;
    let boundary = answer.field("Content-Type").unwrap().strip_prefix("multipart/byteranges; boundary=").unwrap();
    let part = |range: &str, bytes: &str| {
        format!("\r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes {range}/20\r\n\r\n{bytes}")
    };
    let body = format!("{}{}\r\n--{boundary}--\r\n", part("0-1", "01"), part("10-12", "abc"));
    assert_eq!((answer.status, answer.text()), (206, body.as_str()));
    assert_eq!(answer.field("Content-Length"), Some(body.len().to_string().as_str()));
    assert_eq!(site.full_records()[0]["bytes"], 5);
}

#[tokio::test]
async fn a_large_file_comes_whole_and_in_parts() {
    let site = site();
    let image: Vec<u8> = (0..3_000_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    site.file("sip.ld", &image);
    let whole = site.get(Who::Device(DEVICE), "/sip.ld").await;
    assert!(whole.body == image, "{} bytes", whole.body.len());
    let part = site.ask(Who::Device(DEVICE), "GET /sip.ld\nRange: bytes=1000000-2999998", "").await;
    assert_eq!(part.status, 206);
    assert!(part.body == image[1_000_000..2_999_999]);
    let records = site.full_records();
    assert_eq!(records[0]["bytes"], 3_000_000);
    assert_eq!(records[1]["bytes"], 1_999_999);
    assert_eq!(records[1]["outcome"], "served");
}

#[tokio::test]
async fn a_peer_that_goes_away_in_a_file_is_recorded_as_aborted() {
    let site = site();
    site.file("sip.ld", &vec![7; 16 << 20]);
    let mut wire = site.connect(Who::Device(DEVICE)).await;
    wire.write("GET /sip.ld HTTP/1.1\r\nHost: acme\r\n\r\n").await;
    wire.read_until("\r\n\r\n").await;
    wire.vanish().await;
    let records = site.full_records();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["outcome"], "aborted");
    assert!(records[0]["bytes"].as_u64().unwrap() < 16 << 20);
}

#[tokio::test]
async fn a_file_that_shrinks_ends_the_connection_short() {
    let site = site();
    site.file("sip.ld", &vec![7; 16 << 20]);
    let mut wire = site.connect(Who::Device(DEVICE)).await;
    wire.write("GET /sip.ld HTTP/1.1\r\nHost: acme\r\n\r\n").await;
    wire.read_until("\r\n\r\n").await;
    let file = std::fs::File::options().write(true).open(site.directory.path().join("root/sip.ld")).unwrap();
    file.set_len(1 << 20).unwrap();
    assert!(wire.finish().await.len() < 16 << 20);
    assert_eq!(site.records(), ["error/file_read"]);
}

#[tokio::test]
async fn a_file_that_grows_is_sent_as_long_as_it_was() {
    let site = site();
    site.file("sip.ld", &vec![7; 16 << 20]);
    let mut wire = site.connect(Who::Device(DEVICE)).await;
    wire.write("GET /sip.ld HTTP/1.1\r\nHost: acme\r\n\r\n").await;
    wire.read_until("\r\n\r\n").await;
    let file = std::fs::File::options().write(true).open(site.directory.path().join("root/sip.ld")).unwrap();
    file.set_len(32 << 20).unwrap();
    assert_eq!(wire.finish().await.len(), 16 << 20);
    assert_eq!(site.records(), ["served"]);
}
