//! Networks that come late, go, and come back under their names: that costs one tenant its listener for as long, and
//! no other one anything.

use crate::harness::clients::{run, text};
use crate::harness::deployment::Deployment;
use crate::harness::networks::{self, Host, ip};
use crate::harness::server::{BINARY, Server};

const GONE: &str = "does not listen any more, and tries again";
const BACK: &str = "listening at last";

fn tenant(deployment: &Deployment, name: &str, network: &str) {
    deployment.write(&format!("files/{name}/sip.cfg"), format!("{name}\n"));
    deployment.write(
        &format!("tenants.d/{name}.toml"),
        format!(
            "name = {name:?}\nnetwork = {{ {network} }}\nallow = [\"10.0.0.0/24\"]\nfiles.root = \"../files/{name}\"\n\
             devices.policy = \"any\"\n[[listener]]\nprotocol = \"tftp\"\naddress = \"10.0.0.1:69\"\n"
        ),
    );
}

#[track_caller]
fn served(host: &Host, tenant: &str) {
    let run = host.run("curl", &["-sS", "--max-time", "60", "tftp://10.0.0.1/sip.cfg"]);
    assert_eq!(run.succeeded().stdout, format!("{tenant}\n"));
}

/// The namespace of that name, and a phone in it.
fn namespace(name: &str) -> Host {
    ip(&format!("netns add {name}"));
    Host::behind(&format!("to-{name}"), name)
}

#[test]
fn a_network_that_comes_late_or_anew_is_served() {
    if !networks::inside("comings::a_network_that_comes_late_or_anew_is_served") {
        return;
    }
    let deployment = Deployment::new();
    tenant(&deployment, "acme", "namespace = \"acme\"");
    tenant(&deployment, "globex", "namespace = \"globex\"");
    tenant(&deployment, "initech", "interface = \"to-initech\"");
    let (acme, initech) = (namespace("acme"), Host::behind("to-initech", ""));
    let server = Server::start(&deployment.config(), &[]);
    assert!(server.listens("acme", "tftp") && !server.listens("globex", "tftp") && server.listens("initech", "tftp"));

    let globex = namespace("globex");
    server.event_of(BACK, "globex", 1);
    served(&globex, "globex");

    // It is gone and there again before anybody looks; the name alone would not show it.
    drop(acme);
    ip("netns del acme");
    let acme = namespace("acme");
    server.event_of(GONE, "acme", 1);
    server.event_of(BACK, "acme", 1);
    served(&acme, "acme");

    // The address alone goes, and comes back.
    ip("-n acme addr del 10.0.0.1/24 dev to-acme");
    let gone = server.event_of(GONE, "acme", 2);
    assert_eq!(gone["error"], "10.0.0.1 is no address of this network any more");
    ip("-n acme addr add 10.0.0.1/24 dev to-acme");
    server.event_of(BACK, "acme", 2);
    served(&acme, "acme");

    // It stays away until the server has seen it, and nothing of the server keeps its interfaces from going with it.
    served(&globex, "globex");
    ip("netns del globex");
    server.event_of(GONE, "globex", 1);
    globex.unlinked();
    drop(globex);
    let globex = namespace("globex");
    server.event_of(BACK, "globex", 2);
    served(&globex, "globex");

    // A device of the same name is another one, too.
    served(&initech, "initech");
    ip("link del to-initech");
    drop(initech);
    let initech = Host::behind("to-initech", "");
    server.event_of(BACK, "initech", 1);
    served(&initech, "initech");
}

#[test]
fn what_runs_in_a_network_ends_with_it() {
    if !networks::inside("comings::what_runs_in_a_network_ends_with_it") {
        return;
    }
    let deployment = Deployment::new();
    let write = |name: &str, [ftp, http]: [u16; 2]| {
        tenant(&deployment, name, &format!("namespace = {name:?}"));
        let path = format!("tenants.d/{name}.toml");
        let file = std::fs::read_to_string(deployment.path(&path)).unwrap();
        let listener =
            |protocol, port| format!("[[listener]]\nprotocol = {protocol:?}\naddress = \"10.0.0.1:{port}\"\n");
        deployment.write(&path, file + &listener("ftp", ftp) + &listener("http", http));
    };
    let hosts = ["acme", "globex"].map(|name| {
        write(name, [21, 80]);
        deployment.write(&format!("files/{name}/sip.ld"), vec![7; 32 << 20]);
        (name, namespace(name))
    });
    let server = Server::start(&deployment.config(), &[]);
    let talks = hosts.each_ref().map(|(_, host)| {
        // Each has an answer, and stays; one of them takes no more of it.
        let get =
            |path, then| host.talk(&format!("printf 'GET /{path} HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n' >&3; {then}"), 80);
        let rests = get("sip.cfg", "exec cat <&3");
        let takes_nothing = get("sip.ld", "read -r line <&3; echo \"$line\"; exec sleep 600");
        let ftp = host.talk("exec cat <&3", 21);
        assert!(ftp.line().starts_with("220 "));
        assert!([&rests, &takes_nothing].iter().all(|talk| talk.line().starts_with("HTTP/1.1 200 ")));
        [rests, takes_nothing, ftp]
    });
    // Nothing listens any more where globex's are.
    write("globex", [2121, 8080]);
    run(BINARY, &["reload", "--config", &text(&deployment.config())]).succeeded();
    for (name, host) in &hosts {
        ip(&format!("netns del {name}"));
        server.event_of(GONE, name, 3);
        // They would keep the namespace, and its interfaces with it.
        host.unlinked();
    }
    drop(talks);
}

#[test]
fn a_vrf_that_comes_late_or_anew_is_served() {
    if !networks::inside("comings::a_vrf_that_comes_late_or_anew_is_served") || !networks::vrfs() {
        return;
    }
    let deployment = Deployment::new();
    tenant(&deployment, "acme", "vrf = \"vrf-acme\"");
    tenant(&deployment, "globex", "vrf = \"vrf-globex\"");
    networks::vrf("vrf-acme");
    let acme = Host::behind_vrf("to-acme", "vrf-acme");
    let server = Server::start(&deployment.config(), &[]);
    assert!(server.listens("acme", "tftp") && !server.listens("globex", "tftp"));

    networks::vrf("vrf-globex");
    let globex = Host::behind_vrf("to-globex", "vrf-globex");
    server.event_of(BACK, "globex", 1);
    served(&globex, "globex");

    // Its interface stays, and lies in the server's own network until the VRF is made anew.
    served(&acme, "acme");
    ip("link del vrf-acme");
    networks::vrf("vrf-acme");
    ip("link set to-acme master vrf-acme");
    server.event_of(BACK, "acme", 1);
    served(&acme, "acme");
    served(&globex, "globex");
}
