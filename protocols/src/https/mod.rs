//! HTTP/1.1 and HTTP/1.0, over TLS and without: GET, HEAD and PUT of a tenant's files.
//!
//! There is no rule here: a request becomes an [`crate::Exchange`], that decides, and a permit opens the file. There is no
//! HTTP/2: no phone speaks it, and one connection of it would be many requests under one limit.

mod challenge;
mod connection;
mod content_type;
mod credentials;
pub mod digest;
mod door;
mod framing;
mod get;
mod host;
mod pace;
mod peer;
mod put;
mod range;
mod reply;
mod request;
mod request_body;
mod respond;
mod runtime;
mod target;
#[cfg(test)]
mod tests;
mod turned;
mod validators;

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use provost_core::ClientAddr;
use tokio::net::TcpStream;

use crate::front::Front;
use crate::listen::{Connection, Slot};
use crate::passwords::Known;
use crate::tls::{Hello, ShownChain, TlsConnection, TlsStream};
pub use door::peer_of;
pub(crate) use door::{Door, serve};
use peer::{Certificate, Peer, Security};
pub use target::{TargetError, path_of};

/// What is spoken inside TLS, for [`crate::tls::TlsFront::new`] (RFC 7301).
pub const ALPN: &[&str] = &["http/1.1", "http/1.0"];

async fn secured(front: Arc<Front>, connection: Connection) {
    let Connection { stream, client, slot, .. } = connection;
    let conversing = hear(&front, stream, client).await.map(|hello| converse(front, client, slot, hello));
    if let Some(conversing) = conversing {
        conversing.await;
    }
}

/// Reads the `ClientHello`. A peer that sends none is recorded.
async fn hear(front: &Arc<Front>, stream: TcpStream, client: ClientAddr) -> Option<Box<Hello>> {
    let (limits, began) = (front.limits(), Instant::now());
    match Box::pin(Hello::read(stream, limits.client_hello.min(limits.handshake))).await {
        Ok(hello) => Some(Box::new(hello)),
        Err(error) => {
            front.failed("TLS", client, began, error.code(), &error);
            None
        }
    }
}

/// Serves a connection whose tenant is known, from its `ClientHello` on. A handshake takes more memory than the connection that
/// follows: it is given back.
fn converse(front: Arc<Front>, client: ClientAddr, slot: Slot, hello: Box<Hello>) -> impl Future<Output = ()> + Send {
    let handshake = Box::pin(shake_hands(Arc::clone(&front), client, hello));
    async move {
        if let Some((peer, stream)) = handshake.await {
            connection::drive(front, peer, stream).await;
        }
        drop(slot);
    }
}

/// Does the handshake: who is there, and the bytes inside TLS. One that fails is recorded.
async fn shake_hands(front: Arc<Front>, client: ClientAddr, hello: Box<Hello>) -> Option<(Peer, TlsStream)> {
    // Without TLS there is no handshake: the connection ends.
    let tls = front.present().tls.clone()?;
    let began = hello.began();
    match tls.answer(*hello, &front.limits()).await {
        Ok(TlsConnection { stream, server_name, .. }) => {
            let shown = ShownChain::new(stream.session().peer_certificates().unwrap_or_default());
            // Asked of the present generation: what a reload no longer trusts proves nothing on connections that are open.
            let certificate: Certificate = Arc::new(move || front.present().identity_shown(&shown));
            let security = Security::Tls { server_name, certificate };
            Some((Peer { client, security, known: Known::default() }, stream))
        }
        Err(error) => {
            front.failed("TLS", client, began, error.code(), &error);
            None
        }
    }
}

async fn plain(front: Arc<Front>, connection: Connection) {
    let Connection { stream, client, slot, .. } = connection;
    connection::drive(front, Peer { client, security: Security::Plain, known: Known::default() }, stream).await;
    drop(slot);
}
