//! A storm: thousands of phones, each with a certificate of its own, boot within a short time. Each asks twenty times on one
//! connection, logs and settings that it sends among them; one that is told to come again does so after its Retry-After.

use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256};
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

use crate::wire::{Identity, Target, Wire};

/// How often one request is tried before the phone counts as refused for good.
const TRIES: usize = 60;
/// Keys are few: a phone's own certificate is what counts, and making keys would be the most of the work.
const KEYS: usize = 16;

/// What one phone asks, in this order; `{mac}` is its own. A body is appended to what the phone has sent before.
const BOOT: [(&str, &str, &[u16]); 20] = [
    ("GET", "/{mac}.cfg", &[200]),
    ("GET", "/sip.cfg", &[200]),
    ("GET", "/000000000000.cfg", &[200]),
    ("HEAD", "/sip.ld", &[200]),
    ("GET", "/{mac}-phone.cfg", &[404]),
    ("GET", "/{mac}-web.cfg", &[404]),
    ("GET", "/{mac}-license.cfg", &[404]),
    ("GET", "/000000000000-license.cfg", &[404]),
    ("GET", "/{mac}-directory.xml", &[404]),
    ("GET", "/000000000000-directory.xml", &[404]),
    ("GET", "/{mac}-calls.xml", &[404]),
    ("HEAD", "/{mac}-boot.log", &[404]),
    ("PUT", "/{mac}-boot.log", &[200, 201]),
    ("GET", "/sip.cfg", &[200]),
    ("GET", "/features.cfg", &[200]),
    ("HEAD", "/{mac}-app.log", &[404]),
    ("PUT", "/{mac}-app.log", &[200, 201]),
    ("HEAD", "/{mac}-app.log", &[200]),
    ("PUT", "/{mac}-app.log", &[200]),
    ("PUT", "/{mac}-phone.cfg", &[200, 201]),
];

/// What became of the phones.
#[derive(Default)]
struct Tally {
    requests: usize,
    busy: usize,
    broken: usize,
    refused: HashMap<String, usize>,
    took: Vec<Duration>,
    boots: Vec<Duration>,
}

/// Boots so many phones at each address within `ramp`. `issuer` is the key of a CA with the name `CN=ca`.
pub(crate) async fn run(addresses: &str, issuer: &[u8], phones: usize, ramp: Duration, version: &str) {
    let issuer = KeyPair::try_from(issuer).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = name("ca");
    let issuer = Issuer::new(params, issuer);
    let keys: Vec<KeyPair> = (0..KEYS).map(|_| KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()).collect();
    let addresses: Vec<&str> = addresses.split(',').collect();
    let mut booting = Vec::new();
    for number in 0..phones {
        for (tenant, address) in addresses.iter().enumerate() {
            let mac = format!("0004f2{:06x}", tenant * phones + number + 1);
            let key = &keys[number % KEYS];
            let mut params = CertificateParams::default();
            (params.distinguished_name, params.is_ca) = (name(&mac.to_ascii_uppercase()), IsCa::ExplicitNoCa);
            let certificate = params.signed_by(key, &issuer).unwrap().der().to_vec();
            let identity = Identity { version: version.to_owned(), certificate, key: key.serialize_der() };
            booting.push((Target::new(address, Some(identity)), mac));
        }
    }
    let (began, all) = (tokio::time::Instant::now(), booting.len());
    let mut tasks = JoinSet::new();
    for (place, (target, mac)) in booting.into_iter().enumerate() {
        let at = began + ramp.mul_f64(place as f64 / all as f64);
        tasks.spawn_local(async move {
            sleep_until(at).await;
            let mut tally = Tally::default();
            let boot = Instant::now();
            if boot_phone(Rc::new(target), &mac, &mut tally).await {
                tally.boots.push(boot.elapsed());
            }
            tally
        });
    }
    let mut sum = Tally::default();
    while let Some(done) = tasks.join_next().await {
        sum.add(done.unwrap());
    }
    sum.show(all, began.elapsed());
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

/// Whether the phone got through.
async fn boot_phone(target: Rc<Target>, mac: &str, tally: &mut Tally) -> bool {
    let mut kept = None;
    let mut logged = HashMap::new();
    for (method, path, expected) in BOOT {
        let path = path.replace("{mac}", mac);
        let body = format!("{mac} a line of a log, of some length as they have it\n").repeat(40);
        let body = if method == "PUT" { body.as_str() } else { "" };
        let first: usize = logged.get(&path).copied().unwrap_or_default();
        let range = format!("Content-Range: bytes {first}-{}/*\r\n", first + body.len().saturating_sub(1));
        let range = if path.ends_with(".log") && method == "PUT" { range.as_str() } else { "" };
        let Some(status) = ask(&target, &mut kept, (method, &path, body, range), tally).await else { return false };
        if !expected.contains(&status) {
            *tally.refused.entry(format!("{method} {} {status}", path.replace(mac, "{mac}"))).or_default() += 1;
            return false;
        }
        *logged.entry(path).or_default() += body.len();
    }
    true
}

/// Asks until there is an answer other than 503.
async fn ask(
    target: &Target,
    kept: &mut Option<Wire>,
    (method, path, body, range): (&str, &str, &str, &str),
    tally: &mut Tally,
) -> Option<u16> {
    for _ in 0..TRIES {
        let began = Instant::now();
        match attempt(target, kept, (method, path, body, range)).await {
            Ok((503, pause)) => {
                tally.busy += 1;
                *kept = None;
                sleep(pause).await;
            }
            Ok((status, _)) => {
                tally.requests += 1;
                tally.took.push(began.elapsed());
                return Some(status);
            }
            Err(_) => {
                tally.broken += 1;
                *kept = None;
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
    *tally.refused.entry("gave up".into()).or_default() += 1;
    None
}

async fn attempt(
    target: &Target,
    kept: &mut Option<Wire>,
    (method, path, body, range): (&str, &str, &str, &str),
) -> io::Result<(u16, Duration)> {
    let mut wire = match kept.take() {
        Some(wire) => wire,
        None => target.try_connect().await?,
    };
    let (status, _) = wire.ask_with(method, path, body, range).await?;
    let pause = wire.retry_after;
    *kept = Some(wire);
    Ok((status, pause))
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.busy += other.busy;
        self.broken += other.broken;
        self.took.extend(other.took);
        self.boots.extend(other.boots);
        for (what, count) in other.refused {
            *self.refused.entry(what).or_default() += count;
        }
    }

    fn show(mut self, all: usize, time: Duration) {
        let (seconds, provisioned) = (time.as_secs_f64(), self.boots.len());
        println!(
            "phones={all} provisioned={provisioned} seconds={seconds:.1} requests={} rate={:.0} busy={} broken={} {} boot_{}",
            self.requests,
            self.requests as f64 / seconds,
            self.busy,
            self.broken,
            crate::spread(&mut self.took),
            crate::spread(&mut self.boots).replace(' ', " boot_"),
        );
        for (what, count) in self.refused {
            println!("refused for good: {what}: {count}");
        }
    }
}
