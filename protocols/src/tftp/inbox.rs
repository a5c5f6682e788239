//! What a peer sends to a transfer that answers from the listening port: the listener puts it in, the transfer takes it out.
//!
//! Nobody waits for room. What does not fit is dropped, as the kernel does where a socket is full.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Room for what a reader sends, ACKs and an ERROR, in bytes.
const ROOM_BYTES: usize = 4096;
/// What a packet takes beside its bytes, so that those without any are bounded, too.
const PACKET_BYTES: usize = 64;

/// Packets of one peer.
#[derive(Debug)]
pub(super) struct Inbox(Mutex<Held>);

#[derive(Debug)]
struct Held {
    packets: VecDeque<Box<[u8]>>,
    bytes: usize,
    room: usize,
    waker: Option<Waker>,
}

impl Default for Inbox {
    fn default() -> Self {
        Self(Mutex::new(Held { packets: VecDeque::new(), bytes: 0, room: ROOM_BYTES, waker: None }))
    }
}

impl Inbox {
    /// Puts a packet in, if there is room.
    pub(super) fn put(&self, packet: &[u8]) {
        let mut held = self.held();
        let bytes = held.bytes + PACKET_BYTES + packet.len();
        if bytes > held.room {
            return;
        }
        held.bytes = bytes;
        held.packets.push_back(packet.into());
        let waker = held.waker.take();
        drop(held);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes the packet that came first, or waits for one.
    pub(super) fn poll_take(&self, cx: &Context<'_>) -> Poll<Box<[u8]>> {
        let mut held = self.held();
        if let Some(packet) = held.packets.pop_front() {
            held.bytes -= PACKET_BYTES + packet.len();
            return Poll::Ready(packet);
        }
        if held.waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            held.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Makes room for so many bytes of packets. It is never made smaller.
    pub(super) fn make_room(&self, bytes: usize) {
        let mut held = self.held();
        held.room = held.room.max(bytes);
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(inbox: &Inbox) -> Option<Box<[u8]>> {
        match inbox.poll_take(&Context::from_waker(Waker::noop())) {
            Poll::Ready(packet) => Some(packet),
            Poll::Pending => None,
        }
    }

    #[test]
    fn packets_come_out_in_their_order_and_what_does_not_fit_is_dropped() {
        let inbox = Inbox::default();
        for number in 0..=255 {
            inbox.put(&[0, 4, 0, number]);
        }
        let taken: Vec<_> = std::iter::from_fn(|| take(&inbox)).map(|packet| packet[3]).collect();
        assert!((16..=64).contains(&taken.len()), "{}", taken.len());
        assert!(taken.into_iter().eq(0..u8::try_from(ROOM_BYTES / (PACKET_BYTES + 4)).unwrap_or_default()));
        for _ in 0..1000 {
            inbox.put(&[]);
        }
        assert!(std::iter::from_fn(|| take(&inbox)).count() <= 64, "packets without bytes are bounded, too");
    }

    #[test]
    fn room_is_made_for_a_window() {
        let inbox = Inbox::default();
        inbox.put(&[7; 8196]);
        assert_eq!(take(&inbox), None);
        inbox.make_room(2 * (8196 + PACKET_BYTES));
        inbox.make_room(0);
        for _ in 0..3 {
            inbox.put(&[7; 8196]);
        }
        assert_eq!(std::iter::from_fn(|| take(&inbox)).count(), 2);
    }
}
