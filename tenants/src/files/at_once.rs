//! Opening and reading without waiting for a disk, so that it may happen on the runtime's own threads.
//!
//! Handing a request to another thread and back costs more than everything else that a small file takes. Most files that
//! phones ask for were asked for before: their names and bytes are in memory. So the kernel is asked for what it has there
//! (openat2(2) `RESOLVE_CACHED`, preadv2(2) `RWF_NOWAIT`), and whatever it would have to wait for, or is not settled here, goes
//! the long way. Only what is found counts: what is missing is looked for again the long way, so that a missing file and a
//! refusal cost the same.

use std::fs::File;
use std::io::IoSliceMut;
use std::sync::Arc;
use std::time::SystemTime;

use provost_core::path::Case;
use provost_core::{Mac, Prefer, RequestPath};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::absent::Look;
use super::folder::Folder;
use super::kept::Held;
use super::lookup::{Places, absent};
use super::root::{Links, Root, regular};
use super::{Files, OpenFile};

/// A file that is had without waiting.
pub(super) enum Had {
    /// It is open.
    Open(OpenFile),
    /// Its bytes are held.
    Held(Arc<Held>),
}

/// What a look into memory finds.
enum Glance {
    Found(Had),
    /// The name is known to be missing.
    Absent,
    /// Only the long way tells.
    Unknown,
}

/// The file at `path`, where all places before the one that has it are known not to.
pub(super) fn look_up(files: &Files, path: &RequestPath, device: Option<Mac>, places: Places) -> Option<Had> {
    let mut names = Names { first: path.as_str(), path, device, case: files.case, respelled: None };
    let mut vain = None;
    let mut uploads = || in_uploads(files, path, device, &mut vain);
    let mut glance = match places {
        // What is described there is what the next upload goes on with.
        Places::UploadsAlone => {
            let glance = stored(files, path, device);
            if matches!(glance, Glance::Absent) {
                feign_beyond_stored(files, path, device);
            }
            return glance.found();
        }
        Places::InOrder(Prefer::Uploads) => uploads().or(|| in_root(&files.root, &mut names)),
        Places::InOrder(Prefer::Root) => in_root(&files.root, &mut names).or(uploads),
    };
    for root in &files.shared {
        glance = glance.or(|| in_root(root, &mut names));
    }
    let found = glance.found();
    if let (Some(_), Some(look)) = (&found, vain) {
        look.was_in_vain();
    }
    found
}

/// Does the work of a look that finds nothing, and ends where that would.
pub(super) fn feign(files: &Files, path: &RequestPath, device: Option<Mac>) {
    let stored = match device {
        None => Glance::Absent,
        Some(device) => match files.uploads.reading_at_once(path, Some(device)) {
            Some((dir, name)) => open(&dir, &absent(path, &name), Links::Refuse),
            None => Glance::Unknown,
        },
    };
    if matches!(stored, Glance::Absent) {
        feign_beyond_stored(files, path, device);
    }
}

/// The part of that which comes after the look for what a phone has stored, as [`super::lookup`] has it.
fn feign_beyond_stored(files: &Files, path: &RequestPath, device: Option<Mac>) {
    let mut glance = Glance::Absent;
    if let Some(device) = device {
        let Some((dir, name)) = files.uploads.reading_at_once(path, Some(device)) else { return };
        let _ = std::hint::black_box(Look::new(&dir, &name, path.as_str(), SystemTime::now()));
        let absent = absent(path, &name);
        for _ in files.uploads.other_names(path, device) {
            glance = glance.or(|| open(&dir, &absent, Links::Refuse));
        }
    }
    let absent = absent(path, path.as_str());
    let respelled = vec![absent.clone(); path.spellings(device).len()];
    let mut names = Names { first: &absent, path, device, case: files.case, respelled: Some(respelled) };
    for root in files.roots() {
        glance = glance.or(|| in_root(root, &mut names));
    }
}

