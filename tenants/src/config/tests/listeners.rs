//! Every form of a listener that is refused, and what is warned of.

use provost_core::Protocol;
use provost_core::policy::{Unbound, UnboundWrite};

use super::{HTTPS, Site};

const TFTP: &str = "[[listener]]\nprotocol = \"tftp\"\naddress = \"127.0.0.1:0\"\n";
const FTP: &str = "[[listener]]\nprotocol = \"ftp\"\naddress = \"127.0.0.1:0\"\n";
const HTTP: &str = "[[listener]]\nprotocol = \"http\"\naddress = \"127.0.0.1:0\"\n";
const TRUST: &str =
    "[trust.poly]\nanchors = [\"trust/ca.pem\"]\nmac = { attribute = \"CN\", pattern = \"^([0-9A-F]{12})$\" }\n";

fn site() -> Site {
    let site = Site::new();
    site.write("provost.toml", &format!("state = \"state\"\n{TRUST}"));
    site
}

#[test]
#[expect(clippy::too_many_lines, reason = "one row a form")]
fn each_bad_form_of_a_plain_listener_is_refused() {
    let site = site();
    for (more, expected) in [
        (
            "[[listener]]\naddress = \"127.0.0.1:0\"\npassive_ports = \"1-2\"\n".to_owned(),
            "5: listener[0].protocol: is missing: expected `https`, `http`, `tftp` or `ftp`",
        ),
        (
            "[[listener]]\nprotocol = \"sftp\"\naddress = \"127.0.0.1:0\"\n".to_owned(),
            "6: listener[0].protocol = \"sftp\": expected `https` or `http` or `tftp` or `ftp`",
        ),
        (
            "[[listener]]\nprotocol = \"tftp\"\n".to_owned(),
            "5: listener[0].address: is missing: expected an address with a port, such as \"10.0.0.1:443\"",
        ),
        (
            "[[listener]]\nprotocol = \"tftp\"\naddress = \"[fe80::1]:69\"\n".to_owned(),
            "7: listener[0].address = \"[fe80::1]:69\": a link-local address is of one link: expected its number (`ip link`) behind it, such as \"[fe80::1%2]:69\", or an `interface` as the tenant's network",
        ),
        (
            "network.interface = \"lo\"\n[[listener]]\nprotocol = \"tftp\"\naddress = \"[fe80::1%2]:69\"\n".to_owned(),
            "8: listener[0].address = \"[fe80::1%2]:69\": the tenant's network says the link, lo: expected no `%2`",
        ),
        (format!("{TFTP}name = \"T\"\n"), "8: listener[0].name = \"T\": expected 1 to 63 of a-z, 0-9 and -"),
        (
            format!("{TFTP}{TFTP}"),
            "9: listener[1].protocol = \"tftp\": another listener of this tenant is named `tftp`: expected a `name` of its own",
        ),
        (
            format!("{TFTP}allow = []\n"),
            "8: listener[0].allow: an empty list lets nobody in: expected prefixes, such as [\"10.0.0.0/8\"]",
        ),
        (
            format!("{TFTP}transfer_ports = \"69-70\"\n"),
            "8: listener[0].transfer_ports = \"69-70\": expected a range of ports from 1024, such as \"40000-40999\", or \"listening\"",
        ),
        (
            format!("{TFTP}transfer_ports = \"listen\"\n"),
            "8: listener[0].transfer_ports = \"listen\": expected a range of ports from 1024, such as \"40000-40999\", or \"listening\"",
        ),
        (
            format!("{TFTP}transfer_ports = 69\n"),
            "8: listener[0].transfer_ports = 69: expected a range of ports from 1024, such as \"40000-40999\", or \"listening\"",
        ),
        (format!("{HTTP}transfer_ports = \"2000-2001\"\n"), "8: listener[0].transfer_ports: is of tftp listeners only"),
        (format!("{TFTP}rollover = 2\n"), "8: listener[0].rollover = 2: expected a whole number from 0 to 1"),
        (format!("{FTP}rollover = 1\n"), "8: listener[0].rollover: is of tftp listeners only"),
        (
            format!("{HTTP}bogus = 1\n"),
            "8: listener[0].bogus: unknown key, expected one of protocol, name, address, enabled, require, exception, allow, unbound, unbound_write, more_certificates, key, certificate, ocsp, server_names, trust, hints, default, proxy, passive_ports, passive_address, tls, transfer_ports, rollover",
        ),
        (
            format!("{TFTP}require = []\n"),
            "8: listener[0].require: an empty list lets nobody in: expected proofs, such as [\"certificate\"]",
        ),
        (
            format!("{TFTP}require = \"address\"\n"),
            "8: listener[0].require = \"address\": expected a list, such as [\"…\"]",
        ),
        (
            format!("{TFTP}require = [\"certificate\"]\n"),
            "8: listener[0].require[0] = \"certificate\": no certificate on tftp: only https has them, and ftp with TLS",
        ),
        (
            format!("{TFTP}require = [\"password\"]\n"),
            "8: listener[0].require[0] = \"password\": tftp has no passwords",
        ),
        (
            format!("{HTTP}require = [\"certificate\"]\n"),
            "8: listener[0].require[0] = \"certificate\": no certificate on http: only https has them, and ftp with TLS",
        ),
        (
            format!("{FTP}require = [\"link\"]\n"),
            "8: listener[0].require[0] = \"link\": no links on ftp: they are part of URLs, which only https and http have",
        ),
        (
            format!("{FTP}require = [\"pasword\"]\n"),
            "8: listener[0].require[0] = \"pasword\": expected `address`, `certificate`, `password` or `link`, or several joined by `+`",
        ),
        (
            format!("{FTP}require = [\"password+password\"]\n"),
            "8: listener[0].require[0] = \"password+password\": names a proof twice",
        ),
        (
            format!("{FTP}require = [\"address\", \"password\"]\n"),
            "8: listener[0].require[1] = \"password\": is idle: whatever meets it meets `address`, too",
        ),
        (
            format!("{FTP}require = [\"password\", \"password\"]\n"),
            "8: listener[0].require[1] = \"password\": is idle: whatever meets it meets `password`, too",
        ),
        (format!("{TFTP}unbound = \"any\"\n"), "8: listener[0].unbound = \"any\": expected `refuse` or `listed`"),
        (
            format!("{TFTP}unbound_write = \"any\"\n"),
            "8: listener[0].unbound_write = \"any\": expected `nobody` or `logs` or `listed`",
        ),
        (format!("{TFTP}certificate = \"x\"\n"), "8: listener[0].certificate: is of https and ftp listeners only"),
        (format!("{TFTP}trust = [\"poly\"]\n"), "8: listener[0].trust: is of https and ftp listeners only"),
        (format!("{TFTP}passive_ports = \"30000-30999\"\n"), "8: listener[0].passive_ports: is of ftp listeners only"),
        (
            format!("{FTP}passive_ports = \"30999-30000\"\n"),
            "8: listener[0].passive_ports = \"30999-30000\": expected a range of ports from 1024, such as \"30000-30999\"",
        ),
        (
            format!("{FTP}passive_ports = \"20-30\"\n"),
            "8: listener[0].passive_ports = \"20-30\": expected a range of ports from 1024, such as \"30000-30999\"",
        ),
        (
            format!("{FTP}passive_address = \"nat\"\n"),
            "8: listener[0].passive_address = \"nat\": expected an IPv4 address that phones reach, such as \"192.0.2.1\"",
        ),
        (
            format!("{FTP}passive_address = \"fd00::1\"\n"),
            "8: listener[0].passive_address = \"fd00::1\": expected an IPv4 address that phones reach, such as \"192.0.2.1\"",
        ),
        (
            format!("{FTP}passive_address = \"0.0.0.0\"\n"),
            "8: listener[0].passive_address = \"0.0.0.0\": expected an IPv4 address that phones reach, such as \"192.0.2.1\"",
        ),
        (
            "[[listener]]\nprotocol = \"ftp\"\naddress = \"127.0.0.1:2121\"\npassive_ports = \"2121-2121\"\n"
                .to_owned(),
            "8: listener[0].passive_ports = \"2121-2121\": the listener itself has that port: expected others, too",
        ),
        (
            format!("{FTP}require = [\"password\"]\n[[listener.exception]]\nrequire = [\"address\"]\n"),
            "9: listener[0].exception[0]: is for nobody: expected `ouis`, or `shared = true` for files that name no device",
        ),
        (
            format!("{TFTP}[[listener.exception]]\nshared = true\n"),
            "8: listener[0].exception[0].require: is missing: expected what these devices show instead, such as [\"password\"]",
        ),
        (
            format!(
                "{FTP}require = [\"password\"]\n[[listener.exception]]\nouis = [\"0022\"]\nrequire = [\"address\"]\n"
            ),
            "10: listener[0].exception[0].ouis[0] = \"0022\": expected an OUI: 6 hex digits, or three pairs with `:` or `-`",
        ),
        (
            format!("{FTP}require = [\"password\"]\n[[listener.exception]]\nouis = []\nrequire = [\"address\"]\n"),
            "10: listener[0].exception[0].ouis: names no vendor: expected OUIs, such as [\"00:04:f2\"]",
        ),
        (
            format!("{TFTP}[[listener.exception]]\nshared = true\nrequire = [\"password\"]\n"),
            "10: listener[0].exception[0].require[0] = \"password\": tftp has no passwords",
        ),
        (
            format!("{HTTP}[[listener.exception]]\nouis = [\"0022ee\"]\nrequire = [\"password\"]\n"),
            "10: listener[0].exception[0].require[0] = \"password\": is idle: whatever meets it meets `address`, which the listener lets in already",
        ),
        (
            format!(
                "{HTTP}require = [\"password\"]\n[[listener.exception]]\nshared = true\nrequire = [\"address\", \"password+link\"]\n"
            ),
            "11: listener[0].exception[0].require[1] = \"password+link\": is idle: whatever meets it meets `password`, which the listener lets in already",
        ),
    ] {
        assert_eq!(site.refused(&more), [expected], "{more}");
    }
}

