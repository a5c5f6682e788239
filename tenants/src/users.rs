//! Passwords that a tenant's phones share, and the way to those of single devices.
//!
//! What is asked of an unknown user costs what is asked of a known one: see [`crate::passwords::Check`].

use std::collections::HashMap;
use std::sync::Arc;

use jiff::civil::Date;
use provost_core::proof::SharedPassword;
use provost_core::{Mac, PasswordProof};

use crate::devices::Devices;
use crate::passwords::{Algorithm, Check, Costs, Form, Stored, StoredError, raise, tag};

/// The shared credentials of one tenant.
#[derive(Debug, Default)]
pub struct Users {
    realm: Arc<str>,
    credentials: Vec<Arc<Credential>>,
    by_name: HashMap<Arc<str>, Vec<Arc<Credential>>>,
    /// The most passwords that one user has.
    width: usize,
    costs: Costs,
}

/// One shared password. A user may have several that are valid at once, so that they can be changed phone by phone.
#[derive(Debug, Clone)]
pub struct Credential {
    /// The user, and which of the tenant's passwords it is. That is told by a number that is another one in each process.
    pub shared: SharedPassword,
    /// The password.
    pub stored: Stored,
    /// How it stands in the configuration.
    pub form: Form,
    /// The last day (UTC) on which it is valid; always valid where it is absent.
    pub expires: Option<Date>,
}

impl Credential {
    /// Reads the password that stands in the configuration of the tenant `realm`.
    ///
    /// # Errors
    /// - [`StoredError`]: it has a control character, or begins as a stored form and is none
    pub fn read(realm: &str, name: &str, password: &str, expires: Option<Date>) -> Result<Self, StoredError> {
        let (stored, form) = Stored::read(password, name.as_bytes(), realm)?;
        let tag = tag(&[b"credential", name.as_bytes(), form.name().as_bytes(), &stored.bytes()]);
        let which = tag.iter().take(8).fold(0, |which, byte| which << 8 | u64::from(*byte));
        Ok(Self { shared: SharedPassword { user: name.into(), which }, stored, form, expires })
    }

    fn is_valid(&self, today: Date) -> bool {
        self.expires.is_none_or(|last_day| today <= last_day)
    }
}

impl Users {
    /// The shared credentials of the tenant `realm`.
    pub fn new(realm: &str, credentials: Vec<Credential>) -> Self {
        let credentials: Vec<_> = credentials.into_iter().map(Arc::new).collect();
        let mut by_name: HashMap<Arc<str>, Vec<Arc<Credential>>> = HashMap::new();
        for credential in &credentials {
            by_name.entry(Arc::clone(&credential.shared.user)).or_default().push(Arc::clone(credential));
        }
        let width = by_name.values().map(Vec::len).max().unwrap_or_default();
        let mut costs = Costs::new();
        for of_user in by_name.values() {
            let stored: Vec<Stored> = of_user.iter().map(|credential| credential.stored.clone()).collect();
            raise(&mut costs, &stored);
        }
        Self { realm: realm.into(), credentials, by_name, width, costs }
    }

    /// What stands to be checked of a user: its shared credentials that are valid today, or, where the user is a MAC, the
    /// passwords of that device.
    pub fn check(&self, devices: &Devices, user: &[u8], today: Date) -> Check {
        let text = std::str::from_utf8(user).unwrap_or_default();
        let Ok(mac) = text.parse::<Mac>() else {
            let of_user = self.by_name.get(text).into_iter().flatten();
            let valid = of_user.filter(|credential| credential.is_valid(today));
            let valid =
                valid.map(|credential| (PasswordProof::Shared(credential.shared.clone()), credential.stored.clone()));
            return Check::new(user, &self.realm, valid.collect(), self.width, &self.costs);
        };
        let of_device = devices.passwords(mac).into_iter().map(|stored| (PasswordProof::Device(mac), stored));
        // In the spelling that its H(A1) is made of.
        let user = mac.to_string();
        Check::new(user.as_bytes(), &self.realm, of_device.collect(), devices.password_width(), &devices.costs())
    }

    /// Whether a credential of this name is valid today, for `provost explain`; peers are never told.
    pub fn has(&self, name: &str) -> bool {
        let today = today();
        self.by_name.get(name).is_some_and(|of_user| of_user.iter().any(|credential| credential.is_valid(today)))
    }

    /// Whether one of that name that is valid today can answer a Digest, for `provost explain`.
    pub fn has_digest(&self, name: &str) -> bool {
        let today = today();
        let of_user = self.by_name.get(name).into_iter().flatten();
        of_user.filter(|credential| credential.is_valid(today)).any(|credential| credential.stored.can_digest_any())
    }

    /// All of them, in the order of the tenant's file.
    pub fn iter(&self) -> impl Iterator<Item = &Credential> {
        self.credentials.iter().map(AsRef::as_ref)
    }

