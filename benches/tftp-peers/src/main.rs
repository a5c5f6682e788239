//! async-tftp 0.4.2 as a server: `tftp-peers dir|memory FOLDER ADDRESS`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use async_tftp::packet;
use async_tftp::server::{Handler, TftpServerBuilder};
use futures_lite::future::block_on;
use futures_lite::io::{Cursor, Sink};

/// Serves files that were read at the start.
struct Memory(HashMap<String, Arc<[u8]>>);

impl Handler for Memory {
    type Reader = Cursor<Arc<[u8]>>;
    type Writer = Sink;

    async fn read_req_open(&mut self, _: &SocketAddr, path: &Path) -> Result<(Self::Reader, Option<u64>), packet::Error> {
        let name = path.to_string_lossy();
        let bytes = self.0.get(name.trim_start_matches('/')).ok_or(packet::Error::FileNotFound)?;
        Ok((Cursor::new(Arc::clone(bytes)), Some(bytes.len() as u64)))
    }

    async fn write_req_open(&mut self, _: &SocketAddr, _: &Path, _: Option<u64>) -> Result<Sink, packet::Error> {
        Err(packet::Error::IllegalOperation)
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, folder, address] = arguments.as_slice() else { panic!("tftp-peers dir|memory FOLDER ADDRESS") };
    let address = address.parse().expect("an address");
    match kind.as_str() {
        "dir" => {
            let builder = TftpServerBuilder::with_dir_ro(folder).expect("a folder");
            block_on(async { builder.bind(address).build().await.expect("a socket").serve().await.expect("served") });
        }
        _ => {
            let files = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
            let read = |entry: std::fs::DirEntry| {
                (entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).expect("a file").into())
            };
            let builder = TftpServerBuilder::with_handler(Memory(files.map(read).collect()));
            block_on(async { builder.bind(address).build().await.expect("a socket").serve().await.expect("served") });
        }
    }
}
