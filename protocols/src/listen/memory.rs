//! What the transfers of a tenant hold of files in memory together.
//!
//! Past its share each takes the least piece with which it goes on: a storm of large downloads becomes slower, and neither
//! ends nor takes the memory of others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// The piece that a transfer may always take, in bytes.
pub(crate) const LEAST: usize = 16 * 1024;

/// The memory that one tenant's transfers hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory(Arc<AtomicUsize>);

/// Memory that is held. Dropped, it is free again.
#[derive(Debug)]
pub(crate) struct Held {
    memory: Memory,
    bytes: usize,
}

/// Bytes, and their memory.
struct Holding {
    bytes: Vec<u8>,
    _memory: Held,
}

impl AsRef<[u8]> for Holding {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Memory {
    /// Takes `want` bytes where the tenant has so much left of `share`, else [`LEAST`], or what is wanted if that is less.
    pub(crate) fn take(&self, want: usize, share: usize) -> Held {
        let free = |held: usize| held.checked_add(want).filter(|held| *held <= share);
        if self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).is_ok() {
            return Held { memory: self.clone(), bytes: want };
        }
        let bytes = want.min(LEAST);
        self.0.fetch_add(bytes, Ordering::Relaxed);
        Held { memory: self.clone(), bytes }
    }

    /// How much is held, in bytes.
    pub(crate) fn held(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Held {
    /// How much it is, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of a file that hold this memory until the last of them is let go of, also by a library that sends them.
    pub(crate) fn around(self, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Holding { bytes, _memory: self })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn past_the_share_each_gets_the_least_and_all_of_it_comes_back() {
        let memory = Memory::default();
        let held: Vec<Held> = (0..10).map(|_| memory.take(100_000, 250_000)).collect();
        let sizes: Vec<usize> = held.iter().map(Held::bytes).collect();
        assert_eq!(sizes[..2], [100_000; 2]);
        assert_eq!(sizes[2..], [LEAST; 8]);
        assert_eq!(memory.take(512, 250_000).bytes(), 512, "what is small is never cut");
        drop(held);
        assert_eq!(memory.held(), 0);
        assert_eq!(memory.take(250_000, 250_000).bytes(), 250_000);
        let bytes = memory.take(6, 250_000).around(b"a file".to_vec());
        let sent = bytes.slice(2..);
        drop(bytes);
        assert_eq!((&sent[..], memory.held()), (&b"file"[..], 6), "as long as any of it is there");
        drop(sent);
        assert_eq!(memory.held(), 0);
    }
}
