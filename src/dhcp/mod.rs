//! `provost dhcp`: the options that send a tenant's phones to its listeners.
//!
//! What is advised is gathered here, from the configuration alone; each DHCP server's spelling stands in a file of its own.
//! No DHCP server is asked or changed.

mod dnsmasq;
mod isc;
mod kea;
mod mikrotik;

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context as _, bail};
use provost_core::Protocol;
use provost_tenants::{FtpTls, Listener, Tenant};

use crate::cli::{DhcpArgs, DhcpFormat};
use crate::configuration;

/// The longest value of one option, in bytes (RFC 2132 section 2: the length is one octet).
const MAX_VALUE_BYTES: usize = 255;

/// What one tenant's phones should be told.
struct Advice {
    tenant: String,
    options: Vec<DhcpOption>,
    /// What the operator should know, a line each.
    notes: Vec<String>,
}

/// One option of a DHCP answer.
struct DhcpOption {
    code: u8,
    value: Value,
    standing: Standing,
    /// Which phones take it.
    note: &'static str,
}

enum Value {
    Text(String),
    Addresses(Vec<Ipv4Addr>),
    /// Vendor-specific information (RFC 2132 section 8.4): sub-options, each with a text.
    SubOptions(Vec<(u8, String)>),
}

/// Whether an option is given, or only shown for the operator to complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Given,
    ToComplete,
}

/// Prints the options of one tenant.
pub(crate) fn run(args: &DhcpArgs, output: &mut impl Write) -> anyhow::Result<()> {
    let loaded = configuration::load(&args.config.config)?;
    let advice = Advice::of(configuration::tenant(&loaded, &args.tenant)?)?;
    let text = match args.format {
        DhcpFormat::Isc => isc::text(&advice),
        DhcpFormat::Kea => kea::text(&advice)?,
        DhcpFormat::Dnsmasq => dnsmasq::text(&advice),
        DhcpFormat::Mikrotik => mikrotik::text(&advice),
    };
    output.write_all(text.as_bytes()).context("cannot write the options")
}

impl Advice {
    fn of(tenant: &Tenant) -> anyhow::Result<Self> {
        if !tenant.policy.enabled {
            bail!("tenant {} is disabled, so that none of its listeners listens", tenant.policy.name);
        }
        let places: Vec<Place> = tenant.enabled_listeners().map(|listener| Place::of(listener)).collect();
        Self::from_places(&tenant.policy.name, &places)
    }

    fn from_places(tenant: &str, places: &[Place]) -> anyhow::Result<Self> {
        let nameless = places.iter().filter(|place| place.host.is_none());
        let mut notes: Vec<String> = nameless
            .map(|place| {
                let why = "its address is every address, or its port is picked at start";
                format!("listener {} is left out: {why}, so there is nothing to tell a phone", place.listener)
            })
            .collect();
        let Some(best) = places.iter().filter(|place| place.host.is_some()).min_by_key(|place| place.rank()) else {
            bail!("no listener of tenant {tenant} has an address or a server name that a phone could be told");
        };
        let unverified = |place: &&Place| place.host.is_some() && place.protocol == Protocol::Https && !place.named;
        let passed_over = places.iter().filter(unverified).filter(|place| place.rank() > best.rank());
        notes.extend(passed_over.map(|place| {
            format!(
                "listener {} is left out: https without `server_names`, which a phone could not verify",
                place.listener
            )
        }));
        if best.protocol == Protocol::Ftp && best.tls == FtpTls::Required {
            notes.push(format!("listener {} wants AUTH TLS before a login, which a URL cannot say", best.listener));
        }
        let url = best.url();
        let tftp: Vec<Ipv4Addr> = places.iter().filter_map(Place::tftp_address).collect();
        let mut options = vec![
            DhcpOption::given(
                66,
                Value::Text(best.boot_server()),
                "boot server: Yealink, Snom, Grandstream, Poly as a second choice",
            ),
            DhcpOption::given(160, Value::Text(url.clone()), "boot server: Poly (UCS 4.0 and later look here first)"),
        ];
        if tftp.is_empty() {
            notes
                .push("no option 150: no TFTP listener has an IPv4 address and port 69, where Cisco phones ask".into());
        } else {
            options.push(DhcpOption::given(
                150,
                Value::Addresses(tftp),
                "TFTP servers: Cisco 79xx and 88xx, before option 66",
            ));
        }
        let vendor = Value::SubOptions(vec![(1, url.clone()), (66, url)]);
        match vendor.length() {
            0..=MAX_VALUE_BYTES => options.push(DhcpOption::given(
                43,
                vendor,
                "vendor-specific: Yealink and others (1), Poly (66), where 66 is taken",
            )),
            _ => notes.push("no option 43: the URL is too long for its sub-options".into()),
        }
        options.push(DhcpOption::to_complete(100, "CET-1CEST,M3.5.0,M10.5.0/3", "time zone, POSIX form (RFC 4833)"));
        options.push(DhcpOption::to_complete(101, "Europe/Berlin", "time zone by name (RFC 4833)"));
        Ok(Self { tenant: tenant.to_owned(), options, notes })
    }

