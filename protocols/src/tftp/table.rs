//! The transfers that are running, by the peer's address and port.
//!
//! A request that comes twice before the peer answered is the same request, and so is one that came before it was answered and was
//! read late, as where thousands ask at once: the phone was impatient, and goes on with what it gets. Any other request from an address and
//! port that has a transfer means that the phone began anew, and the old transfer ends. Each transfer holds a place until
//! it has ended, so that the table is bounded as places are, and a peer that begins anew all the time is, too. Where transfers
//! answer from the listening port, what their peers send comes to them through here.

use std::collections::{HashMap, hash_map};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use provost_core::Source;

use super::ended::Ended;
use super::inbox::Inbox;
use crate::listen::{GiveWay, Slot, Yielding, Yields};

/// The transfers of one listener.
#[derive(Debug, Default)]
pub(super) struct Table {
    running: Mutex<HashMap<SocketAddr, Arc<Running>>>,
    ended: Mutex<Ended>,
}

/// What the listener and a transfer know together.
#[derive(Debug)]
pub(super) struct Running {
    /// The request as it came in.
    datagram: Box<[u8]>,
    answered: AtomicBool,
    /// When the first answer to it was sent.
    served: OnceLock<Instant>,
    /// Each [`Signal`] that has been told and not heard.
    told: AtomicU8,
    /// What makes it give way: that it has not been answered, later that it only dallies.
    yields: Mutex<[Option<Yields>; 2]>,
    /// Who waits to be told.
    waker: Mutex<Option<Waker>>,
    /// Where the transfer answers from the listening port: what the peer sends.
    inbox: Option<Inbox>,
}

/// What a transfer is told, each a bit of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Signal {
    /// The listening socket, from which the transfer answers, is closed.
    Closed = 1,
    /// Its place is wanted for another one.
    GiveWay = 1 << 1,
    /// Another request took this one's place.
    Replaced = 1 << 2,
    /// The request came again.
    Again = 1 << 3,
}

/// A transfer's entry in the table. Dropped, it is gone, and so is its place.
#[derive(Debug)]
pub(super) struct Entry {
    table: Arc<Table>,
    peer: SocketAddr,
    running: Arc<Running>,
    _slot: Slot,
}

/// What a request is to the table.
#[derive(Debug)]
pub(super) enum Arrival {
    /// The peer has no transfer, or began anew: then its former transfer has been told to end.
    New,
    /// The request is the one that is being answered, and its transfer has been told; or the one that was answered.
    Repeated,
}

impl Table {
    /// What a request of this peer means.
    pub(super) fn arrive(&self, peer: SocketAddr, datagram: &[u8], arrived: Option<Instant>) -> Arrival {
        let mut running = self.running();
        let Some(former) = running.get(&peer) else {
            let was_served = arrived.is_some_and(|arrived| self.ended().has_served(peer, datagram, arrived));
            return if was_served { Arrival::Repeated } else { Arrival::New };
        };
        if !former.answered.load(Ordering::Relaxed) && *former.datagram == *datagram {
            former.tell(Signal::Again);
            return Arrival::Repeated;
        }
        let before_its_answer = former.served.get().zip(arrived).is_some_and(|(served, arrived)| arrived < *served);
        if before_its_answer && *former.datagram == *datagram {
            return Arrival::Repeated;
        }
        former.tell(Signal::Replaced);
        running.remove(&peer);
        Arrival::New
    }

    /// Gives a packet to the peer's transfer, where that answers from the listening port; `false` where there is none.
    pub(super) fn deliver(&self, peer: SocketAddr, datagram: &[u8]) -> bool {
        let running = self.running().get(&peer).map(Arc::clone);
        let Some(inbox) = running.as_ref().and_then(|running| running.inbox()) else { return false };
        inbox.put(datagram);
        true
    }

    /// The listening socket is about to be closed: transfers that answer from it end.
    pub(super) fn close(&self) {
        let running = self.running();
        running.values().filter(|running| running.inbox.is_some()).for_each(|running| running.tell(Signal::Closed));
    }

    /// Enters a transfer. With an inbox it answers from the listening port.
    pub(super) fn enter(
        table: &Arc<Self>,
        peer: SocketAddr,
        datagram: &[u8],
        slot: Slot,
        inbox: Option<Inbox>,
    ) -> Entry {
        let running = Arc::new(Running::new(datagram, inbox));
        let former = table.running().insert(peer, Arc::clone(&running));
        // A transfer that ended and was asked again came back meanwhile.
        if let Some(former) = former {
            former.tell(Signal::Replaced);
        }
        Entry { table: Arc::clone(table), peer, running, _slot: slot }
    }

