//! The engine on loopback, with a small client and with the common ones.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod clients;
mod listening;
mod phone;
mod refused;
mod site;
mod transfers;

/// The device whose files these are.
const MAC: &str = "0004f2aabbcc";
