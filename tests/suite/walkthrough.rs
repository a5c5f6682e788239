//! The README's section on many MPLS VPNs, run as it stands: its commands make the networks, its files the tenants, and what it
//! says that its questions answer, they answer. The test plays the provider edge, and stands in for systemd.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::harness::DEADLINE;
use crate::harness::clients::{Run, run, text};
use crate::harness::deployment::Deployment;
use crate::harness::networks::{self, ip};
use crate::harness::server::{BINARY, Server};

const README: &str = include_str!("../../README.md");
/// The drop-in that the service needs for namespaces, by the path that the README tells.
const DROP_IN: &str = include_str!("../../packaging/systemd/provost-namespaces.conf");
const VPNS: [(&str, u16); 2] = [("acme", 101), ("globex", 102)];

/// How often is asked again for what takes its time, such as routes.
const LOOK: Duration = Duration::from_millis(200);

/// The blocks of the section, in their order.
struct Section {
    vlans: &'static str,
    veth: &'static str,
    tenants: &'static str,
    service: &'static str,
    vrfs: &'static str,
    moved: &'static str,
    frr: &'static str,
    namespaces_answer: &'static str,
    vrfs_answer: &'static str,
}

impl Section {
    fn read() -> Self {
        let section = README.split("\n## ").find(|section| section.starts_with("One server, many MPLS VPNs\n"));
        let blocks = |language: &str| -> Vec<&'static str> {
            let blocks = section.expect("the section").split("\n```").skip(1).step_by(2);
            blocks.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n')).collect()
        };
        let [vlans, veth, tenants, service, vrfs, moved, frr] = blocks("sh").try_into().expect("seven blocks of sh");
        let [namespaces_answer, vrfs_answer] = blocks("console").try_into().expect("two blocks of console");
        Self { vlans, veth, tenants, service, vrfs, moved, frr, namespaces_answer, vrfs_answer }
    }
}

/// A machine on which somebody follows the README. Its folders lie in the deployment's.
struct Machine {
    deployment: Deployment,
}

impl Machine {
    fn new() -> Self {
        let deployment = Deployment::new();
        let machine = Self { deployment };
        let config = text(&machine.deployment.config());
        machine.program("provost", &format!("exec {BINARY} \"$@\" --config {config}"));
        // The test starts what systemd would.
        machine.program("systemctl", "exit 0");
        machine
    }

