//! Secret links: `/k/<token>/…`, where the token stands for a device.
//!
//! It is cut from the path before anything else is done with it, so that neither rules nor records see it. What has the form
//! of a link is one, whether anybody has that token or not: a path whose first folder is `k` and whose second segment is as long as a
//! token names no file.

use std::borrow::Cow;
use std::ops::RangeInclusive;

/// The lengths of tokens. A shorter one could be found by trying.
pub const TOKEN_LENGTHS: RangeInclusive<usize> = 16..=128;

const FOLDER: &[u8] = b"k";
/// What stands in a record where a token stood.
const HIDDEN: &[u8] = b"...";

/// Whether a text has the form of a token: 16 to 128 of `a-z`, `A-Z`, `0-9`, `-` and `_`.
pub fn is_token(text: &[u8]) -> bool {
    TOKEN_LENGTHS.contains(&text.len())
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// The token of a link, and the path behind it; `None` where the path is no link.
pub fn cut(raw: &[u8]) -> Option<(&[u8], &[u8])> {
    let (FOLDER, Some(behind)) = name(raw)? else { return None };
    let (token, behind) = name(behind)?;
    is_token(token).then_some((token, behind.map_or(&b"/"[..], |behind| behind_with_slash(raw, behind))))
}

/// The first segment that names something, as empty ones and `.` do not, and what follows its separator.
fn name(path: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let mut rest = path;
    loop {
        match segment(rest) {
            (b"" | b".", behind) => rest = behind?,
            named => return Some(named),
        }
    }
}

/// The path as a record may show it: a token that stands where it is no link, as behind a folder that `..` leads out of, or that has
/// something too much behind it, is hidden.
pub fn hide(raw: &[u8]) -> Cow<'_, [u8]> {
    let is_separator = |byte: &u8| matches!(byte, b'/' | b'\\');
    let is_folder = |segment: &[u8]| segment.eq_ignore_ascii_case(FOLDER);
    if !raw.split(is_separator).any(is_folder) {
        return Cow::Borrowed(raw);
    }
    // Those that the present one stands in, once what leads out of them is resolved.
    let mut folders: Vec<&[u8]> = Vec::new();
    let mut hides = false;
    let shown: Vec<&[u8]> = raw
        .split(is_separator)
        .map(|segment| {
            let is_hidden = folders.last().is_some_and(|folder| is_folder(folder)) && begins_like_a_token(segment);
            match segment {
                b"" | b"." => {}
                b".." => drop(folders.pop()),
                name => folders.push(name),
            }
            hides |= is_hidden;
            if is_hidden { HIDDEN } else { segment }
        })
        .collect();
    if hides { Cow::Owned(shown.join(&b'/')) } else { Cow::Borrowed(raw) }
}

/// Whether a token may stand there with something too much behind it: a URL without its slash, or with a comma.
fn begins_like_a_token(segment: &[u8]) -> bool {
    segment.get(..*TOKEN_LENGTHS.start()).is_some_and(is_token)
}

/// The first segment, and what follows its separator.
fn segment(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    match path.iter().position(|byte| matches!(byte, b'/' | b'\\')) {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..)),
        None => (path, None),
    }
}

/// What follows a separator, with it.
fn behind_with_slash<'a>(raw: &'a [u8], behind: &'a [u8]) -> &'a [u8] {
    raw.get(raw.len() - behind.len() - 1..).unwrap_or(behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef-_XYZ";

    fn cut_text(path: &str) -> Option<String> {
        let path = path.replace('T', TOKEN);
        let (token, rest) = cut(path.as_bytes())?;
        assert_eq!(token, TOKEN.as_bytes());
        Some(String::from_utf8_lossy(rest).into_owned())
    }

    #[test]
    fn a_link_is_cut_from_the_path() {
        for (path, rest) in [
            ("/k/T/a.cfg", Some("/a.cfg")),
            ("/k/T/a/b.cfg", Some("/a/b.cfg")),
            ("/k/T//a.cfg", Some("//a.cfg")),
            ("/k/T/", Some("/")),
            ("/k/T", Some("/")),
            ("k/T/a.cfg", Some("/a.cfg")),
            ("//./k/T/a.cfg", Some("/a.cfg")),
            ("\\k\\T\\a.cfg", Some("\\a.cfg")),
            ("/k/T/k/T/a", Some("/k/0123456789abcdef-_XYZ/a")),
            ("/K/T/a.cfg", None),
            ("/a/k/T/a.cfg", None),
            ("/a/../k/T/a.cfg", None),
            ("/k/short/a.cfg", None),
            ("/k/T.cfg", None),
            ("/k//T/a", Some("/a")),
            ("/k/./T/a", Some("/a")),
            ("//k/T/a", Some("/a")),
            ("/k/zz/../T/a", None),
            ("/k", None),
            ("/k/", None),
            ("/k/./", None),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(cut_text(path).as_deref(), rest, "{path}");
        }
        assert_eq!(cut(format!("/k/{}/a", "a".repeat(129)).as_bytes()), None);
    }

    #[test]
    fn no_record_shows_a_token_wherever_it_stands() {
        for path in [
            "/k/T/a",
            "/a/../k/T/a",
            "/x/k//T",
            "/k/./T/a",
            "/k/zz/../T/a",
            "/k/zz/.././T",
            "\\k\\T",
            "/k/T/k/T/a",
            "/k/T0004f2aabbcc.cfg",
            "/K/T/a",
            "/k/T,/a",
            "/k/T /a",
        ] {
            let path = path.replace('T', TOKEN);
            assert!(!String::from_utf8_lossy(&hide(path.as_bytes())).contains(TOKEN), "{path}");
        }
        for path in ["/a/b.cfg", "/k/short/a", "/0123456789abcdef-_XYZ/a", ""] {
            assert_eq!(hide(path.as_bytes()), path.as_bytes(), "{path}");
        }
    }
}
