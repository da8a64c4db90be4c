//! Freshsales.

use super::{Request, SplitEvent, System};
use crate::error::{Rejection, Stage};
use crate::event::RawEvent;
use crate::flatten::Output;

pub struct Freshsales;

impl System for Freshsales {
    fn name(&self) -> &'static str {
        "freshsales"
    }

    fn title(&self) -> &'static str {
        "Freshsales"
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
