//! One file a command, all of the same shape: its flags as `Args`, and `run`.

pub mod check;
pub mod simulate;
