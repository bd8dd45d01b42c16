//! A cell's standard output, parsed into text, display blocks and evcxr's control lines.
//!
//! All three come in one stream, which keeps their order. Text is passed on at once and byte for byte, even if its line is not finished.
//! Only bytes that could still become a marker are held back until that is decided.
//!
//! ```text
//! ab…EVCXR_BEGIN_CONTENT text/html⏎<b>x</b>⏎EVCXR_END_CONTENT⏎cd…
//! Text("ab…")  Block { mime: "text/html", content: "<b>x</b>" }  Text("cd…")
//! ```
//!
//! A block that is not closed, because the cell failed inside it, ends where the next marker begins, and is passed on as text.

/// A piece of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text for the person. Never split inside a character.
    Text(String),
    /// A block of a display protocol.
    Block {
        /// Its MIME type.
        mime: String,
        /// Its content, without the last line feed.
        content: String,
    },
    /// A line for evcxr, without its line feed.
    Control(String),
}

const PREFIX: &str = "EVCXR_";
const BEGIN: &str = "EVCXR_BEGIN_CONTENT ";
const END: &str = "EVCXR_END_CONTENT";
/// Control lines that are complete as they stand.
const CONTROL_LINES: [&str; 3] = ["EVCXR_PANIC_NOTIFICATION", "EVCXR_ERROR_OCCURRED", "EVCXR_EXECUTION_COMPLETE"];
/// The beginning of a control line that ends with a name.
const CONTROL_PREFIX: &str = "EVCXR_VARIABLE_CHANGED_TYPE:";
/// A block longer than this is not a block: its text is shown as it is.
const BLOCK_BYTES_MAX: usize = 64 << 20;

/// The state between two chunks of the stream.
#[derive(Debug, Default)]
pub struct Splitter {
    pending: Vec<u8>,
    /// How far the block at the start of `pending` has been scanned.
    looked: Looked,
}

/// The scan's progress: each byte of a long block is scanned once.
#[derive(Clone, Copy, Debug, Default)]
struct Looked {
    /// Where the block's last line begins.
    line: usize,
    /// The end of what has been scanned.
    end: usize,
}

impl Splitter {
    /// Takes the next chunk and returns the pieces that are decided.
    pub fn push(&mut self, chunk: &[u8]) -> Vec<Piece> {
        self.pending.extend_from_slice(chunk);
        let mut pieces = Vec::new();
        let mut from = 0;
        loop {
            match next(&self.pending[from..], &mut self.looked) {
                Next::Text(0) | Next::Wait => break,
                Next::Text(len) => {
                    push_text(&mut pieces, &self.pending[from..from + len]);
                    from += len;
                }
                Next::Piece(piece, len) => {
                    pieces.push(piece);
                    from += len;
                }
            }
            self.looked = Looked::default();
        }
        self.pending.drain(..from);
        pieces
    }

    /// The cell has ended: bytes that were held back are text after all.
    pub fn flush(&mut self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        push_text(&mut pieces, &std::mem::take(&mut self.pending));
        self.looked = Looked::default();
        pieces
    }
}

fn push_text(pieces: &mut Vec<Piece>, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let text = String::from_utf8_lossy(bytes);
    match pieces.last_mut() {
        Some(Piece::Text(last)) => last.push_str(&text),
        _ => pieces.push(Piece::Text(text.into_owned())),
    }
}

enum Next {
    Text(usize),
    Piece(Piece, usize),
    Wait,
}

fn next(bytes: &[u8], looked: &mut Looked) -> Next {
    let Some(at) = find(bytes, PREFIX.as_bytes()) else {
        let held = held_back(bytes);
        return Next::Text(bytes.len() - held);
    };
    if at > 0 {
        return Next::Text(at);
    }
    if could_become(bytes, BEGIN) {
        return block(bytes, looked);
    }
    let line_end = find(bytes, b"\n");
    for word in CONTROL_LINES {
        match line_end {
            Some(end) if &bytes[..end] == word.as_bytes() => {
                return Next::Piece(Piece::Control(word.to_owned()), end + 1);
            }
            None if word.as_bytes().starts_with(bytes) => return Next::Wait,
            _ => {}
        }
    }
    if could_become(bytes, CONTROL_PREFIX) {
        return match line_end {
            Some(end) => Next::Piece(Piece::Control(String::from_utf8_lossy(&bytes[..end]).into_owned()), end + 1),
            None => Next::Wait,
        };
    }
    Next::Text(PREFIX.len())
}

