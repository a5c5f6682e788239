//! Files, defaults and the environment, before anything of a tenant is looked at.

use super::Site;
use crate::deployment::LogFormat;

#[test]
fn all_errors_are_told_at_once_each_with_its_place() {
    let site = Site::new();
    let listener = "[[listener]]\nprotocol = \"tftp\"\naddress = \"10.0.0.1\"\nalow = []\n";
    let errors = site.refused(&format!("files.case = \"both\"\nlimits.idle = \"60\"\n{listener}"));
    assert_eq!(
        errors,
        [
            "5: files.case = \"both\": expected `exact` or `ignore`",
            "6: limits.idle = \"60\": expected a duration with its unit (ms, s, m, h, d), such as \"30s\"",
            "9: listener[0].address = \"10.0.0.1\": expected an address with a port, such as \"10.0.0.1:443\" or \"[fd00::1]:443\"",
            "10: listener[0].alow: unknown key, did you mean `allow`?",
        ]
    );
}

#[test]
fn a_bad_tenant_does_not_stop_the_good_one() {
    let site = Site::new();
    site.acme("");
    site.write("tenants.d/globex.toml", "name = \"globex\"\nallow = [\n");
    site.write("tenants.d/initech.toml", "name = \"Initech\"\n");
    let loaded = site.load().unwrap();
    let names: Vec<&str> = loaded.deployment.tenants.iter().map(|tenant| tenant.policy.name.as_str()).collect();
    assert_eq!(names, ["acme"]);
    let errors = site.lines(loaded.problems.errors());
    assert!(
        errors.iter().any(|line| line.starts_with("tenants.d/globex.toml:") && line.contains("not TOML")),
        "{errors:?}"
    );
    assert!(
        errors.contains(&"tenants.d/initech.toml:1: name = \"Initech\": expected 1 to 63 of a-z, 0-9 and -".to_owned())
    );
}

#[test]
fn a_bad_main_file_refuses_all() {
    let site = Site::new();
    site.acme("files.case = 1\n");
    site.write("provost.toml", "state = \"state\"\n[log]\nformat = \"xml\"\n[admin]\nmetrics = 9632\n");
    let problems = site.load().expect_err("refused");
    assert_eq!(
        site.lines(problems.errors()),
        [
            "provost.toml:3: log.format = \"xml\": expected `text` or `json`",
            "provost.toml:5: admin.metrics = 9632: expected an address with its port, such as \"127.0.0.1:9632\"",
            "tenants.d/acme.toml:5: files.case = 1: expected `exact` or `ignore`",
        ]
    );
}

#[test]
fn state_may_not_be_a_file() {
    let site = Site::new();
    site.write("provost.toml", "state = \"provost.toml\"\n");
    let problems = site.load().expect_err("refused");
    assert_eq!(
        site.lines(problems.errors()),
        ["provost.toml:1: state = \"provost.toml\": expected a folder, or a place where one can be made"]
    );
}

