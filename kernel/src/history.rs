//! The session's inputs, for `history_request`: kept in memory, bounded.

use jupyter_protocol::HistoryRequest;
use serde_json::{Value, json};
use std::collections::VecDeque;

/// The most cells that are kept.
const ENTRIES_MAX: usize = 10_000;
/// The most bytes of code and values that are kept, besides the newest cell.
const BYTES_MAX: usize = 16 << 20;
/// The number of the only session. In a request, zero means the current session as well.
const SESSION: i32 = 1;

/// The cells that were run, oldest first.
#[derive(Default)]
pub(crate) struct History {
    entries: VecDeque<Entry>,
    bytes: usize,
}

struct Entry {
    line: u64,
    input: String,
    output: Option<String>,
}

impl Entry {
    fn bytes(&self) -> usize {
        self.input.len() + self.output.as_ref().map_or(0, String::len)
    }
}

impl History {
    /// Remembers a cell: its execution count, its code, and its value as text.
    pub(crate) fn push(&mut self, line: u64, input: String, output: Option<String>) {
        let entry = Entry { line, input, output };
        self.bytes += entry.bytes();
        self.entries.push_back(entry);
        while self.entries.len() > 1 && (self.entries.len() > ENTRIES_MAX || self.bytes > BYTES_MAX) {
            self.bytes -= self.entries.pop_front().map_or(0, |oldest| oldest.bytes());
        }
    }

    /// The `history` of a `history_reply`: `[session, line, input]`, or `[session, line, [input, output]]`.
    pub(crate) fn answer(&self, request: &HistoryRequest) -> Vec<Value> {
        let (found, output): (Vec<&Entry>, bool) = match request {
            HistoryRequest::Tail { n, output, .. } => (last(self.entries.iter().collect(), *n), *output),
            HistoryRequest::Range { session, start, stop, output, .. } => {
                let ours = matches!(session, None | Some(0 | SESSION));
                let wanted = |line: u64| ours && i64::from(*start) <= line as i64 && (line as i64) < i64::from(*stop);
                (self.entries.iter().filter(|entry| wanted(entry.line)).collect(), *output)
            }
            HistoryRequest::Search { pattern, unique, output, n, .. } => {
                let pattern: Vec<char> = pattern.chars().collect();
                let mut found: Vec<&Entry> = Vec::new();
                for entry in &self.entries {
                    if glob(&pattern, &entry.input.chars().collect::<Vec<_>>()) {
                        if *unique {
                            found.retain(|known| known.input != entry.input);
                        }
                        found.push(entry);
                    }
                }
                (last(found, *n), *output)
            }
        };
        let line = |entry: &&Entry| match output {
            true => json!([SESSION, entry.line, [entry.input, entry.output]]),
            false => json!([SESSION, entry.line, entry.input]),
        };
        found.iter().map(line).collect()
    }
}

fn last(mut found: Vec<&Entry>, n: i32) -> Vec<&Entry> {
    let n = usize::try_from(n).unwrap_or(0);
    found.split_off(found.len().saturating_sub(n))
}

