//! The decision when the tasks of cells are looked at, and what is shown of them then. Only states; times are given.
//!
//! ```text
//!   a cell begins ─ 0.5 s ─▶ look ─┬─ no tasks: looked at again while the cell runs, every 0.5 s
//!                                  ├─ tasks for less than 0.5 s: when they have run for that long
//!                                  └─ tasks for longer: a line, ten times a second; folded when cell and tasks have ended
//! ```

use super::line;
use crate::event::{Bundle, CellId, Event, Stage};
use mobula_abi::TaskCounts;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Tasks that run for less get no line.
const PATIENCE: Duration = Duration::from_millis(500);
/// The least time between two looks.
const EVERY: Duration = Duration::from_millis(100);
/// How many times as long as a look takes nobody looks after it: looking takes 2 % of a CPU at most.
const REST: u32 = 50;

/// The cells of which tasks may be shown.
#[derive(Debug, Default)]
pub struct TaskLines {
    /// Whether the front end shows them.
    pub is_watched: bool,
    /// Whether the person does not want them.
    pub is_off: bool,
    cells: BTreeMap<CellId, Cell>,
    made: u64,
    /// When was looked last, and how long it took.
    looked: Option<(Instant, Duration)>,
}

#[derive(Debug)]
struct Cell {
    began: Instant,
    is_running: bool,
    /// Since when there has been a task that has not ended.
    busy_since: Option<Instant>,
    shown: Option<Shown>,
}

#[derive(Debug)]
struct Shown {
    id: String,
    text: Option<String>,
    /// The last counts.
    counts: Vec<TaskCounts>,
}

impl TaskLines {
    /// Whether any tasks are to be shown.
    pub fn is_on(&self) -> bool {
        self.is_watched && !self.is_off
    }

    /// A cell begins. True if no other cell's tasks are of interest.
    pub fn cell_began(&mut self, cell: CellId, now: Instant) -> bool {
        let is_alone = self.cells.is_empty();
        // Callbacks of a cell run as the cell, whose tasks may still go on.
        let cell =
            self.cells.entry(cell).or_insert(Cell { began: now, is_running: true, busy_since: None, shown: None });
        cell.is_running = true;
        is_alone
    }

    /// A cell has ended; its tasks may go on. True if its line is to be brought up to date.
    pub fn cell_ended(&mut self, cell: CellId) -> bool {
        let Some(cell) = self.cells.get_mut(&cell) else { return false };
        cell.is_running = false;
        cell.shown.is_some()
    }

    /// The oldest cell whose tasks are to be counted.
    pub fn oldest(&self) -> Option<CellId> {
        self.cells.first_key_value().map(|(cell, _)| *cell)
    }

    /// When to look next; `None` if there is nothing to look at.
    pub fn next_look(&self) -> Option<Instant> {
        let next = self.cells.values().map(|cell| match (&cell.shown, cell.busy_since) {
            (Some(_), _) => cell.began,
            (None, Some(since)) => since + PATIENCE,
            (None, None) => match self.looked {
                Some((at, _)) if at >= cell.began + PATIENCE && cell.is_running => at + PATIENCE,
                _ => cell.began + PATIENCE,
            },
        });
        let rested = self.looked.map(|(at, took)| at + EVERY.max(took * REST));
        next.min().map(|next| rested.map_or(next, |rested| next.max(rested)))
    }

