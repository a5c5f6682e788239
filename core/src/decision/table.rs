//! The ladder, row by row.
//!
//! A row reads: on these protocols, given this, who asks what, and what comes of it. `A` and `B` are listed, `X` is
//! not, `K` is blocked, `P` is pinned to its certificate; `E` is listed and its vendor stands in the exceptions. In a
//! path each letter in braces stands for that device's address.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use super::*;
use crate::mac::Mac;
use crate::path::{Case, Strip};
use crate::policy::Protocol;
use crate::proof::{CertificateIdentity, LinkProof, NoIdentity, PasswordProof};
use crate::require::{Exception, Require};
use crate::rules::{Gap, Origin, Prefer, RuleSet};

const PROTOCOLS: [Protocol; 4] = [Protocol::Https, Protocol::Http, Protocol::Tftp, Protocol::Ftp];

/// Protocols, what is given, what is asked, what is expected: `permit OPENING`, or `REASON REFUSAL`.
#[rustfmt::skip]
const ROWS: &[(&str, &str, &str, &str)] = &[
    // 1. Tenant and listener.
    ("https http tftp ftp", "tenant-off", "read sip.cfg", "tenant_disabled silence"),
    ("https http tftp ftp", "listener-off", "read sip.cfg", "listener_disabled silence"),
    // 2. The source.
    ("https http tftp ftp", "from:192.0.2.1", "read sip.cfg", "outside_tenant silence"),
    ("https http tftp ftp", "from:10.9.0.1", "read sip.cfg", "outside_listener silence"),
    ("http tftp ftp", "from:[::ffff:10.0.0.2]", "read sip.cfg", "permit unbound"),
    ("https", "from:192.0.2.1 cert:A", "read {A}.cfg", "outside_tenant silence"),
    // 3. The path.
    ("https http tftp ftp", "", "read ../etc/passwd", "path_leaves_root malformed"),
    ("https http tftp ftp", "", "read logs/../../x", "path_leaves_root malformed"),
    ("https http tftp ftp", "", "read .provost-1", "path_reserved malformed"),
    ("https http tftp ftp", "", "read a\0b", "path_nul malformed"),
    ("https http tftp ftp", "", "read a\tb", "path_control malformed"),
    ("https http tftp ftp", "", "read LONG", "path_too_long malformed"),
    ("https http tftp ftp", "", "read NOT-UTF-8", "path_not_utf8 malformed"),
    // 4. The rule.
    ("https http tftp ftp", "", "read secret/a", "rule_denies forbidden"),
    ("https http tftp ftp", "", "write sip.cfg", "rule_denies forbidden"),
    ("https http tftp ftp", "", "write {A}.cfg", "rule_denies forbidden"),
    ("https http tftp ftp", "", "read phone{A}.cfg", "ambiguous_device not_found"),
    ("https http tftp ftp", "", "write {A}-{B}-app.log", "ambiguous_device forbidden"),
    ("https", "cert:A", "read {A}-{B}.cfg", "ambiguous_device not_found"),
    ("https http tftp ftp", "", "read public/logo.bmp", "permit anyone"),
    ("https http tftp ftp", "throttled", "read public/logo.bmp", "permit anyone"),
    // 5. What the listener requires.
    ("https", "", "read sip.cfg", "require_not_met forbidden"),
    ("https", "", "read {A}.cfg", "require_not_met forbidden"),
    ("https", "pw:shared", "read {A}.cfg", "require_not_met forbidden"),
    ("https ftp", "require:password", "read sip.cfg", "require_not_met unauthenticated"),
    ("https ftp", "require:password pw:wrong", "read sip.cfg", "require_not_met unauthenticated"),
    ("http tftp ftp", "require:certificate", "read sip.cfg", "require_not_met forbidden"),
    ("https", "require:certificate+password cert:A", "read {A}.cfg", "require_not_met unauthenticated"),
    ("https", "require:certificate+password cert:A pw:shared", "read {A}.cfg", "permit own"),
    ("https", "require:certificate+password pw:A", "read {A}.cfg", "require_not_met forbidden"),
    ("https", "require:certificate+password", "read {A}.cfg", "require_not_met forbidden"),
    ("https", "require:certificate+password,link", "read {A}.cfg", "require_not_met forbidden"),
    ("https", "require:certificate,password", "read {A}.cfg", "require_not_met unauthenticated"),
    ("https", "require:certificate,password pw:shared", "read sip.cfg", "permit unbound"),
    ("https", "cert:A pw:B", "read {A}.cfg", "proofs_disagree forbidden"),
    ("https", "cert:A link:B", "read {B}.cfg", "proofs_disagree forbidden"),
    ("https", "cert:A pw:A link:A", "read {A}.cfg", "permit own"),
    ("ftp http tftp", "pw:A link:B", "read {A}.cfg", "proofs_disagree forbidden"),
    // 5. Exceptions.
    ("https", "exception:password pw:shared", "read {E}.cfg", "permit exception"),
    ("https", "exception:password pw:E", "read {E}.cfg", "permit own"),
    ("https", "exception:password pw:E", "read sip.cfg", "permit device"),
    ("https", "exception:password", "read {E}.cfg", "require_not_met unauthenticated"),
    ("https", "exception:password", "read {A}.cfg", "require_not_met forbidden"),
    ("https", "exception:password pw:shared", "read {A}.cfg", "require_not_met forbidden"),
    ("https", "exception:password", "read sip.cfg", "require_not_met unauthenticated"),
    ("https", "exception:password pw:wrong", "read {E}.cfg", "require_not_met unauthenticated"),
    ("https", "exception:password pw:shared", "read sip.cfg", "require_not_met forbidden"),
    ("https", "exception:password shared pw:shared", "read sip.cfg", "permit exception"),
    ("https", "exception:password shared pw:A", "read sip.cfg", "permit device"),
    ("https", "exception:password shared pw:A", "read {A}.cfg", "require_not_met forbidden"),
    ("https", "exception:password shared pw:P", "read sip.cfg", "pinned forbidden"),
    ("https", "exception:link shared link:A", "read sip.cfg", "permit device"),
    ("https", "exception:link link:A", "read sip.cfg", "require_not_met forbidden"),
    ("https", "exception:address shared", "read sip.cfg", "permit exception"),
    ("https", "exception:address shared pw:A", "read sip.cfg", "permit device"),
    ("https", "exception:address", "read {E}.cfg", "permit exception"),
    ("https", "exception:address", "write {E}-app.log", "permit exception"),
    ("https", "exception:address", "write {E}-phone.cfg", "unbound_write forbidden"),
    ("https", "exception:address cert:E", "read {E}.cfg", "permit own"),
    ("https", "exception:password report", "read {E}.cfg", "permit report_only"),
    ("https", "exception:password report", "read {A}.cfg", "require_not_met forbidden"),
    ("https", "exception:password report cert:E", "read {E}.cfg", "permit own"),
    ("https", "exception:password report pw:wrong", "read {E}.cfg", "permit report_only"),
    ("https", "exception:password report pw:shared", "read {E}.cfg", "permit exception"),
    ("https", "exception:password report", "read sip.cfg", "require_not_met unauthenticated"),
    ("https", "exception:password report shared", "read sip.cfg", "permit report_only"),
    ("https", "exception:password report", "write {E}-app.log", "permit report_only"),
    ("https", "exception:password report", "write {E}-phone.cfg", "unbound_write forbidden"),
    ("https", "exception:password report unbound_write:listed", "write {E}-phone.cfg", "permit report_only"),
    ("https", "exception:password report cert:A", "read {E}.cfg", "not_own forbidden"),
    // Who shows a shared password has no less than who shows nothing.
    ("https", "require:password exception:address", "read {E}.cfg", "permit exception"),
    ("https", "require:password exception:address pw:shared", "read {E}.cfg", "permit exception"),
    ("https", "require:password exception:address pw:shared", "read {A}.cfg", "unbound_read not_found"),
    ("https", "require:password exception:address shared pw:shared", "read sip.cfg", "permit unbound"),
    ("https", "require:password exception:password report pw:wrong", "read {E}.cfg", "permit report_only"),
    ("https", "require:password exception:link report pw:shared", "read {E}.cfg", "permit report_only"),
    ("https", "require:password exception:link report pw:shared", "read {A}.cfg", "unbound_read not_found"),
    ("https", "require:password exception:address pw:shared", "write {E}-app.log", "permit unbound"),
    ("ftp", "require:password unbound:listed exception:address pw:shared", "read {E}.cfg", "permit unbound"),
    ("ftp", "require:password unbound:listed exception:address", "read {E}.cfg", "permit exception"),
    // 6. The throttle.
    ("http tftp ftp", "throttled", "read sip.cfg", "throttled not_found"),
    ("http tftp ftp", "throttled", "write {A}-app.log", "throttled forbidden"),
    ("https ftp", "require:password pw:shared throttled", "read sip.cfg", "throttled not_found"),
    ("https", "cert:A throttled", "read {A}.cfg", "permit own"),
    // 7. The device.
    ("https", "cert:X", "read {X}.cfg", "unknown_device forbidden"),
    ("https", "cert:X", "read sip.cfg", "unknown_device forbidden"),
    ("https", "cert:X any", "read {X}.cfg", "permit own"),
    ("https", "cert:K", "read {K}.cfg", "blocked forbidden"),
    ("https", "cert:K any", "read sip.cfg", "blocked forbidden"),
    ("http tftp ftp", "", "read {X}.cfg", "unknown_device not_found"),
    ("http tftp ftp", "", "write {X}-app.log", "unknown_device forbidden"),
    ("http tftp ftp", "any", "read {X}.cfg", "permit unbound"),
    ("http tftp ftp", "", "read {K}.cfg", "blocked not_found"),
    ("http tftp ftp", "any", "read {K}.cfg", "blocked not_found"),
    ("http tftp ftp", "", "write {K}-app.log", "blocked forbidden"),
    ("http tftp ftp", "unbound:refuse", "read sip.cfg", "no_device forbidden"),
    ("https", "require:address", "read sip.cfg", "no_device forbidden"),
    ("ftp", "unbound:refuse pw:shared", "read sip.cfg", "permit unbound"),
    ("ftp", "unbound:refuse pw:wrong", "read sip.cfg", "no_device forbidden"),
    ("https", "cert:A", "read sip.cfg", "permit device"),
    ("https", "cert:A", "read 000000000000.cfg", "permit device"),
    ("https", "cert:A", "read y000000000028.cfg", "permit device"),
    ("https", "cert:A", "read 3111-44500-001.sip.ld", "permit device"),
    ("http tftp ftp", "", "read 000000000000.cfg", "permit unbound"),
    // 8. Whose file it is: reading.
    ("https", "cert:A", "read {A}.cfg", "permit own"),
    ("https", "cert:A", "read logs/{A}-app.log", "permit own"),
    ("https", "cert:A", "read {B}.cfg", "not_own forbidden"),
    ("https", "cert:A", "read {X}.cfg", "not_own forbidden"),
    ("https", "cert:A", "read {K}.cfg", "not_own forbidden"),
    ("https", "cert:A", "read {B}/x.cfg", "not_own forbidden"),
    ("https", "cert:A unbound:listed", "read {B}.cfg", "not_own forbidden"),
    ("ftp http", "pw:A", "read {B}.cfg", "not_own forbidden"),
    ("tftp", "link:A", "read {B}.cfg", "not_own forbidden"),
    ("https", "exception:link link:E", "read sip.cfg", "permit device"),
    ("https http", "require:link link:A", "read {A}.cfg", "permit own"),
    ("https http", "require:link link:A", "read {B}.cfg", "not_own forbidden"),
    ("https http", "require:link link:A", "read sip.cfg", "permit device"),
    ("https http", "require:link", "read {A}.cfg", "require_not_met forbidden"),
    ("https http", "require:link link:wrong", "read {A}.cfg", "wrong_link not_found"),
    ("https http", "require:link link:wrong", "read sip.cfg", "wrong_link not_found"),
    ("https http", "require:link link:wrong", "write {A}-app.log", "wrong_link forbidden"),
    ("https", "require:certificate,link link:A", "read {A}.cfg", "permit own"),
    ("https", "require:certificate,link cert:A link:wrong", "read {A}.cfg", "wrong_link not_found"),
    ("http tftp ftp", "require:address link:wrong", "read {A}.cfg", "wrong_link not_found"),
    ("https", "require:link+password link:A pw:A", "read {A}.cfg", "permit own"),
    ("https", "require:link+password link:A pw:B", "read {A}.cfg", "proofs_disagree forbidden"),
    ("https", "require:link+password link:A", "read {A}.cfg", "require_not_met unauthenticated"),
    ("ftp", "pw:A", "read {A}.cfg", "permit own"),
    ("http tftp ftp", "", "read {A}.cfg", "permit unbound"),
    ("ftp", "pw:shared", "read {A}.cfg", "permit unbound"),
    ("http tftp ftp", "unbound:refuse", "read {A}.cfg", "unbound_read not_found"),
    ("http tftp ftp", "unbound:refuse", "read {X}.cfg", "unknown_device not_found"),
    ("https", "require:password pw:shared", "read {A}.cfg", "unbound_read not_found"),
    ("https", "require:password pw:shared", "read {X}.cfg", "unknown_device not_found"),
    ("https", "require:password pw:shared unbound:listed", "read {A}.cfg", "permit unbound"),
    ("https", "require:password pw:A", "read {A}.cfg", "permit own"),
    ("https", "cert:B", "read {A}-dir.xml", "permit device"),
    ("http tftp ftp", "", "read {A}-dir.xml", "permit unbound"),
    ("http tftp ftp", "unbound:refuse", "read {A}-dir.xml", "unbound_read not_found"),
    ("http tftp ftp", "unbound:refuse", "read {X}-dir.xml", "unknown_device not_found"),
    ("https", "require:address", "read {A}-dir.xml", "unbound_read not_found"),
    ("https", "require:password pw:shared", "read {A}-dir.xml", "permit unbound"),
    // 8. Writing.
    ("https", "cert:A", "write {A}-app.log", "permit own"),
    ("https", "cert:A", "write {A}-phone.cfg", "permit own"),
    ("https", "cert:A", "write {B}-app.log", "not_own forbidden"),
    ("http tftp ftp", "", "write {A}-app.log", "permit unbound"),
    ("http tftp ftp", "", "write {A}-phone.cfg", "unbound_write forbidden"),
    ("http tftp ftp", "", "write {X}-phone.cfg", "unknown_device forbidden"),
    ("http tftp ftp", "unbound_write:listed", "write {A}-phone.cfg", "permit unbound"),
    ("http tftp ftp", "unbound_write:nobody", "write {A}-app.log", "unbound_write forbidden"),
    ("https", "require:password pw:shared", "write {A}-app.log", "permit unbound"),
    ("https", "require:password pw:shared unbound_write:nobody", "write {A}-app.log", "unbound_write forbidden"),
    // 8. Pinned devices.
    ("https", "cert:P", "read {P}.cfg", "permit own"),
    ("http tftp ftp", "", "read {P}.cfg", "pinned not_found"),
    ("http tftp ftp", "", "write {P}-app.log", "pinned forbidden"),
    ("https ftp", "require:password pw:P", "read {P}.cfg", "pinned forbidden"),
    ("https ftp", "require:password pw:P", "read sip.cfg", "pinned forbidden"),
    ("https", "exception:address", "read {P}.cfg", "require_not_met forbidden"),
    ("https", "exception:address pinned-vendor", "read {P}.cfg", "pinned not_found"),
    ("https", "exception:password report pinned-vendor", "read {P}.cfg", "pinned not_found"),
    // 9. The end of the list: a rule for own files that no device can be named by.
    ("https", "cert:A", "read nobodys/a", "end_of_list forbidden"),
    ("http tftp ftp", "", "read nobodys/a", "end_of_list forbidden"),
];

