//! Completion with Tab: the evaluator's candidates, the terminal's own commands, and a limit on the wait.

use crate::commands;
use crossbeam::channel::bounded;
use mobula_session::{Completion, Completions, Evaluator};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The longest wait for candidates. The evaluator answers late while it gets ready.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// The most candidates that are offered: more than a person reads, and far fewer than the list's counter can hold.
const CANDIDATES_MAX: usize = 1_000;
/// The separator between a candidate and its kind in the list.
pub(crate) const BEFORE_KIND: &str = "  ";

/// One candidate: the text to insert, and the text in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub code: String,
    pub shown: String,
}

/// Asks an evaluator, one question at a time.
pub(crate) struct Completer<E> {
    evaluator: E,
    asking: Arc<AtomicBool>,
}

impl<E: Evaluator + Clone> Completer<E> {
    pub fn new(evaluator: E) -> Completer<E> {
        Completer { evaluator, asking: Arc::new(AtomicBool::new(false)) }
    }

    /// Returns the first byte that a candidate replaces, and the candidates, best first.
    pub fn complete(&self, text: &str, cursor: usize) -> (usize, Vec<Candidate>) {
        let theirs = self.ask(text, cursor).unwrap_or(Completions { start: cursor, end: cursor, items: Vec::new() });
        let (start, mut items) = match our_commands(text, cursor) {
            Some((start, ours)) => (start, ours),
            None => (theirs.start, Vec::new()),
        };
        if theirs.start == start {
            items.extend(theirs.items);
        }
        (start, offer(items))
    }

    /// Asks the evaluator. Returns `None` if it does not answer in time, or has not answered the last question yet.
    fn ask(&self, text: &str, cursor: usize) -> Option<Completions> {
        // Relaxed: the flag guards no data, only the number of questions.
        if self.asking.swap(true, Ordering::Relaxed) {
            return None;
        }
        let (evaluator, asking, code) = (self.evaluator.clone(), Arc::clone(&self.asking), text.to_owned());
        let (tell, answer) = bounded(1);
        let question = move || {
            let found = evaluator.complete(&code, cursor);
            asking.store(false, Ordering::Relaxed);
            // The receiver is gone if this took too long.
            let _ = tell.send(found);
        };
        if std::thread::Builder::new().name("completion".into()).spawn(question).is_err() {
            self.asking.store(false, Ordering::Relaxed);
        }
        let found = answer.recv_timeout(WAIT_MAX).ok()?;
        (found.start <= cursor && text.is_char_boundary(found.start)).then_some(found)
    }
}

/// The terminal's commands that begin with the typed text, if the cursor is in the first word of a command.
fn our_commands(text: &str, cursor: usize) -> Option<(usize, Vec<Completion>)> {
    let typed = text[..cursor].trim_start();
    if !typed.starts_with(':') || typed.contains(char::is_whitespace) {
        return None;
    }
    let names = commands::OURS.iter().map(|(name, _)| *name).filter(|name| name.starts_with(typed));
    let items = names.map(|name| Completion { code: name.into(), kind: "command".into(), label: name.into() });
    Some((cursor - typed.len(), items.collect()))
}

fn offer(items: Vec<Completion>) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = Vec::new();
    for item in items.into_iter().take(CANDIDATES_MAX) {
        let name = if item.label.is_empty() { &item.code } else { &item.label };
        let shown = if item.kind.is_empty() { name.clone() } else { format!("{name}{BEFORE_KIND}{}", item.kind) };
        let candidate = Candidate { code: item.code, shown };
        if !candidates.contains(&candidate) {
            candidates.push(candidate);
        }
    }
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_evaluator::Fake;

    fn codes((start, candidates): (usize, Vec<Candidate>)) -> (usize, Vec<String>) {
        (start, candidates.into_iter().map(|candidate| candidate.code).collect())
    }

    #[test]
    fn the_evaluator_says_what_can_stand_at_the_cursor() {
        let completer = Completer::new(Fake::new());
        let (start, found) = completer.complete("let x = va", 10);
        assert_eq!(start, 8);
        assert_eq!(found, [Candidate { code: "value".into(), shown: "value  local".into() }]);
    }

    #[test]
    fn our_commands_come_before_the_evaluators_and_only_once() {
        let completer = Completer::new(Fake::new());
        assert_eq!(codes(completer.complete(":h", 2)), (0, vec![":help".into(), ":history".into()]));
        assert_eq!(codes(completer.complete(" :v", 3)), (1, vec![":vars".into()]));
        assert_eq!(codes(completer.complete(":type va", 8)), (6, vec!["value".into()]));
    }

    #[test]
    fn one_unanswered_question_does_not_lead_to_another() {
        let fake = Fake::new();
        let completer = Completer::new(fake.clone());
        completer.asking.store(true, Ordering::Relaxed);
        assert_eq!(completer.complete("va", 2), (2, vec![]));
        assert_eq!(fake.questions(), 0);
    }
}
