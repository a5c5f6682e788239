//! The path of a request target, percent-decoded exactly once (RFC 9110 section 4.2.3, RFC 3986 section 2.1).
//!
//! hyper has split the target before (origin-form, absolute-form and authority-form, RFC 9112 section 3.2), and has cut query and
//! fragment. What the path means is the affair of [`provost_core::RequestPath`]; nothing is resolved here.

use std::borrow::Cow;

use hyper::Uri;
use hyper::http::uri::PathAndQuery;
use provost_core::path::link;

/// Why a target names no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// A byte that stands in no target. hyper refuses such a request by itself.
    #[error("the target holds what no target may hold")]
    Malformed,
    /// `*`, a bare authority (as of a path without its slash), or a URL that is not of HTTP.
    #[error("the target is no path")]
    NotAPath,
    /// A `%` without two hex digits behind it.
    #[error("the target has a `%` without two hex digits")]
    PercentEncoding,
    /// An encoded `/` or `\`: a segment that holds a separator is nothing that a phone asks for, and what decodes twice
    /// reads it otherwise than what decodes once.
    #[error("the target has an encoded separator")]
    Separator,
}

impl TargetError {
    /// A short fixed word for records.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "header_malformed",
            Self::NotAPath => "target_not_a_path",
            Self::PercentEncoding => "target_percent_encoding",
            Self::Separator => "target_separator",
        }
    }
}

/// The path of a target as it stands on the wire, alone or behind a scheme and a host, for whoever foretells what the server does
/// with it. The first slash may be left out.
///
/// # Errors
/// - [`TargetError`]: the server answers 400 before it decides anything
pub fn path_of(target: &str) -> Result<Vec<u8>, TargetError> {
    if let Some(uri) = Uri::try_from(target).ok().filter(|uri| uri.scheme().is_some()) {
        return decode(written(&uri));
    }
    let slash = if target.starts_with('/') { "" } else { "/" };
    let target = PathAndQuery::try_from(format!("{slash}{target}")).map_err(|_| TargetError::Malformed)?;
    decode(target.path())
}

/// What a target has in the place of a path. It begins with a slash only where it is one.
pub(super) fn written(uri: &Uri) -> &str {
    match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "https") | None, None) | (Some("http" | "https"), Some(_)) => uri.path(),
        (None, Some(authority)) => authority.as_str(),
        (Some(other), _) => other,
    }
}

/// Decodes a path.
///
/// # Errors
/// - [`TargetError`]: it does not begin with `/`, or an encoding is malformed or hides a separator
pub(super) fn decode(path: &str) -> Result<Vec<u8>, TargetError> {
    if !path.starts_with('/') {
        return Err(TargetError::NotAPath);
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => match (bytes.next().and_then(digit), bytes.next().and_then(digit)) {
                (Some(high), Some(low)) => decoded.push(separates_nothing(high << 4 | low)?),
                (None, _) | (_, None) => return Err(TargetError::PercentEncoding),
            },
            plain => decoded.push(plain),
        }
    }
    Ok(decoded)
}

/// What stands for a path that cannot be decoded, in the record of it: as it was written, but where it may hold a secret link.
pub(super) fn shown(written: &str) -> Cow<'_, [u8]> {
    let mut plain = Vec::with_capacity(written.len());
    let mut rest = written.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        let decoded = match (byte, behind) {
            (b'%', [high, low, ..]) => digit(*high).zip(digit(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        plain.push(decoded.unwrap_or(*byte));
        rest = if decoded.is_some() { behind.get(2..).unwrap_or_default() } else { behind };
    }
    match link::hide(&plain) {
        Cow::Borrowed(_) => Cow::Borrowed(written.as_bytes()),
        Cow::Owned(hidden) => Cow::Owned(hidden),
    }
}

fn separates_nothing(byte: u8) -> Result<u8, TargetError> {
    match byte {
        b'/' | b'\\' => Err(TargetError::Separator),
        other => Ok(other),
    }
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_decoded_exactly_once() {
        for (path, decoded) in [
            ("/", "/"),
            ("/0004f2aabbcc.cfg", "/0004f2aabbcc.cfg"),
            ("/a%20b+c", "/a b+c"),
            ("/%30004f2aabbcc.cfg", "/0004f2aabbcc.cfg"),
            ("/%252e%252e/a", "/%2e%2e/a"),
            ("/%2e%2e/a", "/../a"),
            ("/%252f", "/%2f"),
            ("/a\\b", "/a\\b"),
            ("/%00", "/\0"),
            ("/%C3%BC", "/ü"),
        ] {
            assert_eq!(decode(path).as_deref(), Ok(decoded.as_bytes()), "{path}");
        }
    }

    #[test]
    fn targets_that_name_no_path_for_certain_are_refused() {
        for (path, error) in [
            ("", TargetError::NotAPath),
            ("*", TargetError::NotAPath),
            ("a.cfg", TargetError::NotAPath),
            ("/a%", TargetError::PercentEncoding),
            ("/a%2", TargetError::PercentEncoding),
            ("/a%2g", TargetError::PercentEncoding),
            ("/a%%41", TargetError::PercentEncoding),
            ("/a%u002f", TargetError::PercentEncoding),
            ("/a%2Fb", TargetError::Separator),
            ("/a%2fb", TargetError::Separator),
            ("/..%5C..%5Cb", TargetError::Separator),
        ] {
            assert_eq!(decode(path), Err(error), "{path}");
        }
    }

    #[test]
    fn a_target_is_taken_as_hyper_takes_it() {
        for (target, path) in [
            ("a.cfg", Ok("/a.cfg")),
            ("/a.cfg?x=%2f#y", Ok("/a.cfg")),
            ("", Ok("/")),
            (r"sub\a.cfg", Ok(r"/sub\a.cfg")),
            ("a%2fb.cfg", Err(TargetError::Separator)),
            ("a b.cfg", Err(TargetError::Malformed)),
            ("a\0b.cfg", Err(TargetError::Malformed)),
            ("http://acme/a%20b.cfg?x", Ok("/a b.cfg")),
            ("HTTPS://acme:8443", Ok("/")),
            ("https://acme/a%2fb", Err(TargetError::Separator)),
            ("ftp://acme/a.cfg", Err(TargetError::NotAPath)),
        ] {
            assert_eq!(path_of(target), path.map(|path| path.as_bytes().to_vec()), "{target}");
        }
    }

    #[test]
    fn no_record_of_a_malformed_target_shows_a_token() {
        let token = "0123456789abcdef0123";
        for path in ["/k/T/%zz", "/%6b/T/%zz", "/%6B/0123456789abcde%660123/%2f", "/a/..%2fk/T/%"] {
            let shown = shown(&path.replace('T', token)).into_owned();
            assert!(!String::from_utf8_lossy(&shown).contains("0123456789abcde"), "{path}");
        }
        assert_eq!(&*shown("/a%2fb%zz"), b"/a%2fb%zz");
    }

    proptest::proptest! {
        #[test]
        fn what_is_encoded_whole_is_decoded_back(name in "[^/\\\\]{0,40}") {
            let encoded = name.bytes().fold("/".to_owned(), |encoded, byte| format!("{encoded}%{byte:02X}"));
            proptest::prop_assert_eq!(decode(&encoded), Ok(format!("/{name}").into_bytes()));
        }
    }
}
