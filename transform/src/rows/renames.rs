//! A vendor's names of fields, and the columns of a table that take them unchanged.

use super::names::Names;

/// Pairs of a field's name and its column's.
pub type Renamed = [(&'static str, &'static str)];

/// One such list as a table sees it: with the numbers of its columns, found in the order in which the
/// vendor sends the fields.
#[derive(Debug)]
struct Renames {
    of: &'static Renamed,
    fields: Names,
    columns: Vec<Option<usize>>,
}

/// The lists that were used with a table: one or two.
#[derive(Debug, Default)]
pub(super) struct AllRenames(Vec<Renames>);

impl AllRenames {
    pub(super) fn begin_row(&mut self) {
        self.0.iter_mut().for_each(|renames| renames.fields.begin_row());
    }

    /// The number of the column for a field; `columns` numbers the table's own.
    pub(super) fn find(
        &mut self,
        of: &'static Renamed,
        field: &str,
        columns: &Names,
    ) -> Option<usize> {
        let known = self.0.iter().position(|renames| std::ptr::eq(renames.of, of));
        let known = known.unwrap_or_else(|| {
            self.0.push(Renames::new(of, columns));
            self.0.len() - 1
        });
        let renames = self.0.get_mut(known)?;
        *renames.columns.get(renames.fields.find(field)?)?
    }
}

impl Renames {
    fn new(of: &'static Renamed, columns: &Names) -> Self {
        let mut fields = Names::default();
        of.iter().for_each(|(field, _)| _ = fields.add(field));
        Self { of, fields, columns: of.iter().map(|(_, column)| columns.look_up(column)).collect() }
    }
}
