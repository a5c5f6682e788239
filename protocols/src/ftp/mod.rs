//! FTP (RFC 959, 1123, 2389, 2428, 3659, and 4217 over TLS): our own engine. One file a family of verbs, with the RFC's words on top.
//!
//! A session is a control connection with lines in and replies out, and at most one data connection between the same two
//! hosts. Whatever names a file becomes an exchange of [`crate::front`]; no rule stands here.

mod ascii;
pub mod command;
mod control;
mod data;
mod facts;
pub mod line;
mod list;
mod lists;
mod login;
mod names;
mod navigate;
mod noted;
mod pace;
mod refuse;
mod reply;
mod retrieve;
mod secure;
mod session;
mod settings;
mod status;
mod store;
#[cfg(test)]
mod tests;
mod transfer;
mod wire;

use std::sync::Arc;

use tokio::net::TcpListener;

pub use self::list::asked_of_list;
pub use self::names::{Asked as AskedOfList, Filter, Names};
use crate::front::Front;
use crate::listen::{self, Ports};

/// What is spoken inside TLS is not negotiated: RFC 4217 knows no ALPN, and clients offer anything or nothing.
pub const ALPN: &[&str] = &[];

/// What the sessions of one listener have in common.
#[derive(Debug, Default)]
struct Shared {
    lists: lists::Lists,
    /// Ports at which data connections are awaited.
    ports: Arc<Ports>,
}

/// Serves FTP on a listening socket until the task is dropped.
pub async fn serve(front: Arc<Front>, listener: TcpListener) {
    let shared = Arc::<Shared>::default();
    let serve = move |front, connection| session::serve(front, connection, Arc::clone(&shared));
    listen::accept(front, listener, serve, session::turn_away).await;
}
