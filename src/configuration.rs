//! Loading the configuration for a command, and finding a tenant or a listener in it by name.

use std::path::Path;
use std::sync::Arc;

use anyhow::anyhow;
use provost_tenants::config::{self, Former, Loaded, Problems};
use provost_tenants::trust::TrustSet;
use provost_tenants::{Listener, Settings, Tenant};

/// A configuration that cannot be used, with everything that was found in it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(pub(crate) Problems);

/// Loads the configuration, overlaid by the environment.
pub(crate) fn load(path: &Path) -> Result<Loaded, Refused> {
    config::load(path, environment()).map_err(Refused)
}

/// Loads the configuration while `former` is served.
pub(crate) fn reload(path: &Path, former: Former<'_>) -> Result<Loaded, Problems> {
    config::reload(path, environment(), former)
}

/// What provost.toml says of the server itself, errors or not.
pub(crate) fn settings(path: &Path) -> Result<Settings, Refused> {
    config::settings(path, environment()).map_err(Refused)
}

/// The trust sets of provost.toml, and what was found about them.
pub(crate) fn trust_sets(path: &Path) -> Result<(Vec<Arc<TrustSet>>, Problems), Refused> {
    config::trust_sets(path, environment()).map_err(Refused)
}

fn environment() -> impl Iterator<Item = (String, String)> {
    // A variable that is not UTF-8 is none of ours.
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// The tenant of this name; where its file has errors, those.
pub(crate) fn tenant<'a>(loaded: &'a Loaded, name: &str) -> anyhow::Result<&'a Arc<Tenant>> {
    let tenants = &loaded.deployment.tenants;
    if let Some(tenant) = tenants.iter().find(|tenant| tenant.policy.name == name) {
        return Ok(tenant);
    }
    if loaded.problems.has_errors() {
        return Err(anyhow::Error::new(Refused(loaded.problems.clone())));
    }
    let names = tenants.iter().map(|tenant| tenant.policy.name.as_str());
    Err(anyhow!("no tenant `{name}`; {}", choices("tenants", names)))
}

/// The tenant's listener of this name.
pub(crate) fn listener<'a>(tenant: &'a Tenant, name: &str) -> anyhow::Result<&'a Arc<Listener>> {
    let found = tenant.listeners.iter().find(|listener| listener.policy.name == name);
    found.ok_or_else(|| {
        let names = tenant.listeners.iter().map(|listener| listener.policy.name.as_str());
        anyhow!("no listener `{name}` in tenant {}; {}", tenant.policy.name, choices("listeners", names))
    })
}

/// What may be named instead.
pub(crate) fn choices<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> String {
    let names = names.collect::<Vec<_>>().join(", ");
    if names.is_empty() { format!("there are no {what}") } else { format!("the {what} are: {names}") }
}
