//! `provost trust`: what certificates are, and a vendor's pack sorted. Trust itself is given in the configuration alone.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context as _;
use provost_tenants::trust::{self, Description, Sort, Written};

use crate::cli::TrustCommand;
use crate::terminal::{self, FAINT, HEADING};

/// Runs the subcommand.
pub(crate) fn run(command: &TrustCommand, output: &mut impl Write) -> anyhow::Result<()> {
    match command {
        TrustCommand::Show { files } => show_all(files, output),
        TrustCommand::Import { dir, into } => import(dir, into, output),
    }
}

/// A file that cannot be used does not hide the others.
fn show_all(files: &[PathBuf], output: &mut impl Write) -> anyhow::Result<()> {
    let mut refused = Vec::new();
    for file in files {
        if let Err(error) = show(file, output) {
            refused.push(format!("{error:#}"));
        }
    }
    anyhow::ensure!(refused.is_empty(), refused.join("\n"));
    Ok(())
}

fn show(file: &Path, output: &mut impl Write) -> anyhow::Result<()> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let certificates = trust::certificates_in(&bytes).with_context(|| format!("cannot use {}", file.display()))?;
    for (index, certificate) in certificates.iter().enumerate() {
        let description = trust::describe(certificate, SystemTime::now())
            .with_context(|| format!("number {} of {} is no certificate", index + 1, file.display()))?;
        writeln!(output, "{} ({} of {})", terminal::paint(HEADING, file.display()), index + 1, certificates.len())?;
        describe(&description, output)?;
    }
    Ok(())
}

fn describe(certificate: &Description, output: &mut impl Write) -> anyhow::Result<()> {
    let mut line = |label: &str, value: String| writeln!(output, "  {label:<12}{value}");
    line("subject", certificate.subject.clone())?;
    line("issuer", certificate.issuer.clone())?;
    line("serial", certificate.serial.clone())?;
    line("key", certificate.key.to_string())?;
    line("signed with", certificate.hash.to_string())?;
    line("version", certificate.version.to_string())?;
    line("valid", format!("{} to {}", time(certificate.not_before), time(certificate.not_after)))?;
    line("sha256", certificate.fingerprint.to_string())?;
    if !certificate.legacy.is_empty() {
        line("needs", trust::spelled(&certificate.legacy))?;
    }
    line("is", role(certificate))?;
    match certificate.device() {
        Some((place, mac)) => {
            let rule = format!("mac = {{ attribute = \"{}\", pattern = \"{}\" }}", place.attribute, place.pattern);
            line("proves", format!("{mac}, with {rule}"))?;
        }
        None if certificate.is_ca => {}
        None => {
            line("proves", "no device in the usual places:".to_owned())?;
            let mut whys: Vec<String> =
                certificate.devices.iter().filter_map(|(_, device)| Some(device.as_ref().err()?.to_string())).collect();
            whys.sort_unstable();
            whys.dedup();
            for why in whys {
                writeln!(output, "              {}", terminal::paint(FAINT, why))?;
            }
        }
    }
    Ok(())
}

fn role(certificate: &Description) -> String {
    let role = match (certificate.is_ca, certificate.is_self_signed) {
        (true, true) => "a root authority: an anchor",
        (true, false) => "an intermediate authority; an anchor, where the chains that phones send end at it",
        (false, true) => "self-signed, and no authority",
        (false, false) => "a leaf: a device's or a server's",
    };
    role.to_owned()
}

/// A time as the day and the second in UTC.
fn time(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| "far away".to_owned(), |time| format!("{time:.0}"))
}

fn import(dir: &Path, into: &Path, output: &mut impl Write) -> anyhow::Result<()> {
    let report = trust::import(dir, into)?;
    let mut line = |style, verb: &str, path: &Path, rest: String| {
        writeln!(output, "{} {}: {rest}", terminal::paint(style, format_args!("{verb:<10}")), path.display())
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
        line(style, verb, &file.source, format!("{sort} {} -> {}", file.description.subject, file.target.display()))?;
    }
    for (path, description) in &report.leaves {
        line(terminal::CARE, "leaf", path, format!("{} is no authority and was not written", description.subject))?;
    }
    for refused in &report.refused {
        line(terminal::BAD, "refused", &refused.source, refused.why.to_string())?;
    }
    for (path, first) in &report.duplicates {
        line(FAINT, "duplicate", path, format!("stands in {} already", first.display()))?;
    }
    for (path, why) in &report.unreadable {
        line(terminal::CARE, "skipped", path, why.clone())?;
    }
    writeln!(
        output,
        "Name the folder in a trust set to believe it:  anchors = [\"{}/*.pem\"]",
        into.join("anchors").display()
    )?;
    Ok(())
}
