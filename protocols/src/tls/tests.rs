//! Real handshakes over loopback.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::time::Duration;

use provost_core::NoIdentity;
use provost_core::proof::Attribute;
use provost_tenants::Limits;
use provost_tenants::trust::{Legacy, TrustSet};
use rcgen::{CertificateParams, CrlDistributionPoint, DnType, ExtendedKeyUsagePurpose, SerialNumber};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::testing::{Ca, NAME, Site, begins_in, ends_in, settings, trust_set, trust_set_by};
use super::{ClientAuth, HandshakeError, TlsConnection, identity_of};

const VERSIONS: [&rustls::SupportedProtocolVersion; 2] = [&TLS12, &TLS13];
const REQUIRED: &[&str] = &["certificate"];
const OPTIONAL: &[&str] = &["certificate", "password"];

/// The device and the set that vouches for it, or the reason against.
fn who(connection: &TlsConnection) -> String {
    match &connection.certificate {
        Ok(identity) => format!("{} by {}", identity.mac, identity.trust_set),
        Err(why) => why.to_string(),
    }
}

fn code<T>(outcome: &Result<T, HandshakeError>) -> &'static str {
    outcome.as_ref().err().map_or("ok", HandshakeError::code)
}

#[tokio::test]
async fn a_certificate_that_is_required_must_verify() {
    let (poly, other) = (Ca::new("Poly"), Ca::new("Other"));
    let site = Site::new(REQUIRED, vec![trust_set("poly", &[&poly], vec![poly.overdue_crl(&[7])])]);
    assert_eq!(site.front.client_auth(), ClientAuth::Required);
    for version in VERSIONS {
        let mac = "0004F2AABBCC";
        let good = poly.leaf(mac, |_| ());
        let revoked = poly.leaf(mac, |leaf| leaf.serial_number = Some(SerialNumber::from(7)));
        for (certificate, expected, detail) in [
            (Some(good), "ok", "0004f2aabbcc by poly"),
            (None, "no_certificate", "sent no certificate"),
            (Some(other.leaf(mac, |_| ())), "certificate_refused", "its issuer `CN=Other` leads to no anchor of poly"),
            (Some(poly.leaf(mac, ends_in(-3600))), "certificate_refused", "trust set poly: it expired at 20"),
            (Some(revoked), "certificate_refused", "trust set poly: it is revoked"),
            // It verifies and names nobody: the handshake stands, and the decision refuses with this reason.
            (Some(poly.leaf("0004f2", |_| ())), "ok", "the subject's CN names no MAC address"),
        ] {
            let (server, client) = site.meet(&site.phone(version, certificate)).await;
            let said = server.as_ref().map_or_else(ToString::to_string, who);
            assert_eq!(code(&server), expected, "{version:?}: {said}");
            assert!(said.contains(detail), "{version:?}: {said}");
            assert_eq!(client.is_ok(), expected == "ok", "{version:?} {said}: {client:?}");
        }
    }
}

#[tokio::test]
async fn a_certificate_in_which_two_sets_find_two_devices_is_of_neither() {
    let ca = Ca::new("Poly");
    let organisation = |mac: &str| {
        let mac = mac.to_owned();
        move |leaf: &mut CertificateParams| leaf.distinguished_name.push(DnType::OrganizationName, mac)
    };
    let by_name = || trust_set("name", &[&ca], vec![]);
    let by_organisation = || trust_set_by("organisation", Attribute::Organization, &[&ca], vec![]);
    for sets in [vec![by_name(), by_organisation()], vec![by_organisation(), by_name(), by_name()]] {
        let first = Arc::clone(&sets[0].name);
        let site = Site::new(OPTIONAL, sets);
        let says = |leaf| async {
            let (server, _) = site.meet(&site.phone(&TLS13, Some(leaf))).await;
            who(&server.unwrap())
        };
        let two = ca.leaf("0004F2AABBCC", organisation("0004F2DDEEFF"));
        assert_eq!(says(two).await, "the subject names more than one MAC address");
        let same = ca.leaf("0004F2AABBCC", organisation("0004f2aabbcc"));
        assert_eq!(says(same).await, format!("0004f2aabbcc by {first}"));
    }
}

