//! Sockets for datagrams that were made in a namespace ahead of their use.
//!
//! Every TFTP transfer has a socket of its own, and one in a namespace costs a way to the thread that enters it and back: a fifth of
//! the CPU time of a file of one block (`benches/isolation`). Made eight at a time, they cost an eighth of that.

use std::io;
use std::sync::{Mutex, PoisonError};

use socket2::{Domain, Socket};

/// How many are made at once.
const BATCH: usize = 8;

/// Sockets that nobody has bound yet, all in the network that a listener settled.
#[derive(Debug, Default)]
pub(super) struct Spares(Mutex<Vec<(Domain, Socket)>>);

impl Spares {
    pub(super) fn take(&self, domain: Domain) -> Option<Socket> {
        let mut spares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = spares.iter().position(|(of, _)| *of == domain)?;
        Some(spares.swap_remove(index).1)
    }

    /// Keeps all but one of what was made.
    pub(super) fn keep(&self, domain: Domain, mut made: Vec<Socket>) -> Option<Socket> {
        let one = made.pop();
        let mut spares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever makes sockets at the same moment would else fill it without bound. What is left of the other family takes no room:
        // where few phones use that, most of each batch would be closed again.
        let room = BATCH.saturating_sub(spares.iter().filter(|(of, _)| *of == domain).count());
        spares.extend(made.into_iter().take(room).map(|socket| (domain, socket)));
        one
    }

    pub(super) fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Makes a batch: fewer where the system has no more, an error where it has none.
pub(super) fn batch(new: impl Fn() -> io::Result<Socket>) -> io::Result<Vec<Socket>> {
    let mut made = vec![new()?];
    made.extend((1..BATCH).map_while(|_| new().ok()));
    Ok(made)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use socket2::{Protocol, Type};

    use super::*;

    fn made(domain: Domain) -> Vec<Socket> {
        batch(|| Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))).unwrap()
    }

    #[test]
    fn a_batch_serves_so_many_and_families_do_not_mix() {
        let spares = Spares::default();
        assert!(spares.keep(Domain::IPV4, made(Domain::IPV4)).is_some());
        assert!(spares.take(Domain::IPV6).is_none());
        assert!(spares.keep(Domain::IPV6, made(Domain::IPV6)).is_some());
        for domain in [Domain::IPV4, Domain::IPV6] {
            assert_eq!((0..20).filter_map(|_| spares.take(domain)).count(), BATCH - 1);
        }
    }

    #[test]
    fn what_many_make_at_once_is_bounded() {
        let spares = Spares::default();
        for _ in 0..5 {
            spares.keep(Domain::IPV4, made(Domain::IPV4));
        }
        assert_eq!((0..100).filter_map(|_| spares.take(Domain::IPV4)).count(), BATCH);
    }

    #[test]
    fn a_batch_ends_where_the_system_has_no_more() {
        let left = std::cell::Cell::new(3_u32);
        let scarce = || {
            left.set(left.get().checked_sub(1).ok_or(io::ErrorKind::QuotaExceeded)?);
            Socket::new(Domain::IPV4, Type::DGRAM, None)
        };
        assert_eq!(batch(scarce).unwrap().len(), 3);
        assert!(batch(scarce).is_err());
    }
}
