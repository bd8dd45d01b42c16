//! Tables drawn with lines, such as polars' data frames, read back into rows and columns for HTML.
//!
//! ```text
//!   shape: (2, 2)
//!   ┌─────┬─────┐
//!   │ a   ┆ b   │
//!   ╞═════╪═════╡
//!   │ 1   ┆ x   │
//!   └─────┴─────┘
//! ```

use super::grid::{Grid, Kind, Limits};

/// The character that such a table begins with.
pub(super) const CORNER: char = '┌';

/// Parses the table in a text, if it is one.
pub(super) fn read(text: &str, limits: Limits) -> Option<Grid> {
    let mut lines = text.lines();
    let above: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with(CORNER)).collect();
    let mut head: Option<Vec<(String, String)>> = None;
    let mut rows: Vec<Vec<&str>> = Vec::new();
    for line in lines.by_ref().take_while(|line| !line.starts_with('└')) {
        if line.starts_with('╞') {
            head = Some(heads(&std::mem::take(&mut rows)));
        } else if let Some(cells) = line.strip_prefix('│').and_then(|line| line.strip_suffix('│')) {
            rows.push(cells.split(['┆', '│']).map(str::trim).collect());
        }
    }
    let head = head?;
    let fits = lines.next().is_none() && rows.iter().all(|row| row.len() == head.len());
    let rows: Vec<Vec<String>> = rows.into_iter().map(|row| row.into_iter().map(str::to_owned).collect()).collect();
    fits.then(|| Grid { note: above.join(" "), ..Grid::new(head, rows, Kind::Plain, limits) })
}

/// The lines of a table's head, by column: the name, and the type below its own rule.
fn heads(lines: &[Vec<&str>]) -> Vec<(String, String)> {
    let columns = lines.first().map_or(0, Vec::len);
    let head = |column: usize| {
        let lines: Vec<&str> = lines.iter().filter_map(|line| line.get(column).copied()).collect();
        let rule = lines.iter().position(|line| *line == "---").unwrap_or(lines.len());
        let words =
            |lines: &[&str]| lines.iter().filter(|line| !line.is_empty()).copied().collect::<Vec<_>>().join(" ");
        (words(&lines[..rule]), words(lines.get(rule + 1..).unwrap_or_default()))
    };
    (0..columns).map(head).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The output of polars 0.55.
    const FRAME: &str = "\
shape: (2, 3)
┌────────────┬──────┬───────────┐
│ name       ┆ x    ┆ l         │
│ ---        ┆ ---  ┆ ---       │
│ str        ┆ i64  ┆ f64       │
╞════════════╪══════╪═══════════╡
│ <a> & b    ┆ null ┆ 2.25      │
│ long one t…┆ 3    ┆ 1.0000e10 │
└────────────┴──────┴───────────┘";

    #[test]
    fn a_data_frame_is_read_back() {
        let grid = read(FRAME, Limits::USUAL).unwrap();
        let heads: Vec<[&str; 2]> = grid.columns.iter().map(|column| [&*column.name, &*column.type_name]).collect();
        assert_eq!(heads, [["name", "str"], ["x", "i64"], ["l", "f64"]]);
        assert_eq!(grid.columns.iter().map(|column| column.field.is_number()).collect::<Vec<_>>(), [false, true, true]);
        assert_eq!(grid.rows, [["<a> & b", "null", "2.25"], ["long one t…", "3", "1.0000e10"]]);
        assert_eq!(grid.below(), ["shape: (2, 3)"]);
    }

    #[test]
    fn what_is_no_such_table_is_left_alone() {
        for text in ["", "│ a │", "┌", "┌─┐\n│ a │\n└─┘", &FRAME.replace("┆ 3 ", "  3 "), &format!("{FRAME}\nmore")]
        {
            assert!(read(text, Limits::USUAL).is_none(), "{text}");
        }
    }
}
