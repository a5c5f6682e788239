//! What the operator laid down for a tenant's uploads.

use std::path::PathBuf;
use std::sync::Arc;

use provost_core::path::{Case, Strip};
use provost_core::rules::{Match, Writers};
use provost_core::{Inventory, Kind, Mac, NamedDevice, RequestPath, Rule, RuleSet};

use super::folders;
use super::ledger::Allowance;
use crate::devices::Devices;

/// Bodies that one device may have on their way at once, with the same reserve for settings as its quota: where anyone may
/// send a phone's logs, logs that never end must not keep its settings out. Phones send two.
const MAX_SPOOLS: u32 = 32;

/// The settings of one tenant's uploads.
#[derive(Debug, Clone)]
pub struct UploadsSettings {
    /// Where they live: `state/uploads/<tenant>`.
    pub directory: PathBuf,
    /// What one device may hold, in bytes. Default 16 MiB. Logs and files fill it up to seven eighths; the rest is for
    /// settings, which a user loses when they are lost.
    pub device_quota: u64,
    /// How many files one device may hold, rotated logs among them. Default 64, with the same reserve.
    pub device_files: u32,
    /// What all devices together may hold, in bytes. Default `device_quota` times the number of devices.
    pub quota: Quota,
    /// How many files all devices together may hold: empty ones take room on the disk, too. `device_files` times the number of devices,
    /// or 1,024.
    pub files: Quota,
    /// The size of one body, in bytes. Default 32 MiB.
    pub max_upload: u64,
    /// The size past which a log rotates, in bytes, where its rule says nothing. Default 512 KiB.
    pub max_log: u64,
    /// How many rotated logs are kept of each. Default 3.
    pub keep: u32,
    /// What must stay free on the disk, in bytes. Default 64 MiB.
    pub min_free: u64,
    /// What an answered upload has survived.
    pub durability: Durability,
    /// The tenant's rules: which uploads are logs that have rotated, and how names are compared.
    pub rules: RuleSet,
}

/// What all devices of a tenant may hold together.
#[derive(Debug, Clone)]
pub enum Quota {
    /// So much.
    Fixed(u64),
    /// A share for each that is listed at the time: they come and go while the tenant stays what it is.
    Shares {
        /// The share.
        each: u64,
        /// Whose.
        devices: Arc<Devices>,
        /// How many there are at least.
        least: u64,
    },
}

impl Quota {
    /// Whether what the device holds counts: a share goes with its device, and what was stored within it stays.
    pub(super) fn counts(&self, device: Mac) -> bool {
        match self {
            Self::Fixed(_) => true,
            Self::Shares { devices, .. } => devices.find(device).is_some(),
        }
    }

    fn now(&self) -> u64 {
        match self {
            Self::Fixed(quota) => *quota,
            Self::Shares { each, devices, least } => {
                each.saturating_mul(u64::try_from(devices.len()).unwrap_or(u64::MAX).max(*least))
            }
        }
    }
}

/// What an answered upload survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// A power cut: it is on the disk.
    #[default]
    Disk,
    /// The end of the process: it is with the system.
    Cache,
}

impl UploadsSettings {
    pub(super) fn case(&self) -> Case {
        self.rules.case()
    }

    /// How often the log has rotated that is stored at this path; `None` for what is no log that has rotated.
    pub(super) fn rotations(&self, path: &str) -> Option<u32> {
        // Most names are none, and need not be parsed.
        let path = path.ends_with(|last: char| last.is_ascii_digit()).then_some(path)?;
        self.rules.rotations(&RequestPath::parse(path.as_bytes(), &Strip::default()).ok()?)
    }

    /// The device whose the upload at this path is: the one that its name tells, or that an operator's rule does where the name leaves
    /// it in doubt.
    pub(super) fn owner(&self, path: &str) -> Option<Mac> {
        let path = RequestPath::parse(path.as_bytes(), &Strip::default()).ok()?;
        match path.named() {
            NamedDevice::One(device) => Some(*device),
            NamedDevice::Ambiguous => self.rules.find(&path)?.device,
            NamedDevice::None => None,
        }
    }

    /// Whether a folder above the upload at `stored`, which was asked for as `path`, may be the path of another upload: its name tells a
    /// device and says more than that, or another rule lets a device write such a file, which may be a log that rotates. Of a folder
    /// that is the address alone a rule that fits every name says nothing.
    pub(super) fn stands_in_a_file(&self, path: &RequestPath, stored: &str) -> bool {
        let own = self.rules.find(path);
        let is_own = |rule: &Arc<Rule>| own.as_ref().is_some_and(|own| Arc::ptr_eq(&own.rule, rule));
        let may_be_a_file = |folder: &str| {
            let Ok(path) = RequestPath::parse(folder.as_bytes(), &Strip::default()) else { return false };
            let is_address = path.base_name().parse::<Mac>().is_ok();
            let says_more = !is_address && NamedDevice::of(path.base_name()) != NamedDevice::None;
            let is_written = |Match { rule, device }: Match| {
                let is_meant = !(is_address && rule.pattern.fits_every_name() || is_own(&rule));
                device.is_some() && rule.write == Some(Writers::Own) && is_meant
            };
            says_more || self.rules.find(&path).is_some_and(is_written) || self.rotations(folder).is_some()
        };
        folders(stored).any(may_be_a_file)
    }

    /// What a device may hold for files of this kind to be stored.
    pub(super) fn allowance(&self, kind: Kind) -> Allowance {
        let (bytes, files, spools) = (self.device_quota, self.device_files, MAX_SPOOLS);
        let (bytes, files, spools) = match kind {
            Kind::Settings => (bytes, files, spools),
            Kind::Log | Kind::File => (bytes - bytes / 8, files - files / 8, spools - spools / 8),
        };
        Allowance {
            device_bytes: bytes,
            device_files: files,
            device_spools: spools,
            tenant_bytes: self.quota.now(),
            tenant_files: self.files.now(),
        }
    }
}
