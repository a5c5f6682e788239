//! The commands that the demo prints: right and wrong ones, each with what it will answer.
//!
//! Every one is complete in itself and can be run as it is printed. `expects` says whether the command succeeds, and
//! a text that stands in its output.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use provost_core::Protocol;
use provost_protocols::server::Bound;

use super::configuration::{LINK, PASSWORD};
use super::material::FIRMWARE_BYTES;

/// Commands about one thing.
pub(super) struct Chapter {
    pub(super) title: &'static str,
    pub(super) attempts: Vec<Attempt>,
}

/// One command.
pub(super) struct Attempt {
    pub(super) says: &'static str,
    pub(super) expects: Expects,
    pub(super) command: String,
}

/// What the command does: it ends with status 0, or not, and its output holds the text.
pub(super) enum Expects {
    Success(String),
    Failure(String),
}

/// The chapters for the listeners that are bound. Commands for others are left out.
pub(super) fn chapters(dir: &Path, program: &Path, bound: &[Bound]) -> Vec<Chapter> {
    let site = Site { dir, program, bound };
    let chapters = [
        ("HTTPS: each phone shows its certificate and gets what is its own", site.https()),
        ("HTTPS: what does not help", site.https_wrong()),
        ("HTTPS: a phone sends its log, and asks what of it arrived", site.log()),
        ("Another tenant: the same paths, other answers, other requirements", site.globex()),
        ("TFTP: for phones that speak nothing else", site.tftp()),
        ("FTP and HTTP", site.ftp_and_http()),
        ("Why? The same decision, explained", site.explain()),
    ];
    chapters
        .into_iter()
        .map(|(title, attempts)| Chapter { title, attempts: attempts.into_iter().flatten().collect() })
        .filter(|chapter| !chapter.attempts.is_empty())
        .collect()
}

type Attempts = Vec<Option<Attempt>>;

struct Site<'a> {
    dir: &'a Path,
    program: &'a Path,
    bound: &'a [Bound],
}

