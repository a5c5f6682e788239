//! The server: the real binary, its events on stderr and its records on stdout.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use serde_json::Value;

use super::DEADLINE;

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_provost");

/// A running server. Dropped, it is gone.
pub(crate) struct Server {
    child: Child,
    config: PathBuf,
    events: Arc<Lines>,
    records: Arc<Lines>,
    addresses: HashMap<(String, String), SocketAddr>,
}

/// The lines that one pipe has brought.
#[derive(Default)]
struct Lines {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    lines: Vec<Value>,
    ended: bool,
}

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Arc<Self> {
        let lines = Arc::new(Self::default());
        let filled = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                let text = String::from_utf8_lossy(&line).into_owned();
                let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
                filled.state.lock().unwrap().lines.push(value);
                filled.changed.notify_all();
            }
            filled.state.lock().unwrap().ended = true;
            filled.changed.notify_all();
        });
        lines
    }

    /// The first line for which `wanted` has an answer.
    fn wait<T>(&self, what: &str, wanted: impl Fn(&[Value]) -> Option<T>) -> Result<T, String> {
        let until = Instant::now() + DEADLINE;
        let mut state = self.state.lock().unwrap();
        loop {
            if let Some(answer) = wanted(&state.lines) {
                return Ok(answer);
            }
            let left = until.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() {
                return Err(format!("no {what} among {} lines:\n{}", state.lines.len(), shown(&state.lines)));
            }
            state = self.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    fn all(&self) -> Vec<Value> {
        self.state.lock().unwrap().lines.clone()
    }
}

fn shown(lines: &[Value]) -> String {
    lines.iter().flat_map(|line| ["  ".to_owned(), line.to_string(), "\n".to_owned()]).collect()
}

/// What an event says, whether its fields are flattened or not.
fn field<'v>(event: &'v Value, key: &str) -> Option<&'v str> {
    event.get("fields").and_then(|fields| fields.get(key)).or_else(|| event.get(key))?.as_str()
}

fn is_message(event: &Value, message: &str) -> bool {
    field(event, "message") == Some(message)
}

impl Server {
    /// Starts the server with these variables in its environment, and waits until it says that it is ready.
    pub(crate) fn start(config: &Path, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(BINARY);
        command.args(["serve", "--config"]).arg(config).envs(variables.iter().copied()).stdin(Stdio::null());
        Self::run(command, config)
    }

    /// Starts the server by this command, which ends up being it, and waits until it says that it is ready.
    pub(crate) fn run(command: Command, config: &Path) -> Self {
        Self::run_to(command, config, Stdio::piped())
    }

    /// The same, with its records written there. Where that is no pipe of ours, none is ever seen.
    pub(crate) fn run_to(command: Command, config: &Path, output: Stdio) -> Self {
        Self::spawn(command, config, output, |_| ())
    }

    /// The same, and does this to the process before it is ready.
    pub(crate) fn run_with(command: Command, config: &Path, early: impl FnOnce(&Child)) -> Self {
        Self::spawn(command, config, Stdio::piped(), early)
    }

    fn spawn(mut command: Command, config: &Path, output: Stdio, early: impl FnOnce(&Child)) -> Self {
        let command = command.env_remove("RUST_LOG").stdout(output).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        early(&child);
        let records = child.stdout.take().map_or_else(|| Lines::of(std::io::empty()), Lines::of);
        let events = Lines::of(child.stderr.take().unwrap());
        let mut server = Self { child, config: config.to_owned(), events, records, addresses: HashMap::new() };
        let ready = |events: &[Value]| events.iter().any(|event| is_message(event, "ready")).then_some(());
        server.events.wait("`ready`", ready).unwrap_or_else(|error| panic!("the server did not start: {error}"));
        for event in server.events.all().iter().filter(|event| is_message(event, "listening")) {
            let (Some(tenant), Some(listener), Some(address)) =
                (field(event, "tenant"), field(event, "listener"), field(event, "address"))
            else {
                panic!("an event without its fields: {event}");
            };
            server.addresses.insert((tenant.to_owned(), listener.to_owned()), address.parse().unwrap());
        }
        server
    }

    /// Where a listener listens.
    pub(crate) fn address(&self, tenant: &str, listener: &str) -> SocketAddr {
        let key = (tenant.to_owned(), listener.to_owned());
        *self.addresses.get(&key).unwrap_or_else(|| panic!("no {listener} of {tenant} in {:?}", self.addresses))
    }

    pub(crate) fn port(&self, tenant: &str, listener: &str) -> u16 {
        self.address(tenant, listener).port()
    }

