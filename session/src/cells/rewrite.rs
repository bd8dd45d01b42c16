//! Rewrites of a cell's statements: texts that are inserted, or take the place of parts, before the compiler reads them.
//!
//! ```text
//!   return Err(e)      return ::mobula::__private::returned(Err::<(), _>(e))    the cell's function is generated, with our return type
//!   Ok(())             Ok::<_, Infallible>(())                                  shown; nothing else determines its error type
//!   dbg!(x)            ::mobula::__dbg_at!(9, x)                                columns are the cell's, not those of the generated line
//!   column!()          9u32
//!   interact(|x| …, a) interact(::mobula::__private::named(&["x"], |x| …), a)   the controls have the names of the parameters
//! ```
//!
//! `line!()` and `file!()` need no rewrite: lines stay where they are, and the compiler is told the cell's name.

use super::mentions::name_of_parameter;
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::ops::Range;
use syn::Expr;
use syn::spanned::Spanned;

/// Makes what a `return` of the cell returns a result of the cell's function.
const RETURNED: &str = "::mobula::__private::returned(";
/// Turns an error that has only `Debug` into one that the cell can end with.
pub const DEBUGGED: &str = ".map_err(::mobula::__private::Debugged)";

/// The type arguments of an `Err(…)` whose argument determines its error type.
const UNTOLD_ERROR: &str = "::<(), _>";
/// Those where the error may become any type, as in `Err("…".into())`.
const BOXED_ERROR: &str = "::<(), ::std::boxed::Box<dyn ::core::error::Error>>";

/// A text that is inserted into the cell's statements, or takes the place of a stretch of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// The stretch; empty for an insertion.
    pub range: Range<usize>,
    /// The text.
    pub text: String,
    /// Whether it belongs to the code before it.
    pub closes: bool,
}

impl Rewrite {
    /// Inserts a text before the code at a place.
    pub fn opening(at: usize, text: impl Into<String>) -> Rewrite {
        Rewrite { range: at..at, text: text.into(), closes: false }
    }

    /// Inserts a text behind the code that ends at a place.
    pub fn closing(at: usize, text: impl Into<String>) -> Rewrite {
        Rewrite { range: at..at, text: text.into(), closes: true }
    }

    fn instead(range: Range<usize>, text: impl Into<String>) -> Rewrite {
        Rewrite { range, text: text.into(), closes: false }
    }
}

/// A `return` of the cell itself, outside closures and functions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Return {
    /// The place of the returned value; empty, behind `return`, if there is none.
    pub value: Range<usize>,
    /// Where the type arguments of a literal `Ok(…)` or `Err(…)` go, and what they are.
    arguments: Option<(usize, &'static str)>,
}

impl Return {
    /// Reads a `return`.
    pub fn of(expression: &syn::ExprReturn) -> Return {
        match &expression.expr {
            Some(value) => Return { value: value.span().byte_range(), arguments: arguments(value, true) },
            None => {
                let end = expression.return_token.span.byte_range().end;
                Return { value: end..end, arguments: None }
            }
        }
    }

    /// Makes it return from the cell's function. `is_debugged`: its error has only `Debug`. `is_boxed`: nothing determines its error type.
    pub fn rewrites(&self, is_debugged: bool, is_boxed: bool) -> Vec<Rewrite> {
        if self.value.is_empty() {
            return vec![Rewrite::closing(self.value.end, format!(" {RETURNED}())"))];
        }
        let (open, close) = if is_debugged { ("(", format!("){DEBUGGED})")) } else { ("", ")".into()) };
        let mut all = vec![Rewrite::opening(self.value.start, format!("{RETURNED}{open}"))];
        let boxed = |text| if text == UNTOLD_ERROR && is_boxed { BOXED_ERROR } else { text };
        all.extend(self.arguments.map(|(at, text)| Rewrite::closing(at, boxed(text))));
        all.push(Rewrite::closing(self.value.end, close));
        all
    }
}

/// The type arguments for a call that is literally `Ok(…)` or, with `or_err`, `Err(…)`.
fn arguments(expression: &Expr, or_err: bool) -> Option<(usize, &'static str)> {
    let Expr::Call(call) = expression else { return None };
    let Expr::Path(path) = &*call.func else { return None };
    let text = if path.path.is_ident("Ok") {
        "::<_, ::core::convert::Infallible>"
    } else if or_err && path.path.is_ident("Err") {
        UNTOLD_ERROR
    } else {
        return None;
    };
    Some((path.span().byte_range().end, text))
}

/// The rewrite for a shown `Ok(…)` whose error type nothing determines.
pub fn untold(expression: &Expr) -> Option<Rewrite> {
    arguments(expression, false).map(|(at, text)| Rewrite::closing(at, text))
}

