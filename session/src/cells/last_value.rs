//! `_`: the value that a cell has shown last, as in IPython, as far as Rust's ownership allows.
//!
//! ```text
//!   shown                        is                 and `_` in a later cell
//!   f(x), x + 1, if … { … }      a value            is that value, a variable under a name of ours
//!   x, x.name, &v[0], "text"     a place, or text   is the same expression again: nothing is moved out of a variable
//!   v.iter(), m.lock()           a value that borrows, or whose type has no name: ended with the cell, and an error says so
//! ```
//!
//! Only a value's type tells whether it borrows, and only the compiler knows that type. So each cell with a value to show is compiled to
//! hand it over, and is told, when it is run, whether to keep it. Measured beforehand: a `let` of the same value costs 0.7 of 50 ms.

use crate::reports::report::Finding;
use std::ops::Range;
use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::{Expr, Lit, UnOp};

/// The name of its variable. The same as `last_value::NAME` of the cells' crate, which keeps it.
pub const NAME: &str = "mobula_last";

/// The kind of expression that a cell shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Shown {
    /// A new value.
    #[default]
    Value,
    /// What exists already, and these words name each time.
    Place(String),
    /// A part of something, reached by code that may have effects.
    Part,
    /// `_` itself, or a part of it.
    Last,
}

impl Shown {
    /// The kind of an expression.
    pub fn of(expression: &Expr, text: &str) -> Shown {
        let mut kind = Kind { is_place: is_place(expression), is_simple: true, has_last: false };
        kind.visit_expr(expression);
        match kind {
            Kind { is_place: false, .. } => Shown::Value,
            Kind { has_last: true, .. } => Shown::Last,
            Kind { is_simple: true, .. } => Shown::Place(text.to_owned()),
            _ => Shown::Part,
        }
    }

    /// What a macro expands to is not known here; the usual ones make a new value.
    pub fn of_macro(path: &syn::Path) -> Shown {
        let name = last_word(path);
        if USUAL.contains(&name.as_str()) || ["matches", "concat", "stringify"].contains(&name.as_str()) {
            Shown::Value
        } else {
            Shown::Part
        }
    }
}

/// Whether it names something that exists already, so that taking its value would move it away.
fn is_place(expression: &Expr) -> bool {
    match expression {
        Expr::Path(_) | Expr::Field(_) | Expr::Index(_) | Expr::Reference(_) | Expr::Lit(_) | Expr::Infer(_) => true,
        Expr::Unary(unary) => matches!(unary.op, UnOp::Deref(_)),
        Expr::Paren(inner) => is_place(&inner.expr),
        Expr::Group(inner) => is_place(&inner.expr),
        Expr::Macro(call) => Shown::of_macro(&call.mac.path) != Shown::Value,
        _ => false,
    }
}

struct Kind {
    is_place: bool,
    is_simple: bool,
    has_last: bool,
}

impl<'ast> Visit<'ast> for Kind {
    fn visit_expr(&mut self, expression: &'ast Expr) {
        self.has_last |= matches!(expression, Expr::Infer(_));
        self.is_simple &= match expression {
            Expr::Path(_) | Expr::Field(_) | Expr::Index(_) | Expr::Unary(_) | Expr::Range(_) | Expr::Infer(_) => true,
            Expr::Paren(_) | Expr::Group(_) => true,
            Expr::Reference(reference) => reference.mutability.is_none(),
            Expr::Lit(literal) => !matches!(literal.lit, Lit::Verbatim(_)),
            _ => false,
        };
        syn::visit::visit_expr(self, expression);
    }
}

/// The places where a cell's statements use it.
#[derive(Default)]
pub struct Uses {
    pub found: Vec<Range<usize>>,
}

/// Macros of the standard library that take expressions, where `_` cannot be a pattern.
const USUAL: [&str; 14] = [
    "print",
    "println",
    "eprint",
    "eprintln",
    "format",
    "write",
    "writeln",
    "assert",
    "assert_eq",
    "assert_ne",
    "dbg",
    "vec",
    "panic",
    "debug_assert",
];

impl<'ast> Visit<'ast> for Uses {
    fn visit_expr_infer(&mut self, infer: &'ast syn::ExprInfer) {
        self.found.push(infer.span().byte_range());
    }

    /// `_ = f()` and `(a, _) = f()` discard a value.
    fn visit_expr_assign(&mut self, assignment: &'ast syn::ExprAssign) {
        self.visit_expr(&assignment.right);
    }

    /// In `[0; _]`, the `_` is a length.
    fn visit_expr_repeat(&mut self, repeat: &'ast syn::ExprRepeat) {
        self.visit_expr(&repeat.expr);
    }

    fn visit_generic_argument(&mut self, _: &'ast syn::GenericArgument) {}

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if USUAL.contains(&last_word(&call.path).as_str())
            && let Ok(arguments) =
                call.parse_body_with(syn::punctuated::Punctuated::<Expr, syn::Token![,]>::parse_terminated)
        {
            arguments.iter().for_each(|argument| self.visit_expr(argument));
        }
    }

    fn visit_item(&mut self, _: &'ast syn::Item) {}
}

fn last_word(path: &syn::Path) -> String {
    path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default()
}

/// Writes `_` where the compiler names the variable.
pub fn rename(finding: &mut Finding) {
    let texts = finding.notes.iter_mut().chain(&mut finding.helps).chain([&mut finding.message]);
    for text in texts.chain(finding.marks.iter_mut().map(|mark| &mut mark.label)) {
        if text.contains(NAME) {
            *text = text.replace(NAME, "_");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(code: &str) -> Shown {
        Shown::of(&syn::parse_str(code).unwrap(), code)
    }

    fn uses(code: &str) -> Vec<Range<usize>> {
        let parsed = syn::parse::Parser::parse_str(syn::Block::parse_within, code).unwrap();
        let mut uses = Uses::default();
        parsed.iter().for_each(|statement| uses.visit_stmt(statement));
        uses.found
    }

    #[test]
    fn what_exists_already_is_named_once_more_and_what_is_new_is_kept() {
        for code in ["x", "x.y.0", "v[0]", "&v[1..n]", "*p", "(x)", "\"text\"", "5", "std::f64::consts::PI"] {
            assert_eq!(shown(code), Shown::Place(code.to_owned()));
        }
        for code in ["x + 1", "f(x)", "v.len()", "if a { b } else { c }", "(1, 2)", "-x", "vec![1]", "x as f64"] {
            assert_eq!(shown(code), Shown::Value, "{code}");
        }
        for code in ["v[f()]", "f().x", "&f()", "&mut x", "*f()", "mine!(x)", "&vec![1]"] {
            assert_eq!(shown(code), Shown::Part, "{code}");
        }
        assert_eq!([shown("_"), shown("_.x"), shown("&_[0]")], [Shown::Last, Shown::Last, Shown::Last]);
    }

    #[test]
    fn it_is_found_where_it_is_a_value_and_nowhere_else() {
        assert_eq!(uses("_ + f(_)"), [0..1, 6..7]);
        assert_eq!(uses("println!(\"{}\", _); let y = _;"), [15..16, 27..28]);
        for code in ["let _ = f();", "_ = f();", "(a, _) = f();", "f::<_>(1)", "matches!(x, Some(_))", "|_| 1"] {
            assert!(uses(code).is_empty(), "{code}");
        }
        for code in ["match x { _ => 1 };", "fn f() { _ = 1; }", "let x: Vec<_> = y.collect::<Vec<_>>();"] {
            assert!(uses(code).is_empty(), "{code}");
        }
    }
}
