//! The forms in which a password stands in a configuration: as it is, as argon2id, or as H(A1).

use std::fmt;
use std::sync::Arc;

use super::argon::Slow;
use super::ha1::{Algorithm, Ha1, hex, unhex};

/// A password as it is kept. One that stood there as it is becomes its H(A1): nobody has it in memory any more.
#[derive(Clone, PartialEq, Eq)]
pub enum Stored {
    /// For Digest, and for passwords that are sent as they are.
    Ha1(Ha1),
    /// For passwords that are sent as they are alone.
    Argon2(Arc<Slow>),
}

/// How it stood in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// As it is.
    Plain,
    /// As its H(A1).
    Ha1,
    /// As argon2id.
    Argon2,
}

/// Why a text is no stored password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoredError {
    /// No protocol carries it (RFC 7617 section 2): nobody could show this password.
    #[error("expected a password without control characters")]
    ControlCharacter,
    /// It begins as a stored form does, and is none of ours: the hash itself would be taken for the password.
    #[error(
        "expected a password, or the form `$argon2id$…` or `$ha1$…` that `provost password hash` makes; a password that begins with `$` and has another `$` needs one"
    )]
    UnknownForm,
    /// `$argon2…`, and not as it should be.
    #[error("expected argon2id as `provost password hash --argon2` makes it: {0}")]
    Argon2(String),
    /// `$ha1$…`, and not as it should be.
    #[error(
        "expected `$ha1$sha256=` with 64 hex digits, `$md5=` with 32, or both, as `provost password hash` makes it"
    )]
    Ha1,
}

impl Form {
    /// As reports say it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Ha1 => "ha1",
            Self::Argon2 => "argon2id",
        }
    }
}

impl Stored {
    /// Reads what stands in a configuration as the password of this user in this realm.
    ///
    /// # Errors
    /// - [`StoredError`]: it has a control character, or begins as a stored form and is none
    pub fn read(text: &str, user: &[u8], realm: &str) -> Result<(Self, Form), StoredError> {
        if text.contains(char::is_control) {
            return Err(StoredError::ControlCharacter);
        }
        match form(text)? {
            Form::Plain => Ok((Self::Ha1(Ha1::of(user, realm, text.as_bytes())), Form::Plain)),
            Form::Ha1 => Ok((Self::Ha1(read_ha1(text)?), Form::Ha1)),
            Form::Argon2 => Ok((Self::Argon2(Arc::new(Slow::read(text)?)), Form::Argon2)),
        }
    }

    /// Whether any Digest can be compared with it.
    pub(crate) fn can_digest_any(&self) -> bool {
        [Algorithm::Sha256, Algorithm::Md5].into_iter().any(|algorithm| self.can_digest(algorithm))
    }

    /// Whether a Digest of this algorithm can.
    pub(crate) fn can_digest(&self, algorithm: Algorithm) -> bool {
        match (self, algorithm) {
            (Self::Ha1(ha1), Algorithm::Sha256) => ha1.sha256.is_some(),
            (Self::Ha1(ha1), Algorithm::Md5) => ha1.md5.is_some(),
            (Self::Argon2(_), _) => false,
        }
    }

    /// What tells it from another one.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Ha1(ha1) => {
                let parts = [ha1.sha256.as_ref().map(|sum| &sum[..]), ha1.md5.as_ref().map(|sum| &sum[..])];
                parts.map(Option::unwrap_or_default).concat()
            }
            Self::Argon2(slow) => slow.bytes(),
        }
    }
}

/// Says nothing of it.
impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ha1(_) => "Ha1",
            Self::Argon2(_) => "Argon2",
        })
    }
}

/// The form that `provost password hash` prints.
impl fmt::Display for Ha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$ha1")?;
        if let Some(sum) = &self.sha256 {
            write!(f, "$sha256={}", hex(sum))?;
        }
        if let Some(sum) = &self.md5 {
            write!(f, "$md5={}", hex(sum))?;
        }
        Ok(())
    }
}

