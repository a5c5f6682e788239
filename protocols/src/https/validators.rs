//! Validators of a file and the conditions that a request makes of them (RFC 9110 sections 8.8 and 13).

use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::HeaderMap;
use hyper::header::{
    ETAG, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
    LAST_MODIFIED,
};
use lru::LruCache;
use provost_tenants::Sha256;
use provost_tenants::files::FileFacts;

/// The first second that stands for one state of a file: archives and images that are built to be the same each time give all their files 0
/// or 1.
const FIRST_SECOND: u64 = 2;

/// The last second that an HTTP date can write: the end of the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;

/// How old a date must be that stands for one state of a file: times are of whole seconds here, and those of a file are late by a tick.
const SETTLED: Duration = Duration::from_secs(2);

/// How much of the hash of a file's state a tag shows, in bytes.
const TAG_BYTES: usize = 16;

/// Of how many files what an answer says of their state is remembered.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

static KNOWN: LazyLock<Mutex<LruCache<FileFacts, Arc<Validators>>>> =
    LazyLock::new(|| Mutex::new(LruCache::new(REMEMBERED)));

/// What tells one state of a file from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Validators {
    /// A strong entity tag, in its quotes.
    pub(super) etag: String,
    modified: Option<SystemTime>,
    /// Both as an answer says them.
    fields: [(HeaderName, Option<HeaderValue>); 2],
}

/// Whether the conditions of a request hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// They do.
    Proceed,
    /// The peer has this state already: 304.
    NotModified,
    /// They do not: 412.
    Failed,
}

/// What a conditional request wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// GET or HEAD.
    Read,
    /// PUT.
    Write,
}

impl Validators {
    /// The validators of a file. Device, inode, size and the times in nanoseconds: another file of the same name differs, and so does the
    /// same file after a write, also where its date was put back. Hashed: inodes are given in order, and would tell how much other tenants
    /// send.
    pub(super) fn of(facts: &FileFacts) -> Arc<Self> {
        let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(validators) = known().get(facts) {
            return Arc::clone(validators);
        }
        let validators = Arc::new(Self::made_of(facts));
        known().put(*facts, Arc::clone(&validators));
        validators
    }

    fn made_of(facts: &FileFacts) -> Self {
        let age = facts.modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (device, inode) = facts.identity;
        let mut state = Sha256::default();
        for number in [device, inode, facts.size] {
            state.update(&number.to_be_bytes());
        }
        state.update(&age.as_nanos().to_be_bytes());
        for number in [facts.changed.0, facts.changed.1] {
            state.update(&number.to_be_bytes());
        }
        let mut hash = [0; TAG_BYTES];
        hash.iter_mut().zip(state.finish()).for_each(|(to, from)| *to = from);
        let etag = format!("\"{:032x}\"", u128::from_be_bytes(hash));
        let seconds = age.as_secs();
        let modified =
            (FIRST_SECOND..=LAST_SECOND).contains(&seconds).then(|| UNIX_EPOCH + Duration::from_secs(seconds));
        let fields = [
            (ETAG, HeaderValue::try_from(&etag).ok()),
            // Where it says something and HTTP can write it.
            (LAST_MODIFIED, modified.and_then(written)),
        ];
        Self { etag, modified, fields }
    }

    /// What an answer of this moment says of the state: its tag and its date. A date that is still to come would hide the next
    /// edition from phones that ask by dates (RFC 9110 section 8.8.2.1), and so would one of which another edition may still come to
    /// be: phones would join halves of two (section 8.8.2.2).
    pub(super) fn fields(&self, now: SystemTime) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let age = self.modified.map(|modified| now.duration_since(modified));
        self.fields.iter().filter_map(move |(name, value)| {
            let value = match &age {
                Some(Err(_)) if name == LAST_MODIFIED => written(now),
                Some(Ok(age)) if name == LAST_MODIFIED && *age < SETTLED => None,
                Some(_) | None => value.clone(),
            };
            Some((name.clone(), value?))
        })
    }

    /// Whether the Range of a request is for this state of the file (RFC 9110 section 13.1.5).
    pub(super) fn allow_range(&self, headers: &HeaderMap) -> bool {
        match values(headers, &IF_RANGE).as_slice() {
            [] => true,
            [condition] if condition.starts_with(b"\"") => *condition == self.etag.as_bytes(),
            [condition] => parsed(condition).is_some_and(|date| Some(date) == self.modified),
            _ => false,
        }
    }
}