impl Site<'_> {
    fn https(&self) -> Attempts {
        let get = |phone, path| self.curl("acme", Some(phone), "", path);
        let firmware = || self.curl("acme", Some("poly-0004f2aabbcc"), " -o /dev/null -w '%{size_download}'", "sip.ld");
        vec![
            right(
                "a Poly phone reads its own settings",
                "acme reception",
                get("poly-0004f2aabbcc", "0004f2aabbcc.cfg"),
            ),
            right(
                "what every phone of the tenant may read",
                "Poly master file of acme",
                get("poly-0004f2aabbcc", "000000000000.cfg"),
            ),
            right("firmware from the folder that tenants share, in bytes", &FIRMWARE_BYTES.to_string(), firmware()),
            right(
                "a Yealink phone: its MAC stands in the certificate's CN",
                "acme kitchen",
                get("yealink-001565a1b2c3", "001565a1b2c3.cfg"),
            ),
            right("a Cisco SPA: its MAC stands in ST", "acme gate", get("cisco-708105b37234", "708105b37234.xml")),
        ]
    }

    fn https_wrong(&self) -> Attempts {
        let get = |phone, path| self.curl("acme", phone, "", path);
        let escape = || self.curl("acme", Some("poly-0004f2aabbcc"), " --path-as-is", "../globex/000000000000.cfg");
        vec![
            wrong("another phone's settings", "403", get(Some("poly-0004f2aabbcc"), "0004f2112233.cfg")),
            wrong(
                "a phone of globex, with a certificate of the same vendor",
                "403",
                get(Some("poly-0004f2ddeeff"), "0004f2ddeeff.cfg"),
            ),
            wrong("no certificate: the handshake is refused", "", get(None, "0004f2aabbcc.cfg")),
            wrong("the right name from an authority that nobody trusts", "", get(Some("stranger"), "0004f2aabbcc.cfg")),
            wrong("a generic certificate, which names no phone", "403", get(Some("generic"), "001565a1b2c3.cfg")),
            wrong("out of the root, to the other tenant's files", "40", escape()),
            wrong("a file that is not there", "404", get(Some("poly-0004f2aabbcc"), "0004f2aabbcc-license.cfg")),
        ]
    }

    fn log(&self) -> Attempts {
        let path = "0004f2aabbcc-app.log";
        let put = |range: &str, text: &str| {
            let put = format!(" -X PUT -H 'Content-Range: bytes {range}' --data-binary '{text}' -w '%{{http_code}}'");
            self.curl("acme", Some("poly-0004f2aabbcc"), &put, path)
        };
        vec![
            right("the first eleven bytes", "20", put("0-10/*", "boot at 08;")),
            right("the next twelve go behind them", "20", put("11-22/*", " call to 102")),
            right(
                "its size, as the phone asks for it",
                "23",
                self.curl("acme", Some("poly-0004f2aabbcc"), " -I", path),
            ),
            right(
                "what stands there now",
                "boot at 08; call to 102",
                self.curl("acme", Some("poly-0004f2aabbcc"), "", path),
            ),
            wrong("a range that contradicts itself", "400", put("5-4/*", "x")),
            wrong("another phone's log", "403", self.curl("acme", Some("yealink-001565a1b2c3"), " -X PUT -d x", path)),
            right("the operator looks at what was sent", path, Some(self.provost("uploads list --tenant acme"))),
        ]
    }

    fn globex(&self) -> Attempts {
        let get = |phone, more: &str, path| self.curl("globex", phone, more, path);
        let user = format!(" -u PlcmSpIp:{PASSWORD}");
        let old = "00907a000550.cfg";
        vec![
            right(
                "the same path as above",
                "Poly master file of globex",
                get(Some("poly-0004f2ddeeff"), "", "000000000000.cfg"),
            ),
            right(
                "a phone's own settings",
                "globex board room",
                get(Some("poly-0004f2ddeeff"), "", "0004f2ddeeff.cfg"),
            ),
            right("an old phone without a certificate shows a password", "globex warehouse", get(None, &user, old)),
            right("or a secret in its URL", "globex warehouse", get(None, "", &format!("k/{LINK}/{old}"))),
            wrong("without either", "401", get(None, "", old)),
            wrong(
                "with a secret that is nobody's",
                "404",
                get(None, "", &format!("k/{}/{old}", LINK.replace('0', "1"))),
            ),
            wrong("with a wrong one", "401", get(None, " -u PlcmSpIp:guess", old)),
            wrong(
                "the password opens nothing of phones that have certificates",
                "40",
                get(None, &user, "0004f2ddeeff.cfg"),
            ),
            wrong("a phone of acme", "403", get(Some("poly-0004f2aabbcc"), "", "0004f2aabbcc.cfg")),
        ]
    }

    fn tftp(&self) -> Attempts {
        let cisco = "SEP001120AABB01.cnf.xml";
        let client = |tenant, more: &str| {
            let address = self.address(tenant, Protocol::Tftp)?;
            Some(format!("tftp -m binary {} {} -c {more}", address.ip(), address.port()))
        };
        vec![
            right("a Cisco 7960 reads its own settings", "acme lift", self.url("acme", Protocol::Tftp, cisco)),
            right("with tftp-hpa", "", client("acme", &format!("get {cisco} /dev/null"))),
            right(
                "and of the other tenant",
                "Poly master file of globex",
                self.url("globex", Protocol::Tftp, "000000000000.cfg"),
            ),
            wrong(
                "a phone that must show its certificate is served by HTTPS alone",
                "",
                self.url("acme", Protocol::Tftp, "0004f2aabbcc.cfg"),
            ),
            wrong("a phone that acme does not know", "", self.url("acme", Protocol::Tftp, "0004f2ddeeff.cfg")),
        ]
    }

    fn ftp_and_http(&self) -> Attempts {
        let url = |protocol, path| self.url("acme", protocol, path);
        let upload = |text: &str, path| {
            let address = self.address("acme", Protocol::Ftp)?;
            Some(format!("printf '{text}' | curl -sS -T - ftp://{address}/{path}"))
        };
        let lftp = self.address("acme", Protocol::Ftp).map(|address| {
            format!("lftp -e 'set net:max-retries 1; cat RINGLIST.DAT; bye' -p {} {}", address.port(), address.ip())
        });
        vec![
            right("by FTP", "acme kitchen", url(Protocol::Ftp, "001565a1b2c3.cfg")),
            right("with lftp", "Acme", lftp),
            right("a phone sends its log", "", upload("lift stuck\\n", "001120aabb01-sys.log")),
            wrong("settings are not taken from a phone that proves nothing", "", upload("x", "001120aabb01-phone.cfg")),
            right("by HTTP", "every one of acme", url(Protocol::Http, "y000000000028.cfg")),
            wrong("not by HTTP", "404", url(Protocol::Http, "0004f2aabbcc.cfg")),
        ]
    }

    fn explain(&self) -> Attempts {
        let explain = |rest: &str| Some(self.provost(&format!("explain --tenant acme --from 127.0.0.1 {rest}")));
        vec![
            right(
                "permitted",
                "0004f2aabbcc.cfg",
                explain("--listener phones --mac 0004f2aabbcc GET /0004f2aabbcc.cfg"),
            ),
            wrong("denied", "DENIED", explain("--listener tftp RRQ 0004f2aabbcc.cfg")),
            right("the configuration, checked", "2 tenants", Some(self.provost("check"))),
        ]
    }

    fn address(&self, tenant: &str, protocol: Protocol) -> Option<SocketAddr> {
        self.bound.iter().find(|bound| bound.tenant == tenant && bound.protocol == protocol).map(|bound| bound.address)
    }

    fn curl(&self, tenant: &str, phone: Option<&str>, more: &str, path: &str) -> Option<String> {
        let address = self.address(tenant, Protocol::Https)?;
        let file = |path: String| quoted(&self.dir.join(path).to_string_lossy());
        let identity = phone.map_or_else(String::new, |phone| {
            let (certificate, key) = (file(format!("phones/{phone}.pem")), file(format!("phones/{phone}.key")));
            format!(" --cert {certificate} --key {key}")
        });
        let authority = file("tls/ca.pem".to_owned());
        Some(format!("curl -fsS --cacert {authority}{identity}{more} https://{address}/{path}"))
    }

    fn url(&self, tenant: &str, protocol: Protocol, path: &str) -> Option<String> {
        let address = self.address(tenant, protocol)?;
        Some(format!("curl -fsS {protocol}://{address}/{path}"))
    }

    fn provost(&self, command: &str) -> String {
        let (verb, rest) =
            command.split_once(" --").map_or((command, String::new()), |(verb, rest)| (verb, format!(" --{rest}")));
        let config = quoted(&self.dir.join("provost.toml").to_string_lossy());
        format!("{} {verb} --config {config}{rest}", quoted(&self.program.to_string_lossy()))
    }
}

