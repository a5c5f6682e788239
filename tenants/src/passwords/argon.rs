//! argon2id (RFC 9106): a form from which a password is not found by trying, since each try takes memory and time.
//!
//! A check takes them, too. It blocks for tens of milliseconds, and whoever asks bounds how many do.

use std::fmt;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};
use aws_lc_rs::rand;

use super::keyed::{Tag, same, tag};
use super::stored::StoredError;

/// What one check costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cost {
    /// Memory in KiB.
    pub memory: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

/// A password under argon2id.
#[derive(Clone, PartialEq, Eq)]
pub struct Slow {
    cost: Cost,
    salt: Box<[u8]>,
    hash: Box<[u8]>,
}

/// How often each cost is to be paid for a check, whoever the user is.
pub(crate) type Costs = Vec<(Cost, usize)>;

/// The most that one check may take, in KiB and passes: a slip in a device file must not take a tenant's phones out of service.
const MAX_MEMORY: u32 = 256 * 1024;
const MAX_PASSES: u32 = 16;
const MAX_LANES: u32 = 16;
/// RFC 9106 section 3.1 asks for 16 bytes of salt; 8 are what it takes at least.
const LEAST_SALT: usize = 8;
const LEAST_HASH: usize = 16;
const MAX_HASH: usize = 64;

impl Default for Cost {
    /// What OWASP recommends: 19 MiB, two passes, one lane.
    fn default() -> Self {
        Self { memory: Params::DEFAULT_M_COST, passes: Params::DEFAULT_T_COST, lanes: Params::DEFAULT_P_COST }
    }
}

impl Cost {
    fn hash(self, password: &[u8], salt: &[u8], hash: &mut [u8]) -> bool {
        let Ok(params) = Params::new(self.memory, self.passes, self.lanes, Some(hash.len())) else { return false };
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon.hash_password_into(password, salt, hash).is_ok()
    }

    /// Takes as long as a check, and checks nothing.
    pub(super) fn feign(self, password: &[u8]) {
        let mut hash = [0; 32];
        std::hint::black_box(self.hash(password, &[0; 16], &mut hash));
    }
}

impl Slow {
    /// The text under which a password is stored.
    ///
    /// # Errors
    /// - [`StoredError::Argon2`]: the costs are none that argon2id has, or the system has no randomness
    pub fn store(password: &[u8], cost: Cost) -> Result<String, StoredError> {
        let mut salt = [0; 16];
        rand::fill(&mut salt).map_err(|_| StoredError::Argon2("the system has no randomness".to_owned()))?;
        let params = Params::new(cost.memory, cost.passes, cost.lanes, None);
        let params = params.map_err(|error| StoredError::Argon2(error.to_string()))?;
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let stored = argon.hash_password_with_salt(password, &salt);
        stored.map(|stored| stored.to_string()).map_err(|error| StoredError::Argon2(error.to_string()))
    }

    pub(super) fn read(text: &str) -> Result<Self, StoredError> {
        let wrong = |what: &str| StoredError::Argon2(what.to_owned());
        let phc = PasswordHash::new(text).map_err(|error| StoredError::Argon2(error.to_string()))?;
        if phc.algorithm.as_str() != "argon2id" {
            return Err(wrong("expected argon2id, no other variant"));
        }
        if phc.version != Some(0x13) {
            return Err(wrong("expected `v=19`"));
        }
        let number = |name: &str| phc.params.get_decimal(name).ok_or_else(|| wrong("expected `m`, `t` and `p`"));
        let cost = Cost { memory: number("m")?, passes: number("t")?, lanes: number("p")? };
        let is_bounded = cost.memory <= MAX_MEMORY && cost.passes <= MAX_PASSES && cost.lanes <= MAX_LANES;
        if !is_bounded || Params::new(cost.memory, cost.passes, cost.lanes, None).is_err() {
            return Err(wrong("expected `m` from 8 for each lane to 262144, `t` from 1 to 16 and `p` from 1 to 16"));
        }
        let salt: &[u8] = phc.salt.as_ref().ok_or_else(|| wrong("it has no salt"))?;
        let hash = phc.hash.as_ref().ok_or_else(|| wrong("it has no hash"))?.as_bytes();
        if salt.len() < LEAST_SALT || !(LEAST_HASH..=MAX_HASH).contains(&hash.len()) {
            return Err(wrong("expected 8 bytes of salt at least, and from 16 to 64 of hash"));
        }
        Ok(Self { cost, salt: salt.into(), hash: hash.into() })
    }

    pub(super) fn cost(&self) -> Cost {
        self.cost
    }

    /// Whether it is of this password. It blocks, and takes what it costs.
    pub(super) fn proves(&self, password: &[u8]) -> bool {
        let mut shown = vec![0; self.hash.len()];
        self.cost.hash(password, &self.salt, &mut shown) && same(&shown, &self.hash)
    }

    /// What stands for "this password was found to be right": it says nothing of any other form, nor of any other password.
    pub(super) fn tag(&self, password: &[u8]) -> Tag {
        let Cost { memory, passes, lanes } = self.cost;
        let cost = [memory, passes, lanes].map(u32::to_be_bytes).concat();
        tag(&[b"argon2id", &cost, &self.salt, &self.hash, password])
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        [&self.salt[..], &self.hash].concat()
    }
}

/// Says nothing but what it costs.
impl fmt::Debug for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slow").field("cost", &self.cost).finish_non_exhaustive()
    }
}