    /// Whether the listener is there at all.
    pub(crate) fn listens(&self, tenant: &str, listener: &str) -> bool {
        self.addresses.contains_key(&(tenant.to_owned(), listener.to_owned()))
    }

    /// Waits until the server has said this of the tenant so often.
    pub(crate) fn event_of(&self, message: &str, tenant: &str, count: usize) -> Value {
        let of_tenant = |event: &&Value| is_message(event, message) && field(event, "tenant") == Some(tenant);
        let found = |events: &[Value]| events.iter().filter(of_tenant).nth(count - 1).cloned();
        self.events
            .wait(&format!("{count} events `{message}` of {tenant}"), found)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits for the first record that has all these values.
    pub(crate) fn record(&self, wanted: &[(&str, &str)]) -> Value {
        let found = |records: &[Value]| records.iter().find(|record| has(record, wanted)).cloned();
        self.records.wait(&format!("record {wanted:?}"), found).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits for the first of these records whose client is written so at its beginning.
    pub(crate) fn record_from(&self, client: &str, wanted: &[(&str, &str)]) -> Value {
        let from = |record: &&Value| record["client"].as_str().is_some_and(|text| text.starts_with(client));
        let found = |records: &[Value]| records.iter().filter(from).find(|record| has(record, wanted)).cloned();
        let what = format!("record {wanted:?} from {client}");
        self.records.wait(&what, found).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits until there are `count` such records, and gives all there are by then.
    pub(crate) fn records(&self, wanted: &[(&str, &str)], count: usize) -> Vec<Value> {
        let found = |records: &[Value]| {
            let found: Vec<Value> = records.iter().filter(|record| has(record, wanted)).cloned().collect();
            (found.len() >= count).then_some(found)
        };
        self.records.wait(&format!("{count} records {wanted:?}"), found).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits for the event that says so.
    pub(crate) fn event(&self, message: &str) -> Value {
        let said = |events: &[Value]| events.iter().find(|event| is_message(event, message)).cloned();
        self.events.wait(&format!("event {message:?}"), said).unwrap_or_else(|error| panic!("{error}"))
    }

    /// All events so far.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.events.all()
    }

    /// The configuration that it was started with.
    pub(crate) fn config(&self) -> &Path {
        &self.config
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// A figure of `/proc/PID/status`, in KiB.
    pub(crate) fn memory(&self, key: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.and_then(|line| line.trim().strip_suffix(" kB")).expect("a figure in kB").trim().parse().unwrap()
    }

    /// What it has open: paths of files, and what the system calls other things.
    pub(crate) fn open(&self) -> HashSet<PathBuf> {
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        descriptors.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok()).collect()
    }

    /// Whether one of its sockets waits at this IPv4 address for whoever comes. Another process may have its number by now.
    pub(crate) fn waits_at(&self, address: SocketAddr) -> bool {
        let open = self.open();
        let IpAddr::V4(ip) = address.ip() else { panic!("{address} is not of IPv4") };
        let at = format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port());
        ["tcp", "udp"].iter().any(|protocol| {
            let table = std::fs::read_to_string(format!("/proc/net/{protocol}")).unwrap();
            table.lines().any(|line| {
                let columns: Vec<&str> = line.split_whitespace().collect();
                // Not connected: what it is connected to is nothing.
                columns[1] == at
                    && columns[2] == "00000000:0000"
                    && open.contains(Path::new(&format!("socket:[{}]", columns[9])))
            })
        })
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(self) -> (ExitStatus, Vec<Value>) {
        self.signal(rustix::process::Signal::TERM);
        self.ended()
    }

    /// Waits until it has ended: it was asked to.
    pub(crate) fn ended(mut self) -> (ExitStatus, Vec<Value>) {
        let status = self.wait_for_end();
        let _ = self.records.wait("end of the records", |_| None::<()>);
        (status, self.records.all())
    }

    fn wait_for_end(&mut self) -> ExitStatus {
        let until = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "it did not end when asked");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("events:\n{}records:\n{}", shown(&self.events.all()), shown(&self.records.all()));
        }
    }
}

/// Whether a record has all these values. An empty value stands for an absent key.
fn has(record: &Value, wanted: &[(&str, &str)]) -> bool {
    wanted.iter().all(|(key, value)| match record.get(key) {
        None => value.is_empty(),
        Some(Value::String(text)) => text == value,
        Some(Value::Number(number)) => number.to_string() == *value,
        Some(_) => false,
    })
}
