//! Lists of FTP: whether there is one, and which names it shows. No rule decides on a folder, but on each name for itself.

use std::io::Write;

use anyhow::Context as _;
use provost_core::text::escaped;
use provost_core::{AccessRequest, Denial, ListPermit, RequestPath, Standing, decide, decide_listing};
use provost_protocols::ftp::{self, AskedOfList, Names};
use provost_tenants::Tenant;

use super::question::Asked;
use crate::cli::Method;
use crate::terminal::{GOOD, paint};

/// Names that are printed; a phone is told all.
const MAX_NAMES: usize = 100;

/// Prints what a list of the request's path shows.
///
/// # Errors
/// - a denial: there is no list
pub(super) fn explain(
    output: &mut impl Write,
    question: &Asked<'_>,
    tenant: &Tenant,
    request: &AccessRequest<'_>,
) -> Result<anyhow::Result<()>, Denial> {
    let AskedOfList { names, .. } = asked(question);
    decide_listing(&unguarded(request)).map(|permit| shown(output, tenant, &permit, &names))
}

/// What the server takes the argument for: LIST, NLST and STAT have options before the path, and may have a pattern at its end.
pub(super) fn asked<'a>(question: &Asked<'a>) -> AskedOfList<'a> {
    let path = question.path.as_bytes();
    if takes_options(question.method) { ftp::asked_of_list(path) } else { AskedOfList::all(path) }
}

fn takes_options(method: Method) -> bool {
    matches!(method, Method::List | Method::Nlst | Method::Stat)
}

/// Whether the answer is about a file, which is decided on as reading it is: MLST of what is no folder, and a list of what is none but a
/// file.
pub(super) fn is_of_file(question: &Asked<'_>, tenant: &Tenant, request: &AccessRequest<'_>) -> bool {
    if request.path.is_ok_and(RequestPath::is_root) {
        return false;
    }
    let listed = decide_listing(&unguarded(request)).map(|permit| {
        let is_empty = tenant.files.list(&permit).is_ok_and(|entries| entries.is_empty());
        (is_empty, permit.shows_file(permit.folder()))
    });
    let is_there = || decide(request).map_or(true, |permit| tenant.files.describe(&permit).is_ok());
    if matches!(question.method, Method::Mlst) {
        return !matches!(listed, Ok((false, _)));
    }
    let is_whole = takes_options(question.method) && asked(question).names == Names::All;
    is_whole && matches!(listed, Ok((true, true))) && is_there()
}

/// A list tells of no device but the one that is proven, so that the guard does not keep it back.
fn unguarded<'a>(request: &AccessRequest<'a>) -> AccessRequest<'a> {
    AccessRequest { standing: Standing::Free, ..*request }
}

fn shown(output: &mut impl Write, tenant: &Tenant, permit: &ListPermit<'_>, names: &Names) -> anyhow::Result<()> {
    let mut entries = tenant.files.list(permit).context("cannot list the folder")?;
    let filter = names.filter(tenant.policy.rules.case());
    entries.retain(|entry| filter.takes(&entry.name));
    writeln!(output, "{} a list of /{}", paint(GOOD, "permitted:"), permit.folder().as_str())?;
    for entry in entries.iter().take(MAX_NAMES) {
        writeln!(output, "  shows   {}{}", escaped(&entry.name), if entry.facts.is_none() { "/" } else { "" })?;
    }
    if let Some(more @ 1..) = entries.len().checked_sub(MAX_NAMES) {
        writeln!(output, "  shows   {more} more")?;
    }
    if entries.is_empty() {
        writeln!(output, "  shows   nothing, as a folder that is not there")?;
    }
    Ok(())
}
