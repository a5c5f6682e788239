//! Accepting connections: places, back-off, and nothing of any protocol.

mod accept;
mod slots;

pub use accept::{Connection, accept};
pub use slots::{Slot, Slots};
