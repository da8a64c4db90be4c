//! Where a folded file is cut into row groups.
//!
//! A reader takes or leaves a row group as a whole, and with it the dictionary of each of its columns. So a value of
//! the leading column that many rows share has row groups of its own: a question about one field of deals then reads
//! that field's rows, and not the texts of the others beside them.

use arrow::array::RecordBatch;
use arrow::compute::partition;
use arrow::error::ArrowError;

/// So many rows that share a value are apart from the others.
const LONG: usize = 4 * 1024;

/// Where rows that are sorted by these columns are cut: before and behind each value that many share.
pub(super) fn cuts(rows: &RecordBatch, sort: &[&str]) -> Result<Vec<usize>, ArrowError> {
    let Some(leading) = sort.first().and_then(|column| rows.column_by_name(column)) else {
        return Ok(Vec::new());
    };
    let runs = partition(std::slice::from_ref(leading))?.ranges();
    let long = runs.into_iter().filter(|run| run.len() >= LONG);
    Ok(long.flat_map(|run| [run.start, run.end]).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, StringArray};

    use super::{LONG, RecordBatch, cuts};

    fn cut(values: &[(Option<&str>, usize)]) -> Vec<(usize, usize)> {
        let values: StringArray =
            values.iter().flat_map(|(value, n)| std::iter::repeat_n(*value, *n)).collect();
        let rows = RecordBatch::try_from_iter([("field", Arc::new(values) as ArrayRef)]).unwrap();
        let cuts = cuts(&rows, &["field"]).unwrap();
        let until = cuts.iter().copied().chain([rows.num_rows()]);
        let groups = [0].into_iter().chain(cuts.iter().copied()).zip(until);
        groups.filter(|(from, until)| from < until).collect()
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
