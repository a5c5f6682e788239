//! A small reader of tables that does not stop at the first error: it takes keys, notes what is wrong with each, and in
//! the end names the keys that nobody asked for.

use std::fmt;

use super::field::Field;
use super::node::{Entry, Node, Place, Table, Value};
use super::problem::{Collector, Problem, Severity};

static NO_TABLE: Table = Table::new();

/// A table that is being read.
pub(super) struct Section<'a> {
    key: String,
    table: &'a Table,
    place: &'a Place,
    problems: &'a Collector,
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// The document itself.
    pub(super) fn root(node: &'a Node, problems: &'a Collector) -> Self {
        let table = node.table().unwrap_or(&NO_TABLE);
        Self { key: String::new(), table, place: &node.place, problems, known: Vec::new() }
    }

    /// A table that stands at `key`.
    pub(super) fn new(key: String, table: &'a Table, place: &'a Place, problems: &'a Collector) -> Self {
        Self { key, table, place, problems, known: Vec::new() }
    }

    /// Where what is wrong is noted.
    pub(super) fn problems(&self) -> &'a Collector {
        self.problems
    }

    fn key_of(&self, key: &str) -> String {
        if self.key.is_empty() { key.to_owned() } else { format!("{}.{key}", self.key) }
    }

    /// The value of `key`, where it is there.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Field<'a>> {
        self.known.push(key);
        let entry = self.table.get(key)?;
        Some(Field::new(self.key_of(key), &entry.node, self.problems))
    }

    /// The value of `key`, which must be there.
    pub(super) fn need(&mut self, key: &'static str, expected: &str) -> Option<Field<'a>> {
        let field = self.take(key);
        if field.is_none() {
            self.missing(key, format!("is missing: expected {expected}"));
        }
        field
    }

    /// The table of `key`; an empty one where it is not there.
    pub(super) fn table(&mut self, key: &'static str) -> Self {
        let absent = Self {
            key: self.key_of(key),
            table: &NO_TABLE,
            place: self.place,
            problems: self.problems,
            known: Vec::new(),
        };
        self.take(key).and_then(|field| field.section()).unwrap_or(absent)
    }

    /// The tables of `key`, as `[[key]]` writes them.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Self> {
        let Some(field) = self.take(key) else { return Vec::new() };
        match field.value() {
            Value::List(_) => field.items().into_iter().filter_map(|item| item.section()).collect(),
            Value::Text(_) | Value::Integer(_) | Value::Float | Value::Flag(_) | Value::Date(_) | Value::Table(_) => {
                let header = without_indices(&self.key_of(key));
                field.refuse(format!("expected a list of tables, each begun by [[{header}]]"));
                Vec::new()
            }
        }
    }

    /// Its entries, for tables whose keys are names.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a String, &'a Entry)> + use<'a> {
        self.table.iter()
    }

    /// All its keys with their values, for tables whose keys are names.
    pub(super) fn all(&self) -> Vec<(&'a str, Field<'a>)> {
        let field = |key: &str, node| Field::new(self.key_of(key), node, self.problems);
        self.table.iter().map(|(key, entry)| (key.as_str(), field(key, &entry.node))).collect()
    }

    /// Refuses a key that has no meaning here.
    pub(super) fn misplaced(&mut self, key: &'static str, why: &str) {
        if let Some(entry) = self.table.get(key) {
            self.problems.push(entry.key_place.error(&self.key_of(key), why.to_owned()));
        }
        self.known.push(key);
    }

    /// Notes that `key` is not there.
    pub(super) fn missing(&self, key: &str, message: impl fmt::Display) {
        self.problems.push(self.place.error(&self.key_of(key), message.to_string()));
    }

    /// Notes an error of the table as a whole.
    pub(super) fn refuse(&self, message: impl fmt::Display) {
        self.problems.push(self.place.error(&self.key, message.to_string()));
    }

    /// Notes what the operator should know of the table as a whole.
    pub(super) fn warn(&self, message: impl fmt::Display) {
        let problem = self.place.error(&self.key, message.to_string());
        self.problems.push(Problem { severity: Severity::Warning, ..problem });
    }

    /// Names the keys that nobody asked for. The last thing that is done with a section.
    pub(super) fn finish(self) {
        for (key, entry) in self.table {
            if self.known.contains(&key.as_str()) {
                continue;
            }
            let message = match nearest(key, &self.known) {
                Some(known) => format!("unknown key, did you mean `{known}`?"),
                None => format!("unknown key, expected one of {}", once(&self.known).join(", ")),
            };
            self.problems.push(entry.key_place.error(&self.key_of(key), message));
        }
    }
}

/// Each key once, where it was asked for first.
fn once<'k>(known: &[&'k str]) -> Vec<&'k str> {
    let mut keys = Vec::new();
    for key in known {
        if !keys.contains(key) {
            keys.push(*key);
        }
    }
    keys
}

/// The key as a header of TOML has it: `listener.exception` for `listener[0].exception`.
fn without_indices(key: &str) -> String {
    let name = |part: &str| part.split('[').next().unwrap_or_default().to_owned();
    key.split('.').map(name).collect::<Vec<_>>().join(".")
}

/// The known key that differs least, where it differs little.
fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let far = if key.len() < 4 { 2 } else { 3 };
    let near = known.iter().map(|known| (distance(key, known), *known)).filter(|(distance, _)| *distance < far);
    near.min().map(|(_, known)| known)
}

/// How many letters must be changed, added or taken away (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (index, left) in a.chars().enumerate() {
        let mut diagonal = index;
        let mut before = index + 1;
        for (right, cell) in b.chars().zip(row.iter_mut().skip(1)) {
            let changed = diagonal + usize::from(left != right);
            diagonal = *cell;
            *cell = changed.min(*cell + 1).min(before + 1);
            before = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_key() {
        for (key, expected) in [
            ("adress", Some("address")),
            ("alow", Some("allow")),
            ("keys", Some("key")),
            ("metrics", None),
            ("x", None),
        ] {
            assert_eq!(nearest(key, &["address", "allow", "key"]), expected, "{key}");
        }
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
