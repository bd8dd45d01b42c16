//! The parser of a cell: splits it into items, imports, statements, and the expression it ends with.
//!
//! ```text
//!   use std::fmt::Display;          an import, for later cells too
//!   struct P { x: i64 }             an item: compiled once, then linked
//!   let p = P { x: 1 };             a statement, with the variables it makes
//!   p.x                             the expression that is shown
//! ```

use super::item::{Part, part, statics_of_a_macro};
use super::item_macro::Call;
use super::last_value::{Shown, Uses};
use super::mentions::{mentioned, plain};
use super::rewrite::{self, Return, Rewrite};
use proc_macro2::Span;
use quote::ToTokens;
use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;
use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::{Attribute, Block, Expr, Item, Pat, Stmt, UseTree};

/// One name that a `use` brings in.
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    /// Its path: `std::collections::HashMap`, or `std::fmt::*`.
    pub path: String,
    /// The name that it gives; `None` for `*` and `_`.
    pub name: Option<String>,
    /// All words in it.
    pub mentions: HashSet<String>,
}

impl Import {
    /// The import as a statement of its own.
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
    /// Whether it was declared `mut`.
    pub is_mut: bool,
}

/// A `let` of the cell itself, outside any block.
#[derive(Clone, Debug, PartialEq)]
pub struct Let {
    /// Its place, with its `;` and its attributes.
    pub range: Range<usize>,
    /// The variables that it makes, in order.
    pub names: Vec<String>,
    /// Whether it gives them values.
    pub has_value: bool,
    /// Whether the value is a closure, whose type has no name.
    pub is_closure: bool,
}

/// The pieces of a cell.
#[derive(Clone, Debug, Default)]
pub struct ParsedCell {
    /// Items, in order.
    pub items: Vec<Part>,
    /// The imports.
    pub imports: Vec<Import>,
    /// Attributes of the whole cell, `#![…]`.
    pub attributes: Vec<Range<usize>>,
    /// Whether there is something to run.
    pub runs: bool,
    /// Variables that the cell's statements make; only the last of each name.
    pub bindings: Vec<Binding>,
    /// The `let`s that make them, in order.
    pub lets: Vec<Let>,
    /// Macro calls as statements of their own: some make items.
    pub calls: Vec<Call>,
    /// How many statements there are, imports and these calls among them.
    pub statements: usize,
    /// The cell's own `return`s.
    pub returns: Vec<Return>,
    /// Other rewrites of the statements.
    pub rewrites: Vec<Rewrite>,
    /// The expression whose value is shown.
    pub shown: Option<Range<usize>>,
    /// The kind of that expression.
    pub shown_as: Shown,
    /// The places where `_` stands for the last value.
    pub last: Vec<Range<usize>>,
    /// The code that `_` stands for; see `SessionState::resolve`.
    pub last_means: String,
    /// The end of the last statement, if it needs a `;`.
    pub open_end: Option<usize>,
    /// All words in the statements.
    pub mentions: HashSet<String>,
    /// Whether there is an `.await` outside any `async` block.
    pub awaits: bool,
    /// Whether it has a function `main` without parameters.
    pub has_main: bool,
    /// Whether something in it may take long when it is not optimised.
    pub is_heavy: bool,
}

impl ParsedCell {
    /// Turns a macro call into an item.
    pub fn add_item_of_call(&mut self, part: Part) {
        self.shown = self.shown.take().filter(|shown| !part.range.contains(&shown.start));
        self.rewrites.retain(|rewrite| !part.range.contains(&rewrite.range.start));
        self.last.retain(|last| !part.range.contains(&last.start));
        self.statements -= 1;
        self.runs = self.statements > 0;
        self.items.push(part);
        self.items.sort_by_key(|item| item.range.start);
    }
}

/// Parses a cell. `None` if it is not Rust; the compiler explains that better than we could. A last `let` or `use` may lack its `;`.
pub fn parse_cell(code: &str) -> Option<ParsedCell> {
    let parsed = read(code).ok().map(|(code, (attributes, statements))| {
        let mut parsed = Cutter::default().all(&statements, &code);
        // A comment of the form `//!` is an attribute, too, and of no use here.
        let is_comment = |attribute: &&Attribute| !attribute.path().is_ident("doc");
        parsed.attributes = attributes.iter().filter(is_comment).map(|attribute| bytes(attribute.span())).collect();
        parsed
    });
    forget_texts();
    parsed
}

