//! A path that was parsed lies inside the root, says what the raw one says, and is read again as itself.
#![no_main]

use std::path::{Component, Path};

use libfuzzer_sys::fuzz_target;
use provost_core::RequestPath;
use provost_core::path::{Case, NamedDevice, Strip};

fuzz_target!(|input: (bool, bool, &[u8])| {
    let (strips, ignores_case, raw) = input;
    let case = if ignores_case { Case::Ignore } else { Case::Exact };
    let prefixes: &[&str] = if strips { &["/tftpboot", "a/b"] } else { &[] };
    let Ok(path) = RequestPath::parse(raw, &Strip::new(prefixes.iter().copied(), case)) else { return };
    let text = path.as_str();
    assert!(text.len() <= raw.len());
    assert!(!text.contains(['\\', '\0', '\n', '\r']));
    let stays = |component: Component<'_>| matches!(component, Component::Normal(_));
    assert!(Path::new(text).components().all(stays), "{text:?}");
    assert!(path.is_root() || text.split('/').all(|segment| !matches!(segment, "" | "." | "..")), "{text:?}");
    assert_eq!(RequestPath::parse(text.as_bytes(), &Strip::default()).as_ref(), Ok(&path));
    if !strips {
        assert_eq!(resolved(raw).as_deref(), Some(text));
    }
    if let Some((folder, name)) = text.rsplit_once('/') {
        let folder = RequestPath::parse(folder.as_bytes(), &Strip::default()).expect("a folder of a path");
        assert_eq!(folder.child(name).as_ref(), Some(&path));
    }
    if let NamedDevice::One(mac) = *path.named() {
        for spelling in path.spellings(Some(mac)) {
            assert!(spelling.eq_ignore_ascii_case(text), "{spelling:?} {text:?}");
            let again = RequestPath::parse(spelling.as_bytes(), &Strip::default()).expect("a spelling of a path");
            assert_eq!(again.named(), &NamedDevice::One(mac), "{spelling:?}");
            assert_eq!(again.with_mac_in_lower_case(mac), path.with_mac_in_lower_case(mac));
        }
    }
});

/// What the standard library makes of the path. `None` where it leaves the root on its way.
fn resolved(raw: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(raw).ok()?.replace('\\', "/");
    let mut names = Vec::new();
    for component in Path::new(&text).components() {
        match component {
            Component::Normal(name) => names.push(name.to_str()?),
            Component::ParentDir => drop(names.pop()?),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Some(names.join("/"))
}
