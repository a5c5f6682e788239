//! Passwords: the forms in which they are stored, and what it takes to check one.
//!
//! Nothing here waits, bounds, or slows anyone: that is the affair of whoever asks.

mod argon;
mod check;
mod ha1;
mod keyed;
mod memo;
mod stored;

pub use argon::{Cost, Slow};
pub use check::Check;
pub use ha1::{Algorithm, Ha1};
pub use keyed::{Tag, tag};
pub use memo::Memo;
pub use stored::{Form, Stored, StoredError};

pub(crate) use argon::Costs;
pub(crate) use check::raise;
