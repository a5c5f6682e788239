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
use crate::trust::{Legacy, TrustSet, spelled};

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
    set: Option<Arc<TrustSet>>,
    sights: Arc<Sights>,
    problems: Vec<Problem>,
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
    let set = set.map(|section| trust_set(name, section, now));
    let set = set.filter(|_| problems.errors() == 0).map(Arc::new);
    // What trusts the same is the same to the tenants that name it.
    let same =
        former.and_then(|former| former.set.clone()).filter(|former| set.as_ref().is_some_and(|set| set.is(former)));
    let (problems, sights, _) = problems.into_parts();
    SetRead { set: same.or(set), sights: Arc::new(sights), problems }
}

fn trust_set(name: &str, mut section: Section<'_>, now: SystemTime) -> TrustSet {
    let legacy = section.take("legacy").map(|field| legacy(&field)).unwrap_or_default();
    let mut anchors = Vec::new();
    if let Some(field) = section.need("anchors", GLOBS) {
        for (item, path) in field.some_items(GLOBS).iter().flat_map(files_of) {
            anchors.extend(authorities::anchors(&path, &legacy, &item, now));
        }
    }
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
    TrustSet { name: name.into(), anchors, crls, mac: MacRule::new(places, ouis), legacy }
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