/// Whether the whole of `text` matches `pattern`. `*` matches any text, `?` one character, `[abc]` and `[a-z]` one of
/// these, and `[^a]` one that is not. The time is at most the product of both lengths.
fn glob(pattern: &[char], text: &[char]) -> bool {
    let (mut at, mut from) = (0, 0);
    // The last star, and the end of its match so far: the only point to backtrack to.
    let mut star: Option<(usize, usize)> = None;
    while from < text.len() {
        let step = match pattern.get(at) {
            Some('*') => {
                star = Some((at, from));
                at += 1;
                continue;
            }
            Some('?') => Some(1),
            Some('[') => set(&pattern[at..], text[from]),
            Some(c) if *c == text[from] => Some(1),
            _ => None,
        };
        match (step, star) {
            (Some(step), _) => {
                at += step;
                from += 1;
            }
            (None, Some((star_at, taken))) => {
                star = Some((star_at, taken + 1));
                at = star_at + 1;
                from = taken + 1;
            }
            (None, None) => return false,
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

/// The length of the set at the start of `pattern`, if the set has `c`. A `[` without its `]` is an ordinary character.
fn set(pattern: &[char], c: char) -> Option<usize> {
    let negated = matches!(pattern.get(1), Some('^' | '!'));
    let first = if negated { 2 } else { 1 };
    // A `]` in first place is a member of the set.
    let Some(end) = (first + 1..pattern.len()).find(|at| pattern[*at] == ']') else {
        return (c == '[').then_some(1);
    };
    let mut members = &pattern[first..end];
    let mut found = false;
    while let Some((low, rest)) = members.split_first() {
        if let ['-', high, rest @ ..] = rest {
            found |= (*low..=*high).contains(&c);
            members = rest;
        } else {
            found |= *low == c;
            members = rest;
        }
    }
    (found != negated).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        glob(&chars(pattern), &chars(text))
    }

    fn history() -> History {
        let mut history = History::default();
        for (line, input) in ["let a = 1;", "a + 1", "a + 2", "a + 1"].into_iter().enumerate() {
            history.push(line as u64 + 1, input.into(), (line > 0).then(|| "2".into()));
        }
        history
    }

    fn lines(found: &[Value]) -> Vec<u64> {
        found.iter().map(|entry| entry[1].as_u64().unwrap()).collect()
    }

    fn search(pattern: &str, unique: bool, n: i32) -> Vec<u64> {
        let request = HistoryRequest::Search { pattern: pattern.into(), unique, output: false, raw: true, n };
        lines(&history().answer(&request))
    }

    #[test]
    fn the_tail_is_the_last_cells_oldest_first() {
        let tail = |n| lines(&history().answer(&HistoryRequest::Tail { n, output: false, raw: true }));
        assert_eq!(tail(2), [3, 4]);
        assert_eq!(tail(100), [1, 2, 3, 4]);
        assert!(tail(0).is_empty());
        assert!(tail(-1).is_empty());
    }

    #[test]
    fn a_range_has_its_start_and_not_its_stop() {
        let range = |session, start, stop| {
            let request = HistoryRequest::Range { session, start, stop, output: false, raw: true };
            lines(&history().answer(&request))
        };
        assert_eq!(range(Some(0), 2, 4), [2, 3]);
        assert_eq!(range(Some(SESSION), 1, i32::MAX), [1, 2, 3, 4]);
        assert_eq!(range(None, 4, 5), [4]);
        assert!(range(Some(-1), 1, 9).is_empty(), "there was no session before this one");
    }

    #[test]
    fn a_search_can_be_limited_and_can_leave_out_repetitions() {
        assert_eq!(search("a + *", false, i32::MAX), [2, 3, 4]);
        assert_eq!(search("a + *", false, 2), [3, 4]);
        assert_eq!(search("a + *", true, i32::MAX), [3, 4]);
        assert!(search("a", false, i32::MAX).is_empty(), "the whole text must match");
    }

    #[test]
    fn outputs_come_when_asked_for() {
        let found = history().answer(&HistoryRequest::Tail { n: 4, output: true, raw: true });
        assert_eq!(found[0][2], json!(["let a = 1;", null]));
        assert_eq!(found[1][2], json!(["a + 1", "2"]));
    }

    #[test]
    fn patterns_are_globs() {
        for (pattern, text) in [
            ("*", ""),
            ("a*c", "abbbc"),
            ("?é?", "aéb"),
            ("*b*d*", "abcd"),
            ("[a-c]x", "bx"),
            ("[^a]x", "bx"),
            ("[]]", "]"),
            ("a[", "a["),
            ("**", "x"),
            ("[a-]", "-"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("", "a"), ("?", ""), ("a*c", "abcd"), ("[a-c]", "d"), ("[^a]", "a"), ("[", "x")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn only_so_many_cells_are_remembered() {
        let mut history = History::default();
        for line in 0..ENTRIES_MAX as u64 + 5 {
            history.push(line, String::new(), None);
        }
        assert_eq!(history.entries.len(), ENTRIES_MAX);
        assert_eq!(history.entries[0].line, 5);
        history.push(1, "x".repeat(BYTES_MAX + 1), None);
        assert_eq!((history.entries.len(), history.bytes), (1, BYTES_MAX + 1));
    }
}
