//! The queue of messages that wait to be published. It has no clock: callers pass the time.
//!
//! Text is held for a moment, so that many small writes become one message. It is published
//! - when it is [`TEXT_WAIT`] old,
//! - when there are [`TEXT_BYTES_FULL`] of it,
//! - or when a message other than text waits behind it, which must not come late.
//!
//! Updates of widgets wait likewise. One that waits takes in those that come later for the same widget, so that a bar in a
//! loop is twenty messages a second.
//!
//! A cell that alternates between stdout and stderr would defeat this, with one message for each write. So a run of
//! texts has at most [`RUN_TEXTS_MAX`] pieces; beyond that, text joins the last piece of its own stream. Up to that
//! limit, the two streams keep the order in which they were written. In such a flood, their order is exact only to
//! within a moment. Each stream by itself is always in order.

use crate::wire::{Draft, Origin};
use mobula_session::{CommMessage, Stream, join_updates, kept_bytes};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The longest time that text is held. Short enough to look live; 20 messages a second are far below the 1000 at which
/// Jupyter's server begins to drop them.
pub(super) const TEXT_WAIT: Duration = Duration::from_millis(50);
/// Text of this size is published at once.
pub(super) const TEXT_BYTES_FULL: usize = 32 << 10;
/// The most pieces in a run of texts, not counting full ones.
pub(super) const RUN_TEXTS_MAX: usize = 32;

/// How far back an update looks for one that waits.
const UPDATES_MAX: usize = 64;

/// A queue of messages that joins texts.
#[derive(Default)]
pub(super) struct Backlog {
    items: VecDeque<Item>,
    /// Bytes of text and (roughly) of content.
    bytes: usize,
    /// Items that are not text.
    urgent: usize,
    /// Consecutive texts at the end of the queue.
    run: usize,
}

/// One thing to publish.
#[derive(Debug)]
pub(super) enum Item {
    Text(Text),
    Update(Update),
    Message {
        origin: Arc<Origin>,
        draft: Draft,
    },
    /// Taken only after everything that was queued before it.
    Barrier(oneshot::Sender<()>),
}

/// Text of one stream of one request.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) origin: Arc<Origin>,
    pub(super) stream: Stream,
    pub(super) text: String,
    since: Instant,
}

/// An update of a widget.
#[derive(Debug)]
pub(super) struct Update {
    pub(super) origin: Arc<Origin>,
    pub(super) message: CommMessage,
    since: Instant,
    /// The bytes that are counted for it.
    bytes: usize,
}

/// The next step of the queue's owner.
#[derive(Debug)]
pub(super) enum Pop {
    /// Publish this.
    Item(Item),
    /// Call [`Backlog::pop`] again at this time, or when something new has come.
    Wait(Instant),
    /// Nothing is queued.
    Empty,
}

impl Backlog {
    /// Bytes that wait here.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a message.
    pub(super) fn push(&mut self, origin: Arc<Origin>, draft: Draft) {
        self.bytes += weight(&draft);
        self.push_urgent(Item::Message { origin, draft });
    }

    /// Adds a barrier: `done` comes out after everything that is queued now.
    pub(super) fn push_barrier(&mut self, done: oneshot::Sender<()>) {
        self.push_urgent(Item::Barrier(done));
    }

    fn push_urgent(&mut self, item: Item) {
        self.urgent += 1;
        self.run = 0;
        self.items.push_back(item);
        #[cfg(debug_assertions)]
        self.check();
    }

    /// Adds text. Returns `true` if there is more to do than before: `false` if it only lengthened a piece that waits
    /// anyway.
    pub(super) fn push_text(&mut self, now: Instant, origin: &Arc<Origin>, stream: Stream, text: String) -> bool {
        self.bytes += text.len();
        let mine = |text: &Text| Arc::ptr_eq(&text.origin, origin) && text.stream == stream;
        let reach = if self.run < RUN_TEXTS_MAX { self.run.min(1) } else { self.run };
        let found = self.items.iter_mut().rev().take(reach).find_map(|item| match item {
            Item::Text(text) if mine(text) => Some(text),
            _ => None,
        });
        if let Some(last) = found.filter(|last| last.text.len() < TEXT_BYTES_FULL) {
            last.text.push_str(&text);
            return last.text.len() >= TEXT_BYTES_FULL;
        }
        self.run += 1;
        self.items.push_back(Item::Text(Text { origin: origin.clone(), stream, text, since: now }));
        #[cfg(debug_assertions)]
        self.check();
        true
    }

