//! The matrix of phone family, operation and proof, as a committed snapshot.
//!
//! `matrix.txt` beside this file says who gets what under the built-in rules and the default listeners. A change of
//! policy shows there, line by line. `UPDATE_MATRIX=1 cargo test -p provost-core --test matrix` writes it anew.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use provost_core::path::{Case, Strip};
use provost_core::policy::UnboundWrite;
use provost_core::proof::CertificateIdentity;
use provost_core::{
    AccessRequest, ClientAddr, DevicePolicy, DeviceRow, Inventory, ListenerPolicy, Mac, NoIdentity, Operation,
    PasswordProof, Proofs, Protocol, RuleSet, Standing, TenantPolicy, decide,
};

/// Family and path; `{mac}` and `{MAC}` stand for the phone's address.
const PATHS: [(&str, &str); 42] = [
    ("poly", "{mac}.cfg"),
    ("poly", "000000000000.cfg"),
    ("poly", "sip.ld"),
    ("poly", "3111-44500-001.sip.ld"),
    ("poly", "3111-44500-001.3111-44500-001.sip.ld"),
    ("poly", "{mac}-phone.cfg"),
    ("poly", "{mac}-web.cfg"),
    ("poly", "{mac}-user.cfg"),
    ("poly", "{mac}-license.cfg"),
    ("poly", "000000000000-license.cfg"),
    ("poly", "{mac}-directory.xml"),
    ("poly", "000000000000-directory.xml"),
    ("poly", "{mac}-calls.xml"),
    ("poly", "{mac}-app.log"),
    ("poly", "logs/{mac}-boot.log"),
    ("poly", "{mac}-core.tar.gz"),
    ("cisco", "OS79XX.TXT"),
    ("cisco", "CTLSEP{MAC}.tlv"),
    ("cisco", "ITLSEP{MAC}.tlv"),
    ("cisco", "SEP{MAC}.cnf.xml"),
    ("cisco", "SIP{MAC}.cnf"),
    ("cisco", "SIPDefault.cnf"),
    ("cisco", "XMLDefault.cnf.xml"),
    ("cisco", "ata{mac}"),
    ("cisco", "dialplan.xml"),
    ("spa", "spa2102.cfg"),
    ("spa", "spa{mac}.cfg"),
    ("spa", "cfg/init_{mac}.xml"),
    ("spa", "cfg/generic.xml"),
    ("yealink", "y000000000000.boot"),
    ("yealink", "y000000000028.cfg"),
    ("yealink", "{mac}.boot"),
    ("yealink", "{mac}.enc"),
    ("yealink", "{mac}-local.cfg"),
    ("yealink", "{mac}-contact.xml"),
    ("yealink", "{mac}-sys.log"),
    ("grandstream", "cfg{mac}"),
    ("grandstream", "cfg{mac}.xml"),
    ("grandstream", "gxp2130fw.bin"),
    ("snom", "snom370-{MAC}.htm"),
    ("snom", "{MAC}.xml"),
    ("aastra", "aastra.cfg"),
];

const PHONE: Mac = Mac::from_octets([0x00, 0x04, 0xf2, 0xaa, 0xbb, 0xcc]);
const NEIGHBOUR: Mac = Mac::from_octets([0x00, 0x04, 0xf2, 0xdd, 0xee, 0xff]);
const STRANGER: Mac = Mac::from_octets([0x00, 0x04, 0xf2, 0x12, 0x34, 0x56]);

struct Listed;

impl Inventory for Listed {
    fn find(&self, mac: Mac) -> Option<DeviceRow> {
        [PHONE, NEIGHBOUR].contains(&mac).then(DeviceRow::default)
    }
}

fn certificate(mac: Mac) -> Proofs {
    Proofs { certificate: Ok(CertificateIdentity { mac, trust_set: Arc::from("vendor") }), ..Proofs::none() }
}

fn columns() -> [(&'static str, Protocol, Proofs); 7] {
    let password = |password| Proofs { password, ..Proofs::none() };
    let none = Proofs { certificate: Err(NoIdentity::NotPresented), ..Proofs::none() };
    [
        ("https none", Protocol::Https, none),
        ("https own", Protocol::Https, certificate(PHONE)),
        ("https neighbour", Protocol::Https, certificate(NEIGHBOUR)),
        ("https unlisted", Protocol::Https, certificate(STRANGER)),
        ("tftp none", Protocol::Tftp, Proofs::none()),
        ("ftp shared password", Protocol::Ftp, password(PasswordProof::Shared("PlcmSpIp".into()))),
        ("ftp neighbour", Protocol::Ftp, password(PasswordProof::Device(NEIGHBOUR))),
    ]
}

fn answer(protocol: Protocol, proofs: &Proofs, operation: Operation, path: &str) -> String {
    let tenant = TenantPolicy {
        name: "acme".into(),
        enabled: true,
        allow: "10.0.0.0/8".parse().ok().map(|prefix| [prefix].into_iter().collect()),
        strip: Strip::default(),
        rules: RuleSet::new(Vec::new(), Case::Exact).unwrap_or_else(|error| panic!("{error}")),
        devices: DevicePolicy::Listed,
    };
    let listener = ListenerPolicy {
        name: protocol.name().into(),
        protocol,
        enabled: true,
        allow: None,
        require: protocol.default_require(),
        unbound: protocol.default_unbound(),
        unbound_write: UnboundWrite::Logs,
        exceptions: Vec::new(),
    };
    let path = tenant.path(path.as_bytes());
    let request = AccessRequest {
        tenant: &tenant,
        listener: &listener,
        devices: &Listed,
        client: ClientAddr::from(SocketAddr::from(([10, 0, 0, 2], 1024))),
        proofs,
        operation,
        path: path.as_ref().map_err(|error| *error),
        standing: Standing::Free,
    };
    match decide(&request) {
        Ok(permit) => format!("{} ({})", permit.opening().code(), permit.rule().kind),
        Err(denial) => format!("- {}", denial.reason.code()),
    }
}

fn matrix() -> String {
    let mut text = String::new();
    for (family, path) in PATHS {
        for operation in [Operation::Read, Operation::Write] {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{family}: {operation} {path}");
            let path = path.replace("{mac}", &PHONE.to_string()).replace("{MAC}", &PHONE.to_string().to_uppercase());
            for (name, protocol, proofs) in columns() {
                let _ = writeln!(text, "    {name:<20} {}", answer(protocol, &proofs, operation, &path));
            }
        }
    }
    text
}

#[test]
fn the_matrix_is_as_committed() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/matrix.txt");
    let matrix = matrix();
    if std::env::var_os("UPDATE_MATRIX").is_some() {
        std::fs::write(&file, &matrix).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    for (number, (found, expected)) in matrix.lines().zip(committed.lines()).enumerate() {
        assert_eq!(found, expected, "line {}", number + 1);
    }
    assert_eq!(matrix.lines().count(), committed.lines().count());
}
