//! A TFTP client that reads one file many times at once, for `benches/tftp`: each transfer has a port of its own, as each phone
//! has. It prints one line of JSON.
//!
//! A packet that is not answered within a second is sent again, eight times; then the transfer has failed. What arrives is
//! compared with the file that was expected, byte by byte.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use clap::Parser;
use provost_protocols::tftp::options::{Asked, pairs};
use provost_protocols::tftp::packet::Packet;
use provost_protocols::tftp::receiver::{Receiver, Taken};
use relay::{Relay, Weather};
use serde_json::json;
use tokio::net::UdpSocket;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

#[path = "../tests/suite/harness/relay.rs"]
#[expect(clippy::expect_used, reason = "it is of the tests, too")]
mod relay;

/// How long an answer is waited for before the last packet is sent again.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the last packet is sent without an answer before the transfer has failed.
const SENDS: u32 = 8;
/// The block size without an option (RFC 1350).
const BLOCK_BYTES: usize = 512;

/// Reads one file many times at once.
#[derive(Parser)]
struct Plan {
    /// The server.
    server: SocketAddr,
    /// The file's name there.
    name: String,
    /// The same file here.
    expected: PathBuf,
    /// How many transfers.
    count: usize,
    /// How many at once.
    at_once: usize,
    /// Bytes in a block.
    #[arg(default_value_t = BLOCK_BYTES)]
    block: usize,
    /// Blocks in a window.
    #[arg(default_value_t = 1)]
    window: u16,
    /// Thousandths of the packets that are lost.
    #[arg(long, default_value_t = 0)]
    lost: u64,
    /// Thousandths that are doubled.
    #[arg(long, default_value_t = 0)]
    doubled: u64,
    /// Thousandths that others overtake.
    #[arg(long, default_value_t = 0)]
    overtaken: u64,
    /// How long each packet is on its way; with 0 there is no relay, and none of the three above.
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut plan = Plan::parse();
    let Plan { lost, doubled, overtaken, delay_ms, .. } = plan;
    let weather = Weather { lost, doubled, overtaken, delay: Duration::from_millis(delay_ms) };
    let relay = (delay_ms > 0).then(|| std::thread::spawn(move || Relay::start(plan.server, weather, 1)));
    let relay = relay.map(std::thread::JoinHandle::join).transpose();
    let relay = relay.map_err(|_| anyhow::anyhow!("cannot start the relay"))?;
    plan.server = relay.as_ref().map_or(plan.server, |relay| relay.address);
    let plan = Arc::new(plan);
    let expected: Arc<[u8]> = std::fs::read(&plan.expected).context("cannot read the expected file")?.into();
    let places = Arc::new(Semaphore::new(plan.at_once));
    let began = Instant::now();
    let mut transfers = JoinSet::new();
    for _ in 0..plan.count {
        let place = Arc::clone(&places).acquire_owned().await?;
        let (plan, expected) = (Arc::clone(&plan), Arc::clone(&expected));
        transfers.spawn(async move {
            let began = Instant::now();
            let outcome = fetch(&plan, &expected).await;
            drop(place);
            (outcome, began.elapsed())
        });
    }
    let (mut times, mut repeats, mut failures) = (Vec::new(), 0, Vec::new());
    while let Some(transfer) = transfers.join_next().await {
        match transfer? {
            (Ok(repeated), time) => {
                repeats += repeated;
                times.push(time);
            }
            (Err(error), _) => failures.push(format!("{error:#}")),
        }
    }
    times.sort_unstable();
    let at = |percent: usize| times.get((times.len() * percent / 100).min(times.len().saturating_sub(1)));
    let ms = |time: Option<&Duration>| time.map(|time| time.as_secs_f64() * 1000.0);
    let line = json!({
        "arrived": times.len(), "failed": failures.len(), "repeats": repeats, "wall_s": began.elapsed().as_secs_f64(),
        "p50_ms": ms(at(50)), "p99_ms": ms(at(99)), "max_ms": ms(times.last()), "first_failure": failures.first(),
    });
    println!("{line}");
    Ok(())
}

/// One transfer: how many packets had to be sent again.
async fn fetch(plan: &Plan, expected: &[u8]) -> anyhow::Result<u32> {
    let local: SocketAddr = if plan.server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse()?;
    let socket = UdpSocket::bind(local).await?;
    let (mut to, mut last) = (plan.server, request(plan));
    let mut room = vec![0; 65536];
    let (mut receiver, mut arrived, mut repeats, mut sends) = (Receiver::new(BLOCK_BYTES, 1), 0, 0, 1);
    let mut peer = None;
    socket.send_to(&last, to).await?;
    loop {
        let Ok(datagram) = tokio::time::timeout(PATIENCE, socket.recv_from(&mut room)).await else {
            ensure!(sends < SENDS, "no answer after {arrived} bytes");
            (sends, repeats) = (sends + 1, repeats + 1);
            receiver.acknowledged();
            socket.send_to(&last, to).await?;
            continue;
        };
        let (length, from) = datagram?;
        if *peer.get_or_insert(from) != from {
            continue;
        }
        (to, sends) = (from, 1);
        match room.get(..length).and_then(Packet::parse) {
            Some(Packet::OptionAck(options)) if arrived == 0 => {
                let granted = Asked::of(pairs(options));
                receiver = Receiver::new(granted.block.unwrap_or(BLOCK_BYTES), granted.window.unwrap_or(1));
                last = Packet::Ack(0).to_bytes();
                socket.send_to(&last, to).await?;
            }
            Some(Packet::Data { block, bytes }) => {
                let taken = receiver.received(block, bytes.len());
                if matches!(taken, Taken::Keep | Taken::KeepAndAcknowledge | Taken::Last) {
                    ensure!(expected.get(arrived..arrived + bytes.len()) == Some(bytes), "wrong bytes at {arrived}");
                    arrived += bytes.len();
                    last = Packet::Ack(receiver.arrived()).to_bytes();
                }
                if matches!(taken, Taken::Acknowledge | Taken::KeepAndAcknowledge | Taken::Last) {
                    socket.send_to(&last, to).await?;
                }
                if taken == Taken::Last {
                    ensure!(arrived == expected.len(), "{arrived} bytes of {}", expected.len());
                    return Ok(repeats);
                }
            }
            Some(Packet::Error { code, text }) => bail!("error {code}: {}", text.escape_ascii()),
            Some(Packet::Ack(_) | Packet::OptionAck(_)) | None => {}
        }
    }
}

/// The RRQ. A phone that asks for nothing special sends no option.
fn request(plan: &Plan) -> Vec<u8> {
    let mut words = vec![plan.name.clone(), "octet".to_owned()];
    if plan.block != BLOCK_BYTES {
        words.extend(["blksize".to_owned(), plan.block.to_string()]);
    }
    if plan.window != 1 {
        words.extend(["windowsize".to_owned(), plan.window.to_string()]);
    }
    let text: Vec<u8> = words.into_iter().flat_map(|word| [word.into_bytes(), vec![0]].concat()).collect();
    [vec![0, 1], text].concat()
}
