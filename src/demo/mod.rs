//! `provost demo`: a complete deployment of two tenants, made, explained and served.
//!
//! What it writes is what an operator would write: the same files can be checked and served by the other commands. A folder
//! that holds a demo already is served again as it stands, changes and uploads included.

mod configuration;
mod material;
mod pki;
mod tour;

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use provost_protocols::Server;
use provost_protocols::admin::{self, Answer, Request};
use provost_tenants::LogFormat;
use provost_tenants::network::Passed;
use tracing::level_filters::LevelFilter;

use crate::cli::DemoArgs;
use crate::serve::Stage;
use crate::terminal::{self, FAINT, HEADING, paint, table};
use crate::{events, serve};

/// Stands in a demo's folder, written last: a folder without it was not made by us, or not to the end.
const MARK: &str = ".provost-demo";

/// Makes the demo where there is none yet, prints the tour, and serves.
pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let stage = Stage::new()?;
    let dir = prepare(args.dir.as_deref())?;
    let config = dir.join("provost.toml");
    let loaded = crate::configuration::load(&config)?;
    if loaded.problems.has_errors() {
        return Err(crate::configuration::Refused(loaded.problems).into());
    }
    let socket = loaded.deployment.settings.admin_socket.as_deref();
    if let Some(Answer::Status(status)) = socket.and_then(|socket| admin::ask(socket, &Request::Status).ok()) {
        // Its addresses are taken, and what could be printed of this one would lead nowhere.
        bail!("another server has the demo in {} already: process {}", dir.display(), status.pid);
    }
    let _events = events::start(LogFormat::Text, LevelFilter::WARN)?;
    serve::serve(stage, loaded.deployment, &loaded.failed, &config, Passed::default(), |server| introduce(&dir, server))
}

/// The folder of a complete demo, absolute, so that printed commands work anywhere.
fn prepare(wanted: Option<&Path>) -> anyhow::Result<PathBuf> {
    let dir = match wanted {
        Some(dir) => {
            fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
            dir.to_owned()
        }
        None => tempfile::Builder::new().prefix("provost-demo-").tempdir().context("cannot make a folder")?.keep(),
    };
    let dir = dir.canonicalize().with_context(|| format!("cannot find {}", dir.display()))?;
    if dir.join(MARK).exists() {
        return Ok(dir);
    }
    let mut entries = fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
    if entries.next().is_some() {
        bail!("{} is not empty and holds no demo; name a new or empty folder", dir.display());
    }
    make(&dir)?;
    Ok(dir)
}

/// Makes a complete demo in an empty folder.
pub(crate) fn make(dir: &Path) -> anyhow::Result<()> {
    pki::write(dir)?;
    material::write(dir)?;
    configuration::write(dir)?;
    material::store(&dir.join(MARK), b"made by `provost demo`; remove the folder when you are done\n")
}

/// Prints the listeners and what to try.
fn introduce(dir: &Path, server: &Server) -> anyhow::Result<()> {
    let program = std::env::current_exe().unwrap_or_else(|_| "provost".into());
    let bound = server.bound();
    let rows = bound.iter().map(|bound| {
        [bound.tenant.clone(), bound.listener.clone(), bound.protocol.to_string(), bound.address.to_string()]
    });
    let mut output = anstream::stdout().lock();
    writeln!(output, "{} {}", paint(HEADING, "A demo of two tenants, in"), dir.display())?;
    writeln!(output, "\n{}\n", table(["tenant", "listener", "protocol", "address"], rows))?;
    for chapter in tour::chapters(dir, &program, &bound) {
        writeln!(output, "{}", paint(HEADING, format_args!("## {}", chapter.title)))?;
        for attempt in &chapter.attempts {
            writeln!(output, "{}", paint(FAINT, format_args!("# {}", attempt.says)))?;
            let style = match attempt.expects {
                tour::Expects::Success(_) => terminal::GOOD,
                tour::Expects::Failure(_) => terminal::CARE,
            };
            writeln!(output, "{}", paint(style, format_args!("# expects: {}", attempt.expects)))?;
            writeln!(output, "{}", attempt.command)?;
        }
        writeln!(output)?;
    }
    writeln!(output, "{}", paint(HEADING, "Serving until you press Ctrl-C; one record a request follows."))?;
    output.flush().or_else(|error| if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })?;
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_passes_the_check_and_can_be_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let made = prepare(Some(&dir.path().join("demo"))).unwrap();
        let loaded = crate::configuration::load(&made.join("provost.toml")).unwrap();
        assert!(!loaded.problems.has_errors(), "{}", loaded.problems);
        let names: Vec<_> = loaded.deployment.tenants.iter().map(|tenant| tenant.policy.name.as_str()).collect();
        assert_eq!(names, ["acme", "globex"]);
        assert!(
            loaded.deployment.tenants.iter().all(|tenant| tenant.listeners.len() == 4 && !tenant.devices.is_empty())
        );
        let before = fs::read(made.join("tls/server.pem")).unwrap();
        assert_eq!(prepare(Some(&made)).unwrap(), made);
        assert_eq!(fs::read(made.join("tls/server.pem")).unwrap(), before, "a demo is never made twice");
    }

    #[test]
    fn a_folder_of_somebody_else_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.txt"), "years of work").unwrap();
        let error = prepare(Some(dir.path())).unwrap_err().to_string();
        assert!(error.ends_with("is not empty and holds no demo; name a new or empty folder"), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
