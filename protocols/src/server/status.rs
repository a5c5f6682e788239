//! What the running server tells of itself.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::PoisonError;
use std::time::{Instant, SystemTime};

use jiff::Timestamp;
use provost_tenants::Unnamed;
use provost_tenants::guard::Raised;
use serde::{Deserialize, Serialize};

use super::listening::Listening;
use super::serving::Serving;
use super::{Server, State, certificates};
use crate::life::Mishap;
use crate::passwords::PasswordReport;
use crate::reports::Reported;

/// The server at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The version of the server.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Since when it serves.
    pub since: Timestamp,
    /// For how many seconds.
    pub uptime_seconds: u64,
    /// Whether it ends: it accepts nothing more, and lets what is under way end.
    #[serde(default)]
    pub is_ending: bool,
    /// The tenants by name.
    pub tenants: Vec<TenantStatus>,
    /// Errors of provost.toml in the last reload; none after one that was right.
    #[serde(default)]
    pub errors: Vec<String>,
    /// Tenants of the configuration that did not load and are not served.
    #[serde(default)]
    pub unserved: Vec<Unserved>,
    /// Folders of the state in which the server could not write at its start or at the last reload, with the reason.
    #[serde(default)]
    pub state_errors: Vec<String>,
    /// Where metrics are told; absent where they are not.
    #[serde(default)]
    pub metrics: Option<SocketAddr>,
    /// Why metrics are not told where they are meant to be: the address of the configuration, and what the system said.
    #[serde(default)]
    pub metrics_error: Option<String>,
    /// Sockets that the service manager passed and that were closed, since no listener has them, with the reason.
    #[serde(default)]
    pub unused_sockets: Vec<String>,
}

/// A tenant that is not served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unserved {
    /// Its name, or its file where that has none.
    pub tenant: String,
    /// What is wrong.
    pub errors: Vec<String>,
}

/// A tenant at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantStatus {
    /// Its name.
    pub name: String,
    /// How many devices it lists.
    pub devices: usize,
    /// Connections and transfers.
    pub connections: usize,
    /// Requests under way.
    pub underway: usize,
    /// What transfers hold of files in memory, in bytes.
    #[serde(default)]
    pub memory_held: usize,
    /// Why its present file, its device file, or a certificate, a key or a revocation list, is not what is served.
    #[serde(default)]
    pub errors: Vec<String>,
    /// What is not as it should be and what the server goes on with: certificates that are not valid, and OCSP responses that are of no
    /// use.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Certificates of its listeners that have ended or do not count yet. Phones that verify them stay away.
    #[serde(default)]
    pub invalid_certificates: usize,
    /// Revocation lists of its trust sets whose successor is overdue. They still revoke what they list.
    #[serde(default)]
    pub overdue_revocation_lists: usize,
    /// What its guard against enumeration raised of late.
    #[serde(default)]
    pub alarms: Vec<AlarmStatus>,
    /// How often each alarm was raised since the server began.
    #[serde(default)]
    pub alarm_counts: BTreeMap<String, u64>,
    /// Records that were dropped, for they came faster than they could be written.
    #[serde(default)]
    pub records_dropped: u64,
    /// Its listeners, in the order of its file.
    pub listeners: Vec<ListenerStatus>,
}

/// An alarm of the guard against enumeration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmStatus {
    /// Why: `source_throttled`, `tenant_unlisted`, `source_misses`.
    pub alarm: String,
    /// The source; absent where all of the tenant together raised it.
    pub source: Option<String>,
    /// How many devices or files it took.
    pub count: usize,
    /// How long ago, in seconds.
    pub seconds_ago: u64,
}

/// A listener at one moment. Counts are since it began to listen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerStatus {
    /// Its name.
    pub name: String,
    /// What it speaks.
    pub protocol: String,
    /// Whether it listens.
    #[serde(flatten)]
    pub state: ListenerState,
    /// The names that it answers to; empty for any.
    #[serde(default)]
    pub server_names: Vec<String>,
    /// How many other tenants share its address.
    #[serde(default)]
    pub shared_with: usize,
    /// Whether peers that name no host of this address are its.
    #[serde(default)]
    pub is_default: bool,
    /// Records written: requests, and connections that failed before one.
    pub requests: u64,
    /// Those that were denied.
    pub denied: u64,
    /// Bytes of files, sent or received.
    pub bytes: u64,
    /// How often requests ended so, by outcome.
    #[serde(default)]
    pub outcomes: BTreeMap<String, u64>,
    /// What report-only exceptions let pass.
    #[serde(default)]
    pub report_only: Vec<ReportStatus>,
    /// How often each reason for a denial was given.
    pub denials: BTreeMap<String, u64>,
    /// What the server itself failed at of late, such as a file that cannot be read; oldest first, at most five.
    #[serde(default)]
    pub last_errors: Vec<LastError>,
}

/// What the server failed at. What a peer sent is in it as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// When.
    pub time: Timestamp,
    /// What.
    pub text: String,
}

/// What a report-only exception let pass that would have been refused without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportStatus {
    /// The exception: vendors, and what they show instead.
    pub exception: String,
    /// How many requests.
    pub requests: u64,
    /// Of which devices, each with its requests; the first 1,024.
    pub devices: BTreeMap<String, u64>,
    /// Requests of further devices.
    pub of_others: u64,
}

