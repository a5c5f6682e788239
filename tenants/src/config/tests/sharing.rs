//! Https listeners of several tenants at one address.

use super::{HTTPS, Site};

const AT: &str = "192.0.2.1:443";

fn tenant(name: &str, network: &str, listener: &str) -> String {
    let https = HTTPS.replace("127.0.0.1:0", AT);
    format!(
        "name = {name:?}\nallow = [\"10.0.0.0/8\"]\nfiles.root = \"../files/{name}\"\ndevices.policy = \"any\"\n{network}{https}require = [\"password\"]\n{listener}"
    )
}

fn errors(site: &Site, acme: &str, globex: &str) -> Vec<String> {
    site.write("tenants.d/acme.toml", acme);
    site.write("tenants.d/globex.toml", globex);
    let loaded = site.load().unwrap_or_else(|problems| panic!("{problems}"));
    site.lines(loaded.problems.errors())
}

#[test]
fn an_address_is_shared_by_those_whom_a_name_tells_apart() {
    let site = Site::new();
    let names = |names: &str| format!("server_names = [{names}]\n");
    let (a, b) = (names("\"a.example.net\""), names("\"b.example.net\""));
    let refused = |line: u8, key: &str, message: &str| {
        Some(format!("tenants.d/globex.toml:{line}: listener[0].{key}: a listener of the tenant `acme` {message}"))
    };
    let bare = "has this address: to share it, expected `server_names`, or `default = true`";
    for (acme, globex, expected) in [
        (a.clone(), b.clone(), None),
        (a.clone(), "default = true\n".to_owned(), None),
        ("default = true\n".to_owned(), b.clone(), None),
        (format!("{a}default = true\n"), b.clone(), None),
        (a.clone(), names("\"*.a.example.net\""), None),
        (a.clone(), String::new(), refused(7, "address = \"192.0.2.1:443\"", bare)),
        (
            String::new(),
            b.clone(),
            refused(
                7,
                "address = \"192.0.2.1:443\"",
                "has this address, and neither `server_names` nor `default = true` to share it",
            ),
        ),
        (
            a.clone(),
            names("\"b.example.net\", \"A.example.net\""),
            refused(11, "server_names[1] = \"A.example.net\"", "at this address answers to `a.example.net`"),
        ),
        (
            a.clone(),
            names("\"*.example.net\""),
            refused(11, "server_names[0] = \"*.example.net\"", "at this address answers to `a.example.net`"),
        ),
        (
            names("\"*.example.net\""),
            b.clone(),
            refused(11, "server_names[0] = \"b.example.net\"", "at this address answers to `*.example.net`"),
        ),
        (
            format!("{a}default = true\n"),
            format!("{b}default = true\n"),
            refused(12, "default = true", "is the default of this address"),
        ),
        (
            format!("{a}proxy = [\"10.9.9.0/24\"]\n"),
            b.clone(),
            refused(7, "address = \"192.0.2.1:443\"", "shares this address: expected the same `proxy`, 10.9.9.0/24"),
        ),
        (
            a.clone(),
            format!("{b}proxy = [\"10.9.9.0/24\"]\n"),
            refused(12, "proxy", "shares this address: expected the same `proxy`, none"),
        ),
        (format!("{a}proxy = [\"10.9.9.0/24\"]\n"), format!("{b}proxy = [\"10.9.9.0/24\"]\n"), None),
    ] {
        let found = errors(&site, &tenant("acme", "", &acme), &tenant("globex", "", &globex));
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{acme}{globex}");
    }
}