    /// The lines that stand above the options.
    fn heading(&self) -> Vec<String> {
        let first = format!("Provisioning of the phones of tenant {}, from `provost dhcp`", self.tenant);
        std::iter::once(first).chain(self.notes.iter().cloned()).collect()
    }
}

impl DhcpOption {
    fn given(code: u8, value: Value, note: &'static str) -> Self {
        Self { code, value, standing: Standing::Given, note }
    }

    fn to_complete(code: u8, example: &str, note: &'static str) -> Self {
        Self { code, value: Value::Text(example.to_owned()), standing: Standing::ToComplete, note }
    }

    fn note(&self) -> String {
        match self.standing {
            Standing::Given => format!("{}: {}", self.code, self.note),
            Standing::ToComplete => format!("{}: {}; give the site's own", self.code, self.note),
        }
    }
}

impl Value {
    fn length(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Addresses(addresses) => addresses.len() * 4,
            Self::SubOptions(parts) => parts.iter().map(|(_, text)| text.len() + 2).sum(),
        }
    }

    /// The bytes of the option as they go into the packet. Its length has been found to fit.
    fn octets(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.clone().into_bytes(),
            Self::Addresses(addresses) => addresses.iter().flat_map(Ipv4Addr::octets).collect(),
            Self::SubOptions(parts) => parts.iter().flat_map(|(code, text)| sub_option(*code, text)).collect(),
        }
    }

    fn hex(&self, separator: &str) -> String {
        self.octets().iter().map(|octet| format!("{octet:02x}")).collect::<Vec<_>>().join(separator)
    }
}

fn sub_option(code: u8, text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    [code, length].into_iter().chain(text.bytes().take(length.into())).collect()
}

/// Where a listener is found by phones.
struct Place {
    listener: String,
    protocol: Protocol,
    address: SocketAddr,
    /// What stands in a URL; `None` where the configuration does not say.
    host: Option<String>,
    named: bool,
    /// What an FTP listener asks for before a login.
    tls: FtpTls,
}

