//! A session: commands in order, each with its reply.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use provost_core::{ClientAddr, LinkProof, Proofs};
use provost_tenants::{FtpTls, Tenant};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::Shared;
use super::command::{Command, Verb};
use super::control::Control;
use super::data::{DataSetup, Ends, Guard, Passive, Plan};
use super::line::Line;
use super::login::{Login, Shown};
use super::navigate::Folder;
use super::pace::Pace;
use super::reply::Reply;
use super::settings::Settings;
use super::wire::Security;
use crate::front::{Exchange, Front, Generation};
use crate::listen::{Connection, Slot};
use crate::passwords::Known;
use crate::record::Outcome;
use crate::tls::TlsFront;

/// One control connection and all that was settled on it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) front: Arc<Front>,
    pub(super) client: ClientAddr,
    pub(super) ends: Ends,
    pub(super) control: Control,
    /// Lines that came during a transfer and wait for its end.
    pub(super) waiting: VecDeque<Line>,
    pub(super) security: Security,
    pub(super) login: Login,
    pub(super) wrong_passwords: u32,
    /// What the session logged in with.
    pub(super) shown: Shown,
    /// What it has shown before.
    pub(super) known: Known,
    pub(super) folder: Folder,
    pub(super) settings: Settings,
    pub(super) data: DataSetup,
    pub(super) shared: Arc<Shared>,
    pace: Pace,
    login_until: Instant,
    _slot: Slot,
}

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// QUIT.
    Quit,
    /// The peer closed the control connection, or it broke.
    Gone,
    /// No command came in time.
    Idle,
    /// The login took too long.
    SlowLogin,
    /// A command line without end.
    Endless,
    /// Too many wrong passwords.
    WrongPasswords,
    /// The peer may not speak to this listener any more.
    TurnedAway,
    /// There is no place to check its password now.
    Busy,
    /// A task of this server failed.
    Failed,
}

impl End {
    /// The last words.
    fn reply(self) -> Option<Reply> {
        match self {
            Self::Quit => Some(Reply::GOODBYE),
            Self::Gone => None,
            Self::Idle | Self::SlowLogin => Some(Reply::TOO_SLOW),
            Self::Endless => Some(Reply::TOO_LONG),
            Self::WrongPasswords => Some(Reply::TOO_MANY_PASSWORDS),
            Self::TurnedAway | Self::Busy | Self::Failed => Some(Reply::CLOSING),
        }
    }
}

/// Serves one control connection.
pub(super) async fn serve(front: Arc<Front>, connection: Connection, shared: Arc<Shared>) {
    let mut session = Session::new(front, connection, shared);
    let Err(end) = session.converse().await;
    session.ended(end);
    session.control.close(end.reply().as_ref()).await;
}

/// Tells a peer for which there is no place: behind the handshake where TLS is implicit, since such a peer reads nothing else.
pub(super) async fn turn_away(front: Arc<Front>, stream: TcpStream, _client: ClientAddr) {
    let limits = front.limits();
    let mut control = Control::new(stream, limits.command_bytes_before_login, limits.stall);
    if let Some(tls) = implicit_tls(&front.present()) {
        let Some(stream) = control.plain() else { return };
        let Ok(connection) = Box::pin(tls.accept(stream, &limits)).await else { return };
        control.secured(connection.stream);
    }
    control.close(Some(&Reply::CLOSING)).await;
}

impl Session {
    fn new(front: Arc<Front>, connection: Connection, shared: Arc<Shared>) -> Self {
        let Connection { stream, client, local, slot } = connection;
        let local = canonical(local);
        let limits = front.limits();
        Self {
            control: Control::new(stream, limits.command_bytes_before_login, limits.stall),
            login_until: Instant::now() + limits.login,
            ends: Ends { front: Arc::clone(&front), local, client, guard: None },
            security: Security::default(),
            client,
            waiting: VecDeque::new(),
            login: Login::Nobody,
            wrong_passwords: 0,
            shown: Shown::Nothing,
            known: Known::default(),
            folder: Folder::root(),
            settings: Settings::default(),
            data: DataSetup::default(),
            shared,
            pace: Pace::default(),
            front,
            _slot: slot,
        }
    }

