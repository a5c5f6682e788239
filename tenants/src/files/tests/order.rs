//! Where a file is found.

use super::*;
use std::io::Write;

#[test]
fn the_first_place_that_has_the_file_serves_it() {
    let bench = Bench::new(Case::Exact);
    let settings = "0004f2aabbcc-phone.cfg";
    let preferred = "0004f2aabbcc-root.cfg";
    assert_eq!(bench.read(settings), "-");
    bench.write("shared/sip.ld");
    bench.write(&format!("shared/{settings}"));
    assert_eq!(bench.read(settings), "shared/0004f2aabbcc-phone.cfg");
    bench.write(&format!("root/{settings}"));
    assert_eq!(bench.read(settings), "root/0004f2aabbcc-phone.cfg");
    bench.upload(settings);
    assert_eq!(bench.read(settings), "uploads/0004f2aabbcc-phone.cfg");
    assert_eq!(bench.read("sip.ld"), "shared/sip.ld");
    bench.upload(preferred);
    assert_eq!(bench.read(preferred), "uploads/0004f2aabbcc-root.cfg");
    bench.write(&format!("root/{preferred}"));
    assert_eq!(bench.read(preferred), "root/0004f2aabbcc-root.cfg");
}

#[test]
fn a_device_finds_its_file_in_either_case_of_its_mac() {
    let bench = Bench::new(Case::Exact);
    bench.write("root/0004F2AABBCC.cfg");
    bench.write("root/SEP0004F2AABBCC.cnf.xml");
    bench.write("root/cfg/0004f2aabbcc.xml");
    assert_eq!(bench.read("0004f2aabbcc.cfg"), "root/0004F2AABBCC.cfg");
    assert_eq!(bench.read("SEP0004f2aabbcc.cnf.xml"), "root/SEP0004F2AABBCC.cnf.xml");
    assert_eq!(bench.read("sep0004f2aabbcc.cnf.xml"), "-");
    assert_eq!(bench.read("cfg/0004F2AABBCC.xml"), "root/cfg/0004f2aabbcc.xml");
    assert_eq!(bench.read("cfg/0004F2AABBCC.XML"), "-");
    // As asked goes first.
    bench.write("root/0004f2aabbcc.cfg");
    assert_eq!(bench.read("0004F2AABBCC.cfg"), "root/0004F2AABBCC.cfg");
    assert_eq!(bench.read("0004f2aAbBcC.cfg"), "root/0004f2aabbcc.cfg");
}

#[test]
fn what_an_operator_puts_among_the_uploads_is_found_in_any_spelling_of_the_mac() {
    for case in [Case::Exact, Case::Ignore] {
        let bench = Bench::new(case);
        bench.write("root/0004f2aabbcc-phone.cfg");
        bench.write("uploads/0004F2AABBCC-phone.cfg");
        bench.write("uploads/Logs/0004f2aabbcc-app.log");
        for (asked, found) in [
            ("0004f2aabbcc-phone.cfg", "uploads/0004F2AABBCC-phone.cfg"),
            ("0004F2AABBCC-phone.cfg", "uploads/0004F2AABBCC-phone.cfg"),
            ("Logs/0004f2aabbcc-app.log", "uploads/Logs/0004f2aabbcc-app.log"),
        ] {
            assert_eq!(bench.read(asked), found, "{case:?} {asked}");
        }
        bench.upload("0004f2aabbcc-phone.cfg");
        assert_eq!(bench.read("0004F2AABBCC-phone.cfg"), "uploads/0004f2aabbcc-phone.cfg", "what the phone sent");
    }
}

