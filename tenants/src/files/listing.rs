//! Listings: the names of all places in one, as far as the permit shows them.

use std::collections::{BTreeMap, HashSet};
use std::time::SystemTime;

use cap_std::fs::{Dir, DirEntry, Metadata, MetadataExt};
use provost_core::path::Case;
use provost_core::{Kind, ListPermit, Prefer, RequestPath};

use super::root::{Root, present};
use super::{Entry, FileError, FileFacts, Files};

/// Names that are read for one listing, over all places; the rest is left out.
const MAX_NAMES: usize = 100_000;

/// Names that are looked at below folders of the uploads, for one listing.
const MAX_NAMES_BELOW: usize = 1_000;
/// How many folders deep that look goes.
const MAX_DEPTH_BELOW: usize = 8;

/// Whose names are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The operator's: a root that tenants share.
    Shared,
    /// The operator's: the tenant's root.
    Root,
    /// The phones': the uploads. Any phone can make a folder there by the path of its log, under a name of its choice.
    Uploads,
}

impl Place {
    /// Whether a file of this kind is described there. What a root has of a log is no size to go on from: HEAD and SIZE tell of
    /// what the phone has sent and of nothing else.
    const fn tells_of(self, kind: Kind) -> bool {
        match (self, kind) {
            (Self::Shared | Self::Root, Kind::Log) => false,
            (Self::Shared | Self::Root, Kind::Settings | Kind::File) | (Self::Uploads, _) => true,
        }
    }
}

struct Listing<'l> {
    permit: &'l ListPermit<'l>,
    entries: BTreeMap<String, Entry>,
    /// Files of the tenant's root that are looked for there before the uploads.
    preferred: HashSet<String>,
    left: usize,
    left_below: usize,
}

pub(super) fn list(files: &Files, permit: &ListPermit<'_>) -> Result<Vec<Entry>, FileError> {
    if !permit.shows_anything() {
        return Ok(Vec::new());
    }
    let mut listing = Listing {
        permit,
        entries: BTreeMap::new(),
        preferred: HashSet::new(),
        left: MAX_NAMES,
        left_below: MAX_NAMES_BELOW,
    };
    // What is looked for first is read last, and so stands. The uploads come after the roots for another reason too: how much of a
    // root is read never depends on what phones have sent.
    for shared in files.shared.iter().rev() {
        listing.read_root(Place::Shared, shared, files.case)?;
    }
    listing.read_root(Place::Root, &files.root, files.case)?;
    if let Some((uploads, name)) = files.uploads.reading(permit.folder(), permit.proven()) {
        listing.read(Place::Uploads, &uploads, &name)?;
    }
    Ok(listing.entries.into_values().collect())
}

impl Listing<'_> {
    /// Reads the folder under each of the names under which its files are looked for.
    fn read_root(&mut self, place: Place, root: &Root, case: Case) -> Result<(), FileError> {
        let folder = self.permit.folder();
        let mut names = folder.spellings(self.permit.proven());
        if case == Case::Ignore && !folder.is_root() {
            let name = folder.as_str();
            let spelled = root.spelled(name).map_err(FileError::io("look for", name))?;
            names.extend(spelled.filter(|spelled| !names.contains(spelled)));
        }
        names.iter().rev().try_for_each(|name| self.read(place, &root.folder, name))
    }

    fn read(&mut self, place: Place, dir: &Dir, folder: &str) -> Result<(), FileError> {
        let failed = || FileError::io("list", folder);
        let here = if folder.is_empty() { "." } else { folder };
        let Some(entries) = present(dir.read_dir(here)).map_err(failed())? else { return Ok(()) };
        for entry in entries {
            let Some(left) = self.left.checked_sub(1) else { return Ok(()) };
            self.left = left;
            let entry = entry.map_err(failed())?;
            self.see(place, dir, here, &entry).map_err(failed())?;
        }
        Ok(())
    }

    /// Adds what the permit shows. Names that no request could spell are not shown, temporaries among them.
    fn see(&mut self, place: Place, dir: &Dir, folder: &str, entry: &DirEntry) -> std::io::Result<()> {
        let Ok(name) = entry.file_name().into_string() else { return Ok(()) };
        let Some(path) = self.permit.folder().child(&name) else { return Ok(()) };
        let kind = entry.file_type()?;
        // What is no link is asked for only once it may be shown: most names of a large folder may not.
        let is_link = kind.is_symlink();
        let facts = if is_link { present(dir.metadata(format!("{folder}/{name}")))? } else { None };
        let (is_file, is_dir) =
            facts.as_ref().map_or((kind.is_file(), kind.is_dir()), |facts| (facts.is_file(), facts.is_dir()));
        if is_dir && self.permit.shows_folder(&path) {
            let is_known = place != Place::Uploads || self.entries.contains_key(&name);
            if !is_known && !self.holds_a_file(dir, &format!("{folder}/{name}"), &path, MAX_DEPTH_BELOW)? {
                return Ok(());
            }
            self.entries.entry(name.clone()).or_insert(Entry { name, facts: None });
        } else if is_file
            && let Some((kind, prefer)) = self.permit.shown(&path)
            && place.tells_of(kind)
            && !(place == Place::Uploads && self.preferred.contains(&name))
        {
            let Some(facts) = facts.map_or_else(|| present(entry.metadata()), |facts| Ok(Some(facts)))? else {
                return Ok(());
            };
            if (place, prefer) == (Place::Root, Prefer::Root) {
                self.preferred.insert(name.clone());
            }
            self.entries.insert(name.clone(), Entry { name, facts: Some(describe(&facts)) });
        }
        Ok(())
    }

    /// Whether below a folder of the uploads stands a file that the permit shows: else the folder's name is what one phone
    /// tells the others.
    fn holds_a_file(&mut self, dir: &Dir, folder: &str, path: &RequestPath, depth: usize) -> std::io::Result<bool> {
        let Some(entries) = present(dir.read_dir(folder))? else { return Ok(false) };
        for entry in entries {
            let Some(left) = self.left_below.checked_sub(1) else { return Ok(false) };
            self.left_below = left;
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let Some(path) = path.child(&name) else { continue };
            let kind = entry.file_type()?;
            let shown = if kind.is_dir() {
                depth > 0 && self.holds_a_file(dir, &format!("{folder}/{name}"), &path, depth - 1)?
            } else {
                kind.is_file() && self.permit.shows_file(&path)
            };
            if shown {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn describe(facts: &Metadata) -> FileFacts {
    let modified = facts.modified().map_or(SystemTime::UNIX_EPOCH, cap_std::time::SystemTime::into_std);
    FileFacts {
        size: facts.len(),
        modified,
        changed: (facts.ctime(), facts.ctime_nsec()),
        identity: (facts.dev(), facts.ino()),
    }
}
