//! The one thread that enters network namespaces. It makes a socket there and returns; the socket stays in its namespace,
//! wherever it is polled, so no tenant needs a thread of its own.
//!
//! A thread of the runtime never does this: one that could not return would make sockets of other tenants in the wrong
//! network. This one serves nothing else, and ends where it cannot return; the next socket starts another.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use rustix::fs::{Mode, OFlags, open};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::identity::NetworkError;
use super::names::NamespaceName;

/// The network namespace of the thread that opens it.
const HOME: &str = "/proc/thread-self/ns/net";

type Job = Box<dyn FnOnce(&OwnedFd) -> Whereabouts + Send>;

/// Where the thread is after a job.
#[derive(Debug, PartialEq, Eq)]
enum Whereabouts {
    Home,
    Astray,
}

/// The thread's door; absent until the first socket, and wrong once the thread has ended.
static DOOR: Mutex<Option<Sender<Job>>> = Mutex::new(None);

/// Does `work` inside the namespace and waits for it. The work must be short and must not wait for anything: others
/// queue behind it.
pub(super) fn inside<T: Send + 'static>(
    name: &NamespaceName,
    namespace: OwnedFd,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (answer, answered) = sync_channel(1);
    let name = name.clone();
    send(Box::new(move |home| {
        if let Err(errno) = enter(&namespace) {
            let _ = answer.send(Err(NetworkError::Enter { namespace: name, errno }.into()));
            return Whereabouts::Home;
        }
        let outcome = work();
        let whereabouts = if enter(home).is_ok() { Whereabouts::Home } else { Whereabouts::Astray };
        let _ = answer.send(outcome);
        whereabouts
    }))?;
    answered.recv().map_err(|_| NetworkError::Thread("it ended over this socket".to_owned()))?
}

fn enter(namespace: impl AsFd) -> rustix::io::Result<()> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
}

fn send(job: Job) -> Result<(), NetworkError> {
    let mut door = DOOR.lock().unwrap_or_else(PoisonError::into_inner);
    let job = match door.as_ref() {
        Some(open) => match open.send(job) {
            Ok(()) => return Ok(()),
            Err(returned) => returned.0,
        },
        None => job,
    };
    let open = start().map_err(|error| NetworkError::Thread(error.to_string()))?;
    let sent = open.send(job).map_err(|_| NetworkError::Thread("it ended at once".to_owned()));
    *door = Some(open);
    sent
}

/// Starts the thread. It begins in the network of the thread that calls, which is the process's own.
fn start() -> io::Result<Sender<Job>> {
    let (open, jobs) = channel();
    let (begun, ready) = sync_channel(1);
    thread::Builder::new().name("namespaces".to_owned()).spawn(move || match open_home() {
        Ok(home) => {
            let _ = begun.send(Ok(()));
            run(&jobs, &home);
        }
        Err(error) => drop(begun.send(Err(error))),
    })?;
    ready.recv().map_err(io::Error::other)??;
    Ok(open)
}

fn open_home() -> io::Result<OwnedFd> {
    Ok(open(HOME, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

fn run(jobs: &Receiver<Job>, home: &OwnedFd) {
    while let Ok(job) = jobs.recv() {
        match job(home) {
            Whereabouts::Home => {}
            Whereabouts::Astray => {
                tracing::error!("a thread could not leave a network namespace and ends");
                return;
            }
        }
    }
}
