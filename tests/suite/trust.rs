//! `provost trust`: what a certificate needs and would prove, told without a server.

use std::process::Command;

use crate::harness::clients::{run, text};
use crate::harness::deployment::Deployment;
use crate::harness::old_authority::{MODERN, MODERN_CA, Make, OldAuthority};
use crate::harness::scene::{self, POLY};
use crate::harness::server::BINARY;

/// As the first Grandstreams.
const OLD: Make = Make { key: "rsa:1024", digest: "-sha1", extensions: "" };

fn trust(arguments: &[&str]) -> String {
    run(BINARY, &[&["trust"][..], arguments].concat()).succeeded().stdout
}

/// The lines of a label, in order.
fn lines<'a>(said: &'a str, label: &str) -> Vec<&'a str> {
    said.lines().filter_map(|line| Some(line.trim_start().strip_prefix(label)?.trim_start())).collect()
}

#[test]
fn a_certificate_shows_what_it_needs_and_where_its_mac_stands() {
    let deployment = Deployment::new();
    let modern = OldAuthority::new("Modern", MODERN_CA);
    let server = Make { extensions: "extendedKeyUsage=serverAuth", ..MODERN };
    let grandstream = OldAuthority::new("VPN", Make { digest: "-md5", ..OLD });
    let weak = modern.intermediate("Weak", Make { digest: "-sha1", ..MODERN_CA });
    for (name, pem, needs, proves) in [
        (
            "poly",
            deployment.poly.common_name("0004F2AABBCC").certificate,
            vec![],
            "0004f2aabbcc, with mac = { attribute = \"CN\"",
        ),
        (
            "cisco",
            deployment.cisco.cisco("708105b37234").certificate,
            vec![],
            "708105b37234, with mac = { attribute = \"ST\"",
        ),
        ("old", deployment.poly.expired("0004F2AABBCC").certificate, vec!["legacy = [\"expired\"]"], "0004f2aabbcc"),
        ("server", modern.leaf("/CN=000B82AABBCC", server).certificate, vec!["legacy = [\"any-eku\"]"], "000b82aabbcc"),
        (
            "grandstream",
            grandstream.leaf("/CN=000B82AABBCC", OLD).certificate,
            vec!["legacy = [\"sha1\", \"rsa1024\", \"x509v1\"]"],
            "000b82aabbcc",
        ),
        (
            "md5",
            modern.leaf("/CN=000B82AABBCC", Make { digest: "-md5", ..MODERN }).certificate,
            vec!["more than any option gives: a signature with MD5 is never believed"],
            "000b82aabbcc",
        ),
        ("generic", deployment.cisco.generic().certificate, vec![], "no device in the usual places:"),
        ("vpn", grandstream.pem().to_owned(), vec!["legacy = [\"rsa1024\", \"x509v1\"] as an anchor"], ""),
        ("weak", weak.pem().to_owned(), vec!["legacy = [\"sha1\"] inside a chain that a phone sends"], ""),
    ] {
        deployment.write(&format!("{name}.pem"), pem);
        let said = trust(&["show", &text(&deployment.path(&format!("{name}.pem")))]);
        assert_eq!(lines(&said, "needs"), needs, "{name}: {said}");
        let found = lines(&said, "proves").first().copied().unwrap_or_default();
        assert!(found.starts_with(proves), "{name}: {said}");
        assert_eq!(
            lines(&said, "valid").iter().any(|line| line.ends_with(", expired")),
            name == "old",
            "{name}: {said}"
        );
    }
    let said = trust(&["show", &text(&deployment.path("generic.pem"))]);
    assert!(said.contains("ST, pattern ^([0-9A-Fa-f]{12})$ (Cisco SPA, MPP and ATA): the subject has no ST"), "{said}");
}

