//! The guard by itself: what a source is told, and what it keeps.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use provost_core::Prefixes;

use super::*;
use crate::devices::{Devices, DevicesSettings, Removals};

const MINUTE: Duration = Duration::from_mins(1);

struct Place {
    _folder: tempfile::TempDir,
    settings: GuardSettings,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let settings = GuardSettings::new(folder.path().join("guard/acme.pairs"));
    Place { _folder: folder, settings }
}

fn device(number: u32) -> Mac {
    let [_, a, b, c] = number.to_be_bytes();
    Mac::from_octets([0, 4, 0xf2, a, b, c])
}

fn asker(address: &str, reach: Reach) -> Asker {
    let ip: std::net::IpAddr = address.parse().unwrap_or_else(|error| panic!("{error}"));
    Asker { client: ClientAddr::from(SocketAddr::new(ip, 2000)), reach }
}

#[test]
fn a_source_is_throttled_from_the_32nd_unlisted_device_and_keeps_what_it_had() {
    let Place { settings, _folder } = place();
    let (guard, now) = (Guard::new(settings), Instant::now());
    let scanner = asker("10.0.0.1", Reach::Proven);
    guard.learned(scanner.client.source(), device(0));
    for number in 1..=31 {
        assert_eq!(guard.turn(scanner, device(number), now), Turn::Go, "{number}");
        assert_eq!(guard.unlisted(scanner, device(number), now), None);
        assert_eq!(guard.unlisted(scanner, device(number), now), None, "the same one again is not another");
    }
    assert_eq!(guard.unlisted(scanner, device(32), now), Some(Alarm::Throttled));
    assert_eq!(guard.turn(scanner, device(99), now), Turn::Throttled);
    assert_eq!(guard.turn(scanner, device(0), now), Turn::Go, "what it had it keeps");
    assert_eq!(guard.turn(asker("10.0.0.2", Reach::Proven), device(99), now), Turn::Go, "its neighbour is not it");
    assert_eq!(guard.turn(scanner, device(99), now + 10 * MINUTE), Turn::Go, "the window is over");
    assert_eq!(guard.raised(now).len(), 1);
}

#[test]
fn a_scanner_that_goes_on_stays_throttled() {
    let Place { settings, _folder } = place();
    let (guard, now) = (Guard::new(settings), Instant::now());
    let scanner = asker("10.0.0.1", Reach::Proven);
    for number in 0..100 {
        guard.unlisted(scanner, device(number), now + MINUTE * (number / 10));
    }
    assert_eq!(guard.turn(scanner, device(999), now + 15 * MINUTE), Turn::Throttled);
    assert_eq!(guard.turn(scanner, device(999), now + 19 * MINUTE), Turn::Go);
}

#[test]
fn an_address_that_may_be_forged_counts_once_it_answers_and_never_for_connections() {
    let Place { settings, _folder } = place();
    let (guard, now) = (Guard::new(settings), Instant::now());
    let [claimed, proven] = [Reach::Claimed, Reach::Proven].map(|reach| asker("10.0.0.1", reach));
    for number in 0..1000 {
        assert_eq!(guard.unlisted(claimed, device(number), now), None);
    }
    assert_eq!(guard.turn(claimed, device(5000), now), Turn::Go);
    guard.answered(claimed.client.source(), now);
    for number in 0..32 {
        guard.unlisted(claimed, device(number), now);
    }
    assert_eq!(guard.turn(claimed, device(5001), now), Turn::Throttled);
    assert_eq!(guard.turn(proven, device(5001), now), Turn::Go, "who forges datagrams closes no connection");
}

#[test]
fn who_does_not_answer_is_told_of_32_devices_at_once_and_of_as_many_through_the_window() {
    let Place { settings, _folder } = place();
    let (guard, now) = (Guard::new(settings), Instant::now());
    let scanner = asker("10.0.0.1", Reach::Claimed);
    let told = |from: u32, at| {
        (from..from + 1000).filter(|number| guard.turn(scanner, device(*number), at) == Turn::Go).count()
    };
    assert_eq!(told(0, now), 32);
    assert_eq!(guard.turn(scanner, device(3), now), Turn::Go, "the same again is no news");
    let later: usize = (1..600).map(|second| told(1000 * (second + 1), now + Duration::from_secs(second.into()))).sum();
    assert_eq!(later, 31, "one now and then comes through, so that a phone can answer");
    guard.answered(scanner.client.source(), now);
    assert!((0..5000).all(|number| guard.turn(scanner, device(number), now) == Turn::Go), "a site that boots");
}

