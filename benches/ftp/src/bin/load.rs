//! A load of FTP sessions. Those that are counted by the second run as tasks of one thread, so that the load takes little of the
//! machine that it measures, and is the same for one peer and for many; the others block a thread each.
//!
//! ```text
//! load sessions ADDRESS USER PASSWORD PATH PEERS SECONDS   connect, login, PASV, RETR, QUIT, again and again
//! load retr     ADDRESS USER PASSWORD PATH COUNT           whole files, one after another
//! load stor     ADDRESS USER PASSWORD PATH COUNT BYTES
//! load idle     ADDRESS USER PASSWORD COUNT                logged in, until standard input ends
//! load tls      ADDRESS USER PASSWORD PEERS COUNT          AUTH TLS and a login
//! ```
//! Prints one line of JSON.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

struct Session<S: Read + Write>(BufReader<S>);

impl<S: Read + Write> Session<S> {
    fn reply(&mut self) -> Outcome<(u16, String)> {
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err("the server closed the connection".into());
            }
            if line.as_bytes().get(3) == Some(&b' ') {
                return Ok((line[..3].parse()?, line));
            }
        }
    }

    fn ask(&mut self, command: &str, code: u16) -> Outcome<String> {
        self.0.get_mut().write_all(format!("{command}\r\n").as_bytes())?;
        match self.reply()? {
            (answer, line) if answer == code => Ok(line),
            (_, line) => Err(format!("{command}: {line}").into()),
        }
    }

    fn login(&mut self, user: &str, password: &str) -> Outcome<()> {
        self.0.get_mut().write_all(format!("USER {user}\r\n").as_bytes())?;
        match self.reply()? {
            // pure-ftpd asks anonymous users for no password.
            (230, _) => Ok(()),
            (331, _) => self.ask(&format!("PASS {password}"), 230).map(drop),
            (_, line) => Err(line.into()),
        }
    }

    fn pasv(&mut self) -> Outcome<TcpStream> {
        let line = self.ask("PASV", 227)?;
        Ok(TcpStream::connect(data_address(&line)?)?)
    }

    fn retr(&mut self, path: &str) -> Outcome<u64> {
        let mut data = self.pasv()?;
        self.ask(&format!("RETR {path}"), 150)?;
        let mut buffer = vec![0; 1 << 18];
        let mut total = 0;
        loop {
            match data.read(&mut buffer)? {
                0 => break,
                count => total += count as u64,
            }
        }
        drop(data);
        self.complete()?;
        Ok(total)
    }

    fn complete(&mut self) -> Outcome<()> {
        match self.reply()? {
            (226, _) => Ok(()),
            (_, line) => Err(line.into()),
        }
    }
}

/// The address in the reply to PASV.
fn data_address(line: &str) -> Outcome<SocketAddr> {
    let numbers = line.split_once('(').and_then(|(_, rest)| rest.split_once(')')).ok_or("no address")?.0;
    let numbers: Vec<u16> = numbers.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let [a, b, c, d, high, low] = numbers[..] else { return Err("no address".into()) };
    Ok(SocketAddr::from(([a as u8, b as u8, c as u8, d as u8], high * 256 + low)))
}

fn connect(address: &str) -> Outcome<Session<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut session = Session(BufReader::new(stream));
    session.reply()?;
    Ok(session)
}

/// A session in a task.
struct Talk {
    stream: tokio::net::TcpStream,
    buffer: Vec<u8>,
}

impl Talk {
    async fn reply(&mut self) -> Outcome<(u16, String)> {
        loop {
            while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = String::from_utf8_lossy(&self.buffer[..=end]).into_owned();
                self.buffer.drain(..=end);
                if line.as_bytes().get(3) == Some(&b' ') {
                    return Ok((line[..3].parse()?, line));
                }
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the server closed the connection".into());
            }
        }
    }

    async fn say(&mut self, command: &str) -> Outcome<(u16, String)> {
        self.stream.write_all(format!("{command}\r\n").as_bytes()).await?;
        self.reply().await
    }

    async fn ask(&mut self, command: &str, code: u16) -> Outcome<String> {
        match self.say(command).await? {
            (answer, line) if answer == code => Ok(line),
            (_, line) => Err(format!("{command}: {line}").into()),
        }
    }
}

async fn one(address: &str, user: &str, password: &str, path: &str) -> Outcome<()> {
    let stream = tokio::net::TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut session = Talk { stream, buffer: Vec::with_capacity(512) };
    session.reply().await?;
    // pure-ftpd asks anonymous users for no password.
    match session.say(&format!("USER {user}")).await? {
        (230, _) => {}
        (331, _) => drop(session.ask(&format!("PASS {password}"), 230).await?),
        (_, line) => return Err(line.into()),
    }
    session.ask("TYPE I", 200).await?;
    let place = data_address(&session.ask("PASV", 227).await?)?;
    let mut data = tokio::net::TcpStream::connect(place).await?;
    session.ask(&format!("RETR {path}"), 150).await?;
    let mut content = Vec::with_capacity(8192);
    while data.read_buf(&mut content).await? > 0 {}
    if content.len() != 4096 {
        return Err("a file of another size".into());
    }
    drop(data);
    match session.reply().await? {
        (226, _) => {}
        (_, line) => return Err(line.into()),
    }
    session.ask("QUIT", 221).await?;
    Ok(())
}

