//! A spooled body goes where it belongs.

use std::io;
use std::sync::Arc;

use cap_std::fs::Dir;
use provost_core::Kind;
use provost_core::upload::{Held, Part, Placement, place};

use super::disk::{append, begins_with, facts, failed, make_folders, overlay};
use super::ledger::Change;
use super::recent::Answered;
use super::root::Root;
use super::rotation::Rotation;
use super::spool::{Announced, Spool};
use super::{Stored, Target, UploadError};
use crate::files::FileFacts;

const GAP: &str = "gap";
const LATE_START: &str = "late_start";
const NOT_KEPT: &str = "not_kept";
const REPEATED: &str = "repeated";
const ROTATED: &str = "rotated";

/// What is done to the upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Keep,
    Replace,
    Append,
    Overlay { offset: u64 },
    Rotate,
}

/// What is done, and what the record says of it.
type Plan = (Action, Option<&'static str>);

pub(super) fn apply(
    spool: &mut Spool,
    target: Target,
    holds: impl Fn(Option<&FileFacts>) -> bool,
) -> Result<Stored, UploadError> {
    let state = Arc::clone(&spool.upload.state);
    let root = state.root_now()?;
    if !Arc::ptr_eq(&root, &spool.body.root) {
        // It lies in a folder that nobody reads any more.
        return Err(failed("put the body in place")(io::ErrorKind::NotFound.into()));
    }
    root.sync_entry(state.directory(), spool.upload.settings.durability)?;
    let root: &Root = &root;
    let _lock = state.locks.lock(&spool.upload.path);
    let mut found = match facts(root, &spool.upload.path) {
        // A folder in which nothing is stored makes way.
        Err(UploadError::Unstorable) if root.remove_dir(&spool.upload.path).is_ok() => None,
        found => found?,
    };
    let mut is_first = true;
    loop {
        if !holds(found.as_ref()) {
            return Err(UploadError::Changed);
        }
        if let (Kind::Log, Some(log)) = (spool.upload.permit.rule().kind, &found)
            && let Some(gone) = Rotation::mend(root, &spool.upload.path, log.identity)?
        {
            state.settle(root, spool.upload.device, &gone);
        }
        let applied = apply_to(spool, root, target, found);
        let is_gone =
            matches!(&applied, Err(UploadError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound);
        // What the operator discards meanwhile is simply not there: the upload, or a folder that was made for it and is empty yet.
        let is_again = !std::mem::take(&mut is_first);
        if !is_gone || found.take().is_none() && is_again || facts(root, &spool.upload.path)?.is_some() {
            return applied;
        }
    }
}

/// Applies the body to the upload that was found; `None` where there is none.
fn apply_to(spool: &mut Spool, root: &Root, target: Target, found: Option<FileFacts>) -> Result<Stored, UploadError> {
    let held = found.map(|found| found.size);
    let part = part(target, spool.len(), held)?;
    let answered = match part.filter(|_| may_repeat(target)) {
        Some(part) => Some(Answered { part, digest: spool.digest()? }),
        None => None,
    };
    let (action, note) = match part {
        None => (Action::Replace, None),
        Some(part) => plan(spool, root, answered.as_ref(), part, found)?,
    };
    let done = carry_out(spool, root, action, held)?;
    let note = if action == Action::Rotate && done == Action::Replace { Some(NOT_KEPT) } else { note };
    let Announced { state, path, .. } = &spool.upload;
    let stored = facts(root, path)?;
    match answered.zip(stored) {
        Some((answered, stored)) => state.recent.remember(path, answered, stored),
        None => state.recent.forget(path),
    }
    Ok(Stored { created: held.is_none(), note, size: stored.map_or(0, |stored| stored.size) })
}

/// The part of the upload that the body is; `None` where it is the whole.
fn part(target: Target, length: u64, held: Option<u64>) -> Result<Option<Part>, UploadError> {
    Ok(match target {
        Target::Whole | Target::Offset(0) => None,
        Target::Range(range) => {
            range.check_body(length).map_err(|_| UploadError::BodyLength)?;
            Some(Part { first: range.first(), length, complete: range.complete() })
        }
        Target::Offset(first) => Some(Part { first, length, complete: None }),
        Target::End => Some(Part { first: held.unwrap_or(0), length, complete: None }),
    })
}

/// The same bytes to the end twice are two appends: APPE says nothing of where they belong.
fn may_repeat(target: Target) -> bool {
    match target {
        Target::Range(_) | Target::Offset(_) => true,
        Target::Whole | Target::End => false,
    }
}

fn plan(
    spool: &mut Spool,
    root: &Dir,
    answered: Option<&Answered>,
    part: Part,
    found: Option<FileFacts>,
) -> Result<Plan, UploadError> {
    let held = found.map(|found| found.size);
    // Where the operator has discarded or changed the upload, the phone must be able to send it again.
    let is_last = |(answered, file)| spool.upload.state.recent.is_last(&spool.upload.path, answered, file);
    let repeats_last = answered.zip(found).is_some_and(is_last);
    let comparable = part.first == 0 && held.is_some_and(|size| size >= part.length);
    let equals_held = comparable && begins_with(root, &spool.upload.path, &mut spool.body.file)?;
    let rule = spool.upload.permit.rule();
    let max_log = rule.max_size.unwrap_or(spool.upload.settings.max_log);
    let size = held.unwrap_or(0);
    let end = part.first.saturating_add(part.length);
    let rotates = |past_max: bool| rule.kind == Kind::Log && size > 0 && past_max;
    Ok(match place(rule.kind, rule.gap, part, Held { size: held, repeats_last, equals_held }) {
        Placement::Keep => (Action::Keep, Some(REPEATED)),
        Placement::Create { gap: 0 } | Placement::Replace => (Action::Replace, None),
        Placement::Create { gap: _ } => (Action::Replace, Some(LATE_START)),
        Placement::Append { gap } => {
            let rotates = rotates(size.saturating_add(part.length) > max_log);
            match (rotates, gap) {
                (false, 0) => (Action::Append, None),
                (false, _) => (Action::Append, Some(GAP)),
                (true, 0) => (Action::Rotate, Some(ROTATED)),
                (true, _) => (Action::Rotate, Some(GAP)),
            }
        }
        // Else a log that is only ever written in place would never rotate.
        Placement::InPlace { .. } if rotates(size > max_log && end > size) => (Action::Rotate, Some(ROTATED)),
        Placement::InPlace { offset } => (Action::Overlay { offset }, None),
        Placement::Rotate => (Action::Rotate, Some(ROTATED)),
        Placement::Refuse { size } => return Err(UploadError::BeyondEnd { size }),
    })
}

/// Does it, and says what was done: a log that would rotate is replaced where there is no room for both.
fn carry_out(spool: &mut Spool, root: &Root, action: Action, held: Option<u64>) -> Result<Action, UploadError> {
    if action == Action::Keep {
        return Ok(action);
    }
    let (length, size) = (spool.len(), held.unwrap_or(0));
    let Announced { settings, device, path, .. } = &spool.upload;
    let (state, device) = (Arc::clone(&spool.upload.state), *device);
    let copies = copies(action, length, size);
    let _written_now = state.promised.promise(root.disk(), copies);
    let needed = spool.upload.needed(0);
    if copies > 0 {
        state.check_free(root, device, settings, needed)?;
    }
    let plan = |old| {
        let rotation = match action {
            Action::Rotate => Some(Rotation::plan(root, path, settings.keep, old)?),
            Action::Keep | Action::Replace | Action::Append | Action::Overlay { .. } => None,
        };
        let (adds, frees) = match action {
            Action::Keep => (0, 0),
            Action::Replace => (length, size),
            Action::Append => (length, 0),
            Action::Overlay { offset } => (offset.saturating_add(length).max(size), size),
            Action::Rotate => (length, rotation.map_or(0, |rotation| rotation.frees)),
        };
        let files = u32::from(held.is_none() || rotation.is_some_and(|rotation| rotation.adds_file));
        Ok((rotation, Change { adds, frees, files, reserved: spool.reserved() }))
    };
    let admitted = state.make_room(root, &spool.upload, plan);
    if action == Action::Rotate && matches!(admitted, Err(UploadError::NoSpace(_))) {
        // Rotated logs go before anything is refused, and so does the one that would be rotated now.
        return carry_out(spool, root, Action::Replace, held);
    }
    let rotation = admitted?;
    let freed = state.make_free(root, device, settings, needed);
    // What lies on the disk already is not refused any more.
    let freed = if copies > 0 { freed } else { Ok(()) };
    let done = freed.and_then(|()| write(spool, root, action, rotation, held));
    let Announced { settings, path, .. } = &spool.upload;
    state.settle(root, device, path);
    for name in rotation.into_iter().flat_map(|rotation| rotation.names(path)) {
        state.settle(root, device, &name);
    }
    if done.is_ok() && rotation.is_some() {
        state.drop_past_keep(root, device, settings, path);
    }
    done.map(|()| action)
}

/// How many bytes are written beside the body, which is on the disk already.
fn copies(action: Action, length: u64, size: u64) -> u64 {
    match action {
        Action::Keep | Action::Replace | Action::Rotate => 0,
        Action::Append => length,
        Action::Overlay { .. } => size.saturating_add(length),
    }
}

fn write(
    spool: &mut Spool,
    root: &Dir,
    action: Action,
    rotation: Option<Rotation>,
    held: Option<u64>,
) -> Result<(), UploadError> {
    let (durability, size) = (spool.upload.settings.durability, held.unwrap_or(0));
    match (action, rotation) {
        (Action::Keep, _) => Ok(()),
        (Action::Append, _) => append(root, &spool.upload.path, size, &mut spool.body.file, durability),
        (Action::Overlay { offset }, _) => overlay(root, &spool.upload.path, offset, &mut spool.body.file, durability),
        (Action::Rotate, Some(rotation)) => {
            spool.body.sync(durability)?;
            rotation.run(root, &spool.upload.path, || spool.body.place(root, &spool.upload.path, durability))
        }
        (Action::Replace | Action::Rotate, _) => {
            if held.is_none() {
                make_folders(root, &spool.upload.path, durability)?;
            }
            spool.body.install(root, &spool.upload.path, durability)
        }
    }
}
