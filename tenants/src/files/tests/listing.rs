//! Who sees which names.

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use super::*;
use crate::testing::NEIGHBOUR;

fn list(bench: &Bench, device: provost_core::Mac, folder: &str) -> Vec<String> {
    let entries = bench.site.list(device, folder, |permit| bench.files.list(permit));
    let name = |entry: super::super::Entry| match entry.facts {
        Some(facts) => format!("{} {}", entry.name, facts.size),
        None => format!("{}/", entry.name),
    };
    entries.unwrap_or_else(|error| panic!("{error}")).into_iter().map(name).collect()
}

fn filled(case: Case) -> Bench {
    let bench = Bench::new(case);
    for path in [
        "root/0004f2aabbcc.cfg",
        "root/0004f2ddeeff.cfg",
        "root/sip.cfg",
        "root/0004f2ddeeff/private",
        "root/0004f2aabbcc/private",
        "root/logs/note",
        "root/.provost-1",
        "shared/sip.cfg",
        "shared/sip.ld",
        "outside/secret",
    ] {
        bench.write(path);
    }
    let root = bench.folder.path().join("root");
    std::os::unix::fs::symlink("../outside/secret", root.join("leads-out")).unwrap_or_else(|error| panic!("{error}"));
    std::os::unix::fs::symlink("logs/note", root.join("stays-in")).unwrap_or_else(|error| panic!("{error}"));
    bench.upload("logs/0004f2aabbcc-app.log");
    bench.upload("0004f2aabbcc-phone.cfg");
    bench
}

#[test]
fn a_device_sees_its_own_and_what_all_may_read() {
    let bench = filled(Case::Exact);
    let expected = [
        "0004f2aabbcc/",
        "0004f2aabbcc-phone.cfg 30",
        "0004f2aabbcc.cfg 21",
        "logs/",
        "sip.cfg 12",
        "sip.ld 13",
        "stays-in 14",
    ];
    assert_eq!(list(&bench, DEVICE, ""), expected);
    let neighbour = ["0004f2ddeeff/", "0004f2ddeeff.cfg 21", "logs/", "sip.cfg 12", "sip.ld 13", "stays-in 14"];
    assert_eq!(list(&bench, NEIGHBOUR, ""), neighbour);
    assert_eq!(list(&bench, DEVICE, "logs"), ["0004f2aabbcc-app.log 33", "note 14"]);
    assert_eq!(list(&bench, NEIGHBOUR, "logs"), ["note 14"]);
    assert_eq!(list(&bench, DEVICE, "missing"), [""; 0]);
    assert_eq!(list(&bench, DEVICE, "sip.cfg"), [""; 0]);
    assert_eq!(list(&bench, DEVICE, "LOGS"), [""; 0]);
}

#[test]
fn of_a_log_is_listed_what_the_phone_sent_and_not_what_the_root_has() {
    let bench = Bench::new(Case::Exact);
    bench.write("root/0004f2aabbcc-app.log");
    bench.write("root/0004f2aabbcc-boot.log");
    bench.write("root/0004f2aabbcc-web.cfg");
    bench.upload("0004f2aabbcc-app.log");
    assert_eq!(list(&bench, DEVICE, ""), ["0004f2aabbcc-app.log 28", "0004f2aabbcc-web.cfg 25"]);
}

#[test]
fn folders_are_found_without_regard_to_case_where_the_tenant_says_so() {
    let bench = filled(Case::Ignore);
    assert_eq!(list(&bench, DEVICE, "LOGS"), ["0004f2aabbcc-app.log 33", "note 14"]);
}

#[test]
fn a_folder_that_only_phones_made_is_shown_to_whoever_owns_something_below_it() {
    let bench = filled(Case::Exact);
    bench.upload("a-message/to/0004f2aabbcc-app.log");
    assert!(list(&bench, DEVICE, "").contains(&"a-message/".to_owned()));
    assert_eq!(list(&bench, DEVICE, "a-message"), ["to/"]);
    assert!(!list(&bench, NEIGHBOUR, "").contains(&"a-message/".to_owned()));
    assert_eq!(list(&bench, NEIGHBOUR, "a-message"), [""; 0]);
}

#[test]
fn a_folder_of_another_device_is_not_looked_at() {
    for case in [Case::Exact, Case::Ignore] {
        let bench = filled(case);
        let watch = inotify::init(CreateFlags::NONBLOCK).unwrap_or_else(|error| panic!("{error}"));
        let folder = bench.folder.path().join("root/0004f2ddeeff");
        let watched = inotify::add_watch(&watch, folder, WatchFlags::OPEN);
        watched.unwrap_or_else(|error| panic!("{error}"));
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&watch, &mut buffer);
        assert_eq!(list(&bench, DEVICE, "0004f2ddeeff"), [""; 0]);
        assert_eq!(events.next().err(), Some(Errno::AGAIN), "{case:?}");
        assert_eq!(list(&bench, NEIGHBOUR, "0004f2ddeeff"), ["private 25"]);
        assert!(events.next().is_ok(), "{case:?}");
    }
}

#[test]
fn a_listing_tells_of_the_file_that_is_read() {
    let bench = Bench::new(Case::Exact);
    let name = "0004f2aabbcc-root.cfg";
    bench.write(&format!("root/everywhere/{name}"));
    for folder in ["everywhere", "elsewhere"] {
        bench.write(&format!("shared/{folder}/{name}"));
        bench.upload(&format!("{folder}/{name}"));
    }
    for (folder, place) in [("everywhere", "root"), ("elsewhere", "uploads")] {
        let read = bench.read(&format!("{folder}/{name}"));
        assert_eq!(read, format!("{place}/{folder}/{name}"));
        assert_eq!(list(&bench, DEVICE, folder), [format!("{name} {}", read.len())]);
    }
}

#[test]
fn a_devices_folder_is_listed_under_each_spelling_under_which_it_is_read() {
    for case in [Case::Exact, Case::Ignore] {
        let bench = Bench::new(case);
        bench.write("root/0004F2AABBCC/upper");
        bench.write("root/0004F2AABBCC/both");
        bench.write("root/0004f2aabbcc/both");
        bench.write("shared/0004F2AABBCC/firmware");
        let expected = ["both 22", "firmware 28", "upper 23"];
        for folder in ["0004f2aabbcc", "0004F2AABBCC", "0004f2AABBCC"] {
            assert_eq!(list(&bench, DEVICE, folder), expected, "{case:?}, {folder}");
            assert_eq!(bench.read(&format!("{folder}/upper")), "root/0004F2AABBCC/upper");
        }
    }
}
