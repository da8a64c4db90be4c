//! What happens in a round: a number of lives, each with its settings and its end. All from the seed.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use ringlake_transform::faults;

use super::crew::Whom;
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
    /// The device fails, for some milliseconds beyond the first call that it refuses. Then the power goes,
    /// if `cut`, or the process is killed.
    Trouble { trouble: Trouble, millis: u64, cut: bool },
    /// SIGTERM: everything is committed.
    Stop,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub life: Life,
    pub end: End,
    /// The end comes when this share of the life's events is acknowledged; before it is ready, if none.
    pub after: Option<f64>,
    /// And so many milliseconds later, while events go on; once the tables have all there is, if none.
    pub later: Option<u64>,
    /// Over Kafka: to whom the end comes, and how many writers there are until then.
    pub whom: Whom,
    pub writers: usize,
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

/// Those of the embedded log alone, and what is passed in their stead over Kafka.
const STEPS_OF_EMBEDDED: &[&str] = &["ingest:create", "ingest:append", "ingest:trim", "sinks:tidy"];
const STEPS_OF_KAFKA: &[&str] = &["ingest:produce"];

/// How the lives of a round may end.
#[derive(Clone, Debug, Default)]
pub struct Ends {
    /// In any way, if none is named.
    pub kinds: Vec<Ending>,
    /// Fail points begin with one of these; any that a server passes again and again, if none is named.
    pub points: Vec<String>,
    /// Whether the power can be cut here.
    pub power: bool,
    /// Whether the log is Kafka.
    pub kafka: bool,
}

impl Ends {
    /// The fail points that there are to die at, by the step that they belong to: a step that has a
    /// point for each table comes up no more often than others.
    fn steps(&self) -> Vec<Vec<String>> {
        let shared = STEPS.iter().filter(|step| !STEPS_OF_EMBEDDED.contains(step));
        let steps: Vec<&str> = match (self.points.is_empty(), self.kafka) {
            (false, _) => self.points.iter().map(String::as_str).collect(),
            (true, true) => STEPS_OF_KAFKA.iter().chain(shared).copied().collect(),
            (true, false) => STEPS.to_vec(),
        };
        let of = |step: &&str| faults::points().filter(|point| point.starts_with(step)).collect();
        steps.iter().map(of).filter(|points: &Vec<String>| !points.is_empty()).collect()
    }
}

/// The lives of one round.
pub fn round(lives: usize, ends: &Ends, dice: &mut ChaCha8Rng) -> Vec<Plan> {
    let steps = ends.steps();
    (0..lives).map(|_| plan(ends, &steps, dice)).collect()
}

fn ending(ends: &Ends, dice: &mut ChaCha8Rng) -> Ending {
    let (kinds, power) = (&ends.kinds, ends.power);
    let chosen = match dice.random_range(0..100) {
        _ if !kinds.is_empty() => any(kinds, dice).copied().unwrap_or(Ending::Kill),
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

fn any<'a, T>(of: &'a [T], dice: &mut ChaCha8Rng) -> Option<&'a T> {
    of.get(dice.random_range(0..of.len().max(1)))
}

fn plan(ends: &Ends, steps: &[Vec<String>], dice: &mut ChaCha8Rng) -> Plan {
    let mut life = Life { fail_point: None, settings: settings(dice) };
    let end = match ending(ends, dice) {
        Ending::Kill => End::Kill,
        Ending::Abort => {
            let point = any(steps, dice).and_then(|points| any(points, dice));
            let times = dice.random_range(1..=3);
            life.fail_point = point.map(|point| format!("{point}:{times}"));
            End::FailPoint
        }
        Ending::Cut => End::PowerCut,
        Ending::Trouble => End::Trouble {
            trouble: trouble(dice),
            millis: dice.random_range(100..800),
            cut: dice.random_bool(0.5),
        },
        Ending::Stop => End::Stop,
    };
    let early = matches!(end, End::Kill | End::PowerCut) && dice.random_bool(0.1);
    let after = (!early).then(|| dice.random_range(0.0..1.0));
    let later = match dice.random_range(0..10) {
        0 if !early => None,
        1..4 => Some(dice.random_range(250..1000)),
        _ => Some(dice.random_range(0..250)),
    };
    let whom = match dice.random_range(0..10) {
        0..2 => Whom::All,
        2..4 => Whom::Writers,
        4..6 => Whom::Door,
        _ => Whom::Writer,
    };
    Plan { life, end, after, later, whom, writers: dice.random_range(2..=3) }
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
    let mut pick = |from: &[&'static str]| any(from, dice).copied().unwrap_or_default().to_owned();
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
        let ends = |power| Ends { power, ..Ends::default() };
        let of = |seed| round(300, &ends(true), &mut ChaCha8Rng::seed_from_u64(seed));
        assert_eq!(format!("{:?}", of(7)), format!("{:?}", of(7)));
        assert_ne!(format!("{:?}", of(7)), format!("{:?}", of(8)));
        let kinds: std::collections::HashSet<_> =
            of(7).iter().map(|plan| std::mem::discriminant(&plan.end)).collect();
        assert_eq!(kinds.len(), 5);
        let without = round(300, &ends(false), &mut ChaCha8Rng::seed_from_u64(7));
        let needs_power = |end: &End| matches!(end, End::PowerCut | End::Trouble { .. });
        assert!(!without.iter().any(|plan| needs_power(&plan.end)));
    }

    #[test]
    fn lives_end_where_they_are_told_to() {
        let points = vec!["sinks:progress".to_owned(), "ingest:append:after".to_owned()];
        let ends = Ends { kinds: vec![Ending::Abort], points, ..Ends::default() };
        let plans = round(50, &ends, &mut ChaCha8Rng::seed_from_u64(7));
        let points: std::collections::BTreeSet<_> = plans
            .iter()
            .map(|plan| plan.life.fail_point.as_deref().unwrap().rsplit_once(':').unwrap().0)
            .collect();
        let expected = ["ingest:append:after", "sinks:progress:after", "sinks:progress:before"];
        assert_eq!(points, expected.into_iter().collect());
    }
}
