//! Networks of a test's own: the test runs itself again in a new network namespace, where it is root even if its user is
//! not, and makes namespaces, devices and links there. Nothing of the machine's own network is touched or seen.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::clients::{Run, run};

/// Set where the test has been started anew inside.
const INSIDE: &str = "PROVOST_SUITE_INSIDE";
/// How long traffic goes, in seconds, where the environment does not say otherwise.
const SECONDS: u64 = 4;
/// How long the test inside may take beside its traffic.
const ALLOWANCE: Duration = Duration::from_mins(3);

/// Whether this is the inside. Outside, the test of that name is run there and must succeed; where the kernel forbids
/// namespaces, the reason is printed.
pub(crate) fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        // A folder of namespaces that nobody else sees.
        run("mount", &["-t", "tmpfs", "none", "/run"]).succeeded();
        // Without IPv6 a link carries nothing that nobody asked for, so that packets can be counted.
        std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
        ip("link set lo up");
        return true;
    }
    let ways: [&[&str]; 2] = [&["--net", "--mount"], &["--user", "--map-root-user", "--net", "--mount"]];
    let mut refused = String::new();
    for way in ways {
        let probe = "mount -t tmpfs none /run && ip netns add a && ip link add v type veth peer name p netns a";
        let tried = run("unshare", &[way, &["sh", "-c", probe]].concat());
        if tried.code == 0 {
            again(way, test);
            return false;
        }
        refused = tried.stderr;
    }
    eprintln!("skipped: no network namespaces with veth links can be made here: {refused}");
    false
}

fn again(way: &[&str], test: &str) {
    let limit = (traffic() + ALLOWANCE).as_secs().to_string();
    let status = Command::new("timeout")
        .args(["--kill-after=5", &limit, "unshare"])
        .args(way)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{test} failed inside its own network: {status}");
}

