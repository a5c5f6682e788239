//! FTP over TLS with curl, lftp and Python's `FTP_TLS`: how it comes about, what a certificate proves there, and what must
//! not cross from before TLS into it.

use std::net::{SocketAddr, TcpListener};

use crate::harness::clients::{Curl, Run, Scratch, lftp_with, run, run_with_input, text};
use crate::harness::deployment::TLS;
use crate::harness::scene::{self, NEIGHBOUR, POLY, Scene, UNLISTED};
use crate::harness::server::BINARY;

const LOG: &str = "0004f2aabbcc-app.log";

fn scene() -> Scene {
    let acme = scene::acme()
        .listener("ftp", TLS)
        .listener_named("required", "ftp", &format!("{TLS}tls = \"required\"\n"))
        .listener_named("implicit", "ftp", &format!("{TLS}tls = \"implicit\"\n"))
        .listener_named(
            "proven",
            "ftp",
            &format!("{TLS}tls = \"required\"\nrequire = [\"certificate\"]\nunbound = \"refuse\"\n"),
        )
        .listener_named(
            "either",
            "ftp",
            &format!("{TLS}tls = \"required\"\nrequire = [\"certificate\", \"password\"]\nunbound = \"refuse\"\n"),
        )
        .listener_at("six", "ftp", "[::1]:0", TLS)
        .devices("file = \"../devices.csv\"")
        .table("[[users]]\nname = \"PlcmSpIp\"\npassword = \"secret\"");
    let deployment = crate::harness::deployment::Deployment::new();
    deployment.write("devices.csv", format!("mac,password\n{POLY},device-secret\n"));
    scene::write_files(&deployment);
    deployment.write("files/acme/big.bin", big());
    deployment.add(&acme);
    Scene::start(deployment)
}

fn big() -> Vec<u8> {
    (0..3_000_003_u32).map(|number| (number % 241).to_le_bytes()[0]).collect()
}

fn address(scene: &Scene, listener: &str) -> SocketAddr {
    scene.server.address("acme", listener)
}

/// curl by TLS, as the device of that name; without a certificate where the name is empty.
fn curl(scene: &Scene, listener: &str, device: &str, path: &str) -> Curl {
    let scheme = if listener == "implicit" { "ftps" } else { "ftp" };
    let ca = text(&scene.deployment.path("tls/ca.pem"));
    let curl = Curl::new(format!("{scheme}://{}/{path}", address(scene, listener)));
    let curl = curl.args(["--ssl-reqd", "--cacert", &ca, "-u", "a:b"]);
    if device.is_empty() {
        return curl;
    }
    let [pem, key] = scene.deployment.pair(device);
    curl.args(["--cert", &pem, "--key", &key])
}

/// A script over `FTP_TLS`: `ftp` is connected, and not encrypted; `context` is what it encrypts with.
fn script(scene: &Scene, listener: &str, device: &str, lines: &str) -> Run {
    let address = address(scene, listener);
    let ca = text(&scene.deployment.path("tls/ca.pem"));
    let mut before = format!(
        r"
import ftplib, io, socket, ssl
context = ssl.create_default_context(cafile={ca:?})
HOST, PORT = {:?}, {}
def errors(call, *args, **kwargs):
    try:
        return call(*args, **kwargs)[:3]
    except ftplib.all_errors as error:
        return str(error)[:3]
",
        address.ip().to_string(),
        address.port()
    );
    if !device.is_empty() {
        let [pem, key] = scene.deployment.pair(device);
        before = format!("{before}context.load_cert_chain({pem:?}, {key:?})\n");
    }
    before += "ftp = ftplib.FTP_TLS(context=context, timeout=60)\nftp.connect(HOST, PORT)\n";
    run("python3", &["-c", &(before + lines)])
}

#[test]
fn curl_reads_and_writes_by_tls_of_each_kind() {
    let scene = scene();
    for listener in ["ftp", "required", "implicit", "six"] {
        for arguments in [&[][..], &["--disable-epsv"], &["--tls-max", "1.2"]] {
            if listener == "six" && arguments == ["--disable-epsv"] {
                continue;
            }
            let reply = curl(&scene, listener, "", "big.bin").args(arguments.iter().copied()).run();
            assert!(reply.code == 0 && reply.body == big(), "{listener} {arguments:?}: {}", reply.stderr);
        }
        let rest = curl(&scene, listener, "", "big.bin").args(["-r", "2999990-"]).run();
        assert!(rest.body == big()[2_999_990..], "{listener}: {rest:?}");
        let put = curl(&scene, listener, "", LOG).upload(b"one").run();
        assert_eq!(put.code, 0, "{listener}: {put:?}");
        let append = curl(&scene, listener, "", LOG).upload(b"two").arg("-a").run();
        assert_eq!(append.code, 0, "{listener}: {append:?}");
        assert_eq!(std::fs::read(scene.deployment.upload("acme", LOG)).unwrap(), b"onetwo", "{listener}");
        let list = curl(&scene, listener, "", "").run();
        assert!(list.text().contains(" sip.cfg"), "{listener}: {list:?}");
    }
}

