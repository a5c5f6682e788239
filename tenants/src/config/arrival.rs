//! How peers come to an http or https listener: through a proxy, and to which tenant where several share an address.

use provost_core::{Prefixes, Protocol};

use super::field::Field;
use super::listener::prefixes;
use super::section::Section;
use crate::deployment::{Arrival, Unnamed};

/// What a listener says of itself to those that would share its address.
#[derive(Default)]
pub(super) struct Standing<'a> {
    pub(super) arrival: Arrival,
    names: Vec<Field<'a>>,
    default: Option<Field<'a>>,
    proxies: Option<Field<'a>>,
}

pub(super) fn read<'a>(section: &mut Section<'a>, protocol: Protocol) -> Standing<'a> {
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
    let names = section.take("server_names").iter().flat_map(Field::texts).collect();
    Standing { arrival: Arrival { unnamed, proxies }, names, default, proxies: field }
}

impl Standing<'_> {
    /// Whether it can share an address at all.
    fn is_distinct(&self) -> bool {
        !self.names.is_empty() || self.arrival.unnamed == Unnamed::Ours
    }

    /// Notes what keeps it from sharing the address in `field` with a listener of the tenant `holder`.
    pub(super) fn share(&self, field: &Field<'_>, other: &Standing<'_>, holder: &str) {
        if !other.is_distinct() {
            field.refuse(format!(
                "a listener of the tenant {holder} has this address, and neither `server_names` nor `default = true` to share it"
            ));
        } else if !self.is_distinct() {
            field.refuse(format!(
                "a listener of the tenant {holder} has this address: to share it, expected `server_names`, or `default = true`"
            ));
        }
        for (name, text) in self.names.iter().filter_map(|name| Some((name, name.lower()?))) {
            let clash = other.names.iter().filter_map(Field::lower).find(|theirs| overlap(&text, theirs));
            if let Some(theirs) = clash {
                name.refuse(format!("a listener of the tenant {holder} at this address answers to `{theirs}`"));
            }
        }
        if let (Some(default), Unnamed::Ours, Unnamed::Ours) =
            (&self.default, self.arrival.unnamed, other.arrival.unnamed)
        {
            default.refuse(format!("a listener of the tenant {holder} is the default of this address"));
        }
        if list(self.arrival.proxies.as_ref()) != list(other.arrival.proxies.as_ref()) {
            // The header of a proxy comes before anything that would name a tenant.
            self.proxies.as_ref().unwrap_or(field).refuse(format!(
                "a listener of the tenant {holder} shares this address: expected the same `proxy`, {}",
                list(other.arrival.proxies.as_ref()).unwrap_or("none".to_owned())
            ));
        }
    }
}

fn list(prefixes: Option<&Prefixes>) -> Option<String> {
    prefixes.map(|prefixes| prefixes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

/// Whether a host name could be meant by both. A pattern stands for one label.
fn overlap(a: &str, b: &str) -> bool {
    let covers = |pattern: &str, name: &str| {
        pattern.strip_prefix("*.").is_some_and(|parent| name.split_once('.').is_some_and(|(_, rest)| rest == parent))
    };
    a == b || covers(a, b) || covers(b, a)
}
