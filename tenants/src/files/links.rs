//! Links that lead out of a root, for the operator to know of: phones are told that there is nothing.

use std::path::PathBuf;

use super::FileError;
use super::root::{Root, leads_out, present};

/// Names that are looked at in each root.
const MAX_NAMES: usize = 100_000;

pub(super) fn that_lead_out<'r>(roots: impl Iterator<Item = &'r Root>) -> Result<Vec<PathBuf>, FileError> {
    let mut links = Vec::new();
    for root in roots {
        let mut folders = vec![String::new()];
        let mut left = MAX_NAMES;
        while let Some(folder) = folders.pop() {
            let here = if folder.is_empty() { "." } else { &folder };
            let failed = || FileError::io("look for links in", here);
            let Some(entries) = present(root.dir.read_dir(here)).map_err(failed())? else { continue };
            for entry in entries.take(left) {
                left -= 1;
                let entry = entry.map_err(failed())?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                let kind = entry.file_type().map_err(failed())?;
                if kind.is_dir() {
                    folders.push(path);
                } else if kind.is_symlink() && root.dir.metadata(&path).is_err_and(|error| leads_out(&error)) {
                    links.push(root.path().join(path));
                }
            }
        }
    }
    links.sort();
    Ok(links)
}
