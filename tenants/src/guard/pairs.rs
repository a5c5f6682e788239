//! Which source has had files of which device: in memory, and in one text file a tenant, a line a pair.
//!
//! New pairs are appended now and then; the file is written anew once most of its lines say nothing new. What a crash takes
//! with it are the pairs of the last seconds: those phones are new to their source once more, which a throttled
//! source alone would notice.

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
        let file = Mutex::new(PairsFile { path: path.to_path_buf(), lines });
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
        let saved = file.append(&fresh).and_then(|()| match self.worth_writing(file.lines) {
            Some(pairs) => file.write_anew(&pairs),
            None => Ok(()),
        });
        if let Err(error) = saved {
            tracing::warn!(file = %file.path.display(), %error, "cannot keep which source had which device");
            let mut known = self.known();
            let newer = std::mem::replace(&mut known.fresh, fresh);
            known.fresh.extend(newer);
            let beyond = known.fresh.len().saturating_sub(known.used.len());
            known.fresh.drain(..beyond);
        }
    }

    /// All pairs, where most of so many lines say nothing new. Requests ask what is known, so nothing is written under its lock.
    fn worth_writing(&self, lines: usize) -> Option<Vec<Pair>> {
        let known = self.known();
        (lines > 2 * known.used.len() + SPARE_LINES).then(|| known.in_order())
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

    fn in_order(&self) -> Vec<Pair> {
        let mut pairs: Vec<(u64, Pair)> = self.used.iter().map(|(pair, used)| (*used, *pair)).collect();
        pairs.sort_unstable_by_key(|(used, _)| *used);
        pairs.into_iter().map(|(_, pair)| pair).collect()
    }
}

impl PairsFile {
    fn append(&mut self, pairs: &[Pair]) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        // A line that a crash cut short must not run into the next.
        let begin = if self.lines == 0 { "" } else { "\n" };
        write(OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path)?, begin, pairs)?;
        self.lines += pairs.len();
        Ok(())
    }

    fn write_anew(&mut self, pairs: &[Pair]) -> io::Result<()> {
        let temporary = self.path.with_extension("new");
        let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
        // What it takes the place of must not be gone before it is on the disk.
        write(file, "", pairs)?.sync_all()?;
        std::fs::rename(&temporary, &self.path)?;
        self.lines = pairs.len();
        Ok(())
    }
}

fn write(file: File, begin: &str, pairs: &[Pair]) -> io::Result<File> {
    let mut file = BufWriter::new(file);
    file.write_all(begin.as_bytes())?;
    for (source, device) in pairs {
        writeln!(file, "{source} {device}")?;
    }
    Ok(file.into_inner()?)
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
