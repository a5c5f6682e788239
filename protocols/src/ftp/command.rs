//! Commands: a verb and its argument (RFC 959 section 5.3).
//!
//! Arguments stay the bytes that the peer sent. What they mean is said in the file of the verb's family.

use std::fmt;

/// A verb that this server knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[rustfmt::skip]
#[expect(missing_docs, reason = "they are the verbs of the RFCs")]
pub enum Verb {
    // Login.
    User, Pass, Acct, Smnt, Rein, Quit, Auth, Pbsz, Prot, Ccc,
    // Folders and names.
    Pwd, Cwd, Cdup, Mkd, Rmd, Dele, Rnfr, Rnto,
    // Settings.
    Type, Mode, Stru, Opts, Allo, Rest,
    // Data connections.
    Pasv, Epsv, Port, Eprt,
    // Files.
    Retr, Size, Mdtm, Stor, Appe, Stou, List, Nlst, Mlsd, Mlst,
    // The session.
    Abor, Feat, Syst, Stat, Help, Noop, Site, Clnt,
    /// Known, and not here: what other servers let clients set, RFC 1639 and the rest of RFC 2228.
    Refused,
    /// Anything else.
    Unknown,
}

/// The verbs as they are spelled, the ones of RFC 775 beside those that they stand for.
#[rustfmt::skip]
pub(super) const VERBS: [(&str, Verb); 51] = [
    ("ABOR", Verb::Abor), ("ACCT", Verb::Acct), ("ALLO", Verb::Allo), ("APPE", Verb::Appe), ("AUTH", Verb::Auth),
    ("CCC", Verb::Ccc), ("CLNT", Verb::Clnt), ("CDUP", Verb::Cdup), ("CWD", Verb::Cwd), ("DELE", Verb::Dele), ("EPRT", Verb::Eprt),
    ("EPSV", Verb::Epsv), ("FEAT", Verb::Feat), ("HELP", Verb::Help), ("LIST", Verb::List), ("MDTM", Verb::Mdtm),
    ("MKD", Verb::Mkd), ("MLSD", Verb::Mlsd), ("MLST", Verb::Mlst), ("MODE", Verb::Mode), ("NLST", Verb::Nlst),
    ("NOOP", Verb::Noop), ("OPTS", Verb::Opts), ("PASS", Verb::Pass), ("PASV", Verb::Pasv), ("PBSZ", Verb::Pbsz),
    ("PORT", Verb::Port), ("PROT", Verb::Prot), ("PWD", Verb::Pwd), ("QUIT", Verb::Quit), ("REIN", Verb::Rein),
    ("REST", Verb::Rest), ("RETR", Verb::Retr), ("RMD", Verb::Rmd), ("RNFR", Verb::Rnfr), ("RNTO", Verb::Rnto),
    ("SITE", Verb::Site), ("SIZE", Verb::Size), ("SMNT", Verb::Smnt), ("STAT", Verb::Stat), ("STOR", Verb::Stor),
    ("STOU", Verb::Stou), ("STRU", Verb::Stru), ("SYST", Verb::Syst), ("TYPE", Verb::Type), ("USER", Verb::User),
    ("XCUP", Verb::Cdup), ("XCWD", Verb::Cwd), ("XMKD", Verb::Mkd), ("XPWD", Verb::Pwd), ("XRMD", Verb::Rmd),
];

/// Verbs that clients try, and that are refused by name. HELP does not list them.
const REFUSED: [&str; 12] =
    ["ADAT", "AVBL", "CONF", "ENC", "HOST", "LANG", "LPRT", "LPSV", "MFCT", "MFF", "MFMT", "MIC"];

/// What a verb has to have before it, and what stands behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Is about TLS, and answered before it and before login.
    Tls,
    /// Is answered before TLS and before login.
    Open,
    /// Logs in, or shows a secret for that: where TLS is demanded, only behind it.
    Login,
    /// Needs a login.
    Session,
    /// Needs a login, and has a path behind it.
    Path,
}

/// One command. Its argument may be a password and is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    /// What is to be done.
    pub verb: Verb,
    /// With what; empty where nothing stands behind the verb.
    pub argument: Vec<u8>,
}

impl Command {
    /// Reads a line. One space stands between verb and argument; more belong to the argument, as names may begin with one.
    /// No verb begins with a byte past ASCII: those are what is left of telnet's sequences before ABOR, sent by halves.
    pub fn parse(line: &[u8]) -> Self {
        let begin = line.iter().position(u8::is_ascii).unwrap_or(line.len());
        let line = line.get(begin..).unwrap_or_default();
        let (verb, argument) = match line.iter().position(|byte| *byte == b' ') {
            Some(space) => (line.get(..space), line.get(space + 1..)),
            None => (Some(line), None),
        };
        let verb = verb.unwrap_or_default();
        let is = |name: &str| name.as_bytes().eq_ignore_ascii_case(verb);
        let known = VERBS.iter().find(|(name, _)| is(name)).map(|(_, verb)| *verb);
        let refused = || if REFUSED.iter().any(|name| is(name)) { Verb::Refused } else { Verb::Unknown };
        Self { verb: known.unwrap_or_else(refused), argument: argument.unwrap_or_default().to_vec() }
    }
}

