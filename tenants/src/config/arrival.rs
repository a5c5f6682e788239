//! How peers come to an http or https listener: through a proxy, and to which tenant where several share an address.

use provost_core::Protocol;

use super::field::Field;
use super::listener::prefixes;
use super::section::Section;
use super::spot::Spot;
use crate::deployment::{Arrival, Unnamed};

/// What a listener says of itself to those that would share its address.
#[derive(Debug, Default)]
pub(super) struct Standing {
    pub(super) arrival: Arrival,
    /// In lower case.
    pub(super) names: Vec<(String, Spot)>,
    pub(super) default: Option<Spot>,
    pub(super) proxies: Option<Spot>,
}

pub(super) fn read(section: &mut Section<'_>, protocol: Protocol) -> Standing {
    match protocol {
        Protocol::Https => {}
        Protocol::Http | Protocol::Tftp | Protocol::Ftp => section.misplaced("default", "is of https listeners only"),
    }
    match protocol {
        Protocol::Https | Protocol::Http => {}
        Protocol::Tftp | Protocol::Ftp => section.misplaced("proxy", "is of https and http listeners only"),
    }
    let default = section.take("default");
    let unnamed = match default.as_ref().and_then(Field::flag) {
        Some(true) => Unnamed::Ours,
        Some(false) | None => Unnamed::Refused,
    };
    let field = section.take("proxy");
    let proxies = field.as_ref().map(prefixes);
    // What is no name is refused where the listener's TLS is read.
    let names = section.take("server_names").iter().flat_map(Field::texts).collect::<Vec<_>>();
    let names = names.iter().filter_map(|name| Some((name.lower()?, name.spot()))).collect();
    let spot = |field: Option<Field<'_>>| field.map(|field| field.spot());
    Standing { arrival: Arrival { unnamed, proxies }, names, default: spot(default), proxies: spot(field) }
}

impl Standing {
    /// Whether it can share an address at all.
    pub(super) fn is_distinct(&self) -> bool {
        !self.names.is_empty() || self.arrival.unnamed == Unnamed::Ours
    }
}
