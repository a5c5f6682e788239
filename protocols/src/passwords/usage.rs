//! Which passwords are in use still, by how many devices: what an operator asks before an old one is taken away.
//!
//! It is counted from the start of the process. A device that shares a password is known by its certificate, or by the path
//! that it asks for: a label, no identity.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use lru::LruCache;
use provost_core::{Mac, PasswordProof};
use provost_tenants::Tenant;
use serde::{Deserialize, Serialize};

/// Passwords that are counted of one tenant; the one that was used least recently goes first.
const PASSWORDS: NonZeroUsize = NonZeroUsize::new(1024).unwrap();
/// Devices that are told apart of all passwords of one tenant together. A hundred thousand take a megabyte.
const DEVICES: usize = 262_144;

/// What one tenant's passwords were used for.
#[derive(Debug)]
pub(super) struct Usage(Mutex<Counted>);

#[derive(Debug)]
struct Counted {
    shared: LruCache<u64, Used>,
    own: Used,
    devices: usize,
}

#[derive(Debug, Default)]
struct Used {
    devices: HashSet<Mac>,
    /// Whether there were more than could be told apart.
    more: bool,
    last: Option<Timestamp>,
}

/// Which passwords of a tenant are in use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordReport {
    /// The tenant.
    pub tenant: String,
    /// Since when it is counted: the start of the server, or that of the tenant.
    pub since: Timestamp,
    /// Its shared passwords, in the order of its file.
    pub shared: Vec<PasswordUse>,
    /// All passwords of single devices together.
    pub own: OwnPasswordUse,
}

/// The use of one shared password.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordUse {
    /// The user.
    pub user: String,
    /// Which one of the user's, from 1, in the order of the tenant's file.
    pub number: usize,
    /// How it is stored: `plain`, `ha1` or `argon2id`.
    pub form: String,
    /// The last day on which it is valid.
    #[serde(default)]
    pub expires: Option<jiff::civil::Date>,
    /// How many devices were let have something with it. A request that names no device is not counted.
    pub devices: usize,
    /// Whether there may have been more: only so many are told apart.
    pub or_more: bool,
    /// When something was last let be had with it.
    #[serde(default)]
    pub last_used: Option<Timestamp>,
}

/// The use of passwords of single devices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnPasswordUse {
    /// How many stand in the device file as they are.
    pub plain: usize,
    /// How many as H(A1).
    pub ha1: usize,
    /// How many as argon2id.
    pub argon2id: usize,
    /// How many devices have used theirs.
    pub devices: usize,
    /// Whether there may have been more: only so many are told apart.
    pub or_more: bool,
    /// When one was last used.
    #[serde(default)]
    pub last_used: Option<Timestamp>,
}

impl Default for Usage {
    fn default() -> Self {
        let mut shared = LruCache::unbounded();
        shared.resize(PASSWORDS);
        Self(Mutex::new(Counted { shared, own: Used::default(), devices: 0 }))
    }
}

impl Usage {
    /// Something was let be had with this password.
    pub(super) fn note(&self, proof: &PasswordProof, device: Option<Mac>, now: Timestamp) {
        let mut counted = self.counted();
        let Counted { shared, own, devices } = &mut *counted;
        let used = match proof {
            PasswordProof::Absent | PasswordProof::Wrong | PasswordProof::Stale | PasswordProof::Unusable(_) => return,
            PasswordProof::Device(_) => own,
            PasswordProof::Shared(password) => {
                if let Some((_, oldest)) = (shared.len() == PASSWORDS.get() && !shared.contains(&password.which))
                    .then(|| shared.pop_lru())
                    .flatten()
                {
                    *devices -= oldest.devices.len();
                }
                shared.get_or_insert_mut(password.which, Used::default)
            }
        };
        used.last = Some(now);
        let Some(device) = proof.device().or(device) else { return };
        if used.devices.contains(&device) {
            return;
        }
        if *devices < DEVICES {
            used.devices.insert(device);
            *devices += 1;
        } else {
            used.more = true;
        }
    }

    /// What is to be told of the passwords that the tenant has now.
    pub(super) fn report(&self, tenant: &Tenant, since: Timestamp) -> PasswordReport {
        let counted = self.counted();
        let mut shared: Vec<PasswordUse> = Vec::new();
        for credential in tenant.users.iter() {
            let user = credential.shared.user.to_string();
            let count = counted.shared.peek(&credential.shared.which);
            shared.push(PasswordUse {
                number: shared.iter().filter(|earlier| earlier.user == user).count() + 1,
                user,
                form: credential.form.name().to_owned(),
                expires: credential.expires,
                devices: count.map_or(0, |used| used.devices.len()),
                or_more: count.is_some_and(|used| used.more),
                last_used: count.and_then(|used| used.last),
            });
        }
        let forms = tenant.devices.password_forms();
        let own = OwnPasswordUse {
            plain: forms.plain,
            ha1: forms.ha1,
            argon2id: forms.argon2,
            devices: counted.own.devices.len(),
            or_more: counted.own.more,
            last_used: counted.own.last,
        };
        PasswordReport { tenant: tenant.policy.name.clone(), since, shared, own }
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use provost_core::proof::SharedPassword;

    use super::*;

    fn shared(which: u64) -> PasswordProof {
        PasswordProof::Shared(SharedPassword { which, ..SharedPassword::from("PlcmSpIp") })
    }

    fn mac(number: u32) -> Mac {
        let [a, b, c, d] = number.to_be_bytes();
        Mac::from_octets([0, 4, a, b, c, d])
    }

    #[test]
    fn devices_are_counted_once_and_bounded() {
        let usage = Usage::default();
        let now = Timestamp::UNIX_EPOCH;
        for number in 0..400_000 {
            usage.note(&shared(1), Some(mac(number)), now);
            usage.note(&shared(1), Some(mac(number)), now);
        }
        usage.note(&shared(1), None, now);
        usage.note(&PasswordProof::Wrong, Some(mac(1)), now);
        let counted = usage.counted();
        let used = counted.shared.peek(&1).map(|used| (used.devices.len(), used.more, used.last));
        assert_eq!(used, Some((DEVICES, true, Some(now))));
        assert_eq!((counted.own.devices.len(), counted.devices), (0, DEVICES));
    }

    #[test]
    fn passwords_that_are_gone_make_room() {
        let usage = Usage::default();
        for which in 0..3000 {
            usage.note(&shared(which), Some(mac(1)), Timestamp::UNIX_EPOCH);
        }
        usage.note(&PasswordProof::Device(mac(2)), None, Timestamp::UNIX_EPOCH);
        let counted = usage.counted();
        assert_eq!((counted.shared.len(), counted.devices, counted.own.devices.len()), (1024, 1025, 1));
    }
}
