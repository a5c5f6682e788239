//! Certificates, keys and revocation lists that change under a configuration that stays.
//!
//! ACME clients swap the files of a pair, one after the other, and lists are fetched every day. Whoever serves looks at
//! the files now and then, and has the tenants of which one changed read again: as they were loaded, so that what the
//! operator is writing in a tenant's file is left for the reload, and so is a folder that a link leads to since. It decides nothing
//! of its own: a pair that does not match is refused as it is at the start.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::assemble::{self, Around, OfFormer};
use super::memory::Memory;
use super::newcomer::{Context, Newcomer};
use super::node::Node;
use super::sight::{Look, Sights};
use super::trust;
use crate::deployment::{Listener, Settings, Tenant};
use crate::devices::Removals;
use crate::trust::TrustSet;

/// provost.toml as it was loaded, with its environment.
pub(crate) struct Basis {
    pub(super) document: Node,
    pub(super) digest: [u8; 32],
    pub(super) settings: Settings,
}

/// What was last seen of the files that a tenant was read from.
#[derive(Debug, Clone)]
pub struct Seen {
    own: Arc<Sights>,
    sets: Vec<Arc<Sights>>,
}

/// A tenant that was read again for its files.
#[derive(Debug)]
pub struct Reread {
    /// As it is served.
    pub former: Arc<Tenant>,
    /// As it is now, which is the former itself where nothing in the files is new; otherwise what is wrong.
    pub outcome: Result<Arc<Tenant>, Vec<String>>,
}

/// What is told while tenants are read again.
#[derive(Debug)]
pub enum Rereading {
    /// Of this one, what its files hold is read now.
    Begun(Arc<Tenant>),
    /// One has been read.
    Done(Reread),
}

impl Basis {
    pub(super) fn defaults(&self) -> Option<&Node> {
        entry(&self.document, "defaults")
    }

    pub(super) fn trust_set(&self, name: &str) -> Option<&Node> {
        entry(entry(&self.document, "trust")?, name)
    }
}

fn entry<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    node.table()?.get(key).map(|entry| &entry.node)
}

impl Tenant {
    /// What was there of its certificates, keys, passwords and revocation lists before they were read.
    pub fn seen(&self) -> Seen {
        Seen { own: Arc::clone(&self.source.sights), sets: self.source.sets.clone() }
    }
}

impl Seen {
    /// Whether the same is there still. It blocks.
    pub fn holds(&self, look: &mut Look) -> bool {
        self.own.files_hold(look) && self.sets.iter().all(|set| look.holds(set))
    }

    /// What is there now. It blocks.
    #[must_use]
    pub fn again(&self) -> Self {
        let again = |sights: &Arc<Sights>| Arc::new(sights.again());
        Self { own: again(&self.own), sets: self.sets.iter().map(again).collect() }
    }
}

/// Reads the certificates, keys, trust sets and passwords of these tenants again, under the configuration that each was loaded
/// with. Their devices stay. It blocks.
///
/// `told` hears of each tenant when its turn comes and when it is done; where it returns `false` the others are left.
pub fn reread(tenants: &[Arc<Tenant>], mut told: impl FnMut(Rereading) -> bool) {
    let mut of_basis: Vec<(&Arc<Basis>, Vec<&Arc<Tenant>>)> = Vec::new();
    for tenant in tenants {
        let Some(basis) = &tenant.source.basis else { continue };
        match of_basis.iter_mut().find(|(other, _)| Arc::ptr_eq(other, basis)) {
            Some((_, tenants)) => tenants.push(tenant),
            None => of_basis.push((basis, vec![tenant])),
        }
    }
    // The first that returns false ends it.
    let _ = of_basis.into_iter().all(|(basis, tenants)| under(basis, &tenants, &mut told));
}

fn under(basis: &Arc<Basis>, tenants: &[&Arc<Tenant>], told: &mut impl FnMut(Rereading) -> bool) -> bool {
    let now = SystemTime::now();
    let trust = trust::read(&basis.document, None, &mut Look::default(), now);
    let sets = trust.sets();
    let (basis, memory) = (Arc::clone(basis), Memory::default());
    let context = Context { basis, sets, trust: Arc::new(trust), memory, now, today: super::today() };
    let reread =
        |former: &&Arc<Tenant>| Rereading::Done(Reread { former: Arc::clone(former), outcome: one(former, &context) });
    tenants.iter().all(|former| told(Rereading::Begun(Arc::clone(former))) && told(reread(former)))
}

fn one(former: &Arc<Tenant>, context: &Context) -> Result<Arc<Tenant>, Vec<String>> {
    let mut newcomer = Newcomer::again(&former.source, context);
    let listeners = newcomer.fresh.as_ref().map(|fresh| fresh.read.listeners.as_slice());
    if let Some(set) = without_its_lists(former, listeners.unwrap_or_default()) {
        return Err(vec![format!("the revocation lists of trust set {set} are gone: `provost reload` takes that")]);
    }
    let around = Around {
        former: HashMap::from([(former.policy.name.as_str(), former)]),
        removals: Removals::Refuse,
        is_given_up: None,
        devices: OfFormer::Kept,
        context,
    };
    assemble::tenant(&mut newcomer, &around).ok_or_else(|| newcomer.error_texts(&context.trust))
}

/// A trust set that had revocation lists and has none any more. A list that is replaced file by file is gone for a moment, and nobody
/// who is revoked shall come in meanwhile.
fn without_its_lists(former: &Tenant, present: &[Listener]) -> Option<Arc<str>> {
    let present: Vec<&Arc<TrustSet>> =
        present.iter().filter_map(|listener| listener.tls.as_ref()).flat_map(|tls| &tls.trust).collect();
    let former = former.listeners.iter().filter_map(|listener| listener.tls.as_ref()).flat_map(|tls| &tls.trust);
    let mut had_lists = former.filter(|set| !set.crls.is_empty());
    let lost = had_lists.find(|set| present.iter().any(|other| other.name == set.name && other.crls.is_empty()))?;
    Some(Arc::clone(&lost.name))
}
