//! The one way from a protocol to a decision, and from a request to its record.
//!
//! A listener's [`Front`] knows its tenant before a byte is read. For each request a protocol begins an [`Exchange`],
//! asks it for a decision, and ends it; the exchange writes the record when it is dropped, whatever happened.

mod exchange;

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use provost_core::decision::admit;
use provost_core::proof::CertificateIdentity;
use provost_core::{ClientAddr, NoIdentity, PathError, Proofs, RequestPath, Standing};
use provost_tenants::guard;
use provost_tenants::network::Network;
use provost_tenants::{Limits, Listener, Tenant};
use rustls::pki_types::CertificateDer;

pub use exchange::{Exchange, without_link};

use crate::guarding::asker;
use crate::life::{Counts, Life};
use crate::listen::{Flow, Held, Job, Shares, Slot, Slots, Turn, piece};
use crate::record::{Flood, KnownBy, Outcome, RecordLog};
use crate::reports::Reports;
use crate::tls::{ShownChain, TlsFront};

/// What is recorded of a peer that has not asked for anything yet.
const CONNECT: (&str, &[u8]) = ("CONNECT", b"");

/// What the peers of one listener meet first. It outlives reloads: what is asked of it is asked of the present generation.
#[derive(Debug)]
pub struct Front {
    present: Arc<ArcSwap<Generation>>,
    life: Arc<Life>,
    counts: Arc<Counts>,
    reports: Arc<Reports>,
    network: Network,
    records: RecordLog,
    turned: Flood,
}

/// A listener as one configuration made it. An [`Exchange`] holds the one that it began with to its end.
#[derive(Debug, Clone)]
pub struct Generation {
    /// The tenant.
    pub tenant: Arc<Tenant>,
    /// The listener.
    pub listener: Arc<Listener>,
    /// Present where the listener has a certificate: on https, and on ftp that may be encrypted.
    pub tls: Option<Arc<TlsFront>>,
}

/// Why a peer is turned away before a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turned {
    /// Its address may not speak to this listener: it is not answered.
    Away,
    /// The tenant or the address has all the connections that it may have.
    Busy,
}

impl Front {
    /// The front of one listener without TLS. `shares` are the tenant's, used by all of its listeners.
    pub fn new(tenant: Arc<Tenant>, listener: Arc<Listener>, shares: Arc<Shares>, records: RecordLog) -> Arc<Self> {
        Self::of(Generation { tenant, listener, tls: None }, Life::new(shares), records)
    }

    /// The front of one listener. All listeners of the tenant share its life.
    pub fn of(generation: Generation, life: Arc<Life>, records: RecordLog) -> Arc<Self> {
        let network = generation.tenant.network.network();
        let present = Arc::new(ArcSwap::from_pointee(generation));
        Arc::new(Self {
            present,
            life,
            counts: Arc::default(),
            reports: Arc::default(),
            network,
            records,
            turned: Flood::default(),
        })
    }

    /// The front of the same listener for a new socket: a [`Network`] is settled by its first socket, and connections that
    /// an earlier one accepted stay with theirs.
    pub fn anew(&self) -> Arc<Self> {
        Arc::new(Self {
            present: Arc::clone(&self.present),
            life: Arc::clone(&self.life),
            counts: Arc::clone(&self.counts),
            reports: Arc::clone(&self.reports),
            network: self.network.anew(),
            records: self.records.clone(),
            turned: Flood::default(),
        })
    }

    /// Serves another generation from here on. Exchanges that have begun end under theirs.
    pub fn renew(&self, generation: Generation) {
        self.present.store(Arc::new(generation));
    }

    /// The present generation.
    pub fn present(&self) -> Arc<Generation> {
        self.present.load_full()
    }

    /// What the tenant's connections share.
    pub fn life(&self) -> &Arc<Life> {
        &self.life
    }

    /// What has been counted since the listener began.
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// Whom report-only exceptions let pass since the listener began.
    pub(crate) fn reports(&self) -> &Reports {
        &self.reports
    }