    /// Adds a message of a widget, which an earlier one that waits may take in. Returns `true` if there is more to do than
    /// before.
    pub(super) fn push_update(&mut self, now: Instant, origin: &Arc<Origin>, message: CommMessage) -> bool {
        let mut left = Some(message);
        for item in self.items.iter_mut().rev().take(UPDATES_MAX) {
            match item {
                Item::Update(update) if left.as_ref().is_some_and(|left| left.comm == update.message.comm) => {
                    left = left.and_then(|message| join_updates(&mut update.message, message));
                    let bytes = update_weight(&update.message);
                    self.bytes = self.bytes + bytes - std::mem::replace(&mut update.bytes, bytes);
                    break;
                }
                // What tells where output goes must not be overtaken.
                Item::Message { draft, .. } if draft.msg_type.starts_with("comm_") => break,
                _ => {}
            }
        }
        let Some(message) = left else { return false };
        let bytes = update_weight(&message);
        self.bytes += bytes;
        self.run = 0;
        self.items.push_back(Item::Update(Update { origin: origin.clone(), message, since: now, bytes }));
        #[cfg(debug_assertions)]
        self.check();
        true
    }

    /// Panics when the counts do not match the queue.
    #[cfg(debug_assertions)]
    fn check(&self) {
        assert!(self.urgent + self.run <= self.items.len(), "what is not text is not in a run of texts");
        let is_text = |item: &Item| matches!(item, Item::Text(_));
        assert!(self.items.iter().rev().take(self.run).all(is_text), "a run has text and nothing else");
        let is_empty = self.items.is_empty();
        assert!(!is_empty || (self.urgent, self.bytes) == (0, 0), "what has left is no longer counted");
    }

    /// Takes what is due at `now`.
    pub(super) fn pop(&mut self, now: Instant) -> Pop {
        match self.items.front() {
            None => return Pop::Empty,
            Some(Item::Text(text)) => {
                let due = text.since + TEXT_WAIT;
                if self.urgent == 0 && text.text.len() < TEXT_BYTES_FULL && now < due {
                    return Pop::Wait(due);
                }
                self.bytes -= text.text.len();
                // The front item is part of the run at the end only if every item is.
                self.run = self.run.min(self.items.len() - 1);
            }
            Some(Item::Update(update)) => {
                let due = update.since + TEXT_WAIT;
                if self.urgent == 0 && now < due {
                    return Pop::Wait(due);
                }
                self.bytes -= update.bytes;
            }
            Some(Item::Message { draft, .. }) => {
                self.bytes -= weight(draft);
                self.urgent -= 1;
            }
            Some(Item::Barrier(_)) => self.urgent -= 1,
        }
        let item = self.items.pop_front();
        #[cfg(debug_assertions)]
        self.check();
        item.map_or(Pop::Empty, Pop::Item)
    }
}

/// Roughly how many bytes a message keeps in memory.
fn weight(draft: &Draft) -> usize {
    64 + kept_bytes(&draft.content) + draft.buffers.iter().map(|bytes| bytes.len()).sum::<usize>()
}

