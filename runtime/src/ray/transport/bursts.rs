//! Gets of many small objects: which are pushed one by one, and which are fetched together. Decides, and does nothing: no clock, no socket.
//!
//! A get of its own is pushed by the cluster when the object is there: two messages through two processes of Python. Of hundreds that are asked for at
//! once, these cost the head as much as the calls themselves. So a get that comes while many others are still behind it is collected: the cluster is
//! asked which of the first ones are ready, and then for the values of those together. When few are ready after that time, the objects come slowly,
//! and are pushed after all: what is slow must not hold up what comes later.
//!
//! ```text
//!   asked ─▶ came ──few are behind it──▶ pushed ◀───────few are ready─────────────┐
//!              └────many──▶ collected ──ask which are ready──▶ fetched together ──┴─not alone a value──▶ pushed
//! ```

use bytes::Bytes;
use std::collections::{HashSet, VecDeque};

/// A get is collected if so many others were asked for and have not come yet.
const BEHIND_MIN: usize = 16;

/// So many are fetched together.
const TOGETHER: usize = 64;

/// Of so many is asked at a time which are ready.
const WINDOW_MAX: usize = 256;

/// If fewer than this are ready in time, they come slowly.
const READY_MIN: usize = 8;

/// A get and the id of its object.
pub(super) type Wanted<G> = (Bytes, G);

/// Gets of `G`.
#[derive(Debug)]
pub(super) struct Bursts<G> {
    /// Asked for, and not yet come: their ids are not known, or they wait behind others.
    behind: usize,
    collected: VecDeque<Wanted<G>>,
    /// How many of the first ones the question is about that is under way.
    window: Option<usize>,
    /// It has waited long enough for more.
    is_due: bool,
}

/// A question which objects are ready.
#[derive(Debug, PartialEq)]
pub(super) struct Question {
    pub ids: Vec<Bytes>,
    /// How many are enough.
    pub returns: usize,
}

/// What comes of its answer.
#[derive(Debug, PartialEq)]
pub(super) struct Answered<G> {
    pub fetch: Vec<Wanted<G>>,
    pub push: Vec<G>,
}

impl<G> Bursts<G> {
    pub(super) fn new() -> Bursts<G> {
        Bursts { behind: 0, collected: VecDeque::new(), window: None, is_due: false }
    }

    /// A get is asked for. It comes, or it is lost.
    pub(super) fn asked(&mut self) {
        self.behind += 1;
    }

    /// A get will never come: what it names has failed.
    pub(super) fn lost(&mut self) {
        self.behind -= 1;
    }

    /// A get could go out now. It is given back if it is to be pushed.
    pub(super) fn came(&mut self, id: &Bytes, get: G) -> Option<G> {
        self.behind -= 1;
        if self.behind < BEHIND_MIN {
            return Some(get);
        }
        self.collected.push_back((id.clone(), get));
        None
    }

    /// Whether some wait for more to come. They must not wait for long.
    pub(super) fn is_waiting(&self) -> bool {
        self.window.is_none() && !self.collected.is_empty()
    }

    /// Nothing waits for more.
    pub(super) fn due(&mut self) {
        self.is_due = true;
    }

    /// The next question, of which one is under way at a time.
    pub(super) fn next(&mut self) -> Option<Question> {
        let is_due = self.is_due || self.behind < BEHIND_MIN || self.collected.len() >= TOGETHER;
        if !is_due || !self.is_waiting() {
            return None;
        }
        let window = self.collected.len().min(WINDOW_MAX);
        (self.window, self.is_due) = (Some(window), false);
        let ids = self.collected.iter().take(window).map(|(id, _)| id.clone()).collect();
        Some(Question { ids, returns: window.min(TOGETHER) })
    }

    /// Takes the places of those that are ready; none if the question has failed.
    pub(super) fn answered(&mut self, ready: &[usize]) -> Answered<G> {
        let window = self.window.take().unwrap_or_default();
        let is_slow = ready.len() < READY_MIN.min(window);
        let ready: HashSet<usize> = ready.iter().copied().collect();
        let (mut answered, mut rest) = (Answered { fetch: Vec::new(), push: Vec::new() }, VecDeque::new());
        for (place, wanted) in self.collected.drain(..window).enumerate() {
            if ready.contains(&place) {
                answered.fetch.push(wanted);
            } else if is_slow {
                answered.push.push(wanted.1);
            } else {
                rest.push_back(wanted);
            }
        }
        rest.append(&mut self.collected);
        self.collected = rest;
        answered
    }

