//! Certificates, keys and revocation lists that change under a configuration that stays.
//!
//! ACME clients swap the files of a pair, one after the other, and lists are fetched every day. Whoever serves looks at
//! the files now and then, and has the tenants of which one changed read again: as they were loaded, so that what the
//! operator is writing in a tenant's file is left for the reload. It decides nothing of its own: a pair that does not match is
//! refused as it is at the start.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::fs::Metadata;
use std::hash::{Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::node::{self, Node};
use super::problem::{Collector, Origin};
use super::{assemble, find, overlay, tenant, trust};
use crate::deployment::{Listener, Settings, Source, Tenant};
use crate::devices::Removals;
use crate::trust::TrustSet;

/// A file that changed so recently may change again within the same tick of its time stamp.
const STILL_CHANGING: Duration = Duration::from_secs(2);
/// Of one glob, no more files than these are looked at.
const MOST_FILES: usize = 4096;

/// provost.toml as it was loaded, with its environment.
pub(crate) struct Basis {
    pub(super) document: Arc<Node>,
    pub(super) digest: [u8; 32],
    pub(super) settings: Settings,
}

/// The files beside its own that a tenant was read from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Material {
    /// Of its listeners' certificates and keys.
    pub(super) pairs: Vec<PathBuf>,
    /// Of the trust sets that it names.
    pub(super) sets: Vec<Arc<SetFiles>>,
    /// What was there before they were read.
    pub(super) seen: Seen,
}

/// The files of one trust set.
#[derive(Debug)]
pub(crate) struct SetFiles {
    pub(super) patterns: Vec<Pattern>,
    seen: Seen,
}

/// A glob, and the folder from which it counts.
pub(super) type Pattern = (String, PathBuf);

/// What one look at files found. Files that may be changing still are the same as nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    hash: u64,
    is_changing: bool,
}

/// One look at the files of many tenants: each file is looked at once, and each trust set.
#[derive(Debug, Default)]
pub struct Look {
    files: HashMap<PathBuf, Seen>,
    sets: HashMap<Vec<Pattern>, Seen>,
}

/// A tenant that was read again for its files.
#[derive(Debug)]
pub struct Reread {
    /// As it is served.
    pub former: Arc<Tenant>,
    /// As it is now, which is the former itself where nothing in the files is new; otherwise what is wrong.
    pub outcome: Result<Arc<Tenant>, Vec<String>>,
}

impl Look {
    /// What is there of the files that the tenant was read from. It blocks.
    pub fn at(&mut self, tenant: &Tenant) -> Seen {
        let material = &tenant.source.material;
        let pairs: Vec<Seen> = material.pairs.iter().map(|path| self.file(path)).collect();
        let sets = material.sets.iter().map(|set| match self.sets.get(&set.patterns) {
            Some(seen) => *seen,
            None => *self.sets.entry(set.patterns.clone()).or_insert_with(|| Seen::of_patterns(&set.patterns)),
        });
        Seen::of(pairs.into_iter().chain(sets))
    }

    fn file(&mut self, path: &Path) -> Seen {
        match self.files.get(path) {
            Some(seen) => *seen,
            None => *self.files.entry(path.to_path_buf()).or_insert_with(|| Seen::at(path)),
        }
    }
}

impl Tenant {
    /// What was there of its certificates, keys and revocation lists before they were read.
    pub fn seen(&self) -> Seen {
        self.source.material.seen
    }
}

impl Seen {
    /// Whether the files are certainly the same as they were at the other look.
    pub fn is(self, other: Self) -> bool {
        self.hash == other.hash && !self.is_changing && !other.is_changing
    }

    /// What is at the path. Nothing there is an answer, too.
    pub(super) fn at(path: &Path) -> Self {
        let facts = std::fs::metadata(path).ok();
        let is_changing = facts.as_ref().is_some_and(is_changing);
        let facts = facts.map(|facts| (facts.mtime(), facts.mtime_nsec(), facts.len(), facts.dev(), facts.ino()));
        Self { hash: hash(&(path, facts)), is_changing }
    }

    pub(super) fn of(parts: impl IntoIterator<Item = Self>) -> Self {
        let add = |all: Self, part: Self| Self {
            hash: hash(&(all.hash, part.hash)),
            is_changing: all.is_changing || part.is_changing,
        };
        parts.into_iter().fold(Self::default(), add)
    }

