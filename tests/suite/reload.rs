//! The configuration changes while phones are served.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use crate::harness::DEADLINE;
use crate::harness::clients::{Curl, Run, run, text};
use crate::harness::deployment::{Deployment, TLS, Tenant};
use crate::harness::scene::{self, FOREIGN, POLY, Scene};
use crate::harness::server::{BINARY, Server};
use crate::harness::tls_client::{ask, connect, status};

/// More than the sockets on both sides hold, so that its transfer runs until it is read.
pub(crate) const LARGE: usize = 32 * 1024 * 1024;

pub(crate) fn provost(scene: &Scene, arguments: &[&str]) -> Run {
    run(BINARY, &[arguments, &["--config", &text(&scene.deployment.config())]].concat())
}

pub(crate) fn status_of(scene: &Scene) -> Value {
    serde_json::from_str(&provost(scene, &["status", "--json"]).stdout).unwrap()
}

/// Begins to fetch a large file, and reads its first byte.
pub(crate) fn begin(scene: &Scene, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(scene.server.address("acme", "http")).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(format!("GET /{path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut first = [0];
    stream.read_exact(&mut first).unwrap();
    stream
}

/// How many bytes of the body come until the end of the connection.
pub(crate) fn rest(mut stream: TcpStream) -> usize {
    let mut answer = Vec::new();
    // A reset is an end, too.
    let _ = stream.read_to_end(&mut answer);
    let header = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    answer.len() - header - 4
}

pub(crate) fn with_large_file(name: &str) -> Scene {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    deployment.write(&format!("files/acme/{name}"), vec![b'x'; LARGE]);
    deployment.add(&scene::acme().https("").listener("http", ""));
    deployment.add(&scene::globex().https(""));
    Scene::start(deployment)
}

#[test]
fn a_tenant_comes_and_another_goes_while_a_third_ones_download_runs() {
    let scene = with_large_file("large.bin");
    let download = begin(&scene, "large.bin");
    std::fs::remove_file(scene.deployment.path("tenants.d/globex.toml")).unwrap();
    scene.deployment.add(&Tenant::new("initech", &[FOREIGN]).listener("http", ""));
    scene.deployment.write("files/initech/sip.cfg", "initech");
    let root = scene.deployment.path("files/globex").canonicalize().unwrap();
    assert!(scene.server.open().contains(&root));
    let reloaded = provost(&scene, &["reload"]).succeeded();
    assert_eq!(reloaded.stdout, "added initech\nremoved globex\n1 tenant is as it was\n");
    crate::harness::until("its folders may be unmounted", || !scene.server.open().contains(&root));
    let gone = TcpStream::connect(scene.server.address("globex", "https")).map_err(|error| error.kind());
    assert_eq!(gone.map(drop), Err(std::io::ErrorKind::ConnectionRefused));
    let status = status_of(&scene);
    assert_eq!(status.pointer("/tenants/1/name").unwrap(), "initech");
    let address = status.pointer("/tenants/1/listeners/0/address").and_then(Value::as_str).unwrap();
    assert_eq!(Curl::new(format!("http://{address}/sip.cfg")).run().text(), "initech");
    assert_eq!(status.pointer("/tenants/0/underway").unwrap(), 1);
    assert_eq!(rest(download), LARGE);
}

#[test]
fn a_changed_rule_counts_at_once_on_an_open_connection() {
    let scene = Scene::of(&[scene::acme().https("")]);
    let mut phone = connect(&scene.deployment, scene.server.address("acme", "https"), POLY);
    let request = "GET /sip.cfg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    assert_eq!(status(&ask(&mut phone, request)), 200);
    let rule = "[[rule]]\npath = \"sip.cfg\"\nread = \"nobody\"";
    let before = scene.server.address("acme", "https");
    scene.deployment.add(&scene::acme().https("").table(rule));
    assert_eq!(provost(&scene, &["reload"]).succeeded().stdout, "changed acme\n0 tenants are as they were\n");
    assert_eq!(status(&ask(&mut phone, request)), 403);
    let status = status_of(&scene);
    assert_eq!(status.pointer("/tenants/0/listeners/0/address").unwrap(), &before.to_string(), "it keeps its socket");
    assert_eq!(status.pointer("/tenants/0/listeners/0/requests").unwrap(), 2);
    assert_eq!(status.pointer("/tenants/0/listeners/0/denied").unwrap(), 1);
}

#[test]
fn a_tenant_that_never_loaded_is_told_by_status_until_it_is_served() {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    deployment.add(&scene::acme().https(""));
    deployment.add(&scene::globex().https("alow = []"));
    let scene = Scene::start(deployment);
    let unserved = || status_of(&scene)["unserved"].to_string();
    assert!(unserved().contains("\"tenant\":\"globex\"") && unserved().contains("`allow`"), "{}", unserved());
    let status = provost(&scene, &["status"]);
    assert!(status.code == 1 && status.stdout.contains("tenant globex is not served"), "{status:?}");
    assert_eq!(provost(&scene, &["reload"]).code, 1);
    assert!(unserved().contains("\"tenant\":\"globex\""), "{}", unserved());
    scene.deployment.add(&scene::globex().https(""));
    provost(&scene, &["reload"]).succeeded();
    provost(&scene, &["status"]).succeeded();
}

#[test]
fn a_tenant_that_does_not_load_goes_on_as_it_was() {
    let scene = Scene::of(&[scene::acme().https(""), scene::globex().https("")]);
    scene.deployment.write("tenants.d/acme.toml", "name = \"acme\n[[[");
    let reloaded = provost(&scene, &["reload"]);
    assert_eq!(reloaded.code, 1, "{reloaded:?}");
    assert!(reloaded.stdout.starts_with("error: tenant acme is served as it was before:\n"), "{reloaded:?}");
    assert_eq!(scene.phone("sip.cfg").run().status, 200);
    let status = provost(&scene, &["status"]);
    assert_eq!(status.code, 1);
    assert!(status.stdout.contains("acme.toml"), "{status:?}");
    let settings = std::fs::read(scene.deployment.config()).unwrap();
    scene.deployment.write("provost.toml", "sate = 1");
    let reloaded = provost(&scene, &["reload"]);
    // Without the configuration nobody knows where the server is asked; the signal still reaches it.
    assert_eq!(reloaded.code, 1, "{reloaded:?}");
    scene.server.signal(rustix::process::Signal::HUP);
    scene.server.event("the configuration was not reloaded");
    // The answer to this comes behind all that is said of the reload.
    scene.deployment.write("provost.toml", settings);
    assert!(provost(&scene, &["status"]).stdout.contains("provost.toml"));
    let reloads = scene.server.events().iter().filter(|event| event.to_string().contains("\"reloaded\"")).count();
    assert_eq!(reloads, 1, "the one that left acme as it was");
    assert_eq!(scene.phone("sip.cfg").run().status, 200);
}

/// Waits until status has no error to tell.
fn until_well(scene: &Scene) {
    let deadline = Instant::now() + DEADLINE;
    while provost(scene, &["status"]).code != 0 {
        assert!(Instant::now() < deadline, "{}", status_of(scene)["tenants"]);
    }
}

#[test]
fn what_a_reload_found_wrong_with_files_is_told_until_they_are_repaired() {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    let devices = "mac\n0004f2000001\n";
    deployment.write("devices.csv", devices);
    let tenant = |name: &str| scene::acme().devices("file = \"../devices.csv\"").listener_named(name, "https", TLS);
    deployment.add(&tenant("https"));
    let scene = Scene::start(deployment);
    let certificate = std::fs::read(scene.deployment.path("tls/server.pem")).unwrap();
    let spoil: [(&str, &[u8], Option<&str>); 3] = [
        ("devices.csv", devices.as_bytes(), Some("mac\nzzz\n")),
        ("devices.csv", devices.as_bytes(), None),
        ("tls/server.pem", &certificate, Some("junk")),
    ];
    for (name, good, bad) in spoil {
        match bad {
            Some(bad) => scene.deployment.write(name, bad),
            None => std::fs::remove_file(scene.deployment.path(name)).unwrap(),
        }
        assert_eq!(provost(&scene, &["reload"]).code, 1, "{name} {bad:?}");
        assert_eq!(provost(&scene, &["status"]).code, 1, "{name} {bad:?}");
        scene.deployment.write(name, good);
        until_well(&scene);
    }
    // A tenant's file that waits for the reload waits on, whatever becomes of the devices.
    scene.deployment.add(&tenant("phones"));
    scene.deployment.write("devices.csv", "mac\nzzz\n");
    assert_eq!(provost(&scene, &["reload"]).code, 1);
    scene.deployment.write("devices.csv", "mac\n0004f2000001\n0004f2000003\n");
    scene.server.event("the devices were read again");
    assert_eq!(provost(&scene, &["status"]).code, 1);
    provost(&scene, &["reload"]).succeeded();
    provost(&scene, &["status"]).succeeded();
}

#[test]
fn a_removed_device_is_refused_at_its_next_request_and_its_transfer_ends() {
    let large = format!("{POLY}-large.bin");
    let scene = with_large_file(&large);
    let mut phone = connect(&scene.deployment, scene.server.address("acme", "https"), POLY);
    let request = "GET /sip.cfg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    assert_eq!(status(&ask(&mut phone, request)), 200);
    let download = begin(&scene, &large);
    let others = [scene::NEIGHBOUR, scene::CISCO, scene::YEALINK];
    scene.deployment.add(&Tenant::new("acme", &others).https("").listener("http", ""));
    let kept = provost(&scene, &["reload"]);
    assert_eq!(kept.code, 1, "{kept:?}");
    assert!(kept.stdout.contains("--accept-removals"), "{kept:?}");
    assert_eq!(status(&ask(&mut phone, request)), 200);
    let taken = provost(&scene, &["reload", "--accept-removals"]).succeeded();
    assert!(taken.stdout.contains("3 devices now, 1 removed"), "{taken:?}");
    assert_eq!(status(&ask(&mut phone, request)), 403);
    assert!(rest(download) < LARGE);
    scene.server.record(&[("outcome", "aborted"), ("reason", "withdrawn"), ("mac", POLY)]);
}

#[test]
fn what_anyone_may_have_ends_with_no_device() {
    let [listed, large] = [POLY, FOREIGN].map(|mac| format!("{mac}-large.bin"));
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    deployment.write(&format!("files/acme/{large}"), vec![b'x'; LARGE]);
    deployment.write(&format!("files/acme/{listed}"), vec![b'x'; LARGE]);
    let rule = "[[rule]]\npath = \"{mac}-large.bin\"\nread = \"anyone\"\n";
    let acme = |devices: &[&str]| Tenant::new("acme", devices).listener("http", "").table(rule);
    deployment.add(&acme(&[POLY, scene::NEIGHBOUR]));
    let scene = Scene::start(deployment);
    let downloads = [&large, &listed].map(|name| begin(&scene, name));
    scene.deployment.add(&acme(&[scene::NEIGHBOUR]));
    let taken = provost(&scene, &["reload", "--accept-removals"]).succeeded();
    assert!(taken.stdout.contains("1 removed"), "{taken:?}");
    assert_eq!(downloads.map(rest), [LARGE; 2]);
}

#[test]
fn a_listener_whose_address_is_taken_waits_and_comes_by_itself() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    deployment.add(&scene::acme().listener("http", ""));
    let file = std::fs::read_to_string(deployment.path("tenants.d/acme.toml")).unwrap();
    deployment.write("tenants.d/acme.toml", file.replace("127.0.0.1:0", &address.to_string()));
    let scene = Scene::start(deployment);
    let status = status_of(&scene);
    assert_eq!(status.pointer("/tenants/0/listeners/0/state").unwrap(), "waiting");
    assert!(status.pointer("/tenants/0/listeners/0/reason").is_some(), "{status}");
    drop(taken);
    scene.server.event("listening at last");
    assert_eq!(Curl::new(format!("http://{address}/sip.cfg")).run().status, 200);
    provost(&scene, &["status"]).succeeded();
}

#[test]
fn a_reload_that_finds_no_tenant_at_all_ends_nobody() {
    let scene = Scene::of(&[scene::acme().https("")]);
    let (there, away) = (scene.deployment.path("tenants.d"), scene.deployment.path("away"));
    std::fs::rename(&there, &away).unwrap();
    let reloaded = provost(&scene, &["reload"]);
    assert_eq!(reloaded.code, 1, "{reloaded:?}");
    assert!(reloaded.stdout.contains("no tenant: no file is") && reloaded.stdout.contains("nothing was changed"));
    assert_eq!(scene.phone("sip.cfg").run().status, 200);
    assert_eq!(provost(&scene, &["status"]).code, 1);
    std::fs::rename(&away, &there).unwrap();
    assert_eq!(provost(&scene, &["reload"]).succeeded().stdout, "1 tenant is as it was\n");
    provost(&scene, &["status"]).succeeded();
}

#[test]
fn a_server_is_asked_though_its_configuration_is_broken() {
    let scene = Scene::of(&[scene::acme().listener("http", "")]);
    let config = std::fs::read_to_string(scene.deployment.config()).unwrap();
    scene.deployment.write("provost.toml", format!("{config}\nbroken\n"));
    let reloaded = provost(&scene, &["reload", "--json"]);
    let renewal: Value = serde_json::from_str(&reloaded.stdout).unwrap();
    assert_eq!(reloaded.code, 1, "{reloaded:?}");
    assert!(renewal["errors"].to_string().contains("not TOML"), "{renewal}");
    let status = provost(&scene, &["status"]);
    assert!(status.code == 1 && status.stdout.contains("not TOML"), "{status:?}");
}

#[test]
fn a_pipe_in_the_place_of_a_tenants_file_keeps_nobody_waiting() {
    let scene = Scene::of(&[scene::acme().https(""), scene::globex().https("")]);
    let file = scene.deployment.path("tenants.d/acme.toml");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(run("mkfifo", &[&text(&file)]).code, 0);
    std::fs::remove_file(scene.deployment.path("tenants.d/globex.toml")).unwrap();
    let reloaded = provost(&scene, &["reload"]);
    assert!(reloaded.stdout.contains("removed globex"), "{reloaded:?}");
    assert!(reloaded.stdout.contains("error: tenant acme is served as it was before:\n"), "{reloaded:?}");
    assert_eq!(scene.phone("sip.cfg").run().status, 200);
}

#[test]
fn without_a_server_status_says_so() {
    let deployment = Deployment::new();
    let status = || run(BINARY, &["status", "--config", &text(&deployment.config())]);
    let asked = status();
    assert_eq!(asked.code, 1);
    assert!(asked.stderr.contains("no server answers at"), "{asked:?}");
    deployment.replace("provost.toml", "\"admin.sock\"", "\"run/admin.sock\"");
    let asked = status();
    assert_eq!(asked.code, 1);
    let folder = text(&deployment.path("run"));
    assert!(asked.stderr.contains(&format!("there is no folder {folder}, so")), "{asked:?}");
}

#[test]
fn a_tenant_that_takes_anothers_name_by_mistake_goes_on_as_it_was() {
    let scene = Scene::of(&[scene::acme().https(""), scene::globex().https("")]);
    scene.deployment.replace("tenants.d/globex.toml", "name = \"globex\"", "name = \"acme\"");
    let reloaded = provost(&scene, &["reload"]);
    assert_eq!(reloaded.code, 1, "{reloaded:?}");
    assert!(!reloaded.stdout.contains("removed"), "{reloaded:?}");
    assert!(reloaded.stdout.contains("tenant globex is served as it was before"), "{reloaded:?}");
    assert_eq!(scene.phone("sip.cfg").run().text(), "acme sip.cfg\n");
    assert_eq!(scene.https("globex", FOREIGN, "sip.cfg").run().text(), "globex sip.cfg\n");
}

#[test]
fn a_listener_that_is_removed_answers_nothing_more_on_open_connections() {
    let scene = Scene::of(&[scene::acme().https("").listener("http", "")]);
    let mut phone = TcpStream::connect(scene.server.address("acme", "http")).unwrap();
    phone.set_read_timeout(Some(DEADLINE)).unwrap();
    let request = "GET /sip.cfg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    phone.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"sip.cfg\n") {
        let mut byte = [0];
        phone.read_exact(&mut byte).unwrap();
        answer.extend(byte);
    }
    scene.deployment.add(&scene::acme().https(""));
    assert_eq!(
        provost(&scene, &["reload"]).succeeded().stdout,
        "changed acme; closed: http\n0 tenants are as they were\n"
    );
    phone.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A reset is an end, too.
    let _ = phone.read_to_end(&mut answer);
    assert_eq!(String::from_utf8_lossy(&answer), "");
}

