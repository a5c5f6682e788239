//! A deployment in a temporary directory, in the form of the operator's contract.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::authority::Authority;

/// The lines that every https listener has.
pub(crate) const TLS: &str =
    "certificate = \"../tls/server.pem\"\nkey = \"../tls/server.key\"\ntrust = [\"poly\", \"cisco\"]\n";

/// A directory with provost.toml, tenants, trust and files. It goes when it is dropped.
pub(crate) struct Deployment {
    folder: TempDir,
    /// The vendors' authorities, and one that nobody trusts.
    pub(crate) poly: Authority,
    pub(crate) cisco: Authority,
    pub(crate) stranger: Authority,
}

/// One tenant's file, put together from parts.
#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    name: String,
    top: String,
    files: String,
    uploads: String,
    devices: String,
    rest: String,
    listeners: String,
}

impl Deployment {
    /// A deployment without tenants.
    pub(crate) fn new() -> Self {
        Self::with_settings("")
    }

    /// A deployment whose provost.toml has these lines, too, at its top.
    pub(crate) fn with_settings(top: &str) -> Self {
        let deployment = Self {
            folder: tempfile::Builder::new().prefix("provost-suite-").tempdir().unwrap(),
            poly: Authority::new("Polycom Test Root"),
            cisco: Authority::new("Cisco Test Root"),
            stranger: Authority::new("Nobody's Root"),
        };
        for folder in ["tenants.d", "trust", "tls", "shared"] {
            std::fs::create_dir(deployment.path(folder)).unwrap();
        }
        deployment.write("trust/poly.pem", deployment.poly.pem());
        deployment.write("trust/cisco.pem", deployment.cisco.pem());
        deployment.write("tls/ca.pem", deployment.stranger.pem());
        deployment.stranger.server().write(&deployment.path("tls"), "server");
        deployment.write(
            "provost.toml",
            format!(
                r#"tenants = "tenants.d/*.toml"
state = "state"
{top}
[log]
format = "json"
[admin]
socket = "admin.sock"
[defaults]
files.shared = ["shared"]
[trust.poly]
anchors = ["trust/poly.pem"]
mac = {{ attribute = "CN", pattern = "^([0-9A-Fa-f]{{12}})$" }}
[trust.cisco]
anchors = ["trust/cisco.pem"]
mac = [{{ attribute = "ST", pattern = "^([0-9A-Fa-f]{{12}})$" }}]
"#
            ),
        );
        deployment
    }

    /// A path inside the deployment.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where provost.toml is.
    pub(crate) fn config(&self) -> PathBuf {
        self.path("provost.toml")
    }

    /// Writes a file, with the folders before it.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Replaces a part of a file, which must be there.
    pub(crate) fn replace(&self, name: &str, from: &str, to: &str) {
        let content = std::fs::read_to_string(self.path(name)).unwrap();
        assert!(content.contains(from), "{content}");
        self.write(name, content.replacen(from, to, 1));
    }

    /// Writes the tenant's file, and makes its root.
    pub(crate) fn add(&self, tenant: &Tenant) {
        std::fs::create_dir_all(self.path(&format!("files/{}", tenant.name))).unwrap();
        self.write(&format!("tenants.d/{}.toml", tenant.name), tenant.text());
    }

    /// Where the upload of that name is kept.
    pub(crate) fn upload(&self, tenant: &str, name: &str) -> PathBuf {
        self.path(&format!("state/uploads/{tenant}/{name}"))
    }
}

impl Tenant {
    /// A tenant on loopback with these devices and no listener.
    pub(crate) fn new(name: &str, devices: &[&str]) -> Self {
        let list = devices.iter().map(|mac| format!("{mac:?}")).collect::<Vec<_>>().join(", ");
        Self {
            name: name.to_owned(),
            top: "allow = [\"127.0.0.0/8\", \"::1\"]\n".to_owned(),
            files: String::new(),
            uploads: "min_free = \"0MiB\"\n".to_owned(),
            devices: format!("list = [{list}]\n"),
            rest: String::new(),
            listeners: String::new(),
        }
    }

    /// An https listener with both trust sets; `more` are further lines of it.
    pub(crate) fn https(self, more: &str) -> Self {
        self.listener("https", &format!("{TLS}{more}"))
    }

    /// A listener named as its protocol, on a port that the system picks.
    pub(crate) fn listener(self, protocol: &str, more: &str) -> Self {
        self.listener_named(protocol, protocol, more)
    }

    pub(crate) fn listener_named(self, name: &str, protocol: &str, more: &str) -> Self {
        self.listener_at(name, protocol, "127.0.0.1:0", more)
    }

    pub(crate) fn listener_at(mut self, name: &str, protocol: &str, address: &str, more: &str) -> Self {
        let _ = writeln!(
            self.listeners,
            "[[listener]]\nname = {name:?}\nprotocol = {protocol:?}\naddress = {address:?}\n{more}"
        );
        self
    }

    pub(crate) fn files(mut self, lines: &str) -> Self {
        let _ = writeln!(self.files, "{lines}");
        self
    }

    pub(crate) fn uploads(mut self, lines: &str) -> Self {
        let _ = writeln!(self.uploads, "{lines}");
        self
    }

    pub(crate) fn devices(mut self, lines: &str) -> Self {
        let _ = writeln!(self.devices, "{lines}");
        self
    }

    /// Tables of its own: `[[rule]]`, `[[users]]`.
    pub(crate) fn table(mut self, lines: &str) -> Self {
        let _ = writeln!(self.rest, "{lines}");
        self
    }

    fn text(&self) -> String {
        let Self { name, top, files, uploads, devices, rest, listeners } = self;
        format!(
            "name = {name:?}\n{top}[files]\nroot = \"../files/{name}\"\n{files}[uploads]\n{uploads}[devices]\n{devices}{rest}{listeners}"
        )
    }
}
