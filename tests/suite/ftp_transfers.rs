//! FTP both ways with curl, lftp and Python's ftplib: passive and active, resumed and appended; and whose data
//! connection it is.

use std::net::SocketAddr;

use crate::harness::clients::{Curl, Run, Scratch, ftplib, lftp};
use crate::harness::scene::{self, Scene};

const LOG: &str = "0004f2aabbcc-app.log";
const SETTINGS: &str = "0004f2aabbcc-web.cfg";

fn scene() -> Scene {
    let acme = scene::acme().listener("ftp", "").listener_named("open", "ftp", "unbound_write = \"listed\"\n");
    let scene = Scene::of(&[acme]);
    scene.deployment.write("files/acme/big.bin", big());
    scene
}

fn big() -> Vec<u8> {
    (0..1_000_003_u32).map(|number| (number % 241).to_le_bytes()[0]).collect()
}

fn address(scene: &Scene) -> SocketAddr {
    scene.server.address("acme", "ftp")
}

fn stored(scene: &Scene, name: &str) -> String {
    std::fs::read_to_string(scene.deployment.upload("acme", name)).unwrap_or_default()
}

#[test]
fn curl_reads_passive_active_and_from_the_middle() {
    let scene = scene();
    let url = format!("ftp://{}/big.bin", address(&scene));
    for arguments in [
        &[][..],
        &["--disable-epsv"],
        &["-P", "-"],
        &["-P", "-", "--disable-eprt"],
        &["--ftp-method", "nocwd"],
        &["--ftp-method", "singlecwd"],
    ] {
        let reply = Curl::new(&url).args(arguments.iter().copied()).run();
        assert!(reply.code == 0 && reply.body == big(), "{arguments:?}: {} {}", reply.code, reply.stderr);
    }
    let rest = Curl::new(&url).args(["-r", "999990-"]).run();
    assert!(rest.body == big()[999_990..], "{rest:?}");
    let middle = Curl::new(&url).args(["-r", "10-19"]).run();
    assert!(middle.body == big()[10..20], "{middle:?}");
    let facts = Curl::new(&url).arg("-I").run();
    assert_eq!(facts.value("content-length"), Some("1000003"), "{facts:?}");
    // An encoded slash at the start is the root, as phones write it: it stays inside.
    let rooted = Curl::new(format!("ftp://{}/%2Fsip.cfg", address(&scene))).run();
    assert_eq!(rooted.text(), "acme sip.cfg\n");
}

#[test]
fn curl_writes_appends_and_resumes() {
    let scene = scene();
    let url = format!("ftp://{}/{LOG}", address(&scene));
    for (arguments, body, after) in [
        (&[][..], "one", "one"),
        (&["-a"], "two", "onetwo"),
        // The first bytes are there: curl asks for the size, skips them and appends the rest.
        (&["-C", "-"], "onetwothree", "onetwothree"),
        (&["-P", "-"], "new", "new"),
        (&["--disable-epsv", "-a"], "er", "newer"),
        (&["--ftp-create-dirs"], "again", "again"),
    ] {
        let reply = Curl::new(&url).upload(body.as_bytes()).args(arguments.iter().copied()).run();
        assert_eq!(reply.code, 0, "{arguments:?}: {reply:?}");
        assert_eq!(stored(&scene, LOG), after, "{arguments:?}");
    }
    // A folder that the rules allow uploads in need not be made.
    let folder = Curl::new(format!("ftp://{}/logs/{LOG}", address(&scene))).upload(b"in a folder").run();
    assert_eq!(folder.code, 0, "{folder:?}");
    assert_eq!(stored(&scene, &format!("logs/{LOG}")), "in a folder");
}

#[test]
fn lftp_reads_and_writes() {
    let scene = scene();
    let local = Scratch::new();
    let login = "PlcmSpIp,PlcmSpIp";
    for settings in ["", "set ftp:passive-mode off; ", "set ftp:prefer-epsv yes; "] {
        let got = local.text("got");
        lftp(address(&scene), login, &format!("{settings}get big.bin -o {got}")).succeeded();
        assert!(local.read("got") == big(), "{settings}");
        std::fs::write(local.path("got"), &big()[..500_000]).unwrap();
        lftp(address(&scene), login, &format!("{settings}get -c big.bin -o {got}")).succeeded();
        assert!(local.read("got") == big(), "{settings} resumed");
        std::fs::remove_file(local.path("got")).unwrap();
        let log = local.with("log", b"first");
        lftp(address(&scene), login, &format!("{settings}put {log} -o {LOG}")).succeeded();
        assert_eq!(stored(&scene, LOG), "first");
        local.with("log", b"first and second");
        lftp(address(&scene), login, &format!("{settings}put -c {log} -o {LOG}")).succeeded();
        assert_eq!(stored(&scene, LOG), "first and second", "{settings}");
    }
}

/// A logged-in script.
fn script(server: SocketAddr, lines: &str) -> Run {
    ftplib(server, &format!("ftp.login('PlcmSpIp', 'PlcmSpIp')\n{lines}"))
}

