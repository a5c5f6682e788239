//! The operator's view, beside a server that runs.

use std::io::read_to_string;

use super::super::Selection;
use super::*;

const LOG: &str = "logs/0004f2aabbcc-app.log";
const SETTINGS: &str = "0004f2aabbcc-phone.cfg";

fn listed(uploads: &Uploads) -> Vec<(String, u64)> {
    let entries = uploads.list().unwrap_or_else(|error| panic!("{error}"));
    entries.into_iter().map(|entry| (entry.path, entry.size)).collect()
}

#[test]
fn the_operator_sees_shows_and_discards_beside_a_running_server() {
    let bench = Bench::with(|settings| settings.device_quota = 800);
    assert!(bench.send(LOG, &[b'x'; 600], Target::Whole).is_ok());
    assert!(bench.send(SETTINGS, b"set", Target::Whole).is_ok());
    let permit = bench.site.permit(DEVICE, Operation::Write, SETTINGS);
    let under_way = bench.uploads.begin(permit, None).unwrap_or_else(|error| panic!("{error}"));
    let operator = of_another_process(settings(bench.directory()));
    assert_eq!(listed(&operator), [(SETTINGS.to_owned(), 3), (LOG.to_owned(), 600)]);
    assert!(operator.list().is_ok_and(|entries| entries.iter().all(|entry| entry.device == Some(DEVICE))));
    let shown = operator.show(SETTINGS).map(read_to_string);
    assert!(matches!(shown, Ok(Ok(text)) if text == "set"));
    let discarded = operator.discard(&Selection::Path(LOG.into()));
    assert_eq!(discarded.map(|entries| entries.len()).ok(), Some(1));
    // The server notices when room is short.
    assert_eq!(word(&bench.send("0004f2aabbcc-any-1", &[b'x'; 690], Target::Whole)), "created");
    assert_eq!(word(&under_way.apply(Target::Whole)), "stored");
    assert_eq!(operator.discard(&Selection::Device(DEVICE)).map(|entries| entries.len()).ok(), Some(2));
    assert_eq!(listed(&operator), []);
}

#[test]
fn what_is_discarded_leaves_no_empty_folder() {
    let bench = Bench::new();
    for name in [LOG, "logs/a/b/0004f2aabbcc-any-1", SETTINGS] {
        assert!(bench.send(name, b"x", Target::Whole).is_ok());
    }
    assert!(bench.uploads.discard(&Selection::Path(LOG.into())).is_ok());
    assert_eq!(bench.names(), [SETTINGS, "logs"]);
    assert!(bench.uploads.discard(&Selection::Device(DEVICE)).is_ok());
    assert!(bench.names().is_empty(), "{:?}", bench.names());
    assert_eq!(word(&bench.send(LOG, b"x", Target::Whole)), "created");
}

#[test]
fn uploads_of_a_device_that_only_a_rule_tells_are_its_own() {
    let bench = Bench::with(|settings| settings.device_quota = 80);
    let (log, rotated) = ("phone0004f2aabbcc.log", "phone0004f2aabbcc.log.1");
    for _ in 0..2 {
        assert!(bench.send(log, &[b'x'; 20], Target::End).is_ok());
    }
    let after_restart = of_another_process(UploadsSettings { device_quota: 80, ..settings(bench.directory()) });
    let entries = after_restart.list().unwrap_or_else(|error| panic!("{error}"));
    assert!(entries.iter().all(|entry| entry.device == Some(DEVICE)));
    let send = |bytes| word(&bench.send_to(&after_restart, "0004f2aabbcc-any-1", &vec![b'y'; bytes], Target::Whole));
    assert_eq!((send(51), bench.names()), ("no space".into(), vec![log.into(), rotated.into()]));
    assert_eq!((send(50), bench.names()), ("created".into(), vec!["0004f2aabbcc-any-1".into(), log.into()]));
    let discarded = after_restart.discard(&Selection::Device(DEVICE));
    assert_eq!((discarded.map(|entries| entries.len()).ok(), listed(&after_restart)), (Some(2), Vec::new()));
}

#[test]
fn the_operator_is_shown_nothing_but_uploads() {
    let bench = Bench::new();
    assert!(bench.send(LOG, b"x", Target::Whole).is_ok());
    let link = bench.directory().join("link");
    std::os::unix::fs::symlink("/etc/hostname", link).unwrap_or_else(|error| panic!("{error}"));
    for path in ["missing", "../../x", "logs", "link", "/etc/hostname", ""] {
        assert!(bench.uploads.show(path).is_err(), "{path}");
    }
    assert_eq!(listed(&bench.uploads).len(), 1);
}
