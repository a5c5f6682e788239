//! Rules: `[[rule]]`.

use provost_core::rules::{Gap, Origin, Pattern, Readers, TftpOption, Writers};
use provost_core::{Kind, Prefer, Rule};

use super::field::Field;
use super::section::Section;

const READERS: [(&str, Readers); 4] =
    [("nobody", Readers::Nobody), ("own", Readers::Own), ("device", Readers::Device), ("anyone", Readers::Anyone)];
const KINDS: [(&str, Kind); 3] = [("file", Kind::File), ("settings", Kind::Settings), ("log", Kind::Log)];

const OPTIONS: [(&str, TftpOption); 4] = [
    ("blksize", TftpOption::BlockSize),
    ("timeout", TftpOption::Timeout),
    ("tsize", TftpOption::TransferSize),
    ("windowsize", TftpOption::WindowSize),
];

/// The operator's rules in their order.
pub(super) fn read(sections: Vec<Section<'_>>) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for section in sections {
        let Some((rule, path)) = rule(section) else { continue };
        if let Some(first) = rules.iter().position(|other| other.pattern == rule.pattern) {
            path.refuse(format!("is idle: rule[{first}] has the same path, and the first that matches decides"));
        }
        rules.push(rule);
    }
    rules
}

fn rule(mut section: Section<'_>) -> Option<(Rule, Field<'_>)> {
    let path = section.need("path", "a glob over paths, such as \"firmware/**\" or \"{mac}.cfg\"");
    let pattern = path.as_ref().and_then(|field| field.explained::<Pattern>("a glob over paths"));
    let read_field = section.take("read");
    let read = read_field.as_ref().and_then(|field| field.choice(&READERS));
    let write_field = section.take("write");
    let write = write_field.as_ref().and_then(writers);
    if read_field.is_none() && write_field.is_none() {
        section.refuse("denies everything by saying nothing: expected `read` or `write`, or both");
    }
    if let (Some(pattern), Some(path)) = (&pattern, &path)
        && (read == Some(Readers::Own) || write == Some(Writers::Own))
        && !pattern.names_device()
    {
        path.refuse("`own` needs `{mac}` in the path: it says whose file it is");
    } else if let Some(path) = &path
        && let Some(device) = pattern.as_ref().and_then(Pattern::spells_device)
    {
        path.refuse(format!(
            "is idle: a path that names a device, as {device}, matches only patterns with `{{mac}}`; `blocked` in \
             `devices.file` shuts one out"
        ));
    }
    let kind = section.take("kind").and_then(|field| field.choice(&KINDS)).unwrap_or_default();
    let prefer = section.take("prefer");
    let prefer = prefer.and_then(|field| field.choice(&[("uploads", Prefer::Uploads), ("root", Prefer::Root)]));
    let (gap, max_size) = match kind {
        Kind::Log => log(&mut section),
        Kind::File | Kind::Settings => {
            section.misplaced("gap", "is of rules with `kind = \"log\"` only");
            section.misplaced("max_size", "is of rules with `kind = \"log\"` only");
            (None, None)
        }
    };
    let tftp_options = section.take("tftp_options").map_or_else(|| TftpOption::ALL.to_vec(), |field| options(&field));
    warn(&section, pattern.as_ref(), read, write);
    section.finish();
    let rule = Rule {
        pattern: pattern?,
        read,
        write,
        kind,
        prefer: prefer.unwrap_or_default(),
        gap: gap.unwrap_or_default(),
        max_size,
        tftp_options,
        origin: Origin::Operator,
    };
    Some((rule, path?))
}

fn writers(field: &Field<'_>) -> Option<Writers> {
    if matches!(field.text("`nobody` or `own`")?, "device" | "anyone") {
        field.refuse("expected `nobody` or `own`: else one phone could overwrite what another reads");
        return None;
    }
    field.choice(&[("nobody", Writers::Nobody), ("own", Writers::Own)])
}

/// All of them, none, or those of a list.
fn options(field: &Field<'_>) -> Vec<TftpOption> {
    if let Some(all) = field.maybe_flag() {
        return if all { TftpOption::ALL.to_vec() } else { Vec::new() };
    }
    let items = field.items_or("true, false or a list, such as [\"blksize\", \"tsize\"]");
    items.iter().filter_map(|item| item.choice(&OPTIONS)).collect()
}

fn log(section: &mut Section<'_>) -> (Option<Gap>, Option<u64>) {
    let gap = section.take("gap").and_then(|field| field.choice(&[("append", Gap::Append), ("refuse", Gap::Refuse)]));
    let max_size = section.take("max_size").and_then(|field| field.size());
    (gap, max_size)
}

fn warn(section: &Section<'_>, pattern: Option<&Pattern>, read: Option<Readers>, write: Option<Writers>) {
    if write == Some(Writers::Own) && pattern.is_some_and(lets_name_folders) {
        section.warn("lets each device make folders of any name: name the folder that it writes to");
    }
    if pattern.is_some_and(Pattern::spells_half_a_device) {
        section.warn(
            "is for files of no device: a path that names one matches only patterns with `{mac}`, of whatever vendor it is",
        );
    }
    let of_device = pattern.is_some_and(Pattern::names_device);
    match read {
        Some(Readers::Anyone) => {
            section.warn("opens these files to whoever reaches a listener, without any proof");
        }
        Some(Readers::Device) if of_device => section.warn("opens each device's files to every device of the tenant"),
        Some(Readers::Device | Readers::Own | Readers::Nobody) | None => {}
    }
}

/// Whether a folder before the device's address is whatever the device says.
fn lets_name_folders(pattern: &Pattern) -> bool {
    if pattern.fits_every_name() {
        return true;
    }
    let pattern = pattern.to_string();
    let folders = pattern.split_once("{mac}").and_then(|(before, _)| before.rsplit_once('/'));
    folders.is_some_and(|(folders, _)| folders.contains(['*', '?', '[']))
}
