//! Events of the server itself, to standard error. Requests are no events: they have records.

use std::io::{self, IsTerminal as _};

use provost_tenants::LogFormat;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Where `RUST_LOG` does not say otherwise: the TLS library warns of what peers send, a line for each, and as often as they like. Each
/// such handshake has a record, and those are bounded.
const QUIET: &str = "rustls=off";

/// Starts writing events as text or JSON. `RUST_LOG` sets the level; `level` stands where it is absent.
pub(crate) fn start(format: LogFormat, level: LevelFilter) {
    let directives = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_else(|_| format!("{level},{QUIET}"));
    let filter = EnvFilter::builder().with_default_directive(level.into()).parse_lossy(directives);
    let events = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_target(false);
    let started = match format {
        LogFormat::Text => events.with_ansi(is_colourful()).finish().try_init(),
        LogFormat::Json => events.json().flatten_event(true).finish().try_init(),
    };
    // It fails only where events are written already.
    let _ = started;
}

fn is_colourful() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
