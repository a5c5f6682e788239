//! What tenants learned is written to the disk now and then, off the runtime.

use std::sync::Arc;
use std::time::Duration;

use provost_tenants::Tenant;
use tokio::time::MissedTickBehavior;

use super::{Tenants, lock};

/// How often. A crash takes with it what was learned since.
const KEEP: Duration = Duration::from_secs(5);
/// How long the end waits for it.
pub(super) const LAST: Duration = Duration::from_secs(5);

/// Keeps until it is dropped.
pub(super) async fn keep(tenants: Tenants) {
    let mut ticks = tokio::time::interval(KEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let present = present(&tenants);
        // It ends early only if it panics; the next round tries again.
        let _ = tokio::task::spawn_blocking(move || save(&present)).await;
    }
}

/// Writes what is new of all tenants. It blocks.
fn save(tenants: &[Arc<Tenant>]) {
    for tenant in tenants {
        tenant.guard.save();
    }
}

/// The same at the end, with all that is worth keeping then. It blocks.
pub(super) fn save_last(tenants: &[Arc<Tenant>]) {
    save(tenants);
    for tenant in tenants {
        tenant.guard.save_last();
    }
}

pub(super) fn present(tenants: &Tenants) -> Vec<Arc<Tenant>> {
    lock(tenants).values().map(|serving| Arc::clone(&serving.tenant)).collect()
}
