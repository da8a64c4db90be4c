//! Who is connected, and who has to go when there is no place left for the next.
//!
//! A connection costs a socket and some memory, so their number is bounded; a door that simply stops
//! accepting at the bound can be shut by anybody who opens that many and says nothing. Here a new
//! connection always gets a place: the *stranger* that has waited longest gives up its own, one from
//! which no valid token has come yet. If there are none, the known sender that has been silent for
//! longest does. A request that brought a valid token is never cut off; only when every place has one
//! under way does the next connection wait.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub(super) struct Guests {
    places: usize,
    open: Mutex<Open>,
    /// A place has become free, or could be freed.
    freed: Notify,
}

/// Keys grow with time: the first entry is the one that has waited longest.
#[derive(Default)]
struct Open {
    next: u64,
    count: usize,
    strangers: BTreeMap<u64, CancellationToken>,
    silent: BTreeMap<u64, CancellationToken>,
}

/// One connection's place, given back when this is dropped.
pub(super) struct Guest {
    guests: Arc<Guests>,
    /// Its key in the one map that has it.
    key: AtomicU64,
    leave: CancellationToken,
}

/// A request with a valid token is under way.
pub(super) struct Busy(Arc<Guest>);

impl Guests {
    pub(super) fn new(places: usize) -> Arc<Self> {
        Arc::new(Self { places: places.max(1), open: Mutex::default(), freed: Notify::new() })
    }

    /// A place for a new connection; waits only while all places have a request under way.
    pub(super) async fn admit(self: &Arc<Self>) -> Arc<Guest> {
        loop {
            let freed = self.freed.notified();
            if let Some(guest) = self.try_admit() {
                return guest;
            }
            freed.await;
        }
    }

    fn try_admit(self: &Arc<Self>) -> Option<Arc<Guest>> {
        let mut open = self.lock();
        if open.count >= self.places {
            let (_, leave) = open.strangers.pop_first().or_else(|| open.silent.pop_first())?;
            leave.cancel();
            open.count -= 1;
        }
        open.count += 1;
        let key = open.next_key();
        let leave = CancellationToken::new();
        open.strangers.insert(key, leave.clone());
        Some(Arc::new(Guest { guests: self.clone(), key: AtomicU64::new(key), leave }))
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn next_key(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Takes a guest out of the map that has it. False if it was sent away.
    fn remove(&mut self, key: u64) -> bool {
        self.strangers.remove(&key).or_else(|| self.silent.remove(&key)).is_some()
    }
}

impl Guest {
    /// Returns when the connection has to be closed.
    pub(super) async fn told_to_leave(&self) {
        self.leave.cancelled().await;
    }

    /// A valid token has come: until the request is answered the place is safe.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        self.guests.lock().remove(self.key.load(Ordering::Acquire));
        Busy(self.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.0.leave.is_cancelled() {
            return;
        }
        let mut open = self.0.guests.lock();
        let key = open.next_key();
        self.0.key.store(key, Ordering::Release);
        open.silent.insert(key, self.0.leave.clone());
        drop(open);
        self.0.guests.freed.notify_one();
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut open = self.guests.lock();
        open.remove(self.key.load(Ordering::Acquire));
        // One that was sent away has lost its place already.
        if !self.leave.is_cancelled() {
            open.count -= 1;
            drop(open);
            self.guests.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stranger_that_waited_longest_goes_first_and_a_request_under_way_never() {
        let guests = Guests::new(3);
        let admit = || guests.try_admit();
        let (first, second, known) = (admit().unwrap(), admit().unwrap(), admit().unwrap());
        drop(known.busy());
        let fourth = admit().unwrap();
        assert!(first.leave.is_cancelled() && !second.leave.is_cancelled());
        let busy = second.busy();
        let fifth = admit().unwrap();
        assert!(fourth.leave.is_cancelled(), "the only stranger left");
        let working = fifth.busy();
        let sixth = admit().unwrap();
        assert!(known.leave.is_cancelled(), "then a known sender that is silent");
        let also_working = sixth.busy();
        assert!(admit().is_none(), "all three have a request under way");
        drop(working);
        assert!(admit().is_some() && fifth.leave.is_cancelled());
        assert!(!second.leave.is_cancelled() && !sixth.leave.is_cancelled());
        drop((busy, also_working));
    }

    #[test]
    fn places_come_back() {
        let guests = Guests::new(2);
        for _ in 0..3 {
            let both = (guests.try_admit().unwrap(), guests.try_admit().unwrap());
            let third = guests.try_admit().unwrap();
            assert!(both.0.leave.is_cancelled());
            assert_eq!(guests.lock().count, 2);
            drop((both, third));
            let open = guests.lock();
            assert_eq!((open.count, open.strangers.len(), open.silent.len()), (0, 0, 0));
        }
    }

    #[tokio::test]
    async fn a_connection_waits_while_every_place_is_at_work() {
        let guests = Guests::new(1);
        let first = guests.admit().await;
        let busy = first.busy();
        let waiting = tokio::spawn({
            let guests = guests.clone();
            async move { guests.admit().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(busy);
        waiting.await.unwrap();
        assert!(first.leave.is_cancelled());
    }
}
