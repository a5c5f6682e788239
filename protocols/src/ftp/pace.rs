//! How many commands a session may send in a second. One that sends more is not refused: it waits, and so does whatever
//! it has sent behind them, in its own socket.

use std::time::Duration;

use tokio::time::Instant;

/// The commands of one session, kept as the time at which all of them have been paid for.
#[derive(Debug, Default)]
pub(super) struct Pace(Option<Instant>);

impl Pace {
    /// Counts a command: until when it waits. After a rest a second's worth goes at once.
    pub(super) fn take(&mut self, per_second: u32, now: Instant) -> Option<Instant> {
        let second = Duration::from_secs(1);
        let paid = self.0.map_or(now, |paid| paid.max(now)) + second / per_second.max(1);
        self.0 = Some(paid);
        let start = paid.checked_sub(second).unwrap_or(now);
        (start > now).then_some(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_goes_at_once_and_then_each_waits_for_its_turn() {
        let (mut pace, began) = (Pace::default(), Instant::now());
        for command in 0..10 {
            assert_eq!(pace.take(10, began), None, "{command}");
        }
        let wait = |millis| Some(began + Duration::from_millis(millis));
        assert_eq!(pace.take(10, began), wait(100));
        assert_eq!(pace.take(10, began), wait(200));
        assert_eq!(pace.take(10, began + Duration::from_secs(3)), None);
    }
}
