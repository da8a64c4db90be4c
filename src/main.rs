//! `ringlake`: the command line, and the wiring of the four crates. No logic of theirs is here.
//!
//! Only this file exits and prints errors; commands return, and write data through [`console::Console`].

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

mod answers;
mod app;
mod cli;
mod commands;
mod config;
mod console;
mod envelope;
mod error;
mod exports;
mod faults;
mod import;
mod letters;
mod logging;
mod names;
mod pg;
mod pipeline;
mod repl;
mod sender;
mod server;
mod simulate;
mod stop;
mod torture;
mod upkeep;
mod verify;
mod wiring;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version go to stdout and are no failure; clap knows.
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match cli::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough.
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            // The code tells of the failure even where nobody reads stderr.
            let _ = write!(std::io::stderr(), "{}", error.report());
            ExitCode::from(error.exit_code())
        }
    }
}
