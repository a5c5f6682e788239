//! Work that blocks, off the runtime.

use hyper::StatusCode;

use super::respond::{self, Stop};
use crate::front::Front;

/// Runs work that blocks. Once begun it runs to its end, even where the peer goes away meanwhile.
///
/// # Errors
/// - [`Stop`]: the work panicked; an exchange that it held has been recorded by then
pub(super) async fn off_runtime<T: Send + 'static>(
    front: &Front,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Stop> {
    front.off_runtime(work).await.map_err(|error| {
        tracing::error!(%error, "serving a request failed");
        respond::fixed(StatusCode::INTERNAL_SERVER_ERROR).into()
    })
}