fn mac(letter: char) -> Mac {
    let octets = match letter {
        'A' => [0x00, 0x04, 0xf2, 0xaa, 0xaa, 0xaa],
        'B' => [0x00, 0x04, 0xf2, 0xbb, 0xbb, 0xbb],
        'X' => [0x00, 0x04, 0xf2, 0xcc, 0xcc, 0xcc],
        'K' => [0x00, 0x04, 0xf2, 0xdd, 0xdd, 0xdd],
        'P' => [0x64, 0x16, 0x7f, 0xee, 0xee, 0xee],
        'E' => [0x00, 0x22, 0xee, 0x01, 0x02, 0x03],
        other => panic!("no device {other}"),
    };
    Mac::from_octets(octets)
}

struct Listed;

impl Inventory for Listed {
    fn find(&self, device: Mac) -> Option<DeviceRow> {
        let is = |letter| device == mac(letter);
        (is('A') || is('B') || is('K') || is('P') || is('E')).then(|| DeviceRow { blocked: is('K'), pinned: is('P') })
    }
}

fn rule(pattern: &str, read: Readers) -> Rule {
    Rule {
        pattern: pattern.parse().unwrap_or_else(|error| panic!("{pattern}: {error}")),
        read: Some(read),
        write: None,
        kind: Kind::File,
        prefer: Prefer::Uploads,
        gap: Gap::Append,
        max_size: None,
        tftp_options: crate::rules::TftpOption::ALL.to_vec(),
        origin: Origin::Operator,
    }
}

