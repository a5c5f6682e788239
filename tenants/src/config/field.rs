//! One value that is being read: as a text, a number, a size, a path, a list. What is wrong with it is noted with its
//! place, and the reader goes on without it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use jiff::civil::Date;

use super::find::{self, FindError};
use super::node::{Node, Value};
use super::problem::{Collector, Origin, Problem, Severity};
use super::section::Section;
use super::spot::{Named, Spot};
use super::units::{Rate, Size, Span};
use crate::network::NetworkStack;

/// A value that is being read.
#[derive(Clone)]
pub(super) struct Field<'a> {
    key: String,
    node: &'a Node,
    problems: &'a Collector,
}

impl<'a> Field<'a> {
    pub(super) fn new(key: String, node: &'a Node, problems: &'a Collector) -> Self {
        Self { key, node, problems }
    }

    pub(super) fn value(&self) -> &'a Value {
        &self.node.value
    }

    fn problem(&self, severity: Severity, message: String) -> Problem {
        let problem = self.node.place.error(&self.key, message);
        Problem { severity, value: self.node.shown(&self.key), ..problem }
    }

    /// Notes that the value is wrong.
    pub(super) fn refuse(&self, message: impl fmt::Display) {
        self.problems.push(self.problem(Severity::Error, message.to_string()));
    }

    /// Notes what the operator should know of the value.
    pub(super) fn warn(&self, message: impl fmt::Display) {
        self.problems.push(self.problem(Severity::Warning, message.to_string()));
    }

    /// Where it stands, for what is said of it later.
    pub(super) fn spot(&self) -> Spot {
        Spot { key: self.key.clone(), place: self.node.place.clone(), shown: self.node.shown(&self.key) }
    }

    /// The path, where the value is one; what is none is refused where it is read.
    pub(super) fn named(&self) -> Option<Named> {
        let text = self.node.text().filter(|text| !text.is_empty())?;
        Some(Named { path: self.folder().join(text), spot: self.spot() })
    }

    /// What is read of the value depends on the trust set of this name.
    pub(super) fn depends_on_set(&self, name: &str) {
        self.problems.depend_on_set(name);
    }

    /// Whether the moment is past at `now`. What is said of it changes once it is.
    pub(super) fn is_past(&self, moment: SystemTime, now: SystemTime) -> bool {
        // It is past from the next one on.
        self.changes_at(moment + Duration::from_nanos(1), now);
        moment < now
    }

    /// What is said of the value changes at this moment, if that is still to come.
    pub(super) fn changes_at(&self, moment: SystemTime, now: SystemTime) {
        if moment > now {
            self.problems.sights().change_at(moment);
        }
    }

    /// Notes what is said of a network.
    pub(super) fn said_of(&self, network: NetworkStack, said: Vec<String>) {
        self.problems.sights().said_of(network, said);
    }

    /// The files of a glob. No file is no error.
    pub(super) fn files(&self, pattern: &str) -> Result<Vec<PathBuf>, FindError> {
        let files = find::files(pattern, self.folder());
        self.problems.sights().found(pattern, self.folder(), files.as_deref().unwrap_or_default());
        files
    }

    /// The folder from which relative paths in the value count.
    pub(super) fn folder(&self) -> &'a std::path::Path {
        self.node.place.origin.folder()
    }

    fn otherwise<T>(&self, value: Option<T>, expected: &str) -> Option<T> {
        if value.is_none() {
            self.refuse(format!("expected {expected}"));
        }
        value
    }

    /// The value as text. Where it is something else, `expected` is said.
    pub(super) fn text(&self, expected: &str) -> Option<&'a str> {
        self.otherwise(self.node.text(), expected)
    }

    /// The value, read from text.
    pub(super) fn parsed<T: FromStr>(&self, expected: &str) -> Option<T> {
        self.otherwise(self.node.text().and_then(|text| text.parse().ok()), expected)
    }

    /// The value, read from text, where the error says what was expected.
    pub(super) fn explained<T: FromStr>(&self, expected: &str) -> Option<T>
    where
        T::Err: fmt::Display,
    {
        self.text(expected)?.parse().map_err(|error: T::Err| self.refuse(error)).ok()
    }

    /// One of several words.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let chosen = self.node.text().and_then(|text| choices.iter().find(|(word, _)| *word == text));
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("`{word}`")).collect();
        self.otherwise(chosen.map(|(_, value)| *value), &words.join(" or "))
    }

    /// A flag or a number that a variable holds: the environment knows texts only. A file has to write it as what it is.
    fn parsed_of_environment<T: FromStr>(&self, text: &str) -> Option<T> {
        match &*self.node.place.origin {
            Origin::Variable { .. } => text.parse().ok(),
            Origin::File { .. } => None,
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(&self) -> Option<bool> {
        let flag = match &self.node.value {
            Value::Flag(flag) => Some(*flag),
            Value::Text(text) => self.parsed_of_environment(text),
            Value::Integer(_) | Value::Float | Value::Date(_) | Value::List(_) | Value::Table(_) => None,
        };
        self.otherwise(flag, "true or false")
    }

    /// `true` or `false`, where the value may be something else.
    pub(super) fn maybe_flag(&self) -> Option<bool> {
        match &self.node.value {
            Value::Flag(flag) => Some(*flag),
            Value::Text(_) | Value::Integer(_) | Value::Float | Value::Date(_) | Value::List(_) | Value::Table(_) => {
                None
            }
        }
    }

    /// A whole number within `range`.
    pub(super) fn number<T: TryFrom<i64> + PartialOrd + fmt::Display + Copy>(&self, least: T, most: T) -> Option<T> {
        let number = match &self.node.value {
            Value::Integer(number) => *number,
            Value::Text(text) => self.parsed_of_environment(text),
            Value::Flag(_) | Value::Float | Value::Date(_) | Value::List(_) | Value::Table(_) => None,
        };
        let number = number.and_then(|number| T::try_from(number).ok());
        self.otherwise(
            number.filter(|number| (&least..=&most).contains(&number)),
            &format!("a whole number from {least} to {most}"),
        )
    }

    /// A size in bytes.
    pub(super) fn size(&self) -> Option<u64> {
        self.parsed::<Size>("a size with its unit (B, KiB, MiB, GiB, TiB), such as \"16MiB\"").map(|size| size.0)
    }

    /// Bytes a second.
    pub(super) fn rate(&self) -> Option<u64> {
        self.parsed::<Rate>("a size a second (B/s, KiB/s, MiB/s, GiB/s), such as \"50MiB/s\"").map(|rate| rate.0)
    }

    /// A length of time.
    pub(super) fn span(&self) -> Option<Duration> {
        self.parsed::<Span>("a duration with its unit (ms, s, m, h, d), such as \"30s\"").map(|span| span.0)
    }

    /// A day.
    pub(super) fn date(&self) -> Option<Date> {
        let date = match &self.node.value {
            Value::Date(toml::value::Datetime { date: Some(date), time: None, .. }) => Some(date),
            Value::Date(_)
            | Value::Text(_)
            | Value::Integer(_)
            | Value::Float
            | Value::Flag(_)
            | Value::List(_)
            | Value::Table(_) => None,
        };
        let date = date.and_then(|date| {
            let year = i16::try_from(date.year).ok()?;
            Date::new(year, i8::try_from(date.month).ok()?, i8::try_from(date.day).ok()?).ok()
        });
        self.otherwise(date, "a date without quotes, such as 2027-03-31")
    }

    /// A path. A relative one counts from the file that it stands in. What is there is looked at now: where it changes, what is
    /// read of it is read again.
    pub(super) fn path(&self) -> Option<PathBuf> {
        let path = self.path_unseen()?;
        self.problems.sights().look_at(&path);
        Some(path)
    }

    /// A path that somebody else looks at, or nobody.
    pub(super) fn path_unseen(&self) -> Option<PathBuf> {
        let text = self.text("a path")?;
        let path = self.otherwise((!text.is_empty()).then_some(text), "a path")?;
        Some(self.folder().join(path))
    }

    /// The items of a list. An empty one is refused: it lets nobody in.
    pub(super) fn some_items(&self, expected: &str) -> Vec<Self> {
        if matches!(&self.node.value, Value::List(nodes) if nodes.is_empty()) {
            self.refuse(format!("an empty list lets nobody in: expected {expected}"));
        }
        self.items()
    }

    /// The items of a list.
    pub(super) fn items(&self) -> Vec<Self> {
        self.items_or("a list, such as [\"…\"]")
    }

    /// The items of a list. Where it is something else, `expected` is said.
    pub(super) fn items_or(&self, expected: &str) -> Vec<Self> {
        let item = |(index, node)| Self { key: format!("{}[{index}]", self.key), node, problems: self.problems };
        match &self.node.value {
            Value::List(nodes) => nodes.iter().enumerate().map(item).collect(),
            Value::Text(_) | Value::Integer(_) | Value::Float | Value::Flag(_) | Value::Date(_) | Value::Table(_) => {
                self.refuse(format!("expected {expected}"));
                Vec::new()
            }
        }
    }

    /// The texts of a list, and nothing of what is no text.
    pub(super) fn texts(&self) -> Vec<Self> {
        let Value::List(nodes) = &self.node.value else { return Vec::new() };
        let item = |(index, node)| Self { key: format!("{}[{index}]", self.key), node, problems: self.problems };
        nodes
            .iter()
            .enumerate()
            .map(item)
            .filter(|item| item.node.text().is_some_and(|text| !text.is_empty()))
            .collect()
    }

    /// The value in lower case, where it is text.
    pub(super) fn lower(&self) -> Option<String> {
        self.node.text().map(str::to_ascii_lowercase)
    }

    /// The tables of a list, and nothing of what is no table.
    pub(super) fn tables(&self) -> Vec<Section<'a>> {
        let Value::List(nodes) = &self.node.value else { return Vec::new() };
        let section = |node: &'a Node| Some(Section::new(self.key.clone(), node.table()?, &node.place, self.problems));
        nodes.iter().filter_map(section).collect()
    }

    /// The value as a list, or alone where it is none.
    pub(super) fn one_or_more(&self) -> Vec<Self> {
        match &self.node.value {
            Value::List(_) => self.items(),
            Value::Text(_) | Value::Integer(_) | Value::Float | Value::Flag(_) | Value::Date(_) | Value::Table(_) => {
                vec![self.clone()]
            }
        }
    }

    /// The value as a table.
    pub(super) fn section(&self) -> Option<Section<'a>> {
        let table = self.otherwise(self.node.table(), "a table")?;
        Some(Section::new(self.key.clone(), table, &self.node.place, self.problems))
    }
}
