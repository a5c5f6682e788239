//! From what a tenant's file says to the tenant. What its folders and its inventory hold is found wrong here.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use provost_core::{DevicePolicy, TenantPolicy};

use super::guard::GuardRead;
use super::newcomer::{Context, Fresh, Newcomer};
use super::node::Place;
use super::places::{DevicesRead, UploadsRead};
use super::problem::{Collector, Origin, Position, Problem, Severity};
use super::spot::Named;
use super::tenant::TenantRead;
use crate::deployment::{Listener, Tenant};
use crate::devices::{DeviceFileError, Devices, DevicesSettings, Refresh, Removals, Unrenewed};
use crate::files::{Files, FilesSettings};
use crate::guard::Guard;
use crate::uploads::{Quota, Uploads, UploadsSettings};
use crate::users::Users;

/// What the quota of a tenant that serves any device counts with.
const DEVICES_OF_AN_OPEN_TENANT: u64 = 1024;

/// What a tenant is made with beside its own file.
pub(super) struct Around<'a> {
    pub(super) context: &'a Context,
    /// The tenants that are served, by name.
    pub(super) former: HashMap<&'a str, &'a Arc<Tenant>>,
    pub(super) removals: Removals,
    /// Set once nobody waits for the tenants any more.
    pub(super) is_given_up: Option<&'a AtomicBool>,
    pub(super) devices: OfFormer,
}

/// What becomes of the devices that are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OfFormer {
    /// They are read again.
    Read,
    /// They stay.
    Kept,
}

/// The tenant; absent where anything of it has an error, which is noted. It blocks.
pub(super) fn tenant(newcomer: &mut Newcomer, around: &Around<'_>) -> Option<Arc<Tenant>> {
    let name = newcomer.claims().name.as_ref().map(|(name, _)| name.clone());
    let former = name.and_then(|name| around.former.get(name.as_str()).copied());
    let root = newcomer.claims().root.as_ref().map(|root| root.path.as_path());
    let former = former.filter(|former| former.may_become(&newcomer.file, root));
    // A file that took another tenant's name by mistake says nothing of that tenant's devices.
    let former = former.filter(|former| !newcomer.has_errors() || former.source.file == newcomer.file);
    // Of one that stays as it was none is removed, nor, once its file has answered, where the operator was told that nothing changes.
    let removals = |stays: bool| move || if stays { Removals::Refuse } else { around.removals() };
    if let (None, Some(former)) = (&newcomer.fresh, former.filter(|former| is_as_it_was(newcomer, former))) {
        let removals = removals(newcomer.has_errors());
        return known(newcomer, former, &removals);
    }
    let Fresh { read, mut source } = newcomer.take(around.context)?;
    if let Some(former) = former {
        refuse_worse(&read.listeners, former, newcomer, around.context.now);
    }
    let removals = removals(newcomer.has_errors());
    let settings = devices_settings(&read, newcomer);
    let (devices, refresh) = match (around.devices, former) {
        (OfFormer::Kept, Some(former)) => (Some(Arc::clone(&former.devices)), None),
        (OfFormer::Kept | OfFormer::Read, _) => {
            devices(&read.devices, settings.clone(), former, &newcomer.of_devices, &removals)
        }
    };
    newcomer.refresh = refresh;
    if newcomer.has_errors() {
        return None;
    }
    let devices = devices?;
    let policy = read.policy.clone()?;
    warn_of_none(&devices, policy.devices, newcomer);
    warn_of_plain(&devices, newcomer);
    warn_of_argon2(&devices, newcomer);
    source.has_former_devices = !devices.is_of(&settings);
    source.holds = newcomer.holds();
    let is_same = |former: &&Arc<Tenant>| former.source.is(&source) && Arc::ptr_eq(&devices, &former.devices);
    if let Some(former) = former.filter(is_same) {
        return Some(Arc::clone(former));
    }
    let uploads = uploads(&read, &policy, &devices, around.context);
    let files = match former.filter(|former| Arc::ptr_eq(&former.source.folders, &source.folders)) {
        Some(former) => former.files.with_uploads(Arc::clone(&uploads)),
        None => files(&read, &uploads, &newcomer.problems)?,
    };
    let guard = guard(read.guard, &policy, &devices, former, around.context);
    let users = Users::new(&policy.name, read.users);
    Some(Arc::new(Tenant {
        policy,
        network: read.network?,
        files,
        uploads,
        devices,
        users,
        listeners: read.listeners.into_iter().map(Arc::new).collect(),
        limits: read.limits,
        guard,
        source,
    }))
}

impl Around<'_> {
    /// What to do now where a device file lost more than a tenth.
    fn removals(&self) -> Removals {
        match self.is_given_up {
            Some(is_given_up) if is_given_up.load(Ordering::Relaxed) => Removals::Refuse,
            Some(_) | None => self.removals,
        }
    }
}

