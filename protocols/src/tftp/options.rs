//! Options: what a peer asks for, and what it is granted (RFC 2347, 2348, 2349, 7440).
//!
//! An option that is unknown or whose value is malformed is ignored, as RFC 2347 wants it; the first of several counts.

use std::time::Duration;

use provost_core::Operation;
use provost_core::rules::TftpOption;
use provost_tenants::Limits;

use super::packet::text;
use crate::front::Front;
use crate::listen::Held;

/// The block size without an option (RFC 1350 section 2), in bytes.
const BLOCK_BYTES: usize = 512;
/// The smallest block that may be asked for (RFC 2348), in bytes.
const MIN_BLOCK_BYTES: u64 = 8;
/// The largest block that may be granted (RFC 2348), in bytes.
const MAX_BLOCK_BYTES: usize = 65464;

/// The options of a request that are known and well formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// `blksize` in bytes, at least 8; what exceeds 65,464 is cut to it.
    pub block: Option<usize>,
    /// `timeout` in seconds, 1 to 255.
    pub timeout: Option<u8>,
    /// `tsize` in bytes: the size of the file in a WRQ, without meaning in an RRQ.
    pub size: Option<u64>,
    /// `windowsize` in blocks, at least 1; what exceeds 65,535 is cut to it.
    pub window: Option<u16>,
}

/// What a transfer goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    /// Bytes in a block.
    pub block: usize,
    /// Blocks in a window.
    pub window: u16,
    /// The interval between repeats, where the peer named one.
    pub timeout: Option<Duration>,
}

/// The pairs of name and value in the tail of a request or in an OACK. The first incomplete pair ends them.
pub fn pairs(mut rest: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let (name, behind) = text(rest).filter(|(name, _)| !name.is_empty())?;
        let (value, behind) = text(behind)?;
        rest = behind;
        Some((name, value))
    })
}

impl Asked {
    /// The known options among the pairs.
    pub fn of<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut asked = Self::default();
        for (name, value) in pairs {
            let Some(value) = decimal(value) else { continue };
            let is = |option: &str| name.eq_ignore_ascii_case(option.as_bytes());
            if is("blksize") {
                asked.block = asked.block.or_else(|| block(value));
            } else if is("timeout") {
                asked.timeout = asked.timeout.or_else(|| u8::try_from(value).ok().filter(|seconds| *seconds > 0));
            } else if is("tsize") {
                asked.size = asked.size.or(Some(value));
            } else if is("windowsize") {
                asked.window = asked.window.or_else(|| window(value));
            }
        }
        asked
    }

    /// Those of the options that the rule of the file lets be granted.
    #[must_use]
    pub fn within(self, granted: &[TftpOption]) -> Self {
        let may = |option| granted.contains(&option);
        Self {
            block: self.block.filter(|_| may(TftpOption::BlockSize)),
            timeout: self.timeout.filter(|_| may(TftpOption::Timeout)),
            size: self.size.filter(|_| may(TftpOption::TransferSize)),
            window: self.window.filter(|_| may(TftpOption::WindowSize)),
        }
    }

    /// What is granted within the limits, and the body of the OACK that says so: `None` where nothing was asked for
    /// that can be granted. `size` is that of the file which is read, where it is known.
    pub fn grant(&self, operation: Operation, size: Option<u64>, limits: &Limits) -> (Granted, Option<Vec<u8>>) {
        let most = limits.tftp_block_bytes.min(limits.tftp_memory_bytes).clamp(BLOCK_BYTES, MAX_BLOCK_BYTES);
        let block = self.block.map(|asked| asked.min(most));
        let bytes = block.unwrap_or(BLOCK_BYTES);
        let fitting = u16::try_from(limits.tftp_memory_bytes / bytes).unwrap_or(u16::MAX);
        let window = self.window.map(|asked| asked.min(limits.tftp_window).min(fitting).max(1));
        let size = match operation {
            Operation::Read => self.size.and(size),
            Operation::Write => self.size,
        };
        let mut answer = Vec::new();
        let mut accept = |name: &str, value: Option<u64>| {
            if let Some(value) = value {
                answer.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
            }
        };
        accept("blksize", block.map(|bytes| bytes as u64));
        accept("timeout", self.timeout.map(u64::from));
        accept("tsize", size);
        accept("windowsize", window.map(u64::from));
        let timeout = self.timeout.map(|seconds| Duration::from_secs(seconds.into()));
        (Granted { block: bytes, window: window.unwrap_or(1), timeout }, Some(answer).filter(|text| !text.is_empty()))
    }
}

/// Memory for the window that a transfer is going to have, and its limits with no more of it than that: where the tenant's is
/// used up, transfers go on with smaller blocks and windows.
pub(super) fn within_memory(front: &Front, limits: &Limits, asked: &Asked, operation: Operation) -> (Held, Limits) {
    let (granted, _) = asked.grant(operation, None, limits);
    let held = front.memory(granted.block * usize::from(granted.window));
    let limits = Limits { tftp_memory_bytes: held.bytes(), ..limits.clone() };
    (held, limits)
}

