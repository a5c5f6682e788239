//! Nothing leads out of a root, and nothing in it holds a thread.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use super::*;
use crate::testing::parse;

/// A root with links of every kind.
fn linked() -> Bench {
    let bench = Bench::new(Case::Exact);
    bench.write("outside/secret.cfg");
    bench.write("root/real/file.cfg");
    let outside = bench.folder.path().join("outside");
    let root = bench.folder.path().join("root");
    let absolute_inside = root.join("real/file.cfg");
    let links: [(&Path, &str); 12] = [
        (&outside.join("secret.cfg"), "absolute.cfg"),
        (&outside, "folder"),
        (Path::new("../outside/secret.cfg"), "relative.cfg"),
        (Path::new("../outside"), "relative-folder"),
        (Path::new("relative.cfg"), "link-to-link.cfg"),
        (Path::new("real/../../outside/secret.cfg"), "through.cfg"),
        (&absolute_inside, "absolute-inside.cfg"),
        (Path::new("/proc/self/root/etc/hostname"), "magic.cfg"),
        (Path::new("real/file.cfg"), "inside.cfg"),
        (Path::new("real"), "inside-folder"),
        (Path::new("missing"), "dangling.cfg"),
        (Path::new("circle.cfg"), "circle.cfg"),
    ];
    for (target, name) in links {
        symlink(target, root.join(name)).unwrap_or_else(|error| panic!("{error}"));
    }
    bench
}

#[test]
fn links_that_lead_out_are_not_there_and_others_are_followed() {
    let bench = linked();
    for (path, found) in [
        ("absolute.cfg", "-"),
        ("folder/secret.cfg", "-"),
        ("relative.cfg", "-"),
        ("relative-folder/secret.cfg", "-"),
        ("link-to-link.cfg", "-"),
        ("through.cfg", "-"),
        ("absolute-inside.cfg", "-"),
        ("magic.cfg", "-"),
        ("dangling.cfg", "-"),
        ("circle.cfg", "-"),
        ("inside.cfg", "root/real/file.cfg"),
        ("inside-folder/file.cfg", "root/real/file.cfg"),
    ] {
        assert_eq!(bench.read(path), found, "{path}");
        assert_eq!(bench.describe(path).is_ok(), found != "-", "{path}");
    }
}

#[test]
fn without_regard_to_case_nothing_leads_out_either() {
    let bench = linked();
    let root = bench.folder.path().join("root");
    let settings = FilesSettings { root, shared: Vec::new(), case: Case::Ignore };
    let files = Files::open_roots(settings, Arc::clone(&bench.uploads)).unwrap_or_else(|error| panic!("{error}"));
    for (path, found) in [
        ("ABSOLUTE.cfg", false),
        ("FOLDER/secret.cfg", false),
        ("Relative-Folder/SECRET.cfg", false),
        ("Link-To-Link.cfg", false),
        ("INSIDE.cfg", true),
        ("Inside-Folder/FILE.cfg", true),
    ] {
        let permit = bench.site.permit(DEVICE, Operation::Read, path);
        assert_eq!(files.open(&permit).is_ok(), found, "{path}");
    }
}

#[test]
fn the_operator_is_told_which_links_lead_out() {
    let bench = linked();
    let links = bench.files.links_that_lead_out().unwrap_or_else(|error| panic!("{error}"));
    let root = bench.folder.path().join("root");
    let names: Vec<String> =
        links.iter().filter_map(|link| Some(link.strip_prefix(&root).ok()?.to_str()?.to_owned())).collect();
    let expected = [
        "absolute-inside.cfg",
        "absolute.cfg",
        "folder",
        "link-to-link.cfg",
        "magic.cfg",
        "relative-folder",
        "relative.cfg",
        "through.cfg",
    ];
    assert_eq!(names, expected);
}