    async fn converse(&mut self) -> Result<Infallible, End> {
        self.begin().await?;
        self.control.reply(&Reply::GREETING).await?;
        loop {
            let line = self.next_line().await?;
            self.pace().await;
            let reply = match line {
                Line::Complete(line) => self.answer(Command::parse(&line)).await?,
                Line::TooLong => Some(Reply::TOO_LONG),
                Line::Endless => return Err(End::Endless),
            };
            if let Some(reply) = reply {
                self.control.reply(&reply).await?;
            }
        }
    }

    /// Where TLS is implicit the handshake comes first.
    async fn begin(&mut self) -> Result<(), End> {
        let Some(tls) = implicit_tls(&self.front.present()) else { return Ok(()) };
        self.secure(&tls).await?;
        self.begin_data();
        Ok(())
    }

    /// Everything is as at the beginning, but for TLS and what was guessed.
    pub(super) fn reset(&mut self) {
        self.shown = Shown::Nothing;
        self.leave(Login::Nobody);
        self.folder = Folder::root();
        self.settings = Settings::default();
        self.begin_data();
    }

    /// Data connections are as a new session has them: in clear until PROT P, and where TLS is implicit encrypted from the start, as
    /// the clients of port 990 have it.
    fn begin_data(&mut self) {
        self.data = DataSetup::default();
        self.ends.guard = match (self.front.listener().ftp.tls, &self.security) {
            (FtpTls::Implicit, security @ Security::Tls(_)) => Some(Guard::of(security)),
            (FtpTls::Implicit, Security::Plain) | (FtpTls::Explicit | FtpTls::Required, _) => None,
        };
        self.data.size_told = self.ends.guard.is_some();
    }

    /// Counts a command, and waits where there were too many.
    pub(super) async fn pace(&mut self) {
        let per_second = self.front.limits().commands_per_second;
        if let Some(start) = self.pace.take(per_second, Instant::now()) {
            tokio::time::sleep_until(start).await;
        }
    }

    async fn next_line(&mut self) -> Result<Line, End> {
        if let Some(line) = self.waiting.pop_front() {
            return Ok(line);
        }
        let (deadline, end) = match self.login {
            Login::In => (Instant::now() + self.front.limits().idle, End::Idle),
            Login::Nobody | Login::Named(_) => (self.login_until, End::SlowLogin),
        };
        if let Plan::Passive(Passive { until, .. }) = &self.data.plan {
            if let Ok(line) = timeout_at(deadline.min(*until), self.control.next()).await {
                return line;
            }
            // Nobody came to use the port, and others may need it.
            self.data.plan = Plan::None;
        }
        timeout_at(deadline, self.control.next()).await.unwrap_or(Err(end))
    }

    /// The session may ask for files from here on.
    pub(super) fn enter(&mut self) {
        self.login = Login::In;
        self.control.limit = self.front.limits().command_bytes;
    }

    /// It may not, until it logs in again.
    pub(super) fn leave(&mut self, login: Login) {
        if self.login == Login::In {
            self.login_until = Instant::now() + self.front.limits().login;
        }
        self.login = login;
        self.control.limit = self.front.limits().command_bytes_before_login;
    }

