//! Paths as the system names them: absolute, without links and `..`.
//!
//! Thousands of tenants have most of their paths in common, so each folder on the way is looked at once.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use foldhash::HashMap;

/// What is known of folders within one load, as they are spelled.
#[derive(Debug, Default)]
pub(super) struct Canonical(HashMap<OsString, PathBuf>);

impl Canonical {
    /// The path as the system names it. Of one that is not there yet, the part that is. It blocks.
    pub(super) fn of(&mut self, path: &Path) -> PathBuf {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        self.resolve(&absolute)
    }

    fn resolve(&mut self, path: &Path) -> PathBuf {
        let Some(parent) = path.parent() else { return path.to_path_buf() };
        let folder = if let Some(known) = self.0.get(parent.as_os_str()) {
            known.clone()
        } else {
            let found = self.resolve(parent);
            self.0.insert(parent.into(), found.clone());
            found
        };
        match path.components().next_back() {
            Some(Component::ParentDir) => folder.parent().map_or(folder.clone(), Path::to_path_buf),
            Some(Component::Normal(name)) => {
                let here = folder.join(name);
                let is_link = here.symlink_metadata().is_ok_and(|found| found.is_symlink());
                if is_link { here.canonicalize().unwrap_or(here) } else { here }
            }
            Some(Component::CurDir | Component::RootDir | Component::Prefix(_)) | None => folder,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_path_is_named_as_the_system_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        for folder in ["a/b/c", "real/deep"] {
            fs::create_dir_all(top.join(folder)).unwrap();
        }
        fs::write(top.join("a/file"), "").unwrap();
        symlink("../real", top.join("a/link")).unwrap();
        symlink("link/deep", top.join("a/twice")).unwrap();
        symlink("nowhere", top.join("a/dangling")).unwrap();
        let mut canonical = Canonical::default();
        for _ in 0..2 {
            for there in
                ["a/b/c", "a/b/../file", "a/link/deep", "a/link/..", "a/twice", "a/b/c/../../twice/../deep", "a/./b/"]
            {
                assert_eq!(canonical.of(&top.join(there)), top.join(there).canonicalize().unwrap(), "{there}");
            }
            for (absent, expected) in
                [("a/link/new/x", "real/new/x"), ("a/dangling", "a/dangling"), ("new/../a/b", "a/b")]
            {
                assert_eq!(canonical.of(&top.join(absent)), top.join(expected), "{absent}");
            }
        }
        assert_eq!(canonical.of(Path::new("/")), Path::new("/"));
    }
}
