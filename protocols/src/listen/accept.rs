//! The accept loop of every protocol over TCP.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use provost_core::ClientAddr;
use provost_tenants::network::Gone;
use tokio::net::{TcpListener, TcpStream};

use super::Slot;
use super::turning::tell;
use crate::front::{self, Front};
use crate::life::Life;

/// How long accepting rests after an error that lies in this machine's resources.
const REST: Duration = Duration::from_millis(100);

/// After so many connections that are let in those that are there have their turn.
const BATCH: usize = 16;

/// The connections of a listener that were let in one after the other. Where they are more than the tenant's share of the machine
/// can serve, the next ones wait in the system, where they take little, and no time is counted that they would lose here.
#[derive(Debug, Default)]
pub(crate) struct Batch(usize);

impl Batch {
    /// One more was let in. After some it waits until all that is ready of `life` has been polled; without one there is nobody to wait for.
    pub(crate) async fn let_in(&mut self, life: Option<&Life>) {
        self.0 += 1;
        if self.0 < BATCH {
            return;
        }
        self.0 = 0;
        if let Some(life) = life {
            life.rotation().await;
        }
    }
}

/// A peer that was admitted.
#[derive(Debug)]
pub struct Connection {
    /// The stream, with `TCP_NODELAY` set.
    pub stream: TcpStream,
    /// The peer.
    pub client: ClientAddr,
    /// The address that the peer reached.
    pub local: SocketAddr,
    /// Its place; keep it as long as the connection lives.
    pub slot: Slot,
}

/// Accepts connections until the task is dropped, and hands each to `serve` in a task of its own. A peer that may not
/// speak to the listener is closed at once; one for which there is no place is told so by `turn`, unless too many are being
/// told.
pub async fn accept<F, Served, T, Turned>(front: Arc<Front>, listener: TcpListener, serve: F, turn: T)
where
    F: Fn(Arc<Front>, Connection) -> Served,
    Served: Future<Output = ()> + Send + 'static,
    T: Fn(Arc<Front>, TcpStream, ClientAddr) -> Turned,
    Turned: Future<Output = ()> + Send + 'static,
{
    let failed = |error: &io::Error| {
        tracing::warn!(listener = front.listener().policy.name, %error, "cannot accept a connection");
        front.counts().note(format!("cannot accept a connection: {error}"));
    };
    let mut batch = Batch::default();
    loop {
        let (stream, peer) = next(|| listener.accept(), failed).await;
        if receive(&front, front.network().gone(), stream, ClientAddr::from(peer), (&serve, &turn)) {
            batch.let_in(Some(front.life())).await;
        }
    }
}

/// Takes in one peer whose listener is known, as [`accept`] does. Whether a task was begun for it. It ends with the network of its
/// socket.
pub(crate) fn receive<F, Served, T, Turned>(
    front: &Arc<Front>,
    network: &Gone,
    stream: TcpStream,
    client: ClientAddr,
    (serve, turn): (&F, &T),
) -> bool
where
    F: Fn(Arc<Front>, Connection) -> Served,
    Served: Future<Output = ()> + Send + 'static,
    T: Fn(Arc<Front>, TcpStream, ClientAddr) -> Turned,
    Turned: Future<Output = ()> + Send + 'static,
{
    let slot = match front.admit(client) {
        Ok(slot) => slot,
        Err(front::Turned::Away) => return false,
        Err(front::Turned::Busy) => {
            let Some(room) = front.shares().turning.room() else { return false };
            front.life().serve(network, tell(room, turn(Arc::clone(front), stream, client)));
            return true;
        }
    };
    let Ok(local) = stream.local_addr() else { return false };
    // Only a broken connection refuses it, and serving will find out.
    let _ = stream.set_nodelay(true);
    front.life().serve(network, serve(Arc::clone(front), Connection { stream, client, local, slot }));
    true
}

/// The next connection of any socket. It rests where this machine has nothing left for one; `failed` is told of that.
pub(crate) async fn next<T, Accepting>(accept: impl Fn() -> Accepting, failed: impl Fn(&io::Error)) -> T
where
    Accepting: Future<Output = io::Result<T>>,
{
    loop {
        match accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_peer(&error) => {}
            Err(error) => {
                failed(&error);
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// Whether an error of accept(2) is the affair of one peer that went away (accept(2), "Error handling").
pub(crate) fn is_of_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::TimedOut
    )
}
