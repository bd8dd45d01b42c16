//! The `main.rs` of an exported project: attributes, imports and items, then the cells in order in `main`.

use super::{code_cells, left_out};
use crate::script::document::{Cell, Kind};
use mobula_session::export::Exported;
use std::path::Path;
use std::process::{Command, Stdio};

/// The text of the file.
pub(super) fn main_file(file: &Path, cells: &[Cell], program: &Exported) -> String {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut text = format!("//! Exported from {name}: items first, then the cells in order in `main`.\n\n");
    // A cell may have what only another one uses, or what was tried once.
    text.push_str("#![allow(dead_code, unused_imports, unused_parens)]\n");
    program.attributes.iter().for_each(|attribute| text.push_str(&format!("{attribute}\n")));
    text.push_str(
        "\n// What every cell has in scope.\nuse mobula::prelude::*;\nuse serde::{Deserialize, Serialize};\n\n",
    );
    // A later import of the same name would be one too many.
    let own = |import: &&String| !["use serde::Deserialize;", "use serde::Serialize;"].contains(&import.as_str());
    program.imports.iter().filter(own).for_each(|import| text.push_str(&format!("{import}\n")));
    let mut last = 0;
    for (cell, item) in &program.items {
        if *cell != last {
            text.push_str(&format!("\n// Cell {cell}.\n"));
            last = *cell;
        }
        text.push_str(&format!("\n{item}\n"));
    }
    let has_tokio = program.deps.iter().any(|(name, _)| name == "tokio");
    text.push_str(
        "\nfn main() -> Result<(), Box<dyn std::error::Error>> {\n\
         // First of all: worker processes are forked from a copy of this process as it is now.\n\
         let _runtime = mobula::local::Program::start(mobula::local::Config::default())?;\n",
    );
    if has_tokio {
        text.push_str("tokio::runtime::Runtime::new()?.block_on(async {\n");
    } else if program.awaits {
        text.push_str("mobula::__private::block_on(async {\n");
    }
    let mut number = 0;
    for cell in cells {
        match cell.kind {
            Kind::Markdown => {
                text.push('\n');
                cell.source.lines().for_each(|line| text.push_str(&format!("// {line}\n")));
            }
            Kind::Raw => {}
            Kind::Code => {
                number += 1;
                match (left_out(cell), program.statements.iter().find(|(of, _)| *of == number)) {
                    (Some(tag), _) => {
                        text.push_str(&format!("\n// Cell {number} is left out: it is tagged `{tag}`.\n"));
                        cell.source.lines().for_each(|line| text.push_str(&format!("//     {line}\n")));
                    }
                    (None, Some((_, statements))) => text.push_str(&format!("\n// Cell {number}.\n{statements}\n")),
                    (None, None) => {}
                }
            }
        }
    }
    debug_assert_eq!(number, code_cells(cells).count());
    let ok = if has_tokio || program.awaits {
        "\nOk::<(), Box<dyn std::error::Error>>(())\n})\n}\n"
    } else {
        "\nOk(())\n}\n"
    };
    text + ok
}

/// Formats the file, if the machine has rustfmt. The text means the same without it.
pub(super) fn format(file: &Path) {
    let mut command = Command::new("rustfmt");
    command.args(["--edition", "2024"]).arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Err(error) = command.status() {
        tracing::debug!(%error, "the exported program is not formatted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::document::Document;

    #[test]
    fn the_cells_stand_in_main_in_order_with_their_texts() {
        let mut cells = Document::of_code("let a = f();".into()).cells;
        cells.insert(0, Cell { kind: Kind::Markdown, source: "# Title".into(), ..cells[0].clone() });
        let program = Exported {
            imports: vec!["use std::fmt;".into(), "use serde::Serialize;".into()],
            items: vec![(1, "fn f() {}".into())],
            statements: vec![(1, "let a = f();".into())],
            ..Exported::default()
        };
        let text = main_file(Path::new("x/a.ipynb"), &cells, &program);
        let places: Vec<usize> = [
            "from a.ipynb",
            "use std::fmt;",
            "\n// Cell 1.\n\nfn f() {}",
            "fn main()",
            "// # Title",
            "// Cell 1.\nlet a = f();",
            "Ok(())\n}\n",
        ]
        .iter()
        .map(|part| text.find(part).unwrap_or_else(|| panic!("{part}: {text}")))
        .collect();
        assert!(places.is_sorted(), "{text}");
        assert!(!text.contains("use serde::Serialize;") && !text.contains("block_on"), "{text}");
        let awaits = main_file(Path::new("a"), &cells, &Exported { awaits: true, ..program });
        assert!(awaits.contains("block_on(async {"), "{awaits}");
    }
}