#[test]
fn who_does_not_answer_is_sent_files_of_32_devices_and_of_no_more_in_the_window() {
    let Place { settings, _folder } = place();
    let (guard, now) = (Guard::new(settings), Instant::now());
    let scanner = asker("10.0.0.1", Reach::Claimed);
    let sent = |from: u32, at| {
        let told = |number: &u32| guard.turn(scanner, device(*number), at) == Turn::Go;
        (from..from + 100).filter(told).inspect(|number| guard.offered(scanner, device(*number), at)).count()
    };
    let within: usize = (0..600).map(|second| sent(1000 * second, now + Duration::from_secs(second.into()))).sum();
    assert_eq!(within, 31, "27 at once, and one every two minutes");
    for minute in 1..10 {
        assert_eq!(guard.turn(scanner, device(3), now + minute * MINUTE), Turn::Go, "the same again is no news");
        guard.offered(scanner, device(3), now + minute * MINUTE);
    }
    assert_eq!(
        sent(700_000, now + 11 * MINUTE),
        23,
        "the window has passed for those of the beginning, whoever asked again"
    );
    guard.answered(scanner.client.source(), now + 11 * MINUTE);
    assert_eq!(guard.turn(scanner, device(800_000), now + 11 * MINUTE), Turn::Go);
}

#[test]
fn who_had_its_turn_is_not_withheld_for_files_that_others_were_sent_meanwhile() {
    let Place { settings, _folder } = place();
    let (guard, now) = (Guard::new(settings), Instant::now());
    let site = asker("10.0.0.1", Reach::Claimed);
    assert!((0..32).all(|number| guard.turn(site, device(number), now) == Turn::Go));
    (0..27).for_each(|number| guard.offered(site, device(number), now));
    assert_eq!(guard.turn(site, device(31), now), Turn::Wait, "who asks now waits");
    assert!((27..32).all(|number| !guard.is_throttled(site, device(number), now)));
    // The first file that a phone asks for may be missing.
    let later = now + 2 * MINUTE;
    assert_eq!(guard.turn(site, device(40), later), Turn::Go);
    assert_eq!(guard.turn(site, device(40), later), Turn::Go, "its next file");
    assert_eq!(guard.turn(site, device(41), later), Turn::Wait, "another phone");
}

#[test]
fn addresses_that_are_only_claimed_push_nobody_out_who_is_throttled() {
    let Place { settings, _folder } = place();
    let (guard, now) = (Guard::new(settings), Instant::now());
    let scanner = asker("10.0.0.1", Reach::Proven);
    for number in 0..32 {
        guard.unlisted(scanner, device(number), now);
    }
    for number in 0..10_000_u32 {
        let [_, _, high, low] = number.to_be_bytes();
        guard.turn(asker(&format!("10.1.{high}.{low}"), Reach::Claimed), device(7), now);
    }
    assert_eq!(guard.turn(scanner, device(999), now), Turn::Throttled);
}

#[test]
fn a_named_site_has_its_own_limit_and_ipv6_counts_by_its_64() {
    let Place { settings, _folder } = place();
    let prefixes: Prefixes = ["10.9.0.0/16".parse()].into_iter().flatten().collect();
    let guard = Guard::new(GuardSettings { sites: vec![Site { prefixes, unlisted: 100 }], ..settings });
    let now = Instant::now();
    let (site, one, other) =
        (asker("10.9.1.1", Reach::Proven), asker("fd00::1", Reach::Proven), asker("fd00::ffff", Reach::Proven));
    for number in 0..99 {
        guard.unlisted(site, device(number), now);
        guard.unlisted(one, device(number), now);
    }
    assert_eq!(guard.turn(site, device(999), now), Turn::Go);
    assert_eq!(guard.turn(other, device(999), now), Turn::Throttled);
    guard.unlisted(site, device(99), now);
    assert_eq!(guard.turn(site, device(999), now), Turn::Throttled);
}

