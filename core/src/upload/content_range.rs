//! The Content-Range of a PUT: RFC 9110 section 14.4, with the spellings that phones use.

use std::str::FromStr;

/// Which bytes of the whole a partial upload carries: `bytes first-last/complete`, `complete` may be `*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentRange {
    first: u64,
    last: u64,
    complete: Option<u64>,
}

/// Why a text is no Content-Range of a partial upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// Another unit than bytes.
    #[error("expected the unit `bytes`")]
    NotBytes,
    /// Not `first-last/complete`.
    #[error("expected `bytes first-last/complete` or `bytes first-last/*`")]
    Malformed,
    /// A number over 2^64 - 1.
    #[error("a number is too large")]
    Overflow,
    /// `last` before `first`.
    #[error("the last byte lies before the first")]
    Backwards,
    /// `last` at `complete` or past it.
    #[error("the last byte lies past the complete length")]
    PastComplete,
    /// The body has another length than the range.
    #[error("the body is not as long as the range")]
    BodyLength,
}

impl ContentRange {
    /// The bytes from `first` to `last`, both included, of `complete` bytes.
    ///
    /// # Errors
    /// - [`RangeError::Backwards`], [`RangeError::PastComplete`]: the numbers do not go together
    /// - [`RangeError::Overflow`]: the length does not fit in 64 bits
    pub fn new(first: u64, last: u64, complete: Option<u64>) -> Result<Self, RangeError> {
        if last < first {
            return Err(RangeError::Backwards);
        }
        if complete.is_some_and(|complete| last >= complete) {
            return Err(RangeError::PastComplete);
        }
        if last == u64::MAX {
            return Err(RangeError::Overflow);
        }
        Ok(Self { first, last, complete })
    }

    /// The offset of the first byte.
    pub fn first(self) -> u64 {
        self.first
    }

    /// The offset of the last byte.
    pub fn last(self) -> u64 {
        self.last
    }

    /// The length of the whole, where the peer said it.
    pub fn complete(self) -> Option<u64> {
        self.complete
    }

    /// How many bytes it carries; at least 1.
    pub fn length(self) -> u64 {
        self.last - self.first + 1
    }

    /// Compares a body's length with the range's.
    ///
    /// # Errors
    /// - [`RangeError::BodyLength`]: they differ
    pub fn check_body(self, length: u64) -> Result<(), RangeError> {
        if self.length() == length { Ok(()) } else { Err(RangeError::BodyLength) }
    }
}

impl FromStr for ContentRange {
    type Err = RangeError;

    /// Reads `bytes 0-4/5`, `bytes 0-4/*`, `bytes=0-4/5`, with spaces and tabs anywhere between the parts.
    fn from_str(text: &str) -> Result<Self, RangeError> {
        let text = text.trim_matches([' ', '\t']);
        let unit = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (unit, rest) = text.split_at_checked(unit).ok_or(RangeError::Malformed)?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return Err(RangeError::NotBytes);
        }
        let trimmed = rest.trim_start_matches([' ', '\t']);
        let after_sign = trimmed.strip_prefix('=').unwrap_or(trimmed);
        if after_sign.len() == rest.len() {
            return Err(RangeError::Malformed);
        }
        let (range, complete) = after_sign.split_once('/').ok_or(RangeError::Malformed)?;
        let (first, last) = range.split_once('-').ok_or(RangeError::Malformed)?;
        let complete = match complete.trim_matches([' ', '\t']) {
            "*" => None,
            number => Some(offset(number)?),
        };
        Self::new(offset(first)?, offset(last)?, complete)
    }
}

fn offset(text: &str) -> Result<u64, RangeError> {
    let digits = text.trim_matches([' ', '\t']);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(RangeError::Malformed);
    }
    digits.parse().map_err(|_| RangeError::Overflow)
}

impl std::fmt::Display for ContentRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "bytes {}-{}/", self.first, self.last)?;
        match self.complete {
            Some(complete) => write!(f, "{complete}"),
            None => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_phones_write_is_read() {
        for text in ["bytes 10-14/*", "bytes=10-14/*", "Bytes  10 - 14 / *", " bytes = 10-14/* ", "bytes\t10-14/*"] {
            assert_eq!(text.parse(), ContentRange::new(10, 14, None), "{text}");
        }
        assert_eq!("bytes 0-4/5".parse(), ContentRange::new(0, 4, Some(5)));
    }

    #[test]
    fn malformed_ranges_are_refused() {
        for (text, error) in [
            ("", RangeError::NotBytes),
            ("items 0-4/5", RangeError::NotBytes),
            ("0-4/5", RangeError::NotBytes),
            ("bytes0-4/5", RangeError::Malformed),
            ("bytes", RangeError::Malformed),
            ("bytes */5", RangeError::Malformed),
            ("bytes 0-/5", RangeError::Malformed),
            ("bytes -4/5", RangeError::Malformed),
            ("bytes 0-4", RangeError::Malformed),
            ("bytes 0-4/", RangeError::Malformed),
            ("bytes 0-4/5/6", RangeError::Malformed),
            ("bytes +0-4/5", RangeError::Malformed),
            ("bytes 0x0-4/5", RangeError::Malformed),
            ("bytes 0-4,6-7/9", RangeError::Malformed),
            ("bytes 4-0/5", RangeError::Backwards),
            ("bytes 0-4/3", RangeError::PastComplete),
            ("bytes 0-4/4", RangeError::PastComplete),
            ("bytes 0-18446744073709551616/*", RangeError::Overflow),
            ("bytes 0-18446744073709551615/*", RangeError::Overflow),
        ] {
            assert_eq!(text.parse::<ContentRange>(), Err(error), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_back(first in 0..u64::MAX / 2, length in 0..u64::MAX / 4, beyond in proptest::option::of(1..9u64)) {
            let last = first + length;
            let range = ContentRange::new(first, last, beyond.map(|beyond| last + beyond));
            let Ok(range) = range else { return Err(proptest::test_runner::TestCaseError::fail("refused")) };
            proptest::prop_assert_eq!(range.to_string().parse::<ContentRange>(), Ok(range));
        }
    }
}
