//! Quotas, and the space that the disk keeps.

use super::super::state::State;
use super::*;
use crate::testing::NEIGHBOUR;

const LOG: &str = "0004f2aabbcc-app.log";
const SETTINGS: &str = "0004f2aabbcc-phone.cfg";

#[test]
fn one_body_is_bounded_when_it_is_announced_and_while_it_comes() {
    let bench = Bench::with(|settings| settings.max_upload = 10);
    let permit = || bench.site.permit(DEVICE, Operation::Write, LOG);
    assert!(matches!(bench.uploads.begin(permit(), Some(11)), Err(UploadError::TooLarge { limit: 10 })));
    let mut spool = bench.uploads.begin(permit(), Some(10)).unwrap_or_else(|error| panic!("{error}"));
    assert!(spool.write(b"0123456789").is_ok());
    assert!(matches!(spool.write(b"x"), Err(UploadError::TooLarge { limit: 10 })));
}

#[test]
fn a_device_fills_its_quota_and_its_settings_still_fit() {
    let bench = Bench::with(|settings| settings.device_quota = 800);
    assert_eq!(word(&bench.send(LOG, &[b'x'; 701], Target::Whole)), "no space");
    assert_eq!(word(&bench.send(LOG, &[b'x'; 700], Target::Whole)), "created");
    assert_eq!(word(&bench.send(LOG, b"x", Target::End)), "no space");
    assert_eq!(bench.read(LOG).len(), 700);
    assert_eq!(word(&bench.send(SETTINGS, &[b's'; 100], Target::Whole)), "created");
    assert_eq!(word(&bench.send(SETTINGS, &[b's'; 101], Target::Whole)), "no space");
    // What is replaced makes room for what replaces it.
    assert_eq!(word(&bench.send(SETTINGS, &[b't'; 100], Target::Whole)), "stored");
    // So does a log beside settings that came later.
    assert_eq!(word(&bench.send(LOG, &[b'y'; 701], Target::Whole)), "no space");
    assert_eq!(word(&bench.send(LOG, &[b'y'; 700], Target::Whole)), "stored");
    assert_eq!(word(&bench.send(LOG, &[b'y'; 600], Target::Whole)), "stored");
}

#[test]
fn what_cannot_fit_is_refused_before_it_is_sent() {
    let bench = Bench::with(|settings| settings.device_quota = 800);
    let permit = bench.site.permit(DEVICE, Operation::Write, LOG);
    assert!(matches!(bench.uploads.begin(permit, Some(701)), Err(UploadError::NoSpace(_))));
}

#[test]
fn bodies_on_their_way_hold_no_more_than_the_quota_together() {
    let bench = Bench::with(|settings| settings.device_quota = 800);
    let begin = || bench.uploads.begin(bench.site.permit(DEVICE, Operation::Write, LOG), None);
    let mut spools: Vec<_> = (0..8).map(|_| begin().unwrap_or_else(|error| panic!("{error}"))).collect();
    let fit = spools.iter_mut().filter_map(|spool| spool.write(&[0; 100]).ok()).count();
    assert_eq!(fit, 7);
    drop(spools);
    let mut spool = begin().unwrap_or_else(|error| panic!("{error}"));
    assert!(spool.write(&[0; 700]).is_ok());
    let many: Vec<_> = std::iter::repeat_with(begin).take(40).filter_map(Result::ok).collect();
    assert_eq!(many.len(), 27);
}

#[test]
fn logs_on_their_way_leave_room_for_settings() {
    let bench = Bench::new();
    let begin = || bench.uploads.begin(bench.site.permit(DEVICE, Operation::Write, LOG), None);
    let logs: Vec<_> = std::iter::repeat_with(begin).take(40).filter_map(Result::ok).collect();
    assert_eq!(logs.len(), 28);
    assert_eq!(word(&bench.send(SETTINGS, b"s", Target::Whole)), "created");
}

#[test]
fn a_device_holds_no_more_files_than_it_may() {
    let bench = Bench::with(|settings| settings.device_files = 8);
    let stored = (0..9).filter(|n| bench.send(&format!("0004f2aabbcc-any-{n}"), b"x", Target::Whole).is_ok()).count();
    assert_eq!(stored, 7);
    assert_eq!(word(&bench.send("0004f2aabbcc-any-0", b"y", Target::Whole)), "stored");
    assert_eq!(word(&bench.send(SETTINGS, b"s", Target::Whole)), "created");
    assert_eq!(word(&bench.send("0004f2aabbcc-web.cfg", b"s", Target::Whole)), "no space");
}

