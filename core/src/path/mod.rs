//! The path that a request names: one parser for all protocols.
//!
//! What a peer sent becomes a [`RequestPath`] or a [`PathError`], and nothing behind this module looks at the
//! peer's bytes again. Percent-decoding is HTTP's affair and has happened before; nothing is decoded here.

pub mod link;
mod named;

use std::fmt;

pub(crate) use named::without_template;
pub use named::{Candidate, NamedDevice};

use crate::mac::Mac;

/// The longest path that is read, in bytes. Phones stay under 200.
pub const MAX_PATH_BYTES: usize = 1024;
/// The longest segment, in bytes: what common file systems can store (`NAME_MAX`).
pub const MAX_SEGMENT_BYTES: usize = 255;
/// Names that begin so are the server's own temporaries.
pub const RESERVED_PREFIX: &str = ".provost-";

/// A relative path below a tenant's roots, without `.`, `..`, empty segments or a leading slash; empty for
/// the root itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestPath {
    text: String,
    named: NamedDevice,
}

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PathError {
    /// Longer than [`MAX_PATH_BYTES`], or one segment longer than [`MAX_SEGMENT_BYTES`].
    #[error("the path is too long")]
    TooLong,
    /// Not UTF-8.
    #[error("the path is not UTF-8")]
    NotUtf8,
    /// A NUL byte.
    #[error("the path holds a NUL")]
    Nul,
    /// A control character.
    #[error("the path holds a control character")]
    Control,
    /// Resolved, the path would leave the root.
    #[error("the path leaves the root")]
    LeavesRoot,
    /// A name that the server keeps for its own temporaries.
    #[error("the name is reserved")]
    Reserved,
}

/// How the names of a tenant's files are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Case {
    /// As written.
    #[default]
    Exact,
    /// Without regard to upper and lower case.
    Ignore,
}

/// Prefixes that are cut from every path, such as `/tftpboot`.
#[derive(Debug, Clone, Default)]
pub struct Strip {
    prefixes: Vec<Vec<String>>,
    case: Case,
}

impl Strip {
    /// Prefixes to cut, each given as a path; the first that matches whole segments is cut, once.
    pub fn new<'a>(prefixes: impl IntoIterator<Item = &'a str>, case: Case) -> Self {
        let prefixes = prefixes.into_iter().map(|prefix| segments(prefix).map(str::to_owned).collect::<Vec<_>>());
        Self { prefixes: prefixes.filter(|prefix| !prefix.is_empty()).collect(), case }
    }

    fn cut<'s, 'p>(&self, path: &'s [&'p str]) -> &'s [&'p str] {
        let same = |(a, b): (&String, &&str)| match self.case {
            Case::Exact => a == b,
            Case::Ignore => a.eq_ignore_ascii_case(b),
        };
        let matches = |prefix: &&Vec<String>| prefix.len() <= path.len() && prefix.iter().zip(path).all(same);
        let length = self.prefixes.iter().find(matches).map_or(0, Vec::len);
        path.get(length..).unwrap_or_default()
    }
}

/// The segments of a path as phones write it: `/` and `\` both separate, and `//` and `/./` say nothing.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split(['/', '\\']).filter(|segment| !matches!(*segment, "" | "."))
}

impl RequestPath {
    /// Reads a path as a peer sent it.
    ///
    /// # Errors
    /// - [`PathError::TooLong`], [`PathError::NotUtf8`], [`PathError::Nul`], [`PathError::Control`]: the bytes
    /// - [`PathError::LeavesRoot`]: more `..` than folders before them
    /// - [`PathError::Reserved`]: a segment begins with [`RESERVED_PREFIX`]
    pub fn parse(raw: &[u8], strip: &Strip) -> Result<Self, PathError> {
        if raw.len() > MAX_PATH_BYTES {
            return Err(PathError::TooLong);
        }
        if raw.contains(&0) {
            return Err(PathError::Nul);
        }
        let text = std::str::from_utf8(raw).map_err(|_| PathError::NotUtf8)?;
        if text.chars().any(char::is_control) {
            return Err(PathError::Control);
        }
        let all: Vec<&str> = segments(text).collect();
        Self::from_segments(&resolve(strip.cut(&all))?)
    }