#[test]
fn pairs_outlive_the_guard_and_a_line_that_was_cut_short() {
    let Place { settings, _folder } = place();
    let [v4, v6] = ["10.0.0.1", "fd00::1:2:3:4"].map(|address| asker(address, Reach::Proven).client.source());
    let guard = Guard::new(settings.clone());
    guard.learned(v4, device(1));
    guard.learned(v6, device(2));
    drop(guard);
    let append = |text: &str| {
        let text = std::fs::read_to_string(&settings.file).unwrap_or_default() + text;
        std::fs::write(&settings.file, text).unwrap_or_else(|error| panic!("{error}"));
    };
    append("10.0.0.9 0004f2");
    let guard = Guard::new(settings.clone());
    guard.learned(v4, device(3));
    guard.save();
    let guard = Guard::new(settings.clone());
    for (source, number) in [(v4, 1), (v6, 2), (v4, 3)] {
        assert!(guard.state.pairs.knows(source, device(number)), "{source} {number}");
    }
    assert!(!guard.state.pairs.knows(v4, device(2)));
}

#[test]
fn a_guard_that_goes_keeps_no_runtime_waiting_for_the_disk() {
    let Place { settings, _folder } = place();
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build();
    let runtime = runtime.unwrap_or_else(|error| panic!("{error}"));
    let guard = Guard::new(settings.clone());
    guard.learned(asker("10.0.0.1", Reach::Proven).client.source(), device(1));
    let (release, hang) = std::sync::mpsc::channel::<()>();
    runtime.spawn_blocking(move || hang.recv());
    runtime.block_on(async { drop(guard) });
    assert!(!settings.file.exists(), "the one thread that may write them hangs");
    let (saved, done) = std::sync::mpsc::channel::<()>();
    runtime.spawn_blocking(move || drop(saved));
    drop(release);
    assert!(done.recv().is_err());
    assert!(settings.file.exists());
}

#[test]
fn pairs_are_bounded_and_those_in_use_stay() {
    let Place { settings, _folder } = place();
    let guard = Guard::new(GuardSettings { pairs: MostPairs::Fixed(100), ..settings.clone() });
    let source = asker("10.0.0.1", Reach::Proven).client.source();
    for number in 0..1000 {
        guard.learned(source, device(number));
        assert!(guard.state.pairs.knows(source, device(0)), "{number}");
    }
    let kept = |guard: &Guard| (0..1000).filter(|number| guard.state.pairs.knows(source, device(*number))).count();
    assert!((80..=100).contains(&kept(&guard)), "{}", kept(&guard));
    drop(guard);
    let guard = Guard::new(GuardSettings { pairs: MostPairs::Fixed(100), ..settings });
    assert!(kept(&guard) <= 100);
}

#[test]
#[ignore = "needs an empty file system of 1 MiB (mount -t tmpfs -o size=1m), its folder in PROVOST_TINY"]
fn a_full_disk_keeps_what_it_had_and_takes_the_rest_once_it_has_room() {
    let folder = PathBuf::from(std::env::var_os("PROVOST_TINY").unwrap_or_default());
    let guard = Guard::new(GuardSettings::new(folder.join("acme.pairs")));
    let source = asker("10.0.0.1", Reach::Proven).client.source();
    let lines = || {
        let text = std::fs::read_to_string(folder.join("acme.pairs")).unwrap_or_else(|error| panic!("{error}"));
        text.lines().filter(|line| !line.is_empty()).count()
    };
    guard.learned(source, device(0));
    guard.save();
    let ballast = folder.join("ballast");
    std::fs::write(&ballast, vec![0; 900 * 1024]).unwrap_or_else(|error| panic!("{error}"));
    (1..10_000).for_each(|number| guard.learned(source, device(number)));
    guard.save();
    assert_eq!(lines(), 1);
    // What came to nothing takes no room.
    std::fs::write(folder.join("another"), vec![0; 64 * 1024]).unwrap_or_else(|error| panic!("{error}"));
    std::fs::remove_file(ballast).unwrap_or_else(|error| panic!("{error}"));
    guard.save();
    assert_eq!(lines(), 10_000);
}

