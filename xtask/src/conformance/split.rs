//! An example as cells: its items as one, the rest of its body, or of `main`'s, as another.
//!
//! What syn cannot read is one cell as it is: rustc refuses it, and so must a cell.

use std::ops::Range;
use syn::spanned::Spanned;

/// Whether the code has a `main` of its own.
pub fn has_main(code: &str) -> bool {
    match syn::parse_file(code) {
        Ok(file) => file.items.iter().any(is_main),
        Err(_) => code.lines().any(|line| line.starts_with("fn main(")),
    }
}

fn is_main(item: &syn::Item) -> bool {
    matches!(item, syn::Item::Fn(function) if function.sig.ident == "main")
}

/// The attributes of the whole (`#![…]`) at the top, and what follows.
pub fn inner_attributes(code: &str) -> (String, &str) {
    let mut rest = code;
    let mut attributes = String::new();
    loop {
        let trimmed = rest.trim_start();
        if trimmed.starts_with("#![") {
            let mut depth = 0;
            let end = trimmed.find(|c| {
                depth += i32::from(c == '[') - i32::from(c == ']');
                depth == 0 && c == ']'
            });
            let Some(end) = end else { return (attributes, rest) };
            attributes.push_str(&trimmed[..=end]);
            attributes.push('\n');
            rest = trimmed[end + 1..].strip_prefix('\n').unwrap_or(&trimmed[end + 1..]);
        } else if trimmed.starts_with("//") && !trimmed.starts_with("///") {
            let Some(end) = trimmed.find('\n') else { return (attributes, rest) };
            let (_, after) = trimmed.split_at(end + 1);
            // A comment above an attribute is no code either.
            if !after.trim_start().starts_with("#![") {
                return (attributes, rest);
            }
            rest = after;
        } else {
            return (attributes, rest);
        }
    }
}

/// The cells of `code`; empty ones are left out.
pub fn cells(code: &str) -> Vec<String> {
    let (attributes, rest) = inner_attributes(code);
    let parted = parted(rest).unwrap_or_else(|| vec![rest.to_owned()]);
    let attributes: String = attributes.lines().filter(|line| !line.starts_with("#![allow(unused")).collect();
    let with = |cell: String| if attributes.is_empty() { cell } else { format!("{attributes}\n{cell}") };
    parted.into_iter().filter(|cell| has_code(cell)).map(with).collect()
}

/// Whether there is more than white space and comments.
fn has_code(cell: &str) -> bool {
    cell.parse::<proc_macro2::TokenStream>().map_or(true, |tokens| !tokens.is_empty())
}

fn parted(code: &str) -> Option<Vec<String>> {
    if let Ok(file) = syn::parse_file(code)
        && let Some(main) = file.items.iter().find(|item| is_main(item))
    {
        let syn::Item::Fn(function) = main else { return None };
        if !function.attrs.is_empty() || function.sig.asyncness.is_some() {
            return None;
        }
        let braces = function.block.brace_token.span;
        let body = braces.open().byte_range().end..braces.close().byte_range().start;
        return Some(vec![without(code, &[main.span().byte_range()]), code[body].to_owned()]);
    }
    let wrapped = format!("{{\n{code}\n}}");
    let block: syn::Block = syn::parse_str(&wrapped).ok()?;
    let items: Vec<Range<usize>> = block
        .stmts
        .iter()
        .filter(|statement| matches!(statement, syn::Stmt::Item(_)))
        .map(|item| item.span().byte_range())
        .map(|range| range.start - 2..range.end - 2)
        .collect();
    let only_items = items.iter().map(|range| &code[range.clone()]).collect::<Vec<_>>().join("\n");
    Some(vec![only_items, without(code, &items)])
}

/// `code` without what lies in `ranges`; its lines stay where they are.
fn without(code: &str, ranges: &[Range<usize>]) -> String {
    let mut left = String::new();
    let mut at = 0;
    for range in ranges {
        left.push_str(&code[at..range.start]);
        left.extend(code[range.clone()].chars().filter(|c| *c == '\n'));
        at = range.end;
    }
    left + &code[at..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_one_cell_and_statements_another() {
        let cells = cells("use std::fmt;\nlet x = 1;\n/// Two.\nfn two() -> i32 { 2 }\nassert_eq!(x, two() - 1);\n");
        assert_eq!(cells[0], "use std::fmt;\n/// Two.\nfn two() -> i32 { 2 }");
        assert_eq!(
            cells[1].split('\n').filter(|line| !line.is_empty()).collect::<Vec<_>>(),
            ["let x = 1;", "assert_eq!(x, two() - 1);"]
        );
    }

    #[test]
    fn the_body_of_main_is_a_cell() {
        assert_eq!(cells("struct A;\nfn main() {\n    let a = A;\n}\n"), ["struct A;\n\n\n\n", "\n    let a = A;\n"]);
        assert_eq!(cells("fn main() {\n    // nothing\n}\n"), Vec::<String>::new());
    }

    #[test]
    fn what_is_no_rust_is_one_cell() {
        assert_eq!(cells("let x = ;\n"), ["let x = ;\n"]);
    }

    #[test]
    fn attributes_of_the_whole_stand_before_each_cell() {
        let code = "// why\n#![deny(unused_must_use)]\n#![allow(unused)]\nfn f() {}\nf();\n";
        assert_eq!(inner_attributes(code).1, "fn f() {}\nf();\n");
        assert_eq!(cells(code)[0], "#![deny(unused_must_use)]\nfn f() {}");
    }
}
