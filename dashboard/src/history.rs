//! The history of tasks as a page knows it: folded from one look to the next; each reader is told what is new to it.
//!
//! ```text
//!   TaskChanges ──fold──▶ functions, cells: counts      for good
//!                         rows: a worker or actor       for good
//!                         blocks: runs that have ended  the newest, short ones of one function as one
//!                         running, waiting              as of now
//!   since(round) ──▶ what has changed after that round
//! ```
//!
//! # Invariants
//! - The counts are exact but for what was forgotten before a look, and that is counted, too.
//! - A fold adds a bounded number of blocks, however many tasks have ended.

use crate::lanes::Lanes;
use mobula_abi::{LivingTask, TaskChanges, TaskEntry, TaskState, TaskType};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

/// How many blocks are remembered.
const BLOCKS_MAX: usize = 50_000;
/// How many blocks one fold adds.
const BLOCKS_A_FOLD: usize = 2_000;
/// Runs that are no longer than this, and no further apart, become one block.
const SHORT_NS: u64 = 1_000_000;
/// The same, when there are too many.
const COARSE_NS: u64 = 20_000_000;
/// How many ends of runs are remembered one by one, to know one that is told again.
const ENDS_KEPT: usize = 4096;
/// How many rows there may be; later processes share the last.
const ROWS_MAX: usize = 4096;
/// How many seconds the rate of a function is taken over.
const RATE_NS: u64 = 5_000_000_000;

/// Counts of the runs of one function, or of one cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Gave a result.
    pub done: u64,
    /// Failed, or their process died, or an argument of theirs had failed.
    pub failed: u64,
    /// Were cancelled.
    pub cancelled: u64,
    /// Run now.
    pub running: u64,
    /// Wait now.
    pub waiting: u64,
    /// Nanoseconds that runs which have ended took.
    pub ran_ns: u64,
    /// Nanoseconds that they waited before.
    pub queued_ns: u64,
    /// When the first was submitted.
    pub first: u64,
    /// When the last ended.
    pub last: u64,
}

/// Counts, and the round in which they changed last.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// The counts.
    pub counts: Counts,
    round: u64,
    /// How many had ended at some of the last moments.
    recent: VecDeque<(u64, u64)>,
}

/// A process that runs tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The process.
    pub pid: u32,
    /// Whether it is an actor's.
    pub is_actor: bool,
    round: u64,
}

/// A run that has ended, or several short ones of one function.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// The first run.
    pub run: TaskEntry,
    /// The index of its row.
    pub row: u32,
    /// Its place among runs of that row at the same time.
    pub lane: u32,
    /// When the last one ended.
    pub ended: u64,
    /// How many runs it is.
    pub runs: u64,
    /// How long they took in all.
    pub ran_ns: u64,
    round: u64,
}

/// A run that has not ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// The run, and its arguments.
    pub task: LivingTask,
    /// The index of its row; `None` while it waits.
    pub row: Option<u32>,
    /// As that of a block.
    pub lane: u32,
}

/// All of it.
#[derive(Debug, Default)]
pub struct History {
    /// The number of folds.
    pub round: u64,
    /// When the last look was, in nanoseconds since the runtime began.
    pub now: u64,
    /// The functions' names.
    pub names: Vec<String>,
    /// The counts of functions, by the indices of their names.
    pub functions: Vec<Counted>,
    /// The counts of cells.
    pub cells: BTreeMap<u64, Counted>,
    /// The rows.
    pub rows: Vec<Row>,
    /// The blocks, oldest first.
    pub blocks: VecDeque<Block>,
    /// The runs that have not ended: all that run, and some that wait.
    pub living: Vec<Live>,
    /// How many runs were forgotten before they were looked at.
    pub missed: u64,
    /// How many runs are in no block, because too many ended at once.
    pub undrawn: u64,
    row_of: HashMap<u32, u32>,
    lanes: Vec<Lanes>,
    ends: HashMap<(u64, u32), TaskState>,
    ends_order: VecDeque<(u64, u32)>,
}

