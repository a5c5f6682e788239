//! A tenant's name, its listeners' names and its addresses are given to others by a reload: what runs from before serves nobody
//! the files of another enterprise, or of another network.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::harness::DEADLINE;
use crate::harness::clients::{Curl, run, text};
use crate::harness::deployment::{Deployment, Tenant};
use crate::harness::networks::{self, Host, ip};
use crate::harness::scene::{self, FOREIGN, POLY, Scene};
use crate::harness::server::{BINARY, Server};

const GET: &str = "GET /sip.cfg HTTP/1.1\r\nHost: a\r\n\r\n";

/// A connection that is kept, to an http listener.
fn kept(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    assert!(answer(&mut stream).starts_with("HTTP/1.1 200 "));
    stream
}

/// The answer to another request; nothing where the connection has ended.
fn answer(stream: &mut TcpStream) -> String {
    let mut answer = String::new();
    let mut bytes = [0; 4096];
    if stream.write_all(GET.as_bytes()).is_err() {
        return answer;
    }
    while !is_whole(&answer) {
        match stream.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => answer.push_str(std::str::from_utf8(&bytes[..count]).unwrap()),
            Err(error) => {
                assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "it hangs after {answer}");
                break;
            }
        }
    }
    answer
}

fn is_whole(answer: &str) -> bool {
    let Some((header, body)) = answer.split_once("\r\n\r\n") else { return false };
    let length = header.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    length.is_some_and(|length| length.parse() == Ok(body.len()))
}

fn reload(deployment: &Deployment) -> String {
    run(BINARY, &["reload", "--config", &text(&deployment.config())]).succeeded().stdout
}

#[test]
fn names_that_are_swapped_swap_neither_connections_nor_devices() {
    let scene = Scene::of(&[scene::acme().listener("http", ""), scene::globex().listener("http", "")]);
    let mut phone = kept(scene.server.address("acme", "http"));
    let [acme, globex] = ["tenants.d/acme.toml", "tenants.d/globex.toml"];
    scene.deployment.replace(acme, "\"acme\"", "\"other\"");
    scene.deployment.replace(globex, "\"globex\"", "\"acme\"");
    scene.deployment.replace(acme, "\"other\"", "\"globex\"");
    let told = reload(&scene.deployment);
    assert!(
        ["added acme", "added globex", "removed acme", "removed globex"].iter().all(|line| told.contains(line)),
        "{told}"
    );
    assert_eq!(answer(&mut phone), "", "it was acme's when that was another enterprise");
    let status = run(BINARY, &["status", "--json", "--config", &text(&scene.deployment.config())]).succeeded().stdout;
    let status: Value = serde_json::from_str(&status).unwrap();
    for (tenant, device, root) in [("acme", FOREIGN, "globex"), ("globex", POLY, "acme")] {
        let of_name = |row: &&Value| row["name"] == tenant;
        let row = status["tenants"].as_array().unwrap().iter().find(of_name).unwrap();
        let address = row["listeners"][0]["address"].as_str().unwrap();
        let reply = Curl::new(format!("http://{address}/{device}.cfg")).run();
        assert!(reply.status == 200 && reply.text().starts_with(root), "{tenant}: {reply:?}");
    }
}

#[test]
fn what_came_to_an_address_that_another_tenant_has_now_is_served_nothing_more() {
    let scene = Scene::of(&[scene::acme().listener("http", ""), scene::globex()]);
    let address = scene.server.address("acme", "http");
    let at_address = |tenant: Tenant| tenant.listener_at("http", "http", &address.to_string(), "");
    scene.deployment.add(&at_address(scene::acme()));
    reload(&scene.deployment);
    let mut phone = kept(address);
    scene.deployment.add(&scene::acme().listener("http", ""));
    scene.deployment.add(&at_address(scene::globex()));
    reload(&scene.deployment);
    let answer = answer(&mut phone);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert!(Curl::new(format!("http://{address}/sip.cfg")).run().text().starts_with("globex"));
}

#[test]
fn what_came_over_http_is_served_nothing_of_a_listener_of_https() {
    let scene = Scene::of(&[scene::acme().listener_named("phones", "http", "")]);
    let mut phone = kept(scene.server.address("acme", "phones"));
    let https = "require = [\"address\"]\nunbound = \"listed\"\n";
    scene.deployment.add(&scene::acme().https(https));
    scene.deployment.replace("tenants.d/acme.toml", "name = \"https\"", "name = \"phones\"");
    reload(&scene.deployment);
    let answer = answer(&mut phone);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
}

#[test]
fn what_came_from_one_network_is_served_nothing_once_its_tenant_is_in_another() {
    if !networks::inside("successors::what_came_from_one_network_is_served_nothing_once_its_tenant_is_in_another") {
        return;
    }
    let deployment = Deployment::new();
    deployment.write("files/acme/sip.cfg", "acme\n");
    let tenant = |network: &str| {
        format!(
            "name = \"acme\"\nnetwork = {{ namespace = {network:?} }}\nallow = [\"10.0.0.0/24\"]\nfiles.root = \"../files/acme\"\n\
             devices.policy = \"any\"\n[[listener]]\nprotocol = \"http\"\naddress = \"10.0.0.1:80\"\n"
        )
    };
    deployment.write("tenants.d/acme.toml", tenant("wrong"));
    let [wrong, right] = ["wrong", "right"].map(|name| {
        ip(&format!("netns add {name}"));
        Host::behind(&format!("to-{name}"), name)
    });
    let _server = Server::start(&deployment.config(), &[]);
    let get =
        "status=; printf 'GET /sip.cfg HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n' >&3; read -r status <&3; echo \"$status\"";
    let talk =
        wrong.talk(&format!("{get}; while read -r line <&3; [ \"$line\" != acme ]; do :; done; read -r _; {get}"), 80);
    assert!(talk.line().starts_with("HTTP/1.1 200 "));
    deployment.write("tenants.d/acme.toml", tenant("right"));
    reload(&deployment);
    talk.go_on();
    let status = talk.line();
    assert!(!status.starts_with("HTTP/1.1 2"), "{status}");
    let served = right.run("curl", &["-sS", "--max-time", "60", "http://10.0.0.1/sip.cfg"]);
    assert_eq!(served.succeeded().stdout, "acme\n");
}