#[test]
fn a_path_that_no_socket_can_have_is_warned_of() {
    let site = Site::new();
    let room = 107 - site.path("").as_os_str().len();
    for (length, is_warned) in [(room, false), (room + 1, true)] {
        site.write("provost.toml", &format!("state = \"state\"\nadmin.socket = {:?}\n", "x".repeat(length)));
        let said = site.said();
        assert_eq!(said.iter().any(|line| line.contains("no socket can be there")), is_warned, "{said:?}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let site = Site::new();
    let problems = super::load(&site.path("none.toml"), []).expect_err("refused");
    let lines = site.lines(problems.iter());
    assert!(lines.first().is_some_and(|line| line.starts_with("none.toml: cannot read the file: ")), "{lines:?}");
}

#[test]
fn a_mistake_in_the_defaults_is_told_once_with_its_place() {
    let site = Site::new();
    site.write(
        "provost.toml",
        "state = \"state\"\n[defaults]\nname = \"x\"\nfiles.case = \"both\"\nfiles.sharde = []\n",
    );
    site.acme("");
    site.write(
        "tenants.d/globex.toml",
        "name = \"globex\"\nfiles.root = \"../files/globex\"\ndevices.policy = \"any\"\n",
    );
    let problems = site.load().expect_err("refused");
    assert_eq!(
        site.lines(problems.errors()),
        [
            "provost.toml:3: defaults.name: a name is of one tenant: it stands in the tenant's file",
            "provost.toml:4: defaults.files.case = \"both\": expected `exact` or `ignore`",
            "provost.toml:5: defaults.files.sharde: unknown key, did you mean `shared`?",
        ]
    );
}

#[test]
fn defaults_lie_under_every_tenant_and_know_its_name() {
    let site = Site::new();
    site.write(
        "provost.toml",
        "state = \"state\"\n[defaults]\nfiles = { root = \"files/{tenant}\", strip = [\"/tftpboot\"] }\ndevices.policy = \"any\"\nlimits.idle = \"7s\"\n",
    );
    site.write("tenants.d/globex.toml", "name = \"globex\"\nlimits.stall = \"9s\"\n");
    let loaded = site.load().unwrap();
    assert!(!loaded.problems.has_errors(), "{}", loaded.problems);
    let tenant = loaded.deployment.tenants.first().unwrap();
    assert_eq!((tenant.limits.idle.as_secs(), tenant.limits.stall.as_secs()), (7, 9));
    assert_eq!(tenant.policy.path(b"/tftpboot/a").unwrap().as_str(), "a");
    site.write("tenants.d/globex.toml", "name = \"globex\"\nfiles.root = \"../files/none\"\n");
    assert!(
        site.said().iter().any(|line| line.starts_with("tenants.d/globex.toml:2: files.root = \"../files/none\": "))
    );
    site.write("tenants.d/globex.toml", "name = \"none\"\n");
    assert!(site.said().iter().any(|line| line.starts_with("provost.toml:3: defaults.files.root = \"files/none\": ")));
}

#[test]
fn what_is_missing_is_reported_in_the_tenants_file() {
    let site = Site::new();
    site.write("provost.toml", "state = \"state\"\ndefaults.files.shared = [\"shared\"]\n");
    site.write("tenants.d/globex.toml", "name = \"globex\"\n");
    assert_eq!(
        site.lines(site.load().unwrap().problems.errors()),
        ["tenants.d/globex.toml: files.root: is missing: expected the folder of the tenant's files"]
    );
}

#[test]
fn the_environment_lies_over_the_main_file() {
    let site = Site::new();
    site.write("provost.toml", "state = \"nowhere\"\n[log]\nformat = \"text\"\n");
    let environment = [
        ("PROVOST_LOG__FORMAT", "json"),
        ("PROVOST_STATE", "state"),
        ("PROVOST_ADMIN__SOCKET", "/run/provost/admin.sock"),
        ("PROVOST_DEFAULTS__ALLOW", "[\"10.0.0.0/8\", \"fd00::/8\"]"),
        ("PROVOST_CONFIG", "/etc/other.toml"),
        ("PROVOST_PORT", "tcp://10.0.0.1:80"),
        ("HOME", "/root"),
    ];
    site.write(
        "tenants.d/globex.toml",
        "name = \"globex\"\nfiles.root = \"../files/globex\"\ndevices.policy = \"any\"\n",
    );
    let loaded = site.load_with(&environment).unwrap();
    assert_eq!(loaded.deployment.settings.log, LogFormat::Json);
    assert_eq!(loaded.deployment.settings.state, site.path("state"));
    assert_eq!(loaded.deployment.settings.admin_socket, Some("/run/provost/admin.sock".into()));
    let allow = loaded.deployment.tenants.first().unwrap().policy.allow.as_ref().unwrap();
    assert_eq!(allow.iter().count(), 2);
    let said = site.lines(loaded.problems.iter());
    assert!(
        said.contains(
            &"environment variable PROVOST_PORT: warning: `port` is no key of provost.toml: passed over".to_owned()
        ),
        "{said:?}"
    );
    for (name, value) in [("PROVOST_SERVE__DRAIN", "5s"), ("PROVOST_ARRIVALS__CONNECTIONS", "7")] {
        let loaded = site.load_with(&[(name, value)]).unwrap();
        let settings = loaded.deployment.settings;
        let counts = settings.drain.as_secs() == 5 || settings.arrivals.connections == 7;
        assert!(counts, "{name}: {:?}", site.lines(loaded.problems.iter()));
    }
    let problems = site.load_with(&[("PROVOST_LOG__FORMAT", "xml")]).expect_err("refused");
    assert_eq!(
        site.lines(problems.errors()),
        ["environment variable PROVOST_LOG__FORMAT: log.format = \"xml\": expected `text` or `json`"]
    );
}

#[test]
fn secrets_are_never_shown() {
    let site = Site::new();
    site.write("provost.toml", "state = \"state\"\nlog = 1\n");
    site.acme(concat!(
        "users = [{ name = \"PlcmSpIp\", password = \"hunter2\", pasword = \"hunter2\", expires = \"hunter2\" },",
        " { name = \"x\", password = [\"hunter2\"] }, { name = \"y\", password = \"\" }, \"hunter2\"]\n",
        "listener = { protocol = \"hunter2\" }\n[limits]\nidle = \"1s\"\nidle = 2\n"
    ));
    let syntax = site.load().expect_err("refused");
    assert!(!syntax.to_string().contains("hunter2") && !format!("{syntax:?}").contains("hunter2"), "{syntax}");
    site.acme(concat!(
        "users = [{ name = \"PlcmSpIp\", password = \"hunter2\", pasword = \"hunter2\", expires = 2020-01-01 },",
        " { name = \"x\", password = [\"hunter2\"] }, { name = \"y\", password = \"\" }, \"hunter2\"]\n"
    ));
    let problems = site.load().expect_err("refused");
    assert!(!problems.to_string().contains("hunter2") && !format!("{problems:?}").contains("hunter2"), "{problems}");
    assert!(
        problems.to_string().contains("users[2].password = [redacted]: an empty password lets everyone in"),
        "{problems}"
    );
    site.write("provost.toml", "state = \"state\"\n");
    site.acme("users = [{ name = \"PlcmSpIp\", password = \"hunter2\" }]\n");
    let loaded = site.load().unwrap();
    assert_eq!(loaded.deployment.tenants.len(), 1);
    assert!(!format!("{loaded:?}").contains("hunter2"));
}

#[test]
fn loading_changes_nothing_on_the_disk() {
    let site = Site::new();
    site.acme("");
    let loaded = site.load().unwrap();
    assert_eq!(loaded.deployment.tenants.len(), 1);
    assert!(!site.path("state").exists());
    loaded.deployment.settings.create_state().unwrap();
    assert!(site.path("state").is_dir());
}

#[test]
fn where_the_running_server_is_asked_is_told_though_what_follows_is_broken() {
    let site = Site::new();
    let settings = |text: &str| {
        site.write("provost.toml", text);
        super::super::settings(&site.path("provost.toml"), [])
    };
    for broken in ["", "broken\n", "[trust.poly]\nanchors = [\"a.pem\",\n", "[log\nformat = \"text\"\n", "x = \"\n"] {
        let settings = settings(&format!("[admin]\nsocket = \"admin.sock\"\n{broken}")).unwrap();
        assert_eq!(settings.admin_socket, Some(site.path("admin.sock")), "{broken}");
    }
    // It is not guessed at.
    assert!(settings("[admin\nsocket = \"admin.sock\"\n").unwrap_err().to_string().contains("not TOML"));
}

#[test]
fn a_key_that_stands_twice_is_named() {
    let site = Site::new();
    for (more, key) in [
        ("[[users]]\nname = \"x\"\npassword = \"secret\"\npassword = \"secret\"\n", "password"),
        ("[limits]\nidle = \"1s\"\n[limits]\n", "limits"),
    ] {
        let said = site.refused(more);
        assert!(said.iter().any(|line| line.ends_with(&format!(": not TOML: duplicate key `{key}`"))), "{said:?}");
    }
}

#[test]
fn a_device_file_that_lists_nothing_is_warned_of() {
    let site = Site::new();
    site.write("tenants.d/acme.csv", "mac,label\n");
    let tenant = |devices: &str| {
        site.write(
            "tenants.d/acme.toml",
            &format!("name = \"acme\"\nfiles.root = \"../files/acme\"\n[devices]\nfile = \"acme.csv\"\n{devices}"),
        );
        site.said()
    };
    let told = "tenants.d/acme.toml:4: warning: devices.file = \"acme.csv\": no device is listed there, and `policy` is \"listed\", so none is served";
    assert!(tenant("").contains(&told.to_owned()), "{:?}", tenant(""));
    for devices in ["policy = \"any\"\n", "list = [\"0004f2aabbcc\"]\n"] {
        let said = tenant(devices);
        assert!(!said.iter().any(|line| line.contains("no device is listed")), "{said:?}");
    }
}
