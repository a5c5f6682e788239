//! What the operator laid down for the guard.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use provost_core::Prefixes;

/// The settings of one tenant's guard.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    pub pairs: usize,
    /// Where they are kept.
    pub file: PathBuf,
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
            pairs: 65_536,
            file,
        }
    }

    pub(super) fn unlisted_of(&self, address: IpAddr) -> usize {
        let site = self.sites.iter().find(|site| site.prefixes.contains(address));
        site.map_or(self.unlisted, |site| site.unlisted)
    }
}
