//! Sessions over loopback, byte by byte.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod downloads;
mod harness;
mod logins;
mod sessions;
mod uploads;

/// A listed device.
const OWN: &str = "0004f2aabbcc";
/// Its neighbour, listed too.
const OTHER: &str = "0004f2ddeeff";
