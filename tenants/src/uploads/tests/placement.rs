//! The table of partial uploads, row by row, on the disk.

use super::*;

const LOG: &str = "0004f2aabbcc-app.log";
const STRICT: &str = "0004f2aabbcc-strict.log";
const SMALL: &str = "0004f2aabbcc-small.log";
const SETTINGS: &str = "0004f2aabbcc-phone.cfg";
const FILE: &str = "0004f2aabbcc-any-file";

/// File, what stands there, the part, its offset, its complete length: what happens, what stands there then, and in `.1`.
type LogRow<'t> = (&'t str, &'t str, &'t str, u64, Option<u64>, &'t str, &'t str, &'t str);
/// The same without the file and without `.1`.
type Row<'t> = (&'t str, &'t str, u64, Option<u64>, &'t str, &'t str);

#[test]
fn each_row_of_the_table_for_logs() {
    let rows: [LogRow; 12] = [
        (LOG, "", "hello", 0, None, "created", "hello", "-"),
        (LOG, "", "hello", 500, None, "created late_start", "hello", "-"),
        (LOG, "0123456789", "abc", 10, None, "stored", "0123456789abc", "-"),
        (LOG, "0123456789", "abc", 10, Some(13), "stored", "0123456789abc", "-"),
        (LOG, "0123456789", "0123", 0, None, "stored repeated", "0123456789", "-"),
        (LOG, "0123456789", "0123456789x", 0, None, "stored rotated", "0123456789x", "0123456789"),
        (LOG, "0123456789", "new", 0, Some(3), "stored rotated", "new", "0123456789"),
        (LOG, "0123456789", "ab", 4, None, "stored", "0123ab6789", "-"),
        (LOG, "0123456789", "abcd", 8, None, "stored", "01234567abcd", "-"),
        (LOG, "0123456789", "abc", 50, None, "stored gap", "0123456789abc", "-"),
        (STRICT, "0123456789", "abc", 50, None, "beyond 10", "0123456789", "-"),
        (STRICT, "", "hello", 500, None, "created late_start", "hello", "-"),
    ];
    for (name, held, body, first, complete, outcome, now, rotated) in rows {
        check(name, held, body, (first, complete), outcome, now, rotated);
    }
}

#[test]
fn each_row_of_the_table_for_settings_and_files() {
    let rows: [Row; 12] = [
        ("", "hello", 0, None, "created", "hello"),
        ("", "hello", 0, Some(9), "created", "hello"),
        ("", "hello", 5, None, "beyond 0", "-"),
        ("0123456789", "abc", 10, None, "stored", "0123456789abc"),
        ("0123456789", "new", 0, Some(3), "stored", "new"),
        ("0123456789", "0123", 0, Some(4), "stored", "0123"),
        ("0123456789", "0123", 0, None, "stored repeated", "0123456789"),
        ("0123456789", "abc", 0, None, "stored", "abc3456789"),
        ("0123456789", "abc", 0, Some(9), "stored", "abc3456789"),
        ("0123456789", "ab", 4, None, "stored", "0123ab6789"),
        ("0123456789", "abcd", 8, None, "stored", "01234567abcd"),
        ("0123456789", "abc", 11, None, "beyond 10", "0123456789"),
    ];
    for (held, body, first, complete, outcome, now) in rows {
        for name in [SETTINGS, FILE] {
            check(name, held, body, (first, complete), outcome, now, "-");
        }
    }
}

fn check(name: &str, held: &str, body: &str, at: (u64, Option<u64>), outcome: &str, now: &str, rotated: &str) {
    let bench = Bench::new();
    if !held.is_empty() {
        assert_eq!(word(&bench.send(name, held.as_bytes(), Target::Whole)), "created");
    }
    let result = bench.range(name, body.as_bytes(), at.0, at.1);
    let row = format!("{name} {held:?} {body:?} {at:?}");
    assert_eq!(word(&result), outcome, "{row}");
    assert_eq!(bench.read(name), now, "{row}");
    assert_eq!(bench.read(&format!("{name}.1")), rotated, "{row}");
    if let Ok(stored) = result {
        assert_eq!(stored.size, now.len() as u64, "{row}");
    }
    assert!(bench.names().iter().all(|name| !name.starts_with(".provost-")), "{row}");
}

