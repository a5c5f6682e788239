//! Rules: which paths may be read or written, and by whom.

mod builtin;
mod pattern;

use std::fmt;
use std::sync::Arc;

pub(crate) use pattern::MARK;
pub use pattern::{Pattern, PatternError};

use crate::mac::Mac;
use crate::path::{Case, NamedDevice, RequestPath};

/// Who may read the files of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Nobody.
    Nobody,
    /// The device that the path names.
    Own,
    /// Every device of the tenant.
    Device,
    /// Whoever reaches the listener from inside its prefixes.
    Anyone,
}

/// Who may write the files of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writers {
    /// Nobody.
    Nobody,
    /// The device that the path names.
    Own,
}

/// What a file is to the phone. It decides how a partial upload is applied, and what goes first when space runs out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Kind {
    /// Anything else.
    #[default]
    File,
    /// Overrides, directories, contacts: what a user loses when they are lost.
    Settings,
    /// A log: appended to and rotated.
    Log,
}

/// Whether a device's upload or the operator's file of the same name is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Prefer {
    /// What the device has sent.
    #[default]
    Uploads,
    /// What the operator wrote.
    Root,
}

/// What happens to a partial upload of a log that begins past its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gap {
    /// It is appended, and the record says `gap`.
    #[default]
    Append,
    /// It is refused with the present size.
    Refuse,
}

/// An option of TFTP (RFC 2348, 2349, 7440).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TftpOption {
    /// `blksize`.
    BlockSize,
    /// `timeout`.
    Timeout,
    /// `tsize`.
    TransferSize,
    /// `windowsize`.
    WindowSize,
}

impl TftpOption {
    /// Every option.
    pub const ALL: [Self; 4] = [Self::BlockSize, Self::Timeout, Self::TransferSize, Self::WindowSize];
}

/// One rule. An operation that it does not name is denied.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Which paths.
    pub pattern: Pattern,
    /// Who may read them.
    pub read: Option<Readers>,
    /// Who may write them.
    pub write: Option<Writers>,
    /// What they are.
    pub kind: Kind,
    /// Where reading looks first.
    pub prefer: Prefer,
    /// What a gap in a log means.
    pub gap: Gap,
    /// The size in bytes past which a log rotates; the tenant's setting where it is absent.
    pub max_size: Option<u64>,
    /// The options that a TFTP transfer of these files may be granted: some models ask for what they cannot do.
    pub tftp_options: Vec<TftpOption>,
    /// Whether the operator wrote the rule, or it is built in.
    pub origin: Origin,
}

/// Where a rule comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The tenant's file.
    Operator,
    /// The set for phones that every tenant has.
    BuiltIn,
}

/// A rule that matches a path, and the device that the path names under it.
#[derive(Debug, Clone)]
pub struct Match {
    /// The rule.
    pub rule: Arc<Rule>,
    /// The device.
    pub device: Option<Mac>,
}

/// A tenant's rules in order: the operator's, then the built-in ones. The first that matches decides.
#[derive(Debug, Clone)]
pub struct RuleSet {
    rules: Vec<Arc<Rule>>,
    case: Case,
    globs: globset::GlobSet,
}

impl RuleSet {
    /// The operator's rules before the built-in ones.
    ///
    /// # Errors
    /// - [`PatternError::TooMany`]: together the patterns are too large to compile
    pub fn new(own: Vec<Rule>, case: Case) -> Result<Self, PatternError> {
        let rules: Vec<Arc<Rule>> = own.into_iter().chain(builtin::rules()).map(Arc::new).collect();
        let mut globs = globset::GlobSetBuilder::new();
        for rule in &rules {
            globs.add(rule.pattern.compile(case)?);
        }
        let globs = globs.build().map_err(|_| PatternError::TooMany)?;
        Ok(Self { rules, case, globs })
    }

