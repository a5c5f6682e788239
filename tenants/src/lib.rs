//! The tenants of Provost: what the operator configured, and what belongs to each enterprise.
//!
//! A [`Deployment`] is made from the configuration and holds the tenants that loaded. Each [`Tenant`] has its
//! policy, its files, its devices, what its phones sent, and the listeners of its own network. Nothing here speaks
//! a protocol, and nothing here decides: files and uploads open for a [`provost_core::Permit`] alone.
#![forbid(unsafe_code)]

pub mod config;
pub mod deployment;
pub mod devices;
pub mod files;
pub mod guard;
mod leftovers;
pub mod limits;
pub mod network;
pub mod passwords;
pub mod settled;
mod sha256;
pub mod staple;
#[cfg(test)]
mod testing;
pub mod trust;
pub mod uploads;
pub mod users;

pub use deployment::{
    Arrival, Arrivals, Deployment, FtpSettings, FtpTls, Listener, LogFormat, Rollover, ServerCertificate, Settings,
    Source, Tenant, TftpSettings, TlsSettings, TransferPorts, Unnamed,
};
pub use limits::Limits;
pub use sha256::Sha256;
