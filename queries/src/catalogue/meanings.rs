//! What columns hold, in words. A name means the same in every table, but for the few that say otherwise.

use arrow::datatypes::Field;
use ringlake_transform::Kind;

/// What the column holds; empty where nobody has said.
pub fn of(table: &str, field: &Field, has_label: bool) -> String {
    let name = field.name().as_str();
    if let Some((_, _, meaning)) =
        OF_ONE.iter().find(|(of, column, _)| *of == table && *column == name)
    {
        return (*meaning).to_owned();
    }
    if let Some((_, meaning)) = OF_ALL.iter().find(|(column, _)| *column == name) {
        return (*meaning).to_owned();
    }
    let by_type = match Kind::of(field.data_type()) {
        _ if has_label => "",
        Some(Kind::Seconds) => "a length of time, in seconds",
        Some(Kind::Time) => "an instant, in UTC",
        Some(Kind::Decimal) if name.contains("amount") => "money, exact",
        _ => "",
    };
    by_type.to_owned()
}

/// Table, column, meaning.
const OF_ONE: &[(&str, &str, &str)] = &[
    ("deal_changes", "delta", "new − old, where both are numbers and no ids"),
    ("field_labels", "type", "the type that the product declares"),
    ("field_labels_current", "type", "the type that the product declares"),
    ("field_changes", "label", "what the product's screens call the field"),
    ("progress", "position", "up to which all tables hold the partition of the log"),
    ("progress", "tables", "the version of each table that is complete up to there, as JSON"),
    ("unrated_calls", "reason", "why no tariff makes a cost of it"),
];

/// Column, meaning.
const OF_ALL: &[(&str, &str)] = &[
    ("system", "the vendor's product: freshcaller, freshsales, vonage, voipnow"),
    ("account_id", "the account at the vendor"),
    ("event_type", "the event's name, as the vendor calls it"),
    ("event_time", "when it happened, in UTC"),
    ("event_time_basis", "where event_time is from: the event, or its receipt"),
    ("received_at", "when the webhook came in, in UTC"),
    ("event_key", "the same for all repeats of one event"),
    ("topic", "where in the log the event is: the topic"),
    ("partition", "where in the log the event is: the partition"),
    ("offset", "where in the log the event is: the offset"),
    ("event_month", "the month of event_time in UTC, as 2026-03; tables are partitioned by it"),
    ("extra", "what has no column, as JSON"),
    ("call_id", "the call; unique in a system and account"),
    ("root_call_id", "the first of the calls that belong together"),
    ("parent_call_id", "the call that this one came from"),
    ("direction", "incoming or outgoing"),
    ("number", "the firm's own number"),
    ("customer_number", "the other side's number"),
    ("agent_id", "the agent"),
    ("agent_name", "the agent's name, as last told"),
    ("team_id", "the team"),
    ("queue_id", "the queue"),
    ("started_at", "when the call began, in UTC"),
    ("answered_at", "when it was answered, in UTC"),
    ("ended_at", "when it ended, in UTC"),
    ("status", "how it stands or ended, as the vendor says"),
    ("call_status", "how the leg stands or ended, as the vendor says"),
    ("bill_duration_seconds", "what is billed, in seconds"),
    ("talk_seconds", "what was talked, in seconds"),
    ("talk_basis", "what talk_seconds is measured by"),
    ("duration_seconds", "how long it lasted, in seconds"),
    ("cost", "money, exact, in currency"),
    ("currency", "ISO 4217 code of the amounts beside it"),
    ("cost_source", "vendor, or tariff, or null without a cost"),
    ("tariff", "the tariff that makes the cost"),
    ("leg_count", "how many legs the call has"),
    ("last_event_time", "when it was last told of, in UTC"),
    ("leg_id", "the leg; unique in a call"),
    ("participant_type", "whose leg it is: Customer, Agent and so on"),
    ("record_type", "what kind of record: deal, contact and so on"),
    ("record_id", "the record that changed"),
    ("field", "the field that changed, as the vendor names it"),
    ("old_value", "the value before, as text; null is a value"),
    ("new_value", "the value after, as text; null is a value"),
    ("added", "what came into a list, as JSON"),
    ("removed", "what left a list, as JSON"),
    ("origin", "who changed it: model, system or misc"),
    ("actor_id", "who did it"),
    ("actor_name", "the name of who did it"),
    ("changed_at", "when it changed, in UTC"),
    ("column_key", "the product's own name of a custom field, as cf_str07"),
    ("column_name", "the column of the record's table that holds it"),
    ("label", "what the product's screens call it"),
    ("first_seen_at", "when it was first told, in UTC"),
    ("last_seen_at", "when it was last told, in UTC"),
    ("forecast_type", "whether a stage is won, lost or open"),
    ("deal_stage_id", "the stage; deal_stages has its name"),
    ("deal_outcome", "whether the deal is open, won or lost, as it is now"),
    ("phone_key", "the number as a whole number, to join by"),
    ("phone_keys", "the numbers of its contacts and its account, as whole numbers"),
    ("open_stays", "when it entered a stage that is open, and when it left it, each time"),
    ("deal_pipeline_id", "the pipeline; deal_pipelines has its name"),
    ("owner_id", "who owns it; users has the name"),
    ("base_currency_amount", "money, exact, in the account's own currency"),
    ("amount", "money, exact, in the record's currency"),
    ("stage", "the step at which the event could not be used"),
    ("cause", "why the event could not be used, in one word"),
    ("message", "why the event could not be used"),
    ("body", "the event as it came, in bytes"),
    ("route", "the path at which the event came"),
    ("retried_at", "when it was last tried again, in UTC"),
    ("outcome", "what came of the letter"),
    ("is_deleted", "whether the record was deleted"),
];
