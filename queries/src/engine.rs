//! One look at all tables, and the SQL asked of it.
//!
//! An engine holds the table versions of one `progress` state; later commits are not seen, so two
//! questions to one engine agree. Tables and views are opened when a statement first names them: a
//! question about deals never reads the log of the calls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::common::{DataFusionError, ParamValues, TableReference};
use datafusion::datasource::TableProvider;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{DataFrame, SessionContext};
use datafusion::sql::parser::Statement;
use futures::StreamExt;
use ringlake_transform::tables::PROGRESS;
use ringlake_transform::{TABLES, TableSpec, tables};
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use crate::answer::{Answer, announced, as_announced};
use crate::as_of::AsOf;
use crate::calendars::Calendars;
use crate::computing::Computing;
use crate::error::QueryError;
use crate::fold::Fold;
use crate::fold::fresh::Inputs;
use crate::fold::reading::Views;
use crate::once::once;
use crate::order;
use crate::session::session;
use crate::sql::{self, read_statement};
use crate::stores::StoreOptions;
use crate::tables::{Source, Versions};
use crate::tariffs::Tariffs;
use crate::views::{self, ACCOUNT_COUNTRIES, ACCOUNT_CURRENCIES, VIEWS, View};

/// What the tables are in, as tools see it; they expect no other schema.
pub(crate) const CATALOGUE: &str = "ringlake";
pub(crate) const SCHEMA: &str = "public";
/// Schemas that tell what tables there are.
const CATALOGUE_SCHEMAS: [&str; 2] = ["information_schema", "pg_catalog"];
const NO_EVENTS: &str =
    "no events yet: start `ringlake serve` and send it some, or see `ringlake demo`";

/// What an engine may use, and what it is told beside the tables.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// The folder or store of the tables: `<root>/<table>/`.
    pub root: Url,
    /// Bytes of memory for the intermediate state of one engine's queries; more is spilled to disk.
    pub memory_limit: usize,
    /// Bytes of disk that spilling may take.
    pub spill_limit: u64,
    /// How long a query may run, its answer's streaming included.
    pub timeout: Duration,
    /// The currency of amounts that come without one, by account (`USD`).
    pub account_currencies: BTreeMap<String, String>,
    /// The country whose numbers an account writes without their calling code (`DE`), by account.
    pub account_countries: BTreeMap<String, String>,
    /// What calls cost whose vendor tells no cost.
    pub tariffs: Arc<Tariffs>,
    /// Business hours by name.
    pub calendars: Arc<Calendars>,
    /// How the store of the tables is reached, where they lie in one.
    pub stores: StoreOptions,
    /// The state of the tables that is read; none is the newest.
    pub as_of: Option<AsOf>,
}

impl EngineSettings {
    pub fn new(root: Url) -> Self {
        Self {
            root,
            memory_limit: 1 << 30,
            spill_limit: 16 << 30,
            timeout: Duration::from_secs(300),
            account_currencies: BTreeMap::new(),
            account_countries: BTreeMap::new(),
            tariffs: Arc::default(),
            calendars: Arc::default(),
            stores: StoreOptions::default(),
            as_of: None,
        }
    }

    /// All that is told beside the tables and that an answer depends on, as a text to compare.
    pub(crate) fn told(&self) -> String {
        let Self { account_currencies, account_countries, tariffs, calendars, .. } = self;
        format!("{account_currencies:?} {account_countries:?} {:?} {calendars:?}", tariffs.all())
    }
}

/// All tables at one moment.
pub struct Engine {
    context: SessionContext,
    /// Knows the steps on the way to the views as well, whose names nobody else shall see.
    steps: SessionContext,
    source: Source,
    settings: EngineSettings,
    computing: Arc<Computing>,
    /// Names of the tables and views that the context knows by now.
    known: Mutex<BTreeSet<&'static str>>,
    /// Folds by name that lie in no place, for tests.
    #[cfg(test)]
    pub(crate) given: BTreeMap<&'static str, crate::fold::fresh::Inputs>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Engine {
    /// Opens the tables at the versions of the newest `progress`. A folder without tables is fine.
    pub async fn open(mut settings: EngineSettings) -> Result<Self, QueryError> {
        // Names of files are put behind it as they are.
        if !settings.root.path().ends_with('/') {
            settings.root.set_path(&format!("{}/", settings.root.path()));
        }
        let (root, stores) = (settings.root.clone(), settings.stores.clone());
        let source = Source::open(root, stores, settings.as_of).await?;
        Self::over(source, settings)
    }

    /// The same tables at these versions, as long as they can be read.
    pub(crate) fn at(&self, versions: Versions) -> Result<Self, QueryError> {
        Self::over(self.source.at(versions), self.settings.clone())
    }

