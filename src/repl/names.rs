//! The names that a session can complete. Those of tables are known at once; columns are learnt while
//! the first line is being typed, since views must be planned for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use ringlake_queries::catalogue;
use ringlake_transform::TABLES;

use crate::config::Config;
use crate::wiring;

/// Tables and views with their columns.
pub struct Names {
    columns: RwLock<BTreeMap<String, Vec<String>>>,
    functions: RwLock<BTreeSet<String>>,
}

impl Names {
    pub fn new() -> Self {
        let declared = TABLES.iter().map(|table| {
            let columns = table.declared().iter().map(|column| column.name.to_owned()).collect();
            (table.name.to_owned(), columns)
        });
        let mut columns: BTreeMap<String, Vec<String>> = declared.collect();
        for name in catalogue::view_names() {
            columns.entry(name.to_owned()).or_default();
        }
        let functions = catalogue::function_names().map(str::to_owned).collect();
        Self { columns: RwLock::new(columns), functions: RwLock::new(functions) }
    }

    /// Ours at first, and once an engine was asked all that it knows.
    pub fn functions(&self) -> Vec<String> {
        let functions = self.functions.read().unwrap_or_else(PoisonError::into_inner);
        functions.iter().cloned().collect()
    }

    pub fn tables(&self) -> Vec<String> {
        self.columns.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// The columns of a table; none if there is no such table.
    pub fn columns(&self, table: &str) -> Vec<String> {
        let columns = self.columns.read().unwrap_or_else(PoisonError::into_inner);
        columns.get(&table.to_lowercase()).cloned().unwrap_or_default()
    }

    fn learn(&self, table: &str, columns: Vec<String>) {
        let mut all = self.columns.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(table.to_owned(), columns);
    }
}

/// Learns the columns of all tables and views as they are. What cannot be opened is not completed; the
/// statement that asks for it says why.
pub async fn learn(names: Arc<Names>, config: Config) {
    let Ok(engine) = wiring::engine(&config).await else { return };
    let functions = engine.function_names();
    names.functions.write().unwrap_or_else(PoisonError::into_inner).extend(functions);
    for table in engine.listed() {
        if let Ok(columns) = engine.columns(table.name).await {
            names.learn(table.name, columns.into_iter().map(|column| column.name).collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_the_engine_registers_is_learned() {
        let folder = tempfile::tempdir().unwrap();
        let flags = crate::config::Flags {
            data: Some(folder.path().to_owned()),
            ..crate::config::Flags::default()
        };
        let none = std::iter::empty();
        let config = crate::config::load(None, none, flags).unwrap().config;
        let names = Arc::new(Names::new());
        learn(Arc::clone(&names), config).await;
        let functions = names.functions();
        for name in ["phone_e164", "date_trunc", "sum", "row_number", "business_seconds"] {
            assert!(functions.iter().any(|known| known == name), "{name} is not in {functions:?}");
        }
    }
}
