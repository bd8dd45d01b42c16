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

use super::debug_table::{Grid, Kind};
use std::borrow::Cow;

/// Parses the table in a text, if it is one.
pub(super) fn read(text: &str) -> Option<Grid<'_>> {
    let mut lines = text.lines();
    let above: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with('┌')).collect();
    let mut head: Option<Vec<Cow<'_, str>>> = None;
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
    let below = Some(above.join(" ")).filter(|text| !text.is_empty());
    fits.then_some(Grid { head, rows, kind: Kind::Drawn, below })
}

/// The lines of a table's head, joined by column: the name, and the type below its own rule.
fn heads<'a>(lines: &[Vec<&str>]) -> Vec<Cow<'a, str>> {
    let columns = lines.first().map_or(0, Vec::len);
    let words = |column: usize| {
        let cells = lines.iter().filter_map(move |line| line.get(column));
        cells.filter(|cell| !cell.is_empty() && **cell != "---").copied().collect::<Vec<_>>().join(" ")
    };
    (0..columns).map(|column| Cow::Owned(words(column))).collect()
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
        let grid = read(FRAME).unwrap();
        assert_eq!(grid.head, ["name str", "x i64", "l f64"]);
        assert_eq!(grid.rows, [["<a> & b", "null", "2.25"], ["long one t…", "3", "1.0000e10"]]);
        let html = grid.html();
        assert!(html.contains("<td>&lt;a&gt; &amp; b</td>") && html.ends_with("<p>shape: (2, 3)</p>"), "{html}");
    }

    #[test]
    fn what_is_no_such_table_is_left_alone() {
        for text in ["", "│ a │", "┌", "┌─┐\n│ a │\n└─┘", &FRAME.replace("┆ 3 ", "  3 "), &format!("{FRAME}\nmore")]
        {
            assert!(read(text).is_none(), "{text}");
        }
    }
}
