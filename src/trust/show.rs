//! `provost trust show`: what certificates are, what tolerating them takes, and which device they would prove.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use provost_core::NoIdentity;
use provost_core::proof::CertificateIdentity;
use provost_protocols::tls::identity_by;
use provost_tenants::trust::{self, Description, Legacy, SignatureHash, TrustSet, spelled};

use crate::configuration;
use crate::terminal::{self, BAD, FAINT, GOOD, HEADING};

/// Shows each file. One that cannot be used does not hide the others.
pub(super) fn run(config: Option<&Path>, files: &[PathBuf], output: &mut impl Write) -> anyhow::Result<()> {
    let sets = config.map(|config| configured(config, output)).transpose()?;
    let mut refused = Vec::new();
    for file in files {
        if let Err(error) = show(file, sets.as_deref(), output) {
            refused.push(format!("{error:#}"));
        }
    }
    anyhow::ensure!(refused.is_empty(), refused.join("\n"));
    Ok(())
}

/// The trust sets of the configuration. What is wrong with others is told before.
fn configured(config: &Path, output: &mut impl Write) -> anyhow::Result<Vec<Arc<TrustSet>>> {
    let (sets, problems) = configuration::trust_sets(config)?;
    problems.iter().try_for_each(|problem| writeln!(output, "{problem}"))?;
    Ok(sets)
}

fn show(file: &Path, sets: Option<&[Arc<TrustSet>]>, output: &mut impl Write) -> anyhow::Result<()> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let certificates = trust::certificates_in(&bytes).with_context(|| format!("cannot use {}", file.display()))?;
    let mut descriptions = Vec::new();
    for (index, certificate) in certificates.iter().enumerate() {
        let description = trust::describe(certificate, SystemTime::now())
            .with_context(|| format!("number {} of {} is no certificate", index + 1, file.display()))?;
        writeln!(output, "{} ({} of {})", terminal::paint(HEADING, file.display()), index + 1, certificates.len())?;
        describe(&description, output)?;
        match sets {
            _ if description.is_ca => {}
            None => usual_places(&description, output)?,
            Some(sets) => {
                // The leaf, and whatever else the file holds, as a phone would send it.
                let others = certificates.iter().enumerate().filter(|(other, _)| *other != index);
                let chain: Vec<_> =
                    std::iter::once(certificate).chain(others.map(|(_, other)| other)).cloned().collect();
                by_sets(sets, |set| identity_by(set, &chain), output)?;
            }
        }
        descriptions.push(description);
    }
    if descriptions.len() > 1 {
        let needs = match of_chain(&descriptions) {
            legacy if legacy.is_empty() => "no legacy option".to_owned(),
            legacy => spelled(&legacy),
        };
        writeln!(output, "{}: all of it together needs {needs}", terminal::paint(HEADING, file.display()))?;
    }
    Ok(())
}

/// What a set needs to believe the chain with its self-signed CAs as anchors.
fn of_chain(descriptions: &[Description]) -> Vec<Legacy> {
    let of_one = |one: &Description| {
        if is_root(one) { one.legacy_as_anchor.clone() } else { one.legacy.clone() }
    };
    let mut legacy: Vec<Legacy> = descriptions.iter().flat_map(of_one).collect();
    legacy.sort_unstable();
    legacy.dedup();
    legacy
}

/// Whether it can be nothing but an anchor. What is of version 1 and signed itself is told as one.
fn is_root(certificate: &Description) -> bool {
    certificate.is_self_signed && (certificate.is_ca || certificate.version < 3)
}

