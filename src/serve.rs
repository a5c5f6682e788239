//! `provost serve`: loads, says what listens, and serves until it is told to end.
//!
//! Only three things end it: provost.toml itself is bad, nothing at all can be served, or a signal. Anything smaller
//! costs one tenant or one listener, and is said.

use std::io;
use std::time::Duration;

use anyhow::{Context as _, bail};
use provost_protocols::{RecordLog, Server};
use provost_tenants::Deployment;
use provost_tenants::config::Problems;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::level_filters::LevelFilter;

use crate::cli::ConfigArgs;
use crate::{configuration, events};

/// How long uploads that are being written may take to end after the signal.
const GRACE: Duration = Duration::from_secs(5);

/// Serves the configuration.
pub(crate) fn run(args: &ConfigArgs) -> anyhow::Result<()> {
    let loaded = configuration::load(&args.config)?;
    events::start(loaded.deployment.settings.log, LevelFilter::INFO);
    log_problems(&loaded.problems);
    serve(&loaded.deployment, |server| {
        for bound in server.bound() {
            let (tenant, listener, protocol) = (&bound.tenant, &bound.listener, bound.protocol);
            tracing::info!(tenant, listener, %protocol, address = %bound.address, "listening");
        }
        tracing::info!(listeners = server.bound().len(), "ready");
        Ok(())
    })
}

fn log_problems(problems: &Problems) {
    for problem in problems.errors() {
        tracing::error!(%problem, "configuration");
    }
    for problem in problems.warnings() {
        tracing::warn!(%problem, "configuration");
    }
}

/// Serves a deployment until SIGINT or SIGTERM. `announce` is called once everything is bound that can be.
pub(crate) fn serve(
    deployment: &Deployment,
    announce: impl FnOnce(&Server) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    raise_descriptors();
    let settings = &deployment.settings;
    settings.create_state().with_context(|| format!("cannot make the state folder {}", settings.state.display()))?;
    let records = RecordLog::to(io::stdout(), settings.log).context("cannot start writing records")?;
    let runtime = Runtime::new().context("cannot start the runtime")?;
    let outcome = runtime.block_on(until_signalled(deployment, &records, announce));
    // Connections end here; what is being stored is stored first.
    runtime.shutdown_timeout(GRACE);
    records.flush();
    outcome
}

async fn until_signalled(
    deployment: &Deployment,
    records: &RecordLog,
    announce: impl FnOnce(&Server) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let listen = |kind| -> anyhow::Result<Signal> { signal(kind).context("cannot wait for signals") };
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let server = Server::start(deployment, records);
    for failure in server.failures() {
        let reason = &failure.error;
        tracing::error!(tenant = failure.tenant, listener = failure.listener, address = %failure.address, %reason, "cannot listen");
    }
    if deployment.tenants.is_empty() {
        bail!("nothing to serve: there is no tenant without errors; `provost check` shows what it finds");
    }
    if server.bound().is_empty() {
        bail!("nothing to serve: no listener is enabled and could be bound");
    }
    announce(&server)?;
    tokio::select! {
        _ = interrupt.recv() => tracing::info!(signal = "SIGINT", "ending"),
        _ = terminate.recv() => tracing::info!(signal = "SIGTERM", "ending"),
    }
    server.stop().await;
    Ok(())
}

/// A connection is a descriptor, and so is a file: the usual soft limit of 1,024 would end a large site's boot.
fn raise_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}
