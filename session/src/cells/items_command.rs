//! `:items`: the session's items, the cell of each, and what waits.

use super::program::{Definition, Imported, Program, Stage};
use std::fmt::Write as _;

/// The items of a session as a table.
pub fn items(program: &Program) -> String {
    let rows: Vec<[String; 3]> = program.definitions().into_iter().map(|known| row(program, known)).collect();
    let imported = |known: &Imported| {
        let waits = if known.waits { "  waits: what it imports no longer exists" } else { "" };
        format!("{}{waits}", known.import.text())
    };
    let imports: Vec<String> = program.imports().map(imported).collect();
    if rows.is_empty() && imports.is_empty() {
        return "there are no items".into();
    }
    let mut text = String::new();
    if !rows.is_empty() {
        let head = ["item", "cell", ""].map(str::to_owned);
        let widths = [0, 1]
            .map(|column| rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or_default());
        for [item, cell, waits] in [&head].into_iter().chain(&rows) {
            let line = format!("{item:<0$}  {cell:<1$}  {waits}", widths[0], widths[1]);
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }
    for import in imports {
        let _ = writeln!(text, "{import}");
    }
    text
}

fn row(program: &Program, known: &Definition) -> [String; 3] {
    let waits = match &known.stage {
        Stage::Compiled(_) => String::new(),
        Stage::Waits(finding, _) => format!("waits: {}", program.spoken(&finding.message)),
    };
    [head(known), known.owner.to_string(), waits]
}

/// The first words of an item: `fn area`, `struct Square`, `impl Shape for Square`.
fn head(known: &Definition) -> String {
    let kind = known.part.kind;
    match known.part.is_impl() {
        true => known.title(),
        false => format!("{kind} {}", known.title()),
    }
}
