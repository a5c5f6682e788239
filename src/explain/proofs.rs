//! What the phone in question is supposed to have shown.

use provost_core::proof::CertificateIdentity;
use provost_core::{Mac, NoIdentity, PasswordProof, Proofs, Protocol};
use provost_tenants::{Listener, Tenant, TlsSettings};

use super::Malformed;
use crate::cli::ExplainArgs;

/// The proofs, and what is to be said of them.
pub(super) struct Supposed {
    pub(super) proofs: Proofs,
    pub(super) notes: Vec<String>,
}

/// Gathers the proofs that the options describe.
pub(super) fn suppose(args: &ExplainArgs, tenant: &Tenant, listener: &Listener) -> anyhow::Result<Supposed> {
    let mut notes = Vec::new();
    let certificate = certificate(args, listener, &mut notes)?;
    let password = password(args, tenant, listener.policy.protocol, &mut notes)?;
    Ok(Supposed { proofs: Proofs { certificate, password, link: None }, notes })
}

fn certificate(
    args: &ExplainArgs,
    listener: &Listener,
    notes: &mut Vec<String>,
) -> anyhow::Result<Result<CertificateIdentity, NoIdentity>> {
    let Some(tls) = &listener.tls else {
        return if args.mac.is_some() || args.certificate.is_some() {
            Err(Malformed(format!("listener {} has no TLS, so no phone can show a certificate there", args.listener))
                .into())
        } else {
            Ok(Err(NoIdentity::Plaintext))
        };
    };
    if let Some(mac) = args.mac {
        return supposed_identity(mac, tls, args, notes).map(Ok);
    }
    match &args.certificate {
        Some(_file) => Err(Malformed("--certificate is not served yet".into()).into()),
        None => Ok(Err(NoIdentity::NotPresented)),
    }
}

fn supposed_identity(
    mac: Mac,
    tls: &TlsSettings,
    args: &ExplainArgs,
    notes: &mut Vec<String>,
) -> anyhow::Result<CertificateIdentity> {
    let Some(set) = tls.trust.first() else {
        return Err(Malformed(format!(
            "listener {} has no trust sets, so no certificate proves anything there",
            args.listener
        ))
        .into());
    };
    notes.push(format!("supposing a certificate that proves {mac}"));
    Ok(CertificateIdentity { mac, trust_set: set.name.clone() })
}

fn password(
    args: &ExplainArgs,
    tenant: &Tenant,
    protocol: Protocol,
    notes: &mut Vec<String>,
) -> anyhow::Result<PasswordProof> {
    let Some(user) = &args.user else { return Ok(PasswordProof::Absent) };
    match protocol {
        Protocol::Https | Protocol::Http | Protocol::Ftp => {}
        Protocol::Tftp => return Err(Malformed("TFTP has no users".into()).into()),
    }
    let proof = match user.parse::<Mac>() {
        Ok(mac) => PasswordProof::Device(mac),
        Err(_) => PasswordProof::Shared(user.as_str().into()),
    };
    let _ = tenant;
    notes.push(format!("supposing the right password of {user}"));
    Ok(proof)
}

/// The path as the server's parser sees it: HTTP cuts the query and decodes percent signs first (RFC 3986 section 2.1).
pub(super) fn path_on_the_wire(path: &str, protocol: Protocol) -> Vec<u8> {
    match protocol {
        Protocol::Https | Protocol::Http => {
            let end = path.find(['?', '#']).unwrap_or(path.len());
            percent_encoding::percent_decode_str(path.get(..end).unwrap_or_default()).collect()
        }
        Protocol::Tftp | Protocol::Ftp => path.as_bytes().to_vec(),
    }
}
