//! `provost demo`: every command that it prints is run as it is printed, and answers as it says.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::harness::clients::{Run, Scratch, run};
use crate::harness::server::BINARY;

/// The demo while it serves. Dropped, it is gone.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the demo in a folder, and gives what it has printed by the time it serves.
fn start(folder: &str) -> (Demo, Vec<String>) {
    let mut child = Command::new(BINARY)
        .args(["demo", folder])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let demo = Demo(child);
    let mut printed = Vec::new();
    for line in lines.by_ref() {
        let is_last = line.starts_with("Serving");
        printed.push(line);
        if is_last {
            // Its records follow; they are read away so that it is never held up.
            std::thread::spawn(move || lines.for_each(drop));
            return (demo, printed);
        }
    }
    panic!("the demo ended:\n{}", printed.join("\n"));
}

/// A printed command and what it promises.
struct Attempt<'a> {
    command: &'a str,
    succeeds: bool,
    output: &'a str,
}

fn attempts(printed: &[String]) -> Vec<Attempt<'_>> {
    let pairs = printed.iter().zip(printed.iter().skip(1));
    pairs
        .filter_map(|(promise, command)| {
            let promise = promise.strip_prefix("# expects: ")?;
            let (outcome, rest) = promise.split_once(',').unwrap_or((promise, ""));
            let output = rest.trim().strip_prefix("output contains \"").and_then(|text| text.strip_suffix('"'));
            Some(Attempt { command, succeeds: outcome == "success", output: output.unwrap_or_default() })
        })
        .collect()
}

#[test]
fn every_printed_command_answers_as_it_says() {
    let scratch = Scratch::new();
    let (_demo, printed) = start(&scratch.text("demo"));
    let attempts = attempts(&printed);
    assert!(attempts.len() > 30, "{}", printed.join("\n"));
    let mut wrong = String::new();
    for Attempt { command, succeeds, output } in attempts {
        let Run { code, stdout, stderr } = run("bash", &["-c", &format!("set -o pipefail; {command}")]);
        let ended_well = (code == 0) == succeeds;
        if !ended_well || !format!("{stdout}{stderr}").contains(output) {
            let _ = writeln!(wrong, "{command}\nexpected {succeeds} {output:?}, got {code}\n{stdout}{stderr}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_demo_is_checked_and_served_again_as_it_stands() {
    let scratch = Scratch::new();
    let (demo, first) = start(&scratch.text("demo"));
    drop(demo);
    let config = scratch.text("demo/provost.toml");
    run(BINARY, &["check", "--config", &config]).succeeded();
    let (_demo, second) = start(&scratch.text("demo"));
    assert_eq!(first, second);
}

#[test]
fn a_demo_that_runs_already_is_not_begun_again() {
    let scratch = Scratch::new();
    let folder = scratch.text("demo");
    let (_demo, _) = start(&folder);
    let again = run(BINARY, &["demo", &folder]);
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.stdout.is_empty() && again.stderr.contains("another server has the demo in"), "{again:?}");
}
