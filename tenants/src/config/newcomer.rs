//! One tenant's file within a load: read anew, or known from the last load where nothing that it was read from has changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use jiff::civil::Date;

use super::canonical::Canonical;
use super::contents;
use super::digest;
use super::material::Basis;
use super::memory::Memory;
use super::node::{self, Place};
use super::overlay;
use super::problem::{Collector, Origin, Problem};
use super::sight::{Look, NamedFolder, Sight, Sights};
use super::spot::Named;
use super::tenant::{self, Claims, Common, TenantRead};
use super::trust::{TrustSets, Trusted};
use crate::deployment::{Source, Tenant};
use crate::devices::Refresh;
use crate::trust::TrustSet;

/// What all tenants of one load are read with.
pub(super) struct Context {
    pub(super) basis: Arc<Basis>,
    pub(super) trust: Arc<Trusted>,
    pub(super) sets: TrustSets,
    pub(super) memory: Memory,
    pub(super) now: SystemTime,
    pub(super) today: Date,
}

/// One tenant's file.
pub(super) struct Newcomer {
    pub(super) file: PathBuf,
    pub(super) reading: Arc<Reading>,
    /// Absent where the reading is of an earlier load, or where the file is not TOML: then there is nothing more to say of it.
    pub(super) fresh: Option<Fresh>,
    /// Whether it is what is served, and not what comes.
    pub(super) is_served: bool,
    pub(super) places: Arc<Places>,
    /// What is wrong with it beside the others, or with what its folders hold.
    pub(super) problems: Collector,
    /// Which of its certificates are worse than those that are served.
    pub(super) of_certificates: Collector,
    /// What is wrong with its inventory.
    pub(super) of_devices: Collector,
    /// What became of the devices of its former self.
    pub(super) refresh: Option<Refresh>,
}

/// What is kept of a file that was read, and what that depends on.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) claims: Arc<Claims>,
    pub(super) problems: Vec<Problem>,
    /// Of all that the tenant was read from; absent where there is an error.
    pub(super) digest: Option<[u8; 32]>,
    /// Of the file's text; absent where that is not TOML.
    text: Option<[u8; 32]>,
    /// The file itself; absent where nothing is known of it.
    sight: Option<Sight>,
    sights: Arc<Sights>,
    sets: Vec<(String, Option<Arc<TrustSet>>)>,
}

/// What a tenant is made of.
pub(super) struct Fresh {
    pub(super) read: TenantRead,
    pub(super) source: Source,
}

/// What a tenant that is served claimed when it loaded.
#[derive(Clone, Default)]
pub(crate) struct Holds {
    claims: Arc<Claims>,
    places: Arc<Places>,
}

/// What the tenant claims, as the system names it.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) file: PathBuf,
    pub(super) root: Option<PathBuf>,
    pub(super) shared: Vec<PathBuf>,
    pub(super) secrets: Vec<PathBuf>,
}

impl Context {
    fn common(&self) -> Common<'_> {
        Common { trust: &self.sets, now: self.now, today: self.today, former: None }
    }
}

impl Newcomer {
    /// Reads the file, or knows it again. It blocks.
    pub(super) fn meet(file: &Path, context: &Context, (look, canonical): (&mut Look, &mut Canonical)) -> Self {
        let known = context.memory.reading(file).filter(|reading| reading.holds(context, look));
        let (reading, fresh) = if let Some(known) = known {
            (Arc::clone(known), None)
        } else {
            let (reading, fresh) = read(file, context);
            (Arc::new(reading), fresh)
        };
        let places = Arc::new(Places::of(file, &reading.claims, canonical));
        Self { places, ..Self::of(file, reading, fresh) }
    }

    /// A file that hangs, or one that it names. The tenant has what it had: nobody else gets it meanwhile.
    pub(super) fn hanging(file: &Path, memory: &Memory) -> Self {
        let origin = Origin::file(file);
        let message = "hangs, or a file or folder that it names: its disk does not answer";
        let mut reading = Reading::failed(vec![Place::whole(&origin).error("", message.to_owned())], None);
        if let Some(known) = memory.reading(file) {
            reading.claims = Arc::clone(&known.claims);
        }
        Self::of(file, Arc::new(reading), None)
    }

