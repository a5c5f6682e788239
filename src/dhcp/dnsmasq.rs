//! dnsmasq: lines of dnsmasq.conf.

use super::{Advice, Standing, Value};

pub(super) fn text(advice: &Advice) -> String {
    let mut lines: Vec<String> = advice.heading().into_iter().map(|line| format!("# {line}")).collect();
    for option in &advice.options {
        let value = match &option.value {
            Value::Text(text) => format!("\"{text}\""),
            Value::Addresses(addresses) => addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            Value::SubOptions(_) => option.value.hex(":"),
        };
        let mark = match option.standing {
            Standing::Given => "",
            Standing::ToComplete => "#",
        };
        lines.push(format!("# {}", option.note()));
        lines.push(format!("{mark}dhcp-option={},{value}", option.code));
    }
    lines.join("\n") + "\n"
}
