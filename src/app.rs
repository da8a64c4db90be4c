//! What every command gets: the settings and the terminal.

use crate::config::{Config, Loaded};
use crate::console::Console;

pub struct App {
    pub loaded: Loaded,
    pub console: Console,
    /// Whether the data folder was named by a flag.
    pub data_was_given: bool,
}

impl App {
    pub fn config(&self) -> &Config {
        &self.loaded.config
    }
}
