//! The traceback of an error in a notebook: the report's lines, with colours that are read in every theme.
//!
//! JupyterLab draws a traceback on a red of its own, pale in the light theme and deep in the dark one, and no colour has a
//! contrast of more than 3.3 with both. So words keep the theme's own colour, and those that a terminal shows in red or green
//! are bold. Frames and the lines below the code stay coloured.

use crate::event::CellError;

const BOLD: &str = "\x1b[1m";
const RESET: &str = "\x1b[0m";

impl CellError {
    /// The report's lines for a front end of Jupyter's. The last one says where the fault is as IPython says it: of that, VS Code makes a link to the
    /// line of the cell, by the number of its execution.
    pub fn traceback(&self) -> Vec<String> {
        let mut lines: Vec<String> = in_every_theme(&self.ansi).lines().map(str::to_owned).collect();
        lines.extend(place(&self.plain).map(|(cell, line)| format!("Cell In[{cell}], line {line}")));
        lines
    }
}

/// The cell and the line of a report's main place, which its frame begins with: `[ cell 3:2:5 ]`.
fn place(report: &str) -> Option<(u64, u64)> {
    let (_, rest) = report.split_once("[ cell ")?;
    let (place, _) = rest.split_once(" ]")?;
    let mut numbers = place.split(':').map(str::parse);
    let (Some(Ok(cell)), Some(Ok(line))) = (numbers.next(), numbers.next()) else { return None };
    Some((cell, line))
}

fn in_every_theme(ansi: &str) -> String {
    let mut out = String::with_capacity(ansi.len());
    let (mut colour, mut rest) = ("", ansi);
    while !rest.is_empty() {
        let end = rest.find("\x1b[").unwrap_or(rest.len());
        runs(&rest[..end], colour, &mut out);
        rest = &rest[end..];
        if let Some(len) = rest.find('m') {
            let sequence = &rest[..=len];
            // A colour, and the end of one, are written with the words; others are passed on.
            let ends = sequence == RESET && !colour.is_empty();
            colour = if word_style(sequence).is_some() { sequence } else { "" };
            if colour.is_empty() && !ends {
                out.push_str(sequence);
            }
            rest = &rest[len + 1..];
        } else {
            out.push_str(rest);
            break;
        }
    }
    out
}

/// How words of this colour are written; `None` for sequences that are no colours of the palette.
fn word_style(sequence: &str) -> Option<&'static str> {
    match sequence.strip_prefix("\x1b[")?.strip_suffix('m')? {
        "31" | "32" | "1;31" | "1;32" => Some(BOLD),
        "33" | "34" | "35" | "36" => Some(""),
        _ => None,
    }
}

/// Writes a text of one colour: its words without that colour.
fn runs(text: &str, colour: &str, out: &mut String) {
    let Some(style) = word_style(colour) else { return out.push_str(text) };
    // Box drawing, and the space between it.
    let is_drawn = |c: char| ('\u{2500}'..='\u{257f}').contains(&c);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| is_drawn(c) != is_drawn(first)).unwrap_or(rest.len());
        let begin = if is_drawn(first) { colour } else { style };
        if begin.is_empty() || rest[..end].trim().is_empty() {
            out.push_str(&rest[..end]);
        } else {
            out.extend([begin, &rest[..end], RESET]);
        }
        rest = &rest[end..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_the_themes_colour_and_frames_their_own() {
        let ansi =
            "\x1b[31merror[E0425]:\x1b[0m no\n \x1b[34m1 │\x1b[0m a + \x1b[31mb\x1b[0m\n   \x1b[31m╰── here\x1b[0m";
        let expected = "\x1b[1merror[E0425]:\x1b[0m no\n 1 \x1b[34m│\x1b[0m a + \x1b[1mb\x1b[0m\n   \
                        \x1b[31m╰──\x1b[0m\x1b[1m here\x1b[0m";
        assert_eq!(in_every_theme(ansi), expected);
    }

    #[test]
    fn the_last_line_says_the_place_as_ipython_does() {
        assert_eq!(place("panicked: odd\n   ╭─[ cell 3:12:5 ]\n   ├─[ cell 4:1:9 ]"), Some((3, 12)));
        assert_eq!(place("panicked: odd\n  of cell 3:12:5"), None);
    }

    #[test]
    fn other_sequences_stay() {
        for text in ["plain", "\x1b[48;5;1mred behind\x1b[0m", "\x1b[4munderlined\x1b[0m", "cut \x1b[3"] {
            assert_eq!(in_every_theme(text), text);
        }
    }
}
