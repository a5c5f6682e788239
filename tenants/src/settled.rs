//! From when on the times of a file or folder tell its next change.
//!
//! What was changed just now may change again within the same tick of its time stamps, and would not be found to have. It is the
//! time of the change (ctime) that tells: nobody can set it, while that of the bytes (mtime) may lie ahead for as long as an exporter's
//! clock does. A change of the future, as of a machine whose clock was set back, tells nothing.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long it must have been left alone: the coarsest times of file systems in use are of two seconds.
const SETTLED: Duration = Duration::from_secs(2);

/// The same, and shorter where tests wait for it.
pub(crate) const LEFT_ALONE: Duration = if cfg!(test) { Duration::from_millis(20) } else { SETTLED };

/// Whether a file or folder has been left alone for long enough.
pub(crate) fn is_left_alone(facts: &Metadata, now: SystemTime) -> bool {
    let since = |time| now.duration_since(time).is_ok_and(|age| age >= LEFT_ALONE);
    let (seconds, nanoseconds) = (u64::try_from(facts.ctime()), u32::try_from(facts.ctime_nsec()));
    let changed = UNIX_EPOCH + Duration::new(seconds.unwrap_or_default(), nanoseconds.unwrap_or_default());
    // File systems that keep no time of the change have that of the bytes.
    since(changed) && facts.modified().is_ok_and(|modified| modified > now || since(modified))
}

/// The same of times in whole seconds since 1970, of the bytes and of the change.
pub fn is_settled(modified: i64, changed: i64, now: SystemTime) -> bool {
    let is_ahead = || now.duration_since(UNIX_EPOCH).is_ok_and(|now| i128::from(modified) > i128::from(now.as_secs()));
    is_settled_second(changed, now) && (is_ahead() || is_settled_second(modified, now))
}

/// One second more makes up for the fractions.
fn is_settled_second(changed: i64, now: SystemTime) -> bool {
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
        for (modified, changed, settled) in [
            (0, 0, false),
            (2, 2, false),
            (3, 3, true),
            (3, 2, false),
            (2, 3, false),
            (3, -5, false),
            // The bytes by a clock that is ahead.
            (-5, 3, true),
            (-5, 2, false),
            // Before 1970 there is no time to tell.
            (1_000_001, 3, false),
        ] {
            let [modified, changed] = [modified, changed].map(|age| 1_000_000 - age);
            assert_eq!(is_settled(modified, changed, now), settled, "{modified} {changed}");
        }
    }
}
