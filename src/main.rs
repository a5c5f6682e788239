//! The command line of Provost, a provisioning server for IP phones: thin, over the crates that do the work.
//!
//! Each command stands in a module of its own and writes to the output that it is handed. Errors end up here, and become
//! `error: …` lines and an exit status.
#![forbid(unsafe_code)]

mod check;
mod cli;
mod configuration;
mod demo;
mod dhcp;
mod events;
mod explain;
mod generate;
mod notify;
mod password;
mod reload;
mod running;
mod serve;
mod status;
mod terminal;
mod trust;
mod uploads;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Command};
use crate::configuration::Refused;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut output = anstream::stdout().lock();
    let outcome = match &cli.command {
        Command::Demo(args) => {
            // The server writes its records to the same place.
            drop(output);
            return end(demo::run(args).map(|()| ExitCode::SUCCESS));
        }
        Command::Serve(args) => {
            drop(output);
            return end(serve::run(args).map(|()| ExitCode::SUCCESS));
        }
        Command::Check(args) => check::run(args, &mut output),
        Command::Explain(args) => {
            // A question that finds no answer must not look like a denial.
            explain::run(args, &mut output).or_else(|error| unanswered(error, ExitCode::from(2)))
        }
        Command::Status(args) => status::run(args, &mut output),
        Command::Reload(args) => reload::run(args, &mut output),
        Command::Uploads(args) => uploads::run(&args.command, &mut output).map(|()| ExitCode::SUCCESS),
        Command::Password(args) => password::run(&args.command, &mut output),
        Command::Trust(args) => trust::run(&args.command, &mut output).map(|()| ExitCode::SUCCESS),
        Command::Dhcp(args) => dhcp::run(args, &mut output).map(|()| ExitCode::SUCCESS),
        Command::Generate(args) => generate::run(args).map(|()| ExitCode::SUCCESS),
    };
    let flushed = output.flush();
    end(outcome.and_then(|code| flushed.map(|()| code).map_err(Into::into)))
}

fn end(outcome: anyhow::Result<ExitCode>) -> ExitCode {
    match outcome {
        Ok(code) => code,
        // Whoever read has read enough: `provost … | head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

fn unanswered(error: anyhow::Error, code: ExitCode) -> anyhow::Result<ExitCode> {
    if is_broken_pipe(&error) {
        return Err(error);
    }
    report(&error);
    Ok(code)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// Says what went wrong, one line an error. Where even standard error is gone there is nobody left to tell.
fn report(error: &anyhow::Error) {
    let mut stderr = anstream::stderr().lock();
    let label = terminal::paint(terminal::BAD, "error:");
    if let Some(Refused(problems)) = error.downcast_ref::<Refused>() {
        for problem in problems.errors() {
            let _ = writeln!(stderr, "{label} {problem}");
        }
        return;
    }
    let _ = writeln!(stderr, "{label} {error:#}");
}
