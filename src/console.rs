//! The terminal: data goes to stdout, everything said about it to stderr.
//!
//! A command must never write to stdout but through here, so that a pipe gets data and nothing else.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

#[derive(Clone, Copy)]
pub struct Console {
    quiet: bool,
}

impl Console {
    pub fn new(quiet: bool) -> Self {
        Self { quiet }
    }

    /// Whether people read stdout, rather than a program.
    pub fn stdout_is_terminal(self) -> bool {
        io::stdout().is_terminal()
    }

    /// Whether people read stderr, rather than a log.
    pub fn stderr_is_terminal(self) -> bool {
        io::stderr().is_terminal()
    }

    /// The columns of the terminal that reads stdout, if one does.
    pub fn width(self) -> Option<u16> {
        let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        if !self.stdout_is_terminal() {
            return None;
        }
        columns.or_else(|| comfy_table::Table::new().width())
    }

    /// Where data goes; flush it before returning.
    pub fn data(self) -> impl Write + Send {
        BufWriter::with_capacity(64 << 10, io::stdout())
    }

    /// One line for people. Lost if nobody can read it: a note must not fail a command.
    pub fn note(self, text: impl AsRef<str>) {
        if !self.quiet {
            let _ = writeln!(io::stderr(), "{}", text.as_ref());
        }
    }

    /// A bar over a known number of things; hidden where stderr is no terminal.
    pub fn bar(self, total: u64, what: &str) -> ProgressBar {
        let template =
            format!("{{spinner}} {what} [{{bar:32}}] {{human_pos}}/{{human_len}} {{msg}}");
        self.progress(ProgressBar::new(total), &template)
    }

    /// A bar over bytes, with speed and remaining time.
    pub fn byte_bar(self, total: u64, what: &str) -> ProgressBar {
        let template = format!(
            "{{spinner}} {what} [{{bar:32}}] {{binary_bytes}}/{{binary_total_bytes}} {{binary_bytes_per_sec}} {{eta}} {{msg}}"
        );
        self.progress(ProgressBar::new(total), &template)
    }

    /// Says after a second that an answer is being waited for, and since when, until it is dropped.
    pub fn waiting(self, what: &str) -> Waiting {
        const AFTER: Duration = Duration::from_secs(1);
        let bar = ProgressBar::hidden();
        let (shown, template) = (bar.clone(), format!("{{spinner}} {{elapsed}} {what}"));
        let showing = tokio::spawn(async move {
            tokio::time::sleep(AFTER).await;
            if !self.quiet && io::stderr().is_terminal() {
                shown.set_draw_target(ProgressDrawTarget::stderr());
                self.progress(shown, &template);
            }
        });
        Waiting { bar, showing }
    }

    fn progress(self, bar: ProgressBar, template: &str) -> ProgressBar {
        if self.quiet || !io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
            return bar;
        }
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }
}

/// The sign that something takes long. It is gone when this is dropped.
pub struct Waiting {
    bar: ProgressBar,
    showing: tokio::task::JoinHandle<()>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.showing.abort();
        self.bar.finish_and_clear();
    }
}

/// Takes the sign away when the first bytes of the answer come, so that they do not mix.
pub struct Revealing<W> {
    pub waiting: Option<Waiting>,
    pub inner: W,
}

impl<W: Write> Write for Revealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waiting = None;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
