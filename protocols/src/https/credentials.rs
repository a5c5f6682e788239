//! The user and password of an Authorization field: Basic alone (RFC 7617).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use provost_core::PasswordProof;
use provost_tenants::Tenant;

/// What the Authorization of a request proves. One that cannot be read proves as little as a wrong password.
pub(super) fn password(headers: &HeaderMap, tenant: &Tenant) -> PasswordProof {
    if !headers.contains_key(AUTHORIZATION) {
        return PasswordProof::Absent;
    }
    match basic(headers) {
        Some((user, password)) => tenant.users.verify(&tenant.devices, &user, &password),
        None => PasswordProof::Wrong,
    }
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

    fn read(values: &[&str]) -> Option<(String, String)> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap_or_else(|error| panic!("{value}: {error}")));
        }
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        basic(&headers).map(|(user, password)| (text(user), text(password)))
    }

    #[test]
    fn basic_credentials_are_read() {
        assert_eq!(read(&["Basic UGxjbVNwSXA6UGxjbVNwSXA="]), Some(("PlcmSpIp".into(), "PlcmSpIp".into())));
        assert_eq!(read(&["basic  YTpiOmM="]), Some(("a".into(), "b:c".into())));
        assert_eq!(read(&["Basic Og=="]), Some((String::new(), String::new())));
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
            assert_eq!(read(values), None, "{values:?}");
        }
    }
}