fn describe(certificate: &Description, output: &mut impl Write) -> anyhow::Result<()> {
    let mut line = |label: &str, value: String| writeln!(output, "  {label:<12}{value}");
    line("subject", certificate.subject.clone())?;
    line("issuer", certificate.issuer.clone())?;
    line("serial", certificate.serial.clone())?;
    line("key", certificate.key.to_string())?;
    line("signed with", certificate.hash.to_string())?;
    line("version", certificate.version.to_string())?;
    let span = format!("{} to {}", time(certificate.not_before), time(certificate.not_after));
    line("valid", span + elapsed(certificate, SystemTime::now()))?;
    line("sha256", certificate.fingerprint.to_string())?;
    line("is", role(certificate).to_owned())?;
    for needs in needs(certificate) {
        line("needs", needs)?;
    }
    Ok(())
}

fn elapsed(certificate: &Description, now: SystemTime) -> &'static str {
    match (now < certificate.not_before, now > certificate.not_after) {
        (true, _) => ", not yet",
        (false, true) => ", expired",
        (false, false) => "",
    }
}

/// What believing it takes.
fn needs(certificate: &Description) -> Vec<String> {
    let mut needs = Vec::new();
    if certificate.is_ca || is_root(certificate) {
        let as_anchor = &certificate.legacy_as_anchor;
        if !as_anchor.is_empty() {
            needs.push(format!("{} as an anchor", spelled(as_anchor)));
        }
        if !is_root(certificate) && certificate.legacy != *as_anchor {
            needs.push(format!("{} inside a chain that a phone sends", spelled(&certificate.legacy)));
        }
    } else if !certificate.legacy.is_empty() {
        needs.push(spelled(&certificate.legacy));
    }
    if certificate.hash == SignatureHash::Md5 && !certificate.is_self_signed {
        needs.push("more than any option gives: a signature with MD5 is never believed".to_owned());
    }
    if certificate.key.is_unusable() {
        needs.push(format!("more than any option gives: nothing verifies with its key, {}", certificate.key));
    }
    needs
}

fn role(certificate: &Description) -> &'static str {
    match (certificate.is_ca, certificate.is_self_signed) {
        (true, true) => "a root authority: an anchor",
        (true, false) => "an intermediate authority; an anchor, where the chains that phones send end at it",
        (false, true) if certificate.version < 3 => {
            "of version 1 and signed by itself: an anchor, if it is an authority"
        }
        (false, true) => "self-signed, and no authority",
        (false, false) => "a leaf: a device's or a server's",
    }
}

/// Where the vendors' usual forms find a device.
fn usual_places(certificate: &Description, output: &mut impl Write) -> anyhow::Result<()> {
    let mut found = false;
    for (place, mac) in certificate.devices.iter().filter_map(|(place, device)| Some((place, device.as_ref().ok()?))) {
        let rule = format!("mac = {{ attribute = \"{}\", pattern = \"{}\" }}", place.attribute, place.pattern);
        writeln!(output, "  {:<12}{mac}, with {rule}, as of {}", "proves", place.vendors)?;
        found = true;
    }
    if found {
        return Ok(());
    }
    writeln!(output, "  {:<12}no device in the usual places:", "proves")?;
    for (place, device) in &certificate.devices {
        if let Err(why) = device {
            let of = format!("{}, pattern {} ({}): {why}", place.attribute, place.pattern, place.vendors);
            writeln!(output, "              {}", terminal::paint(FAINT, of))?;
        }
    }
    Ok(())
}

/// What each trust set of the configuration says of the chain.
fn by_sets(
    sets: &[Arc<TrustSet>],
    judge: impl Fn(&Arc<TrustSet>) -> Result<CertificateIdentity, NoIdentity>,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    if sets.is_empty() {
        writeln!(output, "  {:<12}nothing: the configuration has no trust set that can be used", "proves")?;
    }
    for set in sets {
        let said = match judge(set) {
            Ok(identity) => terminal::paint(GOOD, format_args!("{}, by trust set {}", identity.mac, set.name)),
            Err(why) => terminal::paint(BAD, format_args!("no device, by trust set {}: {why}", set.name)),
        };
        writeln!(output, "  {:<12}{said}", "proves")?;
    }
    Ok(())
}

/// A time as the day and the second in UTC.
fn time(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| "far away".to_owned(), |time| format!("{time:.0}"))
}
