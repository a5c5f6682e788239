//! The decision: one ladder for every request of every protocol.
//!
//! [`walk`] is the ladder; [`decide`] is the ladder without a witness. The first step that fails is the reason,
//! and the end of the list is a denial. Nothing else makes a [`Permit`].

mod denial;
mod listing;
mod permit;
#[cfg(test)]
mod table;
mod unmet;

use std::fmt;

pub use denial::{Denial, Reason, Refusal};
pub use listing::{ListPermit, decide_listing};
pub use permit::{Opening, Permit};
pub use unmet::Unmet;

use crate::address::ClientAddr;
use crate::mac::Mac;
use crate::path::{PathError, RequestPath};
use crate::policy::{
    DevicePolicy, DeviceRow, Inventory, ListenerPolicy, Operation, TenantPolicy, Unbound, UnboundWrite,
};
use crate::proof::{LinkProof, Proofs};
use crate::rules::{Kind, Match, Readers, Rule, Writers};

/// Everything that a decision is made from.
#[derive(Clone, Copy)]
pub struct AccessRequest<'a> {
    /// The tenant, known from the listener before a byte was read.
    pub tenant: &'a TenantPolicy,
    /// The listener.
    pub listener: &'a ListenerPolicy,
    /// The tenant's devices.
    pub devices: &'a dyn Inventory,
    /// Who asks, by address.
    pub client: ClientAddr,
    /// What the request has shown.
    pub proofs: &'a Proofs,
    /// What it wants.
    pub operation: Operation,
    /// Of which path.
    pub path: Result<&'a RequestPath, PathError>,
    /// What the guard against enumeration says of the source and the device that the path names.
    pub standing: Standing,
}

/// How a source stands with the guard against enumeration, where the path of its request names a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It may be told of the device.
    Free,
    /// The device is withheld from it: it asks for too many that are not listed, and this one is new to it.
    Throttled,
}

/// A step of the ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Tenant and listener are enabled.
    Enabled = 1,
    /// The source lies in the prefixes.
    Source,
    /// The path parses.
    Path,
    /// A rule matches and allows the operation.
    Rule,
    /// The listener's `require` holds, or an exception's.
    Require,
    /// The source is not throttled.
    Throttle,
    /// The device is listed and not blocked.
    Device,
    /// The file is the device's own, or may be had without proof.
    Binding,
}

/// Sees the steps that a request passes, for `provost explain`.
pub trait Witness {
    /// `step` was passed; `finding` says why.
    fn passed(&mut self, step: Step, finding: &dyn fmt::Display);
}

/// A witness that does not look.
impl Witness for () {
    fn passed(&mut self, _: Step, _: &dyn fmt::Display) {}
}

/// Decides a request.
///
/// # Errors
/// - [`Denial`]: the first step that fails, with its reason for the operator and its refusal for the peer
pub fn decide(request: &AccessRequest<'_>) -> Result<Permit, Denial> {
    walk(request, &mut ())
}

/// Whether a peer of this address may speak to the listener at all: the steps before any handshake.
///
/// # Errors
/// - [`Denial`]: tenant or listener is disabled, or the source lies outside their prefixes
pub fn admit(tenant: &TenantPolicy, listener: &ListenerPolicy, client: ClientAddr) -> Result<(), Denial> {
    let denied = |step| move |reason| Denial::before_handshake(step, reason);
    enabled(tenant, listener).map_err(denied(Step::Enabled))?;
    source(tenant, listener, client).map_err(denied(Step::Source))?;
    Ok(())
}

/// Decides a request before the eyes of a witness.
///
/// # Errors
/// - [`Denial`]: as [`decide`]
pub fn walk(request: &AccessRequest<'_>, witness: &mut impl Witness) -> Result<Permit, Denial> {
    let mut ladder = Ladder { request, witness };
    ladder.climb(Step::Enabled, enabled(request.tenant, request.listener))?;
    ladder.climb(Step::Source, source(request.tenant, request.listener, request.client))?;
    let path = ladder.climb(Step::Path, path(request))?;
    let grant = ladder.climb(Step::Rule, rule(request, path))?;
    if grant.audience == Audience::Anyone {
        return Ok(Permit::new(request, path, grant.found, Opening::Anyone));
    }
    let admission = ladder.climb(Step::Require, require(request, grant.audience, grant.found.device))?;
    ladder.climb(Step::Throttle, throttle(request))?;
    let subject = ladder.climb(Step::Device, device(request, admission, grant.found.device))?;
    let opening = ladder.climb(Step::Binding, binding(request, &grant, admission, &subject))?;
    Ok(Permit::new(request, path, grant.found, opening))
}

struct Ladder<'l, 'r, W> {
    request: &'l AccessRequest<'r>,
    witness: &'l mut W,
}