    /// The tasks were counted, which took `took`. Returns what is to be shown.
    pub fn looked(&mut self, counts: &[TaskCounts], now: Instant, took: Duration) -> Vec<Event> {
        self.looked = Some((now, took));
        let mut events = Vec::new();
        let made = &mut self.made;
        self.cells.retain(|id, cell| {
            let counts = of(counts, *id);
            let oldest = counts.iter().filter_map(|counts| counts.oldest).max();
            let is_busy = counts.iter().any(|counts| counts.unfinished() > 0);
            let since = || now.checked_sub(oldest.unwrap_or_default()).unwrap_or(now);
            cell.busy_since = is_busy.then(|| cell.busy_since.unwrap_or_else(since));
            let is_over = !is_busy && !cell.is_running;
            // A cell that has only just ended is looked at once more when its tasks have had their time.
            let is_done = is_over && (cell.shown.is_some() || now >= cell.began + PATIENCE);
            if cell.shown.is_none() && cell.busy_since.is_some_and(|since| now >= since + PATIENCE) {
                *made += 1;
                cell.shown = Some(Shown { id: format!("mobula-tasks-{id}-{made}"), text: None, counts: Vec::new() });
            }
            if let Some(shown) = &mut cell.shown {
                events.extend(shown.draw(*id, counts, is_over));
            }
            !is_done
        });
        events
    }

    /// Nothing is to be shown any more. Returns the last lines of what was.
    pub fn end(&mut self, counts: &[TaskCounts]) -> Vec<Event> {
        let cells = std::mem::take(&mut self.cells);
        let shown = cells.into_iter().filter_map(|(id, cell)| Some((id, cell.shown?)));
        shown.filter_map(|(id, mut shown)| shown.draw(id, of(counts, id), true)).collect()
    }
}

/// Those of one cell; they stand beside each other.
fn of(counts: &[TaskCounts], cell: CellId) -> &[TaskCounts] {
    let begin = counts.partition_point(|counts| counts.cell < cell.0);
    let end = counts.partition_point(|counts| counts.cell <= cell.0);
    &counts[begin..end]
}

