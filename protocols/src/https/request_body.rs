//! The body of a request, read in batches. Nothing is read, and so no `100 Continue` sent (RFC 9110 section 10.1.1), before
//! someone asks for the first batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use provost_tenants::Limits;

use crate::listen::LeastRate;

/// How much is collected before it is handed on.
pub(super) const BATCH_BYTES: usize = 256 * 1024;

/// A body that nobody wants is read up to this size, so that the connection can be kept; past it the connection is closed.
const UNWANTED_BYTES: u64 = 64 * 1024;

/// The body of a request.
#[derive(Debug)]
pub(super) struct RequestBody {
    incoming: Incoming,
    stall: Duration,
    rate: LeastRate,
    length: Length,
    state: State,
    /// How much has come, where somebody asks.
    received: Option<Arc<AtomicU64>>,
}

/// What a request says of its body's length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// Nothing at all.
    Unsaid,
    /// This many bytes.
    Exact(u64),
    /// It comes in chunks, until the last.
    Chunked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The peer waits for `100 Continue` before it sends anything.
    Withheld,
    /// It comes.
    Coming,
    /// All of it was read.
    Ended,
    /// It cannot be read any more.
    Broken,
}

/// Bytes of a body.
#[derive(Debug)]
pub(super) struct Batch {
    /// The bytes.
    pub(super) bytes: Vec<u8>,
    /// Whether they are the last ones.
    pub(super) last: bool,
}

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// Nothing came for too long, or too little on the whole.
    #[error("the body stalled for {0:?}, or came too slowly")]
    Stalled(Duration),
    /// The peer went away, or its chunks are malformed.
    #[error("the body broke off: {0}")]
    Broken(#[from] hyper::Error),
}

/// What is left of a body once its request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leftover {
    /// Nothing: the connection can be kept.
    Nothing,
    /// Something that is not read.
    Unread,
}

impl RequestBody {
    /// The body of a request.
    pub(super) fn new(request: &Parts, incoming: Incoming, limits: &Limits) -> Self {
        let length = match incoming.size_hint().exact() {
            _ if request.headers.contains_key(TRANSFER_ENCODING) => Length::Chunked,
            Some(length) if request.headers.contains_key(CONTENT_LENGTH) => Length::Exact(length),
            Some(_) | None => Length::Unsaid,
        };
        let state = match request.headers.get(EXPECT) {
            _ if incoming.is_end_stream() => State::Ended,
            Some(_) => State::Withheld,
            None => State::Coming,
        };
        Self { incoming, stall: limits.stall, rate: LeastRate::new(limits), length, state, received: None }
    }

    /// How many bytes of it have come.
    pub(super) fn received(&mut self) -> Arc<AtomicU64> {
        Arc::clone(self.received.get_or_insert_default())
    }

    /// What the request says of its length.
    pub(super) fn length(&self) -> Length {
        self.length
    }

    /// The next bytes, about `most`. After the last batch there is none.
    ///
    /// # Errors
    /// - [`BodyError`]: it stalled or broke off
    pub(super) async fn batch(&mut self, most: usize) -> Result<Batch, BodyError> {
        let mut bytes = Vec::with_capacity(self.capacity().min(most));
        while bytes.len() < most {
            let Some(data) = self.frame().await? else { return Ok(Batch { bytes, last: true }) };
            bytes.extend_from_slice(&data);
        }
        Ok(Batch { bytes, last: false })
    }

    /// Reads what nobody wanted, if that is little and comes by itself. The peer that waits for `100 Continue` may send its body
    /// or not after a refusal, so that its connection cannot be kept.
    pub(super) async fn settle(&mut self) -> Leftover {
        let is_little = match self.length {
            Length::Unsaid => true,
            Length::Exact(length) => length <= UNWANTED_BYTES,
            Length::Chunked => false,
        };
        if is_little && self.state == State::Coming {
            let stall = self.stall;
            let drain = async { while let Ok(Some(_)) = self.frame().await {} };
            // The whole of it within one stall: this is a courtesy.
            let _ = tokio::time::timeout(stall, drain).await;
        }
        if self.state == State::Ended { Leftover::Nothing } else { Leftover::Unread }
    }

    async fn frame(&mut self) -> Result<Option<bytes::Bytes>, BodyError> {
        use http_body_util::BodyExt as _;
        if self.state == State::Ended {
            return Ok(None);
        }
        self.state = State::Broken;
        let frame = self.rate.wait(self.incoming.frame()).await;
        let Some(frame) = frame.map_err(|_| BodyError::Stalled(self.stall))?.transpose()? else {
            self.state = State::Ended;
            return Ok(None);
        };
        self.state = State::Coming;
        // Trailers say nothing here.
        let data = frame.into_data().unwrap_or_default();
        self.rate.moved(data.len());
        if let Some(received) = &self.received {
            received.fetch_add(u64::try_from(data.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        Ok(Some(data))
    }

    fn capacity(&self) -> usize {
        let expected = match self.length {
            Length::Exact(length) => usize::try_from(length).unwrap_or(BATCH_BYTES),
            Length::Unsaid | Length::Chunked => 8 * 1024,
        };
        expected.min(BATCH_BYTES)
    }
}
