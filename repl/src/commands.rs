//! Commands: lines that begin with `:`. The terminal answers a few of them; the evaluator answers the others.

/// A command that the terminal answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Quit,
    /// Shows the last so many entries.
    History(usize),
    Clear,
}

/// Entries that `:history` shows when no number is given.
const HISTORY_DEFAULT: usize = 20;

/// Name and meaning of each command.
pub(crate) const OURS: [(&str, &str); 5] = [
    (":help", "show this and the evaluator's commands"),
    (":quit", "leave; so does Ctrl-D on an empty line"),
    (":exit", "the same"),
    (":history", "show the last entries; `:history 50` shows more"),
    (":clear", "clear the screen; so does Ctrl-L"),
];

const KEYS: [(&str, &str); 8] = [
    ("Enter", "run, or begin another line when something is missing"),
    ("Alt-Enter", "begin another line"),
    ("Tab", "complete; at the beginning of a line, indent"),
    ("Right", "accept the suggestion"),
    ("Up, Down", "move in the cell, then through the history"),
    ("Ctrl-R", "search the history"),
    ("Ctrl-C", "interrupt the cell that runs; at the prompt, drop the line"),
    ("Ctrl-D", "leave"),
];

/// The command in `line`, or `None` if it is not one of the terminal's.
pub(crate) fn parse(line: &str) -> Option<Command> {
    let mut words = line.split_whitespace();
    let name = words.next()?;
    let argument = words.next();
    match (name, argument) {
        (":help", None) => Some(Command::Help),
        (":quit" | ":exit" | ":q", None) => Some(Command::Quit),
        (":clear", None) => Some(Command::Clear),
        (":history", None) => Some(Command::History(HISTORY_DEFAULT)),
        (":history", Some(count)) if words.next().is_none() => count.parse().ok().map(Command::History),
        _ => None,
    }
}

/// The terminal's part of `:help`.
pub(crate) fn help() -> String {
    let table =
        |rows: &[(&str, &str)]| rows.iter().map(|(name, means)| format!("  {name:<11} {means}\n")).collect::<String>();
    format!("Keys\n{}\nCommands of the terminal\n{}", table(&KEYS), table(&OURS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_commands_are_recognised_and_the_others_left_alone() {
        assert_eq!(parse(" :quit "), Some(Command::Quit));
        assert_eq!(parse(":exit"), Some(Command::Quit));
        assert_eq!(parse(":history"), Some(Command::History(HISTORY_DEFAULT)));
        assert_eq!(parse(":history 3"), Some(Command::History(3)));
        for line in [":vars", ":help x", ":history x", "1 + 1", "", ":", ":quit now"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn the_help_names_every_command() {
        for (name, _) in OURS {
            assert!(help().contains(name));
            assert!(parse(name).is_some());
        }
    }
}
