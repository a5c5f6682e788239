//! The verdict: what is permitted and where its bytes are, or what the phone is told.

use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd as _;

use provost_core::rules::{Kind, Origin, Prefer, Readers, Rule, Writers};
use provost_core::{AccessRequest, Denial, NoIdentity, Operation, Permit, Protocol, Refusal, Step};
use provost_protocols::https::TargetError;
use provost_protocols::tls::{ClientAuth, client_auth};
use provost_tenants::files::FileError;
use provost_tenants::{Listener, Tenant};

use super::Verdict;
use crate::cli::Method;
use crate::terminal::{BAD, GOOD, paint};

const NO_HANDSHAKE: &str = "nothing, the TLS handshake is refused";

/// Why it is denied, as the record of such a request says it.
pub(super) struct Why {
    pub(super) text: String,
    pub(super) code: &'static str,
}

impl Why {
    /// The reason of the denial; at the path's step the target's, where that names none.
    pub(super) fn of(denial: &Denial, target: Option<TargetError>) -> Self {
        match target {
            Some(error) if denial.step == Step::Path => Self { text: error.to_string(), code: error.code() },
            Some(_) | None => Self { text: denial.reason.to_string(), code: denial.reason.code() },
        }
    }
}

/// Prints a permit: by which rule, and which file.
pub(super) fn permitted(
    output: &mut impl Write,
    method: Method,
    tenant: &Tenant,
    permit: &Permit,
) -> anyhow::Result<()> {
    writeln!(output, "{} {} ({})", paint(GOOD, "permitted:"), permit.opening(), permit.opening().code())?;
    writeln!(output, "  rule    {}", described(permit.rule()))?;
    if let Some(device) = permit.device() {
        let label = tenant.devices.label(device).map_or_else(String::new, |label| format!(", {label}"));
        writeln!(output, "  device  {device}{label}")?;
    }
    let lines = match permit.operation() {
        Operation::Read => what_is_read(method, tenant, permit),
        Operation::Write => vec![what_is_written(tenant, permit)],
    };
    for line in lines {
        writeln!(output, "  file    {line}")?;
    }
    Ok(())
}

fn described(rule: &Rule) -> String {
    let origin = match rule.origin {
        Origin::Operator => "of the tenant's file",
        Origin::BuiltIn => "built in",
    };
    let (read, write) = (rule.read.unwrap_or(Readers::Nobody), rule.write.unwrap_or(Writers::Nobody));
    format!("`{}`, {origin}: read {read}, write {write}, kind {}", rule.pattern, rule.kind)
}

fn what_is_read(method: Method, tenant: &Tenant, permit: &Permit) -> Vec<String> {
    // What HEAD and SIZE are told is not always what GET would send: of a log, only the upload counts.
    let is_described = match method {
        Method::Head
        | Method::Size
        | Method::Mdtm
        | Method::List
        | Method::Nlst
        | Method::Mlsd
        | Method::Mlst
        | Method::Stat => true,
        Method::Get | Method::Rrq | Method::Retr | Method::Put | Method::Wrq | Method::Stor | Method::Appe => false,
    };
    let places = match (is_described, permit.rule().kind) {
        (true, Kind::Log) => "the device's uploads alone, since the phone is told where to go on with its log",
        (true, Kind::File | Kind::Settings) | (false, _) => match permit.rule().prefer {
            Prefer::Uploads => "the device's uploads, the tenant's root, the shared roots",
            Prefer::Root => "the tenant's root, the device's uploads, the shared roots",
        },
    };
    match if is_described { tenant.files.open_described(permit) } else { tenant.files.open(permit) } {
        Ok(open) => vec![format!("{}, {} bytes", place(&open.file), open.facts.size)],
        Err(FileError::NotFound) => {
            let names = permit.path().spellings(permit.device()).join(", ");
            vec![
                "not there: the phone is told so".to_owned(),
                format!("looked for {names}"),
                format!("looked in {places}"),
            ]
        }
        Err(error @ FileError::Io { .. }) => vec![format!("cannot be opened: {:#}", anyhow::Error::from(error))],
    }
}

/// Where an open file lies; the system knows best what its roots and links led to.
fn place(file: &fs::File) -> String {
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    fs::read_link(link).map_or_else(|_| "open".to_owned(), |path| path.display().to_string())
}

fn what_is_written(tenant: &Tenant, permit: &Permit) -> String {
    match tenant.uploads.stored_as(permit) {
        Ok(path) => format!("{path}, below the tenant's uploads"),
        Err(error) => format!("not stored: {error}, and the phone is told so"),
    }
}

