//! `provost status`: how the running server stands, as a table, or all of it as JSON.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use provost_protocols::admin::{self, Answer, Request};
use provost_protocols::server::{
    AlarmStatus, LastError, ListenerState, ListenerStatus, SocketOrigin, Status, TenantStatus, Unserved,
};

use crate::cli::StatusArgs;
use crate::terminal::{BAD, CARE, HEADING, paint, table};
use crate::{configuration, running};

/// A server of another version might.
pub(crate) const SOMETHING_ELSE: &str =
    "the server answered something else than what it was asked: is it of another version?";

/// Asks, and prints the answer.
pub(crate) fn run(args: &StatusArgs, output: &mut impl Write) -> anyhow::Result<ExitCode> {
    let status = match ask(&args.config.config, &Request::Status)? {
        Answer::Status(status) => status,
        Answer::Reload(_) | Answer::Explained { .. } | Answer::Passwords(_) | Answer::Refused { .. } => {
            bail!(SOMETHING_ELSE)
        }
    };
    if args.report_only {
        report_only(&status, output)?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.json {
        writeln!(output, "{}", serde_json::to_string_pretty(&status)?)?;
    } else {
        print(&status, output)?;
    }
    Ok(if is_well(&status) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Asks the server that serves this configuration.
pub(crate) fn ask(config: &Path, request: &Request) -> anyhow::Result<Answer> {
    let socket = configuration::settings(config)?.admin_socket.unwrap_or_else(|| PathBuf::from(running::ADMIN_SOCKET));
    match admin::ask(&socket, request)? {
        Answer::Refused { reason } => bail!("the server refused: {reason}"),
        answer @ (Answer::Status(_) | Answer::Reload(_) | Answer::Explained { .. } | Answer::Passwords(_)) => {
            Ok(answer)
        }
    }
}

fn is_well(status: &Status) -> bool {
    let waits = |listener: &ListenerStatus| matches!(listener.state, ListenerState::Waiting { .. });
    let is_well = |tenant: &TenantStatus| tenant.errors.is_empty() && !tenant.listeners.iter().any(waits);
    let is_whole =
        !status.is_ending && status.errors.is_empty() && status.unserved.is_empty() && status.unused_sockets.is_empty();
    let is_told = status.metrics_error.is_none();
    is_whole && is_told && status.state_errors.is_empty() && status.tenants.iter().all(is_well)
}

fn print(status: &Status, output: &mut impl Write) -> anyhow::Result<()> {
    let Status { version, pid, since, uptime_seconds, is_ending, tenants, errors, .. } = status;
    let Status { unserved, state_errors, metrics, metrics_error, unused_sockets, .. } = status;
    let heading = format!("provost {version}, process {pid}, {} tenants", tenants.len());
    writeln!(output, "{}, up {} since {since:.0}", paint(HEADING, heading), uptime(*uptime_seconds))?;
    if *is_ending {
        writeln!(output, "{} the server ends, and accepts nothing more", paint(BAD, "ending:"))?;
    }
    if let Some(address) = metrics {
        writeln!(output, "metrics at http://{address}/metrics")?;
    }
    if let Some(error) = metrics_error {
        writeln!(output, "{} no metrics, which are tried again: {error}", paint(BAD, "error:"))?;
    }
    let rows = tenants.iter().flat_map(|tenant| tenant.listeners.iter().map(move |listener| row(tenant, listener)));
    let header = ["tenant", "listener", "protocol", "address", "state", "requests", "denied", "bytes"];
    writeln!(output, "\n{}\n", table(header, rows))?;
    let rows = tenants.iter().map(|tenant| {
        let [devices, connections, underway] = [tenant.devices, tenant.connections, tenant.underway];
        [tenant.name.clone(), devices.to_string(), connections.to_string(), underway.to_string(), denials(tenant)]
    });
    writeln!(output, "{}", table(["tenant", "devices", "connections", "under way", "denied for"], rows))?;
    for error in errors {
        writeln!(output, "{} {error}", paint(BAD, "error:"))?;
    }
    for error in state_errors {
        writeln!(output, "{} {error}", paint(BAD, "error:"))?;
    }
    for Unserved { tenant, errors } in unserved {
        writeln!(output, "{} tenant {tenant} is not served:", paint(BAD, "error:"))?;
        errors.iter().try_for_each(|error| writeln!(output, "  {error}"))?;
    }
    for socket in unused_sockets {
        writeln!(output, "{} a passed socket was closed: {socket}", paint(BAD, "error:"))?;
    }
    for tenant in tenants.iter().filter(|tenant| !tenant.errors.is_empty()) {
        writeln!(output, "{} tenant {} is not served as its files say:", paint(BAD, "error:"), tenant.name)?;
        tenant.errors.iter().try_for_each(|error| writeln!(output, "  {error}"))?;
    }
    for (tenant, warning) in tenants.iter().flat_map(|tenant| tenant.warnings.iter().map(move |text| (tenant, text))) {
        writeln!(output, "{} tenant {}: {warning}", paint(CARE, "warning:"), tenant.name)?;
    }
    for tenant in tenants.iter().filter(|tenant| tenant.overdue_revocation_lists > 0) {
        let (heading, count) = (paint(CARE, "warning:"), tenant.overdue_revocation_lists);
        writeln!(output, "{heading} tenant {}: revocation lists that are overdue: {count}", tenant.name)?;
    }
    print_last_errors(tenants, output)?;
    print_alarms(tenants, output)
}

fn print_alarms(tenants: &[TenantStatus], output: &mut impl Write) -> anyhow::Result<()> {
    for (tenant, alarm) in tenants.iter().flat_map(|tenant| tenant.alarms.iter().map(move |alarm| (tenant, alarm))) {
        let AlarmStatus { alarm, source, count, seconds_ago } = alarm;
        let source = source.as_deref().unwrap_or("all its sources");
        let heading = paint(BAD, "alarm:");
        writeln!(
            output,
            "{heading} tenant {}: {alarm} by {source}, {count} within the window, {seconds_ago} s ago",
            tenant.name
        )?;
    }
    Ok(())
}

/// What the server itself failed at of late.
fn print_last_errors(tenants: &[TenantStatus], output: &mut impl Write) -> anyhow::Result<()> {
    let listeners = tenants.iter().flat_map(|tenant| tenant.listeners.iter().map(move |listener| (tenant, listener)));
    for (tenant, listener) in listeners {
        for LastError { time, text } in &listener.last_errors {
            // What a peer sent may stand in it.
            let (heading, text) = (paint(CARE, "failed:"), text.escape_debug());
            writeln!(output, "{heading} {time:.0} {} {}: {text}", tenant.name, listener.name)?;
        }
    }
    Ok(())
}

/// Whom report-only exceptions let pass, an exception a row and then its devices.
fn report_only(status: &Status, output: &mut impl Write) -> anyhow::Result<()> {
    let listeners = status.tenants.iter().flat_map(|tenant| tenant.listeners.iter().map(move |each| (tenant, each)));
    let reports: Vec<_> = listeners
        .flat_map(|(tenant, listener)| listener.report_only.iter().map(move |report| (tenant, listener, report)))
        .collect();
    if reports.is_empty() {
        writeln!(output, "no report-only exception has let anybody pass")?;
        return Ok(());
    }
    let rows = reports.iter().map(|(tenant, listener, report)| {
        let [requests, devices] = [report.requests.to_string(), report.devices.len().to_string()];
        [tenant.name.clone(), listener.name.clone(), report.exception.clone(), requests, devices]
    });
    writeln!(output, "{}", table(["tenant", "listener", "exception", "requests", "devices"], rows))?;
    let rows = reports.iter().flat_map(|(tenant, listener, report)| {
        let device = |(device, count): (&String, &u64)| {
            [tenant.name.clone(), listener.name.clone(), device.clone(), count.to_string()]
        };
        let others = (report.of_others > 0).then(|| {
            [tenant.name.clone(), listener.name.clone(), "further devices".to_owned(), report.of_others.to_string()]
        });
        report.devices.iter().map(device).chain(others).collect::<Vec<_>>()
    });
    writeln!(output, "\n{}", table(["tenant", "listener", "device", "requests"], rows))?;
    Ok(())
}

fn row(tenant: &TenantStatus, listener: &ListenerStatus) -> [String; 8] {
    let (address, state) = match &listener.state {
        ListenerState::Up { address, socket: SocketOrigin::Own } => (address, "up".to_owned()),
        ListenerState::Up { address, socket: SocketOrigin::Passed } => (address, "up, passed".to_owned()),
        ListenerState::Waiting { address, reason, waiting_since } => {
            (address, format!("waiting since {waiting_since:.0}: {reason}"))
        }
        ListenerState::Closed { address } => (address, "closed".to_owned()),
        ListenerState::Disabled { address } => (address, "disabled".to_owned()),
    };
    let state = match (listener.shared_with, listener.is_default) {
        (0, _) => state,
        (others, true) => format!("{state}, shared with {others}, the default"),
        (others, false) => format!("{state}, shared with {others}"),
    };
    let [requests, denied, bytes] = [listener.requests, listener.denied, listener.bytes].map(|count| count.to_string());
    let (tenant, name, protocol) = (tenant.name.clone(), listener.name.clone(), listener.protocol.clone());
    [tenant, name, protocol, address.clone(), state, requests, denied, bytes]
}

/// The reasons of all listeners together.
fn denials(tenant: &TenantStatus) -> String {
    let mut sums = std::collections::BTreeMap::<&str, u64>::new();
    for (reason, count) in tenant.listeners.iter().flat_map(|listener| &listener.denials) {
        *sums.entry(reason).or_default() += count;
    }
    sums.iter().map(|(reason, count)| format!("{reason} {count}")).collect::<Vec<_>>().join(", ")
}

fn uptime(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}