#[test]
fn an_upload_that_became_a_link_is_not_read() {
    let bench = Bench::new(Case::Exact);
    bench.write("outside/secret.cfg");
    bench.upload("0004f2aabbcc-phone.cfg");
    let uploads = bench.folder.path().join("uploads");
    for target in ["../outside/secret.cfg", "0004f2aabbcc-phone.cfg"] {
        let link = uploads.join("0004f2aabbcc-web.cfg");
        symlink(target, &link).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(bench.read("0004f2aabbcc-web.cfg"), "-", "{target}");
        fs::remove_file(link).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn only_regular_files_are_files() {
    for case in [Case::Exact, Case::Ignore] {
        let (done, ended) = std::sync::mpsc::channel();
        // A thread that waits for the other end of the pipe never ends.
        let looking = std::thread::spawn(move || {
            look_for_what_is_no_file(case);
            done.send(())
        });
        assert!(ended.recv_timeout(Duration::from_secs(20)).is_ok(), "{case:?}: {}", looking.is_finished());
    }
}

fn look_for_what_is_no_file(case: Case) {
    let bench = Bench::new(case);
    let root = bench.folder.path().join("root");
    let pipe = std::process::Command::new("mkfifo").arg(root.join("pipe.cfg")).status();
    assert!(pipe.is_ok_and(|status| status.success()));
    let _socket = UnixListener::bind(root.join("socket.cfg")).unwrap_or_else(|error| panic!("{error}"));
    fs::create_dir(root.join("folder.cfg")).unwrap_or_else(|error| panic!("{error}"));
    bench.write("root/file");
    let long = "z".repeat(255);
    for path in ["pipe.cfg", "pipe.cfg/below", "socket.cfg/below", "socket.cfg", "folder.cfg", "file/below", "", &long]
    {
        assert_eq!(bench.read(path), "-", "{path}");
    }
}

#[test]
fn a_refusal_looks_without_finding() {
    for case in [Case::Exact, Case::Ignore] {
        let bench = Bench::new(case);
        for path in ["0004f2aabbcc.cfg", "sip.cfg", "", "a/b/0004f2aabbcc-0004f2ddeeff.cfg"] {
            bench.files.feign(&parse(path), Some(DEVICE));
            bench.files.feign(&parse(path), None);
        }
        assert_eq!(fs::read_dir(bench.folder.path().join("uploads")).map(Iterator::count).ok(), Some(0));
    }
}

fn fastest(work: &dyn Fn()) -> Duration {
    let times = (0..20).map(|_| {
        let began = Instant::now();
        work();
        began.elapsed()
    });
    times.min().unwrap_or_default()
}

fn are_alike(one: Duration, other: Duration) -> bool {
    one * 8 > other && other * 8 > one
}

#[test]
fn a_log_that_is_missing_costs_what_its_refusal_costs() {
    for case in [Case::Exact, Case::Ignore] {
        let bench = Bench::with_shared_roots(case, 100);
        let log = "0004f2aabbcc-app.log";
        let permit = bench.site.permit(DEVICE, Operation::Read, log);
        // Who leaves the shared roots out has a hundredth of the work.
        let described = fastest(&|| assert!(bench.files.describe(&permit).is_err()));
        let refused = fastest(&|| bench.files.feign(&parse(log), Some(DEVICE)));
        assert!(are_alike(described, refused), "{case:?}: {described:?}, {refused:?}");
        if !bench.is_local() {
            continue;
        }
        let described = fastest(&|| assert!(bench.files.describe_at_once(&permit).is_none()));
        let refused = fastest(&|| bench.files.feign_at_once(&parse(log), Some(DEVICE)));
        assert!(are_alike(described, refused), "{case:?} at once: {described:?}, {refused:?}");
    }
}

#[test]
fn a_file_that_is_missing_in_a_large_folder_costs_what_its_refusal_costs() {
    let bench = Bench::new(Case::Ignore);
    for number in 0..3000 {
        bench.write(&format!("root/phones/{number}"));
    }
    let file = "phones/0004f2aabbcc.cfg";
    let permit = bench.site.permit(DEVICE, Operation::Read, file);
    // Until nothing has changed for a while all names of the folder are read each time.
    let change = || bench.write("root/phones/0");
    let missing = fastest(&|| {
        change();
        assert!(bench.files.open(&permit).is_err());
    });
    let refused = fastest(&|| {
        change();
        bench.files.feign(&parse(file), Some(DEVICE));
    });
    assert!(are_alike(missing, refused), "{missing:?}, {refused:?}");
}