/// The names to try. Those after the first are made when that is missing.
struct Names<'p> {
    first: &'p str,
    path: &'p RequestPath,
    device: Option<Mac>,
    case: Case,
    respelled: Option<Vec<String>>,
}

impl Names<'_> {
    fn further(&mut self) -> impl Iterator<Item = &String> {
        let Self { path, device, respelled, .. } = self;
        respelled.get_or_insert_with(|| path.spellings(*device)).iter().skip(1)
    }
}

impl Glance {
    fn or(self, next: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Absent => next(),
            Self::Found(_) | Self::Unknown => self,
        }
    }

    fn found(self) -> Option<Had> {
        match self {
            Self::Found(file) => Some(file),
            Self::Absent | Self::Unknown => None,
        }
    }
}

fn stored(files: &Files, path: &RequestPath, device: Option<Mac>) -> Glance {
    let Some(device) = device else { return Glance::Absent };
    match files.uploads.reading_at_once(path, Some(device)) {
        Some((dir, name)) => open(&dir, &name, Links::Refuse),
        None => Glance::Unknown,
    }
}

/// A look that finds nothing, and might be spared the next time, is left in `vain`.
fn in_uploads(files: &Files, path: &RequestPath, device: Option<Mac>, vain: &mut Option<Look>) -> Glance {
    let Some(device) = device else { return Glance::Absent };
    let Some((dir, name)) = files.uploads.reading_at_once(path, Some(device)) else { return Glance::Unknown };
    let look = Look::new(&dir, &name, path.as_str(), SystemTime::now());
    if look.as_ref().is_some_and(Look::is_in_vain) {
        return Glance::Absent;
    }
    let mut glance = open(&dir, &name, Links::Refuse);
    if matches!(glance, Glance::Absent) {
        for name in files.uploads.other_names(path, device) {
            glance = glance.or(|| open(&dir, &name, Links::Refuse));
        }
    }
    if matches!(glance, Glance::Absent) {
        *vain = look;
    }
    glance
}

fn in_root(root: &Root, names: &mut Names<'_>) -> Glance {
    if !root.folder.is_local {
        return Glance::Unknown;
    }
    let mut glance = of_root(root, names.first);
    if matches!(glance, Glance::Absent) {
        for name in names.further() {
            glance = glance.or(|| of_root(root, name));
        }
    }
    match (glance, names.case) {
        // It may be there in another case.
        (Glance::Absent, Case::Ignore) => Glance::Unknown,
        (glance, Case::Exact | Case::Ignore) => glance,
    }
}

fn of_root(root: &Root, name: &str) -> Glance {
    if let Some(held) = root.shelf.find(&root.folder, name) {
        return Glance::Found(Had::Held(held));
    }
    match open(&root.folder, name, Links::Follow) {
        Glance::Found(Had::Open(file)) => {
            Glance::Found(root.shelf.hold(name, &file, SystemTime::now()).map_or(Had::Open(file), Had::Held))
        }
        other => other,
    }
}

fn open(folder: &Folder, path: &str, links: Links) -> Glance {
    let flags = match links {
        Links::Follow => OFlags::empty(),
        Links::Refuse => OFlags::NOFOLLOW,
    } | OFlags::RDONLY
        | OFlags::CLOEXEC
        | OFlags::NONBLOCK
        | OFlags::NOCTTY;
    // Another file system may be mounted below: of that nothing is known.
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV | ResolveFlags::CACHED;
    let file = match openat2(&**folder, path, flags, Mode::empty(), resolve) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Glance::Absent,
        Err(_) => return Glance::Unknown,
    };
    // The long way says what a folder or an error is.
    regular(folder, file).ok().flatten().map_or(Glance::Unknown, |file| Glance::Found(Had::Open(file)))
}

/// Reads `length` bytes from `first` on, if all of them are in memory.
pub fn read_at_once(file: &File, first: u64, length: u64) -> Option<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).ok()?];
    let read = preadv2(file, &mut [IoSliceMut::new(&mut bytes)], first, ReadWriteFlags::NOWAIT).ok()?;
    (read == bytes.len()).then_some(bytes)
}