    /// Carries out a command; `None` where that has replied already. What may wait is on the heap: a session that rests has no room
    /// for it.
    async fn answer(&mut self, command: Command) -> Result<Option<Reply>, End> {
        let Command { verb, argument } = command;
        let argument = argument.as_slice();
        if let Some(reply) = self.refuse_early(verb, argument) {
            return Ok(Some(reply));
        }
        Ok(Some(match verb {
            Verb::Auth => return Box::pin(self.auth(argument)).await,
            Verb::Pbsz => self.pbsz(argument),
            Verb::Prot => self.prot(argument),
            Verb::Ccc => self.ccc(),
            Verb::Rein => self.rein(),
            Verb::User => self.user(argument),
            Verb::Pass => Box::pin(self.pass(argument.to_vec())).await?,
            Verb::Acct | Verb::Smnt => Reply::SUPERFLUOUS,
            Verb::Quit => return Err(End::Quit),
            Verb::Site => Self::site(argument),
            Verb::Stou => self.stou(argument),
            Verb::Refused => Reply::NOT_IMPLEMENTED,
            Verb::Pwd => self.pwd(),
            Verb::Cwd => self.cwd(argument),
            Verb::Cdup => self.cdup(),
            Verb::Mkd => self.mkd(argument),
            Verb::Rmd | Verb::Dele | Verb::Rnfr => self.refuse_change(verb, argument),
            Verb::Rnto => Reply::BAD_SEQUENCE,
            Verb::Type => self.set_type(argument),
            Verb::Mode => Self::set_mode(argument),
            Verb::Stru => Self::set_structure(argument),
            Verb::Opts => self.opts(argument),
            Verb::Allo => Self::allo(argument),
            Verb::Rest => self.rest(argument),
            Verb::Pasv => self.pasv(),
            Verb::Epsv => self.epsv(argument),
            Verb::Port => self.port(argument),
            Verb::Eprt => self.eprt(argument),
            Verb::Retr => Box::pin(self.retr(argument)).await?,
            Verb::Size => Box::pin(self.size(argument)).await?,
            Verb::Mdtm => Box::pin(self.mdtm(argument)).await?,
            Verb::Stor => Box::pin(self.stor(argument)).await?,
            Verb::Appe => Box::pin(self.appe(argument)).await?,
            Verb::List => Box::pin(self.list(argument)).await?,
            Verb::Nlst => Box::pin(self.nlst(argument)).await?,
            Verb::Mlsd => Box::pin(self.mlsd(argument)).await?,
            Verb::Mlst => Box::pin(self.mlst(argument)).await?,
            Verb::Abor => self.abor(),
            Verb::Feat => self.feat(),
            Verb::Syst => Self::syst(),
            Verb::Stat => return Box::pin(self.stat(argument)).await,
            Verb::Help => self.help(argument),
            Verb::Noop | Verb::Clnt => Reply::OK,
            Verb::Unknown => Reply::NOT_UNDERSTOOD,
        }))
    }

    /// What a command is told that comes before TLS or before login, where it needs that.
    fn refuse_early(&mut self, verb: Verb, argument: &[u8]) -> Option<Reply> {
        if !verb.needs_no_tls() && self.lacks_tls() {
            self.came_too_early(verb, argument, "tls_required");
            return Some(Reply::TLS_FIRST);
        }
        if self.login != Login::In && !verb.needs_no_login() {
            self.came_too_early(verb, argument, "login_required");
            return Some(Reply::LOGIN_FIRST);
        }
        None
    }

    /// Begins the record of a command that is about a file or a folder.
    pub(super) fn exchange(&self, verb: &'static str, argument: &[u8]) -> Exchange {
        self.front.exchange(self.client, verb, &self.folder.join(argument))
    }

    /// What has been shown to the tenant of an exchange, as it counts now.
    ///
    /// # Errors
    /// - [`End::Busy`]: it cannot be told now; the record says so
    pub(super) async fn proofs(&self, mut exchange: Exchange) -> Result<(Exchange, Proofs), End> {
        let password = match self.password(exchange.tenant()).await {
            Ok(password) => password,
            Err(end) => {
                exchange.end(Outcome::Refused, Some("passwords"));
                return Err(end);
            }
        };
        let certificate = self.security.identity(&self.front.present());
        Ok((exchange, Proofs { certificate, password, link: LinkProof::Absent }))
    }

    /// Does what blocks on the file system where it holds up nobody.
    ///
    /// # Errors
    /// - [`End::Busy`]: what it has shown cannot be told now
    /// - [`End::Failed`]: the work panicked
    pub(super) async fn off_runtime<T: Send + 'static>(
        &self,
        exchange: Exchange,
        work: impl FnOnce(&mut Exchange, &Tenant, &Proofs) -> T + Send + 'static,
    ) -> Result<(Exchange, T), End> {
        let (mut exchange, proofs) = self.proofs(exchange).await?;
        let tenant = Arc::clone(exchange.tenant());
        let work = move || {
            let outcome = work(&mut exchange, &tenant, &proofs);
            (exchange, outcome)
        };
        self.front.off_runtime(work).await.map_err(|_| End::Failed)
    }
}

/// The TLS that a connection begins with, where it does.
fn implicit_tls(present: &Generation) -> Option<Arc<TlsFront>> {
    match present.listener.ftp.tls {
        FtpTls::Implicit => present.tls.clone(),
        FtpTls::Explicit | FtpTls::Required => None,
    }
}

/// The address that was reached; an IPv4-mapped one is the IPv4 address that it stands for.
fn canonical(local: SocketAddr) -> SocketAddr {
    match local.ip().to_canonical() {
        ip if ip == local.ip() => local,
        ip => SocketAddr::new(ip, local.port()),
    }
}
