//! The engine's side of folding: which fold serves a view at the versions that the engine sees, and
//! what lies beside it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::datasource::TableProvider;
use ringlake_transform::folded::Manifest;
use ringlake_transform::tables;

use super::fresh::{Inputs, fresh};
use super::place::{Place, Tail, TailFile, Texts};
use super::shown::shown;
use super::{Fold, What};
use crate::engine::Engine;
use crate::error::QueryError;
use crate::tables::Source;

/// With more rows than this since the last manifest all states are asked instead: they may spill to
/// disk, what is fresh is held in memory.
const MOST_FRESH: u64 = 400_000;

/// The providers of a fold's views.
pub(crate) type Views = BTreeMap<&'static str, Arc<dyn TableProvider>>;

impl Engine {
    /// The views of a fold, if it is of use at these versions.
    pub(crate) async fn folded_views(&self, fold: &Fold) -> Result<Option<Views>, QueryError> {
        if let Some(inputs) = self.given_inputs(fold) {
            return self.views_of(fold, &inputs).await.map(Some);
        }
        let Some(place) = self.place()? else { return Ok(None) };
        let Some(manifest) = place.manifest(fold, &self.versions()).await? else {
            return Ok(None);
        };
        let Some(tails) = self.tails(&place, fold, &manifest).await? else { return Ok(None) };
        if tails.values().map(Tail::rows).sum::<u64>() > MOST_FRESH {
            return Ok(None);
        }
        let parts = self.parts(&place, fold, &manifest, Texts::Views).await?;
        if tails.values().all(|tail| tail.files.is_empty()) {
            let views = fold.parts.iter().map(|part| (part.view, parts.get(part.name)));
            let views = views.filter_map(|(view, rows)| view.map(|view| (view, rows)));
            let all: Option<Views> =
                views.map(|(view, rows)| Some((view, Arc::clone(rows?)))).collect();
            if all.is_some() {
                return Ok(all);
            }
        }
        let mut inputs = Inputs { parts, beside: self.beside(fold).await?, ..Inputs::default() };
        for (table, tail) in &tails {
            let schema = self.table_schema(table).await?;
            let paths = tail.files.iter().map(|file| file.path.as_str());
            let rows = place.table_files(self.context(), paths, &schema).await?;
            inputs.tail.insert(table, rows);
        }
        self.views_of(fold, &inputs).await.map(Some)
    }

    async fn views_of(&self, fold: &Fold, inputs: &Inputs) -> Result<Views, QueryError> {
        let made = async {
            let fresh = fresh(self.context(), fold, inputs).await?;
            shown(self.context(), fold, inputs, &fresh).await
        };
        made.await.map_err(QueryError::Failed)
    }

    /// Where folds lie; none where there are no tables.
    pub(crate) fn place(&self) -> Result<Option<Place>, QueryError> {
        match self.source() {
            Source::Delta { root, stores, versions, .. } if !versions.is_empty() => {
                Place::open(root, stores).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// What came to each table of a fold since its manifest; none if that cannot be told.
    pub(crate) async fn tails(
        &self,
        place: &Place,
        fold: &Fold,
        manifest: &Manifest,
    ) -> Result<Option<BTreeMap<&'static str, Tail>>, QueryError> {
        let versions = self.versions();
        let mut tails = BTreeMap::new();
        for table in fold.tables {
            let after = manifest.sources.get(*table);
            let tail = match versions.get(*table) {
                Some(to) => place.tail(table, after, *to).await?,
                None => Some(Tail::default()),
            };
            let Some(tail) = tail else { return Ok(None) };
            tails.insert(*table, tail);
        }
        Ok(Some(tails))
    }

    /// All files of a table.
    pub(crate) async fn live_files(
        &self,
        table: &'static str,
    ) -> Result<Vec<TailFile>, QueryError> {
        let Some(delta) = self.source().delta(table).await? else { return Ok(Vec::new()) };
        let failed =
            |source| QueryError::Table { table: table.to_owned(), source: Box::new(source) };
        let state = delta.snapshot().map_err(failed)?;
        Ok(state.log_data().into_iter().map(|file| TailFile::live(table, &file)).collect())
    }

    /// The columns of a table: those declared, and in tables that grow what else they have.
    pub(crate) async fn table_schema(&self, table: &'static str) -> Result<SchemaRef, QueryError> {
        match tables::by_name(table) {
            Some(spec) if spec.grows => {
                Ok(self.source().table(self.context(), spec).await?.schema())
            }
            Some(spec) => Ok(spec.schema()),
            None => Err(QueryError::Progress(format!("there is no table {table}"))),
        }
    }

    /// The columns of a part whose rows are those of a table that grows; else its files tell.
    pub(crate) async fn part_schema(
        &self,
        fold: &Fold,
        part: &str,
    ) -> Result<Option<SchemaRef>, QueryError> {
        match fold.what {
            What::Picked { told } if part == "rows" => match tables::by_name(told) {
                Some(spec) => self.table_schema(spec.name).await.map(Some),
                None => Ok(None),
            },
            _ => Ok(None),
        }
    }

    pub(crate) async fn parts(
        &self,
        place: &Place,
        fold: &Fold,
        manifest: &Manifest,
        texts: Texts,
    ) -> Result<BTreeMap<&'static str, Arc<dyn TableProvider>>, QueryError> {
        let schema = self.part_schema(fold, "rows").await?;
        place.parts(self.context(), fold, manifest, schema, texts).await
    }

    /// All of the table beside a fold.
    pub(crate) async fn beside(
        &self,
        fold: &Fold,
    ) -> Result<Option<Arc<dyn TableProvider>>, QueryError> {
        match fold.beside.and_then(tables::by_name) {
            Some(spec) => self.source().table(self.context(), spec).await.map(Some),
            None => Ok(None),
        }
    }
}
