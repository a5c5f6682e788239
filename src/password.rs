//! `provost password`: the form in which a password is stored, and which passwords are in use still.

use std::io::{self, BufRead as _, IsTerminal as _, Write};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use provost_core::Mac;
use provost_protocols::admin::{Answer, Request};
use provost_protocols::passwords::{PasswordReport, PasswordUse};
use provost_tenants::config;
use provost_tenants::passwords::{Cost, Ha1, Slow};

use crate::cli::{PasswordCommand, PasswordHashArgs, PasswordReportArgs};
use crate::status::{self, ask};
use crate::terminal::{HEADING, paint, table};

/// The longest password that is read, in bytes.
const LONGEST: usize = 1024;

/// Runs the subcommand.
pub(crate) fn run(command: &PasswordCommand, output: &mut impl Write) -> anyhow::Result<ExitCode> {
    match command {
        PasswordCommand::Hash(args) => hash(args, output),
        PasswordCommand::Report(args) => report(args, output),
    }
}

fn hash(args: &PasswordHashArgs, output: &mut impl Write) -> anyhow::Result<ExitCode> {
    let stored = if args.argon2 {
        Slow::store(password()?.as_bytes(), Cost::default())?
    } else {
        let (Some(user), Some(realm)) = (&args.user, &args.realm) else {
            bail!("a stored form for Digest is of one user in one realm: give --user and --realm, or --argon2");
        };
        // As the server looks for it.
        let user = user.parse::<Mac>().map_or_else(|_| user.clone(), |mac| mac.to_string());
        if user.is_empty() || user.contains(':') {
            bail!("a user's name is not empty and has no `:`");
        }
        if !config::is_name(realm) {
            bail!(
                "no tenant can have the name `{realm}`, and a tenant's name is the realm: expected 1 to 63 of a-z, 0-9 and -"
            );
        }
        Ha1::of(user.as_bytes(), realm, password()?.as_bytes()).to_string()
    };
    writeln!(output, "{stored}")?;
    Ok(ExitCode::SUCCESS)
}

/// From the terminal without echo, twice; else the first line of standard input.
fn password() -> anyhow::Result<String> {
    let password = if io::stdin().is_terminal() {
        let ask = |prompt: &str| rpassword::prompt_password(prompt).context("cannot read the password");
        let password = ask("Password: ")?;
        if ask("Once more: ")? != password {
            bail!("the two differ");
        }
        password
    } else {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).context("cannot read the password")?;
        line.strip_suffix('\n').map_or(line.as_str(), |line| line.strip_suffix('\r').unwrap_or(line)).to_owned()
    };
    if password.is_empty() || password.len() > LONGEST {
        bail!("expected a password of 1 to {LONGEST} bytes");
    }
    Ok(password)
}

fn report(args: &PasswordReportArgs, output: &mut impl Write) -> anyhow::Result<ExitCode> {
    let request = Request::Passwords { tenant: args.tenant.clone() };
    let report = match ask(&args.config.config, &request)? {
        Answer::Passwords(report) => report,
        Answer::Status(_) | Answer::Reload(_) | Answer::Explained { .. } | Answer::Refused { .. } => {
            bail!(status::SOMETHING_ELSE)
        }
    };
    if args.json {
        writeln!(output, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        print(&report, output)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(report: &PasswordReport, output: &mut impl Write) -> anyhow::Result<()> {
    let PasswordReport { tenant, since, shared, own } = report;
    let heading = paint(HEADING, format_args!("Passwords of tenant {tenant}"));
    writeln!(output, "{heading}, counted since {since:.0}\n")?;
    if !shared.is_empty() {
        let header = ["user", "number", "stored as", "expires", "devices", "last used"];
        writeln!(output, "{}\n", table(header, shared.iter().map(row)))?;
    }
    let stored = [(own.plain, "plain"), (own.ha1, "ha1"), (own.argon2id, "argon2id")];
    let stored: Vec<String> =
        stored.iter().filter(|(count, _)| *count > 0).map(|(count, form)| format!("{count} {form}")).collect();
    if stored.is_empty() {
        writeln!(output, "no device has a password of its own")?;
    } else {
        let used = devices(own.devices, own.or_more);
        writeln!(
            output,
            "passwords of single devices: {}; used by {used} devices, last {}",
            stored.join(", "),
            time(own.last_used)
        )?;
    }
    Ok(())
}

fn row(used: &PasswordUse) -> [String; 6] {
    [
        used.user.clone(),
        used.number.to_string(),
        used.form.clone(),
        used.expires.map_or_else(|| "never".to_owned(), |day| day.to_string()),
        devices(used.devices, used.or_more),
        time(used.last_used),
    ]
}

fn devices(count: usize, or_more: bool) -> String {
    if or_more { format!("{count} or more") } else { count.to_string() }
}

fn time(time: Option<jiff::Timestamp>) -> String {
    time.map_or_else(|| "never".to_owned(), |time| format!("{time:.0}"))
}
