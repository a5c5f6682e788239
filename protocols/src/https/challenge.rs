//! What a peer without a password is asked for: Digest with the algorithms that the tenant's passwords can answer, and over TLS
//! Basic, which sends a password as it is (RFC 7617 section 4).
//!
//! The order is the server's preference (RFC 7616 section 3.7): a client takes the first that it knows.

use hyper::header::HeaderValue;
use provost_core::PasswordProof;
use provost_tenants::Tenant;
use provost_tenants::passwords::Algorithm;

use super::peer::Security;
use crate::passwords::nonce;

/// The fields of one answer. They say nothing of the user that was named.
pub(super) fn fields(tenant: &Tenant, listener: &str, security: &Security, shown: &PasswordProof) -> Vec<HeaderValue> {
    let realm = &tenant.policy.name;
    let nonce = nonce(realm, listener);
    // The password was right, and the nonce too old: a phone answers again without asking anyone (RFC 7616 section 3.3).
    let stale = match shown {
        PasswordProof::Stale => ", stale=true",
        PasswordProof::Absent
        | PasswordProof::Wrong
        | PasswordProof::Unusable(_)
        | PasswordProof::Shared(_)
        | PasswordProof::Device(_) => "",
    };
    let digest = |algorithm: Algorithm| {
        let name = match algorithm {
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Md5 => "MD5",
        };
        format!("Digest realm=\"{realm}\", qop=\"auth\", algorithm={name}, nonce=\"{nonce}\"{stale}")
    };
    let digests = tenant.digests().map(digest);
    let basic = match security {
        Security::Plain => None,
        Security::Tls { .. } => Some(format!("Basic realm=\"{realm}\", charset=\"UTF-8\"")),
    };
    digests.chain(basic).filter_map(|field| HeaderValue::try_from(field).ok()).collect()
}
