//! One tenant that is served: its listeners, what they share, and how it takes on another generation.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use provost_core::{DevicePolicy, Inventory as _, ListenerPolicy, Mac, Protocol};
use provost_tenants::config::OfServed;
use provost_tenants::network::Passed;
use provost_tenants::{Listener, Tenant};

use super::doors::Doors;
use super::listening::{Listening, Place};
use crate::front::{Front, Generation};
use crate::life::Life;
use crate::record::RecordLog;
use crate::tls::{TlsError, TlsFront, client_auth};
use crate::{ftp, https};

/// A tenant with its listeners.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) tenant: Arc<Tenant>,
    pub(super) life: Arc<Life>,
    pub(super) listeners: Vec<Listening>,
    /// Why the tenant's present file is not what is served, at the last reload; empty where it is.
    pub(super) errors: Vec<String>,
    /// Why its present certificates, keys or revocation lists are not what is served, when they were read last, by a reload or
    /// without one; empty where they are.
    pub(super) stale: Vec<String>,
}

/// A generation of each listener, ready to be served.
pub(super) struct Prepared {
    tenant: Arc<Tenant>,
    generations: Vec<Generation>,
}

/// What sockets are made with.
#[derive(Debug, Clone)]
pub(super) struct Sockets {
    pub(super) records: RecordLog,
    pub(super) doors: Doors,
    /// Those of the service manager.
    pub(super) passed: Passed,
}

/// A listener that has to begin anew, or for the first time.
pub(super) type Failure = (Arc<Listener>, io::Error);

impl Prepared {
    /// Makes what can fail, before anything that runs is touched. Where nothing changed that sessions were granted on, they
    /// stay.
    ///
    /// # Errors
    /// - the listener's name, and what is wrong with its TLS
    pub(super) fn new(tenant: &Arc<Tenant>, former: Option<&Serving>) -> Result<Self, (String, TlsError)> {
        let generation = |listener: &Arc<Listener>| {
            let tls = tls(tenant, listener, former);
            let tls = tls.map_err(|error| (listener.policy.name.clone(), error))?;
            Ok(Generation { tenant: Arc::clone(tenant), listener: Arc::clone(listener), tls })
        };
        let generations = tenant.listeners.iter().map(generation).collect::<Result<_, _>>()?;
        Ok(Self { tenant: Arc::clone(tenant), generations })
    }

    /// A tenant that is served for the first time, and what is to listen.
    pub(super) fn begin(self) -> (Serving, Vec<Generation>) {
        let life = Life::new(Arc::default());
        (
            Serving { tenant: self.tenant, life, listeners: Vec::new(), errors: Vec::new(), stale: Vec::new() },
            self.generations,
        )
    }
}

impl Serving {
    /// Puts a generation in the place of the present one, listener by listener. Gives back those whose sockets have to close, and
    /// what is to listen once they have.
    pub(super) fn renew(&mut self, prepared: Prepared) -> (Vec<Listening>, Vec<Generation>) {
        let Prepared { tenant, generations } = prepared;
        let mut former = std::mem::take(&mut self.listeners);
        let mut fresh = Vec::new();
        for generation in generations {
            let place = Place::of(&tenant, &generation.listener);
            let name = generation.listener.policy.name.as_str();
            match former.iter().position(|former| former.place == place && former.name() == name) {
                Some(index) => {
                    let kept = former.swap_remove(index);
                    kept.front.renew(generation);
                    self.listeners.push(kept);
                }
                None => fresh.push(generation),
            }
        }
        // Connections that were accepted by a listener that closes are judged by what is served now. Where it is no more, it
        // is disabled for them: else whoever keeps one open would be served by the former rules for ever. It is no more in the network
        // that they came from either, where it has another one now.
        for closing in &former {
            let successor = fresh.iter().find(|fresh| closing.is_succeeded_by(fresh));
            closing.front.renew(successor.map_or_else(|| retired(&tenant, closing), Generation::clone));
        }
        self.tenant = tenant;
        self.stale = Vec::new();
        (former, fresh)
    }

