//! Digest, as curl speaks it: on http and https, with each stored form, and what is not taken: a used answer, another's nonce,
//! another target.

use crate::harness::clients::{Curl, Reply};
use crate::harness::deployment::Deployment;
use crate::harness::scene::{self, FOREIGN, NEIGHBOUR, POLY, Scene, YEALINK};

/// `H(A1)` of `md5only` and `only-md5` at acme, as the command makes it, without its SHA-256.
fn md5_only() -> String {
    let stored = crate::stored_passwords::hash(&["--user", "md5only", "--realm", "acme"], "only-md5");
    let (_, md5) = stored.rsplit_once('$').unwrap();
    format!("$ha1${md5}")
}

fn scene() -> Scene {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    deployment.write("devices.csv", format!("mac,password\n{YEALINK},own-secret\n{POLY},\n{NEIGHBOUR},\n"));
    let users = format!(
        "[[users]]\nname = \"PlcmSpIp\"\npassword = \"old\"\n[[users]]\nname = \"PlcmSpIp\"\npassword = \"new\"\n\
         [[users]]\nname = \"gone\"\npassword = \"gone\"\nexpires = 2020-01-01\n\
         [[users]]\nname = \"md5only\"\npassword = \"{}\"\n[[users]]\nname = \"Jürgen \\\"J\\\"\"\npassword = \"süß\"",
        md5_only()
    );
    let http = "require = [\"password\"]\n";
    let acme = scene::acme()
        .devices("file = \"../devices.csv\"")
        .https(http)
        .listener("http", http)
        .listener_named("second", "http", http)
        .table(&users);
    deployment.add(&acme);
    let globex = scene::globex().listener("http", http);
    deployment.add(&globex.table("[[users]]\nname = \"PlcmSpIp\"\npassword = \"old\""));
    Scene::start(deployment)
}

fn challenges(reply: &Reply) -> Vec<&str> {
    let fields = reply.header.iter().filter(|(name, _)| name == "www-authenticate");
    fields.map(|(_, value)| value.as_str()).collect()
}

fn http(scene: &Scene, path: &str) -> Curl {
    Curl::new(scene.url("http", "acme", path))
}

#[test]
fn what_is_offered_is_sha_256_then_md5_and_basic_over_tls_alone() {
    let scene = scene();
    let plain = http(&scene, "sip.cfg").run();
    let offered = challenges(&plain);
    assert_eq!((plain.status, offered.len()), (401, 2), "{plain:?}");
    for (offered, algorithm) in offered.iter().zip(["SHA-256", "MD5"]) {
        let expected = format!("Digest realm=\"acme\", qop=\"auth\", algorithm={algorithm}, nonce=\"");
        assert!(offered.starts_with(&expected) && !offered.contains("stale"), "{offered}");
    }
    let secured = scene.https("acme", "", "sip.cfg").run();
    assert_eq!((secured.status, challenges(&secured).len()), (401, 3), "{secured:?}");
    assert_eq!(challenges(&secured).last(), Some(&"Basic realm=\"acme\", charset=\"UTF-8\""));
}

#[test]
fn curl_logs_in_by_digest_on_http_and_https() {
    let scene = scene();
    let own = format!("{YEALINK}.cfg");
    let device = format!("{YEALINK}:own-secret");
    let (mut plain, mut secured) = (0, 0);
    for (login, path, status, word) in [
        ("PlcmSpIp:old", "sip.cfg", 200, "unbound"),
        ("PlcmSpIp:new", "sip.cfg", 200, "unbound"),
        ("Jürgen \"J\":süß", "sip.cfg", 200, "unbound"),
        (&device, &own, 200, "own"),
        (&device, &format!("{NEIGHBOUR}.cfg"), 403, "not_own"),
        ("PlcmSpIp:wrong", "sip.cfg", 401, "require_not_met"),
        ("gone:gone", "sip.cfg", 401, "require_not_met"),
        ("nobody:old", "sip.cfg", 401, "require_not_met"),
        (&format!("{POLY}:own-secret"), &own, 401, "require_not_met"),
        // Its form has no SHA-256, which curl prefers.
        ("md5only:only-md5", "sip.cfg", 401, "require_not_met"),
    ] {
        for scheme in ["http", "https"] {
            for how in ["--digest", "--anyauth"] {
                let curl = if scheme == "http" { http(&scene, path) } else { scene.https("acme", "", path) };
                let reply = curl.args([how, "-u", login]).run();
                assert_eq!(reply.status, status, "{scheme} {how} {login} {path}: {reply:?}");
                // One request without an answer to the challenge, and one with it.
                let count = if scheme == "http" { &mut plain } else { &mut secured };
                *count += 2;
                let record = scene.server.records(&[("protocol", scheme)], *count).pop().unwrap();
                assert_eq!(record[if status == 200 { "opening" } else { "reason" }], word, "{record}");
                let is_of_form = record["detail"].to_string().contains("in a form that answers no Digest");
                assert_eq!(is_of_form, login.starts_with("md5only"), "{record}");
            }
        }
    }
    let log = format!("{YEALINK}-app.log");
    let stored = http(&scene, &log).args(["--digest", "-u", &device]).upload(b"booted\n").run();
    assert_eq!(stored.status, 201, "{stored:?}");
    assert_eq!(std::fs::read(scene.deployment.upload("acme", &log)).unwrap(), b"booted\n");
    let head = http(&scene, &log).args(["--digest", "-u", &device]).head();
    assert_eq!((head.status, head.value("content-length")), (200, Some("7")), "{head:?}");
    // A password that is sent as it is proves nothing without TLS.
    assert_eq!(http(&scene, "sip.cfg").args(["--basic", "-u", "PlcmSpIp:old"]).run().status, 401);
    assert_eq!(scene.https("acme", "", "sip.cfg").args(["--basic", "-u", "md5only:only-md5"]).run().status, 200);
}

