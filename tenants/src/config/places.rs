//! Where a tenant's files lie, what its phones may store, and which devices it has: `[files]`, `[uploads]`, `[devices]`.

use provost_core::path::{Case, Strip};
use provost_core::{DevicePolicy, Mac};

use super::field::Field;
use super::section::Section;
use super::spot::Named;
use crate::deployment::Tenant;
use crate::uploads::Durability;

const MIB: u64 = 1 << 20;
/// The most that a size of `[uploads]` may be: 1,024 TiB.
const MOST: u64 = 1 << 50;

/// `[files]`.
pub(super) struct FilesRead {
    pub(super) root: Option<Named>,
    pub(super) shared: Vec<Named>,
    pub(super) strip: Strip,
    pub(super) case: Case,
}

/// `[uploads]`; sizes in bytes.
pub(super) struct UploadsRead {
    pub(super) device_quota: u64,
    pub(super) device_files: u32,
    /// Absent: `device_quota` times the number of devices.
    pub(super) quota: Option<u64>,
    pub(super) max_upload: u64,
    pub(super) max_log: u64,
    pub(super) keep: u32,
    pub(super) min_free: u64,
    pub(super) durability: Durability,
}

/// `[devices]`.
pub(super) struct DevicesRead {
    pub(super) policy: DevicePolicy,
    pub(super) list: Vec<Mac>,
    /// Absent, too, where it is no path, which is an error.
    pub(super) file: Option<Named>,
}

/// Of a `former` tenant, which is of the same text, the folders stay.
pub(super) fn files(mut section: Section<'_>, former: Option<&Tenant>) -> FilesRead {
    let problems = section.problems();
    let folder = |field: &Field<'_>| problems.or_former(former.and_then(|_| field.named()), || folder(field));
    let root = section.need("root", "the folder of the tenant's files").and_then(|field| folder(&field));
    let shared = section.take("shared").map(|field| field.items()).unwrap_or_default();
    let shared = shared.iter().filter_map(folder).collect();
    let case = section.take("case").and_then(|field| field.choice(&[("exact", Case::Exact), ("ignore", Case::Ignore)]));
    let case = case.unwrap_or_default();
    let strip = section.take("strip").map(|field| field.items()).unwrap_or_default();
    let strip: Vec<&str> = strip.iter().filter_map(prefix).collect();
    section.finish();
    FilesRead { root, shared, strip: Strip::new(strip, case), case }
}

fn folder(field: &Field<'_>) -> Option<Named> {
    let path = field.path()?;
    match path.metadata() {
        Ok(found) if found.is_dir() => Some(Named { path, spot: field.spot() }),
        Ok(_) => {
            field.refuse("expected a folder");
            None
        }
        Err(error) => {
            field.refuse(format!("expected a folder that exists: {error}"));
            None
        }
    }
}

fn prefix<'a>(field: &Field<'a>) -> Option<&'a str> {
    let text = field.text("a prefix of paths, such as \"/tftpboot\"")?;
    let mut segments = text.split(['/', '\\']);
    if segments.clone().all(|segment| matches!(segment, "" | ".")) || segments.any(|segment| segment == "..") {
        field.refuse("expected a prefix of paths, such as \"/tftpboot\"");
        return None;
    }
    Some(text)
}

pub(super) fn uploads(mut section: Section<'_>) -> UploadsRead {
    let mut size = |key, least| section.take(key).and_then(|field| bounded(&field, least));
    let device_quota = size("device_quota", 1).unwrap_or(16 * MIB);
    let max_upload = size("max_upload", 1).unwrap_or(32 * MIB);
    let max_log = size("max_size", 1).unwrap_or(MIB / 2);
    let min_free = size("min_free", 0).unwrap_or(64 * MIB);
    let device_files = section.take("device_files").and_then(|field| field.number(1, 100_000_u32)).unwrap_or(64);
    let keep = section.take("keep").and_then(|field| field.number(0, 100_u32)).unwrap_or(3);
    let durability = section.take("durability");
    let durability =
        durability.and_then(|field| field.choice(&[("disk", Durability::Disk), ("cache", Durability::Cache)]));
    let quota = section.take("quota").and_then(|field| {
        let quota = bounded(&field, 1)?;
        if quota <= device_quota {
            field.warn("no more than `device_quota`: one device can use up what all devices have");
        }
        Some(quota)
    });
    section.finish();
    let durability = durability.unwrap_or_default();
    UploadsRead { device_quota, device_files, quota, max_upload, max_log, keep, min_free, durability }
}

/// A size beside which something can be stored still.
fn bounded(field: &Field<'_>, least: u64) -> Option<u64> {
    let size = field.size()?;
    if (least..=MOST).contains(&size) {
        return Some(size);
    }
    field.refuse(format!("expected from \"{least}B\" to \"1024TiB\""));
    None
}

pub(super) fn devices(mut section: Section<'_>) -> DevicesRead {
    let policy = section.take("policy");
    let policy = policy.and_then(|field| field.choice(&[("listed", DevicePolicy::Listed), ("any", DevicePolicy::Any)]));
    let list = section.take("list").map(|field| field.items()).unwrap_or_default();
    let list: Vec<Mac> = list.iter().filter_map(device).collect();
    let file = section.take("file");
    let policy = policy.unwrap_or_default();
    if policy == DevicePolicy::Listed && list.is_empty() && file.is_none() {
        section.warn("no device is listed and `policy` is \"listed\", so none is served");
    }
    section.finish();
    // Whoever serves the devices looks at their file.
    let file = file.and_then(|field| field.path_unseen().map(|path| Named { path, spot: field.spot() }));
    DevicesRead { policy, list, file }
}

fn device(field: &Field<'_>) -> Option<Mac> {
    let mac = field.explained::<Mac>("a MAC address, such as \"0004f2aabbcc\"")?;
    if mac.oui() == provost_core::Oui::NONE {
        field.refuse("the OUI 000000 stands for no device");
        return None;
    }
    Some(mac)
}
