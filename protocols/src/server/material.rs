//! Certificates, keys and revocation lists that change while phones are served.
//!
//! A tenant of which such a file changed is renewed as by a reload of it alone; its listeners keep their sockets, and open
//! connections go on and are judged by the new trust sets from their next request. What cannot be served, such as a
//! certificate whose key has not come yet, stays as it was, and is tried again now and then: a disk that fails for a moment
//! would else keep a phone served that a list revokes. The rest counts.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use provost_tenants::Tenant;
use provost_tenants::config::{Look, Reread, Rereading, Seen, reread};
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, timeout};

use super::listening::Listening;
use super::serving::{Prepared, Serving, Sockets};
use super::{Failure, Tenants, Turn, certificates, keeping, lock};
use crate::tls::Ready;

/// How often.
const LOOK: Duration = Duration::from_secs(2);
/// How long a look may take before the others are looked at without the tenant that it has come to.
const HANGS: Duration = Duration::from_secs(20);
/// How long what cannot be served rests, at most, before it is tried again: each pause is twice the one before.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// What is known of the tenants' files.
pub(super) struct Watch {
    tenants: Tenants,
    turn: Turn,
    sockets: Sockets,
    /// What was found when the tenant was read again last. It counts for that generation of the tenant alone.
    last: Last,
    /// When those are read again whose files cannot be served, though they stay as they are.
    retries: HashMap<String, Retry>,
    /// What hangs, by the tenant that it hangs at.
    hanging: Vec<(String, AbortHandle)>,
    /// Of how many overdue revocation lists was told, by tenant.
    overdue: HashMap<String, usize>,
    /// Of which certificates was told that they are not valid, by tenant.
    invalid: HashMap<String, Vec<String>>,
}

/// When something is tried again.
#[derive(Debug, Clone, Copy)]
struct Retry {
    at: Instant,
    pause: Duration,
}

impl Watch {
    pub(super) fn new(tenants: Tenants, turn: Turn, sockets: Sockets) -> Self {
        let (last, retries, hanging) = (Last::new(), HashMap::new(), Vec::new());
        let (overdue, invalid) = (HashMap::new(), HashMap::new());
        Self { tenants, turn, sockets, last, retries, hanging, overdue, invalid }
    }

