//! The configuration: read with its positions, validated in one pass that collects every error.
//!
//! [`load`] reads provost.toml, lays the environment over it, reads one file a tenant over `[defaults]`, and checks all
//! of it, each tenant by itself and all beside each other. It changes nothing on the disk, so that a check is
//! harmless; what a server needs on the disk is made by [`crate::Settings::create_state`]. It does not watch files.

mod problem;

pub use problem::{Origin, Position, Problem, Problems, Severity};

use std::path::Path;

use crate::deployment::Deployment;

/// A configuration that can be served: the tenants without errors, and everything that was found.
#[derive(Debug)]
pub struct Loaded {
    /// The tenants that have no error.
    pub deployment: Deployment,
    /// Every error and warning. Errors concern the tenants that are missing from the deployment.
    pub problems: Problems,
}

/// Reads the configuration at `path`, overlaid by the `PROVOST_…` variables of `environment`.
///
/// # Errors
/// - [`Problems`]: provost.toml, its environment overlay or a file that it needs has errors, so that nothing can be served.
///   The problems of the tenants are among them.
pub fn load(path: &Path, environment: impl IntoIterator<Item = (String, String)>) -> Result<Loaded, Problems> {
    todo!()
}