/// The `let`s of a cell itself that give one variable a value: its name, and the place of the value. `None` if the cell is not Rust.
pub fn lets_with_values(code: &str) -> Option<Vec<(String, Range<usize>)>> {
    let found = read(code).ok().map(|(_, (_, statements))| {
        let variables = statements.iter().filter_map(|statement| match statement {
            Stmt::Local(syn::Local { pat, init: Some(init), .. }) => {
                let pat = if let syn::Pat::Type(typed) = pat { &*typed.pat } else { pat };
                let syn::Pat::Ident(name) = pat else { return None };
                Some((plain(&name.ident.to_string()).to_owned(), bytes(init.expr.span())))
            }
            _ => None,
        });
        variables.collect()
    });
    forget_texts();
    found
}

/// The places of a cell's own `use`s. `None` if the cell is not Rust.
pub fn uses(code: &str) -> Option<Vec<Range<usize>>> {
    let found = read(code).ok().map(|(_, (_, statements))| {
        let uses = statements.iter().filter(|statement| matches!(statement, Stmt::Item(Item::Use(_))));
        uses.map(|item| bytes(item.span())).map(|range| range.start..range.end.min(code.len())).collect()
    });
    forget_texts();
    found
}

/// The grammar's verdict on a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grammar {
    /// It can be parsed.
    Whole {
        /// Whether its last statement is an expression without a `;`.
        is_open: bool,
    },
    /// It ends where more has to follow.
    Unfinished,
    /// It is not Rust, whatever follows.
    Wrong,
}

/// Whether `code` can be parsed as it stands.
pub fn grammar(code: &str) -> Grammar {
    let grammar = match read(code) {
        Ok((_, (_, statements))) => {
            let last = statements.last();
            let is_open = matches!(last, Some(Stmt::Expr(_, None)))
                || matches!(last, Some(Stmt::Macro(call)) if call.semi_token.is_none());
            Grammar::Whole { is_open }
        }
        // An error at the end has an empty span; so has one of a text that cannot be split into tokens.
        Err(error) if bytes(error.span()).is_empty() && code.parse::<proc_macro2::TokenStream>().is_ok() => {
            Grammar::Unfinished
        }
        Err(_) => Grammar::Wrong,
    };
    forget_texts();
    grammar
}

/// The cell's own attributes, and its statements.
type Parsed = (Vec<Attribute>, Vec<Stmt>);

/// Parses a cell, with a `;` at its end if its last `let` or `use` lacks only that. Returns the parsed text, too.
fn read(code: &str) -> syn::Result<(Cow<'_, str>, Parsed)> {
    parsed(code).map(|parsed| (Cow::Borrowed(code), parsed)).or_else(|error| {
        // On a line of its own, because the last line may be a comment. The generated text has a `;` there in any case.
        let ended = format!("{code}\n;");
        let fits =
            |(_, statements): &Parsed| matches!(statements.last(), Some(Stmt::Local(_) | Stmt::Item(Item::Use(_))));
        parsed(&ended).ok().filter(fits).map(|parsed| (Cow::Owned(ended), parsed)).ok_or(error)
    })
}

fn parsed(code: &str) -> syn::Result<Parsed> {
    let whole = |input: syn::parse::ParseStream<'_>| {
        Ok((input.call(Attribute::parse_inner)?, input.call(Block::parse_within)?))
    };
    syn::parse::Parser::parse_str(whole, code)
}

/// Without this, the texts of all cells would be kept. Spans of them have no meaning from here on.
fn forget_texts() {
    proc_macro2::extra::invalidate_current_thread_spans();
}

#[derive(Default)]
struct Cutter {
    parsed: ParsedCell,
}

impl Cutter {
    fn all(mut self, statements: &[Stmt], code: &str) -> ParsedCell {
        for (number, statement) in statements.iter().enumerate() {
            self.statement(statement, number + 1 == statements.len(), code);
        }
        self.parsed
    }