/// The Authorization that curl sent.
fn answer(reply: &Reply) -> String {
    let line = reply.stderr.lines().rev().find_map(|line| line.strip_prefix("> Authorization: "));
    line.unwrap_or_else(|| panic!("{}", reply.stderr)).trim().to_owned()
}

#[test]
fn an_answer_counts_once_for_its_target_on_its_listener() {
    let scene = scene();
    let served = http(&scene, "sip.cfg").args(["-v", "--digest", "-u", "PlcmSpIp:old"]).run();
    assert_eq!(served.status, 200);
    let used = answer(&served);
    let send = |url: String, answer: &str| Curl::new(url).header(&format!("Authorization: {answer}")).run();
    let here = |path: &str| scene.url("http", "acme", path);
    let second = format!("http://{}/sip.cfg", scene.server.address("acme", "second"));
    let again = used.replace("nc=00000001", "nc=00000002");
    let other_nonce = used.replace("nonce=\"", "nonce=\"A");
    for (what, url, answer, status, is_stale) in [
        ("again", here("sip.cfg"), &used, 401, true),
        ("on another listener", second, &used, 401, true),
        ("with another nonce", here("sip.cfg"), &other_nonce, 401, false),
        ("with another count", here("sip.cfg"), &again, 401, false),
        ("by another user", here("sip.cfg"), &used.replace("PlcmSpIp", "gone"), 401, false),
        ("for another target", here("000000000000.cfg"), &used, 400, false),
        ("for another query", here("sip.cfg?x"), &used, 400, false),
        ("to another tenant", scene.url("http", "globex", "sip.cfg"), &used, 401, false),
        (
            "for its own user's realm",
            scene.url("http", "globex", "sip.cfg"),
            &used.replace("acme", "globex"),
            401,
            false,
        ),
        ("without qop", here("sip.cfg"), &used.replace("qop=auth,", ""), 401, false),
        ("cut short", here("sip.cfg"), &used.replace("response=\"", "response=\"0"), 401, false),
    ] {
        let reply = send(url, answer);
        assert_eq!(reply.status, status, "{what}: {answer} {reply:?}");
        let stale = challenges(&reply).iter().filter(|offered| offered.ends_with(", stale=true")).count();
        assert_eq!(stale, if is_stale { 2 } else { 0 }, "{what}: {reply:?}");
    }
    // Another method than the one that it was computed for.
    let put = Curl::new(here("sip.cfg")).header(&format!("Authorization: {used}")).upload(b"x").run();
    assert!(put.status == 403 || put.status == 401, "{put:?}");
    let written = scene.server.records(&[("method", "PUT")], 1).pop().unwrap().to_string();
    assert!(!written.contains("response") && !written.contains("nonce"), "{written}");
}

#[test]
fn a_certificate_and_a_password_of_one_device_together() {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    deployment.write("devices.csv", format!("mac,password\n{POLY},own\n{NEIGHBOUR},other\n"));
    let both = "require = [\"certificate+password\"]\n";
    let users = "[[users]]\nname = \"PlcmSpIp\"\npassword = \"old\"";
    deployment.add(&scene::acme().devices("file = \"../devices.csv\"").https(both).table(users));
    let scene = Scene::start(deployment);
    let own = format!("{POLY}.cfg");
    for (certificate, login, status) in [
        (POLY, format!("{POLY}:own"), 200),
        (POLY, "PlcmSpIp:old".to_owned(), 200),
        (POLY, format!("{NEIGHBOUR}:other"), 403),
        (POLY, format!("{POLY}:wrong"), 401),
        (POLY, String::new(), 401),
    ] {
        for how in ["--digest", "--basic"] {
            let curl = scene.https("acme", certificate, &own);
            let reply = if login.is_empty() { curl.run() } else { curl.args([how, "-u", &login]).run() };
            assert_eq!(reply.status, status, "{how} {login}: {reply:?}");
        }
    }
    assert_eq!(scene.https("acme", FOREIGN, &own).args(["--digest", "-u", &format!("{POLY}:own")]).run().status, 403);
}
