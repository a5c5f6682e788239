//! Trust sets: `[trust.NAME]`.
//!
//! An error here refuses the tenants that name the set, not the others.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use provost_core::Oui;
use provost_core::identity::{MacPlace, MacRule};
use provost_core::proof::Attribute;
use std::time::SystemTime;

use super::authorities;
use super::field::Field;
use super::find;
use super::material::{Pattern, SetFiles};
use super::node::{Node, Value};
use super::problem::Collector;
use super::section::Section;
use crate::trust::{Legacy, TrustSet, spelled};

/// The trust sets by name; `None` for one that has errors.
pub(super) type TrustSets = HashMap<String, Option<Arc<TrustSet>>>;

/// The files of each, errors or not.
pub(super) type SetFilesByName = HashMap<String, Arc<SetFiles>>;

pub(super) fn read(document: &Node, problems: &Collector, now: SystemTime) -> (TrustSets, SetFilesByName) {
    let mut root = Section::root(document, problems);
    let Some(sets) = root.take("trust").and_then(|field| field.section()) else { return Default::default() };
    let mut files = SetFilesByName::new();
    let read = |(name, field): (&str, Field<'_>)| {
        let before = problems.errors();
        let set = field.section().map(|mut section| {
            files.insert(name.to_owned(), Arc::new(SetFiles::of(patterns(&mut section))));
            trust_set(name, section, now)
        });
        (name.to_owned(), set.filter(|_| problems.errors() == before).map(Arc::new))
    };
    let sets = sets.all().into_iter().map(read).collect();
    (sets, files)
}

/// The globs of a trust set; what is none is refused where it is read.
fn patterns(section: &mut Section<'_>) -> Vec<Pattern> {
    let fields = [section.take("anchors"), section.take("crls")];
    let lists = fields.iter().flatten().filter_map(|field| match field.value() {
        Value::List(items) => Some(items),
        Value::Text(_) | Value::Integer(_) | Value::Float | Value::Flag(_) | Value::Date(_) | Value::Table(_) => None,
    });
    let pattern = |item: &Node| Some((item.text()?.to_owned(), item.place.origin.folder().to_path_buf()));
    lists.flatten().filter_map(pattern).collect()
}

fn trust_set(name: &str, mut section: Section<'_>, now: SystemTime) -> TrustSet {
    let legacy = section.take("legacy").map(|field| legacy(&field)).unwrap_or_default();
    let mut anchors = Vec::new();
    if let Some(field) = section.need("anchors", "globs of CA certificates, such as [\"trust/poly/*.pem\"]") {
        for (item, path) in field.items().iter().flat_map(files_of) {
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
    let found = item.text("a glob of files").map(|pattern| (pattern, find::files(pattern, item.folder())));
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
    match find::files(pattern, item.folder()) {
        Ok(files) if files.is_empty() => item.refuse("no file is there"),
        Ok(files) => return files.into_iter().map(|file| (item.clone(), file)).collect(),
        Err(error) => item.refuse(error),
    }
    Vec::new()
}