/// Judges the conditions of a request in the order of RFC 9110 section 13.2.2. `current` is absent where there is no file.
pub(super) fn judge(headers: &HeaderMap, current: Option<&Validators>, access: Access) -> Verdict {
    if headers.contains_key(IF_MATCH) {
        let holds = current.is_some_and(|current| names(headers, &IF_MATCH, |tag| tag == current.etag.as_bytes()));
        if !holds {
            return Verdict::Failed;
        }
    } else if let (Some(since), Some(current)) = (date(headers, &IF_UNMODIFIED_SINCE), current)
        // Where no date was told, none is asked for (RFC 9110 section 13.1.4).
        && current.modified.is_some_and(|modified| modified > since)
    {
        return Verdict::Failed;
    }
    let Some(current) = current else { return Verdict::Proceed };
    if headers.contains_key(IF_NONE_MATCH) {
        // The weak comparison of RFC 9110 section 8.8.3.2.
        let same = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag) == current.etag.as_bytes();
        return match (names(headers, &IF_NONE_MATCH, same), access) {
            (false, _) => Verdict::Proceed,
            (true, Access::Read) => Verdict::NotModified,
            (true, Access::Write) => Verdict::Failed,
        };
    }
    match (access, date(headers, &IF_MODIFIED_SINCE), current.modified) {
        // Dates go back where an upload is discarded or an old file restored: only the date that was told is of this state (RFC 9110
        // section 13.1.3).
        (Access::Read, Some(since), Some(modified)) if modified == since => Verdict::NotModified,
        (Access::Read | Access::Write, _, _) => Verdict::Proceed,
    }
}

fn names(headers: &HeaderMap, name: &HeaderName, same: impl Fn(&[u8]) -> bool) -> bool {
    // A tag of ours has no comma, so that splitting another's tag in two cannot make it one of ours.
    let tags = values(headers, name);
    let mut tags = tags.iter().flat_map(|list| list.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    tags.any(|tag| tag == b"*" || same(tag))
}

/// A date; one that is malformed or stands there twice says nothing (RFC 9110 sections 13.1.3 and 13.1.4).
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    let [value] = values(headers, name)[..] else { return None };
    parsed(value)
}

fn written(date: SystemTime) -> Option<HeaderValue> {
    HeaderValue::try_from(httpdate::fmt_http_date(date)).ok()
}

fn parsed(date: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(date).ok()?).ok()
}

