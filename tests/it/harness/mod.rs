//! What the end-to-end tests share: the binary as a process, HTTP, brokers, events, and waiting.

pub mod events;
pub mod files;
pub mod http;
pub mod kafka;
pub mod letters;
pub mod process;
pub mod s3;
pub mod tables;
pub mod wait;
