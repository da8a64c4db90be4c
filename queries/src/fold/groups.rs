//! Where a folded file is cut into row groups.
//!
//! A reader takes or leaves a row group as a whole, and with it the dictionary of each of its columns. So a value of
//! the leading column that many rows share has row groups of its own: a question about one field of deals then reads
//! that field's rows, and not the texts of the others beside them.

use std::ops::Range;

use arrow::array::RecordBatch;
use arrow::compute::partition;
use arrow::error::ArrowError;

/// So many rows that share a value are apart from the others.
const LONG: usize = 4 * 1024;

/// The row groups of rows that are sorted by these columns.
pub(super) fn row_groups(
    rows: &RecordBatch,
    sort: &[&str],
) -> Result<Vec<Range<usize>>, ArrowError> {
    let leading = sort.first().and_then(|column| rows.column_by_name(column));
    let runs = leading.map(|values| partition(std::slice::from_ref(values))).transpose()?;
    let runs = runs.map(|runs| runs.ranges()).unwrap_or_default();
    let mut edges = vec![0];
    for run in runs.into_iter().filter(|run| run.len() >= LONG) {
        edges.extend([run.start, run.end]);
    }
    edges.push(rows.num_rows());
    edges.dedup();
    Ok(edges.iter().zip(edges.iter().skip(1)).map(|(from, until)| *from..*until).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, StringArray};

    use super::{LONG, RecordBatch, row_groups};

    fn cut(values: &[(Option<&str>, usize)]) -> Vec<(usize, usize)> {
        let values: StringArray =
            values.iter().flat_map(|(value, n)| std::iter::repeat_n(*value, *n)).collect();
        let rows = RecordBatch::try_from_iter([("field", Arc::new(values) as ArrayRef)]).unwrap();
        let groups = row_groups(&rows, &["field"]).unwrap();
        groups.into_iter().map(|group| (group.start, group.end)).collect()
    }

    #[test]
    fn what_many_rows_share_is_apart() {
        let told = [
            (None, LONG),
            (Some("a"), 3),
            (Some("b"), LONG - 1),
            (Some("c"), LONG),
            (Some("d"), 2 * LONG),
        ];
        let (second, third) = (2 * LONG + 2, 3 * LONG + 2);
        let groups = [(0, LONG), (LONG, second), (second, third), (third, third + 2 * LONG)];
        assert_eq!(cut(&told), groups);
        assert_eq!(cut(&[(Some("a"), LONG), (Some("b"), 7)]), [(0, LONG), (LONG, LONG + 7)]);
        assert_eq!(cut(&[(Some("a"), 7), (Some("b"), 7)]), [(0, 14)]);
        assert_eq!(cut(&[(Some("a"), 9 * LONG)]), [(0, 9 * LONG)]);
        assert!(cut(&[]).is_empty());
    }
}
