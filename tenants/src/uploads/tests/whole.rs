//! Whole bodies: they replace at once, or leave what was there.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;
use provost_core::rules::{Gap, Origin, Readers, TftpOption, Writers};
use provost_core::{Kind, Prefer, Rule, RuleSet};

use crate::testing::NEIGHBOUR;

const LOG: &str = "0004f2aabbcc-app.log";
const SETTINGS: &str = "0004f2aabbcc-phone.cfg";

#[test]
fn nothing_is_touched_before_the_first_use() {
    let bench = Bench::new();
    assert!(!bench.directory().exists());
    assert_eq!(bench.uploads.list().map(|entries| entries.len()).ok(), Some(0));
    assert!(bench.uploads.reading(&parse(LOG), Some(DEVICE)).is_none(), "who reads makes nothing");
    assert!(!bench.directory().exists());
    assert!(bench.uploads.prepare().is_ok());
    let mode = fs::metadata(bench.directory()).map(|facts| facts.permissions().mode() & 0o777);
    assert_eq!(mode.ok(), Some(0o700));
}

#[test]
fn a_whole_body_replaces_durably_and_at_once() {
    let bench = Bench::with(|settings| settings.durability = Durability::Disk);
    let name = format!("logs/{SETTINGS}");
    assert_eq!(word(&bench.send(&name, b"a longer first one", Target::Whole)), "created");
    let before = fs::File::open(bench.directory().join(&name)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(word(&bench.send(&name, b"second", Target::Whole)), "stored");
    assert_eq!(bench.read(&name), "second");
    // Whoever reads the old one reads it to its end.
    assert_eq!(io::read_to_string(before).ok().as_deref(), Some("a longer first one"));
    assert_eq!(word(&bench.send(&name, b" and more", Target::End)), "stored");
    assert_eq!(bench.read(&name), "second and more");
}

#[test]
fn a_body_that_breaks_off_leaves_nothing_and_touches_nothing() {
    let bench = Bench::new();
    assert_eq!(word(&bench.send(SETTINGS, b"first", Target::Whole)), "created");
    let permit = bench.site.permit(DEVICE, Operation::Write, SETTINGS);
    let mut spool = bench.uploads.begin(permit, Some(100)).unwrap_or_else(|error| panic!("{error}"));
    assert!(spool.write(b"half of the sec").is_ok());
    assert_eq!((spool.len(), spool.is_empty(), bench.names().len()), (15, false, 2));
    drop(spool);
    assert_eq!(bench.names(), [SETTINGS]);
    assert_eq!(bench.read(SETTINGS), "first");
}

#[test]
fn a_body_that_breaks_off_keeps_no_runtime_waiting_for_the_disk() {
    let bench = Bench::new();
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build();
    let runtime = runtime.unwrap_or_else(|error| panic!("{error}"));
    let begin = || bench.uploads.begin(bench.site.permit(DEVICE, Operation::Write, LOG), None);
    let bodies = [(); 3].map(|()| begin().unwrap_or_else(|error| panic!("{}", word(&Err(error)))));
    let (release, hang) = std::sync::mpsc::channel::<()>();
    let hangs = runtime.spawn_blocking(move || hang.recv());
    runtime.block_on(async { drop(bodies) });
    assert_eq!(bench.names().len(), 3, "the one thread that may remove them hangs");
    assert!(bench.uploads.state.ledger().devices().is_empty(), "and nothing counts them any more");
    drop(begin());
    assert_eq!(bench.names().len(), 3, "whoever begins another removes one");
    drop(release);
    assert!(runtime.block_on(hangs).is_ok());
    drop(runtime);
    assert!(bench.names().is_empty(), "{:?}", bench.names());
}

#[test]
fn all_spellings_of_a_device_are_one_upload() {
    let bench = Bench::new();
    assert_eq!(word(&bench.send("0004F2AABBCC-app.log", b"a", Target::Whole)), "created");
    assert_eq!(word(&bench.send("0004f2AAbbcc-app.log", b"b", Target::End)), "stored");
    assert_eq!(bench.read(LOG), "ab");
    let bench = Bench::with(|settings| settings.rules = Site::new(Case::Ignore).rules());
    assert_eq!(word(&bench.send("Logs/0004F2AABBCC-App.log", b"a", Target::Whole)), "created");
    assert_eq!(word(&bench.send("logs/0004f2aabbcc-app.LOG", b"b", Target::End)), "stored");
    assert_eq!(bench.read(&format!("logs/{LOG}")), "ab");
}

#[test]
fn a_permit_to_read_stores_nothing() {
    let bench = Bench::new();
    let permit = bench.site.permit(DEVICE, Operation::Read, LOG);
    assert!(matches!(bench.uploads.begin(permit, None), Err(UploadError::Unstorable)));
}

#[test]
fn names_that_cannot_be_stored_are_told_and_leave_nothing() {
    let bench = Bench::new();
    fs::create_dir_all(bench.directory().join(LOG).join("folder")).unwrap_or_else(|error| panic!("{error}"));
    fs::write(bench.directory().join("logs"), "").unwrap_or_else(|error| panic!("{error}"));
    symlink("/etc/hostname", bench.directory().join(SETTINGS)).unwrap_or_else(|error| panic!("{error}"));
    symlink(bench.folder.path(), bench.directory().join("out")).unwrap_or_else(|error| panic!("{error}"));
    let deep = "f/".repeat(17) + LOG;
    for name in [LOG, &format!("logs/{LOG}"), SETTINGS, &format!("out/{LOG}"), &format!("out/sub/{LOG}"), &deep] {
        for target in [Target::Whole, Target::End] {
            assert_eq!(word(&bench.send(name, b"x", target)), "unstorable", "{name}");
        }
    }
    assert_eq!(fs::read_dir(bench.folder.path()).map(Iterator::count).ok(), Some(1));
    assert!(bench.names().iter().all(|name| !name.starts_with(".provost-")));
    assert!(bench.uploads.state.ledger().files(DEVICE).is_empty());
}

#[test]
fn a_folder_in_which_nothing_is_stored_makes_way_for_an_upload() {
    let bench = Bench::new();
    for target in [Target::Whole, Target::End] {
        fs::create_dir_all(bench.directory().join(SETTINGS)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(word(&bench.send(SETTINGS, b"x", target)), "created");
        fs::remove_file(bench.directory().join(SETTINGS)).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn a_folder_that_may_be_the_path_of_an_upload_is_told() {
    let rule = |pattern: &str, kind| Rule {
        pattern: pattern.parse().unwrap_or_else(|error| panic!("{pattern}: {error}")),
        read: Some(Readers::Own),
        write: Some(Writers::Own),
        kind,
        prefer: Prefer::Uploads,
        gap: Gap::Append,
        max_size: None,
        tftp_options: TftpOption::ALL.to_vec(),
        origin: Origin::Operator,
    };
    let settings = |rules: &[Rule]| {
        let rules = RuleSet::new(rules.to_vec(), Case::Exact).unwrap_or_else(|error| panic!("{error}"));
        UploadsSettings { rules, ..settings(PathBuf::new()) }
    };
    let one = settings(&[rule("{mac}/settings.xml", Kind::Settings), rule("{mac}/trace", Kind::Log)]);
    let logs = settings(&[rule("{mac}/**", Kind::Log)]);
    let all = settings(&[rule("{mac}/**/*.log", Kind::Log), rule("**{mac}**", Kind::Settings)]);
    let none = settings(&[]);
    for (settings, path, may_be) in [
        (&one, "0004f2aabbcc/settings.xml/0004f2aabbcc-x.log", true),
        (&one, "0004f2aabbcc/settings.xml/a/b/0004f2aabbcc-x.log", true),
        (&one, "0004f2aabbcc/trace.1/0004f2aabbcc-x.log", true),
        (&one, "0004f2aabbcc/logs/0004f2aabbcc-x.log", false),
        (&one, "0004f2aabbcc/settings.xml", false),
        (&logs, "0004f2aabbcc/logs/x.log", false),
        (&all, "0004f2aabbcc/x.log", false),
        (&all, "0004f2aabbcc/settings.xml/x.log", true),
        (&none, "0004f2aabbcc-web.cfg/0004f2aabbcc-x.log", true),
        (&none, "of-0004f2aabbcc/0004f2aabbcc-x.log", true),
        (&none, "corefiles/0004f2aabbcc/0004f2aabbcc-x.log", true),
        (&none, "logs/0004f2aabbcc/0004f2aabbcc-x.log", false),
    ] {
        assert_eq!(settings.stands_in_a_file(&parse(path), path), may_be, "{path}");
    }
}

#[test]
fn two_writers_at_once_append_one_after_the_other() {
    let bench = Bench::new();
    std::thread::scope(|scope| {
        for letter in [b'a', b'b', b'c', b'd'] {
            let bench = &bench;
            scope.spawn(move || {
                for _ in 0..25 {
                    let sent = bench.send(LOG, &[letter; 1000], Target::End);
                    assert!(sent.is_ok(), "{}", word(&sent));
                }
            });
        }
    });
    let text = bench.read(LOG);
    assert_eq!(text.len(), 100_000);
    for chunk in text.as_bytes().chunks(1000) {
        assert!(chunk.iter().all(|byte| Some(byte) == chunk.first()));
    }
}

#[test]
fn a_reader_never_sees_half_of_a_replacement() {
    let bench = Bench::new();
    let (old, new) = (&vec![b'a'; 300_000], &vec![b'b'; 200_000]);
    assert!(bench.send(SETTINGS, old, Target::Whole).is_ok());
    std::thread::scope(|scope| {
        let bench = &bench;
        scope.spawn(move || {
            for round in 0..40 {
                let body = if round % 2 == 0 { new } else { old };
                assert!(bench.send(SETTINGS, body, Target::Whole).is_ok());
            }
        });
        for _ in 0..200 {
            let text = bench.read(SETTINGS);
            let whole = match text.as_bytes().first() {
                Some(b'a') => text.len() == old.len(),
                Some(b'b') => text.len() == new.len(),
                _ => false,
            };
            assert!(whole, "{}", text.len());
        }
    });
}

#[test]
fn a_log_in_use_never_vanishes_while_it_rotates() {
    let bench = Bench::new();
    let name = "0004f2aabbcc-small.log";
    assert!(bench.send(name, b"0123456789abcdef", Target::Whole).is_ok());
    std::thread::scope(|scope| {
        let bench = &bench;
        let writer = scope.spawn(move || {
            for _ in 0..100 {
                assert_eq!(word(&bench.send(name, b"0123456789abcdef", Target::End)), "stored rotated");
            }
        });
        while !writer.is_finished() {
            assert_eq!(bench.read(name), "0123456789abcdef");
        }
    });
}

#[test]
fn what_a_former_process_left_half_done_goes_at_the_start() {
    let bench = Bench::new();
    fs::create_dir_all(bench.directory()).unwrap_or_else(|error| panic!("{error}"));
    fs::write(bench.directory().join(".provost-1-abc-0"), "half").unwrap_or_else(|error| panic!("{error}"));
    let permit = bench.site.permit(DEVICE, Operation::Write, LOG);
    let spool = bench.uploads.begin(permit, None).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(bench.names().len(), 1);
    // A second set on the same directory, as a reload makes it, leaves alone what is under way.
    assert!(Uploads::new(settings(bench.directory())).prepare().is_ok());
    assert_eq!(word(&spool.apply(Target::Whole)), "created");
    assert_eq!(bench.names(), [LOG]);
}

#[test]
fn who_reads_does_not_wait_until_all_is_counted() {
    let bench = Bench::new();
    fs::create_dir_all(bench.directory()).unwrap_or_else(|error| panic!("{error}"));
    let root = |path| bench.uploads.reading(&parse(path), Some(DEVICE)).map(|(root, _)| root.is_counted());
    assert_eq!(root(LOG), Some(false));
    assert!(bench.uploads.prepare().is_ok());
    assert_eq!(root(LOG), Some(true));
}

#[test]
fn what_another_process_still_writes_is_left_alone() {
    let bench = Bench::new();
    fs::create_dir_all(bench.directory()).unwrap_or_else(|error| panic!("{error}"));
    let name = ".provost-1-abc-0";
    let others = fs::File::create(bench.directory().join(name)).unwrap_or_else(|error| panic!("{error}"));
    others.try_lock().unwrap_or_else(|error| panic!("{error}"));
    assert!(Uploads::new(settings(bench.directory())).prepare().is_ok());
    assert_eq!(bench.names(), [name]);
    drop(others);
}

#[test]
fn what_this_process_writes_is_locked() {
    let bench = Bench::new();
    let permit = bench.site.permit(DEVICE, Operation::Write, LOG);
    let spool = bench.uploads.begin(permit, None).unwrap_or_else(|error| panic!("{error}"));
    let names = bench.names();
    let [name] = names.as_slice() else { panic!("{names:?}") };
    let again = fs::File::open(bench.directory().join(name)).unwrap_or_else(|error| panic!("{error}"));
    assert!(matches!(again.try_lock(), Err(fs::TryLockError::WouldBlock)));
    drop(spool);
}

#[test]
fn an_overwrite_in_place_leaves_the_old_bytes_to_whoever_reads_them() {
    let bench = Bench::new();
    assert!(bench.send(SETTINGS, b"0123456789", Target::Whole).is_ok());
    let inode = || fs::metadata(bench.directory().join(SETTINGS)).map(|facts| facts.ino()).ok();
    let before = inode();
    assert_eq!(word(&bench.range(SETTINGS, b"ab", 4, None)), "stored");
    assert_ne!(inode(), before);
    assert_eq!(bench.read(SETTINGS), "0123ab6789");
}

#[test]
fn neighbours_do_not_share_an_upload() {
    let bench = Bench::new();
    assert!(bench.send(LOG, b"mine", Target::Whole).is_ok());
    let permit = bench.site.permit(NEIGHBOUR, Operation::Write, "0004f2ddeeff-app.log");
    let spool = bench.uploads.begin(permit, None).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(word(&spool.apply(Target::Whole)), "created");
    assert_eq!(bench.names(), [LOG, "0004f2ddeeff-app.log"]);
}

#[test]
fn a_folder_that_is_removed_or_replaced_is_made_and_counted_anew() {
    let bench = Bench::with(|settings| settings.device_quota = 800);
    let (name, other) = ("0004f2aabbcc-any-1", bench.directory().with_extension("old"));
    assert_eq!(word(&bench.send(name, &[b'x'; 700], Target::Whole)), "created");
    fs::remove_dir_all(bench.directory()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(word(&bench.send(name, &[b'y'; 600], Target::Whole)), "created");
    let permit = bench.site.permit(DEVICE, Operation::Write, name);
    let mut under_way = bench.uploads.begin(permit, None).unwrap_or_else(|error| panic!("{error}"));
    assert!(under_way.write(b"late").is_ok());
    fs::rename(bench.directory(), &other).unwrap_or_else(|error| panic!("{error}"));
    // The body that is under way counts still.
    assert_eq!(word(&bench.send("0004f2aabbcc-any-2", &[b'z'; 697], Target::Whole)), "no space");
    assert_eq!(word(&bench.send("0004f2aabbcc-any-2", &[b'z'; 696], Target::Whole)), "created");
    assert!(matches!(under_way.apply(Target::Whole), Err(UploadError::Io { .. })), "nobody would read it");
    assert_eq!(fs::read(other.join(name)).map(|bytes| bytes.len()).ok(), Some(600));
    assert_eq!(bench.names(), ["0004f2aabbcc-any-2"]);
}

#[test]
fn a_rotation_that_was_killed_half_way_leaves_no_second_name() {
    let bench = Bench::new();
    let (log, first) = ("0004f2aabbcc-app.log", "0004f2aabbcc-app.log.1");
    assert_eq!(word(&bench.send(log, b"one", Target::Whole)), "created");
    let path = |name: &str| bench.directory().join(name);
    fs::hard_link(path(log), path(first)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(word(&bench.send(log, b"two", Target::End)), "stored");
    assert_eq!((bench.read(log).as_str(), bench.read(first).as_str()), ("onetwo", "-"));
    assert_eq!(word(&bench.range(log, b"new", 0, None)), "stored rotated");
    assert_eq!((bench.read(log).as_str(), bench.read(first).as_str()), ("new", "onetwo"));
}

#[test]
fn a_log_that_could_not_rotate_is_refused_at_once() {
    let bench = Bench::new();
    let name = |length: usize| format!("0004f2aabbcc-{}.log", "x".repeat(length - 17));
    assert_eq!(word(&bench.send(&name(253), b"log", Target::Whole)), "created");
    assert_eq!(word(&bench.send(&name(254), b"log", Target::Whole)), "unstorable");
    let file = format!("0004f2aabbcc-any-{}", "x".repeat(238));
    assert_eq!(word(&bench.send(&file, b"file", Target::Whole)), "created");
}

#[test]
fn what_is_discarded_between_the_look_and_the_append_is_stored_anew() {
    let bench = Bench::new();
    let name = "0004f2aabbcc-app.log";
    assert_eq!(word(&bench.send(name, b"old", Target::Whole)), "created");
    let permit = bench.site.permit(DEVICE, Operation::Write, name);
    let mut spool = bench.uploads.begin(permit, None).unwrap_or_else(|error| panic!("{error}"));
    assert!(spool.write(b"new").is_ok());
    let path = bench.directory().join(name);
    let looks = std::cell::Cell::new(0);
    let stored = spool.apply_if(Target::End, |_| {
        looks.set(looks.get() + 1);
        let _ = fs::remove_file(&path);
        true
    });
    assert_eq!((word(&stored).as_str(), looks.get(), bench.read(name).as_str()), ("created", 2, "new"));
}

#[test]
fn a_read_finds_that_another_folder_stands_there() {
    let bench = Bench::new();
    assert_eq!(word(&bench.send("0004f2aabbcc-any-1", b"old", Target::Whole)), "created");
    let first = bench.uploads.state.root().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(bench.uploads.state.root_at_once().is_some(), first.is_local);
    fs::rename(bench.directory(), bench.directory().with_extension("old")).unwrap_or_else(|error| panic!("{error}"));
    fs::create_dir(bench.directory()).unwrap_or_else(|error| panic!("{error}"));
    assert!(bench.uploads.state.root_at_once().is_none());
    let second = bench.uploads.state.root().unwrap_or_else(|error| panic!("{error}"));
    assert!(!Arc::ptr_eq(&first, &second) && second.stands_at(&bench.directory()));
}