/// As [`weight`], of an update.
fn update_weight(message: &CommMessage) -> usize {
    64 + message.bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Stream::{Stderr, Stdout};
    use serde_json::json;

    /// Everything that is due at `now`, texts as `o:…` and `e:…`, the rest by its type.
    fn due(backlog: &mut Backlog, now: Instant) -> Vec<String> {
        let mut out = Vec::new();
        while let Pop::Item(item) = backlog.pop(now) {
            out.push(match item {
                Item::Text(text) if text.stream == Stdout => format!("o:{}", text.text),
                Item::Text(text) => format!("e:{}", text.text),
                Item::Message { draft, .. } => draft.msg_type.into_owned(),
                Item::Update(update) => update.message.data,
                Item::Barrier(_) => "barrier".into(),
            });
        }
        out
    }

    fn message() -> Draft {
        Draft::new("display_data", json!({"data": {"text/plain": "x"}}))
    }

    #[test]
    fn text_waits_a_moment_and_then_goes_as_one() {
        let (mut backlog, origin, start) = (Backlog::default(), Origin::nobody(), Instant::now());
        assert!(backlog.push_text(start, &origin, Stdout, "a".into()), "the owner must learn of a first text");
        assert!(!backlog.push_text(start + TEXT_WAIT / 2, &origin, Stdout, "b".into()));
        assert!(due(&mut backlog, start + TEXT_WAIT / 2).is_empty());
        assert_eq!(due(&mut backlog, start + TEXT_WAIT), ["o:ab"]);
        assert_eq!(backlog.bytes(), 0);
    }

    #[test]
    fn a_bar_in_a_loop_is_one_message_a_moment_with_its_newest_value() {
        let (mut backlog, origin, now) = (Backlog::default(), Origin::nobody(), Instant::now());
        let update = |comm: &str, values: serde_json::Value| CommMessage {
            comm: comm.into(),
            kind: mobula_session::CommKind::Message,
            data: json!({"method": "update", "state": values, "buffer_paths": []}).to_string(),
            metadata: String::new(),
            buffers: Vec::new(),
        };
        for value in 0..1000 {
            backlog.push_update(now, &origin, update("bar", json!({"value": value})));
            backlog.push_text(now, &origin, Stdout, "x".into());
            backlog.push_update(now, &origin, update("label", json!({"text": value})));
        }
        assert!(due(&mut backlog, now).is_empty());
        let all = due(&mut backlog, now + TEXT_WAIT);
        let [bar, rest @ ..] = &all[..] else { panic!("nothing was due") };
        assert!(bar.contains("999") && rest.len() < 4, "{all:?}");
        assert_eq!(rest.iter().filter_map(|text| text.strip_prefix("o:")).map(str::len).sum::<usize>(), 1000);
        assert!(rest.iter().any(|label| label.contains("999")));
        assert_eq!(backlog.bytes(), 0);
        // Where output goes is told in order.
        backlog.push_update(now, &origin, update("bar", json!({"value": 1})));
        backlog.push(origin.clone(), Draft::new("comm_msg", json!({})));
        backlog.push_update(now, &origin, update("bar", json!({"value": 2})));
        assert_eq!(due(&mut backlog, now + TEXT_WAIT).len(), 3);
    }

    #[test]
    fn text_goes_at_once_before_anything_else() {
        let (mut backlog, origin, now) = (Backlog::default(), Origin::nobody(), Instant::now());
        backlog.push_text(now, &origin, Stdout, "a".into());
        backlog.push(origin.clone(), message());
        backlog.push_text(now, &origin, Stdout, "b".into());
        assert_eq!(due(&mut backlog, now), ["o:a", "display_data"]);
        assert_eq!(due(&mut backlog, now + TEXT_WAIT), ["o:b"]);
    }

    #[test]
    fn the_order_of_both_streams_is_kept() {
        let (mut backlog, origin, now) = (Backlog::default(), Origin::nobody(), Instant::now());
        for (stream, text) in [(Stdout, "1"), (Stderr, "2"), (Stdout, "3"), (Stdout, "4")] {
            backlog.push_text(now, &origin, stream, text.into());
        }
        assert_eq!(due(&mut backlog, now + TEXT_WAIT), ["o:1", "e:2", "o:34"]);
    }

    #[test]
    fn texts_of_different_requests_stay_apart() {
        let (mut backlog, now) = (Backlog::default(), Instant::now());
        backlog.push_text(now, &Origin::nobody(), Stdout, "a".into());
        backlog.push_text(now, &Origin::nobody(), Stdout, "b".into());
        assert_eq!(due(&mut backlog, now + TEXT_WAIT), ["o:a", "o:b"]);
    }

    #[test]
    fn a_flood_of_lines_is_few_messages_and_every_line() {
        let (mut backlog, origin, now) = (Backlog::default(), Origin::nobody(), Instant::now());
        let (mut messages, mut lines) = (0, 0);
        for line in 0..60_000 {
            backlog.push_text(now, &origin, Stdout, format!("line {line}\n"));
            for text in due(&mut backlog, now) {
                messages += 1;
                lines += text.lines().count();
            }
        }
        lines += due(&mut backlog, now + TEXT_WAIT).iter().map(|text| text.lines().count()).sum::<usize>();
        assert_eq!(lines, 60_000);
        assert!(messages < 30, "{messages}");
    }

    #[test]
    fn two_streams_in_turn_are_a_bounded_number_of_pieces_and_each_in_order() {
        let (mut backlog, origin, now) = (Backlog::default(), Origin::nobody(), Instant::now());
        for line in 0..1000 {
            backlog.push_text(now, &origin, if line % 2 == 0 { Stdout } else { Stderr }, format!("{line} "));
        }
        let pieces = due(&mut backlog, now + TEXT_WAIT);
        assert!(pieces.len() <= RUN_TEXTS_MAX, "{}", pieces.len());
        for (tag, first) in [("o:", 0), ("e:", 1)] {
            let text: String = pieces.iter().filter_map(|piece| piece.strip_prefix(tag)).collect();
            let expected: String = (first..1000).step_by(2).map(|line| format!("{line} ")).collect();
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn what_has_left_is_no_longer_counted() {
        let (mut backlog, origin, now) = (Backlog::default(), Origin::nobody(), Instant::now());
        backlog.push(origin.clone(), message());
        backlog.push_text(now, &origin, Stdout, "abc".into());
        backlog.push(origin.clone(), message());
        backlog.push_barrier(oneshot::channel().0);
        assert!(backlog.bytes() > 3);
        assert_eq!(due(&mut backlog, now), ["display_data", "o:abc", "display_data", "barrier"]);
        assert_eq!(backlog.bytes(), 0);
        assert!(matches!(backlog.pop(now), Pop::Empty));
    }
}
