//! The tree of values that a TOML document holds, each with its place.
//!
//! It owns its values, so that trees of several files can be laid over each other. No `Debug`: passwords stand in it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use toml::value::Datetime;

use super::problem::{Origin, Position, Problem, Severity};

/// More syntax errors than these are mostly echoes of the first.
const MOST_SYNTAX_ERRORS: usize = 8;

pub(super) type Table = BTreeMap<String, Entry>;

/// A value and its place.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) place: Place,
}

/// A key's place and its value.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key_place: Place,
    pub(super) node: Node,
}

#[derive(Clone)]
pub(super) enum Value {
    Text(String),
    Integer(Option<i64>),
    Float,
    Flag(bool),
    Date(Datetime),
    List(Vec<Node>),
    Table(Table),
}

/// Where a value stands.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) origin: Arc<Origin>,
    pub(super) position: Option<Position>,
}

impl Origin {
    pub(super) fn file(path: &Path) -> Arc<Self> {
        Arc::new(Self::File { path: path.to_path_buf() })
    }

    /// The folder from which relative paths count.
    pub(super) fn folder(&self) -> &Path {
        match self {
            Self::File { path } => path.parent().unwrap_or(Path::new("")),
            Self::Variable { folder, .. } => folder,
        }
    }
}

impl Place {
    /// The origin as a whole.
    pub(super) fn whole(origin: &Arc<Origin>) -> Self {
        Self { origin: origin.clone(), position: None }
    }

    pub(super) fn error(&self, key: &str, message: String) -> Problem {
        Problem {
            severity: Severity::Error,
            origin: self.origin.clone(),
            position: self.position,
            key: key.to_owned(),
            value: None,
            message,
        }
    }
}

impl Node {
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            Value::Integer(_) | Value::Float | Value::Flag(_) | Value::Date(_) | Value::List(_) | Value::Table(_) => {
                None
            }
        }
    }

    pub(super) fn table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            Value::Text(_) | Value::Integer(_) | Value::Float | Value::Flag(_) | Value::Date(_) | Value::List(_) => {
                None
            }
        }
    }

    /// All that it says, without its places: two that mean the same are spelled the same. Passwords stand in it.
    pub(super) fn spelled(&self) -> String {
        let mut text = String::new();
        self.spell(&mut text);
        text
    }

    fn spell(&self, into: &mut String) {
        // Writing into a text does not fail.
        let _ = match &self.value {
            // A path counts from the file that it stands in.
            Value::Text(text) => {
                let folder = self.place.origin.folder().display().to_string();
                write!(into, "{text:?}@{folder:?}")
            }
            Value::Integer(number) => write!(into, "{number:?}"),
            Value::Float => write!(into, "float"),
            Value::Flag(flag) => write!(into, "{flag}"),
            Value::Date(date) => write!(into, "{date}"),
            Value::List(items) => {
                into.push('[');
                for item in items {
                    into.push(',');
                    item.spell(into);
                }
                write!(into, "]")
            }
            Value::Table(table) => {
                into.push('{');
                for (key, entry) in table {
                    let _ = write!(into, ",{key:?}=");
                    entry.node.spell(into);
                }
                write!(into, "}}")
            }
        };
    }

    /// What the operator wrote, as TOML spells it; nothing of tables and lists, and nothing of secrets.
    pub(super) fn shown(&self, key: &str) -> Option<String> {
        let value = match &self.value {
            Value::Text(text) => toml::Value::from(text.as_str()).to_string(),
            Value::Integer(Some(number)) => number.to_string(),
            Value::Flag(flag) => flag.to_string(),
            Value::Date(date) => date.to_string(),
            Value::Integer(None) | Value::Float | Value::List(_) | Value::Table(_) => return None,
        };
        let secret = key.rsplit('.').next().is_some_and(|last| {
            last.contains("password") && !last.contains("password_file") || last.starts_with("users")
        });
        Some(if secret { "[redacted]".to_owned() } else { value })
    }
}

/// Reads `text` as TOML.
pub(super) fn parse(text: &str, origin: &Arc<Origin>) -> Result<Node, Vec<Problem>> {
    let (node, problems) = parse_leniently(text, origin);
    if problems.is_empty() { Ok(node) } else { Err(problems) }
}