#[test]
fn rotated_logs_make_room_for_what_comes() {
    let bench = Bench::with(|settings| settings.device_quota = 80);
    let small = "0004f2aabbcc-small.log";
    for _ in 0..4 {
        assert!(bench.send(small, &[b'x'; 16], Target::End).is_ok());
    }
    assert_eq!(bench.names().len(), 4);
    assert_eq!(word(&bench.send("0004f2aabbcc-any-1", &[b'y'; 30], Target::Whole)), "created");
    assert_eq!(bench.names(), ["0004f2aabbcc-any-1", small, "0004f2aabbcc-small.log.1"]);
}

#[test]
fn what_is_refused_all_the_same_drops_no_rotated_log() {
    let bench = Bench::with(|settings| settings.device_quota = 160);
    let (small, file) = ("0004f2aabbcc-small.log", "0004f2aabbcc-any-1");
    assert_eq!(word(&bench.send(file, &[b'f'; 90], Target::Whole)), "created");
    for _ in 0..3 {
        assert!(bench.send(small, &[b'x'; 16], Target::End).is_ok());
    }
    let all = [file, small, "0004f2aabbcc-small.log.1", "0004f2aabbcc-small.log.2"];
    assert_eq!(word(&bench.send(file, &[b'f'; 35], Target::End)), "no space");
    assert_eq!(word(&bench.send(LOG, &[b'x'; 35], Target::Whole)), "no space");
    assert_eq!(bench.names(), all);
    assert_eq!(word(&bench.send(file, &[b'f'; 34], Target::End)), "stored");
    assert_eq!(bench.names(), all[..2]);
}

#[test]
fn logs_of_any_name_make_room_once_they_have_rotated_and_files_never_do() {
    let bench = Bench::with(|settings| settings.device_quota = 120);
    let (trace, file) = ("0004f2aabbcc-trace", "0004f2aabbcc-any-x.log.1");
    assert_eq!(word(&bench.send(file, &[b'f'; 30], Target::Whole)), "created");
    for _ in 0..4 {
        assert!(bench.send(trace, &[b'x'; 16], Target::End).is_ok());
    }
    assert_eq!(bench.names().len(), 5);
    assert_eq!(word(&bench.send("0004f2aabbcc-any-1", &[b'y'; 40], Target::Whole)), "created");
    assert_eq!(bench.names(), ["0004f2aabbcc-any-1", file, trace, "0004f2aabbcc-trace.1"]);
    assert_eq!(word(&bench.send("0004f2aabbcc-any-1", &[b'y'; 80], Target::Whole)), "no space");
}

#[test]
fn a_rotation_counts_as_free_only_what_it_has_not_dropped_before() {
    // Of 64 bytes logs may fill 56.
    let bench = Bench::with(|settings| settings.device_quota = 64);
    for byte in *b"abcd" {
        assert!(bench.range(LOG, &[byte; 14], 0, None).is_ok());
    }
    assert_eq!(bench.names().len(), 4);
    assert_eq!(word(&bench.range(LOG, &[b'e'; 30], 0, None)), "stored rotated");
    assert_eq!(bench.names(), [LOG, "0004f2aabbcc-app.log.1"]);
}

#[test]
fn a_log_that_begins_anew_where_no_room_is_for_both_takes_the_place_of_the_former() {
    let bench = Bench::with(|settings| settings.device_quota = 800);
    assert_eq!(word(&bench.send(LOG, &[b'x'; 650], Target::Whole)), "created");
    assert_eq!(word(&bench.range(LOG, &[b'y'; 100], 0, None)), "stored not_kept");
    assert_eq!((bench.read(LOG), bench.names().len()), ("y".repeat(100), 1));
}

#[test]
fn what_an_operator_put_there_and_took_away_does_not_count() {
    let bench = Bench::with(|settings| settings.quota = Quota::Fixed(100));
    let notes = bench.directory().join("notes.txt");
    fs::create_dir_all(bench.directory()).unwrap_or_else(|error| panic!("{error}"));
    fs::write(&notes, [b'n'; 90]).unwrap_or_else(|error| panic!("{error}"));
    // Everything of a tenant is looked at again at the first shortage, and not again soon.
    assert_eq!(word(&bench.send(LOG, &[b'x'; 10], Target::Whole)), "created");
    fs::remove_file(&notes).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(word(&bench.send(LOG, &[b'x'; 80], Target::Whole)), "stored");
}

