//! `:save`: the session's cells as a notebook or a script.
//!
//! ```text
//!   :save tour.ipynb              all cells that succeeded, in the order in which they ran
//!   :save "my tour.rs" 3..5 8     cells 3, 4, 5 and 8
//!   :save -f tour.rs              also if there is such a file, for which a person is asked otherwise
//! ```

use super::Direct;
use super::commands::{mistake, without_commands_on_cells};
use super::history::{Chosen, range};
use crate::event::{CellError, CellId, InputReader, InputRequest};
use crate::home::path_from;
use std::ops::RangeInclusive;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Asked<'a> {
    file: &'a str,
    ranges: Vec<RangeInclusive<u64>>,
    replaces: bool,
}

impl Asked<'_> {
    fn read(argument: &str) -> Result<Asked<'_>, String> {
        let (mut rest, mut replaces, mut file) = (argument.trim(), false, None);
        let mut ranges = Vec::new();
        while !rest.is_empty() {
            let (word, is_quoted, after) = first_word(rest)?;
            match (word, file) {
                ("-f", _) if !is_quoted => replaces = true,
                (word, None) => file = Some(word),
                (word, Some(_)) => {
                    ranges.push(range(word).map_err(|error| {
                        if word.starts_with(|c: char| c.is_ascii_digit()) || word.starts_with('.') {
                            error
                        } else {
                            format!("{error}; a name with spaces stands in quotes")
                        }
                    })?);
                }
            }
            rest = after.trim_start();
        }
        let file = file.filter(|file| !file.is_empty()).ok_or("write `:save FILE [N..M]`")?;
        Ok(Asked { file, ranges, replaces })
    }
}

/// The first word of an argument, whether it stands in quotes, and what is behind it.
fn first_word(text: &str) -> Result<(&str, bool, &str), String> {
    if let Some(inner) = text.strip_prefix('"') {
        let (word, after) = inner.split_once('"').ok_or_else(|| format!("the quote of `{text}` has no end"))?;
        return Ok((word, true, after));
    }
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    Ok((&text[..end], false, &text[end..]))
}

impl Direct {
    /// Carries out `:save`.
    pub(super) fn save(&mut self, cell: CellId, argument: &str, input: Option<&InputReader>) -> Result<(), CellError> {
        let Asked { file, ranges, replaces } = Asked::read(argument).map_err(|error| mistake(&error))?;
        let path = path_from(&self.folder, file);
        let Chosen { cells, failed } = self.history.choose(&ranges);
        let code = |cell: CellId| (cell, without_commands_on_cells(&self.sources.code(cell)));
        let cells: Vec<(CellId, String)> = cells.into_iter().map(code).collect();
        let left_out = match failed {
            0 => String::new(),
            1 => "; 1 that failed is left out".into(),
            failed => format!("; {failed} that failed are left out"),
        };
        if cells.is_empty() {
            return Err(mistake(&format!("there is no cell to save{left_out}")));
        }
        let host = self.host.clone();
        let text = host.cell_files().text(&path, &cells).map_err(|error| mistake(&error))?;
        let replaces = replaces || path.exists() && self.may_replace(file, input)?;
        host.cell_files().write(&path, &text, replaces).map_err(|error| mistake(&error))?;
        let count = if cells.len() == 1 { "1 cell is".into() } else { format!("{} cells are", cells.len()) };
        self.say(cell, &format!("{count} saved in {file}{left_out}"));
        Ok(())
    }

    /// Asks the person whether a file may be replaced, as IPython's `%save` does.
    fn may_replace(&self, file: &str, input: Option<&InputReader>) -> Result<bool, CellError> {
        self.outlet.settle();
        let prompt = format!("{file} is there already. Replace it? (y/N) ");
        let answer = input.and_then(|input| input(InputRequest { prompt, is_password: false })).unwrap_or_default();
        match answer.trim().to_lowercase().as_str() {
            "y" | "yes" => Ok(true),
            _ => {
                let quoted = if file.contains(char::is_whitespace) { format!("\"{file}\"") } else { file.to_owned() };
                Err(mistake(&format!("`{file}` is there already and stays as it is; `:save -f {quoted}` replaces it")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_name_in_quotes_or_without_and_numbers_behind_it() {
        let asked =
            |file, ranges: &[RangeInclusive<u64>], replaces| Ok(Asked { file, ranges: ranges.into(), replaces });
        assert_eq!(Asked::read("a.rs"), asked("a.rs", &[], false));
        assert_eq!(Asked::read("-f \"my tour.rs\" 3..5 8"), asked("my tour.rs", &[3..=5, 8..=8], true));
        assert_eq!(Asked::read("a.rs ..2 -f"), asked("a.rs", &[1..=2], true));
        assert_eq!(Asked::read("\"-f\""), asked("-f", &[], false));
        assert!(Asked::read("my tour.rs").unwrap_err().ends_with("a name with spaces stands in quotes"));
        assert!(Asked::read("-f").unwrap_err().starts_with("write `:save FILE"));
        assert!(Asked::read("\"a.rs").unwrap_err().contains("has no end"));
    }
}
