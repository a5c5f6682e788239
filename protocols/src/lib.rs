//! The protocols of Provost: wire in, [`provost_core::AccessRequest`] out, bytes back.
//!
//! [`front`] is the one way from a protocol to a decision and to a record; [`listen`] accepts connections and bounds
//! them. `https`, `tftp` and `ftp` know their wire and nothing of each other, and none of them holds a rule.
#![forbid(unsafe_code)]

pub mod admin;
mod copying;
pub mod front;
pub mod ftp;
mod guarding;
pub mod https;
pub mod life;
pub mod listen;
pub mod metrics;
pub mod passwords;
pub mod record;
mod reports;
pub mod server;
pub mod tftp;
pub mod tls;

pub use front::{Exchange, Front};
pub use record::{Outcome, Record, RecordLog};
pub use server::Server;
