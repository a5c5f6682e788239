//! Where a file is looked for: prefixes that are cut, upper and lower case, shared roots, and what comes first.

use crate::harness::clients::Curl;
use crate::harness::deployment::{Deployment, Tenant};
use crate::harness::scene::{self, FOREIGN, NEIGHBOUR, POLY, Scene};
use crate::harness::tftp_client::TftpClient;

fn scene(files: &str) -> Scene {
    Scene::of(&[scene::acme().files(files).https("").listener("tftp", "").listener("ftp", "")])
}

/// What https answers, which TFTP and FTP must agree with.
fn look(scene: &Scene, path: &str) -> u16 {
    let reply = scene.phone(path).run();
    let tftp = TftpClient::new(scene.server.address("acme", "tftp")).get(path, "octet", &[]);
    let ftp = Curl::new(scene.url("ftp", "acme", path)).args(["-u", "a:b"]).run();
    assert_eq!(tftp.is_ok(), reply.status == 200, "{path}: {reply:?}");
    assert_eq!(ftp.code == 0, reply.status == 200, "{path}: {ftp:?}");
    if let Ok(fetched) = tftp {
        assert!(fetched.content == reply.body && ftp.body == reply.body, "{path}");
    }
    reply.status
}

#[test]
fn case_is_ignored_where_the_tenant_says_so() {
    let paths = ["sip.cfg", "SIP.CFG", "Sub/Site.cfg", "SUB/site.CFG", "Y000000000028.CFG"];
    let own = [format!("{POLY}.CFG"), format!("{}.cfg", POLY.to_uppercase())];
    let found = |scene: &Scene| {
        paths.iter().copied().chain(own.iter().map(String::as_str)).map(|path| look(scene, path)).collect::<Vec<_>>()
    };
    assert_eq!(found(&scene("case = \"exact\"")), [200, 404, 404, 404, 404, 404, 200]);
    let folding = scene("case = \"ignore\"");
    assert_eq!(found(&folding), [200; 7]);
    // Whose a file is does not hang on its case.
    for path in [format!("{NEIGHBOUR}.CFG"), format!("{}.Cfg", NEIGHBOUR.to_uppercase())] {
        assert_eq!(folding.phone(&path).run().status, 403, "{path}");
    }
}

#[test]
fn a_stripped_prefix_is_cut_once_and_leads_nowhere_else() {
    let scene = scene("strip = [\"/tftpboot\", \"cfg/acme\"]");
    for (path, status) in [
        ("tftpboot/sip.cfg", 200),
        ("sip.cfg", 200),
        ("cfg/acme/sub/site.cfg", 200),
        (r"tftpboot\sip.cfg", 200),
        ("tftpboot/tftpboot/sip.cfg", 404),
        ("tftpbootsip.cfg", 404),
        ("cfg/sip.cfg", 404),
        (&format!("tftpboot/{POLY}.cfg"), 200),
    ] {
        assert_eq!(scene.phone(path).run().status, status, "{path}");
    }
    assert_eq!(look(&scene, "tftpboot/sub/site.cfg"), 200);
    assert_eq!(scene.phone(&format!("tftpboot/{NEIGHBOUR}.cfg")).run().status, 403);
    assert_eq!(scene.phone("tftpboot/../sip.cfg").run().status, 400);
    let log = scene.phone(&format!("tftpboot/{POLY}-app.log")).upload(b"x").run();
    assert_eq!(log.status, 201, "{log:?}");
    assert!(scene.deployment.upload("acme", &format!("{POLY}-app.log")).exists());
}

#[test]
fn shared_roots_come_after_the_tenants_own_and_in_their_order() {
    let files = "shared = [\"../one\", \"../two\"]";
    let tenant = |tenant: Tenant| tenant.files(files).https("");
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    for (name, content) in [
        ("one/sip.cfg", "one"),
        ("one/both.ld", "one"),
        ("two/both.ld", "two"),
        ("two/second.ld", "two"),
        (&format!("two/{POLY}-lic.cfg"), "two"),
    ] {
        deployment.write(name, content);
    }
    deployment.add(&tenant(scene::acme()));
    deployment.add(&tenant(scene::globex()));
    let scene = Scene::start(deployment);
    for (name, device) in [("acme", POLY), ("globex", FOREIGN)] {
        for (path, content) in
            [("sip.cfg", format!("{name} sip.cfg\n")), ("both.ld", "one".into()), ("second.ld", "two".into())]
        {
            assert_eq!(scene.https(name, device, path).run().text(), content, "{name} {path}");
        }
        // The tenant's own list takes the place of the one in `[defaults]`.
        assert_eq!(scene.https(name, device, "3111-44500-001.sip.ld").run().status, 404);
    }
    // A device's file is its own in a shared root, too.
    assert_eq!(scene.phone(&format!("{POLY}-lic.cfg")).run().text(), "two");
    assert_eq!(scene.https("acme", NEIGHBOUR, &format!("{POLY}-lic.cfg")).run().status, 403);
}

#[test]
fn a_rule_may_prefer_the_tenants_root_to_what_the_phone_sent() {
    let rule = |name: &str, prefer: &str| {
        format!(
            "[[rule]]\npath = \"{{mac}}-{name}.cfg\"\nkind = \"settings\"\nread = \"own\"\nwrite = \"own\"\nprefer = \"{prefer}\""
        )
    };
    let scene = Scene::of(&[scene::acme().https("").table(&rule("mine", "uploads")).table(&rule("yours", "root"))]);
    for name in ["mine", "yours"] {
        let path = format!("{POLY}-{name}.cfg");
        assert_eq!(scene.phone(&path).run().status, 404);
        assert_eq!(scene.phone(&path).upload(b"phone").run().status, 201);
        assert_eq!(scene.phone(&path).run().text(), "phone", "{name}");
    }
    // The tenant's root alone goes before; a shared one is for what nobody has.
    for (place, yours) in [("shared", "phone"), ("files/acme", "files/acme")] {
        for name in ["mine", "yours"] {
            scene.deployment.write(&format!("{place}/{POLY}-{name}.cfg"), place);
        }
        assert_eq!(scene.phone(&format!("{POLY}-mine.cfg")).run().text(), "phone");
        assert_eq!(scene.phone(&format!("{POLY}-yours.cfg")).run().text(), yours);
    }
}
