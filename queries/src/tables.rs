//! Where the rows of a table come from, and the one shape in which queries see them.
//!
//! A table on disk may have been written by an older version (columns missing) or have grown (custom
//! fields). Queries see the union: every declared column, null where the table lacks it, then
//! whatever else it has. A table that does not exist yet is the same thing without rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::common::{Column, ScalarValue};
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::{MemTable, TableProvider};
use datafusion::logical_expr::Expr;
use datafusion::prelude::{SessionContext, cast, lit};
use deltalake_core::{DeltaTable, DeltaTableBuilder, DeltaTableError};
use ringlake_transform::TableSpec;
use ringlake_transform::tables::PROGRESS;
use url::Url;

use crate::as_of::{AsOf, committed_at};
use crate::error::QueryError;
use crate::scan::Scan;
use crate::stores::StoreOptions;

/// Delta version of each table that exists, as one state of `progress` tells.
pub type Versions = BTreeMap<String, u64>;

/// Where tables are.
#[derive(Debug)]
pub enum Source {
    /// Delta tables `<root>/<table>/`, each at one version.
    Delta { root: Url, stores: StoreOptions, versions: Versions, progress: Option<u64> },
    /// Batches by table name: for tests and for tools that have no folder.
    Memory(BTreeMap<String, Vec<RecordBatch>>),
}

impl Source {
    /// Reads `progress`; a folder without one has no tables yet.
    pub async fn open(
        root: Url,
        stores: StoreOptions,
        as_of: Option<AsOf>,
    ) -> Result<Self, QueryError> {
        let found = match as_of {
            None => newest(&root, &stores).await?,
            Some(as_of) => past(&root, &stores, as_of).await?,
        };
        let Some((progress, rows)) = found else {
            return Ok(Self::Delta { root, stores, versions: Versions::new(), progress: None });
        };
        let versions = newest_versions(&rows)?;
        Ok(Self::Delta { root, stores, versions, progress })
    }

    /// The same tables at other versions.
    pub fn at(&self, versions: Versions) -> Self {
        match self {
            Self::Delta { root, stores, progress, .. } => {
                let (root, stores) = (root.clone(), stores.clone());
                Self::Delta { root, stores, versions, progress: *progress }
            }
            Self::Memory(tables) => Self::Memory(tables.clone()),
        }
    }

    pub fn versions(&self) -> Versions {
        match self {
            Self::Delta { versions, .. } => versions.clone(),
            Self::Memory(_) => Versions::new(),
        }
    }

    /// Whether it is known that no state of `progress` has come after this one.
    pub async fn is_newest(&self) -> bool {
        let Self::Delta { root, stores, progress: Some(progress), .. } = self else { return false };
        let next = async {
            let url = table_url(root, PROGRESS.name)?;
            let log = builder(url, stores)?.build_storage()?;
            log.read_commit_entry(progress + 1).await
        };
        matches!(next.await, Ok(None))
    }

    pub fn is_empty(&self) -> bool {
        match self {
            Self::Delta { versions, .. } => versions.is_empty(),
            Self::Memory(tables) => tables.is_empty(),
        }
    }

    /// The table with all its declared columns and what else it has.
    pub async fn table(
        &self,
        context: &SessionContext,
        spec: &TableSpec,
    ) -> Result<Arc<dyn TableProvider>, QueryError> {
        let Some(provider) = self.provider(context, spec).await? else {
            return Ok(Arc::new(EmptyTable::new(spec.schema())));
        };
        if provider.schema() == spec.schema() {
            return Ok(provider);
        }
        let columns = union(&provider.schema(), spec);
        let table = context
            .read_table(provider)
            .and_then(|frame| frame.select(columns))
            .map_err(QueryError::Failed)?;
        Ok(table.into_view())
    }

