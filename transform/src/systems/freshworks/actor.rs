//! Who did it: the `actor` of an event, which may be a person, an agent or the system itself.

use super::Envelope;
use crate::json::Value;
use crate::rows::RowWriter;

/// The actor's id and name, with null for what it has not.
pub(super) struct Actor<'t> {
    whole: Option<Value<'t>>,
    pub(super) id: Option<&'t str>,
    pub(super) name: Option<&'t str>,
    pub(super) kind: Option<&'t str>,
}

impl<'t> Actor<'t> {
    pub(super) fn of(envelope: &Envelope<'t>) -> Self {
        let whole = envelope.data.get_some("actor");
        let text = |name| whole.and_then(|actor| actor.get(name)).and_then(Value::scalar_text);
        Self { whole, id: text("id"), name: text("name"), kind: text("type") }
    }

    /// Writes `actor_id` and `actor_name`, and keeps the actor whole.
    pub(super) fn write(&self, row: &mut RowWriter<'_>) {
        row.some_text("actor_id", self.id).some_text("actor_name", self.name);
        if let Some(whole) = self.whole {
            row.extra("actor", whole);
        }
    }

    /// The same for a table that has a column of the type: an actor that is a type alone, as the system
    /// itself is, has said all with that.
    pub(super) fn write_typed(&self, row: &mut RowWriter<'_>) {
        row.some_text("actor_type", self.kind);
        let is_type = |whole: &Value<'_>| whole.members().all(|(key, _)| key == "type");
        let is_told = self.kind.is_some() && self.whole.as_ref().is_some_and(is_type);
        if !is_told {
            self.write(row);
        }
    }
}
