//! The demo's configuration: what an operator would write, with ports that the system has picked.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;

use anyhow::Context as _;

use super::material::store;

/// The password that phones of globex share.
pub(super) const PASSWORD: &str = "demo-456";
/// The token of the link of globex's old phone.
pub(super) const LINK: &str = "0f3c9a7be2d14856a0c1";

const PROVOST: &str = r#"# Made by `provost demo`. Change it and look:
#   provost check --config provost.toml --rules
#   provost serve --config provost.toml

tenants = "tenants.d/*.toml"
state   = "state"
[admin]
socket  = "admin.sock"

[defaults]
files.shared = ["firmware"]             # what phones of every tenant may read

# Whose certificates are believed, and where they name the phone.
[trust.poly]
anchors = ["trust/poly/*.pem"]
mac     = { attribute = "CN", pattern = "^([0-9A-Fa-f]{12})$" }
ouis    = ["00:04:f2"]
[trust.yealink]
anchors = ["trust/yealink/*.pem"]
mac     = { attribute = "CN", pattern = "^([0-9A-Fa-f]{12})$" }
[trust.cisco]
anchors = ["trust/cisco/*.pem"]
mac     = { attribute = "ST", pattern = "^([0-9A-Fa-f]{12})$" }
"#;

const ACME: &str = r#"# Every phone that can show a certificate must; the rest is served by its address.
name  = "acme"
allow = ["127.0.0.0/29"]

[files]
root = "../acme"

[devices]
file = "acme-devices.csv"

[[listener]]
name        = "phones"
protocol    = "https"
address     = "{https}"
certificate = "../tls/server.pem"
key         = "../tls/server.key"
trust       = ["poly", "yealink", "cisco"]

[[listener]]
protocol = "http"
address  = "{http}"

[[listener]]
protocol = "tftp"
address  = "{tftp}"

[[listener]]
protocol = "ftp"
address  = "{ftp}"
"#;

/// A phone with `proof = certificate` is served over HTTPS alone.
const ACME_DEVICES: &str = "\
mac,label,password,proof,blocked
0004f2aabbcc,Poly VVX 500 reception,,certificate,
0004f2112233,Poly VVX 500 workshop,,certificate,
001565a1b2c3,Yealink T46G kitchen,,,
708105b37234,Cisco SPA 525 gate,,,
001120aabb01,Cisco 7960 lift,,,
";

const GLOBEX: &str = r#"# Phones with a certificate show it; the vendor of one old phone never gave it any, so it shows a password, or has a secret in its URL.
name  = "globex"
allow = ["127.0.0.0/29"]

[files]
root = "../globex"

[devices]
file = "globex-devices.csv"

[[users]]
name     = "PlcmSpIp"
password = "{password}"

[[listener]]
name        = "phones"
protocol    = "https"
address     = "{https}"
certificate = "../tls/server.pem"
key         = "../tls/server.key"
trust       = ["poly"]

[[listener.exception]]
ouis    = ["00:90:7a"]
require = ["password", "link"]

[[listener]]
protocol = "http"
address  = "{http}"

[[listener]]
protocol = "tftp"
address  = "{tftp}"

[[listener]]
protocol = "ftp"
address  = "{ftp}"
"#;

const GLOBEX_DEVICES: &str = "\
mac,label,password,link,proof,blocked
0004f2ddeeff,Poly VVX 600 board room,,,certificate,
00907a000550,old phone in the warehouse,,{link},,
";

/// Writes provost.toml, the tenants' files and their devices below `dir`.
pub(super) fn write(dir: &Path) -> anyhow::Result<()> {
    let tenants = dir.join("tenants.d");
    store(&dir.join("provost.toml"), PROVOST.as_bytes())?;
    for (name, text, devices, host) in [
        ("acme", ACME, ACME_DEVICES, Ipv4Addr::LOCALHOST),
        ("globex", GLOBEX, GLOBEX_DEVICES, Ipv4Addr::new(127, 0, 0, 2)),
    ] {
        let ports = Ports::pick(host).with_context(|| format!("cannot find free ports on {host}"))?;
        store(&tenants.join(format!("{name}.toml")), ports.fill(text).as_bytes())?;
        store(&tenants.join(format!("{name}-devices.csv")), devices.replace("{link}", LINK).as_bytes())?;
    }
    Ok(())
}

/// Addresses for one tenant's listeners. They are free when they are picked, and stand in the configuration so that
/// the demo can be served again where its printed commands expect it.
struct Ports {
    https: SocketAddr,
    http: SocketAddr,
    tftp: SocketAddr,
    ftp: SocketAddr,
}

impl Ports {
    fn pick(host: Ipv4Addr) -> io::Result<Self> {
        // All are held until the last is picked, so that no two are the same.
        let tcp = || TcpListener::bind((host, 0));
        let (https, http, ftp) = (tcp()?, tcp()?, tcp()?);
        let tftp = UdpSocket::bind((host, 0))?;
        Ok(Self {
            https: https.local_addr()?,
            http: http.local_addr()?,
            tftp: tftp.local_addr()?,
            ftp: ftp.local_addr()?,
        })
    }

    fn fill(&self, text: &str) -> String {
        text.replace("{https}", &self.https.to_string())
            .replace("{http}", &self.http.to_string())
            .replace("{tftp}", &self.tftp.to_string())
            .replace("{ftp}", &self.ftp.to_string())
            .replace("{password}", PASSWORD)
    }
}