/// Scans a block. `bytes` begin with `BEGIN`, or are the beginning of it.
fn block(bytes: &[u8], looked: &mut Looked) -> Next {
    loop {
        let end = find(&bytes[looked.end..], b"\n").map(|len| looked.end + len);
        // Another `BEGIN` inside the block: the block was not closed.
        let from = looked.end.saturating_sub(BEGIN.len()).max(PREFIX.len());
        let to = end.unwrap_or(bytes.len()).max(from);
        if let Some(marker) = find(&bytes[from..to], BEGIN.as_bytes()) {
            return Next::Text(from + marker);
        }
        let Some(end) = end else {
            looked.end = bytes.len();
            return if bytes.len() > BLOCK_BYTES_MAX { Next::Text(PREFIX.len()) } else { Next::Wait };
        };
        let line = &bytes[looked.line..end];
        if looked.line == 0 && end < BEGIN.len() {
            return Next::Text(end + 1);
        }
        if looked.line > 0 && line == END.as_bytes() {
            let head = find(bytes, b"\n").unwrap_or(end);
            let mime = String::from_utf8_lossy(&bytes[BEGIN.len()..head]).trim().to_owned();
            let body = &bytes[head + 1..looked.line];
            let content = String::from_utf8_lossy(body.strip_suffix(b"\n").unwrap_or(body)).into_owned();
            return Next::Piece(Piece::Block { mime, content }, end + 1);
        }
        if looked.line > 0 && CONTROL_LINES.iter().any(|word| line == word.as_bytes()) {
            return Next::Text(looked.line);
        }
        *looked = Looked { line: end + 1, end: end + 1 };
    }
}

/// Whether one of `bytes` and `word` begins with the other.
fn could_become(bytes: &[u8], word: &str) -> bool {
    let common = bytes.len().min(word.len());
    bytes[..common] == word.as_bytes()[..common]
}

/// How many of the last bytes may not be passed on yet: the beginning of a marker, or half a character.
fn held_back(bytes: &[u8]) -> usize {
    let marker = (1..PREFIX.len().min(bytes.len() + 1)).rev().find(|len| bytes.ends_with(&PREFIX.as_bytes()[..*len]));
    marker.unwrap_or_else(|| half_character(bytes))
}

