//! The one way from a protocol to a decision, and from a request to its record.
//!
//! A listener's [`Front`] knows its tenant before a byte is read. For each request a protocol begins an [`Exchange`],
//! asks it for a decision, and ends it; the exchange writes the record when it is dropped, whatever happened.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use provost_core::decision::admit;
use provost_core::path::link;
use provost_core::proof::CertificateIdentity;
use provost_core::{
    AccessRequest, ClientAddr, Denial, LinkProof, ListPermit, Mac, NamedDevice, NoIdentity, Opening, Operation,
    PathError, Permit, Proofs, Protocol, Refusal, RequestPath, decide, decide_listing,
};
use provost_tenants::network::Network;
use provost_tenants::{Limits, Listener, Tenant};
use rustls::pki_types::CertificateDer;

use crate::guarding::Guarding;
use crate::life::{Counts, Life, Underway};
use crate::listen::{Flow, Held, Job, Shares, Slot, Slots, Turn, piece};
use crate::record::{Flood, Outcome, Record, RecordLog, text_of};
use crate::reports::Reports;
use crate::tls::TlsFront;

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
    /// Present on https alone.
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
    pub fn counts(&self) -> &Counts {
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

    /// Memory for the next piece of a transfer: `want` bytes, or less where the tenant's memory or bandwidth is short.
    pub(crate) fn piece(&self, want: usize) -> Held {
        let present = self.present.load();
        let limits = &present.tenant.limits;
        self.shares().memory.take(piece(want, limits.bandwidth), limits.memory)
    }

    /// Takes a place for a connection or a transfer, before anything else is done for the peer.
    ///
    /// # Errors
    /// - [`Turned`]: the address lies outside the prefixes, or there is no place; a record is written
    pub fn admit(self: &Arc<Self>, client: ClientAddr) -> Result<Slot, Turned> {
        let present = self.present.load();
        if let Err(denial) = admit(&present.tenant.policy, &present.listener.policy, client) {
            self.turn(client, |exchange| _ = exchange.deny(&denial));
            return Err(Turned::Away);
        }
        Slots::take(&self.life.shares().slots, client.ip(), &present.tenant.limits).ok_or_else(|| {
            self.turn(client, |exchange| exchange.end(Outcome::Refused, Some("busy")));
            Turned::Busy
        })
    }

    /// Records that a peer is turned away, unless that was recorded of too many others just now.
    fn turn(self: &Arc<Self>, client: ClientAddr, end: impl FnOnce(&mut Exchange)) {
        let Some(left_out) = self.turned.take(Instant::now()) else { return };
        let mut exchange = self.exchange(client, "CONNECT", b"");
        exchange.record.left_out = left_out;
        end(&mut exchange);
    }

    /// Turns a peer away that has not been admitted: with a word for it for want of a place, else for its address.
    pub(crate) fn turn_away(self: &Arc<Self>, client: ClientAddr, busy: Option<&'static str>) {
        match busy {
            Some(busy) => self.turn(client, |exchange| exchange.end(Outcome::Refused, Some(busy))),
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

    /// Begins the record of a request. `path` is what the peer sent, decoded where the protocol decodes.
    pub fn exchange(
        self: &Arc<Self>,
        client: ClientAddr,
        method: impl Into<Cow<'static, str>>,
        path: &[u8],
    ) -> Exchange {
        let generation = self.present();
        let Generation { tenant, listener, tls: _ } = &*generation;
        let (path, link) = without_link(tenant, listener.policy.protocol, path);
        let record = Record {
            time: jiff::Timestamp::now(),
            tenant: tenant.policy.name.clone(),
            listener: listener.policy.name.clone(),
            protocol: listener.policy.protocol,
            client,
            mac: None,
            proof: None,
            method: method.into(),
            path: text_of(&link::hide(path)),
            outcome: Outcome::Aborted,
            opening: None,
            reason: None,
            detail: None,
            alarm: None,
            agent: None,
            bytes: 0,
            left_out: 0,
            duration: std::time::Duration::ZERO,
        };
        let path = tenant.policy.path(path);
        let underway = self.life.begin();
        Exchange { front: Arc::clone(self), generation, underway, path, link, record, began: Instant::now() }
    }
}

/// Cuts a secret link from the path, and tells whose it is. URLs alone have them.
pub fn without_link<'p>(tenant: &Tenant, protocol: Protocol, path: &'p [u8]) -> (&'p [u8], LinkProof) {
    match protocol {
        Protocol::Https | Protocol::Http => {}
        Protocol::Tftp | Protocol::Ftp => return (path, LinkProof::Absent),
    }
    let Some((token, path)) = link::cut(path) else { return (path, LinkProof::Absent) };
    (path, tenant.devices.linked(token).map_or(LinkProof::Wrong, LinkProof::Device))
}

impl Generation {
    /// The device that a connection's certificates name, leaf first, by the trust sets of this generation.
    ///
    /// # Errors
    /// - [`NoIdentity`]: as [`TlsFront::identity`]
    pub fn identity(&self, chain: &[CertificateDer<'_>]) -> Result<CertificateIdentity, NoIdentity> {
        self.tls.as_ref().map_or(Err(NoIdentity::Plaintext), |tls| tls.identity(chain))
    }

    /// Whether such a request would be throttled now. Asking leaves no trace.
    pub fn is_throttled(&self, client: ClientAddr, path: Result<&RequestPath, PathError>, proofs: &Proofs) -> bool {
        match device_of(&self.tenant, path, proofs) {
            Some((device, "path")) => self.tenant.guard.is_throttled(client, device, Instant::now()),
            Some(_) | None => false,
        }
    }
}

/// One request from its first line to its last byte. Dropped, it writes its record: `aborted`, unless it was finished.
#[derive(Debug)]
pub struct Exchange {
    front: Arc<Front>,
    generation: Arc<Generation>,
    underway: Underway,
    path: Result<RequestPath, PathError>,
    link: LinkProof,
    record: Record,
    began: Instant,
}

impl Exchange {
    /// Decides whether the peer may do this with the path. A negative decision is recorded, and costs what a missing
    /// file costs where the peer is told that there is none. It may block on the file system for a moment then.
    ///
    /// # Errors
    /// - [`Refusal`]: what the peer is told
    pub fn decide(&mut self, operation: Operation, proofs: &Proofs) -> Result<Permit, Refusal> {
        let decision = self.decide_at_once(operation, proofs);
        if let Err(Refusal::NotFound) = decision {
            self.feign();
        }
        decision
    }

    /// Decides, and leaves to the caller what [`Exchange::decide`] does about [`Refusal::NotFound`]: [`Exchange::feign`] is to
    /// be called then, off the runtime. It does not block.
    ///
    /// # Errors
    /// - [`Refusal`]: what the peer is told
    pub(crate) fn decide_at_once(&mut self, operation: Operation, proofs: &Proofs) -> Result<Permit, Refusal> {
        self.note_device(proofs);
        let generation = Arc::clone(&self.generation);
        let guarding = self.guarding(&generation);
        match decide(&self.request(&generation, operation, proofs, guarding.withholds())) {
            Ok(permit) => {
                self.underway.is_for(self.record.mac);
                self.record.opening = Some(permit.opening());
                guarding.allowed(permit.opening());
                self.report(&generation, &permit, proofs);
                self.front.shares().passwords.note(&proofs.password, self.record.mac);
                Ok(permit)
            }
            Err(denial) => {
                self.record.alarm = guarding.denied(&denial.reason);
                Err(self.deny(&denial))
            }
        }
    }

    /// Does the work of looking for a file that is missing. It blocks.
    pub(crate) fn feign(&self) {
        if let Ok(path) = &self.path {
            self.generation.tenant.files.feign(path);
        }
    }

    /// The part of that which does not block.
    pub(crate) fn feign_at_once(&self) {
        if let Ok(path) = &self.path {
            self.generation.tenant.files.feign_at_once(path);
        }
    }

    /// Decides whether the peer may list the folder, and lists it: the permit lives as long as `list` runs. Call it
    /// off the runtime.
    ///
    /// # Errors
    /// - [`Refusal`]: what the peer is told
    pub fn list<T>(&mut self, proofs: &Proofs, list: impl FnOnce(&ListPermit<'_>) -> T) -> Result<T, Refusal> {
        self.note_device(proofs);
        let generation = Arc::clone(&self.generation);
        let outcome =
            decide_listing(&self.request(&generation, Operation::Read, proofs, false)).map(|permit| list(&permit));
        outcome.map_err(|denial| self.deny(&denial))
    }

    fn request<'a>(
        &'a self,
        generation: &'a Generation,
        operation: Operation,
        proofs: &'a Proofs,
        throttled: bool,
    ) -> AccessRequest<'a> {
        AccessRequest {
            tenant: &generation.tenant.policy,
            listener: &generation.listener.policy,
            devices: generation.tenant.devices.as_ref(),
            client: self.record.client,
            proofs,
            operation,
            path: self.path.as_ref().map_err(|error| *error),
            throttled,
        }
    }

    /// Notes whom a report-only exception let pass.
    fn report(&self, generation: &Generation, permit: &Permit, proofs: &Proofs) {
        if permit.opening() != Opening::ReportOnly {
            return;
        }
        let bound = proofs.password.device().or(proofs.link.device());
        if let Some(exception) = generation.listener.policy.reporting(permit.device(), bound) {
            self.front.reports.note(exception, self.record.mac);
        }
    }

    /// What the tenant's guard is asked, and told, of this request.
    fn guarding<'g>(&self, generation: &'g Generation) -> Guarding<'g> {
        let Record { client, mac, proof, protocol, .. } = &self.record;
        Guarding::new(&generation.tenant, *protocol, *client, *mac, *proof)
    }

    /// Waits until the guard lets a peer that only claims its address be told of the device that the path names. It is
    /// to be met with silence where that does not come: a phone asks again.
    pub(crate) async fn may_be_answered(&mut self) -> bool {
        self.note_device(&Proofs::none());
        self.guarding(&self.generation).turn().await
    }

    /// The peer has answered from the address that it claimed.
    pub(crate) fn answered(&self) {
        self.guarding(&self.generation).answered(self.record.opening);
    }

    /// The front that the request came through.
    pub(crate) fn front(&self) -> &Front {
        &self.front
    }

    /// What the secret link in the path showed. The path of the exchange is without it.
    pub(crate) fn link(&self) -> LinkProof {
        self.link
    }

    /// The name of the listener that the request came in on.
    pub(crate) fn listener(&self) -> &str {
        &self.generation.listener.policy.name
    }

    /// The tenant that the request began with: its permits are for these files and uploads.
    pub fn tenant(&self) -> &Arc<Tenant> {
        &self.generation.tenant
    }

    /// The path, as the decision will see it.
    ///
    /// # Errors
    /// - [`PathError`]: it does not parse; a decision will say so
    pub fn path(&self) -> Result<&RequestPath, PathError> {
        self.path.as_ref().map_err(|error| *error)
    }

    /// Counts the time from here: what ends before a request, such as a handshake, took time too.
    pub(crate) fn since(&mut self, began: Instant) {
        let earlier = self.began.saturating_duration_since(began);
        self.record.time = self.record.time.saturating_sub(earlier).unwrap_or(self.record.time);
        self.began = began;
    }

    /// Says what the peer calls itself.
    pub fn agent(&mut self, agent: &[u8]) {
        self.record.agent = Some(text_of(agent));
    }

    /// Adds to the bytes of files that were sent or received.
    pub fn add_bytes(&mut self, bytes: u64) {
        self.record.bytes = self.record.bytes.saturating_add(bytes);
    }

    /// Says in a sentence, for the operator, what went wrong or what is special.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers hand over what they have: a text, an error, its reference"
    )]
    pub fn detail(&mut self, detail: impl ToString) {
        self.record.detail = Some(text_of(detail.to_string().as_bytes()));
    }

    /// Ends the request and writes its record. `reason` is a short fixed word.
    pub fn finish(mut self, outcome: Outcome, reason: Option<&'static str>) {
        self.end(outcome, reason);
    }

    /// Sets how the request ends, for the record that is written when the exchange is dropped.
    pub fn end(&mut self, outcome: Outcome, reason: Option<&'static str>) {
        self.record.outcome = outcome;
        self.record.reason = reason.or(self.record.reason);
    }

    fn deny(&mut self, denial: &Denial) -> Refusal {
        self.record.outcome = Outcome::Denied;
        self.record.reason = Some(denial.reason.code());
        self.record.detail = Some(text_of(denial.reason.to_string().as_bytes()));
        denial.refusal
    }

    fn note_device(&mut self, proofs: &Proofs) {
        let known = device_of(&self.generation.tenant, self.path(), proofs);
        (self.record.mac, self.record.proof) = known.unzip();
    }
}

