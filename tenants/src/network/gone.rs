//! That a network is gone, for whatever runs in it.

use std::sync::Arc;

use tokio::sync::watch;

/// Tells whatever runs in a network that it is gone: what goes on there would keep a deleted namespace and its interfaces, so that
/// neither could be made anew.
#[derive(Debug, Clone)]
pub struct Gone(Arc<watch::Sender<bool>>);

impl Gone {
    pub(super) fn tell(&self) {
        self.0.send_replace(true);
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
}
