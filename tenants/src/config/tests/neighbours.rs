//! Tenants beside each other.

use super::{ACME, HTTPS, Site};
use crate::config::{Former, reload};

fn said_of(globex: &str) -> Vec<String> {
    let site = Site::new();
    site.write("password", "p\n");
    site.write_secret("files/acme/password", "p\n");
    site.acme("[[listener]]\nprotocol = \"tftp\"\naddress = \"127.0.0.1:1069\"\n");
    site.write("tenants.d/globex.toml", globex);
    let loaded = site.load().unwrap();
    let names: Vec<&str> = loaded.deployment.tenants.iter().map(|tenant| tenant.policy.name.as_str()).collect();
    let errors = site.lines(loaded.problems.errors());
    let both = if errors.is_empty() { 2 } else { 1 };
    assert_eq!(names.len(), both, "{errors:?}");
    assert_eq!(names.first(), Some(&"acme"));
    errors.into_iter().map(|line| line.trim_start_matches("tenants.d/globex.toml:").to_owned()).collect()
}

#[test]
fn what_another_tenant_holds_is_refused_to_the_newcomer() {
    let tenant = |name: &str, root: &str, more: &str| {
        format!("name = {name:?}\nallow = [\"10.0.0.0/8\"]\nfiles.root = {root:?}\ndevices.policy = \"any\"\n{more}")
    };
    let listener =
        |protocol: &str, address: &str| format!("[[listener]]\nprotocol = {protocol:?}\naddress = {address:?}\n");
    let (globex, root) = ("globex", "../files/globex");
    for (text, expected) in [
        (tenant(globex, root, ""), None),
        (tenant(globex, root, &listener("tftp", "127.0.0.1:1070")), None),
        (tenant(globex, root, &listener("ftp", "127.0.0.1:1069")), None),
        (tenant(globex, root, &format!("{}enabled = false\n", listener("tftp", "127.0.0.1:1069"))), None),
        (tenant("acme", root, ""), Some("1: name = \"acme\": the tenant of tenants.d/acme.toml has this name")),
        (
            tenant(globex, root, &listener("tftp", "127.0.0.1:1069")),
            Some("7: listener[0].address = \"127.0.0.1:1069\": a listener of the tenant `acme` has this address"),
        ),
        (
            tenant(globex, root, &listener("tftp", "0.0.0.0:1069")),
            Some("7: listener[0].address = \"0.0.0.0:1069\": a listener of the tenant `acme` has this address"),
        ),
        (
            tenant(globex, root, &listener("tftp", "[::]:1069")),
            Some("7: listener[0].address = \"[::]:1069\": a listener of the tenant `acme` has this address"),
        ),
        (
            tenant(globex, root, &format!("{}{}", listener("ftp", "127.0.0.1:21"), listener("http", "127.0.0.1:21"))),
            Some("10: listener[1].address = \"127.0.0.1:21\": listener[0].address of this tenant has this address"),
        ),
        (
            tenant(globex, "../files/acme", ""),
            Some(
                "3: files.root = \"../files/acme\": nests with files/acme of the tenant `acme`: phones of one would read files of the other",
            ),
        ),
        (
            tenant(globex, "../files", ""),
            Some(
                "3: files.root = \"../files\": nests with files/acme of the tenant `acme`: phones of one would read files of the other",
            ),
        ),
        (
            tenant(globex, root, "files.shared = [\"../files\"]\n"),
            Some(
                "5: files.shared[0] = \"../files\": nests with files/acme of the tenant `acme`: phones of one would read files of the other",
            ),
        ),
        (
            tenant(globex, root, "users = [{ name = \"a\", password_file = \"../files/acme/password\" }]\n"),
            Some(
                "5: users[0].password_file = \"../files/acme/password\": lies in files/acme, where phones could read it",
            ),
        ),
    ] {
        let text = text.replace("tenants.d/../", "");
        let said: Vec<String> = said_of(&text).into_iter().map(|line| line.replace("tenants.d/../", "")).collect();
        assert_eq!(said, expected.map(str::to_owned).into_iter().collect::<Vec<_>>(), "{text}");
    }
}

