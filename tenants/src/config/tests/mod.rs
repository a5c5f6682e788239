//! Whole configurations in a folder of their own, with certificates made for the occasion.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod again;
mod document;
mod forms;
mod ftp;
mod listeners;
mod neighbours;
mod sharing;
mod shipped;
mod trust_sets;
mod vendors;
mod warm;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;

use super::{Loaded, Problems, load};

/// What the tenant `acme` has at least; what a test adds begins at line 5.
pub(super) const ACME: &str = r#"name = "acme"
allow = ["10.0.0.0/8"]
files.root = "../files/acme"
devices.list = ["0004f2aabbcc"]
"#;

/// The start of an https listener; what a test adds begins at line 10.
pub(super) const HTTPS: &str = r#"[[listener]]
protocol = "https"
address = "127.0.0.1:0"
certificate = "../tls/server.pem"
key = "../tls/server.key"
"#;

/// A folder with a configuration.
pub(super) struct Site(TempDir);

impl Site {
    /// Folders, a server certificate and a trust set; provost.toml says nothing but that.
    pub(super) fn new() -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        for folder in ["tenants.d", "files/acme", "files/globex", "shared", "tls", "trust"] {
            fs::create_dir_all(site.path(folder)).unwrap();
        }
        site.write("provost.toml", "state = \"state\"\n");
        let server = rcgen::generate_simple_self_signed(["acme.example.net".to_owned()]).unwrap();
        site.write("tls/server.pem", &server.cert.pem());
        site.write_secret("tls/server.key", &server.signing_key.serialize_pem());
        site.write("trust/ca.pem", &authority().pem());
        site
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(super) fn write_secret(&self, name: &str, text: &str) {
        self.write(name, text);
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// The tenant `acme`, with `more` behind its four lines.
    pub(super) fn acme(&self, more: &str) {
        self.write("tenants.d/acme.toml", &format!("{ACME}{more}"));
    }

    pub(super) fn load(&self) -> Result<Loaded, Problems> {
        self.load_with(&[])
    }

    pub(super) fn load_with(&self, environment: &[(&str, &str)]) -> Result<Loaded, Problems> {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        load(&self.path("provost.toml"), environment)
    }

    /// Every error and warning, one a line, file names as the configuration's folder has them.
    pub(super) fn said(&self) -> Vec<String> {
        let problems = match self.load() {
            Ok(loaded) => loaded.problems,
            Err(problems) => problems,
        };
        self.lines(problems.iter())
    }

    /// Every error of `acme`, beginning with its line.
    pub(super) fn refused(&self, more: &str) -> Vec<String> {
        self.acme(more);
        let loaded = self.load().unwrap_or_else(|problems| panic!("{problems}"));
        let errors = self.lines(loaded.problems.errors());
        assert_eq!(errors.is_empty(), loaded.deployment.tenants.len() == 1, "{errors:?}");
        errors.into_iter().map(|line| line.trim_start_matches("tenants.d/acme.toml:").trim_start().to_owned()).collect()
    }

    fn lines<'p>(&self, problems: impl Iterator<Item = &'p super::Problem>) -> Vec<String> {
        let folder = format!("{}/", self.0.path().display());
        problems.map(|problem| problem.to_string().replace(&folder, "")).collect()
    }
}

/// A CA's certificate.
pub(super) fn authority() -> rcgen::Certificate {
    let mut parameters = rcgen::CertificateParams::default();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "Vendor Root");
    parameters.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap()
}