fn requirement(text: &str) -> Require {
    text.split(',').map(|alternative| alternative.parse().unwrap_or_else(|error| panic!("{text}: {error}"))).collect()
}

fn letter(text: &str) -> Mac {
    mac(text.chars().next().unwrap_or_else(|| panic!("a device is missing")))
}

struct Scene {
    tenant: TenantPolicy,
    listener: ListenerPolicy,
    proofs: Proofs,
    client: ClientAddr,
    standing: Standing,
}

impl Scene {
    fn new(protocol: Protocol, given: &str) -> Self {
        let own = vec![
            rule("secret/*", Readers::Nobody),
            rule("public/*", Readers::Anyone),
            rule("nobodys/*", Readers::Own),
            rule("{mac}-dir.xml", Readers::Device),
        ];
        let prefixes = |text: &str| text.parse().ok().into_iter().collect();
        let mut scene = Self {
            tenant: TenantPolicy {
                name: "acme".into(),
                enabled: true,
                allow: Some(prefixes("10.0.0.0/8")),
                strip: Strip::default(),
                rules: RuleSet::new(own, Case::Exact).unwrap_or_else(|error| panic!("{error}")),
                devices: DevicePolicy::Listed,
            },
            listener: ListenerPolicy {
                name: protocol.name().into(),
                protocol,
                enabled: true,
                allow: Some(prefixes("10.0.0.0/16")),
                require: protocol.default_require(),
                unbound: protocol.default_unbound(),
                unbound_write: UnboundWrite::Logs,
                exceptions: Vec::new(),
            },
            proofs: Proofs::none(),
            client: ClientAddr::from(SocketAddr::from(([10, 0, 0, 2], 1024))),
            standing: Standing::Free,
        };
        if protocol == Protocol::Https {
            scene.proofs.certificate = Err(NoIdentity::NotPresented);
        }
        given.split_whitespace().for_each(|word| scene.given(word));
        scene
    }