#[test]
fn a_tenant_holds_no_more_files_than_it_may() {
    let bench = Bench::with(|settings| settings.files = Quota::Fixed(2));
    for (name, expected) in [("0004f2aabbcc-any-1", "created"), (LOG, "created"), ("0004f2aabbcc-any-2", "no space")] {
        assert_eq!(word(&bench.send(name, b"", Target::Whole)), expected, "{name}");
    }
}

#[test]
fn a_tenant_holds_no_more_than_its_quota() {
    let bench = Bench::with(|settings| settings.quota = Quota::Fixed(100));
    assert_eq!(word(&bench.send(LOG, &[b'x'; 60], Target::Whole)), "created");
    let permit = bench.site.permit(NEIGHBOUR, Operation::Write, "0004f2ddeeff-app.log");
    assert!(matches!(bench.uploads.begin(permit, Some(41)), Err(UploadError::NoSpace(_))));
    let permit = bench.site.permit(NEIGHBOUR, Operation::Write, "0004f2ddeeff-app.log");
    assert!(bench.uploads.begin(permit, Some(40)).is_ok());
}

#[test]
fn what_is_there_at_the_start_is_counted() {
    let bench = Bench::with(|settings| settings.device_quota = 800);
    assert!(bench.send(LOG, &[b'x'; 600], Target::Whole).is_ok());
    let mut changed = settings(bench.directory());
    changed.device_quota = 800;
    let after_restart = of_another_process(changed);
    let name = "0004f2aabbcc-any-1";
    assert_eq!(word(&bench.send_to(&after_restart, name, &[b'x'; 101], Target::Whole)), "no space");
    assert_eq!(word(&bench.send_to(&after_restart, name, &[b'x'; 100], Target::Whole)), "created");
}

#[test]
fn a_reload_shares_accounts_and_changes_limits() {
    let bench = Bench::with(|settings| settings.device_quota = 800);
    let permit = bench.site.permit(DEVICE, Operation::Write, LOG);
    let mut spool = bench.uploads.begin(permit, None).unwrap_or_else(|error| panic!("{error}"));
    assert!(spool.write(&[0; 500]).is_ok());
    let mut changed = settings(bench.directory());
    changed.device_quota = 600;
    let renewed = Uploads::new(changed);
    assert_eq!(word(&bench.send_to(&renewed, "0004f2aabbcc-any-1", &[0; 100], Target::Whole)), "no space");
    assert_eq!(word(&spool.apply(Target::Whole)), "created");
}

#[test]
fn a_tenant_that_goes_and_comes_back_during_an_upload_finds_the_same_accounts() {
    let Bench { folder, site, uploads } = Bench::with(|settings| settings.device_quota = 800);
    let directory = folder.path().join("uploads/acme");
    let permit = site.permit(DEVICE, Operation::Write, LOG);
    let mut spool = uploads.begin(permit, None).unwrap_or_else(|error| panic!("{error}"));
    assert!(spool.write(&[0; 500]).is_ok());
    drop(uploads);
    let mut changed = settings(directory.clone());
    changed.device_quota = 800;
    let bench = Bench { folder, site, uploads: Uploads::new(changed) };
    let name = "0004f2aabbcc-any-1";
    assert_eq!(word(&bench.send(name, &[0; 201], Target::Whole)), "no space");
    assert_eq!(word(&bench.send(name, &[0; 200], Target::Whole)), "created");
    assert_eq!(word(&spool.apply(Target::Whole)), "created");
    assert_eq!(word(&bench.send("0004f2aabbcc-any-2", &[0; 1], Target::Whole)), "no space");
    let Bench { folder: _folder, uploads, .. } = bench;
    drop(uploads);
    assert!(!State::is_in_use(&directory), "nobody uses it any more");
}

#[test]
fn the_disk_keeps_free_what_it_must() {
    let mut bench = Bench::with(|settings| settings.min_free = 1000);
    bench.free(|_| Ok(1500));
    let begin = |expected| bench.uploads.begin(bench.site.permit(DEVICE, Operation::Write, LOG), expected);
    assert!(matches!(begin(Some(501)), Err(UploadError::NoSpace(_))));
    assert!(begin(Some(500)).is_ok());
    let mut spool = begin(None).unwrap_or_else(|error| panic!("{error}"));
    let refused = (0..16).find(|_| spool.write(&[0; 501]).is_err());
    assert_eq!(refused, Some(0), "others may have written since it began");
}

