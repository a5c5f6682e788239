//! `provost reload`: the running server reads its configuration anew, and what changed is printed.

use std::io::Write;
use std::process::ExitCode;

use anyhow::bail;
use provost_protocols::admin::{Answer, Request};
use provost_protocols::server::{Changed, Renewal, Waits};

use crate::cli::ReloadArgs;
use crate::status::{self, ask};
use crate::terminal::{BAD, CARE, GOOD, paint};

/// Asks for it, and prints what the server says.
pub(crate) fn run(args: &ReloadArgs, output: &mut impl Write) -> anyhow::Result<ExitCode> {
    let renewal = match ask(&args.config.config, &Request::Reload { accept_removals: args.accept_removals })? {
        Answer::Reload(renewal) => renewal,
        Answer::Status(_) | Answer::Explained { .. } | Answer::Passwords(_) | Answer::Refused { .. } => {
            bail!(status::SOMETHING_ELSE)
        }
    };
    if args.json {
        writeln!(output, "{}", serde_json::to_string_pretty(&renewal)?)?;
    } else {
        print(&renewal, output)?;
    }
    Ok(if renewal.has_errors() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(renewal: &Renewal, output: &mut impl Write) -> anyhow::Result<()> {
    for tenant in &renewal.added {
        writeln!(output, "{} {tenant}", paint(GOOD, "added"))?;
    }
    for tenant in &renewal.removed {
        writeln!(output, "{} {tenant}", paint(CARE, "removed"))?;
    }
    for changed in &renewal.changed {
        writeln!(output, "{} {}", paint(CARE, "changed"), describe(changed))?;
    }
    if renewal.arrivals_changed {
        writeln!(output, "{} [arrivals]", paint(CARE, "changed"))?;
    }
    for Waits { tenant, listener, address, reason } in &renewal.waiting {
        writeln!(output, "{} {tenant} {listener} at {address}, which is tried again: {reason}", paint(CARE, "waits"))?;
    }
    for key in &renewal.pending {
        writeln!(output, "{} what changed in {key} counts from the next start", paint(CARE, "pending"))?;
    }
    for kept in &renewal.kept {
        let state = if kept.is_served { "is served as it was before" } else { "is not served" };
        writeln!(output, "{} tenant {} {state}:", paint(BAD, "error:"), kept.tenant)?;
        kept.errors.iter().try_for_each(|error| writeln!(output, "  {error}"))?;
    }
    for error in &renewal.errors {
        writeln!(output, "{} {error}", paint(BAD, "error:"))?;
    }
    if !renewal.errors.is_empty() {
        writeln!(output, "nothing was changed")?;
        return Ok(());
    }
    match renewal.unchanged {
        1 => writeln!(output, "1 tenant is as it was")?,
        several => writeln!(output, "{several} tenants are as they were")?,
    }
    Ok(())
}

fn describe(changed: &Changed) -> String {
    let mut parts = vec![changed.tenant.clone()];
    if !changed.bound.is_empty() {
        parts.push(format!("listens anew: {}", changed.bound.join(", ")));
    }
    if !changed.closed.is_empty() {
        parts.push(format!("closed: {}", changed.closed.join(", ")));
    }
    parts.extend(changed.devices.clone());
    parts.join("; ")
}