impl Verb {
    /// The verb as records name it.
    pub(super) fn name(self) -> &'static str {
        VERBS.iter().find(|(_, verb)| *verb == self).map_or("UNKNOWN", |(name, _)| *name)
    }

    /// Whether its argument is a path.
    pub(super) const fn names_path(self) -> bool {
        matches!(self.kind(), Kind::Path)
    }

    /// Whether it is about TLS, and unknown to a listener without.
    pub(super) const fn is_of_tls(self) -> bool {
        matches!(self.kind(), Kind::Tls)
    }

    /// Whether it is answered before TLS where the listener demands that.
    pub(super) const fn needs_no_tls(self) -> bool {
        match self.kind() {
            Kind::Tls | Kind::Open => true,
            Kind::Login | Kind::Session | Kind::Path => false,
        }
    }

    /// Whether it is answered before login.
    pub(super) const fn needs_no_login(self) -> bool {
        match self.kind() {
            Kind::Tls | Kind::Open | Kind::Login => true,
            Kind::Session | Kind::Path => false,
        }
    }

    #[rustfmt::skip]
    const fn kind(self) -> Kind {
        match self {
            Self::Auth | Self::Pbsz | Self::Prot | Self::Ccc => Kind::Tls,
            Self::Rein | Self::Quit | Self::Feat | Self::Help | Self::Noop | Self::Syst | Self::Opts | Self::Clnt
            | Self::Refused | Self::Unknown => Kind::Open,
            Self::User | Self::Pass | Self::Acct => Kind::Login,
            Self::Smnt | Self::Pwd | Self::Cdup | Self::Type | Self::Mode | Self::Stru | Self::Allo | Self::Rest
            | Self::Pasv | Self::Epsv | Self::Port | Self::Eprt | Self::Abor | Self::Stat | Self::Site => Kind::Session,
            Self::Cwd | Self::Mkd | Self::Rmd | Self::Dele | Self::Rnfr | Self::Rnto | Self::Retr | Self::Size
            | Self::Mdtm | Self::Stor | Self::Appe | Self::Stou | Self::List | Self::Nlst | Self::Mlsd
            | Self::Mlst => Kind::Path,
        }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command").field("verb", &self.verb).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_verb_and_an_argument() {
        let rows: [(&[u8], Verb, &[u8]); 17] = [
            (b"NOOP", Verb::Noop, b""),
            (b"noop", Verb::Noop, b""),
            (b"NOOP ", Verb::Noop, b""),
            (b"Retr sip.cfg", Verb::Retr, b"sip.cfg"),
            (b"RETR  sip.cfg", Verb::Retr, b" sip.cfg"),
            (b"RETR a b.cfg ", Verb::Retr, b"a b.cfg "),
            (b"RETR \xff\xfe", Verb::Retr, b"\xff\xfe"),
            (b"XPWD", Verb::Pwd, b""),
            (b"\xf4\xf2abor", Verb::Abor, b""),
            (b"\xc3\xb4\xc3\xbfABOR", Verb::Abor, b""),
            (b"LPRT 4,4", Verb::Refused, b"4,4"),
            (b"XCUP", Verb::Cdup, b""),
            (b"", Verb::Unknown, b""),
            (b" NOOP", Verb::Unknown, b"NOOP"),
            (b"NOOPS", Verb::Unknown, b""),
            (b"RETR\tsip.cfg", Verb::Unknown, b""),
            (b"GET / HTTP/1.1", Verb::Unknown, b"/ HTTP/1.1"),
        ];
        for (line, verb, argument) in rows {
            assert_eq!(Command::parse(line), Command { verb, argument: argument.to_vec() }, "{line:?}");
        }
    }

    #[test]
    fn every_spelling_is_read_as_its_verb() {
        for (name, verb) in VERBS {
            assert_eq!(Command::parse(name.as_bytes()).verb, verb, "{name}");
        }
    }

    #[test]
    fn a_password_is_not_printed() {
        assert!(!format!("{:?}", Command::parse(b"PASS secret")).contains("secret"));
        assert!(!format!("{:?}", Command::parse(b"PASS secret")).contains("115"));
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_a_command_no_longer_than_itself(line in proptest::collection::vec(0_u8.., 0..600)) {
            let command = Command::parse(&line);
            proptest::prop_assert!(line.ends_with(&command.argument));
        }
    }
}