fn right(says: &'static str, output: &str, command: Option<String>) -> Option<Attempt> {
    Some(Attempt { says, expects: Expects::Success(output.to_owned()), command: command? })
}

fn wrong(says: &'static str, output: &str, command: Option<String>) -> Option<Attempt> {
    Some(Attempt { says, expects: Expects::Failure(output.to_owned()), command: command? })
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

impl fmt::Display for Expects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (outcome, output) = match self {
            Self::Success(output) => ("success", output),
            Self::Failure(output) => ("failure", output),
        };
        f.write_str(outcome)?;
        if output.is_empty() { Ok(()) } else { write!(f, ", output contains \"{output}\"") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quoted("/tmp/provost-demo-a1"), "/tmp/provost-demo-a1");
        assert_eq!(quoted("/tmp/my demo's"), r"'/tmp/my demo'\''s'");
    }

    #[test]
    fn commands_are_printed_for_bound_listeners_alone() {
        let address = SocketAddr::from(([127, 0, 0, 1], 4711));
        let bound = Bound { tenant: "acme".into(), listener: "tftp".into(), protocol: Protocol::Tftp, address };
        let chapters = chapters(Path::new("/demo"), Path::new("provost"), &[bound]);
        let commands: Vec<_> =
            chapters.iter().flat_map(|chapter| &chapter.attempts).map(|attempt| &attempt.command).collect();
        assert!(commands.iter().any(|command| *command == "curl -fsS tftp://127.0.0.1:4711/SEP001120AABB01.cnf.xml"));
        assert!(commands.iter().all(|command| !command.contains("https://") && !command.contains("ftp://127.0.0.2")));
    }
}
