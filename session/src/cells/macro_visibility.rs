//! Visibility of the items in a macro's tokens: `pub` is inserted into a macro's rules, and into a call's arguments.

use super::edit::Edit;
use super::mentions::mentioned;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Makes the items that a `macro_rules!` produces visible to later cells. Returns whether a rule produces items.
pub fn publish_rules(tokens: TokenStream, edits: &mut Vec<Edit>) -> bool {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut makes_items = false;
    for rule in tokens.split(|token| is_punct(token, ';')).filter(|rule| !rule.is_empty()) {
        let Some(TokenTree::Group(transcriber)) = rule.last() else { return false };
        let body: Vec<TokenTree> = transcriber.stream().into_iter().collect();
        let mut of_rule = Vec::new();
        let is_item = Items { tokens: &body, edits: &mut of_rule }.all();
        // Another rule of the same macro may produce an expression; then only its expansion tells whether a call makes items.
        if is_item {
            edits.extend(of_rule);
            makes_items = true;
        }
    }
    makes_items
}

const KINDS: &[&str] = &["struct", "enum", "union", "trait", "type", "static", "mod", "fn", "const", "impl"];
const QUALIFIERS: &[&str] = &["const", "async", "unsafe", "extern", "safe"];

fn is_punct(token: &TokenTree, c: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == c)
}

fn word(token: Option<&TokenTree>) -> String {
    match token {
        Some(TokenTree::Ident(ident)) => ident.to_string(),
        _ => String::new(),
    }
}

fn start(token: &TokenTree) -> usize {
    token.span().byte_range().start
}

fn publish(at: usize, edits: &mut Vec<Edit>) {
    edits.push(Edit { range: at..at, text: "pub ".into() });
}

fn group(token: Option<&TokenTree>, delimiter: Delimiter) -> Option<TokenStream> {
    match token {
        Some(TokenTree::Group(group)) if group.delimiter() == delimiter => Some(group.stream()),
        _ => None,
    }
}

/// The place behind the attributes that begin here: `#[…]`, and `$(#[$meta])*`.
fn behind_attributes(tokens: &[TokenTree], mut at: usize) -> usize {
    loop {
        let is_attribute = tokens.get(at).is_some_and(|token| is_punct(token, '#'));
        let repeated =
            tokens.get(at).filter(|token| is_punct(token, '$')).and(group(tokens.get(at + 1), Delimiter::Parenthesis));
        let is_repeated =
            repeated.is_some_and(|inner| inner.into_iter().next().is_some_and(|token| is_punct(&token, '#')));
        at += match (is_attribute, is_repeated) {
            (true, _) => 2,
            (_, true) => 3,
            _ => return at,
        };
    }
}

/// The place behind a visibility, and whether there is one: `pub`, `pub(crate)`, or `$vis`, which is known by what follows it.
fn behind_visibility(tokens: &[TokenTree], at: usize) -> (usize, bool) {
    if word(tokens.get(at)) == "pub" {
        let is_restricted = group(tokens.get(at + 1), Delimiter::Parenthesis).is_some();
        return (at + 1 + usize::from(is_restricted), true);
    }
    let is_variable = tokens.get(at).is_some_and(|token| is_punct(token, '$')) && !word(tokens.get(at + 1)).is_empty();
    let next = tokens.get(at + 2);
    let goes_on = !word(next).is_empty() || next.is_some_and(|token| is_punct(token, '$'));
    if is_variable && goes_on { (at + 2, true) } else { (at, false) }
}

/// The contents of the braces of `cfg_if!`, as in `if #[cfg(unix)] { … } else { … }`, or of those behind the arrows of `cfg_select!`, as in
/// `unix => { … } _ => { … }`.
fn branches(tokens: &[TokenTree]) -> Vec<Vec<TokenTree>> {
    let is_if = word(tokens.first()) == "if" && tokens.get(1).is_some_and(|token| is_punct(token, '#'));
    let is_behind_arrow = |at: usize| at > 1 && is_punct(&tokens[at - 2], '=') && is_punct(&tokens[at - 1], '>');
    let braces = (0..tokens.len()).filter(|at| is_if || is_behind_arrow(*at));
    let inner = braces.filter_map(|at| group(tokens.get(at), Delimiter::Brace));
    inner.map(|inner| inner.into_iter().collect()).collect()
}

pub fn begins_as_item(tokens: &[TokenTree]) -> bool {
    if let Some(branch) = branches(tokens).into_iter().find(|branch| !branch.is_empty()) {
        return begins_as_item(&branch);
    }
    let (at, _) = behind_visibility(tokens, behind_attributes(tokens, 0));
    let first = word(tokens.get(at));
    KINDS.contains(&first.as_str()) || (QUALIFIERS.contains(&first.as_str()) && word(tokens.get(at + 1)) == "fn")
}

/// Makes the items among a macro's arguments public, each behind the end of another.
pub fn publish_arguments(tokens: &[TokenTree], edits: &mut Vec<Edit>) {
    for branch in branches(tokens) {
        // The compiler refuses whatever in it is no item.
        Items { tokens: &branch, edits }.all();
    }
    let mut at = 0;
    while at < tokens.len() {
        let (first, is_visible) = behind_visibility(tokens, behind_attributes(tokens, at));
        let kind = word(tokens.get(first));
        if KINDS.contains(&kind.as_str()) && kind != "impl" && !is_visible {
            publish(start(&tokens[first]), edits);
        }
        let is_end = |token: &TokenTree| {
            is_punct(token, ';') || matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
        };
        at = tokens[first..].iter().position(is_end).map_or(tokens.len(), |end| first + end + 1);
    }
}

