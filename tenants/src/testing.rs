//! Permits for tests: they are made as everywhere, by a decision.

use provost_core::address::ClientAddr;
use provost_core::path::{Case, Strip};
use provost_core::policy::{Unbound, UnboundWrite};
use provost_core::proof::CertificateIdentity;
use provost_core::rules::{Gap, Kind, Origin, Readers, Writers};
use provost_core::{
    AccessRequest, DevicePolicy, DeviceRow, Inventory, ListPermit, ListenerPolicy, Mac, Operation, Permit, Prefer,
    Proofs, Protocol, RequestPath, Require, Rule, RuleSet, Standing, TenantPolicy, decide,
};

/// The device whose requests these are.
pub(crate) const DEVICE: Mac = Mac::from_octets([0x00, 0x04, 0xf2, 0xaa, 0xbb, 0xcc]);
/// Another one.
pub(crate) const NEIGHBOUR: Mac = Mac::from_octets([0x00, 0x04, 0xf2, 0xdd, 0xee, 0xff]);

/// A tenant with one listener, and rules for tests.
pub(crate) struct Site {
    tenant: TenantPolicy,
    listener: ListenerPolicy,
}

struct Nobody;

impl Inventory for Nobody {
    fn find(&self, _: Mac) -> Option<DeviceRow> {
        None
    }
}

impl Site {
    pub(crate) fn new(case: Case) -> Self {
        let own = |pattern: &str, kind, prefer, gap, max_size| Rule {
            pattern: pattern.parse().unwrap_or_else(|error| panic!("{pattern}: {error}")),
            read: Some(Readers::Own),
            write: Some(Writers::Own),
            kind,
            prefer,
            gap,
            max_size,
            tftp_options: provost_core::rules::TftpOption::ALL.to_vec(),
            origin: Origin::Operator,
        };
        let rules = vec![
            own("{mac}-small.log", Kind::Log, Prefer::Uploads, Gap::Append, Some(20)),
            own("{mac}-trace", Kind::Log, Prefer::Uploads, Gap::Append, Some(20)),
            own("{mac}-strict.log", Kind::Log, Prefer::Uploads, Gap::Refuse, None),
            own("{mac}-root.cfg", Kind::Settings, Prefer::Root, Gap::Append, None),
            own("phone{mac}.log", Kind::Log, Prefer::Uploads, Gap::Append, Some(20)),
            own("{mac}-any-*", Kind::File, Prefer::Uploads, Gap::Append, None),
        ];
        let tenant = TenantPolicy {
            name: "acme".into(),
            enabled: true,
            allow: None,
            strip: Strip::default(),
            rules: RuleSet::new(rules, case).unwrap_or_else(|error| panic!("{error}")),
            devices: DevicePolicy::Any,
        };
        let listener = ListenerPolicy {
            name: "phones".into(),
            protocol: Protocol::Https,
            enabled: true,
            allow: None,
            require: ["certificate"].into_iter().filter_map(|text| text.parse().ok()).collect::<Require>(),
            unbound: Unbound::Refuse,
            unbound_write: UnboundWrite::Nobody,
            exceptions: Vec::new(),
        };
        Self { tenant, listener }
    }

    pub(crate) fn rules(&self) -> RuleSet {
        self.tenant.rules.clone()
    }

    /// What `device`, proven by certificate, may do with `path`.
    pub(crate) fn permit(&self, device: Mac, operation: Operation, path: &str) -> Permit {
        let path = parse(path);
        self.with_request(device, &path, operation, |request| {
            decide(request).unwrap_or_else(|denial| panic!("{path}: {denial:?}"))
        })
    }

    /// Shows `see` what `device`, proven by certificate, may list of `folder`.
    pub(crate) fn list<T>(&self, device: Mac, folder: &str, see: impl FnOnce(&ListPermit<'_>) -> T) -> T {
        let folder = parse(folder);
        self.with_request(device, &folder, Operation::Read, |request| {
            see(&provost_core::decide_listing(request).unwrap_or_else(|denial| panic!("{folder}: {denial:?}")))
        })
    }

    fn with_request<T>(
        &self,
        device: Mac,
        path: &RequestPath,
        operation: Operation,
        see: impl FnOnce(&AccessRequest<'_>) -> T,
    ) -> T {
        let identity = CertificateIdentity { mac: device, trust_set: "test".into() };
        let proofs = Proofs { certificate: Ok(identity), ..Proofs::none() };
        see(&AccessRequest {
            tenant: &self.tenant,
            listener: &self.listener,
            devices: &Nobody,
            client: ClientAddr::from(std::net::SocketAddr::from(([127, 0, 0, 1], 5060))),
            proofs: &proofs,
            operation,
            path: Ok(path),
            standing: Standing::Free,
        })
    }
}

/// The path as a phone sends it.
pub(crate) fn parse(path: &str) -> RequestPath {
    RequestPath::parse(path.as_bytes(), &Strip::default()).unwrap_or_else(|error| panic!("{path}: {error}"))
}
