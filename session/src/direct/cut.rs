//! A cell, cut into what it is made of: items, imports, statements, and the expression it ends with.
//!
//! ```text
//!   use std::fmt::Display;          an import, for later cells too
//!   struct P { x: i64 }             an item: compiled once, then linked
//!   let p = P { x: 1 };             a statement, with the variables it makes
//!   p.x                             the expression that is shown
//! ```

use super::last::{Shown, Uses};
use super::names::mentioned;
use proc_macro2::Span;
use quote::ToTokens;
use std::collections::HashSet;
use std::ops::Range;
use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::{Attribute, Block, Expr, Fields, ImplItem, Item, Pat, Stmt, UseTree, Visibility};

/// What is put in at a place, or in the place of a stretch, of the code.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// The stretch; empty where something is only put in.
    pub range: Range<usize>,
    /// What.
    pub text: &'static str,
}

/// What an item's name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Space {
    /// Types, traits, modules.
    Type,
    /// Functions, constants, statics.
    Value,
    /// `macro_rules!`.
    Macro,
}

/// An item of a cell.
#[derive(Clone, Debug)]
pub struct Part {
    /// Where it stands in the code.
    pub range: Range<usize>,
    /// What it defines.
    pub defines: Vec<(Space, String)>,
    /// The types and traits that it is an `impl` of or for.
    pub about: Vec<String>,
    /// All words in it.
    pub mentions: HashSet<String>,
    /// What makes it visible to later cells.
    pub edits: Vec<Edit>,
    /// It defines a trait, whose methods are called without naming it.
    pub is_trait: bool,
    /// It is a `static`.
    pub is_static: bool,
}

/// One name that a `use` brings in.
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    /// `std::collections::HashMap`, or `std::fmt::*`.
    pub path: String,
    /// Under which name; `None` for `*` and `_`.
    pub name: Option<String>,
    /// All words in it.
    pub mentions: HashSet<String>,
}

impl Import {
    /// As a statement of its own.
    pub fn text(&self) -> String {
        match &self.name {
            Some(name) if self.path.rsplit("::").next() != Some(name) => format!("use {} as {name};", self.path),
            None if !self.path.ends_with('*') => format!("use {} as _;", self.path),
            _ => format!("use {};", self.path),
        }
    }
}

/// A variable that a statement makes.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// Its name.
    pub name: String,
    /// It was declared `mut`.
    pub is_mut: bool,
}

/// The pieces of a cell.
#[derive(Clone, Debug, Default)]
pub struct Cut {
    /// Items, in order.
    pub items: Vec<Part>,
    /// What `use` brings in.
    pub imports: Vec<Import>,
    /// Attributes of the whole cell, `#![…]`.
    pub attributes: Vec<Range<usize>>,
    /// There is something to run.
    pub runs: bool,
    /// Variables that the cell's statements make; the last of each name.
    pub bindings: Vec<Binding>,
    /// The expression whose value is shown.
    pub shown: Option<Range<usize>>,
    /// What that is.
    pub shown_as: Shown,
    /// Where `_` stands for the last value.
    pub last: Vec<Range<usize>>,
    /// What it stands for, in words of the code; see `Book::resolve`.
    pub last_means: String,
    /// Where the last statement needs a `;` after it.
    pub open_end: Option<usize>,
    /// All words in the statements.
    pub mentions: HashSet<String>,
    /// There is an `.await` outside of any `async` block.
    pub awaits: bool,
    /// Something in it may take long when it is not optimised.
    pub is_heavy: bool,
}

/// Cuts a cell. `None` if it is not Rust; the compiler says why better than we could. A `let` or a `use` at its end may do without `;`.
pub fn cut(code: &str) -> Option<Cut> {
    // Behind a line's end, because the last line may be a comment. What is generated has a `;` there in any case.
    parse(code, |_| true).or_else(|| {
        parse(&format!("{code}\n;"), |last| matches!(last, Some(Stmt::Local(_) | Stmt::Item(Item::Use(_)))))
    })
}

