//! The server's end: few connections, short lines, little time.

use std::fs;
use std::future::Future;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Answer, MAX_REQUEST, Request};

/// Connections at once. An operator needs one.
const CONNECTIONS: usize = 16;
/// For a request to come, and for its answer to be taken.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long accepting rests after an error.
const REST: Duration = Duration::from_millis(100);

/// What answers requests.
pub type Answers = Arc<dyn Fn(Request) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync>;

/// A socket for the operator. Dropped, it is removed.
#[derive(Debug)]
pub struct AdminSocket {
    path: PathBuf,
    listener: Option<UnixListener>,
}

impl AdminSocket {
    /// Binds the socket; one that a killed server has left behind is replaced. It must be called inside a tokio runtime.
    ///
    /// # Errors
    /// - what the system says: the folder is missing, or another server answers there
    pub fn bind(path: &Path) -> io::Result<Self> {
        if fs::symlink_metadata(path).is_ok_and(|facts| facts.file_type().is_socket()) {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(io::Error::new(io::ErrorKind::AddrInUse, "another server answers there"));
            }
            fs::remove_file(path)?;
        }
        // Nobody may connect between the two: without its mode, the socket stands in a folder of our own.
        let folder = path.parent().unwrap_or(Path::new("."));
        let inside = folder.join(format!(".provost-admin-{}", std::process::id()));
        fs::create_dir(&inside)?;
        let bound = fs::set_permissions(&inside, fs::Permissions::from_mode(0o700)).and_then(|()| {
            let hidden = inside.join("socket");
            let listener = UnixListener::bind(&hidden)?;
            fs::set_permissions(&hidden, fs::Permissions::from_mode(0o660))?;
            fs::rename(&hidden, path)?;
            Ok(listener)
        });
        // What may be left in it is ours, and the error of before says why.
        let _ = fs::remove_dir_all(&inside);
        Ok(Self { path: path.to_owned(), listener: Some(bound?) })
    }

    /// Answers until it is dropped.
    pub async fn serve(mut self, answers: Answers) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let Some(listener) = self.listener.take() else { return };
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
                    let answers = Arc::clone(&answers);
                    tokio::spawn(async move {
                        if let Err(error) = serve(stream, answers).await {
                            tracing::warn!(%error, "a request on the admin socket failed");
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept on the admin socket");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // Where it is gone already there is nothing to do.
        let _ = fs::remove_file(&self.path);
    }
}

async fn serve(stream: UnixStream, answers: Answers) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    let (reading, mut writing) = stream.into_split();
    let mut line = Vec::new();
    let mut reading = BufReader::new(reading.take(MAX_REQUEST));
    timeout(PATIENCE, reading.read_until(b'\n', &mut line)).await??;
    let answer = match serde_json::from_slice::<Request>(&line) {
        Ok(request) => {
            tracing::info!(?request, uid = peer.uid(), gid = peer.gid(), pid = peer.pid(), "admin");
            answers(request).await
        }
        Err(error) => Answer::Refused { reason: format!("the request is not understood: {error}") },
    };
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    timeout(PATIENCE, writing.write_all(&text)).await??;
    writing.shutdown().await
}
