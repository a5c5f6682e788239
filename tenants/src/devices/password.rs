//! Passwords as digests: what is compared has one length, and no comparison stops early.

use aws_lc_rs::{constant_time, digest};

/// The SHA-256 of a password and of whose it is, so that equal passwords do not look equal.
pub(crate) type PasswordDigest = [u8; 32];

/// Compared with where there is no password: no digest that anyone can find a password for.
pub(crate) const NONE: PasswordDigest = [0; 32];

pub(crate) fn digest(whose: &[u8], password: &[u8]) -> PasswordDigest {
    let mut context = digest::Context::new(&digest::SHA256);
    // The length keeps `ab` with `c` apart from `a` with `bc`.
    context.update(&u64::try_from(whose.len()).unwrap_or(u64::MAX).to_be_bytes());
    context.update(whose);
    context.update(password);
    let mut sum = NONE;
    sum.copy_from_slice(context.finish().as_ref());
    sum
}

pub(crate) fn same(a: &PasswordDigest, b: &PasswordDigest) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}
