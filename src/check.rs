//! `provost check`: everything that is wrong, or worth knowing, in the configuration.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use provost_core::rules::{Origin, Readers, Rule, Writers};
use provost_tenants::config::Problems;
use provost_tenants::{Deployment, Tenant};

use crate::cli::CheckArgs;
use crate::configuration;
use crate::terminal::{self, table};

/// Checks and reports.
pub(crate) fn run(args: &CheckArgs, output: &mut impl Write) -> anyhow::Result<ExitCode> {
    let (problems, deployment) = match configuration::load(&args.config.config) {
        Ok(mut loaded) => {
            loaded.look_at_folders();
            (loaded.problems, Some(loaded.deployment))
        }
        Err(configuration::Refused(problems)) => (problems, None),
    };
    for problem in problems.iter() {
        writeln!(output, "{problem}")?;
    }
    if let (true, Some(deployment)) = (args.rules, &deployment) {
        deployment.tenants.iter().try_for_each(|tenant| print_rules(tenant, output))?;
    }
    match deployment {
        Some(deployment) if !problems.has_errors() && deployment.tenants.is_empty() => {
            let failed = terminal::paint(terminal::BAD, "failed:");
            writeln!(output, "{failed} there is no tenant, so nothing to serve{}", warnings(&problems))?;
            Ok(ExitCode::FAILURE)
        }
        Some(deployment) if !problems.has_errors() => {
            let ok = terminal::paint(terminal::GOOD, "ok:");
            writeln!(output, "{ok} {}{}", summary(&deployment), warnings(&problems))?;
            Ok(ExitCode::SUCCESS)
        }
        Some(_) | None => {
            let failed = terminal::paint(terminal::BAD, "failed:");
            let errors = count(problems.errors().count(), "error");
            writeln!(output, "{failed} {errors}{}", warnings(&problems))?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn summary(deployment: &Deployment) -> String {
    let enabled = |tenant: &Arc<Tenant>| tenant.listeners.iter().filter(|listener| listener.policy.enabled).count();
    let listeners = deployment.tenants.iter().filter(|tenant| tenant.policy.enabled).map(enabled).sum();
    let devices = deployment.tenants.iter().map(|tenant| tenant.devices.len()).sum();
    [(deployment.tenants.len(), "tenant"), (listeners, "listener"), (devices, "device")]
        .map(|(number, what)| count(number, what))
        .join(", ")
}

fn warnings(problems: &Problems) -> String {
    match problems.warnings().count() {
        0 => String::new(),
        some => format!(", {}", count(some, "warning")),
    }
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn print_rules(tenant: &Tenant, output: &mut impl Write) -> anyhow::Result<()> {
    writeln!(output, "{}", terminal::paint(terminal::HEADING, format_args!("Rules of tenant {}", tenant.policy.name)))?;
    let rows = tenant.policy.rules.iter().map(row);
    writeln!(output, "{}\n", table(["pattern", "read", "write", "kind", "origin"], rows))?;
    Ok(())
}

fn row(rule: &Rule) -> [String; 5] {
    let read = rule.read.unwrap_or(Readers::Nobody).to_string();
    let write = rule.write.unwrap_or(Writers::Nobody).to_string();
    let origin = match rule.origin {
        Origin::Operator => "operator",
        Origin::BuiltIn => "built in",
    };
    [rule.pattern.to_string(), read, write, rule.kind.to_string(), origin.to_owned()]
}
