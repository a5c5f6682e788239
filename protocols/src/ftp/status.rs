//! FEAT, SYST, STAT, HELP.
//!
//! > STATUS (STAT): This command shall cause a status response to be sent over the control connection in the form of a
//! > reply. (RFC 959 section 4.1.3)
//!
//! FEAT is RFC 2389 section 3. Nothing here says which server this is, or of which version.

use super::command::{VERBS, Verb};
use super::facts::Fact;
use super::reply::Reply;
use super::session::{End, Session};
use super::settings::Representation;
use super::wire::Security;

/// Extensions with nothing to add to their names.
const FEATURES: [&str; 7] = ["EPRT", "EPSV", "MDTM", "REST STREAM", "SIZE", "TVFS", "UTF8"];
/// Verbs on one line of HELP.
const HELP_COLUMNS: usize = 10;

impl Session {
    pub(super) fn feat(&self) -> Reply {
        let mark = |fact: &Fact| if self.settings.facts.contains(fact) { "*" } else { "" };
        let facts: String = Fact::ALL.iter().flat_map(|fact| [fact.name(), mark(fact), ";"]).collect();
        let mut features: Vec<String> = FEATURES.map(str::to_owned).to_vec();
        features.push(format!("MLST {facts}"));
        if self.front.present().tls.is_some() {
            features.extend(["AUTH TLS", "PBSZ", "PROT"].map(str::to_owned));
        }
        features.sort_unstable();
        Reply::lines(211, "Features:", features, "End.")
    }

    /// What clients expect to parse `ls -l` lists by (RFC 959 section 5.4, RFC 943).
    pub(super) fn syst() -> Reply {
        Reply::fixed(215, "UNIX Type: L8")
    }

    pub(super) async fn stat(&mut self, argument: &[u8]) -> Result<Option<Reply>, End> {
        if !argument.is_empty() {
            return self.stat_path(argument).await;
        }
        let representation = match self.settings.representation {
            Representation::Ascii => "ASCII",
            Representation::Image => "image",
        };
        let security = match self.security {
            Security::Plain => "not encrypted",
            Security::Tls(_) => "encrypted",
        };
        let lines = vec![
            format!("Connected to {}, {}.", self.client, security),
            format!("Type {representation}, mode stream, structure file."),
        ];
        Ok(Some(Reply::lines(211, "Status:", lines, "End of status.")))
    }

    /// SITE: nothing of other servers' is here.
    pub(super) fn site(argument: &[u8]) -> Reply {
        match argument.to_ascii_uppercase().as_slice() {
            b"" => Reply::BAD_PARAMETER,
            b"HELP" => Reply::fixed(214, "There are no SITE commands."),
            _ => Reply::NOT_IMPLEMENTED,
        }
    }

    pub(super) fn help(&self, argument: &[u8]) -> Reply {
        let speaks_tls = self.front.present().tls.is_some();
        if argument.is_empty() {
            let names: Vec<&str> = implemented(speaks_tls).collect();
            let lines = names.chunks(HELP_COLUMNS).map(|row| row.join(" ")).collect();
            return Reply::lines(214, "Commands:", lines, "End.");
        }
        match implemented(speaks_tls).find(|name| name.as_bytes().eq_ignore_ascii_case(argument)) {
            Some(name) => Reply::with(214, format!("{name} is known here.")),
            None => Reply::NOT_UNDERSTOOD,
        }
    }
}

/// The commands that are not answered 502, whatever stands behind them.
fn implemented(speaks_tls: bool) -> impl Iterator<Item = &'static str> {
    let is_here = move |verb: Verb| verb != Verb::Stou && (speaks_tls || !verb.is_of_tls());
    VERBS.iter().filter(move |(_, verb)| is_here(*verb)).map(|(name, _)| *name)
}