#[test]
fn each_bad_form_of_an_https_listener_is_refused() {
    let site = site();
    let other = rcgen::KeyPair::generate().unwrap();
    site.write_secret("tls/other.key", &other.serialize_pem());
    let pair = |certificate: &str, key: &str| {
        format!(
            "[[listener]]\nprotocol = \"https\"\naddress = \"127.0.0.1:0\"\ncertificate = {certificate:?}\nkey = {key:?}\ntrust = [\"poly\"]\n"
        )
    };
    for (more, expected) in [
        (
            HTTPS.to_owned(),
            "5: listener[0].trust: is missing: a certificate is required, so name the trust sets that verify it",
        ),
        (format!("{HTTPS}trust = []\n"), "10: listener[0].trust: names no trust set"),
        (
            format!("{HTTPS}trust = [\"cisco\"]\n"),
            "10: listener[0].trust[0] = \"cisco\": no such trust set in provost.toml, which has: poly",
        ),
        (
            format!("{HTTPS}trust = [\"poly\"]\nserver_names = [\"a b\"]\n"),
            "11: listener[0].server_names[0] = \"a b\": expected a host name, such as \"acme.prov.example.net\", or \"*.\" and one",
        ),
        (
            format!("{HTTPS}trust = [\"poly\"]\nserver_names = [\"a.example.net.\"]\n"),
            "11: listener[0].server_names[0] = \"a.example.net.\": expected a host name, such as \"acme.prov.example.net\", or \"*.\" and one",
        ),
        (
            format!("{HTTPS}trust = [\"poly\"]\nserver_names = [\"a.*.net\"]\n"),
            "11: listener[0].server_names[0] = \"a.*.net\": expected a host name, such as \"acme.prov.example.net\", or \"*.\" and one",
        ),
        (
            format!("{HTTPS}trust = [\"poly\"]\nhints = \"no\"\n"),
            "11: listener[0].hints = \"no\": expected true or false",
        ),
        (
            format!("{HTTPS}trust = [\"poly\"]\nmore_certificates = \"../tls/server.pem\"\n"),
            "11: listener[0].more_certificates = \"../tls/server.pem\": expected a list, such as [\"…\"]",
        ),
        (
            format!("{HTTPS}trust = [\"poly\"]\nmore_certificates = [{{ certificate = \"../tls/server.pem\" }}]\n"),
            "11: listener[0].more_certificates[0].key: is missing: expected the PEM file of the certificate's key",
        ),
        (
            format!(
                "{HTTPS}trust = [\"poly\"]\nmore_certificates = [{{ certificate = \"../tls/server.pem\", key = \"../tls/other.key\" }}]\n"
            ),
            "11: listener[0].more_certificates[0].key = \"../tls/other.key\": is not the key of `certificate`",
        ),
        (
            format!(
                "{HTTPS}trust = [\"poly\"]\nmore_certificates = [{{ certificate = \"../tls/server.pem\", key = \"../tls/server.key\", name = \"x\" }}]\n"
            ),
            "11: listener[0].more_certificates[0].name: unknown key, expected one of certificate, key, ocsp",
        ),
        (
            pair("../tls/server.pem", "../tls/other.key"),
            "9: listener[0].key = \"../tls/other.key\": is not the key of `certificate`",
        ),
        (
            pair("../tls/none", "../tls/server.key"),
            "8: listener[0].certificate = \"../tls/none\": expected a PEM file with certificates: ",
        ),
        (
            pair("../tls/server.key", "../tls/server.key"),
            "8: listener[0].certificate = \"../tls/server.key\": expected a PEM file with certificates: it holds none",
        ),
        (
            pair("../tls/server.pem", "../tls/server.pem"),
            "9: listener[0].key = \"../tls/server.pem\": expected a PEM file with an unencrypted private key: ",
        ),
    ] {
        let refused = site.refused(&more);
        assert!(matches!(refused.as_slice(), [only] if only.starts_with(expected)), "{more}: {refused:?}");
    }
}

