//! Networks that come late, go, and come back under their names: that costs one tenant its listener for as long, and
//! no other one anything.

use crate::harness::deployment::Deployment;
use crate::harness::networks::{self, Host, ip};
use crate::harness::server::Server;

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
    tenant(&deployment, "acme", "namespace = \"acme\"");
    let more = "[[listener]]\nprotocol = \"ftp\"\naddress = \"10.0.0.1:21\"\n\
                [[listener]]\nprotocol = \"http\"\naddress = \"10.0.0.1:80\"\n";
    let file = std::fs::read_to_string(deployment.path("tenants.d/acme.toml")).unwrap();
    deployment.write("tenants.d/acme.toml", file + more);
    let acme = namespace("acme");
    let server = Server::start(&deployment.config(), &[]);
    // Each has an answer, and stays.
    let ftp = acme.talk("exec cat <&3", 21);
    let http = acme.talk("printf 'GET /sip.cfg HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n' >&3; exec cat <&3", 80);
    assert!(ftp.line().starts_with("220 ") && http.line().starts_with("HTTP/1.1 200 "));
    ip("netns del acme");
    server.event_of(GONE, "acme", 3);
    // They would keep the namespace, and its interfaces with it.
    acme.unlinked();
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
