//! Phones that boot: each makes one connection, reads its own and its site's files, some of them missing, and sends its logs. One
//! that is refused or cut off waits a moment and goes on where it was.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, DistinguishedName, DnType, Issuer, KeyPair};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::spread;
use crate::wire::{Identity, Target, Wire};

const TRIES: usize = 20;

pub(crate) struct Storm {
    pub(crate) phones: usize,
    /// Phones that boot at once.
    pub(crate) at_once: usize,
    /// In which time all of them are switched on.
    pub(crate) over: Duration,
    pub(crate) targets: Vec<(String, Target)>,
}

/// Makes a certificate for each phone, by the authority in the folder.
pub(crate) fn certify(folder: &str, address: &str, first: usize, count: usize) -> Vec<(String, Target)> {
    let text = |name: &str| std::fs::read_to_string(format!("{folder}/{name}")).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&text("ca.pem"), KeyPair::from_pem(&text("ca.key")).unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let phone = |number: usize| {
        let mac = format!("0004f2{number:06x}");
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Polycom Inc.");
        params.distinguished_name.push(DnType::CommonName, mac.to_uppercase());
        let certificate = params.signed_by(&key, &issuer).unwrap().der().to_vec();
        let identity = Identity { version: "1.3".into(), certificate, key: key.serialize_der() };
        (mac, Target::new(address, Some(identity)))
    };
    (first..first + count).map(phone).collect()
}

impl Storm {
    pub(crate) async fn run(self) {
        let began = Instant::now();
        let places = Rc::new(Semaphore::new(self.at_once));
        let sum = Rc::new(RefCell::new(Sum::default()));
        let mut all = JoinSet::new();
        for (number, (mac, target)) in self.targets.into_iter().enumerate() {
            let (places, sum) = (Rc::clone(&places), Rc::clone(&sum));
            let on = began + self.over.mul_f64(number as f64 / self.phones as f64);
            all.spawn_local(async move {
                tokio::time::sleep_until(on.into()).await;
                let _place = places.acquire().await;
                boot(&target, &mac, &sum).await;
            });
        }
        while all.join_next().await.is_some() {}
        let mut sum = sum.borrow_mut();
        let (provisioned, retried, failed) = (sum.provisioned, sum.retried, sum.failed);
        let rate = sum.took.len() as f64 / began.elapsed().as_secs_f64();
        let spread = spread(&mut sum.took);
        println!(
            "phones={} provisioned={provisioned} failed={failed} retried={retried} rate={rate:.0} {spread}",
            self.phones
        );
    }
}

#[derive(Default)]
struct Sum {
    took: Vec<Duration>,
    provisioned: usize,
    failed: usize,
    retried: usize,
}

/// The 20 requests of one phone: method, path, and the status that is right.
fn requests(mac: &str) -> Vec<(&'static str, String, &'static [u16])> {
    let get = |path: String| ("GET", path, &[200][..]);
    let missing = |path: String| ("GET", path, &[404][..]);
    let mut list = vec![get(format!("/{mac}.cfg")), get("/sip.cfg".into()), get("/000000000000.cfg".into())];
    list.extend(["phone", "web", "user", "license"].map(|name| missing(format!("/{mac}-{name}.cfg"))));
    list.extend(["directory.xml", "calls.xml"].map(|name| missing(format!("/{mac}-{name}"))));
    list.extend((0..8).map(|_| get("/sip.cfg".into())));
    list.push(("PUT", format!("/{mac}-boot.log"), &[200, 201]));
    list.push(("PUT", format!("/{mac}-app.log"), &[200, 201]));
    list.push(("HEAD", format!("/{mac}-app.log"), &[200]));
    list
}

async fn boot(target: &Target, mac: &str, sum: &RefCell<Sum>) {
    let mut wire: Option<Wire> = None;
    let log = "x".repeat(2000);
    for (method, path, right) in requests(mac) {
        let mut done = false;
        for _ in 0..TRIES {
            let began = Instant::now();
            let connected = match wire.take() {
                Some(wire) => Ok(wire),
                None => target.try_connect().await,
            };
            if let Ok(mut connected) = connected
                && let Ok((status, _)) = connected.ask(method, &path, &log, false).await
                && right.contains(&status)
            {
                sum.borrow_mut().took.push(began.elapsed());
                wire = Some(connected);
                done = true;
                break;
            }
            sum.borrow_mut().retried += 1;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        if !done {
            sum.borrow_mut().failed += 1;
            return;
        }
    }
    sum.borrow_mut().provisioned += 1;
}
