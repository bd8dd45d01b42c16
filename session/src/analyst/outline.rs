//! Completion without rust-analyzer: keywords, the session's own names, and a kept list of the standard library's. The analyst knows more,
//! but takes some seconds to get ready.

use crate::analyst::Snapshot;
use crate::analyst::std_names::{Name, StdNames};
use crate::event::{Completion, Completions};
use crate::tokens::tokens;
use ra_ap_rustc_lexer::TokenKind;

/// Keywords that a person types, in the order of their bytes.
pub const KEYWORDS: &[&str] = &[
    "Self", "as", "async", "await", "break", "const", "continue", "crate", "dyn", "else", "enum", "extern", "false",
    "fn", "for", "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub", "ref", "return", "self",
    "static", "struct", "super", "trait", "true", "type", "unsafe", "use", "where", "while",
];
/// Types and traits that every cell has.
const TYPES: &[&str] = &[
    "Array",
    "AsMut",
    "AsRef",
    "Box",
    "Buffer",
    "Clone",
    "Config",
    "Copy",
    "Debug",
    "Default",
    "Deserialize",
    "DoubleEndedIterator",
    "Drop",
    "Eq",
    "Err",
    "Extend",
    "Fn",
    "FnMut",
    "FnOnce",
    "From",
    "Into",
    "IntoIterator",
    "Iterator",
    "None",
    "ObjectRef",
    "Ok",
    "Option",
    "Ord",
    "PartialEq",
    "PartialOrd",
    "Result",
    "Send",
    "Serialize",
    "Sized",
    "Some",
    "String",
    "Sync",
    "ToOwned",
    "ToString",
    "TryFrom",
    "TryInto",
    "Vec",
    "bool",
    "char",
    "f32",
    "f64",
    "i128",
    "i16",
    "i32",
    "i64",
    "i8",
    "isize",
    "str",
    "u128",
    "u16",
    "u32",
    "u64",
    "u8",
    "usize",
];
/// Functions and macros that every cell has.
const FUNCTIONS: &[&str] = &[
    "assert!",
    "assert_eq!",
    "assert_ne!",
    "cfg!",
    "clear_output",
    "dbg!",
    "debug_assert!",
    "display",
    "display_as",
    "drop",
    "env!",
    "eprint!",
    "eprintln!",
    "format!",
    "get",
    "get_timeout",
    "include_str!",
    "init",
    "init_with",
    "matches!",
    "panic!",
    "print!",
    "println!",
    "put",
    "todo!",
    "unimplemented!",
    "unreachable!",
    "vec!",
    "wait",
    "write!",
    "writeln!",
];

/// The names that begin with the text before byte `cursor`. After `.` or `::`, those of a standard library type or path.
pub fn complete(snapshot: &Snapshot, std: &StdNames, code: &str, cursor: usize) -> Completions {
    let before = code.get(..cursor).unwrap_or_default();
    let (rest, typed) = before.split_at(before.trim_end_matches(is_part_of_name).len());
    let (start, rest) = (rest.len(), rest.trim_end());
    let of = |names: Vec<Name>| {
        let fitting = names.into_iter().filter(|(text, ..)| text.starts_with(typed));
        let items = fitting.map(|(code, kind, label)| Completion { code, kind, label }).collect();
        Completions { start, end: cursor, items }
    };
    if let Some(path) = rest.strip_suffix("::") {
        return of(std.below(&whole_path(snapshot, path)));
    }
    if let Some(value) = rest.strip_suffix('.') {
        let (before, name) = value.split_at(value.trim_end_matches(is_part_of_name).len());
        let is_alone = !before.trim_end().ends_with(['.', ':']);
        let ty = type_of(snapshot, name).filter(|_| is_alone);
        return of(ty.map(|ty| std.methods(ty)).unwrap_or_default());
    }
    if typed.is_empty() || typed.starts_with(|c: char| c.is_ascii_digit()) || rest.ends_with('"') {
        return Completions { start: cursor, end: cursor, items: Vec::new() };
    }
    let own = [&snapshot.variables, &snapshot.items].into_iter().flat_map(|text| made_in(text));
    let known = [(KEYWORDS, "keyword"), (FUNCTIONS, "function"), (TYPES, "class")];
    let known = known.into_iter().flat_map(|(names, kind)| names.iter().map(move |name| ((*name).to_owned(), kind)));
    let mut items: Vec<Completion> = Vec::new();
    for (name, kind) in own.chain(known).filter(|(name, _)| name.starts_with(typed)) {
        if items.iter().all(|item| item.code != name) {
            items.push(Completion { label: name.clone(), code: name, kind: kind.into() });
        }
    }
    Completions { start, end: cursor, items }
}

/// Whether a name may contain this character.
/// The variables that have values.
pub(crate) fn variables(snapshot: &Snapshot) -> impl Iterator<Item = &str> {
    let declared = snapshot.variables.lines().filter_map(|line| line.strip_prefix("let "));
    declared.filter_map(|line| line.trim_start_matches("mut ").split([':', ' ']).next())
}

/// The name that byte `cursor` of a text is in, or behind.
pub(crate) fn name_at(code: &str, cursor: usize) -> Option<&str> {
    let (before, after) = code.split_at_checked(cursor)?;
    let start = before
        .rfind(|c| !is_part_of_name(c))
        .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
    let end = cursor + after.find(|c| !is_part_of_name(c)).unwrap_or(after.len());
    Some(&code[start..end]).filter(|name| !name.is_empty())
}

