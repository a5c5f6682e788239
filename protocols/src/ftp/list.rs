//! LIST, NLST, MLSD, MLST.
//!
//! > LIST (LIST): This command causes a list to be sent from the server to the passive DTP. […] NAME LIST (NLST): […] to
//! > return information that can be used by a program to further process the files automatically. (RFC 959 section 4.1.3)
//!
//! MLSD and MLST are RFC 3659 section 7. What a list shows is said by its permit, name by name; a folder that shows
//! nothing and one that is not there look the same. Patterns are the affair of `names.rs`.

use std::sync::Arc;

use jiff::Timestamp;
use provost_core::{Operation, Proofs};
use provost_tenants::Tenant;
use provost_tenants::files::{Entry, FileError};
use tokio::time::timeout;

use super::data::{Ends, Plan};
use super::facts::{Fact, by_facts, long};
use super::lists::Hold;
use super::names::{Asked, Names};
use super::refuse::{Aim, Failure};
use super::reply::Reply;
use super::retrieve::describe;
use super::session::{End, Session};
use super::transfer::{Carried, Progress};
use crate::front::Exchange;
use crate::record::Outcome;

/// How the names are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Long,
    /// The names behind what the peer asked for, so that it can ask for them as they are listed.
    Names {
        folder: String,
    },
    Facts(Vec<Fact>),
}

impl Session {
    pub(super) async fn list(&mut self, argument: &[u8]) -> Result<Reply, End> {
        self.send_list("LIST", asked_of_list(argument), Form::Long).await
    }

    pub(super) async fn nlst(&mut self, argument: &[u8]) -> Result<Reply, End> {
        let asked = asked_of_list(argument);
        let folder = match asked.path.last() {
            None => String::new(),
            Some(b'/') => String::from_utf8_lossy(asked.path).into_owned(),
            Some(_) => format!("{}/", String::from_utf8_lossy(asked.path)),
        };
        self.send_list("NLST", asked, Form::Names { folder }).await
    }

    pub(super) async fn mlsd(&mut self, argument: &[u8]) -> Result<Reply, End> {
        let facts = self.settings.facts.clone();
        self.send_list("MLSD", Asked::all(argument), Form::Facts(facts)).await
    }

    async fn send_list(&mut self, verb: &'static str, asked: Asked<'_>, form: Form) -> Result<Reply, End> {
        self.settings.take_restart();
        let Asked { path, names } = asked;
        let plan = match self.take_plan(verb, path) {
            Ok(plan) => plan,
            Err(reply) => return Ok(reply),
        };
        let exchange = self.exchange_of_list(verb, path, &names);
        let (mut exchange, list) = self.make(exchange, form, names).await?;
        let List { text, hold: _hold } = match list {
            Ok(list) => list,
            Err(failure) => {
                self.data.plan = plan;
                return failure.conclude(exchange, Aim::Read);
            }
        };
        self.control.reply(&Reply::fixed(150, "Here comes the list.")).await?;
        let progress = Progress::default();
        let carried = self.carry(&progress, send_text(plan, self.ends.clone(), text, progress.clone())).await;
        if let Carried::Done(Ok(())) = carried {
            exchange.end(Outcome::Listed, None);
        }
        self.fail(exchange, carried, Aim::Read).await
    }

    /// As [`Session::exchange`]: what is decided on is the folder.
    fn exchange_of_list(&self, verb: &'static str, path: &[u8], names: &Names) -> Exchange {
        let mut exchange = self.exchange(verb, path);
        match names {
            Names::All => {}
            Names::Matching(pattern) => exchange.detail(format!("the names that match {pattern}")),
        }
        exchange
    }

    /// STAT with a path: the list goes over the control connection (RFC 959 section 4.1.3). `None`: it has been sent.
    pub(super) async fn stat_path(&mut self, argument: &[u8]) -> Result<Option<Reply>, End> {
        let Asked { path, names } = asked_of_list(argument);
        let exchange = self.exchange_of_list("STAT", path, &names);
        let (exchange, list) = self.make(exchange, Form::Long, names).await?;
        let List { text, hold: _hold } = match list {
            Ok(list) => list,
            Err(failure) => return failure.conclude(exchange, Aim::Read).map(Some),
        };
        exchange.finish(Outcome::Listed, None);
        // A long one would hold up others here.
        let encode = move || {
            let lines = text.lines().map(str::to_owned).collect();
            Reply::lines(213, "Status follows:", lines, "End of status.").encode()
        };
        let reply = self.front.off_runtime(encode).await.map_err(|_| End::Failed)?;
        self.control.say(&reply).await?;
        Ok(None)
    }

    pub(super) async fn mlst(&mut self, argument: &[u8]) -> Result<Reply, End> {
        let chosen = self.settings.facts.clone();
        let exchange = self.exchange("MLST", argument);
        let shared = Arc::clone(&self.shared);
        let Ok(_turn) = timeout(self.front.limits().stall, shared.lists.turn()).await else {
            return Failure::Busy.conclude(exchange, Aim::Read);
        };
        let (exchange, line) = self
            .off_runtime(exchange, move |exchange, tenant, proofs| {
                let facts =
                    if is_folder(exchange, tenant, proofs) { None } else { Some(describe(exchange, tenant, proofs)?) };
                let path = exchange.path().map(ToString::to_string).unwrap_or_default();
                Ok::<_, Failure>(by_facts(&path, facts.as_ref(), &chosen))
            })
            .await?;
        match line {
            Ok(line) => {
                exchange.finish(Outcome::Listed, None);
                Ok(Reply::lines(250, "Facts:", vec![line], "End."))
            }
            Err(failure) => failure.conclude(exchange, Aim::Read),
        }
    }
}

