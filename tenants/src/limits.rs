//! What bounds a peer: every limit by name, with its default.

use std::time::Duration;

/// The limits of one tenant's listeners. None is unbounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// From the first byte to the end of the TLS handshake. Default 10 s.
    pub handshake: Duration,
    /// Until the `ClientHello` is complete. Default 3 s.
    pub client_hello: Duration,
    /// From the first byte of an HTTP request to the end of its header. Default 10 s.
    pub header: Duration,
    /// The size of an HTTP header in bytes. Default 16 KiB.
    pub header_bytes: usize,
    /// Without a byte while a body or a file is under way. Default 30 s.
    pub stall: Duration,
    /// What a body or a file moves on average once the stall time is used up, in bytes a second. Default 256.
    pub least_rate: u64,
    /// What all downloads of the tenant may take together, in bytes a second; no bound where it is absent, as by default.
    pub bandwidth: Option<u64>,
    /// What all transfers of the tenant may hold of files in memory together, in bytes. Default 64 MiB.
    pub memory: usize,
    /// Without a request or a command between two. Default 60 s.
    pub idle: Duration,
    /// From the connection to the end of an FTP login. Default 30 s.
    pub login: Duration,
    /// The length of an FTP command before login, in bytes. Default 512.
    pub command_bytes_before_login: usize,
    /// The length of an FTP command after login, in bytes. Default 4 KiB.
    pub command_bytes: usize,
    /// FTP commands that a session may send in a second before it is slowed. Default 1,000.
    pub commands_per_second: u32,
    /// Connections and transfers at once of the tenant. Default 8,192.
    pub connections: usize,
    /// Connections and transfers at once of one address; of IPv6 all addresses of a /64 are one. Default 8,192.
    pub connections_per_address: usize,
    /// The TFTP block size that is granted at most, in bytes. Default 65,464.
    pub tftp_block_bytes: usize,
    /// The TFTP window that is granted at most, in blocks. Default 64.
    pub tftp_window: u16,
    /// What one TFTP transfer may buffer, in bytes. Default 256 KiB.
    pub tftp_memory_bytes: usize,
    /// How often a TFTP packet is sent to a peer that has not answered yet. Default 5.
    pub tftp_sends: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            client_hello: Duration::from_secs(3),
            header: Duration::from_secs(10),
            header_bytes: 16 * 1024,
            stall: Duration::from_secs(30),
            least_rate: 256,
            bandwidth: None,
            memory: 64 * 1024 * 1024,
            idle: Duration::from_mins(1),
            login: Duration::from_secs(30),
            command_bytes_before_login: 512,
            command_bytes: 4 * 1024,
            commands_per_second: 1000,
            connections: 8192,
            connections_per_address: 8192,
            tftp_block_bytes: 65464,
            tftp_window: 64,
            tftp_memory_bytes: 256 * 1024,
            tftp_sends: 5,
        }
    }
}
