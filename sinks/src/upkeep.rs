//! Keeping the tables in few, sorted files, and the place free of what nobody can ask for any more.
//!
//! It works beside the writers, as another writer would: what it commits moves no position, and a
//! writer that meets such a commit goes on behind it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use ringlake_transform::TABLES;

use crate::delta::compact::{self, Compacted};
use crate::delta::maintain;
use crate::delta::vacuum::{self, Vacuumed};
use crate::error::SinkError;
use crate::folded::Folded;
use crate::root::Root;
use crate::settings::SinkSettings;
use crate::tables::Tables;

/// How long folded files stay that a reader may have begun with.
const FOLD_GRACE: Duration = Duration::from_secs(3600);

/// The tables, open for what changes no row.
pub struct Upkeep {
    tables: Tables,
    settings: SinkSettings,
}

impl Upkeep {
    pub async fn open(settings: SinkSettings) -> Result<Self, SinkError> {
        let root = Root::open(&settings.root, &settings.storage_options)?;
        let tables = Tables::open(root, settings.clone(), Arc::default()).await?;
        Ok(Self { tables, settings })
    }

    /// Puts the small files of a month together where there are at least `least` of them. `tell` hears
    /// of each table before it begins.
    pub async fn compact(
        &mut self,
        least: usize,
        tell: &(dyn Fn(&'static str) + Sync),
    ) -> Result<Compacted, SinkError> {
        let mut all = Compacted::default();
        for spec in TABLES {
            let (level, attempts) =
                (self.settings.compression_level, self.settings.commit_attempts);
            let Some(table) = self.tables.table_mut(spec.name) else { continue };
            tell(spec.name);
            let done = compact::compact(table, least, level, attempts).await?;
            all.files += done.files;
            all.became += done.became;
            all.rows += done.rows;
        }
        if all.files > 0 {
            self.tables.show_rearranged().await?;
        }
        Ok(all)
    }

    /// Deletes what no version of the last `keep` names, and of the folds what no reader can be at.
    /// `folds` are the folders of those in use. With `dry` it only counts, folds left out.
    pub async fn vacuum(
        &mut self,
        keep: Duration,
        folds: &HashSet<String>,
        dry: bool,
    ) -> Result<Vacuumed, SinkError> {
        let mut all = Vacuumed::default();
        let shown = self.tables.shown_versions();
        for spec in TABLES {
            let Some(table) = self.tables.table(spec.name) else { continue };
            let version = shown.get(spec.name).and_then(|version| u64::try_from(*version).ok());
            let done = vacuum::vacuum(table, version, keep, dry).await?;
            all.files += done.files;
            all.bytes += done.bytes;
        }
        if dry {
            return Ok(all);
        }
        if let Some(progress) = self.tables.table(ringlake_transform::tables::PROGRESS.name) {
            all.files += maintain::sweep(progress, keep).await?;
        }
        let (files, bytes) = Folded::open(&self.settings)?.sweep(folds, FOLD_GRACE).await?;
        all.files += files;
        all.bytes += bytes;
        Ok(all)
    }
}