#[test]
fn a_tenant_with_errors_still_holds_what_is_its_own() {
    let site = Site::new();
    let listener = "[[listener]]\nprotocol = \"tftp\"\naddress = \"127.0.0.1:1069\"\n";
    site.acme(&format!("enabled = 1\n{listener}"));
    site.write(
        "tenants.d/globex.toml",
        &format!("name = \"globex\"\nallow = [\"10.0.0.0/8\"]\nfiles.root = \"../files/globex\"\ndevices.policy = \"any\"\n{listener}"),
    );
    let loaded = site.load().unwrap();
    assert_eq!(loaded.deployment.tenants.len(), 0, "{}", loaded.problems);
}

#[test]
fn what_a_tenant_holds_that_is_served_on_is_refused_to_the_newcomer() {
    let tftp = |port: u16| format!("[[listener]]\nprotocol = \"tftp\"\naddress = \"127.0.0.1:{port}\"\n");
    let https =
        |more: &str| HTTPS.replace("127.0.0.1:0", "127.0.0.1:8443") + "require = [\"address\"]\nhints = false\n" + more;
    let served = format!(
        "devices.file = \"../devices.csv\"\n{}{}",
        tftp(1069),
        https("server_names = [\"acme.example.net\"]\ndefault = true\n")
    );
    let broken = "= broken\n".to_owned();
    let moved = |more: &str| ACME.to_owned() + more + &tftp(1070);
    let globex = |name: &str, root: &str, more: &str| {
        format!("name = {name:?}\nallow = [\"10.0.0.0/8\"]\nfiles.root = {root:?}\ndevices.policy = \"any\"\n{more}")
    };
    let other = |more: &str| globex("globex", "../files/globex", more);
    for (acme, globex, expected) in [
        (&broken, other(&tftp(1070)), None),
        (&broken, globex("globex", "../files/acme", ""), Some("3: files.root = \"../files/acme\": nests with")),
        (&broken, globex("acme", "../files/globex", ""), Some("1: name = \"acme\": the tenant of")),
        (
            &broken,
            other(&tftp(1069)),
            Some("7: listener[0].address = \"127.0.0.1:1069\": a listener of the tenant `acme`"),
        ),
        (
            &broken,
            other(&https("")),
            Some("7: listener[0].address = \"127.0.0.1:8443\": a listener of the tenant `acme`"),
        ),
        (
            &broken,
            other(&https("default = true\n")),
            Some("12: listener[0].default = true: a listener of the tenant `acme`"),
        ),
        (&broken, globex("globex", "../files", ""), Some("3: files.root = \"../files\": nests with")),
        // What it would have become does not count, and what it is does.
        (&moved("nonsense = 1\n"), other(&tftp(1069)), Some("7: listener[0].address = \"127.0.0.1:1069\": a listener")),
        (
            &moved("devices.file = \"no.csv\"\n"),
            other(&tftp(1069)),
            Some("7: listener[0].address = \"127.0.0.1:1069\": a"),
        ),
        (&moved(""), other(&tftp(1069)), None),
    ] {
        let site = Site::new();
        site.write("devices.csv", "mac\n0004f2aabbcc\n");
        site.acme(&served);
        let before = site.load().unwrap().deployment.tenants;
        assert_eq!(before.len(), 1, "{}", site.load().unwrap().problems);
        site.write("tenants.d/acme.toml", acme);
        site.write("tenants.d/globex.toml", &globex);
        let loaded = reload(&site.path("provost.toml"), [], Former { tenants: &before, ..Former::default() }).unwrap();
        let said = site.lines(loaded.problems.errors());
        let of_globex: Vec<_> = said.iter().filter_map(|line| line.strip_prefix("tenants.d/globex.toml:")).collect();
        assert_eq!(of_globex.is_empty(), expected.is_none(), "{acme}{globex}{said:?}");
        assert!(of_globex.iter().all(|line| line.starts_with(expected.unwrap_or_default())), "{of_globex:?}");
        let is_served = loaded.deployment.tenants.iter().any(|tenant| tenant.source.file.ends_with("globex.toml"));
        assert_eq!(is_served, expected.is_none(), "{acme}{globex}");
    }
}