impl Shown {
    /// The event, if there is something new in it.
    fn draw(&mut self, cell: CellId, counts: &[TaskCounts], is_over: bool) -> Option<Event> {
        // There are none if the runtime is gone.
        if !counts.is_empty() {
            self.counts = counts.to_vec();
        }
        let mut bundle: Bundle = if is_over { line::folded(&self.counts) } else { line::live(&self.counts) };
        let text = bundle.plain().map(str::to_owned);
        let stage = match (&self.text, is_over) {
            (_, true) => Stage::Over,
            (None, false) => Stage::Begun,
            (Some(_), false) => Stage::Goes,
        };
        if stage == Stage::Goes && self.text == text {
            return None;
        }
        self.text = text;
        bundle.display_id = Some(self.id.clone());
        Some(Event::Tasks { cell, bundle, stage })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CELL: CellId = CellId(3);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// So many that run and that have ended, the oldest for so long.
    fn half(running: u64, finished: u64, age: u64) -> Vec<TaskCounts> {
        let oldest = (running > 0).then(|| ms(age));
        vec![TaskCounts {
            cell: CELL.0,
            function: "half".into(),
            running,
            finished,
            first: ms(age),
            oldest,
            last: (running == 0).then(Duration::default),
            ..TaskCounts::default()
        }]
    }

    fn shown(events: &[Event]) -> Vec<(Stage, String)> {
        let text = |event: &Event| match event {
            Event::Tasks { bundle, stage, .. } => (*stage, bundle.plain().unwrap().to_owned()),
            other => panic!("{other:?}"),
        };
        events.iter().map(text).collect()
    }

    struct Watched {
        lines: TaskLines,
        start: Instant,
    }

    impl Watched {
        fn new() -> Watched {
            let (mut lines, start) = (TaskLines { is_watched: true, ..TaskLines::default() }, Instant::now());
            assert!(lines.cell_began(CELL, start));
            Watched { lines, start }
        }

        fn next_ms(&self) -> Option<u64> {
            self.lines.next_look().map(|at| at.duration_since(self.start).as_millis() as u64)
        }

        fn look(&mut self, at_ms: u64, counts: &[TaskCounts]) -> Vec<(Stage, String)> {
            shown(&self.lines.looked(counts, self.start + ms(at_ms), Duration::ZERO))
        }
    }

    #[test]
    fn a_cell_without_tasks_is_looked_at_every_half_second_while_it_runs_and_once_if_it_is_shorter() {
        let mut watched = Watched::new();
        assert_eq!(watched.next_ms(), Some(500));
        assert_eq!((watched.look(500, &[]), watched.next_ms()), (vec![], Some(1000)));
        watched.lines.cell_ended(CELL);
        assert_eq!((watched.look(1000, &[]), watched.next_ms()), (vec![], None));
        let mut short = Watched::new();
        assert!(!short.lines.cell_ended(CELL));
        assert_eq!((short.look(500, &[]), short.next_ms()), (vec![], None));
    }

    #[test]
    fn tasks_get_a_line_when_they_have_run_for_half_a_second_and_ten_looks_a_second_from_then_on() {
        let mut watched = Watched::new();
        watched.lines.cell_ended(CELL);
        assert_eq!((watched.look(500, &half(2, 1, 400)), watched.next_ms()), (vec![], Some(600)));
        let (stage, text) = watched.look(600, &half(2, 1, 500)).remove(0);
        assert!(stage == Stage::Begun && text.starts_with("half  33% |") && text.ends_with(" 2 running"), "{text}");
        assert_eq!(watched.next_ms(), Some(700));
        assert_eq!(watched.look(700, &half(2, 1, 500)), [], "nothing has changed");
        assert_eq!(watched.look(800, &half(1, 2, 700))[0].0, Stage::Goes);
        assert_eq!(watched.look(900, &half(0, 3, 800)), [(Stage::Over, "3 tasks in 0.8 s: half".into())]);
        assert_eq!(watched.next_ms(), None);
    }

    #[test]
    fn many_short_tasks_that_go_on_for_half_a_second_get_a_line_too() {
        let mut watched = Watched::new();
        assert_eq!(watched.look(500, &half(1, 900, 1)), []);
        assert_eq!(watched.next_ms(), Some(999), "the oldest was submitted at 499");
        assert_eq!(watched.look(999, &half(1, 1900, 1))[0].0, Stage::Begun);
    }

    #[test]
    fn a_task_that_ended_before_another_began_is_no_reason_for_a_line() {
        let mut watched = Watched::new();
        watched.look(500, &half(1, 0, 300));
        watched.look(700, &half(0, 1, 500));
        assert_eq!(watched.look(1200, &half(1, 1, 10)), []);
        assert_eq!(watched.next_ms(), Some(1690));
    }

    #[test]
    fn the_line_is_folded_when_the_cell_and_its_tasks_have_ended() {
        let mut watched = Watched::new();
        watched.look(600, &half(1, 0, 600));
        assert_eq!(watched.look(700, &half(0, 1, 700))[0].0, Stage::Goes, "the cell still runs");
        assert!(watched.lines.cell_ended(CELL));
        assert_eq!(watched.look(750, &half(0, 1, 750))[0].0, Stage::Over);
    }

    #[test]
    fn a_look_that_takes_long_is_followed_by_a_long_rest() {
        let mut watched = Watched::new();
        watched.lines.looked(&half(1, 0, 600), watched.start + ms(600), ms(10));
        assert_eq!(watched.next_ms(), Some(1100));
    }

    #[test]
    fn each_cell_has_its_own_line() {
        let mut watched = Watched::new();
        watched.look(600, &half(1, 0, 600));
        watched.lines.cell_ended(CELL);
        let later = CellId(4);
        assert!(!watched.lines.cell_began(later, watched.start + ms(650)));
        let mut counts = half(1, 1, 1300);
        counts.push(TaskCounts { cell: 4, ..half(1, 0, 600).remove(0) });
        let events = watched.lines.looked(&counts, watched.start + ms(1300), Duration::ZERO);
        let cells: Vec<CellId> = events
            .iter()
            .map(|event| match event {
                Event::Tasks { cell, .. } => *cell,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(cells, [CELL, later]);
        assert_eq!(watched.lines.oldest(), Some(CELL));
        assert_eq!(shown(&watched.lines.end(&counts)).len(), 2);
        assert_eq!(watched.next_ms(), None);
    }
}
