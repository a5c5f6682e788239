//! `provost serve`: loads, says what listens, and serves until it is told to end.
//!
//! Only three things end it: provost.toml itself is bad, no tenant is without errors, or a signal. Anything smaller
//! costs one tenant or one listener, and is said. SIGHUP, and `provost reload`, read the configuration anew; SIGTERM and
//! SIGINT let requests under way end first.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use provost_protocols::{RecordLog, Server};
use provost_tenants::Deployment;
use provost_tenants::config::{Failed, Problems};
use provost_tenants::devices::Removals;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::level_filters::LevelFilter;

use crate::cli::ConfigArgs;
use crate::running::{self, Running, VERSION};
use crate::{configuration, events, notify};

/// How long uploads that are being written may take to end once everything else has.
const GRACE: Duration = Duration::from_secs(5);
/// How often is looked whether the last request has ended.
const LOOK: Duration = Duration::from_millis(50);

/// Serves the configuration.
pub(crate) fn run(args: &ConfigArgs) -> anyhow::Result<()> {
    let loaded = configuration::load(&args.config)?;
    events::start(loaded.deployment.settings.log, LevelFilter::INFO);
    log_problems(&loaded.problems);
    serve(&loaded.deployment, &loaded.failed, &args.config, |server| {
        let bound = server.bound();
        for bound in &bound {
            let (tenant, listener, protocol) = (&bound.tenant, &bound.listener, bound.protocol);
            tracing::info!(tenant, listener, %protocol, address = %bound.address, "listening");
        }
        tracing::info!(listeners = bound.len(), "ready");
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

/// Serves a deployment until SIGINT or SIGTERM. `failed` are the tenants that did not load; `announce` is called once
/// everything is bound that can be.
pub(crate) fn serve(
    deployment: &Deployment,
    failed: &[Failed],
    config: &Path,
    announce: impl FnOnce(&Server) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    raise_descriptors();
    let settings = &deployment.settings;
    settings.create_state().with_context(|| format!("cannot make the state folder {}", settings.state.display()))?;
    let records = RecordLog::to(io::stdout(), settings.log).context("cannot start writing records")?;
    let runtime = Runtime::new().context("cannot start the runtime")?;
    let outcome = runtime.block_on(until_signalled(deployment, failed, config, &records, announce));
    // Connections end here; what is being stored is stored first.
    runtime.shutdown_timeout(GRACE);
    records.flush();
    outcome
}

async fn until_signalled(
    deployment: &Deployment,
    failed: &[Failed],
    config: &Path,
    records: &RecordLog,
    announce: impl FnOnce(&Server) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let listen = |kind| -> anyhow::Result<Signal> { signal(kind).context("cannot wait for signals") };
    let mut hangup = listen(SignalKind::hangup())?;
    let mut ends = Ends { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? };
    if deployment.tenants.is_empty() {
        bail!("nothing to serve: there is no tenant without errors; `provost check` shows what it finds");
    }
    let server = Server::start(deployment, records);
    server.failures().iter().for_each(provost_protocols::server::Failure::log);
    let running = Arc::new(Running::new(server, deployment, failed, config));
    let admin = running::admin(&running, &deployment.settings).map(tokio::spawn);
    let metrics = running::metrics(&running, &deployment.settings).map(tokio::spawn);
    announce(&running.server)?;
    running.notify.ready(&format!("serving {} tenants", deployment.tenants.len()));
    let watchdog = notify::watchdog().map(|interval| tokio::spawn(running::stay_alive(Arc::clone(&running), interval)));
    let asked = Arc::clone(&running);
    // A task of its own: a reload that hangs on a slow disk holds up no other signal.
    let reloads = tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            asked.reload(Removals::Refuse).await;
        }
    });
    let signal = ends.next().await;
    tracing::info!(signal, "ending");
    running.notify.stopping();
    running.server.stop().await;
    drain(&running.server, deployment.settings.drain, &mut ends).await;
    running.server.save().await;
    summarise(&running.server);
    for task in [admin, metrics, watchdog, Some(reloads)].into_iter().flatten() {
        task.abort();
        // It was told to end, so it ends with an error.
        let _ = task.await;
    }
    Ok(())
}

/// The signals that end the server.
struct Ends {
    interrupt: Signal,
    terminate: Signal,
}

impl Ends {
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

/// Lets requests under way end. A second signal, or the end of the time, cuts them.
async fn drain(server: &Server, time: Duration, ends: &mut Ends) {
    let idle = async {
        while server.underway() > 0 {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        () = idle => {}
        () = tokio::time::sleep(time) => tracing::warn!(requests = server.underway(), "requests are cut: the time to drain is over"),
        signal = ends.next() => tracing::warn!(signal, requests = server.underway(), "requests are cut"),
    }
}

fn summarise(server: &Server) {
    let status = server.status(VERSION);
    let total = server.total();
    let (requests, denied, bytes) = (total.requests, total.denied, total.bytes);
    tracing::info!(uptime_seconds = status.uptime_seconds, requests, denied, bytes, "ended");
}

/// A connection is a descriptor, and so is a file: the usual soft limit of 1,024 would end a large site's boot.
fn raise_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}