#[test]
fn the_last_part_sent_again_changes_nothing() {
    let bench = Bench::new();
    for first in [0, 3, 6, 100] {
        let sent = bench.range(LOG, b"abc", first, None);
        assert!(sent.is_ok(), "{first}");
        let before = bench.read(LOG);
        assert_eq!(word(&bench.range(LOG, b"abc", first, None)), "stored repeated");
        assert_eq!(bench.read(LOG), before);
    }
    // Not the last one, and not the same bytes.
    assert_eq!(word(&bench.range(LOG, b"abd", 100, None)), "stored gap");
    assert_eq!(word(&bench.range(LOG, b"abc", 100, None)), "stored gap");
}

#[test]
fn a_repeat_is_known_across_rotation() {
    let bench = Bench::new();
    assert_eq!(word(&bench.send(SMALL, b"0123456789", Target::Whole)), "created");
    assert_eq!(word(&bench.range(SMALL, b"abcdefghijk", 10, None)), "stored rotated");
    assert_eq!(word(&bench.range(SMALL, b"abcdefghijk", 10, None)), "stored repeated");
    assert_eq!((bench.read(SMALL).as_str(), bench.read(&format!("{SMALL}.1")).as_str()), ("abcdefghijk", "0123456789"));
}

#[test]
fn a_whole_body_or_one_to_the_end_makes_a_part_new_again() {
    let bench = Bench::new();
    assert_eq!(word(&bench.send(LOG, b"0123", Target::Whole)), "created");
    assert_eq!(word(&bench.range(LOG, b"ab", 4, None)), "stored");
    assert_eq!(word(&bench.send(LOG, b"0123", Target::Whole)), "stored");
    assert_eq!(word(&bench.range(LOG, b"ab", 4, None)), "stored");
    assert_eq!(bench.read(LOG), "0123ab");
}