/// Bytes, as a tag of another server's may hold what is no text (RFC 9110 section 8.8.3).
fn values<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Vec<&'h [u8]> {
    headers.get_all(name).iter().map(|value| value.as_bytes().trim_ascii()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn validators() -> Arc<Validators> {
        let modified = UNIX_EPOCH + Duration::new(784_111_777, 5);
        Validators::of(&FileFacts { size: 16, modified, changed: (784_111_777, 5), identity: (1, 255) })
    }

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_hours(500_000)
    }

    fn last_modified(validators: &Validators) -> Option<String> {
        let (_, value) = validators.fields(now()).find(|(name, _)| name == LAST_MODIFIED)?;
        value.to_str().ok().map(str::to_owned)
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap_or_else(|error| panic!("{value}: {error}")));
        }
        headers
    }

    #[test]
    fn the_tag_is_strong_and_the_date_is_in_seconds() {
        let validators = validators();
        assert_eq!(validators.etag, "\"63c30340cfe8548ed3daa48fe6eb4238\"");
        assert_eq!(last_modified(&validators).as_deref(), Some(DAY));
    }

    /// Numbers of files are given in order: a phone that knew those of its uploads could count what other tenants send.
    #[test]
    fn the_tag_does_not_tell_the_number_of_the_file() {
        let of = |inode| {
            Validators::of(&FileFacts {
                size: 16,
                modified: UNIX_EPOCH + Duration::new(784_111_777, 5),
                changed: (784_111_777, 5),
                identity: (1, inode),
            })
        };
        let [one, next] = [of(0x00ab_cdef), of(0x00ab_cdf0)].map(|validators| validators.etag.clone());
        assert_ne!(one, next);
        assert!(!one.contains("abcdef"), "{one}");
        assert_ne!(one.get(..9), next.get(..9));
    }

    #[test]
    fn times_that_http_cannot_write_are_left_out() {
        let facts = |modified| FileFacts { size: 0, modified, changed: (0, 0), identity: (0, 0) };
        let late = Validators::of(&facts(UNIX_EPOCH + Duration::from_secs(LAST_SECOND + 1)));
        assert_eq!(last_modified(&late), None);
        assert_eq!(last_modified(&Validators::of(&facts(UNIX_EPOCH - Duration::from_secs(5)))), None);
    }

    #[test]
    fn a_date_that_is_none_says_nothing_of_a_file() {
        for (seconds, since, unmodified) in [
            (0, Verdict::Proceed, Verdict::Proceed),
            (1, Verdict::Proceed, Verdict::Proceed),
            (2, Verdict::NotModified, Verdict::Failed),
        ] {
            let modified = UNIX_EPOCH + Duration::from_secs(seconds);
            let validators = Validators::of(&FileFacts { size: 0, modified, changed: (0, 0), identity: (0, 0) });
            let verdict = |name, date: &str| judge(&headers(&[(name, date)]), Some(&validators), Access::Read);
            assert_eq!(verdict("if-modified-since", &httpdate::fmt_http_date(modified)), since, "{seconds}");
            assert_eq!(verdict("if-unmodified-since", "Thu, 01 Jan 1970 00:00:00 GMT"), unmodified, "{seconds}");
        }
    }

    #[test]
    fn a_file_that_was_written_has_another_tag_though_its_date_was_put_back() {
        let of = |changed| {
            let modified = UNIX_EPOCH + Duration::from_secs(784_111_777);
            Validators::of(&FileFacts { size: 16, modified, changed, identity: (1, 255) }).etag.clone()
        };
        assert_ne!(of((784_111_777, 5)), of((784_111_778, 5)));
        assert_ne!(of((784_111_777, 5)), of((784_111_777, 6)));
    }

    #[test]
    fn no_answer_says_a_date_that_is_later_than_its_own_or_not_over() {
        let facts = |modified| FileFacts { size: 0, modified, changed: (0, 0), identity: (0, 0) };
        for (modified, said) in [
            (now() - Duration::from_secs(2), Some("Fri, 15 Jan 2027 07:59:58 GMT")),
            (now() - Duration::from_millis(1001), Some("Fri, 15 Jan 2027 07:59:58 GMT")),
            (now() - Duration::from_secs(1), None),
            (now(), None),
            (now() + Duration::from_hours(24), Some("Fri, 15 Jan 2027 08:00:00 GMT")),
        ] {
            assert_eq!(last_modified(&Validators::of(&facts(modified))).as_deref(), said);
        }
    }

    #[test]
    fn conditions() {
        use Access::{Read, Write};
        use Verdict::{Failed, NotModified, Proceed};
        let validators = validators();
        let (tag, weak) = (validators.etag.clone(), format!("W/{}", validators.etag));
        let list = format!("\"x\" , {tag}");
        for (pairs, access, there, missing) in [
            (&[][..], Read, Proceed, Proceed),
            (&[("if-none-match", tag.as_str())], Read, NotModified, Proceed),
            (&[("if-none-match", &list)], Read, NotModified, Proceed),
            (&[("if-none-match", &weak)], Read, NotModified, Proceed),
            (&[("if-none-match", "*")], Read, NotModified, Proceed),
            (&[("if-none-match", "\"x\"")], Read, Proceed, Proceed),
            (&[("if-none-match", "*")], Write, Failed, Proceed),
            (&[("if-none-match", "\"x\""), ("if-modified-since", AFTER)], Read, Proceed, Proceed),
            (&[("if-modified-since", DAY)], Read, NotModified, Proceed),
            (&[("if-modified-since", AFTER)], Read, Proceed, Proceed),
            (&[("if-modified-since", BEFORE)], Read, Proceed, Proceed),
            (&[("if-modified-since", AFTER)], Write, Proceed, Proceed),
            (&[("if-modified-since", "yesterday")], Read, Proceed, Proceed),
            (&[("if-modified-since", DAY), ("if-modified-since", DAY)], Read, Proceed, Proceed),
            (&[("if-match", tag.as_str())], Write, Proceed, Failed),
            (&[("if-match", "*")], Write, Proceed, Failed),
            (&[("if-match", &weak)], Write, Failed, Failed),
            (&[("if-match", "\"x\"")], Read, Failed, Failed),
            (&[("if-match", "\"x\""), ("if-match", tag.as_str())], Read, Proceed, Failed),
            (&[("if-unmodified-since", BEFORE)], Write, Failed, Proceed),
            (&[("if-unmodified-since", DAY)], Write, Proceed, Proceed),
            (&[("if-match", tag.as_str()), ("if-unmodified-since", BEFORE)], Write, Proceed, Failed),
        ] {
            assert_eq!(judge(&headers(pairs), Some(&validators), access), there, "{pairs:?}");
            assert_eq!(judge(&headers(pairs), None, access), missing, "{pairs:?}, no file");
        }
    }

    #[test]
    fn a_tag_that_is_no_text_is_one_of_another_server() {
        let validators = validators();
        let foreign = |name: HeaderName, more: &str| {
            let value = [b"\"\xe9\"", more.as_bytes()].concat();
            let value = HeaderValue::from_bytes(&value).unwrap_or_else(|error| panic!("{error}"));
            HeaderMap::from_iter([(name, value)])
        };
        assert!(!validators.allow_range(&foreign(IF_RANGE, "")));
        let ours = format!(", {}", validators.etag);
        assert_eq!(judge(&foreign(IF_MATCH, &ours), Some(&validators), Access::Read), Verdict::Proceed);
        assert_eq!(judge(&foreign(IF_MATCH, ""), Some(&validators), Access::Read), Verdict::Failed);
        assert_eq!(judge(&foreign(IF_NONE_MATCH, &ours), Some(&validators), Access::Read), Verdict::NotModified);
        assert_eq!(judge(&foreign(IF_MODIFIED_SINCE, ""), Some(&validators), Access::Read), Verdict::Proceed);
    }

    #[test]
    fn a_range_is_for_one_state_of_the_file() {
        let validators = validators();
        let (tag, weak) = (validators.etag.clone(), format!("W/{}", validators.etag));
        for (condition, allowed) in
            [(tag.as_str(), true), ("\"x\"", false), (&weak, false), (DAY, true), (AFTER, false), ("x", false)]
        {
            assert_eq!(validators.allow_range(&headers(&[("if-range", condition)])), allowed, "{condition}");
        }
        assert!(validators.allow_range(&HeaderMap::new()));
    }
}