    /// The tenant as it is now, for its files, uploads, users and network. Whoever has an exchange asks that.
    pub fn tenant(&self) -> Arc<Tenant> {
        Arc::clone(&self.present.load().tenant)
    }

    /// The listener as it is now.
    pub fn listener(&self) -> Arc<Listener> {
        Arc::clone(&self.present.load().listener)
    }

    /// Where every socket of this listener is made: its own, and those of its transfers.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The limits of this listener's peers.
    pub fn limits(&self) -> Limits {
        self.present.load().tenant.limits.clone()
    }

    /// Runs work that blocks on the file system, off the runtime and within the tenant's share of its threads.
    pub(crate) fn off_runtime<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Job<T> {
        self.life.shares().jobs.run(work)
    }

    /// Whether a request for this host is the listener's, after a handshake for `server_name`. Without TLS every host is.
    pub(crate) fn answers_to(&self, host: &str, server_name: Option<&str>) -> bool {
        self.present.load().tls.as_ref().is_none_or(|tls| tls.answers_to(host, server_name))
    }

    /// The tenant's shares.
    pub(crate) fn shares(&self) -> &Shares {
        self.life.shares()
    }

    /// The wait for the turn of these bytes of a download, where the tenant's bandwidth is bounded and used up.
    pub(crate) fn reserve(&self, flow: &mut Flow, bytes: usize) -> Option<Turn> {
        let rate = self.present.load().tenant.limits.bandwidth?;
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.shares().bandwidth.take(flow, bytes, rate, tokio::time::Instant::now())
    }

    /// Waits until these bytes of a download may be sent.
    pub(crate) async fn pass(&self, flow: &mut Flow, bytes: usize) {
        if let Some(turn) = self.reserve(flow, bytes) {
            turn.await;
        }
    }

    /// How much of so many bytes of a download goes at a time: no more than others may wait for.
    pub(crate) fn cut(&self, bytes: usize) -> usize {
        piece(bytes, self.present.load().tenant.limits.bandwidth)
    }

    /// Memory for the next piece of a transfer: `want` bytes, or less where the tenant's memory or bandwidth is short.
    pub(crate) fn piece(&self, want: usize) -> Held {
        let present = self.present.load();
        let limits = &present.tenant.limits;
        self.shares().memory.take(piece(want, limits.bandwidth), limits.memory)
    }

    /// The same without regard to bandwidth, for what goes out in other pieces or cannot be cut.
    pub(crate) fn memory(&self, want: usize) -> Held {
        self.shares().memory.take(want, self.present.load().tenant.limits.memory)
    }

    /// Takes a place for a connection or a transfer, before anything else is done for the peer.
    ///
    /// # Errors
    /// - [`Turned`]: the address lies outside the prefixes, or there is no place; a record is written
    pub fn admit(self: &Arc<Self>, client: ClientAddr) -> Result<Slot, Turned> {
        self.admit_for(client, CONNECT)
    }

