//! How a request comes to the listener that is asked about, where that is not by its address alone, or where TLS comes first.

use provost_tenants::{FtpTls, Listener, Unnamed};

/// What the phone has to ask for in its handshake, and whose address counts behind a proxy.
pub(super) fn notes(listener: &Listener) -> Vec<String> {
    let names = listener.tls.as_ref().map(|tls| tls.server_names.join(", ")).unwrap_or_default();
    let address = listener.address;
    let name = match (names.as_str(), listener.arrival.unnamed) {
        ("", Unnamed::Refused) => None,
        ("", Unnamed::Ours) => {
            Some(format!("supposed: the phone asks for no name that another tenant at {address} has"))
        }
        (names, Unnamed::Refused) => Some(format!(
            "supposed: the phone asks for one of the server names {names}, or for none where no other tenant shares {address}"
        )),
        (names, Unnamed::Ours) => Some(format!(
            "supposed: the phone asks for one of the server names {names}, or for none that another tenant at {address} has"
        )),
    };
    let proxy = listener.arrival.proxies.as_ref().map(|proxies| {
        let proxies: Vec<String> = proxies.iter().map(ToString::to_string).collect();
        format!("supposed: through a proxy of {}, the source is the one that it tells", proxies.join(", "))
    });
    name.into_iter().chain(proxy).chain(tls(listener).map(str::to_owned)).collect()
}

/// What an FTP listener asks for before anything else.
fn tls(listener: &Listener) -> Option<&'static str> {
    listener.tls.as_ref()?;
    match listener.ftp.tls {
        FtpTls::Explicit => None,
        FtpTls::Required => {
            Some("supposed: TLS came first (AUTH TLS): without it USER is answered 530, and nothing is decided")
        }
        FtpTls::Implicit => Some("supposed: the connection began with a TLS handshake"),
    }
}