#[test]
fn who_looks_at_the_same_moment_has_not_the_same_room() {
    let mut bench = Bench::with(|settings| settings.min_free = 1000);
    bench.free(|_| Ok(1500));
    let write = |bytes: usize| {
        let permit = bench.site.permit(DEVICE, Operation::Write, LOG);
        bench.uploads.begin(permit, None).and_then(|mut spool| spool.write(&vec![0; bytes]))
    };
    let root = bench.uploads.state.root_now().unwrap_or_else(|error| panic!("{error}"));
    let others = bench.uploads.state.promised.promise(root.disk(), 300);
    let elsewhere = bench.uploads.state.promised.promise(root.disk() + 1, 300);
    assert!(matches!(write(201), Err(UploadError::NoSpace(_))));
    assert!(write(200).is_ok());
    drop(others);
    assert!(write(500).is_ok());
    assert!(write(501).is_err());
    drop(elsewhere);
}

#[test]
fn where_the_disk_is_short_rotated_logs_go_first_if_that_is_enough() {
    let mut bench = Bench::with(|settings| settings.min_free = 1000);
    // What is left of 1,200 bytes.
    bench.free(|root| {
        let sizes = root.entries()?.map(|entry| entry?.metadata().map(|facts| facts.len()));
        Ok(1200 - sizes.sum::<io::Result<u64>>()?)
    });
    for byte in *b"abcd" {
        assert!(bench.range(LOG, &[byte; 40], 0, None).is_ok());
    }
    assert_eq!(bench.names().len(), 4);
    let permit = bench.site.permit(DEVICE, Operation::Write, SETTINGS);
    assert!(matches!(bench.uploads.begin(permit, Some(161)), Err(UploadError::NoSpace(_))));
    assert_eq!(bench.names().len(), 4, "none goes in vain");
    let permit = bench.site.permit(DEVICE, Operation::Write, SETTINGS);
    let mut broken_off = bench.uploads.begin(permit, None).unwrap_or_else(|error| panic!("{error}"));
    assert!(broken_off.write(&[b's'; 100]).is_ok() && broken_off.write(&[b's'; 100]).is_err());
    drop(broken_off);
    assert_eq!(bench.names().len(), 4, "nor for what breaks off");
    assert_eq!(word(&bench.send(SETTINGS, &[b's'; 100], Target::Whole)), "created");
    assert_eq!(bench.names(), [LOG, "0004f2aabbcc-app.log.1", SETTINGS]);
    assert_eq!(word(&bench.send(LOG, &[b'e'; 20], Target::End)), "stored");
    assert_eq!(bench.names(), [LOG, SETTINGS]);
}

#[test]
fn a_failed_body_gives_back_what_it_had_reserved() {
    let bench = Bench::with(|settings| settings.device_quota = 800);
    for _ in 0..20 {
        assert_eq!(word(&bench.range(SETTINGS, &[0; 500], 10, None)), "beyond 0");
    }
    assert_eq!(word(&bench.send(SETTINGS, &[0; 800], Target::Whole)), "created");
}

#[test]
#[ignore = "needs an empty file system of 1 MiB (mount -t tmpfs -o size=1m), its folder in PROVOST_TINY"]
fn a_disk_that_is_full_leaves_what_was_there() {
    let Some(tiny) = std::env::var_os("PROVOST_TINY").map(PathBuf::from) else { panic!("PROVOST_TINY is not set") };
    let mut bench = Bench::with(|settings| {
        settings.directory = tiny.join("acme");
        settings.max_log = 1 << 20;
    });
    // The disk is not asked how full it is, so that it says so itself.
    bench.free(|_| Ok(u64::MAX));
    let read = |name: &str| fs::read(tiny.join("acme").join(name)).unwrap_or_default();
    assert_eq!(word(&bench.send(LOG, &vec![b'x'; 300_000], Target::Whole)), "created");
    assert_eq!(word(&bench.send(SETTINGS, b"settings", Target::Whole)), "created");
    // The body fits, beside it the longer log does not.
    assert_eq!(word(&bench.send(LOG, &vec![b'y'; 400_000], Target::End)), "no space");
    assert_eq!(word(&bench.range(LOG, &vec![b'y'; 400_000], 10, None)), "no space");
    // The body does not fit.
    for target in [Target::Whole, Target::End] {
        assert_eq!(word(&bench.send(SETTINGS, &vec![b'y'; 800_000], target)), "no space");
    }
    assert_eq!((read(LOG), read(SETTINGS)), (vec![b'x'; 300_000], b"settings".to_vec()));
    assert!(fs::read_dir(tiny.join("acme")).is_ok_and(|entries| entries.count() == 2));
    // A disk that has room again takes it.
    assert_eq!(word(&bench.send(LOG, &vec![b'y'; 100_000], Target::End)), "stored");
}
