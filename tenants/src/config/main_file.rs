//! provost.toml: what is not of one tenant.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::field::Field;
use super::find::{self, Found};
use super::node::Node;
use super::problem::Collector;
use super::section::Section;
use crate::deployment::{Arrivals, LogFormat, Settings, Tenant};

/// The default of `tenants`.
const TENANTS: &str = "tenants.d/*.toml";
/// The default of `state`.
const STATE: &str = "/var/lib/provost";

/// The default of `serve.drain`, and the most that it may be.
const DRAIN: Duration = Duration::from_secs(30);
const LONGEST_DRAIN: Duration = Duration::from_hours(1);
/// The most that `serve.cache` may be: more is a slip.
const LARGEST_CACHE: usize = 64 << 30;

/// The most that the path of a UNIX socket has room for (unix(7)).
const LONGEST_SOCKET: usize = 107;

/// The most of `arrivals.connections` and `arrivals.client_hello`.
const MOST_ARRIVALS: usize = 1_000_000;
const LONGEST_HELLO: Duration = Duration::from_mins(1);

/// What provost.toml says beside its trust sets.
pub(super) struct Main<'a> {
    pub(super) settings: Settings,
    /// The glob of the tenants' files.
    tenants: String,
    tenants_field: Option<Field<'a>>,
    problems: &'a Collector,
    document: &'a Node,
}

impl Main<'_> {
    /// The files of the tenants, sorted by name. While tenants are served, none at all is an error: the folder is swapped or not
    /// mounted, or the glob has a slip.
    pub(super) fn tenant_files(&self, folder: &Path, served: &[Arc<Tenant>]) -> Vec<PathBuf> {
        match (find::find(&self.tenants, folder), &self.tenants_field) {
            (Ok(Found { files, folders }), _) => {
                let root = Section::root(self.document, self.problems);
                for folder in folders {
                    let folder = folder.display();
                    root.warn(format!("{folder} is no tenant: it is a folder, and `{}` names files", self.tenants));
                }
                let none = || format!("no tenant: no file is `{}`", self.tenants);
                match (files.is_empty(), served.is_empty()) {
                    (true, true) => root.warn(none()),
                    (true, false) => root.refuse(none()),
                    (false, _) => {}
                }
                files
            }
            (Err(error), Some(field)) => {
                field.refuse(error);
                Vec::new()
            }
            (Err(error), None) => {
                Section::root(self.document, self.problems).refuse(error);
                Vec::new()
            }
        }
    }
}

pub(super) fn read<'a>(document: &'a Node, problems: &'a Collector) -> Main<'a> {
    let mut root = Section::root(document, problems);
    let tenants_field = root.take("tenants");
    let tenants = tenants_field.as_ref().and_then(|field| field.text("a glob of files, such as \"tenants.d/*.toml\""));
    let state = root.take("state").and_then(|field| state(&field));
    let (admin_socket, metrics) = admin(root.table("admin"));
    let log = log(root.table("log"));
    let (drain, cache_bytes) = serve(root.table("serve"));
    let arrivals = arrivals(root.table("arrivals"));
    defaults(&mut root);
    // Read by `trust`, whose errors concern the tenants that use the set.
    let _ = root.take("trust");
    let state = state.unwrap_or_else(|| PathBuf::from(STATE));
    let settings = Settings { state, log, admin_socket, metrics, drain, cache_bytes, arrivals };
    let tenants = tenants.unwrap_or(TENANTS).to_owned();
    root.finish();
    Main { settings, tenants, tenants_field, problems, document }
}

fn state(field: &Field<'_>) -> Option<PathBuf> {
    let path = field.path()?;
    if path.exists() && !path.is_dir() {
        field.refuse("expected a folder, or a place where one can be made");
    }
    Some(path)
}

fn admin(mut admin: Section<'_>) -> (Option<PathBuf>, Option<SocketAddr>) {
    let socket = admin.take("socket").and_then(|field| {
        let path = field.path()?;
        if path.as_os_str().len() > LONGEST_SOCKET {
            field.warn(format!(
                "no socket can be there, and so none is made: its path has more than {LONGEST_SOCKET} bytes"
            ));
        }
        Some(path)
    });
    let metrics = admin.take("metrics").and_then(|field| {
        let address = field.parsed::<SocketAddr>("an address with its port, such as \"127.0.0.1:9632\"")?;
        if !address.ip().is_loopback() {
            field.warn("whoever reaches this address reads the names of all tenants and what their phones do");
        }
        Some(address)
    });
    admin.finish();
    (socket, metrics)
}

fn serve(mut serve: Section<'_>) -> (Duration, usize) {
    let drain = serve.take("drain").and_then(|field| {
        let span = field.span()?;
        (span <= LONGEST_DRAIN || refuse_drain(&field)).then_some(span)
    });
    let cache = serve.take("cache").and_then(|field| {
        let bytes = usize::try_from(field.size()?).ok().filter(|bytes| *bytes <= LARGEST_CACHE);
        if bytes.is_none() {
            field.refuse("expected at most \"64GiB\"");
        }
        bytes
    });
    serve.finish();
    (drain.unwrap_or(DRAIN), cache.unwrap_or(Settings::CACHE_BYTES))
}

fn arrivals(mut section: Section<'_>) -> Arrivals {
    let usual = Arrivals::default();
    let mut number = |key, usual| section.take(key).and_then(|field| field.number(1, MOST_ARRIVALS)).unwrap_or(usual);
    let connections = number("connections", usual.connections);
    let connections_per_address = number("connections_per_address", usual.connections_per_address);
    let client_hello = section.take("client_hello").and_then(|field| {
        let span = field.span()?;
        let fits = (Duration::from_millis(1)..=LONGEST_HELLO).contains(&span);
        if !fits {
            field.refuse("expected more than \"0s\" and not over \"1m\"");
        }
        fits.then_some(span)
    });
    section.finish();
    Arrivals { connections, connections_per_address, client_hello: client_hello.unwrap_or(usual.client_hello) }
}

fn refuse_drain(field: &Field<'_>) -> bool {
    field.refuse("expected at most \"1h\"");
    false
}

fn log(mut log: Section<'_>) -> LogFormat {
    let format = log.take("format");
    let format = format.and_then(|field| field.choice(&[("text", LogFormat::Text), ("json", LogFormat::Json)]));
    log.finish();
    format.unwrap_or_default()
}

fn defaults(root: &mut Section<'_>) {
    let mut defaults = root.table("defaults");
    // Everything else is checked where it stands under a tenant.
    defaults.misplaced("name", "a name is of one tenant: it stands in the tenant's file");
}