    /// Takes what is collected: the session has ended.
    pub(super) fn end(&mut self) -> Vec<G> {
        self.collected.drain(..).map(|(_, get)| get).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(get: usize) -> Bytes {
        get.to_string().into()
    }

    /// Asks for gets and lets `count` of them come. Those that are pushed.
    fn burst(bursts: &mut Bursts<usize>, asked: usize, count: usize) -> Vec<usize> {
        (0..asked).for_each(|_| bursts.asked());
        (0..count).filter_map(|get| bursts.came(&id(get), get)).collect()
    }

    fn gets(wanted: &[Wanted<usize>]) -> Vec<usize> {
        wanted.iter().map(|(_, get)| *get).collect()
    }

    #[test]
    fn few_gets_are_pushed_each() {
        let mut bursts = Bursts::new();
        assert_eq!(burst(&mut bursts, BEHIND_MIN, BEHIND_MIN), (0..BEHIND_MIN).collect::<Vec<_>>());
        assert_eq!(bursts.next(), None);
    }

    #[test]
    fn many_gets_are_fetched_together_and_the_last_ones_pushed() {
        let mut bursts = Bursts::new();
        let count = TOGETHER + BEHIND_MIN;
        assert_eq!(burst(&mut bursts, count, count), (TOGETHER..count).collect::<Vec<_>>());
        let question = bursts.next().unwrap();
        assert_eq!((question.ids.len(), question.returns), (TOGETHER, TOGETHER));
        assert_eq!(bursts.next(), None, "one is under way");
        let answered = bursts.answered(&(0..TOGETHER).collect::<Vec<_>>());
        assert_eq!((gets(&answered.fetch), answered.push), ((0..TOGETHER).collect(), Vec::new()));
        assert!(!bursts.is_waiting());
    }

    #[test]
    fn what_is_not_ready_yet_is_asked_for_again_in_its_order() {
        let mut bursts = Bursts::new();
        burst(&mut bursts, 200, 100);
        assert_eq!(bursts.next().unwrap().ids.len(), 100);
        let ready: Vec<usize> = (0..100).filter(|place| place % 2 == 0).collect();
        assert_eq!(gets(&bursts.answered(&ready).fetch), ready);
        assert_eq!(bursts.next(), None, "more may come");
        bursts.due();
        let odd: Vec<Bytes> = (0..100).filter(|get| get % 2 == 1).map(id).collect();
        assert_eq!(bursts.next().unwrap().ids, odd);
    }

    #[test]
    fn what_comes_slowly_is_pushed_and_does_not_hold_up_others() {
        let mut bursts = Bursts::new();
        burst(&mut bursts, 1000, 300);
        assert_eq!(bursts.next().unwrap().ids.len(), WINDOW_MAX);
        let answered = bursts.answered(&[3]);
        assert_eq!((gets(&answered.fetch), answered.push.len()), (vec![3], WINDOW_MAX - 1));
        bursts.due();
        assert_eq!(bursts.next().unwrap().ids[0], id(WINDOW_MAX));
        // A question that has failed is as one that found nothing.
        assert_eq!(bursts.answered(&[]).push.len(), 300 - WINDOW_MAX);
        assert_eq!(bursts.next(), None);
    }

    #[test]
    fn what_is_lost_is_not_behind_any_more() {
        let mut bursts = Bursts::new();
        (0..=BEHIND_MIN).for_each(|_| bursts.asked());
        bursts.lost();
        assert_eq!(bursts.came(&id(0), 0), Some(0));
    }

    #[test]
    fn what_is_collected_is_taken_at_the_end() {
        let mut bursts = Bursts::new();
        burst(&mut bursts, 300, 200);
        bursts.next();
        assert_eq!(bursts.end().len(), 200);
    }
}
