//! Sizes and durations as people write them: `16MiB`, `30s`. One way throughout: a whole number and its unit.

use std::str::FromStr;
use std::time::Duration;

/// A size in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size(pub(super) u64);

/// Bytes a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate(pub(super) u64);

/// A length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

/// The text has another form, or the value is too large.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotUnit;

/// The powers of 1024 of IEC 80000-13. `MB` and `M` are refused: they mean two things.
const SIZES: [(&str, u64); 5] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];
const SPANS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

fn scaled(text: &str, units: &[(&str, u64)]) -> Result<u64, NotUnit> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).ok_or(NotUnit)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start_matches(' ')).ok_or(NotUnit)?;
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor)).ok_or(NotUnit)
}

impl FromStr for Size {
    type Err = NotUnit;

    fn from_str(text: &str) -> Result<Self, NotUnit> {
        scaled(text, &SIZES).map(Self)
    }
}

impl FromStr for Rate {
    type Err = NotUnit;

    fn from_str(text: &str) -> Result<Self, NotUnit> {
        scaled(text.strip_suffix("/s").ok_or(NotUnit)?, &SIZES).map(Self)
    }
}

impl FromStr for Span {
    type Err = NotUnit;

    fn from_str(text: &str) -> Result<Self, NotUnit> {
        scaled(text, &SPANS).map(|milliseconds| Self(Duration::from_millis(milliseconds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_numbers_with_a_unit() {
        for (text, bytes) in [("0B", 0), ("512B", 512), ("16KiB", 16_384), ("1 MiB", 1 << 20), ("2TiB", 1 << 41)] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for text in ["", "16", "16K", "16MB", "16mib", "1.5MiB", "-1MiB", "MiB", "16MiB ", "99999999999TiB"] {
            assert_eq!(text.parse::<Size>(), Err(NotUnit), "{text}");
        }
    }

    #[test]
    fn rates_are_sizes_a_second() {
        for (text, bytes) in [("256B/s", 256), ("50MiB/s", 50 << 20)] {
            assert_eq!(text.parse(), Ok(Rate(bytes)), "{text}");
        }
        for text in ["", "256", "256B", "50MB/s", "/s", "1MiB/m"] {
            assert_eq!(text.parse::<Rate>(), Err(NotUnit), "{text}");
        }
    }

    #[test]
    fn durations_are_numbers_with_a_unit() {
        for (text, milliseconds) in [("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("1h", 3_600_000)] {
            assert_eq!(text.parse(), Ok(Span(Duration::from_millis(milliseconds))), "{text}");
        }
        for text in ["", "30", "30sec", "1m30s", "s", "-1s", "99999999999999999d"] {
            assert_eq!(text.parse::<Span>(), Err(NotUnit), "{text}");
        }
    }
}
