//! Lists of FTP: whether there is one, and which names it shows. No rule decides on a folder, but on each name for itself.

use std::io::Write;

use anyhow::Context as _;
use provost_core::text::escaped;
use provost_core::{AccessRequest, Denial, ListPermit, Standing, decide_listing};
use provost_tenants::Tenant;

use crate::terminal::{GOOD, paint};

/// Names that are printed; a phone is told all.
const MAX_NAMES: usize = 100;

/// Prints what a list of the request's path shows.
///
/// # Errors
/// - a denial: there is no list
pub(super) fn explain(
    output: &mut impl Write,
    tenant: &Tenant,
    request: &AccessRequest<'_>,
) -> Result<anyhow::Result<()>, Denial> {
    // A list tells of no device but the one that is proven, so that the guard does not keep it back.
    let request = AccessRequest { standing: Standing::Free, ..*request };
    decide_listing(&request).map(|permit| shown(output, tenant, &permit))
}

fn shown(output: &mut impl Write, tenant: &Tenant, permit: &ListPermit<'_>) -> anyhow::Result<()> {
    let entries = tenant.files.list(permit).context("cannot list the folder")?;
    writeln!(output, "{} a list of /{}", paint(GOOD, "permitted:"), permit.folder().as_str())?;
    for entry in entries.iter().take(MAX_NAMES) {
        writeln!(output, "  shows   {}{}", escaped(&entry.name), if entry.facts.is_none() { "/" } else { "" })?;
    }
    if let Some(more @ 1..) = entries.len().checked_sub(MAX_NAMES) {
        writeln!(output, "  shows   {more} more")?;
    }
    if entries.is_empty() {
        writeln!(output, "  shows   nothing, as a folder that is not there; ask for RETR if it may be a file")?;
    }
    Ok(())
}