#[test]
fn what_the_operator_discarded_can_be_sent_again() {
    let bench = Bench::new();
    assert_eq!(word(&bench.range(LOG, b"ab", 0, None)), "created");
    fs::remove_file(bench.directory().join(LOG)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(word(&bench.range(LOG, b"ab", 0, None)), "created");
    assert_eq!(bench.read(LOG), "ab");
}

#[test]
fn what_the_operator_changed_can_be_sent_again() {
    let bench = Bench::new();
    for (name, first, complete, by_hand, outcome, now) in [
        (SETTINGS, 0, Some(8), "by hand!", "stored", "volume=7"),
        (SETTINGS, 0, Some(8), "", "stored", "volume=7"),
        (LOG, 0, None, "", "stored", "volume=7"),
        (LOG, 20, None, "other", "stored gap", "othervolume=7"),
    ] {
        assert!(bench.send(name, b"0123456789", Target::Whole).is_ok());
        assert!(bench.range(name, b"volume=7", first, complete).is_ok());
        let path = bench.directory().join(name);
        fs::write(&path, by_hand).unwrap_or_else(|error| panic!("{error}"));
        // A coarse clock may have given the change the time of what was there before.
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(1);
        let dated = fs::File::options().write(true).open(&path).and_then(|file| file.set_modified(later));
        assert!(dated.is_ok(), "{dated:?}");
        assert_eq!(word(&bench.range(name, b"volume=7", first, complete)), outcome, "{name} {by_hand}");
        assert_eq!(bench.read(name), now, "{name} {by_hand}");
    }
}

#[test]
fn appends_to_the_end_are_never_a_repeat() {
    let bench = Bench::new();
    assert_eq!(word(&bench.send(SETTINGS, b"", Target::End)), "created");
    assert_eq!(bench.read(SETTINGS), "");
    for _ in 0..3 {
        assert_eq!(word(&bench.send(SETTINGS, b"ab", Target::End)), "stored");
    }
    assert_eq!(word(&bench.send(SETTINGS, b"", Target::End)), "stored");
    assert_eq!(bench.read(SETTINGS), "ababab");
}

#[test]
fn an_offset_is_a_part_and_offset_zero_is_the_whole() {
    let bench = Bench::new();
    assert_eq!(word(&bench.send(SETTINGS, b"0123456789", Target::Offset(0))), "created");
    assert_eq!(word(&bench.send(SETTINGS, b"abc", Target::Offset(10))), "stored");
    assert_eq!(word(&bench.send(SETTINGS, b"abc", Target::Offset(10))), "stored repeated");
    assert_eq!(bench.read(SETTINGS), "0123456789abc");
    assert_eq!(word(&bench.send(SETTINGS, b"x", Target::Offset(99))), "beyond 13");
    assert_eq!(word(&bench.send(SETTINGS, b"new", Target::Offset(0))), "stored");
    assert_eq!(bench.read(SETTINGS), "new");
}

#[test]
fn a_body_that_is_not_as_long_as_its_range_changes_nothing() {
    let bench = Bench::new();
    assert_eq!(word(&bench.send(LOG, b"0123456789", Target::Whole)), "created");
    for body in [&b"abcd"[..], b"abcdef", b""] {
        assert_eq!(word(&bench.send(LOG, body, range(b"abcde", 10, None))), "body length");
    }
    assert_eq!(bench.read(LOG), "0123456789");
}

#[test]
fn a_log_past_its_size_rotates_and_keeps_three_old_ones() {
    let bench = Bench::new();
    for round in 0..6 {
        let body = format!("{round}{round}{round}456789");
        let sent = bench.send(SMALL, body.as_bytes(), Target::End);
        assert!(sent.is_ok(), "{round}: {}", word(&sent));
        assert!(bench.send(SMALL, body.as_bytes(), Target::End).is_ok());
    }
    let names: Vec<String> = ["", ".1", ".2", ".3"].iter().map(|end| format!("{SMALL}{end}")).collect();
    assert_eq!(bench.names(), names);
    for (name, round) in names.iter().zip(["555", "444", "333", "222"]) {
        assert_eq!(bench.read(name), format!("{round}456789{round}456789"));
    }
    // One body that is larger than the limit stands alone.
    assert_eq!(word(&bench.send(SMALL, &[b'x'; 50], Target::End)), "stored rotated");
    assert_eq!(bench.read(SMALL).len(), 50);
    assert_eq!(word(&bench.range(SMALL, b"abc", 49, None)), "stored rotated");
    assert_eq!(bench.read(SMALL), "abc");
}

#[test]
fn a_tenant_may_keep_no_old_logs() {
    let bench = Bench::with(|settings| settings.keep = 0);
    for _ in 0..3 {
        assert!(bench.send(SMALL, b"0123456789abcdef", Target::End).is_ok());
    }
    assert_eq!(bench.names(), [SMALL]);
}

#[test]
fn where_fewer_old_logs_are_kept_the_others_go_when_the_log_next_rotates() {
    let bench = Bench::new();
    let rotate = |uploads: &Uploads| {
        assert_eq!(word(&bench.send_to(uploads, SMALL, &[b'x'; 20], Target::End)), "stored rotated");
    };
    let other = format!("{SMALL}x.3");
    assert!(bench.send(SMALL, b"x", Target::Whole).is_ok());
    fs::write(bench.directory().join(&other), "another").unwrap_or_else(|error| panic!("{error}"));
    for _ in 0..3 {
        rotate(&bench.uploads);
    }
    for (keep, left) in [(1, &["", ".1", "x.3"][..]), (0, &["", "x.3"])] {
        let fewer = Uploads::new(UploadsSettings { keep, ..settings(bench.directory()) });
        rotate(&fewer);
        assert_eq!(bench.names(), left.iter().map(|end| format!("{SMALL}{end}")).collect::<Vec<_>>());
    }
}
