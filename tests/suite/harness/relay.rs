//! A relay between TFTP clients and a server that loses, doubles, delays and reorders packets, by a seed: kernels of test
//! machines often have no netem. `benches/tftp` uses it, too.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What happens to packets, in thousandths, and how long each is on its way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    /// Packets that take half as long again, so that others overtake them.
    pub(crate) overtaken: u64,
    pub(crate) delay: Duration,
}

/// The relay. Dropped, it ends.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Relay {
    /// Relays to the server, from a port that the system picks.
    pub(crate) fn start(server: SocketAddr, weather: Weather, seed: u64) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let socket = runtime.block_on(UdpSocket::bind("127.0.0.1:0")).expect("a socket");
        let address = socket.local_addr().expect("an address");
        runtime.spawn(relay(socket, server, weather, seed));
        Self { address, runtime: Some(runtime) }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Requests come in here; each client has two sockets of its own from then on, one towards each side.
async fn relay(socket: UdpSocket, server: SocketAddr, weather: Weather, seed: u64) {
    let mut flows: HashMap<SocketAddr, UnboundedSender<Vec<u8>>> = HashMap::new();
    let mut buffer = vec![0; 65536];
    while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
        let number = flows.len() as u64;
        let requests = flows.entry(client).or_insert_with(|| {
            let (requests, received) = unbounded_channel();
            let dice = Dice(seed.wrapping_add(number).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
            tokio::spawn(flow(client, server, received, weather, dice));
            requests
        });
        // A flow lives as long as the relay.
        let _ = requests.send(buffer[..length].to_vec());
    }
}

async fn flow(
    client: SocketAddr,
    server: SocketAddr,
    mut requests: UnboundedReceiver<Vec<u8>>,
    weather: Weather,
    mut dice: Dice,
) {
    let [up, down] = [bind().await, bind().await];
    let (mut from_server, mut from_client) = (vec![0; 65536], vec![0; 65536]);
    let mut transfer = server;
    loop {
        let (way, to, packet) = tokio::select! {
            Some(packet) = requests.recv() => (&up, server, packet),
            Ok((length, from)) = up.recv_from(&mut from_server) => {
                transfer = from;
                (&down, client, from_server[..length].to_vec())
            }
            Ok((length, _)) = down.recv_from(&mut from_client) => (&up, transfer, from_client[..length].to_vec()),
        };
        for delay in dice.passes(weather) {
            let (way, packet) = (Arc::clone(way), packet.clone());
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                let _ = way.send_to(&packet, to).await;
            });
        }
    }
}

async fn bind() -> Arc<UdpSocket> {
    Arc::new(UdpSocket::bind("127.0.0.1:0").await.expect("a socket"))
}

/// xorshift64: repeatable, and good enough for weather.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, thousandths: u64) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % 1000 < thousandths
    }

    /// How long each copy of a packet takes; none where it is lost.
    fn passes(&mut self, weather: Weather) -> Vec<Duration> {
        let copies = if self.throw(weather.lost) { 0 } else { 1 + usize::from(self.throw(weather.doubled)) };
        let delay = |overtaken: bool| if overtaken { weather.delay * 3 / 2 } else { weather.delay };
        (0..copies).map(|_| delay(self.throw(weather.overtaken))).collect()
    }
}
