//! The choice of colours, and their codes.

use std::ffi::OsStr;

/// Whether output is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorChoice {
    /// On a terminal that shows colours, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Everywhere, even in a file.
    Always,
    /// Nowhere.
    Never,
}

impl ColorChoice {
    /// Whether a stream is coloured, given whether it is a terminal.
    ///
    /// ```
    /// use mobula_repl::ColorChoice;
    /// assert!(ColorChoice::Always.is_on(false));
    /// assert!(!ColorChoice::Never.is_on(true));
    /// assert!(!ColorChoice::Auto.is_on(false));
    /// ```
    pub fn is_on(self, terminal: bool) -> bool {
        self.decide(terminal, std::env::var_os("NO_COLOR").as_deref(), std::env::var_os("TERM").as_deref())
    }

    /// An empty `NO_COLOR` counts as unset, as <https://no-color.org> says.
    fn decide(self, terminal: bool, no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
        match self {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                terminal && no_color.is_none_or(OsStr::is_empty) && term.is_some_and(|term| term != "dumb")
            }
        }
    }
}

pub(crate) const RESET: &str = "\x1b[0m";
pub(crate) const DIM: &str = "\x1b[2m";
pub(crate) const BOLD: &str = "\x1b[1m";
pub(crate) const RED: &str = "\x1b[31m";
pub(crate) const GREEN: &str = "\x1b[32m";
pub(crate) const YELLOW: &str = "\x1b[33m";
pub(crate) const BLUE: &str = "\x1b[34m";
pub(crate) const MAGENTA: &str = "\x1b[35m";
pub(crate) const CYAN: &str = "\x1b[36m";
pub(crate) const MATCHED: &str = "\x1b[1;4m";

/// `text` in `style` when `on`, or unchanged.
pub(crate) fn paint(on: bool, style: &str, text: &str) -> String {
    if on { format!("{style}{text}{RESET}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_need_a_terminal_that_can_and_nobody_who_objects() {
        let auto = |terminal, no_color: Option<&str>, term: Option<&str>| {
            ColorChoice::Auto.decide(terminal, no_color.map(OsStr::new), term.map(OsStr::new))
        };
        assert!(auto(true, None, Some("xterm")));
        assert!(auto(true, Some(""), Some("xterm")));
        assert!(!auto(true, Some("1"), Some("xterm")));
        assert!(!auto(true, None, Some("dumb")));
        assert!(!auto(true, None, None));
        assert!(!auto(false, None, Some("xterm")));
    }

    #[test]
    fn a_choice_made_by_hand_wins() {
        assert!(ColorChoice::Always.decide(false, Some(OsStr::new("1")), None));
        assert!(!ColorChoice::Never.decide(true, None, Some(OsStr::new("xterm"))));
    }
}
