//! One request from its first line to its last byte: its decision, and its one record.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use provost_core::path::link;
use provost_core::rules::{Readers, Writers};
use provost_core::{
    AccessRequest, ClientAddr, Denial, LinkProof, ListPermit, Mac, NamedDevice, NoIdentity, Opening, Operation,
    PathError, Permit, Proofs, Protocol, Refusal, RequestPath, Standing, Step, decide, decide_listing,
};
use provost_tenants::Tenant;

use super::{Front, Generation};
use crate::guarding::Guarding;
use crate::life::Underway;
use crate::record::{KnownBy, Outcome, Record, text_of};

/// One request from its first line to its last byte. Dropped, it writes its record: `aborted`, unless it was finished.
#[derive(Debug)]
pub struct Exchange {
    front: Arc<Front>,
    generation: Arc<Generation>,
    underway: Underway,
    path: Result<RequestPath, PathError>,
    link: LinkProof,
    /// On the heap: an exchange is handed on a lot.
    pub(super) record: Box<Record>,
    /// Bytes that a transfer counts elsewhere while it goes on.
    moved: Option<Arc<AtomicU64>>,
    began: Instant,
}

impl Front {
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
        let record = Box::new(Record {
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
        });
        let path = tenant.policy.path(path);
        let underway = self.life.begin();
        Exchange {
            front: Arc::clone(self),
            generation,
            underway,
            path,
            link,
            record,
            moved: None,
            began: Instant::now(),
        }
    }
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
        match decide(&self.request(&generation, operation, proofs, guarding.standing())) {
            Ok(permit) => {
                // What anyone may have no device loses.
                if permit.opening() != Opening::Anyone {
                    self.underway.is_for(self.record.mac);
                }
                guarding.allowed(operation, permit.opening());
                self.opened(permit.opening(), permit.device(), proofs);
                Ok(permit)
            }
            Err(denial) => {
                self.record.alarm = guarding.denied(&denial.reason);
                Err(self.refused(&denial, proofs))
            }
        }
    }

    /// Does the work of looking for a file that is missing. It blocks.
    pub(crate) fn feign(&self) {
        if let Ok(path) = &self.path {
            self.generation.tenant.files.feign(path, self.named());
        }
    }

    /// The part of that which does not block.
    pub(crate) fn feign_at_once(&self) {
        if let Ok(path) = &self.path {
            self.generation.tenant.files.feign_at_once(path, self.named());
        }
    }

    /// The device that the path names, as was noted: of a doubt that a rule settles, too, where nothing proves another.
    fn named(&self) -> Option<Mac> {
        match (self.record.proof, self.path().ok()?.named()) {
            (Some(KnownBy::Path), _) => self.record.mac,
            (_, NamedDevice::One(mac)) => Some(*mac),
            (_, NamedDevice::None | NamedDevice::Ambiguous) => None,
        }
    }

    /// Decides whether the peer may list the folder, and lists it: the permit lives as long as `list` runs. Call it
    /// off the runtime.
    ///
    /// # Errors
    /// - [`Refusal`]: what the peer is told
    pub fn list<T>(&mut self, proofs: &Proofs, list: impl FnOnce(&ListPermit<'_>) -> T) -> Result<T, Refusal> {
        let (listed, opening) = self.listing(proofs, list).map_err(|denial| self.refused(&denial, proofs))?;
        self.opened(opening, None, proofs);
        Ok(listed)
    }

    /// Whether the path is a folder that shows something. Where it is none the record has no word of it: what the peer asks for is
    /// another thing.
    pub(crate) fn is_folder(&mut self, proofs: &Proofs, shows: impl FnOnce(&ListPermit<'_>) -> bool) -> bool {
        let Ok((true, opening)) = self.listing(proofs, shows) else { return false };
        self.opened(opening, None, proofs);
        true
    }

    fn listing<T>(&mut self, proofs: &Proofs, list: impl FnOnce(&ListPermit<'_>) -> T) -> Result<(T, Opening), Denial> {
        self.note_device(proofs);
        let generation = Arc::clone(&self.generation);
        // A list tells of no device but the one that is proven, so that the guard does not keep it back.
        let request = self.request(&generation, Operation::Read, proofs, Standing::Free);
        decide_listing(&request).map(|permit| (list(&permit), permit.opening()))
    }

    fn request<'a>(
        &'a self,
        generation: &'a Generation,
        operation: Operation,
        proofs: &'a Proofs,
        standing: Standing,
    ) -> AccessRequest<'a> {
        AccessRequest {
            tenant: &generation.tenant.policy,
            listener: &generation.listener.policy,
            devices: generation.tenant.devices.as_ref(),
            client: self.record.client,
            proofs,
            operation,
            path: self.path.as_ref().map_err(|error| *error),
            standing,
        }
    }

    /// Records a denial, and what is wrong with the password.
    fn refused(&mut self, denial: &Denial, proofs: &Proofs) -> Refusal {
        let refusal = self.deny(denial);
        // What is not met of `require` says so by itself.
        if denial.step > Step::Require {
            let certificate = flaw_of_certificate(proofs).map(ToString::to_string);
            let flaws = certificate.into_iter().chain(proofs.password.flaw().map(ToString::to_string));
            self.detail([denial.reason.to_string()].into_iter().chain(flaws).collect::<Vec<_>>().join("; "));
        }
        refusal
    }

    /// Notes what let the request pass, the password that is in use, why a certificate counts as none, and whom a report-only exception
    /// let pass: once, though a path may be looked at as a folder and as a file.
    fn opened(&mut self, opening: Opening, named: Option<Mac>, proofs: &Proofs) {
        self.front.shares().passwords.note(&proofs.password, self.record.mac);
        if let Some(flaw) = flaw_of_certificate(proofs) {
            let before = self.record.detail.take().into_iter();
            self.detail(before.chain([flaw.to_string()]).collect::<Vec<_>>().join("; "));
        }
        let before = self.record.opening.replace(opening);
        if opening != Opening::ReportOnly || before == Some(Opening::ReportOnly) {
            return;
        }
        let bound = proofs.password.device().or(proofs.link.device());
        if let Some(exception) = self.generation.listener.policy.reporting(named, bound) {
            self.front.reports.note(exception, self.record.mac);
        }
    }

    /// What the tenant's guard is asked, and told, of this request.
    fn guarding<'g>(&self, generation: &'g Generation) -> Guarding<'g> {
        let Record { client, mac, proof, protocol, .. } = &*self.record;
        Guarding::new(&generation.tenant, *protocol, *client, *mac, *proof)
    }

    /// Waits until the guard lets a peer that only claims its address be told of the device that the path names. It is
    /// to be met with silence where that does not come: a phone asks again.
    pub(crate) async fn may_be_answered(&mut self) -> bool {
        self.note_device(&Proofs::none());
        tells_of_no_device(&self.generation.tenant, self.path()) || self.guarding(&self.generation).turn().await
    }

    /// The peer, which only claims its address, is going to hear that there is such a file.
    pub(crate) fn offered(&self) {
        if let Some(opening) = self.record.opening {
            self.guarding(&self.generation).offered(opening);
        }
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

    /// Adds what stands here when the record is written: a transfer that is ended from elsewhere comes to say nothing more.
    pub(crate) fn add_moved(&mut self, moved: Arc<AtomicU64>) {
        self.moved = Some(moved);
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

    pub(super) fn deny(&mut self, denial: &Denial) -> Refusal {
        self.record.outcome = Outcome::Denied;
        self.record.opening = None;
        self.record.reason = Some(denial.reason.code());
        self.record.detail = Some(text_of(denial.reason.to_string().as_bytes()));
        denial.refusal
    }

    /// Notes whose request it is: the device that is proven, else the one that the path names. A decision does so by itself.
    pub(crate) fn note_device(&mut self, proofs: &Proofs) {
        let known = device_of(&self.generation.tenant, self.path(), proofs);
        (self.record.mac, self.record.proof) = known.unzip();
    }
}

/// Why the certificate that the peer showed counts as none.
fn flaw_of_certificate(proofs: &Proofs) -> Option<&NoIdentity> {
    let flaw = proofs.certificate.as_ref().err();
    flaw.filter(|flaw| !matches!(flaw, NoIdentity::Plaintext | NoIdentity::NotPresented))
}

/// Whether an answer tells nothing of the device that the path names: anyone may read it, and nobody write it.
pub(super) fn tells_of_no_device(tenant: &Tenant, path: Result<&RequestPath, PathError>) -> bool {
    let found = path.ok().and_then(|path| tenant.policy.rules.find(path));
    found.is_some_and(|found| found.rule.read == Some(Readers::Anyone) && found.rule.write != Some(Writers::Own))
}

/// The device of a request, and what it is known by: a proof, or the path alone.
pub(super) fn device_of(
    tenant: &Tenant,
    path: Result<&RequestPath, PathError>,
    proofs: &Proofs,
) -> Option<(Mac, KnownBy)> {
    let proven = [
        (proofs.certificate.as_ref().ok().map(|identity| identity.mac), KnownBy::Certificate),
        (proofs.password.device(), KnownBy::Password),
        (proofs.link.device(), KnownBy::Link),
    ];
    let named = || match path.ok()?.named() {
        NamedDevice::One(mac) => Some(*mac),
        NamedDevice::None => None,
        // An operator's rule may settle whose it is.
        NamedDevice::Ambiguous => tenant.policy.rules.find(path.ok()?)?.device,
    };
    let proven = proven.into_iter().find_map(|(mac, known_by)| Some((mac?, known_by)));
    proven.or_else(|| Some((named()?, KnownBy::Path)))
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.record.duration = self.began.elapsed();
        if let Some(moved) = self.moved.take() {
            self.add_bytes(moved.load(Ordering::Relaxed));
        }
        if self.record.outcome == Outcome::Missing {
            self.record.alarm = self.guarding(&self.generation).missing();
        }
        if let Some(alarm) = self.record.alarm {
            let Record { tenant, client, .. } = &*self.record;
            tracing::warn!(tenant, %client, alarm = alarm.code(), "a source may be trying out addresses of devices");
        }
        if self.record.outcome == Outcome::Aborted
            && let Some(why) = self.underway.ended_for()
        {
            self.record.reason = Some(why.code());
        }
        if self.record.outcome == Outcome::Error {
            let Record { method, path, detail, reason, .. } = &*self.record;
            let why = detail.as_deref().or(*reason).unwrap_or("failed");
            self.front.counts.note(format!("{method} {path}: {why}"));
        }
        self.front.counts.count(self.record.outcome, self.record.reason, self.record.bytes);
        self.front.records.write(&self.record, &self.front.life.shares().records);
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