/// What a text is meant to be. `$5$…`, `$2y$…` and the like are hashes of other servers, not passwords.
fn form(text: &str) -> Result<Form, StoredError> {
    let Some((name, _)) = text.strip_prefix('$').and_then(|rest| rest.split_once('$')) else { return Ok(Form::Plain) };
    match name {
        "ha1" => Ok(Form::Ha1),
        name if name.starts_with("argon2") => Ok(Form::Argon2),
        _ => Err(StoredError::UnknownForm),
    }
}

fn read_ha1(text: &str) -> Result<Ha1, StoredError> {
    let mut ha1 = Ha1::default();
    for part in text.split('$').skip(2) {
        let is_new = match part.split_once('=') {
            Some(("sha256", sum)) => ha1.sha256.replace(unhex(sum).ok_or(StoredError::Ha1)?).is_none(),
            Some(("md5", sum)) => ha1.md5.replace(unhex(sum).ok_or(StoredError::Ha1)?).is_none(),
            Some(_) | None => false,
        };
        if !is_new {
            return Err(StoredError::Ha1);
        }
    }
    Ok(ha1)
}

#[cfg(test)]
mod tests {
    use super::super::argon::Cost;
    use super::*;

    const SHA256: &str = "sha256=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    const MD5: &str = "md5=00112233445566778899AABBCCDDEEFF";

    #[test]
    fn each_form_is_known_by_its_beginning() {
        let argon2 = "$argon2id$v=19$m=16,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        for (text, form) in [
            ("hunter2", Form::Plain),
            ("$hunter2", Form::Plain),
            ("hunter$2$x", Form::Plain),
            (&format!("$ha1${SHA256}${MD5}"), Form::Ha1),
            (&format!("$ha1${MD5}"), Form::Ha1),
            (argon2, Form::Argon2),
        ] {
            assert_eq!(Stored::read(text, b"u", "r").map(|(_, form)| form), Ok(form), "{text}");
        }
    }

    #[test]
    fn what_is_nearly_a_stored_form_is_refused() {
        let argon2 = "$argon2id$v=19$m=16,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let changed = |from, to| argon2.replace(from, to);
        for text in [
            "$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe",
            "$apr1$abc$def",
            "$$",
            "$ha1$",
            "$ha1$md5=0011",
            &format!("$ha1${MD5}x"),
            &format!("$ha1${MD5}${MD5}"),
            &format!("$ha1${SHA256}$sha1=00"),
            "$argon2id$",
            &changed("argon2id", "argon2i"),
            &changed("v=19", "v=16"),
            &changed("m=16", "m=4"),
            &changed("m=16", "m=999999999"),
            &changed("t=1", "t=99"),
            &changed(",p=1", ""),
            argon2.rsplit_once('$').map_or("", |(head, _)| head),
        ] {
            assert!(Stored::read(text, b"u", "r").is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_that_nobody_could_show_is_refused() {
        for text in ["two\nlines", "line\r", "\tx", "\0"] {
            assert_eq!(Stored::read(text, b"u", "r"), Err(StoredError::ControlCharacter), "{text:?}");
        }
    }

    #[test]
    fn what_is_made_is_read() {
        let ha1 = Ha1::of(b"u", "r", b"secret");
        assert_eq!(Stored::read(&ha1.to_string(), b"u", "r"), Ok((Stored::Ha1(ha1.clone()), Form::Ha1)));
        assert_eq!(Stored::read("secret", b"u", "r"), Ok((Stored::Ha1(ha1), Form::Plain)));
        let cost = Cost { memory: 16, passes: 1, lanes: 1 };
        let text = Slow::store(b"secret", cost).unwrap_or_else(|error| panic!("{error}"));
        let Ok((Stored::Argon2(slow), Form::Argon2)) = Stored::read(&text, b"u", "r") else { panic!("{text}") };
        assert!(slow.proves(b"secret") && !slow.proves(b"Secret") && !slow.proves(b""));
        assert_ne!(slow.tag(b"secret"), slow.tag(b"Secret"));
        assert_eq!(format!("{slow:?}"), "Slow { cost: Cost { memory: 16, passes: 1, lanes: 1 }, .. }");
    }
}
