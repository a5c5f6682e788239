//! What a trust set tolerates of old certificates: each option on and off, in handshakes of openssl.

use crate::harness::authority::Pair;
use crate::harness::clients::{run, run_with_input, text};
use crate::harness::deployment::{Deployment, Tenant};
use crate::harness::old_authority::{MODERN, MODERN_CA, Make, OldAuthority};
use crate::harness::scene::{self, Scene};
use crate::harness::server::BINARY;

/// A phone of the vendor that `ouis` names.
const PHONE: &str = "000b82aabbcc";
const SUBJECT: &str = "/CN=000B82AABBCC";

/// Trust sets of one CA that tolerate these, each with a listener of its name.
struct Sets {
    deployment: Deployment,
    tenant: Tenant,
}

impl Sets {
    fn new() -> Self {
        let deployment = Deployment::new();
        scene::write_files(&deployment);
        deployment.write(&format!("files/acme/{PHONE}.cfg"), "old\n");
        let tenant = Tenant::new("acme", &[PHONE]);
        Self { deployment, tenant }
    }

    fn set(mut self, name: &str, anchors: &str, legacy: &str, more: &str) -> Self {
        self.deployment.write(&format!("trust/{name}.pem"), anchors);
        let before = std::fs::read_to_string(self.deployment.config()).unwrap();
        let set = format!(
            "[trust.{name}]\nanchors = [\"trust/{name}.pem\"]\nouis = [\"00:0b:82\"]\nlegacy = [{legacy}]\n\
             mac = {{ attribute = \"CN\", pattern = \"^([0-9A-Fa-f]{{12}})$\" }}\n{more}"
        );
        self.deployment.write("provost.toml", before + &set);
        let lines = "certificate = \"../tls/server.pem\"\nkey = \"../tls/server.key\"\n";
        self.tenant = self.tenant.listener_named(name, "https", &format!("{lines}trust = [\"{name}\"]\n"));
        self
    }

    fn start(self, phones: &[(&str, &Pair)]) -> Scene {
        for (name, pair) in phones {
            self.deployment.certificate(name, pair);
        }
        self.deployment.add(&self.tenant);
        Scene::start(self.deployment)
    }
}

/// Asks for the phone's file as an old phone would, by TLS 1.2: openssl does not mind what is weak where it is told so, and
/// curl cannot be told before it reads the certificate. What the server answers; empty where the handshake fails.
fn ask(scene: &Scene, listener: &str, phone: &str) -> String {
    ask_by(scene, listener, phone, "-tls1_2")
}

