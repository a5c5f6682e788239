//! One load of a configuration: provost.toml and its trust sets first, then each tenant's file, then all beside each other, then
//! what the tenants are made of.

use std::path::{Path, PathBuf};
use std::sync::Arc;
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
        let files = main.tenant_files(folder);
        let settings = main.settings;
        let memory = former.memory.map(|memory| memory.under(&digest, today())).unwrap_or_default();
        let trust = Arc::new(trust::read(&document, Some(memory.trust()), &mut Look::default(), now));
        let basis = basis(former.tenants, digest, || Basis { document, digest, settings });
        let context = Arc::new(Context { basis, sets: trust.sets(), trust, memory, now, today: today() });
        Ok(Self { context, main_file: path, files })
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
        beside::check(&newcomers, &Held { state: &settings.state, state_canonical, main_file });
        let mut refreshed = Vec::new();
        let mut around = Around {
            context: &self.context,
            former: former.tenants.iter().map(|tenant| (tenant.policy.name.as_str(), tenant)).collect(),
            removals: former.removals,
            devices: OfFormer::Read,
            refreshed: &mut refreshed,
        };
        let tenants = newcomers.iter_mut().filter_map(|newcomer| assemble::tenant(newcomer, &mut around)).collect();
        Found { newcomers, hanging, tenants, refreshed }
    }
}

/// Tenants that were loaded with the same provost.toml share it.
fn basis(former: &[Arc<Tenant>], digest: [u8; 32], read: impl FnOnce() -> Basis) -> Arc<Basis> {
    let mut known = former.iter().filter_map(|tenant| tenant.source.basis.as_ref());
    known.find(|basis| basis.digest == digest).map_or_else(|| Arc::new(read()), Arc::clone)
}