pub(crate) fn is_part_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The path at the end of a text, from a known root and without its type's arguments: `HashMap` is what a `use` of the session says.
fn whole_path(snapshot: &Snapshot, text: &str) -> String {
    let mut text = text.trim_end();
    if text.ends_with('>') {
        text = text[..text.find('<').unwrap_or(text.len())].trim_end_matches("::");
    }
    let before = text.trim_end_matches(|c| is_part_of_name(c) || c == ':');
    let path = text[before.len()..].trim_start_matches("::");
    let (first, rest) = path.split_once("::").map_or((path, None), |(first, rest)| (first, Some(rest)));
    let uses = snapshot.items.lines().filter_map(|line| line.strip_prefix("use ")?.strip_suffix(';'));
    let meant = uses.map(|used| used.split_once(" as ").unwrap_or((used, used.rsplit("::").next().unwrap_or(used))));
    let whole = meant
        .filter(|(_, name)| *name == first)
        .map(|(path, _)| path.trim_start_matches("::"))
        .next_back()
        .unwrap_or(first);
    rest.map_or_else(|| whole.to_owned(), |rest| format!("{whole}::{rest}"))
}

/// The type of a variable of the session.
fn type_of<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a str> {
    snapshot.variables.lines().find_map(|line| {
        let rest = line.strip_prefix("let ")?;
        let rest = rest.strip_prefix("mut ").unwrap_or(rest).strip_prefix(name)?.strip_prefix(": ")?;
        rest.split_once(" = ").map(|(ty, _)| ty)
    })
}

/// The names that `code` defines outside brackets, each with its kind.
fn made_in(code: &str) -> Vec<(String, &'static str)> {
    let (mut names, mut depth, mut kind) = (Vec::new(), 0usize, None);
    for (token, text) in tokens(code) {
        match token {
            TokenKind::OpenParen | TokenKind::OpenBrace | TokenKind::OpenBracket => depth += 1,
            TokenKind::CloseParen | TokenKind::CloseBrace | TokenKind::CloseBracket => depth = depth.saturating_sub(1),
            TokenKind::Ident if depth == 0 => match (text, kind) {
                ("fn", _) => kind = Some("function"),
                ("macro_rules", _) => kind = Some("macro"),
                ("struct" | "enum" | "union" | "trait" | "type", _) => kind = Some("class"),
                ("mod", _) => kind = Some("module"),
                ("let" | "const" | "static", _) => kind = Some("instance"),
                ("mut" | "unsafe" | "async" | "extern", _) | (_, None) => {}
                (name, Some("macro")) => names.push((format!("{name}!"), kind.take().unwrap_or_default())),
                (name, Some(_)) => names.push((name.to_owned(), kind.take().unwrap_or_default())),
            },
            TokenKind::Semi | TokenKind::Eq => kind = None,
            _ => {}
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(code: &str) -> Vec<String> {
        let snapshot = Snapshot {
            items: "const fn average(values: &[f64]) -> f64 { let average_inside = 1; 0.0 }\nstruct Avocado { average: i32 }\n\
                    macro_rules! avoid { () => {} }"
                .into(),
            variables: "let mut available: Vec<i64> = unsafe { ::std::mem::zeroed() };\n".into(),
            ..Snapshot::default()
        };
        complete(&snapshot, &StdNames::default(), code, code.len()).items.into_iter().map(|item| item.code).collect()
    }

    #[test]
    fn the_session_s_own_names_come_before_those_that_every_cell_has() {
        assert_eq!(offered("let x = av"), ["available", "average", "avoid!"]);
        assert_eq!(offered("f(Av"), ["Avocado"]);
        assert_eq!(offered("as"), ["as", "async", "assert!", "assert_eq!", "assert_ne!"]);
        assert_eq!(offered("(Ve"), ["Vec"]);
    }

    #[test]
    fn keywords_are_sorted_so_that_they_can_be_searched() {
        assert!(KEYWORDS.is_sorted());
    }

    #[test]
    fn a_path_is_whole_with_what_the_session_uses_and_a_variable_has_its_type() {
        let snapshot = Snapshot {
            items: "use std::collections::HashMap;\nuse std::fs as files;\nfn f() {}\n".into(),
            variables: "let mut counts: std::collections::HashMap<u8, u8> = unsafe { ::std::mem::zeroed() };\n".into(),
            ..Snapshot::default()
        };
        let paths = [
            ("let x = HashMap", "std::collections::HashMap"),
            ("f(HashMap::<u8, Vec<u8>>", "std::collections::HashMap"),
            ("files", "std::fs"),
            ("é(::std::mem", "std::mem"),
            ("Vec", "Vec"),
        ];
        for (text, path) in paths {
            assert_eq!(whole_path(&snapshot, text), path, "{text}");
        }
        assert_eq!(type_of(&snapshot, "counts"), Some("std::collections::HashMap<u8, u8>"));
        assert_eq!(type_of(&snapshot, "count"), None);
    }

    #[test]
    fn of_a_value_a_module_or_a_number_nothing_is_known_at_once() {
        for code in ["x.av", "std::av", "1a", "", "av ", "\"av"] {
            assert_eq!(offered(code), [""; 0], "{code}");
        }
    }
}
