//! `provost explain`: one decision, step by step, for the configuration on disk or for the running server.
//!
//! It walks the server's own ladder with a witness that prints; nothing here decides, and nothing changes: neither on the disk
//! nor in what the server knows of a source.

mod arrival;
mod ladder;
mod listing;
mod live;
mod proofs;
mod question;
mod verdict;

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::bail;
use provost_core::decision::admit;
use provost_core::path::PathError;
use provost_core::{AccessRequest, ClientAddr, LinkProof, Operation, Proofs, RequestPath, Standing, walk};
use provost_protocols::front::Generation;
use provost_protocols::front::without_link;
use provost_tenants::{Listener, Tenant};

use self::ladder::{AskedGuard, Ladder};
pub(crate) use self::live::answer;
use self::question::Asked;
use self::verdict::Why;
use crate::cli::ExplainArgs;
use crate::configuration;

/// Stands for the path where the target names none: a malformed path fails at the same step and is told the same.
const NO_PATH: PathError = PathError::Control;

/// What a decision would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Permitted,
    Denied,
}

/// What the question is about, and what is known of its source.
enum Served<'a> {
    /// As the disk has it, where nobody has asked for anything yet.
    OnDisk { tenant: &'a Tenant, listener: &'a Listener },
    /// As it is served now.
    Live(&'a Generation),
}

impl Served<'_> {
    fn tenant(&self) -> &Tenant {
        match self {
            Self::OnDisk { tenant, .. } => tenant,
            Self::Live(generation) => &generation.tenant,
        }
    }

    fn listener(&self) -> &Listener {
        match self {
            Self::OnDisk { listener, .. } => listener,
            Self::Live(generation) => &generation.listener,
        }
    }

    fn asked_guard(&self) -> AskedGuard {
        match self {
            Self::OnDisk { .. } => AskedGuard::No,
            Self::Live(_) => AskedGuard::Yes,
        }
    }

    /// What is to be said where the disk does not show all that the server reads.
    fn unseen(&self, operation: Operation) -> Option<String> {
        match (self, operation) {
            (Self::OnDisk { tenant, .. }, Operation::Read) => {
                let error = anyhow::Error::from(tenant.uploads.look().err()?);
                Some(format!(
                    "supposed: no phone has stored anything, as that cannot be looked at ({error:#}): ask with --live"
                ))
            }
            (Self::OnDisk { .. }, Operation::Write) | (Self::Live(_), _) => None,
        }
    }

    fn leaves_waiting(&self, client: ClientAddr, path: Result<&RequestPath, PathError>, proofs: &Proofs) -> bool {
        match self {
            Self::OnDisk { .. } => false,
            Self::Live(generation) => generation.is_left_waiting(client, path, proofs),
        }
    }

    fn standing(&self, client: ClientAddr, path: Result<&RequestPath, PathError>, proofs: &Proofs) -> Standing {
        match self {
            Self::OnDisk { .. } => Standing::Free,
            Self::Live(generation) => generation.standing(client, path, proofs),
        }
    }
}

/// Explains, and tells by the exit status.
pub(crate) fn run(args: &ExplainArgs, output: &mut impl Write) -> anyhow::Result<ExitCode> {
    let question = question::of(args)?;
    let verdict = if args.live {
        live::ask(&args.config.config, question, output)?
    } else {
        let loaded = configuration::load(&args.config.config)?;
        let tenant = configuration::tenant(&loaded, &args.tenant)?;
        let listener = configuration::listener(tenant, &args.listener)?;
        explain(&Asked::try_from(&question)?, &Served::OnDisk { tenant, listener }, output)?
    };
    Ok(match verdict {
        Verdict::Permitted => ExitCode::SUCCESS,
        Verdict::Denied => ExitCode::FAILURE,
    })
}