/// Cuts a cell whose last statement is as it may be.
fn parse(code: &str, may_end_with: impl Fn(Option<&Stmt>) -> bool) -> Option<Cut> {
    let whole = |input: syn::parse::ParseStream<'_>| {
        Ok((input.call(Attribute::parse_inner)?, input.call(Block::parse_within)?))
    };
    let parsed = syn::parse::Parser::parse_str(whole, code);
    let fitting = parsed.ok().filter(|(_, statements)| may_end_with(statements.last()));
    let cut = fitting.map(|(attributes, statements)| {
        let mut cut = Cutter::default().all(&statements, code);
        // A comment of the form `//!` is one, too, and of no use to anybody here.
        let is_comment = |attribute: &&Attribute| !attribute.path().is_ident("doc");
        cut.attributes = attributes.iter().filter(is_comment).map(|attribute| bytes(attribute.span())).collect();
        cut
    });
    // The texts of all cells would be kept otherwise.
    proc_macro2::extra::invalidate_current_thread_spans();
    cut
}

#[derive(Default)]
struct Cutter {
    cut: Cut,
}

impl Cutter {
    fn all(mut self, statements: &[Stmt], code: &str) -> Cut {
        for (number, statement) in statements.iter().enumerate() {
            self.statement(statement, number + 1 == statements.len(), code);
        }
        self.cut
    }

    fn statement(&mut self, statement: &Stmt, is_last: bool, code: &str) {
        match statement {
            Stmt::Item(Item::Use(item)) => {
                self.cut.runs = true;
                let root = if item.leading_colon.is_some() { "::" } else { "" };
                imports(&item.tree, root, &mut self.cut.imports);
                self.cut.mentions.extend(mentioned(item.to_token_stream()));
                return;
            }
            Stmt::Item(item) => return self.cut.items.push(part(item)),
            Stmt::Macro(statement) => {
                if let Some(part) = statics_of_a_macro(statement) {
                    return self.cut.items.push(part);
                }
                if is_last && statement.semi_token.is_none() {
                    self.cut.shown = Some(bytes(statement.mac.span()));
                    self.cut.shown_as = Shown::of_macro(&statement.mac.path);
                }
            }
            Stmt::Expr(expression, None) if is_last => {
                let range = bytes(expression.span());
                // These have no value, or never come to one.
                if matches!(expression, Expr::While(_) | Expr::ForLoop(_) | Expr::Assign(_)) {
                    self.cut.open_end = Some(range.end);
                } else {
                    self.cut.shown_as = Shown::of(expression, &code[range.clone()]);
                    self.cut.shown = Some(range);
                }
            }
            Stmt::Local(local) => {
                let mut patterns = Patterns::default();
                patterns.visit_pat(&local.pat);
                for binding in patterns.found {
                    self.cut.bindings.retain(|known| known.name != binding.name);
                    self.cut.bindings.push(binding);
                }
            }
            Stmt::Expr(..) => {}
        }
        self.cut.runs = true;
        self.cut.mentions.extend(mentioned(statement.to_token_stream()));
        let mut inside = Inside::default();
        inside.visit_stmt(statement);
        let mut uses = Uses::default();
        uses.visit_stmt(statement);
        self.cut.last.extend(uses.found);
        self.cut.last.sort_by_key(|at| at.start);
        self.cut.awaits |= inside.awaits;
        self.cut.is_heavy |= inside.is_heavy;
    }
}

fn bytes(span: Span) -> Range<usize> {
    span.byte_range()
}

/// The variables in a pattern.
#[derive(Default)]
struct Patterns {
    found: Vec<Binding>,
}

impl<'ast> Visit<'ast> for Patterns {
    fn visit_pat(&mut self, pattern: &'ast Pat) {
        if let Pat::Ident(ident) = pattern {
            let name = ident.ident.to_string();
            // A constant or a variant looks the same and is written otherwise.
            if ident.subpat.is_some() || ident.mutability.is_some() || !name.starts_with(char::is_uppercase) {
                self.found.push(Binding { name, is_mut: ident.mutability.is_some() });
            }
        }
        syn::visit::visit_pat(self, pattern);
    }