/// Whether it was read from what is there now.
fn is_as_it_was(newcomer: &Newcomer, former: &Tenant) -> bool {
    let source = &former.source;
    let is_same = source.file == newcomer.file && newcomer.reading.digest == Some(source.digest);
    is_same && !source.has_former_devices
}

/// A tenant of which nothing is otherwise but perhaps its device file: it stays, and that is looked at.
fn known(newcomer: &mut Newcomer, former: &Arc<Tenant>, removals: &dyn Fn() -> Removals) -> Option<Arc<Tenant>> {
    newcomer.refresh = refresh(former, newcomer.claims().devices.as_ref(), &newcomer.of_devices, removals);
    if newcomer.has_errors() {
        return None;
    }
    warn_of_none(&former.devices, former.policy.devices, newcomer);
    warn_of_plain(&former.devices, newcomer);
    warn_of_argon2(&former.devices, newcomer);
    Some(Arc::clone(former))
}

/// Refuses a certificate that phones would refuse in the place of one that they take. At a start there is none that would do better.
fn refuse_worse(listeners: &[Listener], former: &Tenant, newcomer: &Newcomer, now: SystemTime) {
    for listener in listeners {
        let name = &listener.policy.name;
        let Some(before) = former.listeners.iter().find(|former| former.policy.name == *name) else { continue };
        let pairs = before.certificates().iter().zip(listener.certificates()).enumerate();
        for (index, (_, present)) in pairs.filter(|(_, (before, _))| before.flaw_at(now).is_none()) {
            let is_served = before.certificates().iter().any(|served| served.chain == present.chain);
            let Some(flaw) = present.flaw_at(now).filter(|_| !is_served) else { continue };
            let place = Place::whole(&Origin::file(&newcomer.file));
            let number = index + 1;
            newcomer.of_certificates.push(place.error(
                "",
                format!("certificate {number} of listener {name} {flaw}, and the one that is served is valid: a restart takes it"),
            ));
        }
    }
}

/// Where no file is named it is warned of by whoever reads the table.
fn warn_of_none(devices: &Devices, policy: DevicePolicy, newcomer: &Newcomer) {
    let Some(named) = &newcomer.claims().devices else { return };
    if policy == DevicePolicy::Listed && devices.is_empty() {
        named.spot.warn(&newcomer.problems, "no device is listed there, and `policy` is \"listed\", so none is served");
    }
}

fn warn_of_plain(devices: &Devices, newcomer: &Newcomer) {
    match (devices.password_forms().plain, &newcomer.claims().devices) {
        (0, _) | (_, None) => {}
        (plain, Some(named)) => named.spot.warn(&newcomer.problems, format!(
            "{plain} passwords stand there as they are, for whoever reads the file: `provost password hash` makes a stored form"
        )),
    }
}

/// As of users, where the tenant's file is read.
fn warn_of_argon2(devices: &Devices, newcomer: &Newcomer) {
    let claims = newcomer.claims();
    match (devices.password_forms().argon2, &claims.devices) {
        (0, _) | (_, None) => {}
        (argon2, Some(named)) if claims.asks_for_digest => named.spot.warn(&newcomer.problems, format!(
            "{argon2} passwords are stored as argon2id, which answers no Digest, and an http listener takes nothing else"
        )),
        (_, Some(_)) => {}
    }
}

fn devices_settings(read: &TenantRead, newcomer: &Newcomer) -> DevicesSettings {
    let realm = newcomer.claims().name.as_ref().map(|(name, _)| name.clone()).unwrap_or_default();
    let file = read.devices.file.as_ref().map(|named| named.path.clone());
    DevicesSettings { list: read.devices.list.clone(), file, realm }
}

fn uploads(read: &TenantRead, policy: &TenantPolicy, devices: &Arc<Devices>, context: &Context) -> Arc<Uploads> {
    let shares = |each: u64, least: u64| match policy.devices {
        DevicePolicy::Listed => Quota::Shares { each, devices: Arc::clone(devices), least },
        DevicePolicy::Any => Quota::Fixed(each.saturating_mul(DEVICES_OF_AN_OPEN_TENANT)),
    };
    let UploadsRead { device_quota, device_files, quota, max_upload, max_log, keep, min_free, durability } =
        read.uploads;
    let settings = UploadsSettings {
        directory: context.basis.settings.state.join("uploads").join(&policy.name),
        device_quota,
        device_files,
        quota: quota.map_or_else(|| shares(device_quota, 1), Quota::Fixed),
        files: shares(device_files.into(), DEVICES_OF_AN_OPEN_TENANT),
        max_upload,
        max_log,
        keep,
        min_free,
        durability,
        rules: policy.rules.clone(),
    };
    Arc::new(Uploads::new(settings))
}

