//! From when on the times of a file or folder tell its next change.
//!
//! What was changed just now may change again within the same tick of its time stamps, and would not be found to have. Times of the
//! future, as of a machine whose clock was set back, tell nothing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long it must have been left alone: the coarsest times of file systems in use are of two seconds.
pub(crate) const SETTLED: Duration = Duration::from_secs(2);

/// Whether what changed then has been left alone for long enough.
pub(crate) fn is_settled(changed: SystemTime, now: SystemTime) -> bool {
    now.duration_since(changed).is_ok_and(|age| age >= SETTLED)
}

/// The same of whole seconds since 1970, so that one more makes up for the fractions.
pub fn is_settled_second(changed: i64, now: SystemTime) -> bool {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let age = u64::try_from(changed).ok().and_then(|changed| now.checked_sub(changed));
    age.is_some_and(|age| age > SETTLED.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_two_seconds_ago_or_in_the_future_is_not_settled_by_the_second() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        for (age, second, fine) in
            [(0, false, false), (1, false, false), (2, false, true), (3, true, true), (-5, false, false)]
        {
            let changed = 1_000_000 - age;
            assert_eq!(is_settled_second(changed, now), second, "{age}");
            let changed = UNIX_EPOCH + Duration::from_secs(changed.cast_unsigned());
            assert_eq!(is_settled(changed, now), fine, "{age}");
        }
        assert!(!is_settled_second(-1, now), "before 1970 there is no time to tell");
    }
}
