//! Meeting the tenants' files on a thread of its own, so that a disk that hangs costs the tenants on it, and nobody else.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use super::newcomer::Newcomer;

/// How long one tenant's files may take before the others are met without it.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// A file that hung, and whether it has answered by now.
#[derive(Debug, Clone)]
pub(super) struct Hanging {
    pub(super) file: PathBuf,
    has_answered: Arc<AtomicBool>,
}

impl Hanging {
    pub(super) fn hangs(&self) -> bool {
        !self.has_answered.load(Ordering::Acquire)
    }
}

/// Meets the files in order. One that still hangs since an earlier load is not tried: each try costs a thread.
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
    let mut met = Vec::with_capacity(files.len());
    let mut rest: VecDeque<&PathBuf> = files.iter().collect();
    while !rest.is_empty() {
        let (tell, told) = channel();
        let has_answered = Arc::new(AtomicBool::new(false));
        let batch: Vec<PathBuf> = rest
            .iter()
            .filter(|file| !hang.iter().any(|hanging| hanging.file == ***file))
            .map(|file| (*file).clone())
            .collect();
        let (mut read, answers) = (begin(), Arc::clone(&has_answered));
        thread::spawn(move || {
            for file in batch {
                let newcomer = read(&file);
                if tell.send(newcomer).is_err() {
                    break;
                }
            }
            answers.store(true, Ordering::Release);
        });
        while let Some(file) = rest.pop_front() {
            if hang.iter().any(|hanging| hanging.file == *file) {
                met.push(hanging(file));
                continue;
            }
            match told.recv_timeout(patience) {
                Ok(newcomer) => met.push(newcomer),
                Err(RecvTimeoutError::Timeout) => {
                    met.push(hanging(file));
                    hang.push(Hanging { file: file.clone(), has_answered });
                    break;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    // Its reading panicked.
                    met.push(hanging(file));
                    break;
                }
            }
        }
    }
    (met, hang)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::sync::Mutex;

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
                meet(&files, Duration::from_millis(200), still, begin, |file| Newcomer::hanging(file, &memory));
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
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while still.iter().any(Hanging::hangs) && std::time::Instant::now() < deadline {
            thread::yield_now();
        }
        assert_eq!(round(still).0, ["a.met", "b.met", "c.met"]);
    }
}
