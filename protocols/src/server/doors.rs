//! The sockets of https and http, and who is at each. Several tenants may be at one of the host's network.
//!
//! A socket outlives the listeners that come and go behind it: a reload closes those that nobody is at any more, and no others.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use provost_core::Protocol;
use provost_tenants::Arrivals;
use provost_tenants::network::{NetworkStack, Passed};

use super::listening::Place;
use super::post::{Holder, Post, State};
use crate::front::Front;
use crate::https::Door;
use crate::record::RecordLog;

/// All doors. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Doors {
    open: Arc<Mutex<Vec<Open>>>,
    records: RecordLog,
    arrivals: Arc<ArcSwap<Arrivals>>,
}

/// A door with its socket.
#[derive(Debug)]
struct Open {
    place: Place,
    door: Arc<Door>,
    post: Arc<Mutex<Post>>,
}

/// A listener's place at a door. Dropped, it has left.
#[derive(Debug)]
pub(super) struct Seat {
    door: Arc<Door>,
    post: Arc<Mutex<Post>>,
    front: Arc<Front>,
}

impl Doors {
    pub(super) fn new(records: RecordLog, arrivals: Arrivals) -> Self {
        Self { open: Arc::default(), records, arrivals: Arc::new(ArcSwap::from_pointee(arrivals)) }
    }

    /// What bounds connections without a tenant from here on. Says whether it is something else than before.
    pub(super) fn bound(&self, arrivals: Arrivals) -> bool {
        let arrivals = Arc::new(arrivals);
        *self.arrivals.swap(Arc::clone(&arrivals)) != *arrivals
    }

    /// Takes a listener to the door of its place, which is opened where there is none.
    pub(super) fn join(&self, place: &Place, front: &Arc<Front>, passed: &Passed) -> (Seat, Option<io::Error>) {
        let mut open = self.open();
        if let Some(Open { door, post, .. }) = open.iter().find(|open| may_be_shared(place) && open.place == *place) {
            let seat = Seat::take(door, post, front);
            let error = match seat.state() {
                State::Waiting { reason, .. } => Some(io::Error::other(reason)),
                State::Up(_) | State::Disabled => None,
            };
            return (seat, error);
        }
        let door = Door::new(self.records.clone(), Arc::clone(&self.arrivals));
        // It is there before the socket is, so that nobody who connects finds the door empty.
        door.join(front);
        let holder = Holder::Door(Arc::clone(&door), place.network.network());
        let (post, error) = Post::start(place.clone(), holder, passed);
        let post = Arc::new(Mutex::new(post));
        open.push(Open { place: place.clone(), door: Arc::clone(&door), post: Arc::clone(&post) });
        (Seat { door, post, front: Arc::clone(front) }, error)
    }

    /// Closes the doors that nobody is at and none of these is about to come to.
    pub(super) async fn close_empty(&self, wanted: impl Fn(&Place) -> bool, passed: &Passed) {
        let empty: Vec<Open> = {
            let mut open = self.open();
            let stays = |place: &Place| may_be_shared(place) && wanted(place);
            let is_empty = |open: &mut Open| open.door.fronts().is_empty() && !stays(&open.place);
            open.extract_if(.., is_empty).collect()
        };
        for Open { post, .. } in empty {
            // All seats are gone, and nobody else has it.
            let Some(post) = Arc::into_inner(post) else { continue };
            post.into_inner().unwrap_or_else(PoisonError::into_inner).stop(passed).await;
        }
    }

    /// Closes all. When it returns, no socket is open.
    pub(super) async fn close(&self) {
        let open = std::mem::take(&mut *self.open());
        let tasks: Vec<_> = open.iter().filter_map(|open| lock(&open.post).halt()).collect();
        for task in tasks {
            // It was told to end, so it ends with an error.
            let _ = task.await;
        }
    }

    fn open(&self) -> MutexGuard<'_, Vec<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    fn take(door: &Arc<Door>, post: &Arc<Mutex<Post>>, front: &Arc<Front>) -> Self {
        door.join(front);
        Self { door: Arc::clone(door), post: Arc::clone(post), front: Arc::clone(front) }
    }

    pub(super) fn state(&self) -> State {
        lock(&self.post).state()
    }

    pub(super) fn hurry(&self) {
        lock(&self.post).hurry();
    }

    pub(super) fn is_passed(&self) -> bool {
        lock(&self.post).is_passed()
    }

    pub(super) fn others(&self) -> usize {
        self.door.fronts().iter().filter(|front| !Arc::ptr_eq(front, &self.front)).count()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.door.leave(&self.front);
    }
}

/// Whether other tenants may be at the place: what the configuration lets through has names to tell them apart.
pub(super) fn may_be_shared(place: &Place) -> bool {
    let is_host = match place.network {
        NetworkStack::Host { .. } => true,
        NetworkStack::Namespace(_) | NetworkStack::Vrf(_) => false,
    };
    is_host && place.protocol == Protocol::Https && place.address.port() != 0
}

fn lock(post: &Mutex<Post>) -> MutexGuard<'_, Post> {
    post.lock().unwrap_or_else(PoisonError::into_inner)
}
