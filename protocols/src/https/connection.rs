//! One connection: its requests, and what hyper answers by itself.

use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::pace::{Pace, Paced, Phase};
use super::peer::Peer;
use super::request;
use crate::front::Front;
use crate::record::Outcome;

/// What hyper buffers of a connection in either direction at most, in bytes, beside the chunk that is being sent. Less than a
/// chunk of a file, so that the next is asked for when the last is nearly gone.
const BUFFER_BYTES: usize = 64 * 1024;

/// Serves the requests of one connection until either side closes it.
pub(super) async fn drive<S>(front: Arc<Front>, peer: Peer, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let pace = Pace::new(&front.limits(), Arc::clone(front.life()));
    let peer = Arc::new(peer);
    let service = service_fn(|request| {
        let serving = pace.serve();
        let answer = request::handle(Arc::clone(&front), Arc::clone(&peer), request);
        async move { answer.await.map(|answer| answer.map(|reply| reply.serving(serving))) }
    });
    let header_bytes = front.limits().header_bytes;
    let outcome = http1::Builder::new()
        // Some phones close their side once they have asked.
        .half_close(true)
        // Old phones look for `Content-Length` as it is written here.
        .title_case_headers(true)
        .header_read_timeout(None)
        .max_header_size(header_bytes)
        .max_buf_size(BUFFER_BYTES.max(header_bytes))
        .serve_connection(TokioIo::new(Paced::new(stream, Arc::clone(&pace))), service)
        .await;
    if let Err(error) = outcome {
        note(&front, &peer, pace.phase(), &error);
    }
}

/// Records a request that never came to be one: hyper answered it (400, 414, 431), or its header did not end. A failure once
/// the header was complete is in that request's own record.
fn note(front: &Arc<Front>, peer: &Peer, phase: Phase, error: &hyper::Error) {
    let (outcome, reason) = match phase {
        _ if error.is_parse_too_large() => (Outcome::Rejected, "header_too_large"),
        _ if error.is_parse() => (Outcome::Rejected, "header_malformed"),
        Phase::Header if is_timeout(error) => (Outcome::Rejected, "header_timeout"),
        Phase::Header => (Outcome::Aborted, "header_incomplete"),
        Phase::Idle | Phase::Serving => return,
    };
    let mut exchange = front.exchange(peer.client, "HTTP", b"");
    exchange.detail(error);
    exchange.finish(outcome, Some(reason));
}

fn is_timeout(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::TimedOut)
}
