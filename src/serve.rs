//! `provost serve`: loads, says what listens, and serves until it is told to end.
//!
//! Only three things end it: provost.toml itself is bad, no tenant is without errors, or a signal. Anything smaller
//! costs one tenant or one listener, and is said. SIGHUP, and `provost reload`, read the configuration anew; SIGTERM and
//! SIGINT let requests under way end first.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use provost_protocols::{RecordLog, Server, tftp};
use provost_tenants::config::{Failed, Problems};
use provost_tenants::devices::Removals;
use provost_tenants::network::Passed;
use provost_tenants::{Deployment, LogFormat, Tenant, files};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::level_filters::LevelFilter;

use crate::cli::ConfigArgs;
use crate::running::{self, Running, VERSION};
use crate::{configuration, events, notify};

/// How long uploads, and then records, that are being written may take to end once everything else has.
const GRACE: Duration = Duration::from_secs(5);
/// How long connections on which nothing is under way are kept at the end: a phone shakes hands, or is between two commands.
const QUIET: Duration = Duration::from_secs(3);
/// After how many pieces of work a thread looks for what the network brought. A busy tenant's turn takes 200 us, and the usual 61 of
/// them would be twelve milliseconds in which no other phone is heard.
const EVENT_INTERVAL: u32 = 2;
/// How often is looked whether the last request has ended.
const LOOK: Duration = Duration::from_millis(50);

/// What is there before the configuration is read: a SIGHUP that comes meanwhile would end the process, and counts once it serves.
pub(crate) struct Stage {
    runtime: Runtime,
    hangup: Signal,
}

/// Serves the configuration.
pub(crate) fn run(args: &ConfigArgs) -> anyhow::Result<()> {
    // Before any thread: it cleans up the environment.
    let passed = Passed::from_environment();
    let stage = Stage::new()?;
    // First, as the load has events, too. What is wrong with provost.toml is told by the load.
    let format = configuration::settings(&args.config).map_or(LogFormat::Text, |settings| settings.log);
    let _events = events::start(format, LevelFilter::INFO)?;
    let loaded = configuration::load(&args.config)?;
    log_problems(&loaded.problems);
    serve(stage, loaded.deployment, &loaded.failed, &args.config, passed, |server| {
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

impl Stage {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let runtime = Builder::new_multi_thread().enable_all().event_interval(EVENT_INTERVAL).build();
        let runtime = runtime.context("cannot start the runtime")?;
        let hangup = {
            let _entered = runtime.enter();
            listen(SignalKind::hangup())?
        };
        Ok(Self { runtime, hangup })
    }
}

fn listen(kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).context("cannot wait for signals")
}

/// Serves a deployment until SIGINT or SIGTERM. `failed` are the tenants that did not load, `passed` the sockets of the
/// service manager; `announce` is called once everything is bound that can be.
pub(crate) fn serve(
    Stage { runtime, hangup }: Stage,
    deployment: Deployment,
    failed: &[Failed],
    config: &Path,
    passed: Passed,
    announce: impl FnOnce(&Server) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    raise_descriptors(&deployment.tenants);
    let settings = &deployment.settings;
    settings.create_state().with_context(|| format!("cannot make the state folder {}", settings.state.display()))?;
    tftp::keep_at_most(settings.cache_bytes);
    files::keep_at_most(settings.cache_bytes);
    let records = RecordLog::to(io::stdout(), settings.log).context("cannot start writing records")?;
    let server = |deployment: &Deployment| Server::start_with(deployment, &records, passed);
    let outcome = runtime.block_on(until_signalled(hangup, deployment, failed, config, server, announce));
    // What is being stored is stored first.
    runtime.shutdown_timeout(GRACE);
    if let Err(error) = records.flush(GRACE) {
        tracing::error!(%error, "records are lost");
    }
    outcome
}

async fn until_signalled(
    mut hangup: Signal,
    deployment: Deployment,
    failed: &[Failed],
    config: &Path,
    server: impl FnOnce(&Deployment) -> Server,
    announce: impl FnOnce(&Server) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut ends = Ends { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? };
    if deployment.tenants.is_empty() {
        bail!("nothing to serve: there is no tenant without errors; `provost check` shows what it finds");
    }
    let server = server(&deployment);
    server.failures().iter().for_each(provost_protocols::server::Failure::log);
    let running = Arc::new(Running::new(server, &deployment, failed, config));
    let Deployment { settings, tenants, memory } = deployment;
    let count = tenants.len();
    // What a tenant holds open goes with it.
    drop((tenants, memory));
    let admin = running::admin(&running, &settings).await.map(tokio::spawn);
    let metrics = running::metrics(&running, &settings).map(tokio::spawn);
    announce(&running.server)?;
    running.notify.ready(&format!("serving {count} tenants"));
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
    let (requests, connections) = (running.server.underway(), running.server.connections());
    tracing::info!(requests, connections, "accepts nothing more");
    drain(&running.server, settings.drain, &mut ends).await;
    running.server.cut().await;
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

/// Lets requests under way end, and those of connections that were accepted and are about to ask. A second signal, or the end of the time, cuts them.
async fn drain(server: &Server, time: Duration, ends: &mut Ends) {
    let idle = async {
        let begun = Instant::now();
        let mut quiet = begun;
        while server.connections() + server.underway() > 0 && quiet.elapsed() < QUIET {
            tokio::time::sleep(LOOK).await;
            if server.underway() > 0 {
                quiet = Instant::now();
            }
            // Whoever is there has answered by now: addresses may be forged, and phones wait for the next server.
            if begun.elapsed() >= QUIET {
                server.end_unanswered();
            }
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

/// A connection is a descriptor, and so is a file: the usual soft limit of 1,024 would end a large site's boot. Where one
/// tenant may take all that the hard one allows, its storm is everybody's.
fn raise_descriptors(tenants: &[Arc<Tenant>]) {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
    let Some((limit, tenant)) = limit.maximum.zip(tenants.iter().max_by_key(|tenant| tenant.limits.connections)) else {
        return;
    };
    let connections = tenant.limits.connections;
    if u64::try_from(connections).is_ok_and(|connections| connections >= limit) {
        let tenant = &tenant.policy.name;
        tracing::warn!(
            limit,
            tenant,
            connections,
            "one tenant's `connections` may use up the limit of open files for all"
        );
    }
}
