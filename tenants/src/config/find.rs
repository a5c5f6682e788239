//! The files that a glob names. `*`, `?` and `[…]` stand for parts of one segment; `**` is not known here, and names
//! that begin with a dot are found only by a pattern that does, too.

use std::fs::FileType;
use std::io;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

/// Why a glob finds nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum FindError {
    #[error("expected a glob: {0}")]
    NotGlob(String),
    #[error("cannot list {}: {source}", folder.display())]
    Unreadable { folder: PathBuf, source: io::Error },
}

/// Whether it stands for more than one name.
pub(super) fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?', '[', '{'])
}

/// What a pattern names, sorted.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) files: Vec<PathBuf>,
    /// Folders that are named as a file would be.
    pub(super) folders: Vec<PathBuf>,
}

/// The files that `pattern` names, sorted; relative ones count from `folder`. No file is no error.
///
/// # Errors
/// - [`FindError`]: not a glob, or a folder that is there cannot be listed
pub(super) fn files(pattern: &str, folder: &Path) -> Result<Vec<PathBuf>, FindError> {
    find(pattern, folder).map(|found| found.files)
}

/// The same, and the folders that the pattern names.
///
/// # Errors
/// - as [`files`]
pub(super) fn find(pattern: &str, folder: &Path) -> Result<Found, FindError> {
    let mut found = vec![Entry { path: folder.to_path_buf(), listed_as: None }];
    for component in Path::new(pattern).components() {
        let segment = component.as_os_str().to_str().unwrap_or_default();
        match component {
            Component::Normal(_) if is_glob(segment) => found = expand(&found, segment)?,
            _ => found.iter_mut().for_each(|entry| entry.enter(component)),
        }
    }
    // What is no regular file, or a link that leads nowhere, is told where it is read: passed over, its tenant would be gone.
    let (mut folders, mut files) = (Vec::new(), Vec::with_capacity(found.len()));
    for entry in found {
        match entry.is_folder() {
            Some(true) => folders.push(entry.path),
            Some(false) => files.push(entry.path),
            None => {}
        }
    }
    folders.sort();
    files.sort();
    Ok(Found { files, folders })
}

/// A path on the way, and as what its folder lists it, which spares a question for each of thousands.
struct Entry {
    path: PathBuf,
    listed_as: Option<FileType>,
}

impl Entry {
    fn enter(&mut self, component: Component<'_>) {
        self.path.push(component);
        self.listed_as = None;
    }

    /// `None` where nothing is there.
    fn is_folder(&self) -> Option<bool> {
        match self.listed_as {
            Some(listed) if listed.is_file() => Some(false),
            Some(listed) if listed.is_dir() => Some(true),
            // A link counts as what it leads to.
            Some(_) | None => match self.path.metadata() {
                Ok(facts) => Some(facts.is_dir()),
                Err(_) => self.path.symlink_metadata().is_ok().then_some(false),
            },
        }
    }
}

fn expand(folders: &[Entry], segment: &str) -> Result<Vec<Entry>, FindError> {
    let matcher = matcher(segment)?;
    let mut found = Vec::new();
    for Entry { path: folder, .. } in folders {
        let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let unreadable = |source| FindError::Unreadable { folder: listed.to_path_buf(), source };
        let entries = match listed.read_dir() {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => continue,
            entries => entries.map_err(unreadable)?,
        };
        for entry in entries {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name();
            let hidden = name.as_encoded_bytes().starts_with(b".") && !segment.starts_with('.');
            if !hidden && matcher.is_match(Path::new(&name)) {
                found.push(Entry { path: folder.join(name), listed_as: entry.file_type().ok() });
            }
        }
    }
    Ok(found)
}

fn matcher(segment: &str) -> Result<GlobMatcher, FindError> {
    let glob = GlobBuilder::new(segment).literal_separator(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| FindError::NotGlob(error.kind().to_string()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_glob_finds_files_in_order_and_leaves_hidden_ones() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b/2.pem", "a/1.pem", "a/.hidden.pem", "a/x.crl", "3.pem"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let found = |pattern: &str| -> Vec<String> {
            let found = files(pattern, folder.path()).unwrap();
            found.iter().map(|path| path.strip_prefix(folder.path()).unwrap().display().to_string()).collect()
        };
        assert_eq!(found("*/*.pem"), ["a/1.pem", "b/2.pem"]);
        assert_eq!(found("a/.*"), ["a/.hidden.pem"]);
        assert_eq!(found("3.pem"), ["3.pem"]);
        assert_eq!(found("a"), [""; 0]);
        assert_eq!(find("?", folder.path()).unwrap().folders, ["a", "b"].map(|name| folder.path().join(name)));
        assert_eq!(found("none/*.pem"), [""; 0]);
        assert!(matches!(files("a[", folder.path()), Err(FindError::NotGlob(_))));
    }
}
