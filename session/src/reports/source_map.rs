//! The source map: a text made from a cell's code, and the way back from each of its places to that code.

use crate::event::CellId;
use std::ops::Range;

/// The kinds of generated code in which a compile error means something.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Glue {
    /// A variable is taken out of the store, for which its type is named.
    Take(String),
    /// A variable of an earlier cell goes back.
    PutBack(String),
    /// A new variable is kept.
    Put(String),
    /// The compiler is asked for the type of a variable.
    Type(String),
    /// An import of the session, by its index.
    Import(usize),
}

/// A stretch that was copied from the code.
#[derive(Clone, Copy, Debug)]
struct Piece {
    at: usize,
    from: usize,
    len: usize,
}

/// The text for the compiler.
#[derive(Clone, Debug, Default)]
pub struct Edited {
    /// The cell whose code it is.
    pub cell: u64,
    /// What the compiler reads.
    pub text: String,
    code: String,
    pieces: Vec<Piece>,
    glue: Vec<(Range<usize>, Glue)>,
}

impl Edited {
    /// An empty text for the code of a cell.
    pub fn new(cell: CellId, code: &str) -> Edited {
        Edited { cell: cell.0, code: code.to_owned(), ..Edited::default() }
    }

    /// Adds generated text.
    pub fn generated(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Adds generated text in which a compile error means something.
    pub fn glue(&mut self, glue: Glue, text: &str) {
        let start = self.text.len();
        self.text.push_str(text);
        self.glue.push((start..self.text.len(), glue));
    }

    /// Adds a stretch of the cell's code.
    pub fn copy(&mut self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        self.pieces.push(Piece { at: self.text.len(), from: range.start, len: range.len() });
        self.text.push_str(&self.code[range]);
    }

    /// Adds a text in place of a stretch of the cell's code.
    pub fn replaced(&mut self, range: Range<usize>, text: &str) {
        self.pieces.push(Piece { at: self.text.len(), from: range.start, len: range.len() });
        self.text.push_str(text);
    }

    /// Adds as many empty lines, and columns, as a stretch of the cell's code has.
    pub fn blank(&mut self, range: Range<usize>) {
        self.text.extend(self.code[range].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
    }

    /// The stretch of the cell's code that a stretch of the text was copied from, wholly or in part. `None` if no part of it was copied.
    pub fn original(&self, range: Range<usize>) -> Option<Range<usize>> {
        if range.is_empty() {
            let piece =
                self.pieces.iter().find(|piece| piece.at <= range.start && range.start < piece.at + piece.len)?;
            let at = piece.from + (range.start - piece.at);
            return Some(at..at);
        }
        let mut covered = self.pieces.iter().filter(|piece| piece.at < range.end && range.start < piece.at + piece.len);
        let first = covered.next()?;
        let last = covered.next_back().unwrap_or(first);
        let start = first.from + range.start.saturating_sub(first.at);
        let end = last.from + (range.end - last.at).min(last.len);
        Some(start..end.max(start))
    }

    /// The glue that a stretch of the text begins in.
    pub fn glue_at(&self, range: &Range<usize>) -> Option<&Glue> {
        self.glue.iter().find(|(glue, _)| glue.start <= range.start && range.start < glue.end).map(|(_, glue)| glue)
    }

    /// The part of it that is needed after it has been compiled.
    pub fn places(self) -> Places {
        let mut stretches = Vec::new();
        for piece in &self.pieces {
            let before = &self.text[..piece.at];
            let mut line = before.matches('\n').count() as u32 + 1;
            let mut column = before[before.rfind('\n').map_or(0, |at| at + 1)..].chars().count() as u32 + 1;
            let mut from = piece.from;
            for part in self.code[piece.from..piece.from + piece.len].split_inclusive('\n') {
                let chars = part.chars().count() as u32;
                stretches.push(Stretch { line, column, from: from as u32, chars });
                from += part.len();
                (line, column) = (line + 1, 1);
            }
        }
        stretches.shrink_to_fit();
        Places { code: self.code, stretches }
    }
}

/// Where the lines of a text come from. No more of it is kept, because a session may have thousands.
#[derive(Clone, Debug, Default)]
pub struct Places {
    code: String,
    stretches: Vec<Stretch>,
}

/// A copied part of a line.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    /// Its line in the text, from 1.
    line: u32,
    /// Its column in the text, in characters from 1.
    column: u32,
    /// Its place in the code, in bytes.
    from: u32,
    /// Its length in characters.
    chars: u32,
}

impl Places {
    /// The line and column in the cell for those of a place in the text, all from 1, and the text of that line.
    pub fn locate(&self, line: u32, column: u32) -> Option<(u32, u32, String)> {
        let is_in = |stretch: &&Stretch| {
            stretch.line == line && stretch.column <= column && column < stretch.column + stretch.chars
        };
        let stretch = self.stretches.iter().find(is_in)?;
        let copied = &self.code[stretch.from as usize..];
        let from = stretch.from as usize + copied.char_indices().nth((column - stretch.column) as usize)?.0;
        let before = &self.code[..from];
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let text = self.code[start..].lines().next().unwrap_or_default();
        let number = before.matches('\n').count() as u32 + 1;
        Some((number, self.code[start..from].chars().count() as u32 + 1, text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_finds_its_way_back_across_what_was_put_in() {
        let mut edited = Edited::new(CellId(1), "let ä = 1;\nfn f() {}\nä + 1");
        edited.generated("prefix ");
        edited.copy(0..12);
        edited.blank(12..21);
        edited.generated("(");
        edited.copy(21..28);
        edited.generated(").show()");
        assert_eq!(edited.text, "prefix let ä = 1;\n         (\nä + 1).show()");
        let shown = edited.text.find('(').unwrap();
        assert_eq!(edited.original(shown..shown + 8), Some(21..28), "what was put in around it does not count");
        let places = edited.places();
        assert_eq!(places.locate(1, 12), Some((1, 5, "let ä = 1;".into())));
        assert_eq!(places.locate(3, 3), Some((3, 3, "ä + 1".into())));
        assert_eq!(places.locate(3, 9), None, "that was generated");
        assert_eq!(places.locate(1, 2), None);
        assert_eq!(places.locate(1, 99), None);
    }

    #[test]
    fn glue_is_known_by_its_place() {
        let mut edited = Edited::new(CellId(1), "x");
        edited.copy(0..1);
        edited.glue(Glue::Put("x".into()), "put(x)");
        assert_eq!(edited.glue_at(&(1..3)), Some(&Glue::Put("x".into())));
        assert_eq!(edited.glue_at(&(0..1)), None);
    }
}
