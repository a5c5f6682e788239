//! The engine on loopback, with a small client and with the common ones.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod clients;
mod listening;
mod phone;
mod ports;
mod refused;
mod site;
mod transfers;

/// The device whose files these are.
const MAC: &str = "0004f2aabbcc";

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| u8::try_from(index % 253).unwrap()).collect()
}