    /// A tenant that is served, as its files and these trust sets are now; what cannot be read is the former's. Where a path leads to another folder those that are served stay: whether that one
    /// is another tenant's is asked beside all of them, by a reload.
    pub(super) fn again(served: &Tenant, sets: &TrustSets, context: &Context) -> Self {
        let Source { file, text, holds, .. } = &served.source;
        let common = Common { trust: sets, former: Some(served), ..context.common() };
        let (reading, fresh) = read_text(file, Arc::clone(text), Sight::of(file), &common, context);
        Self { places: Arc::clone(&holds.places), ..Self::of(file, Arc::new(reading), fresh) }
    }

    /// A tenant that is served, as it loaded, beside those that others have become since.
    pub(super) fn served(served: &Source) -> Self {
        let Holds { claims, places } = served.holds.clone();
        let reading = Reading { claims, ..Reading::failed(Vec::new(), None) };
        Self { is_served: true, places, ..Self::of(&served.file, Arc::new(reading), None) }
    }

    fn of(file: &Path, reading: Arc<Reading>, fresh: Option<Fresh>) -> Self {
        let origin = Origin::file(file);
        Self {
            file: file.to_path_buf(),
            reading,
            fresh,
            is_served: false,
            places: Arc::default(),
            problems: Collector::for_tenant(Arc::clone(&origin)),
            of_certificates: Collector::for_tenant(Arc::clone(&origin)),
            of_devices: Collector::for_tenant(origin),
            refresh: None,
        }
    }

    pub(super) fn claims(&self) -> &Claims {
        &self.reading.claims
    }

    pub(super) fn holds(&self) -> Holds {
        Holds { claims: Arc::clone(&self.reading.claims), places: Arc::clone(&self.places) }
    }

    /// The folders that its phones read, as the system names them.
    pub(super) fn folders(&self) -> impl Iterator<Item = (&Path, &Named)> {
        let root = self.places.root.iter().zip(&self.claims().root);
        let shared = self.places.shared.iter().zip(&self.claims().shared);
        root.chain(shared).map(|(folder, named)| (folder.as_path(), named))
    }

    /// Whether it has errors up to here.
    pub(super) fn has_errors(&self) -> bool {
        let found = [&self.problems, &self.of_certificates, &self.of_devices];
        self.reading.digest.is_none() || found.iter().any(|problems| problems.errors() > 0)
    }

    /// The errors up to here, one line each.
    pub(super) fn error_texts(&self, trust: &Trusted) -> Vec<String> {
        [self.errors_of_files(trust), self.problems.error_texts(), self.of_devices.error_texts()].concat()
    }

    /// The errors of the file and of what it names, behind those of the trust sets: the tenant's own only say that there are some.
    pub(super) fn errors_of_files(&self, trust: &Trusted) -> Vec<String> {
        let of_sets = self.reading.sets.iter().flat_map(|(name, _)| trust.errors_of(name));
        let of_files = of_sets.map(ToString::to_string).chain(self.reading.error_texts());
        of_files.chain(self.of_certificates.error_texts()).collect()
    }

    /// Whether the file and provost.toml are those that this tenant was read from.
    pub(super) fn is_written_as(&self, served: &Source, context: &Context) -> bool {
        let basis = served.basis.as_ref().map(|basis| basis.digest);
        let text = digest::of([served.text.as_bytes()]);
        served.file == self.file && self.reading.text == Some(text) && basis == Some(context.basis.digest)
    }

    pub(super) fn into_problems(self) -> impl Iterator<Item = Problem> {
        let of_file = match Arc::try_unwrap(self.reading) {
            Ok(reading) => reading.problems,
            Err(reading) => reading.problems.clone(),
        };
        let found = [self.problems, self.of_certificates, self.of_devices];
        of_file.into_iter().chain(found.into_iter().flat_map(Collector::into_problems))
    }

    /// What the tenant is made of. A file that was known from an earlier load is read after all. It blocks.
    pub(super) fn take(&mut self, context: &Context) -> Option<Fresh> {
        if self.fresh.is_none() && self.reading.digest.is_some() {
            let (reading, fresh) = read(&self.file, context);
            if reading.digest == self.reading.digest {
                self.fresh = fresh;
            } else {
                let place = Place::whole(&Origin::file(&self.file));
                self.problems.push(place.error("", "changed while it was read: reload once more".to_owned()));
            }
        }
        self.fresh.take()
    }
}

