//! Connections that are kept, asked in turn by one thread that blocks: each has a request under way while the others are
//! read. It costs two system calls a request, so that the server is what is measured.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use crate::wire::Target;

struct Kept {
    tcp: TcpStream,
    tls: Option<ClientConnection>,
    asked: Instant,
}

/// Asks until the time is over: how long each request took, and how many bytes came.
pub(crate) fn run(target: &Target, path: &str, time: Duration, count: usize) -> (Vec<Duration>, u64) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: phones\r\n\r\n");
    let mut ring: Vec<Kept> = (0..count).map(|_| Kept::new(target)).collect();
    let mut buffer = vec![0; 64 * 1024];
    let (mut took, mut bytes) = (Vec::new(), 0);
    let began = Instant::now();
    ring.iter_mut().for_each(|kept| kept.ask(request.as_bytes()));
    while began.elapsed() < time {
        for kept in &mut ring {
            bytes += kept.answer(&mut buffer);
            took.push(kept.asked.elapsed());
            kept.ask(request.as_bytes());
        }
    }
    (took, bytes)
}

impl Kept {
    fn new(target: &Target) -> Self {
        let tcp = TcpStream::connect(target.address).unwrap();
        tcp.set_nodelay(true).unwrap();
        let name = ServerName::from(target.address.ip());
        let tls = target.config.clone().map(|config| ClientConnection::new(config, name).unwrap());
        Self { tcp, tls, asked: Instant::now() }
    }

    fn ask(&mut self, request: &[u8]) {
        self.asked = Instant::now();
        let Some(tls) = &mut self.tls else { return self.tcp.write_all(request).unwrap() };
        while tls.is_handshaking() {
            tls.complete_io(&mut self.tcp).unwrap();
        }
        tls.writer().write_all(request).unwrap();
        while tls.wants_write() {
            tls.write_tls(&mut self.tcp).unwrap();
        }
    }

    /// Reads an answer, and tells the length of its body.
    fn answer(&mut self, buffer: &mut [u8]) -> u64 {
        let (mut read, mut whole) = (0, None);
        while whole.is_none_or(|whole| read < whole) {
            read += self.read(&mut buffer[read..]);
            whole = whole.or_else(|| length(&buffer[..read]));
        }
        assert_eq!(whole, Some(read), "more than one answer");
        read as u64
    }

    fn read(&mut self, buffer: &mut [u8]) -> usize {
        let read = match &mut self.tls {
            None => self.tcp.read(buffer).unwrap(),
            Some(tls) => loop {
                match tls.reader().read(buffer) {
                    Ok(read) => break read,
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(error) => panic!("{error}"),
                }
                assert_ne!(tls.read_tls(&mut self.tcp).unwrap(), 0, "closed");
                tls.process_new_packets().unwrap();
            },
        };
        assert_ne!(read, 0, "closed");
        read
    }
}

/// The length of an answer whose header is complete: it must be a 200.
fn length(answer: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    assert_eq!(answer.get(9..12), Some(&b"200"[..]), "{}", String::from_utf8_lossy(&answer[..end]));
    let mut fields = answer[..end].split(|byte| *byte == b'\n');
    let value = fields.find_map(|field| {
        let (name, value) = field.split_at_checked(NAME.len())?;
        name.eq_ignore_ascii_case(NAME).then_some(value)
    });
    let value: usize = std::str::from_utf8(value.unwrap()).unwrap().trim().parse().unwrap();
    Some(end + value)
}