#[test]
fn a_file_of_which_most_lines_say_nothing_is_written_anew_rather_than_made_longer() {
    let Place { settings, _folder } = place();
    let source = asker("10.0.0.1", Reach::Proven).client.source();
    let guard = Guard::new(settings.clone());
    guard.learned(source, device(1));
    guard.save();
    let line = std::fs::read_to_string(&settings.file).unwrap_or_else(|error| panic!("{error}"));
    std::fs::write(&settings.file, line.repeat(10_000)).unwrap_or_else(|error| panic!("{error}"));
    let guard = Guard::new(settings.clone());
    // As long as its place is taken, a new file cannot be made.
    let temporary = settings.file.with_extension("new");
    std::fs::create_dir(&temporary).unwrap_or_else(|error| panic!("{error}"));
    let lines = || std::fs::read_to_string(&settings.file).map(|text| text.lines().count()).unwrap_or_default();
    for number in 2..5 {
        guard.learned(source, device(number));
        guard.save();
        guard.save();
        let new = usize::try_from(number).unwrap_or_default() - 1;
        assert_eq!(lines(), 10_000 + 2 * new, "each is appended once, behind an empty line");
    }
    std::fs::remove_dir(&temporary).unwrap_or_else(|error| panic!("{error}"));
    guard.learned(source, device(9));
    guard.save();
    assert_eq!((lines(), temporary.exists()), (5, false));
}

#[test]
fn the_order_of_use_outlives_the_guard() {
    let Place { settings, _folder } = place();
    let settings = GuardSettings { pairs: MostPairs::Fixed(100), ..settings };
    let source = asker("10.0.0.1", Reach::Proven).client.source();
    let guard = Guard::new(settings.clone());
    (0..100).for_each(|number| guard.learned(source, device(number)));
    assert!(guard.state.pairs.knows(source, device(0)));
    guard.save_last();
    let guard = Guard::new(settings);
    guard.learned(source, device(100));
    let known = [0, 1, 99].map(|number| guard.state.pairs.knows(source, device(number)));
    assert_eq!(known, [true, false, true]);
}

#[test]
fn more_pairs_are_kept_as_soon_as_there_are_more_devices() {
    let Place { settings, _folder: folder } = place();
    let file = folder.path().join("devices.csv");
    let rows = |count: u32| {
        let rows: Vec<String> = (0..count).map(|number| format!("{}\n", device(number))).collect();
        std::fs::write(&file, format!("mac\n{}", rows.concat())).unwrap_or_else(|error| panic!("{error}"));
    };
    rows(1);
    let of = DevicesSettings { file: Some(file.clone()), ..DevicesSettings::default() };
    let devices = Arc::new(Devices::load(of).unwrap_or_else(|errors| panic!("{errors:?}")));
    let pairs = MostPairs::OfDevices(Arc::clone(&devices));
    let guard = Guard::new(GuardSettings { pairs, ..settings });
    assert_eq!(guard.settings.pairs.now(), 65_536);
    rows(20_000);
    devices.refresh(Removals::Refuse);
    assert_eq!(guard.settings.pairs.now(), 80_000);
}

#[test]
fn a_limit_that_is_lowered_below_what_was_counted_raises_its_alarm() {
    let Place { settings, _folder } = place();
    let guard = Guard::new(GuardSettings { misses: 20, ..settings.clone() });
    let (asker, now) = (asker("10.0.0.1", Reach::Proven), Instant::now());
    let raised = |guard: &Guard| (0..15).filter_map(|_| guard.missed(asker, now)).count();
    assert_eq!(raised(&guard), 0);
    let guard = guard.renewed(GuardSettings { misses: 10, ..settings });
    assert_eq!([raised(&guard), raised(&guard)], [1, 0]);
}

#[test]
fn misses_and_sums_raise_alarms_and_refuse_nothing() {
    let Place { settings, _folder } = place();
    let guard = Guard::new(GuardSettings { alarm: 50, misses: 10, ..settings });
    let now = Instant::now();
    let raised: Vec<_> = (0..25).filter_map(|_| guard.missed(asker("10.0.0.1", Reach::Proven), now)).collect();
    assert_eq!(raised, [Alarm::Misses]);
    let askers: Vec<Asker> = (1..=60).map(|last| asker(&format!("10.0.1.{last}"), Reach::Proven)).collect();
    let raised: Vec<_> = askers.iter().filter_map(|asker| guard.unlisted(*asker, device(1), now)).collect();
    assert_eq!(raised, [Alarm::Unlisted]);
    assert_eq!(guard.turn(asker("10.0.0.1", Reach::Proven), device(7), now), Turn::Go);
}
