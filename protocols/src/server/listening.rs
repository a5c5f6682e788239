//! One listener, and the socket by which it is reached: one of its own, or one that it shares with other tenants'.

use std::net::SocketAddr;
use std::sync::Arc;

use provost_core::Protocol;
use provost_tenants::network::{NetworkStack, Passed};
use provost_tenants::{Listener, Tenant};
use tokio::task::JoinHandle;

use super::doors::{Doors, Seat};
use super::post::{Holder, Post, State};
use super::serving::Failure;
use crate::front::Front;

/// What a socket depends on. As long as it stays the same, a reload leaves the socket alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) protocol: Protocol,
    pub(super) address: SocketAddr,
    pub(super) network: NetworkStack,
    pub(super) enabled: bool,
}

/// A listener with what serves it.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) place: Place,
    pub(super) front: Arc<Front>,
    reached: Reached,
}

/// How a listener is reached.
#[derive(Debug)]
enum Reached {
    /// It is disabled.
    Never,
    /// By a socket of its own.
    Own(Post),
    /// Through a door.
    Door(Seat),
}

impl Place {
    pub(super) fn of(tenant: &Tenant, listener: &Listener) -> Self {
        Self {
            protocol: listener.policy.protocol,
            address: listener.address,
            network: tenant.network.clone(),
            enabled: tenant.policy.enabled && listener.policy.enabled,
        }
    }
}

impl Listening {
    /// Binds the listener in its tenant's network, takes the passed socket that is meant for it, or joins those that are at
    /// its address already. It must be called inside a tokio runtime.
    pub(super) fn start(front: Arc<Front>, doors: &Doors, passed: &Passed) -> (Self, Option<Failure>) {
        let present = front.present();
        let place = Place::of(&present.tenant, &present.listener);
        let (reached, error) = match place.protocol {
            _ if !place.enabled => (Reached::Never, None),
            Protocol::Https | Protocol::Http => {
                let (seat, error) = doors.join(&place, &front, passed);
                (Reached::Door(seat), error)
            }
            Protocol::Tftp | Protocol::Ftp => {
                let (post, error) = Post::start(place.clone(), Holder::Front(Arc::clone(&front)), passed);
                (Reached::Own(post), error)
            }
        };
        let failure = error.map(|error| (Arc::clone(&present.listener), error));
        (Self { place, front, reached }, failure)
    }

    /// Whether its socket was passed by the service manager.
    pub(super) fn is_passed(&self) -> bool {
        match &self.reached {
            Reached::Never => false,
            Reached::Own(post) => post.is_passed(),
            Reached::Door(seat) => seat.is_passed(),
        }
    }

    pub(super) fn state(&self) -> State {
        match &self.reached {
            Reached::Never => State::Disabled,
            Reached::Own(post) => post.state(),
            Reached::Door(seat) => seat.state(),
        }
    }

    /// Where it waits, it tries again soon.
    pub(super) fn hurry(&self) {
        match &self.reached {
            Reached::Never => {}
            Reached::Own(post) => post.hurry(),
            Reached::Door(seat) => seat.hurry(),
        }
    }

    /// How many other tenants share its address.
    pub(super) fn sharing(&self) -> usize {
        match &self.reached {
            Reached::Never | Reached::Own(_) => 0,
            Reached::Door(seat) => seat.others(),
        }
    }

    /// Ends listening: when it returns, a socket of its own is closed, or among the passed ones again. A door that is left empty
    /// is closed by [`Doors::close_empty`]. Connections that were accepted go on.
    pub(super) async fn stop(self, passed: &Passed) {
        match self.reached {
            Reached::Never => {}
            Reached::Own(post) => post.stop(passed).await,
            Reached::Door(seat) => drop(seat),
        }
    }

    /// Begins to end listening. A socket of its own is closed when the task has ended.
    pub(super) fn halt(&mut self) -> Option<JoinHandle<()>> {
        match &mut self.reached {
            Reached::Never | Reached::Door(_) => None,
            Reached::Own(post) => post.halt(),
        }
    }
}
