//! What an operator should know of the names in a root, for `provost check`: links that lead out of it, of which phones are told
//! that there is nothing, and names that look like a device's and are none by the rules.

use std::path::PathBuf;

use cap_std::fs::FileType;
use provost_core::path::Strip;
use provost_core::rules::RuleSet;
use provost_core::{Mac, NamedDevice, RequestPath};

use super::FileError;
use super::root::{Root, leads_out, present};

/// Names that are looked at in each root.
const MAX_NAMES: usize = 100_000;

pub(super) fn that_lead_out<'r>(roots: impl Iterator<Item = &'r Root>) -> Result<Vec<PathBuf>, FileError> {
    that(roots, |root, path, kind| {
        kind.is_symlink() && root.folder.metadata(path).is_err_and(|error| leads_out(&error))
    })
}

/// Files whose base name would be a MAC without its separators, and that name no device: every device of the tenant may read them.
pub(super) fn that_look_like_a_device<'r>(roots: impl Iterator<Item = &'r Root>) -> Result<Vec<PathBuf>, FileError> {
    that(roots, |_, path, kind| kind.is_file() && looks_like_a_device(path))
}

/// Files that nobody may have, since it is in doubt which device they name, and none of the rules settles it. What is hidden, such
/// as the objects of a repository, is not meant for phones.
pub(super) fn that_nobody_gets<'r>(
    roots: impl Iterator<Item = &'r Root>,
    rules: &RuleSet,
) -> Result<Vec<PathBuf>, FileError> {
    let is_hidden = |path: &str| path.split('/').any(|segment| segment.starts_with('.'));
    let has_no_rule =
        |path: &[u8]| RequestPath::parse(path, &Strip::default()).is_ok_and(|path| rules.find(&path).is_none());
    that(roots, |_, path, kind| kind.is_file() && !is_hidden(path) && has_no_rule(path.as_bytes()))
}

fn looks_like_a_device(path: &str) -> bool {
    const SEPARATORS: [char; 5] = ['_', ' ', '-', '.', ':'];
    let base = path.rsplit_once('/').map_or(path, |(_, base)| base);
    let stem = base.rsplit_once('.').map_or(base, |(stem, _)| stem);
    let is_mac = |name: &str| {
        let digits = name.replace(SEPARATORS, "");
        digits.len() == 12 && !digits.starts_with("000000") && digits.parse::<Mac>().is_ok() && !is_part_number(name)
    };
    let names_none =
        || RequestPath::parse(path.as_bytes(), &Strip::default()).is_ok_and(|path| *path.named() == NamedDevice::None);
    (is_mac(stem) || is_mac(base)) && names_none()
}

/// Of a Poly phone: `3111-44500-001`.
fn is_part_number(name: &str) -> bool {
    let groups = name.split('-').map(|group| group.bytes().all(|byte| byte.is_ascii_digit()).then_some(group.len()));
    groups.eq([4, 5, 3].map(Some))
}

fn that<'r>(
    roots: impl Iterator<Item = &'r Root>,
    wanted: impl Fn(&Root, &str, FileType) -> bool,
) -> Result<Vec<PathBuf>, FileError> {
    let mut found = Vec::new();
    for root in roots {
        let mut folders = vec![String::new()];
        let mut left = MAX_NAMES;
        while let Some(folder) = folders.pop() {
            let here = if folder.is_empty() { "." } else { &folder };
            let failed = || FileError::io("look at the names in", here);
            let Some(entries) = present(root.folder.read_dir(here)).map_err(failed())? else { continue };
            for entry in entries.take(left) {
                left -= 1;
                let entry = entry.map_err(failed())?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                let kind = entry.file_type().map_err(failed())?;
                if kind.is_dir() {
                    folders.push(path);
                } else if wanted(root, &path, kind) {
                    found.push(root.path().join(path));
                }
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_be_a_device_without_their_separators() {
        for (path, looks) in [
            ("00_04_f2_aa_bb_cc.cfg", true),
            ("logs/0004f2 aabbcc.cfg", true),
            ("0004f2-aabbcc", true),
            ("0004f2aabbcc.cfg", false),
            ("00:04:f2:aa:bb:cc.cfg", false),
            ("0004.f2aa.bbcc", false),
            ("00_00_00_00_00_00.cfg", false),
            ("sip.cfg", false),
            ("3111-44500-001.sip.ld", false),
            ("3111-44500-001.cfg", false),
            ("311144500-001.cfg", true),
            // In doubt, and so served to nobody at all.
            ("00112034571e/0004f244cb63.cfg", false),
        ] {
            assert_eq!(looks_like_a_device(path), looks, "{path}");
        }
    }
}
