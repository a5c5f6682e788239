//! Whether a handshake needs a certificate.

use provost_core::{ListenerPolicy, ProofKind, TenantPolicy};

/// What a handshake asks of the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// A certificate that verifies: nothing could pass without one, so the handshake fails.
    Required,
    /// Whatever the peer has: one that does not verify counts as none, and the decision says what passes without.
    Optional,
}

/// Whether anything can pass at this listener without a certificate: an alternative, an exception, or a rule for anyone.
pub fn client_auth(tenant: &TenantPolicy, listener: &ListenerPolicy) -> ClientAuth {
    let without = |require: &provost_core::Require| require.can_do_without(ProofKind::Certificate);
    let passes_without = without(&listener.require)
        || listener.exceptions.iter().any(|exception| exception.report_only || without(&exception.require))
        || tenant.rules.let_anyone_read();
    if passes_without { ClientAuth::Optional } else { ClientAuth::Required }
}

#[cfg(test)]
mod tests {
    use provost_core::Exception;

    use super::*;
    use crate::tls::testing::{listener_policy, require, tenant_policy};

    #[test]
    fn a_certificate_is_required_exactly_where_nothing_passes_without() {
        let exception = |alternatives: &[&str], report_only| Exception {
            ouis: Vec::new(),
            require: require(alternatives),
            shared: false,
            report_only,
        };
        for (alternatives, exceptions, anyone, expected) in [
            (&["certificate"][..], vec![], None, ClientAuth::Required),
            (&["certificate+password"], vec![], None, ClientAuth::Required),
            (&["certificate", "password"], vec![], None, ClientAuth::Optional),
            (&["address"], vec![], None, ClientAuth::Optional),
            (&["certificate"], vec![exception(&["certificate+password"], false)], None, ClientAuth::Required),
            (&["certificate"], vec![exception(&["password"], false)], None, ClientAuth::Optional),
            (&["certificate"], vec![exception(&["certificate"], true)], None, ClientAuth::Optional),
            (&["certificate"], vec![], Some("*.ld"), ClientAuth::Optional),
        ] {
            let mut listener = listener_policy(alternatives);
            listener.exceptions = exceptions;
            assert_eq!(client_auth(&tenant_policy(anyone), &listener), expected, "{listener:?} {anyone:?}");
        }
    }
}