    /// Makes `use util::f;` of `use crate::util::f;`: the items of all cells, also of this one, are in other crates that are in scope.
    fn without_crate<'a>(&mut self, item: &'a syn::ItemUse) -> &'a UseTree {
        let UseTree::Path(path) = &item.tree else { return &item.tree };
        if item.leading_colon.is_some() || path.ident != "crate" && path.ident != "self" {
            return &item.tree;
        }
        let range = match &*path.tree {
            // The name is in scope already.
            UseTree::Name(_) => bytes(item.span()),
            tree => bytes(path.ident.span()).start..bytes(tree.span()).start,
        };
        self.parsed.rewrites.push(Rewrite { range, text: String::new(), closes: false });
        &path.tree
    }

    /// Crates can be named without an `extern crate`. A new name that it gives is one for later cells, too, and so are macros.
    fn extern_crate(&mut self, item: &syn::ItemExternCrate) {
        self.parsed.runs = true;
        let (krate, range) = (item.ident.to_string(), bytes(item.span()));
        self.parsed.mentions.insert(krate.clone());
        let mut import = |path: String, name: Option<String>| {
            let mentions = [krate.clone()].into_iter().chain(name.clone()).collect();
            self.parsed.imports.push(Import { path, name, mentions });
        };
        if let Some((_, name)) = &item.rename
            && krate != "self"
            && name != "_"
        {
            import(format!("::{krate}"), Some(name.to_string()));
        }
        if item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_use")) {
            import(format!("::{krate}::*"), None);
            // `macro_use` can stand at a crate's root only.
            let start = bytes(item.extern_token.span).start;
            self.parsed.rewrites.push(Rewrite { range: range.start..start, text: String::new(), closes: false });
        }
    }

    fn statement(&mut self, statement: &Stmt, is_last: bool, code: &str) {
        match statement {
            Stmt::Item(Item::Use(item)) => {
                self.parsed.runs = true;
                self.parsed.statements += 1;
                let root = if item.leading_colon.is_some() { "::" } else { "" };
                let tree = self.without_crate(item);
                imports(tree, root, &mut self.parsed.imports);
                self.parsed.mentions.extend(mentioned(item.to_token_stream()));
                return;
            }
            Stmt::Item(Item::ExternCrate(item)) => return self.extern_crate(item),
            Stmt::Item(item) => {
                self.parsed.has_main |=
                    matches!(item, Item::Fn(item) if item.sig.ident == "main" && item.sig.inputs.is_empty());
                return self.parsed.items.push(part(item));
            }
            Stmt::Macro(statement) => {
                if let Some(part) = statics_of_a_macro(statement) {
                    return self.parsed.items.push(part);
                }
                self.parsed.calls.push(Call::of(bytes(statement.span()), &statement.mac));
                if is_last && statement.semi_token.is_none() {
                    self.parsed.shown = Some(bytes(statement.mac.span()));
                    self.parsed.shown_as = Shown::of_macro(&statement.mac.path);
                }
            }
            Stmt::Expr(expression, None) if is_last => {
                let range = bytes(expression.span());
                // These have no value, or never return one.
                if matches!(expression, Expr::While(_) | Expr::ForLoop(_) | Expr::Assign(_))
                    || is_conditional(expression)
                {
                    self.parsed.open_end = Some(range.end);
                } else {
                    self.parsed.shown_as = Shown::of(expression, &code[range.clone()]);
                    self.parsed.shown = Some(range);
                    self.parsed.rewrites.extend(rewrite::untold(expression));
                }
            }
            Stmt::Local(local) => {
                let mut patterns = Patterns::default();
                patterns.visit_pat(&local.pat);
                let value = local.init.as_ref().map(|init| &*init.expr);
                self.parsed.lets.push(Let {
                    range: bytes(statement.span()),
                    names: patterns.found.iter().map(|binding| binding.name.clone()).collect(),
                    has_value: value.is_some(),
                    is_closure: matches!(value, Some(Expr::Closure(_))) && matches!(local.pat, Pat::Ident(_)),
                });
                for binding in patterns.found {
                    self.parsed.bindings.retain(|known| known.name != binding.name);
                    self.parsed.bindings.push(binding);
                }
            }
            Stmt::Expr(..) => {}
        }
        self.parsed.runs = true;
        self.parsed.statements += 1;
        self.parsed.mentions.extend(mentioned(statement.to_token_stream()));
        rewrite::columns(statement.to_token_stream(), &mut self.parsed.rewrites);
        let mut inside = Inside::default();
        inside.visit_stmt(statement);
        let mut uses = Uses::default();
        uses.visit_stmt(statement);
        self.parsed.last.extend(uses.found);
        self.parsed.last.sort_by_key(|at| at.start);
        self.parsed.returns.extend(inside.returns);
        self.parsed.rewrites.extend(inside.rewrites);
        self.parsed.awaits |= inside.awaits;
        self.parsed.is_heavy |= inside.is_heavy;
    }
}

