//! How much of the memory the requests of one system may hold at a time.
//!
//! Each system has a room of its own, and all rooms together are as large as the log's queue: however
//! much one sender offers, it is answered 503 at its own bound, and the others find their room empty.
//! What a request holds is counted as it arrives, so a slow body holds only what has come of it.

use std::sync::Arc;

use ringlake_transform::{SYSTEMS, System};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::LogError;

pub(super) struct Rooms {
    /// In the order of `SYSTEMS`.
    rooms: Vec<Room>,
}

#[derive(Clone)]
struct Room {
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

/// What one request holds; given back when this is dropped.
pub(super) struct Share {
    room: Room,
    _request: OwnedSemaphorePermit,
    bytes: Option<OwnedSemaphorePermit>,
}

impl Rooms {
    /// `requests` and `bytes` are of one system's room.
    pub(super) fn new(requests: usize, bytes: usize) -> Self {
        // The semaphores count in `u32` at a time, and less than that in all.
        let semaphore =
            |size: usize| Arc::new(Semaphore::new(size.clamp(1, u32::MAX as usize >> 3)));
        let room = |_| Room { requests: semaphore(requests), bytes: semaphore(bytes) };
        Self { rooms: SYSTEMS.iter().map(room).collect() }
    }

    /// Room for a request of this system, with nothing in it yet.
    pub(super) fn enter(&self, system: &dyn System) -> Result<Share, LogError> {
        let at = SYSTEMS.iter().position(|known| known.name() == system.name());
        let room = at.and_then(|at| self.rooms.get(at)).ok_or(LogError::Closed)?.clone();
        let request = room.requests.clone().try_acquire_owned().map_err(|_| LogError::Busy)?;
        Ok(Share { room, _request: request, bytes: None })
    }
}

impl Share {
    /// So many more bytes of the body have come.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), LogError> {
        let bytes = u32::try_from(bytes).map_err(|_| LogError::Busy)?;
        let more = self.room.bytes.clone().try_acquire_many_owned(bytes);
        let more = more.map_err(|_| LogError::Busy)?;
        match &mut self.bytes {
            Some(held) => held.merge(more),
            None => self.bytes = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_fills_its_own_room_alone_and_gets_it_back() {
        let rooms = Rooms::new(2, 100);
        let mut first = rooms.enter(SYSTEMS[0]).unwrap();
        first.grow(40).unwrap();
        first.grow(40).unwrap();
        let mut second = rooms.enter(SYSTEMS[0]).unwrap();
        assert!(matches!(second.grow(21), Err(LogError::Busy)));
        assert!(matches!(rooms.enter(SYSTEMS[0]), Err(LogError::Busy)));
        rooms.enter(SYSTEMS[1]).unwrap().grow(100).unwrap();
        drop(first);
        second.grow(100).unwrap();
        rooms.enter(SYSTEMS[0]).unwrap();
    }
}
