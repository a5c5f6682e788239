//! The configuration: read with its positions, validated in one pass that collects every error.
//!
//! [`load`] reads provost.toml, lays the environment over it, reads one file a tenant over `[defaults]`, and checks all
//! of it, each tenant by itself and all beside each other. It changes nothing on the disk, so that a check is
//! harmless; what a server needs on the disk is made by [`crate::Settings::create_state`]. It does not watch files.

mod addresses;
mod arrival;
mod assemble;
mod authorities;
mod beside;
mod canonical;
mod certificates;
mod contents;
mod digest;
mod doubtful;
mod field;
mod find;
mod ftp;
mod guard;
mod hints;
mod l3mdev;
mod limits;
mod listener;
mod loading;
mod main_file;
mod material;
mod meeting;
mod memory;
mod nesting;
mod network;
mod newcomer;
mod node;
mod overlay;
mod places;
mod problem;
mod require;
mod rule;
mod section;
mod sharing;
mod sight;
mod spot;
mod tenant;
#[cfg(test)]
mod tests;
mod tftp;
mod tls;
mod trust;
mod units;
mod users;

pub use listener::is_name;
pub(crate) use material::Basis;
pub use material::{Reread, Rereading, Seen, reread};
pub use memory::Memory;
pub(crate) use newcomer::Holds;
pub use problem::{Origin, Position, Problem, Problems, Severity};
pub use sight::Look;
pub(crate) use sight::{NamedFolder, Sights};

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use loading::{Found, Loading};
use newcomer::{Context, Newcomer};
use node::{Node, Place};
use problem::Collector;

use crate::deployment::{Deployment, Settings, Tenant};
use crate::devices::{Refresh, Removals};
use crate::trust::TrustSet;

/// A configuration that can be served: the tenants without errors, and everything that was found.
#[derive(Debug)]
pub struct Loaded {
    /// The tenants that have no error.
    pub deployment: Deployment,
    /// Every error and warning. Errors concern the tenants that are missing from the deployment.
    pub problems: Problems,
    /// Tenants that are missing for their errors.
    pub failed: Vec<Failed>,
    /// What became of device files that were read again, where it was not the same.
    pub refreshed: Vec<(String, Refresh)>,
    /// What of provost.toml counts from the next start alone, by its key, where it is another than the server began with.
    pub pending: Vec<&'static str>,
}

/// A tenant that did not load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// Its file.
    pub file: PathBuf,
    /// Its name, as far as the file could be read.
    pub name: Option<String>,
    /// What is wrong.
    pub errors: Vec<String>,
    /// Those of the errors that concern a tenant that is served.
    pub of_served: OfServed,
}

/// Why a tenant that is served did not load again. What is wrong with its device file its devices tell themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OfServed {
    /// What ends with a reload alone: the tenant's file or provost.toml is another one than when it loaded, or another tenant
    /// is in the way.
    pub lasting: Vec<String>,
    /// What is wrong with files that the tenant's file names, where it is still the one that is served: it ends when
    /// [`reread`] reads them.
    pub passing: Vec<String>,
}

/// What is served while a configuration is read anew.
#[derive(Debug, Clone, Copy, Default)]
pub struct Former<'a> {
    /// The tenants, none where nothing is served yet.
    pub tenants: &'a [Arc<Tenant>],
    /// Whether device files that lost more than a tenth are meant so.
    pub removals: Removals,
    /// Set once nobody waits for what is read any more: none of the devices goes from then on.
    pub is_given_up: Option<&'a AtomicBool>,
    /// What the last load left.
    pub memory: Option<&'a Memory>,
    /// What the server began with. Some of it stays as long as it runs; the folder of the state does, for accounts and sources are
    /// kept there.
    pub settings: Option<&'a Settings>,
}

/// Reads the configuration at `path`, overlaid by the `PROVOST_…` variables of `environment`.
///
/// # Errors
/// - [`Problems`]: provost.toml, its environment overlay or a file that it needs has errors, so that nothing can be served.
///   The problems of the tenants are among them.
pub fn load(path: &Path, environment: impl IntoIterator<Item = (String, String)>) -> Result<Loaded, Problems> {
    reload(path, environment, Former::default())
}

