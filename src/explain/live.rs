//! The same question to the running server: both ends of it.

use std::io::Write;
use std::path::Path;

use anyhow::{anyhow, bail};
use provost_protocols::Server;
use provost_protocols::admin::{Answer, Question, Request};
use provost_protocols::server::{State, Unserved};

use super::question::Asked;
use super::{Served, Verdict, explain};
use crate::terminal::{CARE, paint};
use crate::{configuration, status};

/// Asks the server that serves this configuration.
pub(super) fn ask(config: &Path, question: Question, output: &mut impl Write) -> anyhow::Result<Verdict> {
    match status::ask(config, &Request::Explain(question))? {
        Answer::Explained { is_permitted, text } => {
            output.write_all(text.as_bytes())?;
            Ok(if is_permitted { Verdict::Permitted } else { Verdict::Denied })
        }
        Answer::Status(_) | Answer::Reload(_) | Answer::Passwords(_) | Answer::Refused { .. } => {
            bail!(status::SOMETHING_ELSE)
        }
    }
}

/// Answers it, for what is served now. `unserved` are the tenants that the server does not know. It blocks on the file system.
pub(crate) fn answer(question: &Question, server: &Server, unserved: &[Unserved]) -> Answer {
    let mut text = Vec::new();
    match answer_to(question, server, unserved, &mut text) {
        Ok(verdict) => Answer::Explained {
            is_permitted: verdict == Verdict::Permitted,
            text: String::from_utf8_lossy(&text).into_owned(),
        },
        Err(error) => Answer::Refused { reason: format!("{error:#}") },
    }
}

fn answer_to(
    question: &Question,
    server: &Server,
    unserved: &[Unserved],
    output: &mut Vec<u8>,
) -> anyhow::Result<Verdict> {
    let asked = Asked::try_from(question)?;
    let present = server.present();
    let Some(tenant) = present.iter().find(|tenant| tenant.policy.name == question.tenant) else {
        if let Some(Unserved { tenant, errors }) = unserved.iter().find(|of| of.tenant == question.tenant) {
            bail!("tenant {tenant} is not served: {}", errors.join("; "));
        }
        let names = present.iter().map(|tenant| tenant.policy.name.as_str());
        bail!("no tenant `{}` is served; {}", question.tenant, configuration::choices("tenants", names));
    };
    configuration::listener(tenant, &question.listener)?;
    let (generation, state) = server
        .listener(&question.tenant, &question.listener)
        .ok_or_else(|| anyhow!("tenant {} was changed just now: ask again", question.tenant))?;
    match state {
        State::Waiting { reason, since } => {
            let note = paint(CARE, "the listener does not listen");
            writeln!(output, "  {note} since {since:.0}: {reason}")?;
        }
        State::Disabled | State::Up(_) => {}
    }
    explain(&asked, &Served::Live(&generation), output)
}
