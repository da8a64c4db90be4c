//! `ringlake import`: history from files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ringlake_ingest::DataLock;
use ringlake_queries::fold::When;
use ringlake_transform::systems;

use crate::app::App;
use crate::commands::rebuild;
use crate::error::Error;
use crate::import::{self, Imported, Reading, Source};
use crate::pipeline::{Counts, Writer, now};
use crate::wiring;

/// Bring history from files straight into the tables
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ringlake import --system freshcaller calls-2025.ndjson
  ringlake import --system voipnow --route hangup hangups.ndjson
  zcat events.ndjson.gz | ringlake import --enveloped -
A line is a vendor's event, or with --enveloped an object of system, route, received_at and body, as
`ringlake log dump` writes it. The same file a second time adds nothing; after a kill it goes on where
it was. Lines that cannot be used become dead letters, whose id ends with the number of the line.")]
pub struct Args {
    /// The system that the lines are from
    #[arg(long, value_name = "NAME", required_unless_present = "enveloped")]
    system: Option<String>,
    /// The route they would have come by, where the system tells events apart by routes
    #[arg(long, value_name = "ROUTE")]
    route: Option<String>,
    /// The lines are envelopes
    #[arg(long)]
    enveloped: bool,
    /// Leave it to a server, or to `ringlake rebuild --missing`, to fold the newest states
    #[arg(long)]
    no_fold: bool,
    /// The files; - is stdin
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub async fn run(args: Args, app: &App) -> Result<(), Error> {
    let config = app.config();
    let reading = reading(&args)?;
    // The tables have one writer; what is behind a served folder would not know of these rows.
    let _lock = DataLock::acquire(&config.data)?;
    let sources: Result<Vec<Source>, Error> =
        args.files.iter().map(|path| open(path, &reading, &config.data)).collect();
    let sources = sources?;

    let counts = Counts::new(&prometheus::Registry::new())?;
    let committed = counts.committed();
    let sink = wiring::sink(config, None).await?;
    let mut writer = Writer::start(sink, counts, usize::from(config.limits.columns))?;
    let max_bytes = usize::try_from(config.flush.max_bytes.0).unwrap_or(usize::MAX).max(1);
    let mut all = Imported::default();
    for source in &sources {
        let bar = app.console.byte_bar(source.bytes(), "importing");
        let one = import::run(source, &reading, max_bytes, &mut writer, &bar).await?;
        bar.finish_and_clear();
        all.lines += one.lines;
        all.skipped += one.skipped;
    }
    writer.stop().await?;
    let became = *committed.borrow();
    app.console.note(format!(
        "{} lines read, {} passed over as imported before: {} events in {} rows, {} dead letters, {} repeats",
        all.lines,
        all.skipped,
        became.events - became.dead_lettered - became.repeated,
        became.rows,
        became.dead_lettered,
        became.repeated,
    ));
    if !args.no_fold {
        fold(app).await;
    }
    if became.dead_lettered > 0 {
        app.console
            .note("hint: `ringlake dead-letters list` shows what could not be used, and why");
    }
    Ok(())
}

/// So that the first question need not merge all that came. The import is done without it as well.
async fn fold(app: &App) {
    if let Err(error) = rebuild::fold(app, When::Due).await {
        tracing::warn!(%error, "the newest states could not be folded; `ringlake rebuild` does it");
    }
}

fn reading(args: &Args) -> Result<Reading, Error> {
    let system = args.system.as_deref().map(systems::by_name).transpose()?;
    if let (Some(route), Some(system)) = (&args.route, system) {
        let routes = system.routes();
        if !routes.contains(&route.as_str()) {
            let hint = if routes.is_empty() {
                format!("{} has no routes", system.name())
            } else {
                format!("there are {}", routes.join(", "))
            };
            let message = format!("unknown route {route:?}");
            return Err(Error::Usage { message, hint: Some(hint) });
        }
    }
    Ok(Reading {
        system,
        route: args.route.as_deref().map(Arc::from),
        enveloped: args.enveloped,
        received_at: now(),
    })
}

fn open(path: &Path, reading: &Reading, folder: &Path) -> Result<Source, Error> {
    if path == Path::new("-") {
        Source::spool(folder, reading)
    } else {
        Source::open(path, reading)
    }
}
