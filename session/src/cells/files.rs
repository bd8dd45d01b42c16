//! Files that a cell's code names: `include!("x.rs")`, `include_str!("x")`, `mod util;`, `#[path = "x.rs"] mod m;`. The compiler looks
//! beside the source that it reads, in the session's folder. So a cell gets whole paths, from the notebook's folder on.
//!
//! ```text
//!   include_str!("data.csv")     include_str!("/notes/data.csv"/* 5d2c… */)
//!   mod util;                    #[path = "/notes/util.rs"]/* 77ab… */ mod util;
//! ```
//!
//! The number is a hash of the file's content. An item that is run again unchanged is not compiled again; the hash changes it.

use super::edit::Edit;
use super::parse::ParsedCell;
use super::rewrite::Rewrite;
use proc_macro2::{TokenStream, TokenTree};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::path::{Path, PathBuf};
use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::{Block, Item, ItemMod, Lit};

/// Macros whose argument is the name of a file.
const INCLUDING: [&str; 3] = ["include", "include_str", "include_bytes"];

/// A text that takes the place of a stretch.
struct Fix {
    range: Range<usize>,
    text: String,
}

/// Writes whole paths into a parsed cell.
pub fn resolve(parsed: &mut ParsedCell, code: &str, folder: &Path) {
    if !code.contains("include") && !code.contains("mod ") {
        return;
    }
    for fix in fixes(code, folder) {
        match parsed
            .items
            .iter_mut()
            .find(|part| part.range.start <= fix.range.start && fix.range.end <= part.range.end)
        {
            Some(part) => {
                let at = part.edits.iter().position(|edit| edit.range.start >= fix.range.start);
                let edit = Edit { range: fix.range, text: fix.text.into() };
                part.edits.insert(at.unwrap_or(part.edits.len()), edit);
            }
            None => parsed.rewrites.push(Rewrite { range: fix.range, text: fix.text, closes: false }),
        }
    }
}

fn fixes(code: &str, folder: &Path) -> Vec<Fix> {
    let mut fixes = Vec::new();
    if let Ok(tokens) = code.parse::<TokenStream>() {
        included(tokens, folder, &mut fixes);
    }
    let whole = |input: syn::parse::ParseStream<'_>| {
        input.call(syn::Attribute::parse_inner)?;
        input.call(Block::parse_within)
    };
    if let Ok(statements) = syn::parse::Parser::parse_str(whole, code) {
        let mut modules = Modules { folder: folder.to_owned(), depth: 0, fixes: &mut fixes };
        statements.iter().for_each(|statement| modules.visit_stmt(statement));
    }
    proc_macro2::extra::invalidate_current_thread_spans();
    fixes.sort_by_key(|fix| fix.range.start);
    fixes
}

fn included(tokens: TokenStream, folder: &Path, fixes: &mut Vec<Fix>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        let TokenTree::Group(group) = token else { continue };
        let is_including = at >= 2
            && matches!(&tokens[at - 1], TokenTree::Punct(punct) if punct.as_char() == '!')
            && matches!(&tokens[at - 2], TokenTree::Ident(name) if INCLUDING.iter().any(|known| name == known));
        let inside: Vec<TokenTree> = group.stream().into_iter().collect();
        match (is_including, inside.first()) {
            (true, Some(TokenTree::Literal(literal))) if inside.len() <= 2 => {
                if let Lit::Str(name) = Lit::new(literal.clone()) {
                    let file = folder.join(name.value());
                    fixes.push(Fix { range: literal.span().byte_range(), text: format!("{file:?}{}", stamp(&file)) });
                }
            }
            _ => included(group.stream(), folder, fixes),
        }
    }
}

/// A hash of a file, or of the Rust files of a folder, as a comment.
fn stamp(file: &Path) -> String {
    let mut hash = DefaultHasher::new();
    let files = walkdir::WalkDir::new(file).sort_by_file_name().into_iter().filter_map(Result::ok);
    for entry in files.filter(|entry| entry.depth() == 0 || entry.path().extension().is_some_and(|end| end == "rs")) {
        std::fs::read(entry.path()).unwrap_or_default().hash(&mut hash);
    }
    format!("/* {:x} */", hash.finish())
}

/// Modules that are in files of their own.
struct Modules<'a> {
    /// The folder in which such a file would be.
    folder: PathBuf,
    /// How many modules enclose it.
    depth: usize,
    fixes: &'a mut Vec<Fix>,
}

