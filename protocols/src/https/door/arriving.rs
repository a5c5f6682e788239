//! Connections that have no tenant yet, as long as nothing has said whose they are. Where many have said nothing, the oldest gives way:
//! a phone speaks at once, and whoever fills the place with silence must not keep it out.

use std::sync::{Arc, Weak};
use std::time::Instant;

use provost_core::{ClientAddr, Source};
use provost_tenants::network::Gone;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::listen::{GiveWay, Slot, Yielding, Yields};

/// A connection that has no tenant yet.
pub(super) struct Arriving {
    pub(super) stream: TcpStream,
    pub(super) client: ClientAddr,
    pub(super) slot: Slot,
    pub(super) began: Instant,
    pub(super) network: Gone,
}

/// One that is told when it has to give way.
#[derive(Debug)]
pub(super) struct Hurried {
    told: Arc<Told>,
    _yields: Yields,
}

#[derive(Debug, Default)]
struct Told(Notify);

impl GiveWay for Told {
    fn give_way(&self) {
        self.0.notify_one();
    }
}

/// Of so many places those who have said nothing have these: the rest, one at least, is for who comes next.
fn share(places: usize) -> usize {
    places - (places / 4).max(1)
}

impl Hurried {
    /// Enters a connection; of `places` the oldest gives way where too many are taken.
    pub(super) fn enter(arriving: &Arc<Yielding>, client: ClientAddr, places: usize) -> Self {
        arriving.make_room(share(places));
        let told = Arc::new(Told::default());
        let weak: Weak<Told> = Arc::downgrade(&told);
        let yields = arriving.enter(Source::from(client.ip()), weak);
        Self { told, _yields: yields }
    }

    /// Waits until it has to give way.
    pub(super) async fn told(&self) {
        self.told.0.notified().await;
    }
}
