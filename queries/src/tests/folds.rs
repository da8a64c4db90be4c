//! What folded views show is what the views' definitions say of all states, in whatever turns the
//! states come.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::datasource::{MemTable, TableProvider};
use datafusion::prelude::SessionContext;
use proptest::prelude::*;
use ringlake_transform::tables;
use serde_json::{Map, Value};

use super::{Tables, sql_csv};
use crate::Engine;
use crate::fold::fresh::{Fresh, Inputs, fresh};
use crate::fold::{FOLDS, Fold};

/// A row of a table.
type Line = (&'static str, String);

/// The folds behind what is asked.
const FOLDED: &[&str] = &["calls", "deals", "agents", "deal_changes", "deal_histories"];
const ASKED: &[&str] = &[
    "SELECT * FROM calls_current ORDER BY system, account_id, call_id, extension, talk_basis",
    "SELECT * FROM call_costs ORDER BY system, account_id, call_id, currency",
    "SELECT * FROM call_costs_split ORDER BY system, account_id, call_id, currency",
    "SELECT id, name, amount, deal_stage_id, event_month FROM deals_current ORDER BY id",
    "SELECT * FROM agents ORDER BY system, account_id, agent_id",
    r#"SELECT * FROM deal_changes ORDER BY "offset", field, old, new"#,
    r#"SELECT * FROM channel_phases ORDER BY "offset""#,
    "SELECT * FROM deal_stays ORDER BY deal_id, entered_at, left_at, stage_id",
    "SELECT deal_id, deal_name, deal_outcome, array_sort(phone_keys) AS phone_keys, cardinality(open_stays) AS stays
        FROM deal_openings ORDER BY deal_id",
];

fn number(most: u8) -> impl Strategy<Value = Option<u8>> {
    proptest::option::weighted(0.6, 0..most)
}

fn row(fields: &[(&str, Option<String>)]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .filter_map(|(name, value)| Some(format!("\"{name}\":{}", value.as_ref()?)))
        .collect();
    format!("{{{}}}", fields.join(","))
}

fn time(second: u8) -> Option<String> {
    Some(format!("\"2026-03-31T23:59:{:02}Z\"", second))
}

fn text(prefix: &str, value: Option<u8>) -> Option<String> {
    value.map(|value| format!("\"{prefix}{value}\""))
}

prop_compose! {
    fn call()(
        id in 0u8..3, second in 0u8..60, late in 0u8..60, whose in proptest::bool::ANY,
        (agent, name, number, status) in (number(3), number(3), number(2), number(3)),
        (billed, cost, currency, deleted) in (number(4), number(3), number(2), 0u8..12),
        (phase, extension) in (
            prop::sample::select(vec!["created", "dial-in", "dial-out", "answer", "hangup"]), number(2),
        ),
    ) -> Line {
        ("calls", row(&[
            ("account_id", Some(if whose { "null".to_owned() } else { "\"acme\"".to_owned() })),
            ("call_id", text("", Some(id))),
            ("event_time", time(second)),
            ("received_at", time(late)),
            ("agent_id", text("", agent)),
            ("agent_name", text("name ", name)),
            ("customer_number", text("+4930", number)),
            ("status", text("", status)),
            ("bill_duration_seconds", billed.map(|billed| billed.to_string())),
            ("cost", cost.map(|cost| format!("0.{cost}"))),
            ("currency", text("us", currency)),
            ("is_deleted", (deleted == 0).then(|| "true".to_owned())),
            ("phase", Some(format!("\"{phase}\""))),
            ("extension", text("", extension)),
        ]))
    }
}

prop_compose! {
    fn leg()(
        id in 0u8..3, leg in 0u8..3, second in 0u8..60, late in 0u8..60, customer in number(2),
        (agent, name, seconds) in (number(3), number(3), number(9)),
        (cost, currency) in (number(3), number(2)),
    ) -> Line {
        let party = customer.map(|customer| if customer == 0 { "\"Agent\"" } else { "\"Customer\"" });
        ("call_participants", row(&[
            ("call_id", text("", Some(id))),
            ("leg_id", text("", Some(leg))),
            ("event_time", time(second)),
            ("received_at", time(late)),
            ("participant_type", party.map(str::to_owned)),
            ("participant_id", text("", agent)),
            ("caller_name", text("leg ", name)),
            ("duration_seconds", seconds.map(|seconds| seconds.to_string())),
            ("cost", cost.map(|cost| format!("0.{cost}"))),
            ("currency", text("us", currency)),
        ]))
    }
}

prop_compose! {
    fn channel()(
        id in 0u8..3, channel in 0u8..2, second in 0u8..60, late in 0u8..60, agent in number(2),
        phase in prop::sample::select(vec![
            "alerted", "connected", "held", "retrieved", "parked", "unparked", "disconnected", "ended",
        ]),
        role in prop::sample::select(vec!["agent", "customer"]),
    ) -> Line {
        ("channel_events", row(&[
            ("interaction_id", text("", Some(id))),
            ("channel_id", text("", Some(channel))),
            ("event_time", time(second)),
            ("received_at", time(late)),
            ("agent_id", text("", agent)),
            ("phase", Some(format!("\"{phase}\""))),
            ("party_role", Some(format!("\"{role}\""))),
        ]))
    }
}

prop_compose! {
    fn deal()(
        id in 0u8..3, second in 0u8..60, late in 0u8..60, kind in 0u8..10,
        (name, amount, stage, stage_name) in (number(3), number(4), number(2), number(3)),
        (owner, owner_name, actor) in (number(2), number(3), number(2)),
        (contact, account) in (number(2), number(2)),
    ) -> Line {
        ("deals", row(&[
            ("id", Some(id.to_string())),
            ("event_type", Some(if kind == 0 { "\"onDealDelete\"" } else { "\"onDealUpdate\"" }.to_owned())),
            ("is_deleted", (kind == 1).then(|| "true".to_owned())),
            ("event_time", time(second)),
            ("received_at", time(late)),
            ("name", text("deal ", name)),
            ("amount", amount.map(|amount| amount.to_string())),
            ("deal_stage_id", stage.map(|stage| stage.to_string())),
            ("deal_stage_name", text("stage ", stage_name)),
            ("deal_stage_forecast_type", stage_name.map(|won| if won == 0 { "\"Won\"" } else { "\"Open\"" }.to_owned())),
            ("owner_id", owner.map(|owner| owner.to_string())),
            ("owner_name", text("owner ", owner_name)),
            ("actor_id", text("", actor)),
            ("actor_name", text("actor ", owner_name)),
            ("contact_ids", contact.map(|contact| format!("[\"{contact}\"]"))),
            ("sales_account_id", account.map(|account| account.to_string())),
        ]))
    }
}

prop_compose! {
    fn person()(
        table in prop::sample::select(vec!["contacts", "sales_accounts"]), id in 0u8..2, second in 0u8..60, n in number(3),
    ) -> Line {
        let number = if table == "contacts" { "mobile_number" } else { "phone" };
        (table, row(&[
            ("id", Some(id.to_string())),
            ("event_type", Some("\"onUpdate\"".to_owned())),
            ("event_time", time(second)),
            (number, text("+493090182", n)),
        ]))
    }
}

prop_compose! {
    /// What an event told to have changed, which is the event of the line before it.
    fn change()(
        id in 0u8..3, old in number(3), new in number(3), again in 0u8..4,
        field in prop::sample::select(vec!["amount", "base_currency_amount", "deal_stage_id"]),
    ) -> Line {
        ("field_changes", row(&[
            ("record_type", Some("\"deal\"".to_owned())),
            ("record_id", text("", Some(id))),
            ("field", Some(format!("\"{field}\""))),
            ("old_value", text("", old)),
            ("new_value", text("", new)),
            ("event_key", (again == 0).then(|| "\"again\"".to_owned())),
        ]))
    }
}

fn turns() -> impl Strategy<Value = Vec<Vec<Line>>> {
    let line = prop_oneof![3 => call(), 3 => leg(), 2 => channel(), 2 => deal(), 3 => change(), 1 => person()];
    prop::collection::vec(prop::collection::vec(line, 1..16), 2..5).prop_map(|turns| {
        let mut place = Place::default();
        turns
            .into_iter()
            .map(|turn| turn.into_iter().map(|line| place.put(line)).collect())
            .collect()
    })
}

/// Gives each line its place in the log.
#[derive(Default)]
struct Place {
    events: u64,
    times: Option<(Value, Value)>,
    /// The fields that the event told of: each once, as vendors do.
    fields: HashSet<Option<Value>>,
}

impl Place {
    /// A change shares the place and times of the event before it, of an earlier turn as it may be: files of
    /// one event can be folded one after another.
    fn put(&mut self, (table, line): Line) -> Line {
        let mut line: Map<String, Value> = serde_json::from_str(&line).unwrap();
        let is_event = table != "field_changes" || self.times.is_none();
        if is_event || !self.fields.insert(line.get("field").cloned()) {
            self.events += 1;
            self.fields = HashSet::from([line.get("field").cloned()]);
            let time = line.get("event_time").cloned().unwrap_or("2026-03-31T23:59:00Z".into());
            self.times = Some((time.clone(), line.get("received_at").cloned().unwrap_or(time)));
        }
        if let Some((happened, received)) = self.times.clone() {
            line.insert("event_time".to_owned(), happened);
            line.insert("received_at".to_owned(), received);
        }
        line.insert("offset".to_owned(), self.events.into());
        line.entry("event_key").or_insert(self.events.to_string().into());
        (table, Value::Object(line).to_string())
    }
}

/// The rows of each table.
fn rows(lines: &[Line]) -> Tables {
    let mut tables = Tables::default();
    for (table, line) in lines {
        tables = tables.with(table, line);
    }
    tables
}

fn in_memory(
    schema: arrow::datatypes::SchemaRef,
    rows: Vec<RecordBatch>,
) -> Arc<dyn TableProvider> {
    Arc::new(MemTable::try_new(schema, vec![rows]).unwrap())
}

fn providers(fold: &Fold, rows: &Tables) -> BTreeMap<&'static str, Arc<dyn TableProvider>> {
    let provider = |table: &&'static str| {
        let schema = tables::by_name(table).unwrap().schema();
        (*table, in_memory(schema, rows.batches.get(*table).cloned().unwrap_or_default()))
    };
    fold.tables.iter().map(provider).collect()
}

