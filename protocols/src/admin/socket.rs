//! The server's end: few connections, short lines, little time.

use std::collections::VecDeque;
use std::fs;
use std::future::Future;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::{Answer, MAX_REQUEST, Request};
use crate::listen;

/// Connections at once. An operator needs one.
const CONNECTIONS: usize = 16;
/// For a request to come: who asks has it ready.
const REQUEST: Duration = Duration::from_secs(2);
/// For an answer to be taken.
const PATIENCE: Duration = Duration::from_secs(10);
/// For another server to take a connection, where one may be there.
const LOOK: Duration = Duration::from_millis(100);

/// What answers requests.
pub type Answers = Arc<dyn Fn(Request) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync>;

/// A socket for the operator. Dropped, it is removed.
#[derive(Debug)]
pub struct AdminSocket {
    path: PathBuf,
    /// What stands at the path, by device and inode: a successor may have put its own there.
    file: (u64, u64),
    listener: UnixListener,
}

/// Connections that have not asked yet, oldest first.
#[derive(Debug, Default)]
struct Silent {
    waiting: Mutex<VecDeque<(u64, AbortHandle)>>,
}

impl AdminSocket {
    /// Binds the socket; one that a killed server has left behind is replaced. It must be called inside a tokio runtime.
    ///
    /// # Errors
    /// - [`io::ErrorKind::InvalidInput`]: the path is longer than that of a socket may be
    /// - [`io::ErrorKind::AddrInUse`]: another server answers there, or another user's may
    /// - [`io::ErrorKind::AlreadyExists`]: what stands there is no socket, and is left alone
    /// - what the system says: the folder is missing, or not ours
    pub async fn bind(path: &Path) -> io::Result<Self> {
        // Nobody could connect to it.
        std::os::unix::net::SocketAddr::from_pathname(path)?;
        if let Ok(facts) = fs::symlink_metadata(path) {
            if !facts.file_type().is_socket() {
                return Err(io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    "what stands there is no socket, and is left alone",
                ));
            }
            // One with a long queue answers nobody at once, and is there all the same.
            let answer = timeout(LOOK, UnixStream::connect(path)).await;
            match answer.map(|answer| answer.map_err(|error| error.kind())) {
                Ok(Err(io::ErrorKind::ConnectionRefused)) => {}
                Ok(Err(io::ErrorKind::PermissionDenied)) => {
                    return Err(io::Error::new(
                        io::ErrorKind::AddrInUse,
                        "the socket of another user stands there: remove it where no server of his runs",
                    ));
                }
                Ok(_) | Err(_) => {
                    return Err(io::Error::new(io::ErrorKind::AddrInUse, "another server answers there"));
                }
            }
            fs::remove_file(path)?;
        }
        // Nobody may connect between the two: without its mode, the socket stands in a folder of our own.
        let folder = path.parent().unwrap_or(Path::new("."));
        let inside = folder.join(format!(".provost-admin-{}", std::process::id()));
        fs::create_dir(&inside)?;
        let bound = fs::set_permissions(&inside, fs::Permissions::from_mode(0o700)).and_then(|()| {
            let hidden = inside.join("socket");
            // By the folder's descriptor: its path may be too long for that of a socket where the one asked for is not.
            let folder = fs::File::open(&inside)?;
            let listener = UnixListener::bind(format!("/proc/self/fd/{}/socket", folder.as_raw_fd()))?;
            fs::set_permissions(&hidden, fs::Permissions::from_mode(0o660))?;
            let file = identity(&hidden)?;
            fs::rename(&hidden, path)?;
            Ok(Self { path: path.to_owned(), file, listener })
        });
        // What may be left in it is ours, and the error of before says why.
        let _ = fs::remove_dir_all(&inside);
        bound
    }

    /// Answers until it is dropped.
    pub async fn serve(self, answers: Answers) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let silent = Arc::new(Silent::default());
        for number in 0.. {
            let failed = |error: &io::Error| tracing::warn!(%error, "cannot accept on the admin socket");
            let (stream, _) = listen::next(|| self.listener.accept(), failed).await;
            let Some(place) = place(&places, &silent).await else { continue };
            silent.begin(number, stream, place, Arc::clone(&answers));
        }
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|file| file == self.file) {
            // Where it is gone already there is nothing to do.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Silent {
    /// Serves a connection that has not asked yet.
    fn begin(self: &Arc<Self>, number: u64, stream: UnixStream, place: OwnedSemaphorePermit, answers: Answers) {
        let silent = Arc::clone(self);
        // Locked until it is listed: it cannot have asked before.
        let mut waiting = self.waiting();
        let task = tokio::spawn(async move {
            if let Err(error) = serve(stream, answers, || silent.has_asked(number)).await {
                tracing::warn!(%error, "a request on the admin socket failed");
            }
            silent.has_asked(number);
            drop(place);
        });
        waiting.push_back((number, task.abort_handle()));
    }

    fn has_asked(&self, number: u64) {
        self.waiting().retain(|(waiting, _)| *waiting != number);
    }

    /// Ends the one that has been silent the longest.
    fn end_oldest(&self) -> Option<()> {
        let (_, task) = self.waiting().pop_front()?;
        task.abort();
        Some(())
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<(u64, AbortHandle)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place, if need be that of a silent connection. There is none where all are being answered.
async fn place(places: &Arc<Semaphore>, silent: &Silent) -> Option<OwnedSemaphorePermit> {
    if let Ok(place) = Arc::clone(places).try_acquire_owned() {
        return Some(place);
    }
    silent.end_oldest()?;
    Arc::clone(places).acquire_owned().await.ok()
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let facts = fs::symlink_metadata(path)?;
    Ok((facts.dev(), facts.ino()))
}

async fn serve(stream: UnixStream, answers: Answers, has_asked: impl FnOnce()) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    let (reading, mut writing) = stream.into_split();
    let mut line = Vec::new();
    let mut reading = BufReader::new(reading.take(MAX_REQUEST));
    timeout(REQUEST, reading.read_until(b'\n', &mut line)).await??;
    has_asked();
    if line.is_empty() {
        // It only looked whether somebody answers, as a server does that waits for this socket.
        return Ok(());
    }
    let answer = match serde_json::from_slice::<Request>(&line) {
        Ok(request) => {
            let asked = request.name();
            tracing::info!(asked, uid = peer.uid(), gid = peer.gid(), pid = peer.pid(), "admin");
            answers(request).await
        }
        Err(error) => Answer::Refused { reason: format!("the request is not understood: {error}") },
    };
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    timeout(PATIENCE, writing.write_all(&text)).await??;
    writing.shutdown().await
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::admin::ask;

    fn answers() -> Answers {
        Arc::new(|_| Box::pin(async { Answer::Refused { reason: "answered".into() } }))
    }

    async fn is_answered(path: &Path) -> bool {
        let path = path.to_owned();
        let answer = tokio::task::spawn_blocking(move || ask(&path, &Request::Status)).await.unwrap();
        matches!(answer, Ok(Answer::Refused { reason }) if reason == "answered")
    }

    #[tokio::test]
    async fn whoever_asks_is_answered_at_once_however_many_are_silent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        let _serving = tokio::spawn(AdminSocket::bind(&path).await.unwrap().serve(answers()));
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS * 3 {
            silent.push(UnixStream::connect(&path).await.unwrap());
        }
        let began = Instant::now();
        assert!(is_answered(&path).await);
        assert!(began.elapsed() < REQUEST, "it waited for the silent ones: {:?}", began.elapsed());
    }

    #[tokio::test]
    async fn whoever_only_looks_whether_somebody_answers_is_no_failure() {
        let (mut near, far) = UnixStream::pair().unwrap();
        near.shutdown().await.unwrap();
        let served = serve(far, answers(), || ()).await;
        assert!(served.is_ok(), "{served:?}");
        let mut answer = Vec::new();
        near.read_to_end(&mut answer).await.unwrap();
        assert!(answer.is_empty(), "{answer:?}");
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("provost.toml");
        fs::write(&path, "precious").unwrap();
        assert_eq!(AdminSocket::bind(&path).await.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn a_socket_is_bound_wherever_it_can_be_connected_to_and_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = |length: usize| dir.path().join("x".repeat(length - dir.path().as_os_str().len() - 1));
        let socket = AdminSocket::bind(&path(107)).await.unwrap();
        let _serving = tokio::spawn(socket.serve(answers()));
        assert!(is_answered(&path(107)).await);
        assert_eq!(AdminSocket::bind(&path(108)).await.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[tokio::test]
    async fn a_socket_is_taken_over_from_the_dead_alone_and_never_removed_from_a_successor() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        let first = AdminSocket::bind(&path).await.unwrap();
        assert_eq!(AdminSocket::bind(&path).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        // It was removed by somebody, and another server has come.
        fs::remove_file(&path).unwrap();
        let second = AdminSocket::bind(&path).await.unwrap();
        drop(first);
        let serving = tokio::spawn(second.serve(answers()));
        assert!(is_answered(&path).await);
        serving.abort();
        let _ = serving.await;
        assert!(!path.exists());
        // As a killed server leaves it behind.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        AdminSocket::bind(&path).await.unwrap();
    }
}