#[test]
fn a_folder_that_holds_a_secret_of_a_tenant_that_is_served_on_is_no_newcomers() {
    let site = Site::new();
    site.write_secret("files/globex/password", "p\n");
    site.acme("users = [{ name = \"a\", password_file = \"../files/globex/password\" }]\n");
    let before = site.load().unwrap().deployment.tenants;
    site.write("tenants.d/acme.toml", "= broken\n");
    site.write(
        "tenants.d/globex.toml",
        "name = \"globex\"\nallow = [\"10.0.0.0/8\"]\nfiles.root = \"../files/globex\"\ndevices.policy = \"any\"\n",
    );
    let loaded = reload(&site.path("provost.toml"), [], Former { tenants: &before, ..Former::default() }).unwrap();
    let said = site.lines(loaded.problems.errors()).join("\n").replace("tenants.d/../", "");
    assert!(said.contains("holds files/globex/password of the tenant `acme`, which phones could read"), "{said}");
    assert!(loaded.deployment.tenants.is_empty(), "{said}");
}

#[test]
fn phones_never_read_the_state_folder() {
    let site = Site::new();
    site.write("provost.toml", "state = \"files\"\n");
    assert_eq!(
        site.refused("").first().map(|line| line.replace("tenants.d/../", "")),
        Some(
            "3: files.root = \"../files/acme\": nests with `state`, files: phones would read what others sent"
                .to_owned()
        )
    );
}

#[test]
fn phones_never_read_the_configuration() {
    let site = Site::new();
    site.write("provost.toml", "state = \"/var/lib/provost-of-a-test\"\n");
    site.write("tenants.d/acme.toml", "name = \"acme\"\nfiles.root = \"..\"\ndevices.policy = \"any\"\n");
    let errors = site.lines(site.load().unwrap().problems.errors());
    let expected = "tenants.d/acme.toml:2: files.root = \"..\": holds the configuration's ";
    assert!(matches!(errors.as_slice(), [only] if only.starts_with(expected)), "{errors:?}");
}

#[test]
fn unbound_listeners_of_two_tenants_on_the_host_network_are_warned_of() {
    let site = Site::new();
    let listener = |last: u8| format!("[[listener]]\nprotocol = \"tftp\"\naddress = \"192.0.2.{last}:69\"\n");
    site.acme(&listener(1));
    let common = "allow = [\"10.0.0.0/8\"]\nfiles.root = \"../files/globex\"\ndevices.policy = \"any\"\n";
    site.write("tenants.d/globex.toml", &format!("name = \"globex\"\n{common}{}", listener(2)));
    let said = site.said();
    for expected in [
        "tenants.d/acme.toml:7: warning: listener[0].address = \"192.0.2.1:69\": this machine answers for it on every interface, and the tenant `globex` has an unbound listener, too: keep `allow` of both apart, or give each its own `network`",
        "tenants.d/globex.toml:7: warning: listener[0].address = \"192.0.2.2:69\": this machine answers for it on every interface, and the tenant `acme` has an unbound listener, too: keep `allow` of both apart, or give each its own `network`",
    ] {
        assert!(said.iter().any(|line| line == expected), "{expected}\nin\n{}", said.join("\n"));
    }
}

#[test]
fn the_same_address_in_networks_that_are_apart_is_another_one() {
    let site = Site::new();
    let listener = "[[listener]]\nprotocol = \"tftp\"\naddress = \"10.0.0.1:69\"\n";
    let common = "allow = [\"10.0.0.0/8\"]\nfiles.root = \"../files/globex\"\ndevices.policy = \"any\"\n";
    for (acme, globex, conflict, warned) in [
        ("", "", true, 2),
        ("network.namespace = \"acme\"\n", "", false, 0),
        ("network.namespace = \"acme\"\n", "network.namespace = \"globex\"\n", false, 0),
        ("network.namespace = \"acme\"\n", "network.namespace = \"/run/netns/acme\"\n", true, 2),
        ("network.vrf = \"acme\"\n", "network.vrf = \"globex\"\n", false, 0),
        ("network.interface = \"acme\"\n", "network.interface = \"globex\"\n", false, 0),
        // The one that names its interface is met by nobody else's phones.
        ("network.interface = \"acme\"\n", "", true, 1),
    ] {
        site.acme(&format!("{acme}{listener}"));
        site.write("tenants.d/globex.toml", &format!("name = \"globex\"\n{common}{globex}{listener}"));
        let said = site.said();
        let count = |text: &str| said.iter().filter(|line| line.contains(text)).count();
        let found = count("a listener of the tenant `acme` has this address");
        assert_eq!((found, count("on every interface")), (usize::from(conflict), warned), "{acme}{globex}{said:?}");
    }
}

