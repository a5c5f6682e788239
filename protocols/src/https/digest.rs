//! The `Digest` form of an Authorization field (RFC 7616 section 3.4): read, and nothing decided.
//!
//! Phones write it in the way of RFC 2617, so that quotes may stand or be missing anywhere. `qop` must be `auth`: without it
//! (RFC 2069) nothing counts the answers, and whoever hears one could send it again. `userhash` is not offered, nor are `-sess` algorithms.

use std::collections::HashMap;

use provost_tenants::passwords::Algorithm;

/// An answer to a challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// The user, as bytes.
    pub user: Vec<u8>,
    /// For whom the password is.
    pub realm: Vec<u8>,
    /// What the server gave.
    pub nonce: Vec<u8>,
    /// The target, as the peer believes it to be.
    pub uri: Vec<u8>,
    /// How it was computed.
    pub algorithm: Algorithm,
    /// What the peer gave.
    pub cnonce: Vec<u8>,
    /// How often the peer has used the nonce, as it was written: 8 hex digits.
    pub nc: String,
    /// What was computed, in lower-case hex.
    pub response: String,
}

/// Why a text is no such answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// Not `name=value, …`.
    #[error("the Digest is malformed")]
    Malformed,
    /// A parameter stands there twice.
    #[error("the Digest has a parameter twice")]
    Repeated,
    /// A parameter is missing.
    #[error("the Digest has no `{0}`")]
    Missing(&'static str),
    /// A parameter is none that was offered: `qop`, `algorithm` or `userhash`.
    #[error("the Digest has another `{0}` than what was offered")]
    NotOffered(&'static str),
    /// `nc`, `cnonce`, `response` or `username*` is not written as it should be.
    #[error("the Digest has a malformed `{0}`")]
    Value(&'static str),
}

/// More than any client writes.
const MOST_PARAMETERS: usize = 32;

impl Digest {
    /// Reads what stands behind the scheme's name.
    ///
    /// # Errors
    /// - [`DigestError`]
    pub fn parse(text: &[u8]) -> Result<Self, DigestError> {
        let mut values = parameters(text)?;
        let mut take = |name: &str| values.remove(name);
        if take("userhash").is_some_and(|value| !value.eq_ignore_ascii_case(b"false")) {
            return Err(DigestError::NotOffered("userhash"));
        }
        let user = match (take("username"), take("username*")) {
            (Some(user), None) => user,
            (None, Some(extended)) => extended_value(&extended).ok_or(DigestError::Value("username*"))?,
            (Some(_), Some(_)) => return Err(DigestError::Repeated),
            (None, None) => return Err(DigestError::Missing("username")),
        };
        let algorithm = match take("algorithm") {
            None => Algorithm::Md5,
            Some(name) if name.eq_ignore_ascii_case(b"MD5") => Algorithm::Md5,
            Some(name) if name.eq_ignore_ascii_case(b"SHA-256") => Algorithm::Sha256,
            Some(_) => return Err(DigestError::NotOffered("algorithm")),
        };
        match take("qop") {
            Some(qop) if qop.eq_ignore_ascii_case(b"auth") => {}
            Some(_) => return Err(DigestError::NotOffered("qop")),
            None => return Err(DigestError::Missing("qop")),
        }
        let mut need = |name: &'static str| take(name).ok_or(DigestError::Missing(name));
        let digest = Self {
            user,
            realm: need("realm")?,
            nonce: need("nonce")?,
            uri: need("uri")?,
            algorithm,
            cnonce: need("cnonce")?,
            nc: hex_text(&need("nc")?, 8).ok_or(DigestError::Value("nc"))?,
            response: hex_text(&need("response")?, length(algorithm))
                .ok_or(DigestError::Value("response"))?
                .to_ascii_lowercase(),
        };
        if digest.cnonce.is_empty() {
            return Err(DigestError::Value("cnonce"));
        }
        if digest.count() == 0 {
            return Err(DigestError::Value("nc"));
        }
        Ok(digest)
    }

    /// How often the peer has used the nonce.
    pub fn count(&self) -> u32 {
        u32::from_str_radix(&self.nc, 16).unwrap_or_default()
    }

    /// What the response is for whoever has this H(A1) (RFC 7616 section 3.4.1).
    pub fn expected(&self, ha1: &str, method: &str) -> String {
        let a2 = self.algorithm.hex(&[method.as_bytes(), &self.uri]);
        let parts = [ha1.as_bytes(), &self.nonce, self.nc.as_bytes(), &self.cnonce, b"auth", a2.as_bytes()];
        self.algorithm.hex(&parts)
    }

    /// Whether it is for this target: its path and query, alone or behind a scheme and a host (RFC 7616 section 3.4.6).
    pub fn is_for(&self, target: &str) -> bool {
        if self.uri == target.as_bytes() {
            return true;
        }
        let rest = [&b"http://"[..], b"https://"].iter().find_map(|scheme| self.uri.strip_prefix(*scheme));
        let path = rest.and_then(|rest| rest.get(rest.iter().position(|byte| *byte == b'/')?..));
        path == Some(target.as_bytes())
    }
}

const fn length(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::Sha256 => 64,
        Algorithm::Md5 => 32,
    }
}

fn hex_text(value: &[u8], length: usize) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    (text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| text.to_owned())
}

