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

use std::time::Duration;

/// How long anything may take before a test gives it up. It is generous: a loaded machine is slow, not wrong.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);
