//! FTP sessions that mean harm, or are merely broken: memory stays bounded, the right reply comes, and others are served.

use std::fmt::Write as _;

use crate::harness::clients::{Curl, Run, run};
use crate::harness::scene::{self, Scene};

fn scene(listener: &str, limits: &str) -> Scene {
    Scene::of(&[scene::acme().listener("ftp", listener).table(&format!("[limits]\n{limits}"))])
}

/// A script with sockets: `Session` is a control connection, `say` gives the code of the reply, or 0 once it is closed.
fn script(scene: &Scene, lines: &str) -> Run {
    let address = scene.server.address("acme", "ftp");
    let mut before = String::from(
        r#"
import re, socket, struct
class Session:
    def __init__(self, login=True, source="127.0.0.1"):
        self.sock = socket.create_connection((HOST, PORT), timeout=60, source_address=(source, 0))
        self.file = self.sock.makefile("rb")
        self.greeting = self.reply()
        if login:
            self.say("USER a"), self.say("PASS b"), self.say("TYPE I")
    def reply(self):
        while True:
            try:
                line = self.file.readline()
            except OSError:
                return 0
            if not line:
                return 0
            self.line = line.decode("latin-1")
            if line[3:4] == b" " and line[:3].isdigit():
                return int(line[:3])
    def say(self, command):
        try:
            self.sock.sendall(command.encode("latin-1") + b"\r\n")
        except OSError:
            return 0
        return self.reply()
    def pasv(self):
        code = self.say("PASV")
        if code != 227:
            return code
        numbers = [int(n) for n in re.search(r"\((.*)\)", self.line)[1].split(",")]
        return ".".join(map(str, numbers[:4])), numbers[4] * 256 + numbers[5]
def whole(sock):
    got = b""
    while True:
        try:
            part = sock.recv(65536)
        except ConnectionResetError:
            return None
        if not part:
            return got
        got += part
"#,
    );
    let _ = writeln!(before, "HOST, PORT = {:?}, {}", address.ip().to_string(), address.port());
    run("python3", &["-c", &(before + lines)]).succeeded()
}

/// Sixteen ports that the system gives to nobody by itself, and no other run of these tests asks for.
fn ports(from: u32) -> String {
    let first = 10_240 + std::process::id() % 600 * 32 + from;
    format!("{first}-{}", first + 15)
}

/// Somebody else is served as if nothing were.
#[track_caller]
fn others_are_served(scene: &Scene) {
    let url = format!("ftp://{}/sip.cfg", scene.server.address("acme", "ftp"));
    assert_eq!(Curl::new(url).args(["-u", "a:b"]).run().text(), "acme sip.cfg\n");
}

#[test]
fn floods_are_bounded_in_memory() {
    let scene = scene("", "commands_per_second = 1000000");
    let before = scene.server.memory("VmRSS");
    let run = script(
        &scene,
        r#"
def endless(session):
    chunk, sent = b"x" * 65536, 0
    try:
        while sent < 300 << 20:
            session.sock.sendall(chunk)
            sent += len(chunk)
    except OSError:
        pass
    return sent < 8 << 20
print(endless(Session(login=False)), endless(Session()))
# Commands without reading a reply: the server stops reading, and takes nothing in.
flood = Session()
flood.sock.settimeout(2)
sent = 0
try:
    while sent < 64 << 20:
        sent += flood.sock.send(b"HELP\r\n" * 10000)
except OSError:
    pass
print(sent < 64 << 20)
# A transfer that nobody takes, and commands behind it.
waits = Session()
address = waits.pasv()
data = socket.create_connection(address)
waits.sock.settimeout(2)
waits.sock.sendall(b"RETR sip.cfg\r\n")
try:
    while True:
        waits.sock.send(b"PWD\r\n" * 10000)
except OSError:
    print("held")
"#,
    );
    assert_eq!(run.stdout, "True True\nTrue\nheld\n");
    let after = scene.server.memory("VmRSS");
    assert!(after < before + 16 * 1024, "{before} KiB, then {after} KiB");
    others_are_served(&scene);
}