#[test]
fn the_sets_of_a_configuration_say_what_they_make_of_a_chain() {
    let deployment = Deployment::new();
    let root = OldAuthority::new("Root", MODERN_CA);
    let weak = root.intermediate("Weak", Make { digest: "-sha1", ..MODERN_CA });
    let leaf = weak.leaf("/CN=000B82AABBCC", MODERN);
    deployment.write("trust/root.pem", root.pem());
    let settings = std::fs::read_to_string(deployment.config()).unwrap();
    let set = |name: &str, more: &str| {
        format!(
            "[trust.{name}]\nanchors = [\"trust/root.pem\"]\n{more}\nmac = {{ attribute = \"CN\", pattern = \"^([0-9A-F]{{12}})$\" }}\n"
        )
    };
    let sets = [
        set("strict", "ouis = [\"00:0b:82\"]"),
        set("tolerant", "ouis = [\"00:0b:82\"]\nlegacy = [\"sha1\"]"),
        set("foreign", "ouis = [\"00:04:f2\"]\nlegacy = [\"sha1\"]"),
        // A set with an error hides no other one.
        set("broken", "ouis = []"),
    ];
    deployment.write("provost.toml", settings + &sets.concat());
    deployment.write("chain.pem", format!("{}{}", leaf.certificate, weak.pem()));
    deployment.write("leaf.pem", &leaf.certificate);
    let show = |file: &str| trust(&["show", "--config", &text(&deployment.config()), &text(&deployment.path(file))]);
    let said = show("chain.pem");
    for expected in [
        "000b82aabbcc, by trust set tolerant",
        "no device, by trust set strict: the certificate does not verify: trust set strict: its chain is signed with an algorithm or a key \
         that is not supported (legacy = [\"sha1\"] would tolerate it)",
        "no device, by trust set foreign: the certificate authority may not speak for 00:0b:82",
        "no device, by trust set poly: the certificate does not verify: its issuer `CN=Weak` leads to no anchor of poly",
    ] {
        assert!(lines(&said, "proves").contains(&expected), "{expected}: {said}");
    }
    assert!(said.contains("trust.broken.ouis") && !said.contains("by trust set broken"), "{said}");
    assert!(said.contains("all of it together needs legacy = [\"sha1\"]"), "{said}");
    let alone = show("leaf.pem");
    assert!(
        alone.contains("by trust set tolerant: the certificate does not verify: its issuer `CN=Weak` leads to"),
        "{alone}"
    );
}

#[test]
fn a_pack_that_is_imported_says_what_the_set_needs() {
    let deployment = Deployment::new();
    let ca = OldAuthority::new("VPN", Make { digest: "-md5", ..OLD });
    deployment.write("pack/vpn.pem", ca.pem());
    deployment.write("pack/phone.pem", ca.leaf("/CN=000B82AABBCC", OLD).certificate);
    deployment.write("pack/poly.pem", deployment.poly.pem());
    deployment.write("pack/device.pem", deployment.poly.common_name(POLY).certificate);
    let [pack, into] = ["pack", "trust/imported"].map(|name| text(&deployment.path(name)));
    let said = trust(&["import", &pack, "--into", &into]);
    assert!(said.contains("which needs legacy = [\"rsa1024\", \"x509v1\"]"), "{said}");
    assert!(said.contains("such phones need legacy = [\"sha1\", \"rsa1024\", \"x509v1\"]"), "{said}");
    assert!(said.contains("The set needs legacy = [\"sha1\", \"rsa1024\", \"x509v1\"], and ouis"), "{said}");
    assert!(said.contains(&format!("anchors = [\"{into}/anchors/*.pem\"]")), "{said}");
    // What it says is enough, and less is not.
    let anchors = "anchors = [\"trust/imported/anchors/*.pem\"]\n";
    deployment.replace("provost.toml", "anchors = [\"trust/poly.pem\"]\n", anchors);
    deployment.add(&scene::acme());
    let check = || run(BINARY, &["check", "--config", &text(&deployment.config())]);
    assert!(check().stdout.contains("`CN=VPN` needs legacy = [\"rsa1024\", \"x509v1\"]"), "{}", check().stdout);
    let enough = format!("{anchors}ouis = [\"00:0b:82\"]\nlegacy = [\"sha1\", \"rsa1024\", \"x509v1\"]\n");
    deployment.replace("provost.toml", anchors, &enough);
    assert_eq!(check().code, 0, "{}", check().stdout);
}

#[test]
fn the_folder_to_name_is_told_in_full_and_only_where_something_is_in_it() {
    let deployment = Deployment::new();
    let root = OldAuthority::new("Root", MODERN_CA);
    deployment.write("pack/issuing.pem", root.intermediate("Issuing", MODERN_CA).pem());
    deployment.write("empty/readme.txt", "hello");
    let import = |pack: &str| {
        let mut command = Command::new(BINARY);
        let folder = deployment.config().parent().unwrap().to_owned();
        command.current_dir(folder).args(["trust", "import", pack, "--into", "trust/new"]).output().unwrap()
    };
    let said = String::from_utf8(import("pack").stdout).unwrap();
    let folder = text(&deployment.path("trust/new"));
    assert!(
        said.contains(&format!(
            "None issued itself. To believe them all the same:  anchors = [\"{folder}/intermediates/*.pem\"]"
        )),
        "{said}"
    );
    let nothing = import("empty");
    assert_eq!(nothing.status.code(), Some(1));
    let said = String::from_utf8(nothing.stdout).unwrap();
    assert!(said.contains("readme.txt") && !said.contains("Name the folder"), "{said}");
    let error = String::from_utf8(nothing.stderr).unwrap();
    assert!(error.contains("no certificate of an authority was found in empty"), "{error}");
}