    /// The same where a request comes with the first packet: its method and its path, for the record.
    pub(crate) fn admit_for(
        self: &Arc<Self>,
        client: ClientAddr,
        asked: (&'static str, &[u8]),
    ) -> Result<Slot, Turned> {
        let present = self.present.load();
        if let Err(denial) = admit(&present.tenant.policy, &present.listener.policy, client) {
            self.turn(client, asked, |exchange| _ = exchange.deny(&denial));
            return Err(Turned::Away);
        }
        let shares = self.life.shares();
        Slots::take(&shares.slots, client.ip(), &present.tenant.limits).map_err(|full| {
            // Whoever comes back finds a place, if one is held by a peer that may not be there.
            shares.giving_way.make_room(client.source(), full);
            self.turn(client, asked, |exchange| exchange.end(Outcome::Refused, Some("busy")));
            Turned::Busy
        })
    }

    /// Records that a peer is turned away, unless that was recorded of too many others just now.
    fn turn(
        self: &Arc<Self>,
        client: ClientAddr,
        (method, path): (&'static str, &[u8]),
        end: impl FnOnce(&mut Exchange),
    ) {
        if let Some(mut exchange) = self.refused(client, method, path) {
            end(&mut exchange);
        }
    }

    /// Begins the record of what is refused before a decision, unless that was recorded of too much else just now.
    pub(crate) fn refused(self: &Arc<Self>, client: ClientAddr, method: &'static str, path: &[u8]) -> Option<Exchange> {
        let left_out = self.turned.take(Instant::now())?;
        let mut exchange = self.exchange(client, method, path);
        exchange.note_device(&Proofs::none());
        exchange.record.left_out = left_out;
        Some(exchange)
    }

    /// Turns a peer away that has not been admitted: with a word for it for want of a place, else for its address.
    pub(crate) fn turn_away(self: &Arc<Self>, client: ClientAddr, busy: Option<&'static str>) {
        match busy {
            Some(busy) => self.turn(client, CONNECT, |exchange| exchange.end(Outcome::Refused, Some(busy))),
            None => drop(self.admit(client)),
        }
    }

    /// Records a connection that failed before a request.
    pub(crate) fn failed(
        self: &Arc<Self>,
        method: &'static str,
        client: ClientAddr,
        began: Instant,
        reason: &'static str,
        detail: impl ToString,
    ) {
        let mut exchange = self.exchange(client, method, b"");
        exchange.since(began);
        exchange.detail(detail);
        exchange.finish(Outcome::Handshake, Some(reason));
    }
}

impl Generation {
    /// The device that a connection's certificates name, leaf first, by the trust sets of this generation.
    ///
    /// # Errors
    /// - [`NoIdentity`]: as [`TlsFront::identity`]
    pub fn identity(&self, chain: &[CertificateDer<'_>]) -> Result<CertificateIdentity, NoIdentity> {
        self.tls.as_ref().map_or(Err(NoIdentity::Plaintext), |tls| tls.identity(chain))
    }

    /// The same of a chain that a connection of https showed.
    ///
    /// # Errors
    /// - [`NoIdentity`]: as [`TlsFront::identity`]
    pub(crate) fn identity_shown(&self, shown: &ShownChain) -> Result<CertificateIdentity, NoIdentity> {
        self.tls.as_ref().map_or(Err(NoIdentity::Plaintext), |tls| tls.identity_shown(shown))
    }

    /// Whether such a request would now be met with silence until its source, which only claims its address, has answered. Asking leaves
    /// no trace.
    pub fn is_left_waiting(&self, client: ClientAddr, path: Result<&RequestPath, PathError>, proofs: &Proofs) -> bool {
        let asker = asker(self.listener.policy.protocol, client);
        match exchange::device_of(&self.tenant, path, proofs) {
            Some((device, KnownBy::Path)) if !exchange::tells_of_no_device(&self.tenant, path) => {
                self.tenant.guard.turn_to_come(asker, device, Instant::now()) == guard::Turn::Wait
            }
            Some((_, KnownBy::Path | KnownBy::Certificate | KnownBy::Password | KnownBy::Link)) | None => false,
        }
    }

    /// How the source of such a request stands with the guard now. Asking leaves no trace.
    pub fn standing(&self, client: ClientAddr, path: Result<&RequestPath, PathError>, proofs: &Proofs) -> Standing {
        match exchange::device_of(&self.tenant, path, proofs) {
            Some((device, KnownBy::Path)) => {
                let asker = asker(self.listener.policy.protocol, client);
                let is_throttled = self.tenant.guard.is_throttled(asker, device, Instant::now());
                if is_throttled { Standing::Throttled } else { Standing::Free }
            }
            Some((_, KnownBy::Certificate | KnownBy::Password | KnownBy::Link)) | None => Standing::Free,
        }
    }
}
