//! From a status to metrics, one family after the other.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;

use crate::server::{ListenerState, ListenerStatus, Status, TenantStatus};

/// What is asked for the status at each scrape.
pub(super) struct Statuses(pub(super) Box<dyn Fn() -> Status + Send + Sync>);

impl fmt::Debug for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Statuses")
    }
}

impl Collector for Statuses {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let status = (self.0)();
        of_server(&status, &mut encoder)?;
        of_tenants(&status.tenants, &mut encoder)?;
        of_errors(&status, &mut encoder)?;
        of_listeners(&status.tenants, &mut encoder)
    }
}

/// One family that is being written.
struct Family<'e> {
    encoder: MetricEncoder<'e>,
    form: MetricType,
}

impl<'e> Family<'e> {
    fn counter(encoder: &'e mut DescriptorEncoder<'_>, name: &'e str, help: &str) -> Result<Self, fmt::Error> {
        Self::new(encoder, name, help, MetricType::Counter)
    }

    fn gauge(encoder: &'e mut DescriptorEncoder<'_>, name: &'e str, help: &str) -> Result<Self, fmt::Error> {
        Self::new(encoder, name, help, MetricType::Gauge)
    }

    fn new(
        encoder: &'e mut DescriptorEncoder<'_>,
        name: &'e str,
        help: &str,
        form: MetricType,
    ) -> Result<Self, fmt::Error> {
        Ok(Self { encoder: encoder.encode_descriptor(name, help, None, form)?, form })
    }

    /// The one value of a gauge that has no labels.
    fn set(mut self, value: u64) -> fmt::Result {
        self.encoder.encode_gauge(&value)
    }

    fn put<const LABELS: usize>(&mut self, labels: [(&str, &str); LABELS], value: u64) -> fmt::Result {
        let labels = labels.map(|(key, value)| (key, escaped(value)));
        let mut family = self.encoder.encode_family(&labels)?;
        match self.form {
            MetricType::Counter => family.encode_counter::<[(&str, &str); 0], u64, u64>(&value, None),
            _ => family.encode_gauge(&value),
        }
    }
}

fn of_server(status: &Status, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut build = Family::gauge(encoder, "build_info", "The version that runs")?;
    build.put([("version", &status.version)], 1)?;
    let uptime = Family::gauge(encoder, "uptime_seconds", "For how long the server has served")?;
    uptime.set(status.uptime_seconds)
}

/// Why what stands on the disk is not what is served: of each tenant, those among them that are not served at all, and altogether.
fn of_errors(status: &Status, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let served = status.tenants.iter().map(|tenant| (tenant.name.as_str(), tenant.errors.len()));
    let unserved = status.unserved.iter().map(|unserved| (unserved.tenant.as_str(), unserved.errors.len()));
    // A newcomer that claims the name of a tenant that is served is told under the same name.
    let mut by_tenant = BTreeMap::<&str, u64>::new();
    for (tenant, errors) in served.chain(unserved) {
        *by_tenant.entry(tenant).or_default() += count(errors);
    }
    let mut errors = Family::gauge(encoder, "tenant_errors", "Why the tenant's present files are not what is served")?;
    by_tenant.iter().try_for_each(|(tenant, count)| errors.put([("tenant", tenant)], *count))?;
    let help = "Errors of provost.toml and of all tenants, those among them that are not served at all";
    let all = Family::gauge(encoder, "configuration_errors", help)?;
    all.set(count(status.errors.len()) + by_tenant.values().sum::<u64>())
}

fn of_tenants(tenants: &[TenantStatus], encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    for (name, help, value) in [
        ("devices", "Devices that the tenant lists", (|tenant| count(tenant.devices)) as fn(&TenantStatus) -> u64),
        ("connections", "Connections and transfers", |tenant| count(tenant.connections)),
        ("requests_underway", "Requests under way", |tenant| count(tenant.underway)),
        ("memory_held_bytes", "What transfers hold of files in memory", |tenant| count(tenant.memory_held)),
        (
            "invalid_certificates",
            "Certificates of the tenant's listeners that have ended or do not count yet",
            |tenant| count(tenant.invalid_certificates),
        ),
        (
            "overdue_revocation_lists",
            "Revocation lists of the tenant's trust sets whose successor is overdue",
            |tenant| count(tenant.overdue_revocation_lists),
        ),
    ] {
        let mut family = Family::gauge(encoder, name, help)?;
        tenants.iter().try_for_each(|tenant| family.put([("tenant", &tenant.name)], value(tenant)))?;
    }
    let mut dropped =
        Family::counter(encoder, "records_dropped", "Records that came faster than they could be written")?;
    tenants.iter().try_for_each(|tenant| dropped.put([("tenant", &tenant.name)], tenant.records_dropped))?;
    let mut alarms = Family::counter(encoder, "alarms", "Alarms of the guard against enumeration")?;
    for tenant in tenants {
        for (alarm, count) in &tenant.alarm_counts {
            alarms.put([("tenant", &tenant.name), ("alarm", alarm)], *count)?;
        }
    }
    Ok(())
}

fn of_listeners(tenants: &[TenantStatus], encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let each = || tenants.iter().flat_map(|tenant| tenant.listeners.iter().map(move |listener| (tenant, listener)));
    let mut up =
        Family::gauge(encoder, "listener_up", "Whether the listener listens; one that is disabled is left out")?;
    for (tenant, listener) in each() {
        let is_up = match listener.state {
            ListenerState::Up { .. } => 1,
            ListenerState::Waiting { .. } | ListenerState::Closed { .. } => 0,
            ListenerState::Disabled { .. } => continue,
        };
        up.put(labels(tenant, listener), is_up)?;
    }
    let mut bytes = Family::counter(encoder, "file_bytes", "Bytes of files, sent or received")?;
    each().try_for_each(|(tenant, listener)| bytes.put(labels(tenant, listener), listener.bytes))?;
    for (name, help, key, counts) in [
        (
            "requests",
            "Requests, and connections that failed before one, by what became of them",
            "outcome",
            (|listener| &listener.outcomes) as fn(&ListenerStatus) -> &BTreeMap<String, u64>,
        ),
        ("denials", "Requests that were denied, by the reason", "reason", |listener| &listener.denials),
    ] {
        let mut family = Family::counter(encoder, name, help)?;
        for (tenant, listener) in each() {
            let [of_tenant, of_listener, protocol] = labels(tenant, listener);
            for (word, count) in counts(listener) {
                family.put([of_tenant, of_listener, protocol, (key, word)], *count)?;
            }
        }
    }
    Ok(())
}

fn labels<'s>(tenant: &'s TenantStatus, listener: &'s ListenerStatus) -> [(&'static str, &'s str); 3] {
    [("tenant", &tenant.name), ("listener", &listener.name), ("protocol", &listener.protocol)]
}

/// A value as the text of `OpenMetrics` has it (section "ABNF", escaped-string): a tenant that has no name is told by its file, and one
/// quote in a name would spoil all.
fn escaped(value: &str) -> Cow<'_, str> {
    if value.contains(['\\', '"', '\n']) {
        Cow::Owned(value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
    } else {
        Cow::Borrowed(value)
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
