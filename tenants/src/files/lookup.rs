//! The order in which a file is looked for.

use provost_core::path::{Case, RESERVED_PREFIX};
use provost_core::{Mac, Prefer, RequestPath};

use super::root::{Links, Root, open};
use super::{FileError, Files, OpenFile};

/// Where to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Places {
    /// In the uploads, the root and the shared roots; the root before the uploads where the rule prefers it.
    InOrder(Prefer),
    /// In the uploads and nowhere else.
    UploadsAlone,
}

/// What is looked for: the names in the order in which they are tried.
struct Wanted<'w> {
    path: &'w RequestPath,
    device: Option<Mac>,
    spellings: Vec<String>,
}

type Found = Result<Option<OpenFile>, FileError>;

/// Looks for the file at `path`.
pub(super) fn look_up(files: &Files, path: &RequestPath, device: Option<Mac>, places: Places) -> Found {
    let wanted = Wanted { path, device, spellings: path.spellings(device) };
    match places {
        // What is described there is what the next upload goes on with.
        Places::UploadsAlone => {
            let found = stored(files, &wanted)?;
            if found.is_none() {
                feign_beyond_stored(files, path, device);
            }
            Ok(found)
        }
        Places::InOrder(Prefer::Uploads) => {
            first([&|| in_uploads(files, &wanted), &|| in_root(files, &files.root, &wanted)], files, &wanted)
        }
        Places::InOrder(Prefer::Root) => {
            first([&|| in_root(files, &files.root, &wanted), &|| in_uploads(files, &wanted)], files, &wanted)
        }
    }
}

fn first(own: [&dyn Fn() -> Found; 2], files: &Files, wanted: &Wanted<'_>) -> Found {
    for place in own {
        if let Some(file) = place()? {
            return Ok(Some(file));
        }
    }
    for shared in &files.shared {
        if let Some(file) = in_root(files, shared, wanted)? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// What a phone has sent; and what an operator has put there by hand, in whatever spelling.
fn in_uploads(files: &Files, wanted: &Wanted<'_>) -> Found {
    if let Some(file) = stored(files, wanted)? {
        return Ok(Some(file));
    }
    let Some(device) = wanted.device else { return Ok(None) };
    let Some((dir, _)) = files.uploads.reading(wanted.path, Some(device)) else { return Ok(None) };
    for name in files.uploads.other_names(wanted.path, device) {
        if let Some(file) = open(&dir, &name, Links::Refuse).map_err(FileError::io("open the upload", &name))? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// An upload is stored under one name, whatever the spelling that is asked for; and each belongs to a device.
fn stored(files: &Files, wanted: &Wanted<'_>) -> Found {
    let Some(device) = wanted.device else { return Ok(None) };
    // Where the directory cannot be had, the operator's files are served all the same: phones must boot.
    let Some((dir, name)) = files.uploads.reading(wanted.path, Some(device)) else { return Ok(None) };
    open(&dir, &name, Links::Refuse).map_err(FileError::io("open the upload", &name))
}

fn in_root(files: &Files, root: &Root, wanted: &Wanted<'_>) -> Found {
    for name in &wanted.spellings {
        if let Some(file) = open(&root.folder, name, Links::Follow).map_err(FileError::io("open", name))? {
            return Ok(Some(file));
        }
    }
    match files.case {
        Case::Exact => Ok(None),
        Case::Ignore => without_case(root, wanted.path.as_str()),
    }
}

fn without_case(root: &Root, path: &str) -> Found {
    let Some(name) = root.spelled(path).map_err(FileError::io("look for", path))? else { return Ok(None) };
    open(&root.folder, &name, Links::Follow).map_err(FileError::io("open", &name))
}

/// Looks for a name that no root has, in as many places and spellings as for `path` of that device.
pub(super) fn feign(files: &Files, path: &RequestPath, device: Option<Mac>) {
    if let Some(device) = device
        && let Some((uploads, name)) = files.uploads.reading(path, Some(device))
    {
        let _ = open(&uploads, &absent(path, &name), Links::Refuse);
    }
    feign_beyond_stored(files, path, device);
}

/// The part of that which comes after the look for what a phone has stored. Of a log there is no other look, and one that is missing
/// must cost what a refusal costs: else the time tells which devices are listed.
fn feign_beyond_stored(files: &Files, path: &RequestPath, device: Option<Mac>) {
    if let Some(device) = device
        && let Some((uploads, name)) = files.uploads.reading(path, Some(device))
    {
        let absent = absent(path, &name);
        for _ in files.uploads.other_names(path, device) {
            let _ = open(&uploads, &absent, Links::Refuse);
        }
    }
    let (absent, spellings) = (absent(path, path.as_str()), path.spellings(device).len());
    for root in files.roots() {
        for _ in 0..spellings {
            let _ = open(&root.folder, &absent, Links::Follow);
        }
        match files.case {
            Case::Exact => {}
            Case::Ignore => drop(root.spelled(&absent)),
        }
    }
}

/// A name that stands nowhere, for a look that finds nothing in place of one for `path`, here spelled as `name`. It is the server's own, so
/// that neither a file nor a folder of a device makes a difference; the folders that name none cost what they cost for every device.
pub(super) fn absent(path: &RequestPath, name: &str) -> String {
    match name.get(..path.site_folders().len()) {
        None | Some("") => format!("{RESERVED_PREFIX}absent"),
        Some(folders) => format!("{folders}/{RESERVED_PREFIX}absent"),
    }
}