    /// An engine over batches by table name, for tests and for tools that have no folder.
    pub fn over_batches(
        batches: BTreeMap<String, Vec<RecordBatch>>,
        settings: EngineSettings,
    ) -> Result<Self, QueryError> {
        Self::over(Source::Memory(batches), settings)
    }

    fn over(source: Source, settings: EngineSettings) -> Result<Self, QueryError> {
        let context = session(&settings).map_err(QueryError::Failed)?;
        let steps = session(&settings).map_err(QueryError::Failed)?;
        let computing =
            Computing::new().map_err(|e| QueryError::Failed(DataFusionError::IoError(e)))?;
        Ok(Self {
            context,
            steps,
            source,
            settings,
            computing,
            known: Mutex::default(),
            #[cfg(test)]
            given: BTreeMap::new(),
        })
    }

    pub(crate) fn context(&self) -> &SessionContext {
        &self.context
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    #[cfg(test)]
    pub(crate) fn given_inputs(&self, fold: &Fold) -> Option<Inputs> {
        self.given.get(fold.name).cloned()
    }

    #[cfg(not(test))]
    pub(crate) fn given_inputs(&self, _: &Fold) -> Option<Inputs> {
        None
    }

    /// The version of each table that this engine reads.
    pub fn versions(&self) -> Versions {
        self.source.versions()
    }

    pub(crate) fn settings(&self) -> &EngineSettings {
        &self.settings
    }

    /// What to tell somebody who sees no rows because nothing has been received yet.
    pub fn hint(&self) -> Option<String> {
        self.source.is_empty().then(|| NO_EVENTS.to_owned())
    }

    /// Answers one read-only statement.
    pub async fn sql(&self, text: &str) -> Result<Answer, QueryError> {
        self.sql_with(text, None).await
    }

    /// The same, with values for `$name` in the text.
    pub async fn sql_with(
        &self,
        text: &str,
        values: Option<ParamValues>,
    ) -> Result<Answer, QueryError> {
        self.answer_to(read_statement(text)?, text, values).await
    }

    /// The same, its rows in a total order: by the columns `first`, then as the statement says, then by
    /// all columns.
    pub(crate) async fn sql_in_order(
        &self,
        text: &str,
        values: Option<ParamValues>,
        first: &[String],
    ) -> Result<Answer, QueryError> {
        let shape = |plan| order::total(plan, first);
        self.answer_as(read_statement(text)?, text, values, shape).await
    }

    /// Answers a statement that was read from this text.
    pub(crate) async fn answer_to(
        &self,
        statement: Statement,
        text: &str,
        values: Option<ParamValues>,
    ) -> Result<Answer, QueryError> {
        self.answer_as(statement, text, values, Ok).await
    }

    async fn answer_as(
        &self,
        statement: Statement,
        text: &str,
        values: Option<ParamValues>,
        shape: impl FnOnce(LogicalPlan) -> Result<LogicalPlan, QueryError>,
    ) -> Result<Answer, QueryError> {
        let deadline = Instant::now() + self.settings.timeout;
        let work = async {
            let mut plan = shape(self.plan_of(statement, text).await?)?;
            if let Some(values) = values {
                plan = plan.with_param_values(values).map_err(|e| sql::explain(e, text))?;
            }
            // Constants are computed here already.
            let state = self.context.state();
            let plan = once(plan, &state).map_err(|error| self.failed(error, text))?;
            let frame = DataFrame::new(state, plan);
            let stream = Arc::clone(&self.computing).begin(frame).await;
            stream.map_err(|error| self.failed(error, text))
        };
        let stream = tokio::time::timeout_at(deadline, work)
            .await
            .map_err(|_| QueryError::Timeout(self.settings.timeout))??;
        Ok(self.answer(stream, deadline))
    }

    /// The answer, as its batches come.
    fn answer(&self, stream: SendableRecordBatchStream, deadline: Instant) -> Answer {
        let (timeout, memory) = (self.settings.timeout, self.settings.memory_limit);
        let schema = announced(&stream.schema());
        let told = Arc::clone(&schema);
        let batches = Arc::clone(&self.computing).batches(stream);
        let batches = futures::stream::unfold(Some(batches), move |batches| {
            let schema = Arc::clone(&told);
            async move {
                let mut batches = batches?;
                match tokio::time::timeout_at(deadline, batches.next()).await {
                    Ok(Some(Ok(batch))) => Some((as_announced(batch, &schema), Some(batches))),
                    Ok(Some(Err(error))) => Some((Err(sql::failed(error, memory)), None)),
                    Ok(None) => None,
                    Err(_) => Some((Err(QueryError::Timeout(timeout)), None)),
                }
            }
        });
        Answer { schema, batches: batches.boxed(), hint: self.hint(), footnote: None }
    }

    /// The plan of a statement, if it only reads.
    pub(crate) async fn plan_of(
        &self,
        statement: Statement,
        text: &str,
    ) -> Result<LogicalPlan, QueryError> {
        let state = self.context.state();
        sql::reads(&statement)?;
        self.prepare(&self.named_by(&statement, text)?).await?;
        let plan = state
            .statement_to_plan(statement)
            .await
            .map_err(|error| sql::explain_with(error, text, &self.names()))?;
        let read_only = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        read_only.verify_plan(&plan).map_err(|_| sql::not_read_only(&plan))?;
        Ok(plan)
    }

    /// The tables and views a statement needs; all of them where it asks what there is.
    fn named_by(&self, statement: &Statement, text: &str) -> Result<BTreeSet<String>, QueryError> {
        let references = self
            .context
            .state()
            .resolve_table_references(statement)
            .map_err(|error| sql::explain(error, text))?;
        let asks_for_names = |reference: &TableReference| {
            reference.schema().is_some_and(|schema| CATALOGUE_SCHEMAS.contains(&schema))
        };
        if sql::lists_names(statement) || references.iter().any(asks_for_names) {
            return Ok(self.names().into_iter().map(str::to_owned).collect());
        }
        Ok(references.iter().map(|reference| reference.table().to_owned()).collect())
    }

    /// Every table and view there is.
    pub fn names(&self) -> Vec<&'static str> {
        let tables = TABLES.iter().map(|table| table.name);
        let views =
            VIEWS.iter().map(|view| view.name).filter(|name| !name.starts_with(views::STEP));
        tables.chain([PROGRESS.name, ACCOUNT_CURRENCIES, ACCOUNT_COUNTRIES]).chain(views).collect()
    }

