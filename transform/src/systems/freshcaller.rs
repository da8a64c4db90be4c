//! Freshcaller.

use super::{Request, SplitEvent, System};
use crate::error::{Rejection, Stage};
use crate::event::RawEvent;
use crate::flatten::Output;

pub struct Freshcaller;

impl System for Freshcaller {
    fn name(&self) -> &'static str {
        "freshcaller"
    }

    fn title(&self) -> &'static str {
        "Freshcaller"
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
