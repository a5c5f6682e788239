//! Tenants that are read again for their files while they are served.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use provost_core::path::Case;
use provost_core::{Mac, Operation};

use super::{ACME, HTTPS, Site, authority};
use crate::config::{Former, Look, Reread, Rereading, reload, reread};
use crate::deployment::Tenant;
use crate::devices::{Refresh, Removals};
use crate::testing::{self, DEVICE, NEIGHBOUR};
use crate::uploads::Target;

const GLOBEX: &str = "name = \"globex\"\nallow = [\"10.0.0.0/8\"]\nfiles.root = \"../files/globex\"\ndevices.list = [\"0004f2ddeeff\"]\n";

/// `acme` reads through a link, beside `globex`.
fn site() -> Site {
    let site = Site::new();
    symlink("acme", site.path("files/current")).unwrap();
    folder(&site, "acme");
    folder(&site, "globex");
    site.write("provost.toml", "state = \"state\"\n[trust.poly]\nanchors = [\"trust/ca.pem\"]\nmac = { attribute = \"CN\", pattern = \"^([0-9A-F]{12})$\" }\n");
    let acme = ACME.replace("../files/acme", "../files/current");
    site.write("tenants.d/acme.toml", &format!("{acme}{HTTPS}trust = [\"poly\"]\n"));
    site.write("tenants.d/globex.toml", GLOBEX);
    site
}

fn again(tenant: &Arc<Tenant>) -> Arc<Tenant> {
    let mut found = None;
    reread(std::slice::from_ref(tenant), |step| {
        if let Rereading::Done(Reread { outcome, .. }) = step {
            found = Some(outcome.unwrap());
        }
        true
    });
    found.unwrap()
}

fn points_to(site: &Site, folder: &str) {
    let link: PathBuf = site.path("files/current");
    fs::remove_file(&link).unwrap();
    symlink(folder, link).unwrap();
}

/// Which folder its phones read: each has a link that leads out of it and tells the folder's name.
fn reads(tenant: &Tenant) -> String {
    let links = tenant.files.links_that_lead_out().unwrap();
    links.iter().map(|link| link.file_name().unwrap().to_string_lossy()).collect()
}

fn folder(site: &Site, name: &str) {
    let folder = site.path(&format!("files/{name}"));
    fs::create_dir_all(&folder).unwrap();
    symlink("/", folder.join(name)).unwrap();
}

#[test]
fn another_folder_is_taken_by_a_reload_alone_and_where_no_other_tenant_has_it() {
    let site = site();
    let loaded = site.load().unwrap();
    let acme = &loaded.deployment.tenants[0];
    assert_eq!(reads(acme), "acme");
    points_to(&site, "globex");
    assert!(!acme.seen().holds(&mut Look::default()), "the change is seen");
    assert!(Arc::ptr_eq(&again(acme), acme), "and nothing is new in the files");
    // A certificate that comes with it is taken, and the folder is not.
    site.write("trust/ca.pem", &authority().pem());
    let renewed = again(acme);
    assert!(!Arc::ptr_eq(&renewed, acme) && renewed.seen().holds(&mut Look::default()));
    assert_eq!(reads(&renewed), "acme");
    points_to(&site, "acme");
    fs::rename(site.path("files/acme"), site.path("files/former")).unwrap();
    folder(&site, "acme");
    symlink("/", site.path("files/acme/anew")).unwrap();
    assert_eq!(reads(&again(&renewed)), "acmeanew", "another one in its place is taken");
    points_to(&site, "globex");
    let reload = |tenant: &Arc<Tenant>| {
        let former = Former { tenants: std::slice::from_ref(tenant), ..Former::default() };
        reload(&site.path("provost.toml"), [], former).unwrap()
    };
    let refused = reload(&renewed);
    assert!(refused.failed[0].errors[0].contains("nests with"), "{:?}", refused.failed);
    folder(&site, "next");
    points_to(&site, "next");
    let taken = reload(&again(&renewed));
    assert_eq!(reads(&taken.deployment.tenants[0]), "next");
}

#[test]
fn a_tenant_is_told_of_the_trust_sets_that_it_names_alone() {
    let site = site();
    let main = fs::read_to_string(site.path("provost.toml")).unwrap();
    let other = "[trust.other]\nanchors = [\"trust/other.pem\"]\nmac = { attribute = \"CN\", pattern = \"^([0-9A-F]{12})$\" }\n";
    site.write("provost.toml", &format!("{main}{other}"));
    site.write("trust/other.pem", &authority().pem());
    let loaded = site.load().unwrap();
    for file in ["tls/server.pem", "trust/ca.pem", "trust/other.pem"] {
        site.write(file, "nothing");
    }
    reread(&loaded.deployment.tenants[..1], |step| {
        if let Rereading::Done(Reread { outcome, .. }) = step {
            let errors = outcome.unwrap_err().join("\n");
            assert!(errors.contains("server.pem") && errors.contains("ca.pem"), "{errors}");
            assert!(!errors.contains("other"), "{errors}");
        }
        true
    });
}