    /// The functions that may stand for a table, by name.
    #[cfg(test)]
    pub(crate) fn table_functions(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.context.state().table_functions().keys().cloned().collect();
        names.sort();
        names
    }

    /// Makes the named tables and views known to the context, and what these views are made of.
    /// Views stand in [`VIEWS`] after what they use.
    async fn prepare(&self, wanted: &BTreeSet<String>) -> Result<(), QueryError> {
        let mut known = self.known.lock().await;
        let mut wanted = wanted.clone();
        let mut views: Vec<&'static View> = Vec::new();
        let mut folded = Views::new();
        for view in VIEWS.iter().rev() {
            if !wanted.contains(view.name) || known.contains(view.name) {
                continue;
            }
            if let Some(fold) = Fold::of_view(view.name)
                && !folded.contains_key(view.name)
            {
                folded.extend(self.folded_views(fold).await?.unwrap_or_default());
            }
            if !folded.contains_key(view.name) {
                let statement = read_statement(view.sql)?;
                wanted.extend(self.named_by(&statement, view.sql)?);
            }
            views.push(view);
        }
        for name in &wanted {
            if let Some(spec) = tables::by_name(name)
                && !known.contains(spec.name)
            {
                self.add_table(spec).await?;
                known.insert(spec.name);
            }
        }
        for view in views.into_iter().rev() {
            match folded.remove(view.name) {
                Some(rows) => self.add(view.name, rows)?,
                None => self.add_view(view).await?,
            }
            known.insert(view.name);
        }
        Ok(())
    }

    async fn add_table(&self, spec: &'static TableSpec) -> Result<(), QueryError> {
        let table = self.source.table(&self.context, spec).await?;
        self.add(spec.name, table)
    }

    fn add(&self, name: &str, rows: Arc<dyn TableProvider>) -> Result<(), QueryError> {
        let rows_too = Arc::clone(&rows);
        self.steps.register_table(name, rows_too).map_err(QueryError::Failed)?;
        if !name.starts_with(views::STEP) {
            self.context.register_table(name, rows).map_err(QueryError::Failed)?;
        }
        Ok(())
    }

    async fn add_view(&self, view: &'static View) -> Result<(), QueryError> {
        let is_unrated = view.name == views::RATED && self.settings.tariffs.is_empty();
        let sql = if is_unrated { views::UNRATED } else { view.sql };
        let frame = self.steps.sql(sql).await.map_err(QueryError::Failed)?;
        self.add(view.name, frame.into_view())
    }

    fn failed(&self, error: datafusion::error::DataFusionError, text: &str) -> QueryError {
        match sql::explain(error, text) {
            QueryError::Failed(error) => sql::failed(error, self.settings.memory_limit),
            explained => explained,
        }
    }
}