    fn exception(&mut self) -> &mut Exception {
        self.listener.exceptions.last_mut().unwrap_or_else(|| panic!("`exception:` comes first"))
    }

    fn given(&mut self, word: &str) {
        match word.split_once(':').unwrap_or((word, "")) {
            ("tenant-off", _) => self.tenant.enabled = false,
            ("listener-off", _) => self.listener.enabled = false,
            ("from", address) => {
                let address = format!("{address}:5060").parse::<SocketAddr>();
                self.client = address.unwrap_or_else(|error| panic!("{word}: {error}")).into();
            }
            ("throttled", _) => self.standing = Standing::Throttled,
            ("any", _) => self.tenant.devices = DevicePolicy::Any,
            ("require", text) => self.listener.require = requirement(text),
            ("unbound", "refuse") => self.listener.unbound = Unbound::Refuse,
            ("unbound", "listed") => self.listener.unbound = Unbound::Listed,
            ("unbound_write", "nobody") => self.listener.unbound_write = UnboundWrite::Nobody,
            ("unbound_write", "listed") => self.listener.unbound_write = UnboundWrite::Listed,
            ("exception", text) => self.listener.exceptions.push(Exception {
                ouis: vec![mac('E').oui()],
                require: requirement(text),
                shared: false,
                report_only: false,
            }),
            ("shared", _) => self.exception().shared = true,
            ("report", _) => self.exception().report_only = true,
            ("pinned-vendor", _) => self.exception().ouis.push(mac('P').oui()),
            ("cert", device) => {
                self.proofs.certificate = Ok(CertificateIdentity { mac: letter(device), trust_set: Arc::from("poly") });
            }
            ("pw", "shared") => self.proofs.password = PasswordProof::Shared("PlcmSpIp".into()),
            ("pw", "wrong") => self.proofs.password = PasswordProof::Wrong,
            ("pw", device) => self.proofs.password = PasswordProof::Device(letter(device)),
            ("link", "wrong") => self.proofs.link = LinkProof::Wrong,
            ("link", device) => self.proofs.link = LinkProof::Device(letter(device)),
            _ => panic!("unknown word {word}"),
        }
    }

