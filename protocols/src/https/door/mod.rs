//! One socket of https or http, and the listeners that it is for: one, or those of several tenants that share the address.
//!
//! Where there is one, its tenant is known before a byte is read. Where there are several, the server name of the
//! `ClientHello` (RFC 6066 section 3) says whose a connection is; until then it has a place among those that nobody knows
//! yet, and a short time. Behind a proxy it has one, too, until the proxy has said whose connection it passes on.
//! From there on a connection is its tenant's alone: places, handshakes, sessions and certificates are.

mod arriving;
mod proxy;
mod strangers;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use provost_core::decision::admit;
use provost_core::{ClientAddr, Protocol};
use provost_tenants::network::Gone;
use provost_tenants::{Arrivals, Unnamed};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::{converse, plain, secured, turned};
use crate::front::{Front, Turned};
use crate::listen::{self, Batch, Slots, Yielding};
use crate::record::{Outcome, RecordLog};
use crate::tls::Hello;
use arriving::{Arriving, Hurried};
pub use proxy::peer_of;
use proxy::{Origin, ProxyError};
use strangers::Strangers;

/// A socket's listeners. They come and go while it stays open.
pub(crate) struct Door {
    fronts: ArcSwap<Vec<Arc<Front>>>,
    came: Notify,
    /// Places of connections that have no tenant yet.
    slots: Arc<Slots>,
    arriving: Arc<Yielding>,
    arrivals: Arc<ArcSwap<Arrivals>>,
    strangers: Strangers,
}

/// Serves whoever comes to the door until the task is dropped; those who came end with the socket's network.
pub(crate) async fn serve(door: Arc<Door>, listener: TcpListener, network: Gone) {
    let failed = |error: &io::Error| tracing::warn!(listener = door.name(), %error, "cannot accept a connection");
    let mut batch = Batch::default();
    loop {
        let (stream, peer) = listen::next(|| listener.accept(), failed).await;
        // Between one listener that leaves and the next that comes, a connection waits.
        door.inhabited().await;
        // Only a broken connection refuses it, and serving will find out.
        let _ = stream.set_nodelay(true);
        if door.take(stream, ClientAddr::from(peer), &network) {
            // Those of several tenants do not wait for one of them.
            let fronts = door.fronts();
            batch.let_in(if let [front] = fronts.as_slice() { Some(front.life()) } else { None }).await;
        }
    }
}

impl Door {
    pub(crate) fn new(records: RecordLog, arrivals: Arc<ArcSwap<Arrivals>>) -> Arc<Self> {
        let (fronts, slots, arriving) = (ArcSwap::default(), Arc::default(), Arc::default());
        Arc::new(Self { fronts, came: Notify::new(), slots, arriving, arrivals, strangers: Strangers::new(records) })
    }

    /// Another listener at this address, behind those that are here. Where two answer to one name, the earlier has it.
    pub(crate) fn join(&self, front: &Arc<Front>) {
        self.fronts.rcu(|fronts| fronts.iter().chain([front]).cloned().collect::<Vec<_>>());
        self.came.notify_waiters();
    }

    /// A listener goes. Its connections are its tenant's affair.
    pub(crate) fn leave(&self, front: &Arc<Front>) {
        let stays = |other: &&Arc<Front>| !Arc::ptr_eq(other, front);
        self.fronts.rcu(|fronts| fronts.iter().filter(stays).cloned().collect::<Vec<_>>());
    }

    /// The listeners that are here, in the order in which they came.
    pub(crate) fn fronts(&self) -> Arc<Vec<Arc<Front>>> {
        self.fronts.load_full()
    }

    async fn inhabited(&self) {
        loop {
            let came = self.came.notified();
            if !self.fronts.load().is_empty() {
                return;
            }
            came.await;
        }
    }

    fn name(&self) -> String {
        self.fronts.load().first().map(|front| front.listener().policy.name.clone()).unwrap_or_default()
    }

    /// Whether a task was begun for the connection.
    fn take(self: &Arc<Self>, stream: TcpStream, client: ClientAddr, network: &Gone) -> bool {
        let fronts = self.fronts();
        let began = Instant::now();
        let arrivals = self.arrivals.load();
        let is_proxied = is_proxy(&fronts, client);
        if let ([front], false) = (fronts.as_slice(), is_proxied) {
            return direct(front, network, stream, client);
        }
        if !is_proxied && !may_come(&fronts, client) {
            self.turn(&fronts, client, None);
            return false;
        }
        let Arrivals { connections, connections_per_address, client_hello: _ } = **arrivals;
        // All of a proxy's connections have its address.
        let of_address = if is_proxied { connections } else { connections_per_address };
        let Ok(slot) = Slots::take_within(&self.slots, client.ip(), connections, of_address) else {
            self.turn(&fronts, client, Some("busy"));
            return false;
        };
        let arriving = Arriving { stream, client, slot, began, network: network.clone() };
        let hurried = Hurried::enter(&self.arriving, client, connections);
        let door = Arc::clone(self);
        tokio::spawn(async move {
            let received = async {
                if is_proxied {
                    Arc::clone(&door).proxied(arriving).await;
                } else {
                    Arc::clone(&door).sort(arriving).await;
                }
            };
            tokio::select! {
                // Who has spoken by now is not closed.
                biased;
                () = received => {}
                () = hurried.told() => {
                    let why = "it had said nothing yet, and its place was wanted";
                    door.strangers.note("CONNECT", client, began, (Outcome::Aborted, "gave_way"), why);
                }
            }
        });
        true
    }

