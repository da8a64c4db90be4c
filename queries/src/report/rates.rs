//! `--rates`: what a currency was worth on a day, as `date,from,to,rate`.
//!
//! A rate is used for its day and its direction and for nothing else: no neighbouring day, no inverse.
//! Where one is missing, the report says which, and must never leave the cost out.

use std::collections::BTreeMap;
use std::fmt::Write;

use arrow::array::AsArray;
use chrono::NaiveDate;

use super::Rendered;
use crate::currencies;
use crate::engine::Engine;
use crate::error::QueryError;
use crate::functions::exact_amount;

const HEADER: &str = "date,from,to,rate";

/// Rates by day and pair; a rate is kept as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rates(BTreeMap<(NaiveDate, &'static str, &'static str), String>);

impl Rates {
    /// Reads CSV with a header; the columns may stand in any order.
    pub fn read(text: &str) -> Result<Self, QueryError> {
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let wrong =
            |line: usize, problem: String| QueryError::RatesFile { line: line + 1, problem };
        let no_header = || wrong(0, format!("it begins with the line {HEADER}"));
        let (_, header) = lines.next().ok_or_else(no_header)?;
        let header: Vec<String> = cells(header).map(str::to_ascii_lowercase).collect();
        let place = |name: &str| header.iter().position(|column| column == name);
        let places =
            HEADER.split(',').map(place).collect::<Option<Vec<_>>>().ok_or_else(no_header)?;
        let mut rates = Self::default();
        for (line, text) in lines {
            let cells: Vec<&str> = cells(text).collect();
            let cell = |at: usize| {
                let place = places.get(at).copied().unwrap_or(usize::MAX);
                cells.get(place).copied().filter(|cell| !cell.is_empty())
            };
            let (Some(day), Some(from), Some(to), Some(rate)) =
                (cell(0), cell(1), cell(2), cell(3))
            else {
                return Err(wrong(line, format!("it has no {HEADER}")));
            };
            let day = NaiveDate::parse_from_str(day, "%Y-%m-%d")
                .map_err(|_| wrong(line, format!("{day:?} is no date; write 2026-03-29")))?;
            let pair = currencies::code(from).and_then(|from| Ok((from, currencies::code(to)?)));
            let (from, to) = pair.map_err(|error| wrong(line, error.to_string()))?;
            exact_amount(rate).filter(|amount| *amount > 0).ok_or_else(|| {
                wrong(
                    line,
                    format!(
                        "{rate:?} is no rate: digits such as 0.92, at most nine after the point"
                    ),
                )
            })?;
            if let Some(held) = rates.0.insert((day, from, to), rate.to_owned())
                && held != rate
            {
                let problem = format!("{day} has two rates from {from} to {to}: {held} and {rate}");
                return Err(wrong(line, problem));
            }
        }
        Ok(rates)
    }

    /// `LEFT JOIN` of the rates into one currency, by the day of the call.
    pub(super) fn join(&self, to: &str, day: &str, currency: &str) -> String {
        let mut rows = String::new();
        for ((date, from, into), rate) in &self.0 {
            if *into == to {
                let comma = if rows.is_empty() { "" } else { ", " };
                let _ = write!(
                    rows,
                    "{comma}(DATE '{date}', '{from}', CAST('{rate}' AS DECIMAL(28, 9)))"
                );
            }
        }
        if rows.is_empty() {
            rows.push_str(
                "(CAST(NULL AS DATE), CAST(NULL AS VARCHAR), CAST(NULL AS DECIMAL(28, 9)))",
            );
        }
        format!(
            "LEFT JOIN (\n    SELECT column1 AS \"day\", column2 AS \"from\", column3 AS rate FROM (VALUES {rows}) AS listed\n) AS rates\n    ON rates.\"from\" = {currency} AND rates.\"day\" = {day}"
        )
    }
}

fn cells(line: &str) -> impl Iterator<Item = &str> {
    line.trim_start_matches('\u{feff}').split(',').map(|cell| cell.trim().trim_matches('"'))
}

/// Whether every cost of the report has its rate.
pub async fn check(engine: &Engine, rendered: &Rendered) -> Result<(), QueryError> {
    let Some(to) = rendered.currency else { return Ok(()) };
    let sql = format!(
        "WITH picked AS (\n{}\n)\nSELECT CAST(day_of_rate AS VARCHAR), told_currency, account_id FROM picked \
         WHERE told_cost IS NOT NULL AND cost IS NULL ORDER BY told_currency IS NOT NULL, 1, 2 LIMIT 1",
        rendered.rows
    );
    for batch in engine.sql(&sql).await?.collect().await? {
        if batch.num_rows() > 0 {
            let text = |column: usize| {
                let column = batch.columns().get(column)?.as_string_opt::<i32>()?;
                arrow::array::Array::is_valid(column, 0).then(|| column.value(0).to_owned())
            };
            let day = text(0).unwrap_or_default();
            return Err(match text(1) {
                Some(from) => QueryError::NoRate { day, from, to: to.to_owned() },
                None => QueryError::NoCurrency { account: text(2).unwrap_or_default() },
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Rates;

    #[test]
    fn rates_are_read_or_their_line_is_named() {
        let read = |text: &str| Rates::read(text).map(|rates| rates.0.len());
        assert_eq!(read("date,from,to,rate\n2026-03-29,usd,EUR,0.92\n\n").unwrap(), 1);
        assert_eq!(read("rate, to ,from,date\n0.92,EUR,USD,2026-03-29\n").unwrap(), 1);
        for (text, told) in [
            ("", "line 1: it begins with the line date,from,to,rate"),
            ("date,rate\n", "line 1: it begins with the line date,from,to,rate"),
            ("date,from,to,rate\n2026-03-29,USD,EUR\n", "line 2: it has no date,from,to,rate"),
            (
                "date,from,to,rate\n29.3.2026,USD,EUR,1\n",
                "line 2: \"29.3.2026\" is no date; write 2026-03-29",
            ),
            ("date,from,to,rate\n2026-03-29,USD,EUX,1\n", "line 2: unknown currency \"EUX\""),
            (
                "date,from,to,rate\n2026-03-29,USD,EUR,-1\n",
                "line 2: \"-1\" is no rate: digits such as 0.92, at most nine after the point",
            ),
            (
                "date,from,to,rate\n2026-03-29,USD,EUR,1\n2026-03-29,USD,EUR,2\n",
                "line 3: 2026-03-29 has two rates from USD to EUR: 1 and 2",
            ),
        ] {
            assert_eq!(
                read(text).unwrap_err().to_string(),
                format!("the rates cannot be read, {told}")
            );
        }
    }
}
