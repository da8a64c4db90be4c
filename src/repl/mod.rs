//! A session in SQL at a terminal: `ringlake query` without a statement.
//!
//! Each statement sees the newest tables and tariffs, since somebody who asks twice in a session wants to
//! know what has come since. Ctrl-C ends a statement, never the session. What is typed is kept in the
//! user's own state folder, readable to nobody else, since it may name people.

mod commands;
mod complete;
mod names;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringlake_queries::{Answer, QueryError, script};
use rustyline::config::{BellStyle, Configurer};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Editor};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::answers::{self, OutputArgs};
use crate::app::App;
use crate::config::Config;
use crate::console::Console;
use crate::error::Error;
use crate::wiring;
use commands::Command;
use complete::Assistant;
use names::Names;

const PROMPT: &str = "ringlake> ";
/// How long a statement that was told to stop may take to let go of the terminal.
const LETTING_GO: Duration = Duration::from_secs(2);

type Lines = Editor<Assistant, FileHistory>;

/// What lasts from one statement to the next.
struct Session<'a> {
    app: &'a App,
    output: OutputArgs,
    has_timing: bool,
    /// The statement that `\export` writes.
    last: Option<String>,
    interrupts: Signal,
}

/// What comes after something was typed.
#[derive(PartialEq, Eq)]
enum Next {
    Go,
    Quit,
}

pub async fn run(output: OutputArgs, app: &App) -> Result<(), Error> {
    let names = Arc::new(Names::new());
    let learning = tokio::spawn(names::learn(Arc::clone(&names), app.config().clone()));
    let interrupts = signal(SignalKind::interrupt()).map_err(Error::Output)?;
    let mut session = Session { app, output, has_timing: false, last: None, interrupts };
    let history = history_file();
    let mut lines = Some(editor(names, history.as_deref()).map_err(unreadable)?);
    app.console.note("SQL ends with ; and \\? tells what else there is. \\q ends the session.");
    while let Some(editor) = lines.take() {
        let (typed, editor) = read(editor).await?;
        let next = match typed {
            Ok(text) => session.take(&text).await,
            Err(ReadlineError::Interrupted) => Next::Go,
            Err(ReadlineError::Eof) => Next::Quit,
            Err(error) => return Err(unreadable(error)),
        };
        let editor = keep(editor, history.as_deref(), app.console);
        if next == Next::Go {
            lines = Some(editor);
        }
    }
    learning.abort();
    Ok(())
}

fn unreadable(error: ReadlineError) -> Error {
    Error::failed(
        format!("the terminal cannot be read: {error}"),
        "give the statement on the command line",
    )
}

fn editor(names: Arc<Names>, history: Option<&std::path::Path>) -> Result<Lines, ReadlineError> {
    let config = rustyline::Config::builder()
        .completion_type(CompletionType::List)
        .bell_style(BellStyle::None)
        .history_ignore_space(true)
        .build();
    let mut editor = Lines::with_config(config)?;
    editor.set_auto_add_history(true);
    editor.set_helper(Some(Assistant::new(names)));
    if let Some(path) = history.filter(|path| path.exists()) {
        editor.load_history(path)?;
    }
    Ok(editor)
}

/// Reads what is typed, on a thread of its own: it waits for a person.
async fn read(mut editor: Lines) -> Result<(rustyline::Result<String>, Lines), Error> {
    let read = tokio::task::spawn_blocking(move || (editor.readline(PROMPT), editor));
    Ok(read.await?)
}

/// Keeps what was typed at once: a session may end with its terminal.
fn keep(mut editor: Lines, history: Option<&std::path::Path>, console: Console) -> Lines {
    if let Some(path) = history
        && let Err(error) = editor.append_history(path)
    {
        console.note(format!("the history cannot be kept in {}: {error}", path.display()));
    }
    editor
}

/// `ringlake/history` in the state folder of the user, which is made; none where there is no home.
fn history_file() -> Option<PathBuf> {
    let named = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = named("XDG_STATE_HOME")
        .or_else(|| named("HOME").map(|home| home.join(".local").join("state")))?;
    let folder = state.join("ringlake");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("history"))
}

