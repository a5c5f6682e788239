//! Uploads: where the bytes of a partial upload go. The bytes themselves are the affair of `provost-tenants`.

mod content_range;
mod placement;

pub use content_range::{ContentRange, RangeError};
pub use placement::{Held, Part, Placement, place};
