//! `provost generate`: man pages and completions from the one description of the command line.

use std::fs;

use anyhow::Context as _;
use clap::{Command, CommandFactory as _, ValueEnum as _};
use clap_complete::Shell;

use crate::cli::{Cli, GenerateArgs, Generated};
use crate::running;

/// Writes the files into the folder.
pub(crate) fn run(args: &GenerateArgs) -> anyhow::Result<()> {
    let into = &args.into;
    fs::create_dir_all(into).with_context(|| format!("cannot make {}", into.display()))?;
    let written = match args.what {
        Generated::Man => clap_mangen::generate_to(Cli::command(), into),
        Generated::Completions => Shell::value_variants()
            .iter()
            .try_for_each(|shell| clap_complete::generate_to(*shell, &mut offered(), "provost", into).map(drop)),
    };
    written.with_context(|| format!("cannot write into {}", into.display()))
}

/// The commands that `--help` shows: completions would offer hidden ones, too.
fn offered() -> Command {
    let all = Cli::command();
    let shown = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    Command::new("provost")
        .version(running::VERSION)
        .propagate_version(true)
        .disable_help_subcommand(true)
        .subcommands(shown)
}
