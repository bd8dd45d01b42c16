//! Rust text as the compiler's tokens.

use ra_ap_rustc_lexer::{FrontmatterAllowed, TokenKind, tokenize};

/// The compiler's tokens, each with its text.
pub(crate) fn tokens(code: &str) -> impl Iterator<Item = (TokenKind, &str)> {
    let mut rest = code;
    tokenize(code, FrontmatterAllowed::No).map(move |token| {
        let (text, after) = rest.split_at(token.len as usize);
        rest = after;
        (token.kind, text)
    })
}
