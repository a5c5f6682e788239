//! Which source has had files of which device: in memory, and in one text file a tenant, a line a pair.
//!
//! New pairs are appended now and then; the file is written anew once most of its lines would say nothing new, and at the end where pairs
//! will have to be forgotten before long, since the order of its lines is that of their use. What a crash takes
//! with it are that order and the pairs of the last seconds: those phones are new to their source once more, which a throttled
//! source alone would notice. A disk that is full has what it had.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::ops::Deref;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use provost_core::{Mac, Source};

use crate::leftovers::Leftovers;

type Pair = (Source, Mac);

/// Lines that the file may have beyond twice the pairs before it is written anew.
const SPARE_LINES: usize = 4096;

/// The pairs of one tenant. Dropped, they are saved, without waiting for the disk where the runtime would.
#[derive(Debug)]
pub(super) struct Pairs(Arc<Kept>);

#[derive(Debug)]
pub(super) struct Kept {
    known: Mutex<Known>,
    file: Mutex<PairsFile>,
}

#[derive(Debug, Default)]
struct Known {
    /// Each with the number of its last use.
    used: HashMap<Pair, u64>,
    uses: u64,
    /// Those that the file does not have yet.
    fresh: Vec<Pair>,
}

#[derive(Debug)]
struct PairsFile {
    path: PathBuf,
    lines: usize,
    /// What it failed at last, of which was told.
    told: Option<String>,
}

impl Pairs {
    /// What the file holds, the last `most` of it. A file that is not there holds nothing; one that cannot be read is
    /// told of, and the sources begin anew.
    pub(super) fn load(path: &Path, most: usize) -> Self {
        let mut known = Known::default();
        let lines = match read(path, &mut known, most) {
            Ok(lines) => lines,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "cannot read which source had which device");
                0
            }
        };
        known.fresh.clear();
        let file = Mutex::new(PairsFile { path: path.to_path_buf(), lines, told: None });
        Self(Arc::new(Kept { known: Mutex::new(known), file }))
    }
}

impl Deref for Pairs {
    type Target = Kept;

    fn deref(&self) -> &Kept {
        &self.0
    }
}

impl Kept {
    pub(super) fn knows(&self, source: Source, device: Mac) -> bool {
        let known = &mut *self.known();
        match known.used.get_mut(&(source, device)) {
            Some(used) => {
                known.uses += 1;
                *used = known.uses;
                true
            }
            None => false,
        }
    }

    /// The same, and it does not count as used.
    pub(super) fn holds(&self, source: Source, device: Mac) -> bool {
        self.known().used.contains_key(&(source, device))
    }

    pub(super) fn learn(&self, source: Source, device: Mac, most: usize) {
        self.known().learn((source, device), most);
    }

