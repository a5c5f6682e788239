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

use std::sync::Arc;
use std::time::Instant;

use provost_core::ClientAddr;

use crate::front::Front;
use crate::listen::{Connection, Slot};
use crate::passwords::Known;
use crate::tls::{Hello, ShownChain, TlsConnection};
pub use door::peer_of;
pub(crate) use door::{Door, serve};
use peer::{Certificate, Peer, Security};
pub use target::{TargetError, path_of};

/// What is spoken inside TLS, for [`crate::tls::TlsFront::new`] (RFC 7301).
pub const ALPN: &[&str] = &["http/1.1", "http/1.0"];

async fn secured(front: Arc<Front>, connection: Connection) {
    let Connection { stream, client, slot, .. } = connection;
    let (limits, began) = (front.limits(), Instant::now());
    let hello = Box::pin(Hello::read(stream, limits.client_hello.min(limits.handshake)));
    match hello.await {
        Ok(hello) => Box::pin(converse(front, client, slot, hello)).await,
        Err(error) => front.failed("TLS", client, began, error.code(), &error),
    }
}

/// Serves a connection whose tenant is known, from its `ClientHello` on.
async fn converse(front: Arc<Front>, client: ClientAddr, slot: Slot, hello: Hello) {
    // Without TLS there is no handshake: the connection ends.
    let Some(tls) = front.present().tls.clone() else { return };
    let began = hello.began();
    // A handshake takes more memory than the connection that follows: it is given back.
    let limits = front.limits();
    let handshake = Box::pin(tls.answer(hello, &limits, &front.shares().handshakes));
    match handshake.await {
        Ok(TlsConnection { stream, server_name, .. }) => {
            let shown = ShownChain::new(stream.get_ref().1.peer_certificates().unwrap_or_default());
            // Asked of the present generation: what a reload no longer trusts proves nothing on connections that are open.
            let asked = Arc::clone(&front);
            let certificate: Certificate = Arc::new(move || asked.present().identity_shown(&shown));
            let security = Security::Tls { server_name, certificate };
            let peer = Peer { client, security, known: Known::default() };
            // It is large, and would stand several times in what serves it.
            connection::drive(front, peer, Box::new(stream)).await;
        }
        Err(error) => front.failed("TLS", client, began, error.code(), &error),
    }
    drop(slot);
}

async fn plain(front: Arc<Front>, connection: Connection) {
    let Connection { stream, client, slot, .. } = connection;
    connection::drive(front, Peer { client, security: Security::Plain, known: Known::default() }, stream).await;
    drop(slot);
}