    /// The rules in the order in which they are tried.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(Arc::as_ref)
    }

    /// How names are compared.
    pub fn case(&self) -> Case {
        self.case
    }

    /// The first rule that matches `path`.
    ///
    /// A path that names a device matches only patterns with `{mac}`. An ambiguous path matches an operator's rule
    /// alone: one whose `{mac}` can stand for one device only, or one that spells the whole path out. A pattern without
    /// a slash says nothing of folders, so it settles no doubt about them: else a device could make a folder with the
    /// name of another device's file.
    pub fn find(&self, path: &RequestPath) -> Option<Match> {
        match path.named() {
            NamedDevice::None => self.find_site_file(path),
            NamedDevice::One(_) => self.find_device_file(path),
            NamedDevice::Ambiguous => self.find_ambiguous(path),
        }
    }

    fn find_site_file(&self, path: &RequestPath) -> Option<Match> {
        // `{mac}` itself cannot match here; an alternative beside it can: `{{mac},site}.cfg`.
        let index = self.globs.matches(path.as_str()).into_iter().find(|index| !self.is_any_of_device(*index))?;
        Some(Match { rule: self.rules.get(index)?.clone(), device: None })
    }

    fn find_device_file(&self, path: &RequestPath) -> Option<Match> {
        let (device, text) = path.readings().pop()?;
        let index = self.globs.matches(&text).into_iter().find(|index| self.names_device(*index))?;
        Some(Match { rule: self.rules.get(index)?.clone(), device: Some(device) })
    }

    fn find_ambiguous(&self, path: &RequestPath) -> Option<Match> {
        let spelled_out = self.globs.matches(path.as_str()).into_iter().filter(|index| self.is_literal(*index));
        let spelled_out = spelled_out.map(|index| (index, None));
        let (readings, folders) = (path.readings(), path.named_by_folders());
        let read = readings.iter().flat_map(|(device, text)| {
            let folders_agree = folders == NamedDevice::None || folders == NamedDevice::One(*device);
            let says = move |index: &usize| self.names_device(*index) && (folders_agree || self.names_folders(*index));
            self.globs.matches(text).into_iter().filter(says).map(|index| (index, Some(*device)))
        });
        let own: Vec<(usize, Option<Mac>)> =
            spelled_out.chain(read).filter(|(index, _)| self.origin(*index) == Some(Origin::Operator)).collect();
        let first = own.iter().map(|(index, _)| *index).min()?;
        let mut devices = own.iter().filter(|(index, _)| *index == first).map(|(_, device)| *device);
        let device = devices.next()?;
        devices.all(|other| other == device).then(|| self.rules.get(first).cloned())?.map(|rule| Match { rule, device })
    }

    fn names_device(&self, index: usize) -> bool {
        self.rules.get(index).is_some_and(|rule| rule.pattern.names_device())
    }

    fn names_folders(&self, index: usize) -> bool {
        self.rules.get(index).is_some_and(|rule| rule.pattern.names_folders())
    }

    fn is_any_of_device(&self, index: usize) -> bool {
        self.rules.get(index).is_some_and(|rule| rule.pattern == Pattern::ANY_OF_DEVICE)
    }

    fn is_literal(&self, index: usize) -> bool {
        self.rules.get(index).is_some_and(|rule| rule.pattern.is_literal())
    }

    fn origin(&self, index: usize) -> Option<Origin> {
        self.rules.get(index).map(|rule| rule.origin)
    }
}

impl fmt::Display for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nobody => "nobody",
            Self::Own => "own",
            Self::Device => "device",
            Self::Anyone => "anyone",
        })
    }
}

