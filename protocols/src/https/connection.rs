//! One connection: its requests, and what hyper answers by itself.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::Request;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use super::framing;
use super::pace::{Pace, Paced, Phase};
use super::peer::Peer;
use super::request;
use crate::front::Front;
use crate::listen::Reset;
use crate::record::Outcome;

/// What hyper buffers of a connection in either direction at most, in bytes, beside the chunk that is being sent. Less than a
/// chunk of a file, so that the next is asked for when the last is nearly gone.
const BUFFER_BYTES: usize = 64 * 1024;

/// A connection that rests so long gives its buffers back: a site's phones keep theirs open for a minute, and ask nothing.
const REST: Duration = Duration::from_secs(1);

/// Serves the requests of one connection until either side closes it.
pub(super) async fn drive<S>(front: Arc<Front>, peer: Peer, stream: S)
where
    S: AsyncRead + AsyncWrite + Reset + Unpin + Send,
{
    let pace = Pace::new(&front.limits(), Arc::clone(front.life()));
    let peer = Arc::new(peer);
    let mut stream = Paced::new(stream, Arc::clone(&pace));
    while let Some(resting) = Box::pin(serve(&front, &peer, &pace, stream)).await {
        stream = resting;
        if stream.woken().await.is_err() {
            // What TLS says at the end; who is gone does not hear it.
            let _ = stream.shutdown().await;
            return;
        }
    }
}

/// Serves requests until the connection ends, or rests: then the stream is given back.
async fn serve<S>(front: &Arc<Front>, peer: &Arc<Peer>, pace: &Arc<Pace>, stream: Paced<S>) -> Option<Paced<S>>
where
    S: AsyncRead + AsyncWrite + Reset + Unpin + Send,
{
    let service = service_fn(|request: Request<Incoming>| {
        let (serving, head) = pace.serve(!request.body().is_end_stream());
        let (front, peer) = (Arc::clone(front), Arc::clone(peer));
        async move {
            let answer = request::handle(front, peer, head, request).await;
            answer.map(|answer| answer.map(|reply| reply.serving(serving)))
        }
    });
    let header_bytes = front.limits().header_bytes;
    let mut connection = http1::Builder::new()
        // Some phones close their side once they have asked.
        .half_close(true)
        // Old phones look for `Content-Length` as it is written here.
        .title_case_headers(true)
        .header_read_timeout(None)
        .max_header_size(header_bytes)
        .max_buf_size(BUFFER_BYTES.max(header_bytes))
        .serve_connection(TokioIo::new(stream), service);
    let outcome = tokio::select! {
        biased;
        outcome = &mut connection => outcome,
        // Between two requests hyper holds nothing, or the beginning of the next.
        () = pace.rested(REST) => {
            let parts = connection.into_parts();
            return Some(parts.io.into_inner().beginning(parts.read_buf));
        }
    };
    let Err(error) = outcome else { return None };
    // The answer that did not get through says so in its record, whatever has begun behind it.
    if pace.has_stalled() {
        return None;
    }
    if error.is_user() {
        pace.falls_short();
    }
    note(front, peer, pace, &error);
    if pace.phase() == Phase::Header && is_timeout(&error) {
        let mut stream = connection.into_parts().io.into_inner();
        // It has been too slow: whether it hears so is its affair.
        let _ = stream.write_all(timeout(SystemTime::now()).as_bytes()).await;
        let _ = stream.shutdown().await;
    }
    None
}

/// What is said to a peer whose header did not end in time (RFC 9110 section 15.5.9); hyper has no answer without a request.
fn timeout(now: SystemTime) -> String {
    let date = httpdate::fmt_http_date(now);
    format!(
        "HTTP/1.1 408 Request Timeout\r\nContent-Type: text/plain\r\nX-Content-Type-Options: nosniff\r\n\
         Cache-Control: no-store\r\nConnection: close\r\nContent-Length: 15\r\nDate: {date}\r\n\r\nRequest Timeout"
    )
}

/// Records a request that never came to be one: hyper answered it (400, 414, 431), or its header did not end. A failure once
/// the header was complete is in that request's own record.
fn note(front: &Arc<Front>, peer: &Peer, pace: &Pace, error: &hyper::Error) {
    let (outcome, reason) = match pace.phase() {
        _ if error.is_parse_too_large() && framing::says_more_than_any_body(&pace.head()) => {
            (Outcome::Rejected, "content_length")
        }
        _ if error.is_parse_too_large() => (Outcome::Rejected, "header_too_large"),
        _ if error.is_parse() => (Outcome::Rejected, "header_malformed"),
        Phase::Header if is_timeout(error) => (Outcome::Rejected, "header_timeout"),
        Phase::Header => (Outcome::Aborted, "header_incomplete"),
        Phase::Idle | Phase::Serving | Phase::Closing => return,
    };
    let mut exchange = front.exchange(peer.client, "HTTP", b"");
    if let Some(began) = pace.header_began() {
        exchange.since(began.into_std());
    }
    if is_timeout(error) {
        exchange.detail(format_args!("the header was not complete within {:?}", front.limits().header));
    } else {
        exchange.detail(error);
    }
    exchange.finish(outcome, Some(reason));
}

fn is_timeout(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::TimedOut)
}