/// Runs sessions in `peers` tasks of one thread for so long.
fn sessions(peers: usize, seconds: f64, address: &str, user: &str, password: &str, path: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let began = Instant::now();
    let until = began + Duration::from_secs_f64(seconds);
    let peer = || async {
        let (mut times, mut errors, mut last) = (Vec::new(), 0, String::new());
        while Instant::now() < until {
            let began = Instant::now();
            match one(address, user, password, path).await {
                Ok(()) => times.push(began.elapsed().as_secs_f64() * 1000.0),
                Err(error) => (errors, last) = (errors + 1, error.to_string()),
            }
        }
        (times, errors, last)
    };
    let results = runtime.block_on(async {
        let watchdog = Duration::from_secs_f64(seconds + 20.0);
        let all = futures_util::future::join_all((0..peers).map(|_| peer()));
        tokio::time::timeout(watchdog, all).await.expect("a session hangs")
    });
    report(began.elapsed(), &results);
}

/// Runs `work` in `peers` threads until `again` says no; how long each took, and the errors.
fn measure(peers: usize, again: impl Fn() -> bool + Sync, work: impl Fn() -> Outcome<()> + Sync) {
    let began = Instant::now();
    let results: Vec<(Vec<f64>, usize, String)> = std::thread::scope(|scope| {
        let peer = || {
            let (mut times, mut errors, mut last) = (Vec::new(), 0, String::new());
            while again() {
                let began = Instant::now();
                match work() {
                    Ok(()) => times.push(began.elapsed().as_secs_f64() * 1000.0),
                    Err(error) => (errors, last) = (errors + 1, error.to_string()),
                }
            }
            (times, errors, last)
        };
        let threads: Vec<_> = (0..peers).map(|_| scope.spawn(peer)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    report(began.elapsed(), &results);
}

fn report(wall: Duration, results: &[(Vec<f64>, usize, String)]) {
    let wall = wall.as_secs_f64();
    let errors: usize = results.iter().map(|(_, errors, _)| errors).sum();
    let error = results.iter().map(|(_, _, error)| error.trim()).find(|error| !error.is_empty()).unwrap_or_default();
    let mut times: Vec<f64> = results.iter().flat_map(|(times, _, _)| times.iter().copied()).collect();
    times.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or(0.0);
    println!(
        "{{\"done\": {}, \"errors\": {errors}, \"error\": {error:?}, \"wall\": {wall:.3}, \"p50\": {:.3}, \"p99\": {:.3}}}",
        times.len(),
        at(0.5),
        at(0.99)
    );
}

#[derive(Debug)]
struct Anyone(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &rustls::pki_types::CertificateDer<'_>,
        signed: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &rustls::pki_types::CertificateDer<'_>,
        signed: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Full handshakes: nothing is resumed.
fn tls() -> Arc<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

fn secured(address: &str, user: &str, password: &str, config: &Arc<rustls::ClientConfig>) -> Outcome<()> {
    let mut session = connect(address)?;
    session.ask("AUTH TLS", 234)?;
    let client = rustls::ClientConnection::new(Arc::clone(config), "localhost".try_into()?)?;
    let stream = rustls::StreamOwned::new(client, session.0.into_inner());
    let mut session = Session(BufReader::new(stream));
    session.login(user, password)?;
    session.ask("QUIT", 221)?;
    Ok(())
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize| arguments[index].parse::<usize>().unwrap();
    let [mode, address, user, password, ..] = arguments.as_slice() else { panic!("see the head of the source") };
    let path = &arguments[4];
    let left = AtomicI64::new(0);
    let counted = || left.fetch_sub(1, Ordering::Relaxed) > 0;
    match mode.as_str() {
        "sessions" => {
            sessions(number(5), arguments[6].parse().unwrap(), address, user, password, path);
        }
        "retr" => {
            left.store(number(5) as i64, Ordering::Relaxed);
            measure(1, counted, || {
                let mut session = connect(address)?;
                session.login(user, password)?;
                session.ask("TYPE I", 200)?;
                session.retr(path).map(drop)
            });
        }
        "stor" => {
            left.store(number(5) as i64, Ordering::Relaxed);
            let bytes = vec![7_u8; number(6)];
            measure(1, counted, || {
                let mut session = connect(address)?;
                session.login(user, password)?;
                session.ask("TYPE I", 200)?;
                let mut data = session.pasv()?;
                session.ask(&format!("STOR {path}"), 150)?;
                data.write_all(&bytes)?;
                data.shutdown(Shutdown::Write)?;
                session.complete()
            });
        }
        "idle" => {
            let open = |_| {
                let mut session = connect(address).unwrap();
                session.login(user, password).unwrap();
                session
            };
            let sessions: Vec<_> = (0..number(4)).map(open).collect();
            println!("{}", sessions.len());
            let _ = std::io::stdin().read(&mut [0]);
        }
        "tls" => {
            left.store(number(5) as i64, Ordering::Relaxed);
            let config = tls();
            measure(number(4), counted, || secured(address, user, password, &config));
        }
        other => panic!("{other}"),
    }
}
