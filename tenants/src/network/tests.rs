//! What can be tried without privileges. Namespaces themselves are the suite's affair: it makes its own.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs::File;
use std::sync::{Mutex, PoisonError};

use super::*;

/// The thread that enters namespaces is one for the process, and one test lets it die.
static THREAD: Mutex<()> = Mutex::new(());

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// The network namespace that this thread is in.
fn here() -> std::path::PathBuf {
    std::fs::read_link("/proc/thread-self/ns/net").unwrap()
}

#[tokio::test]
async fn a_socket_that_names_a_device_is_bound_to_it() {
    for stack in
        [NetworkStack::Host { interface: Some("lo".parse().unwrap()) }, NetworkStack::Vrf("lo".parse().unwrap())]
    {
        let network = stack.network();
        let listener = network.tcp_listener(loopback()).unwrap();
        let datagrams = network.udp_socket(loopback()).unwrap();
        let stream = network.tcp_connect(loopback(), listener.local_addr().unwrap()).await.unwrap();
        for device in [
            socket2::SockRef::from(&listener).device(),
            socket2::SockRef::from(&datagrams).device(),
            socket2::SockRef::from(&stream).device(),
        ] {
            assert_eq!(device.unwrap().as_deref(), Some(&b"lo"[..]));
        }
        assert_eq!(network.lost(), None);
    }
    let host = NetworkStack::HOST.network().tcp_listener(loopback()).unwrap();
    assert_eq!(socket2::SockRef::from(&host).device().unwrap(), None);
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("acme");
    File::create(&file).unwrap();
    let no_namespace = |path: &str| format!("there is no network namespace {path} ({path})");
    for (stack, expected) in [
        (NetworkStack::Vrf("no-such-device".parse().unwrap()), "there is no network device no-such-device".to_owned()),
        (
            NetworkStack::Host { interface: Some("no-such-device".parse().unwrap()) },
            "there is no network device no-such-device".to_owned(),
        ),
        (NetworkStack::Namespace("/nonexistent/acme".parse().unwrap()), no_namespace("/nonexistent/acme")),
        (NetworkStack::Namespace(file.to_str().unwrap().parse().unwrap()), no_namespace(file.to_str().unwrap())),
    ] {
        let error = stack.network().tcp_listener(loopback()).unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (io::ErrorKind::NotFound, expected.clone()));
        assert_eq!(stack.identity().unwrap_err().to_string(), expected);
    }
}

#[tokio::test]
async fn a_socket_in_another_network_than_the_first_is_not_made() {
    let network = NetworkStack::Vrf("lo".parse().unwrap()).network();
    // Stands for a device that was deleted and made anew under its name.
    network.settled.set(Identity::Device(u32::MAX)).unwrap();
    let error = network.udp_socket(loopback()).unwrap_err();
    let expected = "lo is another network by now than the one that this listener was bound in";
    assert_eq!(error.to_string(), expected);
    assert_eq!(network.lost().map(|error| error.to_string()).as_deref(), Some(expected));
}

#[test]
fn a_network_that_cannot_be_looked_at_is_not_lost_and_one_that_is_not_there_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("acme");
    let name: NamespaceName = path.to_str().unwrap().parse().unwrap();
    let network = NetworkStack::Namespace(name).network();
    network.settled.set(Identity::Namespace(0, 0)).unwrap();
    // Stands for whatever keeps the process from looking, such as that it has no descriptor left.
    std::os::unix::fs::symlink(&path, &path).unwrap();
    let error = network.stack.identity().unwrap_err();
    assert!(matches!(error, NetworkError::Enter { .. }), "{error}");
    assert!(!error.to_string().contains("CAP_SYS_ADMIN"), "{error}");
    assert_eq!(network.lost(), None);
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(network.lost(), Some(NetworkError::NoNamespace { .. })));
}

#[test]
fn work_inside_a_namespace_never_moves_the_thread_that_asks_for_it() {
    let _alone = THREAD.lock().unwrap_or_else(PoisonError::into_inner);
    let own: NamespaceName = "/proc/self/ns/net".parse().unwrap();
    let before = here();
    let (file, _) = identity::open_namespace(&own).unwrap();
    let thread = maker::inside(&own, file, || Ok(std::thread::current().name().map(str::to_owned)));
    match thread {
        Ok(name) => assert_eq!(name.as_deref(), Some("namespaces")),
        // Without CAP_SYS_ADMIN not even the own namespace can be entered.
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}"),
    }
    assert_eq!(here(), before);
}

#[test]
fn the_thread_is_replaced_when_work_panics() {
    let _alone = THREAD.lock().unwrap_or_else(PoisonError::into_inner);
    let own: NamespaceName = "/proc/self/ns/net".parse().unwrap();
    let work = |what: fn() -> io::Result<()>| {
        let (file, _) = identity::open_namespace(&own).unwrap();
        maker::inside(&own, file, what)
    };
    if work(|| Ok(())).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
        eprintln!("skipped: without CAP_SYS_ADMIN no namespace can be entered");
        return;
    }
    let error = work(|| panic!("on purpose")).unwrap_err();
    assert!(error.to_string().contains("ended over this socket"), "{error}");
    // The thread may still be about to end; what was queued for it then fails alike, and the next is served.
    assert!((0..100).any(|_| work(|| Ok(())).is_ok()));
}

#[tokio::test]
async fn datagrams_may_be_fragmented_on_their_way() {
    let network = NetworkStack::HOST.network();
    let socket = network.datagram_socket(loopback()).unwrap();
    assert_eq!(rustix::net::sockopt::ip_mtu_discover(&socket).unwrap(), Ipv4PathMtuDiscovery::DONT);
}
