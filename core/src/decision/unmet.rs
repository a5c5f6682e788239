//! A requirement that is not met: what was required of just this request, and what of it was shown.

use std::fmt;

use crate::mac::Mac;
use crate::policy::ListenerPolicy;
use crate::proof::{LinkProof, PasswordProof, Proofs};
use crate::require::{Exception, ProofKind, Require};

/// Why neither the listener's `require` holds nor that of an exception.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet {
    listener: Require,
    /// Of the exceptions that are for this request, or could be with the password or link of one device.
    exceptions: Vec<Require>,
    proofs: Proofs,
}

impl Unmet {
    /// What a listener requires of a request for a path that names this device, or none.
    pub(super) fn of(listener: &ListenerPolicy, proofs: &Proofs, named: Option<Mac>) -> Self {
        let bound = proofs.password.device().or(proofs.link.device());
        let nothing_names_one = named.or(bound).is_none();
        let could_cover = |exception: &&Exception| {
            // Where neither path nor proof names a device, the link of one may, or its password. Who has sent one that devices
            // share is not asked for another.
            let by_link = exception.require.mentions(ProofKind::Link);
            let by_password = exception.require.mentions(ProofKind::Password) && !proofs.password.is_shared();
            exception.covers(named, bound) || nothing_names_one && (by_link || by_password)
        };
        let exceptions = listener.exceptions.iter().filter(could_cover).map(|exception| exception.require.clone());
        Self { listener: listener.require.clone(), exceptions: exceptions.collect(), proofs: proofs.clone() }
    }

    /// Whether all that is missing of some alternative is a password. Who has sent a right one is not asked for another.
    pub fn password_would_help(&self) -> bool {
        self.requires()
            .flat_map(Require::iter)
            .any(|alternative| alternative.lacks_only(ProofKind::Password, &self.proofs))
    }

    fn requires(&self) -> impl Iterator<Item = &Require> {
        std::iter::once(&self.listener).chain(&self.exceptions)
    }

    fn mentions(&self, kind: ProofKind) -> bool {
        self.requires().any(|require| require.mentions(kind))
    }

    fn certificate(&self) -> Option<String> {
        let text = match &self.proofs.certificate {
            Ok(_) => "the certificate names a device".to_owned(),
            Err(why) => why.to_string(),
        };
        self.mentions(ProofKind::Certificate).then_some(text)
    }

    fn password(&self) -> Option<&str> {
        match &self.proofs.password {
            PasswordProof::Absent => self.mentions(ProofKind::Password).then_some("no password was given"),
            flawed @ (PasswordProof::Wrong | PasswordProof::Stale | PasswordProof::Unusable(_)) => flawed.flaw(),
            PasswordProof::Shared(_) | PasswordProof::Device(_) => Some("the password is right"),
        }
    }

    fn link(&self) -> Option<&'static str> {
        let text = match self.proofs.link {
            LinkProof::Absent => "the path is no secret link",
            LinkProof::Wrong => "the secret link is no device's",
            LinkProof::Device(_) => "the secret link is right",
        };
        self.mentions(ProofKind::Link).then_some(text)
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the listener requires {}", self.listener)?;
        for exception in &self.exceptions {
            write!(f, ", or {exception} by an exception")?;
        }
        let shown = [self.certificate(), self.password().map(str::to_owned), self.link().map(str::to_owned)];
        for (index, text) in shown.into_iter().flatten().enumerate() {
            write!(f, "{} {text}", if index == 0 { ";" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Protocol, Unbound, UnboundWrite};
    use crate::proof::NoIdentity;

    fn require(text: &str) -> Require {
        text.split(',').map(|proof| proof.parse().unwrap_or_else(|error| panic!("{text}: {error}"))).collect()
    }

    #[test]
    fn it_tells_of_what_is_asked_for_and_of_nothing_else() {
        let mac = |text: &str| text.parse::<Mac>().unwrap_or_else(|error| panic!("{text}: {error}"));
        let (poly, algo) = (mac("0004f2aabbcc"), mac("0022ee010203"));
        let exception =
            Exception { ouis: vec![algo.oui()], require: require("password"), shared: false, report_only: false };
        let shared = || PasswordProof::Shared("PlcmSpIp".into());
        for (required, excepted, named, password, text) in [
            ("certificate", false, None, PasswordProof::Absent, "certificate; no certificate was presented"),
            ("password", false, None, PasswordProof::Absent, "password; no password was given"),
            (
                "link",
                false,
                None,
                PasswordProof::Wrong,
                "link; user and password are wrong, the path is no secret link",
            ),
            (
                "certificate",
                true,
                Some(algo),
                PasswordProof::Absent,
                "certificate, or password by an exception; no certificate was presented, no password was given",
            ),
            ("certificate", true, Some(poly), PasswordProof::Absent, "certificate; no certificate was presented"),
            (
                "certificate",
                true,
                None,
                PasswordProof::Absent,
                "certificate, or password by an exception; no certificate was presented, no password was given",
            ),
            ("certificate", true, None, shared(), "certificate; no certificate was presented, the password is right"),
            (
                "certificate",
                true,
                None,
                PasswordProof::Device(poly),
                "certificate; no certificate was presented, the password is right",
            ),
        ] {
            let listener = ListenerPolicy {
                name: "phones".into(),
                protocol: Protocol::Https,
                enabled: true,
                allow: None,
                require: require(required),
                unbound: Unbound::Refuse,
                unbound_write: UnboundWrite::Logs,
                exceptions: if excepted { vec![exception.clone()] } else { Vec::new() },
            };
            let proofs = Proofs { certificate: Err(NoIdentity::NotPresented), password, link: LinkProof::Absent };
            let unmet = Unmet::of(&listener, &proofs, named);
            assert_eq!(unmet.to_string(), format!("the listener requires {text}"));
        }
    }
}