    /// The same for a transfer that ended and was asked again, unless another request of the peer is being answered by now.
    pub(super) fn enter_again(
        table: &Arc<Self>,
        peer: SocketAddr,
        datagram: &[u8],
        slot: Slot,
        inbox: Option<Inbox>,
    ) -> Option<Entry> {
        let mut all = table.running();
        let hash_map::Entry::Vacant(vacant) = all.entry(peer) else { return None };
        let running = Arc::clone(vacant.insert(Arc::new(Running::new(datagram, inbox))));
        drop(all);
        Some(Entry { table: Arc::clone(table), peer, running, _slot: slot })
    }

    fn ended(&self) -> MutexGuard<'_, Ended> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> MutexGuard<'_, HashMap<SocketAddr, Arc<Running>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// What the listener tells, for longer than the entry lives.
    pub(super) fn shared(&self) -> Arc<Running> {
        Arc::clone(&self.running)
    }

    /// What the listener tells.
    pub(super) fn running(&self) -> &Running {
        &self.running
    }
}

impl Running {
    fn new(datagram: &[u8], inbox: Option<Inbox>) -> Self {
        Self {
            datagram: datagram.into(),
            answered: AtomicBool::new(false),
            served: OnceLock::new(),
            told: AtomicU8::new(0),
            yields: Mutex::default(),
            waker: Mutex::default(),
            inbox,
        }
    }

    fn tell(&self, signal: Signal) {
        self.told.fetch_or(signal as u8, Ordering::AcqRel);
        if let Some(waker) = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }

    fn is_told(&self, signal: Signal) -> bool {
        self.told.load(Ordering::Acquire) & signal as u8 != 0
    }

    /// Whether it has been told, which counts as heard.
    fn was_told(&self, signal: Signal) -> bool {
        self.is_told(signal) && self.told.fetch_and(!(signal as u8), Ordering::AcqRel) & signal as u8 != 0
    }

    /// What the transfer has been told and has not heard yet; where there is nothing, its task is woken when there is.
    pub(super) fn hear(&self, cx: &Context<'_>) -> Option<Signal> {
        self.listen(cx);
        let signals = [Signal::Closed, Signal::GiveWay, Signal::Replaced, Signal::Again];
        signals.into_iter().find(|signal| self.was_told(*signal))
    }

    /// Is ready once the place is wanted for another one.
    pub(super) fn poll_wanted(&self, cx: &Context<'_>) -> Poll<()> {
        self.listen(cx);
        if self.is_told(Signal::GiveWay) { Poll::Ready(()) } else { Poll::Pending }
    }

    fn listen(&self, cx: &Context<'_>) {
        let mut waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    /// Whether the request came again and the transfer ended before it heard of it. It is settled once the entry is dropped.
    pub(super) fn was_asked_again(&self) -> bool {
        self.was_told(Signal::Again)
    }

    /// Forgets that the request came again: the answer to it is about to be sent.
    pub(super) fn forget_repeats(&self) {
        self.served.get_or_init(Instant::now);
        self.was_told(Signal::Again);
    }

    /// What the peer sends, where the transfer answers from the listening port.
    pub(super) fn inbox(&self) -> Option<&Inbox> {
        self.inbox.as_ref()
    }

    /// Whether another request took this one's place, and the transfer has not heard of it.
    pub(super) fn is_replaced(&self) -> bool {
        self.is_told(Signal::Replaced)
    }

    /// The peer has answered: from now on its request, sent again, is another one.
    pub(super) fn answered(&self) {
        if !self.answered.swap(true, Ordering::Relaxed) {
            *self.yields() = [None, None];
        }
    }

    /// From now on it ends when its place is wanted, in the tenant or at the listener: until it is answered, or for good where it has
    /// been.
    pub(super) fn yields_to_others(self: &Arc<Self>, places: [Option<&Arc<Yielding>>; 2], peer: SocketAddr) {
        let one: Weak<Self> = Arc::downgrade(self);
        let yields = places.map(|place| Some(place?.enter(Source::from(peer.ip()), one.clone())));
        *self.yields() = yields;
    }

    /// The same for the port that it has by now, until it is answered. What has none is no help to who lacks one.
    pub(super) fn yields_its_port(self: &Arc<Self>, ports: &Arc<Yielding>, peer: SocketAddr) {
        let one: Weak<Self> = Arc::downgrade(self);
        let yields = ports.enter(Source::from(peer.ip()), one);
        let [_, at_ports] = &mut *self.yields();
        *at_ports = Some(yields);
    }

    fn yields(&self) -> MutexGuard<'_, [Option<Yields>; 2]> {
        self.yields.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the peer has answered.
    pub(super) fn is_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }
}

