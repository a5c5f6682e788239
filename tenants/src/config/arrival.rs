//! How peers come to an http or https listener: through a proxy, and to which tenant where several share an address.

use provost_core::{Prefixes, Protocol};

use super::field::Field;
use super::listener::prefixes;
use super::section::Section;
use super::spot::Spot;
use crate::deployment::{Arrival, Unnamed};

/// Shorter prefixes than this hold more than anybody has proxies in: it is the length of `10.0.0.0/8`.
const NARROWEST_WIDE: u8 = 8;

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
    if let (Some(field), Some(proxies)) = (&field, &proxies) {
        warn_wide(field, proxies);
    }
    // What is no name is refused where the listener's TLS is read.
    let names = section.take("server_names").iter().flat_map(Field::texts).collect::<Vec<_>>();
    let names = names.iter().filter_map(|name| Some((name.lower()?, name.spot()))).collect();
    let spot = |field: Option<Field<'_>>| field.map(|field| field.spot());
    Standing { arrival: Arrival { unnamed, proxies }, names, default: spot(default), proxies: spot(field) }
}

/// A proxy may claim any address for its peers, so those that are named are few.
fn warn_wide(field: &Field<'_>, proxies: &Prefixes) {
    let wide: Vec<String> =
        proxies.iter().filter(|prefix| prefix.prefix_len() < NARROWEST_WIDE).map(ToString::to_string).collect();
    if !wide.is_empty() {
        field.warn(format!(
            "whoever comes from {} may claim any address, and passes for a phone of any site: name the proxies alone",
            wide.join(", ")
        ));
    }
}

impl Standing {
    /// Whether it can share an address at all.
    pub(super) fn is_distinct(&self) -> bool {
        !self.names.is_empty() || self.arrival.unnamed == Unnamed::Ours
    }
}
