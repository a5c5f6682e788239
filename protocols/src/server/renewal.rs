//! A reload: what is served becomes what was loaded, and nothing else is touched.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use provost_tenants::Tenant;
use provost_tenants::config::{Loaded, Memory, Problems};
use provost_tenants::devices::Refresh;
use serde::{Deserialize, Serialize};

use tokio::task::JoinError;
use tokio::time::timeout;

use super::doors::may_be_shared;
use super::listening::{Listening, Place};
use super::serving::{Prepared, Serving};
use super::{Failure, Server, State, lock};
use crate::front::Generation;
use crate::tls::Ready;

/// How long a load may take. One of 2,000 tenants and a million devices takes a few seconds.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a reload changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewal {
    /// Tenants that are served since.
    pub added: Vec<String>,
    /// Tenants that are served no more; what ran for them was ended.
    pub removed: Vec<String>,
    /// Tenants that are served otherwise than before.
    pub changed: Vec<Changed>,
    /// Whether `[arrivals]` counts otherwise than before, which is of no tenant.
    #[serde(default)]
    pub arrivals_changed: bool,
    /// How many tenants are as they were.
    pub unchanged: usize,
    /// Tenants that did not load, and go on as they were where they were served.
    pub kept: Vec<Kept>,
    /// Listeners that wait: their address or network is not there, or is another's. They are tried again.
    #[serde(default)]
    pub waiting: Vec<Waits>,
    /// What of provost.toml counts from the next start alone, by its key, where it is another than the server began with.
    #[serde(default)]
    pub pending: Vec<String>,
    /// Errors of provost.toml, for which nothing was changed at all.
    pub errors: Vec<String>,
}

/// What changed in one tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Its name.
    pub tenant: String,
    /// Listeners that closed and opened again elsewhere, or are new. Those that wait are told apart.
    pub bound: Vec<String>,
    /// Listeners that are no more.
    pub closed: Vec<String>,
    /// What became of its devices, where they changed or would have.
    pub devices: Option<String>,
    /// Whether its former devices are served on, for what is wrong with the file.
    #[serde(default)]
    pub devices_kept: bool,
}

/// A listener that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waits {
    /// The tenant's name.
    pub tenant: String,
    /// The listener's name.
    pub listener: String,
    /// The address of the configuration.
    pub address: String,
    /// What the system said.
    pub reason: String,
}

/// A tenant that did not load.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its name, or its file where that has none.
    pub tenant: String,
    /// Whether it goes on as it was. Otherwise it is not served.
    pub is_served: bool,
    /// What is wrong.
    pub errors: Vec<String>,
}

/// Why nothing was loaded.
#[derive(Debug, thiserror::Error)]
enum NotLoaded {
    #[error("the server is ending")]
    Ending,
    #[error("the reload before this one hangs still: a disk does not answer")]
    FormerHangs,
    #[error("reading the configuration failed: {0}")]
    Panicked(#[source] JoinError),
    #[error("reading the configuration takes longer than {} s: a disk does not answer", PATIENCE.as_secs())]
    Hangs,
}

impl Renewal {
    /// Whether something is wrong.
    pub fn has_errors(&self) -> bool {
        !self.kept.is_empty() || !self.errors.is_empty() || self.changed.iter().any(|changed| changed.devices_kept)
    }

    /// A tenant goes on as it is, but for its devices.
    fn note_kept(&mut self, serving: &mut Serving, refresh: Option<&Refresh>) {
        (serving.errors, serving.stale) = (Vec::new(), Vec::new());
        let changed = Changed::of(&serving.tenant, &[], &[], refresh);
        if changed.devices.is_some() {
            serving.withdraw();
            self.changed.push(changed);
        } else {
            self.unchanged += 1;
        }
    }

