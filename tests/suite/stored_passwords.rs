//! Passwords in their stored forms, guesses that are slowed, and the report of what is in use.

use std::time::{Duration, Instant};

use crate::harness::clients::{ftplib, run_with_input};
use crate::harness::deployment::Deployment;
use crate::harness::scene::{self, NEIGHBOUR, POLY, Scene, YEALINK};
use crate::harness::server::BINARY;

/// What `provost password hash` prints for a password on its standard input.
pub(crate) fn hash(arguments: &[&str], password: &str) -> String {
    let all = [&["password", "hash"], arguments].concat();
    let printed = run_with_input(BINARY, &all, format!("{password}\n").as_bytes()).succeeded().stdout;
    assert!(!printed.contains(password), "{printed}");
    printed.trim_end().to_owned()
}

#[test]
fn a_realm_that_no_tenant_can_have_is_refused_by_name() {
    let arguments = ["password", "hash", "--user", "phones", "--realm", "B_x"];
    let refused = run_with_input(BINARY, &arguments, b"secret\n");
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stdout.is_empty() && refused.stderr.contains("`B_x`"), "{refused:?}");
}

fn scene() -> Scene {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    let own = hash(&["--user", "80:5E:C0:11:22:33", "--realm", "acme"], "own-secret");
    let slow = hash(&["--argon2"], "slow-secret");
    deployment.write("devices.csv", format!("mac,password\n{YEALINK},{own}\n{POLY},\"{slow}\"\n{NEIGHBOUR},\n"));
    let shared = hash(&["--argon2"], "shared-secret");
    let users = format!(
        "[[users]]\nname = \"PlcmSpIp\"\npassword = \"{shared}\"\n[[users]]\nname = \"PlcmSpIp\"\npassword = \"older\"\n\
         expires = 2125-01-01"
    );
    let require = "require = [\"password\"]\n";
    deployment.add(
        &scene::acme()
            .devices("file = \"../devices.csv\"")
            .https(require)
            .listener("http", require)
            .listener("ftp", require)
            .table(&users),
    );
    Scene::start(deployment)
}

#[test]
fn each_form_serves_what_it_is_for() {
    let scene = scene();
    let (own, poly) = (format!("{YEALINK}.cfg"), format!("{POLY}.cfg"));
    let (device, slow) = (format!("{YEALINK}:own-secret"), format!("{POLY}:slow-secret"));
    for (how, login, path, status) in [
        ("--basic", device.as_str(), own.as_str(), 200),
        ("--digest", &device, &own, 200),
        ("--basic", &slow, &poly, 200),
        ("--basic", &slow, &poly, 200),
        ("--digest", &slow, &poly, 401),
        ("--basic", "PlcmSpIp:shared-secret", "sip.cfg", 200),
        ("--digest", "PlcmSpIp:shared-secret", "sip.cfg", 401),
        ("--digest", "PlcmSpIp:older", "sip.cfg", 200),
        ("--basic", &format!("{POLY}:own-secret"), &poly, 401),
        ("--basic", "nobody:shared-secret", "sip.cfg", 401),
    ] {
        let reply = scene.https("acme", "", path).args([how, "-u", login]).run();
        assert_eq!(reply.status, status, "{how} {login} {path}: {reply:?}");
    }
    let script = |user: &str, password: &str, path: &str| {
        format!(
            "ftp.login({user:?}, {password:?})\nftp.retrbinary({:?}, sys.stdout.buffer.write)",
            format!("RETR {path}")
        )
    };
    for (user, password) in [(YEALINK, "own-secret"), (POLY, "slow-secret")] {
        let script = script(user, password, &format!("{user}.cfg"));
        let got = ftplib(scene.server.address("acme", "ftp"), &script).succeeded();
        assert_eq!(got.stdout, format!("acme file of {user}\n"));
    }
    let refused = ftplib(scene.server.address("acme", "ftp"), &script(POLY, "own-secret", "sip.cfg"));
    assert!(refused.stderr.contains("530"), "{refused:?}");
    let config = scene.deployment.config();
    let arguments = ["password", "report", "--json", "--tenant", "acme", "--config", config.to_str().unwrap()];
    let report = run_with_input(BINARY, &arguments, b"").succeeded().stdout;
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let [first, second] = [&report["shared"][0], &report["shared"][1]];
    assert_eq!((&first["form"], &first["number"]), (&"argon2id".into(), &1.into()), "{report}");
    assert_eq!((&second["form"], &second["expires"]), (&"plain".into(), &"2125-01-01".into()), "{report}");
    assert!(first["last_used"].is_string() && second["last_used"].is_string(), "{report}");
    assert_eq!(
        (&report["own"]["devices"], &report["own"]["ha1"], &report["own"]["argon2id"]),
        (&2.into(), &1.into(), &1.into())
    );
    assert!(!report.to_string().contains('$'), "{report}");
    let records: String = scene.server.stop().1.iter().map(ToString::to_string).collect();
    assert!(records.contains("wrong_password") && !records.contains("secret"), "{records}");
}