impl Reading {
    fn holds(&self, context: &Context, look: &mut Look) -> bool {
        let is_same = |(name, then): &(String, Option<Arc<TrustSet>>)| match (then, context.sets.get(name)) {
            (Some(then), Some(Some(now))) => Arc::ptr_eq(then, now),
            (None, Some(None) | None) => true,
            (Some(_), Some(None) | None) | (None, Some(Some(_))) => false,
        };
        self.sight.as_ref().is_some_and(|sight| sight.holds(look))
            && self.sights.hold(look, context.now)
            && self.sets.iter().all(is_same)
    }
}

impl Places {
    fn of(file: &Path, claims: &Claims, canonical: &mut Canonical) -> Self {
        let mut all = |named: &Named| canonical.of(&named.path);
        let (root, shared) = (claims.root.as_ref().map(&mut all), claims.shared.iter().map(&mut all).collect());
        let secrets = claims.secrets.iter().map(all).collect();
        Self { file: canonical.of(file), root, shared, secrets }
    }
}

fn read(file: &Path, context: &Context) -> (Reading, Option<Fresh>) {
    let sight = Sight::of(file);
    match contents::text(file) {
        Ok(text) => read_text(file, text.into(), sight, &context.common(), context),
        Err(error) => {
            let problem = Place::whole(&Origin::file(file)).error("", format!("cannot read the file: {error}"));
            (Reading::failed(vec![problem], Some(sight)), None)
        }
    }
}

/// A tenant's file with this text, over `[defaults]`.
fn read_text(
    file: &Path,
    text: Arc<str>,
    sight: Sight,
    common: &Common<'_>,
    context: &Context,
) -> (Reading, Option<Fresh>) {
    let origin = Origin::file(file);
    let document = match node::parse(&text, &origin) {
        Ok(document) => document,
        Err(problems) => return (Reading::failed(problems, Some(sight)), None),
    };
    let document = match context.basis.defaults() {
        Some(defaults) => overlay::over_defaults(defaults, document),
        None => document,
    };
    let problems = Collector::for_tenant(origin);
    let (read, claims) = tenant::read(&document, &problems, common);
    let is_right = problems.errors() == 0;
    let (problems, sights, sets) = problems.into_parts();
    let text_digest = digest::of([text.as_bytes()]);
    let folders = folders(file, &sights, common.former.map(|former| &former.source.folders));
    let named = digest::of_named(&read, &folders);
    let digest = digest::of([&context.basis.digest, &text_digest, &named].map(<[u8; 32]>::as_slice));
    let meaning = digest::of_meaning(&document, sets.iter().filter_map(|name| context.basis.trust_set(name)), &named);
    let sights = Arc::new(sights);
    let source = Source {
        file: file.to_path_buf(),
        digest,
        meaning,
        text,
        basis: Some(Arc::clone(&context.basis)),
        folders,
        sights: Arc::clone(&sights),
        sets: sets.iter().filter_map(|name| context.trust.sights(name).cloned()).collect(),
        has_former_devices: false,
        holds: Holds::default(),
    };
    let sets = sets.into_iter().map(|name| (context.sets.get(&name).cloned().flatten(), name));
    let sets = sets.map(|(set, name)| (name, set)).collect();
    let (claims, sight) = (Arc::new(claims), Some(sight));
    let (digest, text) = (is_right.then_some(digest), Some(text_digest));
    let reading = Reading { claims, problems, digest, text, sight, sights, sets };
    (reading, Some(Fresh { read, source }))
}

/// The folders that are there; those that are served where one is gone, or a path leads elsewhere since.
fn folders(file: &Path, sights: &Sights, served: Option<&Arc<[NamedFolder]>>) -> Arc<[NamedFolder]> {
    let found = sights.folders();
    if let Some(served) = served.filter(|served| NamedFolder::is_missing(served, &found)) {
        return Arc::clone(served);
    }
    match served.and_then(|served| Some((served, NamedFolder::moved(served, &found)?))) {
        Some((served, path)) => {
            let (file, path) = (file.display(), path.display());
            tracing::warn!(%file, "{path} leads to another folder: the former one is read until `provost reload`");
            Arc::clone(served)
        }
        None => found.into(),
    }
}

impl Reading {
    fn failed(problems: Vec<Problem>, sight: Option<Sight>) -> Self {
        let (sights, sets) = (Arc::default(), Vec::new());
        Self { claims: Arc::default(), problems, digest: None, text: None, sight, sights, sets }
    }

    fn error_texts(&self) -> impl Iterator<Item = String> {
        self.problems.iter().filter(|problem| problem.is_error()).map(ToString::to_string)
    }
}