#[tokio::test]
async fn the_phone_hears_why_its_certificate_is_refused() {
    let poly = Ca::new("Poly");
    let site = Site::new(REQUIRED, vec![trust_set("poly", &[&poly], vec![poly.overdue_crl(&[7])])]);
    let revoked = poly.leaf("0004F2AABBCC", |leaf| leaf.serial_number = Some(SerialNumber::from(7)));
    for (certificate, alert) in [
        (Some(Ca::new("Other").leaf("0004F2AABBCC", |_| ())), "UnknownCA"),
        (Some(poly.leaf("0004F2AABBCC", ends_in(-3600))), "CertificateExpired"),
        (Some(revoked), "CertificateRevoked"),
        (None, "CertificateRequired"),
    ] {
        let (_, client) = site.meet(&site.phone(&TLS13, certificate)).await;
        assert!(client.as_ref().is_err_and(|error| error.contains(alert)), "{alert}: {client:?}");
    }
}

#[tokio::test]
async fn an_optional_certificate_that_does_not_verify_counts_as_none_with_its_reason() {
    let poly = Ca::new("Poly");
    let site = Site::new(OPTIONAL, vec![trust_set("poly", &[&poly], vec![poly.overdue_crl(&[7])])]);
    for version in VERSIONS {
        let mac = "0004F2AABBCC";
        let revoked = poly.leaf(mac, |leaf| leaf.serial_number = Some(SerialNumber::from(7)));
        for (certificate, expected) in [
            (Some(poly.leaf(mac, |_| ())), "0004f2aabbcc by poly"),
            (None, "no certificate was presented"),
            (Some(Ca::new("Other").leaf(mac, |_| ())), "does not verify: its issuer `CN=Other`"),
            (Some(poly.leaf(mac, ends_in(-3600))), "does not verify: trust set poly: it expired"),
            (Some(revoked), "does not verify: trust set poly: it is revoked"),
        ] {
            let phone = site.phone(version, certificate);
            for resumed in [false, true] {
                let (server, client) = site.meet(&phone).await;
                let connection = server.unwrap();
                assert!(who(&connection).contains(expected), "{version:?} {}", who(&connection));
                assert_eq!((client, connection.resumed), (Ok(()), resumed), "{version:?} {expected}");
            }
        }
    }
}

#[tokio::test]
async fn a_certificate_that_is_too_large_ends_the_handshake_even_where_none_is_needed() {
    let poly = Ca::new("Poly");
    let site = Site::new(OPTIONAL, vec![trust_set("poly", &[&poly], vec![])]);
    let large =
        poly.leaf("0004F2AABBCC", |leaf| leaf.distinguished_name.push(DnType::LocalityName, "x".repeat(16_384)));
    for version in VERSIONS {
        let (server, client) = site.meet(&site.phone(version, Some(large.clone()))).await;
        assert_eq!(code(&server), "certificate_refused", "{version:?}");
        assert!(client.is_err(), "{version:?}");
    }
}

