//! The environment over provost.toml, and what the system allows.

use std::process::{Command, Stdio};

use crate::harness::clients::{run, text};
use crate::harness::deployment::Deployment;
use crate::harness::scene::{self, POLY, Scene};
use crate::harness::server::{BINARY, Server};

#[test]
fn variables_overlay_the_configuration() {
    let deployment = Deployment::new();
    scene::write_files(&deployment);
    deployment.write("elsewhere/new.ld", "elsewhere");
    deployment.add(&scene::acme().https(""));
    let shared = format!("[{:?}]", text(&deployment.path("elsewhere")));
    let variables = [
        ("PROVOST_STATE", "other-state"),
        ("PROVOST_DEFAULTS__FILES__SHARED", shared.as_str()),
        ("PROVOST_PORT", "tcp://10.0.0.1:80"),
    ];
    let scene = Scene::start_with(deployment, &variables);
    let log = format!("{POLY}-app.log");
    assert_eq!(scene.phone(&log).upload(b"x").run().status, 201);
    assert!(scene.deployment.path(&format!("other-state/uploads/acme/{log}")).exists());
    assert!(!scene.deployment.path("state").exists());
    assert_eq!(scene.phone("new.ld").run().text(), "elsewhere");
    assert_eq!(scene.phone("3111-44500-001.sip.ld").run().status, 404);
}

#[test]
fn a_variable_says_where_the_configuration_is() {
    let deployment = Deployment::new();
    deployment.add(&scene::acme().https(""));
    let variable = format!("PROVOST_CONFIG={}", text(&deployment.config()));
    let checked = run("env", &[&variable, BINARY, "check"]).succeeded();
    assert!(checked.stdout.contains("ok: 1 tenant"), "{checked:?}");
    let named = run("env", &[&variable, BINARY, "check", "--config", "/nonexistent/provost.toml"]);
    assert!(named.code == 1 && named.stdout.contains("/nonexistent/provost.toml"), "{named:?}");
}

#[test]
fn a_bad_variable_is_told_by_its_name() {
    let deployment = Deployment::new();
    deployment.add(&scene::acme().https(""));
    let check = |variable: &str| run("env", &[variable, BINARY, "check", "--config", &text(&deployment.config())]);
    let bad = check("PROVOST_LOG__FORMAT=xml");
    let said = format!("{}{}", bad.stdout, bad.stderr);
    assert!(bad.code == 1 && said.contains("PROVOST_LOG__FORMAT") && said.contains("xml"), "{bad:?}");
    let foreign = check("PROVOST_PORT=tcp://10.0.0.1:80");
    let said = format!("{}{}", foreign.stdout, foreign.stderr);
    assert!(foreign.code == 0 && said.contains("PROVOST_PORT"), "{foreign:?}");
    let unknown = check("PROVOST_LOG__FROMAT=text");
    let said = format!("{}{}", unknown.stdout, unknown.stderr);
    assert!(unknown.code == 1 && said.contains("PROVOST_LOG__FROMAT"), "{unknown:?}");
}

#[test]
fn too_few_open_files_for_one_tenant_are_warned_of() {
    let deployment = Deployment::new();
    deployment.add(&scene::acme().https(""));
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 4000; exec \"$0\" serve --config \"$1\"", BINARY]).arg(deployment.config());
    command.stdin(Stdio::null());
    let server = Server::run(command, &deployment.config());
    let event = server.event("one tenant's `connections` may use up the limit of open files for all");
    assert_eq!((&event["tenant"], &event["limit"]), (&"acme".into(), &4000.into()));
}
