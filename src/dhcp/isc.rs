//! ISC dhcpd: dhcpd.conf(5) and dhcp-options(5).

use super::{Advice, Standing, Value};

pub(super) fn text(advice: &Advice) -> String {
    let mut lines: Vec<String> = advice.heading().into_iter().map(|line| format!("# {line}")).collect();
    lines.push("# Outside of any subnet:".into());
    lines.extend(advice.options.iter().filter_map(|option| {
        let (name, form) = definition(option.code)?;
        Some(commented(option.standing, format!("option {name} code {} = {form};", option.code)))
    }));
    lines.push("# In the subnet, pool or class of the phones:".into());
    for option in &advice.options {
        let value = match &option.value {
            Value::Text(text) => format!("\"{text}\""),
            Value::Addresses(addresses) => addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            Value::SubOptions(_) => option.value.hex(":"),
        };
        lines.push(format!("# {}", option.note()));
        lines.push(commented(option.standing, format!("option {} {value};", name(option.code))));
    }
    lines.join("\n") + "\n"
}

/// The options that dhcpd does not know by itself: name and form.
fn definition(code: u8) -> Option<(&'static str, &'static str)> {
    match code {
        100 => Some(("time-zone-posix", "text")),
        101 => Some(("time-zone-name", "text")),
        150 => Some(("tftp-servers", "array of ip-address")),
        160 => Some(("boot-server", "string")),
        _ => None,
    }
}

fn name(code: u8) -> String {
    match (code, definition(code)) {
        (_, Some((name, _))) => name.to_owned(),
        (43, None) => "vendor-encapsulated-options".to_owned(),
        (66, None) => "tftp-server-name".to_owned(),
        (other, None) => format!("unknown-{other}"),
    }
}

fn commented(standing: Standing, line: String) -> String {
    match standing {
        Standing::Given => line,
        Standing::ToComplete => format!("# {line}"),
    }
}