/// The device of a request, and what it is known by: a proof, or the path alone.
fn device_of(tenant: &Tenant, path: Result<&RequestPath, PathError>, proofs: &Proofs) -> Option<(Mac, &'static str)> {
    let proven: [(Option<Mac>, &'static str); 3] = [
        (proofs.certificate.as_ref().ok().map(|identity| identity.mac), "certificate"),
        (proofs.password.device(), "password"),
        (proofs.link.device(), "link"),
    ];
    let named = || match path.ok()?.named() {
        NamedDevice::One(mac) => Some(*mac),
        NamedDevice::None => None,
        // An operator's rule may settle whose it is.
        NamedDevice::Ambiguous => tenant.policy.rules.find(path.ok()?)?.device,
    };
    let proven = proven.into_iter().find_map(|(mac, proof)| Some((mac?, proof)));
    proven.or_else(|| Some((named()?, "path")))
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.record.duration = self.began.elapsed();
        if self.record.outcome == Outcome::Missing {
            self.record.alarm = self.guarding(&self.generation).missing();
        }
        if let Some(alarm) = self.record.alarm {
            let Record { tenant, client, .. } = &self.record;
            tracing::warn!(tenant, %client, alarm = alarm.code(), "a source may be trying out addresses of devices");
        }
        if self.record.outcome == Outcome::Aborted && self.underway.is_withdrawn() {
            self.record.reason = Some("withdrawn");
        }
        if self.record.outcome == Outcome::Error {
            let Record { method, path, detail, reason, .. } = &self.record;
            let why = detail.as_deref().or(*reason).unwrap_or("failed");
            self.front.counts.note(format!("{method} {path}: {why}"));
        }
        self.front.counts.count(self.record.outcome, self.record.reason, self.record.bytes);
        self.front.records.write(self.record.clone(), &self.front.life.shares().records);
    }
}
