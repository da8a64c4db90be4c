//! Columns: from Arrow to Delta, and how a table grows.
//!
//! A table only ever gains nullable columns, in the commit of the first rows that have them; no
//! column is renamed or given another type. What Arrow keeps in a field's metadata (the vendor's
//! label) is kept in Delta's column metadata and comes back with the schema.

use std::collections::HashMap;

use arrow::datatypes::{Schema, SchemaRef};
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::engine::arrow_conversion::{TryIntoArrow, TryIntoKernel};
use deltalake_core::kernel::{Metadata, MetadataExt, StructField, StructType};

use crate::error::SinkError;

/// The Delta schema of these Arrow fields.
pub(crate) fn delta_schema(schema: &Schema) -> Result<StructType, DeltaTableError> {
    schema.try_into_kernel().map_err(DeltaTableError::from)
}

/// The Arrow schema of a table, with the labels.
pub(crate) fn arrow_schema(schema: &StructType) -> Result<SchemaRef, DeltaTableError> {
    let schema: Schema = schema.try_into_arrow().map_err(DeltaTableError::from)?;
    Ok(std::sync::Arc::new(schema))
}

/// The columns that `rows` bring and `held` lacks. A column of another type is refused: a value
/// must not be bent to fit, and whoever made the rows can make them anew with the table's schema.
pub(crate) fn missing(
    table: &'static str,
    held: &StructType,
    rows: &Schema,
) -> Result<Vec<StructField>, SinkError> {
    let offered = delta_schema(rows).map_err(SinkError::table(table, "given these columns"))?;
    let known: HashMap<String, &StructField> =
        held.fields().map(|field| (field.name().to_lowercase(), field)).collect();
    let mut new = Vec::new();
    for field in offered.fields() {
        match known.get(&field.name().to_lowercase()) {
            None => new.push(StructField { nullable: true, ..field.clone() }),
            Some(have) if have.data_type() == field.data_type() && have.name() == field.name() => {}
            Some(have) => {
                return Err(SinkError::ColumnType {
                    table,
                    column: field.name().clone(),
                    held: format!("{} {}", have.name(), have.data_type()),
                    offered: format!("{} {}", field.name(), field.data_type()),
                });
            }
        }
    }
    Ok(new)
}

/// The table's metadata with these columns at the end.
pub(crate) fn grown(
    metadata: &Metadata,
    held: &StructType,
    new: &[StructField],
) -> Result<Metadata, DeltaTableError> {
    let fields = held.fields().chain(new).cloned();
    let schema = StructType::try_new(fields).map_err(DeltaTableError::from)?;
    metadata.clone().with_schema(&schema).map_err(|e| DeltaTableError::generic(e.to_string()))
}
