//! `MikroTik` `RouterOS`: commands for its terminal.

use super::{Advice, Standing, Value};

pub(super) fn text(advice: &Advice) -> String {
    let tenant = &advice.tenant;
    let mut lines: Vec<String> = advice.heading().into_iter().map(|line| format!("# {line}")).collect();
    let mut names = Vec::new();
    for option in &advice.options {
        let value = match &option.value {
            // `s'…'` keeps a text a text; `'…'` alone would read an address.
            Value::Text(text) => format!("\"s'{text}'\""),
            Value::Addresses(addresses) => {
                let addresses: Vec<String> = addresses.iter().map(|address| format!("'{address}'")).collect();
                format!("\"{}\"", addresses.concat())
            }
            Value::SubOptions(_) => format!("0x{}", option.value.hex("")),
        };
        let code = option.code;
        let command = format!("/ip dhcp-server option add name={tenant}-{code} code={code} value={value}");
        lines.push(format!("# {}", option.note()));
        match option.standing {
            Standing::Given => {
                names.push(format!("{tenant}-{code}"));
                lines.push(command);
            }
            Standing::ToComplete => lines.push(format!("# {command}")),
        }
    }
    lines.push(format!("/ip dhcp-server option sets add name={tenant} options={}", names.join(",")));
    lines.push("# And for the network of the phones:".into());
    lines.push(format!("# /ip dhcp-server network set [find address=…] dhcp-option-set={tenant}"));
    lines.join("\n") + "\n"
}
