//! Two tenants in one process, crossed in every pair: each one's certificate, files and devices against the other's
//! listeners.

use crate::harness::clients::Curl;
use crate::harness::deployment::Tenant;
use crate::harness::scene::{self, FOREIGN, POLY, Scene};
use crate::harness::tftp_client::{Packet, TftpClient};

fn scene() -> Scene {
    let user = |password: &str| format!("[[users]]\nname = \"PlcmSpIp\"\npassword = \"{password}\"");
    let listeners = |tenant: Tenant, password: &str| {
        let ftp = "require = [\"password\"]\n";
        tenant.https("").listener("http", "").listener("tftp", "").listener("ftp", ftp).table(&user(password))
    };
    Scene::of(&[listeners(scene::acme(), "acme-secret"), listeners(scene::globex(), "globex-secret")])
}

#[test]
fn a_certificate_opens_nothing_at_another_tenant() {
    let scene = scene();
    for (tenant, device, status) in
        [("acme", POLY, 200), ("globex", FOREIGN, 200), ("acme", FOREIGN, 403), ("globex", POLY, 403)]
    {
        // Globex's root has a file of acme's phone, too: a trap that its listing must hold.
        for path in [format!("{device}.cfg"), "sip.cfg".into()] {
            let reply = scene.https(tenant, device, &path).run();
            assert_eq!(reply.status, status, "{tenant} {device} {path}: {reply:?}");
            assert_eq!(reply.text().starts_with(tenant), status == 200, "{tenant} {device} {path}");
        }
        let uploaded = scene.https(tenant, device, &format!("{device}-web.cfg")).upload(b"x").run();
        assert_eq!(uploaded.status, if status == 200 { 201 } else { 403 }, "{tenant} {device}");
    }
    assert!(!scene.deployment.upload("globex", &format!("{POLY}-web.cfg")).exists());
    assert!(!scene.deployment.upload("acme", &format!("{FOREIGN}-web.cfg")).exists());
}

#[test]
fn the_same_path_is_another_file_at_each_tenant() {
    let scene = scene();
    for (tenant, device) in [("acme", POLY), ("globex", FOREIGN)] {
        for path in ["sip.cfg", "000000000000.cfg", "sub/site.cfg", "y000000000028.cfg"] {
            let expected = format!("{tenant} {path}\n");
            assert_eq!(scene.https(tenant, device, path).run().text(), expected);
            assert_eq!(Curl::new(scene.url("http", tenant, path)).run().text(), expected);
            let tftp = TftpClient::new(scene.server.address(tenant, "tftp"));
            assert_eq!(tftp.get(path, "octet", &[]).unwrap().content, expected.as_bytes());
            let login = format!("PlcmSpIp:{tenant}-secret");
            assert_eq!(Curl::new(scene.url("ftp", tenant, path)).args(["-u", &login]).run().text(), expected);
        }
    }
}

#[test]
fn a_device_is_unknown_to_the_other_tenants_plain_listeners() {
    let scene = scene();
    for (tenant, device, known) in
        [("acme", POLY, true), ("globex", FOREIGN, true), ("acme", FOREIGN, false), ("globex", POLY, false)]
    {
        let path = format!("{device}.cfg");
        let http = Curl::new(scene.url("http", tenant, &path)).run();
        assert_eq!(http.status, if known { 200 } else { 404 }, "http {tenant} {device}: {http:?}");
        let tftp = TftpClient::new(scene.server.address(tenant, "tftp")).get(&path, "octet", &[]);
        match tftp {
            Ok(fetched) => assert!(known && fetched.content.starts_with(tenant.as_bytes()), "tftp {tenant} {device}"),
            Err(packet) => {
                assert!(!known && matches!(packet, Packet::Error(1, _)), "tftp {tenant} {device}: {packet:?}");
            }
        }
        let login = format!("PlcmSpIp:{tenant}-secret");
        let ftp = Curl::new(scene.url("ftp", tenant, &path)).args(["-u", &login]).run();
        assert_eq!(ftp.code == 0, known, "ftp {tenant} {device}: {ftp:?}");
    }
}

#[test]
fn a_password_opens_nothing_at_another_tenant() {
    let scene = scene();
    for (tenant, password, opens) in [
        ("acme", "acme-secret", true),
        ("globex", "globex-secret", true),
        ("acme", "globex-secret", false),
        ("globex", "acme-secret", false),
    ] {
        let login = format!("PlcmSpIp:{password}");
        let reply = Curl::new(scene.url("ftp", tenant, "sip.cfg")).args(["-u", &login]).run();
        // 67: the login was denied.
        assert_eq!(reply.code, if opens { 0 } else { 67 }, "{tenant} {password}: {reply:?}");
    }
}

#[test]
fn uploads_of_one_name_stay_apart() {
    let shared = "0004f2c0ffee";
    let tenant = |name: &str| Tenant::new(name, &[shared]).https("").listener("tftp", "");
    let scene = Scene::of(&[tenant("acme"), tenant("globex")]);
    scene.deployment.certificate(shared, &scene.deployment.poly.common_name(shared));
    let log = format!("{shared}-app.log");
    for name in ["acme", "globex"] {
        let reply = scene.https(name, shared, &log).upload(name.as_bytes()).run();
        assert_eq!(reply.status, 201, "{reply:?}");
    }
    for name in ["acme", "globex"] {
        assert_eq!(scene.https(name, shared, &log).run().text(), name);
        let record = scene.server.record(&[("tenant", name), ("method", "PUT")]);
        assert_eq!(record["mac"], shared);
    }
}
