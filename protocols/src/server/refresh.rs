//! Looking at the tenants' device files now and then, so that a blocked phone is refused soon.
//!
//! It happens off the runtime, tenant by tenant on one thread. A file on a disk that hangs holds up its own tenant alone:
//! the others are looked at without it, until it has been read after all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use provost_tenants::Tenant;
use provost_tenants::devices::{HANGS, Refresh, Removals};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{MissedTickBehavior, timeout};

use super::{Tenants, lock, serving};

/// How often.
const REFRESH: Duration = Duration::from_secs(2);
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
            present.extend(free.map(|(_, serving)| Arc::clone(&serving.tenant)));
        }
        let mut round = begin(present, Arc::clone(&tenants), look.clone());
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
fn begin(present: Vec<Arc<Tenant>>, tenants: Tenants, look: impl Fn(&Tenant) -> Refresh + Send + 'static) -> Round {
    let (tell, round) = unbounded_channel();
    tokio::task::spawn_blocking(move || {
        for tenant in present {
            let name = tenant.policy.name.clone();
            if tell.send(Look::Begun(name.clone())).is_err() {
                return;
            }
            let refresh = look(&tenant);
            // By the devices that are served by now: a reload may have brought others while the disk was waited for.
            let serving =
                lock(&tenants).get(&name).map(|serving| (Arc::clone(&serving.tenant), Arc::clone(&serving.life)));
            if let Some((tenant, life)) = serving {
                life.withdraw(SHORT, |device| serving::is_gone(&tenant, device));
            }
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
    use std::path::Path;
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    use provost_tenants::config::load;
    use provost_tenants::network::Gone;
    use tokio::time::sleep;

    use super::*;
    use crate::server::serving::Prepared;

    /// Tenants of these names that are served, with more in the file of each.
    fn served(dir: &Path, names: &[&str], more: &str) -> Tenants {
        std::fs::write(dir.join("provost.toml"), "tenants = \"t-*.toml\"\nstate = \"state\"\n").unwrap();
        for name in names {
            std::fs::create_dir_all(dir.join(name)).unwrap();
            let tenant = format!("name = \"{name}\"\nallow = [\"127.0.0.0/8\"]\n[files]\nroot = \"{name}\"\n{more}");
            std::fs::write(dir.join(format!("t-{name}.toml")), tenant).unwrap();
        }
        let loaded = load(&dir.join("provost.toml"), []).unwrap();
        let serving = |tenant: &Arc<Tenant>| Prepared::new(tenant, None).unwrap().begin().0;
        let tenants = loaded.deployment.tenants.iter().map(|tenant| (tenant.policy.name.clone(), serving(tenant)));
        Arc::new(Mutex::new(tenants.collect()))
    }

    #[tokio::test]
    async fn a_device_that_a_reload_brings_during_a_look_is_served_on() {
        let dir = tempfile::tempdir().unwrap();
        let of = |device: &str| served(dir.path(), &["a"], &format!("[devices]\nlist = [\"{device}\"]\n"));
        let former = super::super::keeping::present(&of("0004f2000001"));
        let tenants = of("0004f2000002");
        let life = Arc::clone(&lock(&tenants).get("a").unwrap().life);
        life.serve(&Gone::default(), {
            let life = Arc::clone(&life);
            async move {
                let underway = life.begin();
                underway.is_for("0004f2000002".parse().ok());
                std::future::pending::<()>().await;
            }
        });
        // It has run for so long that it would be ended.
        sleep(SHORT + Duration::from_millis(100)).await;
        let mut round = begin(former, tenants, |_| Refresh::Unchanged);
        while round.recv().await.is_some() {}
        sleep(Duration::from_millis(10)).await;
        assert_eq!(life.underway(), 1);
        life.end();
    }

    #[tokio::test]
    async fn a_device_file_that_hangs_holds_up_no_other_tenant() {
        let dir = tempfile::tempdir().unwrap();
        let tenants = served(dir.path(), &["a", "b"], "");
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
