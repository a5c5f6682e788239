//! The pattern of a rule: a glob over paths in which `{mac}` stands for a device's address in any spelling.

use std::fmt;
use std::str::FromStr;

use globset::{Glob, GlobBuilder};

use crate::mac::Mac;
use crate::path::{Case, NamedDevice, without_template};

/// Stands for `{mac}` while globs are matched. No path holds a control character, so nothing else can match it.
pub(crate) const MARK: char = '\u{1}';

/// A glob over paths: `*` and `?` do not cross `/`, `**` does, `[…]` is a class, `{a,b}` are alternatives, and
/// `{mac}` is the address of the device. Without a slash it matches the base name in any folder; with a slash at its
/// start it counts from the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Form);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Glob(String),
    /// Every path that names a device.
    AnyOfDevice,
    /// Every path.
    Any,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing to match.
    #[error("an empty pattern")]
    Empty,
    /// A control character, which no path holds.
    #[error("a control character in the pattern")]
    Control,
    /// Segments that no resolved path holds.
    #[error("`.`, `..` or an empty segment in the pattern, which no resolved path holds")]
    Unresolved,
    /// A `**` beside other characters of its segment. As a glob it would be a `*`, and leave open what stands in folders.
    #[error("`**` crosses folders only where it is a whole segment, as in `secret/**` or `**/*.cfg`")]
    PartOfSegment,
    /// A word in braces that is not `mac`. As a glob it would be that word itself, and the rule without effect.
    #[error("`{{{0}}}` stands for nothing: expected `{{mac}}`, or alternatives such as `{{cfg,xml}}`")]
    Placeholder(String),
    /// Not a glob.
    #[error("not a glob: {0}")]
    NotGlob(String),
    /// The rules' patterns together are too large.
    #[error("the patterns are too large together")]
    TooMany,
}

impl Pattern {
    /// Every path that names a device.
    pub(super) const ANY_OF_DEVICE: Self = Self(Form::AnyOfDevice);
    /// Every path.
    pub(super) const ANY: Self = Self(Form::Any);

    /// Whether it fits every name, or every name of a device: `**`, `**{mac}**`.
    pub fn fits_every_name(&self) -> bool {
        [Self::ANY, Self::ANY_OF_DEVICE].contains(self)
    }

    /// Whether `{mac}` stands in it.
    pub fn names_device(&self) -> bool {
        match &self.0 {
            Form::Glob(text) => text.contains("{mac}"),
            Form::AnyOfDevice => true,
            Form::Any => false,
        }
    }

    /// The device that it spells out, where every path that it could match names one: then it matches nothing, as such a path matches
    /// only patterns with `{mac}`.
    pub fn spells_device(&self) -> Option<Mac> {
        let Form::Glob(text) = &self.0 else { return None };
        if text.contains(['{', '[', '\\']) {
            return None;
        }
        // What stands for `*` and `?` may end the address, or make a longer number of it, such as a date.
        let named = |wildcard| NamedDevice::of(&text.replace(['*', '?'], wildcard));
        match (named("_"), named("0")) {
            (NamedDevice::One(mac), NamedDevice::One(_) | NamedDevice::Ambiguous) => Some(mac),
            (NamedDevice::None | NamedDevice::One(_) | NamedDevice::Ambiguous, _) => None,
        }
    }

    /// Whether it spells the beginning of an address out, as `0004f2*.cfg` does: paths of whole addresses, which it may be meant for, match
    /// only patterns with `{mac}`.
    pub fn spells_half_a_device(&self) -> bool {
        match &self.0 {
            Form::Glob(text) => !self.names_device() && text.split('/').any(begins_an_address),
            Form::AnyOfDevice | Form::Any => false,
        }
    }

    /// Whether it says anything of the folders that a file stands in.
    pub(super) fn names_folders(&self) -> bool {
        match &self.0 {
            Form::Glob(text) => text.contains('/'),
            Form::AnyOfDevice | Form::Any => false,
        }
    }

    /// Whether it spells a name out: with its folders, or in any of them where it has no slash.
    pub(super) fn is_literal(&self) -> bool {
        match &self.0 {
            Form::Glob(text) => !text.contains(['*', '?', '[', '{', '\\']),
            Form::AnyOfDevice | Form::Any => false,
        }
    }

    pub(super) fn compile(&self, case: Case) -> Result<Glob, PatternError> {
        let glob = match &self.0 {
            Form::Glob(text) => anchored(text).replace("{mac}", &MARK.to_string()),
            Form::AnyOfDevice | Form::Any => "**".to_owned(),
        };
        GlobBuilder::new(&glob)
            .literal_separator(true)
            .backslash_escape(true)
            .case_insensitive(case == Case::Ignore)
            .build()
            .map_err(|error| PatternError::NotGlob(error.kind().to_string()))
    }
}

fn anchored(text: &str) -> String {
    match text.strip_prefix('/') {
        Some(from_root) => from_root.to_owned(),
        None if text.contains('/') => text.to_owned(),
        None => format!("**/{text}"),
    }
}

/// Whether an OUI stands before the first wildcard, at the start or behind a vendor's word, and what follows may end the address. Words
/// such as `facade`, and dates, are none.
fn begins_an_address(segment: &str) -> bool {
    let Some((head, _)) = segment.split_once(['*', '?']) else { return false };
    let digits = without_template(head);
    let is_word = !digits.contains(|c: char| c.is_ascii_digit());
    let is_date = digits.len() > 6 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_begun = digits.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, '-' | ':'));
    let ends = ["0", "00", "000", "0000", "00000", "000000", "00-00-00", "00:00:00", "-00-00-00", ":00:00:00"];
    let named = |end| NamedDevice::of(&format!("{digits}{end}"));
    is_begun && !is_word && !is_date && ends.into_iter().any(|end| matches!(named(end), NamedDevice::One(_)))
}

