//! Starting the listeners of a deployment, and ending them.
//!
//! Each listener stands alone: one whose address is taken never stops the others, nor another tenant's. What is bound is told
//! with its real address, because port 0 lets the system pick one. Nothing here reads a byte of a peer; that is the
//! engines' affair.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use provost_core::Protocol;
use provost_tenants::devices::{Devices, Refresh, Removals};
use provost_tenants::{Deployment, Listener, Tenant};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::front::Front;
use crate::listen::Shares;
use crate::record::RecordLog;
use crate::tls::TlsFront;
use crate::{ftp, https, tftp};

/// How often the tenants' device files are looked at, so that a blocked phone is refused soon.
const REFRESH: Duration = Duration::from_secs(2);

/// The listeners that run. Dropped, they end.
#[derive(Debug)]
pub struct Server {
    bound: Vec<Bound>,
    failures: Vec<Failure>,
    tasks: JoinSet<()>,
}

/// A listener that is bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The tenant's name.
    pub tenant: String,
    /// The listener's name.
    pub listener: String,
    /// What it speaks.
    pub protocol: Protocol,
    /// Where it really listens.
    pub address: SocketAddr,
}

/// A listener that could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for listener {listener} of tenant {tenant}")]
pub struct Failure {
    /// The tenant's name.
    pub tenant: String,
    /// The listener's name.
    pub listener: String,
    /// The address of the configuration.
    pub address: SocketAddr,
    /// What the system said.
    #[source]
    pub error: io::Error,
}

/// What serves one listener until it is dropped.
type Engine = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Server {
    /// Binds every enabled listener of every enabled tenant and serves it. It must be called inside a tokio runtime.
    pub fn start(deployment: &Deployment, records: &RecordLog) -> Self {
        let mut server = Self { bound: Vec::new(), failures: Vec::new(), tasks: JoinSet::new() };
        for tenant in deployment.tenants.iter().filter(|tenant| tenant.policy.enabled) {
            let shares = Arc::new(Shares::default());
            for listener in tenant.listeners.iter().filter(|listener| listener.policy.enabled) {
                let front = Front::new(Arc::clone(tenant), Arc::clone(listener), Arc::clone(&shares), records.clone());
                server.add(tenant, listener, front);
            }
            server.tasks.spawn(refresh(tenant.policy.name.clone(), Arc::clone(&tenant.devices)));
        }
        server
    }

    /// What is bound, tenant by tenant, in the order of the configuration.
    pub fn bound(&self) -> &[Bound] {
        &self.bound
    }

    /// What could not be bound.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// Ends accepting: when it returns, no listener is bound any more. Connections that were accepted go on until the
    /// runtime ends.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }

    fn add(&mut self, tenant: &Tenant, listener: &Listener, front: Arc<Front>) {
        match engine(tenant, listener, front) {
            Ok((address, engine)) => {
                self.tasks.spawn(engine);
                self.bound.push(Bound {
                    tenant: tenant.policy.name.clone(),
                    listener: listener.policy.name.clone(),
                    protocol: listener.policy.protocol,
                    address,
                });
            }
            Err(error) => self.failures.push(Failure {
                tenant: tenant.policy.name.clone(),
                listener: listener.policy.name.clone(),
                address: listener.address,
                error,
            }),
        }
    }
}

/// Binds one listener in its tenant's network. The engine runs once it is polled.
fn engine(tenant: &Tenant, listener: &Listener, front: Arc<Front>) -> io::Result<(SocketAddr, Engine)> {
    match listener.policy.protocol {
        Protocol::Https => {
            let tls = TlsFront::new(&tenant.policy, listener, https::ALPN).map_err(io::Error::other)?;
            let socket = front.network().tcp_listener(listener.address)?;
            Ok((socket.local_addr()?, Box::pin(https::serve(front, socket, Arc::new(tls)))))
        }
        Protocol::Http => {
            let socket = front.network().tcp_listener(listener.address)?;
            Ok((socket.local_addr()?, Box::pin(https::serve_plain(front, socket))))
        }
        Protocol::Ftp => {
            let socket = front.network().tcp_listener(listener.address)?;
            Ok((socket.local_addr()?, Box::pin(ftp::serve(front, socket))))
        }
        Protocol::Tftp => {
            let socket = front.network().udp_socket(listener.address)?;
            Ok((socket.local_addr()?, Box::pin(tftp::serve(front, socket))))
        }
    }
}

