//! A value as a table, with as many rows and columns as one asks for.

use crate::display::{Limits, Seen, show_table_of};
use std::fmt::{self, Debug};

/// A table of a value: a list of structs, tuples or single values, a map, an array of at most two dimensions, or Arrow's
/// record batches. As the last expression of a cell it is shown.
///
/// ```
/// #[derive(Clone, Debug)]
/// struct City {
///     name: &'static str,
///     people: u32,
/// }
/// let cities = vec![City { name: "Bergen", people: 291_940 }; 1000];
/// mobula::show::table(&cities).rows(10).show();
/// ```
#[must_use = "a table is shown as the last expression of a cell, or by `.show()`"]
pub struct Table<'a, T: ?Sized> {
    rows: &'a T,
    limits: Limits,
}

/// A table of a value. Without another number, 100 rows and 20 columns are shown.
///
/// ```
/// mobula::show::table(&[(1, "one"), (2, "two")]).show();
/// ```
pub fn table<T: Debug + ?Sized>(rows: &T) -> Table<'_, T> {
    Table { rows, limits: Limits::USUAL }
}

impl<T: Debug + ?Sized> Table<'_, T> {
    /// Shows so many rows.
    pub fn rows(mut self, rows: usize) -> Self {
        self.limits.rows = rows;
        self
    }

    /// Shows so many columns.
    pub fn columns(mut self, columns: usize) -> Self {
        self.limits.columns = columns;
        self
    }

    /// Shows all rows and columns.
    ///
    /// ```
    /// let squares: Vec<(u32, u32)> = (0..500).map(|n| (n, n * n)).collect();
    /// mobula::show::table(&squares).all().show();
    /// ```
    pub fn all(mut self) -> Self {
        self.limits = Limits::NONE;
        self
    }

    /// Shows the table now, and not as the result of the cell.
    pub fn show(&self) {
        show_table_of("display", &Seen::of(&self.rows), self.limits);
    }

    /// Shows the table as the result of the cell.
    #[doc(hidden)]
    pub fn evcxr_display(&self) {
        show_table_of("result", &Seen::of(&self.rows), self.limits);
    }
}

impl<T: ?Sized> Debug for Table<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("limits", &self.limits).finish_non_exhaustive()
    }
}
