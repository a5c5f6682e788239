//! Certificates that were revoked, and whether phones are told whose certificates are believed.

use crate::harness::clients::run;
use crate::harness::deployment::{Deployment, TLS};
use crate::harness::scene::{self, NEIGHBOUR, POLY, Scene};

#[test]
fn a_revoked_certificate_proves_nothing() {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    deployment.replace(
        "provost.toml",
        "anchors = [\"trust/poly.pem\"]",
        "anchors = [\"trust/poly.pem\"]\ncrls = [\"trust/*.crl\"]",
    );
    deployment.write("trust/poly.crl", deployment.poly.revokes(&[4711]));
    deployment.certificate("revoked", &deployment.poly.numbered(POLY, 4711));
    deployment.certificate("valid", &deployment.poly.numbered(POLY, 4712));
    let require = "require = [\"certificate\", \"password\"]\n";
    let open = format!("{TLS}{require}[[listener.exception]]\nouis = [\"00:22:ee\"]\nrequire = [\"address\"]\n");
    let users = "[[users]]\nname = \"shared\"\npassword = \"secret\"";
    deployment.add(&scene::acme().https("").listener_named("open", "https", &open).table(users));
    let scene = Scene::start(deployment);
    let own = format!("{POLY}.cfg");
    assert_eq!(scene.https("acme", "valid", &own).run().status, 200);
    let reply = scene.https("acme", "revoked", &own).run();
    assert_eq!(reply.status, 0, "{reply:?}");
    let record = scene.server.record(&[("outcome", "handshake")]);
    assert!(record["detail"].to_string().contains("revoked"), "{record}");
    // Where some pass without a certificate, one that was revoked counts as none.
    for path in [own.as_str(), "sip.cfg"] {
        let reply = scene.at("open", "revoked", path).run();
        assert_eq!(reply.status, 401, "{path}: {reply:?}");
    }
    let record = scene.server.record(&[("listener", "open"), ("reason", "require_not_met")]);
    assert!(record.to_string().contains("revoked"), "{record}");
    // What is served all the same has the reason in its record.
    let reply = scene.at("open", "revoked", "sip.cfg").args(["-u", "shared:secret"]).run();
    assert_eq!(reply.status, 200, "{reply:?}");
    let record = scene.server.record(&[("listener", "open"), ("outcome", "served")]);
    assert!(record["detail"].to_string().contains("it is revoked"), "{record}");
    let reply = scene.at("open", "revoked", &own).args(["-u", "shared:secret"]).run();
    assert_eq!(reply.status, 404, "{reply:?}");
    let record = scene.server.record(&[("listener", "open"), ("reason", "unbound_read")]);
    assert!(record["detail"].to_string().contains("it is revoked"), "{record}");
    // Its neighbours of the same CA are not touched by the list.
    assert_eq!(scene.https("acme", NEIGHBOUR, &format!("{NEIGHBOUR}.cfg")).run().status, 200);
}

#[test]
fn hints_name_the_authorities_unless_they_are_off() {
    let silent = format!("{TLS}hints = false\n");
    let scene = Scene::of(&[scene::acme().https("").listener_named("silent", "https", &silent)]);
    let [pem, key] = scene.deployment.pair(POLY);
    for version in ["-tls1_2", "-tls1_3"] {
        let shown = |listener: &str| {
            let target = scene.server.address("acme", listener).to_string();
            run("openssl", &["s_client", "-connect", &target, version, "-cert", &pem, "-key", &key]).stdout
        };
        let named = shown("https");
        assert!(named.contains("Polycom Test Root") && named.contains("Cisco Test Root"), "{version}: {named}");
        assert!(named.contains("Acceptable client certificate CA names"), "{version}: {named}");
        let unnamed = shown("silent");
        assert!(unnamed.contains("No client certificate CA names sent"), "{version}: {unnamed}");
    }
    let reply = scene.at("silent", POLY, &format!("{POLY}.cfg")).run();
    assert_eq!(reply.status, 200, "{reply:?}");
}