impl<'ast> Visit<'ast> for Modules<'_> {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let path = item.attrs.iter().find(|attribute| attribute.path().is_ident("path"));
        let named = path.and_then(|attribute| match &attribute.meta {
            syn::Meta::NameValue(pair) => match &pair.value {
                syn::Expr::Lit(syn::ExprLit { lit: Lit::Str(name), .. }) => Some(name.clone()),
                _ => None,
            },
            _ => None,
        });
        if item.content.is_some() {
            let inner = named.map_or_else(|| item.ident.to_string(), |name| name.value());
            let outer = std::mem::replace(&mut self.folder, PathBuf::new());
            self.folder = outer.join(inner);
            self.depth += 1;
            syn::visit::visit_item_mod(self, item);
            self.depth -= 1;
            self.folder = outer;
            return;
        }
        if let Some(name) = named {
            let file = self.folder.join(name.value());
            self.fixes.push(Fix { range: name.span().byte_range(), text: format!("{file:?}{}", stamp(&file)) });
            return;
        }
        let name = item.ident.to_string();
        let (file, inner) = (self.folder.join(format!("{name}.rs")), self.folder.join(&name));
        let range = Item::Mod(item.clone()).span().byte_range();
        let mut put = |at: usize, text: String| self.fixes.push(Fix { range: at..at, text });
        let as_folder = inner.join("mod.rs");
        if !file.is_file() && as_folder.is_file() {
            put(range.start, format!("#[path = {as_folder:?}]{} ", stamp(&inner)));
        } else if inner.is_dir() && self.depth == 0 {
            // A file with `path` has its own modules beside it; in a module with `path`, it has them in its own folder.
            let (around, stamps) = (format!("mobula_files_{name}"), stamp(&file) + &stamp(&inner));
            let begin = format!(
                "#[path = {:?}]{stamps} pub mod {around} {{ #[allow(unused_imports)] use super::*; ",
                self.folder
            );
            put(range.start, begin);
            put(range.end, format!(" }} pub use {around}::{name};"));
        } else {
            put(range.start, format!("#[path = {file:?}]{} ", stamp(&file)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse_cell;
    use super::*;

    /// The code with whole paths and without the numbers.
    fn resolved(code: &str, folder: &Path) -> String {
        let mut parsed = parse_cell(code).unwrap();
        resolve(&mut parsed, code, folder);
        let of_items =
            parsed.items.iter().flat_map(|part| &part.edits).map(|edit| (edit.range.clone(), edit.text.to_string()));
        let mut all: Vec<_> = of_items.collect();
        all.extend(parsed.rewrites.iter().map(|rewrite| (rewrite.range.clone(), rewrite.text.clone())));
        all.sort_by_key(|(range, _)| range.start);
        let mut text = code.to_owned();
        all.iter().rev().for_each(|(range, new)| text.replace_range(range.clone(), new));
        while let Some((from, to)) = text.find("/* ").zip(text.find(" */")) {
            text.replace_range(from..to + 3, "");
        }
        text
    }

    #[test]
    fn files_are_looked_for_beside_the_notebook() {
        let is = |code: &str, expected: &str| assert_eq!(resolved(code, Path::new("/n")), expected);
        is("include_str!(\"data.csv\").len()", "include_str!(\"/n/data.csv\").len()");
        is("println!(\"{}\", include_str!(\"../a\"));", "println!(\"{}\", include_str!(\"/n/../a\"));");
        is("include_str!(\"/whole\")", "include_str!(\"/whole\")");
        is("mod h { include!(\"h.rs\"); }", "pub mod h { include!(\"/n/h.rs\"); }");
        is("#[path = \"./h.rs\"] mod h;", "#[path = \"/n/./h.rs\"] pub mod h;");
        is("mod util;\nutil::f()", "#[path = \"/n/util.rs\"] pub mod util;\nutil::f()");
        is("mod a { pub mod b; }", "pub mod a { #[path = \"/n/a/b.rs\"] pub mod b; }");
        is("include_str!(concat!(\"a\", \"b\"))", "include_str!(concat!(\"a\", \"b\"))");
    }

    #[test]
    fn another_content_is_another_text() {
        let dir = tempfile::tempdir().unwrap();
        let texts = |content: &str| {
            std::fs::write(dir.path().join("util.rs"), content).unwrap();
            let code = "mod util;";
            let mut parsed = parse_cell(code).unwrap();
            resolve(&mut parsed, code, dir.path());
            parsed.items[0].edits[0].text.to_string()
        };
        assert_eq!(texts("one"), texts("one"));
        assert_ne!(texts("one"), texts("two"));
        assert!(texts("one").contains("util.rs"));
    }
}