fn unknown_placeholder(text: &str) -> Option<&str> {
    let words = text.match_indices('{').filter(|(at, _)| !text[..*at].ends_with('\\'));
    let mut words = words.filter_map(|(at, _)| Some(text[at + 1..].split_once('}')?.0));
    words.find(|word| *word != "mac" && word.chars().all(|c| c.is_alphanumeric() || matches!(c, ' ' | '_' | '-')))
}

fn has_stars_beside_others(text: &str) -> bool {
    let text = text.replace("{mac}", &MARK.to_string());
    let (begins, ends) = (|c| matches!(c, '/' | '{' | ','), |c| matches!(c, '/' | '}' | ','));
    text.match_indices("**").any(|(at, stars)| {
        let (before, behind) = (&text[..at], &text[at + stars.len()..]);
        !(before.chars().next_back().is_none_or(begins) && behind.chars().next().is_none_or(ends))
    })
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let from_root = text.strip_prefix('/').unwrap_or(text);
        if from_root.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.chars().any(char::is_control) {
            return Err(PatternError::Control);
        }
        if from_root.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(PatternError::Unresolved);
        }
        if let Some(word) = unknown_placeholder(text) {
            return Err(PatternError::Placeholder(word.to_owned()));
        }
        if text == Self::ANY_OF_DEVICE.to_string() {
            return Ok(Self::ANY_OF_DEVICE);
        }
        if has_stars_beside_others(text) {
            return Err(PatternError::PartOfSegment);
        }
        let pattern = Self(Form::Glob(text.to_owned()));
        pattern.compile(Case::Exact)?;
        Ok(pattern)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Form::Glob(text) => text,
            Form::AnyOfDevice => "**{mac}**",
            Form::Any => "**",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_could_never_match_are_refused() {
        for (text, error) in [
            ("", PatternError::Empty),
            ("/", PatternError::Empty),
            ("a\u{1}", PatternError::Control),
            ("a//b", PatternError::Unresolved),
            ("../b", PatternError::Unresolved),
            ("a/", PatternError::Unresolved),
            ("/secret**", PatternError::PartOfSegment),
            ("/up/{mac}**", PatternError::PartOfSegment),
            ("**backup**/**", PatternError::PartOfSegment),
            ("a/***", PatternError::PartOfSegment),
        ] {
            assert_eq!(text.parse::<Pattern>(), Err(error), "{text}");
        }
        for (text, word) in [("{MAC}-app.log", "MAC"), ("{ mac }.cfg", " mac "), ("{mac}/{name}", "name"), ("{}", "")] {
            assert_eq!(text.parse::<Pattern>(), Err(PatternError::Placeholder(word.to_owned())), "{text}");
        }
        for text in ["{mac}.{cfg,xml}", "\\{name\\}", "[{]name", "**", "a/**/b", "/**/{mac}/**", "{a/**,b}"] {
            assert!(text.parse::<Pattern>().is_ok(), "{text}");
        }
        // As it is printed.
        assert_eq!("**{mac}**".parse::<Pattern>(), Ok(Pattern::ANY_OF_DEVICE));
        assert!(matches!("a[".parse::<Pattern>(), Err(PatternError::NotGlob(_))));
        assert!(matches!("{mac".parse::<Pattern>(), Err(PatternError::NotGlob(_))));
    }

    #[test]
    fn a_pattern_that_spells_half_a_device_is_told() {
        for (text, is_half) in [
            ("0004f2*.cfg", true),
            ("0004F2??????.cfg", true),
            ("0004f2aa*", true),
            ("SEP0004f2*.cnf.xml", true),
            ("cfg000b82*", true),
            ("ata001122*", true),
            ("/phones/001565*/**", true),
            ("00-04-f2-*.xml", true),
            ("00:04:f2*", true),
            ("0004f2*-{mac}.cfg", false),
            ("{mac}*.cfg", false),
            ("facade*", false),
            ("20261121*.bin", false),
            ("fw-0004f2*.bin", false),
            ("3111-44500-001*", false),
            ("000000*.cfg", false),
            ("*.cfg", false),
            ("y0000000000*.cfg", false),
            ("0004f2.cfg", false),
        ] {
            let pattern: Pattern = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(pattern.spells_half_a_device(), is_half, "{text}");
        }
    }

    #[test]
    fn a_pattern_that_spells_a_device_out_is_told() {
        for (text, device) in [
            ("0004f2aabbcc.cfg", Some("0004f2aabbcc")),
            ("/SEP0004F2AABBCC.cnf.xml", Some("0004f2aabbcc")),
            ("*0004f2aabbcc*", Some("0004f2aabbcc")),
            ("0004f2aabbcc/**", Some("0004f2aabbcc")),
            ("00-04-f2-aa-bb-cc-*.xml", Some("0004f2aabbcc")),
            // It matches paths that name nobody, too.
            ("{site,0004f2aabbcc}.cfg", None),
            ("[0004f2aabbcc].cfg", None),
            ("*26-11-21-10-22-33.log", None),
            ("000000000000.cfg", None),
            ("sip.cfg", None),
            ("**", None),
            // A rule for it has its effect.
            ("0004f2aabbcc/{mac}.cfg", None),
            ("fw-20261121123456.bin", None),
            ("0004f2aabbcc-0004f2ddeeff.cfg", None),
        ] {
            let pattern: Pattern = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(pattern.spells_device().map(|mac| mac.to_string()).as_deref(), device, "{text}");
        }
    }
}