#[tokio::test]
async fn a_resumed_session_keeps_the_identity_as_long_as_it_is_valid() {
    let poly = Ca::new("Poly");
    for alternatives in [REQUIRED, OPTIONAL] {
        for version in VERSIONS {
            let site = Site::new(alternatives, vec![trust_set("poly", &[&poly], vec![])]);
            let phone = site.phone(version, Some(poly.leaf("0004F2AABBCC", ends_in(60))));
            let mut connections = Vec::new();
            for resumed in [false, true] {
                let connection = site.meet(&phone).await.0.unwrap();
                assert_eq!((who(&connection).as_str(), connection.resumed), ("0004f2aabbcc by poly", resumed));
                connections.push(connection);
            }
            // Sooner than what was found out about a chain is forgotten.
            site.clock.advance(120);
            // Open connections lose it, and so does one that resumes.
            for connection in &connections {
                let chain = connection.stream.session().peer_certificates().unwrap();
                assert!(
                    matches!(site.front.identity(chain), Err(NoIdentity::NotVerified(why)) if why.contains("expired"))
                );
            }
            match (site.meet(&phone).await.0, site.front.client_auth()) {
                (Err(HandshakeError::CertificateRefused(NoIdentity::NotVerified(why))), ClientAuth::Required) => {
                    assert!(why.contains("expired"), "{why}");
                }
                (Ok(connection), ClientAuth::Optional) => {
                    assert!(connection.resumed);
                    assert!(who(&connection).contains("it expired at"), "{}", who(&connection));
                }
                (other, client_auth) => panic!("{client_auth:?}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_certificate_counts_from_the_moment_on_that_it_names() {
    let poly = Ca::new("Poly");
    let site = Site::new(OPTIONAL, vec![trust_set("poly", &[&poly], vec![])]);
    let phone = site.phone(&TLS13, Some(poly.leaf("0004F2AABBCC", begins_in(60))));
    let early = site.meet(&phone).await.0.unwrap();
    assert!(who(&early).contains("it is not valid before"), "{}", who(&early));
    // Sooner than what was found out about a chain is forgotten.
    site.clock.advance(60);
    let chain = early.stream.session().peer_certificates().unwrap();
    assert_eq!(site.front.identity(chain).map(|identity| identity.trust_set.to_string()), Ok("poly".to_owned()));
}

#[tokio::test]
async fn no_session_outlives_the_generation_that_revokes() {
    let poly = Ca::new("Poly");
    let leaf = poly.leaf("0004F2AABBCC", |leaf| leaf.serial_number = Some(SerialNumber::from(7)));
    let mut site = Site::new(OPTIONAL, vec![trust_set("poly", &[&poly], vec![])]);
    let phone = site.phone(&TLS13, Some(leaf));
    let before = site.meet(&phone).await.0.unwrap();
    assert_eq!(who(&before), "0004f2aabbcc by poly");
    let again = site.meet(&phone).await.0.unwrap();
    assert_eq!((who(&again).as_str(), again.resumed), ("0004f2aabbcc by poly", true));

    site.reload(OPTIONAL, vec![trust_set("poly", &[&poly], vec![poly.overdue_crl(&[7])])]);
    let chain = before.stream.session().peer_certificates().unwrap();
    assert!(site.front.identity(chain).is_err(), "an open connection loses it");
    let after = site.meet(&phone).await.0.unwrap();
    assert!(who(&after).contains("it is revoked") && !after.resumed, "{}", who(&after));
}

#[tokio::test]
async fn a_certificate_without_its_key_is_refused_even_where_none_is_needed() {
    let poly = Ca::new("Poly");
    let stolen = poly.leaf("0004F2AABBCC", |_| ()).cert.clone();
    let own_key = poly.leaf("0004F2DDEEFF", |_| ()).key.clone();
    let thief = Arc::new(CertifiedKey::new(stolen, own_key));
    for alternatives in [REQUIRED, OPTIONAL] {
        let site = Site::new(alternatives, vec![trust_set("poly", &[&poly], vec![])]);
        for version in VERSIONS {
            let (server, client) = site.meet(&site.phone(version, Some(Arc::clone(&thief)))).await;
            assert_eq!((code(&server), client.is_ok()), ("certificate_refused", false), "{version:?}");
            let said = server.unwrap_err().to_string();
            assert!(said.contains("is not by its key"), "{said}");
        }
    }
}

#[tokio::test]
async fn the_phone_gets_the_certificate_that_it_can_verify() {
    let poly = Ca::new("Poly");
    let site = Site::with_two_kinds_of_key(vec![trust_set("poly", &[&poly], vec![])]);
    let leaf = poly.leaf("0004F2AABBCC", |_| ());
    for suites in ["ECDHE_ECDSA", "ECDHE_RSA"] {
        let connection = site.meet(&site.phone_with_suites(suites, Arc::clone(&leaf))).await.0.unwrap();
        let agreed = connection.stream.session().negotiated_cipher_suite().unwrap();
        assert!(format!("{agreed:?}").contains(suites), "{agreed:?}");
    }
}

#[tokio::test]
async fn each_set_vouches_for_its_own_even_where_both_cas_have_the_same_name() {
    let (one, two, stranger) = (Ca::new("Vendor"), Ca::new("Vendor"), Ca::new("Vendor"));
    let sets = vec![trust_set("one", &[&one], vec![]), trust_set("two", &[&two], vec![two.overdue_crl(&[7])])];
    let site = Site::new(OPTIONAL, sets);
    let serial = |leaf: &mut CertificateParams| leaf.serial_number = Some(SerialNumber::from(7));
    for (leaf, expected) in [
        (one.leaf("0004F2AABBCC", |_| ()), "0004f2aabbcc by one"),
        (two.leaf("0004F2AABBCC", |_| ()), "0004f2aabbcc by two"),
        (one.leaf("0004F2AABBCC", serial), "0004f2aabbcc by one"),
        (two.leaf("0004F2AABBCC", serial), "trust set two: it is revoked"),
        (stranger.leaf("0004F2AABBCC", |_| ()), "does not verify"),
    ] {
        let connection = site.meet(&site.phone(&TLS13, Some(leaf))).await.0.unwrap();
        assert!(who(&connection).contains(expected), "{expected}: {}", who(&connection));
    }
}

#[test]
fn a_revocation_list_of_a_renewed_ca_leaves_the_phones_of_the_former_key_alone() {
    let (former, renewed) = (Ca::new("Vendor"), Ca::new("Vendor"));
    let set = trust_set("vendor", &[&former, &renewed], vec![renewed.overdue_crl(&[7])]);
    let settings = settings(vec![set]);
    let serial = |leaf: &mut CertificateParams| leaf.serial_number = Some(SerialNumber::from(7));
    assert!(identity_of(&settings, &renewed.leaf("0004F2AABBCC", serial).cert).is_err());
    assert_eq!(identity_of(&settings, &renewed.leaf("0004F2AABBCC", |_| ()).cert).map(|_| ()), Ok(()));
    assert_eq!(identity_of(&settings, &former.leaf("0004F2AABBCC", |_| ()).cert).map(|_| ()), Ok(()));
}

#[test]
fn every_revocation_list_of_an_issuer_counts() {
    let poly = Ca::new("Poly");
    for lists in [[&[7][..], &[8]], [&[8], &[7]]] {
        let lists = lists.map(|serials| poly.overdue_crl(serials)).to_vec();
        let settings = settings(vec![trust_set("poly", &[&poly], lists)]);
        for (number, valid) in [(7, false), (8, false), (9, true)] {
            let leaf = poly.leaf("0004F2AABBCC", |leaf| leaf.serial_number = Some(SerialNumber::from(number)));
            assert_eq!(identity_of(&settings, &leaf.cert).is_ok(), valid, "{number}");
        }
    }
}

#[test]
fn a_revocation_list_for_another_address_than_the_leaf_names_revokes_what_it_lists() {
    let (former, renewed) = (Ca::new("Vendor"), Ca::new("Vendor"));
    let moved = renewed.overdue_crl_at(&[7], Some("http://ca.example/old.crl"));
    let settings = settings(vec![trust_set("vendor", &[&former, &renewed], vec![moved])]);
    let leaf = |ca: &Ca, number: u64, address: &str| {
        ca.leaf("0004F2AABBCC", |leaf| {
            leaf.serial_number = Some(SerialNumber::from(number));
            leaf.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![address.to_owned()] }];
        })
    };
    for (ca, number, address, valid) in [
        (&renewed, 7, "http://ca.example/old.crl", false),
        (&renewed, 7, "http://ca.example/new.crl", false),
        (&renewed, 8, "http://ca.example/new.crl", true),
        (&former, 7, "http://ca.example/new.crl", true),
    ] {
        let identity = identity_of(&settings, &leaf(ca, number, address).cert);
        assert_eq!(identity.is_ok(), valid, "{number} {address}: {identity:?}");
    }
}

#[test]
fn a_revocation_list_that_its_issuer_did_not_sign_refuses_rather_than_revokes_nothing() {
    let (poly, forger) = (Ca::new("Poly"), Ca::new("Poly"));
    let settings = settings(vec![trust_set("poly", &[&poly], vec![forger.overdue_crl(&[])])]);
    let refused = identity_of(&settings, &poly.leaf("0004F2AABBCC", |_| ()).cert);
    assert!(matches!(&refused, Err(NoIdentity::NotVerified(why)) if why.contains("revocation list")), "{refused:?}");
}

#[test]
fn a_certificate_that_does_not_verify_is_told_of_by_the_set_that_it_is_of() {
    let (poly, yealink, other) = (Ca::new("Poly"), Ca::new("Yealink"), Ca::new("Other"));
    let sets = [("poly", &poly), ("yealink", &yealink)].map(|(name, ca)| trust_set(name, &[ca], vec![]));
    let settings = settings(sets.to_vec());
    let of_server = |leaf: &mut CertificateParams| leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let mac = "0004F2AABBCC";
    for (leaf, expected) in [
        (yealink.leaf(mac, ends_in(-3600)), "trust set yealink: it expired at 20"),
        (yealink.leaf(mac, of_server), "trust set yealink: it is not made for client authentication"),
        (poly.leaf(mac, ends_in(-3600)), "trust set poly: it expired at 20"),
        (other.leaf(mac, ends_in(-3600)), "its issuer `CN=Other` leads to no anchor of poly, yealink"),
        (other.leaf(mac, of_server), "its issuer `CN=Other` leads to no anchor of poly, yealink"),
    ] {
        let why = identity_of(&settings, &leaf.cert).unwrap_err().to_string();
        assert!(why.contains(expected), "{expected}: {why}");
        assert_eq!(why.contains("would tolerate it"), !expected.contains("leads to"), "{why}");
    }
}

#[test]
fn what_a_strict_set_knows_as_revoked_no_set_that_tolerates_more_vouches_for() {
    let (poly, former) = (Ca::new("Poly"), Ca::new("Poly"));
    let strict = trust_set("strict", &[&poly, &former], vec![poly.overdue_crl(&[7])]);
    let tolerant = Arc::into_inner(trust_set("tolerant", &[&poly, &former], vec![])).unwrap();
    let tolerant = Arc::new(TrustSet { legacy: vec![Legacy::Expired, Legacy::AnyEku], ..tolerant });
    let settings = settings(vec![tolerant, strict]);
    for (ca, serial, expected) in [
        (&poly, 7, Err("trust set strict: it is revoked")),
        (&poly, 8, Ok("tolerant")),
        // The list is not of the key that signed it.
        (&former, 7, Ok("tolerant")),
    ] {
        let number = |leaf: &mut CertificateParams| leaf.serial_number = Some(SerialNumber::from(serial));
        let expired = ca.leaf("0004F2AABBCC", |leaf| {
            number(leaf);
            ends_in(-3600)(leaf);
        });
        let of_server = ca.leaf("0004F2AABBCC", |leaf| {
            number(leaf);
            leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        });
        for leaf in [expired, of_server] {
            let found = identity_of(&settings, &leaf.cert).map(|identity| identity.trust_set.to_string());
            match (found, expected) {
                (Ok(set), Ok(expected)) => assert_eq!(set, expected),
                (Err(why), Err(expected)) => {
                    assert!(why.to_string().ends_with(expected), "{why}");
                }
                (found, expected) => panic!("{serial}: {found:?}, not {expected:?}"),
            }
        }
    }
}

#[tokio::test]
async fn what_one_set_knows_as_revoked_no_other_vouches_for() {
    let poly = Ca::new("Poly");
    let with_list = trust_set("with", &[&poly], vec![poly.overdue_crl(&[7])]);
    let without = trust_set("without", &[&poly], vec![]);
    for sets in [vec![with_list.clone(), without.clone()], vec![without, with_list]] {
        let site = Site::new(OPTIONAL, sets);
        let revoked = poly.leaf("0004F2AABBCC", |leaf| leaf.serial_number = Some(SerialNumber::from(7)));
        let connection = site.meet(&site.phone(&TLS13, Some(revoked))).await.0.unwrap();
        assert!(who(&connection).contains("trust set with: it is revoked"), "{}", who(&connection));
    }
}

#[tokio::test]
async fn the_names_of_all_cas_are_sent_unless_hints_are_off() {
    let (one, two, same) = (Ca::new("One"), Ca::new("Two"), Ca::new("Two"));
    for version in VERSIONS {
        for (hints, names) in [(true, &["One", "Two"][..]), (false, &[])] {
            let sets = vec![trust_set("one", &[&one, &two], vec![]), trust_set("two", &[&same], vec![])];
            let site = Site::with_hints(REQUIRED, sets, hints);
            let phone = site.phone(version, Some(one.leaf("0004F2AABBCC", |_| ())));
            assert_eq!(code(&site.meet(&phone).await.0), "ok");
            let sent = phone.shown.hints();
            assert_eq!(sent.len(), names.len(), "{version:?}");
            for (hint, name) in sent.iter().zip(names) {
                assert!(hint.ends_with(name.as_bytes()), "{hint:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_name_that_is_not_ours_is_refused_and_none_is_accepted() {
    let poly = Ca::new("Poly");
    let site = Site::new(OPTIONAL, vec![trust_set("poly", &[&poly], vec![])]);
    let phone = site.phone(&TLS13, None);
    let connection = site.meet(&phone).await.0.unwrap();
    assert_eq!(connection.server_name.as_deref(), Some(NAME));
    let (server, client) = site.meet_as(&phone, "other.example.net").await;
    assert_eq!(code(&server), "unrecognised_name");
    assert!(client.as_ref().is_err_and(|error| error.contains("UnrecognisedName")), "{client:?}");
    // Without SNI, as for an address, the handshake goes on; here it is the client that finds no name of ours.
    assert_eq!(code(&site.meet_as(&phone, "127.0.0.1").await.0), "tls_alert");
}

#[tokio::test]
async fn peers_that_stall_or_speak_something_else_are_told_apart() {
    let poly = Ca::new("Poly");
    let site = Site::new(REQUIRED, vec![trust_set("poly", &[&poly], vec![])]);
    let limits = Limits { client_hello: Duration::from_millis(50), ..Limits::default() };
    // A peer that waits for the server's end of the connection, having sent these bytes.
    let sends = |bytes: &'static [u8]| {
        move |mut stream: tokio::net::TcpStream| async move {
            stream.write_all(bytes).await.unwrap();
            stream.read_to_end(&mut Vec::new()).await
        }
    };
    assert_eq!(code(&site.meet_with(&limits, sends(b"")).await.0), "client_hello_timeout");
    assert_eq!(code(&site.meet_with(&limits, sends(&[22, 3, 1, 0, 200, 1])).await.0), "client_hello_timeout");
    assert_eq!(code(&site.meet_with(&Limits::default(), sends(b"GET / HTTP/1.1\r\n\r\n")).await.0), "not_tls");
    assert_eq!(code(&site.meet_with(&limits, |stream| async { drop(stream) }).await.0), "closed");
    let limits = Limits { handshake: Duration::from_millis(50), ..Limits::default() };
    assert_eq!(code(&site.meet_with(&limits, sends(TLS11_CLIENT_HELLO)).await.0), "tls_version");
}

/// A `ClientHello` of TLS 1.1 (RFC 4346 section 7.4.1.2) with one CBC suite, as phones of 2010 send it.
const TLS11_CLIENT_HELLO: &[u8] = &[
    22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,
    23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 0, 0, 2, 0, 47, 1, 0,
];

#[test]
fn what_a_chain_would_prove_is_told_without_a_handshake() {
    let poly = Ca::new("Poly");
    let settings = settings(vec![trust_set("poly", &[&poly], vec![])]);
    let identity = |leaf: Arc<CertifiedKey>| identity_of(&settings, &leaf.cert);
    assert_eq!(identity(poly.leaf("0004F2AABBCC", |_| ())).unwrap().mac.to_string(), "0004f2aabbcc");
    assert_eq!(identity(poly.leaf("", |_| ())), Err(NoIdentity::NoMatch(Attribute::CommonName)));
    assert!(matches!(identity(Ca::new("Other").leaf("0004F2AABBCC", |_| ())), Err(NoIdentity::NotVerified(_))));
    assert_eq!(identity_of(&settings, &[]), Err(NoIdentity::NotPresented));
}
