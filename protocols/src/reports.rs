//! Whom report-only exceptions let pass: how many requests, and of which devices. It is kept for a listener across reloads.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use provost_core::{Exception, Mac};

/// Devices that are kept of one exception.
const DEVICES: usize = 1024;
/// Exceptions that are kept of one listener: a reload may bring others.
const EXCEPTIONS: usize = 64;

/// What the exceptions of one listener let pass.
#[derive(Debug, Default)]
pub(crate) struct Reports(Mutex<BTreeMap<String, Reported>>);

/// What one exception let pass that would have been refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reported {
    /// How many requests.
    pub(crate) requests: u64,
    /// Of which devices, each with its requests; of those that named none and of devices past the bound nothing stands here.
    pub(crate) devices: BTreeMap<Mac, u64>,
    /// Requests of devices past the bound.
    pub(crate) of_others: u64,
}

impl Reports {
    /// An exception let a request pass, of this device where one was named.
    pub(crate) fn note(&self, exception: &Exception, device: Option<Mac>) {
        let mut reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = name(exception);
        if reports.len() >= EXCEPTIONS && !reports.contains_key(&name) {
            return;
        }
        let reported = reports.entry(name).or_default();
        reported.requests += 1;
        let Some(device) = device else { return };
        if reported.devices.len() < DEVICES || reported.devices.contains_key(&device) {
            *reported.devices.entry(device).or_default() += 1;
        } else {
            reported.of_others += 1;
        }
    }

    /// What has been noted, by exception.
    pub(crate) fn now(&self) -> BTreeMap<String, Reported> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// An exception as the operator wrote it, which knows it again after a reload.
fn name(exception: &Exception) -> String {
    let ouis: Vec<String> = exception.ouis.iter().map(ToString::to_string).collect();
    let shared = exception.shared.then_some("files that name no device".to_owned());
    let of: Vec<String> = ouis.into_iter().chain(shared).collect();
    match exception.require.iter().next() {
        Some(_) => format!("{}: {}", of.join(", "), exception.require),
        None => of.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_counted_up_to_a_bound_and_the_rest_together() {
        let reports = Reports::default();
        let exception = Exception {
            ouis: Vec::new(),
            require: "password".parse().into_iter().collect(),
            shared: true,
            report_only: true,
        };
        reports.note(&exception, None);
        for number in 0..1500_u16 {
            let [high, low] = number.to_be_bytes();
            reports.note(&exception, Some(Mac::from_octets([0, 4, 0xf2, 0, high, low])));
        }
        reports.note(&exception, Some(Mac::from_octets([0, 4, 0xf2, 0, 0, 7])));
        let now = reports.now();
        let (name, reported) = now.first_key_value().unwrap_or_else(|| panic!("{now:?}"));
        assert_eq!(name, "files that name no device: password");
        assert_eq!((reported.requests, reported.devices.len(), reported.of_others), (1502, 1024, 476));
        assert_eq!(reported.devices.get(&Mac::from_octets([0, 4, 0xf2, 0, 0, 7])), Some(&2));
    }
}