#[test]
fn a_certificate_proves_its_device_as_on_https() {
    let scene = scene();
    for (listener, device, path, opens) in [
        ("proven", POLY, format!("{POLY}.cfg"), true),
        ("proven", POLY, "sip.cfg".into(), true),
        ("proven", POLY, format!("{NEIGHBOUR}.cfg"), false),
        ("proven", UNLISTED, "sip.cfg".into(), false),
        ("proven", UNLISTED, format!("{UNLISTED}.cfg"), false),
        ("proven", "", "sip.cfg".into(), false),
        ("either", POLY, format!("{POLY}.cfg"), true),
        ("either", "", "sip.cfg".into(), false),
        ("ftp", POLY, format!("{NEIGHBOUR}.cfg"), false),
        ("ftp", "", format!("{NEIGHBOUR}.cfg"), true),
    ] {
        let reply = curl(&scene, listener, device, &path).run();
        assert_eq!(reply.code == 0, opens, "{listener} {device} {path}: {reply:?}");
        assert_eq!(reply.text().starts_with("acme"), opens, "{listener} {device} {path}: {reply:?}");
    }
    let record = scene.server.record(&[("listener", "proven"), ("outcome", "served")]);
    assert_eq!((&record["mac"], &record["proof"]), (&POLY.into(), &"certificate".into()));
    scene.server.record(&[("listener", "proven"), ("outcome", "handshake"), ("reason", "no_certificate")]);
    // One that names no device opens nothing either, and the record says that it was not the password.
    scene.deployment.certificate("generic", &scene.deployment.cisco.generic());
    let reply = curl(&scene, "proven", "generic", "sip.cfg").run();
    assert_eq!(reply.code, 67, "{reply:?}");
    let record = scene.server.record(&[("listener", "proven"), ("method", "PASS")]);
    assert_eq!((&record["outcome"], &record["reason"]), (&"handshake".into(), &"require_not_met".into()));
    assert!(record["detail"].as_str().unwrap().starts_with("user a; the subject"), "{record}");
    // A password does beside it.
    let login = script(
        &scene,
        "either",
        "",
        "print(errors(ftp.login, 'PlcmSpIp', 'wrong'), errors(ftp.login, 'PlcmSpIp', 'secret'))",
    );
    assert_eq!(login.succeeded().stdout, "530 230\n");
    let put = curl(&scene, "proven", POLY, "0004f2aabbcc-phone.cfg").upload(b"set").run();
    assert_eq!(put.code, 0, "{put:?}");
}

#[test]
fn python_reads_and_writes_and_resumes_the_session() {
    let scene = scene();
    let run = script(
        &scene,
        "required",
        POLY,
        r#"
print(errors(ftp.sendcmd, "USER a"), errors(ftp.sendcmd, "PBSZ 0"), errors(ftp.sendcmd, "PROT P"))
ftp.login("a", "b")
print(errors(ftp.sendcmd, "AUTH TLS"), errors(ftp.sendcmd, "CCC"), errors(ftp.sendcmd, "PROT P"))
# Before PROT P nothing goes over a data connection.
print(errors(ftp.retrlines, "LIST"))
ftp.prot_p()
print(errors(ftp.sendcmd, "PROT C"), errors(ftp.sendcmd, "PROT S"), errors(ftp.sendcmd, "PROT X"))
for passive in (True, False):
    ftp.set_pasv(passive)
    parts = []
    ftp.retrbinary("RETR big.bin", parts.append)
    print(len(b"".join(parts)))
ftp.set_pasv(True)
print(ftp.storbinary("STOR 0004f2aabbcc-app.log", io.BytesIO(b"x" * 300000))[:3], ftp.size("0004f2aabbcc-app.log"))
print(ftp.storbinary("APPE 0004f2aabbcc-app.log", io.BytesIO(b"yy"))[:3], ftp.size("0004f2aabbcc-app.log"))
print("0004f2aabbcc.cfg" in ftp.nlst(), "0004f2000002.cfg" in ftp.nlst())
# A data connection may resume the session of the control connection.
reused = []
def resuming(cmd, rest=None):
    conn, size = ftplib.FTP.ntransfercmd(ftp, cmd, rest)
    conn = context.wrap_socket(conn, server_hostname=ftp.host, session=ftp.sock.session)
    reused.append(conn.session_reused)
    return conn, size
ftp.ntransfercmd = resuming
print(ftp.retrbinary("RETR big.bin", lambda part: None)[:3], reused)
print(ftp.quit()[:3])
"#,
    )
    .succeeded();
    assert_eq!(
        run.stdout,
        "530 503 503\n503 533 503\n521\n534 536 504\n3000003\n3000003\n226 300000\n226 300002\nTrue False\n226 [True]\n221\n"
    );
}

