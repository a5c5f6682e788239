//! `provost serve`: loads, says what listens, and serves until it is told to end.
//!
//! Only three things end it: provost.toml itself is bad, no tenant is without errors, or a signal. Anything smaller
//! costs one tenant or one listener, and is said. SIGHUP, and `provost reload`, read the configuration anew; SIGTERM and
//! SIGINT let requests under way end first.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use provost_protocols::admin::{AdminSocket, Answer, Answers, Request};
use provost_protocols::server::Renewal;
use provost_protocols::{RecordLog, Server};
use provost_tenants::config::{Former, Problems};
use provost_tenants::devices::Removals;
use provost_tenants::{Deployment, Settings};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::level_filters::LevelFilter;

use crate::cli::ConfigArgs;
use crate::notify::{self, Notify};
use crate::{configuration, events};

/// How long uploads that are being written may take to end once everything else has.
const GRACE: Duration = Duration::from_secs(5);
/// How often is looked whether the last request has ended.
const LOOK: Duration = Duration::from_millis(50);
/// The admin socket where the configuration names none, if its folder exists; systemd makes that.
pub(crate) const ADMIN_SOCKET: &str = "/run/provost/admin.sock";

/// Serves the configuration.
pub(crate) fn run(args: &ConfigArgs) -> anyhow::Result<()> {
    let loaded = configuration::load(&args.config)?;
    events::start(loaded.deployment.settings.log, LevelFilter::INFO);
    log_problems(&loaded.problems);
    serve(&loaded.deployment, &args.config, |server| {
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

/// Serves a deployment until SIGINT or SIGTERM. `announce` is called once everything is bound that can be.
pub(crate) fn serve(
    deployment: &Deployment,
    config: &Path,
    announce: impl FnOnce(&Server) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    raise_descriptors();
    let settings = &deployment.settings;
    settings.create_state().with_context(|| format!("cannot make the state folder {}", settings.state.display()))?;
    let records = RecordLog::to(io::stdout(), settings.log).context("cannot start writing records")?;
    let runtime = Runtime::new().context("cannot start the runtime")?;
    let outcome = runtime.block_on(until_signalled(deployment, config, &records, announce));
    // Connections end here; what is being stored is stored first.
    runtime.shutdown_timeout(GRACE);
    records.flush();
    outcome
}

/// What a running server and its operator share.
struct Running {
    server: Server,
    config: PathBuf,
    notify: Notify,
}

async fn until_signalled(
    deployment: &Deployment,
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
    let running = Arc::new(Running { server, config: config.to_owned(), notify: Notify::from_environment() });
    let admin = admin(&running, &deployment.settings).map(tokio::spawn);
    announce(&running.server)?;
    running.notify.ready(&format!("serving {} tenants", deployment.tenants.len()));
    let watchdog = notify::watchdog().map(|interval| tokio::spawn(stay_alive(Arc::clone(&running), interval)));
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
    summarise(&running.server);
    for task in [admin, watchdog, Some(reloads)].into_iter().flatten() {
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
    let status = server.status(env!("CARGO_PKG_VERSION"));
    let total = server.total();
    let (requests, denied, bytes) = (total.requests, total.denied, total.bytes);
    tracing::info!(uptime_seconds = status.uptime_seconds, requests, denied, bytes, "ended");
}

impl Running {
    async fn reload(&self, removals: Removals) -> Renewal {
        self.notify.reloading();
        let config = self.config.clone();
        let renewal = self.server.renew(move |tenants| configuration::reload(&config, Former { tenants, removals }));
        let renewal = renewal.await;
        log_renewal(&renewal);
        self.notify.ready(&format!("serving {} tenants", self.server.present().len()));
        renewal
    }

    async fn answer(self: Arc<Self>, request: Request) -> Answer {
        match request {
            Request::Status => Answer::Status(self.server.status(env!("CARGO_PKG_VERSION"))),
            Request::Reload { accept_removals: true } => Answer::Reload(self.reload(Removals::Accept).await),
            Request::Reload { accept_removals: false } => Answer::Reload(self.reload(Removals::Refuse).await),
        }
    }
}

/// The admin socket, where there is to be one and it can be bound. The server serves without it.
fn admin(running: &Arc<Running>, settings: &Settings) -> Option<impl Future<Output = ()> + Send + 'static> {
    let path = settings.admin_socket.clone().or_else(|| {
        let path = PathBuf::from(ADMIN_SOCKET);
        path.parent().is_some_and(Path::is_dir).then_some(path)
    })?;
    let socket = AdminSocket::bind(&path);
    let socket = socket.map_err(|error| tracing::error!(path = %path.display(), %error, "no admin socket")).ok()?;
    let running = Arc::clone(running);
    let answers: Answers = Arc::new(move |request| -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        Box::pin(Arc::clone(&running).answer(request))
    });
    Some(socket.serve(answers))
}

/// Tells systemd that the runtime still runs.
async fn stay_alive(running: Arc<Running>, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    loop {
        ticks.tick().await;
        running.notify.alive();
    }
}

fn log_renewal(renewal: &Renewal) {
    for error in &renewal.errors {
        tracing::error!(%error, "the configuration was not reloaded");
    }
    for kept in &renewal.kept {
        for error in &kept.errors {
            tracing::error!(tenant = kept.tenant, is_served = kept.is_served, %error, "the tenant did not load");
        }
    }
    for changed in &renewal.changed {
        let (bound, closed, devices) = (changed.bound.join(" "), changed.closed.join(" "), &changed.devices);
        tracing::info!(tenant = changed.tenant, bound, closed, devices = devices.as_deref(), "changed");
    }
    for tenant in &renewal.added {
        tracing::info!(tenant, "added");
    }
    for tenant in &renewal.removed {
        tracing::info!(tenant, "removed");
    }
    let (added, removed) = (renewal.added.len(), renewal.removed.len());
    let (changed, unchanged) = (renewal.changed.len(), renewal.unchanged);
    tracing::info!(added, removed, changed, unchanged, kept = renewal.kept.len(), "reloaded");
}

/// A connection is a descriptor, and so is a file: the usual soft limit of 1,024 would end a large site's boot.
fn raise_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}
