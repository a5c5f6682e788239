//! One listener that is meant to listen: it does, or it waits and tries again.
//!
//! An address, a device or a namespace may be missing when the server starts, and come later. So a socket that cannot be
//! made is tried again, at first soon and then every half minute, and the order in which a machine starts does not
//! matter.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use provost_core::Protocol;
use provost_tenants::network::{Network, NetworkStack, Passed, PassedSocket, Transport};
use provost_tenants::{Listener, Tenant};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::front::Front;
use crate::{ftp, https, tftp};

/// From the first failure to the next try. It doubles up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// How often is looked whether the network of a listener is still there.
const LOOK: Duration = Duration::from_secs(2);

/// Whether a listener listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It is not meant to.
    Disabled,
    /// It cannot, and is tried again.
    Waiting {
        /// What the system said.
        reason: String,
        /// Since when.
        since: Timestamp,
    },
    /// It does, at this address.
    Up(SocketAddr),
}

/// What a socket depends on. As long as it stays the same, a reload leaves the socket alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    protocol: Protocol,
    address: SocketAddr,
    network: NetworkStack,
    enabled: bool,
}

/// A listener with the task that serves it.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) place: Place,
    pub(super) front: Arc<Front>,
    state: Arc<Mutex<State>>,
    /// The socket of the service manager that serves it, if one does.
    passed: Option<Arc<PassedSocket>>,
    task: Option<JoinHandle<()>>,
}

/// What serves one listener until it is dropped.
type Engine = Pin<Box<dyn Future<Output = ()> + Send>>;

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
    /// Binds the listener in its tenant's network, or takes the passed socket that is meant for it, and serves it; where that
    /// fails, it is tried again. It must be called inside a tokio runtime.
    pub(super) fn start(front: Arc<Front>, passed: &Passed) -> (Self, Option<io::Error>) {
        let present = front.present();
        let place = Place::of(&present.tenant, &present.listener);
        if !place.enabled {
            let state = Arc::new(Mutex::new(State::Disabled));
            return (Self { place, front, state, passed: None, task: None }, None);
        }
        let passed = passed.take(&place.network, place.address, transport(place.protocol));
        let (state, engine, error) = match engine(&place, &front, passed.as_deref()) {
            Ok((address, engine)) => (State::Up(address), Some(engine), None),
            Err(error) => (State::waiting(&error), None, Some(error)),
        };
        let state = Arc::new(Mutex::new(state));
        let task = tokio::spawn(serve(place.clone(), Arc::clone(&front), Arc::clone(&state), passed.clone(), engine));
        (Self { place, front, state, passed, task: Some(task) }, error)
    }

    /// Whether its socket was passed by the service manager.
    pub(super) fn is_passed(&self) -> bool {
        self.passed.is_some()
    }

    pub(super) fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends listening: when it returns, the socket is closed, or among the passed ones again. Connections that were accepted
    /// go on.
    pub(super) async fn stop(mut self, passed: &Passed) {
        let socket = self.passed.take();
        if let Some(task) = self.halt() {
            // It was told to end, so it ends with an error.
            let _ = task.await;
        }
        if let Some(socket) = socket {
            passed.put_back(socket);
        }
    }

    /// Begins to end listening. The socket is closed when the task has ended.
    pub(super) fn halt(&mut self) -> Option<JoinHandle<()>> {
        self.passed = None;
        let task = self.task.take()?;
        task.abort();
        Some(task)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // Nobody waits for the socket.
        drop(self.halt());
    }
}

impl State {
    fn waiting(error: &io::Error) -> Self {
        Self::Waiting { reason: error.to_string(), since: Timestamp::now() }
    }
}

async fn serve(
    place: Place,
    mut front: Arc<Front>,
    state: Arc<Mutex<State>>,
    passed: Option<Arc<PassedSocket>>,
    mut bound: Option<Engine>,
) {
    let set = |now| *state.lock().unwrap_or_else(PoisonError::into_inner) = now;
    let mut pause = FIRST;
    loop {
        if let Some(engine) = bound.take() {
            // An engine ends by itself only where it could not begin.
            let ended = async {
                engine.await;
                io::Error::other("the listener ended by itself; the log says why")
            };
            let error = tokio::select! {
                error = ended => error,
                error = lost(&front) => error,
            };
            let present = front.present();
            let (tenant, listener) = (&present.tenant.policy.name, &present.listener.policy.name);
            tracing::error!(tenant, listener, %error, "does not listen any more, and tries again");
            set(State::waiting(&error));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
        front = front.anew();
        let present = front.present();
        let (tenant, listener) = (&present.tenant.policy.name, &present.listener.policy.name);
        match engine(&place, &front, passed.as_deref()) {
            Ok((address, engine)) => {
                tracing::info!(tenant, listener, %address, "listening at last");
                set(State::Up(address));
                pause = FIRST;
                bound = Some(engine);
            }
            Err(error) => note(&state, &error),
        }
    }
}

/// Waits until the listener's network is lost: no error of its socket would ever show that.
async fn lost(front: &Front) -> io::Error {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Some(error) = front.network().lost() {
            return io::Error::other(error);
        }
    }
}

/// Notes why a listener waits; since when stays what it was.
fn note(state: &Mutex<State>, error: &io::Error) {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    let since = match &*state {
        State::Waiting { since, .. } => *since,
        State::Disabled | State::Up(_) => Timestamp::now(),
    };
    *state = State::Waiting { reason: error.to_string(), since };
}

/// Binds a listener in its tenant's network, or takes its passed socket. The engine runs once it is polled.
fn engine(place: &Place, front: &Arc<Front>, passed: Option<&PassedSocket>) -> io::Result<(SocketAddr, Engine)> {
    let Place { protocol, address, network: _, enabled: _ } = place;
    let front = Arc::clone(front);
    let passed = passed.filter(|passed| passed.is_sound());
    let stream = |network: &Network| match passed {
        Some(passed) => network.passed_tcp(passed),
        None => network.tcp_listener(*address),
    };
    let datagrams = |network: &Network| match passed {
        Some(passed) => network.passed_udp(passed),
        None => network.udp_socket(*address),
    };
    match protocol {
        Protocol::Https => {
            let socket = stream(front.network())?;
            Ok((socket.local_addr()?, Box::pin(https::serve(front, socket))))
        }
        Protocol::Http => {
            let socket = stream(front.network())?;
            Ok((socket.local_addr()?, Box::pin(https::serve_plain(front, socket))))
        }
        Protocol::Ftp => {
            let socket = stream(front.network())?;
            Ok((socket.local_addr()?, Box::pin(ftp::serve(front, socket))))
        }
        Protocol::Tftp => {
            let socket = datagrams(front.network())?;
            Ok((socket.local_addr()?, Box::pin(tftp::serve(front, socket))))
        }
    }
}

const fn transport(protocol: Protocol) -> Transport {
    match protocol {
        Protocol::Https | Protocol::Http | Protocol::Ftp => Transport::Stream,
        Protocol::Tftp => Transport::Datagram,
    }
}
