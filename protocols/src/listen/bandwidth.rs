//! What all downloads of a tenant take together, shared fairly between them.
//!
//! A token bucket says when the next piece may go, and worst-case fair queueing (Bennett and Zhang, 1996) whose piece that is: of those
//! that would have begun by now if all went at the same pace, byte by byte, the one that would end first. Who has asked for little, such as a phone that fetches a block at a time,
//! waits for the piece under way and not for those of a hundred others. A download that is given up takes nothing.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

/// What may go at once after a rest, as time at the tenant's rate: a small file never waits.
const BURST: Duration = Duration::from_millis(250);
/// How long one piece may take at the tenant's rate: so long another one waits at most for what is under way.
const PIECE: u64 = 20;
/// No piece is made smaller, in bytes.
const LEAST_PIECE: usize = 4096;

/// The bandwidth of one tenant.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bandwidth(Arc<Mutex<Queue>>);

/// What one download has had of it: where its last piece ends, in bytes that a download at the common pace has had.
#[derive(Debug, Default)]
pub(crate) struct Flow(u64);

/// The wait for a piece's turn. Dropped, the piece is not sent and costs nothing.
#[derive(Debug)]
pub(crate) struct Turn(oneshot::Receiver<()>);

#[derive(Debug, Default)]
struct Queue {
    /// When everything that was taken has been paid for.
    paid: Option<Instant>,
    /// How many bytes a download has had at the common pace.
    pace: u64,
    /// Pieces that wait, by where they begin, and in the order in which they were asked for.
    later: BTreeMap<(u64, u64), Waiting>,
    /// Those that would have begun by now, by where they end.
    due: BTreeMap<(u64, u64), Waiting>,
    asked: u64,
    is_served: bool,
}

#[derive(Debug)]
struct Waiting {
    end: u64,
    bytes: u64,
    cost: Duration,
    go: oneshot::Sender<()>,
}

/// The size of a piece of at most `most` bytes, so that it does not hold up others for long at a rate in bytes a second.
pub(crate) fn piece(most: usize, rate: Option<u64>) -> usize {
    let Some(rate) = rate else { return most };
    let fair = usize::try_from(rate / PIECE).unwrap_or(usize::MAX);
    most.min(fair.max(LEAST_PIECE))
}