#[test]
fn ten_thousand_pasvs_leave_one_port_open_and_the_range_to_others() {
    let ports = ports(0);
    let (first, last) = ports.split_once('-').unwrap();
    let scene = scene(&format!("passive_ports = \"{ports}\"\n"), "commands_per_second = 1000000");
    let run = script(
        &scene,
        &r#"
one = Session()
print(sum(one.pasv() is not None for _ in range(10000)), type(one.pasv()).__name__)
import os
listening = lambda: sum(int(line.split()[1].split(":")[1], 16) in range(FIRST, LAST + 1) and line.split()[3] == "0A"
                        for line in open("/proc/net/tcp").read().splitlines()[1:])
print(listening())
# Half of the range is the most for one address, however many sessions it has.
greedy = [Session() for _ in range(20)]
print(sum(isinstance(each.pasv(), tuple) for each in greedy) + 1, greedy[-1].line[:3])
other = Session(source="127.0.0.2")
address = other.pasv()
print(isinstance(address, tuple))
data = socket.create_connection(address, source_address=("127.0.0.2", 0))
print(other.say("RETR sip.cfg"), whole(data), other.reply())
for each in greedy:
    each.sock.close()
"#
        .replace("FIRST", first)
        .replace("LAST", last),
    );
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(lines[0], "10000 tuple");
    assert_eq!(lines[1], "1", "one port a session");
    assert_eq!(lines[2..], ["8 425", "True", "150 b'acme sip.cfg\\n' 226"]);
    scene.server.record(&[("method", "PASV"), ("reason", "passive_ports")]);
}

#[test]
fn a_passive_port_that_waits_in_vain_is_given_back() {
    let ports = ports(16);
    let one = ports.split_once('-').unwrap().0;
    let scene = scene(&format!("passive_ports = \"{one}-{one}\"\n"), "stall = \"1s\"");
    let run = script(
        &scene,
        r#"
first, second = Session(), Session(source="127.0.0.2")
print(isinstance(first.pasv(), tuple), second.pasv())
while True:
    address = second.pasv()
    if isinstance(address, tuple):
        break
print(first.say("RETR sip.cfg"), first.say("NOOP"))
"#,
    );
    assert_eq!(run.stdout, "True 425\n425 200\n");
}

#[test]
fn what_is_half_closed_or_never_used_ends_and_keeps_the_session() {
    let scene = scene("", "stall = \"1s\"");
    let run = script(
        &scene,
        r#"
session = Session()
# A client that closes its direction before it reads.
data = socket.create_connection(session.pasv())
data.shutdown(socket.SHUT_WR)
print(session.say("RETR sip.cfg"), whole(data), session.reply())
# An upload that is half closed is complete.
data = socket.create_connection(session.pasv())
print(session.say("STOR 0004f2aabbcc-app.log"))
data.sendall(b"log")
data.shutdown(socket.SHUT_WR)
print(session.reply(), whole(data))
# Nobody connects; somebody connects and sends nothing; the data connection is reset.
session.pasv()
print(session.say("RETR sip.cfg"), session.reply())
data = socket.create_connection(session.pasv())
print(session.say("STOR 0004f2aabbcc-app.log"), session.reply())
data = socket.create_connection(session.pasv())
print(session.say("STOR 0004f2aabbcc-app.log"))
data.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
data.close()
print(session.reply(), session.say("SIZE 0004f2aabbcc-app.log"), session.line.strip())
# The control connection is half closed behind its commands: they are answered still.
session.sock.sendall(b"NOOP\r\nNOOP\r\n")
session.sock.shutdown(socket.SHUT_WR)
print(session.reply(), session.reply(), session.reply())
"#,
    );
    assert_eq!(
        run.stdout,
        "150 b'acme sip.cfg\\n' 226\n150\n226 b''\n150 425\n150 426\n150\n426 213 213 3\n200 200 0\n"
    );
}