/// Looks at the tenant's device file now and then, off the runtime: a slow disk delays nobody's request.
async fn refresh(tenant: String, devices: Arc<Devices>) {
    let mut ticks = tokio::time::interval(REFRESH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Refresh::Unchanged;
    loop {
        ticks.tick().await;
        let devices = Arc::clone(&devices);
        let Ok(now) = tokio::task::spawn_blocking(move || devices.refresh(Removals::Refuse)).await else { continue };
        // A file that cannot be read is tried at every tick, and told once.
        if now != last {
            log(&tenant, &now);
            last = now;
        }
    }
}

fn log(tenant: &str, refresh: &Refresh) {
    match refresh {
        Refresh::Unchanged => {}
        Refresh::Replaced { devices, removed } => {
            tracing::info!(tenant, devices, removed, "the devices were read again");
        }
        Refresh::KeptForErrors { errors, blocked } => {
            for error in errors {
                tracing::error!(tenant, blocked, %error, "the device file has errors: the former devices are served");
            }
        }
        Refresh::KeptForRemovals { devices, removed, blocked } => {
            let message = "the device file lost more than a tenth of the devices: the former ones are served";
            tracing::error!(tenant, devices, removed, blocked, "{message}");
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::io::sink;
    use std::net::TcpListener;

    use provost_tenants::LogFormat;

    use super::*;

    fn deployment(dir: &std::path::Path, listeners: &str) -> Deployment {
        let tenant = "name = \"acme\"\nallow = [\"127.0.0.0/8\"]\n[files]\nroot = \"files\"\n";
        std::fs::create_dir(dir.join("files")).unwrap();
        std::fs::write(dir.join("provost.toml"), "tenants = \"acme.toml\"\nstate = \"state\"\n").unwrap();
        std::fs::write(dir.join("acme.toml"), format!("{tenant}{listeners}")).unwrap();
        let loaded = provost_tenants::config::load(&dir.join("provost.toml"), []).unwrap();
        assert!(!loaded.problems.has_errors(), "{}", loaded.problems);
        loaded.deployment
    }

    #[tokio::test]
    async fn a_listener_that_fails_stops_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let listeners = format!(
            "[[listener]]\nprotocol = \"http\"\naddress = \"{address}\"\n\
             [[listener]]\nprotocol = \"ftp\"\naddress = \"127.0.0.1:0\"\n\
             [[listener]]\nprotocol = \"tftp\"\naddress = \"127.0.0.1:0\"\n\
             [[listener]]\nname = \"off\"\nprotocol = \"http\"\naddress = \"127.0.0.1:0\"\nenabled = false\n"
        );
        let records = RecordLog::to(sink(), LogFormat::Text).unwrap();
        let server = Server::start(&deployment(dir.path(), &listeners), &records);
        let bound: Vec<_> = server.bound().iter().map(|bound| bound.listener.as_str()).collect();
        assert_eq!(bound, ["ftp", "tftp"]);
        assert!(server.bound().iter().all(|bound| bound.address.port() != 0), "{:?}", server.bound());
        let [failure] = server.failures() else { panic!("{:?}", server.failures()) };
        assert_eq!(failure.to_string(), format!("cannot listen on {address} for listener http of tenant acme"));
        assert_eq!(failure.error.kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn when_stop_returns_nothing_listens() {
        let dir = tempfile::tempdir().unwrap();
        let records = RecordLog::to(sink(), LogFormat::Text).unwrap();
        let listener = "[[listener]]\nprotocol = \"ftp\"\naddress = \"127.0.0.1:0\"\n";
        let server = Server::start(&deployment(dir.path(), listener), &records);
        let address = server.bound().first().unwrap().address;
        assert!(std::net::TcpStream::connect(address).is_ok());
        server.stop().await;
        let refused = std::net::TcpStream::connect(address).map_err(|error| error.kind());
        assert_eq!(refused.map(drop), Err(io::ErrorKind::ConnectionRefused));
    }
}
