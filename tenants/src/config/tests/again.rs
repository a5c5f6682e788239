//! Tenants that are read again for their files while they are served.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use provost_core::path::Case;
use provost_core::{Mac, Operation};

use super::trust_sets::revocation_list;
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
    let (tenant, errors) = reread_of(tenant);
    assert_eq!(errors, [""; 0]);
    tenant
}

fn reread_of(tenant: &Arc<Tenant>) -> (Arc<Tenant>, Vec<String>) {
    let mut found = None;
    reread(std::slice::from_ref(tenant), |step| {
        if let Rereading::Done(Reread { tenant, errors, .. }) = step {
            found = Some((tenant, errors));
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
        if let Rereading::Done(Reread { errors, .. }) = step {
            let errors = errors.join("\n");
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

/// A CA that stands under its name in `trust/`, and revocation lists of it that end in some year.
fn issuer(site: &Site, name: &str) -> rcgen::Issuer<'static, rcgen::KeyPair> {
    let mut parameters = rcgen::CertificateParams::default();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
    let key = rcgen::KeyPair::generate().unwrap();
    site.write(&format!("trust/{name}.pem"), &parameters.self_signed(&key).unwrap().pem());
    rcgen::Issuer::new(parameters, key)
}

/// By which name which list is there, and when it ends.
fn lists(tenant: &Tenant) -> Vec<(String, i16)> {
    let sets = tenant.listeners.iter().filter_map(|listener| listener.tls.as_ref()).flat_map(|tls| &tls.trust);
    let lists = sets.flat_map(|set| &set.crls).map(|list| {
        let ends = jiff::Timestamp::try_from(list.ends.unwrap()).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
        (list.issuer.rsplit('=').next().unwrap().to_owned(), ends.year())
    });
    let mut lists: Vec<_> = lists.collect();
    lists.sort();
    lists
}

/// `acme` trusts `poly` with the CAs `one` and `two`, and `other`, and has a password in a file.
fn site_of_lists() -> (Site, [rcgen::Issuer<'static, rcgen::KeyPair>; 3]) {
    let site = Site::new();
    let issuers = ["one", "two", "other"].map(|name| issuer(&site, name));
    for (name, issuer) in ["one", "two", "other"].iter().zip(&issuers) {
        site.write(&format!("trust/{name}.crl"), &revocation_list(2020, 2990, issuer));
    }
    let mac = "mac = { attribute = \"CN\", pattern = \"^([0-9A-F]{12})$\" }";
    let main = "state = \"state\"\n[trust.poly]\nanchors = [\"trust/one.pem\", \"trust/two.pem\"]\ncrls = [\"trust/{one,two}*.crl\"]\nMAC\n[trust.other]\nanchors = [\"trust/other.pem\"]\ncrls = [\"trust/other.crl\"]\nMAC\n";
    site.write("provost.toml", &main.replace("MAC", mac));
    for (file, secret) in [("tls/first", "old"), ("tls/second", "old"), ("tls/web.key", "")] {
        site.write_secret(file, secret);
    }
    fs::copy(site.path("tls/server.key"), site.path("tls/web.key")).unwrap();
    fs::copy(site.path("tls/server.pem"), site.path("tls/web.pem")).unwrap();
    let user = |file: &str| format!("[[users]]\nname = \"{file}\"\npassword_file = \"../tls/{file}\"\n");
    let web = HTTPS.replace("server.", "web.");
    site.acme(&format!(
        "{}{}{HTTPS}trust = [\"poly\", \"other\"]\n{web}name = \"web\"\nrequire = [\"address\"]\n",
        user("first"),
        user("second")
    ));
    (site, issuers)
}

#[test]
fn what_is_wrong_with_one_file_holds_back_no_other() {
    for (broken, change) in [
        ("web.key", (|site| site.write_secret("tls/web.key", "half")) as fn(&Site)),
        ("web.key", |site| {
            let other = rcgen::KeyPair::generate().unwrap();
            site.write_secret("tls/web.key", &other.serialize_pem());
        }),
        ("other.crl", |site| site.write("trust/other.crl", "broken")),
        ("other.pem", |site| site.write("trust/other.pem", "broken")),
        ("two.crl", |site| site.write("trust/two.crl", "broken")),
        ("two.pem", |site| site.write("trust/two.pem", "broken")),
        ("second", |site| fs::remove_file(site.path("tls/second")).unwrap()),
        ("files/acme", |site| fs::rename(site.path("files/acme"), site.path("files/away")).unwrap()),
    ] {
        let (site, [one, ..]) = site_of_lists();
        let loaded = site.load().unwrap();
        let acme = &loaded.deployment.tenants[0];
        change(&site);
        let (same, errors) = reread_of(acme);
        assert!(Arc::ptr_eq(&same, acme), "{broken}: nothing else is new");
        assert!(errors.len() == 1 && errors[0].contains(broken), "{broken}: {errors:?}");
        site.write("trust/one.crl", &revocation_list(2021, 2999, &one));
        site.write_secret("tls/first", "new");
        let (renewed, still) = reread_of(acme);
        assert_eq!(still, errors);
        let expected = [("one", 2999), ("other", 2990), ("two", 2990)].map(|(name, year)| (name.to_owned(), year));
        assert_eq!(lists(&renewed), expected, "{broken}");
        let passwords = |tenant: &Tenant| tenant.users.iter().map(|user| user.shared.which).collect::<Vec<_>>();
        let (now, before) = (passwords(&renewed), passwords(acme));
        assert!(now[0] != before[0] && now[1] == before[1], "{broken}");
        assert!(renewed.listeners[1].tls.as_ref().unwrap().is(acme.listeners[1].tls.as_ref().unwrap()), "{broken}");
        assert!(renewed.seen().holds(&mut Look::default()), "{broken}");
        assert!(Arc::ptr_eq(&reread_of(&renewed).0, &renewed), "{broken}: once it is taken nothing is new");
    }
}

#[test]
fn a_list_behind_which_no_other_came_counts_until_a_reload() {
    let (site, [one, two, _]) = site_of_lists();
    let loaded = site.load().unwrap();
    let acme = &loaded.deployment.tenants[0];
    let of_poly = |tenant: &Tenant| lists(tenant).into_iter().filter(|(name, _)| name != "other").collect::<Vec<_>>();
    let both = |first, second| vec![("one".to_owned(), first), ("two".to_owned(), second)];
    fs::remove_file(site.path("trust/one.crl")).unwrap();
    let (same, errors) = reread_of(acme);
    assert!(Arc::ptr_eq(&same, acme));
    assert!(errors.len() == 1 && errors[0].contains("the revocation list of `CN=one` is gone"), "{errors:?}");
    // What is new of the other one counts.
    site.write("trust/two.crl", &revocation_list(2021, 2999, &two));
    let (renewed, still) = reread_of(acme);
    assert_eq!((of_poly(&renewed), still), (both(2990, 2999), errors.clone()));
    // That of another CA stands in its place.
    site.write("trust/one.crl", &revocation_list(2021, 2999, &two));
    assert_eq!(reread_of(&renewed).1, errors);
    // It comes back under another name, beside that of last year.
    site.write("trust/one-2.crl", &revocation_list(2021, 2998, &one));
    site.write("trust/one.crl", &revocation_list(2020, 2997, &one));
    fs::remove_file(site.path("trust/one.crl")).unwrap();
    let whole = again(&renewed);
    assert_eq!(of_poly(&whole), both(2998, 2999));
    fs::remove_file(site.path("trust/one-2.crl")).unwrap();
    let former = Former { tenants: std::slice::from_ref(&whole), ..Former::default() };
    let taken = reload(&site.path("provost.toml"), [], former).unwrap();
    assert_eq!(of_poly(&taken.deployment.tenants[0]), vec![("two".to_owned(), 2999)]);
}