impl Place {
    fn of(listener: &Listener) -> Self {
        let names = listener.tls.iter().flat_map(|tls| &tls.server_names);
        let name = names.into_iter().find(|name| is_host_name(name)).cloned();
        let address = listener.address;
        let literal = (!address.ip().is_unspecified()).then(|| match address.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        });
        Self {
            listener: listener.policy.name.clone(),
            protocol: listener.policy.protocol,
            address,
            named: name.is_some(),
            host: name.or(literal).filter(|_| address.port() != 0),
            tls: listener.ftp.tls,
        }
    }

    /// The lower, the better. A phone checks the server's name in its certificate, so https without a name comes last; few
    /// phones speak FTP inside TLS.
    fn rank(&self) -> u8 {
        match (self.protocol, self.named, self.tls) {
            (Protocol::Https, true, _) => 0,
            (Protocol::Http, _, _) => 1,
            (Protocol::Ftp, _, FtpTls::Explicit) => 2,
            (Protocol::Tftp, _, _) => 3,
            (Protocol::Ftp, _, FtpTls::Required | FtpTls::Implicit) => 4,
            (Protocol::Https, false, _) => 5,
        }
    }

    /// How its URLs begin, and the port that they need not name. `ftps` begins with TLS; that a login on `ftp` comes behind AUTH
    /// TLS no URL can say.
    fn scheme(&self) -> (&'static str, u16) {
        match (self.protocol, self.tls) {
            (Protocol::Https, _) => ("https", 443),
            (Protocol::Http, _) => ("http", 80),
            (Protocol::Tftp, _) => ("tftp", 69),
            (Protocol::Ftp, FtpTls::Explicit | FtpTls::Required) => ("ftp", 21),
            (Protocol::Ftp, FtpTls::Implicit) => ("ftps", 990),
        }
    }

    fn url(&self) -> String {
        let host = self.host.as_deref().unwrap_or_default();
        match (self.scheme(), self.address.port()) {
            ((scheme, usual), port) if port == usual => format!("{scheme}://{host}/"),
            ((scheme, _), port) => format!("{scheme}://{host}:{port}/"),
        }
    }

    /// What option 66 holds: RFC 2132 section 9.4 means a TFTP server's name, which every phone understands; a URL
    /// stands there for the other protocols.
    fn boot_server(&self) -> String {
        match self.protocol {
            Protocol::Tftp if self.address.port() == self.scheme().1 => self.address.ip().to_string(),
            Protocol::Https | Protocol::Http | Protocol::Tftp | Protocol::Ftp => self.url(),
        }
    }

    /// The address for option 150, which has no room for a port or for IPv6.
    fn tftp_address(&self) -> Option<Ipv4Addr> {
        let SocketAddr::V4(v4) = self.address else { return None };
        match self.protocol {
            Protocol::Tftp if v4.port() == self.scheme().1 && !v4.ip().is_unspecified() => Some(*v4.ip()),
            Protocol::Https | Protocol::Http | Protocol::Tftp | Protocol::Ftp => None,
        }
    }
}

