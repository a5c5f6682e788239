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
mod certificates;
mod digest;
mod field;
mod find;
mod ftp;
mod guard;
mod l3mdev;
mod limits;
mod listener;
mod main_file;
mod material;
mod network;
mod node;
mod overlay;
mod places;
mod problem;
mod require;
mod rule;
mod section;
mod tenant;
#[cfg(test)]
mod tests;
mod tls;
mod trust;
mod units;
mod users;

pub(crate) use material::{Basis, Material};
pub use material::{Look, Reread, Seen, reread};
pub use problem::{Origin, Position, Problem, Problems, Severity};

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use node::{Node, Place};
use problem::Collector;

use crate::deployment::{Deployment, Settings, Source, Tenant};
use crate::devices::{Refresh, Removals};
use crate::files::FileError;
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
    /// What became of device files that were read again.
    pub refreshed: Vec<(String, Refresh)>,
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
}

/// What is served while a configuration is read anew.
#[derive(Debug, Clone, Copy, Default)]
pub struct Former<'a> {
    /// The tenants, none where nothing is served yet.
    pub tenants: &'a [Arc<Tenant>],
    /// Whether device files that lost more than a tenth are meant so.
    pub removals: Removals,
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
/// goes on with its uploads' accounts, and with its devices where too many would be lost.
///
/// # Errors
/// - as [`load`]
pub fn reload(
    path: &Path,
    environment: impl IntoIterator<Item = (String, String)>,
    former: Former<'_>,
) -> Result<Loaded, Problems> {
    let now = SystemTime::now();
    let (mut document, Text { digest: main_digest, .. }) = read_document(path).map_err(Problems::from_iter)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let main_problems = Collector::default();
    for problem in overlay::environment(&mut document, environment, folder) {
        main_problems.push(problem);
    }
    let document = Arc::new(document);
    let main = main_file::read(&document, &main_problems);
    let trust_problems = Collector::default();
    let (trust, trust_files) = trust::read(&document, &trust_problems, now);
    let mut files = main.tenant_files(folder);
    let documents = tenant_documents(&document, &files);
    let basis = basis(Arc::clone(&document), main_digest, &main.settings, former.tenants);
    files.push(path.to_path_buf());
    let common = tenant::Common { trust: &trust, now, today: Timestamp::now().to_zoned(TimeZone::UTC).date() };
    let tenants: Vec<_> = documents
        .iter()
        .filter_map(|tenant| {
            let source = Source {
                file: tenant.file.clone(),
                digest: tenant.text.digest,
                text_digest: tenant.text.digest,
                text: Arc::clone(&tenant.text.text),
                basis: Some(Arc::clone(&basis)),
                material: Material::default(),
            };
            Some(tenant::read(tenant.document.as_ref()?, &tenant.problems, &common, source))
        })
        .collect();
    beside::check(&tenants, &main.settings.state, &files);
    let mut refreshed = Vec::new();
    let mut around = assemble::Around {
        settings: &main.settings,
        former: former.tenants.iter().map(|tenant| (tenant.policy.name.as_str(), tenant)).collect(),
        removals: former.removals,
        devices: assemble::OfFormer::Read,
        main_digest,
        trust_files: &trust_files,
        refreshed: &mut refreshed,
    };
    let names: Vec<_> =
        tenants.iter().map(|tenant| tenant.claims.name.as_ref().map(|(name, _)| name.clone())).collect();
    let tenants: Vec<_> = tenants.into_iter().map(|tenant| assemble::tenant(tenant, &mut around)).collect();
    let mut names = names.into_iter();
    let failed = documents
        .iter()
        .map(|document| (document, document.document.as_ref().and_then(|_| names.next()).flatten()))
        .filter(|(document, _)| document.problems.errors() > 0)
        .map(|(document, name)| Failed { file: document.file.clone(), name, errors: document.problems.error_texts() })
        .collect();
    let tenants = tenants.into_iter().flatten().collect();
    let deployment = Deployment { settings: main.settings, tenants };
    let refused = main_problems.errors() > 0;
    let of_tenants = documents.into_iter().flat_map(|tenant| tenant.problems.into_problems());
    let of_main = main_problems.into_problems().into_iter().chain(trust_problems.into_problems());
    let problems: Problems = of_main.chain(of_tenants).collect();
    if refused { Err(problems) } else { Ok(Loaded { deployment, problems, failed, refreshed }) }
}

