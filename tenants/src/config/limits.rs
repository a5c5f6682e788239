//! Limits: `[limits]`. Every key has the name of a field of [`Limits`], where sizes say so.

use std::time::Duration;

use super::section::Section;
use crate::limits::Limits;

/// The most that a duration may be: a bound that bounds nothing is a slip.
const LONGEST: Duration = Duration::from_hours(24);
const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

pub(super) fn read(mut section: Section<'_>) -> Limits {
    let mut limits = Limits::default();
    limits.least_rate = rate(&mut section, "least_rate", 1).unwrap_or(limits.least_rate);
    limits.bandwidth = rate(&mut section, "bandwidth", 64 * 1024);
    for (key, value) in [
        ("handshake", &mut limits.handshake),
        ("client_hello", &mut limits.client_hello),
        ("header", &mut limits.header),
        ("stall", &mut limits.stall),
        ("idle", &mut limits.idle),
        ("login", &mut limits.login),
    ] {
        span(&mut section, key, value);
    }
    for (key, value, least, most) in [
        ("header_size", &mut limits.header_bytes, KIB, MIB),
        ("memory", &mut limits.memory, MIB, 64 * KIB * MIB),
        ("command_size_before_login", &mut limits.command_bytes_before_login, 64, 64 * KIB),
        ("command_size", &mut limits.command_bytes, 64, 64 * KIB),
        // RFC 2348: from 8 to 65464; a server that grants less than RFC 1350's 512 helps nobody.
        ("tftp_block_size", &mut limits.tftp_block_bytes, 512, 65464),
        ("tftp_memory", &mut limits.tftp_memory_bytes, 64 * KIB, 64 * MIB),
    ] {
        size(&mut section, key, value, least, most);
    }
    for (key, value) in
        [("connections", &mut limits.connections), ("connections_per_address", &mut limits.connections_per_address)]
    {
        let number = section.take(key).and_then(|field| field.number(1_i64, 1_000_000));
        *value = number.and_then(|number| usize::try_from(number).ok()).unwrap_or(*value);
    }
    let commands = section.take("commands_per_second").and_then(|field| field.number(1, 1_000_000));
    limits.commands_per_second = commands.unwrap_or(limits.commands_per_second);
    // RFC 7440: from 1 to 65535 blocks.
    let window = section.take("tftp_window").and_then(|field| field.number(1, u16::MAX));
    limits.tftp_window = window.unwrap_or(limits.tftp_window);
    limits.tftp_sends = section.take("tftp_sends").and_then(|field| field.number(1, 100)).unwrap_or(limits.tftp_sends);
    section.finish();
    limits
}

fn span(section: &mut Section<'_>, key: &'static str, value: &mut Duration) {
    let Some(field) = section.take(key) else { return };
    match field.span() {
        Some(span) if span.is_zero() || span > LONGEST => field.refuse("expected more than \"0s\" and not over \"1d\""),
        Some(span) => *value = span,
        None => {}
    }
}

fn rate(section: &mut Section<'_>, key: &'static str, least: u64) -> Option<u64> {
    let field = section.take(key)?;
    let rate = field.rate()?;
    if rate < least {
        field.refuse(format!("expected at least \"{least}B/s\""));
        return None;
    }
    Some(rate)
}

fn size(section: &mut Section<'_>, key: &'static str, value: &mut usize, least: usize, most: usize) {
    let Some(field) = section.take(key) else { return };
    let Some(size) = field.size() else { return };
    match usize::try_from(size).ok().filter(|size| (least..=most).contains(size)) {
        Some(size) => *value = size,
        None => field.refuse(format!("expected from \"{least}B\" to \"{most}B\"")),
    }
}