    /// Writes what is new. What cannot be written is tried again with the next.
    pub(super) fn save(&self) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = std::mem::take(&mut self.known().fresh);
        if fresh.is_empty() {
            return;
        }
        let anew = self.worth_writing(file.lines + fresh.len()).map(|pairs| file.write_anew(&pairs));
        // Where the disk has no room for all of them, it may have some for the new ones.
        let saved = if matches!(anew, Some(Ok(()))) { Ok(()) } else { file.append(&fresh) };
        if saved.is_err() {
            let mut known = self.known();
            let newer = std::mem::replace(&mut known.fresh, fresh);
            known.fresh.extend(newer);
            let beyond = known.fresh.len().saturating_sub(known.used.len());
            known.fresh.drain(..beyond);
        }
        file.tell(anew.into_iter().chain([saved]).find_map(Result::err));
    }

    /// The same at the end, with which of `most` pairs were used last.
    pub(super) fn save_last(&self, most: usize) {
        self.save();
        if self.known().used.len() > most / 2 {
            // Locked before it is asked what there is: a save that is under way would else add what is not among it.
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            let failed = file.write_anew(&self.in_order()).err();
            file.tell(failed);
        }
    }

    /// All pairs, where most of so many lines say nothing new.
    fn worth_writing(&self, lines: usize) -> Option<Vec<Pair>> {
        let known = self.known().used.len();
        (lines > 2 * known + SPARE_LINES).then(|| self.in_order())
    }

    /// All pairs, the one that was used last at the end. Requests ask what is known, so nothing is sorted or written under its lock.
    fn in_order(&self) -> Vec<Pair> {
        let mut pairs: Vec<(u64, Pair)> = self.known().used.iter().map(|(pair, used)| (*used, *pair)).collect();
        pairs.sort_unstable_by_key(|(used, _)| *used);
        pairs.into_iter().map(|(_, pair)| pair).collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pairs {
    fn drop(&mut self) {
        if self.known().fresh.is_empty() {
            return;
        }
        let kept = Arc::clone(&self.0);
        Leftovers::default().leave(move || kept.save());
    }
}

impl Known {
    fn learn(&mut self, pair: Pair, most: usize) {
        self.uses += 1;
        if self.used.insert(pair, self.uses).is_none() {
            self.fresh.push(pair);
        }
        if self.used.len() > most {
            self.forget_oldest(most / 8 + 1);
        }
    }

    /// An eighth at a time, so that the search for the oldest is worth its while.
    fn forget_oldest(&mut self, count: usize) {
        let mut uses: Vec<u64> = self.used.values().copied().collect();
        let count = count.min(uses.len().saturating_sub(1));
        let (_, oldest_kept, _) = uses.select_nth_unstable(count);
        let oldest_kept = *oldest_kept;
        self.used.retain(|_, used| *used >= oldest_kept);
        let known = &self.used;
        self.fresh.retain(|pair| known.contains_key(pair));
    }
}

impl PairsFile {
    fn append(&mut self, pairs: &[Pair]) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path)?;
        let length = file.metadata()?.len();
        // A line that a crash cut short must not run into the next.
        let begin = if length == 0 { "" } else { "\n" };
        if let Err(error) = write(&file, begin, pairs) {
            // All of it comes again, and what it took of a full disk may be the last that there was.
            let _ = file.set_len(length);
            return Err(error);
        }
        self.lines += pairs.len();
        Ok(())
    }

    fn write_anew(&mut self, pairs: &[Pair]) -> io::Result<()> {
        let temporary = self.path.with_extension("new");
        let written = self.replace_by(&temporary, pairs);
        if written.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        written
    }

    fn replace_by(&mut self, temporary: &Path, pairs: &[Pair]) -> io::Result<()> {
        let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(temporary)?;
        write(&file, "", pairs)?;
        // What it takes the place of must not be gone before it is on the disk.
        file.sync_all()?;
        std::fs::rename(temporary, &self.path)?;
        self.lines = pairs.len();
        Ok(())
    }

    /// Tells what failed, once for as long as it fails.
    fn tell(&mut self, failed: Option<io::Error>) {
        let failed = failed.map(|error| error.to_string());
        if let Some(error) = failed.as_ref().filter(|_| failed != self.told) {
            tracing::warn!(file = %self.path.display(), error, "cannot keep which source had which device");
        }
        self.told = failed;
    }
}

fn write(file: &File, begin: &str, pairs: &[Pair]) -> io::Result<()> {
    let mut file = BufWriter::new(file);
    file.write_all(begin.as_bytes())?;
    for (source, device) in pairs {
        writeln!(file, "{source} {device}")?;
    }
    file.flush()
}

/// How many lines there are. A line that is none is passed over: the file is ours, and a crash may cut its last one.
fn read(path: &Path, known: &mut Known, most: usize) -> io::Result<usize> {
    let mut lines = 0;
    for line in BufReader::new(File::open(path)?).split(b'\n') {
        let line = line?;
        lines += 1;
        let line = std::str::from_utf8(&line).ok().and_then(|line| line.split_once(' '));
        let pair = line.and_then(|(source, device)| Some((source.parse().ok()?, device.parse().ok()?)));
        if let Some(pair) = pair {
            known.learn(pair, most);
        }
    }
    Ok(lines)
}
