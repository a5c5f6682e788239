//! Trust sets: `[trust.NAME]`.
//!
//! An error here refuses the tenants that name the set, not the others.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use provost_core::Oui;
use provost_core::identity::{MacPlace, MacRule};
use provost_core::proof::Attribute;
use std::time::SystemTime;

use super::authorities;
use super::field::Field;
use super::find;
use super::node::Node;
use super::problem::{Collector, Problem};
use super::section::Section;
use super::sight::{Look, Sights};
use crate::trust::{Legacy, RevocationList, TrustSet, check_list, spelled};

/// What `anchors` holds.
const GLOBS: &str = "globs of CA certificates, such as [\"trust/poly/*.pem\"]";

/// The trust sets by name; `None` for one that has errors.
pub(super) type TrustSets = HashMap<String, Option<Arc<TrustSet>>>;

/// The trust sets of a provost.toml, and what was found about them.
#[derive(Debug, Default)]
pub(super) struct Trusted {
    sets: BTreeMap<String, SetRead>,
    /// Of the table that they stand in.
    problems: Vec<Problem>,
}

/// What was read of one.
#[derive(Debug, Clone)]
struct SetRead {
    /// Absent where it has errors.
    set: Option<Arc<TrustSet>>,
    /// What could be read of it where it has.
    part: Option<Arc<Part>>,
    sights: Arc<Sights>,
    problems: Vec<Problem>,
}

/// What could be read of a trust set.
#[derive(Debug)]
struct Part {
    set: TrustSet,
    has_all_anchors: bool,
}

/// A trust set behind the one that is served.
#[derive(Debug, Clone)]
pub(super) struct Successor {
    pub(super) set: Arc<TrustSet>,
    /// What the files do not hold any more and counts still.
    pub(super) lost: Vec<String>,
}

impl Trusted {
    pub(super) fn sets(&self) -> TrustSets {
        self.sets.iter().map(|(name, read)| (name.clone(), read.set.clone())).collect()
    }

    pub(super) fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter().chain(self.sets.values().flat_map(|read| &read.problems))
    }

    /// The errors of a trust set.
    pub(super) fn errors_of(&self, name: &str) -> impl Iterator<Item = &Problem> {
        self.sets.get(name).into_iter().flat_map(|read| &read.problems).filter(|problem| problem.is_error())
    }

    /// The set behind `former`, which is of the same document. What cannot be read of it is the former's: its anchors as a whole, and each
    /// revocation list behind which no other came. One that is replaced is gone for a moment, and nobody who is revoked shall come in
    /// meanwhile, nor because another file is broken.
    pub(super) fn behind(&self, former: &Arc<TrustSet>) -> Successor {
        let as_before = Successor { set: Arc::clone(former), lost: Vec::new() };
        let read = self.sets.get(&*former.name);
        let (now, has_all_anchors) = match read.map(|read| (&read.set, &read.part)) {
            Some((Some(set), _)) => (&**set, true),
            Some((None, Some(part))) => (&part.set, part.has_all_anchors),
            Some((None, None)) | None => return as_before,
        };
        let anchors = if has_all_anchors { &now.anchors } else { &former.anchors };
        let counts = |list: &&RevocationList| check_list(list, anchors, &now.legacy).is_ok();
        // What does not count follows nothing.
        let present: Vec<_> = now.crls.iter().filter(|list| has_all_anchors || counts(list)).collect();
        let is_gone = |list: &&RevocationList| !present.iter().any(|other| list.is_followed_by(other));
        let gone: Vec<_> = former.crls.iter().filter(is_gone).filter(counts).collect();
        let whole = read.and_then(|read| read.set.clone());
        let lost = gone.iter().filter(|_| whole.is_some()).map(|list| {
            let (name, issuer) = (&former.name, &list.issuer);
            format!(
                "trust set {name}: the revocation list of `{issuer}` is gone: what it lists stays revoked until `provost reload`"
            )
        });
        let lost = lost.collect();
        if let Some(set) = whole.filter(|_| gone.is_empty()) {
            return Successor { set, lost };
        }
        let mut crls: Vec<_> = present.into_iter().chain(gone).cloned().collect();
        // In the order of before, so that a set of which nothing is new is the same.
        crls.sort_by_key(|list| former.crls.iter().position(|other| other.is_followed_by(list)).unwrap_or(usize::MAX));
        let set = TrustSet {
            name: Arc::clone(&now.name),
            anchors: anchors.clone(),
            crls,
            mac: now.mac.clone(),
            legacy: now.legacy.clone(),
        };
        if set.is(former) { Successor { lost, ..as_before } } else { Successor { set: Arc::new(set), lost } }
    }

    /// The files of a trust set, errors or not.
    pub(super) fn sights(&self, name: &str) -> Option<&Arc<Sights>> {
        self.sets.get(name).map(|read| &read.sights)
    }
}