/// Prints a denial: why, and what the phone is told of it.
pub(super) fn denied(
    output: &mut impl Write,
    tenant: &Tenant,
    listener: &Listener,
    request: &AccessRequest<'_>,
    refusal: Refusal,
    why: &Why,
) -> anyhow::Result<()> {
    let told = if fails_in_handshake(tenant, listener, request) && refusal != Refusal::Silence {
        NO_HANDSHAKE
    } else {
        on_the_wire(listener.policy.protocol, request.operation, in_words_of(tenant, listener, refusal))
    };
    writeln!(output, "{} {} ({})", paint(BAD, "denied:"), why.text, why.code)?;
    writeln!(output, "  the phone is told: {told}")?;
    Ok(())
}

/// Prints that nothing is decided, since the handshake fails for the certificate whatever is asked for.
pub(super) fn no_handshake(output: &mut impl Write, why: &NoIdentity) -> anyhow::Result<Verdict> {
    writeln!(output, "{} {why} (certificate_refused)", paint(BAD, "denied:"))?;
    writeln!(output, "  the phone is told: {NO_HANDSHAKE}")?;
    Ok(Verdict::Denied)
}

/// Prints that nothing is decided yet: a source that only claims its address was told of others and has not answered.
pub(super) fn unanswered(output: &mut impl Write) -> anyhow::Result<Verdict> {
    let why = "the source was told of other devices and has answered nothing, so that of further ones it hears nothing until it does";
    writeln!(output, "{} {why} (unanswered)", paint(BAD, "denied:"))?;
    writeln!(output, "  the phone is told: nothing")?;
    Ok(Verdict::Denied)
}

/// Whether it would never come to a request: nothing passes without a certificate, and none verifies.
fn fails_in_handshake(tenant: &Tenant, listener: &Listener, request: &AccessRequest<'_>) -> bool {
    let unverified = matches!(request.proofs.certificate, Err(NoIdentity::NotPresented | NoIdentity::NotVerified(_)));
    unverified && listener.tls.is_some() && client_auth(&tenant.policy, &listener.policy) == ClientAuth::Required
}

/// Plain http asks for a Digest alone: where no password can answer one, there is nothing to ask for.
fn in_words_of(tenant: &Tenant, listener: &Listener, refusal: Refusal) -> Refusal {
    match (listener.policy.protocol, refusal) {
        (Protocol::Http, Refusal::Unauthenticated) if tenant.digests().next().is_none() => Refusal::Forbidden,
        (Protocol::Https | Protocol::Http | Protocol::Tftp | Protocol::Ftp, refusal) => refusal,
    }
}

/// What a refusal looks like to the peer.
const fn on_the_wire(protocol: Protocol, operation: Operation, refusal: Refusal) -> &'static str {
    match (protocol, refusal) {
        (Protocol::Https | Protocol::Http | Protocol::Ftp, Refusal::Silence) => "nothing, the connection is closed",
        (Protocol::Tftp, Refusal::Silence) => "nothing",
        (Protocol::Https | Protocol::Http, Refusal::Malformed) => "400 Bad Request",
        (Protocol::Https | Protocol::Http, Refusal::Unauthenticated) => "401 Unauthorized",
        (Protocol::Https | Protocol::Http, Refusal::Forbidden) => "403 Forbidden",
        (Protocol::Https | Protocol::Http, Refusal::NotFound) => "404 Not Found, as for a file that is not there",
        (Protocol::Tftp, Refusal::Malformed | Refusal::Unauthenticated | Refusal::Forbidden) => {
            "ERROR 2, access violation"
        }
        (Protocol::Tftp, Refusal::NotFound) => "ERROR 1, file not found, as for a file that is not there",
        (Protocol::Ftp, Refusal::Unauthenticated) => "530, log in first",
        (Protocol::Ftp, Refusal::Malformed) => match operation {
            Operation::Read => "550 Name not allowed",
            Operation::Write => "553 Name not allowed",
        },
        (Protocol::Ftp, Refusal::Forbidden) => match operation {
            Operation::Read => "550 Permission denied",
            Operation::Write => "553 Permission denied",
        },
        (Protocol::Ftp, Refusal::NotFound) => match operation {
            Operation::Read => "550 No such file, as for a file that is not there",
            Operation::Write => "553 Permission denied",
        },
    }
}