    /// A listener could not be bound, and does not listen anew.
    fn note_waiting(&mut self, failure: &Failure) {
        let Failure { tenant, listener, address, error } = failure;
        for changed in self.changed.iter_mut().filter(|changed| changed.tenant == *tenant) {
            changed.bound.retain(|bound| bound != listener);
        }
        let (tenant, listener) = (tenant.clone(), listener.clone());
        self.waiting.push(Waits { tenant, listener, address: address.to_string(), reason: error.to_string() });
    }
}

impl Changed {
    fn of(tenant: &Tenant, closed: &[Listening], fresh: &[Generation], refresh: Option<&Refresh>) -> Self {
        let policies = fresh.iter().map(|fresh| &fresh.listener.policy);
        let enabled = policies.filter(|listener| tenant.policy.enabled && listener.enabled);
        let bound: Vec<_> = enabled.map(|listener| listener.name.clone()).collect();
        Self {
            tenant: tenant.policy.name.clone(),
            closed: closed.iter().map(Listening::name).filter(|name| !bound.contains(name)).collect(),
            bound,
            devices: refresh.and_then(describe),
            devices_kept: refresh.is_some_and(Refresh::is_kept),
        }
    }
}

impl Server {
    /// Serves what was loaded. `load` is handed the present tenants, what the last load left, and whether it has come to take so long that it
    /// is given up; it runs off the runtime. Where it fails, nothing changes.
    pub async fn renew(
        &self,
        load: impl FnOnce(&[Arc<Tenant>], &Memory, &AtomicBool) -> Result<Loaded, Problems> + Send + 'static,
    ) -> Renewal {
        let _turn = self.turn.lock().await;
        let former = self.present();
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let load = move |is_given_up: &AtomicBool| {
            let loaded = load(&former, &memory, is_given_up)?;
            let ready = Ready::of(&loaded.deployment.tenants);
            Ok((loaded, ready))
        };
        let loaded = self.loaded(load).await;
        let errors = match loaded {
            _ if self.is_stopped() => vec![NotLoaded::Ending.to_string()],
            Err(error) => vec![error.to_string()],
            Ok(Ok((loaded, _ready))) => {
                self.note(Vec::new());
                let arrivals_changed = self.sockets.doors.bound(loaded.deployment.settings.arrivals.clone());
                *self.memory.lock().unwrap_or_else(PoisonError::into_inner) = loaded.deployment.memory.clone();
                return Renewal { arrivals_changed, ..self.take(&loaded).await };
            }
            Ok(Err(problems)) => problems.errors().map(ToString::to_string).collect(),
        };
        self.note(errors.clone());
        Renewal { errors, ..Renewal::default() }
    }

    /// Loads off the runtime. What hangs is left behind, one at a time: the next reload need not wait for it.
    async fn loaded(
        &self,
        load: impl FnOnce(&AtomicBool) -> Result<(Loaded, Ready), Problems> + Send + 'static,
    ) -> Result<Result<(Loaded, Ready), Problems>, NotLoaded> {
        let mut hanging = self.hanging.lock().await;
        if hanging.as_ref().is_some_and(|former| !former.is_finished()) {
            return Err(NotLoaded::FormerHangs);
        }
        let is_given_up = Arc::new(AtomicBool::new(false));
        let of_load = Arc::clone(&is_given_up);
        let mut task = tokio::task::spawn_blocking(move || load(&of_load));
        if let Ok(loaded) = timeout(PATIENCE, &mut task).await {
            return loaded.map_err(NotLoaded::Panicked);
        }
        is_given_up.store(true, Ordering::Relaxed);
        *hanging = Some(task.abort_handle());
        Err(NotLoaded::Hangs)
    }

    async fn take(&self, loaded: &Loaded) -> Renewal {
        let pending = loaded.pending.iter().map(|key| (*key).to_owned()).collect();
        let mut renewal = Renewal { pending, ..Renewal::default() };
        self.keep(loaded, &mut renewal);
        self.remove(loaded, &mut renewal).await;
        self.swap(loaded, &mut renewal).await;
        self.close_passed();
        self.hurry(&mut renewal);
        renewal
    }

