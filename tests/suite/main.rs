//! The real binary, met by real clients: curl, tftp-hpa, atftp, lftp and Python's ftplib, and by sockets of our own where
//! no client does what has to be tried.
//!
//! Each test writes its own deployment into a temporary directory and starts its own server on ports that the system
//! picks; nothing is shared, so that the tests run beside each other. What is decided is tested in `provost-core`, row by
//! row; here stands what only the whole product shows.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod harness;

mod activation;
mod bulk;
mod certificate_tricks;
mod certificates;
mod comings;
mod command_line;
mod crash;
mod demo;
mod devices;
mod digest;
mod ending;
mod environment;
mod explain;
mod fair;
mod ftp;
mod ftp_clients;
mod ftp_hostile;
mod ftp_transfers;
mod ftps;
mod guard;
mod held;
mod hostile;
mod https;
mod https_uploads;
mod https_wire;
mod ipv6;
mod isolation;
mod legacy;
mod links;
mod lookup;
mod material;
mod metrics;
mod operator;
mod passwords;
mod proxy;
mod quotas;
mod records;
mod reload;
mod revocation;
mod server_certificates;
mod shared;
mod slow;
mod status;
mod stored_passwords;
mod successors;
mod tenants;
mod tftp;
mod tftp_listening;
mod tftp_weather;
mod tftp_wire;
mod trust;
mod walkthrough;
