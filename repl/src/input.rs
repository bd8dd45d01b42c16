//! Where a cell ends when a person types it line by line.
//!
//! [`mobula_session::completeness`] looks at brackets. A line can have all its brackets and still want another one: an
//! attribute waits for its item, `fn f() -> u8` for its body, `1 +` for a number. And a line can be whole and still be
//! continued by the next one, as in
//!
//! ```text
//! numbers.iter()
//!     .sum::<u64>()
//! ```
//!
//! Nobody can tell that from the first line. At the prompt, Alt-Enter puts in a line break; in a pipe the next line is
//! looked at where there is one ([`goes_on`]).

use crate::lex::{Kind, Token, tokens};
use mobula_session::{Completeness, completeness};

/// Keywords that end no statement.
const WAITING: [&str; 29] = [
    "as",
    "async",
    "const",
    "dyn",
    "else",
    "enum",
    "extern",
    "fn",
    "for",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "match",
    "mod",
    "move",
    "mut",
    "pub",
    "ref",
    "static",
    "struct",
    "trait",
    "type",
    "unsafe",
    "use",
    "where",
    "while",
    "macro_rules",
];

/// Keywords whose statement has a block, or ends with `;`.
const WITH_BLOCK: [&str; 13] =
    ["else", "enum", "fn", "for", "if", "impl", "loop", "macro_rules", "match", "mod", "struct", "trait", "while"];

/// Words that may stand before one of [`WITH_BLOCK`].
const BEFORE: [&str; 5] = ["async", "const", "extern", "pub", "unsafe"];

/// Whether `text`, as it was typed so far, is to be run.
pub(crate) fn ready(text: &str) -> Completeness {
    if is_command(text) {
        return Completeness::Complete;
    }
    match completeness(text) {
        Completeness::Complete if waits(text) => Completeness::Incomplete { indent: String::new() },
        Completeness::Complete if hangs(text) => Completeness::Incomplete { indent: "    ".into() },
        answer => answer,
    }
}

/// Whether `text` is one `:command`.
pub(crate) fn is_command(text: &str) -> bool {
    let text = text.trim();
    text.starts_with(':') && !text.starts_with("::") && !text.contains('\n')
}

/// Whether there is nothing in `text` that could be run.
pub(crate) fn is_blank(text: &str) -> bool {
    !tokens(text).into_iter().any(Token::is_code)
}

/// Whether a cell that is complete could still be continued by the next line.
pub(crate) fn could_go_on(text: &str) -> bool {
    let code: Vec<Token> = tokens(text).into_iter().filter(|t| t.is_code()).collect();
    !is_command(text) && code.last().is_some_and(|last| &text[last.range()] != ";")
}

/// Whether `line` can only be the rest of the statement before it.
pub(crate) fn goes_on(line: &str) -> bool {
    let first = tokens(line).into_iter().find(|t| t.is_code());
    first.is_some_and(|first| {
        let word = &line[first.range()];
        matches!(
            word,
            "." | "?" | "else" | "&&" | "||" | "+" | "/" | "%" | "=" | "==" | "!=" | "as" | "where" | "=>" | "->"
        )
    })
}

/// Whether the text ends in the middle of an expression.
fn hangs(text: &str) -> bool {
    let Some(last) = tokens(text).into_iter().rfind(|t| t.is_code()) else { return false };
    let word = &text[last.range()];
    match last.kind {
        Kind::Keyword | Kind::Name => WAITING.contains(&word),
        Kind::Punct => {
            !matches!(word, ";" | "?" | ">" | ">>" | ".." | "*" | "_" | "!" | "$" | "'" | "\\" | "`" | "~" | "@" | "#")
        }
        _ => false,
    }
}

/// Whether the text ends where an item or a block must follow: after an attribute, a doc comment, or a head without a body.
fn waits(text: &str) -> bool {
    let code: Vec<Token> = tokens(text).into_iter().filter(|t| t.is_code()).collect();
    let Some(last) = code.last() else { return false };
    if last.kind == Kind::DocComment {
        return true;
    }
    let last = last_statement(text, &code);
    let statement = without_attributes(text, last);
    if statement.is_empty() {
        return !last.is_empty();
    }
    let mut words = statement.iter().filter(|t| t.kind != Kind::Literal && t.kind != Kind::Lifetime);
    let head =
        words.find(|t| !BEFORE.contains(&&text[t.range()]) && !matches!(&text[t.range()], "(" | ")" | "crate" | ":"));
    let has_block = statement.iter().any(|t| &text[t.range()] == "{");
    head.is_some_and(|t| WITH_BLOCK.contains(&&text[t.range()])) && !has_block
}