/// Whether a listener listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ListenerState {
    /// It does.
    Up {
        /// Where it really listens.
        address: String,
        /// Who made its socket.
        #[serde(default)]
        socket: SocketOrigin,
    },
    /// It cannot, and is tried again.
    Waiting {
        /// The address of the configuration.
        address: String,
        /// What the system said.
        reason: String,
        /// Since when.
        waiting_since: Timestamp,
    },
    /// It does no more, since the server ends.
    Closed {
        /// Where it listened, or was meant to.
        address: String,
    },
    /// It is not meant to.
    Disabled {
        /// The address of the configuration.
        address: String,
    },
}

/// Who made a socket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SocketOrigin {
    /// The server.
    #[default]
    Own,
    /// The service manager, that keeps it while the server is started anew.
    Passed,
}

impl Server {
    /// Which passwords of a tenant are in use; `None` where it is not served.
    pub fn passwords(&self, tenant: &str) -> Option<PasswordReport> {
        let tenants = self.tenants();
        let serving = tenants.get(tenant)?;
        Some(serving.life.shares().passwords.report(&serving.tenant))
    }

    /// The server now. `version` is that of the program. Tenants that never loaded it does not know, nor the folder of the state, nor
    /// who tells metrics.
    pub fn status(&self, version: &str) -> Status {
        let uptime = self.since.elapsed();
        let is_ending = self.is_stopped();
        let mut tenants: Vec<_> = self.tenants().values().map(tenant).collect();
        if is_ending {
            tenants.iter_mut().flat_map(|tenant| &mut tenant.listeners).for_each(|listener| listener.state.close());
        }
        Status {
            version: version.to_owned(),
            pid: std::process::id(),
            // Machines without a clock of their own are set after the start.
            since: Timestamp::now() - uptime,
            uptime_seconds: uptime.as_secs(),
            is_ending,
            tenants,
            errors: self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            unserved: Vec::new(),
            state_errors: Vec::new(),
            metrics: None,
            metrics_error: None,
            unused_sockets: self.unused.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

impl ListenerState {
    fn close(&mut self) {
        match self {
            Self::Up { address, .. } | Self::Waiting { address, .. } => {
                *self = Self::Closed { address: std::mem::take(address) };
            }
            Self::Closed { .. } | Self::Disabled { .. } => {}
        }
    }
}

/// Each once: a reload notes those of the device file, too.
fn errors(serving: &Serving) -> Vec<String> {
    let mut errors = [&serving.errors[..], &serving.stale].concat();
    for error in serving.tenant.device_errors() {
        if !errors.contains(&error) {
            errors.push(error);
        }
    }
    errors
}

fn tenant(serving: &Serving) -> TenantStatus {
    let counts = serving.tenant.guard.alarm_counts();
    let now = SystemTime::now();
    let invalid = certificates::invalid(&serving.tenant, now);
    TenantStatus {
        name: serving.tenant.policy.name.clone(),
        devices: serving.tenant.devices.len(),
        connections: serving.life.shares().taken(),
        underway: serving.life.underway(),
        memory_held: serving.life.shares().memory_held(),
        errors: errors(serving),
        invalid_certificates: invalid.len(),
        warnings: [invalid, certificates::without_staple(&serving.tenant, now)].concat(),
        overdue_revocation_lists: serving.tenant.overdue_lists(now),
        alarms: alarms(serving),
        alarm_counts: counts.into_iter().map(|(alarm, count)| (alarm.code().to_owned(), count)).collect(),
        records_dropped: serving.life.shares().records_dropped(),
        listeners: serving.listeners.iter().map(listener).collect(),
    }
}

fn alarms(serving: &Serving) -> Vec<AlarmStatus> {
    let now = Instant::now();
    let status = |raised: Raised| AlarmStatus {
        alarm: raised.alarm.code().to_owned(),
        source: raised.source.map(|source| source.to_string()),
        count: raised.count,
        seconds_ago: now.saturating_duration_since(raised.at).as_secs(),
    };
    serving.tenant.guard.raised(now).into_iter().map(status).collect()
}

fn listener(listening: &Listening) -> ListenerStatus {
    let configured = listening.front.listener();
    let address = configured.address.to_string();
    let state = match listening.state() {
        State::Up(address) => {
            let socket = if listening.is_passed() { SocketOrigin::Passed } else { SocketOrigin::Own };
            ListenerState::Up { address: address.to_string(), socket }
        }
        State::Waiting { reason, since } => ListenerState::Waiting { address, reason, waiting_since: since },
        State::Disabled => ListenerState::Disabled { address },
    };
    let counted = listening.front.counts().now();
    ListenerStatus {
        name: configured.policy.name.clone(),
        protocol: configured.policy.protocol.to_string(),
        state,
        server_names: configured.tls.as_ref().map(|tls| tls.server_names.clone()).unwrap_or_default(),
        shared_with: listening.sharing(),
        is_default: configured.arrival.unnamed == Unnamed::Ours,
        requests: counted.requests,
        denied: counted.denied,
        bytes: counted.bytes,
        outcomes: counted.outcomes.into_iter().map(|(outcome, count)| (outcome.to_owned(), count)).collect(),
        report_only: listening.front.reports().now().into_iter().map(report).collect(),
        denials: counted.denials.into_iter().map(|(reason, count)| (reason.to_owned(), count)).collect(),
        last_errors: listening.front.counts().mishaps().into_iter().map(LastError::from).collect(),
    }
}

impl From<Mishap> for LastError {
    fn from(Mishap { time, text }: Mishap) -> Self {
        Self { time, text }
    }
}

fn report((exception, reported): (String, Reported)) -> ReportStatus {
    let Reported { requests, devices, of_others } = reported;
    let devices = devices.into_iter().map(|(device, count)| (device.to_string(), count)).collect();
    ReportStatus { exception, requests, devices, of_others }
}
