//! The words of a piece of code: the names that it may mention.

use proc_macro2::{TokenStream, TokenTree};
use std::collections::HashSet;

/// Every word, also those in the braces of a format string. Too many words do no harm: a field, or a word in a text, may have a variable's
/// name.
pub fn mentioned(tokens: TokenStream) -> HashSet<String> {
    let mut names = HashSet::new();
    collect(tokens, &mut names);
    names
}

fn collect(tokens: TokenStream, names: &mut HashSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                names.insert(plain(&ident.to_string()).to_owned());
            }
            TokenTree::Group(group) => collect(group.stream(), names),
            TokenTree::Literal(literal) => in_braces(&literal.to_string(), names),
            TokenTree::Punct(_) => {}
        }
    }
}

/// A name without the `r#` of a raw identifier.
pub fn plain(name: &str) -> &str {
    name.strip_prefix("r#").unwrap_or(name)
}

/// The words of any text, such as a type's.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// Adds the names in braces: `{name}`, `{name:?}`, `{0:width$}`.
fn in_braces(literal: &str, names: &mut HashSet<String>) {
    let mut rest = literal;
    while let Some(at) = rest.find('{') {
        rest = &rest[at + 1..];
        let inside = &rest[..rest.find('}').unwrap_or(rest.len())];
        names.extend(words(inside).filter(|word| !word.starts_with(char::is_numeric)).map(str::to_owned));
    }
}

/// The name of a parameter; empty for a pattern.
pub fn name_of_parameter(pattern: &syn::Pat) -> String {
    match pattern {
        syn::Pat::Ident(name) => plain(&name.ident.to_string()).to_owned(),
        syn::Pat::Type(typed) => name_of_parameter(&typed.pat),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_macros_and_format_strings_count() {
        let tokens = r#"println!("{a} {b:?} {0:>c$} {{d", e.f(g!{h}), r#type)"#.parse().unwrap();
        let names = mentioned(tokens);
        for name in ["a", "b", "c", "e", "f", "g", "h", "type"] {
            assert!(names.contains(name), "{name} in {names:?}");
        }
    }
}
