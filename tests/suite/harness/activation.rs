//! The service manager, as far as it concerns sockets: it makes them, keeps them, and starts servers that are handed them
//! (`sd_listen_fds(3)`).

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::server::{BINARY, Server};

/// Takes descriptors from its standard input, puts them where systemd puts them, and becomes the server. Nothing else is
/// inherited, and the process stays the same one.
const LAUNCHER: &str = r"
import fcntl, os, socket, sys
names, *command = sys.argv[1:]
descriptors = socket.recv_fds(socket.socket(fileno=0), 1, 250)[1]
apart = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 400) for descriptor in descriptors]
for number, descriptor in enumerate(apart, 3):
    os.dup2(descriptor, number)
os.closerange(3 + len(apart), 400)
os.dup2(os.open('/dev/null', os.O_RDONLY), 0)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(apart)), LISTEN_FDNAMES=names)
os.execv(command[0], command)
";

/// Sockets with the names of their units.
#[derive(Default)]
pub(crate) struct Sockets(Vec<(String, OwnedFd)>);

impl Sockets {
    /// A TCP socket on loopback that listens.
    pub(crate) fn tcp(&mut self, name: &str) -> SocketAddr {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        self.add(name, socket);
        address
    }

    /// A UDP socket on loopback.
    pub(crate) fn udp(&mut self, name: &str) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        self.add(name, socket);
        address
    }

    pub(crate) fn add(&mut self, name: &str, socket: impl Into<OwnedFd>) {
        self.0.push((name.to_owned(), socket.into()));
    }

    /// Starts a server that is handed all of them.
    pub(crate) fn start(&self, config: &Path) -> Server {
        let (own, door) = UnixStream::pair().unwrap();
        let descriptors: Vec<BorrowedFd<'_>> = self.0.iter().map(|(_, socket)| socket.as_fd()).collect();
        let mut room = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(250))];
        let mut message = SendAncillaryBuffer::new(&mut room);
        assert!(message.push(SendAncillaryMessage::ScmRights(&descriptors)));
        sendmsg(&own, &[IoSlice::new(b".")], &mut message, SendFlags::empty()).unwrap();
        let names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        let mut command = Command::new("python3");
        command.args(["-c", LAUNCHER, &names.join(":"), BINARY, "serve", "--config"]).arg(config);
        command.stdin(Stdio::from(OwnedFd::from(door)));
        Server::run(command, config)
    }
}