#[test]
fn a_listener_that_is_disabled_is_told_as_closed_until_it_listens_anew() {
    let tenant = |http: &str| scene::acme().https("").listener("http", http);
    let scene = Scene::of(&[tenant("")]);
    for (http, told) in [("enabled = false\n", "closed"), ("", "listens anew")] {
        scene.deployment.add(&tenant(http));
        assert_eq!(
            provost(&scene, &["reload"]).succeeded().stdout,
            format!("changed acme; {told}: http\n0 tenants are as they were\n")
        );
    }
}

#[test]
fn a_session_whose_password_was_withdrawn_reads_nothing_more() {
    let tenant = || scene::acme().https("").listener("ftp", "require = [\"password\"]");
    let user = "[[users]]\nname = \"phones\"\npassword = \"a long secret\"";
    let scene = Scene::of(&[tenant().table(user)]);
    let mut phone = TcpStream::connect(scene.server.address("acme", "ftp")).unwrap();
    phone.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut ask = |command: &str| {
        phone.write_all(command.as_bytes()).unwrap();
        let mut reply = [0; 512];
        let length = phone.read(&mut reply).unwrap();
        String::from_utf8_lossy(&reply[..length]).into_owned()
    };
    assert!(ask("").starts_with("220"));
    assert!(ask("USER phones\r\n").starts_with("331"));
    assert!(ask("PASS a long secret\r\n").starts_with("230"));
    assert!(ask("TYPE I\r\n").starts_with("200"));
    assert!(ask("SIZE sip.cfg\r\n").starts_with("213"));
    scene.deployment.add(&tenant().table("[[users]]\nname = \"phones\"\npassword = \"another secret\""));
    provost(&scene, &["reload"]).succeeded();
    let reply = ask("SIZE sip.cfg\r\n");
    assert!(!reply.starts_with("213"), "{reply}");
}