    fn of_patterns(patterns: &[Pattern]) -> Self {
        let found = patterns.iter().flat_map(|(pattern, folder)| {
            find::files(pattern, folder).unwrap_or_default().into_iter().take(MOST_FILES)
        });
        Self::of(found.map(|path| Self::at(&path)))
    }
}

impl Material {
    /// Of a tenant with these pairs, as they were seen, and these trust sets.
    pub(super) fn new(pairs: Vec<(PathBuf, Seen)>, sets: Vec<Arc<SetFiles>>) -> Self {
        let seen = Seen::of(pairs.iter().map(|(_, seen)| *seen).chain(sets.iter().map(|set| set.seen)));
        Self { pairs: pairs.into_iter().map(|(path, _)| path).collect(), sets, seen }
    }
}

impl SetFiles {
    /// Looks at them. It is called before they are read: what changes in between is found at the next look.
    pub(super) fn of(patterns: Vec<Pattern>) -> Self {
        Self { seen: Seen::of_patterns(&patterns), patterns }
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn is_changing(facts: &Metadata) -> bool {
    let age = facts.modified().ok().map(|modified| SystemTime::now().duration_since(modified));
    !age.is_some_and(|age| age.is_ok_and(|age| age >= STILL_CHANGING))
}

/// Reads the certificates, keys, trust sets and passwords of these tenants again, under the configuration that each was loaded
/// with. Their devices stay. It blocks.
pub fn reread(tenants: &[Arc<Tenant>]) -> Vec<Reread> {
    let mut of_basis: Vec<(&Arc<Basis>, Vec<&Arc<Tenant>>)> = Vec::new();
    for tenant in tenants {
        let Some(basis) = &tenant.source.basis else { continue };
        match of_basis.iter_mut().find(|(other, _)| Arc::ptr_eq(other, basis)) {
            Some((_, tenants)) => tenants.push(tenant),
            None => of_basis.push((basis, vec![tenant])),
        }
    }
    of_basis.into_iter().flat_map(|(basis, tenants)| under(basis, &tenants)).collect()
}

fn under(basis: &Arc<Basis>, tenants: &[&Arc<Tenant>]) -> Vec<Reread> {
    let now = SystemTime::now();
    let problems = Collector::default();
    let (trust, files) = trust::read(&basis.document, &problems, now);
    let common = tenant::Common { trust: &trust, now, today: Timestamp::now().to_zoned(TimeZone::UTC).date() };
    let of_trust = problems.error_texts();
    let reread = |former: &&Arc<Tenant>| {
        let outcome = one(former, basis, &common, &files);
        // What is wrong with a trust set is said of it; the tenant's own error only names the set.
        let outcome = outcome.map_err(|errors| errors.into_iter().chain(of_trust.iter().cloned()).collect());
        Reread { former: Arc::clone(former), outcome }
    };
    tenants.iter().map(reread).collect()
}

fn one(
    former: &Arc<Tenant>,
    basis: &Arc<Basis>,
    common: &tenant::Common<'_>,
    trust_files: &trust::SetFilesByName,
) -> Result<Arc<Tenant>, Vec<String>> {
    let origin = Origin::file(&former.source.file);
    let problems = Collector::for_tenant(Arc::clone(&origin));
    let document = node::parse(&former.source.text, &origin)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let document = match super::defaults_of(&basis.document) {
        Some(defaults) => overlay::over_defaults(defaults, document),
        None => document,
    };
    let source = Source {
        file: former.source.file.clone(),
        digest: former.source.text_digest,
        text_digest: former.source.text_digest,
        text: former.source.text.clone(),
        basis: Some(Arc::clone(basis)),
        material: Material::default(),
    };
    let read = tenant::read(&document, &problems, common, source);
    if let Some(set) = without_its_lists(former, &read.listeners) {
        return Err(vec![format!("the revocation lists of trust set {set} are gone: `provost reload` takes that")]);
    }
    let mut around = assemble::Around {
        settings: &basis.settings,
        former: HashMap::from([(former.policy.name.as_str(), former)]),
        removals: Removals::Refuse,
        devices: assemble::OfFormer::Kept,
        main_digest: basis.digest,
        trust_files,
        refreshed: &mut Vec::new(),
    };
    assemble::tenant(read, &mut around).ok_or_else(|| problems.error_texts())
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