#[test]
fn names_are_found_without_regard_to_case_where_the_tenant_says_so() {
    let bench = Bench::new(Case::Ignore);
    for path in ["root/Cfg/RINGLIST.DAT", "root/Cfg/b.cfg", "root/Cfg/B.CFG", "shared/ringlist.dat"] {
        bench.write(path);
    }
    bench.upload("Logs/0004F2AABBCC-App.LOG");
    for (path, found) in [
        ("cfg/ringlist.dat", "root/Cfg/RINGLIST.DAT"),
        ("CFG/RingList.dat", "root/Cfg/RINGLIST.DAT"),
        ("RingList.DAT", "shared/ringlist.dat"),
        ("cfg/b.cfg", "root/Cfg/b.cfg"),
        ("cfg/B.CFG", "root/Cfg/B.CFG"),
        ("cfg/B.cfg", "root/Cfg/B.CFG"),
        ("cfg", "-"),
        ("cfg/missing", "-"),
        ("missing/ringlist.dat", "-"),
        ("logs/0004f2aabbcc-APP.log", "uploads/Logs/0004F2AABBCC-App.LOG"),
    ] {
        assert_eq!(bench.read(path), found, "{path}");
    }
    // The exact folder wins, and a new name is seen at once.
    bench.write("root/CFG/new");
    assert_eq!(bench.read("cfg/NEW"), "root/CFG/new");
    assert_eq!(Bench::new(Case::Exact).read("CFG/new"), "-");
}

#[test]
fn the_size_of_a_log_never_comes_from_the_root() {
    let bench = Bench::new(Case::Exact);
    let log = "0004f2aabbcc-app.log";
    bench.write(&format!("root/{log}"));
    bench.write("shared/0004f2aabbcc-phone.cfg");
    assert_eq!(bench.describe(log), Err("-".into()));
    assert_eq!(bench.read(log), "root/0004f2aabbcc-app.log");
    assert!(bench.describe("0004f2aabbcc-phone.cfg").is_ok());
    bench.upload(log);
    let facts = bench.describe(log);
    assert_eq!(facts.map(|facts| facts.size), Ok(28));
}

#[test]
fn another_file_of_the_same_name_has_another_identity() {
    let bench = Bench::new(Case::Exact);
    bench.write("root/sip.cfg");
    let before = bench.describe("sip.cfg");
    assert_eq!(bench.describe("sip.cfg"), before);
    bench.write("root/sip.new");
    let at = |name: &str| bench.folder.path().join("root").join(name);
    fs::rename(at("sip.new"), at("sip.cfg")).unwrap_or_else(|error| panic!("{error}"));
    assert_ne!(bench.describe("sip.cfg"), before);
}

#[test]
fn a_file_that_grows_while_it_is_read_was_described_before() {
    let bench = Bench::new(Case::Exact);
    bench.write("root/sip.cfg");
    let permit = bench.site.permit(DEVICE, Operation::Read, "sip.cfg");
    let open = bench.files.open(&permit).unwrap_or_else(|error| panic!("{error}"));
    let mut file = fs::File::options()
        .append(true)
        .open(bench.folder.path().join("root/sip.cfg"))
        .unwrap_or_else(|error| panic!("{error}"));
    file.write_all(b"more").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(open.facts.size, 12);
}

#[test]
fn a_permit_to_write_opens_nothing_and_describes_the_upload_alone() {
    let bench = Bench::new(Case::Exact);
    bench.write("root/0004f2aabbcc-web.cfg");
    let permit = || bench.site.permit(DEVICE, Operation::Write, "0004f2aabbcc-web.cfg");
    assert!(matches!(bench.files.open(&permit()), Err(FileError::NotFound)));
    assert!(matches!(bench.files.describe(&permit()), Err(FileError::NotFound)));
    bench.upload("0004f2aabbcc-web.cfg");
    assert!(matches!(bench.files.open(&permit()), Err(FileError::NotFound)));
    assert!(bench.files.describe(&permit()).is_ok());
}

#[test]
fn phones_boot_where_the_uploads_cannot_be_had() {
    let bench = Bench::new(Case::Exact);
    let uploads = bench.folder.path().join("uploads");
    fs::remove_dir(&uploads).and_then(|()| fs::write(uploads, "in the way")).unwrap_or_else(|error| panic!("{error}"));
    bench.write("root/0004f2aabbcc.cfg");
    assert_eq!(bench.read("0004f2aabbcc.cfg"), "root/0004f2aabbcc.cfg");
}

#[test]
fn a_root_that_is_no_folder_is_told() {
    let bench = Bench::new(Case::Exact);
    bench.write("root/file");
    for name in ["root/file", "missing"] {
        let root = bench.folder.path().join(name);
        let settings = FilesSettings { root: root.clone(), shared: Vec::new(), case: Case::Exact };
        let opened = Files::open_roots(settings, Arc::clone(&bench.uploads));
        assert_eq!(opened.map_err(|error| error.path).err(), Some(root));
    }
}