impl Bandwidth {
    /// Takes bytes at a rate in bytes a second; `None` where they may be sent at once. It must be called inside a tokio
    /// runtime.
    pub(crate) fn take(&self, flow: &mut Flow, bytes: u64, rate: u64, now: Instant) -> Option<Turn> {
        let cost = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1));
        let cost = Duration::from_nanos(u64::try_from(cost).unwrap_or(u64::MAX));
        let mut queue = self.queue();
        let begin = flow.0.max(queue.pace);
        let end = begin.saturating_add(bytes);
        flow.0 = end;
        if queue.waiting() == 0 && queue.starts(now) <= now {
            queue.pay(end, bytes, cost, now);
            return None;
        }
        let (go, turn) = oneshot::channel();
        let order = queue.asked;
        queue.asked += 1;
        queue.later.insert((begin, order), Waiting { end, bytes, cost, go });
        if !std::mem::replace(&mut queue.is_served, true) {
            tokio::spawn(self.clone().serve());
        }
        Some(Turn(turn))
    }

    /// Lets pieces go, one after the other, until none waits.
    async fn serve(self) {
        loop {
            let start = self.queue().next_start(Instant::now());
            let Some(start) = start else { return };
            sleep_until(start).await;
            self.queue().let_go(Instant::now());
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// When the next piece may go.
    fn starts(&self, now: Instant) -> Instant {
        self.paid.and_then(|paid| paid.checked_sub(BURST)).unwrap_or(now)
    }

    /// The same while pieces wait.
    fn next_start(&mut self, now: Instant) -> Option<Instant> {
        self.is_served = self.waiting() > 0;
        self.is_served.then(|| self.starts(now))
    }

    /// The first that is still waited for goes.
    fn let_go(&mut self, now: Instant) {
        while let Some(Waiting { end, bytes, cost, go }) = self.first() {
            if go.send(()).is_ok() {
                return self.pay(end, bytes, cost, now);
            }
        }
    }

    fn first(&mut self) -> Option<Waiting> {
        if self.due.is_empty() {
            let (begin, _) = self.later.keys().next()?;
            self.pace = self.pace.max(*begin);
        }
        while let Some(next) = self.later.first_entry().filter(|next| next.key().0 <= self.pace) {
            let ((_, order), piece) = next.remove_entry();
            self.due.insert((piece.end, order), piece);
        }
        self.due.pop_first().map(|(_, piece)| piece)
    }

    fn waiting(&self) -> usize {
        self.later.len() + self.due.len()
    }

    fn pay(&mut self, end: u64, bytes: u64, cost: Duration, now: Instant) {
        let alike = u64::try_from(self.waiting()).unwrap_or(u64::MAX).saturating_add(1);
        self.pace = if alike == 1 { self.pace.max(end) } else { self.pace.saturating_add(bytes / alike) };
        let from = self.paid.map_or(now, |paid| paid.max(now));
        self.paid = from.checked_add(cost);
    }
}

impl Future for Turn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // The queue lives as long as the tenant; without it nobody is held back any more.
        Pin::new(&mut self.0).poll(cx).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u64 = 1_000_000;

    /// Downloads that ask for one piece after the other, under a clock of their own.
    struct Scene {
        bandwidth: Bandwidth,
        now: Instant,
        downloads: Vec<Download>,
    }

    struct Download {
        flow: Flow,
        piece: u64,
        left: u64,
        turn: Option<(Turn, Instant)>,
        longest: Duration,
        ended: Option<Instant>,
    }

    fn has_come(turn: &mut Turn) -> bool {
        Pin::new(turn).poll(&mut Context::from_waker(std::task::Waker::noop())).is_ready()
    }

    impl Scene {
        fn new() -> Self {
            let bandwidth = Bandwidth::default();
            // The scene itself lets pieces go.
            bandwidth.queue().is_served = true;
            Self { bandwidth, now: Instant::now(), downloads: Vec::new() }
        }

        fn add(&mut self, piece: u64, pieces: u64) -> usize {
            let flow = Flow::default();
            self.downloads.push(Download {
                flow,
                piece,
                left: pieces,
                turn: None,
                longest: Duration::ZERO,
                ended: None,
            });
            self.downloads.len() - 1
        }

        /// Runs until the download has ended, and tells how long that took.
        fn end_of(&mut self, download: usize) -> Duration {
            let began = self.now;
            loop {
                let Self { bandwidth, now, downloads } = self;
                for download in &mut *downloads {
                    download.go_on(bandwidth, *now);
                }
                if let Some(ended) = downloads.get(download).and_then(|download| download.ended) {
                    return ended - began;
                }
                let mut queue = bandwidth.queue();
                if let Some(start) = queue.next_start(*now) {
                    *now = start.max(*now);
                    queue.let_go(*now);
                }
                queue.is_served = true;
            }
        }
    }

    impl Download {
        fn go_on(&mut self, bandwidth: &Bandwidth, now: Instant) {
            while self.ended.is_none() {
                if let Some((turn, since)) = &mut self.turn {
                    if !has_come(turn) {
                        return;
                    }
                    self.longest = self.longest.max(now - *since);
                    self.turn = None;
                }
                match self.left.checked_sub(1) {
                    Some(left) => self.left = left,
                    None => self.ended = Some(now),
                }
                if self.ended.is_none() {
                    self.turn = bandwidth.take(&mut self.flow, self.piece, RATE, now).map(|turn| (turn, now));
                }
            }
        }
    }

    #[test]
    fn a_tenant_averages_its_rate_and_may_burst_after_a_rest() {
        let mut scene = Scene::new();
        let download = scene.add(10_000, 1000);
        let took = scene.end_of(download).as_secs_f64();
        assert!((9.6..10.1).contains(&took), "10 MB at 1 MB/s, less the burst: {took}");
        let rested = scene.now + Duration::from_mins(1);
        let mut flow = Flow::default();
        let mut at_once = || scene.bandwidth.take(&mut flow, 200_000, RATE, rested).is_none();
        assert_eq!([at_once(), at_once(), at_once()], [true, true, false], "within the burst");
    }

    #[test]
    fn a_block_waits_for_the_piece_under_way_and_not_for_those_of_a_hundred_downloads() {
        let mut scene = Scene::new();
        (0..100).for_each(|_| _ = scene.add(50_000, 1_000_000));
        let first = scene.add(50_000, 20);
        scene.end_of(first);
        let blocks = scene.add(512, 100);
        scene.end_of(blocks);
        let longest = scene.downloads[blocks].longest;
        assert!(longest <= Duration::from_millis(110), "{longest:?}");
    }

    #[test]
    fn downloads_share_alike_and_those_that_are_given_up_cost_nothing() {
        let mut scene = Scene::new();
        let mut given_up = Flow::default();
        let _ = scene.bandwidth.take(&mut given_up, 300_000, RATE, scene.now);
        (0..100).for_each(|_| drop(scene.bandwidth.take(&mut given_up, 1_000_000, RATE, scene.now)));
        let began = scene.now;
        let [small, large] = [scene.add(5000, 100), scene.add(50_000, 10)];
        for download in [small, large] {
            scene.end_of(download);
        }
        let took = scene.now - began;
        assert!((Duration::from_millis(900)..Duration::from_millis(1150)).contains(&took), "a megabyte: {took:?}");
        let ends = [small, large].map(|download| scene.downloads[download].ended);
        let apart = ends[0].zip(ends[1]).map(|(small, large)| large.max(small) - large.min(small));
        assert!(apart.is_some_and(|apart| apart < Duration::from_millis(120)), "{apart:?}");
    }

    #[test]
    fn pieces_fit_the_rate() {
        assert_eq!(piece(256 * 1024, None), 256 * 1024);
        assert_eq!(piece(256 * 1024, Some(1 << 20)), 52428);
        assert_eq!(piece(256 * 1024, Some(64 * 1024)), LEAST_PIECE);
        assert_eq!(piece(256 * 1024, Some(1 << 30)), 256 * 1024);
    }
}
