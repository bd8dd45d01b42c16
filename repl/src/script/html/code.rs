//! Rust code in colours: a class for each kind of token.

use super::encode::escaped;
use crate::lex::{Kind, tokens};

/// The code as HTML.
pub(super) fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for token in tokens(text) {
        let words = escaped(&text[token.range()]);
        match class(token.kind) {
            Some(class) => out.push_str(&format!("<span class=\"{class}\">{words}</span>")),
            None => out.push_str(&words),
        }
    }
    out
}

fn class(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Comment | Kind::DocComment => Some("c"),
        Kind::Keyword => Some("k"),
        Kind::Type => Some("t"),
        Kind::Macro => Some("m"),
        Kind::Lifetime => Some("l"),
        Kind::Literal => Some("s"),
        Kind::Number => Some("n"),
        Kind::Space | Kind::Name | Kind::Open | Kind::Close | Kind::Punct => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_the_class_of_their_kind_and_no_character_is_lost() {
        assert_eq!(
            code("let a = \"<b>\"; // &"),
            "<span class=\"k\">let</span> a = <span class=\"s\">&quot;&lt;b&gt;&quot;</span>; <span class=\"c\">// &amp;</span>"
        );
        assert_eq!(
            code("let s = \"unfinished"),
            "<span class=\"k\">let</span> s = <span class=\"s\">&quot;unfinished</span>"
        );
    }
}
