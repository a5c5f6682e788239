//! What is wrong with the OCSP responses that listeners are to send along, for the log and for status.

use std::time::SystemTime;

use provost_tenants::{Listener, ServerCertificate, Tenant};

/// Of each listener with a staple that is not sent at `now`, why.
pub(super) fn flaws(tenant: &Tenant, now: SystemTime) -> Vec<String> {
    tenant.listeners.iter().flat_map(|listener| of_listener(listener, now)).collect()
}

fn of_listener(listener: &Listener, now: SystemTime) -> impl Iterator<Item = String> {
    let certificates = listener.tls.iter().flat_map(|tls| tls.certificates.iter().enumerate());
    certificates.filter_map(move |(index, certificate)| {
        let flaw = flaw(certificate, now)?;
        Some(format!(
            "listener {}: certificate {} is sent without its OCSP response: {flaw}",
            listener.policy.name,
            index + 1
        ))
    })
}

fn flaw(certificate: &ServerCertificate, now: SystemTime) -> Option<String> {
    let over = certificate.staple.as_ref().and_then(|staple| staple.flaw_at(now));
    certificate.staple_flaw.clone().or(over)
}
