//! The user and password of an Authorization field: Basic (RFC 7617) and Digest (RFC 7616).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;

use super::digest::{Digest, DigestError};
use crate::passwords::Presented;

const SCHEME: &str = "Digest";

/// What the Authorization of a request shows.
#[derive(Debug)]
pub(super) enum Credentials {
    /// There is none.
    Absent,
    /// It proves as little as a wrong password.
    Unusable(Unusable),
    /// A user and a password.
    Basic(Arc<Presented>),
    /// An answer to a challenge.
    Digest(Box<Digest>),
}

/// Why an Authorization is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unusable {
    /// Neither Basic nor Digest, malformed, or more than one.
    #[error("the Authorization is neither Basic nor Digest, or is malformed")]
    Unread,
    /// A Digest that is not what was asked for.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

/// Reads the Authorization of a request.
pub(super) fn read(headers: &HeaderMap) -> Credentials {
    if !headers.contains_key(AUTHORIZATION) {
        return Credentials::Absent;
    }
    if let Some((user, password)) = basic(headers) {
        return Credentials::Basic(Presented::new(user, password));
    }
    match digest(headers) {
        Ok(digest) => Credentials::Digest(Box::new(digest)),
        Err(why) => Credentials::Unusable(why),
    }
}

fn digest(headers: &HeaderMap) -> Result<Digest, Unusable> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(Unusable::Unread) };
    let value = value.as_bytes().trim_ascii();
    let (scheme, rest) = value.split_at_checked(SCHEME.len()).ok_or(Unusable::Unread)?;
    if !scheme.eq_ignore_ascii_case(SCHEME.as_bytes()) || !rest.starts_with(b" ") {
        return Err(Unusable::Unread);
    }
    Ok(Digest::parse(rest)?)
}

fn basic(headers: &HeaderMap) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let pair = STANDARD.decode(token.trim()).ok()?;
    // The first colon: a user's name has none, a password may (RFC 7617 section 2).
    let colon = pair.iter().position(|byte| *byte == b':')?;
    let (user, rest) = pair.split_at_checked(colon)?;
    Some((user.to_vec(), rest.get(1..)?.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(values: &[&str]) -> Option<(String, String)> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap_or_else(|error| panic!("{value}: {error}")));
        }
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        basic(&headers).map(|(user, password)| (text(user), text(password)))
    }

    #[test]
    fn basic_credentials_are_read() {
        assert_eq!(pair(&["Basic UGxjbVNwSXA6UGxjbVNwSXA="]), Some(("PlcmSpIp".into(), "PlcmSpIp".into())));
        assert_eq!(pair(&["basic  YTpiOmM="]), Some(("a".into(), "b:c".into())));
        assert_eq!(pair(&["Basic Og=="]), Some((String::new(), String::new())));
    }

    #[test]
    fn what_is_no_basic_credential_is_none() {
        for values in [
            &["Basic"][..],
            &["Basic "],
            &["Basic !"],
            &["Basic YQ=="],
            &["Bearer YTpi"],
            &["Digest username=\"a\""],
            &["YTpi"],
            &["Basic YTpi", "Basic YTpi"],
        ] {
            assert_eq!(pair(values), None, "{values:?}");
        }
    }
}
