//! What is opened without waiting. That it is the same file as the long way's is asked at every [`Bench::read`].

use super::*;
use crate::files::read_at_once;

/// A bench on a file system that is asked at once, as `/tmp` of most machines is.
fn bench(case: Case) -> Option<Bench> {
    let bench = Bench::new(case);
    if bench.is_local() {
        return Some(bench);
    }
    println!("skipped: the folder for temporary files is not on a local file system");
    None
}

fn text(bench: &Bench, path: &str) -> Option<String> {
    let bytes = match bench.files.open_at_once(&bench.site.permit(DEVICE, Operation::Read, path))? {
        FileInMemory::Open(OpenFile { file, facts }) => read_at_once(&file, 0, facts.size)?.into(),
        FileInMemory::Held { bytes, .. } => bytes,
    };
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[test]
fn what_is_in_memory_is_opened_and_read_at_once() {
    let Some(bench) = bench(Case::Exact) else { return };
    for path in ["root/0004f2aabbcc.cfg", "root/sub/site.cfg", "shared/sip.ld"] {
        bench.write(path);
    }
    // The first look tells the kernel that the names before are missing, and opens the uploads.
    for (path, expected) in [
        ("0004f2aabbcc.cfg", "root/0004f2aabbcc.cfg"),
        ("0004F2AABBCC.cfg", "root/0004f2aabbcc.cfg"),
        ("sub/site.cfg", "root/sub/site.cfg"),
        ("sip.ld", "shared/sip.ld"),
    ] {
        assert_eq!(bench.read(path), expected);
        assert_eq!(text(&bench, path).as_deref(), Some(expected), "{path}");
    }
    bench.upload("0004f2aabbcc-web.cfg");
    assert_eq!(text(&bench, "0004f2aabbcc-web.cfg").as_deref(), Some("uploads/0004f2aabbcc-web.cfg"));
}

#[test]
fn what_is_missing_leads_out_or_is_no_file_is_not_had_at_once() {
    let Some(bench) = bench(Case::Exact) else { return };
    bench.write("outside/secret");
    bench.write("root/folder/a");
    let link = |to: &str, name: &str| {
        let linked = std::os::unix::fs::symlink(to, bench.folder.path().join("root").join(name));
        linked.unwrap_or_else(|error| panic!("{error}"));
    };
    link("../outside/secret", "out");
    link("../outside", "outer");
    link("/proc/self/root/etc/passwd", "magic");
    for path in ["missing", "out", "outer/secret", "magic", "folder"] {
        for _ in 0..2 {
            assert!(bench.read(path) == "-", "{path}");
            assert_eq!(text(&bench, path), None, "{path}");
        }
    }
}

#[test]
fn another_case_of_a_name_is_the_long_ways_affair() {
    let Some(bench) = bench(Case::Ignore) else { return };
    bench.write("root/Site.cfg");
    bench.write("shared/site.cfg");
    for _ in 0..2 {
        assert_eq!(bench.read("site.cfg"), "root/Site.cfg");
        assert_eq!(text(&bench, "site.cfg"), None);
    }
    assert_eq!(text(&bench, "Site.cfg").as_deref(), Some("root/Site.cfg"));
}

#[test]
fn a_file_that_became_shorter_is_not_read_at_once() {
    let Some(bench) = bench(Case::Exact) else { return };
    bench.write("root/a");
    let file = fs::File::open(bench.folder.path().join("root/a")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(read_at_once(&file, 0, 6).as_deref(), Some(&b"root/a"[..]));
    assert_eq!(read_at_once(&file, 0, 7), None);
    assert_eq!(read_at_once(&file, 2, 0).as_deref(), Some(&b""[..]));
}