    fn from_segments(segments: &[&str]) -> Result<Self, PathError> {
        if segments.iter().any(|segment| segment.len() > MAX_SEGMENT_BYTES) {
            return Err(PathError::TooLong);
        }
        // In any case: where lookup ignores case, another spelling would find them too.
        let is_reserved = |segment: &&str| {
            segment.get(..RESERVED_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(RESERVED_PREFIX))
        };
        if segments.iter().any(is_reserved) {
            return Err(PathError::Reserved);
        }
        let text = segments.join("/");
        let named = NamedDevice::of(&text);
        Ok(Self { text, named })
    }

    /// The path of `name` inside this folder, for listings. `None` where a request could not name it.
    pub fn child(&self, name: &str) -> Option<Self> {
        let text = if self.is_root() { name.to_owned() } else { format!("{}/{name}", self.text) };
        Self::parse(text.as_bytes(), &Strip::default()).ok().filter(|path| path.text == text)
    }

    /// Where this may be a log that has rotated, `x.log.2`: the log, `x.log`, and how often it has.
    pub(crate) fn log_of_rotated(&self) -> Option<(Self, u32)> {
        let (log, number) = self.text.rsplit_once('.')?;
        let is_number = (1..=3).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse().ok().filter(|_| is_number && !number.starts_with('0'))?;
        let log = Self::parse(log.as_bytes(), &Strip::default()).ok()?;
        (log.named == self.named && self.text.starts_with(&log.text)).then_some((log, number))
    }

    /// The path as text, `/` between segments, no leading slash.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The last segment; empty for the root.
    pub fn base_name(&self) -> &str {
        self.text.rsplit('/').next().unwrap_or_default()
    }

    /// Whether this is the root itself.
    pub fn is_root(&self) -> bool {
        self.text.is_empty()
    }

    /// Which device the path names.
    pub fn named(&self) -> &NamedDevice {
        &self.named
    }

    /// Which device the folders name that the last segment stands in.
    pub(crate) fn named_by_folders(&self) -> NamedDevice {
        self.text.rsplit_once('/').map_or(NamedDevice::None, |(folders, _)| NamedDevice::of(folders))
    }

    /// The folders of the path up to the first that names a device, or leaves it in doubt: what a file of no device may stand in, too.
    pub fn site_folders(&self) -> &str {
        let mut end = 0;
        for (slash, _) in self.text.match_indices('/') {
            let segment = self.text.get(end..slash).unwrap_or_default();
            if NamedDevice::of(segment) != NamedDevice::None {
                break;
            }
            end = slash;
        }
        self.text.get(..end).unwrap_or_default()
    }

    /// The path with every spelling of `mac` in lower-case letters: how uploads are stored.
    #[must_use]
    pub fn with_mac_in_lower_case(&self, mac: Mac) -> String {
        self.respelled(mac, str::make_ascii_lowercase)
    }

    /// The names to look for, in order and each once: as asked, then with the MAC in lower and in upper case.
    pub fn spellings(&self, mac: Option<Mac>) -> Vec<String> {
        let mut spellings = vec![self.text.clone()];
        let Some(mac) = mac else { return spellings };
        for respelled in
            [self.respelled(mac, str::make_ascii_lowercase), self.respelled(mac, str::make_ascii_uppercase)]
        {
            if !spellings.contains(&respelled) {
                spellings.push(respelled);
            }
        }
        spellings
    }

    /// The ways to read this path with a device's address put in: the device, and the path in which
    /// the rules' mark stands for it.
    pub(crate) fn readings(&self) -> Vec<(Mac, String)> {
        named::readings(&self.text, &self.named, crate::rules::MARK)
    }

    fn respelled(&self, mac: Mac, change: impl Fn(&mut str)) -> String {
        let mut text = self.text.clone();
        for candidate in named::candidates(&self.text).into_iter().filter(|candidate| candidate.mac == mac) {
            if let Some(spelling) = text.get_mut(candidate.span()) {
                change(spelling);
            }
        }
        text
    }
}

fn resolve<'p>(segments: &[&'p str]) -> Result<Vec<&'p str>, PathError> {
    let mut resolved = Vec::with_capacity(segments.len());
    for segment in segments {
        if *segment == ".." {
            resolved.pop().ok_or(PathError::LeavesRoot)?;
        } else {
            resolved.push(*segment);
        }
    }
    Ok(resolved)
}