fn block(value: u64) -> Option<usize> {
    (value >= MIN_BLOCK_BYTES).then(|| usize::try_from(value).unwrap_or(usize::MAX).min(MAX_BLOCK_BYTES))
}

fn window(value: u64) -> Option<u16> {
    (value > 0).then(|| u16::try_from(value).unwrap_or(u16::MAX))
}

/// Digits and nothing else: no sign, no space.
fn decimal(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pairs of a request written as `name=value`, and of the OACK written the same way.
    fn negotiate(operation: Operation, asked: &str, size: Option<u64>) -> String {
        let tail = asked.replace(['=', ' '], "\0") + "\0";
        let (_, answer) = Asked::of(pairs(tail.as_bytes())).grant(operation, size, &Limits::default());
        let answer = answer.unwrap_or_default();
        let pairs = pairs(&answer).map(|(name, value)| format!("{}={}", name.escape_ascii(), value.escape_ascii()));
        pairs.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn options_are_granted_within_the_limits() {
        for (asked, granted) in [
            ("", ""),
            ("blksize=1428", "blksize=1428"),
            ("BLKSIZE=8", "blksize=8"),
            ("blksize=7", ""),
            ("blksize=0", ""),
            ("blksize=65464", "blksize=65464"),
            ("blksize=65535", "blksize=65464"),
            ("blksize=99999999999999999999", ""),
            ("blksize=-1", ""),
            ("blksize=+9", ""),
            ("blksize=1k", ""),
            ("blksize=", ""),
            ("blksize=1024 blksize=512", "blksize=1024"),
            ("blksize=x blksize=512", "blksize=512"),
            ("timeout=0", ""),
            ("timeout=1", "timeout=1"),
            ("timeout=255", "timeout=255"),
            ("timeout=256", ""),
            ("tsize=0", "tsize=4711"),
            ("tsize=x", ""),
            ("windowsize=0", ""),
            ("windowsize=4", "windowsize=4"),
            ("windowsize=70000", "windowsize=64"),
            ("windowsize=64 blksize=65464", "blksize=65464 windowsize=4"),
            ("multicast= rollover=0 tsize=0", "tsize=4711"),
            ("windowsize=2 tsize=0 blksize=600 timeout=3", "blksize=600 timeout=3 tsize=4711 windowsize=2"),
        ] {
            assert_eq!(negotiate(Operation::Read, asked, Some(4711)), granted, "{asked}");
        }
    }

    #[test]
    fn tsize_is_echoed_to_a_writer_and_told_to_a_reader_where_it_is_known() {
        assert_eq!(negotiate(Operation::Write, "tsize=99", None), "tsize=99");
        assert_eq!(negotiate(Operation::Read, "tsize=0", None), "");
    }

    #[test]
    fn a_rule_keeps_options_from_being_granted() {
        let tail = b"blksize\x00900\0timeout\x003\0tsize\x000\0windowsize\x004\0";
        for (rule, granted) in [
            (&TftpOption::ALL[..], "blksize 900 timeout 3 tsize 5 windowsize 4 "),
            (&[TftpOption::TransferSize], "tsize 5 "),
            (&[TftpOption::BlockSize, TftpOption::Timeout], "blksize 900 timeout 3 "),
            (&[TftpOption::WindowSize], "windowsize 4 "),
            (&[], ""),
        ] {
            let asked = Asked::of(pairs(tail)).within(rule);
            let answer = asked.grant(Operation::Read, Some(5), &Limits::default()).1.unwrap_or_default();
            assert_eq!(String::from_utf8_lossy(&answer).replace('\0', " "), granted);
        }
    }

    #[test]
    fn garbage_behind_the_options_is_ignored() {
        for tail in [&b"tsize\x005\0"[..], b"tsize\x005\0blksize", b"tsize\x005\0blksize\x00900", b"tsize\x005\0\0\0\0"]
        {
            let asked = Asked { size: Some(5), ..Asked::default() };
            assert_eq!(Asked::of(pairs(tail)), asked, "{}", tail.escape_ascii());
        }
    }

    #[test]
    fn little_memory_makes_small_blocks_and_windows() {
        let limits = Limits { tftp_memory_bytes: 4096, ..Limits::default() };
        let asked = Asked { block: Some(65464), window: Some(64), ..Asked::default() };
        let granted = asked.grant(Operation::Read, None, &limits).0;
        assert_eq!((granted.block, granted.window), (4096, 1));
        let granted = Asked { block: None, ..asked }.grant(Operation::Read, None, &limits).0;
        assert_eq!((granted.block, granted.window), (512, 8));
    }
}
