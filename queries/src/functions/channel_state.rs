//! `channel_state(phase) OVER (… ORDER BY …)`: what an agent's channel is in after each of its events:
//! `ringing`, `talking`, `held`, `parked`, `wrap`, or null.
//!
//! Phases are those of Vonage's channel events. Some begin what another ends, whatever is between; parked
//! goes before held, both before talking, and what follows a call before all. In SQL this takes a window
//! for each of six facts, and reports walk through millions of short channels.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{PartitionEvaluator, Signature, Volatility, WindowUDFImpl};

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ChannelState {
    signature: Signature,
}

impl Default for ChannelState {
    fn default() -> Self {
        Self { signature: Signature::exact(vec![DataType::Utf8], Volatility::Immutable) }
    }
}

impl WindowUDFImpl for ChannelState {
    fn name(&self) -> &str {
        "channel_state"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(args.name(), DataType::Utf8, true)))
    }

    fn partition_evaluator(
        &self,
        _: PartitionEvaluatorArgs<'_>,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Channel::default()))
    }
}

/// What the events so far have begun and not ended. Rows come in order, each once.
#[derive(Debug, Default)]
struct Channel {
    ringing: bool,
    connected: bool,
    held: bool,
    parked: bool,
    interrupted: bool,
    wrapping: bool,
}

impl Channel {
    fn enter(&mut self, phase: &str) {
        match phase {
            "alerted" => self.ringing = true,
            "connected" => (self.ringing, self.connected) = (false, true),
            "connectionfailed" | "disconnected" => (self.ringing, self.connected) = (false, false),
            "wrapstarted" => {
                (self.ringing, self.connected, self.wrapping) = (false, false, true);
            }
            "ended" => (self.ringing, self.connected, self.wrapping) = (false, false, false),
            "held" => self.held = true,
            "retrieved" => self.held = false,
            "parked" => self.parked = true,
            "unparked" => self.parked = false,
            "interrupted" => self.interrupted = true,
            "resumed" => self.interrupted = false,
            _ => {}
        }
    }

    fn state(&self) -> Option<&'static str> {
        match self {
            Self { wrapping: true, .. } => Some("wrap"),
            Self { connected: true, parked: true, .. } => Some("parked"),
            Self { connected: true, held: true, .. } => Some("held"),
            Self { connected: true, interrupted: false, .. } => Some("talking"),
            Self { ringing: true, .. } => Some("ringing"),
            _ => None,
        }
    }
}

impl PartitionEvaluator for Channel {
    fn is_causal(&self) -> bool {
        true
    }

    fn supports_bounded_execution(&self) -> bool {
        true
    }

    fn evaluate(&mut self, values: &[ArrayRef], range: &Range<usize>) -> Result<ScalarValue> {
        let Some(phases) = values.first().and_then(|values| values.as_string_opt::<i32>()) else {
            return internal_err!("channel_state takes a text");
        };
        if phases.is_valid(range.start) {
            self.enter(phases.value(range.start));
        }
        Ok(ScalarValue::Utf8(self.state().map(str::to_owned)))
    }
}