    /// A table on disk at the version that is read.
    pub(crate) async fn delta(&self, table: &str) -> Result<Option<DeltaTable>, QueryError> {
        let Self::Delta { root, stores, versions, progress } = self else { return Ok(None) };
        let version = if table == PROGRESS.name { *progress } else { versions.get(table).copied() };
        match version {
            Some(version) => load(root, stores, table, Some(version)).await,
            None => Ok(None),
        }
    }

    async fn provider(
        &self,
        context: &SessionContext,
        spec: &TableSpec,
    ) -> Result<Option<Arc<dyn TableProvider>>, QueryError> {
        match self {
            Self::Memory(tables) => match tables.get(spec.name).map(Vec::as_slice) {
                None | Some([]) => Ok(None),
                Some([first, rest @ ..]) => {
                    let batches = std::iter::once(first).chain(rest).cloned().collect();
                    let table = MemTable::try_new(first.schema(), vec![batches]);
                    Ok(Some(Arc::new(table.map_err(QueryError::Failed)?)))
                }
            },
            Self::Delta { .. } => {
                let Some(table) = self.delta(spec.name).await? else { return Ok(None) };
                delta_provider(context, &table).await.map(Some).map_err(QueryError::Failed)
            }
        }
    }
}

/// A version of `progress` and its rows.
type State = (Option<u64>, Vec<RecordBatch>);

async fn newest(root: &Url, stores: &StoreOptions) -> Result<Option<State>, QueryError> {
    match load(root, stores, PROGRESS.name, None).await? {
        Some(table) => Ok(Some((table.version(), scan(&SessionContext::new(), &table).await?))),
        None => Ok(None),
    }
}

/// The state that is asked for; none where there are no tables. Versions that cannot be read any more are
/// older than all that can.
async fn past(root: &Url, stores: &StoreOptions, as_of: AsOf) -> Result<Option<State>, QueryError> {
    let read = async |version: u64| {
        let table = load(root, stores, PROGRESS.name, Some(version)).await?;
        let table = table.ok_or_else(|| as_of.gone(None))?;
        let rows = scan(&SessionContext::new(), &table).await?;
        Ok::<State, QueryError>((Some(version), rows))
    };
    let Some(newest) = newest(root, stores).await? else { return Ok(None) };
    let time = match as_of {
        AsOf::Version(version) => {
            return read(version).await.map(Some).map_err(|error| as_of.gone(Some(error)));
        }
        AsOf::Time(time) => time.timestamp_micros(),
    };
    let is_before = |state: &State| committed_at(&state.1).is_none_or(|at| at <= time);
    if is_before(&newest) {
        return Ok(Some(newest));
    }
    // The last version that is not too young lies below `young`, and at `old` or above it.
    let (mut old, mut young) = (None, newest.0.unwrap_or_default());
    let mut found = None;
    while let Some(middle) = between(old, young) {
        match read(middle).await {
            Ok(state) if !is_before(&state) => young = middle,
            Ok(state) => (old, found) = (Some(middle), Some(state)),
            Err(_) => old = Some(middle),
        }
    }
    // Before the first batch there is a version without rows, which tells no time.
    found.filter(|(_, rows)| committed_at(rows).is_some()).map(Some).ok_or_else(|| as_of.gone(None))
}

/// A version between two, as far from both as can be.
fn between(old: Option<u64>, young: u64) -> Option<u64> {
    let first = old.map_or(0, |old| old + 1);
    (first < young).then(|| first + (young - first) / 2)
}

/// The Delta table at this version, or the newest; none where there is no table.
async fn load(
    root: &Url,
    stores: &StoreOptions,
    name: &str,
    version: Option<u64>,
) -> Result<Option<DeltaTable>, QueryError> {
    let url = table_url(root, name)
        .map_err(|source| QueryError::Table { table: name.to_owned(), source: Box::new(source) })?;
    // A folder that is not there is no fault; the table format's own reader takes it for one.
    if version.is_none() && url.to_file_path().is_ok_and(|folder| !folder.exists()) {
        return Ok(None);
    }
    let open = async {
        let mut builder = builder(url, stores)?;
        if let Some(version) = version {
            builder = builder.with_version(version);
        }
        builder.load().await
    };
    match (open.await, version) {
        (Ok(table), _) => Ok(Some(table)),
        (Err(DeltaTableError::NotATable(_)), None) => Ok(None),
        (Err(source), None) => {
            Err(QueryError::Table { table: name.to_owned(), source: Box::new(source) })
        }
        (Err(source), Some(version)) => Err(QueryError::VersionGone {
            table: name.to_owned(),
            version,
            source: Box::new(source),
        }),
    }
}