/// `name = token` and `name = "quoted"`, with commas between them (RFC 9110 sections 5.6 and 11.4). Names in lower case.
fn parameters(text: &[u8]) -> Result<HashMap<String, Vec<u8>>, DigestError> {
    let mut values = HashMap::new();
    let mut rest = text;
    loop {
        rest = trim(rest);
        // A list may have empty elements.
        if let Some(behind) = rest.strip_prefix(b",") {
            rest = behind;
            continue;
        }
        if rest.is_empty() {
            return Ok(values);
        }
        let (name, behind) = token(rest).ok_or(DigestError::Malformed)?;
        let behind = trim(behind).strip_prefix(b"=").ok_or(DigestError::Malformed)?;
        let (value, behind) = value(trim(behind)).ok_or(DigestError::Malformed)?;
        rest = trim(behind);
        if !rest.is_empty() && !rest.starts_with(b",") {
            return Err(DigestError::Malformed);
        }
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        if values.len() >= MOST_PARAMETERS {
            return Err(DigestError::Malformed);
        }
        if values.insert(name, value).is_some() {
            return Err(DigestError::Repeated);
        }
    }
}

fn value(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let Some(mut rest) = text.strip_prefix(b"\"") else {
        return token(text).map(|(token, rest)| (token.to_vec(), rest));
    };
    let mut value = Vec::new();
    loop {
        let (byte, behind) = rest.split_first()?;
        rest = behind;
        match byte {
            b'"' => return Some((value, rest)),
            b'\\' => {
                let (escaped, behind) = rest.split_first()?;
                value.push(*escaped);
                rest = behind;
            }
            byte => value.push(*byte),
        }
    }
}

/// One or more characters that stand without quotes. More of them than RFC 9110 section 5.6.2 has: phones write base64 and paths so.
fn token(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let stands = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b'=' | b'\\');
    let mut end = text.iter().take_while(|byte| stands(byte)).count();
    // What base64 is filled up with ends a value, and begins none.
    if text.get(end + 1..).is_some_and(|rest| rest.first().is_none_or(|next| matches!(next, b'=' | b','))) {
        end += text.iter().skip(end).take_while(|byte| **byte == b'=').count();
    }
    text.split_at_checked(end).filter(|(token, _)| !token.is_empty())
}

fn trim(text: &[u8]) -> &[u8] {
    let start = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    text.get(start..).unwrap_or_default()
}