/// Reads the trust sets. Of `former`, which is of the same document, those stay of which nothing changed.
pub(super) fn read(document: &Node, former: Option<&Trusted>, look: &mut Look, now: SystemTime) -> Trusted {
    let problems = Collector::default();
    let trust = Section::root(document, &problems).take("trust");
    let mut sets = BTreeMap::new();
    for (name, entry) in trust.and_then(|field| field.section()).iter().flat_map(Section::entries) {
        let former = former.and_then(|former| former.sets.get(name));
        let read = match former.filter(|former| former.sights.hold(look, now)) {
            Some(former) => former.clone(),
            None => set_read(name, &entry.node, former, now),
        };
        sets.insert(name.clone(), read);
    }
    Trusted { sets, problems: problems.into_problems() }
}

fn set_read(name: &str, node: &Node, former: Option<&SetRead>, now: SystemTime) -> SetRead {
    let problems = Collector::default();
    let set = Field::new(format!("trust.{name}"), node, &problems).section();
    let read = set.map(|section| trust_set(name, section, now));
    let (set, part) = match read {
        Some(read) if problems.errors() == 0 => (Some(Arc::new(read.set)), None),
        read => (None, read.map(Arc::new)),
    };
    // What trusts the same is the same to the tenants that name it.
    let same =
        former.and_then(|former| former.set.clone()).filter(|former| set.as_ref().is_some_and(|set| set.is(former)));
    let (problems, sights, _) = problems.into_parts();
    SetRead { set: same.or(set), part, sights: Arc::new(sights), problems }
}

fn trust_set(name: &str, mut section: Section<'_>, now: SystemTime) -> Part {
    let legacy = section.take("legacy").map(|field| legacy(&field)).unwrap_or_default();
    let (mut anchors, problems) = (Vec::new(), section.problems());
    let before = problems.errors();
    if let Some(field) = section.need("anchors", GLOBS) {
        for (item, path) in field.some_items(GLOBS).iter().flat_map(files_of) {
            anchors.extend(authorities::anchors(&path, &legacy, &item, now));
        }
    }
    let has_all_anchors = problems.errors() == before;
    let mut crls = Vec::new();
    let lists = section.take("crls").map(|field| field.items()).unwrap_or_default();
    for (item, path) in lists.iter().flat_map(lists_of) {
        crls.extend(authorities::crls(&path, &anchors, &legacy, &item, now));
    }
    let ouis = section.take("ouis").map(|field| ouis(&field));
    let forgeable: Vec<Legacy> = legacy.iter().copied().filter(|legacy| legacy.is_forgeable()).collect();
    if ouis.is_none() && !forgeable.is_empty() {
        section.missing(
            "ouis",
            format!(
                "is missing: with {} a certificate of this CA may be forged, so say which vendors it speaks for, such as \
                 [\"00:0b:82\"]",
                spelled(&forgeable)
            ),
        );
    }
    let places =
        section.need("mac", "where the MAC stands, such as { attribute = \"CN\", pattern = \"^([0-9A-Fa-f]{12})$\" }");
    let places = places.map(|field| places_of(&field)).unwrap_or_default();
    section.finish();
    let set = TrustSet { name: name.into(), anchors, crls, mac: MacRule::new(places, ouis), legacy };
    Part { set, has_all_anchors }
}

