//! Commands of other programs that evaluate Rust, and habits from IPython: the answers to them.
//!
//! A notebook that was written for evcxr runs unchanged: its commands are carried out, answered, or ignored with a remark. A command of
//! IPython's or of a shell's is not Rust; the person is told what there is instead.

/// Commands of evcxr's and of IRust's that change nothing here: the name, and why nothing has to be done.
const PASSED_OVER: [(&str, &str); 19] = [
    (":sccache", "what was compiled is kept in any case"),
    (":cache", "what was compiled is kept in any case"),
    (":clear_cache", "`mobula doctor` says where the cache is"),
    (":preserve_vars_on_panic", "variables are kept in any case"),
    (":efmt", "errors are shown as they are"),
    (":fmt", "values are shown with `{:#?}`, or as their type wants it"),
    (":types", "`:type EXPRESSION` and `:vars` show types"),
    (":load_config", "there is no such file here"),
    (":internal_debug", "`:timing` shows where the time goes"),
    (":time_passes", "`:timing` shows where the time goes"),
    (":linker", "the fastest linker of this machine is used"),
    (":quiet", "notices are shown only when needed"),
    (":allow_static_linking", "crates are linked in the fastest way"),
    (":codegen_backend", "cells are compiled by rustc's own"),
    (":build_env", "write `:env NAME=VALUE` for the cells themselves"),
    (":last_error_json", "`:explain` explains the last error"),
    (":last_errors_json", "`:explain` explains the last error"),
    (":explain_last", "`:explain` explains the last error"),
    (":doc_private_items", "`:doc NAME` shows what is known of a name"),
];

/// The remark on a command that is ignored.
pub fn passed_over(name: &str) -> Option<String> {
    let (name, why) = PASSED_OVER.iter().find(|(known, _)| *known == name)?;
    Some(format!("`{name}` is ignored: {why}"))
}

/// What to write instead of something that is not Rust and that other notebooks or shells understand. Only for a cell that does not
/// compile: `!x` is Rust, too.
pub fn instead(code: &str) -> Option<String> {
    let line = code.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("//"))?;
    let is_one = code.trim() == line;
    let first = line.split_whitespace().next()?;
    if let Some(magic) = first.strip_prefix('%') {
        let magic = magic.trim_start_matches('%');
        let hint = match magic {
            "time" | "timeit" | "prun" => "`:timing` shows where the time of each cell goes".into(),
            "who" | "whos" => "`:vars` shows the variables".into(),
            "reset" => "`:reset` forgets all variables, items and imports".into(),
            "env" => "write `:env NAME=VALUE`".into(),
            "run" | "load" => "`:load FILE` runs the cells of a file in this session".into(),
            "pip" | "conda" | "cargo" => "write `:dep NAME` to use a crate".into(),
            _ if super::command_names::is_known(magic) => format!("write `:{magic}`"),
            _ => "commands begin with `:` here; `:help` lists them".into(),
        };
        return Some(format!("`{first}` is a command of IPython's: {hint}"));
    }
    let has_words =
        line.split_whitespace().nth(1).is_some_and(|word| word.starts_with(|c: char| c.is_alphanumeric() || c == '-'));
    if let Some(command) = line.strip_prefix('!').filter(|_| is_one || has_words) {
        let word = command.split_whitespace().next().filter(|word| word.starts_with(|c: char| c.is_alphabetic()))?;
        return Some(format!(
            "cells are Rust, and `!` runs no shell: write `std::process::Command::new({word:?})`, or use a terminal"
        ));
    }
    let asked = line.strip_prefix('?').or_else(|| line.strip_suffix('?')).filter(|_| is_one);
    if let Some(name) = asked.map(|name| name.trim_matches(['?', ' '])).filter(|name| is_path(name)) {
        return Some(format!("write `:doc {name}` for the documentation of `{name}`"));
    }
    match line.trim_end_matches([';', '(', ')']) {
        _ if !is_one => None,
        "help" => Some("`:help` lists the commands; everything else is Rust".into()),
        "quit" | "exit" => Some("`:quit` ends the prompt; a notebook is ended by shutting its kernel down".into()),
        "clear" | "cls" => {
            Some("`:reset` forgets all variables and items; `:clear` at the prompt clears the screen".into())
        }
        _ => match line.strip_prefix(':').filter(|rest| !rest.starts_with(':')) {
            Some("") => Some("a command begins with `:`; `:help` lists them".into()),
            Some(rest) if rest.starts_with(' ') => Some(format!("write `:{}`, without a space", rest.trim())),
            _ => None,
        },
    }
}

fn is_path(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_:".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_evcxr_are_passed_over_with_a_word() {
        assert!(passed_over(":sccache").unwrap().starts_with("`:sccache` is ignored: "));
        assert_eq!(passed_over(":dep"), None);
    }

    #[test]
    fn habits_from_elsewhere_are_answered_with_what_there_is_here() {
        for (code, says) in [
            ("%%time\n1 + 1", ":timing"),
            ("%dep rand", "write `:dep`"),
            ("!ls -l", "Command::new(\"ls\")"),
            ("// first\n!wget -q x | tar x\n!bash y", "Command::new(\"wget\")"),
            ("?vec", "`:doc vec`"),
            ("std::vec??", "`:doc std::vec`"),
            ("help", "`:help`"),
            ("quit()", "`:quit`"),
            (": vars", "write `:vars`"),
            (":", "`:help`"),
        ] {
            let hint = instead(code).unwrap_or_default();
            assert!(hint.contains(says), "{code}: {hint}");
        }
        for code in ["1 + 1", "x % 2", "!(a) && b", "f()?", "let help = 1;\nhelp", "::std::mem::drop(1)"] {
            let hint = instead(code);
            assert!(hint.is_none(), "{code}: {hint:?}");
        }
    }
}
