//! Requests over loopback against a tenant on the disk: what a phone sees, and what the record says of it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod reading;
mod secured;
mod site;
mod wire;
mod writing;
