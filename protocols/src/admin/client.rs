//! The operator's end. It blocks.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::{Answer, Request};

/// The longest answer in bytes: the status of thousands of tenants.
const MAX_ANSWER: u64 = 256 * 1024 * 1024;
/// How long an answer may take: reading a large configuration anew takes its time.
const PATIENCE: Duration = Duration::from_mins(2);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody answers there.
    #[error("no server answers at {}: is it running, with this configuration?", path.display())]
    NotRunning {
        /// The socket.
        path: std::path::PathBuf,
    },
    /// There is no folder for it, so that no server with this configuration can have made it.
    #[error(
        "there is no folder {}, so a server with this configuration has no admin socket: make it, or name another `socket` in \
         [admin], and start the server anew",
        folder.display()
    )]
    NoFolder {
        /// The folder in which the socket would stand.
        folder: std::path::PathBuf,
    },
    /// The system's error.
    #[error("cannot ask the server at {}", path.display())]
    Io {
        /// The socket.
        path: std::path::PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Asks the server whose admin socket stands at `path`.
///
/// # Errors
/// - [`AskError`]: there is no answer
pub fn ask(path: &Path, request: &Request) -> Result<Answer, AskError> {
    exchange(path, request).map_err(|source| failed(path, source))
}

fn failed(path: &Path, source: io::Error) -> AskError {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| folder.try_exists().is_ok_and(|is_there| !is_there)) {
        return AskError::NoFolder { folder: folder.to_owned() };
    }
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => AskError::NotRunning { path: path.to_owned() },
        _ => AskError::Io { path: path.to_owned(), source },
    }
}

fn exchange(path: &Path, request: &Request) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut text = serde_json::to_vec(request)?;
    text.push(b'\n');
    stream.write_all(&text)?;
    let mut line = Vec::new();
    BufReader::new(stream.take(MAX_ANSWER)).read_until(b'\n', &mut line)?;
    Ok(serde_json::from_slice(&line)?)
}
