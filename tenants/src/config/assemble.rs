//! From what a tenant's file says to the tenant. What its folders and its inventory hold is found wrong here.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use provost_core::DevicePolicy;

use super::digest;
use super::field::Field;
use super::material::Material;
use super::node::Place;
use super::problem::{Collector, Origin, Position, Problem, Severity};
use super::tenant::TenantRead;
use super::trust::SetFilesByName;
use crate::deployment::{Settings, Tenant};
use crate::devices::{DeviceFileError, Devices, DevicesSettings, Refresh, Removals, Unrenewed};
use crate::files::{Files, FilesSettings};
use crate::guard::Guard;
use crate::uploads::{Uploads, UploadsSettings};
use crate::users::Users;

/// What the quota of a tenant that serves any device counts with.
const DEVICES_OF_AN_OPEN_TENANT: u64 = 1024;

/// What a tenant is made with beside its own file.
pub(super) struct Around<'a> {
    pub(super) settings: &'a Settings,
    /// The tenants that are served, by name.
    pub(super) former: HashMap<&'a str, &'a Arc<Tenant>>,
    pub(super) removals: Removals,
    pub(super) devices: OfFormer,
    pub(super) main_digest: [u8; 32],
    pub(super) trust_files: &'a SetFilesByName,
    pub(super) refreshed: &'a mut Vec<(String, Refresh)>,
}

/// What becomes of the devices that are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OfFormer {
    /// They are read again.
    Read,
    /// They stay.
    Kept,
}

/// The tenant; absent where anything of it has an error, which is noted.
pub(super) fn tenant(mut read: TenantRead<'_>, around: &mut Around<'_>) -> Option<Arc<Tenant>> {
    let settings = around.settings;
    let name = read.claims.name.as_ref().map(|(name, _)| name.clone());
    let former = name.and_then(|name| around.former.get(name.as_str()).copied());
    // A file that took another tenant's name by mistake says nothing of that tenant's devices.
    let former = former.filter(|former| read.problems.errors() == 0 || former.source.file == read.source.file);
    let devices = match (around.devices, former) {
        (OfFormer::Kept, Some(former)) => Some(Arc::clone(&former.devices)),
        (OfFormer::Kept | OfFormer::Read, _) => devices(&read, former, around),
    };
    if let (Some(devices), Some(field)) = (&devices, &read.devices.file) {
        warn_of_plain(devices, field);
    }
    if read.problems.errors() > 0 {
        return None;
    }
    read.source.digest = digest::of_tenant(&read, &around.main_digest);
    read.source.material = material(&mut read, around.trust_files);
    let is_same = |former: &&Arc<Tenant>| {
        former.source.is(&read.source) && devices.as_ref().is_some_and(|devices| Arc::ptr_eq(devices, &former.devices))
    };
    if let Some(former) = former.filter(is_same) {
        return Some(Arc::clone(former));
    }
    let (policy, network, devices, root) = (read.policy?, read.network?, devices?, read.files.root?);
    let count = match policy.devices {
        DevicePolicy::Listed => u64::try_from(devices.len()).unwrap_or(u64::MAX).max(1),
        DevicePolicy::Any => DEVICES_OF_AN_OPEN_TENANT,
    };
    let uploads = UploadsSettings {
        directory: settings.state.join("uploads").join(&policy.name),
        device_quota: read.uploads.device_quota,
        device_files: read.uploads.device_files,
        quota: read.uploads.quota.unwrap_or(read.uploads.device_quota.saturating_mul(count)),
        max_upload: read.uploads.max_upload,
        max_log: read.uploads.max_log,
        keep: read.uploads.keep,
        min_free: read.uploads.min_free,
        durability: read.uploads.durability,
        case: read.files.case,
    };
    let uploads = Arc::new(match former {
        Some(former) => former.uploads.renewed(uploads),
        None => Uploads::new(uploads),
    });
    let kept = settings.state.join("guard").join(format!("{}.pairs", policy.name));
    let guard = read.guard.settings(kept, devices.len());
    let guard = former.map_or_else(|| Guard::new(guard.clone()), |former| former.guard.renewed(guard.clone()));
    let shared = read.files.shared.into_iter().map(|folder| folder.path).collect();
    let folders = FilesSettings { root: root.path, shared, case: read.files.case };
    let files = Files::open_roots(folders, uploads.clone());
    let files = files.map_err(|error| root.field.refuse(with_source(&error))).ok()?;
    let users = Users::new(&policy.name, read.users);
    Some(Arc::new(Tenant {
        policy,
        network,
        files,
        uploads,
        devices,
        users,
        listeners: read.listeners.into_iter().map(Arc::new).collect(),
        limits: read.limits,
        guard,
        source: read.source,
    }))
}

fn warn_of_plain(devices: &Devices, field: &Field<'_>) {
    match devices.password_forms().plain {
        0 => {}
        plain => field.warn(format!(
            "{plain} passwords stand there as they are, for whoever reads the file: `provost password hash` makes a stored form"
        )),
    }
}

/// The files of its listeners' pairs, and of the trust sets that they name.
fn material(read: &mut TenantRead<'_>, trust_files: &SetFilesByName) -> Material {
    let tls = read.listeners.iter().filter_map(|listener| listener.tls.as_ref());
    let names: BTreeSet<&str> = tls.flat_map(|tls| tls.trust.iter().map(|set| &*set.name)).collect();
    let sets = names.into_iter().filter_map(|name| trust_files.get(name).cloned()).collect();
    Material::new(std::mem::take(&mut read.pairs), sets)
}

/// The devices. Those that are served stay where the file lost so many that it may be a mistake.
fn devices(read: &TenantRead<'_>, former: Option<&Arc<Tenant>>, around: &mut Around<'_>) -> Option<Arc<Devices>> {
    let file = match &read.devices.file {
        // Without the path, the error has been noted.
        Some(field) => {
            let path = field.path()?;
            // A file that is not there has no line to point at, so the error stands where it is named.
            match std::fs::metadata(&path) {
                Ok(found) if found.is_file() => Some(path),
                Ok(_) => {
                    field.refuse("expected a CSV file");
                    return None;
                }
                Err(error) => {
                    field.refuse(format!("expected a CSV file: {error}"));
                    return None;
                }
            }
        }
        None => None,
    };
    let realm = read.claims.name.as_ref().map(|(name, _)| name.clone()).unwrap_or_default();
    let settings = DevicesSettings { list: read.devices.list.clone(), file, realm };
    let refused = |errors: Vec<_>| errors.into_iter().for_each(|error| note(error, read.problems));
    let Some(former) = former else { return Devices::load(settings).map_err(refused).map(Arc::new).ok() };
    let (devices, refresh) = match former.devices.renewed(settings, around.removals) {
        Ok(Some((devices, refresh))) => (Arc::new(devices), refresh),
        Ok(None) => {
            let refresh = former.devices.refresh(around.removals);
            if let Refresh::KeptForErrors { errors, .. } = &refresh {
                refused(errors.clone());
            }
            (Arc::clone(&former.devices), refresh)
        }
        Err(Unrenewed::Errors(errors)) => {
            refused(errors);
            return None;
        }
        Err(Unrenewed::Removals { devices, removed }) => {
            (Arc::clone(&former.devices), Refresh::KeptForRemovals { devices, removed, blocked: 0 })
        }
    };
    around.refreshed.push((former.policy.name.clone(), refresh));
    Some(devices)
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