/// A list that was made.
#[derive(Debug)]
struct List {
    text: String,
    hold: Hold,
}

impl Session {
    /// Makes a list. A long one for which there is no place is made again once there is: its text does not wait for that.
    async fn make(
        &self,
        mut exchange: Exchange,
        form: Form,
        names: Names,
    ) -> Result<(Exchange, Result<List, Failure>), End> {
        let (lists, address) = (&self.shared.lists, self.client.ip());
        let stall = self.front.limits().stall;
        let mut place = None;
        loop {
            let Ok(turn) = timeout(stall, lists.turn()).await else { return Ok((exchange, Err(Failure::Busy))) };
            let (form, names) = (form.clone(), names.clone());
            let make = move |exchange: &mut Exchange, tenant: &Tenant, proofs: &Proofs| {
                match (look(exchange, tenant, proofs, &names)?, &form) {
                    // RFC 3659 section 7.2.1.
                    (Found::File(_), Form::Facts(_)) => Err(Failure::NoFolder),
                    (found, form) => Ok(text(&found, form)),
                }
            };
            let text;
            (exchange, text) = self.off_runtime(exchange, make).await?;
            drop(turn);
            let text = match text {
                Ok(text) => text,
                Err(failure) => return Ok((exchange, Err(failure))),
            };
            let hold = place.take().map(Hold::Long).or_else(|| lists.hold(&self.front, address, text.len()));
            if let Some(hold) = hold {
                return Ok((exchange, Ok(List { text, hold })));
            }
            drop(text);
            match timeout(stall, lists.place(address)).await {
                Ok(taken) => place = Some(taken),
                Err(_) => return Ok((exchange, Err(Failure::Busy))),
            }
        }
    }
}

/// What stands at a path.
#[derive(Debug)]
enum Found {
    /// The entries of a folder; none where there is no folder.
    Folder(Vec<Entry>),
    /// The path itself.
    File(Entry),
}

impl Found {
    fn entries(&self) -> &[Entry] {
        match self {
            Self::Folder(entries) => entries,
            Self::File(entry) => std::slice::from_ref(entry),
        }
    }
}

fn look(exchange: &mut Exchange, tenant: &Tenant, proofs: &Proofs, names: &Names) -> Result<Found, Failure> {
    let filter = names.filter(tenant.policy.rules.case());
    let listing = exchange.list(proofs, |permit| {
        let mut entries = tenant.files.list(permit)?;
        entries.retain(|entry| filter.takes(&entry.name));
        // A pattern is about what stands in a folder.
        let may_be_file = *names == Names::All
            && entries.is_empty()
            && !permit.folder().is_root()
            && permit.shows_file(permit.folder());
        Ok::<_, FileError>((entries, may_be_file, permit.folder().base_name().to_owned()))
    });
    let (entries, may_be_file, name) = listing.map_err(Failure::Refused)??;
    if !may_be_file {
        return Ok(Found::Folder(entries));
    }
    let permit = exchange.decide(Operation::Read, proofs).map_err(Failure::Refused)?;
    match tenant.files.describe(&permit) {
        Ok(facts) => Ok(Found::File(Entry { name, facts: Some(facts) })),
        Err(FileError::NotFound) => Ok(Found::Folder(Vec::new())),
        Err(error @ FileError::Io { .. }) => Err(error.into()),
    }
}

/// Whether the path is the root, or a folder that shows something.
fn is_folder(exchange: &mut Exchange, tenant: &Tenant, proofs: &Proofs) -> bool {
    if exchange.path().is_ok_and(provost_core::RequestPath::is_root) {
        return true;
    }
    exchange.is_folder(proofs, |permit| tenant.files.list(permit).is_ok_and(|entries| !entries.is_empty()))
}

fn text(found: &Found, form: &Form) -> String {
    let now = Timestamp::now();
    let mut text = String::new();
    for entry in found.entries() {
        match (form, found) {
            (Form::Long, _) => text.push_str(&long(entry, now)),
            (Form::Names { folder }, Found::Folder(_)) => {
                text.push_str(folder);
                text.push_str(&entry.name);
            }
            (Form::Names { folder }, Found::File(_)) => text.push_str(folder.trim_end_matches('/')),
            (Form::Facts(facts), _) => text.push_str(&by_facts(&entry.name, entry.facts.as_ref(), facts)),
        }
        text.push_str("\r\n");
    }
    text
}

async fn send_text(plan: Plan, ends: Ends, text: String, progress: Progress) -> Result<(), Failure> {
    let data = plan.open(&ends).await?;
    Ok(data.send_last(text.as_bytes(), &progress).await?)
}

/// What LIST, NLST and STAT take their argument for.
pub fn asked_of_list(argument: &[u8]) -> Asked<'_> {
    Asked::parse(without_options(argument))
}

/// Options as of `ls` are passed over: many clients send `-la` (RFC 959 knows none).
fn without_options(mut argument: &[u8]) -> &[u8] {
    while argument.first() == Some(&b'-') {
        let end = argument.iter().position(|byte| *byte == b' ').unwrap_or(argument.len());
        argument = argument.get(end..).unwrap_or_default().trim_ascii_start();
    }
    argument
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_before_the_path_are_passed_over() {
        let rows: [(&[u8], &[u8]); 6] = [
            (b"", b""),
            (b"-la", b""),
            (b"-l -a logs", b"logs"),
            (b"logs", b"logs"),
            (b"a -b", b"a -b"),
            (b"-a  logs of mine", b"logs of mine"),
        ];
        for (argument, path) in rows {
            assert_eq!(without_options(argument), path, "{argument:?}");
        }
    }
}
