//! `provost trust import`: what became of each file of a vendor's pack, and what a trust set needs to use it.

use std::io::Write;
use std::path::Path;

use anyhow::bail;
use provost_core::text::escaped;
use provost_tenants::trust::{self, ImportReport, Sort, Written, spelled};

use crate::terminal::{self, FAINT};

pub(super) fn import(dir: &Path, into: &Path, output: &mut impl Write) -> anyhow::Result<()> {
    let report = trust::import(dir, into)?;
    let mut line = |style, verb: &str, path: &Path, rest: String| {
        writeln!(output, "{} {}: {rest}", terminal::paint(style, format_args!("{verb:<10}")), shown(path))
    };
    for file in &report.imported {
        let sort = match file.sort {
            Sort::Anchor => "anchor",
            Sort::Intermediate => "intermediate",
        };
        let (style, verb) = match file.written {
            Written::New => (terminal::GOOD, "written"),
            Written::Unchanged => (FAINT, "unchanged"),
            Written::Conflict => (terminal::BAD, "conflict"),
        };
        let needs = match &file.description.legacy_as_anchor {
            legacy if legacy.is_empty() => String::new(),
            legacy => format!(", which needs {}", spelled(legacy)),
        };
        let subject = &file.description.subject;
        line(style, verb, &file.source, format!("{sort} {subject} -> {}{needs}", shown(&file.target)))?;
    }
    for (path, description) in &report.leaves {
        let needs = match &description.legacy {
            legacy if legacy.is_empty() => String::new(),
            legacy => format!("; such phones need {}", spelled(legacy)),
        };
        let subject = &description.subject;
        line(terminal::CARE, "leaf", path, format!("{subject} is no authority and was not written{needs}"))?;
    }
    for refused in &report.refused {
        line(terminal::BAD, "refused", &refused.source, refused.why.to_string())?;
    }
    for (path, first) in &report.duplicates {
        line(FAINT, "duplicate", path, format!("stands in {} already", shown(first)))?;
    }
    for (path, why) in &report.unreadable {
        line(terminal::CARE, "skipped", path, why.to_string())?;
    }
    if report.imported.is_empty() {
        bail!("no certificate of an authority was found in {}", dir.display());
    }
    advise(&report, into, output)
}

/// A path of a pack, whose names are its vendor's.
fn shown(path: &Path) -> String {
    escaped(&path.display().to_string())
}

/// What a trust set says to use what was imported.
fn advise(report: &ImportReport, into: &Path, output: &mut impl Write) -> anyhow::Result<()> {
    // In full: a relative path in a configuration counts from there, and nobody knows from where this was called.
    let folder = std::path::absolute(into)?;
    if report.imported.iter().any(|file| file.sort == Sort::Anchor) {
        writeln!(
            output,
            "Name the folder in a trust set to believe it:  anchors = [\"{}/anchors/*.pem\"]",
            folder.display()
        )?;
    } else {
        let folder = folder.display();
        writeln!(
            output,
            "None issued itself. To believe them all the same:  anchors = [\"{folder}/intermediates/*.pem\"]"
        )?;
    }
    let legacy = report.legacy();
    if !legacy.is_empty() {
        let ouis = if legacy.iter().any(|legacy| legacy.is_forgeable()) { ", and ouis" } else { "" };
        writeln!(
            output,
            "The set needs {}{ouis}; what phones of it need, `provost trust show` tells of one's certificate.",
            spelled(&legacy)
        )?;
    }
    Ok(())
}