    /// Looks until it is dropped.
    pub(super) async fn run(mut self) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look().await;
            self.tell_of_time();
        }
    }

    /// Looks at the files of all tenants, and renews those of which one changed.
    async fn look(&mut self) {
        let changed = self.changed().await;
        if changed.is_empty() {
            return;
        }
        // No reload meanwhile: it would be undone. One that came before has other tenants, and these are left.
        let turn = Arc::clone(&self.turn);
        let _turn = turn.lock().await;
        let mut left: Vec<String> = changed.iter().map(|tenant| tenant.policy.name.clone()).collect();
        let (tell, mut told) = unbounded_channel();
        let tell = move |step| {
            let ready = ready(&step);
            tell.send((step, ready)).is_ok()
        };
        let task = tokio::task::spawn_blocking(move || reread(&changed, tell));
        let mut at = None;
        loop {
            match timeout(HANGS, told.recv()).await {
                Ok(Some((Rereading::Begun(tenant), _))) => at = Some(tenant.policy.name.clone()),
                Ok(Some((Rereading::Done(reread), _ready))) => {
                    left.retain(|name| *name != reread.former.policy.name);
                    at = None;
                    self.take(reread).await;
                }
                Ok(None) => break,
                Err(_) => {
                    // Before the first one it is a trust set that hangs, which is everybody's.
                    let hanging = at.map_or_else(|| left.clone(), |name| vec![name]);
                    let message =
                        "a changed certificate, key or list hangs, or a trust set does: the former ones are served";
                    tracing::error!(tenants = hanging.join(" "), "{message}");
                    self.hanging.extend(hanging.into_iter().map(|name| (name, task.abort_handle())));
                    break;
                }
            }
        }
        // What was not taken is found again.
        for name in left {
            self.last.remove(&name);
        }
    }

    /// The tenants of which a file changed. One whose files hang is left out until they have answered.
    async fn changed(&mut self) -> Vec<Arc<Tenant>> {
        self.hanging.retain(|(_, task)| !task.is_finished());
        let mut present = keeping::present(&self.tenants);
        let due = self.due(&present);
        present.retain(|tenant| !self.hanging.iter().any(|(name, _)| *name == tenant.policy.name));
        let last = std::mem::take(&mut self.last);
        let at = At::default();
        let reached = Arc::clone(&at);
        let mut task = tokio::task::spawn_blocking(move || look(&present, &last, &due, &reached));
        match timeout(HANGS, &mut task).await {
            Ok(Ok((last, changed))) => {
                self.last = last;
                return changed;
            }
            // It panicked.
            Ok(Err(_)) => {}
            Err(_) => {
                let tenant = at.lock().unwrap_or_else(PoisonError::into_inner).clone();
                tracing::error!(tenant, "a certificate, key or other file hangs: the former ones are served");
                self.hanging.push((tenant, task.abort_handle()));
            }
        }
        Vec::new()
    }

    /// Those of the tenants that are to be read again by now.
    fn due(&mut self, present: &[Arc<Tenant>]) -> HashSet<String> {
        let now = Instant::now();
        let names: HashSet<&str> = present.iter().map(|tenant| tenant.policy.name.as_str()).collect();
        self.retries.retain(|name, _| names.contains(name.as_str()));
        self.retries.iter().filter(|(_, retry)| retry.at <= now).map(|(name, _)| name.clone()).collect()
    }

    /// Lists become overdue and certificates end by themselves, while nothing on the disk changes.
    fn tell_of_time(&mut self) {
        let now = SystemTime::now();
        let present = keeping::present(&self.tenants);
        let counts: HashMap<String, usize> =
            present.iter().map(|tenant| (tenant.policy.name.clone(), tenant.overdue_lists(now))).collect();
        for (tenant, count) in
            counts.iter().filter(|(name, count)| **count > self.overdue.get(*name).copied().unwrap_or(0))
        {
            tracing::warn!(tenant, count, "revocation lists are overdue; what they list stays revoked");
        }
        self.overdue = counts;
        let invalid = present.iter().map(|tenant| (tenant.policy.name.clone(), certificates::invalid(tenant, now)));
        let invalid: HashMap<_, _> = invalid.filter(|(_, flaws)| !flaws.is_empty()).collect();
        for (tenant, flaws) in &invalid {
            let told = self.invalid.get(tenant).map(Vec::as_slice).unwrap_or_default();
            for flaw in flaws.iter().filter(|flaw| !told.contains(flaw)) {
                tracing::warn!(tenant, %flaw, "phones that check the certificate refuse this server");
            }
        }
        self.invalid = invalid;
    }

    async fn take(&mut self, Reread { former, tenant, mut errors }: Reread) {
        let name = &former.policy.name;
        let closed = {
            let tenants = Arc::clone(&self.tenants);
            let mut tenants = lock(&tenants);
            let Some(serving) = tenants.get_mut(name).filter(|serving| Arc::ptr_eq(&serving.tenant, &former)) else {
                return;
            };
            let prepared = (!Arc::ptr_eq(&tenant, &former)).then(|| Prepared::new(&tenant, Some(serving)));
            let (told, failed) = (std::mem::take(&mut serving.stale), self.retries.remove(name));
            let closed = match prepared.transpose() {
                Ok(Some(prepared)) => {
                    let closed = self.serve(serving, prepared);
                    tracing::info!(tenant = name, "certificates, keys or revocation lists were read again");
                    for flaw in certificates::without_staple(&serving.tenant, SystemTime::now()) {
                        tracing::warn!(tenant = name, flaw, "an OCSP response is of no use");
                    }
                    closed
                }
                Ok(None) => Vec::new(),
                Err((listener, error)) => {
                    errors.push(format!("listener {listener}: {error}"));
                    Vec::new()
                }
            };
            for error in errors.iter().filter(|error| !told.contains(error)) {
                let message = "a certificate, key or revocation list cannot be served: the former ones are";
                tracing::error!(tenant = name, %error, "{message}");
            }
            if !errors.is_empty() {
                self.retries.insert(name.clone(), Retry::after(failed));
            }
            serving.stale = errors;
            closed
        };
        for listening in closed {
            listening.stop(&self.sockets.passed).await;
        }
        self.sockets.doors.close_empty(|_| false, &self.sockets.passed).await;
    }

    /// Serves the tenant so from now on. Gives back what has to close.
    fn serve(&mut self, serving: &mut Serving, prepared: Prepared) -> Vec<Listening> {
        let name = serving.tenant.policy.name.clone();
        let (closed, fresh) = serving.renew(prepared);
        for failure in serving.add(fresh, &self.sockets) {
            Failure::of(&name, failure).log();
        }
        // Of what time has overtaken it is told anew.
        self.overdue.remove(&name);
        self.invalid.remove(&name);
        closed
    }
}

impl Retry {
    fn after(failed: Option<Self>) -> Self {
        let pause = failed.map_or(LOOK, |failed| (2 * failed.pause).min(LONGEST_PAUSE));
        Self { at: Instant::now() + pause, pause }
    }
}

/// What serving it will need. It blocks.
fn ready(step: &Rereading) -> Ready {
    match step {
        Rereading::Done(Reread { tenant, .. }) => Ready::of([tenant]),
        Rereading::Begun(_) => Ready::default(),
    }
}

type Last = HashMap<String, (Weak<Tenant>, Seen)>;

/// Which tenant's files are looked at.
type At = Arc<Mutex<String>>;

type Looked = (Last, Vec<Arc<Tenant>>);

/// Which of the tenants have changed, or are due.
fn look(present: &[Arc<Tenant>], last: &Last, due: &HashSet<String>, at: &At) -> Looked {
    let mut look = Look::default();
    let mut now = Last::new();
    let mut changed = Vec::new();
    for tenant in present {
        let name = &tenant.policy.name;
        at.lock().unwrap_or_else(PoisonError::into_inner).clone_from(name);
        let known = last.get(name).filter(|(of, _)| std::ptr::eq(of.as_ptr(), Arc::as_ptr(tenant)));
        let before = known.map_or_else(|| tenant.seen(), |(_, seen)| seen.clone());
        let seen = if !due.contains(name) && before.holds(&mut look) {
            before
        } else {
            changed.push(Arc::clone(tenant));
            before.again()
        };
        now.insert(name.clone(), (Arc::downgrade(tenant), seen));
    }
    (now, changed)
}
