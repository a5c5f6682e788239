//! What the server shows of itself: certificates of several kinds, and OCSP responses, to OpenSSL.

use std::time::Instant;

use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};

use crate::harness::authority::Authority;
use crate::harness::clients::{Curl, run, text};
use crate::harness::deployment::Deployment;
use crate::harness::scene::{self, Scene};
use crate::harness::server::BINARY;
use crate::harness::{DEADLINE, until};

const RSA: &str = "Server public key is 2048 bit";
const ECDSA: &str = "Server public key is 256 bit";

/// A server that shows RSA first and ECDSA beside it, and asks for nothing but an address.
fn scene(first: &str, second: &str) -> Scene {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    deployment.stranger.server_with(&PKCS_RSA_SHA256).write(&deployment.path("tls"), "server");
    deployment.stranger.server_with(&PKCS_ECDSA_P256_SHA256).write(&deployment.path("tls"), "ecdsa");
    let more = "certificate = \"../tls/ecdsa.pem\", key = \"../tls/ecdsa.key\"";
    deployment.add(
        &scene::acme().https(&format!("require = [\"address\"]\n{first}more_certificates = [{{ {more}{second} }}]\n")),
    );
    Scene::start(deployment)
}

/// What OpenSSL says of a handshake.
fn s_client(scene: &Scene, options: &[&str]) -> String {
    let address = scene.server.address("acme", "https").to_string();
    let mut arguments = vec!["s_client", "-connect", &address, "-no_ign_eof"];
    arguments.extend(options);
    let run = run("openssl", &arguments);
    run.stdout + &run.stderr
}

#[test]
fn a_phone_gets_the_certificate_that_it_can_verify() {
    let scene = scene("", "");
    let tls12 = |suite: &'static str| vec!["-tls1_2", "-cipher", suite];
    for (options, shown) in [
        (vec!["-tls1_3"], RSA),
        (vec!["-tls1_2"], RSA),
        (vec!["-tls1_3", "-sigalgs", "ecdsa_secp256r1_sha256"], ECDSA),
        (vec!["-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256"], RSA),
        (vec!["-tls1_2", "-sigalgs", "ECDSA+SHA256"], ECDSA),
        (vec!["-tls1_2", "-sigalgs", "RSA+SHA256"], RSA),
        (tls12("ECDHE-ECDSA-AES128-GCM-SHA256"), ECDSA),
        (tls12("ECDHE-RSA-AES256-GCM-SHA384"), RSA),
        (tls12("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"), RSA),
    ] {
        let said = s_client(&scene, &options);
        assert!(said.contains(shown), "{options:?}: {said}");
    }
}

/// The ECDSA certificate that is shown.
fn ecdsa(scene: &Scene) -> String {
    let said = s_client(scene, &["-tls1_3", "-sigalgs", "ecdsa_secp256r1_sha256"]);
    let from = said.find("-----BEGIN CERTIFICATE-----").unwrap_or_else(|| panic!("{said}"));
    said[from..].split("-----END").next().map(str::to_owned).unwrap()
}

#[test]
fn a_certificate_that_is_not_valid_takes_the_place_of_no_valid_one() {
    let scene = scene("", "");
    let asked = |command: &str| run(BINARY, &[command, "--config", &text(&scene.deployment.config())]);
    let before = ecdsa(&scene);
    for (from, to, flaw) in [
        (2006, 2016, "expired at 2016-01-01T00:00:00Z, and the one that is served is valid"),
        (2100, 2101, "is not valid before 2100-01-01T00:00:00Z, and the one that is served is valid"),
    ] {
        scene.deployment.stranger.timed("provost", from, to).write(&scene.deployment.path("tls"), "ecdsa");
        until(flaw, || asked("status").stdout.contains(flaw));
        assert_eq!(ecdsa(&scene), before);
        let reloaded = asked("reload");
        assert!(reloaded.code == 1 && reloaded.stdout.contains(flaw), "{reloaded:?}");
        assert_eq!(ecdsa(&scene), before);
    }
    let next = scene.deployment.stranger.server_with(&PKCS_ECDSA_P256_SHA256);
    next.write(&scene.deployment.path("tls"), "ecdsa");
    until("the valid one", || ecdsa(&scene) != before);
    assert_eq!(asked("status").code, 0);
}

