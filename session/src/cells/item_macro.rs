//! Macro calls that make items although they look like statements.
//!
//! ```text
//!   macro_rules! point { ($n:ident) => { struct $n { x: i32 } } }    its items are made public in it: `pub struct $n { pub x: i32 }`
//!   point!(Dot);                                                     an item, because the macro's expansion begins as one
//!   bitflags! { struct Perm: u8 { … } }                              an item, because its arguments begin as one; made public in them
//! ```
//!
//! The compiler tells what such a call defines: it expands the call (`-Zunpretty=expanded`). The session's program keeps the call itself,
//! because the expansion may use what only the macro's own library may use.

use super::edit::Edit;
use super::item::{Part, part};
use super::macro_visibility::{begins_as_item, publish_arguments};
use super::mentions::{mentioned, plain};
use proc_macro2::TokenTree;
use std::collections::HashSet;
use std::ops::Range;
use syn::{Item, Visibility};

/// A macro call that may make items.
#[derive(Clone, Debug)]
pub struct Call {
    /// The place of the statement.
    pub range: Range<usize>,
    /// The macro's name, if the call names it without a path.
    pub name: Option<String>,
    /// Whether its arguments begin as an item does.
    pub has_items: bool,
    /// The edits that make the items among its arguments visible to later cells.
    edits: Vec<Edit>,
    /// All words in it.
    mentions: HashSet<String>,
}

impl Call {
    /// Reads a call that is a statement of a cell.
    pub fn of(range: Range<usize>, call: &syn::Macro) -> Call {
        let tokens: Vec<TokenTree> = call.tokens.clone().into_iter().collect();
        let mut edits = Vec::new();
        let has_items = begins_as_item(&tokens);
        if has_items {
            publish_arguments(&tokens, &mut edits);
        }
        let mentions = mentioned(quote::ToTokens::to_token_stream(call));
        Call { range, name: call.path.get_ident().map(ToString::to_string), has_items, edits, mentions }
    }

    /// The call as the session's program keeps it.
    pub fn text(&self, code: &str) -> String {
        let part = Part { range: self.range.clone(), edits: self.edits.clone(), ..Part::default() };
        edited(code, &part)
    }

    /// The item that the call is for the session, if it expands to these parts.
    pub fn part(&self, parts: Vec<(Part, bool)>) -> Option<Part> {
        let is_all_impls = parts.iter().all(|(part, _)| part.is_impl());
        let mut whole = Part { range: self.range.clone(), edits: self.edits.clone(), ..Part::default() };
        whole.mentions = self.mentions.clone();
        for (part, is_public) in parts {
            // Items that later cells cannot see are the macro's own.
            if is_public {
                whole.keys.extend(part.all_keys().cloned());
                whole.methods.extend(part.methods);
                whole.is_trait |= part.is_trait;
            }
            whole.is_static |= part.is_static;
            whole.mentions.extend(part.mentions);
            whole.shape.extend(part.shape);
            whole.calls.extend(part.calls);
            if is_all_impls {
                whole.about.extend(part.about);
            }
        }
        let own: Vec<String> = whole.names().map(|(_, name)| plain(name).to_owned()).collect();
        whole.shape.retain(|name| !own.contains(name));
        (!whole.keys.is_empty()).then_some(whole)
    }
}

/// An item's code with its edits, visible to later cells.
pub fn edited(code: &str, part: &Part) -> String {
    let mut edits: Vec<&Edit> = part.edits.iter().collect();
    edits.sort_by_key(|edit| edit.range.start);
    let (mut text, mut at) = (String::new(), part.range.start);
    for edit in edits {
        text.push_str(&code[at..edit.range.start]);
        text.push_str(&edit.text);
        at = edit.range.end;
    }
    text + &code[at..part.range.end]
}

/// The items in this module of the compiler's expansion, and whether each is public.
pub fn items_in(expanded: &str, module: &str) -> Vec<(Part, bool)> {
    let file = syn::parse_file(expanded).ok();
    let content = file.into_iter().flat_map(|file| file.items).find_map(|item| match item {
        Item::Mod(found) if found.ident == module => found.content,
        _ => None,
    });
    // The first is the import of the surroundings.
    let items = content.into_iter().flat_map(|(_, items)| items).skip(1);
    let parts =
        items.filter(|item| !matches!(item, Item::Use(_))).map(|item| (part(&item), is_public(&item))).collect();
    // Without this, the texts of all calls would be kept.
    proc_macro2::extra::invalidate_current_thread_spans();
    parts
}