    fn visit_expr(&mut self, _: &'ast Expr) {}
}

/// What a statement does.
#[derive(Default)]
struct Inside {
    awaits: bool,
    is_heavy: bool,
    depth: usize,
}

/// Methods that do little whatever they are called on, in their own code.
const LIGHT: &[&str] = &[
    "remote",
    "len",
    "is_empty",
    "split",
    "to_string",
    "to_owned",
    "unwrap",
    "expect",
    "push",
    "as_str",
    "run",
    "timeout",
    "num_returns",
    "abs",
    "pow",
    "sqrt",
    "is_some",
    "is_none",
    "is_ok",
    "is_err",
    "ok",
    "get",
    "load",
    "store",
    "fetch_add",
    "lock",
    "borrow",
    "borrow_mut",
];

impl<'ast> Visit<'ast> for Inside {
    fn visit_expr(&mut self, expression: &'ast Expr) {
        match expression {
            Expr::Await(_) if self.depth == 0 => self.awaits = true,
            Expr::ForLoop(_) | Expr::While(_) | Expr::Loop(_) | Expr::Closure(_) | Expr::Async(_) => {
                self.is_heavy = true
            }
            Expr::MethodCall(call) if !LIGHT.contains(&call.method.to_string().as_str()) => self.is_heavy = true,
            _ => {}
        }
        let is_apart = matches!(expression, Expr::Async(_) | Expr::Closure(_));
        self.depth += usize::from(is_apart);
        syn::visit::visit_expr(self, expression);
        self.depth -= usize::from(is_apart);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        // An `.await` among the arguments of `println!` is one of the cell; what other macros do is not known.
        let arguments = call.parse_body_with(syn::punctuated::Punctuated::<Expr, syn::Token![,]>::parse_terminated);
        match arguments {
            Ok(arguments) => arguments.iter().for_each(|argument| self.visit_expr(argument)),
            Err(_) => {
                let name = call.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
                self.is_heavy |= name != "vec";
            }
        }
    }