/// The items that a rule of a macro produces.
struct Items<'a> {
    tokens: &'a [TokenTree],
    edits: &'a mut Vec<Edit>,
}

impl Items<'_> {
    /// Makes them public. Returns whether there are some, and nothing else.
    fn all(mut self) -> bool {
        let mut at = 0;
        while at < self.tokens.len() {
            let Some(next) = self.one(at) else { return false };
            at = next;
        }
        !self.tokens.is_empty()
    }

    /// Takes one item, or a repetition of items. Returns the place behind it.
    fn one(&mut self, at: usize) -> Option<usize> {
        let tokens = self.tokens;
        let at = behind_attributes(tokens, at);
        if tokens.get(at).is_some_and(|token| is_punct(token, '$'))
            && let Some(inner) = group(tokens.get(at + 1), Delimiter::Parenthesis)
        {
            let inner: Vec<TokenTree> = inner.into_iter().collect();
            let is_item = Items { tokens: &inner, edits: self.edits }.all();
            let behind = tokens[at + 2..].iter().position(|token| !matches!(token, TokenTree::Punct(_)));
            return is_item.then_some(behind.map_or(tokens.len(), |behind| at + 2 + behind));
        }
        let (first, is_visible) = behind_visibility(tokens, at);
        let mut kind = first;
        while QUALIFIERS.contains(&word(tokens.get(kind)).as_str()) && tokens.get(kind + 1).is_some() {
            let is_item =
                !QUALIFIERS.contains(&word(tokens.get(kind + 1)).as_str()) && word(tokens.get(kind + 1)) != "fn";
            if word(tokens.get(kind)) == "const" && is_item {
                break;
            }
            kind += 1;
        }
        let name = word(tokens.get(kind));
        if !KINDS.contains(&name.as_str()) {
            return None;
        }
        let is_end = |token: &TokenTree| match name.as_str() {
            "const" | "static" | "type" => is_punct(token, ';'),
            _ => is_punct(token, ';') || group(Some(token), Delimiter::Brace).is_some(),
        };
        let end = kind + tokens[kind..].iter().position(is_end)?;
        let head = &tokens[kind..end];
        // A method; its place is inside an `impl`, which decides its visibility.
        let is_method = |token: &TokenTree| {
            group(Some(token), Delimiter::Parenthesis).is_some_and(|inner| mentioned(inner).contains("self"))
        };
        if name == "fn" && head.iter().any(is_method) {
            return None;
        }
        if name == "impl" {
            if !head.iter().any(|token| word(Some(token)) == "for") {
                self.members(group(tokens.get(end), Delimiter::Brace)?);
            }
            return Some(end + 1);
        }
        if !(is_visible || name == "const" && word(tokens.get(kind + 1)) == "_") {
            publish(start(&tokens[first]), self.edits);
        }
        if name == "struct" || name == "union" {
            let fields = group(tokens.get(end), Delimiter::Brace);
            let unnamed = head.iter().find_map(|token| group(Some(token), Delimiter::Parenthesis));
            fields.or(unnamed).into_iter().for_each(|fields| self.fields(fields));
        }
        Some(end + 1)
    }

    /// Makes the fields of a struct public, named or not.
    fn fields(&mut self, fields: TokenStream) {
        let tokens: Vec<TokenTree> = fields.into_iter().collect();
        let (mut begins, mut angles) = (true, 0usize);
        let mut at = 0;
        while at < tokens.len() {
            if std::mem::take(&mut begins) {
                at = behind_attributes(&tokens, at);
                let Some(token) = tokens.get(at) else { return };
                let repeated = group(tokens.get(at + 1), Delimiter::Parenthesis).filter(|_| is_punct(token, '$'));
                match repeated {
                    Some(inner) => self.fields(inner),
                    None if !behind_visibility(&tokens, at).1 => publish(start(token), self.edits),
                    None => {}
                }
            }
            match &tokens[at] {
                token if is_punct(token, '<') => angles += 1,
                token if is_punct(token, '>') => angles = angles.saturating_sub(1),
                token if is_punct(token, ',') && angles == 0 => begins = true,
                _ => {}
            }
            at += 1;
        }
    }

    /// Makes the members of an inherent `impl` public.
    fn members(&mut self, members: TokenStream) {
        let tokens: Vec<TokenTree> = members.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            let token = &tokens[at];
            if is_punct(token, '$')
                && let Some(inner) = group(tokens.get(at + 1), Delimiter::Parenthesis)
            {
                self.members(inner);
                at += 2;
                continue;
            }
            let is_qualified = QUALIFIERS.contains(&word(tokens.get(at)).as_str());
            if is_qualified || word(tokens.get(at)) == "fn" {
                let before = at.checked_sub(1).map(|before| &tokens[before]);
                let is_restricted = group(before, Delimiter::Parenthesis).is_some();
                let is_variable = at >= 2 && is_punct(&tokens[at - 2], '$') && !is_restricted;
                if word(before) != "pub" && !is_restricted && !is_variable {
                    publish(start(token), self.edits);
                }
                // Goes to the end of the body, or of the constant.
                let is_end = |token: &TokenTree| is_punct(token, ';') || group(Some(token), Delimiter::Brace).is_some();
                at += tokens[at..].iter().position(is_end).unwrap_or(tokens.len());
            }
            at += 1;
        }
    }
}
