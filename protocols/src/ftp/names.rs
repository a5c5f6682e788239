//! Which names a list shows: LIST, NLST and STAT take a pattern of a shell in the last segment.
//!
//! No RFC knows it and every server has it: `mget *.cfg` of most clients leaves it to the server. What a list may show is settled
//! before, by the folder's permit; MLSD and MLST take a path alone (RFC 3659 section 7).

use globset::{GlobBuilder, GlobMatcher};
use provost_core::path::Case;

/// The longest pattern that is one, in bytes: a match costs its length times that of the name, of each name in a folder.
const MAX_PATTERN: usize = 64;

/// What a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The path, without the pattern.
    pub path: &'a [u8],
    /// Which names of the folder.
    pub names: Names,
}

/// Which names of a folder are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    /// Each.
    All,
    /// Those that a pattern matches.
    Matching(String),
}

/// The names of a list, with the pattern compiled.
#[derive(Debug)]
pub enum Filter<'a> {
    /// Each.
    All,
    /// Those that the pattern matches, or that are spelled as it.
    Matching(GlobMatcher, &'a str),
}

impl<'a> Asked<'a> {
    /// A path whose last segment may be a pattern.
    pub(super) fn parse(argument: &'a [u8]) -> Self {
        let begin = argument.iter().rposition(|byte| matches!(byte, b'/' | b'\\')).map_or(0, |separator| separator + 1);
        match argument.split_at_checked(begin).map(|(path, last)| (path, pattern(last))) {
            Some((path, Some(pattern))) => Self { path, names: Names::Matching(pattern.to_owned()) },
            Some((_, None)) | None => Self::all(argument),
        }
    }

    /// A path, whatever stands in it.
    pub fn all(path: &'a [u8]) -> Self {
        Self { path, names: Names::All }
    }
}

/// The segment, if it is a pattern. One that does not parse is a name.
fn pattern(segment: &[u8]) -> Option<&str> {
    let is_pattern = segment.len() <= MAX_PATTERN && segment.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['));
    let pattern = std::str::from_utf8(segment).ok().filter(|_| is_pattern)?;
    compile(pattern, Case::Exact).is_some().then_some(pattern)
}

/// Braces are no part of patterns here: they stand for themselves, as on other servers.
fn compile(pattern: &str, case: Case) -> Option<GlobMatcher> {
    let pattern = pattern.replace('{', "[{]").replace('}', "[}]");
    let glob = GlobBuilder::new(&pattern).literal_separator(true).case_insensitive(case == Case::Ignore).build();
    glob.ok().map(|glob| glob.compile_matcher())
}

impl Names {
    /// The names where case counts or does not.
    pub fn filter(&self, case: Case) -> Filter<'_> {
        match self {
            Self::All => Filter::All,
            // It did compile when it was read.
            Self::Matching(pattern) => {
                compile(pattern, case).map_or(Filter::All, |matcher| Filter::Matching(matcher, pattern))
            }
        }
    }
}

impl Filter<'_> {
    /// A name that is spelled as the pattern is meant, too.
    pub fn takes(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Matching(matcher, pattern) => name == *pattern || matcher.is_match(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_segment_may_be_a_pattern() {
        let rows: [(&[u8], &[u8], Option<&str>); 10] = [
            (b"", b"", None),
            (b"logs", b"logs", None),
            (b"*.cfg", b"", Some("*.cfg")),
            (b"logs/*", b"logs/", Some("*")),
            (b"/s?p.[cx]fg", b"/", Some("s?p.[cx]fg")),
            (b"logs\\*.txt", b"logs\\", Some("*.txt")),
            (b"lo*/a.txt", b"lo*/a.txt", None),
            (b"logs/*/", b"logs/*/", None),
            (b"a[1", b"a[1", None),
            (b"\xe9*", b"\xe9*", None),
        ];
        for (argument, path, pattern) in rows {
            let names = pattern.map_or(Names::All, |pattern| Names::Matching(pattern.into()));
            assert_eq!(Asked::parse(argument), Asked { path, names }, "{argument:?}");
        }
        let long = [b'*'; MAX_PATTERN + 1];
        assert_eq!(Asked::parse(&long), Asked::all(&long));
    }

    #[test]
    fn a_pattern_matches_as_in_a_shell() {
        let rows = [
            ("*.cfg", "sip.cfg", Case::Exact, true),
            ("*.cfg", "sip.xml", Case::Exact, false),
            ("*.cfg", "SIP.CFG", Case::Exact, false),
            ("*.cfg", "SIP.CFG", Case::Ignore, true),
            ("s?p.cfg", "sip.cfg", Case::Exact, true),
            ("s[!i]p.cfg", "sip.cfg", Case::Exact, false),
            ("a[1].cfg", "a1.cfg", Case::Exact, true),
            ("a[1].cfg", "a[1].cfg", Case::Exact, true),
            ("*.{a,b}", "x.a", Case::Exact, false),
            ("*.{a,b}", "x.{a,b}", Case::Exact, true),
        ];
        for (pattern, name, case, takes) in rows {
            assert_eq!(Names::Matching(pattern.into()).filter(case).takes(name), takes, "{pattern} {name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_argument_is_a_path_and_a_pattern_behind_it(argument in proptest::collection::vec(0_u8.., 0..300)) {
            let asked = Asked::parse(&argument);
            let Names::Matching(pattern) = &asked.names else { return Ok(()) };
            proptest::prop_assert_eq!([asked.path, pattern.as_bytes()].concat(), argument.clone());
            for case in [Case::Exact, Case::Ignore] {
                let filter = asked.names.filter(case);
                proptest::prop_assert!(matches!(filter, Filter::Matching(..)));
                proptest::prop_assert!(filter.takes(pattern));
            }
        }
    }
}