#[test]
fn a_device_that_shares_a_password_is_counted_by_what_it_asks_for() {
    let scene = scene();
    for (login, path) in [("older", POLY), ("older", YEALINK), ("older", POLY), ("shared-secret", POLY)] {
        let put = scene
            .https("acme", "", &format!("{path}-app.log"))
            .args(["-u", &format!("PlcmSpIp:{login}")])
            .upload(b"x")
            .run();
        assert!(put.status < 300, "{put:?}");
    }
    let config = scene.deployment.config();
    let report = |more: &[&str]| {
        let arguments =
            [&["password", "report", "--tenant", "acme", "--config", config.to_str().unwrap()], more].concat();
        run_with_input(BINARY, &arguments, b"").succeeded().stdout
    };
    let json: serde_json::Value = serde_json::from_str(&report(&["--json"])).unwrap();
    assert_eq!((&json["shared"][0]["devices"], &json["shared"][1]["devices"]), (&1.into(), &2.into()), "{json}");
    assert!(report(&[]).contains("never") && report(&[]).contains("2125-01-01"));
    // A reload that takes the password away takes it from the report, and leaves what was counted of the other.
    scene.deployment.replace("tenants.d/acme.toml", "password = \"older\"", "password = \"newer\"");
    let reload = ["reload", "--config", config.to_str().unwrap()];
    run_with_input(BINARY, &reload, b"").succeeded();
    let json: serde_json::Value = serde_json::from_str(&report(&["--json"])).unwrap();
    assert_eq!((&json["shared"][0]["devices"], &json["shared"][1]["devices"]), (&1.into(), &0.into()), "{json}");
}

#[test]
fn guesses_are_slowed_and_a_right_password_is_taken_after_them() {
    let scene = scene();
    let ask = |password: &str| {
        let began = Instant::now();
        let login = format!("PlcmSpIp:{password}");
        (scene.https("acme", "", "sip.cfg").args(["-u", &login]).run().status, began.elapsed())
    };
    for _ in 0..5 {
        assert_eq!(ask("wrong").0, 401);
    }
    let (status, took) = ask("wrong");
    assert_eq!(status, 401);
    assert!(took >= Duration::from_millis(1500), "{took:?}");
    // FTP counts as https does.
    let began = Instant::now();
    let script = "ftp.login('PlcmSpIp', 'older')\nprint(ftp.pwd())";
    assert_eq!(ftplib(scene.server.address("acme", "ftp"), script).succeeded().stdout, "/\n");
    assert!(began.elapsed() >= Duration::from_millis(1500));
    assert_eq!(ask("older").0, 200);
}

#[test]
fn where_no_password_is_asked_for_phones_that_send_their_default_are_not_slowed() {
    let users = "[[users]]\nname = \"PlcmSpIp\"\npassword = \"secret\"";
    let scene = Scene::of(&[scene::acme().listener("ftp", "").table(users)]);
    let script = "import time\nbegan = time.monotonic()\nfor n in range(12):\n    ftp.login('PlcmSpIp', 'PlcmSpIp')\n\
                  print(time.monotonic() - began)";
    let took = ftplib(scene.server.address("acme", "ftp"), script).succeeded().stdout;
    // Slowed they would take 15 seconds.
    assert!(took.trim().parse::<f64>().unwrap() < 10.0, "{took}");
}

#[test]
fn a_stored_form_is_refused_by_line_and_key_and_plain_passwords_are_warned_of() {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    deployment.write("devices.csv", format!("mac,password\n{POLY},plain\n{YEALINK},$2y$05$abcdef\n"));
    let user = "[[users]]\nname = \"a\"\npassword = \"$argon2id$v=19$m=1,t=1,p=1$AAAA$AAAA\"";
    deployment.add(&scene::acme().devices("file = \"../devices.csv\"").listener("ftp", "").table(user));
    let config = deployment.config();
    let check = || run_with_input(BINARY, &["check", "--config", config.to_str().unwrap()], b"");
    let refused = check();
    assert_eq!(refused.code, 1);
    for expected in [
        "devices.csv:3: `password` is [redacted]; expected a password, or the form",
        "users[0].password = [redacted]: expected argon2id",
    ] {
        assert!(refused.stdout.contains(expected), "{}", refused.stdout);
    }
    assert!(!refused.stdout.contains("abcdef"), "{}", refused.stdout);
    deployment.write("devices.csv", format!("mac,password\n{POLY},plain\n{YEALINK},\n"));
    deployment.replace("tenants.d/acme.toml", "$argon2id$v=19$m=1,t=1,p=1$AAAA$AAAA", "shared");
    let warned = check().succeeded().stdout;
    assert!(warned.contains("1 passwords stand there as they are"), "{warned}");
}

#[test]
fn stored_forms_that_answer_no_digest_are_warned_of_where_http_asks_for_one() {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    let slow = format!("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA${}", "A".repeat(43));
    deployment.write("devices.csv", format!("mac,password\n{POLY},\"{slow}\"\n"));
    let tenant = scene::acme().devices("file = \"../devices.csv\"");
    deployment.add(&tenant.listener("http", "require = [\"password\"]\n"));
    let config = deployment.config();
    let check = || run_with_input(BINARY, &["check", "--config", config.to_str().unwrap()], b"").succeeded().stdout;
    assert!(check().contains("1 passwords are stored as argon2id, which answers no Digest"), "{}", check());
    deployment.replace("tenants.d/acme.toml", "require = [\"password\"]\n", "");
    assert!(!check().contains("answers no Digest"), "{}", check());
}
