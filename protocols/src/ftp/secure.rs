//! AUTH, PBSZ, PROT, CCC (RFC 2228, RFC 4217).
//!
//! > AUTH TLS: The client sends the AUTH command, the server answers 234, and the handshake begins. (RFC 4217 section 4)
//!
//! A client certificate proves a device exactly as on https. TLS once begun stays: CCC is refused, since what comes behind
//! it could be anybody's.

use std::sync::Arc;
use std::time::Instant;

use provost_tenants::{FtpTls, Listener};

use super::data::Guard;
use super::reply::Reply;
use super::session::{End, Session};
use super::wire::Security;
use crate::record::Outcome;
use crate::tls::{TlsConnection, TlsFront};

impl Session {
    /// AUTH. It replies by itself, before the handshake; a reply is given back where there is none.
    ///
    /// # Errors
    /// - [`End::Gone`]: the handshake failed, or the reply could not be sent
    pub(super) async fn auth(&mut self, argument: &[u8]) -> Result<Option<Reply>, End> {
        let Some(tls) = self.front.present().tls.clone() else { return Ok(Some(Reply::NOT_IMPLEMENTED)) };
        if self.security != Security::Plain {
            return Ok(Some(Reply::BAD_SEQUENCE));
        }
        match argument.to_ascii_uppercase().as_slice() {
            b"TLS" | b"TLS-C" => {}
            b"" => return Ok(Some(Reply::BAD_PARAMETER)),
            // SSL among them, which means that data connections are encrypted without PROT (RFC 4217 section 2.4).
            _ => return Ok(Some(Reply::PARAMETER_NOT_IMPLEMENTED)),
        }
        self.control.reply(&Reply::AUTHENTICATE).await?;
        self.secure(&tls).await?;
        Ok(None)
    }

    /// Does the handshake on the control connection. All that was said before it is forgotten: it may have been said by
    /// anybody on the way.
    ///
    /// # Errors
    /// - [`End::Gone`]: it failed, and a record says why
    pub(super) async fn secure(&mut self, tls: &Arc<TlsFront>) -> Result<(), End> {
        let began = Instant::now();
        let stream = self.control.plain().ok_or(End::Gone)?;
        self.waiting.clear();
        self.reset();
        match Box::pin(tls.accept(stream, &self.front.limits())).await {
            Ok(TlsConnection { stream, .. }) => {
                self.security = Security::of(&stream);
                self.control.secured(stream);
                Ok(())
            }
            Err(error) => {
                let mut exchange = self.front.exchange(self.client, "TLS", b"");
                exchange.since(began);
                exchange.detail(&error);
                exchange.finish(Outcome::Handshake, Some(error.code()));
                Err(End::Gone)
            }
        }
    }

    /// PBSZ: TLS buffers as it likes, which is 0 (RFC 4217 section 8).
    pub(super) fn pbsz(&mut self, argument: &[u8]) -> Reply {
        if self.security == Security::Plain {
            return self.without_tls();
        }
        if argument.is_empty() || !argument.iter().all(u8::is_ascii_digit) {
            return Reply::BAD_PARAMETER;
        }
        self.data.size_told = true;
        Reply::fixed(200, "PBSZ=0")
    }

    /// PROT: C(lear) or P(rivate); S(afe) and E (confidential) are nothing that TLS has.
    pub(super) fn prot(&mut self, argument: &[u8]) -> Reply {
        if !self.data.size_told {
            return self.without_tls();
        }
        match argument.to_ascii_uppercase().as_slice() {
            b"P" => {
                self.ends.guard = Some(Guard::of(&self.security));
                Reply::fixed(200, "Data connections are encrypted.")
            }
            b"C" if self.must_protect() => Reply::MUST_PROTECT,
            b"C" => {
                self.ends.guard = None;
                Reply::fixed(200, "Data connections are clear.")
            }
            b"S" | b"E" => Reply::fixed(536, "TLS has no such level."),
            _ => Reply::PARAMETER_NOT_IMPLEMENTED,
        }
    }

    /// CCC.
    pub(super) fn ccc(&self) -> Reply {
        match self.security {
            Security::Plain => self.without_tls(),
            Security::Tls(_) => Reply::fixed(533, "The control connection stays protected."),
        }
    }

    /// What belongs to TLS comes too early, or never.
    fn without_tls(&self) -> Reply {
        if self.front.present().tls.is_some() { Reply::BAD_SEQUENCE } else { Reply::NOT_IMPLEMENTED }
    }

    /// Whether the listener demands TLS, and the session has none.
    pub(super) fn lacks_tls(&self) -> bool {
        self.security == Security::Plain && protects_data(&self.front.listener())
    }

    /// Whether data connections of this session would be clear where they must not. Where a certificate names the device they
    /// must not either: in clear whoever has the same address, as behind NAT, could take what the certificate opened.
    pub(super) fn lacks_protection(&self) -> bool {
        self.ends.guard.is_none() && self.must_protect()
    }

    fn must_protect(&self) -> bool {
        protects_data(&self.front.listener()) || self.is_certified()
    }

    /// Whether the peer's certificate names a device now.
    fn is_certified(&self) -> bool {
        self.security.identity(&self.front.present()).is_ok()
    }
}

/// Whether all that passes at this listener is encrypted.
fn protects_data(listener: &Listener) -> bool {
    match listener.ftp.tls {
        FtpTls::Explicit => false,
        FtpTls::Required | FtpTls::Implicit => listener.tls.is_some(),
    }
}