#[test]
fn rein_keeps_tls_and_begins_with_data_connections_as_a_new_session_has_them() {
    let scene = scene();
    let steps = r#"
ftp.login("a", "b")
ftp.prot_p()
print(errors(ftp.sendcmd, "REIN"), errors(ftp.sendcmd, "PWD"), errors(ftp.sendcmd, "PROT P"), errors(ftp.sendcmd, "CCC"), end=" ")
ftp.sendcmd("USER a")
ftp.sendcmd("PASS b")
print(errors(ftp.retrlines, "LIST", lambda line: None), end=" ")
ftp.prot_p()
print(errors(ftp.retrlines, "LIST", lambda line: None))
"#;
    assert_eq!(script(&scene, "required", POLY, steps).succeeded().stdout, "220 530 503 533 521 226\n");
    let implicit = curl(&scene, "implicit", POLY, "sip.cfg").args(["-Q", "REIN", "-Q", "USER a", "-Q", "PASS b"]).run();
    assert!(implicit.text().starts_with("acme"), "{implicit:?}");
}

#[test]
fn lftp_reads_and_writes_by_tls() {
    let scene = scene();
    let local = Scratch::new();
    let ca = text(&scene.deployment.path("tls/ca.pem"));
    for (listener, scheme) in [("ftp", "ftp"), ("required", "ftp"), ("implicit", "ftps")] {
        let passive = if listener == "required" { "no" } else { "yes" };
        let settings = format!(
            "set ftp:passive-mode {passive}; set ftp:ssl-allow yes; set ftp:ssl-force yes; set ftp:ssl-protect-data yes; set ssl:ca-file {ca}; \
             set ssl:check-hostname no"
        );
        let (got, log) = (local.text(listener), local.with("log", b"by lftp"));
        let commands = format!("get big.bin -o {got}; put {log} -o {LOG}; cls -1");
        let run = lftp_with(address(&scene, listener), scheme, &settings, "a,b", &commands).succeeded();
        assert!(local.read(listener) == big(), "{listener}");
        assert_eq!(std::fs::read(scene.deployment.upload("acme", LOG)).unwrap(), b"by lftp", "{listener}");
        assert!(run.stdout.contains("sip.cfg"), "{run:?}");
    }
}

#[test]
fn a_login_in_clear_where_tls_is_required_is_recorded_without_its_password() {
    let scene = scene();
    let steps = r#"
for command in ("USER PlcmSpIp", "PASS hunter2", "RETR 0004f2aabbcc.cfg"):
    print(errors(ftp.sendcmd, command), end=" ")
"#;
    assert_eq!(script(&scene, "required", "", steps).succeeded().stdout, "530 530 530 ");
    for method in ["USER", "PASS", "RETR"] {
        let found = [("method", method), ("outcome", "handshake"), ("reason", "tls_required")];
        let record = scene.server.record(&found);
        assert_eq!(record["path"], if method == "RETR" { "/0004f2aabbcc.cfg" } else { "" });
        assert!(!record.to_string().contains("hunter2"), "{record}");
    }
    let config = text(&scene.deployment.config());
    for (listener, says) in [("required", "TLS came first (AUTH TLS)"), ("implicit", "began with a TLS handshake")] {
        let question = ["--tenant", "acme", "--listener", listener, "--from", "127.0.0.1", "RETR", "sip.cfg"];
        let explained = run(BINARY, &[&["explain", "--config", &config][..], &question].concat());
        assert!(explained.stdout.contains(says), "{explained:?}");
    }
}