/// The rewrites for a call of `interact` with a closure: no value has the names of its parameters.
pub fn named_parameters(call: &syn::ExprCall) -> Option<[Rewrite; 2]> {
    let Expr::Path(function) = &*call.func else { return None };
    let Some(Expr::Closure(closure)) = call.args.first() else { return None };
    if function.path.segments.last()?.ident != "interact" {
        return None;
    }
    let names: Vec<String> = closure.inputs.iter().map(name_of_parameter).collect();
    let range = closure.span().byte_range();
    let named = format!("::mobula::__private::named(&{names:?}, ");
    Some([Rewrite::opening(range.start, named), Rewrite::closing(range.end, ")")])
}

/// Finds the macros that use a column, also among the arguments of others.
pub fn columns(tokens: TokenStream, found: &mut Vec<Rewrite>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => columns(group.stream(), found),
            TokenTree::Ident(ident) => {
                let follows =
                    |n: usize, c: char| matches!(tokens.get(n), Some(TokenTree::Punct(p)) if p.as_char() == c);
                let Some(TokenTree::Group(group)) = tokens.get(at + 2) else { continue };
                let is_in_path = at > 0 && follows(at - 1, ':');
                if !follows(at + 1, '!') || is_in_path || group.delimiter() == Delimiter::None {
                    continue;
                }
                let name = ident.span().byte_range();
                let column = ident.span().start().column + 1;
                if ident == "column" && group.stream().is_empty() {
                    found.push(Rewrite::instead(name.start..group.span().byte_range().end, format!("{column}u32")));
                } else if ident == "dbg" {
                    found.push(Rewrite::instead(name, "::mobula::__dbg_at"));
                    found.push(Rewrite::opening(group.span_open().byte_range().end, format!("{column},")));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse_cell;
    use super::*;

    fn rewritten(code: &str) -> String {
        let parsed = parse_cell(code).unwrap();
        let mut all = parsed.rewrites.clone();
        all.extend(parsed.returns.iter().flat_map(|found| found.rewrites(false, false)));
        all.sort_by_key(|rewrite| rewrite.range.start);
        let mut text = code.to_owned();
        all.iter().rev().for_each(|rewrite| text.replace_range(rewrite.range.clone(), &rewrite.text));
        text
    }

    #[test]
    fn a_return_of_the_cell_is_one_of_its_function_and_those_of_closures_stay() {
        assert_eq!(rewritten("if x { return; }"), "if x { return ::mobula::__private::returned(()); }");
        assert_eq!(
            rewritten("match x { Err(e) => return Err(e), Ok(_) => return Ok(()) }"),
            "match x { Err(e) => return ::mobula::__private::returned(Err::<(), _>(e)), \
             Ok(_) => return ::mobula::__private::returned(Ok::<_, ::core::convert::Infallible>(())) }"
        );
        for code in ["let f = || { return 1; };", "let f = async { return 1 };", "{ fn f() { return } }"] {
            assert_eq!(rewritten(code), code);
        }
        let debugged = parse_cell("return f()").unwrap().returns[0].rewrites(true, false);
        assert_eq!(debugged[1].text, format!("){DEBUGGED})"));
        let boxed = parse_cell("return Err(e.into())").unwrap().returns[0].rewrites(false, true);
        assert_eq!(boxed[1].text, BOXED_ERROR);
    }

    #[test]
    fn the_error_type_of_a_shown_ok_is_told() {
        assert_eq!(rewritten("f()?;\nOk(())"), "f()?;\nOk::<_, ::core::convert::Infallible>(())");
        assert_eq!(rewritten("Ok::<u8, String>(1)"), "Ok::<u8, String>(1)");
    }

    #[test]
    fn parameters_of_a_closure_are_named_for_interact() {
        let code = "w::interact(|x: f64, (a, b): P| x, (1, 2));";
        let expected = "w::interact(::mobula::__private::named(&[\"x\", \"\"], |x: f64, (a, b): P| x), (1, 2));";
        assert_eq!(rewritten(code), expected);
        for code in ["interact(f, (1,));", "interact();", "act(|x: f64| x);"] {
            assert_eq!(rewritten(code), code);
        }
    }

    #[test]
    fn columns_are_those_of_the_cell() {
        assert_eq!(rewritten("let ä = dbg!(x);"), "let ä = ::mobula::__dbg_at!(9,x);");
        assert_eq!(rewritten("println!(\"{}\",\n  column!());"), "println!(\"{}\",\n  3u32);");
        assert_eq!(rewritten("dbg!(dbg!())"), "::mobula::__dbg_at!(1,::mobula::__dbg_at!(6,))");
        assert_eq!(rewritten("std::dbg!(x)"), "std::dbg!(x)");
    }
}