#[test]
fn devices_that_are_listed_later_bring_their_share_of_the_uploads() {
    let site = Site::new();
    site.write("devices.csv", "mac\n0004f2aabbcc\n");
    let devices = "devices.file = \"../devices.csv\"\nuploads.device_quota = \"16KiB\"\nuploads.min_free = \"0B\"\n";
    site.write("tenants.d/acme.toml", &ACME.replace("devices.list = [\"0004f2aabbcc\"]\n", devices));
    let loaded = site.load().unwrap();
    let acme = &loaded.deployment.tenants[0];
    let permits = testing::Site::new(Case::Exact);
    let send = |device: Mac| {
        let permit = permits.permit(device, Operation::Write, &format!("{device}-any-1"));
        let mut spool = acme.uploads.begin(permit, None)?;
        spool.write(&[0; 12 << 10])?;
        spool.apply(Target::Whole)
    };
    assert!(send(DEVICE).is_ok());
    assert!(send(NEIGHBOUR).is_err(), "one device is listed");
    site.write("devices.csv", "mac\n0004f2aabbcc\n0004f2ddeeff\n");
    assert_eq!(acme.devices.refresh(Removals::Refuse), Refresh::Replaced { devices: 2, removed: 0 });
    assert!(send(NEIGHBOUR).is_ok());
}

#[test]
fn a_load_that_comes_to_nothing_removes_no_device() {
    let site = Site::new();
    let rows = |count: u8| (0..count).map(|number| format!("0004f2aabb{number:02x}\n")).collect::<Vec<_>>().concat();
    site.write("devices.csv", &format!("mac\n{}", rows(20)));
    let acme = ACME.replace("devices.list = [\"0004f2aabbcc\"]\n", "devices.file = \"../devices.csv\"\n");
    site.write("tenants.d/acme.toml", &acme);
    let main = fs::read_to_string(site.path("provost.toml")).unwrap();
    let served = site.load().unwrap().deployment.tenants;
    site.write("devices.csv", &format!("mac\n{}", rows(5)));
    let accept = Former { tenants: &served, removals: Removals::Accept, ..Former::default() };
    let is_given_up = AtomicBool::new(true);
    let given_up = Former { is_given_up: Some(&is_given_up), ..accept };
    for (name, text) in [("tenants.d/acme.toml", format!("# Another.\n{acme}")), ("tenants.d/acme.toml", acme.clone())]
    {
        site.write(name, &text);
        let _ = reload(&site.path("provost.toml"), [], given_up);
        assert_eq!(served[0].devices.len(), 20, "{name}");
    }
    let reload = || reload(&site.path("provost.toml"), [], accept);
    site.write("provost.toml", &format!("{main}nonsense = 1\n"));
    assert!(reload().is_err());
    assert_eq!(served[0].devices.len(), 20);
    site.write("provost.toml", &main);
    site.write("tenants.d/acme.toml", &format!("{acme}nonsense = 1\n"));
    assert_eq!(reload().unwrap().failed.len(), 1);
    assert_eq!(served[0].devices.len(), 20);
    site.write("tenants.d/acme.toml", &acme);
    assert_eq!(reload().unwrap().failed.len(), 0);
    assert_eq!(served[0].devices.len(), 5);
}

#[test]
fn a_device_file_that_hangs_keeps_no_other_tenant_waiting() {
    let site = Site::new();
    site.write("devices.csv", "mac\n0004f2aabbcc\n");
    let devices = "devices.file = \"../devices.csv\"\n";
    let acme = ACME.replace("devices.list = [\"0004f2aabbcc\"]\n", devices);
    site.write("tenants.d/acme.toml", &acme);
    site.write("tenants.d/globex.toml", GLOBEX);
    let served = site.load().unwrap().deployment.tenants;
    served[0].devices.hang();
    for text in [&acme, &format!("{acme}uploads.keep = 2\n")] {
        site.write("tenants.d/acme.toml", text);
        let former = Former { tenants: &served, ..Former::default() };
        let loaded = reload(&site.path("provost.toml"), [], former).unwrap();
        assert!(loaded.failed[0].errors[0].ends_with("hangs: its disk does not answer"), "{:?}", loaded.failed);
        assert_eq!(loaded.deployment.tenants.len(), 1, "globex");
    }
    served[0].devices.refresh(Removals::Refuse);
    assert!(!served[0].devices.hangs());
}
