//! The engine that statements are asked of: the newest tables, looked for now and then. The catalogue lasts,
//! so that a tool which remembers a table's number finds the table under it later.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{CatalogProviderList, SchemaProvider};
use datafusion::common::DataFusionError;
use datafusion::datasource::TableType;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::catalog_info::CatalogInfo;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::{
    PgCatalogSchemaProvider, PgCatalogStaticTables, setup_pg_catalog,
};
use tokio::sync::Mutex;

use crate::engine::{CATALOGUE, Engine, EngineSettings};
use crate::error::QueryError;

/// How old the look at the tables may be that a statement is asked of.
const FRESH: Duration = Duration::from_secs(2);
/// After this the tables are opened anew even if nothing came: they may have been folded or compacted.
const MOST_AGE: Duration = Duration::from_secs(60);
const PG_CATALOG: &str = "pg_catalog";

pub struct Freshest {
    settings: EngineSettings,
    held: Held,
    catalogue: Arc<dyn SchemaProvider>,
    looked: Mutex<Looked>,
}

struct Looked {
    at: Instant,
    opened: Instant,
}

/// The engine at the moment, shared with the catalogue.
#[derive(Clone)]
struct Held(Arc<RwLock<Arc<Engine>>>);

impl Freshest {
    pub async fn open(settings: EngineSettings) -> Result<Self, QueryError> {
        let engine = Engine::open(settings.clone()).await?;
        let held = Held(Arc::new(RwLock::new(Arc::new(engine))));
        let tables = PgCatalogStaticTables::try_new().map_err(QueryError::Failed)?;
        let catalogue =
            PgCatalogSchemaProvider::try_new(held.clone(), Arc::new(tables), EmptyContextProvider)
                .map_err(QueryError::Failed)?;
        let catalogue: Arc<dyn SchemaProvider> = Arc::new(catalogue);
        furnish(&held.engine(), &catalogue)?;
        let now = Instant::now();
        let looked = Mutex::new(Looked { at: now, opened: now });
        Ok(Self { settings, held, catalogue, looked })
    }

    /// The engine to ask now.
    pub async fn engine(&self) -> Result<Arc<Engine>, QueryError> {
        let mut looked = self.looked.lock().await;
        let held = self.held.engine();
        if looked.at.elapsed() < FRESH {
            return Ok(held);
        }
        let at = Instant::now();
        // Most often nothing has come, and to open the tables takes as long as a short question.
        if looked.opened.elapsed() < MOST_AGE && held.source().is_newest().await {
            looked.at = at;
            return Ok(held);
        }
        let newest = Engine::open(self.settings.clone()).await?;
        looked.at = at;
        if newest.versions() == held.versions() && looked.opened.elapsed() < MOST_AGE {
            return Ok(held);
        }
        furnish(&newest, &self.catalogue)?;
        let newest = Arc::new(newest);
        *self.held.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&newest);
        looked.opened = at;
        Ok(newest)
    }
}

/// Gives an engine the functions of PostgreSQL's catalogue, and the catalogue.
fn furnish(engine: &Engine, catalogue: &Arc<dyn SchemaProvider>) -> Result<(), QueryError> {
    let context = engine.context();
    setup_pg_catalog(context, CATALOGUE, EmptyContextProvider)
        .map_err(|error| QueryError::Failed(*error))?;
    if let Some(all) = context.catalog(CATALOGUE) {
        all.register_schema(PG_CATALOG, Arc::clone(catalogue)).map_err(QueryError::Failed)?;
    }
    Ok(())
}

impl Held {
    fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn list(&self) -> Arc<dyn CatalogProviderList> {
        Arc::clone(self.engine().context().state().catalog_list())
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held")
    }
}

#[async_trait]
impl CatalogInfo for Held {
    async fn catalog_names(&self) -> Result<Vec<String>, DataFusionError> {
        CatalogInfo::catalog_names(&self.list()).await
    }

    async fn schema_names(&self, catalogue: &str) -> Result<Option<Vec<String>>, DataFusionError> {
        CatalogInfo::schema_names(&self.list(), catalogue).await
    }

    async fn table_names(
        &self,
        catalogue: &str,
        schema: &str,
    ) -> Result<Option<Vec<String>>, DataFusionError> {
        let names = CatalogInfo::table_names(&self.list(), catalogue, schema).await?;
        // In an order that lasts, so that a table's number does.
        Ok(names.map(|mut names| {
            names.sort();
            names
        }))
    }

    async fn table_schema(
        &self,
        catalogue: &str,
        schema: &str,
        table: &str,
    ) -> Result<Option<SchemaRef>, DataFusionError> {
        CatalogInfo::table_schema(&self.list(), catalogue, schema, table).await
    }

    async fn table_type(
        &self,
        catalogue: &str,
        schema: &str,
        table: &str,
    ) -> Result<Option<TableType>, DataFusionError> {
        CatalogInfo::table_type(&self.list(), catalogue, schema, table).await
    }
}