/// What is tolerated, each once.
fn legacy(field: &Field<'_>) -> Vec<Legacy> {
    let words = field.items();
    let legacy: BTreeSet<Legacy> = words.iter().filter_map(|item| item.explained::<Legacy>("a word")).collect();
    legacy.into_iter().collect()
}

fn places_of(field: &Field<'_>) -> Vec<MacPlace> {
    let items = field.one_or_more();
    if items.is_empty() {
        field.refuse("names no place where the MAC stands");
    }
    items.iter().filter_map(place).collect()
}

fn place(field: &Field<'_>) -> Option<MacPlace> {
    let mut section = field.section()?;
    let attribute = section.need("attribute", "a subject attribute, such as \"CN\"");
    let attribute = attribute.and_then(|field| field.explained::<Attribute>("a subject attribute, such as \"CN\""));
    let pattern = section.need("pattern", "a regular expression with one capture, such as \"^([0-9A-Fa-f]{12})$\"");
    let place = pattern.and_then(|field| {
        let pattern = field.text("a regular expression")?;
        warn_of_a_search(&field, pattern);
        MacPlace::new(attribute?, pattern).map_err(|error| field.refuse(error)).ok()
    });
    section.finish();
    place
}

/// `^.*([0-9A-F]{12}).*$` takes any 12 digits out of whatever stands there: a certificate whose subject its owner chose in part
/// would name a device of the owner's choice.
fn warn_of_a_search(field: &Field<'_>, pattern: &str) {
    let inner = pattern.strip_prefix('^').unwrap_or(pattern);
    let inner = inner.strip_suffix('$').unwrap_or(inner);
    let anything = [".*", ".+", ".*?", ".+?"];
    if anything.iter().any(|any| inner.starts_with(&format!("{any}(")) || inner.ends_with(&format!("){any}"))) {
        field.warn("finds the MAC anywhere in the text, whatever stands beside it: write what stands there");
    }
}

/// A list of vendors. An empty one would be for nobody.
pub(super) fn ouis(field: &Field<'_>) -> Vec<Oui> {
    let items = field.items();
    if items.is_empty() {
        field.refuse("names no vendor: expected OUIs, such as [\"00:04:f2\"]");
    }
    items.iter().filter_map(|item| item.explained::<Oui>("an OUI, such as \"00:04:f2\"")).collect()
}

/// The revocation lists of one glob. A vendor that has not published one yet has revoked nothing.
fn lists_of<'a>(item: &Field<'a>) -> Vec<(Field<'a>, std::path::PathBuf)> {
    let found = item.text("a glob of files").map(|pattern| (pattern, item.files(pattern)));
    match found {
        Some((pattern, Ok(files))) if files.is_empty() && find::is_glob(pattern) => {
            item.warn("no file is there, so nothing of this trust set is revoked");
            Vec::new()
        }
        Some(_) => files_of(item),
        None => Vec::new(),
    }
}

/// The files of one glob, each with the field that names it.
fn files_of<'a>(item: &Field<'a>) -> Vec<(Field<'a>, std::path::PathBuf)> {
    let Some(pattern) = item.text("a glob of files, such as \"trust/poly/*.pem\"") else { return Vec::new() };
    match item.files(pattern) {
        Ok(files) if files.is_empty() => item.refuse("no file is there"),
        Ok(files) => return files.into_iter().map(|file| (item.clone(), file)).collect(),
        Err(error) => item.refuse(error),
    }
    Vec::new()
}