#[test]
fn other_sockets_are_never_shared() {
    let site = Site::new();
    let (a, b) = ("server_names = [\"a.example.net\"]\n", "server_names = [\"b.example.net\"]\n");
    let own = "tenants.d/globex.toml:8: listener[0].address = \"192.0.2.1:443\": a listener of the tenant `acme` has this address";
    let namespace = "network = { namespace = \"red\" }\n";
    assert_eq!(errors(&site, &tenant("acme", namespace, a), &tenant("globex", namespace, b)), [own]);
    let wildcard = tenant("globex", "", b).replace(AT, "0.0.0.0:443");
    let message = "tenants.d/globex.toml:7: listener[0].address = \"0.0.0.0:443\": a listener of the tenant `acme` has this address";
    assert_eq!(errors(&site, &tenant("acme", "", a), &wildcard), [message]);
    let mut twice = tenant("globex", "", b);
    twice.push_str(&HTTPS.replace("127.0.0.1:0", AT));
    twice.push_str("name = \"second\"\nrequire = [\"password\"]\nserver_names = [\"c.example.net\"]\n");
    let found = errors(&site, &tenant("acme", "", a), &twice);
    assert!(
        found.iter().any(|line| line.ends_with("listener[0].address of this tenant has this address")),
        "{found:?}"
    );
}

#[test]
fn the_keys_of_arrival_are_refused_where_they_mean_nothing() {
    let site = Site::new();
    let http = "[[listener]]\nprotocol = \"http\"\naddress = \"127.0.0.1:0\"\n";
    let tftp = http.replace("http", "tftp");
    for (more, expected) in [
        (format!("{http}default = true\n"), "8: listener[0].default: is of https listeners only"),
        (format!("{tftp}proxy = [\"10.0.0.1\"]\n"), "8: listener[0].proxy: is of https and http listeners only"),
        (format!("{http}server_names = []\n"), "8: listener[0].server_names: is of https and ftp listeners only"),
        (
            format!("{http}proxy = []\n"),
            "8: listener[0].proxy: an empty list lets nobody in: expected prefixes, such as [\"10.0.0.0/8\"]",
        ),
        (format!("{http}proxy = [\"10.9.9.0/24\", \"fd00::9\"]\n"), ""),
    ] {
        assert_eq!(site.refused(&more).join("\n"), expected, "{more}");
    }
}

#[test]
fn arrivals_have_bounds() {
    let site = Site::new();
    for (arrivals, expected) in [
        ("connections = 10\nclient_hello = \"2s\"\n", ""),
        ("connections = 0\n", "provost.toml:3: arrivals.connections = 0: expected a whole number from 1 to 1000000"),
        (
            "client_hello = \"2m\"\n",
            "provost.toml:3: arrivals.client_hello = \"2m\": expected more than \"0s\" and not over \"1m\"",
        ),
        (
            "client_hello = \"0s\"\n",
            "provost.toml:3: arrivals.client_hello = \"0s\": expected more than \"0s\" and not over \"1m\"",
        ),
    ] {
        site.write("provost.toml", &format!("state = \"state\"\n[arrivals]\n{arrivals}"));
        site.acme("");
        let said: Vec<String> = site.said().into_iter().filter(|line| !line.contains("warning")).collect();
        assert_eq!(said.join("\n"), expected);
    }
}

#[test]
fn proxies_that_are_everybody_are_warned_of() {
    let site = Site::new();
    for (proxies, warned) in [
        ("\"10.9.9.0/24\", \"fd00::/8\"", None),
        ("\"0.0.0.0/0\"", Some("0.0.0.0/0")),
        ("\"::/0\", \"10.9.9.9\", \"128.0.0.0/1\"", Some("128.0.0.0/1, ::/0")),
    ] {
        site.write("tenants.d/acme.toml", &tenant("acme", "", &format!("proxy = [{proxies}]\n")));
        let loaded = site.load().unwrap_or_else(|problems| panic!("{problems}"));
        let warnings = site.lines(loaded.problems.warnings());
        let told: Vec<&String> = warnings.iter().filter(|warning| warning.contains(".proxy: ")).collect();
        match (warned, &told[..]) {
            (None, []) => {}
            (Some(wide), [one]) if one.contains(&format!("whoever comes from {wide} may claim")) => {}
            _ => panic!("{proxies}: {warnings:?}"),
        }
    }
}
