//! A tenant's rules in order, and which of them matches a path.

use std::sync::{Arc, LazyLock};

use globset::{GlobSet, GlobSetBuilder};

use super::{Kind, Pattern, PatternError, Readers, Rule, builtin};
use crate::mac::Mac;
use crate::path::{Case, NamedDevice, RequestPath};

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
    own: Arc<Layer>,
    /// All tenants have them in common.
    built_in: Arc<Layer>,
    case: Case,
}

/// Rules that are compiled together.
#[derive(Debug, Clone)]
struct Layer {
    rules: Vec<Arc<Rule>>,
    globs: GlobSet,
}

impl RuleSet {
    /// The operator's rules before the built-in ones.
    ///
    /// # Errors
    /// - [`PatternError::NotGlob`]: a pattern is none
    /// - [`PatternError::TooMany`]: together the patterns are too large to compile
    pub fn new(own: Vec<Rule>, case: Case) -> Result<Self, PatternError> {
        Ok(Self { own: Arc::new(Layer::new(own, case)?), built_in: built_in(case)?, case })
    }

    /// The rules in the order in which they are tried.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.layers().flat_map(|layer| &layer.rules).map(Arc::as_ref)
    }

    /// Whether something may be read by whoever reaches the listener.
    pub fn let_anyone_read(&self) -> bool {
        self.iter().any(|rule| rule.read == Some(Readers::Anyone))
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
    ///
    /// A log that has rotated is read as the log itself, and written by nobody: the server gives it its name, so that a rule for the
    /// log is one for what becomes of it, unless one of the operator's before it matches the name that it has now.
    pub fn find(&self, path: &RequestPath) -> Option<Match> {
        let found = self.find_named(path);
        match self.log_of(path, found.as_ref()) {
            Some((log, _)) => Some(Match { rule: Arc::new(Rule { write: None, ..Rule::clone(&log.rule) }), ..log }),
            None => found,
        }
    }

    /// How often the log has rotated that has this path: 2 for `x.log.2`. `None` for what is no log that has rotated.
    pub fn rotations(&self, path: &RequestPath) -> Option<u32> {
        let found = self.find_named(path);
        self.log_of(path, found.as_ref()).map(|(_, rotations)| rotations)
    }

    /// The rule of the log that this one was before it rotated, and how often it did. `found` is what matches the name that it has
    /// now; of a name that leaves its device in doubt it is often nothing.
    fn log_of(&self, path: &RequestPath, found: Option<&Match>) -> Option<(Match, u32)> {
        let (log, rotations) = path.log_of_rotated()?;
        let log = self.find_named(&log).filter(|log| log.rule.kind == Kind::Log)?;
        let place = found.map_or(usize::MAX, |found| self.place(&found.rule));
        (self.place(&log.rule) <= place).then_some((log, rotations))
    }

    /// Where an operator's rule stands; the built-in ones stand behind all of them.
    fn place(&self, rule: &Arc<Rule>) -> usize {
        self.own.rules.iter().position(|own| Arc::ptr_eq(own, rule)).unwrap_or(usize::MAX)
    }

    fn find_named(&self, path: &RequestPath) -> Option<Match> {
        match path.named() {
            NamedDevice::None => self.find_site_file(path),
            NamedDevice::One(_) => self.find_device_file(path),
            NamedDevice::Ambiguous => self.find_ambiguous(path),
        }
    }

    fn find_site_file(&self, path: &RequestPath) -> Option<Match> {
        // `{mac}` itself cannot match here; an alternative beside it can: `{{mac},site}.cfg`.
        let mut fitting = self.layers().flat_map(|layer| layer.matching(path.as_str()));
        let (_, rule) = fitting.find(|(_, rule)| rule.pattern != Pattern::ANY_OF_DEVICE)?;
        Some(Match { rule: Arc::clone(rule), device: None })
    }

    fn find_device_file(&self, path: &RequestPath) -> Option<Match> {
        let (device, text) = path.readings().pop()?;
        let mut fitting = self.layers().flat_map(|layer| layer.matching(&text));
        let (_, rule) = fitting.find(|(_, rule)| rule.pattern.names_device())?;
        Some(Match { rule: Arc::clone(rule), device: Some(device) })
    }

    fn find_ambiguous(&self, path: &RequestPath) -> Option<Match> {
        let (readings, folders) = (path.readings(), path.named_by_folders());
        let spells_out =
            |pattern: &Pattern| pattern.is_literal() && (pattern.names_folders() || folders == NamedDevice::None);
        let spelled_out = self.own.matching(path.as_str()).filter(|(_, rule)| spells_out(&rule.pattern));
        let spelled_out = spelled_out.map(|(index, _)| (index, None));
        let read = readings.iter().flat_map(|(device, text)| {
            let folders_agree = folders == NamedDevice::None || folders == NamedDevice::One(*device);
            let says = move |pattern: &Pattern| {
                let folders_matter = !folders_agree && !pattern.names_folders() && !pattern.fits_every_name();
                pattern.names_device() && !folders_matter
            };
            let matching = self.own.matching(text).filter(move |(_, rule)| says(&rule.pattern));
            matching.map(|(index, _)| (index, Some(*device)))
        });
        let matching: Vec<(usize, Option<Mac>)> = spelled_out.chain(read).collect();
        let first = matching.iter().map(|(index, _)| *index).min()?;
        let mut devices = matching.iter().filter(|(index, _)| *index == first).map(|(_, device)| *device);
        let device = devices.next()?;
        // One that fits every name settles no doubt about any.
        let is_sure = |rule: &&Arc<Rule>| !rule.pattern.fits_every_name() && devices.all(|other| other == device);
        let rule = self.own.rules.get(first).filter(is_sure)?;
        Some(Match { rule: Arc::clone(rule), device })
    }

    fn layers(&self) -> impl Iterator<Item = &Layer> {
        [&self.own, &*self.built_in].into_iter()
    }
}

