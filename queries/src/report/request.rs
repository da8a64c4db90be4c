//! What somebody asks of a report, as they wrote it.

use serde::Deserialize;

/// Options of `ringlake report`; [`super::render`] checks them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReportRequest {
    pub report: String,
    /// Dimensions, in the order of the columns; none is the report's default.
    pub by: Option<Vec<String>>,
    /// The first moment counted, and the first one not: read in `tz` where they carry no offset.
    pub since: Option<String>,
    pub until: Option<String>,
    /// IANA name; UTC where not given.
    pub tz: Option<String>,
    pub system: Option<String>,
    pub account: Option<String>,
    /// Calls of one agent only.
    pub agent: Option<String>,
    /// Changes of one deal only.
    pub deal: Option<String>,
    /// Bookkeeping changes as well.
    pub all: bool,
}

impl ReportRequest {
    pub fn new(report: impl Into<String>) -> Self {
        Self { report: report.into(), ..Self::default() }
    }
}