fn is_public(item: &Item) -> bool {
    let vis = match item {
        Item::Fn(item) => &item.vis,
        Item::Struct(item) => &item.vis,
        Item::Union(item) => &item.vis,
        Item::Enum(item) => &item.vis,
        Item::Trait(item) => &item.vis,
        Item::Type(item) => &item.vis,
        Item::Const(item) => &item.vis,
        Item::Static(item) => &item.vis,
        Item::Mod(item) => &item.vis,
        Item::Impl(_) => return true,
        _ => return false,
    };
    matches!(vis, Visibility::Public(_))
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse_cell;
    use super::*;

    fn published(code: &str) -> String {
        let mut text = code.to_owned();
        let mut edits = parse_cell(code).unwrap().items.remove(0).edits;
        edits.sort_by_key(|edit| edit.range.start);
        edits.iter().rev().for_each(|edit| text.replace_range(edit.range.clone(), &edit.text));
        text.trim_start_matches("#[macro_export] macro_rules! m ").to_owned()
    }

    #[test]
    fn what_a_macro_defines_is_made_public_in_the_macro() {
        assert_eq!(
            published(
                "macro_rules! m { ($n:ident) => { #[derive(Debug)] struct $n { x: i32, pub y: Vec<(u8, $n)> } impl $n { fn new() {} const fn a() {} } } }"
            ),
            "{ ($n:ident) => { #[derive(Debug)] pub struct $n { pub x: i32, pub y: Vec<(u8, $n)> } impl $n { pub fn new() {} pub const fn a() {} } } }"
        );
        assert_eq!(
            published("macro_rules! m { ($($n:ident),*) => { $(fn $n() -> i32 { 1 })* } }"),
            "{ ($($n:ident),*) => { $(pub fn $n() -> i32 { 1 })* } }"
        );
        assert_eq!(
            published(
                "macro_rules! m { ($v:vis $n:ident) => { $v struct $n(u8, HashMap<u8, u8>); const X: u8 = 1; } }"
            ),
            "{ ($v:vis $n:ident) => { $v struct $n(pub u8, pub HashMap<u8, u8>); pub const X: u8 = 1; } }"
        );
    }

    #[test]
    fn what_is_no_item_stays_as_it_is() {
        for code in [
            "{ ($e:expr) => { $e + 1 } }",
            "{ ($n:ident) => { fn $n(&self) -> u8 { 1 } } }",
            "{ () => {{ fn f() {} f() }} }",
        ] {
            assert_eq!(published(&format!("macro_rules! m {code}")), code);
        }
    }

    #[test]
    fn arguments_that_are_items_are_made_public_in_the_call() {
        let code = "flags! { #[derive(Debug)] struct Perm: u8 { const R = 1; } pub struct Other: u8 {} }";
        let call = parse_cell(code).unwrap().calls.remove(0);
        assert!(call.has_items);
        assert_eq!(call.text(code), code.replace("struct Perm", "pub struct Perm"));
        assert!(!parse_cell("vec![1]; show!(x);").unwrap().calls.iter().any(|call| call.has_items));
    }

    #[test]
    fn items_under_a_condition_are_made_public_in_their_branches() {
        let code = "cfg_if! { if #[cfg(unix)] { fn os() -> u8 { 1 } struct At { x: u8 } } else if #[cfg(windows)] {} else { fn os() -> u8 { 2 } } }";
        let call = parse_cell(code).unwrap().calls.remove(0);
        assert!(call.has_items);
        let public = code.replace("fn os", "pub fn os").replace("struct At { x", "pub struct At { pub x");
        assert_eq!(call.text(code), public);
        assert!(!parse_cell("check! { if #[cfg(unix)] { f() } }").unwrap().calls[0].has_items);
        let code = "cfg_select! { unix => { fn os() -> u8 { 1 } } any(windows, foo = \"a\") => { fn os() -> u8 { 2 } } _ => {} }";
        let call = parse_cell(code).unwrap().calls.remove(0);
        assert!(call.has_items);
        assert_eq!(call.text(code), code.replace("fn os", "pub fn os"));
        assert!(!parse_cell("cfg_select! { unix => { f() } _ => { g() } }").unwrap().calls[0].has_items);
    }

    #[test]
    fn a_call_defines_what_it_expands_to_as_far_as_that_is_public() {
        let expanded = "extern crate std; mod a { use super::*; pub fn made() {} fn hidden() {} }";
        let items = items_in(expanded, "a");
        let code = "make!(made);";
        let part = parse_cell(code).unwrap().calls[0].part(items).unwrap();
        assert_eq!(part.names().map(|(_, name)| name).collect::<Vec<_>>(), ["made"]);
        assert_eq!(part.range, 0..code.len());
    }
}
