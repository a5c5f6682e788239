//! The device file changes while phones are served.
//!
//! A file that is half written, or that lost its rows by a mistake, must not cut phones off: a bad row, or a loss of more
//! than a tenth, keeps the former set. What is blocked counts at once all the same.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use provost_core::Mac;
use rustix::fs::{Mode, OFlags, open};

use super::file::{DeviceFileError, Reading, parse};
use super::set::DeviceSet;
use super::{Devices, DevicesSettings};
use crate::settled::is_left_alone;

/// How long a look at a device file may take before it is said to hang. A million devices take a second.
pub const HANGS: Duration = Duration::from_secs(5);

/// What became of a change of the device file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refresh {
    /// The file is as it was, or there is none.
    Unchanged,
    /// The new set is served.
    Replaced {
        /// How many devices it lists.
        devices: usize,
        /// How many of the former set it does not.
        removed: usize,
    },
    /// Rows are bad: the former set is served.
    KeptForErrors {
        /// What is wrong with the file.
        errors: Vec<DeviceFileError>,
        /// How many devices are blocked all the same.
        blocked: usize,
    },
    /// More than a tenth is missing: the former set is served.
    KeptForRemovals {
        /// How many devices the new set would list.
        devices: usize,
        /// How many of the former set are missing.
        removed: usize,
        /// How many devices are blocked all the same.
        blocked: usize,
    },
}

/// Whether a file that lost more than a tenth of the devices is meant so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Removals {
    /// It is a mistake until someone says otherwise.
    #[default]
    Refuse,
    /// It is meant so. The file is read even where it has not changed.
    Accept,
}

/// A device file that is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BadDeviceFile {
    /// What is wrong with it.
    pub errors: Vec<DeviceFileError>,
    /// What it blocks all the same.
    pub(super) blocked: Vec<Mac>,
}

/// Why devices under changed settings are not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unrenewed {
    /// The file has errors.
    Errors(Vec<DeviceFileError>),
    /// More than a tenth would be missing.
    Removals {
        /// How many devices there would be.
        devices: usize,
        /// How many would be missing.
        removed: usize,
        /// How many devices are blocked all the same.
        blocked: usize,
    },
}

/// What tells one version of a file from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint {
    modified: (i64, i64),
    /// Nobody can put that back, as those do who copy a file with its time.
    changed: (i64, i64),
    length: u64,
    inode: (u64, u64),
}

/// What is known of the device file.
#[derive(Debug, Default)]
pub(super) struct LastRead {
    /// What it was when it was last read; `None` where it must be read again.
    pub(super) fingerprint: Option<Fingerprint>,
    /// Why the former set is served, as long as the file stays what it was.
    pub(super) kept: Option<Refresh>,
}

/// Since when somebody looks at the device file.
#[derive(Debug, Default)]
pub(super) struct Looking {
    since: Mutex<Option<Instant>>,
    ended: Condvar,
}

/// A look that is under way.
struct Look<'l>(&'l Looking);

impl Looking {
    fn begin(&self) -> Look<'_> {
        *self.since() = Some(Instant::now());
        Look(self)
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        *self.0.since() = None;
        self.0.ended.notify_all();
    }
}