impl<W: Witness> Ladder<'_, '_, W> {
    fn climb<T: fmt::Display>(&mut self, step: Step, outcome: Result<T, Reason>) -> Result<T, Denial> {
        match outcome {
            Ok(finding) => {
                self.witness.passed(step, &finding);
                Ok(finding)
            }
            Err(reason) => Err(Denial::of(step, reason, self.request)),
        }
    }
}

// Step 1.
fn enabled(tenant: &TenantPolicy, listener: &ListenerPolicy) -> Result<&'static str, Reason> {
    if !tenant.enabled {
        return Err(Reason::TenantDisabled);
    }
    if !listener.enabled {
        return Err(Reason::ListenerDisabled);
    }
    Ok("tenant and listener are enabled")
}

// Step 2.
fn source(tenant: &TenantPolicy, listener: &ListenerPolicy, client: ClientAddr) -> Result<&'static str, Reason> {
    if !tenant.admits(client) {
        return Err(Reason::OutsideTenantPrefixes);
    }
    if !listener.admits(client) {
        return Err(Reason::OutsideListenerPrefixes);
    }
    Ok("the source lies in the prefixes")
}

// Step 3.
fn path<'r>(request: &AccessRequest<'r>) -> Result<&'r RequestPath, Reason> {
    let path = request.path.map_err(Reason::Path)?;
    match request.proofs.link {
        // Before any rule, so that nothing tells whether the path behind the token is there.
        LinkProof::Wrong => Err(Reason::WrongLink),
        LinkProof::Absent | LinkProof::Device(_) => Ok(path),
    }
}

/// Whom a rule lets do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Audience {
    Own,
    Device,
    Anyone,
}

/// The rule that allows the operation.
struct Grant {
    found: Match,
    audience: Audience,
}

// Step 4.
fn rule(request: &AccessRequest<'_>, path: &RequestPath) -> Result<Grant, Reason> {
    let found = request.tenant.rules.find(path).ok_or(Reason::NoRule)?;
    let audience = match request.operation {
        Operation::Read => readers(&found.rule),
        Operation::Write => writers(&found.rule),
    };
    match audience {
        Some(audience) => Ok(Grant { found, audience }),
        None => Err(Reason::RuleDenies { rule: found.rule.pattern.to_string(), operation: request.operation }),
    }
}

fn readers(rule: &Rule) -> Option<Audience> {
    match rule.read? {
        Readers::Nobody => None,
        Readers::Own => Some(Audience::Own),
        Readers::Device => Some(Audience::Device),
        Readers::Anyone => Some(Audience::Anyone),
    }
}

fn writers(rule: &Rule) -> Option<Audience> {
    match rule.write? {
        Writers::Nobody => None,
        Writers::Own => Some(Audience::Own),
    }
}

/// What let the request past `require`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admission {
    /// The listener's own requirement.
    Listener,
    /// An exception's requirement.
    Exception,
    /// An exception that refuses nobody.
    ReportOnly,
}

// Step 5.
fn require(request: &AccessRequest<'_>, audience: Audience, named: Option<Mac>) -> Result<Admission, Reason> {
    let AccessRequest { listener, proofs, .. } = request;
    if proofs.device().is_err() {
        return Err(Reason::ProofsDisagree);
    }
    let is_met = listener.require.met_by(proofs);
    if is_met && suffices(request, audience) {
        return Ok(Admission::Listener);
    }
    let bound = proofs.password.device().or(proofs.link.device());
    let mut covering = listener.exceptions.iter().filter(|exception| exception.covers(named, bound));
    if covering.any(|exception| exception.require.met_by(proofs)) {
        return Ok(Admission::Exception);
    }
    if listener.reporting(named, bound).is_some() {
        return Ok(Admission::ReportOnly);
    }
    if is_met {
        return Ok(Admission::Listener);
    }
    Err(Reason::RequireNotMet(Box::new(Unmet::of(listener, proofs, named))))
}

/// Whether a request that meets `require` is let pass without an exception: else who has shown a shared password would have less
/// than who has shown nothing.
fn suffices(request: &AccessRequest<'_>, audience: Audience) -> bool {
    match (request.proofs.device(), request.operation, audience) {
        (Ok(None), Operation::Read, Audience::Own) => request.listener.unbound == Unbound::Listed,
        (Ok(None), Operation::Read, Audience::Device) => reads_without_device(request, Admission::Listener),
        (Ok(_) | Err(_), _, Audience::Own | Audience::Device | Audience::Anyone) => true,
    }
}

