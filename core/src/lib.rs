//! The decisions of Provost: who may read or write which file.
//!
//! This crate is pure. It opens no file, reads no clock, knows no socket and no runtime; every fact that a
//! decision needs is passed in. That makes [`decide`] the one place to read, and the one place to test, when
//! the question is "why may this phone have that file?".
//!
//! The way through it: a [`RequestPath`] is parsed from what the peer sent, [`Proofs`] collect what the
//! request has shown, an [`AccessRequest`] puts both beside the tenant's and the listener's policy, and
//! [`decide`] answers with a [`Permit`] or a [`Denial`]. Only [`decide`] makes a permit, and nothing else opens
//! a file.
#![forbid(unsafe_code)]

pub mod address;
pub mod decision;
pub mod identity;
pub mod mac;
pub mod path;
pub mod policy;
pub mod proof;
pub mod require;
pub mod rules;
pub mod text;
pub mod upload;

pub use address::{ClientAddr, ListenAddr, Prefixes, Source};
pub use decision::{
    AccessRequest, Denial, ListPermit, Opening, Permit, Reason, Refusal, Standing, Step, Witness, decide,
    decide_listing, walk,
};
pub use mac::{Mac, Oui};
pub use path::{NamedDevice, PathError, RequestPath};
pub use policy::{DevicePolicy, DeviceRow, Inventory, ListenerPolicy, Operation, Protocol, TenantPolicy};
pub use proof::{LinkProof, NoIdentity, PasswordProof, Proofs};
pub use require::{Alternative, Exception, ProofKind, Require};
pub use rules::{Kind, Prefer, Rule, RuleSet};