#[test]
fn ftplib_reads_and_writes() {
    let scene = scene();
    for before in ["ftp.set_pasv(True)", "ftp.set_pasv(False)"] {
        let run = script(
            address(&scene),
            &format!(
                r#"
{before}
parts = []
ftp.retrbinary("RETR big.bin", parts.append)
whole = b"".join(parts)
parts = []
ftp.retrbinary("RETR big.bin", parts.append, rest=999000)
print(len(whole), len(b"".join(parts)), ftp.size("big.bin"), whole[999000:] == b"".join(parts))
lines = []
ftp.retrlines("RETR sip.cfg", lines.append)
print(lines)
ftp.storbinary("STOR {LOG}", io.BytesIO(b"0123456789"))
ftp.storbinary("APPE {LOG}", io.BytesIO(b"abc"))
ftp.storbinary("STOR {LOG}", io.BytesIO(b"XY"), rest=5)
ftp.storbinary("STOR {LOG}", io.BytesIO(b"end"), rest=13)
print(ftp.size("{LOG}"))
ftp.quit()
"#
            ),
        )
        .succeeded();
        assert_eq!(run.stdout, "1000003 1003 1000003 True\n['acme sip.cfg']\n16\n", "{before}");
        assert_eq!(stored(&scene, LOG), "01234XY789abcend", "{before}");
    }
}

#[test]
fn settings_are_taken_where_the_listener_says_so() {
    let scene = scene();
    let store = |listener: &str| {
        let url = format!("ftp://{}/{SETTINGS}", scene.server.address("acme", listener));
        Curl::new(url).upload(b"override").run().code
    };
    // 25: the upload was refused (STOR).
    assert_eq!(store("ftp"), 25);
    assert_eq!(stored(&scene, SETTINGS), "");
    assert_eq!(store("open"), 0);
    assert_eq!(stored(&scene, SETTINGS), "override");
    let run = script(
        scene.server.address("acme", "open"),
        &format!(
            r#"
for rest in (3, 99):
    try:
        print(ftp.storbinary("STOR {SETTINGS}", io.BytesIO(b"XX"), rest=rest)[:3])
    except ftplib.all_errors as error:
        print(str(error)[:1])
"#
        ),
    )
    .succeeded();
    assert_eq!(run.stdout, "226\n5\n");
    assert_eq!(stored(&scene, SETTINGS), "oveXXide");
}

#[test]
fn an_upload_that_breaks_off_leaves_what_was_there() {
    let scene = scene();
    let run = script(
        address(&scene),
        &format!(
            r#"
ftp.storbinary("STOR {LOG}", io.BytesIO(b"stands"))
data = ftp.transfercmd("STOR {LOG}")
data.sendall(b"half")
# A reset instead of an end: the phone lost its power.
import struct
data.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
data.close()
try:
    print(ftp.voidresp())
except ftplib.all_errors as error:
    print(str(error)[:3])
"#
        ),
    )
    .succeeded();
    assert!(["426\n", "451\n", "552\n"].contains(&run.stdout.as_str()), "{run:?}");
    assert_eq!(stored(&scene, LOG), "stands");
}

#[test]
fn a_strangers_data_connection_gets_nothing_and_uses_nothing_up() {
    let scene = scene();
    let run = script(
        address(&scene),
        r#"
host, port = ftp.makepasv()
strangers = []
for _ in range(3):
    stranger = socket.create_connection((host, port), source_address=("127.0.0.2", 0), timeout=60)
    strangers.append(stranger)
ftp.sendcmd("TYPE I")
phone = socket.create_connection((host, port), timeout=60)
print(ftp.sendcmd("RETR sip.cfg")[:3])
content = b""
while True:
    part = phone.recv(65536)
    if not part:
        break
    content += part
print(content)
print(ftp.voidresp()[:3])
for stranger in strangers:
    try:
        print(stranger.recv(1))
    except ConnectionResetError:
        print(b"")
"#,
    )
    .succeeded();
    assert_eq!(run.stdout, "150\nb'acme sip.cfg\\n'\n226\nb''\nb''\nb''\n", "{run:?}");
}

#[test]
fn a_transfer_is_aborted_when_asked() {
    let scene = scene();
    std::fs::File::create(scene.deployment.path("files/acme/huge.bin")).unwrap().set_len(1 << 30).unwrap();
    let run = script(
        address(&scene),
        r#"
ftp.sendcmd("TYPE I")
data = ftp.transfercmd("RETR huge.bin")
data.recv(1000)
ftp.sock.sendall(b"ABOR\r\n")
codes = []
try:
    codes.append(ftp.voidresp()[:3])
except ftplib.all_errors as error:
    codes.append(str(error)[:3])
try:
    codes.append(ftp.voidresp()[:3])
except ftplib.all_errors as error:
    codes.append(str(error)[:3])
data.close()
print(codes, ftp.sendcmd("NOOP")[:3])
"#,
    )
    .succeeded();
    assert_eq!(run.stdout, "['426', '226'] 200\n", "{run:?}");
    let record = scene.server.record(&[("path", "/huge.bin")]);
    assert_eq!((&record["outcome"], &record["mac"]), (&"aborted".into(), &serde_json::Value::Null));
}
