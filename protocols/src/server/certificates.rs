//! What is wrong with what listeners show of themselves, their certificates and OCSP responses, for the log and for status.

use std::time::SystemTime;

use provost_tenants::{ServerCertificate, Tenant};

/// Of each certificate that is not valid at `now`, why. Phones that verify it stay away.
pub(super) fn invalid(tenant: &Tenant, now: SystemTime) -> Vec<String> {
    flaws(tenant, |certificate| certificate.flaw_at(now), "")
}

/// Of each certificate whose staple is not sent at `now`, why.
pub(super) fn without_staple(tenant: &Tenant, now: SystemTime) -> Vec<String> {
    let flaw = |certificate: &ServerCertificate| {
        let over = certificate.staple.as_ref().and_then(|staple| staple.flaw_at(now));
        certificate.staple_flaw.clone().or(over)
    };
    flaws(tenant, flaw, "is sent without its OCSP response: ")
}

fn flaws(tenant: &Tenant, flaw: impl Fn(&ServerCertificate) -> Option<String>, heading: &str) -> Vec<String> {
    let certificates = tenant.enabled_listeners().flat_map(|listener| {
        listener.certificates().iter().enumerate().map(move |(index, shown)| (&listener.policy.name, index + 1, shown))
    });
    certificates
        .filter_map(|(listener, number, shown)| {
            Some(format!("listener {listener}: certificate {number} {heading}{}", flaw(shown)?))
        })
        .collect()
}
