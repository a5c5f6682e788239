//! Certificates, keys and revocation lists that change under a configuration that stays.
//!
//! ACME clients swap the files of a pair, one after the other, and lists are fetched every day. Whoever serves looks at
//! the files now and then, and has the tenants of which one changed read again: as they were loaded, so that what the
//! operator is writing in a tenant's file is left for the reload, and so is a folder that a link leads to since. It decides nothing
//! of its own: a pair that does not match is refused as it is at the start. What is refused stays as it was, piece by piece: a pair, a
//! password, the anchors of a trust set, the revocation list of an issuer; whatever else changed counts all the same.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use super::assemble::{self, Around, OfFormer};
use super::memory::Memory;
use super::newcomer::{Context, Newcomer};
use super::node::Node;
use super::sight::{Look, Sights};
use super::trust::{self, Successor, Trusted};
use crate::deployment::{Settings, Tenant};
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
    /// As it is now, which is the former itself where nothing in the files is new. What could not be read is the former's.
    pub tenant: Arc<Tenant>,
    /// What is wrong with the files.
    pub errors: Vec<String>,
}

/// What the trust sets that are served become: each once, whatever tenants name it.
struct Successors<'t> {
    trust: &'t Trusted,
    made: Vec<(Arc<TrustSet>, Successor)>,
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
    let mut successors = Successors { trust: &context.trust, made: Vec::new() };
    let mut reread = |former: &Arc<Tenant>| Rereading::Done(one(former, &context, &mut successors));
    tenants.iter().all(|former| told(Rereading::Begun(Arc::clone(former))) && told(reread(former)))
}

impl Successors<'_> {
    fn of(&mut self, former: &Arc<TrustSet>) -> Successor {
        if let Some((_, made)) = self.made.iter().find(|(of, _)| Arc::ptr_eq(of, former)) {
            return made.clone();
        }
        let made = self.trust.behind(former);
        self.made.push((Arc::clone(former), made.clone()));
        made
    }
}

fn one(former: &Arc<Tenant>, context: &Context, successors: &mut Successors<'_>) -> Reread {
    let (mut sets, mut lost) = (context.sets.clone(), BTreeSet::new());
    for set in former.listeners.iter().filter_map(|listener| listener.tls.as_ref()).flat_map(|tls| &tls.trust) {
        let successor = successors.of(set);
        sets.insert(set.name.to_string(), Some(successor.set));
        lost.extend(successor.lost);
    }
    let mut newcomer = Newcomer::again(former, &sets, context);
    let around = Around {
        former: HashMap::from([(former.policy.name.as_str(), former)]),
        removals: Removals::Refuse,
        is_given_up: None,
        devices: OfFormer::Kept,
        context,
    };
    let tenant = assemble::tenant(&mut newcomer, &around).unwrap_or_else(|| Arc::clone(former));
    let errors = newcomer.error_texts(&context.trust).into_iter().chain(lost).collect();
    Reread { former: Arc::clone(former), tenant, errors }
}