/// Whether it is a block with an attribute, such as `#[cfg(unix)] { … }`, which can only be a statement.
fn is_conditional(expression: &Expr) -> bool {
    let attributes = match expression {
        Expr::Block(block) => &block.attrs,
        Expr::Unsafe(block) => &block.attrs,
        Expr::If(expression) => &expression.attrs,
        Expr::Match(expression) => &expression.attrs,
        Expr::Loop(expression) => &expression.attrs,
        _ => return false,
    };
    attributes.iter().any(|attribute| matches!(attribute.style, syn::AttrStyle::Outer))
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
            // A constant or a variant looks the same, but begins with a capital letter.
            if ident.subpat.is_some() || ident.mutability.is_some() || !name.starts_with(char::is_uppercase) {
                self.found.push(Binding { name, is_mut: ident.mutability.is_some() });
            }
        }
        syn::visit::visit_pat(self, pattern);
    }

    fn visit_expr(&mut self, _: &'ast Expr) {}
}

/// What a statement contains.
#[derive(Default)]
struct Inside {
    returns: Vec<Return>,
    rewrites: Vec<Rewrite>,
    awaits: bool,
    is_heavy: bool,
    depth: usize,
}

/// Methods whose own code does little, whatever they are called on.
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
            Expr::Return(expression) if self.depth == 0 => self.returns.push(Return::of(expression)),
            Expr::ForLoop(_) | Expr::While(_) | Expr::Loop(_) | Expr::Closure(_) | Expr::Async(_) => {
                self.is_heavy = true
            }
            Expr::Call(call) => self.rewrites.extend(rewrite::named_parameters(call).into_iter().flatten()),
            Expr::MethodCall(call) if !LIGHT.contains(&call.method.to_string().as_str()) => self.is_heavy = true,
            _ => {}
        }
        let is_apart = matches!(expression, Expr::Async(_) | Expr::Closure(_));
        self.depth += usize::from(is_apart);
        syn::visit::visit_expr(self, expression);
        self.depth -= usize::from(is_apart);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        // An `.await` among the arguments of `println!` is the cell's; what other macros do with theirs is not known.
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
    let mut leaf = |path: String, name: Option<String>| {
        // `use m::{self}` needs no import if `m` is a crate or in scope already: the name means it anyway.
        if name.as_ref() == Some(&path) {
            return;
        }
        let mentions = super::mentions::words(&path).map(str::to_owned).collect();
        found.push(Import { path, name, mentions });
    };
    match tree {
        UseTree::Path(inner) => imports(&inner.tree, &format!("{path}{}::", inner.ident), found),
        UseTree::Name(name) if name.ident == "self" => {
            let path = path.trim_end_matches("::").to_owned();
            let name = path.rsplit("::").next().map(str::to_owned);
            // `use path::self` imports a module or type only; the full path imports that and more.
            leaf(path, name);
        }
        UseTree::Name(name) => leaf(format!("{path}{}", name.ident), Some(name.ident.to_string())),
        UseTree::Rename(rename) => {
            let name = rename.rename.to_string();
            let path = if rename.ident == "self" {
                path.trim_end_matches("::").to_owned()
            } else {
                format!("{path}{}", rename.ident)
            };
            leaf(path, (name != "_").then_some(name));
        }
        UseTree::Glob(_) => leaf(format!("{path}*"), None),
        UseTree::Group(group) => group.items.iter().for_each(|item| imports(item, path, found)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::item::Space;
    use super::*;

    fn names(parsed: &ParsedCell) -> Vec<&str> {
        parsed.bindings.iter().map(|binding| binding.name.as_str()).collect()
    }

    #[test]
    fn a_let_or_a_use_at_the_end_may_do_without_its_semicolon_and_nothing_else_may() {
        assert_eq!(names(&parse_cell("let x = 1").unwrap()), ["x"]);
        assert_eq!(names(&parse_cell("let a = 1;\nlet b = a // the last").unwrap()), ["a", "b"]);
        assert_eq!(parse_cell("use std::fmt::Debug").unwrap().imports.len(), 1);
        assert!(parse_cell("let a = 1\nlet b = 2;").is_none());
        assert!(parse_cell("const A: i64 = 1").is_none());
        assert!(parse_cell("1 + 1").unwrap().shown.is_some());
    }

    #[test]
    fn a_cell_is_cut_into_items_imports_statements_and_what_it_shows() {
        let code = "use std::fmt::{self, Display as D, *};\nstruct P(i64);\nlet mut p = P(1);\nlet (a, Some(b)) = q else { panic!() };\np.0 + a";
        let parsed = parse_cell(code).unwrap();
        assert_eq!(parsed.items[0].names().collect::<Vec<_>>(), [(Space::Value, "P"), (Space::Type, "P")]);
        let imports: Vec<String> = parsed.imports.iter().map(Import::text).collect();
        assert_eq!(imports, ["use std::fmt;", "use std::fmt::Display as D;", "use std::fmt::*;"]);
        assert_eq!(names(&parsed), ["p", "a", "b"]);
        assert_eq!(&code[parsed.shown.unwrap()], "p.0 + a");
    }

    #[test]
    fn a_semicolon_or_a_loop_at_the_end_shows_nothing() {
        for code in ["1 + 1;", "let x = 1;", "for _ in 0..3 {}", "fn f() {}", "x = 3", ""] {
            assert_eq!(parse_cell(code).unwrap().shown, None, "{code}");
        }
        for code in ["1 + 1", "vec![1]", "if x { 1 } else { 2 }", "{ 1 }", "loop { break 1 }"] {
            assert_eq!(&code[parse_cell(code).unwrap().shown.unwrap()], code);
        }
    }

    #[test]
    fn a_use_of_the_own_crate_is_one_of_what_is_in_scope() {
        let of = |code: &str| {
            let parsed = parse_cell(code).unwrap();
            let mut text = code.to_owned();
            parsed.rewrites.iter().rev().for_each(|rewrite| text.replace_range(rewrite.range.clone(), &rewrite.text));
            (text, parsed.imports.iter().map(Import::text).collect::<Vec<_>>().concat())
        };
        assert_eq!(of("use crate::util::f;"), ("use util::f;".into(), "use util::f;".into()));
        assert_eq!(of("use crate::{a::b, c::*};"), ("use {a::b, c::*};".into(), "use a::b;use c::*;".into()));
        assert_eq!(of("use crate::P;"), (String::new(), String::new()));
        assert_eq!(of("use self::m::f as g;").1, "use m::f as g;");
    }

    #[test]
    fn an_extern_crate_is_a_name_for_later_cells_if_it_has_another_or_macros() {
        let imports = |code: &str| parse_cell(code).unwrap().imports.iter().map(Import::text).collect::<Vec<_>>();
        assert_eq!(imports("extern crate itoa;"), [""; 0]);
        assert_eq!(imports("extern crate itoa as number;"), ["use ::itoa as number;"]);
        assert_eq!(imports("#[macro_use] extern crate lazy_static;"), ["use ::lazy_static::*;"]);
        assert_eq!(parse_cell("#[macro_use] extern crate a;").unwrap().rewrites[0].range, 0..13);
        assert!(parse_cell("extern crate itoa;").unwrap().items.is_empty());
    }

    #[test]
    fn an_await_counts_unless_it_is_in_a_block_of_its_own() {
        assert!(parse_cell("f().await").unwrap().awaits && parse_cell("println!(\"{}\", f().await);").unwrap().awaits);
        assert!(!parse_cell("let t = async { f().await };").unwrap().awaits);
        assert!(!parse_cell("let t = || async { f().await }; async fn g() { f().await }").unwrap().awaits);
    }

    #[test]
    fn loops_closures_and_chains_are_heavy_and_calls_are_not() {
        for code in ["x + 1", "f(2)", "println!(\"{}\", f(3));", "let x = f.remote(2);", "get(&x)?", "vec![1, 2]"] {
            assert!(!parse_cell(code).unwrap().is_heavy, "{code}");
        }
        for code in
            ["v.iter().sum::<i64>()", "for i in 0..3 { f(i); }", "let c = |x: i64| x;", "println!(\"{}\", a.dot(&b))"]
        {
            assert!(parse_cell(code).unwrap().is_heavy, "{code}");
        }
    }

    #[test]
    fn an_attribute_of_the_whole_cell_is_one_and_a_comment_is_none() {
        let code = "#![allow(dead_code)]\n//! a comment\nlet x = 1;";
        let parsed = parse_cell(code).unwrap();
        assert_eq!(
            parsed.attributes.iter().map(|range| &code[range.clone()]).collect::<Vec<_>>(),
            ["#![allow(dead_code)]"]
        );
        assert_eq!(names(&parsed), ["x"]);
    }

    #[test]
    fn what_is_not_rust_is_not_cut() {
        assert!(parse_cell("let = 3").is_none() && parse_cell("fn f( {").is_none());
    }
}