/// The guard. What a former one has found out it goes on with.
fn guard(
    read: GuardRead,
    policy: &TenantPolicy,
    devices: &Arc<Devices>,
    former: Option<&Arc<Tenant>>,
    context: &Context,
) -> Guard {
    let pairs = context.basis.settings.state.join("guard").join(format!("{}.pairs", policy.name));
    let settings = read.settings(pairs, devices);
    match former {
        Some(former) => former.guard.renewed(settings),
        None => Guard::new(settings),
    }
}

fn files(read: &TenantRead, uploads: &Arc<Uploads>, problems: &Collector) -> Option<Files> {
    let root = read.files.root.as_ref()?;
    let shared = read.files.shared.iter().map(|folder| folder.path.clone()).collect();
    let folders = FilesSettings { root: root.path.clone(), shared, case: read.files.case };
    let files = Files::open_roots(folders, Arc::clone(uploads));
    files.map_err(|error| root.spot.refuse(problems, with_source(&error))).ok()
}

/// Whether the device file is one. One that is not there has no line to point at, so the error stands where it is named.
fn is_file(named: Option<&Named>, problems: &Collector) -> bool {
    let Some(named) = named else { return true };
    let why = match std::fs::metadata(&named.path) {
        Ok(found) if found.is_file() => return true,
        Ok(_) => "expected a CSV file".to_owned(),
        Err(error) => format!("expected a CSV file: {error}"),
    };
    named.spot.refuse(problems, why);
    false
}

/// Whether the device file that is looked at while it is served hangs: then it is not tried, as that would keep all tenants waiting.
fn hangs(former: &Tenant, named: Option<&Named>, problems: &Collector) -> bool {
    let hanging = named.filter(|_| former.devices.hangs());
    if let Some(named) = hanging {
        named.spot.refuse(problems, "hangs: its disk does not answer");
    }
    hanging.is_some()
}

/// Looks at the device file of a tenant that is as it was. Of one that is not there the devices that are served find so, too, and tell
/// it until it is.
fn refresh(
    former: &Tenant,
    named: Option<&Named>,
    problems: &Collector,
    removals: &dyn Fn() -> Removals,
) -> Option<Refresh> {
    if hangs(former, named, problems) {
        return None;
    }
    let refresh = match former.devices.refresh(Removals::Refuse) {
        Refresh::KeptForRemovals { .. } => former.devices.refresh(removals()),
        refresh => refresh,
    };
    match &refresh {
        Refresh::Unchanged => return None,
        Refresh::Replaced { .. } | Refresh::KeptForRemovals { .. } => {}
        Refresh::KeptForErrors { errors, .. } => {
            if is_file(named, problems) {
                for error in errors {
                    note(error.clone(), problems);
                }
            }
        }
    }
    Some(refresh)
}

/// The devices, none where they have errors, and what became of those that are served: they stay where the file lost so many that it
/// may be a mistake.
fn devices(
    read: &DevicesRead,
    settings: DevicesSettings,
    former: Option<&Arc<Tenant>>,
    problems: &Collector,
    removals: &dyn Fn() -> Removals,
) -> (Option<Arc<Devices>>, Option<Refresh>) {
    let same = former.filter(|former| former.devices.is_of(&settings));
    if same.is_some_and(|former| hangs(former, read.file.as_ref(), problems)) {
        return (None, None);
    }
    if !is_file(read.file.as_ref(), problems) {
        let former = same;
        return (None, former.map(|former| former.devices.refresh(Removals::Refuse)));
    }
    let refused = |errors: Vec<_>| errors.into_iter().for_each(|error| note(error, problems));
    let Some(former) = former else {
        return (Devices::load(settings).map_err(|bad| refused(bad.errors)).map(Arc::new).ok(), None);
    };
    let kept = Arc::clone(&former.devices);
    let renewed = match former.devices.renewed(settings.clone(), Removals::Refuse) {
        Err(Unrenewed::Removals { .. }) => former.devices.renewed(settings, removals()),
        renewed => renewed,
    };
    let (devices, became) = match renewed {
        Ok(Some((devices, refresh))) => (Arc::new(devices), Some(refresh)),
        Ok(None) => (kept, refresh(former, read.file.as_ref(), problems, removals)),
        Err(Unrenewed::Removals { devices, removed, blocked }) => {
            (kept, Some(Refresh::KeptForRemovals { devices, removed, blocked }))
        }
        Err(Unrenewed::Errors(errors)) => {
            refused(errors);
            return (None, None);
        }
    };
    (Some(devices), became)
}

fn note(error: DeviceFileError, problems: &Collector) {
    let position = usize::try_from(error.line).ok().filter(|line| *line > 0).map(|line| Position { line, column: 1 });
    let place = Place { origin: Arc::new(Origin::File { path: error.file }), position };
    problems.push_as_is(Problem { severity: Severity::Error, ..place.error("", error.problem) });
}

pub(super) fn with_source(error: &dyn std::error::Error) -> String {
    let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{source}")
}