/// What is new to a reader.
pub struct News<'a> {
    /// The names it does not have.
    pub names: &'a [String],
    /// The functions whose counts have changed, by index.
    pub functions: Vec<(usize, &'a Counted)>,
    /// The cells whose counts have changed.
    pub cells: Vec<(u64, &'a Counted)>,
    /// The rows it does not have.
    pub rows: Vec<(usize, &'a Row)>,
    /// The blocks it does not have.
    pub blocks: Vec<&'a Block>,
}

impl History {
    /// Takes over what a look has found.
    pub fn fold(&mut self, changes: TaskChanges) {
        let TaskChanges { names, mut ended, living, waiting, missed, now } = changes;
        self.round += 1;
        self.now = now;
        self.missed += missed;
        self.names = names;
        self.functions.resize_with(self.names.len(), Counted::default);
        ended.sort_unstable_by_key(|run| (run.began, run.ended));
        for run in &ended {
            self.uncount_earlier_end(run);
            self.count(run);
        }
        self.draw(&ended);
        self.count_living(&living, waiting.iter().map(|wait| (wait.name, wait.cell, wait.tasks)));
        let running: HashSet<u64> = living.iter().map(|task| task.run.id).collect();
        self.lanes.iter_mut().for_each(|lanes| lanes.forget(|id| running.contains(&id)));
        self.living = living.into_iter().map(|task| self.placed(task)).collect();
        let round = self.round;
        let counted = self.functions.iter_mut().chain(self.cells.values_mut());
        counted.filter(|counted| counted.round == round || !counted.recent.is_empty()).for_each(|it| it.note(now));
    }

    /// What has changed after `round`, for a reader that has the first `names` names.
    pub fn since(&self, round: u64, names: usize) -> News<'_> {
        let is_new = |counted: &Counted| counted.round > round || !counted.recent.is_empty();
        let from = self.blocks.partition_point(|block| block.round <= round);
        News {
            names: self.names.get(names..).unwrap_or_default(),
            functions: self.functions.iter().enumerate().filter(|(_, counted)| is_new(counted)).collect(),
            cells: self.cells.iter().map(|(cell, counted)| (*cell, counted)).filter(|(_, it)| is_new(it)).collect(),
            rows: self.rows.iter().enumerate().filter(|(_, row)| row.round > round).collect(),
            blocks: self.blocks.range(from..).collect(),
        }
    }

    /// Takes back another end of the same run: a worker that records a result may be killed before it is one, and then the head records the
    /// end that counts.
    fn uncount_earlier_end(&mut self, run: &TaskEntry) {
        let key = (run.id, run.attempt);
        match self.ends.insert(key, run.state) {
            Some(before) => {
                for counted in self.counted(run) {
                    *counted.counts.of(before) -= 1;
                }
            }
            None => self.ends_order.push_back(key),
        }
        if self.ends_order.len() > ENDS_KEPT {
            self.ends_order.pop_front().map(|oldest| self.ends.remove(&oldest));
        }
    }

    /// The counts that a run belongs to.
    fn counted(&mut self, run: &TaskEntry) -> impl Iterator<Item = &mut Counted> {
        let cell = self.cells.entry(run.cell).or_default();
        self.functions.get_mut(run.name as usize).into_iter().chain([cell])
    }

    fn count(&mut self, run: &TaskEntry) {
        let round = self.round;
        let end = run.ended.unwrap_or(self.now);
        let began = run.began.unwrap_or(end);
        for counted in self.counted(run) {
            let counts = &mut counted.counts;
            counted.round = round;
            counts.first = if counts.first == 0 { run.submitted } else { counts.first.min(run.submitted) };
            counts.last = counts.last.max(end);
            counts.ran_ns += end.saturating_sub(began);
            counts.queued_ns += began.saturating_sub(run.submitted);
            *counts.of(run.state) += 1;
        }
    }

    /// Counts what runs and waits anew.
    fn count_living(&mut self, living: &[LivingTask], waiting: impl Iterator<Item = (u32, u64, u64)>) {
        let round = self.round;
        for counted in self.functions.iter_mut().chain(self.cells.values_mut()) {
            if counted.counts.running + counted.counts.waiting > 0 {
                (counted.counts.running, counted.counts.waiting, counted.round) = (0, 0, round);
            }
        }
        for LivingTask { run, .. } in living.iter().filter(|task| task.run.state == TaskState::Running) {
            for counted in self.counted(run) {
                counted.counts.running += 1;
                counted.submitted(run.submitted, round);
            }
        }
        for (name, cell, tasks) in waiting {
            let cell = self.cells.entry(cell).or_default();
            for counted in self.functions.get_mut(name as usize).into_iter().chain([cell]) {
                counted.counts.waiting += tasks;
                counted.submitted(self.now, round);
            }
        }
    }

    /// Makes blocks of these runs, which are sorted by the times at which they began.
    fn draw(&mut self, ended: &[TaskEntry]) {
        let drawn: Vec<&TaskEntry> = ended.iter().filter(|run| run.began.is_some() && run.pid != 0).collect();
        let mut blocks = self.joined(&drawn, SHORT_NS);
        if blocks.len() > BLOCKS_A_FOLD {
            blocks = self.joined(&drawn, COARSE_NS);
        }
        if blocks.len() > BLOCKS_A_FOLD {
            // The longest say most.
            blocks.sort_unstable_by_key(|block| std::cmp::Reverse(block.ran_ns));
            self.undrawn += blocks[BLOCKS_A_FOLD..].iter().map(|block| block.runs).sum::<u64>();
            blocks.truncate(BLOCKS_A_FOLD);
            blocks.sort_unstable_by_key(|block| block.run.began);
        }
        for mut block in blocks {
            let began = block.run.began.unwrap_or(block.ended);
            block.lane = self.lanes[block.row as usize].place(block.run.id, began, block.ended);
            if self.blocks.len() == BLOCKS_MAX {
                self.blocks.pop_front();
            }
            self.blocks.push_back(block);
        }
    }

    /// Runs as blocks: those of one function that are no longer than `short`, and no further apart, are one.
    fn joined(&mut self, ended: &[&TaskEntry], short: u64) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut last: HashMap<(u32, u32, u64), usize> = HashMap::new();
        for run in ended {
            let (began, ended) = (run.began.unwrap_or(0), run.ended.unwrap_or(self.now));
            let (row, ran) = (self.row(run), ended.saturating_sub(began));
            let is_short = ran <= short && run.state == TaskState::Finished;
            // Of a worker the last one only, so that blocks do not lie over each other, unless there are too many.
            let key = if short == SHORT_NS { (row, 0, 0) } else { (row, run.name, run.cell) };
            let before = last.get(&key).map(|at| &mut blocks[*at]).filter(|block| {
                let is_same = (block.run.name, block.run.cell, block.run.of) == (run.name, run.cell, run.of);
                let is_next = began >= block.ended && began - block.ended <= short;
                is_short && is_same && is_next && block.ran_ns <= short * block.runs && block.run.state == run.state
            });
            match before {
                Some(block) => {
                    (block.ended, block.runs, block.ran_ns) = (ended, block.runs + 1, block.ran_ns + ran);
                }
                None => {
                    last.insert(key, blocks.len());
                    let (run, round) = ((*run).clone(), self.round);
                    blocks.push(Block { run, row, lane: 0, ended, runs: 1, ran_ns: ran, round });
                }
            }
        }
        blocks
    }

    fn placed(&mut self, task: LivingTask) -> Live {
        let run = &task.run;
        if run.state != TaskState::Running || run.pid == 0 {
            return Live { task, row: None, lane: 0 };
        }
        let row = self.row(run);
        let lane = self.lanes[row as usize].keep(run.id, run.began.unwrap_or(self.now));
        Live { task, row: Some(row), lane }
    }

    /// The row of a run's process.
    fn row(&mut self, run: &TaskEntry) -> u32 {
        let is_actor = run.of != TaskType::Task;
        let row = *self.row_of.entry(run.pid).or_insert_with(|| {
            if self.rows.len() < ROWS_MAX {
                self.rows.push(Row { pid: run.pid, is_actor, round: self.round });
                self.lanes.push(Lanes::default());
            }
            self.rows.len() as u32 - 1
        });
        let known = &mut self.rows[row as usize];
        if is_actor && !known.is_actor {
            (known.is_actor, known.round) = (true, self.round);
        }
        row
    }
}