#[test]
fn what_says_the_same_in_other_words_is_as_it_was() {
    let scene = Scene::of(&[scene::acme().https(""), scene::globex().https("")]);
    let unchanged = "2 tenants are as they were\n";
    let reload = || provost(&scene, &["reload"]).succeeded().stdout;
    scene.deployment.replace("tenants.d/acme.toml", "name = \"acme\"\n", "# a comment\nname = \"acme\"\n");
    assert_eq!(reload(), unchanged);
    scene.deployment.replace("provost.toml", "[log]\nformat = \"json\"\n", "[log]\nformat = \"text\"\n");
    assert_eq!(reload(), format!("pending what changed in [log] counts from the next start\n{unchanged}"));
    let renewal = provost(&scene, &["reload", "--json"]).succeeded().stdout;
    assert_eq!(serde_json::from_str::<Value>(&renewal).unwrap()["pending"], serde_json::json!(["[log]"]));
    scene.deployment.replace("provost.toml", "[log]\nformat = \"text\"\n", "[log]\nformat = \"json\"\n");
    // No tenant's, and it counts at once.
    scene.deployment.replace("provost.toml", "[log]\n", "[arrivals]\nclient_hello = \"1s\"\n[log]\n");
    assert_eq!(reload(), format!("changed [arrivals]\n{unchanged}"));
    assert_eq!(reload(), unchanged);
    // What provost.toml says of a trust set, or under `[defaults]`, is said of the tenants that have it.
    scene.deployment.replace("provost.toml", "[trust.poly]\n", "[trust.poly]\nouis = [\"00:04:f2\"]\n");
    assert_eq!(reload(), "changed acme\nchanged globex\n0 tenants are as they were\n");
    scene.deployment.replace("provost.toml", "[defaults]\n", "[defaults]\nlimits.idle = \"7s\"\n");
    assert_eq!(reload(), "changed acme\nchanged globex\n0 tenants are as they were\n");
}

