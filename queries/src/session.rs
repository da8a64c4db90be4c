//! A session of DataFusion as the engine needs it: its limits, our functions, what the settings tell of
//! accounts. It knows no table yet, and nothing in it reads a file.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::MemTable;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::engine::{CATALOGUE, EngineSettings, SCHEMA};
use crate::functions;
use crate::quiet::QuietSubqueries;
use crate::views::{ACCOUNT_COUNTRIES, ACCOUNT_CURRENCIES};

pub(crate) fn session(
    settings: &EngineSettings,
) -> Result<SessionContext, datafusion::error::DataFusionError> {
    const TRACKED: std::num::NonZeroUsize = std::num::NonZeroUsize::MIN.saturating_add(4);
    // Twice as many as usual: what is begun anew for each batch is begun half as often, and a batch still fits the cache.
    const BATCH_ROWS: usize = 16_384;
    let mut config = SessionConfig::new()
        .with_batch_size(BATCH_ROWS)
        .with_information_schema(true)
        .with_default_catalog_and_schema(CATALOGUE, SCHEMA);
    let options = config.options_mut();
    // The types of a table on disk are then those that the table declares.
    options.execution.parquet.schema_force_view_types = false;
    options.sql_parser.map_string_types_to_utf8view = false;
    // Amounts that somebody writes into a query stay exact.
    options.sql_parser.parse_float_as_decimal = true;
    options.sql_parser.collect_spans = true;
    // What a function tells is taken apart where it was told: nearer to the files it would be asked for each field anew.
    options.optimizer.enable_leaf_expression_pushdown = false;
    let pool = TrackConsumersPool::new(FairSpillPool::new(settings.memory_limit), TRACKED);
    let disk = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::OsTmpDirectory)
        .with_max_temp_directory_size(settings.spill_limit);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .with_disk_manager_builder(disk)
        .build_arc()?;
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .with_physical_optimizer_rule(Arc::new(QuietSubqueries))
        .build();
    let context = SessionContext::new_with_state(state);
    functions::register(&context);
    functions::register_settled(&context, settings);
    let currencies = by_account("currency", &settings.account_currencies)?;
    context.register_table(ACCOUNT_CURRENCIES, Arc::new(currencies))?;
    let countries = by_account("country", &settings.account_countries)?;
    context.register_table(ACCOUNT_COUNTRIES, Arc::new(countries))?;
    Ok(context)
}

/// What the settings say of each account, as a table; codes are upper case.
fn by_account(
    name: &str,
    told: &BTreeMap<String, String>,
) -> Result<MemTable, datafusion::error::DataFusionError> {
    let text = |name| Field::new(name, DataType::Utf8, false);
    let schema = Arc::new(Schema::new(vec![text("account_id"), text(name)]));
    let accounts = StringArray::from_iter_values(told.keys());
    let codes: StringArray = told.values().map(|code| Some(code.to_uppercase())).collect();
    let rows = RecordBatch::try_new(schema.clone(), vec![Arc::new(accounts), Arc::new(codes)])?;
    MemTable::try_new(schema, vec![vec![rows]])
}