fn explain(asked: &Asked<'_>, served: &Served<'_>, output: &mut impl Write) -> anyhow::Result<Verdict> {
    let (tenant, listener) = (served.tenant(), served.listener());
    let protocol = listener.policy.protocol;
    if !asked.method.belongs_to(protocol) {
        let (name, method) = (&listener.policy.name, asked.method.name());
        bail!("listener {name} speaks {protocol}, which has no {method}");
    }
    let sent = proofs::path_on_the_wire(asked, protocol);
    let linked = sent.as_ref().map(|bytes| without_link(tenant, protocol, bytes));
    let supposed = proofs::suppose(asked, tenant, listener, linked.map_or(LinkProof::Absent, |(_, link)| link))?;
    let path = linked.map_or(Err(NO_PATH), |(bytes, _)| tenant.policy.path(bytes));
    let path = path.as_ref().map_err(|error| *error);
    let client = ClientAddr::from(SocketAddr::new(asked.from, 0));
    let request = AccessRequest {
        tenant: &tenant.policy,
        listener: &listener.policy,
        devices: tenant.devices.as_ref(),
        client,
        proofs: &supposed.proofs,
        operation: asked.method.operation(),
        path,
        standing: served.standing(client, path, &supposed.proofs),
    };
    let slash = proofs::supposed_slash(asked.path, protocol).map(str::to_owned);
    let unseen = served.unseen(request.operation);
    for note in slash.iter().chain(&supposed.notes).chain(&arrival::notes(listener)).chain(&unseen) {
        writeln!(output, "  {note}")?;
    }
    // Who is turned away by its address comes to no handshake.
    let is_admitted = admit(&tenant.policy, &listener.policy, client).is_ok();
    if let (Some(why), true) = (&supposed.no_handshake, is_admitted) {
        return verdict::no_handshake(output, why);
    }
    if served.leaves_waiting(client, path, &supposed.proofs) {
        return verdict::unanswered(output);
    }
    if asked.method.lists() && !listing::is_of_file(asked, tenant, &request) {
        return list(output, asked, (tenant, listener), &request);
    }
    let mut ladder = Ladder::new(output, served.asked_guard());
    match walk(&request, &mut ladder) {
        Ok(permit) => {
            ladder.permitted()?;
            verdict::permitted(output, asked.method, tenant, &permit)?;
            Ok(Verdict::Permitted)
        }
        Err(denial) => {
            let why = Why::of(&denial, sent.err());
            ladder.denied(denial.step, &why)?;
            verdict::denied(output, tenant, listener, &request, denial.refusal, &why)?;
            Ok(Verdict::Denied)
        }
    }
}