#[test]
fn a_reload_names_the_listeners_that_wait() {
    let scene = Scene::of(&[scene::acme().https("")]);
    let absent = |tenant: Tenant, address| tenant.listener_at("absent", "tftp", address, "");
    scene.deployment.add(&absent(scene::acme().https("").listener("http", ""), "192.0.2.77:6969"));
    scene.deployment.add(&absent(scene::globex(), "192.0.2.78:6969"));
    let waits = "which is tried again: Cannot assign requested address (os error 99)";
    assert_eq!(
        provost(&scene, &["reload"]).succeeded().stdout,
        format!(
            "added globex\nchanged acme; listens anew: http\nwaits acme absent at 192.0.2.77:6969, {waits}\nwaits globex absent at 192.0.2.78:6969, {waits}\n0 tenants are as they were\n"
        )
    );
    // A reload that changes nothing names them, too.
    assert_eq!(
        provost(&scene, &["reload"]).succeeded().stdout,
        format!(
            "waits acme absent at 192.0.2.77:6969, {waits}\nwaits globex absent at 192.0.2.78:6969, {waits}\n2 tenants are as they were\n"
        )
    );
}

#[test]
fn a_signal_to_reload_that_comes_before_the_server_is_ready_waits_for_it() {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    // So many that somebody sees it being read.
    let rows = (0..100_000).map(|number| format!("0004f2{number:06x}\n"));
    deployment.write("devices.csv", std::iter::once("mac\n".to_owned()).chain(rows).collect::<String>());
    deployment.add(&scene::acme().devices("file = \"../devices.csv\"").listener("http", ""));
    let mut command = Command::new(BINARY);
    command.args(["serve", "--config"]).arg(deployment.config());
    let devices = deployment.path("devices.csv");
    let server = Server::run_with(command, &deployment.config(), |child| {
        let open = format!("/proc/{}/fd", child.id());
        let is_open = || {
            let open = std::fs::read_dir(&open).unwrap();
            open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok()).any(|path| path == devices)
        };
        let until = Instant::now() + DEADLINE;
        while !is_open() {
            assert!(Instant::now() < until, "nobody reads the devices");
        }
        rustix::process::kill_process(rustix::process::Pid::from_child(child), rustix::process::Signal::HUP).unwrap();
    });
    server.event("reloaded");
}

