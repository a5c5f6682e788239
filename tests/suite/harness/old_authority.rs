//! Certificates of twenty years ago, made by openssl: rcgen makes none with SHA-1, MD5, 1,024 bits or X.509 version 1.

use tempfile::TempDir;

use super::authority::Pair;
use super::clients::{run, text};

/// What a certificate is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Make {
    /// As `openssl req -newkey` takes it, such as `rsa:1024`.
    pub(crate) key: &'static str,
    /// As openssl's option, such as `-sha1`.
    pub(crate) digest: &'static str,
    /// The extensions; without any it is of version 1.
    pub(crate) extensions: &'static str,
}

/// As certificates are made today.
pub(crate) const MODERN: Make =
    Make { key: "rsa:2048", digest: "-sha256", extensions: "basicConstraints=critical,CA:FALSE" };
/// As CAs are made today.
pub(crate) const MODERN_CA: Make = Make { extensions: "basicConstraints=critical,CA:TRUE", ..MODERN };

/// A CA whose files lie in a folder of its own.
pub(crate) struct OldAuthority {
    folder: TempDir,
    ca: Pair,
}

impl OldAuthority {
    pub(crate) fn new(name: &str, make: Make) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let subject = format!("/CN={name}");
        let ca = certificate(&folder, "ca", &subject, make, None, "1");
        Self { folder, ca }
    }

    pub(crate) fn pem(&self) -> &str {
        &self.ca.certificate
    }

    /// Its own certificate with its key.
    pub(crate) fn pair(&self) -> &Pair {
        &self.ca
    }

    /// A leaf with this subject, such as `/CN=000B82AABBCC`.
    pub(crate) fn leaf(&self, subject: &str, make: Make) -> Pair {
        self.numbered(subject, make, "4711")
    }

    pub(crate) fn numbered(&self, subject: &str, make: Make, serial: &str) -> Pair {
        certificate(&self.folder, "leaf", subject, make, Some("ca"), serial)
    }

    /// Another authority that this one vouches for.
    pub(crate) fn intermediate(&self, name: &str, make: Make) -> Self {
        let ca = certificate(&self.folder, "sub", &format!("/CN={name}"), make, Some("ca"), "2");
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), &ca.certificate).unwrap();
        std::fs::write(folder.path().join("ca.key"), &ca.key).unwrap();
        Self { folder, ca }
    }

    /// A list that revokes this serial number, in hex, with these extensions as openssl writes them.
    pub(crate) fn crl(&self, serial: &str, digest: &str, extensions: &str) -> String {
        self.crl_of(serial, digest, extensions, "20491231235959Z")
    }

    /// The same, to be followed by another one at that time.
    pub(crate) fn crl_of(&self, serial: &str, digest: &str, extensions: &str, next: &str) -> String {
        let number = text(&self.folder.path().join("crlnumber"));
        std::fs::write(&number, "01\n").unwrap();
        self.list(
            serial,
            &format!("crlnumber={number}\ndefault_md={digest}\ncrl_extensions=e\n[e]\n{extensions}"),
            next,
        )
    }

    /// A list of version 1, which has no number.
    pub(crate) fn crl_of_version_1(&self, serial: &str) -> String {
        self.list(serial, "default_md=sha256", "20491231235959Z")
    }

    fn list(&self, serial: &str, settings: &str, next: &str) -> String {
        let path = |name: &str| text(&self.folder.path().join(name));
        let expires = "491231235959Z";
        std::fs::write(path("index"), format!("R\t{expires}\t250101000000Z\t{serial}\tunknown\t/CN=x\n")).unwrap();
        let section = format!("[ca]\ndefault_ca=a\n[a]\ndatabase={}\n{settings}\n", path("index"));
        std::fs::write(path("ca.cnf"), section).unwrap();
        let [config, certificate, key] = ["ca.cnf", "ca.pem", "ca.key"].map(path);
        let days = ["-crl_lastupdate", "20200101000000Z", "-crl_nextupdate", next];
        let made = ["ca", "-gencrl", "-config", &config, "-cert", &certificate, "-keyfile", &key];
        run("openssl", &[&made[..], &days].concat()).succeeded().stdout
    }
}

fn certificate(folder: &TempDir, name: &str, subject: &str, make: Make, issuer: Option<&str>, serial: &str) -> Pair {
    let path = |suffix: &str| text(&folder.path().join(suffix));
    let [key, request, pem] = ["key", "csr", "pem"].map(|suffix| path(&format!("{name}.{suffix}")));
    let new =
        ["req", "-new", "-newkey", make.key, "-nodes", "-utf8", "-subj", subject, "-keyout", &key, "-out", &request];
    let curve: &[&str] = if make.key == "ec" { &["-pkeyopt", "ec_paramgen_curve:prime256v1"] } else { &[] };
    run("openssl", &[&new[..], curve].concat()).succeeded();
    let mut sign =
        vec!["x509", "-req", "-in", &request, "-out", &pem, "-days", "3650", "-set_serial", serial, make.digest];
    let [ca, ca_key, extensions] = ["ca.pem", "ca.key", "ext"].map(path);
    match issuer {
        Some(_) => sign.extend(["-CA", &ca, "-CAkey", &ca_key]),
        None => sign.extend(["-signkey", &key]),
    }
    if !make.extensions.is_empty() {
        std::fs::write(&extensions, format!("{}\n", make.extensions)).unwrap();
        sign.extend(["-extfile", &extensions]);
    }
    run("openssl", &sign).succeeded();
    Pair { certificate: std::fs::read_to_string(pem).unwrap(), key: std::fs::read_to_string(key).unwrap() }
}