impl Session<'_> {
    /// Does what was typed. What goes wrong is told, and the session goes on.
    async fn take(&mut self, text: &str) -> Next {
        let done = match text.trim() {
            "" => Ok(Next::Go),
            "quit" | "exit" | "quit;" | "exit;" => Ok(Next::Quit),
            command if command.starts_with('\\') => self.command(command).await,
            sql => self.statements(sql).await,
        };
        done.unwrap_or_else(|error| {
            self.app.console.note(error.report().trim_end());
            Next::Go
        })
    }

    async fn statements(&mut self, text: &str) -> Result<Next, Error> {
        for sql in script::split(text).statements {
            self.last = Some(sql.to_owned());
            let asked = sql.to_owned();
            self.ask(
                self.output.clone(),
                move |config| async move { answer(&config, &asked).await },
            )
            .await?;
        }
        Ok(Next::Go)
    }

    async fn command(&mut self, text: &str) -> Result<Next, Error> {
        match commands::read(text)? {
            Command::Help => self.app.console.note(commands::HELP),
            Command::Quit => return Ok(Next::Quit),
            Command::Timing => {
                self.has_timing = !self.has_timing;
                let state = if self.has_timing { "on" } else { "off" };
                self.app.console.note(format!("timing is {state}"));
            }
            Command::Format(name) => {
                let named: Result<ringlake_queries::Format, QueryError> = name.parse();
                named.map_err(|error| Error::Question(Box::new(error)))?;
                self.app.console.note(format!("answers come as {name} from here on"));
                self.output.format = Some(name);
            }
            Command::Tables => {
                self.ask(OutputArgs::default(), |config| async move {
                    Ok(wiring::engine(&config).await?.tables_answer())
                })
                .await?;
            }
            Command::Functions => {
                self.ask(OutputArgs::default(), |config| async move {
                    Ok(wiring::engine(&config).await?.functions_answer())
                })
                .await?;
            }
            Command::Table(name) => {
                self.ask(OutputArgs::default(), move |config| async move {
                    Ok(wiring::engine(&config).await?.columns_answer(Some(&name)).await?)
                })
                .await?;
            }
            Command::Export { file, sql } => self.export(file, sql).await?,
        }
        Ok(Next::Go)
    }

    async fn export(&mut self, file: PathBuf, sql: Option<String>) -> Result<(), Error> {
        let Some(sql) = sql.or_else(|| self.last.clone()) else {
            return Err(Error::usage("there is no answer to export yet: ask something first"));
        };
        self.last = Some(sql.clone());
        let name = file.display().to_string();
        let output = OutputArgs { format: None, output: Some(file) };
        let written =
            self.ask(output, move |config| async move { answer(&config, &sql).await }).await?;
        if written.is_some() {
            self.app.console.note(format!("written to {name}"));
        }
        Ok(())
    }

    /// Asks and writes the answer in a task of its own, so that Ctrl-C is heard while it computes. Returns
    /// how many rows were written; none if it was stopped.
    async fn ask<F>(
        &mut self,
        output: OutputArgs,
        question: impl FnOnce(Config) -> F,
    ) -> Result<Option<u64>, Error>
    where
        F: Future<Output = Result<Answer, Error>> + Send + 'static,
    {
        let (console, started) = (self.app.console, Instant::now());
        let asked = question(self.app.config().clone());
        let mut work = tokio::spawn(async move {
            let waiting = console.waiting("reading; Ctrl-C stops");
            let answer = asked.await?;
            drop(waiting);
            answers::write_counted(answer, &output, console).await
        });
        // One that was sent to an earlier statement is no longer meant.
        self.interrupts = signal(SignalKind::interrupt()).map_err(Error::Output)?;
        let written = tokio::select! {
            done = &mut work => done??,
            _ = self.interrupts.recv() => {
                work.abort();
                let _ = tokio::time::timeout(LETTING_GO, work).await;
                console.note("stopped");
                return Ok(None);
            }
        };
        let rows = written.rows + written.left_out;
        let mut told = format!("{rows} row{}", if rows == 1 { "" } else { "s" });
        if self.has_timing {
            told.push_str(&format!(", {:.3} s", started.elapsed().as_secs_f64()));
        }
        console.note(format!("({told})"));
        Ok(Some(rows))
    }
}

async fn answer(config: &Config, sql: &str) -> Result<Answer, Error> {
    wiring::engine(config).await?.sql(sql).await.map_err(Error::statement(sql))
}
