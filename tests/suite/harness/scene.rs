//! The usual scene: two tenants whose files have the same names and other contents, and whose vendors are the same.

use super::authority::{Authority, Pair};
use super::clients::{Curl, text};
use super::deployment::{Deployment, Tenant};
use super::server::Server;

/// Acme's Poly phone, whose requests most tests make.
pub(crate) const POLY: &str = "0004f2aabbcc";
/// Its neighbour at acme.
pub(crate) const NEIGHBOUR: &str = "0004f2000002";
/// Acme's Cisco phone.
pub(crate) const CISCO: &str = "708105b37234";
/// Acme's Yealink phone.
pub(crate) const YEALINK: &str = "805ec0112233";
/// Globex's Poly phone.
pub(crate) const FOREIGN: &str = "0004f2ddeeff";
/// A Poly phone that no tenant lists.
pub(crate) const UNLISTED: &str = "0004f2999999";

/// A deployment, its server, and the certificates of its phones.
pub(crate) struct Scene {
    pub(crate) server: Server,
    pub(crate) deployment: Deployment,
}

/// Acme without listeners.
pub(crate) fn acme() -> Tenant {
    Tenant::new("acme", &[POLY, NEIGHBOUR, CISCO, YEALINK])
}

/// Acme with the devices of a file alone.
pub(crate) fn tenant_of_file(file: &str) -> Tenant {
    Tenant::new("acme", &[]).devices(&format!("file = {file:?}"))
}

/// Globex without listeners.
pub(crate) fn globex() -> Tenant {
    Tenant::new("globex", &[FOREIGN])
}

/// The files of both tenants, and one beside their roots that nobody may read.
pub(crate) fn write_files(deployment: &Deployment) {
    for (tenant, devices) in [("acme", &[POLY, NEIGHBOUR, YEALINK][..]), ("globex", &[FOREIGN, POLY][..])] {
        for device in devices {
            deployment.write(&format!("files/{tenant}/{device}.cfg"), format!("{tenant} file of {device}\n"));
        }
        for name in ["sip.cfg", "000000000000.cfg", "sub/site.cfg", "y000000000028.cfg"] {
            deployment.write(&format!("files/{tenant}/{name}"), format!("{tenant} {name}\n"));
        }
    }
    deployment.write(&format!("files/acme/SEP{}.cnf.xml", CISCO.to_uppercase()), format!("acme file of {CISCO}\n"));
    deployment.write("shared/3111-44500-001.sip.ld", "firmware\n");
    deployment.write("files/secret.txt", "SECRET\n");
}

impl Scene {
    /// Writes the tenants and starts the server.
    pub(crate) fn of(tenants: &[Tenant]) -> Self {
        let deployment = Deployment::new();
        write_files(&deployment);
        for tenant in tenants {
            deployment.add(tenant);
        }
        Self::start(deployment)
    }

    pub(crate) fn start(deployment: Deployment) -> Self {
        Self::start_with(deployment, &[])
    }

    pub(crate) fn start_with(deployment: Deployment, variables: &[(&str, &str)]) -> Self {
        let poly = &deployment.poly;
        for mac in [POLY, NEIGHBOUR, YEALINK, FOREIGN, UNLISTED] {
            deployment.certificate(mac, &poly.common_name(mac.to_uppercase()));
        }
        deployment.certificate(CISCO, &deployment.cisco.cisco(CISCO));
        Self { server: Server::start(&deployment.config(), variables), deployment }
    }

    /// The URL of a path on a listener.
    pub(crate) fn url(&self, scheme: &str, tenant: &str, path: &str) -> String {
        format!("{scheme}://127.0.0.1:{}/{path}", self.server.port(tenant, scheme))
    }

    /// A request over https with the certificate of that name; an empty name presents none.
    pub(crate) fn https(&self, tenant: &str, certificate: &str, path: &str) -> Curl {
        self.present(Curl::new(self.url("https", tenant, path)), certificate)
    }

    /// The same at a listener of acme that has another name or another address.
    pub(crate) fn at(&self, listener: &str, certificate: &str, path: &str) -> Curl {
        let address = self.server.address("acme", listener);
        self.present(Curl::new(format!("https://{address}/{path}")), certificate)
    }

    fn present(&self, curl: Curl, certificate: &str) -> Curl {
        let curl = curl.args(["--cacert", &text(&self.deployment.path("tls/ca.pem"))]);
        if certificate.is_empty() {
            return curl;
        }
        let [pem, key] = self.deployment.pair(certificate);
        curl.args(["--cert", &pem, "--key", &key])
    }

    /// Acme's Poly phone over https.
    pub(crate) fn phone(&self, path: &str) -> Curl {
        self.https("acme", POLY, path)
    }
}

impl Deployment {
    /// Keeps a device's certificate under a name.
    pub(crate) fn certificate(&self, name: &str, pair: &Pair) {
        std::fs::create_dir_all(self.path("device")).unwrap();
        pair.write(&self.path("device"), name);
    }

    /// Where a device's certificate and its key are.
    pub(crate) fn pair(&self, name: &str) -> [String; 2] {
        ["pem", "key"].map(|suffix| text(&self.path(&format!("device/{name}.{suffix}"))))
    }

    /// The certificates that do not prove what they seem to, by name.
    pub(crate) fn write_doubtful_certificates(&self) {
        let (poly, yealink): (&Authority, &Authority) = (&self.poly, &self.poly);
        for (name, pair) in [
            ("generic", self.cisco.generic()),
            ("yealink-generic", yealink.common_name("Yealink Generic")),
            ("empty", poly.common_name("")),
            ("oui", poly.common_name("0004f2")),
            ("nul", poly.common_name("0004F2AABBCC\0")),
            ("long", poly.common_name("0004F2AABBCC00")),
            ("two", poly.two_common_names("0004F2AABBCC", "0004F2000002")),
            ("wrong-ca", self.stranger.common_name("0004F2AABBCC")),
            ("expired", poly.expired("0004F2AABBCC")),
        ] {
            self.certificate(name, &pair);
        }
    }
}