    fn ask(&self, asked: &str) -> Result<Permit, Denial> {
        let (operation, path) = asked.split_once(' ').unwrap_or_else(|| panic!("{asked}"));
        let operation = if operation == "read" { Operation::Read } else { Operation::Write };
        let raw = match path {
            "LONG" => vec![b'a'; 2000],
            "NOT-UTF-8" => b"\xff\xfe.cfg".to_vec(),
            path => "ABXKPE"
                .chars()
                .fold(path.to_owned(), |path, letter| path.replace(&format!("{{{letter}}}"), &mac(letter).to_string()))
                .into_bytes(),
        };
        let path = self.tenant.path(&raw);
        decide(&self.request(operation, path.as_ref().map_err(|error| *error)))
    }

    fn request<'a>(&'a self, operation: Operation, path: Result<&'a RequestPath, PathError>) -> AccessRequest<'a> {
        AccessRequest {
            tenant: &self.tenant,
            listener: &self.listener,
            devices: &Listed,
            client: self.client,
            proofs: &self.proofs,
            operation,
            path,
            standing: self.standing,
        }
    }
}

fn answer(protocol: Protocol, given: &str, asked: &str) -> String {
    match Scene::new(protocol, given).ask(asked) {
        Ok(permit) => format!("permit {}", permit.opening().code()),
        Err(denial) => format!("{} {}", denial.reason.code(), denial.refusal.code()),
    }
}

