//! Accepting connections: places, shares, back-off, and nothing of any protocol.

mod accept;
mod bandwidth;
mod begins;
mod jobs;
mod memory;
mod ports;
mod rate;
mod reset;
mod seldom;
mod shares;
mod slots;
mod tally;
mod tasks;
mod turning;
mod yielding;

pub(crate) use accept::{Batch, is_of_peer, next, receive};
pub use accept::{Connection, accept};
pub(crate) use bandwidth::{Flow, Turn, piece};
pub(crate) use begins::{Begins, Room};
pub(crate) use jobs::{Job, stand_back};
pub(crate) use memory::Held;
pub(crate) use ports::{Lease, Ports};
pub(crate) use rate::LeastRate;
pub(crate) use reset::Reset;
pub(crate) use seldom::Seldom;
pub use shares::Shares;
pub use slots::{Full, Slot, Slots};
pub(crate) use tally::Tally;
pub(crate) use turning::tell;
pub(crate) use yielding::{GiveWay, GivingWay, Yielding, Yields};
