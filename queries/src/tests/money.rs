//! Costs in another currency, and costs by tariff, worked out by hand.

use super::calls::calls;
use super::{Tables, lines, report_csv, request, sql_csv, told};
use crate::Engine;
use crate::report::{Rates, run};
use crate::tariffs::Tariffs;

const COST: &str = "currency,calls,costed_calls,billed_seconds,cost,cost_per_call,cost_per_minute";

#[tokio::test]
async fn costs_are_converted_at_the_rate_of_the_calls_day() {
    let engine = calls();
    let rates =
        "date,from,to,rate\n2026-03-28,USD,EUR,0.9\n2026-03-29,USD,EUR,0.8\n2026-03-29,EUR,USD,5\n";
    let options = [("by", "day"), ("system", "freshcaller"), ("currency", "EUR"), ("rates", rates)];
    // 03-28: call 1 is 0.072 × 0.9 = 0.0648; call 2 is 0.1 × 0.9 + 0.25 = 0.34, and one call: 0.4048 for
    // 240 s. 03-29: call 5 is 0.3333 × 0.8 = 0.26664, call 3 is 0: for 210.5 s.
    assert_eq!(
        report_csv(&engine, "call-cost", &options).await,
        lines(&format!(
            "day,{COST}
            2026-03-28,EUR,2,2,240,0.4048,0.202400,0.101200
            2026-03-29,EUR,2,2,210.5,0.26664,0.133320,0.076002
            2026-03-29,,1,0,0,,,"
        ))
    );
    // In Berlin call 2 is of the 29th, and call 5 of the 30th, which has no rate.
    let berlin = [&options[..], &[("tz", "Europe/Berlin")]].concat();
    assert_eq!(
        told(&run(&engine, &request("call-cost", &berlin)).await.unwrap_err()),
        "there is no rate for 2026-03-30 from USD to EUR | add the line 2026-03-30,USD,EUR,RATE to the file of --rates"
    );
    let until = [&berlin[..], &[("until", "2026-03-30")]].concat();
    assert_eq!(
        report_csv(&engine, "call-cost", &until).await,
        lines(&format!(
            "day,{COST}
            2026-03-28,EUR,1,1,120,0.0648,0.064800,0.032400
            2026-03-29,EUR,2,2,150.5,0.3300,0.165000,0.131561
            2026-03-29,,1,0,0,,,"
        ))
    );
}

#[tokio::test]
async fn what_cannot_be_converted_is_refused() {
    let engine = calls();
    let failed = async |report: &str, options: &[(&str, &str)]| {
        told(&run(&engine, &request(report, options)).await.unwrap_err())
    };
    assert_eq!(
        failed("call-cost", &[("currency", "GBP"), ("account", "other")]).await,
        "a call of account \"other\" has a cost without a currency, which cannot be converted | say [accounts.\"other\"] currency in the settings, as in currency = \"USD\""
    );
    // All in pounds already: no rate is needed.
    let pounds =
        report_csv(&engine, "call-cost", &[("currency", "GBP"), ("account", "suite")]).await;
    assert!(pounds.contains("GBP,1,1,90"), "{pounds}");
    assert!(
        failed("call-cost", &[("currency", "EUO")])
            .await
            .starts_with("unknown currency \"EUO\" | did you mean")
    );
    assert_eq!(
        failed("bill-duration", &[("currency", "EUR")]).await,
        "report bill-duration has no --currency"
    );
    assert_eq!(
        failed("call-cost", &[("rates", "date,from,to,rate\n")]).await,
        "rates are of no use without --currency | name the currency to convert to"
    );
    assert!(Rates::read("a,b\n").is_err());
}

