//! Freshcaller, now Freshworks Contact Center: calls with their legs, and agents.
//!
//! Events reach a URL through an app inside the product, so their envelope is the one of all
//! Freshworks products, in `freshworks` beside this file.

use super::{Request, SplitEvent, System, freshworks};
use crate::error::Rejection;
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
        freshworks::accepts(content_type)
    }

    fn split(&self, request: &Request<'_>) -> Vec<SplitEvent> {
        freshworks::split(&request.body)
    }

    fn flatten(&self, event: &RawEvent, out: &mut Output<'_>) -> Result<(), Rejection> {
        freshworks::flatten(event, out)
    }
}