/// Whether a server name can stand in a URL: a wildcard cannot, and nothing that could break out of quotes may.
fn is_host_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn place(protocol: Protocol, address: &str, name: Option<&str>) -> Place {
        let address: SocketAddr = address.parse().unwrap();
        let host = name.map_or_else(|| address.ip().to_string(), str::to_owned);
        let listener = protocol.name().to_owned();
        Place {
            listener,
            protocol,
            address,
            named: name.is_some(),
            host: (!address.ip().is_unspecified()).then_some(host),
            tls: FtpTls::Explicit,
        }
    }

    fn advice() -> Advice {
        let places = [
            place(Protocol::Tftp, "10.0.0.1:69", None),
            place(Protocol::Https, "10.0.0.1:443", Some("a.example")),
            place(Protocol::Tftp, "10.0.0.2:69", None),
        ];
        Advice::from_places("acme", &places).unwrap()
    }

    fn first(places: &[Place]) -> String {
        match Advice::from_places("acme", places).unwrap().options.remove(0).value {
            Value::Text(text) => text,
            Value::Addresses(_) | Value::SubOptions(_) => panic!("no text"),
        }
    }

    #[test]
    fn the_boot_server_is_the_safest_that_a_phone_can_verify() {
        let http = || place(Protocol::Http, "10.0.0.1:8080", None);
        let tftp = || place(Protocol::Tftp, "10.0.0.1:69", None);
        let nameless = || place(Protocol::Https, "10.0.0.1:443", None);
        assert_eq!(
            first(&[tftp(), http(), place(Protocol::Https, "10.0.0.1:8443", Some("a.example"))]),
            "https://a.example:8443/"
        );
        assert_eq!(first(&[tftp(), nameless(), http()]), "http://10.0.0.1:8080/");
        assert_eq!(first(&[tftp(), nameless()]), "10.0.0.1");
        assert_eq!(first(&[place(Protocol::Tftp, "10.0.0.1:6969", None)]), "tftp://10.0.0.1:6969/");
        assert_eq!(first(&[nameless()]), "https://10.0.0.1/");
        let notes = |places: &[Place]| Advice::from_places("acme", places).unwrap().notes.join("\n");
        assert!(notes(&[tftp(), nameless()]).contains("listener https is left out: https without `server_names`"));
        assert!(!notes(&[nameless()]).contains("server_names"));
        assert!(Advice::from_places("acme", &[place(Protocol::Tftp, "0.0.0.0:69", None)]).is_err());
    }

    #[test]
    fn ftp_inside_tls_has_its_own_scheme_and_what_a_url_cannot_say_is_noted() {
        let ftp = |address: &str, tls| Place { tls, ..place(Protocol::Ftp, address, None) };
        assert_eq!(first(&[ftp("10.0.0.1:990", FtpTls::Implicit)]), "ftps://10.0.0.1/");
        assert_eq!(first(&[ftp("10.0.0.1:2990", FtpTls::Implicit)]), "ftps://10.0.0.1:2990/");
        assert_eq!(first(&[ftp("10.0.0.1:990", FtpTls::Required)]), "ftp://10.0.0.1:990/");
        let (plain, tftp) = (ftp("10.0.0.1:21", FtpTls::Explicit), place(Protocol::Tftp, "10.0.0.1:69", None));
        assert_eq!(first(&[ftp("10.0.0.1:990", FtpTls::Implicit), tftp]), "10.0.0.1");
        assert_eq!(first(&[ftp("10.0.0.1:990", FtpTls::Implicit), plain]), "ftp://10.0.0.1/");
        let notes = |tls| Advice::from_places("acme", &[ftp("10.0.0.1:21", tls)]).unwrap().notes;
        assert!(notes(FtpTls::Required).iter().any(|note| note.contains("AUTH TLS")));
        assert!(!notes(FtpTls::Explicit).iter().any(|note| note.contains("AUTH TLS")));
    }

    #[test]
    fn phones_are_sent_to_no_tenant_that_is_disabled() {
        let demo = tempfile::tempdir().unwrap();
        crate::demo::make(demo.path()).unwrap();
        let file = demo.path().join("tenants.d/acme.toml");
        let advice = || {
            let loaded = configuration::load(&demo.path().join("provost.toml")).unwrap();
            Advice::of(configuration::tenant(&loaded, "acme").unwrap()).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(advice(), Ok(()));
        std::fs::write(&file, format!("enabled = false\n{}", std::fs::read_to_string(&file).unwrap())).unwrap();
        assert!(advice().unwrap_err().contains("acme is disabled"));
    }

    #[test]
    fn isc_dhcpd_reads_it() {
        let text = isc::text(&advice());
        for line in [
            "option boot-server code 160 = string;",
            "option tftp-servers code 150 = array of ip-address;",
            "option tftp-server-name \"https://a.example/\";",
            "option boot-server \"https://a.example/\";",
            "option tftp-servers 10.0.0.1, 10.0.0.2;",
            "# option time-zone-name \"Europe/Berlin\";",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(text.contains("option vendor-encapsulated-options 01:12:68:74:74:70:73:3a:2f:2f:"), "{text}");
    }

    #[test]
    fn kea_reads_json_with_comments() {
        let text = kea::text(&advice()).unwrap();
        let json: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let codes: Vec<_> =
            json["option-def"].as_array().unwrap().iter().map(|option| option["code"].as_u64().unwrap()).collect();
        assert_eq!(codes, [160, 150, 1, 66]);
        let data = json["option-data"].as_array().unwrap();
        assert_eq!((&data[0]["name"], &data[0]["data"]), (&"tftp-server-name".into(), &"https://a.example/".into()));
        assert!(data.iter().any(|option| option["data"] == "10.0.0.1, 10.0.0.2"));
        assert!(data.iter().any(|option| option["name"] == "vendor-encapsulated-options"));
    }

    #[test]
    fn dnsmasq_reads_it() {
        let text = dnsmasq::text(&advice());
        for line in [
            "dhcp-option=66,\"https://a.example/\"",
            "dhcp-option=160,\"https://a.example/\"",
            "dhcp-option=150,10.0.0.1,10.0.0.2",
            "#dhcp-option=101,\"Europe/Berlin\"",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(text.contains("dhcp-option=43,01:12:68:74"), "{text}");
    }

    #[test]
    fn mikrotik_reads_it() {
        let text = mikrotik::text(&advice());
        for line in [
            "/ip dhcp-server option add name=acme-66 code=66 value=\"s'https://a.example/'\"",
            "/ip dhcp-server option add name=acme-150 code=150 value=\"'10.0.0.1''10.0.0.2'\"",
            "/ip dhcp-server option sets add name=acme options=acme-66,acme-160,acme-150,acme-43",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(text.contains("name=acme-43 code=43 value=0x01126874747073"), "{text}");
    }
}
