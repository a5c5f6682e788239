//! Meeting the tenants' files on threads of their own, so that a disk that hangs costs the tenants on it, and nobody else.

use std::fmt;
use std::mem;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::newcomer::Newcomer;

/// How long one tenant's files may take before the others are met without it.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Most threads that meet files at a time. Where one file hangs, those beside it may as well, and are not to be waited for one by one.
const MOST_ROUNDS: usize = 64;

/// A file that hung.
#[derive(Clone)]
pub(super) struct Hanging {
    pub(super) file: PathBuf,
    round: Arc<Round>,
}

/// Files that one thread meets. It tells nobody of each: waking costs more than to know a file again.
struct Round {
    progress: Mutex<Progress>,
    ended: Condvar,
}

struct Progress {
    met: Vec<Newcomer>,
    /// When it began with the present file.
    since: Instant,
    /// Nobody waits for what is met from here on.
    is_left: bool,
    has_ended: bool,
}

/// Whatever ends the thread says so.
struct End(Arc<Round>);

impl Hanging {
    /// Whether it has not answered by now.
    pub(super) fn hangs(&self) -> bool {
        !self.round.has_ended()
    }
}

impl fmt::Debug for Hanging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hanging").field("file", &self.file).finish_non_exhaustive()
    }
}

/// Meets the files; what comes of them stands in their order. One that still hangs since an earlier load is not tried: each try costs
/// a thread.
pub(super) fn meet<M>(
    files: &[PathBuf],
    patience: Duration,
    still: Vec<Hanging>,
    begin: impl Fn() -> M,
    hanging: impl Fn(&Path) -> Newcomer,
) -> (Vec<Newcomer>, Vec<Hanging>)
where
    M: FnMut(&Path) -> Newcomer + Send + 'static,
{
    let mut hang = still;
    hang.retain(Hanging::hangs);
    let is_hanging = |file: &PathBuf| hang.iter().any(|one| one.file == *file);
    let mut met: Vec<(&PathBuf, Option<Newcomer>)> =
        files.iter().map(|file| (file, is_hanging(file).then(|| hanging(file)))).collect();
    let mut threads = thread::available_parallelism().map_or(1, NonZero::get);
    loop {
        let mut rest: Vec<_> = met.iter_mut().filter(|(_, newcomer)| newcomer.is_none()).collect();
        if rest.is_empty() {
            break;
        }
        let share = rest.len().div_ceil(threads);
        let rounds: Vec<_> = rest.chunks_mut(share).map(|share| (Round::begin(share, begin()), share)).collect();
        for (round, share) in rounds {
            let mut share = share.iter_mut();
            for (newcomer, (_, place)) in round.met(patience).into_iter().zip(&mut share) {
                *place = Some(newcomer);
            }
            let Some((file, place)) = share.next() else { continue };
            *place = Some(hanging(file));
            // One that has ended has panicked.
            if !round.has_ended() {
                hang.push(Hanging { file: (*file).clone(), round });
            }
        }
        threads = (2 * threads).min(MOST_ROUNDS);
    }
    (met.into_iter().filter_map(|(_, newcomer)| newcomer).collect(), hang)
}

impl Round {
    /// Meets the files, in order, on a thread of its own, until nobody waits for it any more.
    fn begin<M>(files: &[&mut (&PathBuf, Option<Newcomer>)], mut meet: M) -> Arc<Self>
    where
        M: FnMut(&Path) -> Newcomer + Send + 'static,
    {
        let progress = Progress { met: Vec::new(), since: Instant::now(), is_left: false, has_ended: false };
        let round = Arc::new(Self { progress: Mutex::new(progress), ended: Condvar::new() });
        let files: Vec<PathBuf> = files.iter().map(|(file, _)| (*file).clone()).collect();
        let own = End(Arc::clone(&round));
        // Where the system has no thread to give, the closure is dropped, and with it the end is told.
        let _ = thread::Builder::new().spawn(move || {
            for file in files {
                let newcomer = meet(&file);
                let mut progress = own.0.progress();
                if progress.is_left {
                    break;
                }
                progress.met.push(newcomer);
                progress.since = Instant::now();
            }
        });
        round
    }

