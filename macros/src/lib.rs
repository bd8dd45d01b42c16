//! `#[remote]`: says that a function is meant to run as a task, gives its tasks options, and leaves it a function as any other.

use proc_macro::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

/// Marks a function as one that is run with `.remote(…)`, and gives its tasks options. It stays a function as any other; with options, it is
/// not inlined into other crates.
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
/// The options are those of `.options()`, which override them: `num_cpus = 2`, `num_gpus = 0.5`, `memory = 1 << 30`,
/// `resources(tpu = 1)`, `max_retries = 3`, `retry_panics`, `max_calls = 100`, `name = "…"`, `env(KEY = "value")`.
///
/// ```text
/// #[remote(num_cpus = 2, resources(tpu = 1), retry_panics)]
/// fn train(epochs: u32) -> f64 { … }
/// ```
///
/// An option that does not exist is a compile error that lists those that do:
///
/// ```compile_fail
/// # use mobula_macros::remote;
/// #[remote(cpus = 2)]
/// fn half(n: u32) -> u32 {
///     n / 2
/// }
/// ```
#[proc_macro_attribute]
pub fn remote(options: TokenStream, item: TokenStream) -> TokenStream {
    let Some(name) = function_name(item.clone()) else {
        let span = item.into_iter().next().map_or_else(Span::call_site, |token| token.span());
        return refuse(span, "`#[remote]` stands on a function: only a function can run as a task");
    };
    match fields(options) {
        Ok(fields) if fields.is_empty() => item,
        Ok(fields) => {
            let kept = if is_about_inlining(item.clone()) { TokenStream::new() } else { never_inlined() };
            kept.into_iter().chain(item).chain(registration(&name, &fields)).collect()
        }
        Err((span, message)) => refuse(span, &message),
    }
}

/// `#[inline(never)]`. A library of which all functions were inlined elsewhere is not linked, and its registrations are lost with it.
fn never_inlined() -> TokenStream {
    "#[inline(never)]".parse().unwrap_or_default()
}

/// Whether a function has an attribute `inline` of its own.
fn is_about_inlining(item: TokenStream) -> bool {
    item.into_iter().any(|token| match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => {
            matches!(group.stream().into_iter().next(), Some(TokenTree::Ident(name)) if name.to_string() == "inline")
        }
        _ => false,
    })
}

/// The options that there are, as the error for another one lists them.
const OPTIONS: &str = "`num_cpus`, `num_gpus`, `memory`, `resources(name = amount)`, `max_retries`, `retry_panics`, `max_calls`, `name`, \
                       `env(NAME = \"value\")`";

/// What registers a function's options beside it.
fn registration(function: &str, fields: &str) -> TokenStream {
    let code = format!(
        "const _: () = {{ ::mobula::__private::inventory::submit! {{ ::mobula::__private::Defaults {{ \
         function: ::core::concat!(::core::module_path!(), \"::\", \"{function}\"), \
         options: || ::mobula::__private::TaskOptions {{ {fields} ..::core::default::Default::default() }} }} }} }};"
    );
    code.parse().unwrap_or_else(|_| refuse(Span::call_site(), "an option's value is no expression"))
}

/// The options as fields of `TaskOptions`; the place and the sentence of the first that is none.
fn fields(options: TokenStream) -> Result<String, (Span, String)> {
    let mut fields = String::new();
    for option in parted(options) {
        let Some(TokenTree::Ident(name)) = option.first() else {
            let span = option.first().map_or_else(Span::call_site, TokenTree::span);
            return Err((span, format!("an option begins with its name; there are {OPTIONS}")));
        };
        let (text, span) = (name.to_string(), name.span());
        let value = || match &option[1..] {
            [TokenTree::Punct(equals), value @ ..] if equals.as_char() == '=' && !value.is_empty() => {
                Ok(TokenStream::from_iter(value.iter().cloned()).to_string())
            }
            _ => Err((span, format!("`{text}` wants a value: `{text} = …`"))),
        };
        fields += &match text.as_str() {
            "num_cpus" | "num_gpus" => format!("{text}: Some(({}) as f64),", value()?),
            "memory" => format!("memory: Some(({}) as u64),", value()?),
            "max_retries" => format!("max_retries: Some(({}) as i32),", value()?),
            "max_calls" => format!("max_calls: Some(({}) as u32),", value()?),
            "name" => format!("name: Some(({}).to_string()),", value()?),
            "retry_panics" if option.len() == 1 => "retry_panics: Some(true),".into(),
            "retry_panics" => format!("retry_panics: Some({}),", value()?),
            "resources" => format!("resources: vec![{}],", pairs(&option[1..], span, "as f64")?),
            "env" => format!("env: vec![{}],", pairs(&option[1..], span, ".to_string()")?),
            "num_returns" => {
                return Err((
                    span,
                    "`num_returns` is not needed: `.split()` of a tuple's ref gives a ref for each element".into(),
                ));
            }
            _ => return Err((span, format!("`{text}` is not an option; there are {OPTIONS}"))),
        };
    }
    Ok(fields)
}

/// `(a = 1, b = 2)` as the pairs of a list.
fn pairs(tokens: &[TokenTree], span: Span, convert: &str) -> Result<String, (Span, String)> {
    let wrong = || (span, "this option is written as `name(key = value, …)`".to_owned());
    let [TokenTree::Group(group)] = tokens else { return Err(wrong()) };
    let mut pairs = String::new();
    for pair in parted(group.stream()) {
        let [TokenTree::Ident(key), TokenTree::Punct(equals), value @ ..] = pair.as_slice() else {
            return Err(wrong());
        };
        if equals.as_char() != '=' || value.is_empty() {
            return Err(wrong());
        }
        let value = TokenStream::from_iter(value.iter().cloned());
        pairs +=
            &format!("(\"{key}\".to_string(), ({value}){}{convert}),", if convert.starts_with('.') { "" } else { " " });
    }
    Ok(pairs)
}

/// The parts between commas that are not empty.
fn parted(tokens: TokenStream) -> Vec<Vec<TokenTree>> {
    let mut parts = vec![Vec::new()];
    for token in tokens {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == ',' => parts.push(Vec::new()),
            token => parts.last_mut().expect("never empty").push(token),
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// The name of the function that the item is, if it is one: only attributes and qualifiers come before the word `fn`.
fn function_name(item: TokenStream) -> Option<String> {
    let mut tokens = item.into_iter();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(word) => match word.to_string().as_str() {
                "fn" => return tokens.next().map(|name| name.to_string().trim_start_matches("r#").to_owned()),
                "pub" | "const" | "async" | "unsafe" | "extern" => {}
                _ => return None,
            },
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return None,
            TokenTree::Group(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
    None
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
