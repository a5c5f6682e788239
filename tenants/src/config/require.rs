//! What a listener requires, and the exceptions from it: `require` and `[[listener.exception]]`.

use provost_core::require::AlternativeError;
use provost_core::{Alternative, Exception, ProofKind, Protocol, Require};

use super::field::Field;
use super::section::Section;
use super::trust::ouis;

/// What one listener asks of a request.
pub(super) struct Terms {
    pub(super) require: Require,
    pub(super) exceptions: Vec<Exception>,
    /// What lets in by address alone, where something does.
    pub(super) address_alone: Option<&'static str>,
    /// Whether a certificate is asked for anywhere.
    pub(super) certificate: bool,
}

impl Terms {
    /// Whether the listener or an exception asks for this anywhere.
    pub(super) fn mentions(&self, kind: ProofKind) -> bool {
        self.require.mentions(kind) || self.exceptions.iter().any(|exception| exception.require.mentions(kind))
    }

    /// Whether an exception is for devices that have no certificate.
    pub(super) fn excepts_certificate(&self) -> bool {
        let without =
            |exception: &Exception| exception.report_only || exception.require.can_do_without(ProofKind::Certificate);
        self.exceptions.iter().any(without)
    }
}

pub(super) fn read(section: &mut Section<'_>, protocol: Protocol) -> Terms {
    let require = match section.take("require") {
        Some(field) => alternatives(&field, protocol, &Require::default()),
        None => default_require(protocol),
    };
    let exceptions = section.tables("exception").into_iter();
    let exceptions: Vec<Exception> = exceptions.map(|section| exception(section, protocol, &require)).collect();
    let alone = |require: &Require| require.iter().any(Alternative::is_address_alone);
    let excepted = exceptions.iter().any(|exception| exception.report_only || alone(&exception.require));
    let address_alone = match (alone(&require), excepted) {
        (true, _) => Some("`require`"),
        (false, true) => Some("an exception"),
        (false, false) => None,
    };
    let certificate = require.mentions(ProofKind::Certificate)
        || exceptions.iter().any(|exception| exception.require.mentions(ProofKind::Certificate));
    Terms { require, exceptions, address_alone, certificate }
}

fn default_require(protocol: Protocol) -> Require {
    let kind = match protocol {
        Protocol::Https => "certificate",
        Protocol::Http | Protocol::Tftp | Protocol::Ftp => "address",
    };
    kind.parse::<Alternative>().into_iter().collect()
}

/// The alternatives of a listener, or those of an exception from what the `listener` requires.
fn alternatives(field: &Field<'_>, protocol: Protocol, listener: &Require) -> Require {
    let items = field.some_items("proofs, such as [\"certificate\"]");
    let mut read: Vec<Alternative> = Vec::new();
    for item in &items {
        let Some(alternative) = alternative(item, protocol) else { continue };
        read.push(alternative);
    }
    if read.len() == items.len() {
        refuse_idle(&items, &read, listener);
    }
    read.into_iter().collect()
}

fn refuse_idle(items: &[Field<'_>], alternatives: &[Alternative], listener: &Require) {
    for (index, (item, idle)) in items.iter().zip(alternatives).enumerate() {
        // An exception is asked only of whoever does not meet what the listener requires: it cannot ask for more.
        if let Some(wider) = listener.iter().find(|wider| wider.subsumes(idle)) {
            item.refuse(format!("is idle: whatever meets it meets `{wider}`, which the listener lets in already"));
            continue;
        }
        // Of two that say the same, the second is idle.
        let wider = alternatives.iter().enumerate().find(|(other, wider)| {
            *other != index && wider.subsumes(idle) && (!idle.subsumes(wider) || *other < index)
        });
        if let Some((_, wider)) = wider {
            item.refuse(format!("is idle: whatever meets it meets `{wider}`, too"));
        }
    }
}

fn alternative(item: &Field<'_>, protocol: Protocol) -> Option<Alternative> {
    let text = item.text("proofs, such as \"certificate\" or \"certificate+password\"")?;
    let alternative = match text.parse::<Alternative>() {
        Ok(alternative) => alternative,
        Err(AlternativeError::UnknownProof) => {
            item.refuse("expected `address`, `certificate`, `password` or `link`, or several joined by `+`");
            return None;
        }
        Err(error @ AlternativeError::Repeated) => {
            item.refuse(error);
            return None;
        }
    };
    if let Some(why) = refused(&alternative, protocol) {
        item.refuse(why);
        return None;
    }
    if protocol == Protocol::Http && alternative.needs(ProofKind::Link) {
        item.warn("whoever is on the way reads a link over plain http, and may use it: https keeps it secret");
    }
    Some(alternative)
}

/// Why the protocol cannot carry the proofs.
fn refused(alternative: &Alternative, protocol: Protocol) -> Option<String> {
    let link = alternative.needs(ProofKind::Link);
    let certificate = alternative.needs(ProofKind::Certificate);
    let password = alternative.needs(ProofKind::Password);
    match protocol {
        Protocol::Tftp | Protocol::Ftp if link => {
            Some(format!("no links on {protocol}: they are part of URLs, which only https and http have"))
        }
        Protocol::Tftp if password => Some("tftp has no passwords".to_owned()),
        Protocol::Http | Protocol::Tftp if certificate => {
            Some(format!("no certificate on {protocol}: only https has them, and ftp with TLS"))
        }
        Protocol::Https | Protocol::Http | Protocol::Tftp | Protocol::Ftp => None,
    }
}

fn exception(mut section: Section<'_>, protocol: Protocol, listener: &Require) -> Exception {
    let ouis = section.take("ouis").map(|field| ouis(&field));
    let shared = section.take("shared").and_then(|field| field.flag()).unwrap_or(false);
    let report_only = section.take("report_only").and_then(|field| field.flag()).unwrap_or(false);
    if ouis.is_none() && !shared {
        section.refuse("is for nobody: expected `ouis`, or `shared = true` for files that name no device");
    }
    let require = section.take("require");
    if require.is_none() && !report_only {
        section.missing("require", "is missing: expected what these devices show instead, such as [\"password\"]");
    }
    let require = require.map(|field| alternatives(&field, protocol, listener)).unwrap_or_default();
    let ouis = ouis.unwrap_or_default();
    warn(&section, &ouis, shared, report_only, &require);
    section.finish();
    Exception { ouis, require, shared, report_only }
}

/// What an exception opens; nothing is said of one whose errors leave it empty.
fn warn(section: &Section<'_>, ouis: &[provost_core::Oui], shared: bool, report_only: bool, require: &Require) {
    let ouis: Vec<String> = ouis.iter().map(ToString::to_string).collect();
    let files = match (ouis.as_slice(), shared) {
        ([], false) => return,
        ([], true) => "files that name no device".to_owned(),
        (ouis, false) => format!("files of {}", ouis.join(", ")),
        (ouis, true) => format!("files of {} and files that name no device", ouis.join(", ")),
    };
    if report_only {
        section.warn(format!("opens {files} to whoever comes from inside `allow`: nobody is refused, only recorded"));
    } else if require.iter().next().is_some() {
        section.warn(format!("opens {files} to whoever shows {require}"));
    }
}
