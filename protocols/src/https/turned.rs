//! Peers for which there is no place: whatever they ask, they are told when to come again.
//!
//! Over TLS that takes a handshake, in the tenant's own turns. Nothing is decided and nothing opened. That they were
//! turned away stands in a record already.

use std::convert::Infallible;
use std::sync::Arc;

use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use provost_core::ClientAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::pace::{Pace, Paced};
use super::reply::Reply;
use super::respond;
use crate::front::Front;
use crate::listen::Reset;
use crate::tls::Hello;

/// Answers a peer without TLS.
pub(super) async fn plain(front: Arc<Front>, stream: TcpStream, _client: ClientAddr) {
    answer(&front, stream).await;
}

/// Answers a peer whose `ClientHello` has been read.
pub(super) async fn greeted(front: Arc<Front>, hello: Hello) {
    let Some(tls) = front.present().tls.clone() else { return };
    if let Ok(connection) = tls.answer(hello, &front.limits()).await {
        answer(&front, connection.stream).await;
    }
}

/// Answers a peer inside TLS.
pub(super) async fn secured(front: Arc<Front>, stream: TcpStream, _client: ClientAddr) {
    let Some(tls) = front.present().tls.clone() else { return };
    if let Ok(connection) = tls.accept(stream, &front.limits()).await {
        answer(&front, connection.stream).await;
    }
}

async fn answer<S: AsyncRead + AsyncWrite + Reset + Unpin + Send>(front: &Front, stream: S) {
    let limits = front.limits();
    let pace = Pace::new(&limits, Arc::clone(front.life()));
    let service = service_fn(|request: Request<Incoming>| {
        // The header is read; the rest of the request is read when the connection lingers.
        let (serving, _) = pace.serve(!request.body().is_end_stream());
        async move { Ok::<Response<Reply>, Infallible>(unavailable().map(|reply| reply.serving(serving))) }
    });
    // A peer that errs is closed as well.
    let _ = http1::Builder::new()
        .half_close(true)
        .title_case_headers(true)
        .header_read_timeout(None)
        .max_header_size(limits.header_bytes)
        .serve_connection(TokioIo::new(Paced::new(stream, Arc::clone(&pace))), service)
        .await;
}

fn unavailable() -> Response<Reply> {
    let mut answer = respond::unavailable();
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}