#[test]
fn a_network_that_is_not_there_refuses_nothing() {
    let site = Site::new();
    for (network, expected) in [
        ("namespace = \"no-such\"", "there is no network namespace no-such (/run/netns/no-such)"),
        ("vrf = \"no-such\"", "there is no network device no-such"),
        ("interface = \"no-such\"", "there is no network device no-such"),
    ] {
        assert_eq!(site.refused(&format!("network.{network}\n")), Vec::<String>::new());
        let end = format!("{expected}: the listeners of the tenant wait until it is there");
        let said = site.said();
        assert_eq!(said.iter().filter(|line| line.ends_with(&end)).count(), 1, "{said:?}");
    }
}

#[test]
fn links_that_lead_out_of_a_folder_are_named_on_demand() {
    let site = Site::new();
    site.acme("");
    std::os::unix::fs::symlink("/etc/hostname", site.path("files/acme/out")).unwrap();
    std::os::unix::fs::symlink("inside", site.path("files/acme/in")).unwrap();
    let mut loaded = site.load().unwrap();
    let before = loaded.problems.iter().count();
    loaded.look_at_folders();
    let said = site.lines(loaded.problems.iter());
    let expected = "warning: this link leads out of the folder that phones read, and is not followed";
    let found = said.iter().filter(|line| line.ends_with(&format!("files/acme/out: {expected}"))).count();
    assert_eq!((found, said.len()), (1, before + 1), "{said:?}");
}

#[test]
fn files_that_look_like_a_device_and_are_nobodys_are_named_on_demand() {
    let site = Site::new();
    site.acme("");
    for name in ["00_04_f2_aa_bb_cc.cfg", "0004f2aabbcd.cfg", "sip.cfg"] {
        std::fs::write(site.path("files/acme").join(name), "x").unwrap();
    }
    let mut loaded = site.load().unwrap();
    let before = loaded.problems.iter().count();
    loaded.look_at_folders();
    let said = site.lines(loaded.problems.iter());
    let found = |line: &&String| line.contains("00_04_f2_aa_bb_cc.cfg: warning: this looks like a device's file");
    assert_eq!((said.iter().filter(found).count(), said.len()), (1, before + 1), "{said:?}");
}

#[test]
fn files_that_nobody_gets_are_named_on_demand() {
    let site = Site::new();
    site.acme("[[rule]]\npath = \"snomd{mac}.htm\"\nread = \"own\"\n");
    std::fs::create_dir_all(site.path("files/acme/.git/00112034571e")).unwrap();
    for name in
        ["phone0004f2aabbcc.cfg", "snomd000413aabbcc.htm", ".git/00112034571e/0004f244cb63", "3111-44500-001.cfg"]
    {
        std::fs::write(site.path("files/acme").join(name), "x").unwrap();
    }
    let mut loaded = site.load().unwrap();
    let before = loaded.problems.iter().count();
    loaded.look_at_folders();
    let said = site.lines(loaded.problems.iter());
    let found = |line: &&String| line.contains("phone0004f2aabbcc.cfg: warning: nobody gets this");
    assert_eq!((said.iter().filter(found).count(), said.len()), (1, before + 1), "{said:?}");
}

#[test]
fn a_rule_for_the_beginning_of_an_address_is_warned_of() {
    let site = Site::new();
    for (path, warned) in [("0004f2*.cfg", true), ("{mac}*.cfg", false), ("sip*.cfg", false)] {
        site.acme(&format!("[[rule]]\npath = {path:?}\nread = \"nobody\"\n"));
        let said = site.said();
        assert_eq!(said.iter().any(|line| line.contains("is for files of no device")), warned, "{path}: {said:?}");
    }
}

#[test]
fn a_rule_that_lets_a_device_name_folders_is_warned_of() {
    let site = Site::new();
    for (path, warned) in
        [("*/{mac}-app.log", true), ("**/{mac}.log", true), ("logs/{mac}-*.log", false), ("{mac}.log", false)]
    {
        site.acme(&format!("[[rule]]\npath = {path:?}\nread = \"own\"\nwrite = \"own\"\n"));
        let said = site.said();
        assert_eq!(said.iter().any(|line| line.contains("folders of any name")), warned, "{path}: {said:?}");
    }
}
