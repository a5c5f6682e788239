//! One load of a configuration: provost.toml and its trust sets first, then each tenant's file, then all beside each other, then
//! what the tenants are made of.

use std::iter;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::SystemTime;

use super::assemble::{self, Around, OfFormer};
use super::beside::{self, Held};
use super::canonical::Canonical;
use super::digest;
use super::main_file;
use super::material::Basis;
use super::meeting::{self, Hanging};
use super::memory::Memory;
use super::newcomer::{Context, Newcomer};
use super::overlay;
use super::problem::{Collector, Problems};
use super::sight::Look;
use super::trust;
use super::{Former, read_document, today};
use crate::deployment::Tenant;
use crate::devices::Refresh;

/// A configuration of which provost.toml has been read.
pub(super) struct Loading<'a> {
    pub(super) context: Arc<Context>,
    main_file: &'a Path,
    /// Of the tenants, in order.
    files: Vec<PathBuf>,
    /// What counts from the next start alone.
    pub(super) pending: Vec<&'static str>,
}

/// The tenants: as their files have them, as they can be served, and what became of their devices.
pub(super) struct Found {
    pub(super) newcomers: Vec<Newcomer>,
    pub(super) hanging: Vec<Hanging>,
    pub(super) tenants: Vec<Arc<Tenant>>,
    pub(super) refreshed: Vec<(String, Refresh)>,
}

impl<'a> Loading<'a> {
    /// Reads provost.toml, and what is wrong with it into `problems`.
    pub(super) fn begin(
        path: &'a Path,
        environment: impl IntoIterator<Item = (String, String)>,
        former: Former<'_>,
        problems: &Collector,
    ) -> Result<Self, Problems> {
        let now = SystemTime::now();
        let (mut document, text) = read_document(path).map_err(Problems::from_iter)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let environment = overlay::ours(environment);
        let of_environment = environment.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
        let digest = digest::of([text.as_bytes()].into_iter().chain(of_environment));
        for problem in overlay::environment(&mut document, environment, folder) {
            problems.push(problem);
        }
        let main = main_file::read(&document, problems);
        let files = main.tenant_files(folder, former.tenants);
        let mut settings = main.settings;
        let pending = former.settings.map(|begun| begun.pending(&settings)).unwrap_or_default();
        if let Some(begun) = former.settings {
            settings.state.clone_from(&begun.state);
        }
        let memory = former.memory.map(|memory| memory.under(&digest, today())).unwrap_or_default();
        let trust = Arc::new(trust::read(&document, Some(memory.trust()), &mut Look::default(), now));
        let basis = basis(former.tenants, digest, || Basis { document, digest, settings });
        let context = Arc::new(Context { basis, sets: trust.sets(), trust, memory, now, today: today() });
        Ok(Self { context, main_file: path, files, pending })
    }

    /// Reads the tenants, and makes those that have no error. It blocks.
    pub(super) fn finish(&self, former: Former<'_>) -> Found {
        let begin = || {
            let (context, mut look, mut canonical) = (Arc::clone(&self.context), Look::default(), Canonical::default());
            move |file: &Path| Newcomer::meet(file, &context, (&mut look, &mut canonical))
        };
        let still = former.memory.map(Memory::hanging).unwrap_or_default();
        let hanging = |file: &Path| Newcomer::hanging(file, &self.context.memory);
        let (mut newcomers, hanging) = meeting::meet(&self.files, meeting::PATIENCE, still, begin, hanging);
        let settings = &self.context.basis.settings;
        let mut canonical = Canonical::default();
        let (state_canonical, main_file) = (canonical.of(&settings.state), canonical.of(self.main_file));
        let held = Held { state: &settings.state, state_canonical, main_file };
        beside::check(&newcomers, &held);
        // Before an inventory is taken of which devices are missing, as that is served at once.
        beside::check_served(&newcomers, former.tenants, &held);
        let around = Around {
            context: &self.context,
            former: former.tenants.iter().map(|tenant| (tenant.policy.name.as_str(), tenant)).collect(),
            removals: former.removals,
            is_given_up: former.is_given_up,
            devices: OfFormer::Read,
        };
        let tenants = side_by_side(&mut newcomers, |newcomer| assemble::tenant(newcomer, &around));
        // Once more, as what an inventory holds may be wrong, too.
        beside::check_served(&newcomers, former.tenants, &held);
        let tenants = tenants.into_iter().zip(&newcomers).filter(|(_, newcomer)| !newcomer.has_errors());
        let tenants = tenants.filter_map(|(tenant, _)| tenant).collect();
        let refreshed = newcomers.iter_mut().filter_map(|newcomer| {
            let refresh = newcomer.refresh.take()?;
            Some((newcomer.claims().name.as_ref()?.0.clone(), refresh))
        });
        Found { refreshed: refreshed.collect(), newcomers, hanging, tenants }
    }
}

/// Works on each of them, by as many threads as there are cores; what comes of it stands in their order. One may take as long as all
/// others: inventories are read here.
fn side_by_side<T: Send, R: Send>(all: &mut [T], work: impl Fn(&mut T) -> R + Sync) -> Vec<R> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(all.len());
    // Those of which nothing changed take no longer than to be handed out.
    let rest = Mutex::new(all.chunks_mut(16).enumerate());
    let next = || rest.lock().unwrap_or_else(PoisonError::into_inner).next();
    let worker = || {
        let pieces = iter::from_fn(next).map(|(place, piece)| (place, piece.iter_mut().map(&work).collect()));
        pieces.collect::<Vec<_>>()
    };
    let mut results: Vec<(usize, Vec<R>)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        let ended = workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        ended.flatten().collect()
    });
    results.sort_unstable_by_key(|(place, _)| *place);
    results.into_iter().flat_map(|(_, piece)| piece).collect()
}

/// Tenants that were loaded with the same provost.toml share it.
fn basis(former: &[Arc<Tenant>], digest: [u8; 32], read: impl FnOnce() -> Basis) -> Arc<Basis> {
    let mut known = former.iter().filter_map(|tenant| tenant.source.basis.as_ref());
    known.find(|basis| basis.digest == digest).map_or_else(|| Arc::new(read()), Arc::clone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_worked_on_side_by_side_stays_in_order() {
        let mut numbers: Vec<usize> = (0..1000).collect();
        let doubled = side_by_side(&mut numbers, |number| {
            *number += 1;
            *number * 2
        });
        assert_eq!(numbers, (1..=1000).collect::<Vec<_>>());
        assert_eq!(doubled, (1..=1000).map(|number| number * 2).collect::<Vec<_>>());
        assert_eq!(side_by_side(&mut [(); 0], |()| ()), []);
    }
}