    /// What was met, once it is all, or once a file has taken longer than `patience`. Nobody waits any more then.
    fn met(&self, patience: Duration) -> Vec<Newcomer> {
        let mut progress = self.progress();
        loop {
            let left = patience.saturating_sub(progress.since.elapsed());
            if progress.has_ended || left.is_zero() {
                break;
            }
            let waited = self.ended.wait_timeout(progress, left);
            progress = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        progress.is_left = true;
        mem::take(&mut progress.met)
    }

    fn has_ended(&self) -> bool {
        self.progress().has_ended
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.0.progress().has_ended = true;
        self.0.ended.notify_all();
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::sync::mpsc::channel;

    use super::super::memory::Memory;
    use super::*;

    #[test]
    fn a_file_that_hangs_costs_its_own_tenant_alone_and_one_thread() {
        let files: Vec<PathBuf> = ["a", "b", "c"].map(PathBuf::from).to_vec();
        let (release, hang) = channel::<()>();
        let hang = Arc::new(Mutex::new(hang));
        let tries = Arc::new(Mutex::new(Vec::new()));
        let memory = Memory::default();
        let round = |still: Vec<Hanging>| {
            let begin = || {
                let (hang, tries) = (Arc::clone(&hang), Arc::clone(&tries));
                move |file: &Path| {
                    tries.lock().unwrap().push(file.to_path_buf());
                    if file == Path::new("b") {
                        // It hangs until the other end is dropped.
                        let _ = hang.lock().unwrap().recv();
                    }
                    let mut newcomer = Newcomer::hanging(file, &Memory::default());
                    newcomer.file = file.with_extension("met");
                    newcomer
                }
            };
            let (met, hang) =
                meet(&files, Duration::from_secs(1), still, begin, |file| Newcomer::hanging(file, &memory));
            let names: Vec<_> = met.iter().map(|newcomer| newcomer.file.display().to_string()).collect();
            (names, hang)
        };
        let (met, still) = round(Vec::new());
        assert_eq!(met, ["a.met", "b", "c.met"]);
        let (met, still) = round(still);
        assert_eq!((met, still.len()), (["a.met", "b", "c.met"].map(String::from).to_vec(), 1));
        let count = tries.lock().unwrap().iter().filter(|file| file.as_path() == Path::new("b")).count();
        assert_eq!(count, 1, "each try would cost a thread");
        drop(release);
        let deadline = Instant::now() + Duration::from_secs(10);
        while still.iter().any(Hanging::hangs) && Instant::now() < deadline {
            thread::yield_now();
        }
        assert_eq!(round(still).0, ["a.met", "b.met", "c.met"]);
    }

    #[test]
    fn many_files_that_hang_are_not_waited_for_one_by_one() {
        let files: Vec<PathBuf> = (0..400).map(|number| PathBuf::from(number.to_string())).collect();
        let is_bad = |file: &Path| file.to_str().unwrap().ends_with('7');
        let (release, hang) = channel::<()>();
        let hang = Arc::new(Mutex::new(hang));
        let begin = || {
            let hang = Arc::clone(&hang);
            move |file: &Path| {
                if is_bad(file) {
                    let _ = hang.lock().unwrap().recv();
                }
                Newcomer::hanging(&file.with_extension("met"), &Memory::default())
            }
        };
        let (patience, start) = (Duration::from_secs(1), Instant::now());
        let (met, hang) = meet(&files, patience, Vec::new(), begin, |file| Newcomer::hanging(file, &Memory::default()));
        // One by one it would be 40 times as long as one may take.
        assert!(start.elapsed() < patience * 25, "{:?}", start.elapsed());
        for (file, newcomer) in files.iter().zip(met) {
            let expected = if is_bad(file) { file.clone() } else { file.with_extension("met") };
            assert_eq!(newcomer.file, expected);
        }
        assert_eq!(hang.len(), 40);
        drop(release);
    }
}
