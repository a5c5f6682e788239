//! The question, as it is asked and as it is understood.

use std::fs;
use std::net::IpAddr;

use anyhow::{Context as _, anyhow};
use clap::ValueEnum as _;
use provost_core::Mac;
use provost_protocols::admin::Question;

use crate::cli::{ExplainArgs, Method};

/// A question that was understood.
pub(super) struct Asked<'a> {
    pub(super) from: IpAddr,
    pub(super) certificate: Option<&'a [u8]>,
    pub(super) mac: Option<Mac>,
    pub(super) user: Option<&'a str>,
    pub(super) method: Method,
    pub(super) path: &'a str,
}

/// The question of the command line, with the certificates that it names.
pub(super) fn of(args: &ExplainArgs) -> anyhow::Result<Question> {
    let ExplainArgs { config: _, live: _, tenant, listener, from, certificate, mac, user, method, path } = args;
    let certificate = certificate.as_ref().map(|file| {
        let bytes = fs::read(file);
        bytes.with_context(|| format!("cannot read {}", file.display()))
    });
    Ok(Question {
        tenant: tenant.clone(),
        listener: listener.clone(),
        from: *from,
        certificate: certificate.transpose()?,
        mac: mac.map(|mac| mac.to_string()),
        user: user.clone(),
        method: method.name().to_owned(),
        path: path.clone(),
    })
}

impl<'a> TryFrom<&'a Question> for Asked<'a> {
    type Error = anyhow::Error;

    fn try_from(question: &'a Question) -> anyhow::Result<Self> {
        let Question { tenant: _, listener: _, from, certificate, mac, user, method, path } = question;
        let method = Method::from_str(method, true).map_err(|_| anyhow!("no protocol has a method {method:?}"))?;
        let mac = mac.as_ref().map(|mac| mac.parse().with_context(|| format!("{mac:?} is no MAC")));
        Ok(Self {
            from: *from,
            certificate: certificate.as_deref(),
            mac: mac.transpose()?,
            user: user.as_deref(),
            method,
            path,
        })
    }
}
