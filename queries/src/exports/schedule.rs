//! When exports are due, and which time they cover.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, SubsecRound, Utc};
use croner::Cron;

use super::{ExportPeriod, ExportSpec};
use crate::error::QueryError;
use crate::report::period::{Period, day_begins};

/// Runs that are caught up at most, the newest ones: whoever was away for a year does not want it
/// minute by minute.
const MOST_MISSED: usize = 100;

pub fn cron(spec: &ExportSpec) -> Result<Cron, QueryError> {
    spec.cron.parse().map_err(|source| QueryError::ExportCron {
        name: spec.name.clone(),
        pattern: spec.cron.clone(),
        source,
    })
}

/// The times at or before `now` at which a run was due since the last one, oldest first. One that
/// never ran is due for the newest such time alone, and so is one that always covers everything.
pub fn due(
    spec: &ExportSpec,
    now: DateTime<Utc>,
    last_run: Option<DateTime<Utc>>,
) -> Result<Vec<DateTime<Utc>>, QueryError> {
    let cron = cron(spec)?;
    let wanted = match (last_run, spec.period) {
        (None, _) | (_, ExportPeriod::All) => 1,
        _ => MOST_MISSED,
    };
    let mut times = Vec::new();
    // Whole seconds: a pattern matches a second, and a part of one would be looked for in vain.
    let mut at = now.with_timezone(&spec.zone).trunc_subsecs(0);
    let mut inclusive = true;
    while times.len() < wanted {
        let Ok(before) = cron.find_previous_occurrence(&at, inclusive) else { break };
        if last_run.is_some_and(|last| before.to_utc() <= last) {
            break;
        }
        times.push(before.to_utc());
        at = before;
        inclusive = false;
    }
    times.reverse();
    Ok(times)
}

/// When it will be due next.
pub fn next_run(
    spec: &ExportSpec,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, QueryError> {
    let now = now.with_timezone(&spec.zone);
    Ok(cron(spec)?.find_next_occurrence(&now, false).ok().map(|next| next.to_utc()))
}

/// The bounds that a run covers.
pub fn period(spec: &ExportSpec, scheduled_for: DateTime<Utc>) -> Period {
    let today = scheduled_for.with_timezone(&spec.zone).date_naive();
    let monday = today - Days::new(u64::from(today.weekday().num_days_from_monday()));
    let first = today.with_day(1).unwrap_or(today);
    let days: Option<(NaiveDate, NaiveDate)> = match spec.period {
        ExportPeriod::All => None,
        ExportPeriod::LastDay => Some((today - Days::new(1), today)),
        ExportPeriod::LastWeek => Some((monday - Days::new(7), monday)),
        ExportPeriod::LastMonth => Some((first - Months::new(1), first)),
    };
    match days {
        None => Period::default(),
        Some((from, to)) => {
            Period { since: day_begins(from, spec.zone), until: day_begins(to, spec.zone) }
        }
    }
}
