//! What the connections and transfers of one tenant share for as long as the tenant is served, across reloads.
//!
//! Its places, its counts, and the way to end what runs: all of it when the tenant goes, and what concerns one device when
//! that device goes. A connection is ended from outside, by dropping what serves it, so that no engine has to look
//! for the end of its tenant between two chunks.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use provost_core::Mac;
use provost_tenants::network::Gone;
use tokio::sync::{Notify, watch};

use crate::listen::{Seldom, Shares};
use crate::record::Outcome;

tokio::task_local! {
    /// The connection or transfer that the task serves.
    static CONNECTION: Arc<Ending>;
}

/// What one tenant's listeners share.
#[derive(Debug)]
pub struct Life {
    shares: Arc<Shares>,
    running: Mutex<Table>,
    unsent: AtomicUsize,
    /// Whatever comes later ends at once, too.
    over: watch::Sender<Option<Why>>,
}

/// The requests under way. There are as many as there are connections and transfers, so places bound them.
#[derive(Debug, Default)]
struct Table {
    places: Vec<Option<Running>>,
    free: Vec<usize>,
}

/// A request under way.
#[derive(Debug)]
struct Running {
    began: Instant,
    device: Option<Mac>,
    ending: Arc<Ending>,
}

/// How a connection is told to end.
#[derive(Debug, Default)]
struct Ending {
    told: Notify,
    why: OnceLock<Why>,
}

/// Why a request is ended from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// Its device or its tenant is not there any more, or blocked.
    Withdrawn,
    /// The network that it came from is not there any more.
    NetworkLost,
    /// The server ends.
    Cut,
}

/// A request's entry among those that run. Dropped, it is gone.
#[derive(Debug)]
pub(crate) struct Underway {
    life: Arc<Life>,
    place: usize,
    ending: Arc<Ending>,
}

/// An answer of which bytes may still be in a buffer. A server that ends waits for it as for a request.
#[derive(Debug)]
pub(crate) struct Unsent(Arc<Life>);

/// What has been counted of a listener since the server began.
#[derive(Debug, Default)]
pub struct Counts {
    /// In the order of [`Outcome::ALL`].
    outcomes: [AtomicU64; Outcome::ALL.len()],
    bytes: AtomicU64,
    /// The reasons are fixed words, which bounds them.
    reasons: Mutex<BTreeMap<&'static str, u64>>,
    mishaps: Mutex<VecDeque<Mishap>>,
}

/// What the server itself failed at: a disk, a socket. A peer's request is in it as the peer sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mishap {
    /// When.
    pub time: Timestamp,
    /// What.
    pub text: String,
}

/// How many mishaps of a listener are remembered, the latest.
const MISHAPS: usize = 5;

/// The counts at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    /// Records written: requests, and connections that failed before one.
    pub requests: u64,
    /// Those that were denied.
    pub denied: u64,
    /// How often requests ended so; what never happened is left out.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Bytes of files, sent or received.
    pub bytes: u64,
    /// How often each reason for a denial was given.
    pub denials: BTreeMap<&'static str, u64>,
}

impl Life {
    /// The life of a tenant whose connections take from these shares.
    pub fn new(shares: Arc<Shares>) -> Arc<Self> {
        let (over, _) = watch::channel(None);
        Arc::new(Self { shares, running: Mutex::default(), unsent: AtomicUsize::new(0), over })
    }

    /// What the tenant has of what all have in common.
    pub fn shares(&self) -> &Arc<Shares> {
        &self.shares
    }

    /// How many requests are under way.
    pub fn underway(&self) -> usize {
        self.running().all().count() + self.unsent.load(Ordering::Relaxed)
    }

    /// Serves a connection or a transfer in the tenant's turns, to its end, to the tenant's, to that of the network in which it runs,
    /// or to that of the device whose file is under way.
    pub fn serve(self: &Arc<Self>, network: &Gone, work: impl Future<Output = ()> + Send + 'static) {
        self.shares.tasks.spawn(Arc::clone(self).hold(network, work));
    }

