//! Metrics for a monitoring system, in the text form of `OpenMetrics`: what `status` tells, as counters and gauges.
//!
//! They are made when they are asked for, from what is counted anyway. The listener is the host's own, meant for loopback
//! or a management network; it belongs to no tenant, knows one path, and proves nobody.

mod collect;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use collect::Statuses;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use crate::listen;
use crate::server::Status;

/// Connections at once. A monitoring system has one or two; past them the oldest gives way, so that silent ones keep nobody out.
const CONNECTIONS: usize = 64;
/// For a request's header to come.
const HEADER: Duration = Duration::from_secs(5);
/// For a connection altogether: a scrape is one request.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where metrics are told.
#[derive(Debug)]
pub struct Metrics {
    listener: TcpListener,
}

impl Metrics {
    /// Binds the address in the host's network. It must be called inside a tokio runtime.
    ///
    /// # Errors
    /// - what the system says
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener: TcpListener::from_std(listener)? })
    }

    /// Where it really listens.
    ///
    /// # Errors
    /// - what the system says
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until it is dropped. `status` is asked at each scrape.
    pub fn serve(self, status: impl Fn() -> Status + Send + Sync + 'static) -> impl Future<Output = ()> + Send {
        let mut registry = Registry::with_prefix("provost");
        registry.register_collector(Box::new(Statuses(Box::new(status))));
        let registry = Arc::new(registry);
        let mut open = VecDeque::new();
        async move {
            loop {
                let failed = |error: &io::Error| tracing::warn!(%error, "cannot accept a connection for metrics");
                let (stream, _) = listen::next(|| self.listener.accept(), failed).await;
                open.retain(|connection: &JoinHandle<_>| !connection.is_finished());
                while open.len() >= CONNECTIONS {
                    open.pop_front().inspect(JoinHandle::abort);
                }
                // A peer that goes away or takes too long has its answer no more.
                open.push_back(tokio::spawn(timeout(PATIENCE, drive(stream, Arc::clone(&registry)))));
            }
        }
    }
}

async fn drive(stream: TcpStream, registry: Arc<Registry>) -> hyper::Result<()> {
    let service = service_fn(move |request: Request<Incoming>| {
        let (registry, request) = (Arc::clone(&registry), request.into_parts().0);
        async move {
            // With thousands of tenants it would hold up phones here.
            let answer = spawn_blocking(move || answer(&request, &registry)).await;
            Ok::<_, Infallible>(answer.unwrap_or_else(|_| failed()))
        }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn of(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::from(text));
    *answer.status_mut() = status;
    answer
}

fn failed() -> Response<Full<Bytes>> {
    of(StatusCode::INTERNAL_SERVER_ERROR, String::new())
}

/// What is told. It takes a while where there are many tenants.
fn answer(request: &Parts, registry: &Registry) -> Response<Full<Bytes>> {
    if request.uri.path() != "/metrics" {
        return of(StatusCode::NOT_FOUND, "metrics are at /metrics\n".to_owned());
    }
    if request.method != Method::GET && request.method != Method::HEAD {
        let mut answer = of(StatusCode::METHOD_NOT_ALLOWED, String::new());
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    let mut text = String::new();
    if encode(&mut text, registry).is_err() {
        return failed();
    }
    let mut answer = of(StatusCode::OK, text);
    let form = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, form);
    answer
}
