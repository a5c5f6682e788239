//! What is laid over a document: the environment over provost.toml, a tenant's file over `[defaults]`.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::node::{self, Entry, Node, Place, Table, Value};
use super::problem::{Origin, Problem, Severity};

/// The keys of provost.toml. Other variables are not ours: container systems set `PROVOST_PORT` and the like.
const KEYS: [&str; 8] = ["admin", "arrivals", "defaults", "log", "serve", "state", "tenants", "trust"];
const PREFIX: &str = "PROVOST_";
/// Read by the command line.
const COMMAND_LINE: [&str; 1] = ["PROVOST_CONFIG"];

/// Those that may be meant for provost.toml, in order.
pub(super) fn ours(variables: impl IntoIterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut variables: Vec<_> = variables.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    variables.retain(|(name, _)| !COMMAND_LINE.contains(&name.as_str()));
    variables.sort();
    variables
}

/// Lays the `PROVOST_…` variables over `document`: `PROVOST_LOG__FORMAT` is `log.format`. Variables that name no key
/// of provost.toml are passed over with a warning.
pub(super) fn environment(document: &mut Node, variables: Vec<(String, String)>, folder: &Path) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, value) in variables {
        let place = Place::whole(&Arc::new(Origin::Variable { name: name.clone(), folder: folder.to_path_buf() }));
        let problem = |severity, message: String| Problem { severity, ..place.error("", message) };
        let key = name.strip_prefix(PREFIX).unwrap_or_default().to_lowercase();
        let first = key.split("__").next().unwrap_or_default();
        if !KEYS.contains(&first) {
            problems.push(problem(Severity::Warning, format!("`{first}` is no key of provost.toml: passed over")));
            continue;
        }
        match overlay_of(&name, value) {
            Ok(tree) => {
                let over = node_of(tree, &place);
                let under = document.clone();
                *document = Node { place: under.place.clone(), ..merge(under, over) };
            }
            Err(error) => problems.push(problem(Severity::Error, error.to_string())),
        }
    }
    problems
}

fn overlay_of(name: &str, value: String) -> Result<config::Map<String, config::Value>, config::ConfigError> {
    let source = config::Environment::with_prefix("PROVOST").prefix_separator("_").separator("__");
    let source = source.source(Some(HashMap::from([(name.to_owned(), value)])));
    let overlay = config::Config::builder().add_source(source).build()?;
    overlay.cache.into_table()
}

fn node_of(table: config::Map<String, config::Value>, place: &Place) -> Node {
    let entry = |(key, value): (String, config::Value)| {
        let node = match value.kind {
            config::ValueKind::Table(table) => node_of(table, place),
            _ => Node { value: list_or_text(value.to_string(), place), place: place.clone() },
        };
        (key, Entry { key_place: place.clone(), node })
    };
    Node { value: Value::Table(table.into_iter().map(entry).collect()), place: place.clone() }
}

/// A variable is a text, or a list where it is written as TOML writes one: `["10.0.0.0/8", "fd00::/8"]`.
fn list_or_text(text: String, place: &Place) -> Value {
    if !text.starts_with('[') {
        return Value::Text(text);
    }
    let list = node::parse(&format!("list = {text}"), &place.origin).ok();
    let list = list.as_ref().and_then(Node::table).and_then(|table| table.get("list")).map(|entry| &entry.node.value);
    let Some(Value::List(items)) = list else { return Value::Text(text) };
    Value::List(items.iter().map(|item| Node { value: item.value.clone(), place: place.clone() }).collect())
}

/// A tenant's file over `[defaults]`, in which `{tenant}` is the tenant's name.
pub(super) fn over_defaults(defaults: &Node, document: Node) -> Node {
    let mut defaults = defaults.clone();
    let name = document.table().and_then(|table| table.get("name")).and_then(|entry| entry.node.text());
    if let Some(name) = name {
        expand_tenant(&mut defaults, name);
    }
    let place = document.place.clone();
    let mut merged = merge(defaults, document);
    if let Value::Table(table) = &mut merged.value {
        relocate(table, &place);
    }
    merged
}

/// `over` where both say something; tables are merged key by key, everything else is replaced whole.
fn merge(under: Node, over: Node) -> Node {
    match (under.value, over.value) {
        (Value::Table(mut under), Value::Table(over_table)) => {
            for (key, entry) in over_table {
                let entry = match under.remove(&key) {
                    Some(below) => Entry { key_place: entry.key_place, node: merge(below.node, entry.node) },
                    None => entry,
                };
                under.insert(key, entry);
            }
            Node { value: Value::Table(under), place: over.place }
        }
        (_, value) => Node { value, place: over.place },
    }
}

/// A key that is missing from a table of `[defaults]` is reported where the operator would write it: in the tenant's
/// file.
fn relocate(table: &mut Table, place: &Place) {
    for entry in table.values_mut() {
        let foreign = entry.node.place.origin != place.origin;
        if let Value::Table(inner) = &mut entry.node.value {
            relocate(inner, place);
            if foreign {
                entry.node.place = place.clone();
            }
        }
    }
}

/// Puts the tenant's name in the place of `{tenant}` in every text.
fn expand_tenant(node: &mut Node, tenant: &str) {
    match &mut node.value {
        Value::Text(text) => *text = text.replace("{tenant}", tenant),
        Value::List(items) => items.iter_mut().for_each(|item| expand_tenant(item, tenant)),
        Value::Table(table) => table.values_mut().for_each(|entry| expand_tenant(&mut entry.node, tenant)),
        Value::Integer(_) | Value::Float | Value::Flag(_) | Value::Date(_) => {}
    }
}
