//! What happens in a round: a number of lives, each with its settings and its end. All from the seed.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use ringlake_transform::faults;

use super::disk::Trouble;
use super::server::Life;

/// The kinds of ends, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Ending {
    /// SIGKILL
    Kill,
    /// An abort at a fail point
    Abort,
    /// A power cut
    Cut,
    /// A full, failing or slow disk
    Trouble,
    /// SIGTERM
    Stop,
}

/// How a life ends.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// SIGKILL at some moment.
    Kill,
    /// The process aborts at the fail point that its life is armed with.
    FailPoint,
    /// The power goes.
    PowerCut,
    /// The device fails for a while, then the power goes or the process is killed.
    Trouble(Trouble, bool),
    /// SIGTERM: everything is committed.
    Stop,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub life: Life,
    pub end: End,
    /// The end comes when this share of the life's events is acknowledged; before it is ready, if none.
    pub after: Option<f64>,
    /// And so many milliseconds later; once the tables have everything, if none.
    pub later: Option<u64>,
}

/// Steps that a server passes again and again.
const STEPS: &[&str] = &[
    "ingest:create",
    "ingest:append",
    "ingest:trim",
    "ringlake:release",
    "sinks:parquet",
    "sinks:write",
    "sinks:place",
    "sinks:commit",
    "sinks:progress",
    "sinks:checkpoint",
    "sinks:tidy",
    "sinks:sweep",
];

/// The lives of one round, each with one of these ends; any, if none is named.
pub fn round(lives: usize, ends: &[Ending], power: bool, dice: &mut ChaCha8Rng) -> Vec<Plan> {
    let points: Vec<String> =
        faults::points().filter(|point| STEPS.iter().any(|step| point.starts_with(step))).collect();
    (0..lives).map(|_| plan(ends, power, &points, dice)).collect()
}

fn ending(ends: &[Ending], power: bool, dice: &mut ChaCha8Rng) -> Ending {
    let chosen = match dice.random_range(0..100) {
        _ if !ends.is_empty() => {
            ends.get(dice.random_range(0..ends.len())).copied().unwrap_or(Ending::Kill)
        }
        0..58 => Ending::Kill,
        58..72 => Ending::Abort,
        72..90 => Ending::Cut,
        90..98 => Ending::Trouble,
        _ => Ending::Stop,
    };
    match chosen {
        Ending::Cut | Ending::Trouble if !power => Ending::Kill,
        chosen => chosen,
    }
}

fn plan(ends: &[Ending], power: bool, points: &[String], dice: &mut ChaCha8Rng) -> Plan {
    let mut life = Life { fail_point: None, settings: settings(dice) };
    let end = match ending(ends, power, dice) {
        Ending::Kill => End::Kill,
        Ending::Abort => {
            let point = points.get(dice.random_range(0..points.len().max(1)));
            let times = dice.random_range(1..=4);
            life.fail_point = point.map(|point| format!("{point}:{times}"));
            End::FailPoint
        }
        Ending::Cut => End::PowerCut,
        Ending::Trouble => End::Trouble(trouble(dice), dice.random_bool(0.5)),
        Ending::Stop => End::Stop,
    };
    let early = matches!(end, End::Kill | End::PowerCut) && dice.random_bool(0.1);
    let after = (!early).then(|| dice.random_range(0.0..1.0));
    let later = match dice.random_range(0..4) {
        0 if !early => None,
        1 => Some(dice.random_range(250..1000)),
        _ => Some(dice.random_range(0..250)),
    };
    Plan { life, end, after, later }
}

fn trouble(dice: &mut ChaCha8Rng) -> Trouble {
    match dice.random_range(0..4) {
        0 => Trouble::Full,
        1 => Trouble::Writes(dice.random_range(1..50)),
        2 => Trouble::Syncs(dice.random_range(1..20)),
        _ => Trouble::Slow(dice.random_range(1..50)),
    }
}

/// Small batches and large, a log that keeps nothing and one that keeps all.
fn settings(dice: &mut ChaCha8Rng) -> Vec<(&'static str, String)> {
    let mut pick = |from: &[&str]| {
        let at = dice.random_range(0..from.len().max(1));
        from.get(at).copied().unwrap_or_default().to_owned()
    };
    vec![
        ("RINGLAKE_LOG_KEEP", pick(&["0s", "0s", "0s", "2s", "3d"])),
        ("RINGLAKE_FLUSH_INTERVAL", pick(&["20ms", "100ms", "500ms"])),
        ("RINGLAKE_FLUSH_MAX_BYTES", pick(&["16 KiB", "256 KiB", "8 MiB"])),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn a_seed_gives_its_plan_and_all_kinds_come_up() {
        let of = |seed| round(300, &[], true, &mut ChaCha8Rng::seed_from_u64(seed));
        assert_eq!(format!("{:?}", of(7)), format!("{:?}", of(7)));
        assert_ne!(format!("{:?}", of(7)), format!("{:?}", of(8)));
        let kinds: std::collections::HashSet<_> =
            of(7).iter().map(|plan| std::mem::discriminant(&plan.end)).collect();
        assert_eq!(kinds.len(), 5);
        let without = round(300, &[], false, &mut ChaCha8Rng::seed_from_u64(7));
        let needs_power = |end: &End| matches!(end, End::PowerCut | End::Trouble(..));
        assert!(!without.iter().any(|plan| needs_power(&plan.end)));
    }
}