    /// Whether one of them that is valid on this day can answer a Digest of this algorithm.
    pub fn can_digest(&self, algorithm: Algorithm, today: Date) -> bool {
        self.credentials.iter().any(|credential| credential.is_valid(today) && credential.stored.can_digest(algorithm))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.credentials.is_empty()
    }

    /// The realm of its passwords: the tenant's name.
    pub fn realm(&self) -> &str {
        &self.realm
    }
}

/// The day, in UTC.
pub fn today() -> Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::DevicesSettings;
    use crate::passwords::{Cost, Ha1, Memo, Slow};
    use crate::testing::{DEVICE, NEIGHBOUR};
    use jiff::civil::date;

    /// So little that tests do not wait.
    const CHEAP: Cost = Cost { memory: 16, passes: 1, lanes: 1 };

    fn credential(name: &str, password: &str, expires: Option<Date>) -> Credential {
        Credential::read("acme", name, password, expires).unwrap_or_else(|error| panic!("{error}"))
    }

    fn slow(password: &str) -> String {
        Slow::store(password.as_bytes(), CHEAP).unwrap_or_else(|error| panic!("{error}"))
    }

    fn devices(password: &str) -> Devices {
        devices_with(password, "")
    }

    fn devices_with(password: &str, next: &str) -> Devices {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let file = folder.path().join("devices.csv");
        let rows = format!("mac,password,next_password\n{DEVICE},\"{password}\",\"{next}\"\n{NEIGHBOUR},,\n");
        std::fs::write(&file, rows).unwrap_or_else(|error| panic!("{error}"));
        let settings = DevicesSettings { list: Vec::new(), file: Some(file), realm: "acme".into() };
        Devices::load(settings).unwrap_or_else(|errors| panic!("{errors:?}"))
    }

    fn verify(users: &Users, devices: &Devices, today: Date, user: &[u8], password: &str) -> PasswordProof {
        let (check, memo) = (users.check(devices, user, today), Memo::default());
        let proof = check.quick(password.as_bytes(), &memo);
        proof.unwrap_or_else(|| check.slow(password.as_bytes(), &memo))
    }

    fn user(proof: &PasswordProof) -> Option<&str> {
        match proof {
            PasswordProof::Shared(shared) => Some(&shared.user),
            PasswordProof::Device(_)
            | PasswordProof::Wrong
            | PasswordProof::Stale
            | PasswordProof::Unusable(_)
            | PasswordProof::Absent => None,
        }
    }

    #[test]
    fn passwords_rotate_and_expire_in_every_form() {
        let users = Users::new(
            "acme",
            vec![
                credential("PlcmSpIp", "old", Some(date(2027, 3, 31))),
                credential("PlcmSpIp", &Ha1::of(b"PlcmSpIp", "acme", b"new").to_string(), None),
                credential("PlcmSpIp", &slow("newest"), Some(date(2027, 3, 31))),
                credential("other", "another", None),
            ],
        );
        let devices = devices("own");
        let (last, after) = (date(2027, 3, 31), date(2027, 4, 1));
        for (today, user, password, name) in [
            (last, "PlcmSpIp", "old", Some("PlcmSpIp")),
            (after, "PlcmSpIp", "old", None),
            (last, "PlcmSpIp", "newest", Some("PlcmSpIp")),
            (after, "PlcmSpIp", "newest", None),
            (last, "PlcmSpIp", "new", Some("PlcmSpIp")),
            (after, "PlcmSpIp", "new", Some("PlcmSpIp")),
            (after, "other", "another", Some("other")),
            (after, "other", "new", None),
            (after, "plcmspip", "new", None),
            (after, "PlcmSpI", "pnew", None),
            (after, "", "", None),
        ] {
            let proof = verify(&users, &devices, today, user.as_bytes(), password);
            assert_eq!((self::user(&proof), proof.holds()), (name, name.is_some()), "{today} {user} {password}");
        }
    }

    #[test]
    fn a_user_that_is_a_mac_proves_that_device() {
        let users = Users::new("acme", vec![credential("0004f2aabbcc", "shared", None)]);
        for stored in ["own".to_owned(), Ha1::of(b"0004f2aabbcc", "acme", b"own").to_string(), slow("own")] {
            let devices = devices(&stored);
            for (user, password, expected) in [
                ("0004f2aabbcc", "own", PasswordProof::Device(DEVICE)),
                ("00:04:F2:AA:BB:CC", "own", PasswordProof::Device(DEVICE)),
                ("0004f2aabbcc", "shared", PasswordProof::Wrong),
                ("0004f2aabbcc", "", PasswordProof::Wrong),
                (
                    "0004f2aabbcc",
                    &stored,
                    if stored == "own" { PasswordProof::Device(DEVICE) } else { PasswordProof::Wrong },
                ),
                ("0004f2ddeeff", "own", PasswordProof::Wrong),
                ("0004f2ddeeff", "", PasswordProof::Wrong),
                ("000000000000", "", PasswordProof::Wrong),
                ("\u{e9}", "own", PasswordProof::Wrong),
            ] {
                let proof = verify(&users, &devices, today(), user.as_bytes(), password);
                assert_eq!(proof, expected, "{stored} {user} {password}");
            }
            assert_eq!(verify(&users, &devices, today(), b"\xff", "own"), PasswordProof::Wrong);
        }
    }

    #[test]
    fn a_device_has_two_passwords_while_they_are_changed() {
        let users = Users::new("acme", Vec::new());
        for (password, next) in
            [("old".to_owned(), "new".to_owned()), (slow("old"), slow("new")), (String::new(), slow("new"))]
        {
            let devices = devices_with(&password, &next);
            for (user, shown, proves) in [
                ("0004f2aabbcc", "old", !password.is_empty()),
                ("0004f2aabbcc", "new", true),
                ("0004f2aabbcc", "other", false),
                ("0004f2ddeeff", "new", false),
            ] {
                let proof = verify(&users, &devices, today(), user.as_bytes(), shown);
                let expected = if proves { PasswordProof::Device(DEVICE) } else { PasswordProof::Wrong };
                assert_eq!(proof, expected, "{user} {shown}");
            }
            let work = |user: &str| users.check(&devices, user.as_bytes(), today()).work();
            assert_eq!(work("0004f2aabbcc"), work("0004f2ddeeff"));
            let digests = |user: &str| users.check(&devices, user.as_bytes(), today()).digests(Algorithm::Md5).len();
            assert_eq!(digests("0004f2aabbcc"), digests("0004f2ddeeff"));
        }
    }

    #[test]
    fn the_work_is_the_same_whether_the_user_exists_or_not() {
        let dear = Cost { memory: 32, ..CHEAP };
        let dear = |password: &str| Slow::store(password.as_bytes(), dear).unwrap_or_default();
        let users = Users::new(
            "acme",
            vec![
                credential("a", &slow("1"), None),
                credential("a", &slow("2"), None),
                credential("b", &dear("1"), None),
                credential("c", "plain", Some(date(2020, 1, 1))),
            ],
        );
        let devices = devices(&slow("own"));
        let work = |user: &str| users.check(&devices, user.as_bytes(), today()).work();
        for user in ["a", "b", "c", "nobody", ""] {
            assert_eq!(work(user), [(CHEAP, 2), (Cost { memory: 32, ..CHEAP }, 1)], "{user}");
            let check = users.check(&devices, user.as_bytes(), today());
            assert_eq!(check.digests(Algorithm::Md5).len(), 2, "{user}");
        }
        for user in ["0004f2aabbcc", "0004f2ddeeff", "0004f2999999"] {
            assert_eq!(work(user), [(CHEAP, 1)], "{user}");
        }
    }

    #[test]
    fn what_has_expired_answers_no_digest() {
        let (last, after) = (date(2027, 3, 31), date(2027, 4, 1));
        let users = Users::new("acme", vec![credential("a", "old", Some(last)), credential("a", &slow("new"), None)]);
        assert_eq!([last, after].map(|today| users.can_digest(Algorithm::Md5, today)), [true, false]);
    }

    #[test]
    fn what_was_right_is_remembered_and_what_was_wrong_is_not() {
        let users = Users::new("acme", vec![credential("a", &slow("right"), Some(date(2027, 3, 31)))]);
        let (devices, memo) = (devices("own"), Memo::default());
        let check = |today| users.check(&devices, b"a", today);
        let (last, after) = (date(2027, 3, 31), date(2027, 4, 1));
        assert_eq!(check(last).quick(b"right", &memo), None);
        assert!(check(last).slow(b"right", &memo).holds());
        assert!(check(last).quick(b"right", &memo).is_some_and(|proof| proof.holds()));
        // It is not looked up any more once it has expired.
        assert_eq!(check(after).quick(b"right", &memo), None);
        assert_eq!(check(last).slow(b"wrong", &memo), PasswordProof::Wrong);
        assert_eq!(check(last).quick(b"wrong", &memo), None);
    }

    #[test]
    fn no_password_is_printed() {
        let credential = credential("PlcmSpIp", "hunter2", None);
        let users = Users::new("acme", vec![credential.clone()]);
        let ha1 = Ha1::of(b"PlcmSpIp", "acme", b"hunter2");
        let printed = format!("{users:?} {credential:?}");
        for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
            assert!(
                !printed.contains("hunter2") && !printed.contains(&ha1.hex(algorithm).unwrap_or_default()),
                "{printed}"
            );
        }
    }
}