impl Counts {
    /// The count of an end like this.
    fn of(&mut self, state: TaskState) -> &mut u64 {
        match state {
            TaskState::Finished => &mut self.done,
            TaskState::Cancelled => &mut self.cancelled,
            _ => &mut self.failed,
        }
    }

    /// How many have ended.
    pub fn ended(&self) -> u64 {
        self.done + self.failed + self.cancelled
    }
}

impl Counted {
    fn submitted(&mut self, at: u64, round: u64) {
        self.round = round;
        self.counts.first = if self.counts.first == 0 { at } else { self.counts.first.min(at) };
    }

    /// Notes how many have ended until now, for the rate.
    fn note(&mut self, now: u64) {
        self.recent.push_back((now, self.counts.ended()));
        while self.recent.len() > 2 && self.recent[1].0 + RATE_NS < now {
            self.recent.pop_front();
        }
        if self.recent.front().is_some_and(|(at, ended)| *ended == self.counts.ended() && at + RATE_NS < now) {
            self.recent.clear();
        }
    }

    /// How many end in a second, of late; `None` when that is not known.
    pub fn rate(&self) -> Option<f64> {
        let ((from, before), (to, after)) = (self.recent.front()?, self.recent.back()?);
        let seconds = to.saturating_sub(*from) as f64 / 1e9;
        (seconds > 0.0).then(|| after.saturating_sub(*before) as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn run(id: u64, began: u64, ended: u64, state: TaskState) -> TaskEntry {
        let has_ended = state > TaskState::Running;
        TaskEntry {
            id,
            parent: 0,
            name: 0,
            of: TaskType::Task,
            state,
            session: 0,
            cell: 1,
            attempt: 1,
            pid: 7,
            submitted: began,
            began: Some(began),
            ended: has_ended.then_some(ended),
        }
    }

    fn finished(id: u64, began: u64, ended: u64) -> TaskEntry {
        run(id, began, ended, TaskState::Finished)
    }

    fn changes(ended: Vec<TaskEntry>, running: Vec<TaskEntry>) -> TaskChanges {
        let living = running.into_iter().map(|run| LivingTask { run, needs: Vec::new() }).collect();
        TaskChanges { names: vec!["f".into(), "g".into()], ended, living, now: 1000 * MS, ..TaskChanges::default() }
    }

    fn counts(history: &History) -> (u64, u64, u64) {
        let counts = &history.functions[0].counts;
        (counts.done, counts.failed, counts.running)
    }

    #[test]
    fn counts_add_up_and_what_runs_is_counted_anew() {
        let mut history = History::default();
        history.fold(changes(vec![finished(1, 0, 9 * MS)], vec![run(2, 0, 0, TaskState::Running)]));
        assert_eq!(counts(&history), (1, 0, 1));
        history.fold(changes(vec![run(2, 0, 9 * MS, TaskState::WorkerDied)], vec![]));
        assert_eq!(counts(&history), (1, 1, 0));
        assert_eq!(history.cells[&1].counts.ended(), 2);
    }

    #[test]
    fn an_end_that_is_told_again_otherwise_counts_once_and_as_the_last_one_says() {
        let mut history = History::default();
        history.fold(changes(vec![finished(1, 0, 9 * MS)], vec![]));
        history.fold(changes(vec![run(1, 0, 9 * MS, TaskState::WorkerDied)], vec![]));
        assert_eq!(counts(&history), (0, 1, 0));
        let again = TaskEntry { attempt: 2, ..finished(1, 20 * MS, 30 * MS) };
        history.fold(changes(vec![again], vec![]));
        assert_eq!(counts(&history), (1, 1, 0), "another attempt is another run");
    }

    #[test]
    fn short_runs_one_after_the_other_are_one_block_and_a_failure_is_one_of_its_own() {
        let mut history = History::default();
        let mut ended: Vec<TaskEntry> = (0..100).map(|n| finished(n + 1, n * MS / 10, n * MS / 10 + MS / 20)).collect();
        ended.push(run(200, 10 * MS, 10 * MS + 5, TaskState::Failed));
        ended.push(finished(201, 11 * MS, 30 * MS));
        history.fold(changes(ended, vec![]));
        let blocks: Vec<(u64, u64)> = history.blocks.iter().map(|block| (block.run.id, block.runs)).collect();
        assert_eq!(blocks, [(1, 100), (200, 1), (201, 1)]);
        assert_eq!(history.blocks[0].ran_ns, 100 * MS / 20);
    }

    #[test]
    fn however_many_runs_end_a_fold_adds_a_bounded_number_of_blocks_and_counts_all() {
        let mut history = History::default();
        // Two functions in turns, so that no two neighbours are one block, each longer than what is joined.
        let ended = (0..20_000)
            .map(|n| TaskEntry { name: (n % 2) as u32, ..finished(n + 1, n * 50 * MS, n * 50 * MS + 30 * MS) });
        history.fold(changes(ended.collect(), vec![]));
        assert_eq!((history.blocks.len(), history.undrawn), (BLOCKS_A_FOLD, 20_000 - BLOCKS_A_FOLD as u64));
        assert_eq!(history.functions[0].counts.done + history.functions[1].counts.done, 20_000);
        for _ in 0..30 {
            let ended = (0..2000).map(|n| finished(30_000 + n, n * 50 * MS, n * 50 * MS + 30 * MS)).collect();
            history.fold(changes(ended, vec![]));
        }
        assert_eq!(history.blocks.len(), BLOCKS_MAX);
    }

    #[test]
    fn a_reader_is_told_what_is_new_to_it() {
        let mut history = History::default();
        history.fold(changes(vec![finished(1, 0, 9 * MS)], vec![]));
        let before = history.round;
        let other = TaskEntry { name: 1, pid: 8, cell: 2, ..finished(2, 0, 9 * MS) };
        history.fold(TaskChanges { now: 60_000 * MS, ..changes(vec![other], vec![]) });
        let news = history.since(before, 2);
        assert_eq!((news.names.len(), news.rows.len(), news.blocks.len()), (0, 1, 1));
        assert_eq!(
            (news.functions.iter().any(|(index, _)| *index == 1), news.cells.iter().any(|(cell, _)| *cell == 2)),
            (true, true)
        );
        let all = history.since(0, 0);
        assert_eq!((all.names.len(), all.rows.len(), all.blocks.len(), all.functions.len()), (2, 2, 2, 2));
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let mut history = History::default();
        for second in 0..20 {
            let now = second * 1000 * MS;
            let number = if second < 10 { 100 } else { 10 };
            let ended = (0..number).map(|n| finished(second * 1000 + n + 1, now, now + 1)).collect();
            history.fold(TaskChanges { now, ..changes(ended, vec![]) });
        }
        let rate = history.functions[0].rate().unwrap();
        assert!((9.0..=11.0).contains(&rate), "{rate}");
    }
}