    /// Waits until whatever of the tenant is ready now has been polled.
    pub(crate) async fn rotation(&self) {
        self.shares.tasks.rotation().await;
    }

    fn hold<W: Future<Output = ()> + Send>(
        self: Arc<Self>,
        network: &Gone,
        work: W,
    ) -> impl Future<Output = ()> + Send + use<W> {
        let gone = network.wait();
        // What holds a future has room for it twice, as long as it runs: on the heap it stands once.
        let work = Box::pin(work);
        async move {
            let ending = Arc::new(Ending::default());
            let mut over = self.over.subscribe();
            let mut end = pin!(async {
                tokio::select! {
                    () = ending.told.notified() => {}
                    // Before the work is dropped, which says why it ends.
                    () = gone => ending.note(Why::NetworkLost),
                    // An error means that the life is gone, which `self` holds.
                    over = over.wait_for(Option::is_some) => if let Some(why) = over.ok().and_then(|over| *over) {
                        ending.note(why);
                    },
                }
            });
            let mut work = pin!(CONNECTION.scope(Arc::clone(&ending), work));
            let mut seldom = Seldom::new();
            poll_fn(|cx| match seldom.poll(cx, end.as_mut()) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => work.as_mut().poll(cx),
            })
            .await;
        }
    }

    /// Ends everything that runs, now and later, since the server ends.
    pub(crate) fn cut(&self) {
        self.end_all(Why::Cut);
    }

    /// Whether any connection or transfer runs.
    pub(crate) fn has_tasks(&self) -> bool {
        self.shares.tasks.alive() > 0
    }

    /// Ends everything that runs, now and later, since the tenant goes.
    pub fn end(&self) {
        self.end_all(Why::Withdrawn);
    }

    fn end_all(&self, why: Why) {
        self.running().all().for_each(|running| running.ending.note(why));
        // Last, as whatever it wakes says why it ends.
        self.over.send_replace(Some(why));
    }

    /// Ends what has run for so long, for devices that are gone.
    pub fn withdraw(&self, age: Duration, is_gone: impl Fn(Mac) -> bool) {
        let ends = |running: &&Running| running.began.elapsed() >= age && running.device.is_some_and(&is_gone);
        for running in self.running().all().filter(ends) {
            running.ending.note(Why::Withdrawn);
            running.ending.told.notify_one();
        }
    }

    pub(crate) fn begin(self: &Arc<Self>) -> Underway {
        let ending = CONNECTION.try_with(Arc::clone).unwrap_or_default();
        let running = Running { began: Instant::now(), device: None, ending: Arc::clone(&ending) };
        let place = self.running().add(running);
        Underway { life: Arc::clone(self), place, ending }
    }

    pub(crate) fn unsent(self: &Arc<Self>) -> Unsent {
        self.unsent.fetch_add(1, Ordering::Relaxed);
        Unsent(Arc::clone(self))
    }

    fn running(&self) -> MutexGuard<'_, Table> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why the connection that the task serves is ended, where it is from elsewhere. Whatever is dropped with it can ask.
pub(crate) fn ended_for() -> Option<Why> {
    CONNECTION.try_with(|ending| ending.why.get().copied()).ok().flatten()
}

impl Ending {
    fn note(&self, why: Why) {
        // The first reason is the one that counts.
        let _ = self.why.set(why);
    }
}

impl Why {
    /// The reason as records have it.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Withdrawn => "withdrawn",
            Self::NetworkLost => "network_lost",
            Self::Cut => "cut",
        }
    }
}

impl Table {
    fn add(&mut self, running: Running) -> usize {
        let place = self.free.pop().unwrap_or(self.places.len());
        match self.places.get_mut(place) {
            Some(free) => *free = Some(running),
            None => self.places.push(Some(running)),
        }
        place
    }

    fn remove(&mut self, place: usize) {
        if self.places.get_mut(place).and_then(Option::take).is_some() {
            self.free.push(place);
        }
    }

    fn all(&self) -> impl Iterator<Item = &Running> {
        self.places.iter().flatten()
    }
}

