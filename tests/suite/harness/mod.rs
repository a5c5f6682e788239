//! What the tests stand on: certificates, a deployment, the server and its clients.

pub(crate) mod activation;
pub(crate) mod authority;
pub(crate) mod clients;
pub(crate) mod deployment;
pub(crate) mod networks;
pub(crate) mod old_authority;
pub(crate) mod relay;
pub(crate) mod scene;
pub(crate) mod server;
pub(crate) mod tftp_client;
pub(crate) mod tls_client;

use std::time::{Duration, Instant};

/// How long anything may take before a test gives it up. It is generous: a loaded machine is slow, not wrong.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);

/// Waits until something is so that no event tells of, as what an operator would see.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