#[test]
fn what_was_said_before_tls_is_forgotten_in_it() {
    let scene = scene();
    let run = script(
        &scene,
        "ftp",
        "",
        r#"
def injected(before, after):
    sock = socket.create_connection((HOST, PORT), timeout=60)
    sock.recv(1000)
    # One segment: what stands behind AUTH was sent by whoever sits on the way.
    sock.sendall(before + b"AUTH TLS\r\n" + after)
    answer = b""
    while not answer.endswith(b"\r\n") or answer.count(b"\r\n") < 1 + before.count(b"\r\n"):
        answer += sock.recv(1000)
    tls = context.wrap_socket(sock, server_hostname=HOST)
    tls.sendall(b"NOOP\r\n")
    inside = tls.recv(1000)
    tls.sendall(b"PWD\r\n")
    inside += tls.recv(1000)
    return answer[-40:-20][:3], inside
for before, after in [(b"", b"USER evil\r\nPASS evil\r\n"), (b"", b"FEAT"), (b"USER evil\r\nPASS evil\r\n", b""),
                      (b"USER evil\r\n", b"PASS evil\r\n")]:
    print(injected(before, after)[1])
for argument in ["SSL", "TLS-P", "KERBEROS_V4", ""]:
    print(argument, errors(ftp.sendcmd, ("AUTH " + argument).strip()))
print(errors(ftp.sendcmd, "CCC"), errors(ftp.sendcmd, "PBSZ 0"))
print([name for name in ftp.sendcmd("HELP").split() if name in ("AUTH", "PBSZ", "PROT", "CCC")])
print([line.strip() for line in ftp.sendcmd("FEAT").splitlines() if line.split()[0] in ("AUTH", "PBSZ", "PROT")])
"#,
    )
    .succeeded();
    let fresh = "b'200 OK.\\r\\n530 Log in with USER and PASS.\\r\\n'\n";
    let refused = "SSL 504\nTLS-P 504\nKERBEROS_V4 504\n 501\n503 503\n['AUTH', 'CCC', 'PBSZ', 'PROT']\n['AUTH TLS', 'PBSZ', 'PROT']\n";
    assert_eq!(run.stdout, format!("{}{refused}", fresh.repeat(4)));
}

#[test]
fn data_of_a_proven_session_goes_to_no_other_certificate() {
    let scene = scene();
    let [pem, key] = scene.deployment.pair(NEIGHBOUR);
    let ca = text(&scene.deployment.path("tls/ca.pem"));
    let run = script(
        &scene,
        "ftp",
        POLY,
        &format!(
            r#"
ftp.login("a", "b")
ftp.prot_p()
ftp.sendcmd("TYPE I")
other = ssl.create_default_context(cafile={ca:?})
other.load_cert_chain({pem:?}, {key:?})
nobody = ssl.create_default_context(cafile={ca:?})
for thief in (other, nobody, context):
    address = ftp.makepasv()
    ftp.putcmd("RETR 0004f2aabbcc.cfg")
    data = socket.create_connection(address, timeout=60)
    print(ftp.getresp()[:3])
    try:
        got = thief.wrap_socket(data, server_hostname=HOST).recv(1000)
    except OSError:
        got = b""
    print(got, errors(ftp.getresp))
"#
        ),
    )
    .succeeded();
    assert_eq!(run.stdout, "150\nb'' 425\n150\nb'' 425\n150\nb'acme file of 0004f2aabbcc\\n' 226\n");
    scene.server.record(&[("reason", "data_stranger"), ("outcome", "aborted")]);
}

#[test]
fn data_of_a_proven_session_goes_over_no_connection_in_clear() {
    let scene = scene();
    let steps = r#"
ftp.login("a", "b")
print(errors(ftp.sendcmd, "PBSZ 0"), errors(ftp.sendcmd, "PROT C"), end=" ")
for command in ("RETR 0004f2aabbcc.cfg", "STOR 0004f2aabbcc-app.log", "APPE 0004f2aabbcc-app.log", "LIST", "NLST", "MLSD"):
    address = ftp.makepasv()
    # It has the device's address, and nothing else of it.
    stranger = socket.create_connection(address, timeout=60)
    print(errors(ftp.sendcmd, command), end=" ")
print(errors(ftp.sendcmd, "TYPE I"), errors(ftp.sendcmd, "SIZE 0004f2aabbcc.cfg"))
ftp.prot_p()
print(errors(ftp.retrbinary, "RETR 0004f2aabbcc.cfg", lambda part: None))
"#;
    // Without a certificate there is nothing that it could open to others.
    let clear =
        script(&scene, "ftp", "", "ftp.login('a', 'b')\nprint(errors(ftp.retrlines, 'LIST', lambda line: None))\n");
    assert_eq!(clear.succeeded().stdout, "226\n");
    assert_eq!(script(&scene, "ftp", POLY, steps).succeeded().stdout, "200 534 521 521 521 521 521 521 200 213\n226\n",);
    scene.server.record(&[("method", "RETR"), ("outcome", "rejected"), ("reason", "data_unprotected")]);
}

