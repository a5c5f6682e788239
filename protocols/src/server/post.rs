//! One socket that is meant to listen: it does, or it waits and tries again.
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
use provost_tenants::network::{FormerNetwork, Network, Passed, PassedSocket, Transport};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::listening::Place;
use crate::front::Front;
use crate::https::Door;
use crate::{ftp, https, tftp};

/// From the first failure to the next try. It doubles up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// How often is looked whether the network of a listener is still there.
const LOOK: Duration = Duration::from_secs(2);
/// After how many looks its address is looked for as well, which takes a socket.
const ADDRESS_LOOKS: u32 = 3;

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

/// A socket with the task that serves it.
#[derive(Debug)]
pub(super) struct Post {
    state: Arc<Mutex<State>>,
    /// The socket of the service manager that serves it, if one does.
    passed: Option<Arc<PassedSocket>>,
    /// Whoever waits tries again at once.
    hurry: Arc<Notify>,
    task: Option<JoinHandle<()>>,
}

/// Whom a socket serves. Dropped, it leaves those whom it served to [`follow`].
pub(super) enum Holder {
    /// One listener.
    Front(Arc<Front>),
    /// Those of a door, in this network.
    Door(Arc<Door>, Network),
}

/// What serves one socket until it is dropped.
type Engine = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Post {
    /// Binds the socket, or takes the passed one that is meant for it, and serves it; where that fails, it is tried again. It must
    /// be called inside a tokio runtime.
    pub(super) fn start(place: Place, holder: Holder, passed: &Passed) -> (Self, Option<io::Error>) {
        let passed = passed.take(&place.network, place.address, transport(place.protocol));
        let (state, engine, error) = match engine(&place, &holder, passed.as_deref()) {
            Ok((address, engine)) => (State::Up(address), Some(engine), None),
            Err(error) => (State::waiting(&error), None, Some(error)),
        };
        let state = Arc::new(Mutex::new(state));
        let hurry = Arc::new(Notify::new());
        let task = serve(place, holder, (Arc::clone(&state), Arc::clone(&hurry)), passed.clone(), engine);
        (Self { state, passed, hurry, task: Some(tokio::spawn(task)) }, error)
    }

    pub(super) fn is_passed(&self) -> bool {
        self.passed.is_some()
    }

    pub(super) fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where it waits, it tries again soon: somebody may have mended what was amiss.
    pub(super) fn hurry(&self) {
        self.hurry.notify_waiters();
    }

    /// Ends listening: when it returns, the socket is closed, or among the passed ones again.
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

impl Drop for Post {
    fn drop(&mut self) {
        // Nobody waits for the socket.
        drop(self.halt());
    }
}

impl Holder {
    fn network(&self) -> &Network {
        match self {
            Self::Front(front) => front.network(),
            Self::Door(_, network) => network,
        }
    }

    /// The same for a new socket: a network is settled by its first.
    fn anew(&self) -> Self {
        match self {
            Self::Front(front) => Self::Front(front.anew()),
            Self::Door(door, network) => Self::Door(Arc::clone(door), network.anew()),
        }
    }

    /// Whose the socket is, for the log: tenants and listeners.
    fn names(&self) -> (String, String) {
        let name = |front: &Arc<Front>| {
            let present = front.present();
            (present.tenant.policy.name.clone(), present.listener.policy.name.clone())
        };
        match self {
            Self::Front(front) => name(front),
            Self::Door(door, _) => {
                let (tenants, listeners): (Vec<_>, Vec<_>) = door.fronts().iter().map(name).unzip();
                (tenants.join(" "), listeners.join(" "))
            }
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        if let (Some(former), Ok(runtime)) = (self.network().former(), Handle::try_current()) {
            runtime.spawn(follow(former));
        }
    }
}

impl State {
    fn waiting(error: &io::Error) -> Self {
        Self::Waiting { reason: error.to_string(), since: Timestamp::now() }
    }
}

async fn serve(
    place: Place,
    mut holder: Holder,
    (state, hurry): (Arc<Mutex<State>>, Arc<Notify>),
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
                error = lost(holder.network(), passed.is_none().then_some(place.address)) => error,
            };
            let (tenant, listener) = holder.names();
            set(State::waiting(&error));
            tracing::error!(tenant, listener, %error, "does not listen any more, and tries again");
        }
        pause = tokio::select! {
            () = tokio::time::sleep(pause) => (pause * 2).min(LONGEST),
            () = hurry.notified() => FIRST,
        };
        holder = holder.anew();
        match engine(&place, &holder, passed.as_deref()) {
            Ok((address, engine)) => {
                let (tenant, listener) = holder.names();
                set(State::Up(address));
                tracing::info!(tenant, listener, %address, "listening at last");
                pause = FIRST;
                bound = Some(engine);
            }
            Err(error) => note(&state, &error),
        }
    }
}

/// Waits until the listener's network, or its address there, is lost: no error of its socket would ever show that. A socket that was
/// passed may have been bound to an address that nobody has: that is the service manager's affair.
async fn lost(network: &Network, address: Option<SocketAddr>) -> io::Error {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut looks, mut missed) = (0_u32, false);
    loop {
        ticks.tick().await;
        looks = looks.wrapping_add(1);
        if let Some(error) = network.lost() {
            return io::Error::other(error);
        }
        let Some(address) = address.filter(|_| missed || looks % ADDRESS_LOOKS == 0) else { continue };
        match network.lost_address(address) {
            // An interface that is set up anew has its address back in a moment: the socket need not be given up for that.
            Some(error) if missed => return io::Error::other(error),
            lost => missed = lost.is_some(),
        }
    }
}

/// Looks after what runs on where no listener listens any more: it would keep a namespace that is deleted later.
async fn follow(former: FormerNetwork) {
    while former.goes_on() {
        tokio::time::sleep(LOOK).await;
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

/// Binds a socket in its network, or takes the passed one. The engine runs once it is polled.
fn engine(place: &Place, holder: &Holder, passed: Option<&PassedSocket>) -> io::Result<(SocketAddr, Engine)> {
    let passed = passed.filter(|passed| passed.is_sound());
    let network = holder.network();
    let stream = || match passed {
        Some(passed) => network.passed_tcp(passed),
        None => network.tcp_listener(place.address),
    };
    match holder {
        Holder::Door(door, _) => {
            let socket = stream()?;
            Ok((socket.local_addr()?, Box::pin(https::serve(Arc::clone(door), socket, network.gone().clone()))))
        }
        Holder::Front(front) => match transport(place.protocol) {
            Transport::Stream => {
                let socket = stream()?;
                Ok((socket.local_addr()?, Box::pin(ftp::serve(Arc::clone(front), socket))))
            }
            Transport::Datagram => {
                let socket = match passed {
                    Some(passed) => network.passed_udp(passed)?,
                    None => network.udp_socket(place.address)?,
                };
                Ok((socket.local_addr()?, Box::pin(tftp::serve(Arc::clone(front), socket))))
            }
        },
    }
}

const fn transport(protocol: Protocol) -> Transport {
    match protocol {
        Protocol::Https | Protocol::Http | Protocol::Ftp => Transport::Stream,
        Protocol::Tftp => Transport::Datagram,
    }
}