    /// Reads whose connection a proxy passes on, and takes it as if it came from there.
    async fn proxied(self: Arc<Self>, arriving: Arriving) {
        let Arriving { mut stream, client: proxy, slot, began, network } = arriving;
        let patience = self.arrivals.load().client_hello;
        let read = timeout(patience, proxy::read(&mut stream)).await.unwrap_or(Err(ProxyError::Slow(patience)));
        let fronts = self.fronts();
        // A reload may have taken the proxy away meanwhile, or given the address to another tenant.
        let read = if is_proxy(&fronts, proxy) { read } else { read.and(Err(ProxyError::Withdrawn)) };
        let client = match read {
            Ok(Origin::Peer(address)) => ClientAddr::from(address),
            // Its question whether the server is there is none of a phone's, and has no record.
            Ok(Origin::Proxy) if !speaks(&stream, patience).await => return,
            Ok(Origin::Proxy) => proxy,
            Err(error) => {
                return match fronts.as_slice() {
                    [front] => front.failed("PROXY", proxy, began, error.code(), &error),
                    _ => self.strangers.note("PROXY", proxy, began, (Outcome::Handshake, error.code()), &error),
                };
            }
        };
        match fronts.as_slice() {
            [front] => _ = direct(front, &network, stream, client),
            _ if may_come(&fronts, client) => {
                Box::pin(self.sort(Arriving { stream, client, slot, began, network })).await;
            }
            _ => self.turn(&fronts, client, None),
        }
    }

    /// Reads the `ClientHello`, and hands the connection to the tenant whose it is.
    async fn sort(self: Arc<Self>, arriving: Arriving) {
        let Arriving { stream, client, slot, began, network } = arriving;
        let hello = Box::pin(Hello::read(stream, self.arrivals.load().client_hello)).await.map(Box::new);
        let hello = match hello {
            Ok(hello) => hello,
            Err(error) => {
                return self.strangers.note("TLS", client, began, (Outcome::Handshake, error.code()), &error);
            }
        };
        let Some(front) = self.choose(hello.server_name().as_deref()) else {
            let error = Box::pin(hello.refuse()).await;
            return self.strangers.note("TLS", client, began, (Outcome::Handshake, error.code()), &error);
        };
        let life = Arc::clone(front.life());
        // The prefixes and the places of its tenant count from here on.
        match front.admit(client) {
            Ok(place) => {
                drop(slot);
                life.serve(&network, converse(front, client, place, hello));
            }
            Err(Turned::Away) => {}
            Err(Turned::Busy) => {
                drop(slot);
                let Some(room) = front.shares().turning.room() else { return };
                life.serve(&network, listen::tell(room, turned::greeted(front, *hello)));
            }
        }
    }

    /// Whose a connection is. Without a name, or with one that nobody has, the default's.
    fn choose(&self, name: Option<&str>) -> Option<Arc<Front>> {
        let fronts = self.fronts.load();
        if let [only] = fronts.as_slice() {
            return Some(Arc::clone(only));
        }
        let is_named = |front: &&Arc<Front>| {
            name.is_some_and(|name| front.present().tls.as_ref().is_some_and(|tls| tls.is_named(name)))
        };
        let is_default = |front: &&Arc<Front>| front.listener().arrival.unnamed == Unnamed::Ours;
        fronts.iter().find(is_named).or_else(|| fronts.iter().find(is_default)).cloned()
    }

    /// Turns a peer away that no tenant is known for: outside all prefixes, or, with a word for it, for want of a place.
    fn turn(&self, fronts: &[Arc<Front>], client: ClientAddr, busy: Option<&'static str>) {
        match (fronts, busy) {
            ([front], _) => front.turn_away(client, busy),
            (_, Some(busy)) => self.strangers.note("CONNECT", client, Instant::now(), (Outcome::Refused, busy), ""),
            (_, None) => {
                let why = "the source lies outside the prefixes of all tenants at this address";
                self.strangers.note("CONNECT", client, Instant::now(), (Outcome::Denied, "outside_tenant"), why);
            }
        }
    }
}

/// Whether what the address says of whose connection it passes on is believed.
fn is_proxy(fronts: &[Arc<Front>], address: ClientAddr) -> bool {
    fronts
        .iter()
        .any(|front| front.listener().arrival.proxies.as_ref().is_some_and(|proxies| proxies.contains(address.ip())))
}

/// Whether some tenant lets the address in.
fn may_come(fronts: &[Arc<Front>], client: ClientAddr) -> bool {
    fronts.iter().any(|front| {
        let present = front.present();
        admit(&present.tenant.policy, &present.listener.policy, client).is_ok()
    })
}

/// Serves a connection whose tenant is known.
fn direct(front: &Arc<Front>, network: &Gone, stream: TcpStream, client: ClientAddr) -> bool {
    match front.listener().policy.protocol {
        Protocol::Https => listen::receive(front, network, stream, client, (&secured, &turned::secured)),
        Protocol::Http => listen::receive(front, network, stream, client, (&plain, &turned::plain)),
        // They have no door.
        Protocol::Tftp | Protocol::Ftp => false,
    }
}

/// Whether the peer says anything in this time.
async fn speaks(stream: &TcpStream, patience: Duration) -> bool {
    matches!(timeout(patience, stream.peek(&mut [0])).await, Ok(Ok(1)))
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").field("fronts", &self.fronts.load().len()).finish_non_exhaustive()
    }
}