fn list(
    output: &mut impl Write,
    asked: &Asked<'_>,
    (tenant, listener): (&Tenant, &Listener),
    request: &AccessRequest<'_>,
) -> anyhow::Result<Verdict> {
    match listing::explain(output, asked, tenant, request) {
        Ok(shown) => shown.map(|()| Verdict::Permitted),
        Err(denial) => {
            let why = Why::of(&denial, None);
            // The guard is not asked of lists.
            Ladder::new(output, AskedGuard::No).denied(denial.step, &why)?;
            verdict::denied(output, tenant, listener, request, denial.refusal, &why)?;
            Ok(Verdict::Denied)
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::path::Path;

    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    /// The exit status and what is printed, or the error.
    fn ask(demo: &Path, question: &str) -> Result<(bool, String), String> {
        let words = question.replace("DEMO", demo.to_str().unwrap());
        let config = demo.join("provost.toml");
        let line = ["provost", "explain", "--config", config.to_str().unwrap()].into_iter().chain(words.split(' '));
        let Command::Explain(args) = Cli::try_parse_from(line).unwrap().command else { panic!("another command") };
        let mut output = anstream::StripStream::new(Vec::new());
        let code = run(&args, &mut output).map_err(|error| format!("{error:#}"))?;
        Ok((code == ExitCode::SUCCESS, String::from_utf8(output.into_inner()).unwrap()))
    }

    #[test]
    fn each_verdict_says_why_and_what_the_phone_sees() {
        let demo = tempfile::tempdir().unwrap();
        crate::demo::make(demo.path()).unwrap();
        for (question, permitted, says) in [
            (
                "--tenant acme --listener phones --from 127.0.0.1 --mac 0004f2aabbcc GET /0004f2aabbcc.cfg",
                true,
                "/acme/0004f2aabbcc.cfg, 120 bytes",
            ),
            (
                "--tenant acme --listener phones --from 127.0.0.1 --mac 0004f2aabbcc GET /sip.ld?x=%2f",
                true,
                "/firmware/sip.ld, 1048576 bytes",
            ),
            (
                "--tenant acme --listener http --from 127.0.0.1 GET http://127.0.0.1:8080/sip.ld",
                true,
                "/firmware/sip.ld, 1048576 bytes",
            ),
            (
                "--tenant acme --listener phones --from 127.0.0.1 --mac 0004f2aabbcc HEAD /0004F2AABBCC-app.log",
                true,
                "looked for 0004F2AABBCC-app.log, 0004f2aabbcc-app.log",
            ),
            (
                "--tenant acme --listener phones --from 127.0.0.1 --mac 0004f2aabbcc PUT /0004F2AABBCC-app.log",
                true,
                "0004f2aabbcc-app.log, below the tenant's uploads",
            ),
            (
                "--tenant acme --listener phones --from 127.0.0.1 --mac 0004f2aabbcc GET /0004f2112233.cfg",
                false,
                "  8 binding     DENIED the file is of 0004f2112233",
            ),
            (
                "--tenant acme --listener phones --from 127.0.0.1 --certificate DEMO/phones/cisco-708105b37234.pem GET /708105b37234.xml",
                true,
                "the certificate proves 708105b37234, by trust set cisco",
            ),
            (
                "--tenant acme --listener phones --from 127.0.0.1 --certificate DEMO/phones/generic.pem GET /site.cfg",
                false,
                "the phone is told: 403 Forbidden",
            ),
            (
                "--tenant acme --listener phones --from 127.0.0.1 --certificate DEMO/phones/stranger.pem GET /site.cfg",
                false,
                "the TLS handshake is refused",
            ),
            (
                "--tenant acme --listener phones --from 127.0.0.1 GET /%2e%2e/x",
                false,
                "  3 path        DENIED the path leaves the root",
            ),
            (
                "--tenant acme --listener phones --from 127.0.0.1 --mac 0004f2aabbcc GET a%2fb.cfg",
                false,
                "  3 path        DENIED the target has an encoded separator",
            ),
            (
                "--tenant acme --listener phones --from 127.0.0.1 --mac 0004f2aabbcc PUT /a%5cb.cfg",
                false,
                "the phone is told: 400 Bad Request",
            ),
            (
                "--tenant acme --listener phones --from 10.1.1.1 GET /x%2f",
                false,
                "the source lies outside the tenant's prefixes (outside_tenant)",
            ),
            (
                "--tenant acme --listener phones --from 10.1.1.1 GET /x",
                false,
                "the phone is told: nothing, the connection is closed",
            ),
            ("--tenant acme --listener tftp --from 127.0.0.1 RRQ 0004f2aabbcc.cfg", false, "ERROR 1, file not found"),
            (
                "--tenant acme --listener tftp --from 127.0.0.1 WRQ 001120aabb01-phone.cfg",
                false,
                "ERROR 2, access violation",
            ),
            ("--tenant globex --listener phones --from 127.0.0.1 GET /00907a000550.cfg", false, "401 Unauthorized"),
            (
                "--tenant globex --listener phones --from 127.0.0.1 --user PlcmSpIp GET /00907a000550.cfg",
                true,
                "(exception)",
            ),
            (
                "--tenant globex --listener phones --from 127.0.0.1 --user nobody GET /00907a000550.cfg",
                false,
                "no valid password of `nobody` is configured",
            ),
        ] {
            let (found, text) = ask(demo.path(), question).unwrap_or_else(|error| panic!("{question}: {error}"));
            assert_eq!(found, permitted, "{question}\n{text}");
            assert!(text.contains(says), "{question}\n{text}");
            assert!(permitted || !text.contains("nothing more is asked"), "{question}\n{text}");
        }
    }

    #[test]
    fn it_tells_where_it_looked_and_what_it_supposed() {
        let demo = tempfile::tempdir().unwrap();
        crate::demo::make(demo.path()).unwrap();
        for (question, says) in [
            ("phones --mac 0004f2aabbcc HEAD /0004f2aabbcc-app.log", "looked in the device's uploads alone"),
            (
                "phones --mac 0004f2aabbcc GET /0004f2aabbcc-app.log",
                "looked in the device's uploads, the tenant's root",
            ),
            ("phones --mac 0004f2aabbcc HEAD /0004f2aabbcc-phone.cfg", "the device's uploads, the tenant's root"),
            ("http GET sip.ld", "supposed: the path begins with a slash; one that a phone sends without is told 400"),
        ] {
            let question = format!("--tenant acme --from 127.0.0.1 --listener {question}");
            let (permitted, text) = ask(demo.path(), &question).unwrap();
            assert!(permitted && text.contains(says), "{question}\n{text}");
        }
        let (_, text) = ask(demo.path(), "--tenant acme --from 127.0.0.1 --listener http GET /sip.ld").unwrap();
        assert!(!text.contains("slash"), "{text}");
    }

    #[test]
    fn ftp_is_told_in_its_own_words_and_lists_name_by_name() {
        let demo = tempfile::tempdir().unwrap();
        crate::demo::make(demo.path()).unwrap();
        std::fs::write(demo.path().join("acme/a\u{202e}b.cfg"), "").unwrap();
        for (question, permitted, says) in [
            ("127.0.0.1 STOR 001120aabb01-phone.cfg", false, "told: 553 Permission denied\n"),
            ("127.0.0.1 STOR ../x", false, "told: 553 Name not allowed\n"),
            ("127.0.0.1 RETR ../x", false, "told: 550 Name not allowed\n"),
            ("127.0.0.1 RETR 001120aabb99.cfg", false, "told: 550 No such file"),
            ("127.0.0.1 LIST /", true, "  shows   site.cfg\n"),
            ("127.0.0.1 LIST /*.cfg", true, "  shows   site.cfg\n"),
            ("127.0.0.1 -- NLST -la", true, "  shows   site.cfg\n"),
            ("127.0.0.1 LIST /*.nothing", true, "  shows   nothing"),
            ("127.0.0.1 LIST site.cfg", true, "/acme/site.cfg, "),
            ("127.0.0.1 MLST site.cfg", true, "/acme/site.cfg, "),
            ("127.0.0.1 MLST /", true, "  shows   site.cfg\n"),
            ("127.0.0.1 MLST 001120aabb99.cfg", false, "told: 550 No such file"),
            ("127.0.0.1 MLST ../x", false, "  3 path        DENIED the path leaves"),
            ("127.0.0.1 LIST /", true, "  shows   a\\u{202e}b.cfg\n"),
            ("127.0.0.1 STAT /nowhere", true, "  shows   nothing"),
            ("127.0.0.1 MLSD ../x", false, "  3 path        DENIED the path leaves"),
            ("10.1.1.1 NLST /", false, "(outside_tenant)"),
        ] {
            let question = format!("--tenant acme --listener ftp --from {question}");
            let (found, text) = ask(demo.path(), &question).unwrap_or_else(|error| panic!("{question}: {error}"));
            assert_eq!(found, permitted, "{question}\n{text}");
            assert!(text.contains(says), "{question}\n{text}");
        }
    }

    #[test]
    fn what_no_phone_can_show_there_is_supposed_of_none() {
        let demo = tempfile::tempdir().unwrap();
        crate::demo::make(demo.path()).unwrap();
        let long = std::fs::read_to_string(demo.path().join("phones/generic.pem")).unwrap().repeat(6);
        std::fs::write(demo.path().join("long.pem"), long).unwrap();
        let file = demo.path().join("tenants.d/acme.toml");
        let hash = format!("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA${}", "A".repeat(43));
        let more =
            "[[listener]]\nname = \"asks\"\nprotocol = \"http\"\naddress = \"127.0.0.1:0\"\nrequire = [\"password\"]\n";
        let user = format!("[[users]]\nname = \"old\"\npassword = \"{hash}\"\n");
        let anyone = "[[rule]]\npath = \"*.ld\"\nread = \"anyone\"\n";
        std::fs::write(&file, format!("{}\n{more}{user}{anyone}", std::fs::read_to_string(&file).unwrap())).unwrap();
        for (question, says) in [
            ("asks --from 127.0.0.1 GET /site.cfg", "the phone is told: 403 Forbidden"),
            ("asks --from 127.0.0.1 --user old GET /site.cfg", "stored as argon2id, which answers no Digest"),
            (
                "phones --from 127.0.0.1 --certificate DEMO/long.pem GET /sip.ld",
                "it comes with 5 other certificates, and 4 are looked at (certificate_refused)",
            ),
        ] {
            let (permitted, text) = ask(demo.path(), &format!("--tenant acme --listener {question}")).unwrap();
            assert!(!permitted && text.contains(says), "{question}\n{text}");
        }
    }

    #[test]
    fn the_size_of_a_log_is_told_of_the_upload_whatever_goes_first() {
        let demo = tempfile::tempdir().unwrap();
        crate::demo::make(demo.path()).unwrap();
        let file = demo.path().join("tenants.d/acme.toml");
        let rule =
            "[[rule]]\npath = \"{mac}-x.log\"\nkind = \"log\"\nread = \"own\"\nwrite = \"own\"\nprefer = \"root\"\n";
        std::fs::write(&file, format!("{}\n{rule}", std::fs::read_to_string(&file).unwrap())).unwrap();
        std::fs::write(demo.path().join("acme/0004f2aabbcc-x.log"), "of the operator").unwrap();
        let uploads = demo.path().join("state/uploads/acme");
        std::fs::create_dir_all(&uploads).unwrap();
        std::fs::write(uploads.join("0004f2aabbcc-x.log"), "of it").unwrap();
        for (method, says) in
            [("GET", "/acme/0004f2aabbcc-x.log, 15 bytes"), ("HEAD", "/uploads/acme/0004f2aabbcc-x.log, 5 bytes")]
        {
            let question = format!("phones --from 127.0.0.1 --mac 0004f2aabbcc {method} /0004f2aabbcc-x.log");
            let (permitted, text) = ask(demo.path(), &format!("--tenant acme --listener {question}")).unwrap();
            assert!(permitted && text.contains(says), "{question}\n{text}");
        }
    }

    #[test]
    fn questions_that_make_no_sense_are_told_so() {
        let demo = tempfile::tempdir().unwrap();
        crate::demo::make(demo.path()).unwrap();
        for (question, says) in [
            ("--tenant none --listener tftp --from 127.0.0.1 RRQ x", "no tenant `none`; the tenants are: acme, globex"),
            ("--tenant acme --listener none --from 127.0.0.1 RRQ x", "no listener `none` in tenant acme"),
            ("--tenant acme --listener tftp --from 127.0.0.1 GET x", "listener tftp speaks tftp, which has no GET"),
            ("--tenant acme --listener tftp --from 127.0.0.1 --mac 0004f2aabbcc RRQ x", "listener tftp has no TLS"),
            ("--tenant acme --listener tftp --from 127.0.0.1 --user PlcmSpIp RRQ x", "TFTP has no passwords"),
        ] {
            let error = ask(demo.path(), question).unwrap_err();
            assert!(error.contains(says), "{question}\n{error}");
        }
    }

    #[test]
    fn an_upload_is_told_as_it_would_be_stored() {
        let demo = tempfile::tempdir().unwrap();
        crate::demo::make(demo.path()).unwrap();
        let file = demo.path().join("tenants.d/acme.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replacen("[files]\n", "[files]\ncase = \"ignore\"\n", 1)).unwrap();
        let folders = "f/".repeat(17);
        for (path, says) in [
            ("Logs/0004F2AABBCC-App.log", "logs/0004f2aabbcc-app.log, below the tenant's uploads"),
            (&format!("{folders}0004f2aabbcc-app.log"), "not stored: the name cannot be stored, and the phone is told"),
        ] {
            let question = format!("--tenant acme --listener phones --from 127.0.0.1 --mac 0004f2aabbcc PUT /{path}");
            let (_, text) = ask(demo.path(), &question).unwrap();
            assert!(text.contains(&format!("  file    {says}")), "{text}");
        }
    }

    #[test]
    fn uploads_that_cannot_be_looked_at_are_told_of() {
        let demo = tempfile::tempdir().unwrap();
        crate::demo::make(demo.path()).unwrap();
        std::fs::create_dir(demo.path().join("state")).unwrap();
        std::fs::write(demo.path().join("state/uploads"), "").unwrap();
        for (question, told) in [
            ("--listener phones --mac 0004f2aabbcc GET /0004f2aabbcc.cfg", true),
            ("--listener ftp LIST /", true),
            ("--listener phones --mac 0004f2aabbcc PUT /0004f2aabbcc-app.log", false),
        ] {
            let (permitted, text) = ask(demo.path(), &format!("--tenant acme --from 127.0.0.1 {question}")).unwrap();
            assert!(permitted && text.contains("as that cannot be looked at (") == told, "{question}\n{text}");
        }
    }

    #[test]
    fn asking_changes_nothing_on_the_disk() {
        let demo = tempfile::tempdir().unwrap();
        crate::demo::make(demo.path()).unwrap();
        for question in [
            "--listener phones --mac 0004f2aabbcc PUT /0004f2aabbcc-app.log",
            "--listener phones --mac 0004f2aabbcc GET /0004f2aabbcc.cfg",
            "--listener tftp RRQ 001120aabb01.cfg",
            "--listener ftp LIST /",
        ] {
            let (permitted, text) = ask(demo.path(), &format!("--tenant acme --from 127.0.0.1 {question}")).unwrap();
            assert!(permitted, "{text}");
            assert!(!demo.path().join("state").exists(), "{question}");
        }
    }
}
