//! What the phone in question is supposed to have shown.

use anyhow::{Context as _, bail};
use provost_core::proof::CertificateIdentity;
use provost_core::{LinkProof, Mac, NoIdentity, PasswordProof, Proofs, Protocol};
use provost_protocols::https::{TargetError, path_of};
use provost_protocols::tls::{fails_handshake, identity_of};
use provost_tenants::trust::certificates_in;
use provost_tenants::{Listener, Tenant, TlsSettings};

use super::listing;
use super::question::Asked;

/// The proofs, and what is to be said of them.
pub(super) struct Supposed {
    pub(super) proofs: Proofs,
    pub(super) notes: Vec<String>,
    /// Why the certificate ends the handshake, whatever is asked for.
    pub(super) no_handshake: Option<NoIdentity>,
}

/// Gathers the proofs that the options describe.
pub(super) fn suppose(
    asked: &Asked<'_>,
    tenant: &Tenant,
    listener: &Listener,
    link: LinkProof,
) -> anyhow::Result<Supposed> {
    let mut notes = Vec::new();
    let (certificate, no_handshake) = certificate(asked, listener, &mut notes)?;
    let password = password(asked, tenant, listener.policy.protocol, &mut notes)?;
    match link {
        LinkProof::Absent => {}
        LinkProof::Wrong => notes.push("the path is a secret link, and its token is no device's".to_owned()),
        LinkProof::Device(mac) => notes.push(format!("the secret link proves {mac}")),
    }
    Ok(Supposed { proofs: Proofs { certificate, password, link }, notes, no_handshake })
}

type Identity = Result<CertificateIdentity, NoIdentity>;

/// Whom the certificate proves, and why there is no handshake with it where there is none.
fn certificate(
    asked: &Asked<'_>,
    listener: &Listener,
    notes: &mut Vec<String>,
) -> anyhow::Result<(Identity, Option<NoIdentity>)> {
    let Some(tls) = &listener.tls else {
        if asked.mac.is_some() || asked.certificate.is_some() {
            bail!("listener {} has no TLS, so no phone can show a certificate there", listener.policy.name);
        }
        return Ok((Err(NoIdentity::Plaintext), None));
    };
    if let Some(mac) = asked.mac {
        return Ok((Ok(supposed_identity(mac, tls, listener, notes)?), None));
    }
    asked.certificate.map_or(Ok((Err(NoIdentity::NotPresented), None)), |bytes| presented(bytes, tls, notes))
}

fn presented(
    bytes: &[u8],
    tls: &TlsSettings,
    notes: &mut Vec<String>,
) -> anyhow::Result<(Identity, Option<NoIdentity>)> {
    let chain = certificates_in(bytes).context("cannot use the certificate")?;
    let identity = identity_of(tls, &chain);
    notes.push(match &identity {
        Ok(identity) => format!("the certificate proves {}, by trust set {}", identity.mac, identity.trust_set),
        Err(why) => format!("the certificate proves no device: {why}"),
    });
    Ok((identity, fails_handshake(&chain)))
}

fn supposed_identity(
    mac: Mac,
    tls: &TlsSettings,
    listener: &Listener,
    notes: &mut Vec<String>,
) -> anyhow::Result<CertificateIdentity> {
    let Some(set) = tls.trust.first() else {
        bail!("listener {} has no trust sets, so no certificate proves anything there", listener.policy.name);
    };
    notes.push(format!("supposing a certificate that proves {mac}"));
    Ok(CertificateIdentity { mac, trust_set: set.name.clone() })
}

fn password(
    asked: &Asked<'_>,
    tenant: &Tenant,
    protocol: Protocol,
    notes: &mut Vec<String>,
) -> anyhow::Result<PasswordProof> {
    let Some(user) = asked.user else { return Ok(PasswordProof::Absent) };
    match protocol {
        Protocol::Https | Protocol::Http | Protocol::Ftp => {}
        Protocol::Tftp => bail!("TFTP has no passwords"),
    }
    let device = user.parse::<Mac>().ok().filter(|mac| tenant.devices.has_password(*mac));
    let shared = tenant.users.has(user).then(|| PasswordProof::Shared(user.into()));
    let can_be_shown = match protocol {
        Protocol::Http => device.map_or_else(|| tenant.users.has_digest(user), |mac| tenant.devices.has_digest(mac)),
        Protocol::Https | Protocol::Ftp | Protocol::Tftp => true,
    };
    let proof = match device.map(PasswordProof::Device).or(shared) {
        Some(proof) if can_be_shown => proof,
        Some(_) => PasswordProof::Unusable(format!(
            "the password of `{user}` is stored as argon2id, which answers no Digest, and http takes nothing else"
        )),
        None => PasswordProof::Wrong,
    };
    notes.push(match &proof {
        PasswordProof::Unusable(why) => why.clone(),
        PasswordProof::Device(mac) => format!("supposing the right password of device {mac}"),
        PasswordProof::Shared(_) => format!("supposing the right password of user {user}"),
        PasswordProof::Wrong | PasswordProof::Stale | PasswordProof::Absent => {
            format!("no valid password of `{user}` is configured, so any that the phone sends is wrong")
        }
    });
    Ok(proof)
}

/// The path as the server's parser sees it: of an HTTP target it is cut and decoded first, and of what lists take it is told from options
/// and a pattern.
///
/// # Errors
/// - [`TargetError`]: the target names no path
pub(super) fn path_on_the_wire(asked: &Asked<'_>, protocol: Protocol) -> Result<Vec<u8>, TargetError> {
    match protocol {
        Protocol::Https | Protocol::Http => path_of(asked.path),
        Protocol::Tftp => Ok(asked.path.as_bytes().to_vec()),
        Protocol::Ftp => Ok(listing::asked(asked).path.to_vec()),
    }
}

/// What is to be said of an HTTP path that is asked about without the slash that a phone has to send.
pub(super) fn supposed_slash(path: &str, protocol: Protocol) -> Option<&'static str> {
    let is_whole = path.starts_with('/') || path.contains("://");
    match protocol {
        Protocol::Https | Protocol::Http => {
            (!is_whole).then_some("supposed: the path begins with a slash; one that a phone sends without is told 400")
        }
        Protocol::Tftp | Protocol::Ftp => None,
    }
}
