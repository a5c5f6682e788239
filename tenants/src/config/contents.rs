//! What a file of the configuration holds. Regular files alone are read: a pipe in the place of one would keep whoever opens it
//! waiting for a writer that never comes.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};

/// The bytes of the file at `path`. It blocks.
///
/// # Errors
/// - what the system says of it; [`io::ErrorKind::InvalidInput`] where it is no regular file
pub(super) fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut file = File::from(open(path, flags, Mode::empty())?);
    let facts = file.metadata()?;
    if !facts.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(facts.len()).unwrap_or_default());
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of the file at `path`. It blocks.
///
/// # Errors
/// - as [`bytes`]; [`io::ErrorKind::InvalidData`] where it is not UTF-8
pub(super) fn text(path: &Path) -> io::Result<String> {
    String::from_utf8(bytes(path)?).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_is_refused_and_keeps_nobody_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(bytes(&pipe).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(bytes(folder.path()).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        std::fs::write(folder.path().join("text"), [b'a', 0xff]).unwrap();
        assert_eq!(text(&folder.path().join("text")).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