/// The tokens after the last `;` or `}` that stands outside of brackets.
fn last_statement<'t>(text: &str, code: &'t [Token]) -> &'t [Token] {
    let (mut depth, mut begin) = (0usize, 0);
    for (at, token) in code.iter().enumerate() {
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && matches!(&text[token.range()], ";" | "}") {
            begin = at + 1;
        }
    }
    &code[begin..]
}

/// `statement` without the attributes and doc comments that it begins with.
fn without_attributes<'t>(text: &str, mut statement: &'t [Token]) -> &'t [Token] {
    loop {
        match statement {
            [doc, rest @ ..] if doc.kind == Kind::DocComment => statement = rest,
            [hash, open, ..] if &text[hash.range()] == "#" && &text[open.range()] == "[" => {
                let mut depth = 0usize;
                let end = statement.iter().position(|t| {
                    match t.kind {
                        Kind::Open => depth += 1,
                        Kind::Close => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                    t.kind == Kind::Close && depth == 0
                });
                statement = end.map_or(&[], |end| &statement[end + 1..]);
            }
            _ => return statement,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(text: &str) -> bool {
        ready(text) == Completeness::Complete
    }

    #[test]
    fn a_whole_line_runs() {
        let lines = [
            "1 + 1",
            "let x = 5;",
            "let x = 5",
            "x",
            "struct A;",
            "struct P(i32);",
            "fn f() {}",
            "use std::fmt;",
            "x?",
            "vec![1]",
            "if a { b } else { c }",
            "0..",
            "f::<Vec<u8>>",
            "return",
            "#[test] fn f() {}",
            "#![allow(dead_code)]",
            "println!(\"{\")",
            "let f = |x| x + 1;",
            "mod m;",
            "// for",
            "",
            ":vars",
            "let Some(x) = y else { panic!() };",
            "impl A {} f(1)",
            "*x",
            "type A = B;",
            "\"if\"",
            "pub(crate) struct A;",
            "let c = 'x';",
        ];
        for line in lines {
            assert!(runs(line), "{line}");
        }
    }

    #[test]
    fn a_head_without_a_body_waits() {
        let lines = [
            "fn f() -> u8",
            "pub(crate) async fn f()",
            "struct P",
            "impl Display for P",
            "if x > 1",
            "match x",
            "for i in 0..3",
            "unsafe extern \"C\" fn f()",
            "let a = 1; fn f()",
            "#[derive(Debug)] struct A",
            "while let Some(x) = y.pop()",
            "trait T: Sized",
            "if a { b } else if c",
        ];
        for line in lines {
            assert!(!runs(line), "{line}");
        }
    }

    #[test]
    fn an_attribute_or_a_doc_comment_waits_for_its_item() {
        for line in
            ["#[derive(Debug)]", "/// A point.", "let a = 1;\n#[test]", "#[a]\n#[b]", "/// A point.\n#[derive(Debug)]"]
        {
            assert!(!runs(line), "{line}");
        }
    }

    #[test]
    fn an_expression_that_hangs_waits_with_an_indent() {
        for line in ["1 +", "let x =", "f().", "a &&", "x as", "let", "a,", "let f = |x|"] {
            assert_eq!(ready(line), Completeness::Incomplete { indent: "    ".into() }, "{line}");
        }
    }

    #[test]
    fn a_command_is_one_line_whatever_it_says() {
        assert!(runs(":type f("));
        assert!(runs(" :dep serde = {"));
        assert!(!is_command("::std::process::id()"));
        assert!(!is_command(":dep a\nf("));
    }

    #[test]
    fn a_line_that_begins_with_a_point_belongs_to_the_one_before() {
        for line in [".sum()", "    .sum()", "else {", "? ;", "&& b", "+ 1", "/ 2", "as u8"] {
            assert!(goes_on(line), "{line}");
        }
        for line in ["..", "..5", "x", "", "// .sum()", "*x = 1", "-1", "&x", "{", "|x| x", "<T as X>::f()", "#[a]"] {
            assert!(!goes_on(line), "{line}");
        }
    }

    #[test]
    fn a_statement_that_ends_with_a_semicolon_cannot_go_on() {
        assert!(could_go_on("a.b()"));
        assert!(could_go_on("if a {}"));
        assert!(!could_go_on("let a = 1; // one"));
        assert!(!could_go_on(":vars"));
    }

    #[test]
    fn comments_alone_are_nothing_to_run() {
        assert!(is_blank(" // a\n/* b */\n"));
        assert!(!is_blank("/// a"));
        assert!(!is_blank("a"));
    }
}
