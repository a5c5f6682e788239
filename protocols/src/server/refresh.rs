//! Looking at the tenants' device files now and then, so that a blocked phone is refused soon.
//!
//! It happens off the runtime, tenant by tenant on one thread. A file on a disk that hangs holds up its own tenant alone:
//! the others are looked at without it, until it has been read after all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use provost_tenants::Tenant;
use provost_tenants::devices::{Refresh, Removals};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{MissedTickBehavior, timeout};

use super::{Tenants, lock, serving};
use crate::life::Life;

/// How often.
const REFRESH: Duration = Duration::from_secs(2);
/// How long one file may take before the others are looked at without it. A million devices take a second.
const HANGS: Duration = Duration::from_secs(5);
/// The same while another one hangs: it is likely on the same disk, and no harm is done, as what it says is taken when it comes.
const ALSO_HANGS: Duration = Duration::from_millis(250);

/// A request that is shorter ends by itself, and its connection hears the next one refused. Longer ones are ended, if not
/// at this look then at the next.
const SHORT: Duration = Duration::from_secs(1);

/// What is told of a look at one tenant.
enum Look {
    Begun(String),
    Done(String, Refresh),
}

/// One round of looks, or what is left of it. There are two for each tenant, so that they need no other bound.
type Round = UnboundedReceiver<Look>;

/// Looks until it is dropped.
pub(super) async fn refresh(tenants: Tenants) {
    rounds(tenants, [REFRESH, HANGS], |tenant| tenant.devices.refresh(Removals::Refuse)).await;
}

async fn rounds(
    tenants: Tenants,
    [every, hangs]: [Duration; 2],
    look: impl Fn(&Tenant) -> Refresh + Clone + Send + 'static,
) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = BTreeMap::new();
    let mut hanging: BTreeMap<String, Round> = BTreeMap::new();
    loop {
        ticks.tick().await;
        hanging.retain(|_, round| match round.try_recv() {
            Ok(Look::Done(tenant, refresh)) => {
                note(&mut last, tenant, refresh);
                false
            }
            Ok(Look::Begun(_)) => false,
            Err(error) => error == tokio::sync::mpsc::error::TryRecvError::Empty,
        });
        let mut present = Vec::new();
        {
            let tenants = lock(&tenants);
            last.retain(|tenant, _| tenants.contains_key(tenant));
            let free = tenants.iter().filter(|(name, _)| !hanging.contains_key(*name));
            present.extend(free.map(|(_, serving)| (Arc::clone(&serving.tenant), Arc::clone(&serving.life))));
        }
        let mut round = begin(present, look.clone());
        let mut at = None;
        loop {
            let patience = if hanging.is_empty() { hangs } else { hangs.min(ALSO_HANGS) };
            match timeout(patience, round.recv()).await {
                Ok(Some(Look::Begun(tenant))) => at = Some(tenant),
                Ok(Some(Look::Done(tenant, refresh))) => note(&mut last, tenant, refresh),
                Ok(None) => break,
                Err(_) => {
                    if let Some(tenant) = at {
                        if patience == hangs {
                            tracing::error!(tenant, "the device file hangs: the former devices are served");
                        }
                        hanging.insert(tenant, round);
                    }
                    break;
                }
            }
        }
    }
}

/// Looks at each tenant, on a thread of its own, until nobody listens any more.
fn begin(tenants: Vec<(Arc<Tenant>, Arc<Life>)>, look: impl Fn(&Tenant) -> Refresh + Send + 'static) -> Round {
    let (tell, round) = unbounded_channel();
    tokio::task::spawn_blocking(move || {
        for (tenant, life) in tenants {
            let name = tenant.policy.name.clone();
            if tell.send(Look::Begun(name.clone())).is_err() {
                return;
            }
            let refresh = look(&tenant);
            life.withdraw(SHORT, |device| serving::is_gone(&tenant, device));
            // Where nobody listens, the next round looks again.
            let _ = tell.send(Look::Done(name, refresh));
        }
    });
    round
}

/// A file that cannot be read is tried in every round, and told once.
fn note(last: &mut BTreeMap<String, Refresh>, tenant: String, refresh: Refresh) {
    if last.get(&tenant) != Some(&refresh) {
        log(&tenant, &refresh);
    }
    last.insert(tenant, refresh);
}

fn log(tenant: &str, refresh: &Refresh) {
    match refresh {
        Refresh::Unchanged => {}
        Refresh::Replaced { devices, removed } => {
            tracing::info!(tenant, devices, removed, "the devices were read again");
        }
        Refresh::KeptForErrors { errors, blocked } => {
            for error in errors {
                tracing::error!(tenant, blocked, %error, "the device file has errors: the former devices are served");
            }
        }
        Refresh::KeptForRemovals { devices, removed, blocked } => {
            let message = "the device file lost more than a tenth of the devices: the former ones are served";
            tracing::error!(tenant, devices, removed, blocked, "{message}");
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    use provost_tenants::config::load;

    use super::*;
    use crate::server::serving::Prepared;

    #[tokio::test]
    async fn a_device_file_that_hangs_holds_up_no_other_tenant() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("provost.toml"), "tenants = \"t-*.toml\"\nstate = \"state\"\n").unwrap();
        for name in ["a", "b"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
            let tenant = format!("name = \"{name}\"\nallow = [\"127.0.0.0/8\"]\n[files]\nroot = \"{name}\"\n");
            std::fs::write(dir.path().join(format!("t-{name}.toml")), tenant).unwrap();
        }
        let loaded = load(&dir.path().join("provost.toml"), []).unwrap();
        let serving = |tenant: &Arc<Tenant>| Prepared::new(tenant, None).unwrap().begin(&Arc::default()).0;
        let tenants = loaded.deployment.tenants.iter().map(|tenant| (tenant.policy.name.clone(), serving(tenant)));
        let tenants: Tenants = Arc::new(Mutex::new(tenants.collect()));
        let (looked, mut looks) = unbounded_channel();
        let (release, hang) = channel::<()>();
        let hang = Arc::new(Mutex::new(hang));
        let look = move |tenant: &Tenant| {
            looked.send(tenant.policy.name.clone()).unwrap();
            if tenant.policy.name == "a" {
                // It hangs until the other end is dropped.
                let _ = hang.lock().unwrap().recv();
            }
            Refresh::Unchanged
        };
        let rounds = tokio::spawn(rounds(tenants, [Duration::from_millis(50); 2], look));
        for expected in ["a", "b"] {
            assert_eq!(looks.recv().await.as_deref(), Some(expected));
        }
        assert_eq!(looks.recv().await.as_deref(), Some("b"), "the tenant that hangs is left out");
        drop(release);
        while looks.recv().await.as_deref() != Some("a") {}
        rounds.abort();
    }
}
