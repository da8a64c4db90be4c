//! The envelope of a Freshsales event, its labeled fields and the people in it.

use ringlake_transform::Micros;
use serde_json::{Map, Value, json};

use super::dice::{SECOND, seconds};
use super::firm::Agent;
use super::templates::Labeled;
use super::{Body, Event};

const ACCOUNT: &str = "201745566310948863";
const HOST: &str = "harbourfinch.myfreshworks.com";
/// Where a new deal starts.
const PIPELINE: i64 = 27_149;

pub type Fields = Vec<(&'static str, Value)>;

/// One event about one record.
pub struct Message<'a> {
    /// `onDealUpdate`.
    pub name: String,
    pub at: Micros,
    /// The key under `data`: `deal`.
    pub module: &'static str,
    pub id: i64,
    pub actor: &'a Agent,
    pub record: Value,
    pub associations: Value,
    /// `model_changes`, for updates.
    pub changes: Option<Map<String, Value>>,
}

impl Message<'_> {
    pub fn event(self) -> Event {
        let mut actor = user(self.actor);
        if let Some(actor) = actor.as_object_mut() {
            actor.insert("language".to_owned(), "en".into());
            actor.insert("is_forgotten".to_owned(), false.into());
        }
        let mut data = Map::new();
        data.insert("actor".to_owned(), actor);
        data.insert(self.module.to_owned(), self.record);
        data.insert("associations".to_owned(), self.associations);
        if let Some(changes) = self.changes {
            let changes =
                json!({"model_changes": changes, "system_changes": {}, "misc_changes": {}});
            data.insert("changes".to_owned(), changes);
        }
        let body = json!({
            "iparams": {}, "region": "US",
            "productContext": {"url": format!("https://{HOST}/crm"), "name": "freshworks_crm"},
            "data": data, "account_id": ACCOUNT, "domain": HOST, "event": self.name,
            "timestamp": self.at as f64 / SECOND as f64, "version": "2.0",
        });
        let body = Body::Json(body.to_string());
        let entity = self.id as u64;
        Event { sent_at: self.at, system: "freshsales", route: None, entity, body }
    }
}

/// A record of labeled fields: what `values` does not name is null, or `[]` where it is a list.
pub fn labeled(template: &[Labeled], mut values: Fields, plain: Value) -> Value {
    let mut record = match plain {
        Value::Object(plain) => plain,
        _ => Map::new(),
    };
    for (key, label, kind) in template {
        let given =
            values.iter().position(|(name, _)| name == key).map(|at| values.swap_remove(at).1);
        let value = given.unwrap_or_else(|| empty(key, kind));
        let field = match kind.strip_prefix('*') {
            Some(derived) => json!({"label": label, "dom_type": derived, "value": value}),
            None => json!({"label": label, "type": kind, "value": value}),
        };
        record.insert((*key).to_owned(), field);
    }
    debug_assert!(values.is_empty(), "no such field: {values:?}");
    Value::Object(record)
}

fn empty(key: &str, kind: &str) -> Value {
    let list = kind.ends_with("multi_select_dropdown") || kind == "group_field" || key == "tags";
    if list { json!([]) } else { Value::Null }
}

/// A person of the firm as the CRM shows them.
pub fn user(agent: &Agent) -> Value {
    let login = agent.name.to_lowercase().replace(' ', ".");
    json!({
        "deal_pipeline_id": PIPELINE, "name": agent.name, "is_active": true,
        "email": format!("{login}@harbourfinch.example"), "job_title": "Sales",
        "uuid": format!("19581834254{:07}", agent.user_id), "id": agent.user_id,
        "created_at": "2024-02-01T08:32:11Z", "updated_at": "2025-11-03T08:34:20Z", "type": "user",
        "work_number": null, "time_zone": "UTC", "mobile_number": null,
    })
}

/// An amount of cents as a field shows it: `"1234.5"`.
pub fn amount_text(cents: i64) -> Value {
    let text = format!("{}.{:02}", cents / 100, cents % 100);
    match text.strip_suffix('0') {
        Some(short) => short.into(),
        None => text.into(),
    }
}

/// The same amount as a change shows it: a number.
pub fn amount_number(cents: i64) -> Value {
    if cents % 100 == 0 { (cents / 100).into() } else { (cents as f64 / 100.0).into() }
}

/// A pair of changes that every update has.
pub fn touched(changes: &mut Map<String, Value>, before: Micros, at: Micros) {
    changes.insert("updated_at".to_owned(), json!([seconds(before), seconds(at)]));
}