/// Calls of three systems: two that their vendors price, one that says no cost, and calls of phases.
///
/// | call | number | started (UTC) | talked s | told | tariff `de`: 0.06 a minute, first 60, next 30, day band 0.12 |
/// | --- | --- | --- | --- | --- | --- |
/// | 1 | +4930111 | Mon 03-30 05:59 | 61 | none | 90 s at 0.06: 0.09 |
/// | 2 | +4930111 | Mon 03-30 06:00, 8:00 in Berlin | 61 | none | 90 s at 0.12: 0.18 |
/// | 3 | +4930111 | Mon 03-30 12:00 | 0 | none | 0 s, 0 |
/// | 4 | +1213555 | Mon 03-30 12:00 | 10 | none | none is for it |
/// | 5 | +4930111 | Mon 03-30 12:00 | unknown | none | not rated |
/// | 6 | +4930111 | Mon 03-30 12:00 | 30 | 0.5 USD, 45 s billed | told |
fn rated(price: &str) -> Engine {
    let tariffs = Tariffs::read(&format!(
        "zone = 'Europe/Berlin'\n[[tariffs]]\nname = 'de'\nprefix = '+49'\ncurrency = 'EUR'\nper_minute = {price}\n\
         first_increment = 60\nnext_increment = 30\n\
         bands = [{{ days = 'mon-fri', from = '08:00', to = '18:00', per_minute = 0.12 }}]\n"
    ));
    let call = |id: &str, number: &str, time: &str, rest: &str| {
        format!(
            r#"{{"system":"voipnow","account_id":null,"call_id":"{id}","direction":"outgoing","customer_number":"{number}","event_time":"{time}","started_at":"{time}"{rest}}}"#
        )
    };
    let (de, us, noon) = ("+49 30 111", "+1213555", "2026-03-30T12:00:00Z");
    let calls = [
        call("1", de, "2026-03-30T05:59:00Z", r#","talk_seconds":61"#),
        call("2", de, "2026-03-30T06:00:00Z", r#","talk_seconds":61"#),
        call("3", de, noon, r#","talk_seconds":0"#),
        call("4", us, noon, r#","talk_seconds":10"#),
        call("5", de, noon, ""),
        call(
            "6",
            de,
            noon,
            r#","talk_seconds":30,"bill_duration_seconds":45,"cost":0.5,"currency":"usd""#,
        ),
    ];
    Tables::default().with("calls", &calls.join("\n")).engine_with(tariffs.unwrap())
}

#[tokio::test]
async fn calls_without_a_told_cost_are_rated() {
    let engine = rated("0.06");
    let sql = "SELECT call_id, bill_duration_seconds, cost, currency, cost_source, tariff FROM calls_current ORDER BY call_id";
    assert_eq!(
        sql_csv(&engine, sql).await,
        lines(
            "call_id,bill_duration_seconds,cost,currency,cost_source,tariff
            1,90,0.09,EUR,tariff,de
            2,90,0.18,EUR,tariff,de
            3,0,0,EUR,tariff,de
            4,,,,,
            5,,,,,
            6,45,0.5,USD,vendor,"
        )
    );
    assert_eq!(
        sql_csv(
            &engine,
            "SELECT call_id, currency, cost, cost_source, tariff FROM call_costs ORDER BY 1"
        )
        .await,
        lines(
            "call_id,currency,cost,cost_source,tariff
            1,EUR,0.09,tariff,de
            2,EUR,0.18,tariff,de
            3,EUR,0,tariff,de
            6,USD,0.5,vendor,"
        )
    );
    assert_eq!(
        sql_csv(&engine, "SELECT call_id, reason FROM unrated_calls ORDER BY 1").await,
        "call_id,reason\n4,no-tariff\n5,no-duration\n"
    );
    // EUR: 0 + 0.09 + 0.18 for 180 s of three calls.
    assert_eq!(
        report_csv(&engine, "call-cost", &[("by", "")]).await,
        lines(&format!(
            "{COST}
            EUR,3,3,180,0.2700,0.090000,0.090000
            USD,1,1,45,0.5000,0.500000,0.666667
            ,2,0,0,,,"
        ))
    );
    assert_eq!(
        report_csv(&engine, "call-cost", &[("by", ""), ("cost-source", "tariff")]).await,
        lines(&format!("{COST}\nEUR,3,3,180,0.2700,0.090000,0.090000"))
    );
    assert_eq!(
        report_csv(&engine, "call-cost", &[("by", ""), ("cost-source", "vendor")]).await,
        lines(&format!("{COST}\nUSD,1,1,45,0.5000,0.500000,0.666667"))
    );
    // Billed by tariff: 90, 90 and 0 s, by the vendor 45 s; talked 61 + 61 + 0 + 30.
    assert_eq!(
        report_csv(&engine, "bill-duration", &[("by", "")]).await,
        lines(
            "calls,billed_calls,billed_seconds,talked_seconds,rounding_seconds,billed_p50,billed_p90,billed_max,unbilled_calls
            6,4,225,152,73,45,90,90,2"
        )
    );
}

#[tokio::test]
async fn a_corrected_tariff_rates_history_again() {
    let cost = "SELECT cost FROM calls_current WHERE call_id = '1'";
    assert_eq!(sql_csv(&rated("0.06"), cost).await, "cost\n0.09\n");
    assert_eq!(sql_csv(&rated("0.08"), cost).await, "cost\n0.12\n");
}

#[tokio::test]
async fn calls_without_cost_are_counted_below_the_report() {
    let answer = run(&rated("0.06"), &request("call-cost", &[])).await.unwrap();
    let footnote = answer.footnote.clone().unwrap();
    assert_eq!(footnote.text(), None);
    answer.collect().await.unwrap();
    assert_eq!(
        footnote.text().unwrap(),
        "2 calls have no cost and are in no sum: the vendor told none and no tariff is for them; `ringlake query 'SELECT * FROM unrated_calls'` lists them"
    );
}

#[tokio::test]
async fn a_cost_of_unknown_currency_is_a_cost() {
    // Without a currency are call 8, which costs 2 of an unknown one, and call 7 and 4, which cost nothing.
    let answer = run(&calls(), &request("call-cost", &[("by", "")])).await.unwrap();
    let footnote = answer.footnote.clone().unwrap();
    answer.collect().await.unwrap();
    assert!(footnote.text().unwrap().starts_with("2 calls have no cost"), "{:?}", footnote.text());
}

#[tokio::test]
async fn how_the_billed_durations_lie() {
    let engine = calls();
    // Billed are 120, 120, 60 and 180 s; the bin up to 180 s is the last.
    assert_eq!(
        report_csv(&engine, "bill-duration", &[("histogram", "")]).await,
        lines(
            "over_seconds,to_seconds,calls
            30,60,1
            60,120,2
            120,180,1"
        )
    );
    assert_eq!(
        report_csv(&engine, "bill-duration", &[("histogram", ""), ("by", "agent")]).await,
        lines(
            "agent,agent_name,over_seconds,to_seconds,calls
            694,Ann,60,120,2
            700,,30,60,1
            ,,120,180,1"
        )
    );
}