/// How long traffic goes: `PROVOST_ISOLATION_SECONDS`, such as 60, or a few seconds.
pub(crate) fn traffic() -> Duration {
    let seconds = std::env::var("PROVOST_ISOLATION_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(SECONDS))
}

/// Runs `ip` with these words.
#[track_caller]
pub(crate) fn ip(words: &str) -> String {
    run("ip", &words.split_whitespace().collect::<Vec<_>>()).succeeded().stdout
}

/// Whether the kernel has VRF devices. `tests/vrf-vm` runs what needs them in a virtual machine that has.
pub(crate) fn vrfs() -> bool {
    let probe = run("ip", &["link", "add", "probe", "type", "vrf", "table", "9"]);
    if probe.code != 0 {
        eprintln!("skipped: this kernel has no VRF devices: {}", probe.stderr);
        return false;
    }
    ip("link del probe");
    true
}

/// Whether the kernel has VLANs.
pub(crate) fn vlans() -> bool {
    ip("link add probe type veth peer name probed");
    let probe = run("ip", &["link", "add", "link", "probe", "name", "probe.9", "type", "vlan", "id", "9"]);
    ip("link del probe");
    if probe.code != 0 {
        eprintln!("skipped: this kernel has no VLANs: {}", probe.stderr);
    }
    probe.code == 0
}

/// A VRF device, as `docs/networks.md` makes one, with a table of its own.
pub(crate) fn vrf(name: &str) {
    static TABLE: AtomicU32 = AtomicU32::new(101);
    let table = TABLE.fetch_add(1, Ordering::Relaxed);
    ip(&format!("link add {name} type vrf table {table}"));
    ip(&format!("link set {name} up"));
    for family in ["-4", "-6"] {
        ip(&format!("{family} route add table {table} unreachable default metric 4278198272"));
    }
}

/// A network namespace with one host in it, at the far end of a link.
pub(crate) struct Host {
    namespace: String,
}

impl Host {
    /// A host at 10.0.0.2 in a new namespace. This end of the link, `device` with 10.0.0.1, lies in `near`, or in the network
    /// of the server itself where that is empty.
    pub(crate) fn behind(device: &str, near: &str) -> Self {
        let host = Self::linked(device, near);
        host.reached();
        host
    }

    /// The same, with this end of the link in a VRF of the server's own network.
    pub(crate) fn behind_vrf(device: &str, vrf: &str) -> Self {
        let host = Self::linked(device, "");
        ip(&format!("link set {device} master {vrf}"));
        host.reached();
        host
    }

    fn linked(device: &str, near: &str) -> Self {
        let namespace = format!("far-{device}");
        ip(&format!("netns add {namespace}"));
        let (end, within) = if near.is_empty() {
            (String::new(), String::new())
        } else {
            (format!("netns {near}"), format!("-n {near}"))
        };
        ip(&format!("link add {device} {end} type veth peer name far netns {namespace}"));
        ip(&format!("{within} addr add 10.0.0.1/24 dev {device}"));
        ip(&format!("{within} link set {device} up"));
        ip(&format!("-n {namespace} addr add 10.0.0.2/24 dev far"));
        ip(&format!("-n {namespace} link set far up"));
        Self { namespace }
    }

    /// Gives both ends of the link IPv6 addresses, `fd00::1` and `fd00::2`, and no other.
    pub(crate) fn with_ipv6(self, device: &str, near: &str) -> Self {
        for (namespace, device, address) in [(near, device, "fd00::1/64"), (&self.namespace, "far", "fd00::2/64")] {
            let within = if namespace.is_empty() { String::new() } else { format!("-n {namespace}") };
            // A link-local address would bring packets that nobody asked for.
            ip(&format!("{within} link set {device} addrgenmode none"));
            let enable = format!("echo 0 >/proc/sys/net/ipv6/conf/{device}/disable_ipv6");
            let entered = format!("--net=/run/netns/{namespace}");
            let enter: &[&str] = if namespace.is_empty() { &["timeout", "9"] } else { &["nsenter", &entered] };
            run(enter[0], &[&enter[1..], &["sh", "-c", &enable]].concat()).succeeded();
            ip(&format!("{within} -6 addr add {address} dev {device} nodad"));
        }
        self
    }

    /// Makes both ends of the link slow and lossy, where the kernel can.
    pub(crate) fn with_trouble(self, device: &str) -> Self {
        let trouble = ["root", "netem", "delay", "3ms", "2ms", "loss", "1%", "duplicate", "1%"];
        let near = run("tc", &[&["qdisc", "add", "dev", device], &trouble[..]].concat());
        let far = self.run("tc", &[&["qdisc", "add", "dev", "far"], &trouble[..]].concat());
        if near.code != 0 || far.code != 0 {
            println!("the link {device} is without trouble: {}", near.stderr);
        }
        self
    }

    fn reached(&self) {
        let until = Instant::now() + super::DEADLINE;
        while !ip(&format!("-n {} -o link show far", self.namespace)).contains("LOWER_UP") {
            assert!(Instant::now() < until, "the link to {} does not come up", self.namespace);
            thread::yield_now();
        }
    }

    /// Waits until the link is gone with its other end.
    pub(crate) fn unlinked(&self) {
        let until = Instant::now() + super::DEADLINE;
        while ip(&format!("-n {} -o link show", self.namespace)).contains(" far@") {
            assert!(Instant::now() < until, "the link to {} stays", self.namespace);
            thread::yield_now();
        }
    }

    /// Runs a program there.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Run {
        let namespace = format!("--net=/run/netns/{}", self.namespace);
        run("nsenter", &[&[namespace.as_str(), program], arguments].concat())
    }

    /// A connection to the tenant's port, which the shell script has as its descriptor 3.
    pub(crate) fn talk(&self, script: &str, port: u16) -> Talk {
        let namespace = format!("--net=/run/netns/{}", self.namespace);
        let script = format!("exec 3<>/dev/tcp/10.0.0.1/{port}; {script}");
        let mut command = Command::new("nsenter");
        command.args([&namespace, "bash", "-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = command.spawn();
        Talk(child.unwrap_or_else(|error| panic!("nsenter: {error}")))
    }

    /// How many packets of TCP and UDP have reached the host by IPv6, and questions for its link address.
    pub(crate) fn received_by_ipv6(&self) -> u64 {
        let figures = self.run("cat", &["/proc/net/snmp6"]).succeeded().stdout;
        let of_udp = ["Udp6InDatagrams", "Udp6NoPorts", "Icmp6InNeighborSolicits"];
        let counted = figures.lines().filter_map(|line| line.split_once(char::is_whitespace));
        let counted = counted.filter(|(name, _)| of_udp.contains(name));
        let counted: u64 = counted.map(|(_, count)| count.trim().parse::<u64>().unwrap()).sum();
        // TCP counts both families together: a line of names, and one of figures.
        let figures = self.run("cat", &["/proc/net/snmp"]).succeeded().stdout;
        let mut tcp = figures.lines().filter(|line| line.starts_with("Tcp:")).map(str::split_whitespace);
        let (names, mut figures) = (tcp.next().unwrap(), tcp.next().unwrap());
        let index = names.clone().position(|name| name == "InSegs").unwrap();
        counted + figures.nth(index).unwrap().parse::<u64>().unwrap()
    }

    /// How many packets of any kind have reached the host.
    pub(crate) fn received(&self) -> u64 {
        let links: Value = serde_json::from_str(&ip(&format!("-j -s -n {} link show far", self.namespace))).unwrap();
        links[0]["stats64"]["rx"]["packets"].as_u64().unwrap()
    }
}

/// A connection that is open.
pub(crate) struct Talk(Child);

impl Talk {
    /// The first line that comes.
    pub(crate) fn line(&self) -> String {
        let mut line = String::new();
        let Some(stdout) = &self.0.stdout else { return line };
        let mut read = [0];
        while !line.ends_with('\n') {
            match rustix::io::read(stdout, &mut read) {
                Ok(1) => line.push(char::from(read[0])),
                end => panic!("{end:?} after {line:?}"),
            }
        }
        line
    }

    /// Lets the script go on that reads a line.
    pub(crate) fn go_on(&self) {
        let Some(stdin) = &self.0.stdin else { return };
        assert_eq!(rustix::io::write(stdin, b"\n"), Ok(1));
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = run("ip", &["netns", "del", &self.namespace]);
    }
}
