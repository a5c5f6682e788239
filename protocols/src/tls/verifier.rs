//! The verifier that the handshake asks.
//!
//! Where a certificate is optional, the handshake goes on with one that does not verify, and it counts as none: what
//! the library calls verified here means "goes on" and never "is somebody". Who somebody is, [`Verifier::judge`]
//! says. That the peer holds the certificate's key is verified in every case, and a chain that is too much to look at is
//! refused in every case.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::SystemTime;

use provost_core::NoIdentity;
use provost_tenants::trust::{Legacy, legacy_of};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, SignatureScheme};

use super::cache::{ChainHash, Judgements};
use super::chain::check_extent;
use super::client_auth::ClientAuth;
use super::possession::Possession;
use super::trust::{Judgement, TrustSets};

tokio::task_local! {
    /// Why the certificate of the handshake that is being driven was refused. The library hands back an error that
    /// chooses the alert and has no room for our reason.
    pub(super) static REFUSAL: RefCell<Option<NoIdentity>>;
}

/// One listener's verifier, with what it found out.
#[derive(Debug)]
pub(super) struct Verifier {
    sets: TrustSets,
    judgements: Judgements,
    client_auth: ClientAuth,
    hints: Vec<DistinguishedName>,
    possession: Possession,
}

impl Verifier {
    pub(super) fn new(sets: TrustSets, client_auth: ClientAuth, hints: bool, provider: &Arc<CryptoProvider>) -> Self {
        Self {
            hints: if hints { sets.subjects() } else { Vec::new() },
            possession: Possession::new(provider.signature_verification_algorithms, |legacy| sets.tolerate(legacy)),
            sets,
            judgements: Judgements::new(),
            client_auth,
        }
    }

    /// What the trust sets say of a chain at `now`, or said of it a few minutes ago. `chain` is the hash of all of it.
    pub(super) fn judge(
        &self,
        chain: ChainHash,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Judgement {
        if let Some(known) = self.judgements.find(chain, now) {
            return known;
        }
        let judgement = self.sets.judge(leaf, intermediates, now);
        self.judgements.keep(chain, leaf, judgement.clone(), now);
        judgement
    }
}

impl ClientCertVerifier for Verifier {
    fn offer_client_auth(&self) -> bool {
        !self.sets.is_empty()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.client_auth == ClientAuth::Required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let chain = ChainHash::with_leaf(leaf, intermediates);
        match (self.judge(chain, leaf, intermediates, now), self.client_auth) {
            (Judgement::Named(_) | Judgement::Nameless(_), _) => Ok(ClientCertVerified::assertion()),
            // The library keeps what a peer shows as long as the connection, and the session: not what is too much to look at.
            (Judgement::Unverified { .. }, ClientAuth::Optional) if check_extent(leaf, intermediates).is_ok() => {
                Ok(ClientCertVerified::assertion())
            }
            (Judgement::Unverified { why, error }, ClientAuth::Required | ClientAuth::Optional) => {
                // Outside a handshake that we drive there is nobody to tell.
                let _ = REFUSAL.try_with(|refusal| refusal.replace(Some(why)));
                Err(error)
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.possession.tls12(message, certificate, signature).inspect_err(|_| say_of_key(certificate))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.possession.tls13(message, certificate, signature).inspect_err(|_| say_of_key(certificate))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.possession.offered().to_vec()
    }
}

/// A handshake fails for a signature that does not verify even where the certificate would count as none: what nobody has shown to hold
/// must not come to count later.
fn say_of_key(certificate: &CertificateDer<'_>) {
    let why = if legacy_of(certificate, SystemTime::UNIX_EPOCH).contains(&Legacy::Rsa1024) {
        "its RSA key has less than 2048 bits, and a signature in the handshake is verified of such a one only with SHA-256 or \
         SHA-512 in TLS 1.2: `legacy = [\"rsa1024\"]` of a trust set asks phones for that"
    } else {
        "the signature in the handshake is not by its key, or that is of a kind that is not supported"
    };
    let _ = REFUSAL.try_with(|refusal| refusal.replace(Some(NoIdentity::NotVerified(why.to_owned()))));
}
