//! Vonage Contact Center.

use super::{Request, SplitEvent, System};
use crate::error::{Rejection, Stage};
use crate::event::RawEvent;
use crate::flatten::Output;

pub struct Vonage;

impl System for Vonage {
    fn name(&self) -> &'static str {
        "vonage"
    }

    fn title(&self) -> &'static str {
        "Vonage Contact Center"
    }

    fn accepts(&self, content_type: &str) -> bool {
        content_type == "application/json"
    }

    fn split(&self, request: &Request<'_>) -> Vec<SplitEvent> {
        vec![SplitEvent { body: request.body.clone(), key: None, readable: true }]
    }

    fn flatten(&self, _event: &RawEvent, _out: &mut Output<'_>) -> Result<(), Rejection> {
        Err(Rejection::new(Stage::Recognise, "unknown-event", "unknown event"))
    }
}