/// Reads the configuration while `former` is served. A tenant of which nothing changed is the former one itself; one that changed
/// goes on with its uploads' accounts, and with its devices where too many would be lost. What the memory of the last load knows
/// is not read again.
///
/// # Errors
/// - as [`load`]
pub fn reload(
    path: &Path,
    environment: impl IntoIterator<Item = (String, String)>,
    former: Former<'_>,
) -> Result<Loaded, Problems> {
    let problems = Collector::default();
    let loading = Loading::begin(path, environment, former, &problems)?;
    // Devices are served from when they are read: those of a load that comes to nothing may come, and none of them goes.
    let removals = if problems.errors() > 0 { Removals::Refuse } else { former.removals };
    let found = loading.finish(Former { removals, ..former });
    let Loading { context, pending, .. } = loading;
    let failed = found.newcomers.iter().filter(|newcomer| newcomer.has_errors());
    let failed = failed.map(|newcomer| Failed::of(newcomer, &context, former.tenants)).collect();
    let settings = context.basis.settings.clone();
    let memory = Memory::of(&context, &found);
    let Found { newcomers, tenants, refreshed, .. } = found;
    let deployment = Deployment { settings, tenants, memory };
    let refused = problems.errors() > 0;
    let of_main = problems.into_problems().into_iter().chain(context.trust.problems().cloned());
    let of_tenants = newcomers.into_iter().flat_map(Newcomer::into_problems);
    let problems: Problems = of_main.chain(of_tenants).collect();
    if refused { Err(problems) } else { Ok(Loaded { deployment, problems, failed, refreshed, pending }) }
}

/// What provost.toml says beside tenants and trust sets, errors or not: for whoever looks for the running server, which tells what is
/// wrong with it.
///
/// # Errors
/// - [`Problems`]: the file cannot be read, or is not TOML and the admin socket does not stand before what is wrong
pub fn settings(path: &Path, environment: impl IntoIterator<Item = (String, String)>) -> Result<Settings, Problems> {
    let origin = Origin::file(path);
    let text = read_text(path, &origin).map_err(Problems::from_iter)?;
    let (mut document, broken) = node::parse_leniently(&text, &origin);
    // What is wrong with them is told by whoever loads the configuration.
    let _ = overlay::environment(&mut document, overlay::ours(environment), path.parent().unwrap_or(Path::new("")));
    let settings = main_file::read(&document, &Collector::default()).settings;
    if broken.is_empty() || settings.admin_socket.is_some() { Ok(settings) } else { Err(broken.into_iter().collect()) }
}

/// The trust sets of provost.toml that have no error, by name, and what was found about all of them.
///
/// # Errors
/// - [`Problems`]: the file cannot be read, or is not TOML
pub fn trust_sets(
    path: &Path,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<(Vec<Arc<TrustSet>>, Problems), Problems> {
    let (mut document, _) = read_document(path).map_err(Problems::from_iter)?;
    let _ = overlay::environment(&mut document, overlay::ours(environment), path.parent().unwrap_or(Path::new("")));
    let trust = trust::read(&document, None, &mut Look::default(), SystemTime::now());
    let mut sets: Vec<_> = trust.sets().into_values().flatten().collect();
    sets.sort_by(|one, other| one.name.cmp(&other.name));
    Ok((sets, trust.problems().cloned().collect()))
}

impl Failed {
    fn of(newcomer: &Newcomer, context: &Context, former: &[Arc<Tenant>]) -> Self {
        let name = newcomer.claims().name.as_ref().map(|(name, _)| name.clone());
        let (of_files, beside) = (newcomer.errors_of_files(&context.trust), newcomer.problems.error_texts());
        let errors = newcomer.error_texts(&context.trust);
        let of_served = if former.iter().any(|tenant| newcomer.is_written_as(&tenant.source, context)) {
            OfServed { lasting: beside, passing: of_files }
        } else {
            OfServed { lasting: errors.clone(), passing: Vec::new() }
        };
        Self { file: newcomer.file.clone(), name, errors, of_served }
    }
}

/// The document, and its text.
fn read_document(path: &Path) -> Result<(Node, String), Vec<Problem>> {
    let origin = Origin::file(path);
    let text = read_text(path, &origin)?;
    Ok((node::parse(&text, &origin)?, text))
}

fn read_text(path: &Path, origin: &Arc<Origin>) -> Result<String, Vec<Problem>> {
    contents::text(path).map_err(|error| vec![Place::whole(origin).error("", format!("cannot read the file: {error}"))])
}

/// The day in UTC.
fn today() -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}