/// How many of the last bytes belong to a UTF-8 character that is not complete.
pub fn half_character(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let byte = bytes[bytes.len() - back];
        let needs = match byte {
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF7 => 4,
            0x80..=0xBF => continue,
            _ => return 0,
        };
        return if needs > back { back } else { 0 };
    }
    0
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = needle[0];
    let mut from = 0;
    let found = loop {
        let Some(at) = haystack[from..].iter().position(|byte| *byte == first) else { break None };
        if haystack[from + at..].starts_with(needle) {
            break Some(from + at);
        }
        from += at + 1;
    };
    #[cfg(test)]
    tests::LOOKED_AT.set(tests::LOOKED_AT.get() + found.unwrap_or(haystack.len()));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    std::thread_local! {
        /// How many bytes have been searched.
        pub(super) static LOOKED_AT: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    fn text(text: &str) -> Piece {
        Piece::Text(text.into())
    }

    #[test]
    fn a_block_that_is_not_closed_is_text_and_the_marker_behind_it_counts() {
        let panic = Piece::Block { mime: "application/x".into(), content: "{}".into() };
        for unclosed in ["EVCXR_BEGIN_CONTENT text/html\n<b>half", "EVCXR_BEGIN_CONTENT a\nb\n"] {
            let input = format!("{unclosed}EVCXR_BEGIN_CONTENT application/x\n{{}}\nEVCXR_END_CONTENT\nc");
            assert_eq!(all(&input), [text(unclosed), panic.clone(), text("c")]);
            assert_eq!(bytewise(&input), [text(unclosed), panic.clone(), text("c")]);
        }
        let notified = "EVCXR_BEGIN_CONTENT text/html\n<b>\nEVCXR_PANIC_NOTIFICATION\n";
        let control = Piece::Control("EVCXR_PANIC_NOTIFICATION".into());
        assert_eq!(all(notified), [text("EVCXR_BEGIN_CONTENT text/html\n<b>\n"), control]);
    }

    #[test]
    fn each_byte_of_a_long_block_is_looked_at_once_for_each_of_its_two_ends() {
        let mut splitter = Splitter::default();
        assert_eq!(splitter.push(b"EVCXR_BEGIN_CONTENT text/plain\n"), []);
        let before = LOOKED_AT.get();
        for _ in 0..64 {
            assert_eq!(splitter.push(&[b'x'; 1000]), []);
        }
        let looked_at = LOOKED_AT.get() - before;
        // A marker may begin in the chunk before.
        let overlap = 64 * BEGIN.len();
        assert!((2 * 64_000..=2 * 64_000 + overlap).contains(&looked_at), "{looked_at} bytes");
        let whole = Piece::Block { mime: "text/plain".into(), content: "x".repeat(64_000) };
        assert_eq!(splitter.push(b"\nEVCXR_END_CONTENT\n"), [whole]);
    }

    fn all(input: &str) -> Vec<Piece> {
        let mut splitter = Splitter::default();
        let mut pieces = splitter.push(input.as_bytes());
        pieces.extend(splitter.flush());
        pieces
    }

    /// The same input byte by byte, with neighbouring texts joined.
    fn bytewise(input: &str) -> Vec<Piece> {
        let mut splitter = Splitter::default();
        let mut pieces: Vec<Piece> = Vec::new();
        let mut add = |new: Vec<Piece>| {
            for piece in new {
                match (pieces.last_mut(), piece) {
                    (Some(Piece::Text(last)), Piece::Text(more)) => last.push_str(&more),
                    (_, piece) => pieces.push(piece),
                }
            }
        };
        for byte in input.as_bytes() {
            add(splitter.push(&[*byte]));
        }
        add(splitter.flush());
        pieces
    }

    #[test]
    fn text_without_a_line_end_is_passed_on_at_once() {
        assert_eq!(Splitter::default().push(b"10 %"), [text("10 %")]);
    }

    #[test]
    fn a_block_is_told_from_the_text_before_it_on_the_same_line() {
        let input = "abEVCXR_BEGIN_CONTENT text/html\n<b>\nx</b>\nEVCXR_END_CONTENT\ncd";
        let block = Piece::Block { mime: "text/html".into(), content: "<b>\nx</b>".into() };
        assert_eq!(all(input), [text("ab"), block.clone(), text("cd")]);
        assert_eq!(bytewise(input), [text("ab"), block, text("cd")]);
    }

    #[test]
    fn a_control_line_is_found_behind_unterminated_text() {
        let input = "fooEVCXR_PANIC_NOTIFICATION\nEVCXR_VARIABLE_CHANGED_TYPE:x\n";
        let expected = [
            text("foo"),
            Piece::Control("EVCXR_PANIC_NOTIFICATION".into()),
            Piece::Control("EVCXR_VARIABLE_CHANGED_TYPE:x".into()),
        ];
        assert_eq!(all(input), expected);
        assert_eq!(bytewise(input), expected);
    }

    #[test]
    fn what_only_looks_like_a_marker_is_text() {
        for input in [
            "EVCXR",
            "EVCXR_",
            "EVCXR_BEGIN",
            "EVCXR_NOTHING\n",
            "EVCXR_PANIC_NOTIFICATIONS\n",
            "EVCXR_BEGIN_CONTENT x",
        ] {
            assert_eq!(all(input), [text(input)], "{input}");
            assert_eq!(bytewise(input), [text(input)], "{input}");
        }
    }

    #[test]
    fn a_character_is_never_cut_in_two() {
        let mut splitter = Splitter::default();
        let bytes = "ä🦀".as_bytes();
        let pieces: Vec<Piece> = bytes.chunks(1).flat_map(|chunk| splitter.push(chunk)).collect();
        assert_eq!(pieces, [text("ä"), text("🦀")]);
    }

    #[test]
    fn bytes_that_are_no_characters_are_shown_as_replacements_and_lose_nothing_around_them() {
        let mut splitter = Splitter::default();
        let mut pieces = splitter.push(b"a\xffb\xf0");
        pieces.extend(splitter.flush());
        assert_eq!(pieces, [text("a\u{fffd}b"), text("\u{fffd}")]);
    }

    #[test]
    fn an_empty_block_has_an_empty_content() {
        let block = Piece::Block { mime: "text/plain".into(), content: String::new() };
        assert_eq!(all("EVCXR_BEGIN_CONTENT text/plain\nEVCXR_END_CONTENT\n"), [block]);
    }
}