#[test]
fn a_certificate_that_has_ended_is_served_where_there_is_no_better_one_and_told_of() {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    deployment.replace("provost.toml", "[admin]\n", "[admin]\nmetrics = \"127.0.0.1:0\"\n");
    deployment.stranger.expired("provost").write(&deployment.path("tls"), "server");
    deployment.add(&scene::acme().https(""));
    let checked = run(BINARY, &["check", "--config", &text(&deployment.config())]);
    assert!(checked.code == 0 && checked.stdout.contains("the certificate expired at 2016-"), "{}", checked.stdout);
    let scene = Scene::start(deployment);
    scene.server.event("phones that check the certificate refuse this server");
    let status = run(BINARY, &["status", "--config", &text(&scene.deployment.config())]).stdout;
    let flaw = "tenant acme: listener https: certificate 1 expired at 2016-01-01T00:00:00Z";
    assert!(status.contains(flaw), "{status}");
    let metrics = scene.server.event("metrics")["address"].as_str().unwrap().to_owned();
    let told = Curl::new(format!("http://{metrics}/metrics")).run().text();
    assert!(told.contains("provost_invalid_certificates{tenant=\"acme\"} 1"), "{told}");
    // Another one that is no better is as good.
    scene.deployment.stranger.timed("provost", 2006, 2017).write(&scene.deployment.path("tls"), "server");
    until("the other one", || s_client(&scene, &[]).contains("NotAfter: Jan  1 00:00:00 2017"));
}

#[test]
fn a_further_pair_that_is_swapped_is_shown_once_both_halves_are_there() {
    let scene = scene("", "");
    let ecdsa = || ecdsa(&scene);
    let before = ecdsa();
    let next = scene.deployment.stranger.server_with(&PKCS_ECDSA_P256_SHA256);
    scene.deployment.write("tls/ecdsa.pem", &next.certificate);
    scene.server.event("a certificate, key or revocation list cannot be served: the former ones are");
    assert_eq!(ecdsa(), before);
    let status = run(BINARY, &["status", "--config", &text(&scene.deployment.config())]);
    assert_eq!(status.code, 1, "{}", status.stdout);
    assert!(status.stdout.contains("listener[0].more_certificates[0].key"), "{}", status.stdout);
    scene.deployment.write("tls/ecdsa.key", &next.key);
    until("the new certificate", || ecdsa() != before);
}

/// Has OpenSSL answer for a certificate of `tls/`, good for a day.
fn respond(deployment: &Deployment, authority: &Authority, name: &str, status: &str) {
    let path = |name: &str| text(&deployment.path(name));
    let shown = run("openssl", &["x509", "-noout", "-serial", "-in", &path(&format!("tls/{name}.pem"))]).succeeded();
    let serial = shown.stdout.trim().trim_start_matches("serial=").to_owned();
    let revoked = if status == "R" { "250101000000Z" } else { "" };
    deployment.write("ocsp/index.txt", format!("{status}\t491231235959Z\t{revoked}\t{serial}\tunknown\t/CN=provost\n"));
    deployment.write("ocsp/index.txt.attr", "unique_subject = no\n");
    deployment.write("ocsp/ca.key", authority.key());
    deployment.write("ocsp/ca.pem", authority.pem());
    let [index, ca, key, leaf, out] =
        ["ocsp/index.txt", "ocsp/ca.pem", "ocsp/ca.key", &format!("tls/{name}.pem"), &format!("ocsp/{name}.new")]
            .map(path);
    let issuer = ["ocsp", "-index", &index, "-CA", &ca, "-rsigner", &ca, "-rkey", &key, "-issuer", &ca];
    let wanted = ["-cert", &leaf, "-no_nonce", "-ndays", "1", "-noverify", "-respout", &out];
    run("openssl", &[&issuer[..], &wanted].concat()).succeeded();
    std::fs::rename(out, path(&format!("ocsp/{name}.der"))).unwrap();
}