/// `UTF-8'language'percent-encoded` (RFC 8187 section 3.2.1).
fn extended_value(value: &[u8]) -> Option<Vec<u8>> {
    let mut parts = value.splitn(3, |byte| *byte == b'\'');
    let (charset, _, encoded) = (parts.next()?, parts.next()?, parts.next()?);
    if !charset.eq_ignore_ascii_case(b"UTF-8") {
        return None;
    }
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut bytes = encoded.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let pair = [*bytes.next()?, *bytes.next()?];
                decoded.push(u8::from_str_radix(&hex_text(&pair, 2)?, 16).ok()?);
            }
            byte => decoded.push(*byte),
        }
    }
    String::from_utf8(decoded).ok().map(String::into_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA256: &str = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1";
    const MD5: &str = "8ca523f5e9506fed4657c9700eebdbec";

    fn rfc(algorithm: &str, response: &str) -> String {
        format!(
            "username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", algorithm={algorithm}, \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, \
             cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, response=\"{response}\", \
             opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
        )
    }

    /// RFC 7616 section 3.9.1.
    #[test]
    fn the_examples_of_the_rfc_hold() {
        for (algorithm, response) in [("MD5", MD5), ("SHA-256", SHA256)] {
            let digest = Digest::parse(rfc(algorithm, response).as_bytes()).unwrap_or_else(|error| panic!("{error}"));
            let ha1 = digest.algorithm.hex(&[b"Mufasa", b"http-auth@example.org", b"Circle of Life"]);
            assert_eq!(digest.expected(&ha1, "GET"), response);
            assert_ne!(digest.expected(&ha1, "PUT"), response);
            assert_eq!(digest.count(), 1);
        }
    }

    #[test]
    fn phones_write_it_in_many_ways() {
        let plain = Digest::parse(rfc("MD5", MD5).as_bytes());
        for (from, to) in [
            ("algorithm=MD5, ", ""),
            ("algorithm=MD5", "algorithm=\"md5\""),
            ("qop=auth", "qop=\"auth\""),
            ("nc=00000001", "nc=\"00000001\""),
            ("username=", "USERNAME ="),
            ("uri=", " uri =\t"),
            (", realm", ",,realm"),
            ("\"Mufasa\"", "Mufasa"),
            ("\"Mufasa\"", "\"\\Mufasa\""),
            ("username=\"Mufasa\"", "username*=UTF-8''%4Dufasa"),
            (MD5, &MD5.to_uppercase()),
            ("qop=auth", "qop=auth, userhash=false, extra=1"),
        ] {
            let text = rfc("MD5", MD5).replacen(from, to, 1);
            assert_eq!(Digest::parse(text.as_bytes()), plain, "{text}");
        }
    }

    #[test]
    fn what_is_no_answer_to_what_was_offered_is_refused() {
        use DigestError::{Malformed, Missing, NotOffered, Repeated, Value};
        for (from, to, error) in [
            ("qop=auth, ", "", Missing("qop")),
            ("qop=auth", "qop=auth-int", NotOffered("qop")),
            ("algorithm=MD5", "algorithm=MD5-sess", NotOffered("algorithm")),
            ("algorithm=MD5", "algorithm=SHA-512-256", NotOffered("algorithm")),
            ("qop=auth", "qop=auth, userhash=true", NotOffered("userhash")),
            ("qop=auth", "qop=auth, qop=auth", Repeated),
            ("qop=auth", "qop=auth, username*=UTF-8''a", Repeated),
            ("username=\"Mufasa\", ", "", Missing("username")),
            ("nc=00000001, ", "", Missing("nc")),
            ("nc=00000001", "nc=1", Value("nc")),
            ("nc=00000001", "nc=00000000", Value("nc")),
            ("nc=00000001", "nc=+0000001", Value("nc")),
            (MD5, SHA256, Value("response")),
            (MD5, "", Value("response")),
            ("username=\"Mufasa\"", "username*=ISO-8859-1''a", Value("username*")),
            ("username=\"Mufasa\"", "username*=UTF-8''%ff", Value("username*")),
            ("username=\"Mufasa\"", "username*=UTF-8''%4", Value("username*")),
            ("cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\"", "cnonce=\"\"", Value("cnonce")),
            ("username=\"Mufasa\"", "username=\"Mufasa", Malformed),
            ("username=\"Mufasa\"", "username", Malformed),
            ("username=\"Mufasa\"", "=Mufasa", Malformed),
            ("\"Mufasa\", ", "\"Mufasa\" ", Malformed),
        ] {
            let text = rfc("MD5", MD5).replacen(from, to, 1);
            assert_eq!(Digest::parse(text.as_bytes()), Err(error), "{text}");
        }
    }

    #[test]
    fn it_is_for_one_target() {
        let digest = |uri: &str| {
            let text = rfc("MD5", MD5).replacen("/dir/index.html", uri, 1);
            Digest::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
        };
        for (uri, target, is_for) in [
            ("/a.cfg", "/a.cfg", true),
            ("/a.cfg?x", "/a.cfg?x", true),
            ("https://10.0.0.1:443/a.cfg", "/a.cfg", true),
            ("http://host/a.cfg?x=/b", "/a.cfg?x=/b", true),
            ("/a.cfg", "/b.cfg", false),
            ("/a.cfg", "/a.cfg?x", false),
            ("ftp://host/a.cfg", "/a.cfg", false),
            ("https://host", "/", false),
            ("", "/", false),
        ] {
            assert_eq!(digest(uri).is_for(target), is_for, "{uri} {target}");
        }
    }
}
