//! The names of the commands, and the name that a misspelled word is nearest to.

/// Name, arguments and meaning of each command.
pub const COMMANDS: [(&str, &str, &str); 30] = [
    (
        ":dep",
        "NAME = REQUIREMENT",
        "use a crate, as in Cargo.toml: `:dep rand = \"0.9\"`, `:dep ./mine`; `:dep .`: those of Cargo.toml here",
    ),
    (
        ":track",
        "[off] [PATH]",
        "use a crate of yours, built again before a cell when its files have changed; alone, the list; `off NAME` stops",
    ),
    (":env", "NAME=VALUE", "set a variable of the environment, for cells and tasks"),
    (":vars", "", "the variables, with their types and sizes"),
    (":items", "", "the functions, types and other items, the cells they come from, and what waits"),
    (":keep", "[on|off]", "whether a cell that is run again keeps the items that it does not have any more"),
    (":type", "EXPRESSION", "the type of an expression, which is not run"),
    (":doc", "NAME", "the documentation of a name"),
    (":warnings", "", "show the compiler's warnings about your code; again, to stop"),
    (":explain", "[CODE]", "the compiler's explanation of its last error, or of a code"),
    (":opt", "[LEVEL]", "how cells are optimised: 0 to 3; without a level, as each needs it"),
    (":memory", "[SIZE]", "how much more memory a cell may take, such as `4 GiB`; without a size, no limit"),
    (":timing", "", "show after each cell where its time went; again, to stop"),
    (":checkpoint", "", "how long the last checkpoints took"),
    (":progress", "[on|off]", "whether a cell's tasks are shown while they run"),
    (":status", "", "the runtime's resources, in use and wanted"),
    (":summary", "", "the tasks by function and state, and how many actors and objects there are"),
    (":tasks", "", "the tasks, one run a row"),
    (":actors", "", "the actors"),
    (":errors", "", "the tasks that failed"),
    (":memory-summary", "", "the objects by size, the cells that made them, and who holds them"),
    (":dashboard", "", "the address of the runtime's web page, which it starts"),
    (":test", "[NAME]", "run the `#[test]` functions, or those whose names contain NAME, each in a worker process"),
    (":timeline", "FILE", "write a trace of the tasks for Perfetto"),
    (":try", "[CODE]", "run code, or the rest of the cell, show what it does, and take it back"),
    (
        ":undo",
        "[N]",
        "take back the last cell, or the last N: variables, items, imports and references are as they were",
    ),
    (
        ":save",
        "[-f] FILE [N..M]",
        "write the cells that succeeded as a notebook or a `.rs` script; `3..5` are cells 3, 4 and 5; `-f` replaces a file",
    ),
    (":load", "FILE", "run the cells of a notebook or a script in this session, one after the other"),
    (":reset", "", "forget all variables, items and imports"),
    (":help", "", "this list"),
];

/// Whether there is a command of this name, without its colon.
pub fn is_known(name: &str) -> bool {
    COMMANDS.iter().any(|(known, ..)| known[1..] == *name)
}

/// Whether a command runs code of a person, which a cell may consist of.
pub fn runs_code(name: &str, argument: &str) -> bool {
    matches!((name, argument), (":test", _)) || matches!(name, ":try" | ":type" | ":t") && !argument.is_empty()
}

/// The word that is spelled most alike, if one is close enough.
pub fn nearest<'a>(word: &str, among: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let most = (word.chars().count() / 3).max(1);
    let away = among.map(|other| (strsim::levenshtein(&word, other), other));
    away.filter(|(away, _)| *away <= most).min().map(|(_, other)| other)
}