/// Puts the end of a response before its beginning of today. The server leaves signatures to the phone.
fn end(deployment: &Deployment, name: &str) {
    let path = deployment.path(&format!("ocsp/{name}.der"));
    let mut der = std::fs::read(&path).unwrap();
    // producedAt, thisUpdate and nextUpdate, as GeneralizedTime of 15 characters.
    let times: Vec<usize> = der.windows(2).enumerate().filter(|(_, two)| *two == [24, 15]).map(|(at, _)| at).collect();
    let [_, _, next, ..] = times.as_slice() else { panic!("{times:?}") };
    der[next + 2..next + 17].copy_from_slice(b"20200101000000Z");
    std::fs::write(path, der).unwrap();
}

#[test]
fn an_ocsp_response_is_sent_as_long_as_it_counts_for_its_certificate() {
    const SENT: &str = "OCSP Response Status: successful";
    const NOT_SENT: &str = "OCSP response: no response sent";
    let scene = scene("ocsp = \"../ocsp/server.der\"\n", ", ocsp = \"../ocsp/ecdsa.der\"");
    let (deployment, stranger) = (&scene.deployment, &scene.deployment.stranger);
    let said = |algorithm: &str| s_client(&scene, &["-tls1_3", "-status", "-sigalgs", algorithm]);
    let (rsa, ecdsa) = (|| said("rsa_pss_rsae_sha256"), || said("ecdsa_secp256r1_sha256"));
    let warnings = || run(BINARY, &["status", "--config", &text(&deployment.config())]).succeeded().stdout;
    assert!(rsa().contains(NOT_SENT), "no file is there yet");
    assert!(warnings().contains("certificate 1 is sent without its OCSP response: cannot read"), "{}", warnings());

    respond(deployment, stranger, "server", "V");
    until("the response of the RSA certificate", || rsa().contains(SENT));
    assert!(rsa().contains("Cert Status: good"), "{}", rsa());
    assert!(s_client(&scene, &["-tls1_2", "-status"]).contains(SENT));
    assert!(ecdsa().contains(NOT_SENT));
    respond(deployment, stranger, "ecdsa", "V");
    until("the response of the ECDSA certificate", || ecdsa().contains(SENT));
    assert!(!warnings().contains("OCSP"), "{}", warnings());

    for (spoil, flaw) in [
        (Box::new(|| end(deployment, "server")) as Box<dyn Fn()>, "counted until 2020-01-01"),
        (Box::new(|| deployment.write("ocsp/server.der", "no DER")), "is no OCSP response in DER"),
        (Box::new(|| respond(deployment, stranger, "server", "R")), "says that the certificate is revoked"),
        (
            Box::new(|| drop(std::fs::copy(deployment.path("ocsp/ecdsa.der"), deployment.path("ocsp/server.der")))),
            "is for another certificate",
        ),
    ] {
        spoil();
        until(flaw, || rsa().contains(NOT_SENT));
        assert!(warnings().contains(flaw), "{flaw}: {}", warnings());
        respond(deployment, stranger, "server", "V");
        until("the response again", || rsa().contains(SENT));
    }
    scene.server.event("an OCSP response is of no use");
}

#[test]
fn a_new_ocsp_response_leaves_sessions_as_they_are() {
    let scene = scene("ocsp = \"../ocsp/server.der\"\n", "");
    respond(&scene.deployment, &scene.deployment.stranger, "server", "V");
    for version in ["-tls1_2", "-tls1_3"] {
        let session = text(&scene.deployment.path("session.pem"));
        let address = scene.server.address("acme", "https").to_string();
        // The session of TLS 1.3 comes behind the handshake, so something is asked.
        let script = "printf 'GET /sip.cfg HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n'";
        let connect =
            format!("{script} | timeout 60 openssl s_client -connect {address} {version} -ign_eof -sess_out {session}");
        run("sh", &["-c", &connect]).succeeded();
        end(&scene.deployment, "server");
        let mut said = String::new();
        let deadline = Instant::now() + DEADLINE;
        while !said.contains("OCSP response: no response sent") {
            assert!(Instant::now() < deadline, "{version}: {said}");
            said = s_client(&scene, &[version, "-status"]);
        }
        let resumed = s_client(&scene, &[version, "-sess_in", &session]);
        assert!(resumed.contains("Reused, "), "{resumed}");
        respond(&scene.deployment, &scene.deployment.stranger, "server", "V");
        until("the response again", || s_client(&scene, &[version, "-status"]).contains("Cert Status: good"));
    }
}