    fn visit_item(&mut self, _: &'ast Item) {}
}

fn imports(tree: &UseTree, path: &str, found: &mut Vec<Import>) {
    let leaf = |path: String, name: Option<String>| {
        let mentions = super::names::words(&path).map(str::to_owned).collect();
        Import { path, name, mentions }
    };
    match tree {
        UseTree::Path(inner) => imports(&inner.tree, &format!("{path}{}::", inner.ident), found),
        UseTree::Name(name) if name.ident == "self" => {
            let path = path.trim_end_matches("::").to_owned();
            let name = path.rsplit("::").next().map(str::to_owned);
            // `use path::self` brings in what is a module or type only; written in full it brings in the same and more.
            found.push(leaf(path, name));
        }
        UseTree::Name(name) => found.push(leaf(format!("{path}{}", name.ident), Some(name.ident.to_string()))),
        UseTree::Rename(rename) => {
            let name = rename.rename.to_string();
            let path = if rename.ident == "self" {
                path.trim_end_matches("::").to_owned()
            } else {
                format!("{path}{}", rename.ident)
            };
            found.push(leaf(path, (name != "_").then_some(name)));
        }
        UseTree::Glob(_) => found.push(leaf(format!("{path}*"), None)),
        UseTree::Group(group) => group.items.iter().for_each(|item| imports(item, path, found)),
    }
}

/// `thread_local!` and `lazy_static!`, which make items although they look like statements.
fn statics_of_a_macro(statement: &syn::StmtMacro) -> Option<Part> {
    let name = statement.mac.path.segments.last()?.ident.to_string();
    if !["thread_local", "lazy_static"].contains(&name.as_str()) {
        return None;
    }
    let mut part = empty(bytes(statement.span()), statement.to_token_stream());
    part.is_static = true;
    let tokens: Vec<_> = statement.mac.tokens.clone().into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        if token.to_string() != "static" {
            continue;
        }
        if at == 0 || !matches!(tokens[at - 1].to_string().as_str(), "pub") {
            let start = bytes(token.span()).start;
            part.edits.push(Edit { range: start..start, text: "pub " });
        }
        let name = tokens[at + 1..].iter().map(ToString::to_string).find(|word| word != "ref" && word != "mut");
        part.defines.extend(name.map(|name| (Space::Value, name)));
    }
    Some(part)
}

fn empty(range: Range<usize>, tokens: proc_macro2::TokenStream) -> Part {
    Part {
        range,
        defines: Vec::new(),
        about: Vec::new(),
        mentions: mentioned(tokens),
        edits: Vec::new(),
        is_trait: false,
        is_static: false,
    }
}

fn part(item: &Item) -> Part {
    let mut part = empty(bytes(item.span()), item.to_token_stream());
    let mut public = |vis: &Visibility, at: Span| show(vis, at, &mut part.edits);
    let (space, name) = match item {
        Item::Fn(item) => {
            public(&item.vis, item.sig.span());
            (Space::Value, &item.sig.ident)
        }
        Item::Struct(item) => {
            public(&item.vis, item.struct_token.span);
            fields(&item.fields, &mut part.edits);
            if !matches!(item.fields, Fields::Named(_)) {
                part.defines.push((Space::Value, item.ident.to_string()));
            }
            (Space::Type, &item.ident)
        }
        Item::Union(item) => {
            public(&item.vis, item.union_token.span);
            item.fields.named.iter().for_each(|field| field_of(field, &mut part.edits));
            (Space::Type, &item.ident)
        }
        Item::Enum(item) => {
            public(&item.vis, item.enum_token.span);
            (Space::Type, &item.ident)
        }
        Item::Trait(item) => {
            let first = item.unsafety.as_ref().map_or(item.trait_token.span, |word| word.span);
            public(&item.vis, first);
            part.is_trait = true;
            (Space::Type, &item.ident)
        }
        Item::Type(item) => {
            public(&item.vis, item.type_token.span);
            (Space::Type, &item.ident)
        }
        Item::Const(item) => {
            public(&item.vis, item.const_token.span);
            (Space::Value, &item.ident)
        }
        Item::Static(item) => {
            public(&item.vis, item.static_token.span);
            part.is_static = true;
            (Space::Value, &item.ident)
        }
        Item::Mod(item) => {
            public(&item.vis, item.mod_token.span);
            let mut inside = Restricted { edits: &mut part.edits };
            item.content.iter().flat_map(|(_, items)| items).for_each(|item| inside.visit_item(item));
            (Space::Type, &item.ident)
        }
        Item::Macro(item) => {
            let Some(name) = &item.ident else { return part };
            let is_exported = item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export"));
            if !is_exported {
                let start = bytes(item.mac.path.span()).start;
                part.edits.push(Edit { range: start..start, text: "#[macro_export] " });
            }
            (Space::Macro, name)
        }
        Item::Impl(item) => {
            let is_inherent = item.trait_.is_none();
            part.about.extend(head(&item.self_ty));
            part.about.extend(item.trait_.iter().filter_map(|(path, _)| last_word(path)));
            for inner in item.items.iter().filter(|_| is_inherent) {
                match inner {
                    ImplItem::Fn(inner) => show(&inner.vis, inner.sig.span(), &mut part.edits),
                    ImplItem::Const(inner) => show(&inner.vis, inner.const_token.span, &mut part.edits),
                    ImplItem::Type(inner) => show(&inner.vis, inner.type_token.span, &mut part.edits),
                    _ => {}
                }
            }
            return part;
        }
        Item::ForeignMod(item) => {
            for inner in &item.items {
                match inner {
                    syn::ForeignItem::Fn(inner) => {
                        show(&inner.vis, inner.sig.span(), &mut part.edits);
                        part.defines.push((Space::Value, inner.sig.ident.to_string()));
                    }
                    syn::ForeignItem::Static(inner) => {
                        show(&inner.vis, inner.static_token.span, &mut part.edits);
                        part.defines.push((Space::Value, inner.ident.to_string()));
                    }
                    _ => {}
                }
            }
            return part;
        }
        _ => return part,
    };
    part.defines.push((space, name.to_string()));
    part
}

/// Makes something that has no visibility of its own visible to later cells, which are other crates.
fn show(vis: &Visibility, at: Span, edits: &mut Vec<Edit>) {
    match vis {
        Visibility::Public(_) => {}
        Visibility::Restricted(vis) => edits.push(Edit { range: bytes(vis.span()), text: "pub" }),
        Visibility::Inherited => {
            let start = bytes(at).start;
            edits.push(Edit { range: start..start, text: "pub " });
        }
    }
}

fn fields(fields: &Fields, edits: &mut Vec<Edit>) {
    match fields {
        Fields::Named(fields) => fields.named.iter().for_each(|field| field_of(field, edits)),
        Fields::Unnamed(fields) => fields.unnamed.iter().for_each(|field| field_of(field, edits)),
        Fields::Unit => {}
    }
}

fn field_of(field: &syn::Field, edits: &mut Vec<Edit>) {
    let at = field.ident.as_ref().map_or_else(|| field.ty.span(), syn::Ident::span);
    show(&field.vis, at, edits);
}

/// Inside a module, what is private stays so; `pub(crate)` is what later cells see.
struct Restricted<'a> {
    edits: &'a mut Vec<Edit>,
}

