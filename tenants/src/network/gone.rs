//! That a network is gone, for whatever runs in it.

use std::sync::Arc;

use tokio::sync::watch;

use super::{Identity, NetworkStack};

/// Tells whatever runs in a network that it is gone: what goes on there would keep a deleted namespace and its interfaces, so that
/// neither could be made anew.
#[derive(Debug, Clone)]
pub struct Gone(Arc<watch::Sender<bool>>);

/// A network in which its listener listens no more, and in which something may run on.
#[derive(Debug)]
pub struct FormerNetwork {
    pub(super) stack: NetworkStack,
    pub(super) settled: Identity,
    pub(super) gone: Gone,
}

impl FormerNetwork {
    /// Whether something runs on there. Where the network is gone it is told so, and ends.
    pub fn goes_on(&self) -> bool {
        let is_lost = self.stack.lost(self.settled).is_some();
        if is_lost {
            self.gone.tell();
        }
        !is_lost && self.gone.has_others()
    }
}

impl Gone {
    pub(super) fn tell(&self) {
        self.0.send_replace(true);
    }

    pub(super) fn is_told(&self) -> bool {
        *self.0.borrow()
    }

    /// Whether anybody else holds it: waits for it, or is about to.
    fn has_others(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Waits until the network is gone.
    pub fn wait(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut told = self.0.subscribe();
        let own = Arc::clone(&self.0);
        async move {
            // An error would mean that nobody can tell any more, and `own` can.
            let _ = told.wait_for(|gone| *gone).await;
            drop(own);
        }
    }
}

impl Default for Gone {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_waits_hears_of_it_before_and_after() {
        let gone = Gone::default();
        let before = tokio::spawn(gone.wait());
        gone.clone().tell();
        before.await.unwrap_or_else(|error| panic!("{error}"));
        gone.wait().await;
    }

    #[test]
    fn a_former_network_is_looked_after_for_as_long_as_somebody_runs_there() {
        let directory = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let nowhere = directory.path().join("acme").display().to_string();
        let stack = |name: &str| NetworkStack::Namespace(name.parse().unwrap_or_else(|error| panic!("{error}")));
        let here = stack("/proc/self/ns/net");
        let settled = here.identity().unwrap_or_else(|error| panic!("{error}"));
        let (lasting, lost) = (Gone::default(), Gone::default());
        let former = FormerNetwork { stack: here, settled, gone: lasting.clone() };
        assert!(former.goes_on() && !lasting.is_told());
        drop(lasting);
        assert!(!former.goes_on());
        assert!(!FormerNetwork { stack: stack(&nowhere), settled, gone: lost.clone() }.goes_on() && lost.is_told());
    }
}