/// What provost.toml says beside tenants and trust sets, errors or not: for whoever looks for the running server.
///
/// # Errors
/// - [`Problems`]: the file cannot be read, or is not TOML
pub fn settings(path: &Path, environment: impl IntoIterator<Item = (String, String)>) -> Result<Settings, Problems> {
    let (mut document, _) = read_document(path).map_err(Problems::from_iter)?;
    // What is wrong with them is told by whoever loads the configuration.
    let _ = overlay::environment(&mut document, environment, path.parent().unwrap_or(Path::new("")));
    Ok(main_file::read(&document, &Collector::default()).settings)
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
    let _ = overlay::environment(&mut document, environment, path.parent().unwrap_or(Path::new("")));
    let problems = Collector::default();
    let (sets, _) = trust::read(&document, &problems, SystemTime::now());
    let mut sets: Vec<_> = sets.into_values().flatten().collect();
    sets.sort_by(|one, other| one.name.cmp(&other.name));
    Ok((sets, Problems::from_iter(problems.into_problems())))
}

impl Loaded {
    /// Adds a warning for each link in the tenants' folders that leads out of them, and so is not followed, and for each
    /// file that looks like a device's and is none. It walks them all, which takes its time: it is for a check, not for a
    /// server that starts.
    pub fn look_at_folders(&mut self) {
        let found = self.deployment.tenants.iter().flat_map(|tenant| doubtful(tenant));
        self.problems = self.problems.iter().cloned().chain(found).collect();
    }
}

fn doubtful(tenant: &Tenant) -> Vec<Problem> {
    let warning = |path: &Path, message: &str| {
        let place = Place::whole(&Origin::file(path));
        Problem { severity: Severity::Warning, ..place.error("", message.to_owned()) }
    };
    let all = |found: Result<Vec<PathBuf>, FileError>, message: &str| match found {
        Ok(paths) => paths.iter().map(|path| warning(path, message)).collect(),
        Err(error) => {
            let message = format!("cannot look at this tenant's folders: {}", assemble::with_source(&error));
            vec![warning(Path::new(&tenant.policy.name), &message)]
        }
    };
    let mut found: Vec<Problem> = all(
        tenant.files.links_that_lead_out(),
        "this link leads out of the folder that phones read, and is not followed",
    );
    found.extend(all(
        tenant.files.names_that_look_like_a_device(),
        "this looks like a device's file and is nobody's: written so, the name is no MAC, and the rules for files of all devices \
         decide; write the 12 digits together",
    ));
    found
}

/// A tenant's file over `[defaults]`, and what is wrong with it.
struct TenantDocument {
    /// Absent where the file is not TOML: then there is nothing more to say of it.
    document: Option<Node>,
    problems: Collector,
    file: PathBuf,
    text: Text,
}

/// The text of a file, and a digest of it.
#[derive(Default)]
struct Text {
    text: Arc<str>,
    digest: [u8; 32],
}

/// Tenants that were loaded with the same provost.toml share it.
fn basis(document: Arc<Node>, digest: [u8; 32], settings: &Settings, former: &[Arc<Tenant>]) -> Arc<Basis> {
    let mut known = former.iter().filter_map(|tenant| tenant.source.basis.as_ref());
    match known.find(|basis| basis.digest == digest) {
        Some(basis) => Arc::clone(basis),
        None => Arc::new(Basis { document, digest, settings: settings.clone() }),
    }
}

fn defaults_of(document: &Node) -> Option<&Node> {
    document.table().and_then(|table| table.get("defaults")).map(|entry| &entry.node)
}

fn tenant_documents(document: &Node, files: &[PathBuf]) -> Vec<TenantDocument> {
    let defaults = defaults_of(document);
    files.iter().map(|path| tenant_document(path, defaults)).collect()
}

fn tenant_document(path: &Path, defaults: Option<&Node>) -> TenantDocument {
    let origin = Origin::file(path);
    let problems = Collector::for_tenant(origin.clone());
    let document = read_document(path).map_err(|errors| errors.into_iter().for_each(|error| problems.push(error)));
    let (document, text) = document.ok().unzip();
    let document = document.map(|document| match defaults {
        Some(defaults) => overlay::over_defaults(defaults, document),
        None => document,
    });
    TenantDocument { document, problems, file: path.to_owned(), text: text.unwrap_or_default() }
}

/// The document, and its text.
fn read_document(path: &Path) -> Result<(Node, Text), Vec<Problem>> {
    let origin = Origin::file(path);
    let text = std::fs::read_to_string(path)
        .map_err(|error| vec![Place::whole(&origin).error("", format!("cannot read the file: {error}"))])?;
    let document = node::parse(&text, &origin)?;
    Ok((document, Text { digest: digest::of([text.as_bytes()]), text: text.into() }))
}
