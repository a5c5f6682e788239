//! FTP over TLS: what an ftp listener needs for it, and what is demanded of it.

use super::Site;
use crate::FtpTls;

const FTP: &str = "[[listener]]\nprotocol = \"ftp\"\naddress = \"127.0.0.1:0\"\n";
const PAIR: &str = "certificate = \"../tls/server.pem\"\nkey = \"../tls/server.key\"\n";
const TRUST: &str =
    "[trust.poly]\nanchors = [\"trust/ca.pem\"]\nmac = { attribute = \"CN\", pattern = \"^([0-9A-F]{12})$\" }\n";

fn site() -> Site {
    let site = Site::new();
    site.write("provost.toml", &format!("state = \"state\"\n{TRUST}"));
    site
}

#[test]
fn each_bad_form_of_tls_is_refused() {
    let site = site();
    let trusted = format!("{FTP}{PAIR}trust = [\"poly\"]\n");
    let certificate_alone =
        "a certificate is required, which comes with TLS alone: expected \"required\" or \"implicit\"";
    let no_certificate =
        "5: listener[0].certificate: is missing: expected the PEM file of the server's certificate chain";
    let no_key = "5: listener[0].key: is missing: expected the PEM file of the certificate's key";
    let no_tls = &*format!("5: listener[0].tls: is missing: {certificate_alone}");
    for (more, expected) in [
        (
            format!("{FTP}{PAIR}tls = \"yes\"\n"),
            vec!["10: listener[0].tls = \"yes\": expected `explicit` or `required` or `implicit`"],
        ),
        (format!("{FTP}tls = \"required\"\n"), vec![no_certificate, no_key]),
        (
            format!("{FTP}certificate = \"../tls/server.pem\"\n"),
            vec!["5: listener[0].key: is missing: expected the PEM file of the certificate's key"],
        ),
        (format!("{FTP}hints = true\n"), vec![no_certificate, no_key]),
        (
            format!("{FTP}{PAIR}tls = \"required\"\nrequire = [\"certificate\"]\n"),
            vec!["5: listener[0].trust: is missing: a certificate is required, so name the trust sets that verify it"],
        ),
        (format!("{trusted}require = [\"certificate\"]\n"), vec![no_tls]),
        (format!("{trusted}require = [\"certificate\", \"password\"]\n"), vec![no_tls]),
        (
            format!("{trusted}require = [\"certificate\"]\ntls = \"explicit\"\n"),
            vec![&*format!("12: listener[0].tls = \"explicit\": {certificate_alone}")],
        ),
        (
            "[[listener]]\nprotocol = \"tftp\"\naddress = \"127.0.0.1:0\"\ntls = \"implicit\"\n".to_owned(),
            vec!["8: listener[0].tls: is of ftp listeners only"],
        ),
    ] {
        assert_eq!(site.refused(&more), expected, "{more}");
    }
}

#[test]
fn an_address_that_no_phone_is_told_is_warned_of() {
    let site = site();
    let warning = "listener[0].passive_address = \"192.0.2.1\": is without effect";
    for (address, is_warned) in
        [("127.0.0.1:0", false), ("[::]:0", false), ("[::ffff:127.0.0.1]:0", false), ("[::1]:0", true)]
    {
        let more = "passive_address = \"192.0.2.1\"\n";
        site.acme(&format!("[[listener]]\nprotocol = \"ftp\"\naddress = {address:?}\n{more}"));
        let said = site.said();
        assert_eq!(said.iter().any(|line| line.contains(warning)), is_warned, "{address}: {}", said.join("\n"));
    }
}

#[test]
fn each_form_of_tls_is_read() {
    let site = site();
    let old = "[[listener.exception]]\nouis = [\"00:22:ee\"]\nrequire = [\"password\"]\n";
    for (more, tls) in [
        (String::new(), None),
        (PAIR.to_owned(), Some(FtpTls::Explicit)),
        (format!("{PAIR}tls = \"explicit\"\n"), Some(FtpTls::Explicit)),
        (format!("{PAIR}tls = \"required\"\n"), Some(FtpTls::Required)),
        (
            format!("{PAIR}trust = [\"poly\"]\nrequire = [\"certificate\"]\ntls = \"implicit\"\n"),
            Some(FtpTls::Implicit),
        ),
        // Devices that the exception is for may have no TLS.
        (format!("{PAIR}trust = [\"poly\"]\nrequire = [\"certificate\"]\n{old}"), Some(FtpTls::Explicit)),
    ] {
        assert_eq!(site.refused(&format!("{FTP}{more}")), [""; 0], "{more}");
        let loaded = site.load().unwrap();
        let listener = &loaded.deployment.tenants[0].listeners[0];
        assert_eq!(listener.tls.as_ref().map(|_| listener.ftp.tls), tls, "{more}");
    }
}

#[test]
fn a_password_that_may_come_readable_is_warned_of() {
    let site = site();
    let password = "require = [\"password\"]\n";
    for (more, how) in [
        (password.to_owned(), Some("a `certificate`, and `tls = \"required\"` keeps it from that")),
        (format!("{PAIR}{password}"), Some("; `tls = \"required\"` keeps it from that")),
        (format!("{PAIR}tls = \"required\"\n{password}"), None),
        (format!("{PAIR}tls = \"implicit\"\n{password}"), None),
        (String::new(), None),
    ] {
        site.acme(&format!("{FTP}{more}"));
        let said = site.said();
        let warned: Vec<&String> = said.iter().filter(|line| line.contains("can be read on the way")).collect();
        match how {
            Some(how) => assert!(matches!(warned.as_slice(), [only] if only.ends_with(how)), "{more}: {said:?}"),
            None => assert!(warned.is_empty(), "{more}: {said:?}"),
        }
    }
}
