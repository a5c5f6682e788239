//! What one load leaves for the next, so that a tenant's file is not parsed and validated again as long as nothing changed that it was
//! read from. What has errors is not kept: it is read, and told, anew.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::civil::Date;

use super::newcomer::{Newcomer, Reading};
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
    readings: HashMap<PathBuf, Arc<Reading>>,
}

impl Memory {
    /// What was found of tenants under the provost.toml of this digest.
    pub(super) fn of(basis: [u8; 32], today: Date, trust: Arc<Trusted>, newcomers: &[Newcomer]) -> Self {
        let right = newcomers.iter().filter(|newcomer| newcomer.reading.digest.is_some());
        let readings = right.map(|newcomer| (newcomer.file.clone(), Arc::clone(&newcomer.reading))).collect();
        Self(Arc::new(Kept { basis, today, trust, readings }))
    }

    /// What counts under a provost.toml: nothing where that is another one.
    pub(super) fn under(&self, basis: &[u8; 32], today: Date) -> Self {
        if self.0.basis == *basis && self.0.today == today { self.clone() } else { Self::default() }
    }

    pub(super) fn trust(&self) -> &Trusted {
        &self.0.trust
    }

    pub(super) fn reading(&self, file: &Path) -> Option<&Arc<Reading>> {
        self.0.readings.get(file)
    }
}