fn ask_by(scene: &Scene, listener: &str, phone: &str, version: &str) -> String {
    let target = scene.server.address("acme", listener).to_string();
    let [pem, key] = scene.deployment.pair(phone);
    let weak = ["-cipher", "DEFAULT@SECLEVEL=0", version];
    let asked = ["s_client", "-quiet", "-connect", &target, "-cert", &pem, "-key", &key];
    let request = format!("GET /{PHONE}.cfg HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    run_with_input("openssl", &[&asked[..], &weak].concat(), request.as_bytes()).stdout
}

fn is_served(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nold\n")
}

/// Served with the options, and refused without one of them, which the record names.
#[track_caller]
fn needs(scene: &Scene, phone: &str, on: &str, off: &[(&str, &str)]) {
    let answer = ask(scene, on, phone);
    assert!(is_served(&answer), "{phone} at {on}: {answer:?}");
    scene.server.record(&[("listener", on), ("mac", PHONE), ("outcome", "served")]);
    for (listener, option) in off {
        assert_eq!(ask(scene, listener, phone), "", "{phone} at {listener}");
        let record = scene.server.record(&[("listener", listener), ("outcome", "handshake")]).to_string();
        assert!(record.contains(&format!("legacy = [\\\"{option}\\\"]")), "{phone} at {listener}: {record}");
    }
}

#[test]
fn sha1_is_believed_where_it_is_tolerated() {
    let ca = OldAuthority::new("Old", MODERN_CA);
    let leaf = ca.leaf(SUBJECT, Make { digest: "-sha1", ..MODERN });
    let elliptic = OldAuthority::new("Old EC", Make { key: "ec", ..MODERN_CA });
    let elliptic_leaf = elliptic.leaf(SUBJECT, Make { key: "ec", digest: "-sha1", ..MODERN });
    let both = format!("{}{}", ca.pem(), elliptic.pem());
    let scene = Sets::new()
        .set("on", &both, "\"sha1\"", "")
        .set("off", &both, "\"expired\", \"rsa1024\", \"x509v1\"", "")
        .set("off-too", &both, "\"any-eku\"", "")
        .start(&[("rsa", &leaf), ("ec", &elliptic_leaf)]);
    needs(&scene, "rsa", "on", &[("off", "sha1")]);
    needs(&scene, "ec", "on", &[("off-too", "sha1")]);
    // What signed the certificate says nothing of the handshake, and TLS 1.3 serves it as well.
    let answer = ask_by(&scene, "on", "rsa", "-tls1_3");
    assert!(is_served(&answer), "{answer:?}");
}

#[test]
fn keys_of_1024_bits_are_believed_where_they_are_tolerated_and_put_the_listener_on_tls_1_2() {
    let short = Make { key: "rsa:1024", ..MODERN };
    let modern_ca = OldAuthority::new("Modern", MODERN_CA);
    let short_ca = OldAuthority::new("Short", Make { key: "rsa:1024", ..MODERN_CA });
    let both = format!("{}{}", modern_ca.pem(), short_ca.pem());
    let leaf = modern_ca.leaf(SUBJECT, short);
    let of_short = short_ca.leaf(SUBJECT, short);
    let modern = short_ca.leaf(SUBJECT, MODERN);
    let sha512 = modern_ca.leaf(SUBJECT, Make { digest: "-sha512", ..MODERN });
    let sha384 = modern_ca.leaf(SUBJECT, Make { digest: "-sha384", ..MODERN });
    let scene = Sets::new()
        .set("on", &both, "\"rsa1024\"", "")
        .set("off", modern_ca.pem(), "\"sha1\", \"x509v1\", \"expired\", \"any-eku\"", "")
        .start(&[
            ("short", &leaf),
            ("of-short", &of_short),
            ("modern", &modern),
            ("sha512", &sha512),
            ("sha384", &sha384),
        ]);
    needs(&scene, "short", "on", &[("off", "rsa1024")]);
    needs(&scene, "of-short", "on", &[]);
    // Keys of today are verified by the same set, with every hash.
    for phone in ["modern", "sha512", "sha384"] {
        needs(&scene, phone, "on", &[]);
    }
    let version = |listener: &str| {
        let target = scene.server.address("acme", listener).to_string();
        let [pem, key] = scene.deployment.pair("modern");
        run("openssl", &["s_client", "-connect", &target, "-cert", &pem, "-key", &key]).stdout
    };
    assert!(version("on").contains("TLSv1.2"), "{}", version("on"));
    assert!(version("off").contains("TLSv1.3"), "{}", version("off"));
    assert_eq!(ask_by(&scene, "on", "modern", "-tls1_3"), "");
    let record = scene.server.record(&[("listener", "on"), ("reason", "tls_version")]).to_string();
    assert!(record.contains("offers no TLS 1.2") && record.contains("tolerates rsa1024"), "{record}");
    let checked = run(BINARY, &["check", "--config", &text(&scene.deployment.config())]);
    assert!(checked.stdout.contains("warning: listener[0].trust"), "{}", checked.stdout);
    assert!(checked.stdout.contains("TLS 1.2") && !checked.stdout.contains("listener[1].trust"), "{}", checked.stdout);
}

#[test]
fn a_handshake_that_fails_for_a_short_key_says_so_where_a_password_would_do() {
    let ca = OldAuthority::new("Modern", MODERN_CA);
    let short = ca.leaf(SUBJECT, Make { key: "rsa:1024", ..MODERN });
    let mut sets = Sets::new().set("modern", ca.pem(), "", "");
    let either = "certificate = \"../tls/server.pem\"\nkey = \"../tls/server.key\"\ntrust = [\"modern\"]\n\
                  [[listener.exception]]\nouis = [\"00:22:ee\"]\nrequire = [\"address\"]\n";
    sets.tenant = sets.tenant.listener_named("either", "https", either);
    let scene = sets.start(&[("short", &short)]);
    assert_eq!(ask_by(&scene, "either", "short", "-tls1_3"), "");
    let record = scene.server.record(&[("listener", "either"), ("outcome", "handshake")]).to_string();
    assert!(record.contains("less than 2048 bits") && record.contains("rsa1024"), "{record}");
}

#[test]
fn leaves_of_version_1_are_believed_where_they_are_tolerated() {
    let version_1 = Make { extensions: "", ..MODERN };
    let ca = OldAuthority::new("Modern", MODERN_CA);
    let leaf = ca.leaf(SUBJECT, version_1);
    // A phone of version 1 vouches for nobody, though nothing in its certificate forbids it.
    let vouched = ca.intermediate("000b82000001", version_1).leaf(SUBJECT, version_1);
    let forged = OldAuthority::new("Modern", MODERN_CA).leaf(SUBJECT, version_1);
    let revoked = ca.numbered(SUBJECT, version_1, "100");
    let scene = Sets::new().set("on", ca.pem(), "\"x509v1\"", "crls = [\"trust/on.crl\"]\n").set(
        "off",
        ca.pem(),
        "\"sha1\", \"rsa1024\", \"expired\", \"any-eku\"",
        "",
    );
    scene.deployment.write("trust/on.crl", ca.crl("64", "sha256", "authorityKeyIdentifier=keyid"));
    let scene = scene.start(&[("phone", &leaf), ("vouched", &vouched), ("forged", &forged), ("revoked", &revoked)]);
    needs(&scene, "phone", "on", &[("off", "x509v1")]);
    let answer = ask_by(&scene, "on", "phone", "-tls1_3");
    assert!(is_served(&answer), "{answer:?}");
    for (phone, why) in
        [("vouched", "leads to no anchor"), ("forged", "a signature in its chain is wrong"), ("revoked", "is revoked")]
    {
        let records = |count| scene.server.records(&[("listener", "on"), ("outcome", "handshake")], count);
        let before = records(0).len();
        assert_eq!(ask(&scene, "on", phone), "", "{phone}");
        let records = records(before + 1);
        assert!(records.last().is_some_and(|record| record.to_string().contains(why)), "{phone}: {records:?}");
    }
}

#[test]
fn a_grandstream_of_the_first_generation_is_served_with_three_options() {
    // Its CA: RSA-1024, signed by itself with MD5, of version 1; its leaves the same with SHA-1.
    let old = Make { key: "rsa:1024", digest: "-md5", extensions: "" };
    let ca = OldAuthority::new("VPN", old);
    let leaf = ca.leaf(SUBJECT, Make { digest: "-sha1", ..old });
    let md5 = ca.leaf(SUBJECT, old);
    let nameless = ca.leaf("/CN=Grandstream", Make { digest: "-sha1", ..old });
    let foreign = ca.leaf("/CN=0004F2AABBCC", Make { digest: "-sha1", ..old });
    let scene = Sets::new()
        .set("on", ca.pem(), "\"sha1\", \"rsa1024\", \"x509v1\"", "")
        .set("off", ca.pem(), "\"rsa1024\", \"x509v1\"", "")
        .start(&[("phone", &leaf), ("md5", &md5), ("nameless", &nameless), ("foreign", &foreign)]);
    needs(&scene, "phone", "on", &[("off", "sha1")]);
    assert_eq!(ask(&scene, "on", "md5"), "");
    for (phone, why) in [("nameless", "names no MAC"), ("foreign", "may not speak for 00:04:f2")] {
        let records = |count| scene.server.records(&[("listener", "on"), ("outcome", "denied")], count);
        let before = records(0).len();
        let answer = ask(&scene, "on", phone);
        assert!(answer.starts_with("HTTP/1.1 403 "), "{phone}: {answer:?}");
        let records = records(before + 1);
        assert!(records.last().is_some_and(|record| record.to_string().contains(why)), "{phone}: {records:?}");
    }
    // Without an option that its own CA needs, the set is not even loaded.
    for (without, legacy) in [("rsa1024", "\"sha1\", \"x509v1\""), ("x509v1", "\"sha1\", \"rsa1024\"")] {
        let sets = Sets::new().set("on", ca.pem(), legacy, "");
        sets.deployment.add(&sets.tenant);
        let checked = run(BINARY, &["check", "--config", &text(&sets.deployment.config())]);
        assert_eq!(checked.code, 1, "{}", checked.stdout);
        assert!(checked.stdout.contains(&format!("`CN=VPN` needs legacy = [\"{without}\"]")), "{}", checked.stdout);
    }
}

#[test]
fn expired_leaves_and_those_for_other_purposes_are_believed_where_they_are_tolerated() {
    let server = Make { extensions: "basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth", ..MODERN };
    let ca = OldAuthority::new("Modern", MODERN_CA);
    let purpose = ca.leaf(SUBJECT, server);
    let scene = Sets::new();
    let poly = scene.deployment.poly.pem().to_owned();
    let both = format!("{poly}{}", ca.pem());
    let expired = scene.deployment.poly.expired(&PHONE.to_uppercase());
    let scene = scene
        .set("expired", &both, "\"expired\"", "")
        .set("any-eku", &both, "\"any-eku\"", "")
        .start(&[("old", &expired), ("server", &purpose)]);
    needs(&scene, "old", "expired", &[("any-eku", "expired")]);
    needs(&scene, "server", "any-eku", &[("expired", "any-eku")]);
    // Twice at once: the second is told from what was found out about the first.
    needs(&scene, "old", "expired", &[]);
}