fn protocols(names: &str) -> impl Iterator<Item = Protocol> {
    names.split(' ').filter_map(|name| PROTOCOLS.into_iter().find(|protocol| protocol.name() == name))
}

#[test]
fn every_row_is_decided_as_it_says() {
    let mut wrong = Vec::new();
    for (names, given, asked, expected) in ROWS {
        for protocol in protocols(names) {
            let found = answer(protocol, given, asked);
            if found != *expected {
                wrong
                    .push(format!("{protocol} [{given}] {}: expected {expected}, found {found}", asked.escape_debug()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Reasons that need a certificate or a password cannot come up where the protocol carries neither.
#[test]
fn every_reason_is_reached_on_every_protocol_that_can_reach_it() {
    let rows = ROWS.iter().flat_map(|(names, _, _, expected)| {
        protocols(names).map(move |protocol| (protocol, expected.split(' ').next().unwrap_or_default()))
    });
    let reached: BTreeSet<(Protocol, &str)> = rows.filter(|(_, reason)| *reason != "permit").collect();
    let reasons: BTreeSet<&str> = reached.iter().map(|(_, reason)| *reason).collect();
    for protocol in PROTOCOLS {
        for reason in &reasons {
            assert!(reached.contains(&(protocol, reason)), "no row reaches {reason} on {protocol}");
        }
    }
    assert_eq!(reasons.len(), 24, "every reason of `Reason::code` has a row");
}

#[test]
fn a_permit_says_what_it_is_for() {
    let permit = Scene::new(Protocol::Https, "cert:A").ask("write logs/{A}-app.log");
    let permit = permit.unwrap_or_else(|denial| panic!("{denial:?}"));
    assert_eq!(permit.operation(), Operation::Write);
    assert_eq!(permit.path().as_str(), "logs/0004f2aaaaaa-app.log");
    assert_eq!((permit.device(), permit.proven()), (Some(mac('A')), Some(mac('A'))));
    assert_eq!(permit.rule().kind, Kind::Log);
}

#[test]
fn a_listing_names_own_files_only_to_their_proven_device() {
    #[rustfmt::skip]
    let rows = [
        (Protocol::Ftp, "", "sip.cfg public/logo.bmp"),
        (Protocol::Ftp, "pw:shared", "sip.cfg public/logo.bmp"),
        (Protocol::Ftp, "pw:A", "{A}.cfg sip.cfg public/logo.bmp"),
        (Protocol::Https, "cert:B", "{B}.cfg sip.cfg public/logo.bmp"),
    ];
    for (protocol, given, expected) in rows {
        let scene = Scene::new(protocol, given);
        let folder = scene.tenant.path(b"/").unwrap_or_else(|error| panic!("{error}"));
        let listing = decide_listing(&scene.request(Operation::Read, Ok(&folder)));
        let listing = listing.unwrap_or_else(|denial| panic!("{given}: {denial:?}"));
        let all = ["{A}.cfg", "{B}.cfg", "{X}.cfg", "phone{A}.cfg", "secret/a", "sip.cfg", "public/logo.bmp"];
        let shown = all.into_iter().filter(|name| {
            let name = name.replace("{A}", &mac('A').to_string()).replace("{B}", &mac('B').to_string());
            let name = name.replace("{X}", &mac('X').to_string());
            scene.tenant.path(name.as_bytes()).is_ok_and(|path| listing.shows_file(&path))
        });
        assert_eq!(shown.collect::<Vec<_>>().join(" "), expected, "{protocol} {given}");
    }
}

#[test]
fn a_pinned_device_lists_nothing_without_its_certificate() {
    for (given, expected) in [("pw:P", Some("pinned")), ("pw:A", None), ("pw:K", Some("blocked"))] {
        let scene = Scene::new(Protocol::Ftp, given);
        let root = scene.tenant.path(b"").unwrap_or_else(|error| panic!("{error}"));
        let listing = decide_listing(&scene.request(Operation::Read, Ok(&root)));
        assert_eq!(listing.err().map(|denial| denial.reason.code()), expected, "{given}");
    }
}

#[test]
fn folders_that_name_a_device_are_shown_to_it_alone() {
    let scene = Scene::new(Protocol::Https, "cert:A");
    let root = scene.tenant.path(b"").unwrap_or_else(|error| panic!("{error}"));
    let listing =
        decide_listing(&scene.request(Operation::Read, Ok(&root))).unwrap_or_else(|denial| panic!("{denial:?}"));
    for (folder, shown) in [("logs", true), ("0004f2aaaaaa", true), ("0004f2bbbbbb", false), ("0004f2aaaaaab", false)] {
        let folder = scene.tenant.path(folder.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(listing.shows_folder(&folder), shown, "{folder}");
    }
}

#[test]
fn a_folder_that_names_another_device_shows_nothing_and_is_not_looked_at() {
    #[rustfmt::skip]
    let rows = [
        ("", "logs", true), ("", "{A}", false), ("", "{X}", false), ("", "phone{A}", false),
        ("pw:shared", "{A}", false), ("pw:shared", "logs/{A}", false),
        ("pw:A", "", true), ("pw:A", "{A}", true), ("pw:A", "logs/{A}", true), ("pw:A", "phone{A}", true),
        ("pw:A", "{B}", false), ("pw:A", "{X}", false),
    ];
    for (given, folder, shows) in rows {
        let scene = Scene::new(Protocol::Ftp, given);
        let folder = ['A', 'B', 'X'].into_iter().fold(folder.to_owned(), |folder, letter| {
            folder.replace(&format!("{{{letter}}}"), &mac(letter).to_string())
        });
        let path = scene.tenant.path(folder.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        let listing = decide_listing(&scene.request(Operation::Read, Ok(&path)));
        let listing = listing.unwrap_or_else(|denial| panic!("{given}: {denial:?}"));
        assert_eq!(listing.shows_anything(), shows, "{given}, {folder}");
    }
}

#[test]
fn a_peer_outside_the_prefixes_is_turned_away_before_any_handshake() {
    for (given, admitted) in [("", true), ("from:192.0.2.1", false), ("from:10.9.0.1", false), ("tenant-off", false)] {
        let scene = Scene::new(Protocol::Https, given);
        assert_eq!(admit(&scene.tenant, &scene.listener, scene.client).is_ok(), admitted, "{given}");
    }
}

/// Whatever is known of a device that only the path names, the peer is told the same.
#[test]
fn a_stranger_cannot_tell_a_known_device_from_an_unknown_one() {
    let refusals = |protocol, given: &str, asked: &str| -> BTreeSet<&'static str> {
        let answers = ["X", "K", "P"].into_iter().map(|letter| {
            let asked = asked.replace("{?}", &format!("{{{letter}}}"));
            Scene::new(protocol, given).ask(&asked).map_or_else(|denial| denial.refusal.code(), |_| "permit")
        });
        answers.collect()
    };
    for protocol in [Protocol::Http, Protocol::Tftp, Protocol::Ftp] {
        assert_eq!(refusals(protocol, "", "read {?}.cfg"), BTreeSet::from(["not_found"]));
        assert_eq!(refusals(protocol, "unbound:refuse", "read {?}.cfg"), BTreeSet::from(["not_found"]));
        assert_eq!(refusals(protocol, "", "write {?}-app.log"), BTreeSet::from(["forbidden"]));
    }
    assert_eq!(refusals(Protocol::Https, "cert:A", "read {?}.cfg"), BTreeSet::from(["forbidden"]));
    assert_eq!(refusals(Protocol::Https, "", "read {?}.cfg"), BTreeSet::from(["forbidden"]));
}