/// The parts after a turn, as new files would hold them.
async fn folded(fold: &Fold, inputs: &Inputs, fresh: &Fresh) -> Inputs {
    let mut after = Inputs::default();
    for part in fold.parts {
        let mut rows = vec![fresh.parts[part.name].clone()];
        if let Some(folded) = inputs.parts.get(part.name) {
            let context = SessionContext::new();
            context.register_table("folded", folded.clone()).unwrap();
            context.register_batch("keys", fresh.keys.clone()).unwrap();
            let same: Vec<String> = fold
                .key
                .iter()
                .map(|key| format!("(keys.{key} IS NOT DISTINCT FROM folded.{key})"))
                .collect();
            let sql = format!(
                "SELECT folded.* FROM folded LEFT ANTI JOIN keys ON {}",
                same.join(" AND ")
            );
            rows.extend(context.sql(&sql).await.unwrap().collect().await.unwrap());
        }
        // Files of one part are read by the columns of the first.
        let columns = rows[0].schema();
        rows.iter().for_each(|rows| assert_eq!(rows.schema(), columns, "{}", part.name));
        after.parts.insert(part.name, in_memory(columns, rows));
    }
    after
}

async fn compare(turns: &[Vec<Line>]) {
    let all = rows(&turns.concat());
    let beside = |fold: &Fold, upto: &[Line]| {
        let spec = fold.beside.and_then(tables::by_name)?;
        let rows = rows(upto).batches.remove(spec.name).unwrap_or_default();
        Some(in_memory(spec.schema(), rows))
    };
    let asked = all.clone().engine();
    let mut folded_engine = all.engine();
    for fold in FOLDS.iter().filter(|fold| FOLDED.contains(&fold.name)) {
        let mut inputs = Inputs::default();
        let mut seen = Vec::new();
        for (n, turn) in turns.iter().enumerate() {
            inputs.tail = providers(fold, &rows(turn));
            seen.extend_from_slice(turn);
            inputs.beside = beside(fold, &seen);
            // The last turn is not folded: it is what came since.
            if n + 1 < turns.len() {
                let fresh = fresh(asked.context(), fold, &inputs).await.unwrap();
                inputs = folded(fold, &inputs, &fresh).await;
            }
        }
        folded_engine.given.insert(fold.name, inputs);
    }
    for sql in ASKED {
        assert_eq!(sql_csv(&folded_engine, sql).await, sql_csv(&asked, sql).await, "{sql}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn folding_changes_no_answer(turns in turns()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(compare(&turns));
    }
}

#[tokio::test]
async fn names_of_steps_are_not_listed() {
    let engine: Engine = Tables::default().engine();
    assert_eq!(sql_csv(&engine, "SELECT count(*) AS n FROM calls_current").await, "n\n0\n");
    let listed = "SELECT count(*) AS n FROM information_schema.tables
        WHERE starts_with(table_name, '_')";
    assert_eq!(sql_csv(&engine, listed).await, "n\n0\n");
}
