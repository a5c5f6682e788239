//! The one way from a protocol to a decision, and from a request to its record.
//!
//! A listener's [`Front`] knows its tenant before a byte is read. For each request a protocol begins an [`Exchange`],
//! asks it for a decision, and ends it; the exchange writes the record when it is dropped, whatever happened.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use provost_core::decision::admit;
use provost_core::{
    AccessRequest, ClientAddr, Denial, ListPermit, Mac, NamedDevice, Operation, PathError, Permit, Proofs, Refusal,
    RequestPath, decide, decide_listing,
};
use provost_tenants::network::Network;
use provost_tenants::{Limits, Listener, Tenant};

use crate::listen::{Job, Shares, Slot, Slots};
use crate::record::{Flood, Outcome, Record, RecordLog, text_of};

/// What the peers of one listener meet first.
#[derive(Debug)]
pub struct Front {
    tenant: Arc<Tenant>,
    listener: Arc<Listener>,
    shares: Arc<Shares>,
    network: Network,
    records: RecordLog,
    turned: Flood,
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
    /// The front of one listener. `shares` are the tenant's, used by all of its listeners. A listener that is bound anew
    /// takes a new front, because a [`Network`] is settled by its first socket.
    pub fn new(tenant: Arc<Tenant>, listener: Arc<Listener>, shares: Arc<Shares>, records: RecordLog) -> Arc<Self> {
        let network = tenant.network.network();
        Arc::new(Self { tenant, listener, shares, network, records, turned: Flood::default() })
    }

    /// The tenant, for its files, uploads and users.
    pub fn tenant(&self) -> &Arc<Tenant> {
        &self.tenant
    }

    /// The listener.
    pub fn listener(&self) -> &Arc<Listener> {
        &self.listener
    }

    /// Where every socket of this listener is made: its own, and those of its transfers.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The limits of this listener's peers.
    pub fn limits(&self) -> &Limits {
        &self.tenant.limits
    }

    /// Runs work that blocks on the file system, off the runtime and within the tenant's share of its threads.
    pub(crate) fn off_runtime<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Job<T> {
        self.shares.jobs.run(work)
    }

    /// The tenant's shares.
    pub(crate) fn shares(&self) -> &Shares {
        &self.shares
    }

    /// Until when these bytes of a file have to wait, where the tenant's bandwidth is bounded.
    pub(crate) fn reserve(&self, bytes: usize) -> Option<tokio::time::Instant> {
        let rate = self.limits().bandwidth?;
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.shares.bandwidth.take(bytes, rate, tokio::time::Instant::now())
    }

    /// Waits until these bytes of a file may be sent.
    pub(crate) async fn pass(&self, bytes: usize) {
        if let Some(start) = self.reserve(bytes) {
            tokio::time::sleep_until(start).await;
        }
    }

    /// Takes a place for a connection or a transfer, before anything else is done for the peer.
    ///
    /// # Errors
    /// - [`Turned`]: the address lies outside the prefixes, or there is no place; a record is written
    pub fn admit(self: &Arc<Self>, client: ClientAddr) -> Result<Slot, Turned> {
        if let Err(denial) = admit(&self.tenant.policy, &self.listener.policy, client) {
            self.turn(client, |exchange| _ = exchange.deny(&denial));
            return Err(Turned::Away);
        }
        Slots::take(&self.shares.slots, client.ip(), &self.tenant.limits).ok_or_else(|| {
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

    /// Begins the record of a request. `path` is what the peer sent, decoded where the protocol decodes.
    pub fn exchange(
        self: &Arc<Self>,
        client: ClientAddr,
        method: impl Into<Cow<'static, str>>,
        path: &[u8],
    ) -> Exchange {
        let record = Record {
            time: jiff::Timestamp::now(),
            tenant: self.tenant.policy.name.clone(),
            listener: self.listener.policy.name.clone(),
            protocol: self.listener.policy.protocol,
            client,
            mac: None,
            proof: None,
            method: method.into(),
            path: text_of(path),
            outcome: Outcome::Aborted,
            opening: None,
            reason: None,
            detail: None,
            agent: None,
            bytes: 0,
            left_out: 0,
            duration: std::time::Duration::ZERO,
        };
        let path = self.tenant.policy.path(path);
        Exchange { front: Arc::clone(self), path, record, began: Instant::now() }
    }
}

/// One request from its first line to its last byte. Dropped, it writes its record: `aborted`, unless it was finished.
#[derive(Debug)]
pub struct Exchange {
    front: Arc<Front>,
    path: Result<RequestPath, PathError>,
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
        self.note_device(proofs);
        let front = Arc::clone(&self.front);
        match decide(&self.request(&front, operation, proofs)) {
            Ok(permit) => {
                self.record.opening = Some(permit.opening());
                Ok(permit)
            }
            Err(denial) => {
                if let (Refusal::NotFound, Ok(path)) = (denial.refusal, &self.path) {
                    front.tenant.files.feign(path);
                }
                Err(self.deny(&denial))
            }
        }
    }

    /// Decides whether the peer may list the folder, and lists it: the permit lives as long as `list` runs. Call it
    /// off the runtime.
    ///
    /// # Errors
    /// - [`Refusal`]: what the peer is told
    pub fn list<T>(&mut self, proofs: &Proofs, list: impl FnOnce(&ListPermit<'_>) -> T) -> Result<T, Refusal> {
        self.note_device(proofs);
        let front = Arc::clone(&self.front);
        let outcome = decide_listing(&self.request(&front, Operation::Read, proofs)).map(|permit| list(&permit));
        outcome.map_err(|denial| self.deny(&denial))
    }

    fn request<'a>(&'a self, front: &'a Front, operation: Operation, proofs: &'a Proofs) -> AccessRequest<'a> {
        AccessRequest {
            tenant: &front.tenant.policy,
            listener: &front.listener.policy,
            devices: front.tenant.devices.as_ref(),
            client: self.record.client,
            proofs,
            operation,
            path: self.path.as_ref().map_err(|error| *error),
            throttled: false,
        }
    }

    /// The front that the request came through.
    pub(crate) fn front(&self) -> &Front {
        &self.front
    }

    /// The path, as the decision will see it.
    ///
    /// # Errors
    /// - [`PathError`]: it does not parse; a decision will say so
    pub fn path(&self) -> Result<&RequestPath, PathError> {
        self.path.as_ref().map_err(|error| *error)
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
        let proven: [(Option<Mac>, &'static str); 3] = [
            (proofs.certificate.as_ref().ok().map(|identity| identity.mac), "certificate"),
            (proofs.password.device(), "password"),
            (proofs.link, "link"),
        ];
        let named = match self.path.as_ref().map(RequestPath::named) {
            Ok(NamedDevice::One(mac)) => Some(*mac),
            Ok(NamedDevice::None | NamedDevice::Ambiguous) | Err(_) => None,
        };
        let known = proven.into_iter().chain([(named, "path")]).find_map(|(mac, proof)| Some((mac?, proof)));
        (self.record.mac, self.record.proof) = known.unzip();
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.record.duration = self.began.elapsed();
        self.front.records.write(self.record.clone(), &self.front.shares.records);
    }
}