#[test]
fn data_connections_lead_to_the_peer_and_to_nobody_else() {
    let scene = scene("", "");
    let run = script(
        &scene,
        r#"
session = Session()
third = socket.create_server(("127.0.0.2", 0))
third.settimeout(0.2)
low = "%d,%d" % divmod(third.getsockname()[1], 256)
for command in ["PORT 127,0,0,2," + low, "EPRT |1|127.0.0.2|%d|" % third.getsockname()[1], "EPRT |2|::ffff:127.0.0.2|5000|",
                "PORT 127,0,0,1,0,22", "PORT 127,0,0,1,3,255", "PORT 0,0,0,0," + low, "EPRT |2|::1|5000|", "LPRT 4,4,127,0,0,1,2,19,137",
                "LPSV", "PORT 127,0,0,1,256,1", "PORT 127,0,0,1", "EPRT |1|127.0.0.1|0|", "EPRT 1,127.0.0.1,5000"]:
    print(session.say(command), session.say("RETR sip.cfg"), end=" ")
try:
    third.accept()
    print("connected")
except OSError:
    print("nobody")
# A thief at the same machine, from another address, before the phone comes: nothing, and the port is not used up.
address = session.pasv()
thieves = [socket.create_connection(address, source_address=("127.0.0.2", 0)) for _ in range(50)]
phone = socket.create_connection(address)
print(session.say("RETR sip.cfg"), whole(phone), session.reply(), {whole(thief) for thief in thieves} <= {b"", None})
"#,
    );
    assert_eq!(
        run.stdout,
        "500 425 500 425 500 425 500 425 500 425 500 425 522 425 502 425 502 425 501 425 501 425 500 425 501 425 nobody\n\
         150 b'acme sip.cfg\\n' 226 True\n"
    );
}

#[test]
fn names_and_lines_of_any_bytes_keep_the_session() {
    let scene = scene("", "");
    let run = script(
        &scene,
        r#"
session = Session()
for command in ["RETR sip.cfg\0.txt", "SIZE \xff\xfe", "SIZE caf\xe9", "CWD \x01\x02", "SIZE a\rb", "MLST \x7f", "\0\0\0", "\xff\xf4\xff\xf2", "   ",
                "USER", "PASV x", "TYPE", "MODE", "STRU", "REST", "REST -1", "REST 9223372036854775808", "ALLO", "OPTS", "OPTS MLST nothing;",
                "EPSV 3", "SIZE " + "a" * 4000, "RETR " + "../" * 1000 + "etc/passwd", "CWD " + "x/" * 1000, "CLNT x", "SITE", "HOST x", "MFMT 2020 x",
                "MDTM 20200101000000 sip.cfg", "STOU", "RNTO x", "PASS x"]:
    print(session.say(command), end=" ")
print(session.say("NOOP"), session.say("QUIT"))
"#,
    );
    let codes: Vec<u16> = run.stdout.split_whitespace().map(|code| code.parse().unwrap()).collect();
    let (last, rest) = codes.split_at(codes.len() - 2);
    assert_eq!(rest, [200, 221], "{}", run.stdout);
    assert!(last.iter().all(|code| *code != 0 && *code != 421), "{}", run.stdout);
    assert!(last.iter().filter(|code| **code < 500).count() <= 6, "{}", run.stdout);
    others_are_served(&scene);
}

#[test]
fn who_does_not_log_in_or_says_nothing_is_given_up() {
    let scene = scene("require = [\"password\"]\n", "login = \"2s\"\nidle = \"1s\"");
    scene.deployment.write("unused", "");
    let run = script(
        &scene,
        r#"
silent, talking = Session(login=False), Session(login=False)
codes = set()
while True:
    code = talking.say("NOOP")
    if code != 200:
        break
print(code, silent.reply())
"#,
    );
    assert_eq!(run.stdout, "421 421\n");
}
