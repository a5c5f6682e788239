//! The denial: a reason for the operator, and a refusal for the wire.
//!
//! The two are made apart on purpose. The reason is as exact as it can be; the refusal tells a stranger nothing of
//! what exists: it depends on what was asked and how the peer proved itself, never on whether a device is known.

use super::unmet::Unmet;
use super::{AccessRequest, Step};
use crate::mac::Mac;
use crate::path::PathError;
use crate::policy::Operation;

/// The opposite of a permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The step that failed.
    pub step: Step,
    /// Why, for the operator.
    pub reason: Reason,
    /// What the peer is told.
    pub refusal: Refusal,
}

/// Why a request is denied, for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The tenant's `enabled` is false.
    #[error("the tenant is disabled")]
    TenantDisabled,
    /// The listener's `enabled` is false.
    #[error("the listener is disabled")]
    ListenerDisabled,
    /// The source lies outside the tenant's `allow`.
    #[error("the source lies outside the tenant's prefixes")]
    OutsideTenantPrefixes,
    /// The source lies outside the listener's `allow`.
    #[error("the source lies outside the listener's prefixes")]
    OutsideListenerPrefixes,
    /// The path does not parse.
    #[error("{0}")]
    Path(PathError),
    /// The token in the path is no device's.
    #[error("the secret link is no device's")]
    WrongLink,
    /// No rule matches: the path is ambiguous about its device.
    #[error("the path does not say for certain which device it names, and no rule says so")]
    NoRule,
    /// The first rule that matches does not allow the operation.
    #[error("rule `{rule}` does not allow to {operation}")]
    RuleDenies {
        /// The rule's pattern.
        rule: String,
        /// What was asked.
        operation: Operation,
    },
    /// Two proofs name different devices.
    #[error("the proofs name different devices")]
    ProofsDisagree,
    /// The listener's `require` does not hold, and no exception helps.
    #[error("{0}")]
    RequireNotMet(Box<Unmet>),
    /// The source asked for too many devices that are not listed.
    #[error("the source is throttled: it asked for too many devices that are not listed")]
    Throttled,
    /// The device is not in the inventory.
    #[error("device {device} is not listed")]
    UnknownDevice {
        /// The device.
        device: Mac,
        /// Whether a proof names it, or the path alone.
        proven: bool,
    },
    /// The device is blocked.
    #[error("device {device} is blocked")]
    Blocked {
        /// The device.
        device: Mac,
        /// Whether a proof names it, or the path alone.
        proven: bool,
    },
    /// Neither path nor proof names a device, and the listener is not for that.
    #[error("nothing names the device that asks")]
    NoDevice,
    /// The device must show its certificate, and has not.
    #[error("device {device} is served by certificate only")]
    Pinned {
        /// The device.
        device: Mac,
        /// Whether a proof names it, or the path alone.
        proven: bool,
    },
    /// The proven device asks for another device's file.
    #[error("the file is of {named}, and {proven} asks for it")]
    NotOwn {
        /// The device in the path.
        named: Mac,
        /// The device that asks.
        proven: Mac,
    },
    /// Nothing proves the device, and the listener's `unbound` is `refuse`.
    #[error(
        "nothing proves the device (a shared password or an address does not), and the listener's `unbound` refuses that"
    )]
    UnboundRead,
    /// Nothing proves the device, and the listener's `unbound_write` does not allow this file.
    #[error("nothing proves the device, and the listener's `unbound_write` does not allow this file")]
    UnboundWrite,
    /// Nothing allowed it.
    #[error("nothing allows it")]
    EndOfList,
}

/// What a peer is told of a denial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Nothing: the connection is closed, the packet is not answered.
    Silence,
    /// The path is malformed.
    Malformed,
    /// A password would help.
    Unauthenticated,
    /// It may not be had.
    Forbidden,
    /// As if it did not exist.
    NotFound,
}

impl Denial {
    pub(super) fn before_handshake(step: Step, reason: Reason) -> Self {
        Self { step, reason, refusal: Refusal::Silence }
    }

    pub(super) fn of(step: Step, reason: Reason, request: &AccessRequest<'_>) -> Self {
        let refusal = refusal(&reason, request);
        Self { step, reason, refusal }
    }
}

/// The refusal for a reason.
///
/// Whatever depends on a device that only the *path* names is one and the same answer, so that a stranger who
/// tries addresses learns of none whether it is listed, blocked or pinned.
fn refusal(reason: &Reason, request: &AccessRequest<'_>) -> Refusal {
    match reason {
        Reason::TenantDisabled
        | Reason::ListenerDisabled
        | Reason::OutsideTenantPrefixes
        | Reason::OutsideListenerPrefixes => Refusal::Silence,
        Reason::Path(_) => Refusal::Malformed,
        Reason::RequireNotMet(unmet) if unmet.password_would_help() => Refusal::Unauthenticated,
        Reason::RequireNotMet(_)
        | Reason::RuleDenies { .. }
        | Reason::ProofsDisagree
        | Reason::NotOwn { .. }
        | Reason::NoDevice
        | Reason::UnknownDevice { proven: true, .. }
        | Reason::Blocked { proven: true, .. }
        | Reason::Pinned { proven: true, .. }
        | Reason::EndOfList => Refusal::Forbidden,
        Reason::NoRule
        | Reason::WrongLink
        | Reason::Throttled
        | Reason::UnknownDevice { proven: false, .. }
        | Reason::Blocked { proven: false, .. }
        | Reason::Pinned { proven: false, .. }
        | Reason::UnboundRead
        | Reason::UnboundWrite => match request.operation {
            Operation::Read => Refusal::NotFound,
            Operation::Write => Refusal::Forbidden,
        },
    }
}

impl Reason {
    /// A short fixed word for records and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TenantDisabled => "tenant_disabled",
            Self::ListenerDisabled => "listener_disabled",
            Self::OutsideTenantPrefixes => "outside_tenant",
            Self::OutsideListenerPrefixes => "outside_listener",
            Self::Path(PathError::TooLong) => "path_too_long",
            Self::Path(PathError::NotUtf8) => "path_not_utf8",
            Self::Path(PathError::Nul) => "path_nul",
            Self::Path(PathError::Control) => "path_control",
            Self::Path(PathError::LeavesRoot) => "path_leaves_root",
            Self::Path(PathError::Reserved) => "path_reserved",
            Self::WrongLink => "wrong_link",
            Self::NoRule => "ambiguous_device",
            Self::RuleDenies { .. } => "rule_denies",
            Self::ProofsDisagree => "proofs_disagree",
            Self::RequireNotMet(_) => "require_not_met",
            Self::Throttled => "throttled",
            Self::UnknownDevice { .. } => "unknown_device",
            Self::Blocked { .. } => "blocked",
            Self::NoDevice => "no_device",
            Self::Pinned { .. } => "pinned",
            Self::NotOwn { .. } => "not_own",
            Self::UnboundRead => "unbound_read",
            Self::UnboundWrite => "unbound_write",
            Self::EndOfList => "end_of_list",
        }
    }
}

impl Refusal {
    /// A short fixed word for records.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Silence => "silence",
            Self::Malformed => "malformed",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
        }
    }
}
