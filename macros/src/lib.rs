//! `#[remote]`: marks a function that is meant to run as a task, and leaves it exactly as it is.
//!
//! Any function can be a task without this attribute. Options will be its arguments; until they exist, an argument is a
//! compile error, because an option that is silently ignored would be worse.

use proc_macro::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

/// Marks a function that is run with `.remote(…)`. The function itself is not changed.
///
/// ```
/// # use mobula_macros::remote;
/// #[remote]
/// fn half(n: u32) -> u32 {
///     n / 2
/// }
/// assert_eq!(half(8), 4);
/// ```
///
/// Options are not supported yet:
///
/// ```compile_fail
/// # use mobula_macros::remote;
/// #[remote(num_cpus = 2)]
/// fn half(n: u32) -> u32 {
///     n / 2
/// }
/// ```
#[proc_macro_attribute]
pub fn remote(options: TokenStream, item: TokenStream) -> TokenStream {
    if let Some(first) = options.clone().into_iter().next() {
        let given = option_names(options).join("`, `");
        return refuse(
            first.span(),
            &format!(
                "`#[remote]` takes no options in this version: `{given}` is not supported yet; write `#[remote]` alone"
            ),
        );
    }
    if !is_function(item.clone()) {
        let span = item.into_iter().next().map_or_else(Span::call_site, |token| token.span());
        return refuse(span, "`#[remote]` stands on a function: only a function can run as a task");
    }
    item
}

/// The first word of each comma-separated option.
fn option_names(options: TokenStream) -> Vec<String> {
    let mut names = Vec::new();
    let mut at_start = true;
    for token in options {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == ',' => at_start = true,
            token if at_start => {
                names.push(token.to_string());
                at_start = false;
            }
            _ => {}
        }
    }
    names
}

/// Whether the item is a function: only attributes and qualifiers come before the word `fn`.
fn is_function(item: TokenStream) -> bool {
    for token in item {
        match token {
            TokenTree::Ident(word) => match word.to_string().as_str() {
                "fn" => return true,
                "pub" | "const" | "async" | "unsafe" | "extern" => {}
                _ => return false,
            },
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return false,
            TokenTree::Group(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
    false
}

/// `compile_error!("…");` at `span`.
fn refuse(span: Span, message: &str) -> TokenStream {
    let text = TokenTree::Literal(Literal::string(message));
    let mut tokens = [
        TokenTree::Ident(Ident::new("compile_error", span)),
        TokenTree::Punct(Punct::new('!', Spacing::Alone)),
        TokenTree::Group(Group::new(Delimiter::Parenthesis, TokenStream::from(text))),
        TokenTree::Punct(Punct::new(';', Spacing::Alone)),
    ];
    for token in &mut tokens {
        token.set_span(span);
    }
    TokenStream::from_iter(tokens)
}