#[test]
fn without_prefixes_nothing_may_pass_by_address_alone() {
    let site = site();
    let tenant =
        |more: &str| format!("name = \"acme\"\nfiles.root = \"../files/acme\"\ndevices.policy = \"any\"\n{more}");
    for (more, expected) in [
        (format!("{HTTPS}trust = [\"poly\"]\n"), None),
        (format!("{TFTP}allow = [\"10.0.0.0/8\"]\n"), None),
        (
            TFTP.to_owned(),
            Some(
                "4: listener[0].allow: is missing: `require` asks for nothing but an address, so say which, here or in the tenant's `allow`",
            ),
        ),
        (
            format!("{HTTPS}trust = [\"poly\"]\n[[listener.exception]]\nouis = [\"0004f2\"]\nreport_only = true\n"),
            Some(
                "4: listener[0].allow: is missing: an exception asks for nothing but an address, so say which, here or in the tenant's `allow`",
            ),
        ),
    ] {
        site.write("tenants.d/acme.toml", &tenant(&more));
        let errors = site.lines(site.load().unwrap().problems.errors());
        assert_eq!(errors, expected.map(|line| format!("tenants.d/acme.toml:{line}")).into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn a_listener_takes_its_defaults_from_its_protocol() {
    let site = site();
    site.acme(&format!("{HTTPS}trust = [\"poly\"]\n{TFTP}{FTP}passive_ports = \"30000-30999\"\n{HTTP}"));
    let loaded = site.load().unwrap();
    assert!(!loaded.problems.has_errors(), "{}", loaded.problems);
    let tenant = loaded.deployment.tenants.first().unwrap();
    let facts: Vec<_> = tenant
        .listeners
        .iter()
        .map(|listener| {
            let policy = &listener.policy;
            (policy.name.as_str(), policy.protocol, policy.require.to_string(), policy.unbound, policy.unbound_write)
        })
        .collect();
    let expected = [
        ("https", Protocol::Https, "certificate", Unbound::Refuse),
        ("tftp", Protocol::Tftp, "address", Unbound::Listed),
        ("ftp", Protocol::Ftp, "address", Unbound::Listed),
        ("http", Protocol::Http, "address", Unbound::Listed),
    ]
    .map(|(name, protocol, require, unbound)| (name, protocol, require.to_owned(), unbound, UnboundWrite::Logs));
    assert_eq!(facts, expected);
    let [https, _, ftp, _] = tenant.listeners.as_slice() else { panic!("four listeners") };
    let tls = https.tls.as_ref().unwrap();
    assert!(tls.hints && tls.server_names.is_empty() && tls.certificates.len() == 1);
    assert_eq!(tls.trust.iter().map(|set| &*set.name).collect::<Vec<_>>(), ["poly"]);
    assert_eq!(ftp.ftp.passive_ports, Some(30000..=30999));
}

#[test]
fn what_a_listener_opens_is_warned_of() {
    let site = site();
    site.acme(&format!(
        "{TFTP}allow = [\"192.168.0.0/16\"]\n[[listener.exception]]\nouis = [\"00:22:ee\"]\nshared = true\nreport_only = true\n[[rule]]\npath = \"*.ld\"\nread = \"anyone\"\n"
    ));
    let said = site.said();
    for expected in [
        "tenants.d/acme.toml:5: warning: listener[0]: unbound: whoever meets `require` reads the files of any listed device by its MAC alone, and sends logs in its name",
        "tenants.d/acme.toml:8: warning: listener[0].allow: 192.168.0.0/16 lies outside the tenant's `allow`, so nobody is let in by it",
        "tenants.d/acme.toml:9: warning: listener[0].exception[0]: opens files of 00:22:ee and files that name no device to whoever comes from inside `allow`: nobody is refused, only recorded",
        "tenants.d/acme.toml:13: warning: rule[0]: opens these files to whoever reaches a listener, without any proof",
    ] {
        assert!(said.iter().any(|line| line == expected), "{expected}\nin\n{}", said.join("\n"));
    }
    let empty = "[[listener.exception]]\nouis = [\"zz\"]\nrequire = [\"address\"]\n[[listener.exception]]\nouis = [\"00:22:ee\"]\n";
    site.acme(&format!("{TFTP}{empty}"));
    let said = site.said();
    assert!(said.len() > 2 && !said.iter().any(|line| line.contains(": opens ")), "{}", said.join("\n"));
}

#[test]
fn a_protocol_that_there_is_not_hides_no_other_error() {
    let site = site();
    let wrong = "name = \"G\"\naddress = \"10.0.0.1\"\nenabled = 1\nallow = [\"x\"]\nunbound = \"all\"\nbogus = 1\n";
    let said = |protocol: &str| site.refused(&format!("[[listener]]\nprotocol = {protocol:?}\n{wrong}"));
    let (gopher, tftp) = (said("gopher"), said("tftp"));
    assert_eq!(gopher.len(), 7, "{gopher:?}");
    let is_told = |key: &str| gopher.iter().any(|line| line.contains(&format!(": listener[0].{key}")));
    assert!(
        ["protocol", "name", "address", "enabled", "allow[0]", "unbound", "bogus"].into_iter().all(is_told),
        "{gopher:?}"
    );
    // Both know the same keys.
    let keys = |said: &[String]| {
        let line = said.iter().find_map(|line| line.split_once("unknown key, expected one of ")).unwrap().1;
        line.split(", ").map(str::to_owned).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(keys(&gopher), keys(&tftp));
}

#[test]
fn a_link_local_address_keeps_its_link() {
    for (address, kept) in [
        ("[fe80::1%2]:69", "[fe80::1%2]:69"),
        ("[fd00::1%2]:69", "[fd00::1]:69"),
        ("[::ffff:10.0.0.1]:69", "10.0.0.1:69"),
    ] {
        let site = site();
        site.acme(&format!("[[listener]]\nprotocol = \"tftp\"\naddress = {address:?}\n"));
        let loaded = site.load().unwrap();
        assert_eq!(loaded.deployment.tenants[0].listeners[0].address.to_string(), kept);
    }
}