impl GiveWay for Running {
    fn give_way(&self) {
        self.tell(Signal::GiveWay);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // Its task may go on for a moment, with nothing that could give way.
        *self.running.yields() = [None, None];
        let mut running = self.table.running();
        if running.get(&self.peer).is_some_and(|held| Arc::ptr_eq(held, &self.running)) {
            running.remove(&self.peer);
            if let Some(served) = self.running.served.get() {
                self.table.ended().add(self.peer, &self.running.datagram, *served);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    use provost_tenants::Limits;

    use super::*;
    use crate::listen::Slots;

    const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 69);

    #[derive(Default)]
    struct Bench {
        table: Arc<Table>,
        slots: Arc<Slots>,
    }

    fn place(slots: &Arc<Slots>) -> Slot {
        Slots::take(slots, PEER.ip(), &Limits::default()).unwrap_or_else(|full| panic!("{full:?}"))
    }

    #[test]
    fn a_request_is_repeated_until_the_peer_answers_and_then_another_one() {
        let Bench { table, slots } = Bench::default();

        assert!(matches!(table.arrive(PEER, b"a", None), Arrival::New));
        let first = Table::enter(&table, PEER, b"a", place(&slots), None);
        assert!(matches!(table.arrive(PEER, b"a", None), Arrival::Repeated));
        first.running().answered();
        assert!(matches!(table.arrive(PEER, b"a", None), Arrival::New), "the phone began anew");

        let second = Table::enter(&table, PEER, b"a", place(&slots), None);
        assert_eq!(slots.taken(), 2, "the first one has not ended yet");
        drop(first);
        assert!(
            matches!(table.arrive(PEER, b"a", None), Arrival::Repeated),
            "the first one's end is not the second one's"
        );
        assert!(matches!(table.arrive(PEER, b"b", None), Arrival::New));
        drop(second);
        assert_eq!(slots.taken(), 0);
    }

    #[test]
    fn a_request_that_came_before_its_answer_and_was_read_late_restarts_nothing() {
        let Bench { table, slots } = Bench::default();
        let entry = Table::enter(&table, PEER, b"a", place(&slots), None);
        entry.running().forget_repeats();
        entry.running().answered();
        let served = *entry.running().served.get().unwrap_or_else(|| panic!("it was served"));
        let early = served.checked_sub(Duration::from_millis(1));
        let late = Some(served + Duration::from_millis(1));
        assert!(matches!(table.arrive(PEER, b"a", early), Arrival::Repeated));
        assert!(!entry.running().is_replaced());
        assert!(matches!(table.arrive(PEER, b"b", early), Arrival::New), "another request is never a repeat");
        let entry = Table::enter(&table, PEER, b"a", place(&slots), None);
        entry.running().forget_repeats();
        entry.running().answered();
        assert!(matches!(table.arrive(PEER, b"a", late), Arrival::New), "it began anew");
    }

    #[test]
    fn nor_does_one_that_is_read_when_the_transfer_has_ended() {
        let Bench { table, slots } = Bench::default();
        let entry = Table::enter(&table, PEER, b"a", place(&slots), None);
        entry.running().forget_repeats();
        let served = *entry.running().served.get().unwrap_or_else(|| panic!("it was served"));
        drop(entry);
        let early = served.checked_sub(Duration::from_millis(1));
        let late = Some(served + Duration::from_millis(1));
        assert!(matches!(table.arrive(PEER, b"a", early), Arrival::Repeated));
        assert!(matches!(table.arrive(PEER, b"a", late), Arrival::New));
        assert!(matches!(table.arrive(PEER, b"b", early), Arrival::New));
        assert!(matches!(table.arrive(PEER, b"a", None), Arrival::New), "nobody knows when it came");
    }

    #[test]
    fn a_transfer_that_comes_back_takes_no_others_place() {
        let Bench { table, slots } = Bench::default();
        let back = Table::enter_again(&table, PEER, b"a", place(&slots), None);
        let Some(back) = back else { panic!("the place is free") };
        assert!(Table::enter_again(&table, PEER, b"a", place(&slots), None).is_none());
        let next = Table::enter(&table, PEER, b"b", place(&slots), None);
        assert!(back.running().is_replaced());
        drop(back);
        assert!(matches!(table.arrive(PEER, b"b", None), Arrival::Repeated), "it is the next one's still");
        drop(next);
    }
}
