//! The Range of a GET (RFC 9110 section 14.2): which parts of a file of a known size are asked for.
//!
//! A Range that is malformed, in another unit or unreasonable is ignored, as the RFC allows: the whole file is right then.

/// More ranges than this in one request are answered with the whole file: a phone resumes with one, and many small or
/// overlapping ones are an attack (RFC 9110 section 17.15).
const MAX_RANGES: usize = 16;

/// Bytes of a file, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// The offset of the first byte.
    pub(super) first: u64,
    /// How many bytes.
    pub(super) length: u64,
}

impl Span {
    /// The offset of the last byte.
    pub(super) fn last(self) -> u64 {
        self.first + (self.length - 1)
    }
}

/// What a Range asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ranges {
    /// The whole file.
    Whole,
    /// These parts, in this order; at least one.
    Parts(Vec<Span>),
    /// Nothing that the file has.
    Unsatisfiable,
}

/// Reads a Range for a file of `size` bytes.
pub(super) fn parse(text: &str, size: u64) -> Ranges {
    let Some((unit, set)) = text.split_once('=') else { return Ranges::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Ranges::Whole;
    }
    let specs: Vec<&str> =
        set.split(',').map(|spec| spec.trim_matches([' ', '\t'])).filter(|spec| !spec.is_empty()).collect();
    if specs.is_empty() || specs.len() > MAX_RANGES {
        return Ranges::Whole;
    }
    let Some(spans) = specs.into_iter().map(|text| Some(spec(text)?.within(size))).collect::<Option<Vec<_>>>() else {
        return Ranges::Whole;
    };
    let parts: Vec<Span> = spans.into_iter().flatten().collect();
    let asked = parts.iter().fold(0, |sum: u64, part| sum.saturating_add(part.length));
    match parts.len() {
        0 => Ranges::Unsatisfiable,
        // Together more than the file: they overlap.
        2.. if asked > size => Ranges::Whole,
        _ => Ranges::Parts(parts),
    }
}

/// One part as it is written.
#[derive(Clone, Copy)]
enum Spec {
    From { first: u64, last: Option<u64> },
    Suffix(u64),
}

fn spec(text: &str) -> Option<Spec> {
    match text.split_once('-')? {
        ("", length) => Some(Spec::Suffix(number(length)?)),
        (first, "") => Some(Spec::From { first: number(first)?, last: None }),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::From { first, last: Some(last) })
        }
    }
}

/// A number; one past 64 bits lies past every file's end, as the largest does.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

impl Spec {
    fn within(self, size: u64) -> Option<Span> {
        let (first, end) = match self {
            Self::From { first, last } => (first, last.map_or(size, |last| last.saturating_add(1).min(size))),
            Self::Suffix(length) => (size.saturating_sub(length), size),
        };
        (first < end).then(|| Span { first, length: end - first })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(parts: &[(u64, u64)]) -> Ranges {
        Ranges::Parts(parts.iter().map(|&(first, length)| Span { first, length }).collect())
    }

    #[test]
    fn ranges_of_a_file_of_100_bytes() {
        for (text, ranges) in [
            ("bytes=0-9", parts(&[(0, 10)])),
            ("Bytes=10-19", parts(&[(10, 10)])),
            ("bytes=90-", parts(&[(90, 10)])),
            ("bytes=-5", parts(&[(95, 5)])),
            ("bytes=-500", parts(&[(0, 100)])),
            ("bytes=50-999", parts(&[(50, 50)])),
            ("bytes=99-99", parts(&[(99, 1)])),
            ("bytes=0-18446744073709551615", parts(&[(0, 100)])),
            ("bytes=0-99999999999999999999", parts(&[(0, 100)])),
            ("bytes=0-0, 50-59 ,-1", parts(&[(0, 1), (50, 10), (99, 1)])),
            ("bytes=0-9,200-", parts(&[(0, 10)])),
            ("bytes=100-", Ranges::Unsatisfiable),
            ("bytes=200-300,400-", Ranges::Unsatisfiable),
            ("bytes=-0", Ranges::Unsatisfiable),
            ("bytes=0-,0-", Ranges::Whole),
            ("bytes=9-0", Ranges::Whole),
            ("bytes=", Ranges::Whole),
            ("bytes=a-b", Ranges::Whole),
            ("bytes=-", Ranges::Whole),
            ("bytes=+0-9", Ranges::Whole),
            ("bytes 0-9", Ranges::Whole),
            ("lines=0-9", Ranges::Whole),
        ] {
            assert_eq!(parse(text, 100), ranges, "{text}");
        }
    }

    #[test]
    fn an_empty_file_has_no_part() {
        assert_eq!(parse("bytes=0-", 0), Ranges::Unsatisfiable);
        assert_eq!(parse("bytes=-1", 0), Ranges::Unsatisfiable);
    }

    #[test]
    fn more_than_16_ranges_are_the_whole_file() {
        let of = |count: u64| format!("bytes={}", (0..count).map(|n| format!("{n}-{n}")).collect::<Vec<_>>().join(","));
        assert!(matches!(parse(&of(16), 100), Ranges::Parts(parts) if parts.len() == 16));
        assert_eq!(parse(&of(17), 100), Ranges::Whole);
    }

    proptest::proptest! {
        #[test]
        fn parts_lie_inside_the_file(text in "bytes=[0-9,\\- ]{0,30}", size in 0..50u64) {
            if let Ranges::Parts(parts) = parse(&text, size) {
                proptest::prop_assert!(!parts.is_empty());
                for part in parts {
                    proptest::prop_assert!(part.length > 0 && part.last() < size);
                }
            }
        }
    }
}
