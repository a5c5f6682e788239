//! Digests under a key that is random, never leaves this process, and goes with it: what is looked up by one cannot be
//! guessed at by timing, and what is kept as one is worth nothing elsewhere.

use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::{constant_time, hmac};

/// A keyed digest.
pub type Tag = [u8; 32];

static KEY: LazyLock<hmac::Key> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "without randomness no secret of this process is one: it must not serve")]
    hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).expect("the system's randomness")
});

/// The keyed digest of these parts, each with its length, so that no byte moves from one to the next unseen. The first says
/// what it is a digest for.
pub fn tag(parts: &[&[u8]]) -> Tag {
    let mut context = hmac::Context::with_key(&KEY);
    for part in parts {
        context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(part);
    }
    let mut tag = [0; 32];
    // SHA-256 has 32 bytes.
    tag.copy_from_slice(context.sign().as_ref());
    tag
}

/// Compares without stopping early.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}