    /// Goes on as it is, for what was wrong in a reload. What is wrong with files that change by themselves stands until they are
    /// read again.
    pub(super) fn keep(&mut self, errors: &OfServed) {
        self.errors.clone_from(&errors.lasting);
        if !errors.passing.is_empty() {
            self.stale.clone_from(&errors.passing);
        }
    }

    /// Starts listeners.
    pub(super) fn add(&mut self, generations: Vec<Generation>, sockets: &Sockets) -> Vec<Failure> {
        let mut failures = Vec::new();
        for generation in generations {
            let front = Front::of(generation, Arc::clone(&self.life), sockets.records.clone());
            let (listening, failure) = Listening::start(front, &sockets.doors, &sockets.passed);
            self.listeners.push(listening);
            failures.extend(failure);
        }
        let order = |name: &str| self.tenant.listeners.iter().position(|listener| listener.policy.name == name);
        self.listeners.sort_by_key(|listening| order(&listening.name()));
        failures
    }

    /// Ends what runs for devices that are not the tenant's any more.
    pub(super) fn withdraw(&self) {
        self.life.withdraw(Duration::ZERO, |device| is_gone(&self.tenant, device));
    }
}

impl Listening {
    pub(super) fn name(&self) -> String {
        self.front.listener().policy.name.clone()
    }

    /// Whether a listener elsewhere is this one.
    fn is_succeeded_by(&self, fresh: &Generation) -> bool {
        let Place { protocol, address: _, network, enabled: _ } = Place::of(&fresh.tenant, &fresh.listener);
        fresh.listener.policy.name == self.name() && (protocol, &network) == (self.place.protocol, &self.place.network)
    }

    /// Disables it for what it has accepted: its address is somebody else's now.
    pub(super) fn retire(&self) {
        let present = self.front.present();
        self.front.renew(retired(&present.tenant, self));
    }
}

/// A listener that is no more.
fn retired(tenant: &Arc<Tenant>, closing: &Listening) -> Generation {
    let Listener { policy, address, tls: _, arrival, ftp, tftp } = &*closing.front.listener();
    let policy = ListenerPolicy { enabled: false, ..policy.clone() };
    let (arrival, ftp, tftp) = (arrival.clone(), ftp.clone(), tftp.clone());
    let listener = Listener { policy, address: *address, tls: None, arrival, ftp, tftp };
    Generation { tenant: Arc::clone(tenant), listener: Arc::new(listener), tls: None }
}

pub(super) fn is_gone(tenant: &Tenant, device: Mac) -> bool {
    match (tenant.devices.find(device), tenant.policy.devices) {
        (Some(row), _) => row.blocked,
        (None, DevicePolicy::Listed) => true,
        (None, DevicePolicy::Any) => false,
    }
}

fn tls(tenant: &Tenant, listener: &Listener, former: Option<&Serving>) -> Result<Option<Arc<TlsFront>>, TlsError> {
    let alpn = match (listener.policy.protocol, &listener.tls) {
        (Protocol::Https, _) => https::ALPN,
        (Protocol::Ftp, Some(_)) => ftp::ALPN,
        (Protocol::Http | Protocol::Tftp, _) | (Protocol::Ftp, None) => return Ok(None),
    };
    let former = former.and_then(|former| {
        let named = former.listeners.iter().find(|former| former.name() == listener.policy.name)?;
        let present = named.front.present();
        let (then, now) = (present.listener.tls.as_ref()?, listener.tls.as_ref()?);
        let tls = present.tls.as_ref()?;
        let stays = then.is(now)
            && tls.client_auth() == client_auth(&tenant.policy, &listener.policy)
            && present.listener.arrival.unnamed == listener.arrival.unnamed
            && present.listener.policy.protocol == listener.policy.protocol;
        stays.then(|| (Arc::clone(tls), now))
    });
    match former {
        // Sessions go on: what says that our certificate is not revoked is no part of what they were granted on.
        Some((tls, now)) => {
            tls.restaple(now)?;
            Ok(Some(tls))
        }
        None => Ok(Some(Arc::new(TlsFront::new(&tenant.policy, listener, alpn)?))),
    }
}