impl Layer {
    fn new(rules: impl IntoIterator<Item = Rule>, case: Case) -> Result<Self, PatternError> {
        let rules: Vec<Arc<Rule>> = rules.into_iter().map(Arc::new).collect();
        let mut globs = GlobSetBuilder::new();
        for rule in &rules {
            globs.add(rule.pattern.compile(case)?);
        }
        let globs = globs.build().map_err(|_| PatternError::TooMany)?;
        Ok(Self { rules, globs })
    }

    /// The rules that match, by their number, in order.
    fn matching(&self, path: &str) -> impl Iterator<Item = (usize, &Arc<Rule>)> {
        self.globs.matches(path).into_iter().filter_map(|index| Some((index, self.rules.get(index)?)))
    }
}

/// They are compiled once for each way to compare: for thousands of tenants it would be a seventh of a start.
fn built_in(case: Case) -> Result<Arc<Layer>, PatternError> {
    type Compiled = LazyLock<Result<Arc<Layer>, PatternError>>;
    static EXACT: Compiled = LazyLock::new(|| Layer::new(builtin::rules(), Case::Exact).map(Arc::new));
    static IGNORE: Compiled = LazyLock::new(|| Layer::new(builtin::rules(), Case::Ignore).map(Arc::new));
    match case {
        Case::Exact => EXACT.clone(),
        Case::Ignore => IGNORE.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Gap, Origin, Prefer, TftpOption, Writers};
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
        let rows: [(&[&str], &str, &str); 29] = [
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
            (&["**{mac}**"], "0004f2aabbcc/0004f2ddeeff.cfg", "nothing"),
            (&["**{mac}**", "{mac}-*.cfg"], "0004f2aabbcc-0004f2ddeeff.cfg", "nothing"),
            (&["fw-20261121123456.bin"], "fw-20261121123456.bin", "fw-20261121123456.bin -"),
            (&["fw-20261121123456.bin"], "5.9/fw-20261121123456.bin", "fw-20261121123456.bin -"),
            (&["fw-20261121123456.bin"], "0004f2ddeeff/fw-20261121123456.bin", "nothing"),
            (&["/fw-20261121123456.bin"], "0004f2ddeeff/fw-20261121123456.bin", "nothing"),
            (
                &["0004f2ddeeff/fw-20261121123456.bin"],
                "0004f2ddeeff/fw-20261121123456.bin",
                "0004f2ddeeff/fw-20261121123456.bin -",
            ),
        ];
        for (own, path, expected) in rows {
            assert_eq!(found(own, Case::Exact, path), expected, "{own:?} {path}");
        }
    }

    #[test]
    fn a_log_that_has_rotated_is_read_as_the_log_and_not_written() {
        let log = |pattern: &str, kind| Rule { kind, write: Some(Writers::Own), ..operator(pattern, Readers::Nobody) };
        let find = |own: Vec<Rule>, path: &str| {
            let rules = RuleSet::new(own, Case::Exact).unwrap_or_else(|error| panic!("{error}"));
            let path = RequestPath::parse(path.as_bytes(), &Strip::default()).unwrap_or_else(|error| panic!("{error}"));
            let found = rules.find(&path).unwrap_or_else(|| panic!("nothing"));
            (found.rule.read, found.rule.write, found.rule.kind)
        };
        let secret = || log("{mac}-wo.log", Kind::Log);
        let (nobody, own) = (Some(Readers::Nobody), Some(Readers::Own));
        assert_eq!(find(vec![secret()], "0004f2aabbcc-wo.log"), (nobody, Some(Writers::Own), Kind::Log));
        for rotated in ["0004f2aabbcc-wo.log.1", "0004f2aabbcc-wo.log.20", "logs/0004f2aabbcc-wo.log.3"] {
            assert_eq!(find(vec![secret()], rotated), (nobody, None, Kind::Log), "{rotated}");
        }
        for other in
            ["0004f2aabbcc-wo.log.x", "0004f2aabbcc-wo.log.", "0004f2aabbcc-wo.log.1.1", "0004f2aabbcc-other.log.1"]
        {
            assert_eq!(find(vec![secret()], other).0, own, "{other}");
        }
        let named = Rule { read: Some(Readers::Anyone), ..operator("{mac}-wo.log.*", Readers::Anyone) };
        assert_eq!(find(vec![named, secret()], "0004f2aabbcc-wo.log.1").0, Some(Readers::Anyone), "it comes first");
        let wide = operator("{mac}-*", Readers::Anyone);
        assert_eq!(find(vec![secret(), wide], "0004f2aabbcc-wo.log.1").0, nobody, "the log's comes first");
        assert_eq!(find(vec![log("{mac}-wo.cfg", Kind::File)], "0004f2aabbcc-wo.cfg.1").0, own, "no log");
        let all = || log("{mac}-wo*", Kind::Log);
        assert_eq!(find(vec![all()], "0004f2aabbcc-wo-x"), (nobody, Some(Writers::Own), Kind::Log));
        assert_eq!(find(vec![all()], "0004f2aabbcc-wo-x.1"), (nobody, None, Kind::Log), "the log's rule matches both");
        assert_eq!(find(Vec::new(), "0004f2aabbcc-core.log.1"), (own, None, Kind::Log), "of a built-in rule");
        let settled = vec![log("phone{mac}.log", Kind::Log)];
        assert_eq!(find(settled, "phone0004f2aabbcc.log.1"), (nobody, None, Kind::Log), "no other rule matches it");
        assert_eq!(find(Vec::new(), "0004f2aabbcc-core.1"), (own, Some(Writers::Own), Kind::File), "no log");
    }

    #[test]
    fn how_often_a_log_has_rotated_is_told_by_the_rules() {
        let log = |pattern: &str| Rule { kind: Kind::Log, ..operator(pattern, Readers::Own) };
        let file = operator("{mac}-file.*", Readers::Own);
        let rules = RuleSet::new(vec![file, log("{mac}-trace"), log("{mac}-file.log")], Case::Exact);
        let rules = rules.unwrap_or_else(|error| panic!("{error}"));
        for (path, rotations) in [
            ("0004f2aabbcc-app.log.2", Some(2)),
            ("logs/0004f2aabbcc-trace.3", Some(3)),
            ("0004f2aabbcc-trace", None),
            ("0004f2aabbcc-trace.0", None),
            ("0004f2aabbcc-trace.007", None),
            ("0004f2aabbcc-web.cfg.1", None),
            ("0004f2aabbcc-core.1", None),
            ("0004f2aabbcc-file.log.1", None),
            ("site.log.1", None),
        ] {
            let parsed =
                RequestPath::parse(path.as_bytes(), &Strip::default()).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(rules.rotations(&parsed), rotations, "{path}");
        }
    }

    #[test]
    fn case_is_ignored_where_lookup_ignores_it() {
        assert_eq!(found(&["secret/*"], Case::Exact, "SECRET/a"), "** -");
        assert_eq!(found(&["secret/*"], Case::Ignore, "SECRET/a"), "secret/* -");
    }
}
