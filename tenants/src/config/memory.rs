//! What one load leaves for the next, so that a tenant's file is not parsed and validated again as long as nothing changed that it was
//! read from. What has errors is not kept: it is read, and told, anew.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};
use jiff::civil::Date;

use super::loading::Found;
use super::meeting::Hanging;
use super::newcomer::{Context, Reading};
use super::trust::Trusted;

/// What a load found, for the next one.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Of provost.toml and its environment.
    basis: [u8; 32],
    /// What has expired is judged by the day.
    today: Date,
    trust: Arc<Trusted>,
    readings: HashMap<OsString, Arc<Reading>>,
    hanging: Vec<Hanging>,
}

impl Memory {
    /// What was found of tenants.
    pub(super) fn of(context: &Context, found: &Found) -> Self {
        let mut readings = HashMap::with_capacity(found.newcomers.len());
        for newcomer in &found.newcomers {
            // Of one that hangs is known what was known before.
            let known = context
                .memory
                .reading(&newcomer.file)
                .filter(|_| found.hanging.iter().any(|one| one.file == newcomer.file));
            let reading = Some(&newcomer.reading).filter(|reading| reading.digest.is_some()).or(known);
            readings.extend(reading.map(|reading| (newcomer.file.clone().into(), Arc::clone(reading))));
        }
        let (basis, today, trust) = (context.basis.digest, context.today, Arc::clone(&context.trust));
        Self(Arc::new(Kept { basis, today, trust, readings, hanging: found.hanging.clone() }))
    }

    /// What counts under a provost.toml: nothing where that is another one.
    pub(super) fn under(&self, basis: &[u8; 32], today: Date) -> Self {
        if self.0.basis == *basis && self.0.today == today { self.clone() } else { Self::default() }
    }

    /// Files that hung in the last load.
    pub(super) fn hanging(&self) -> Vec<Hanging> {
        self.0.hanging.clone()
    }

    pub(super) fn trust(&self) -> &Trusted {
        &self.0.trust
    }

    pub(super) fn reading(&self, file: &Path) -> Option<&Arc<Reading>> {
        self.0.readings.get(file.as_os_str())
    }
}
