//! A timer that is put off with each packet and rarely rings.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::time::{Sleep, sleep_until};

/// Rings at a time that is given anew each time it is asked. It is set again only to ring earlier, and when it has rung too
/// early: to set the runtime's timer costs more than all else that a packet needs.
#[derive(Debug, Default)]
pub(super) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Waits until `at`.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(at.into())));
        if sleep.deadline().into_std() > at {
            sleep.as_mut().reset(at.into());
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if Instant::now() >= at {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn it_rings_when_it_was_asked_for_last() {
        const MS: Duration = Duration::from_millis(1);
        let began = Instant::now();
        let mut alarm = Alarm::default();
        for at in [30 * MS, 60 * MS, 20 * MS, 40 * MS] {
            let polled = poll_fn(|cx| Poll::Ready(alarm.poll(cx, began + at))).await;
            assert!(polled.is_pending() || began.elapsed() >= at);
        }
        poll_fn(|cx| alarm.poll(cx, began + 40 * MS)).await;
        assert!((40 * MS..5000 * MS).contains(&began.elapsed()), "{:?}", began.elapsed());
        poll_fn(|cx| alarm.poll(cx, began + 10 * MS)).await;
    }
}
