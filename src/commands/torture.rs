//! `ringlake torture`: kill the server a thousand times, and count.

use std::path::PathBuf;

use ringlake_transform::faults;

use crate::app::App;
use crate::config::Span;
use crate::error::Error;
use crate::stop::Stop;
use crate::torture::{self, Ending, Ends, Outcome, Power, Settings};
use crate::wiring;

/// Kill the server again and again under load, cut its power, and count what is in the tables
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ringlake torture                       one minute
  ringlake torture --for 1h --events 200000 --lives 30
  ringlake torture --seed 7 --rounds 1   one round again
  ringlake torture --ends cut,trouble    only power cuts and failing disks
  ringlake torture --kafka broker:9092   writers that die, come and go; the brokers are left alone
  ringlake torture --ends abort --at sinks:commit,sinks:progress
Everything happens in folders of its own, which are gone afterwards, and over the loopback interface. A round
is a fresh folder: its server lives many short lives, each ended by a kill, an abort at a fail point, a power
cut, a failing disk or a stop; then every event that was acknowledged must be there once, as it was sent.
At a power cut the disk forgets and tears what was not synced: a FUSE file system (Linux, /dev/fuse, and root
or fusermount3), or, where there is none, the log and the tables tell what they sync, and the rest is taken
back. The line at the end says which. It ends with 1 if an event is lost, there twice, or wrong.")]
pub struct Args {
    /// The same seed gives the same events and the same plan [default: from the clock]
    #[arg(long)]
    seed: Option<u64>,
    /// Begin no round after this time
    #[arg(long = "for", value_name = "TIME", default_value = "1m")]
    time: Span,
    /// Go on beyond that time until so many processes have died, and fail if they do not
    #[arg(long, value_name = "N", default_value_t = 0)]
    deaths: u64,
    /// Stop after this many rounds; then the time is no limit
    #[arg(long, value_name = "N")]
    rounds: Option<u64>,
    /// Lives of a round
    #[arg(long, value_name = "N", default_value_t = 20)]
    lives: usize,
    /// Events of a round, about
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    events: usize,
    /// How lives may end [default: in any way, mostly by a kill]
    #[arg(long, value_name = "END", value_delimiter = ',')]
    ends: Vec<Ending>,
    /// The fail points to die at, by how they begin, such as `sinks:commit` [default: any]
    #[arg(long, value_name = "POINT", value_delimiter = ',', value_parser = parse_point)]
    at: Vec<String>,
    /// Connections to send over
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// How the power is cut [default: fuse where it can be used, else modelled]
    #[arg(long, value_name = "HOW")]
    power: Option<Power>,
    /// Leave the power on: only kills, aborts and stops; the same as --power off
    #[arg(long, conflicts_with = "power")]
    no_power_cuts: bool,
    /// host:port of brokers: torture `ingest` and several `write` over Kafka, in topics that are gone afterwards
    #[arg(long, value_name = "BROKERS")]
    pub kafka: Option<String>,
    /// Where the folders of the rounds are made [default: the system's folder for such]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

fn parse_point(text: &str) -> Result<String, String> {
    match faults::points().any(|point| point.starts_with(text)) {
        true => Ok(text.to_owned()),
        false => Err("no fail point begins like this; ARCHITECTURE.md lists them".to_owned()),
    }
}

pub async fn run(args: Args, app: &App) -> Result<(), Error> {
    let power = match args.no_power_cuts {
        true => Power::Off,
        false => args.power.unwrap_or_else(Power::here),
    };
    let seed = args.seed.unwrap_or_else(|| crate::pipeline::now().unsigned_abs() / 1_000_000);
    let settings = Settings {
        seed,
        rounds: args.rounds.unwrap_or(u64::MAX),
        deaths: args.deaths,
        time: if args.rounds.is_some() { std::time::Duration::MAX } else { args.time.0 },
        lives: args.lives.max(1),
        ends: Ends {
            kinds: args.ends,
            points: args.at,
            power: power != Power::Off,
            kafka: args.kafka.is_some(),
        },
        power,
        events: args.events.max(1),
        senders: args.connections.max(1),
        kafka: args.kafka.as_ref().map(|_| wiring::kafka(app.config())),
        folder: args.folder.unwrap_or_else(std::env::temp_dir),
    };
    app.console.note(format!("seed {seed}; Ctrl-C ends it and leaves nothing behind"));
    let stop = Stop::on_signals()?;
    let bar = app.console.bar(settings.rounds.min(1_000_000) * settings.lives as u64, "lives");
    let tell = |outcome: &Outcome| {
        bar.inc(1);
        bar.set_message(format!("{} kills, {} power cuts", outcome.kills, outcome.cuts));
    };
    let outcome = torture::run(&settings, &stop.soon, &tell).await;
    bar.finish_and_clear();
    let outcome = outcome?;
    for fault in &outcome.faults {
        app.console.note(fault);
    }
    let mut out = app.console.data();
    std::io::Write::write_fmt(&mut out, format_args!("{}\n", outcome.line(seed, power)))
        .and_then(|()| std::io::Write::flush(&mut out))
        .map_err(Error::Output)?;
    if outcome.is_stopped {
        return Err(Error::failed(
            "stopped; the last round was not counted",
            "the line above is of the others",
        ));
    }
    match outcome.is_clean() {
        true => Ok(()),
        false => {
            Err(Error::failed("events are not as they should be", "see above; please report it"))
        }
    }
}