    /// Those that waited before are named as well, and try again soon: what they wait for may be what the operator has mended.
    fn hurry(&self, renewal: &mut Renewal) {
        for (tenant, listening) in
            self.tenants().iter().flat_map(|(name, serving)| serving.listeners.iter().map(move |each| (name, each)))
        {
            let State::Waiting { reason, .. } = listening.state() else { continue };
            listening.hurry();
            let listener = listening.name();
            if renewal.waiting.iter().any(|waits| waits.tenant == *tenant && waits.listener == listener) {
                continue;
            }
            let (tenant, address) = (tenant.clone(), listening.place.address.to_string());
            renewal.waiting.push(Waits { tenant, listener, address, reason });
        }
    }

    /// What did not load stays as it is.
    fn keep(&self, loaded: &Loaded, renewal: &mut Renewal) {
        let others: HashSet<&str> =
            loaded.deployment.tenants.iter().map(|tenant| tenant.policy.name.as_str()).collect();
        let mut tenants = self.tenants();
        for failed in &loaded.failed {
            let of_file = |tenant: &Tenant| tenant.source.file == failed.file;
            let of_name = |tenant: &Tenant| failed.name.as_ref() == Some(&tenant.policy.name);
            // The file counts before the name: that may be another tenant's, by mistake.
            let served = [&of_file as &dyn Fn(&Tenant) -> bool, &of_name].into_iter().find_map(|is_it| {
                let mut names = tenants.iter().filter(|(name, _)| !others.contains(name.as_str()));
                names.find(|(_, serving)| is_it(&serving.tenant)).map(|(name, _)| name.clone())
            });
            let mut served = served.and_then(|name| tenants.get_mut(&name));
            if let Some(serving) = &mut served {
                serving.keep(&failed.of_served);
            }
            let name = served.as_ref().map(|serving| serving.tenant.policy.name.clone());
            renewal.kept.push(Kept {
                is_served: name.is_some(),
                tenant: name.or(failed.name.clone()).unwrap_or_else(|| failed.file.display().to_string()),
                errors: failed.errors.clone(),
            });
        }
    }

    /// Ends what is not there any more.
    async fn remove(&self, loaded: &Loaded, renewal: &mut Renewal) {
        let loaded = loaded.deployment.tenants.iter().map(|tenant| tenant.policy.name.as_str());
        let stay: HashSet<&str> = loaded.chain(renewal.kept.iter().map(|kept| kept.tenant.as_str())).collect();
        let gone: Vec<_> = {
            let mut tenants = self.tenants();
            let names: Vec<_> = tenants.keys().filter(|name| !stay.contains(name.as_str())).cloned().collect();
            names.into_iter().filter_map(|name| tenants.remove(&name)).collect()
        };
        for serving in gone {
            for listening in self.end(serving, renewal) {
                self.close(listening).await;
            }
        }
    }

    /// Ends all that runs of a tenant that is not there any more. Gives back what is to close.
    fn end(&self, serving: Serving, renewal: &mut Renewal) -> Vec<Listening> {
        let Serving { tenant, life, listeners, .. } = serving;
        renewal.removed.push(tenant.policy.name.clone());
        life.end();
        let mut removed = lock(&self.removed);
        removed.retain(|life| life.has_tasks());
        removed.push(life);
        listeners
    }

    /// Ends listening. What is counted of it stays, and what goes on is counted to its end.
    async fn close(&self, listening: Listening) {
        lock(&self.gone).add(listening.front.counts());
        listening.stop(&self.sockets.passed).await;
    }

