//! What the fuzz targets share: the check that the unit tests run on the seeds, taken as it is.
//!
//! One target a system, in `targets/`. It must never know more of a system than its name.

pub use ringlake_transform::*;

#[path = "../../transform/src/nothing_lost/hostile.rs"]
mod hostile;
#[path = "../../transform/src/nothing_lost/oracle.rs"]
mod oracle;

/// Checks what a system makes of these bytes; panics where that is wrong.
pub fn check(system: &str, input: &[u8]) {
    let system = systems::by_name(system).expect("targets are named after systems");
    hostile::check(system, input);
}