// Step 6.
fn throttle(request: &AccessRequest<'_>) -> Result<&'static str, Reason> {
    if request.standing == Standing::Throttled && request.proofs.certificate.is_err() {
        return Err(Reason::Throttled);
    }
    Ok("the source is not throttled")
}

/// The device that a request is about.
struct Subject {
    device: Option<(Mac, DeviceRow)>,
    proven: Option<Mac>,
}

// Step 7.
fn device(request: &AccessRequest<'_>, admission: Admission, named: Option<Mac>) -> Result<Subject, Reason> {
    let proven = request.proofs.device().map_err(|_| Reason::ProofsDisagree)?;
    let Some(mac) = proven.or(named) else {
        return if reads_without_device(request, admission) {
            Ok(Subject { device: None, proven: None })
        } else {
            Err(Reason::NoDevice)
        };
    };
    let row = match (request.devices.find(mac), request.tenant.devices) {
        (Some(row), _) => row,
        (None, DevicePolicy::Any) => DeviceRow::default(),
        (None, DevicePolicy::Listed) => return Err(Reason::UnknownDevice { device: mac, proven: proven.is_some() }),
    };
    if row.blocked {
        return Err(Reason::Blocked { device: mac, proven: proven.is_some() });
    }
    Ok(Subject { device: Some((mac, row)), proven })
}

/// Whether a request that names and proves no device may have files that name none.
fn reads_without_device(request: &AccessRequest<'_>, admission: Admission) -> bool {
    let unbound = match request.listener.unbound {
        Unbound::Listed => true,
        Unbound::Refuse => false,
    };
    // An exception covers a request without a device only where it says `shared`.
    unbound || request.proofs.password.is_shared() || admission != Admission::Listener
}

// Step 8.
fn binding(
    request: &AccessRequest<'_>,
    grant: &Grant,
    admission: Admission,
    subject: &Subject,
) -> Result<Opening, Reason> {
    pinned(request, subject)?;
    let opening = match (grant.audience, grant.found.device, subject.proven) {
        (Audience::Device, _, Some(_)) => Ok(Opening::Device),
        (Audience::Device, _, None) if reads_without_device(request, admission) => Ok(Opening::Unbound),
        // Else to name a device would open more than to name none.
        (Audience::Device, _, None) => Err(Reason::UnboundRead),
        (Audience::Own, Some(named), Some(proven)) if named == proven => Ok(Opening::Own),
        (Audience::Own, Some(named), Some(proven)) => Err(Reason::NotOwn { named, proven }),
        (Audience::Own, Some(_), None) => unbound(request, admission, grant.found.rule.kind),
        (Audience::Own, None, _) | (Audience::Anyone, _, _) => Err(Reason::EndOfList),
    }?;
    Ok(match (admission, opening) {
        (Admission::ReportOnly, _) => Opening::ReportOnly,
        (Admission::Exception, Opening::Unbound) => Opening::Exception,
        (Admission::Listener | Admission::Exception, opening) => opening,
    })
}

fn pinned(request: &AccessRequest<'_>, subject: &Subject) -> Result<(), Reason> {
    match subject.device {
        Some((device, row)) if row.pinned && request.proofs.certificate.is_err() => {
            Err(Reason::Pinned { device, proven: subject.proven.is_some() })
        }
        Some(_) | None => Ok(()),
    }
}

fn unbound(request: &AccessRequest<'_>, admission: Admission, kind: Kind) -> Result<Opening, Reason> {
    match request.operation {
        Operation::Read => match (request.listener.unbound, admission) {
            (Unbound::Listed, _) => Ok(Opening::Unbound),
            (Unbound::Refuse, Admission::Exception | Admission::ReportOnly) => Ok(Opening::Exception),
            (Unbound::Refuse, Admission::Listener) => Err(Reason::UnboundRead),
        },
        Operation::Write => match (request.listener.unbound_write, kind) {
            (UnboundWrite::Listed, _) | (UnboundWrite::Logs, Kind::Log) => Ok(Opening::Unbound),
            (UnboundWrite::Logs, Kind::File | Kind::Settings) | (UnboundWrite::Nobody, _) => Err(Reason::UnboundWrite),
        },
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.audience {
            Audience::Own => "its own device",
            Audience::Device => "every device of the tenant",
            Audience::Anyone => "anyone",
        };
        write!(f, "rule `{}` allows it to {who}", self.found.rule.pattern)?;
        if let Some(device) = self.found.device {
            write!(f, "; the path names {device}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Listener => "the listener's `require` holds",
            Self::Exception => "an exception's `require` holds",
            Self::ReportOnly => "the listener's `require` is not enough, and a report-only exception lets it pass",
        })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.device, self.proven) {
            (Some((mac, _)), Some(_)) => write!(f, "{mac}, the proven device, is served here"),
            (Some((mac, _)), None) => write!(f, "{mac}, the device that the path names, is served here"),
            (None, _) => f.write_str("neither path nor proof names a device, and none is needed"),
        }
    }
}

impl fmt::Debug for AccessRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessRequest")
            .field("tenant", &self.tenant.name)
            .field("listener", &self.listener.name)
            .field("client", &self.client)
            .field("operation", &self.operation)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Permit {
    fn new(request: &AccessRequest<'_>, path: &RequestPath, found: Match, opening: Opening) -> Self {
        let proven = request.proofs.device().ok().flatten();
        Self::granted(request.operation, path.clone(), found.rule, found.device, proven, opening)
    }
}