#[test]
fn an_upload_that_is_cut_inside_tls_leaves_what_was_there() {
    let scene = scene();
    let run = script(
        &scene,
        "ftp",
        "",
        r#"
ftp.login("a", "b")
ftp.prot_p()
ftp.storbinary("STOR 0004f2aabbcc-app.log", io.BytesIO(b"stands"))
data = ftp.transfercmd("STOR 0004f2aabbcc-app.log")
data.sendall(b"half")
# The end of TCP without that of TLS: whoever sits on the way can make it.
socket.socket(fileno=data.detach()).shutdown(socket.SHUT_WR)
print(errors(ftp.voidresp))
data = ftp.transfercmd("RETR big.bin")
while data.recv(65536):
    pass
# The server said close_notify, so this is no error.
data.unwrap()
print(errors(ftp.voidresp))
"#,
    )
    .succeeded();
    assert_eq!(run.stdout, "426\n226\n");
    assert_eq!(std::fs::read(scene.deployment.upload("acme", LOG)).unwrap(), b"stands");
}

#[test]
fn a_peer_of_implicit_tls_is_turned_away_behind_the_handshake() {
    let acme = scene::acme()
        .listener_named("implicit", "ftp", &format!("{TLS}tls = \"implicit\"\n"))
        .table("[limits]\nconnections_per_address = 1");
    let deployment = crate::harness::deployment::Deployment::new();
    scene::write_files(&deployment);
    deployment.add(&acme);
    let scene = Scene::start(deployment);
    let address = address(&scene, "implicit");
    let ca = text(&scene.deployment.path("tls/ca.pem"));
    let steps = format!(
        r#"
import socket, ssl
context = ssl.create_default_context(cafile={ca:?})
def connect():
    sock = socket.create_connection(({:?}, {}), timeout=60)
    tls = context.wrap_socket(sock, server_hostname="127.0.0.1")
    return tls, tls.recv(1000)[:3]
first, greeting = connect()
second, word = connect()
print(greeting, word, second.recv(1000))
"#,
        address.ip().to_string(),
        address.port()
    );
    assert_eq!(run("python3", &["-c", &steps]).succeeded().stdout, "b'220' b'421' b''\n");
    scene.server.record(&[("outcome", "refused"), ("reason", "busy")]);
}

#[test]
fn a_peer_that_says_nothing_in_tls_is_given_up() {
    let scene = scene();
    let run = script(&scene, "implicit", "", "");
    // FTP_TLS knows no implicit TLS: it waits for a greeting that never comes, and the server gives it up.
    assert_ne!(run.code, 0);
    scene.server.record(&[("listener", "implicit"), ("outcome", "handshake"), ("reason", "client_hello_timeout")]);
    let run = script(
        &scene,
        "ftp",
        "",
        r#"
sock = socket.create_connection((HOST, PORT), timeout=60)
sock.recv(1000)
sock.sendall(b"AUTH TLS\r\n")
sock.recv(1000)
print(sock.recv(1000))
sock = socket.create_connection((HOST, PORT), timeout=60)
sock.recv(1000)
sock.sendall(b"AUTH TLS\r\n")
sock.recv(1000)
sock.sendall(b"USER a\r\nPASS b\r\n")
print(sock.recv(1000)[:1])
"#,
    )
    .succeeded();
    assert!(run.stdout.starts_with("b''\n"), "{run:?}");
    scene.server.record(&[("listener", "ftp"), ("outcome", "handshake"), ("reason", "client_hello_timeout")]);
    scene.server.record(&[("listener", "ftp"), ("outcome", "handshake"), ("reason", "not_tls")]);
}

#[test]
fn a_listener_that_turns_from_https_into_ftp_takes_clients_that_offer_ftp() {
    let address = TcpListener::bind("127.85.0.1:0").and_then(|listener| listener.local_addr()).unwrap();
    let tls = format!("{TLS}require = [\"password\"]\n");
    let acme = scene::acme().listener_at("phones", "https", &address.to_string(), &tls);
    let scene = Scene::of(&[acme.table("[[users]]\nname = \"PlcmSpIp\"\npassword = \"secret\"")]);
    scene.deployment.replace("tenants.d/acme.toml", "protocol = \"https\"", "protocol = \"ftp\"");
    run(BINARY, &["reload", "--config", &text(&scene.deployment.config())]).succeeded();
    let offers = ["s_client", "-starttls", "ftp", "-alpn", "ftp", "-connect", &address.to_string()];
    run_with_input("openssl", &offers, b"QUIT\r\n").succeeded();
}