fn builder(table: Url, stores: &StoreOptions) -> Result<DeltaTableBuilder, DeltaTableError> {
    Ok(DeltaTableBuilder::from_url(table)?.with_storage_options(stores.config()?.raw))
}

fn table_url(root: &Url, name: &str) -> Result<Url, DeltaTableError> {
    let mut url = root.clone();
    match url.path_segments_mut() {
        Ok(mut segments) => {
            segments.pop_if_empty().push(name).push("");
        }
        Err(()) => return Err(DeltaTableError::InvalidTableLocation(root.to_string())),
    }
    Ok(url)
}

async fn delta_provider(
    context: &SessionContext,
    table: &DeltaTable,
) -> Result<Arc<dyn TableProvider>, datafusion::error::DataFusionError> {
    let rows = table.table_provider().with_session(Arc::new(context.state())).await?;
    Ok(Arc::new(Scan::new(rows)))
}

async fn scan(
    context: &SessionContext,
    table: &DeltaTable,
) -> Result<Vec<RecordBatch>, QueryError> {
    let read = async {
        let provider = delta_provider(context, table).await?;
        let tables = Column::from_name("tables");
        let text = cast(Expr::Column(tables), arrow::datatypes::DataType::Utf8).alias("tables");
        let columns = vec![text, Expr::Column(Column::from_name("committed_at"))];
        context.read_table(provider)?.select(columns)?.collect().await
    };
    read.await.map_err(QueryError::Failed)
}

/// The greatest version of each table over the rows of `progress`: a partition that stood still
/// names older versions, and every version up to the newest is complete for all partitions.
fn newest_versions(rows: &[RecordBatch]) -> Result<Versions, QueryError> {
    let mut newest = Versions::new();
    for batch in rows {
        let Some(texts) = batch.column_by_name("tables").and_then(|c| c.as_string_opt::<i32>())
        else {
            return Err(QueryError::Progress("it has no column tables".to_owned()));
        };
        for text in texts.iter().flatten() {
            let versions: Versions = serde_json::from_str(text)
                .map_err(|error| QueryError::Progress(format!("tables {text:?}: {error}")))?;
            for (table, version) in versions {
                newest
                    .entry(table)
                    .and_modify(|held| *held = version.max(*held))
                    .or_insert(version);
            }
        }
    }
    Ok(newest)
}

/// Declared columns first and in order, cast where the file holds them otherwise (a partition column
/// comes as a dictionary), then the columns that only the table has.
fn union(present: &SchemaRef, spec: &TableSpec) -> Vec<Expr> {
    let declared = spec.schema();
    let mut columns: Vec<Expr> = declared
        .fields()
        .iter()
        .map(|field| {
            let column = Expr::Column(Column::from_name(field.name()));
            match present.field_with_name(field.name()) {
                Ok(held) if held.data_type() == field.data_type() => column,
                Ok(_) => cast(column, field.data_type().clone()).alias(field.name()),
                Err(_) => {
                    let null =
                        ScalarValue::try_from(field.data_type()).unwrap_or(ScalarValue::Null);
                    lit(null).alias(field.name())
                }
            }
        })
        .collect();
    let grown = present.fields().iter().filter(|f| declared.field_with_name(f.name()).is_err());
    columns.extend(grown.map(|field| Expr::Column(Column::from_name(field.name()))));
    columns
}
