//! Listeners of several tenants at one address: the server name of the handshake tells them apart, so that each needs names of its
//! own, or is the one for peers that name none.

use std::collections::HashMap;

use provost_core::Prefixes;

use super::beside::name_of;
use super::newcomer::Newcomer;
use super::spot::Spot;
use super::tenant::Claim;
use crate::deployment::Unnamed;

/// Those that share one address. Of each thing that only one may have, its first holder is known, since there may be thousands.
#[derive(Debug)]
pub(super) struct Sharing<'t> {
    /// The last that came, and its address.
    last: (usize, &'t Spot),
    /// The first one's, which is that of all.
    first: usize,
    proxies: Option<String>,
    /// The first with nothing to tell it by.
    vague: Option<usize>,
    default: Option<usize>,
    names: HashMap<&'t str, usize>,
    /// By the name that a pattern stands below, or a name does; each with a name.
    patterns: HashMap<&'t str, (usize, &'t str)>,
    below: HashMap<&'t str, (usize, &'t str)>,
}

impl<'t> Sharing<'t> {
    /// The first at the address.
    pub(super) fn begin(tenant: usize, claim: &'t Claim) -> Self {
        let mut sharing = Self {
            last: (tenant, &claim.spot),
            first: tenant,
            proxies: list(claim.standing.arrival.proxies.as_ref()),
            vague: None,
            default: None,
            names: HashMap::new(),
            patterns: HashMap::new(),
            below: HashMap::new(),
        };
        sharing.hold(tenant, claim);
        sharing
    }

    /// One more. What keeps it from sharing the address is noted at the newcomer.
    pub(super) fn join(&mut self, tenants: &[&Newcomer], (tenant, newcomer): (usize, &Newcomer), claim: &'t Claim) {
        if self.last.0 == tenant {
            let message = format!("{} of this tenant has this address", self.last.1.key());
            claim.spot.refuse(&newcomer.problems, message);
            return;
        }
        let name_of = |tenant: usize| tenants.get(tenant).map(|tenant| name_of(tenant)).unwrap_or_default();
        let standing = &claim.standing;
        if let Some(vague) = self.vague {
            claim.spot.refuse(&newcomer.problems, format!(
                "a listener of the tenant {} has this address, and neither `server_names` nor `default = true` to share it",
                name_of(vague)
            ));
        } else if !standing.is_distinct() {
            claim.spot.refuse(&newcomer.problems, format!(
                "a listener of the tenant {} has this address: to share it, expected `server_names`, or `default = true`",
                name_of(self.first)
            ));
        }
        for (name, spot) in &standing.names {
            if let Some((holder, theirs)) = self.clash(name) {
                let holder = name_of(holder);
                let message = format!("a listener of the tenant {holder} at this address answers to `{theirs}`");
                spot.refuse(&newcomer.problems, message);
            }
        }
        if let (Some(spot), Unnamed::Ours, Some(holder)) = (&standing.default, standing.arrival.unnamed, self.default) {
            let message = format!("a listener of the tenant {} is the default of this address", name_of(holder));
            spot.refuse(&newcomer.problems, message);
        }
        if list(standing.arrival.proxies.as_ref()) != self.proxies {
            // The header of a proxy comes before anything that would name a tenant.
            standing.proxies.as_ref().unwrap_or(&claim.spot).refuse(
                &newcomer.problems,
                format!(
                    "a listener of the tenant {} shares this address: expected the same `proxy`, {}",
                    name_of(self.first),
                    self.proxies.as_deref().unwrap_or("none")
                ),
            );
        }
        self.last = (tenant, &claim.spot);
        self.hold(tenant, claim);
    }

    fn hold(&mut self, tenant: usize, claim: &'t Claim) {
        let standing = &claim.standing;
        if !standing.is_distinct() {
            self.vague.get_or_insert(tenant);
        }
        if standing.arrival.unnamed == Unnamed::Ours {
            self.default.get_or_insert(tenant);
        }
        for (name, _) in &standing.names {
            self.names.entry(name).or_insert(tenant);
            if let Some(parent) = name.strip_prefix("*.") {
                self.patterns.entry(parent).or_insert((tenant, name));
            } else if let Some((_, parent)) = name.split_once('.') {
                self.below.entry(parent).or_insert((tenant, name));
            }
        }
    }

    /// Who answers to a name that could be meant by this one, too. A pattern stands for one label.
    fn clash(&self, name: &str) -> Option<(usize, &'t str)> {
        if let Some((same, holder)) = self.names.get_key_value(name) {
            return Some((*holder, same));
        }
        match name.strip_prefix("*.") {
            Some(parent) => self.below.get(parent).copied(),
            None => self.patterns.get(name.split_once('.')?.1).copied(),
        }
    }
}

fn list(prefixes: Option<&Prefixes>) -> Option<String> {
    prefixes.map(|prefixes| prefixes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}