impl Underway {
    /// The request is this device's.
    pub(crate) fn is_for(&self, device: Option<Mac>) {
        if let Some(Some(running)) = self.life.running().places.get_mut(self.place) {
            running.device = device;
        }
    }

    /// Why it is ended, where it is from elsewhere.
    pub(crate) fn ended_for(&self) -> Option<Why> {
        self.ending.why.get().copied()
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.life.running().remove(self.place);
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        self.0.unsent.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Counts {
    pub(crate) fn count(&self, outcome: Outcome, reason: Option<&'static str>, bytes: u64) {
        for (known, count) in Outcome::ALL.iter().zip(&self.outcomes) {
            if *known == outcome {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if outcome == Outcome::Denied {
            let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
            *reasons.entry(reason.unwrap_or("unknown")).or_default() += 1;
        }
    }

    /// Remembers what the server failed at; what goes on happening is remembered once.
    pub(crate) fn note(&self, text: String) {
        let mut mishaps = self.mishaps.lock().unwrap_or_else(PoisonError::into_inner);
        mishaps.retain(|mishap| mishap.text != text);
        if mishaps.len() >= MISHAPS {
            mishaps.pop_front();
        }
        mishaps.push_back(Mishap { time: Timestamp::now(), text });
    }

    /// What the server failed at of late, oldest first.
    pub fn mishaps(&self) -> Vec<Mishap> {
        self.mishaps.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// What has been counted up to now.
    pub fn now(&self) -> Counted {
        let counts = self.outcomes.iter().map(|count| count.load(Ordering::Relaxed));
        let outcomes: BTreeMap<&'static str, u64> =
            Outcome::ALL.iter().map(|outcome| outcome.code()).zip(counts).filter(|(_, count)| *count > 0).collect();
        Counted {
            requests: outcomes.values().sum(),
            denied: outcomes.get(Outcome::Denied.code()).copied().unwrap_or_default(),
            outcomes,
            bytes: self.bytes.load(Ordering::Relaxed),
            denials: self.reasons.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_runs_for_a_device_ends_with_it_and_nothing_else_does() {
        let life = Life::new(Arc::default());
        let [gone, stays] = [1, 2].map(|last| Mac::from_octets([0, 4, 0xf2, 0, 0, last]));
        let serve = |device| {
            let life = Arc::clone(&life);
            tokio::spawn(Arc::clone(&life).hold(&Gone::default(), async move {
                let underway = life.begin();
                underway.is_for(Some(device));
                std::future::pending::<()>().await;
            }))
        };
        let (ends, goes_on) = (serve(gone), serve(stays));
        while life.running().all().filter(|running| running.device.is_some()).count() < 2 {
            tokio::task::yield_now().await;
        }
        life.withdraw(Duration::ZERO, |device| device == gone);
        assert!(ends.await.is_ok());
        assert_eq!(life.underway(), 1);
        assert!(!goes_on.is_finished());
        life.end();
        assert!(goes_on.await.is_ok());
        assert_eq!(life.underway(), 0);
    }

    /// Says why it was dropped.
    struct Dropped(Arc<Mutex<Option<Why>>>);

    impl Drop for Dropped {
        fn drop(&mut self) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = ended_for();
        }
    }

    #[tokio::test]
    async fn what_is_dropped_with_a_connection_knows_why_also_between_two_requests() {
        let life = Life::new(Arc::default());
        let ends = [Why::Withdrawn, Why::Cut].map(|why| (why, Life::new(Arc::default())));
        for (ended, life) in ends.into_iter().map(|(why, life)| (Some(why), life)).chain([(None, life)]) {
            let why = Arc::default();
            let dropped = Dropped(Arc::clone(&why));
            let held = tokio::spawn(Arc::clone(&life).hold(&Gone::default(), async move {
                if ended.is_some() {
                    std::future::pending::<()>().await;
                }
                drop(dropped);
            }));
            if let Some(why) = ended {
                life.end_all(why);
            }
            assert!(held.await.is_ok());
            assert_eq!(*why.lock().unwrap_or_else(PoisonError::into_inner), ended);
        }
    }
}
