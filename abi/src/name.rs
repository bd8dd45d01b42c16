//! A task's name, as the author of the function knows it.
//!
//! ```text
//! ctx::half                                      half
//! ctx::stats::mean<alloc::vec::Vec<f64>>         stats::mean<Vec<f64>>
//! <ctx::Counter as ctx::Shape>::area             Counter::area
//! ctx::run_user_code_3::{{closure}}              closure
//! ```

/// Longer names are cut, because each line that a task prints begins with its name.
const NAME_CHARS_MAX: usize = 80;

/// A task's name, from the function path in its submission. A name without a crate before it, such as `split().0`,
/// stays as it is.
pub fn task_name(path: &str) -> String {
    let name = match qualified(path) {
        Some((of, rest)) => format!("{}::{rest}", shorten(of)),
        None => {
            let segments = segments(path);
            if segments.last().is_some_and(|last| last.starts_with('{')) {
                return "closure".into();
            }
            // The first segment is the crate. Compiler-made segments (`{impl#0}`, and the function that a cell's
            // statements become) say nothing to a person.
            let mine =
                segments.iter().skip(1).filter(|part| !part.starts_with('{') && !part.starts_with("run_user_code_"));
            let mine: Vec<_> = mine.map(|part| shorten(part)).collect();
            if mine.is_empty() { shorten(path) } else { mine.join("::") }
        }
    };
    cut(name)
}

/// A long name without its first modules; a name that is still too long loses its end.
fn cut(name: String) -> String {
    let fits = |name: &str| name.chars().count() <= NAME_CHARS_MAX;
    if fits(&name) {
        return name;
    }
    let segments = segments(&name);
    let shorter = (1..segments.len()).map(|dropped| format!("…::{}", segments[dropped..].join("::")));
    match shorter.into_iter().find(|name| fits(name)) {
        Some(name) => name,
        None => name.chars().take(NAME_CHARS_MAX - 1).chain(['…']).collect(),
    }
}

/// `<A as B>::rest` as `A` and `rest`.
fn qualified(path: &str) -> Option<(&str, &str)> {
    let inner = path.strip_prefix('<')?;
    let mut depth = 1_usize;
    for (at, c) in inner.char_indices() {
        match c {
            '<' => depth += 1,
            '>' if !inner[..at].ends_with('-') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            let of = inner[..at].split(" as ").next()?;
            return Some((of, inner[at + 1..].strip_prefix("::")?));
        }
    }
    None
}

/// The path's segments, split at the `::` that stand outside of all brackets.
fn segments(path: &str) -> Vec<&str> {
    let mut segments = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (at, c) in path.char_indices() {
        match c {
            '<' | '(' | '[' | '{' => depth += 1,
            '>' if path[..at].ends_with('-') => {}
            '>' | ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ':' if depth == 0 && path[at..].starts_with("::") => {
                segments.push(&path[start..at]);
                start = at + 2;
            }
            _ => {}
        }
    }
    segments.push(&path[start..]);
    segments
}

/// The colour of a function, by its name, as a hue in degrees: the same on the page and wherever else functions have colours.
pub fn hue(name: &str) -> u16 {
    // FNV-1a: short, and spreads names that differ in one letter.
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    // Its high bits are the mixed ones.
    ((u64::from(hash) * 360) >> 32) as u16
}

/// A type's name with each path cut to its last word.
pub fn shorten(text: &str) -> String {
    let mut short = String::with_capacity(text.len());
    let mut word = 0; // Where the current path begins in `short`.
    for (at, c) in text.char_indices() {
        short.push(c);
        if c == ':' && text[..at].ends_with(':') {
            short.truncate(word);
        } else if !(c.is_alphanumeric() || c == '_' || c == ':') {
            word = short.len();
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_called_what_its_author_called_it() {
        assert_eq!(task_name("ctx::half"), "half");
        assert_eq!(task_name("ctx::stats::mean<alloc::vec::Vec<f64>>"), "stats::mean<Vec<f64>>");
        assert_eq!(
            task_name("ctx::f<alloc::vec::Vec<(i64, alloc::string::String)>, [u8; 4]>"),
            "f<Vec<(i64, String)>, [u8; 4]>"
        );
        assert_eq!(task_name("<ctx::Counter as ctx::Shape>::area"), "Counter::area");
        assert_eq!(task_name("<ctx::Map<fn() -> ctx::A> as ctx::Shape>::area"), "Map<fn() -> A>::area");
        assert_eq!(task_name("ctx::run_user_code_12::half"), "half");
        assert_eq!(task_name("core::num::<impl i64>::abs"), "num::<impl i64>::abs");
    }

    #[test]
    fn a_closure_is_called_closure() {
        assert_eq!(task_name("ctx::run_user_code_3::{{closure}}"), "closure");
        assert_eq!(of_value(&|| 1), "closure");
    }

    #[test]
    fn a_task_of_this_crates_own_keeps_its_name() {
        assert_eq!(task_name("split().0"), "split().0");
        assert_eq!(task_name("half"), "half");
    }

    #[test]
    fn a_long_name_loses_its_modules_first() {
        let name = task_name(&format!("ctx::{}::half", "x".repeat(500)));
        assert_eq!(name, "…::half");
        let name = task_name(&format!("ctx::{}", "x".repeat(500)));
        assert_eq!(name.chars().count(), NAME_CHARS_MAX);
        assert!(name.ends_with('…'));
    }

    #[test]
    fn a_function_has_one_hue_and_others_have_others() {
        assert_eq!(hue("half"), hue("half"));
        let mut hues: Vec<u16> = ["half", "sum", "load", "train", "Counter::add"].map(hue).to_vec();
        hues.sort_unstable();
        hues.dedup();
        assert!(hues.len() == 5 && hues.iter().all(|hue| *hue < 360), "{hues:?}");
    }

    fn of_value<F>(_: &F) -> String {
        task_name(std::any::type_name::<F>())
    }
}
