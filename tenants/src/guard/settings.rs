//! What the operator laid down for the guard.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use provost_core::Prefixes;

use crate::devices::Devices;

/// How many pairs are kept for each device where the operator says nothing, and of few devices.
const PAIRS_OF_DEVICE: usize = 4;
const FEWEST_PAIRS: usize = 65_536;

/// The settings of one tenant's guard.
#[derive(Debug, Clone)]
pub struct GuardSettings {
    /// From how many distinct devices that are not listed a source is throttled. Default 32.
    pub unlisted: usize,
    /// Within which time they count. Default 10 min.
    pub window: Duration,
    /// Sites behind NAT, and relays, that have another `unlisted`; the first that holds the address counts.
    pub sites: Vec<Site>,
    /// How many devices that are not listed, of all sources together, raise an alarm. Default 256.
    pub alarm: usize,
    /// How many files that there are not raise an alarm for a source. Default 10,000.
    pub misses: usize,
    /// How many pairs of source and device are kept; those that were used longest ago go first.
    pub pairs: MostPairs,
    /// Where they are kept.
    pub file: PathBuf,
}

/// How many pairs are kept.
#[derive(Debug, Clone)]
pub enum MostPairs {
    /// So many.
    Fixed(usize),
    /// Four for each device that is listed at the time, and never less than 65,536: devices come and go while the tenant stays what it
    /// is.
    OfDevices(Arc<Devices>),
}

/// Sources of which many phones share one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Their addresses.
    pub prefixes: Prefixes,
    /// From how many distinct devices that are not listed each is throttled.
    pub unlisted: usize,
}

impl GuardSettings {
    /// The defaults, with the file that pairs are kept in.
    pub fn new(file: PathBuf) -> Self {
        Self {
            unlisted: 32,
            window: Duration::from_mins(10),
            sites: Vec::new(),
            alarm: 256,
            misses: 10_000,
            pairs: MostPairs::Fixed(FEWEST_PAIRS),
            file,
        }
    }

    pub(super) fn unlisted_of(&self, address: IpAddr) -> usize {
        let site = self.sites.iter().find(|site| site.prefixes.contains(address));
        site.map_or(self.unlisted, |site| site.unlisted)
    }
}

impl MostPairs {
    pub(super) fn now(&self) -> usize {
        match self {
            Self::Fixed(most) => *most,
            Self::OfDevices(devices) => devices.len().saturating_mul(PAIRS_OF_DEVICE).max(FEWEST_PAIRS),
        }
    }
}
