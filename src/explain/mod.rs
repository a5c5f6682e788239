//! `provost explain`: one decision, step by step, for the configuration on disk.
//!
//! It walks the server's own ladder with a witness that prints; nothing here decides, and nothing on the disk changes.

mod ladder;
mod proofs;
mod verdict;

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use provost_core::{AccessRequest, ClientAddr, walk};
use provost_tenants::{Listener, Tenant};

use self::ladder::Ladder;
use crate::cli::ExplainArgs;
use crate::configuration;

/// A question that cannot be asked: a method that the listener does not know, a certificate where there is no TLS.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(String);

/// Explains, and tells by the exit status.
pub(crate) fn run(args: &ExplainArgs, output: &mut impl Write) -> anyhow::Result<ExitCode> {
    let loaded = configuration::load(&args.config.config)?;
    let question = |error: anyhow::Error| {
        if error.is::<configuration::Refused>() { error } else { Malformed(format!("{error:#}")).into() }
    };
    let tenant = configuration::tenant(&loaded, &args.tenant).map_err(question)?;
    let listener = configuration::listener(tenant, &args.listener).map_err(question)?;
    explain(args, tenant, listener, output)
}

fn explain(
    args: &ExplainArgs,
    tenant: &Tenant,
    listener: &Listener,
    output: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let protocol = listener.policy.protocol;
    if !args.method.belongs_to(protocol) {
        return Err(
            Malformed(format!("listener {} speaks {protocol}, which has no {:?}", args.listener, args.method)).into()
        );
    }
    let supposed = proofs::suppose(args, tenant, listener)?;
    let path = tenant.policy.path(&proofs::path_on_the_wire(&args.path, protocol));
    let request = AccessRequest {
        tenant: &tenant.policy,
        listener: &listener.policy,
        devices: tenant.devices.as_ref(),
        client: ClientAddr::from(SocketAddr::new(args.from, 0)),
        proofs: &supposed.proofs,
        operation: args.method.operation(),
        path: path.as_ref().map_err(|error| *error),
        throttled: false,
    };
    for note in &supposed.notes {
        writeln!(output, "  {note}")?;
    }
    let mut ladder = Ladder::new(output);
    let decision = walk(&request, &mut ladder);
    match &decision {
        Ok(_) => ladder.end()?,
        Err(denial) => ladder.denied(denial)?,
    }
    match decision {
        Ok(permit) => {
            verdict::permitted(output, args.method, tenant, &permit)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(denial) => {
            verdict::denied(output, tenant, listener, &request, &denial)?;
            Ok(ExitCode::FAILURE)
        }
    }
}