/// What of `text` can be read as TOML, and what is wrong with the rest.
pub(super) fn parse_leniently(text: &str, origin: &Arc<Origin>) -> (Node, Vec<Problem>) {
    let lines = Lines::new(text, origin);
    let (document, errors) = DeTable::parse_recoverable(text);
    let problem = |error: toml::de::Error| {
        let place = error.span().map_or_else(|| Place::whole(origin), |span| lines.place(&span));
        // Which key it is that stands there twice, the parser leaves to whoever has the text.
        let twice = error.span().filter(|_| error.message() == "duplicate key").and_then(|span| text.get(span));
        let key = twice.map(|key| format!(" `{key}`")).unwrap_or_default();
        place.error("", format!("not TOML: {}{key}", error.message()))
    };
    let problems = errors.into_iter().take(MOST_SYNTAX_ERRORS).map(problem).collect();
    let value = Value::Table(lines.table(document.into_inner()));
    (Node { value, place: Place::whole(origin) }, problems)
}

/// Finds positions. An inventory may stand in a list of thousands, in one line or in many, so neither lines nor characters are counted
/// anew for each.
struct Lines<'a> {
    /// Where each line begins.
    starts: Vec<usize>,
    origin: &'a Arc<Origin>,
    /// Bytes that begin no character.
    continuing: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &str, origin: &'a Arc<Origin>) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(end, _)| end + 1);
        let continuing = text.bytes().enumerate().filter(|(_, byte)| byte & 0xC0 == 0x80).map(|(at, _)| at);
        Self { starts: std::iter::once(0).chain(ends).collect(), continuing: continuing.collect(), origin }
    }

    fn place(&self, span: &Range<usize>) -> Place {
        let line = self.starts.partition_point(|start| *start <= span.start);
        let start = line.checked_sub(1).and_then(|index| self.starts.get(index)).copied().unwrap_or_default();
        let characters = |end: usize| end - self.continuing.partition_point(|at| *at < end);
        let column = characters(span.start) - characters(start) + 1;
        Place { origin: self.origin.clone(), position: Some(Position { line, column }) }
    }

    fn table(&self, table: DeTable<'_>) -> Table {
        let entry = |(key, value): (Spanned<toml::de::DeString<'_>>, Spanned<DeValue<'_>>)| {
            let key_place = self.place(&key.span());
            (key.into_inner().into_owned(), Entry { key_place, node: self.node(value) })
        };
        table.into_iter().map(entry).collect()
    }

    fn node(&self, value: Spanned<DeValue<'_>>) -> Node {
        let place = self.place(&value.span());
        let value = match value.into_inner() {
            DeValue::String(text) => Value::Text(text.into_owned()),
            DeValue::Integer(number) => Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok()),
            DeValue::Float(_) => Value::Float,
            DeValue::Boolean(flag) => Value::Flag(flag),
            DeValue::Datetime(date) => Value::Date(date),
            DeValue::Array(items) => Value::List(items.into_iter().map(|item| self.node(item)).collect()),
            DeValue::Table(table) => Value::Table(self.table(table)),
        };
        Node { value, place }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions(text: &str) -> Vec<(usize, usize)> {
        let node = parse(text, &Origin::file(Path::new("a.toml"))).unwrap_or_else(|problems| panic!("{problems:?}"));
        let table = node.table().into_iter().flat_map(|table| table.values().map(|entry| &entry.node));
        let items = table.flat_map(|node| match &node.value {
            Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        });
        items.filter_map(|node| node.place.position).map(|Position { line, column }| (line, column)).collect()
    }

    #[test]
    fn a_position_is_a_line_and_the_characters_before_it() {
        let text = "z = 1\na = [\"\u{e4}\u{20ac}\", 2,\n \"\u{1f4de}\", 3]\n";
        assert_eq!(positions(text), [(2, 6), (2, 12), (3, 2), (3, 7), (1, 5)]);
    }

    #[test]
    fn an_inventory_in_one_line_is_read_at_once() {
        let text = format!("a = [{}]", vec!["\"0004f2aabbcc\""; 200_000].join(","));
        let began = std::time::Instant::now();
        assert_eq!(positions(&text).last(), Some(&(1, 6 + 15 * 199_999)));
        // Minutes, where the characters of the line are counted for each.
        assert!(began.elapsed().as_secs() < 30, "{:?}", began.elapsed());
    }
}
