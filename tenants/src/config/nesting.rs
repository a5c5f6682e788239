//! Which folders lie in which. There are thousands, so that they are not compared with each other one by one.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Whose folder it is: the tenant's number, and that of its folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Holder {
    pub(super) tenant: usize,
    pub(super) folder: usize,
}

/// Folders by their canonical paths, each with its first holder. Every path ends in a slash here, so that what lies in a folder
/// begins with its bytes, and stands right behind it.
#[derive(Debug, Default)]
pub(super) struct Folders(BTreeMap<Vec<u8>, Holder>);

impl Folders {
    /// Notes who has the folder, if nobody has it yet.
    pub(super) fn hold(&mut self, folder: &Path, holder: Holder) {
        self.0.entry(key(folder)).or_insert(holder);
    }

    /// The first holder of a folder that this one lies in, or that lies in it.
    pub(super) fn nesting(&self, folder: &Path) -> Option<Holder> {
        let key = key(folder);
        self.below(&key).chain(self.above(&key)).min()
    }

    /// The first holder of a folder that the path lies in, or is.
    pub(super) fn around(&self, path: &Path) -> Option<Holder> {
        self.above(&key(path)).min()
    }

    /// The first holder of a path that lies in the folder, or is it.
    pub(super) fn within(&self, folder: &Path) -> Option<Holder> {
        let key = key(folder);
        self.below(&key).min()
    }

    fn below(&self, key: &[u8]) -> impl Iterator<Item = Holder> {
        let bounds = (Bound::Included(key), Bound::Unbounded);
        self.0.range::<[u8], _>(bounds).take_while(move |(other, _)| other.starts_with(key)).map(|(_, holder)| *holder)
    }

    fn above(&self, key: &[u8]) -> impl Iterator<Item = Holder> {
        let ends = key.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| end);
        ends.filter_map(move |end| key.get(..=end).and_then(|folder| self.0.get(folder)).copied())
    }
}

fn key(path: &Path) -> Vec<u8> {
    let mut key = path.as_os_str().as_bytes().to_vec();
    if key.last() != Some(&b'/') {
        key.push(b'/');
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_holder_around_or_below_is_found() {
        let mut folders = Folders::default();
        for (number, path) in ["/srv/b", "/srv/a/deep", "/srv/ab", "/srv/b", "/srv/b/inner"].into_iter().enumerate() {
            folders.hold(Path::new(path), Holder { tenant: number, folder: 0 });
        }
        let tenant = |holder: Option<Holder>| holder.map(|holder| holder.tenant);
        for (path, nesting, around) in [
            ("/srv/b", Some(0), Some(0)),
            ("/srv/b/inner/x", Some(0), Some(0)),
            ("/srv/a", Some(1), None),
            ("/srv/a/de", None, None),
            ("/srv", Some(0), None),
            ("/", Some(0), None),
            ("/srv/abc", None, None),
            ("/srv/a-b", None, None),
        ] {
            let path = Path::new(path);
            assert_eq!((tenant(folders.nesting(path)), tenant(folders.around(path))), (nesting, around), "{path:?}");
        }
        folders.hold(Path::new("/"), Holder { tenant: 9, folder: 0 });
        assert_eq!(tenant(folders.around(Path::new("/srv/a"))), Some(9));
    }
}