    /// All that closes is closed before anything is bound: an address may move from one tenant to another.
    async fn swap(&self, loaded: &Loaded, renewal: &mut Renewal) {
        let refreshed: HashMap<&str, &Refresh> =
            loaded.refreshed.iter().map(|(tenant, refresh)| (tenant.as_str(), refresh)).collect();
        let mut closing = Vec::new();
        let mut opening = Vec::new();
        for tenant in &loaded.deployment.tenants {
            let name = &tenant.policy.name;
            let (closed, fresh) = self.swap_one(tenant, refreshed.get(name.as_str()).copied(), renewal);
            closing.extend(closed);
            if !fresh.is_empty() {
                opening.push((name, fresh));
            }
        }
        let coming = opening.iter().flat_map(|(_, fresh)| fresh);
        let coming: HashSet<Place> = coming.map(|fresh| Place::of(&fresh.tenant, &fresh.listener)).collect();
        for listening in closing {
            // Where names tell tenants apart, nobody takes another's address.
            if coming.contains(&listening.place) && !may_be_shared(&listening.place) {
                listening.retire();
            }
            self.close(listening).await;
        }
        self.sockets.doors.close_empty(|place| coming.contains(place), &self.sockets.passed).await;
        let mut tenants = self.tenants();
        if self.is_stopped() {
            return;
        }
        for (name, fresh) in opening {
            let Some(serving) = tenants.get_mut(name) else { continue };
            for failure in serving.add(fresh, &self.sockets) {
                let failure = Failure::of(name, failure);
                failure.log();
                renewal.note_waiting(&failure);
            }
        }
    }

    fn swap_one(
        &self,
        tenant: &Arc<Tenant>,
        refresh: Option<&Refresh>,
        renewal: &mut Renewal,
    ) -> (Vec<Listening>, Vec<Generation>) {
        let name = tenant.policy.name.clone();
        let mut tenants = self.tenants();
        let mut former = tenants.get_mut(&name).filter(|serving| tenant.succeeds(&serving.tenant));
        if let Some(serving) = former.as_deref_mut().filter(|serving| Arc::ptr_eq(&serving.tenant, tenant)) {
            renewal.note_kept(serving, refresh);
            return (Vec::new(), Vec::new());
        }
        let prepared = match Prepared::new(tenant, former.as_deref()) {
            Ok(prepared) => prepared,
            Err((listener, error)) => {
                let errors = vec![format!("listener {listener}: {error}")];
                let is_served = former.is_some();
                if let Some(serving) = former {
                    serving.errors.clone_from(&errors);
                }
                renewal.kept.push(Kept { tenant: name, is_served, errors });
                return (Vec::new(), Vec::new());
            }
        };
        let Some(serving) = former else {
            let (serving, fresh) = prepared.begin();
            let another = tenants.insert(name.clone(), serving).map(|another| self.end(another, renewal));
            self.counting.add([Arc::clone(tenant)]);
            renewal.added.push(name);
            return (another.unwrap_or_default(), fresh);
        };
        let means_the_same = serving.tenant.source.means(&tenant.source);
        let (closed, fresh) = serving.renew(prepared);
        serving.errors = Vec::new();
        serving.withdraw();
        let changed = Changed::of(tenant, &closed, &fresh, refresh);
        if means_the_same && closed.is_empty() && fresh.is_empty() && changed.devices.is_none() {
            // A comment, or another tenant's line in provost.toml: it was read anew, and is as it was.
            renewal.unchanged += 1;
        } else {
            renewal.changed.push(changed);
        }
        (closed, fresh)
    }
}

fn describe(refresh: &Refresh) -> Option<String> {
    match refresh {
        Refresh::Unchanged => None,
        Refresh::Replaced { devices, removed } => Some(format!("{devices} devices now, {removed} removed")),
        Refresh::KeptForErrors { .. } => Some("kept: the device file has errors".to_owned()),
        Refresh::KeptForRemovals { devices, removed, .. } => Some(format!(
            "kept: {removed} would be removed and {devices} be left; `provost reload --accept-removals` takes that"
        )),
    }
}
