//! Load for the benchmarks, on one thread: phones that connect, ask, keep and download.
//!
//!     load connect ADDRESS PATH --seconds 3 --at-once 16 TLS…     a new connection for each GET
//!     load keep    ADDRESS PATH --seconds 3 --at-once 16 [TLS…]   connections that are kept
//!     load bulk    ADDRESS PATH --seconds 3 --at-once 4  [TLS…]   whole files; MiB/s
//!     load hold    ADDRESS PATH --at-once 2000 TLS…               one GET each, then idle until standard input ends
//!     load meter   ADDRESS PATH --seconds 10 --every 25 TLS…       a new connection each so many milliseconds, until standard input ends
//!     load storm   ADDRESS[,ADDRESS]… KEY --phones 5000 --ramp 20 --tls 1.2   phones that boot; KEY is their CA's
//!
//! TLS… is `--tls 1.2` or `--tls 1.3`, `--cert` and `--key` (DER). The result is one line of `key=value`.

mod ring;
mod storm;
mod wire;

use std::collections::HashMap;
use std::io::Read as _;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::{JoinSet, LocalSet};
use wire::{Target, Wire};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().unwrap_or_else(|| panic!("MODE ADDRESS PATH [--OPTION VALUE]…"));
    let (mode, address, path) = (next(), next(), next());
    let mut options = HashMap::new();
    while let (Some(name), Some(value)) = (arguments.next(), arguments.next()) {
        options.insert(name, value);
    }
    let number = |name: &str, default: usize| options.get(name).map_or(default, |text| text.parse().unwrap());
    let (at_once, seconds) = (number("--at-once", 16), number("--seconds", 3));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let time = Duration::from_secs(seconds as u64);
        if mode == "storm" {
            let ramp = Duration::from_secs(number("--ramp", 20) as u64);
            return storm::run(
                &address,
                &std::fs::read(&path).unwrap(),
                number("--phones", 5000),
                ramp,
                &options["--tls"],
            )
            .await;
        }
        let target = Rc::new(Target::new(&address, wire::identity(&options)));
        match mode.as_str() {
            "keep" => keep(&target, &path, time, at_once),
            "meter" => meter(target, path, time, Duration::from_millis(number("--every", 25) as u64)).await,
            "hold" => hold(target, path, at_once).await,
            mode => run(mode.to_owned(), target, path, time, at_once).await,
        }
    });
}

fn keep(target: &Target, path: &str, time: Duration, at_once: usize) {
    let began = Instant::now();
    let (took, bytes) = ring::run(target, path, time, at_once);
    show(took, bytes, began);
}

async fn run(mode: String, target: Rc<Target>, path: String, time: Duration, at_once: usize) {
    let began = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..at_once {
        let (target, path, mode) = (Rc::clone(&target), path.clone(), mode.clone());
        workers.spawn_local(async move {
            let mut took = Vec::new();
            let mut bytes = 0;
            let mut kept = None;
            while began.elapsed() < time {
                let start = Instant::now();
                let mut wire: Wire = match kept.take() {
                    Some(wire) => wire,
                    None => target.connect().await,
                };
                let (status, length) = wire.get(&path, mode == "connect").await;
                assert_eq!(status, 200, "{path}");
                took.push(start.elapsed());
                bytes += length;
                if mode != "connect" {
                    kept = Some(wire);
                }
            }
            (took, bytes)
        });
    }
    let mut all = Vec::new();
    let mut bytes = 0;
    while let Some(done) = workers.join_next().await {
        let (took, read) = done.unwrap();
        all.extend(took);
        bytes += read;
    }
    show(all, bytes, began);
}

fn show(mut all: Vec<Duration>, bytes: u64, began: Instant) {
    let seconds = began.elapsed().as_secs_f64();
    let rate = all.len() as f64 / seconds;
    println!("count={} rate={rate:.0} mib_s={:.0} {}", all.len(), bytes as f64 / seconds / 1048576.0, spread(&mut all));
}

async fn meter(target: Rc<Target>, path: String, time: Duration, every: Duration) {
    let began = Instant::now();
    let mut took = Vec::new();
    let is_over = Arc::new(AtomicBool::new(false));
    let ends = Arc::clone(&is_over);
    std::thread::spawn(move || {
        let _ = std::io::stdin().read(&mut [0]);
        ends.store(true, Ordering::Relaxed);
    });
    while began.elapsed() < time && !is_over.load(Ordering::Relaxed) {
        let start = Instant::now();
        assert_eq!(target.connect().await.get(&path, true).await.0, 200, "{path}");
        took.push(start.elapsed());
        tokio::time::sleep(every.saturating_sub(start.elapsed())).await;
    }
    show(took, 0, began);
}

async fn hold(target: Rc<Target>, path: String, count: usize) {
    let mut held = Vec::new();
    for _ in 0..count {
        let mut wire = target.connect().await;
        assert_eq!(wire.get(&path, false).await.0, 200);
        held.push(wire);
    }
    println!("count={count}");
    let _ = std::io::stdin().read(&mut [0]);
}

/// Median and 99th percentile in milliseconds.
fn spread(times: &mut [Duration]) -> String {
    times.sort();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).map_or(0.0, |time| time.as_secs_f64() * 1e3);
    format!("p50={:.2} p99={:.2} max={:.2}", at(0.5), at(0.99), at(0.999_999))
}
