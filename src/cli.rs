//! The commands and flags. Each command's own flags stand in its file under `commands/`.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::answers::LimitArgs;
use crate::app::App;
use crate::commands::{
    check, compact, dead_letters, demo, explain, export, import, ingest, log, pg, query, rebuild,
    report, schema, serve, simulate, tokens, torture, vacuum, verify, write,
};
use crate::config::{self, Flags};
use crate::console::Console;
use crate::error::Error;
use crate::{faults, logging, wiring};

/// Webhooks of phone systems and Freshsales into Delta tables, exactly once, and answers in SQL.
#[derive(Debug, Parser)]
#[command(name = "ringlake", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "\
Examples:
  ringlake demo                       see the whole thing work, in a fresh folder
  ringlake serve                      receive webhooks; prints the URLs to paste
  ringlake report call-cost --by agent
  ringlake explain call-cost --row 1  the calls behind a line
  ringlake query 'SELECT * FROM calls_current LIMIT 10'
  ringlake query                      a session in SQL
  ringlake schema deals               the columns, and what the product's screens call them
Settings: ringlake.toml, then RINGLAKE_… variables, then flags; `ringlake check` checks them.")]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Args)]
struct Global {
    /// The settings file [default: ./ringlake.toml, if there]
    #[arg(long, global = true, value_name = "FILE", env = "RINGLAKE_CONFIG")]
    config: Option<PathBuf>,
    /// The data folder [default: ./ringlake-data]
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Which log lines to show, as in RUST_LOG: debug, or warn,ringlake_sinks=debug
    #[arg(long, global = true, value_name = "FILTER", env = "RINGLAKE_LOG_FILTER")]
    log: Option<String>,
    /// Say nothing on stderr but errors
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
    Ingest(ingest::Args),
    Write(write::Args),
    Tokens(tokens::Args),
    Query(query::Args),
    Report(report::Args),
    Schema(schema::Args),
    Pg(pg::Args),
    Explain(explain::Args),
    Export(export::Args),
    Import(import::Args),
    Log(log::Args),
    DeadLetters(dead_letters::Args),
    Verify(verify::Args),
    Compact(compact::Args),
    Vacuum(vacuum::Args),
    Rebuild(rebuild::Args),
    Torture(torture::Args),
    Check(check::Args),
    Simulate(simulate::Args),
    Demo(demo::Args),
}

impl Command {
    /// Whether it runs until it is stopped.
    fn is_service(&self) -> bool {
        matches!(self, Self::Serve(_) | Self::Ingest(_) | Self::Write(_) | Self::Pg(_))
    }

    /// Whether it only answers, and runs what somebody typed.
    fn only_asks(&self) -> bool {
        matches!(self, Self::Query(_) | Self::Report(_) | Self::Pg(_))
    }

    /// The flags that are settings.
    fn flags(&self) -> Flags {
        let (listen, kafka) = match self {
            Self::Serve(args) => (args.listen, args.kafka.clone()),
            Self::Ingest(args) => (args.listen, args.kafka.clone()),
            Self::Write(args) => (None, args.kafka.clone()),
            Self::Log(args) => (None, args.kafka.clone()),
            Self::Verify(args) => (None, args.kafka.clone()),
            Self::DeadLetters(args) => (None, args.kafka.clone()),
            Self::Torture(args) => (None, args.kafka.clone()),
            _ => (None, None),
        };
        let pg = match self {
            Self::Serve(args) => args.pg,
            Self::Pg(args) => args.listen,
            _ => None,
        };
        let limits = match self {
            Self::Query(args) => args.limits.clone(),
            Self::Report(args) => args.limits.clone(),
            Self::Explain(args) => args.limits.clone(),
            _ => LimitArgs::default(),
        };
        let LimitArgs { max_memory, timeout, as_of } = limits;
        Flags { listen, kafka, pg, max_memory, timeout, as_of, ..Flags::default() }
    }
}

pub fn run(cli: Cli) -> Result<(), Error> {
    let Cli { global, command } = cli;
    logging::start(global.log.as_deref(), command.is_service())?;
    faults::start()?;
    let data_was_given = global.data.is_some();
    let flags = Flags { data: global.data, ..command.flags() };
    let loaded = config::load(global.config.as_deref(), std::env::vars(), flags)?;
    if command.only_asks() {
        wiring::limit_memory(&loaded.config);
    }
    let app = App { loaded, console: Console::new(global.quiet), data_was_given };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Error::Output)?;
    let done = runtime.block_on(dispatch(command, &app));
    // A thread that hangs in a library must not hold up the exit.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    done
}

async fn dispatch(command: Command, app: &App) -> Result<(), Error> {
    match command {
        Command::Serve(args) => serve::run(args, app).await,
        Command::Ingest(args) => ingest::run(args, app).await,
        Command::Write(args) => write::run(args, app).await,
        Command::Tokens(args) => tokens::run(args, app).await,
        Command::Query(args) => query::run(args, app).await,
        Command::Report(args) => report::run(args, app).await,
        Command::Pg(args) => pg::run(args, app).await,
        Command::Schema(args) => schema::run(args, app).await,
        Command::Explain(args) => explain::run(args, app).await,
        Command::Export(args) => export::run(args, app).await,
        Command::Import(args) => import::run(args, app).await,
        Command::Log(args) => log::run(args, app).await,
        Command::DeadLetters(args) => dead_letters::run(args, app).await,
        Command::Demo(args) => demo::run(args, app).await,
        Command::Torture(args) => torture::run(args, app).await,
        Command::Verify(args) => verify::run(args, app).await,
        Command::Compact(args) => compact::run(args, app).await,
        Command::Vacuum(args) => vacuum::run(args, app).await,
        Command::Rebuild(args) => rebuild::run(args, app).await,
        Command::Check(args) => check::run(args, app).await,
        Command::Simulate(args) => simulate::run(args, app).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_flags_are_consistent_and_every_command_has_examples() {
        let mut command = super::Cli::command();
        command.clone().debug_assert();
        for sub in command.get_subcommands_mut() {
            let name = sub.get_name().to_owned();
            let help = sub.render_help().to_string();
            assert!(help.contains("Example"), "{name} has no examples in its --help");
        }
    }
}
