//! How a name is listed: as `ls -l` does, or by facts (RFC 3659 section 7).

use std::time::SystemTime;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use provost_tenants::files::{Entry, FileFacts};

/// Older files are listed with their year instead of the time, as `ls` does.
const HALF_A_YEAR: SignedDuration = SignedDuration::from_hours(182 * 24);

/// A fact that MLST and MLSD know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fact {
    Type,
    Size,
    Modify,
    Perm,
}

impl Fact {
    pub(super) const ALL: [Self; 4] = [Self::Type, Self::Size, Self::Modify, Self::Perm];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Size => "size",
            Self::Modify => "modify",
            Self::Perm => "perm",
        }
    }

    fn value(self, facts: Option<&FileFacts>) -> Option<String> {
        match (self, facts) {
            (Self::Type, Some(_)) => Some("file".into()),
            (Self::Type, None) => Some("dir".into()),
            (Self::Size, facts) => facts.map(|facts| facts.size.to_string()),
            (Self::Modify, facts) => facts.map(|facts| modified(facts.modified)),
            // What may be written is decided when it is.
            (Self::Perm, Some(_)) => Some("r".into()),
            (Self::Perm, None) => Some("el".into()),
        }
    }
}

/// The facts of a list such as `type;size;`, in our order; names that are not known are passed over.
pub(super) fn chosen(list: &[u8]) -> Vec<Fact> {
    let named =
        |fact: &Fact| list.split(|byte| *byte == b';').any(|name| name.eq_ignore_ascii_case(fact.name().as_bytes()));
    Fact::ALL.into_iter().filter(named).collect()
}

/// The facts of one name and the name, without a line end (RFC 3659 section 7.2).
pub(super) fn by_facts(name: &str, facts: Option<&FileFacts>, chosen: &[Fact]) -> String {
    let mut line = String::new();
    for fact in chosen {
        if let Some(value) = fact.value(facts) {
            line.extend([fact.name(), "=", &value, ";"]);
        }
    }
    line.push(' ');
    line.push_str(name);
    line
}

/// A name as `ls -l` lists it, which is what clients parse, without a line end.
pub(super) fn long(entry: &Entry, now: Timestamp) -> String {
    let Entry { name, facts } = entry;
    match facts {
        Some(FileFacts { size, modified, .. }) => {
            format!("-rw-r--r--   1 ftp      ftp      {size:>12} {} {name}", age(*modified, now))
        }
        None => format!("drwxr-xr-x   2 ftp      ftp      {:>12} {} {name}", 0, age(now.into(), now)),
    }
}

/// `YYYYMMDDHHMMSS` in UTC (RFC 3659 section 2.3).
pub(super) fn modified(time: SystemTime) -> String {
    utc(time).strftime("%Y%m%d%H%M%S").to_string()
}

fn age(time: SystemTime, now: Timestamp) -> String {
    let time = utc(time);
    let age = now.duration_since(time.timestamp());
    let is_recent = !age.is_negative() && age < HALF_A_YEAR;
    time.strftime(if is_recent { "%b %e %H:%M" } else { "%b %e  %Y" }).to_string()
}

/// A time that the calendar does not reach is the epoch.
fn utc(time: SystemTime) -> Zoned {
    Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(TimeZone::UTC)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// 2026-11-21 10:00:00 UTC.
    const THEN: u64 = 1_795_255_200;

    fn facts(seconds: u64) -> FileFacts {
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        FileFacts { size: 1234, modified, changed: (0, 0), identity: (0, 0) }
    }

    #[test]
    fn files_and_folders_are_listed_as_ls_does() {
        let now = Timestamp::try_from(facts(THEN + 3600).modified).unwrap_or_else(|e| panic!("{e}"));
        let line = |seconds| long(&Entry { name: "a b.cfg".into(), facts: Some(facts(seconds)) }, now);
        assert_eq!(line(THEN), "-rw-r--r--   1 ftp      ftp              1234 Nov 21 10:00 a b.cfg");
        assert_eq!(line(THEN - 365 * 86400), "-rw-r--r--   1 ftp      ftp              1234 Nov 21  2025 a b.cfg");
        assert_eq!(line(THEN + 2 * 86400), "-rw-r--r--   1 ftp      ftp              1234 Nov 23  2026 a b.cfg");
        let folder = long(&Entry { name: "logs".into(), facts: None }, now);
        assert_eq!(folder, "drwxr-xr-x   2 ftp      ftp                 0 Nov 21 11:00 logs");
    }

    #[test]
    fn facts_come_as_chosen() {
        assert_eq!(
            by_facts("a.cfg", Some(&facts(THEN)), &Fact::ALL),
            "type=file;size=1234;modify=20261121100000;perm=r; a.cfg"
        );
        assert_eq!(by_facts("logs", None, &Fact::ALL), "type=dir;perm=el; logs");
        assert_eq!(by_facts("a.cfg", Some(&facts(THEN)), &chosen(b"size;colour;TYPE;")), "type=file;size=1234; a.cfg");
        assert_eq!(by_facts("a.cfg", Some(&facts(THEN)), &chosen(b"")), " a.cfg");
    }
}
