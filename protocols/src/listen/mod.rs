//! Accepting connections: places, shares, back-off, and nothing of any protocol.

mod accept;
mod rate;
mod shares;
mod slots;

pub use accept::{Connection, accept};
pub(crate) use rate::LeastRate;
pub use shares::Shares;
pub use slots::{Slot, Slots};