impl fmt::Display for Writers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nobody => "nobody",
            Self::Own => "own",
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Settings => "settings",
            Self::Log => "log",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::Strip;

    fn operator(pattern: &str, read: Readers) -> Rule {
        Rule {
            pattern: pattern.parse().unwrap_or_else(|error| panic!("{pattern}: {error}")),
            read: Some(read),
            write: None,
            kind: Kind::File,
            prefer: Prefer::Uploads,
            gap: Gap::Append,
            max_size: None,
            tftp_options: TftpOption::ALL.to_vec(),
            origin: Origin::Operator,
        }
    }

    fn found(own: &[&str], case: Case, path: &str) -> String {
        let own = own.iter().map(|pattern| operator(pattern, Readers::Anyone)).collect();
        let rules = RuleSet::new(own, case).unwrap_or_else(|error| panic!("{error}"));
        let path = RequestPath::parse(path.as_bytes(), &Strip::default()).unwrap_or_else(|error| panic!("{error}"));
        let Some(Match { rule, device }) = rules.find(&path) else { return "nothing".into() };
        let device = device.map_or_else(|| "-".into(), |device| device.to_string());
        format!("{} {device}", rule.pattern)
    }

    #[test]
    fn the_first_matching_rule_decides() {
        let rows: [(&[&str], &str, &str); 23] = [
            (&["secret/*"], "secret/a", "secret/* -"),
            (&["secret/*"], "secret/a/b", "** -"),
            (&["secret/**"], "secret/a/b", "secret/** -"),
            (&["*.ld"], "firmware/5.9/sip.ld", "*.ld -"),
            (&["/*.ld"], "firmware/5.9/sip.ld", "** -"),
            (&["*.{ld,bin}"], "a.bin", "*.{ld,bin} -"),
            // A path with a device never falls to a pattern without `{mac}`, nor the other way round.
            (&["*.cfg"], "0004f2aabbcc.cfg", "**{mac}** 0004f2aabbcc"),
            (&["{mac}.cfg"], "sip.cfg", "** -"),
            (&["{mac}.cfg"], "000000000000.cfg", "** -"),
            (&["{mac}-app.log"], "logs/0004F2AABBCC-app.log", "{mac}-app.log 0004f2aabbcc"),
            (&["{mac}/{mac}.cfg"], "0004f2aabbcc/0004F2AABBCC.cfg", "{mac}/{mac}.cfg 0004f2aabbcc"),
            (&["{{mac},site}.cfg"], "site.cfg", "{{mac},site}.cfg -"),
            (&["{{mac},site}.cfg"], "0004f2aabbcc.cfg", "{{mac},site}.cfg 0004f2aabbcc"),
            // Ambiguous paths.
            (&["{mac}-app.log"], "0004f2aabbcc-app.log/0004f2ddeeff-app.log", "nothing"),
            (&["{mac}-app.log"], "phone0004f2aabbcc/0004f2ddeeff-app.log", "nothing"),
            (&["{mac}.cfg"], "0004f2aabbcc/0004f2ddeeff.cfg", "nothing"),
            (&["{mac}/*.cfg"], "0004f2aabbcc/0004f2ddeeff.cfg", "{mac}/*.cfg 0004f2aabbcc"),
            (&["0004f2aabbcc/{mac}.cfg"], "0004f2aabbcc/0004f2ddeeff.cfg", "0004f2aabbcc/{mac}.cfg 0004f2ddeeff"),
            (&["*.cfg", "*"], "phone0004f2aabbcc.cfg", "nothing"),
            (&["phone{mac}.cfg"], "phone0004f2aabbcc.cfg", "phone{mac}.cfg 0004f2aabbcc"),
            (&["{mac}-*.cfg"], "0004f2aabbcc-0004f2ddeeff.cfg", "{mac}-*.cfg 0004f2aabbcc"),
            (&["*{mac}*"], "0004f2aabbcc-0004f2ddeeff.cfg", "nothing"),
            (&["fw-20261121123456.bin"], "fw-20261121123456.bin", "fw-20261121123456.bin -"),
        ];
        for (own, path, expected) in rows {
            assert_eq!(found(own, Case::Exact, path), expected, "{own:?} {path}");
        }
    }

    #[test]
    fn case_is_ignored_where_lookup_ignores_it() {
        assert_eq!(found(&["secret/*"], Case::Exact, "SECRET/a"), "** -");
        assert_eq!(found(&["secret/*"], Case::Ignore, "SECRET/a"), "secret/* -");
    }
}
