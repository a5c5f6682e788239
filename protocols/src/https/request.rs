//! One request: its form, its method, its answer.

use std::borrow::Cow;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, USER_AGENT};
use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, StatusCode};

use super::credentials::Credentials;
use super::framing::{self, FramingError};
use super::get::{self, What};
use super::host::{self, HostError};
use super::peer::{Peer, Shown};
use super::request_body::{Leftover, RequestBody};
use super::respond::{self, Answer, Stop};
use super::target::{self, TargetError};
use super::{credentials, put};
use crate::front::{Exchange, Front};

/// The longest method in a record, in characters.
const MAX_METHOD: usize = 32;

/// A request that is not answered: the connection is closed.
#[derive(Debug, thiserror::Error)]
#[error("the request is not answered")]
pub(super) struct Silenced;

/// Answers a request.
///
/// # Errors
/// - [`Silenced`]: it is not answered
pub(super) async fn handle(
    front: Arc<Front>,
    peer: Arc<Peer>,
    head: Vec<u8>,
    request: Request<Incoming>,
) -> Result<Answer, Silenced> {
    let (request, incoming) = request.into_parts();
    let mut body = RequestBody::new(&request, incoming, &front.limits());
    let form = framing::check(&request, &head);
    drop(head);
    let mut answer = match route(front, peer, form, request, &mut body).await {
        Ok(answer) => answer,
        Err(Stop::Answer(answer)) => *answer,
        Err(Stop::Silence) => return Err(Silenced),
    };
    match body.settle().await {
        Leftover::Nothing => {}
        Leftover::Unread => drop(answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"))),
    }
    Ok(answer)
}

async fn route(
    front: Arc<Front>,
    peer: Arc<Peer>,
    form: Result<(), FramingError>,
    request: Parts,
    body: &mut RequestBody,
) -> Result<Answer, Stop> {
    let written = target::written(&request.uri);
    let decoded = target::decode(written);
    let path = decoded.as_deref().map_or_else(|_| target::shown(written), Cow::Borrowed);
    let mut exchange = front.exchange(peer.client, method_name(&request.method), &path);
    if let Some(agent) = request.headers.get(USER_AGENT) {
        exchange.agent(agent.as_bytes());
    }
    let (exchange, method) = well_formed(&front, &peer, exchange, form, &request, decoded.err())?;
    let tenant = Arc::clone(exchange.tenant());
    let credentials = credentials::read(&request.headers);
    if let Credentials::Digest(digest) = &credentials
        && !digest.is_for(request.uri.path_and_query().map_or(written, PathAndQuery::as_str))
    {
        return Err(respond::rejected(
            exchange,
            &peer,
            StatusCode::BAD_REQUEST,
            "digest_uri",
            "the Digest is for another target",
        ));
    }
    let Ok(password) = peer.password(&front, &tenant, credentials, request.method.as_str()).await else {
        return Err(respond::busy(exchange, &peer, "passwords"));
    };
    let shown = Shown { password, link: exchange.link() };
    match method {
        Served::Get(what) => get::read(front, peer, shown, exchange, request.headers, what).await,
        // It takes more memory than a GET, which has no room for it.
        Served::Put => Box::pin(put::put(front, peer, shown, exchange, request.headers, body)).await,
    }
}

/// The method of a request whose form holds: its framing, its path, its host and its method, in the order in which a peer learns what
/// is wrong with it.
fn well_formed(
    front: &Front,
    peer: &Peer,
    exchange: Exchange,
    form: Result<(), FramingError>,
    request: &Parts,
    malformed: Option<TargetError>,
) -> Result<(Exchange, Served), Stop> {
    if let Err(error) = form {
        // Where it ends, or whether its body comes, is not known for certain.
        return Err(respond::rejected(exchange, peer, error.status(), error.code(), error).closing());
    }
    let method = Served::of(&request.method);
    if let (Some(_), Some(error @ TargetError::NotAPath)) = (&method, malformed) {
        // Before the host: a path without its slash looks like one.
        return Err(respond::rejected(exchange, peer, StatusCode::BAD_REQUEST, error.code(), error));
    }
    let server_name = peer.security.server_name();
    if let Err(error) = host::check(request, server_name, |host| front.answers_to(host, server_name)) {
        let stop = respond::rejected(exchange, peer, host_status(error), error.code(), error);
        return Err(match error {
            // Who errs here has lost count of its requests, or speaks through something that has: what follows is not read.
            HostError::Missing | HostError::Several | HostError::Malformed => stop.closing(),
            HostError::Misdirected => stop,
        });
    }
    let Some(method) = method else { return Err(respond::method_not_allowed(exchange, peer)) };
    if let Some(error) = malformed {
        return Err(respond::rejected(exchange, peer, StatusCode::BAD_REQUEST, error.code(), error));
    }
    Ok((exchange, method))
}

/// The methods that there are.
enum Served {
    Get(What),
    Put,
}

impl Served {
    fn of(method: &Method) -> Option<Self> {
        match *method {
            Method::GET => Some(Self::Get(What::File)),
            Method::HEAD => Some(Self::Get(What::Description)),
            Method::PUT => Some(Self::Put),
            _ => None,
        }
    }
}

fn host_status(error: HostError) -> StatusCode {
    match error {
        HostError::Missing | HostError::Several | HostError::Malformed => StatusCode::BAD_REQUEST,
        HostError::Misdirected => StatusCode::MISDIRECTED_REQUEST,
    }
}

fn method_name(method: &Method) -> Cow<'static, str> {
    match method.as_str() {
        "GET" => Cow::Borrowed("GET"),
        "HEAD" => Cow::Borrowed("HEAD"),
        "PUT" => Cow::Borrowed("PUT"),
        other => Cow::Owned(other.chars().take(MAX_METHOD).collect()),
    }
}
