//! Passwords that a tenant's phones share.
//!
//! Every request compares every credential, so that the time an answer takes does not tell which users exist.

use std::sync::Arc;

use jiff::civil::Date;
use provost_core::{Mac, PasswordProof};
use secrecy::{ExposeSecret, SecretString};

use crate::devices::Devices;
use crate::devices::password::{PasswordDigest, digest, same};

/// The shared credentials of one tenant.
#[derive(Debug, Default)]
pub struct Users {
    credentials: Vec<Shared>,
}

/// One shared password. A user may have several that are valid at once, so that they can be changed phone by phone.
#[derive(Debug, Clone)]
pub struct Credential {
    /// The user.
    pub name: String,
    /// The password.
    pub password: SecretString,
    /// The last day (UTC) on which it is valid; always valid where it is absent.
    pub expires: Option<Date>,
}

struct Shared {
    name: Arc<str>,
    digest: PasswordDigest,
    expires: Option<Date>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("name", &self.name).field("expires", &self.expires).finish_non_exhaustive()
    }
}

impl Users {
    /// The shared credentials of a tenant.
    pub fn new(credentials: Vec<Credential>) -> Self {
        let shared = |credential: Credential| Shared {
            digest: digest(credential.name.as_bytes(), credential.password.expose_secret().as_bytes()),
            name: credential.name.into(),
            expires: credential.expires,
        };
        Self { credentials: credentials.into_iter().map(shared).collect() }
    }

    /// What a user and password prove: a shared credential of this tenant, or, where the user is a MAC, the password of that
    /// device. The work is the same whether the user exists or not.
    pub fn verify(&self, devices: &Devices, user: &[u8], password: &[u8]) -> PasswordProof {
        let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
        self.verify_on(today, devices, user, password)
    }

    /// Whether a credential of this name is valid today, for `provost explain`; peers are never told.
    pub fn has(&self, name: &str) -> bool {
        let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let valid = |credential: &&Shared| credential.expires.is_none_or(|last_day| today <= last_day);
        self.credentials.iter().filter(valid).any(|credential| &*credential.name == name)
    }

    fn verify_on(&self, today: Date, devices: &Devices, user: &[u8], password: &[u8]) -> PasswordProof {
        let shown = digest(user, password);
        let mut shared = None;
        for credential in &self.credentials {
            let valid = credential.expires.is_none_or(|last_day| today <= last_day);
            if same(&shown, &credential.digest) && valid {
                shared = Some(&credential.name);
            }
        }
        let mac = std::str::from_utf8(user).ok().and_then(|user| user.parse::<Mac>().ok());
        // A user that is no MAC is compared all the same, with a device that cannot be listed.
        let of_device = devices.verify_password(mac.unwrap_or(Mac::from_octets([0; 6])), password);
        match (mac, shared) {
            (Some(mac), _) if of_device => PasswordProof::Device(mac),
            (_, Some(name)) => PasswordProof::Shared(Arc::clone(name)),
            (_, None) => PasswordProof::Wrong,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::devices::DevicesSettings;
    use crate::testing::{DEVICE, NEIGHBOUR};

    fn credential(name: &str, password: &str, expires: Option<Date>) -> Credential {
        Credential { name: name.into(), password: password.into(), expires }
    }

    fn devices() -> Devices {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let file = folder.path().join("devices.csv");
        let rows = format!("mac,password\n{DEVICE},own\n{NEIGHBOUR},\n");
        std::fs::write(&file, rows).unwrap_or_else(|error| panic!("{error}"));
        let settings = DevicesSettings { list: Vec::new(), file: Some(file) };
        Devices::load(settings).unwrap_or_else(|errors| panic!("{errors:?}"))
    }

    #[test]
    fn passwords_rotate_and_expire() {
        let users = Users::new(vec![
            credential("PlcmSpIp", "old", Some(date(2027, 3, 31))),
            credential("PlcmSpIp", "new", None),
            credential("other", "another", None),
        ]);
        let devices = devices();
        let (last, after) = (date(2027, 3, 31), date(2027, 4, 1));
        for (today, user, password, name) in [
            (last, "PlcmSpIp", "old", Some("PlcmSpIp")),
            (after, "PlcmSpIp", "old", None),
            (last, "PlcmSpIp", "new", Some("PlcmSpIp")),
            (after, "PlcmSpIp", "new", Some("PlcmSpIp")),
            (after, "other", "another", Some("other")),
            (after, "other", "new", None),
            (after, "plcmspip", "new", None),
            (after, "PlcmSpI", "pnew", None),
            (after, "", "", None),
        ] {
            let expected = name.map_or(PasswordProof::Wrong, |name| PasswordProof::Shared(name.into()));
            let proof = users.verify_on(today, &devices, user.as_bytes(), password.as_bytes());
            assert_eq!(proof, expected, "{today} {user} {password}");
        }
    }

    #[test]
    fn a_user_that_is_a_mac_proves_that_device() {
        let users = Users::new(vec![credential("0004f2aabbcc", "shared", None)]);
        let devices = devices();
        for (user, password, expected) in [
            ("0004f2aabbcc", "own", PasswordProof::Device(DEVICE)),
            ("00:04:F2:AA:BB:CC", "own", PasswordProof::Device(DEVICE)),
            ("0004f2aabbcc", "shared", PasswordProof::Shared("0004f2aabbcc".into())),
            ("0004f2aabbcc", "", PasswordProof::Wrong),
            ("0004f2ddeeff", "own", PasswordProof::Wrong),
            ("0004f2ddeeff", "", PasswordProof::Wrong),
            ("000000000000", "", PasswordProof::Wrong),
            ("\u{e9}", "own", PasswordProof::Wrong),
        ] {
            assert_eq!(users.verify(&devices, user.as_bytes(), password.as_bytes()), expected, "{user} {password}");
        }
        assert_eq!(users.verify(&devices, b"\xff", b"own"), PasswordProof::Wrong);
    }

    #[test]
    fn no_password_is_printed() {
        let credential = credential("PlcmSpIp", "hunter2", None);
        let users = Users::new(vec![credential.clone()]);
        let digest = format!("{:?}", digest(b"PlcmSpIp", b"hunter2"));
        let printed = format!("{users:?} {credential:?}");
        assert!(!printed.contains("hunter2") && !printed.contains(&digest), "{printed}");
    }
}
