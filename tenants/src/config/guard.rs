//! The guard against enumeration: `[guard]`, and the sites of which many phones share an address: `[[guard.site]]`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::field::Field;
use super::listener::prefixes;
use super::section::Section;
use crate::devices::Devices;
use crate::guard::{GuardSettings, MostPairs, Site};

/// The most that a limit may be: it bounds what is remembered of a source, and a bound that bounds nothing is a slip.
const MOST: u32 = 1_000_000;
/// The longest window.
const LONGEST: Duration = Duration::from_hours(24);

/// `[guard]`, as far as the tenant's file says it.
#[derive(Debug, Clone)]
pub(super) struct GuardRead {
    settings: GuardSettings,
    /// Absent: four for each device.
    pairs: Option<usize>,
}

pub(super) fn read(mut section: Section<'_>) -> GuardRead {
    let mut settings = GuardSettings::new(PathBuf::new());
    for (key, value) in
        [("unlisted", &mut settings.unlisted), ("alarm", &mut settings.alarm), ("misses", &mut settings.misses)]
    {
        *value = section.take(key).and_then(|field| number(&field)).unwrap_or(*value);
    }
    if let Some(field) = section.take("window") {
        match field.span() {
            Some(span) if span.is_zero() || span > LONGEST => {
                field.refuse("expected more than \"0s\" and not over \"1d\"");
            }
            Some(span) => settings.window = span,
            None => {}
        }
    }
    let pairs = section.take("pairs").and_then(|field| field.number(1024_u32, 100_000_000));
    let pairs = pairs.and_then(|pairs| usize::try_from(pairs).ok());
    settings.sites = section.tables("site").into_iter().filter_map(site).collect();
    section.finish();
    GuardRead { settings, pairs }
}

impl GuardRead {
    /// The settings of a tenant with these devices, whose pairs are kept in `file`.
    pub(super) fn settings(self, file: PathBuf, devices: &Arc<Devices>) -> GuardSettings {
        let of_devices = || MostPairs::OfDevices(Arc::clone(devices));
        GuardSettings { file, pairs: self.pairs.map_or_else(of_devices, MostPairs::Fixed), ..self.settings }
    }
}

fn number(field: &Field<'_>) -> Option<usize> {
    usize::try_from(field.number(1, MOST)?).ok()
}

fn site(mut section: Section<'_>) -> Option<Site> {
    let from = section.need("prefixes", "the addresses of the site or relay, such as [\"203.0.113.7/32\"]");
    let unlisted = section.need("unlisted", "how many devices that are not listed it may ask for");
    section.finish();
    Some(Site { prefixes: prefixes(&from?), unlisted: number(&unlisted?)? })
}