impl Devices {
    /// Whether somebody's look at the device file hangs. One that has just begun is waited for. It blocks, for five seconds at most.
    pub(crate) fn hangs(&self) -> bool {
        let since = self.looking.since();
        let Some(began) = *since else { return false };
        let goes_on = |since: &mut Option<Instant>| *since == Some(began);
        let left = HANGS.saturating_sub(began.elapsed());
        let waited = self.looking.ended.wait_timeout_while(since, left, goes_on);
        waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// As if somebody looked at the file and it hung.
    #[cfg(test)]
    pub(crate) fn hang(&self) {
        *self.looking.since() = Instant::now().checked_sub(HANGS);
    }

    /// Reads the device file again where it has changed. Where it is as it was and the former set is served for what is wrong
    /// with it, that is told again. It blocks.
    pub fn refresh(&self, removals: Removals) -> Refresh {
        let Some(path) = &self.settings.file else { return Refresh::Unchanged };
        let mut last = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let _look = self.looking.begin();
        let now = std::fs::metadata(path).ok().map(|facts| Fingerprint::of(&facts));
        if removals == Removals::Refuse && now.is_some() && now == last.fingerprint {
            return last.kept.clone().unwrap_or(Refresh::Unchanged);
        }
        let (fingerprint, refresh) = match read(path, &self.settings) {
            Ok((fingerprint, reading)) => (fingerprint, self.take(reading, removals)),
            Err(error) => (None, Refresh::KeptForErrors { errors: vec![error], blocked: 0 }),
        };
        *last = LastRead { fingerprint, kept: refresh.is_kept().then(|| refresh.clone()) };
        self.kept.store(last.kept.clone().map(Arc::new));
        refresh
    }

    /// The devices under changed settings; `None` where the settings are the same, and [`Devices::refresh`] is all there
    /// is to do. It blocks.
    ///
    /// # Errors
    /// - [`Unrenewed`]: the former devices are to be served on
    pub fn renewed(&self, settings: DevicesSettings, removals: Removals) -> Result<Option<(Self, Refresh)>, Unrenewed> {
        if settings == self.settings {
            return Ok(None);
        }
        let fresh = Self::load(settings).map_err(|BadDeviceFile { errors, blocked }| {
            self.block_now(&blocked);
            Unrenewed::Errors(errors)
        })?;
        let former = self.set.load();
        let (devices, removed) = (fresh.len(), former.missing_in(&fresh.set.load()));
        if removals == Removals::Refuse && removed > former.len() / 10 {
            let blocked = self.block_now(&fresh.set.load().blocked());
            return Err(Unrenewed::Removals { devices, removed, blocked });
        }
        Ok(Some((fresh, Refresh::Replaced { devices, removed })))
    }

    fn take(&self, reading: Reading, removals: Removals) -> Refresh {
        let former = self.set.load_full();
        let Reading { set, blocked, errors, is_whole: _ } = reading;
        if !errors.is_empty() {
            let blocked = self.block(&former, &blocked);
            return Refresh::KeptForErrors { errors, blocked };
        }
        // A file that was young when it was read is read once more, and mostly says the same.
        if set == *former {
            return Refresh::Unchanged;
        }
        let (devices, removed) = (set.len(), former.missing_in(&set));
        if removals == Removals::Refuse && removed > former.len() / 10 {
            let blocked = self.block(&former, &blocked);
            return Refresh::KeptForRemovals { devices, removed, blocked };
        }
        self.set.store(Arc::new(set));
        Refresh::Replaced { devices, removed }
    }

    /// Blocks these in whatever is served, beside nobody who reads the file.
    fn block_now(&self, blocked: &[Mac]) -> usize {
        let _last = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        self.block(&self.set.load(), blocked)
    }

    fn block(&self, former: &DeviceSet, blocked: &[Mac]) -> usize {
        let (set, fresh) = former.with_blocked(blocked);
        if fresh > 0 {
            self.set.store(Arc::new(set));
        }
        fresh
    }
}

impl Refresh {
    /// Whether the former set is served for what is wrong with the file.
    pub const fn is_kept(&self) -> bool {
        match self {
            Self::Unchanged | Self::Replaced { .. } => false,
            Self::KeptForErrors { .. } | Self::KeptForRemovals { .. } => true,
        }
    }
}

impl Fingerprint {
    fn of(facts: &Metadata) -> Self {
        Self {
            modified: (facts.mtime(), facts.mtime_nsec()),
            changed: (facts.ctime(), facts.ctime_nsec()),
            length: facts.len(),
            inode: (facts.dev(), facts.ino()),
        }
    }
}

/// Reads the file, and tells what it was: `None` where it may be another one already.
pub(super) fn read(path: &Path, settings: &DevicesSettings) -> Result<(Option<Fingerprint>, Reading), DeviceFileError> {
    let failed = |source: io::Error| DeviceFileError {
        file: path.to_owned(),
        line: 1,
        problem: format!("the file cannot be read: {source}"),
    };
    // A pipe must not keep us waiting: the devices of every tenant are looked at in one row.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(open(path, flags, Mode::empty()).map_err(io::Error::from).map_err(failed)?);
    let facts = file.metadata().map_err(failed)?;
    if !facts.is_file() {
        return Err(failed(io::ErrorKind::InvalidInput.into()));
    }
    let before = Fingerprint::of(&facts);
    let reading = parse(path, settings, &file);
    let after = file.metadata().map_err(failed)?;
    let counts = reading.is_whole && is_left_alone(&after, SystemTime::now());
    Ok(((counts && Fingerprint::of(&after) == before).then_some(before), reading))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use provost_core::Inventory;

    use super::super::DevicesSettings;
    use super::*;
    use crate::settled::LEFT_ALONE;

    struct Bench {
        _folder: tempfile::TempDir,
        file: PathBuf,
        devices: Devices,
    }

    fn mac(number: u8) -> Mac {
        Mac::from_octets([0, 4, 0xf2, 0, 0, number])
    }

    fn rows(numbers: std::ops::Range<u8>) -> String {
        let rows: Vec<String> = numbers.map(|number| format!("{},\n", mac(number))).collect();
        "mac,blocked\n".to_owned() + &rows.concat()
    }

    fn bench(text: &str) -> Bench {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let file = folder.path().join("devices.csv");
        std::fs::write(&file, text).unwrap_or_else(|error| panic!("{error}"));
        let settings = DevicesSettings { list: vec![mac(200)], file: Some(file.clone()), realm: "acme".into() };
        let devices = Devices::load(settings).unwrap_or_else(|errors| panic!("{errors:?}"));
        Bench { _folder: folder, file, devices }
    }

    impl Bench {
        fn proves(&self, number: u8, password: &str) -> bool {
            let users = crate::users::Users::new("acme", Vec::new());
            let check = users.check(&self.devices, mac(number).to_string().as_bytes(), crate::users::today());
            check.quick(password.as_bytes(), &crate::passwords::Memo::default()).is_some_and(|proof| proof.holds())
        }

        fn change(&self, text: &str) -> Refresh {
            std::fs::write(&self.file, text).unwrap_or_else(|error| panic!("{error}"));
            self.devices.refresh(Removals::Refuse)
        }

        fn blocked(&self, number: u8) -> Option<bool> {
            self.devices.find(mac(number)).map(|row| row.blocked)
        }
    }

    #[test]
    fn a_changed_file_replaces_the_set() {
        let bench = bench(&rows(0..20));
        assert_eq!(bench.devices.len(), 21);
        assert_eq!(bench.change(&rows(1..40)), Refresh::Replaced { devices: 40, removed: 1 });
        assert_eq!((bench.blocked(0), bench.blocked(39), bench.blocked(200)), (None, Some(false), Some(false)));
    }

    #[test]
    fn a_loss_of_more_than_a_tenth_is_kept_out_until_it_is_accepted() {
        let bench = bench(&rows(0..20));
        let lossy = rows(3..20) + &format!("{},yes\n", mac(50));
        let kept = Refresh::KeptForRemovals { devices: 19, removed: 3, blocked: 1 };
        assert_eq!(bench.change(&lossy), kept);
        assert_eq!((bench.blocked(0), bench.blocked(50)), (Some(false), Some(true)));
        // The device that is blocked beforehand counts among the former set.
        let accepted = bench.devices.refresh(Removals::Accept);
        assert_eq!(accepted, Refresh::Replaced { devices: 19, removed: 3 });
        assert_eq!(bench.blocked(0), None);
    }

    #[test]
    fn a_bad_row_keeps_the_former_set_and_blocks_at_once() {
        let bench = bench(&rows(0..20));
        let bad = format!("mac,blocked\nnonsense,\n{},yes\n", mac(7));
        let Refresh::KeptForErrors { errors, blocked } = bench.change(&bad) else { panic!("taken") };
        assert_eq!((errors.len(), blocked, bench.devices.len()), (1, 1, 21));
        assert_eq!((bench.blocked(7), bench.blocked(8)), (Some(true), Some(false)));
        assert_eq!(bench.change(&rows(0..20)), Refresh::Replaced { devices: 21, removed: 0 });
        assert_eq!(bench.blocked(7), Some(false));
        // Behind more bad rows than are told.
        let bad = format!("mac,blocked\n{}{},yes\n", "nonsense,\n".repeat(1000), mac(7));
        let Refresh::KeptForErrors { errors, blocked } = bench.change(&bad) else { panic!("taken") };
        assert_eq!((errors.len(), blocked, bench.blocked(7)), (100, 1, Some(true)));
    }

    #[test]
    fn another_file_that_is_not_taken_blocks_at_once() {
        let bench = bench(&rows(0..20));
        let other = bench.file.with_extension("other");
        let settings = DevicesSettings { file: Some(other.clone()), ..bench.devices.settings.clone() };
        let renewed = |text: String| {
            std::fs::write(&other, text).unwrap_or_else(|error| panic!("{error}"));
            bench.devices.renewed(settings.clone(), Removals::Refuse).err()
        };
        let lossy = renewed(format!("mac,blocked\n{},yes\n", mac(7)));
        assert_eq!(lossy, Some(Unrenewed::Removals { devices: 2, removed: 19, blocked: 1 }));
        let bad = renewed(format!("mac,blocked\nnonsense,\n{},yes\n", mac(9)));
        assert!(matches!(bad, Some(Unrenewed::Errors(errors)) if errors.len() == 1));
        assert_eq!([7, 8, 9].map(|number| bench.blocked(number)), [Some(true), Some(false), Some(true)]);
    }

    #[test]
    fn a_file_that_vanishes_keeps_the_former_set() {
        let bench = bench(&rows(0..20));
        std::fs::remove_file(&bench.file).unwrap_or_else(|error| panic!("{error}"));
        assert!(matches!(bench.devices.refresh(Removals::Refuse), Refresh::KeptForErrors { .. }));
        assert_eq!(bench.devices.len(), 21);
    }

    #[test]
    fn a_pipe_in_the_place_of_the_file_keeps_nobody_waiting() {
        let bench = bench(&rows(0..20));
        std::fs::remove_file(&bench.file).unwrap_or_else(|error| panic!("{error}"));
        let made = std::process::Command::new("mkfifo").arg(&bench.file).status();
        assert!(made.is_ok_and(|status| status.success()));
        assert!(matches!(bench.devices.refresh(Removals::Refuse), Refresh::KeptForErrors { .. }));
        assert_eq!(bench.devices.len(), 21);
    }

    #[test]
    fn a_file_that_says_the_same_changes_nothing_and_is_read_no_more_once_it_has_settled() {
        let bench = bench(&rows(0..20));
        let is_settled = || bench.devices.read.lock().is_ok_and(|last| last.fingerprint.is_some());
        let settle = || {
            std::thread::sleep(2 * LEFT_ALONE);
            bench.devices.refresh(Removals::Refuse)
        };
        let set_time = |time| {
            let file = File::options().write(true).open(&bench.file);
            file.and_then(|file| file.set_modified(time)).unwrap_or_else(|error| panic!("{error}"));
        };
        assert_eq!((settle(), is_settled()), (Refresh::Unchanged, true));
        // By a machine whose clock is ahead.
        let ahead = SystemTime::now() + Duration::from_hours(1);
        set_time(ahead);
        assert_eq!((settle(), is_settled()), (Refresh::Unchanged, true));
        // The same length in the same place, and the time put back.
        std::fs::write(&bench.file, rows(0..20).replace("05,", "55,")).unwrap_or_else(|error| panic!("{error}"));
        set_time(ahead);
        assert_eq!((settle(), is_settled()), (Refresh::Replaced { devices: 21, removed: 1 }, true));
        // The same length, another file under the name.
        let other = bench.file.with_extension("new");
        std::fs::write(&other, rows(1..21)).unwrap_or_else(|error| panic!("{error}"));
        std::fs::rename(&other, &bench.file).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(bench.devices.refresh(Removals::Refuse), Refresh::Replaced { devices: 21, removed: 2 });
    }

    #[test]
    fn a_bad_file_at_the_start_is_told_whole() {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let load = |name: &str| {
            Devices::load(DevicesSettings { list: vec![], file: Some(folder.path().join(name)), realm: "acme".into() })
        };
        std::fs::write(folder.path().join("bad.csv"), "mac\nx\ny\n").unwrap_or_else(|error| panic!("{error}"));
        for (name, errors) in [("bad.csv", 2), ("missing.csv", 1), ("", 1)] {
            assert_eq!(load(name).map_err(|bad| bad.errors.len()).err(), Some(errors), "{name}");
        }
    }

    #[test]
    fn the_password_of_a_device_is_its_own() {
        let bench = bench(&format!("mac,password\n{},secret\n{},\n", mac(1), mac(2)));
        for (number, password, holds) in [
            (1, "secret", true),
            (1, "Secret", false),
            (1, "", false),
            (2, "secret", false),
            (2, "", false),
            (3, "", false),
        ] {
            assert_eq!(bench.proves(number, password), holds, "{number} {password}");
        }
    }
}
