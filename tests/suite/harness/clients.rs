//! The real clients. Each is bounded in time from outside, so that none can hold a test.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// How a client ended.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a program to its end, at most 90 seconds, without standard input.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Run {
    run_with_input(program, arguments, b"")
}

/// Runs a program with this as its standard input.
pub(crate) fn run_with_input(program: &str, arguments: &[&str], input: &[u8]) -> Run {
    let mut child = Command::new("timeout")
        .args(["--kill-after=5", "90", program])
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A client that ends before it has read its input closes the pipe: that is its affair.
    let feeder = std::thread::spawn(move || drop(pipe.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Run {
    /// The run, which must have succeeded.
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self
    }
}

/// A request by curl.
pub(crate) struct Curl {
    url: String,
    arguments: Vec<String>,
    folder: TempDir,
}

/// What curl got.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    /// The exit code of curl.
    pub(crate) code: i32,
    /// The last status; 0 without an answer.
    pub(crate) status: u16,
    /// The header of the last answer, names in lower case.
    pub(crate) header: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) stderr: String,
}

impl Curl {
    pub(crate) fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), arguments: Vec::new(), folder: tempfile::tempdir().unwrap() }
    }

    #[must_use]
    pub(crate) fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    #[must_use]
    pub(crate) fn args<'a>(mut self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        self.arguments.extend(arguments.into_iter().map(str::to_owned));
        self
    }

    /// A request header.
    #[must_use]
    pub(crate) fn header(self, line: &str) -> Self {
        self.args(["-H", line])
    }

    /// Sends these bytes as an upload.
    #[must_use]
    pub(crate) fn upload(self, content: &[u8]) -> Self {
        let file = self.folder.path().join("upload");
        std::fs::write(&file, content).unwrap();
        self.args(["-T", &text(&file)])
    }

    /// Asks for the header alone. What curl writes as its output then is the header again: it is no body.
    pub(crate) fn head(self) -> Reply {
        Reply { body: Vec::new(), ..self.arg("-I").run() }
    }

    pub(crate) fn run(self) -> Reply {
        let [body, header] = ["body", "header"].map(|name| self.folder.path().join(name));
        let (body_text, header_text) = (text(&body), text(&header));
        let mut arguments = vec!["-sS", "--path-as-is", "--max-time", "80", "-w", "%{http_code}"];
        arguments.extend(["-o", &body_text, "-D", &header_text]);
        arguments.extend(self.arguments.iter().map(String::as_str));
        arguments.push(&self.url);
        let run = run("curl", &arguments);
        Reply {
            code: run.code,
            status: run.stdout.trim().parse().unwrap_or(0),
            header: header_lines(&std::fs::read_to_string(header).unwrap_or_default()),
            body: std::fs::read(body).unwrap_or_default(),
            stderr: run.stderr,
        }
    }
}

fn header_lines(dump: &str) -> Vec<(String, String)> {
    let dump = dump.replace("\r\n", "\n");
    let last = dump.trim_end().rsplit("\n\n").next().unwrap_or_default();
    let pairs = last.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect()
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.header.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Everything that a stranger could compare: status, header without its date, body.
    pub(crate) fn face(&self) -> (u16, Vec<(String, String)>, String) {
        let header = self.header.iter().filter(|(name, _)| name != "date").cloned().collect();
        (self.status, header, self.text())
    }
}

/// A path as text.
pub(crate) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// tftp-hpa. `command` is `get` or `put`.
pub(crate) fn tftp_hpa(server: SocketAddr, mode: &str, command: &str, from: &str, to: &str) -> Run {
    let (ip, port) = (server.ip().to_string(), server.port().to_string());
    run("tftp", &["-4", "-m", mode, &ip, &port, "-c", command, from, to])
}

/// atftp. Each option is its name and its value.
pub(crate) fn atftp(server: SocketAddr, options: &[&str], get: bool, remote: &str, local: &Path) -> Run {
    let (ip, port, local) = (server.ip().to_string(), server.port().to_string(), text(local));
    let mut arguments: Vec<&str> = options.iter().flat_map(|option| ["--option", option]).collect();
    arguments.extend([if get { "-g" } else { "-p" }, "-r", remote, "-l", &local, &ip, &port]);
    run("atftp", &arguments)
}

/// lftp: `commands` after the login, joined by `;`.
pub(crate) fn lftp(server: SocketAddr, login: &str, commands: &str) -> Run {
    lftp_with(server, "ftp", "set ftp:ssl-allow no", login, commands)
}

/// lftp with further settings; `scheme` is `ftp`, or `ftps` where TLS is implicit.
pub(crate) fn lftp_with(server: SocketAddr, scheme: &str, settings: &str, login: &str, commands: &str) -> Run {
    let usual =
        "set net:max-retries 1; set net:timeout 40; set ftp:use-feat yes; set xfer:clobber yes; set cmd:fail-exit yes";
    run("lftp", &["-c", &format!("{usual}; {settings}; open -u {login} {scheme}://{server}; {commands}")])
}

/// A Python script over ftplib. `ftp` is connected to the server and not logged in.
pub(crate) fn ftplib(server: SocketAddr, script: &str) -> Run {
    let (ip, port) = (server.ip(), server.port());
    let before = format!(
        "import ftplib, io, sys, socket\nftp = ftplib.FTP(timeout=60)\nftp.connect({:?}, {port})\n",
        ip.to_string()
    );
    run("python3", &["-c", &(before + script)])
}

/// A place for what clients fetch.
pub(crate) struct Scratch(TempDir);

impl Scratch {
    pub(crate) fn new() -> Self {
        Self(tempfile::Builder::new().prefix("provost-client-").tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        text(&self.path(name))
    }

    /// The path of a file with this content.
    pub(crate) fn with(&self, name: &str, content: &[u8]) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.text(name)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}
