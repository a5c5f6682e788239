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
use provost_tenants::devices::Devices;
use provost_tenants::{Deployment, Listener, Tenant};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::front::Front;
use crate::listen::Slots;
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
            let slots = Arc::new(Slots::default());
            for listener in tenant.listeners.iter().filter(|listener| listener.policy.enabled) {
                let front = Front::new(Arc::clone(tenant), Arc::clone(listener), Arc::clone(&slots), records.clone());
                server.add(tenant, listener, front);
            }
            server.tasks.spawn(refresh(Arc::clone(&tenant.devices)));
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
            let socket = tenant.network.tcp_listener(listener.address)?;
            Ok((socket.local_addr()?, Box::pin(https::serve(front, socket, Arc::new(tls)))))
        }
        Protocol::Http => {
            let socket = tenant.network.tcp_listener(listener.address)?;
            Ok((socket.local_addr()?, Box::pin(https::serve_plain(front, socket))))
        }
        Protocol::Ftp => {
            let socket = tenant.network.tcp_listener(listener.address)?;
            Ok((socket.local_addr()?, Box::pin(ftp::serve(front, socket))))
        }
        Protocol::Tftp => {
            let socket = tenant.network.udp_socket(listener.address)?;
            Ok((socket.local_addr()?, Box::pin(tftp::serve(front, socket))))
        }
    }
}

/// Looks at the tenant's device file now and then, off the runtime: a slow disk delays nobody's request.
async fn refresh(devices: Arc<Devices>) {
    let mut ticks = tokio::time::interval(REFRESH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let _ = &devices;
    }
}
