//! `provost trust`: what certificates are, and a vendor's pack sorted. Trust itself is given in the configuration alone.

mod import;
mod show;

use std::io::Write;

use crate::cli::TrustCommand;

/// Runs the subcommand.
pub(crate) fn run(command: &TrustCommand, output: &mut impl Write) -> anyhow::Result<()> {
    match command {
        TrustCommand::Show { config, files } => show::run(config.as_deref(), files, output),
        TrustCommand::Import { dir, into } => import::import(dir, into, output),
    }
}