impl<'ast> Visit<'ast> for Restricted<'_> {
    fn visit_vis_restricted(&mut self, vis: &'ast syn::VisRestricted) {
        if vis.path.is_ident("crate") || vis.path.is_ident("super") {
            self.edits.push(Edit { range: bytes(vis.span()), text: "pub" });
        }
    }
}

fn head(ty: &syn::Type) -> Option<String> {
    match ty {
        syn::Type::Path(path) => last_word(&path.path),
        syn::Type::Reference(reference) => head(&reference.elem),
        syn::Type::Paren(inner) => head(&inner.elem),
        syn::Type::Group(inner) => head(&inner.elem),
        syn::Type::TraitObject(object) => object.bounds.iter().find_map(|bound| match bound {
            syn::TypeParamBound::Trait(bound) => last_word(&bound.path),
            _ => None,
        }),
        _ => None,
    }
}

fn last_word(path: &syn::Path) -> Option<String> {
    path.segments.last().map(|segment| segment.ident.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(cut: &Cut) -> Vec<&str> {
        cut.bindings.iter().map(|binding| binding.name.as_str()).collect()
    }

    /// The items as later cells see them.
    fn shown_items(code: &str) -> String {
        let cut = cut(code).unwrap();
        let mut edits: Vec<Edit> = cut.items.iter().flat_map(|item| item.edits.clone()).collect();
        edits.sort_by_key(|edit| edit.range.start);
        let mut text = code.to_owned();
        edits.iter().rev().for_each(|edit| text.replace_range(edit.range.clone(), edit.text));
        text
    }

    #[test]
    fn a_let_or_a_use_at_the_end_may_do_without_its_semicolon_and_nothing_else_may() {
        assert_eq!(names(&cut("let x = 1").unwrap()), ["x"]);
        assert_eq!(names(&cut("let a = 1;\nlet b = a // the last").unwrap()), ["a", "b"]);
        assert_eq!(cut("use std::fmt::Debug").unwrap().imports.len(), 1);
        assert!(cut("let a = 1\nlet b = 2;").is_none());
        assert!(cut("const A: i64 = 1").is_none());
        assert!(cut("1 + 1").unwrap().shown.is_some());
    }

    #[test]
    fn a_cell_is_cut_into_items_imports_statements_and_what_it_shows() {
        let code = "use std::fmt::{self, Display as D, *};\nstruct P(i64);\nlet mut p = P(1);\nlet (a, Some(b)) = q else { panic!() };\np.0 + a";
        let cut = cut(code).unwrap();
        assert_eq!(cut.items[0].defines, [(Space::Value, "P".into()), (Space::Type, "P".into())]);
        let imports: Vec<String> = cut.imports.iter().map(Import::text).collect();
        assert_eq!(imports, ["use std::fmt;", "use std::fmt::Display as D;", "use std::fmt::*;"]);
        assert_eq!(names(&cut), ["p", "a", "b"]);
        assert_eq!(&code[cut.shown.unwrap()], "p.0 + a");
    }

    #[test]
    fn a_semicolon_or_a_loop_at_the_end_shows_nothing() {
        for code in ["1 + 1;", "let x = 1;", "for _ in 0..3 {}", "fn f() {}", "x = 3", ""] {
            assert_eq!(cut(code).unwrap().shown, None, "{code}");
        }
        for code in ["1 + 1", "vec![1]", "if x { 1 } else { 2 }", "{ 1 }", "loop { break 1 }"] {
            assert_eq!(&code[cut(code).unwrap().shown.unwrap()], code);
        }
    }

    #[test]
    fn everything_in_an_item_that_was_private_is_public_and_modules_keep_their_secrets() {
        assert_eq!(
            shown_items("struct P { x: i64, pub(crate) y: i64 } impl P { fn new() -> P { P { x: 1, y: 2 } } }"),
            "pub struct P { pub x: i64, pub y: i64 } impl P { pub fn new() -> P { P { x: 1, y: 2 } } }"
        );
        assert_eq!(shown_items("struct T(#[a] i64, String);"), "pub struct T(#[a] pub i64, pub String);");
        assert_eq!(shown_items("#[inline] async unsafe fn f() {}"), "#[inline] pub async unsafe fn f() {}");
        assert_eq!(
            shown_items("mod m { fn hidden() {} pub(crate) fn seen() {} }"),
            "pub mod m { fn hidden() {} pub fn seen() {} }"
        );
        assert_eq!(shown_items("impl Display for P { fn fmt(&self) {} }"), "impl Display for P { fn fmt(&self) {} }");
        assert_eq!(
            shown_items("macro_rules! m { () => {} }\nthread_local! { static A: u8 = 1; }"),
            "#[macro_export] macro_rules! m { () => {} }\nthread_local! { pub static A: u8 = 1; }"
        );
    }

    #[test]
    fn an_await_counts_unless_it_is_in_a_block_of_its_own() {
        assert!(cut("f().await").unwrap().awaits && cut("println!(\"{}\", f().await);").unwrap().awaits);
        assert!(!cut("let t = async { f().await };").unwrap().awaits);
        assert!(!cut("let t = || async { f().await }; async fn g() { f().await }").unwrap().awaits);
    }

    #[test]
    fn loops_closures_and_chains_are_heavy_and_calls_are_not() {
        for code in ["x + 1", "f(2)", "println!(\"{}\", f(3));", "let x = f.remote(2);", "get(&x)?", "vec![1, 2]"] {
            assert!(!cut(code).unwrap().is_heavy, "{code}");
        }
        for code in
            ["v.iter().sum::<i64>()", "for i in 0..3 { f(i); }", "let c = |x: i64| x;", "println!(\"{}\", a.dot(&b))"]
        {
            assert!(cut(code).unwrap().is_heavy, "{code}");
        }
    }

    #[test]
    fn an_attribute_of_the_whole_cell_is_one_and_a_comment_is_none() {
        let code = "#![allow(dead_code)]\n//! a comment\nlet x = 1;";
        let cut = cut(code).unwrap();
        assert_eq!(
            cut.attributes.iter().map(|range| &code[range.clone()]).collect::<Vec<_>>(),
            ["#![allow(dead_code)]"]
        );
        assert_eq!(names(&cut), ["x"]);
    }

    #[test]
    fn what_is_not_rust_is_not_cut() {
        assert!(cut("let = 3").is_none() && cut("fn f( {").is_none());
    }

    #[test]
    fn an_impl_knows_what_it_is_about() {
        assert_eq!(cut("impl<T> m::Shape<T> for &Point<T> {}").unwrap().items[0].about, ["Point", "Shape"]);
    }
}
