//! What somebody asks of a report, as they wrote it.

use std::str::FromStr;
use std::sync::Arc;

use serde::Deserialize;

use super::Rates;
use crate::error::QueryError;

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
    /// Calls with a cost of this source only.
    pub cost_source: Option<CostSource>,
    /// The currency that all costs are told in.
    pub currency: Option<String>,
    /// What it takes for that.
    #[serde(skip)]
    pub rates: Option<Arc<Rates>>,
    /// Bookkeeping changes as well.
    pub all: bool,
    /// How the rows lie, instead of their sums.
    pub histogram: bool,
}

/// Who told what a call cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CostSource {
    Vendor,
    Tariff,
}

impl CostSource {
    pub const NAMES: [&'static str; 2] = ["vendor", "tariff"];

    pub fn name(self) -> &'static str {
        match self {
            Self::Vendor => "vendor",
            Self::Tariff => "tariff",
        }
    }
}

impl FromStr for CostSource {
    type Err = QueryError;

    fn from_str(name: &str) -> Result<Self, QueryError> {
        match name {
            "vendor" => Ok(Self::Vendor),
            "tariff" => Ok(Self::Tariff),
            _ => Err(QueryError::Unknown {
                what: "cost source",
                name: name.to_owned(),
                known: Self::NAMES.map(str::to_owned).to_vec(),
                place: None,
            }),
        }
    }
}

impl ReportRequest {
    pub fn new(report: impl Into<String>) -> Self {
        Self { report: report.into(), ..Self::default() }
    }
}