impl fmt::Display for RequestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(raw: &str) -> Result<String, PathError> {
        let strip = Strip::new(["/tftpboot", "srv/phones"], Case::Exact);
        RequestPath::parse(raw.as_bytes(), &strip).map(|path| path.text)
    }

    #[test]
    fn what_phones_write_is_resolved() {
        for (raw, path) in [
            ("0004f2aabbcc.cfg", "0004f2aabbcc.cfg"),
            ("/0004f2aabbcc.cfg", "0004f2aabbcc.cfg"),
            ("///a//b/./c", "a/b/c"),
            ("\\logs\\0004f2aabbcc-app.log", "logs/0004f2aabbcc-app.log"),
            ("yealink/../sip.cfg", "sip.cfg"),
            ("/tftpboot/sip.cfg", "sip.cfg"),
            ("tftpboot/sip.cfg", "sip.cfg"),
            ("/tftpboot/tftpboot/sip.cfg", "tftpboot/sip.cfg"),
            ("/tftpboots/sip.cfg", "tftpboots/sip.cfg"),
            ("/srv/phones/a", "a"),
            ("/srv/a", "srv/a"),
            ("/", ""),
            ("", ""),
            ("a/..", ""),
            ("...", "..."),
            ("%2e%2e/x", "%2e%2e/x"),
        ] {
            assert_eq!(parse(raw).as_deref(), Ok(path), "{raw}");
        }
    }

    #[test]
    fn what_would_leave_the_root_is_refused() {
        for raw in
            ["..", "../x", "/../x", "a/../../x", "..\\x", "a\\..\\..\\x", "/tftpboot/../x", "./../x", "a/b/../../../x"]
        {
            assert_eq!(parse(raw), Err(PathError::LeavesRoot), "{raw}");
        }
    }

    #[test]
    fn each_bad_form_has_its_error() {
        assert_eq!(parse("a\0b"), Err(PathError::Nul));
        assert_eq!(parse("a\nb"), Err(PathError::Control));
        assert_eq!(parse("a\u{85}b"), Err(PathError::Control));
        assert_eq!(parse(&"a/".repeat(600)), Err(PathError::TooLong));
        assert_eq!(parse(&"a".repeat(256)), Err(PathError::TooLong));
        assert_eq!(parse("logs/.provost-1"), Err(PathError::Reserved));
        assert_eq!(parse("logs/.Provost-1"), Err(PathError::Reserved));
        assert_eq!(RequestPath::parse(b"\xff.cfg", &Strip::default()), Err(PathError::NotUtf8));
    }

    #[test]
    fn the_mac_alone_changes_case_in_other_spellings() {
        let path =
            RequestPath::parse(b"Logs/0004F2aabbcc-App.log", &Strip::default()).unwrap_or_else(|e| panic!("{e}"));
        let NamedDevice::One(mac) = path.named().clone() else { panic!("no device") };
        assert_eq!(path.with_mac_in_lower_case(mac), "Logs/0004f2aabbcc-App.log");
        let expected = ["Logs/0004F2aabbcc-App.log", "Logs/0004f2aabbcc-App.log", "Logs/0004F2AABBCC-App.log"];
        assert_eq!(path.spellings(Some(mac)), expected);
        assert_eq!(path.spellings(None), expected[..1]);
    }

    #[test]
    fn the_folders_before_a_device_are_told() {
        for (path, folders) in [
            ("0004f2aabbcc.cfg", ""),
            ("", ""),
            ("phones/0004f2aabbcc.cfg", "phones"),
            ("a/b/c", "a/b"),
            ("a/0004f2aabbcc/b/x.cfg", "a"),
            ("0004f2aabbcc/b/x.cfg", ""),
            ("a/phone0004f2aabbcc/x.cfg", "a"),
        ] {
            let path = RequestPath::parse(path.as_bytes(), &Strip::default()).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(path.site_folders(), folders, "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_parsed_path_parses_to_itself_and_stays_inside(raw in "[a-cA-F0-9./\\\\:%-]{0,64}") {
            let Ok(path) = RequestPath::parse(raw.as_bytes(), &Strip::default()) else { return Ok(()) };
            let again = RequestPath::parse(path.text.as_bytes(), &Strip::default());
            proptest::prop_assert_eq!(again.as_ref(), Ok(&path));
            proptest::prop_assert!(path.text.split('/').all(|segment| segment != ".."));
            proptest::prop_assert!(!path.text.starts_with('/'));
        }
    }
}
