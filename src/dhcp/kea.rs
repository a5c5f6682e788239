//! Kea: two members of `Dhcp4` (or `option-data` of a subnet or class), JSON with comments.

use anyhow::Context as _;
use serde_json::{Value as Json, json};

use super::{Advice, DhcpOption, Standing, Value};

/// The space in which Kea looks for sub-options of option 43.
const VENDOR_SPACE: &str = "vendor-encapsulated-options-space";

pub(super) fn text(advice: &Advice) -> anyhow::Result<String> {
    let given = || advice.options.iter().filter(|option| option.standing == Standing::Given);
    let document = json!({
        "option-def": given().flat_map(definitions).collect::<Vec<_>>(),
        "option-data": given().flat_map(data).collect::<Vec<_>>(),
    });
    let mut lines: Vec<String> = advice.heading().into_iter().map(|line| format!("// {line}")).collect();
    for option in &advice.options {
        lines.push(format!("// {}", option.note()));
        if let (Standing::ToComplete, Value::Text(example)) = (option.standing, &option.value) {
            lines.push(format!("//   {}", json!({ "code": option.code, "data": example })));
        }
    }
    lines.push(serde_json::to_string_pretty(&document).context("cannot write JSON")?);
    Ok(lines.join("\n") + "\n")
}

/// The options that Kea does not know by itself.
fn definitions(option: &DhcpOption) -> Vec<Json> {
    match (&option.value, option.code) {
        (Value::Text(_), 160) => vec![json!({ "name": "boot-server", "code": 160, "type": "string" })],
        (Value::Addresses(_), code) => {
            vec![json!({ "name": "tftp-servers", "code": code, "type": "ipv4-address", "array": true })]
        }
        (Value::SubOptions(parts), _) => parts
            .iter()
            .map(|(code, _)| json!({ "name": sub_name(*code), "code": code, "space": VENDOR_SPACE, "type": "string" }))
            .collect(),
        (Value::Text(_), _) => Vec::new(),
    }
}

fn data(option: &DhcpOption) -> Vec<Json> {
    match &option.value {
        Value::Text(text) => {
            let name = if option.code == 66 { "tftp-server-name" } else { "boot-server" };
            vec![json!({ "name": name, "data": escaped(text) })]
        }
        Value::Addresses(addresses) => {
            let list = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            vec![json!({ "name": "tftp-servers", "data": list })]
        }
        Value::SubOptions(parts) => {
            let parts = parts
                .iter()
                .map(|(code, text)| json!({ "name": sub_name(*code), "space": VENDOR_SPACE, "data": escaped(text) }));
            parts.chain([json!({ "name": "vendor-encapsulated-options" })]).collect()
        }
    }
}

fn sub_name(code: u8) -> String {
    format!("boot-server-{code}")
}

/// A comma would separate fields.
fn escaped(text: &str) -> String {
    text.replace(',', "\\,")
}