    fn program(&self, name: &str, script: &str) {
        let name = format!("bin/{name}");
        self.deployment.write(&name, format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(self.deployment.path(&name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The text with the machine's own paths.
    fn here(&self, script: &str) -> String {
        let at = |folder: &str| text(&self.deployment.path(folder));
        let root = at("");
        let root = root.trim_end_matches('/');
        script.replace("/etc/provost", root).replace("/srv/provost", &at("srv")).replace("/etc/frr", &at("frr"))
    }

    fn shell(&self, script: &str) -> Run {
        let path = format!("PATH={}:{}", text(&self.deployment.path("bin")), std::env::var("PATH").unwrap());
        run("env", &[&path, "sh", "-euc", &self.here(script)])
    }

    /// Runs what stands behind each `# `, until it says what stands below.
    fn answers(&self, console: &str) {
        for question in console.strip_prefix("# ").expect("a command").split("\n# ") {
            let (command, expected) = question.split_once('\n').expect("an answer");
            let until = Instant::now() + DEADLINE;
            loop {
                let run = self.shell(command);
                if run.stdout.split_whitespace().eq(expected.split_whitespace()) {
                    break;
                }
                assert!(Instant::now() < until, "{command}\nexpected: {expected}\n{run:?}");
                std::thread::sleep(LOOK);
            }
        }
    }

    fn serve(&self) -> Server {
        Server::start(&self.deployment.config(), &[])
    }
}

/// The edge of a VPN, with a phone behind it. `device` is its end of the link to the server.
fn edge(vpn: &str, device: &str) {
    let edge = format!("pe-{vpn}");
    ip(&format!("-n {edge} link set lo up"));
    ip(&format!("-n {edge} addr add 10.0.0.254/24 dev {device}"));
    ip(&format!("-n {edge} link set {device} up"));
    ip(&format!("-n {edge} addr add 10.20.0.5/32 dev lo"));
}

/// `eth1`, and the edges of the VPNs at the far end of it.
fn trunk() {
    ip("netns add trunk");
    ip("link add eth1 type veth peer name trunk netns trunk");
    ip("-n trunk link set trunk up");
    for (vpn, vlan) in VPNS {
        ip(&format!("netns add pe-{vpn}"));
        ip(&format!("-n trunk link add link trunk name vlan{vlan} type vlan id {vlan}"));
        ip(&format!("-n trunk link set vlan{vlan} netns pe-{vpn}"));
        edge(vpn, &format!("vlan{vlan}"));
    }
}

/// Each VPN's phone gets what is its own tenant's.
fn phones_are_served() {
    for (vpn, _) in VPNS {
        let edge = format!("--net=/run/netns/pe-{vpn}");
        for url in ["ftp://10.0.0.1/sip.cfg", "tftp://10.0.0.1/sip.cfg"] {
            let phone = ["--interface", "10.20.0.5", "-sS", "--max-time", "60", url];
            let read = run("nsenter", &[&[edge.as_str(), "curl"], &phone[..]].concat()).succeeded();
            assert_eq!(read.stdout, format!("this is {vpn}\n"), "{url}");
        }
    }
}

#[test]
fn namespaces_with_veth_pairs_work_as_the_readme_says() {
    if !networks::inside("walkthrough::namespaces_with_veth_pairs_work_as_the_readme_says") {
        return;
    }
    let (section, machine) = (Section::read(), Machine::new());
    machine.shell(section.veth).succeeded();
    for (vpn, _) in VPNS {
        ip(&format!("netns add pe-{vpn}"));
        ip(&format!("link set pe-{vpn} netns pe-{vpn}"));
        edge(vpn, &format!("pe-{vpn}"));
    }
    in_namespaces(&section, &machine);
}

#[test]
fn namespaces_with_vlans_work_as_the_readme_says() {
    if !networks::inside("walkthrough::namespaces_with_vlans_work_as_the_readme_says") || !networks::vlans() {
        return;
    }
    let (section, machine) = (Section::read(), Machine::new());
    trunk();
    machine.shell(section.vlans).succeeded();
    in_namespaces(&section, &machine);
}

fn in_namespaces(section: &Section, machine: &Machine) {
    machine.shell(section.tenants).succeeded();
    assert!(
        section.service.contains(" packaging/systemd/provost-namespaces.conf ") && DROP_IN.contains("CAP_SYS_ADMIN")
    );
    let _server = machine.serve();
    machine.answers(section.namespaces_answer);
    phones_are_served();
}

#[test]
fn vrfs_beside_frr_work_as_the_readme_says() {
    if !networks::inside("walkthrough::vrfs_beside_frr_work_as_the_readme_says")
        || !networks::vrfs()
        || !networks::vlans()
    {
        return;
    }
    let (section, machine) = (Section::read(), Machine::new());
    let folders: Vec<_> = ["acme", "globex", "frr"].map(|folder| text(&machine.deployment.path(folder))).into();
    // Its daemons run as a user of their own.
    let given = machine.shell(&format!("test -x {BGPD}; mkdir {0}; chown frr {0}", folders.join(" ")));
    if given.code != 0 {
        println!("skipped: FRR is not installed, or its user cannot be had without root: {}", given.stderr);
        return;
    }
    std::fs::set_permissions(machine.deployment.path(""), std::fs::Permissions::from_mode(0o755)).unwrap();
    trunk();
    machine.shell(section.vrfs).succeeded();
    for script in [section.tenants, section.moved] {
        machine.shell(script).succeeded();
    }
    let _server = machine.serve();
    let _edges = VPNS.map(|(vpn, _)| announce(&machine, vpn));
    machine.deployment.write("frr/daemons", "bgpd=no\n");
    machine.deployment.write("frr/frr.conf", "");
    machine.shell(section.frr).succeeded();
    assert_eq!(std::fs::read(machine.deployment.path("frr/daemons")).unwrap(), b"bgpd=yes\n");
    let _frr = restart(&machine);
    machine.answers(section.vrfs_answer);
    phones_are_served();
}

const BGPD: &str = "/usr/lib/frr/bgpd";

/// A daemon of FRR. Dropped, it is gone.
struct Daemon(std::process::Child);

impl Daemon {
    fn start(program: &str, arguments: &[&str]) -> Self {
        let mut command = std::process::Command::new(program);
        Self(command.args(arguments).args(["--log", "stdout"]).stdin(std::process::Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The provider edge of a VPN tells where its phones are.
fn announce(machine: &Machine, vpn: &str) -> Daemon {
    let (file, folder) = (format!("{vpn}/bgpd.conf"), machine.deployment.path(vpn));
    machine.deployment.write(
        &file,
        "router bgp 65000\n bgp router-id 10.0.0.254\n no bgp ebgp-requires-policy\n no bgp network import-check\n \
         neighbor 10.0.0.1 remote-as 65001\n neighbor 10.0.0.1 timers connect 2\n \
         address-family ipv4 unicast\n  network 10.20.0.0/16\n exit-address-family\n",
    );
    let [file, pid, folder] = [machine.deployment.path(&file), folder.join("pid"), folder].map(|path| text(&path));
    let namespace = format!("--net=/run/netns/pe-{vpn}");
    Daemon::start("nsenter", &[&namespace, BGPD, "--no_zebra", "-f", &file, "-i", &pid, "--vty_socket", &folder])
}

/// What `systemctl restart frr` comes to: the daemons, and then the one configuration of all.
fn restart(machine: &Machine) -> [Daemon; 2] {
    let folder = text(&machine.deployment.path("frr"));
    let zebra = format!("{folder}/zserv.api");
    machine.program("vtysh", &format!("exec /usr/bin/vtysh --vty_socket {folder} --config_dir {folder} \"$@\""));
    let daemons = ["zebra", "bgpd"].map(|name| {
        let (pid, none) = (format!("{folder}/{name}.pid"), format!("{folder}/{name}.conf"));
        std::fs::write(&none, "").unwrap();
        let program = format!("/usr/lib/frr/{name}");
        let daemon = Daemon::start(&program, &["-z", &zebra, "-i", &pid, "-f", &none, "--vty_socket", &folder]);
        let until = Instant::now() + DEADLINE;
        while !Path::new(&format!("{folder}/{name}.vty")).exists() {
            assert!(Instant::now() < until, "{name} does not come up");
        }
        daemon
    });
    machine.shell("vtysh -b").succeeded();
    daemons
}
