//! `ringlake simulate`: a working day of events, to stdout or to a door.

use std::collections::BTreeMap;
use std::io::Write;

use chrono::NaiveDate;
use ringlake_transform::SYSTEMS;

use crate::app::App;
use crate::envelope::Envelope;
use crate::error::Error;
use crate::sender::{self, Pace, Target};
use crate::simulate::{Event, Settings, Simulation, last_working_day};
use crate::wiring;

/// Make up a working day of calls and deals, as the vendors would send them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ringlake simulate > day.ndjson && ringlake import --enveloped day.ndjson
  ringlake simulate --to http://127.0.0.1:8640 --rate 50
  ringlake simulate --system freshcaller --days 20 --plain > calls.ndjson
Without --date the day is the last working day; the same seed and date give the same bytes. The tokens are
those of the data folder, or of RINGLAKE_TOKEN_… and RINGLAKE_TOKEN_…_FILE.")]
pub struct Args {
    /// Where to send: the address of a door, or stdout
    #[arg(long, value_name = "URL|stdout", default_value = "stdout")]
    to: String,
    /// Only this system's events
    #[arg(long, value_name = "NAME")]
    system: Option<String>,
    /// The first day
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<NaiveDate>,
    /// How many working days
    #[arg(long, default_value_t = 1)]
    days: u32,
    /// Calls a day, over all systems; about seven events each
    #[arg(long, default_value_t = 600)]
    calls: usize,
    /// Stop after this many events, going on over as many days as it takes
    #[arg(long, value_name = "EVENTS")]
    limit: Option<usize>,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Percent of the events that are sent twice
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0)]
    repeats: f64,
    /// Percent of the events that are sent late
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0)]
    disorder: f64,
    /// A system's token, for a door whose data folder is not here, or @ and a file that holds it;
    /// others on this machine can see what is typed here
    #[arg(long = "token", value_name = "SYSTEM=TOKEN|@FILE")]
    tokens: Vec<String>,
    /// Events per second [default: as fast as they are taken]
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// Connections to send over
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// To stdout: the vendors' bodies themselves, without envelopes
    #[arg(long)]
    plain: bool,
}

pub async fn run(args: Args, app: &App) -> Result<(), Error> {
    if let Some(name) = &args.system {
        ringlake_transform::systems::by_name(name)?;
    }
    let today = chrono::Utc::now().date_naive();
    let settings = Settings {
        seed: args.seed,
        first_day: args.date.unwrap_or_else(|| last_working_day(today)),
        days: if args.limit.is_some() { u32::MAX } else { args.days },
        calls: args.calls.max(20),
        system: args.system.clone(),
        repeats: args.repeats,
        disorder: args.disorder,
    };
    let events = Simulation::new(settings).flatten().take(args.limit.unwrap_or(usize::MAX));
    if args.to == "stdout" {
        return print(events, args.plain, app);
    }
    let target = Target::new(&args.to, tokens(&args, app)?)?;
    let pace = Pace { connections: args.connections, rate: args.rate };
    let bar = app.console.bar(args.limit.unwrap_or(0) as u64, "sending");
    let sent = sender::send(&target, events, pace, &|| bar.inc(1)).await?;
    bar.finish_and_clear();
    app.console.note(sent.summary());
    Ok(())
}

fn print(events: impl Iterator<Item = Event>, plain: bool, app: &App) -> Result<(), Error> {
    let mut out = app.console.data();
    for event in events {
        let line = if plain { event.body.line() } else { envelope(&event) };
        writeln!(out, "{line}").map_err(Error::Output)?;
    }
    out.flush().map_err(Error::Output)
}

fn envelope(event: &Event) -> String {
    let body = event.body.text();
    Envelope::new(event.system, event.route, event.sent_at, body.as_bytes()).line()
}

/// The tokens given, over those of the data folder.
fn tokens(args: &Args, app: &App) -> Result<BTreeMap<String, String>, Error> {
    let mut tokens = BTreeMap::new();
    // Only what is there: a folder without tokens is no door's.
    if wiring::has_tokens(app.config()) {
        let kept = wiring::tokens(app.config())?;
        for system in SYSTEMS {
            let token = kept.token(system.name())?;
            tokens.extend(token.map(|token| (system.name().to_owned(), token)));
        }
    }
    for (system, given) in wiring::given_tokens()? {
        let shown = given.split(',').next().unwrap_or_default().trim().to_owned();
        tokens.insert(system, shown);
    }
    for given in &args.tokens {
        // What was given is not repeated: it may be a token.
        let (system, token) = given
            .split_once('=')
            .ok_or_else(|| Error::usage("--token is not SYSTEM=TOKEN or SYSTEM=@FILE"))?;
        ringlake_transform::systems::by_name(system)?;
        let token = match token.strip_prefix('@') {
            Some(path) => std::fs::read_to_string(path).map_err(Error::file("read", path))?,
            None => token.to_owned(),
        };
        tokens.insert(system.to_owned(), token.trim().to_owned());
    }
    Ok(tokens)
}
