//! A page of the log's file that is not what redb wrote.
//!
//! redb checks its pages only when it repairs. One that is garbage, by a disk that fails or a file that was
//! overwritten, it takes for a mistake of its own, and panics. Here that becomes an error with a name, so
//! that a reader can pass over what cannot be reached and the server can say what is wrong. It must never be
//! used to go on writing: to what a write that panicked has left, redb itself only says "repair".

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::Path;
use std::sync::Once;

use crate::error::LogError;

thread_local! {
    /// A panic in this thread is expected, and told otherwise.
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Calls `f`, and returns a panic in it as the damage that it stands for.
pub(super) fn guarded<T>(f: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, redb::Error> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = take_hook();
        set_hook(Box::new(move |panic| {
            if !EXPECTED.get() {
                others(panic);
            }
        }));
    });
    EXPECTED.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(f));
    EXPECTED.set(false);
    outcome.unwrap_or_else(|_| {
        Err(redb::Error::Corrupted("a page is not what was written there".to_owned()))
    })
}

/// The error as people hear it: damage does not pass by itself, as a full disk does.
pub(super) fn named(path: &Path, error: redb::Error) -> LogError {
    let is_damage = match &error {
        redb::Error::Corrupted(_) | redb::Error::UpgradeRequired(_) => true,
        // Not a redb file at all, or not to its end.
        redb::Error::Io(error) => matches!(
            error.kind(),
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof
        ),
        _ => false,
    };
    match is_damage {
        true => LogError::broken(path, error),
        false => LogError::storage(path, error),
    }
}

pub(super) fn is_damage(error: &redb::Error) -> bool {
    matches!(error, redb::Error::Corrupted(_))
}