#[test]
fn a_server_without_an_admin_socket_says_so() {
    let deployment = Deployment::new();
    // Where the folder of the usual socket is there, it has one.
    if std::path::Path::new("/run/provost").is_dir() {
        return;
    }
    deployment.replace("provost.toml", "[admin]\nsocket = \"admin.sock\"\n", "");
    deployment.add(&scene::acme().listener("http", ""));
    let scene = Scene::start(deployment);
    let message = "no admin socket, for its folder is not there: `[admin] socket` names another place";
    assert_eq!(scene.server.event(message)["level"], "INFO");
    let status = provost(&scene, &["status"]);
    assert!(status.code == 1 && status.stderr.contains("there is no folder /run/provost, so"), "{status:?}");
}

#[test]
fn a_state_folder_that_cannot_be_written_is_told_until_it_can() {
    let deployment = Deployment::new();
    deployment.add(&Tenant::new("acme", &[POLY]).listener("http", ""));
    let mode = |name: &str, mode: u32| {
        std::fs::set_permissions(deployment.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    std::fs::create_dir_all(deployment.path("state/uploads")).unwrap();
    for (name, bits) in [("", 0o777), ("tls", 0o777), ("state", 0o555), ("state/uploads", 0o555)] {
        mode(name, bits);
    }
    // Root may write everywhere, so that the server is somebody else.
    let mut command = Command::new("setpriv");
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"];
    if rustix::process::geteuid().is_root() {
        command.args(nobody).arg(BINARY);
    } else {
        command = Command::new(BINARY);
    }
    command.args(["serve", "--config"]).arg(deployment.config());
    let server = Server::run(command, &deployment.config());
    server.event("the state folder cannot be used");
    let status = || run(BINARY, &["status", "--config", &text(&deployment.config())]);
    let told = format!("error: {}: this process cannot write there", text(&deployment.path("state")));
    assert!(status().code == 1 && status().stdout.contains(&told), "{:?}", status());
    mode("state", 0o777);
    let told = format!("error: {}: this process cannot write there", text(&deployment.path("state/uploads")));
    run(BINARY, &["reload", "--config", &text(&deployment.config())]).succeeded();
    assert!(status().code == 1 && status().stdout.contains(&told), "{:?}", status());
    mode("state/uploads", 0o777);
    run(BINARY, &["reload", "--config", &text(&deployment.config())]).succeeded();
    status().succeeded();
}

#[test]
fn uploads_under_a_name_that_no_tenant_has_are_warned_of() {
    let scene = Scene::of(&[scene::acme().listener("http", "")]);
    for (tenant, uploads) in [("acme", true), ("former", true), ("empty", false)] {
        let folder = scene.deployment.path(&format!("state/uploads/{tenant}"));
        std::fs::create_dir_all(&folder).unwrap();
        if uploads {
            std::fs::write(folder.join("0004f2aabbcc-web.cfg"), "").unwrap();
        }
    }
    provost(&scene, &["reload"]).succeeded();
    let message = "uploads lie here under a name that no tenant has: move or remove them before one is given it";
    scene.server.event(message);
    let told: Vec<Value> =
        scene.server.events().into_iter().filter(|event| event.to_string().contains(message)).collect();
    assert!(told.len() == 1 && told[0].to_string().contains("state/uploads/former"), "{told:?}");
}
