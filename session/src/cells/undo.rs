//! The cells that can be undone, and what the session was before each. Nothing is done here: see `undo_command`.
//!
//! ```text
//!   cell 4            cell 5              cell 6             :undo 2
//!   step(checkpoint 3) step(checkpoint 4) step(checkpoint 5)  ─▶ the twin with checkpoint 4 takes over, and what the session
//!                                                                knew before cell 5 is what it knows
//! ```
//!
//! A step lasts as long as its twin. What a cell has given back to the store stays there only until the next cell of the person begins:
//! else a store would be full of what nobody has any more. So what ran before such a cell can be undone until then.

use super::session_state::SessionState;
use crate::event::CellId;
use crate::reports::record::Kept;

/// How many cells can be undone: each costs a process.
const DEPTH: usize = 4;

/// A cell, and what the session was before it.
#[derive(Debug)]
pub struct Step {
    pub cell: CellId,
    pub state: SessionState,
    /// The front end's name for the cell, and its run before this one.
    pub run: Option<(String, Option<CellId>)>,
    /// The checkpoint of the process, if something of the cell has run there.
    checkpoint: Option<u64>,
    is_compiled: bool,
    /// Whether what it gave back is kept in the store.
    holds_objects: bool,
}

impl Step {
    pub fn new(cell: CellId, state: SessionState, run: Option<(String, Option<CellId>)>) -> Step {
        Step { cell, state, run, checkpoint: None, is_compiled: false, holds_objects: false }
    }
}

/// The steps that can be taken back, the oldest first.
#[derive(Debug)]
pub struct Undo {
    steps: Vec<Step>,
    /// That of the cell that runs.
    present: Option<Step>,
    /// Why nothing before the first step can be undone.
    why: String,
}

impl Default for Undo {
    fn default() -> Undo {
        Undo { steps: Vec::new(), present: None, why: "nothing ran before".into() }
    }
}

impl Undo {
    /// A cell of the person begins.
    pub fn begin(&mut self, step: Step) {
        self.present = Some(step);
    }

    /// The cell is about to run, in a process with the checkpoint `now`. Returns the oldest checkpoint of which a twin is to be kept; `None` if
    /// none is, or that has been said.
    pub fn oldest(&mut self, now: impl FnOnce() -> Option<u64>) -> Option<u64> {
        let present = self.present.as_mut().filter(|step| step.checkpoint.is_none())?;
        present.checkpoint = now();
        let Some(now) = present.checkpoint else {
            self.clear("there was no process to copy");
            return None;
        };
        if let Some(at) = self.steps.iter().rposition(|step| step.holds_objects) {
            self.why = format!("what cell {} gave back to the store went when the next cell ran", self.steps[at].cell);
            self.steps.drain(..=at);
        }
        self.keep_last(DEPTH - 1);
        self.steps.iter().find_map(|step| step.checkpoint).or(Some(now))
    }

    fn keep_last(&mut self, count: usize) {
        let excess = self.steps.len().saturating_sub(count);
        if excess > 0 {
            self.steps.drain(..excess);
            self.why = format!("the states before the last {DEPTH} are kept");
        }
    }

    /// The cell that runs has been compiled: from here on it changes something.
    pub fn is_compiled(&mut self) {
        self.present.iter_mut().for_each(|step| step.is_compiled = true);
    }

    /// Something has run in the process, which says of what twins are kept.
    pub fn learn(&mut self, kept: &Kept) {
        let Some(last) = self.present.as_mut().or(self.steps.last_mut()) else { return };
        last.holds_objects |= kept.holds_objects;
        let cell = last.cell;
        if let Some(why) = &kept.is_final {
            return self.clear(&format!("cell {cell} is final, because {why}"));
        }
        let is_over = |step: &Step| step.checkpoint.is_some_and(|checkpoint| checkpoint < kept.oldest);
        if let Some(at) = self.steps.iter().rposition(is_over) {
            self.steps.drain(..=at);
            self.why = "of a large process only the last copy is kept".into();
        }
    }

    /// The cell has ended.
    pub fn end(&mut self) {
        self.steps.extend(self.present.take().filter(|step| step.is_compiled));
        self.keep_last(DEPTH);
    }

    /// Nothing up to now can be undone any more.
    pub fn clear(&mut self, why: &str) {
        self.steps.clear();
        self.present = None;
        self.why = why.to_owned();
    }

    /// The earliest of the last `count` steps, if there are so many.
    ///
    /// # Errors
    /// A sentence that says how many there are.
    pub fn step(&self, count: usize) -> Result<&Step, String> {
        let at = self.steps.len().checked_sub(count).filter(|_| count > 0);
        at.and_then(|at| self.steps.get(at)).ok_or_else(|| match &self.steps[..] {
            [] => format!("no cell can be undone: {}", self.why),
            [one] => format!("cell {} alone can be undone: {}", one.cell, self.why),
            [first, ..] => {
                format!("the last {} cells can be undone, from cell {}: {}", self.steps.len(), first.cell, self.why)
            }
        })
    }

    /// The checkpoint of the process before the last `count` steps, if they have run there.
    pub fn checkpoint(&self, count: usize) -> Option<u64> {
        self.steps[self.steps.len().saturating_sub(count)..].iter().find_map(|step| step.checkpoint)
    }

    /// The twin with this checkpoint is gone: nothing can be undone with it.
    pub fn lose(&mut self, checkpoint: u64) {
        if let Some(at) = self.steps.iter().rposition(|step| step.checkpoint.is_some_and(|known| known <= checkpoint)) {
            self.why = format!("the copy of the process from before cell {} is gone", self.steps[at].cell);
            self.steps.drain(..=at);
        }
    }

    /// Takes the last `count` steps away, the oldest first.
    pub fn take(&mut self, count: usize) -> Vec<Step> {
        self.steps.split_off(self.steps.len().saturating_sub(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(oldest: u64) -> Kept {
        Kept { oldest, ..Kept::default() }
    }

    /// Runs a cell, whose process has the checkpoint of the same number before it.
    fn run(undo: &mut Undo, cell: u64, and: impl FnOnce(&mut Undo, u64)) {
        undo.begin(Step::new(CellId(cell), SessionState::default(), None));
        undo.is_compiled();
        let oldest = undo.oldest(|| Some(cell)).unwrap();
        assert_eq!(undo.oldest(|| panic!("said once")), None);
        and(undo, oldest);
        undo.end();
    }

    fn well(undo: &mut Undo, oldest: u64) {
        undo.learn(&kept(oldest));
    }

    fn cells(undo: &Undo) -> Vec<u64> {
        undo.steps.iter().map(|step| step.cell.0).collect()
    }

    #[test]
    fn the_last_cells_can_be_undone_and_more_is_refused_with_the_reason() {
        let mut undo = Undo::default();
        assert_eq!(undo.step(1).unwrap_err(), "no cell can be undone: nothing ran before");
        (1..=6).for_each(|cell| run(&mut undo, cell, well));
        assert_eq!(cells(&undo), [3, 4, 5, 6]);
        assert_eq!(undo.step(2).unwrap().cell.0, 5);
        assert_eq!(
            undo.step(5).unwrap_err(),
            "the last 4 cells can be undone, from cell 3: the states before the last 4 are kept"
        );
        assert!(undo.step(0).is_err());
        assert_eq!(undo.take(2).iter().map(|step| step.cell.0).collect::<Vec<_>>(), [5, 6]);
        assert_eq!(cells(&undo), [3, 4]);
    }

    #[test]
    fn a_cell_that_does_not_compile_is_no_step() {
        let mut undo = Undo::default();
        run(&mut undo, 1, well);
        undo.begin(Step::new(CellId(2), SessionState::default(), None));
        undo.end();
        assert_eq!(cells(&undo), [1]);
    }

    /// Defines items, for which nothing runs.
    fn define(undo: &mut Undo, cell: u64) {
        undo.begin(Step::new(CellId(cell), SessionState::default(), None));
        undo.is_compiled();
        undo.end();
    }

    #[test]
    fn a_cell_that_runs_nothing_needs_no_copy_of_the_process() {
        let mut undo = Undo::default();
        define(&mut undo, 1);
        assert_eq!((cells(&undo), undo.checkpoint(1)), (vec![1], None));
        run(&mut undo, 2, |undo, oldest| undo.learn(&Kept { holds_objects: true, ..kept(oldest) }));
        define(&mut undo, 3);
        assert_eq!((cells(&undo), undo.checkpoint(1), undo.checkpoint(3)), (vec![1, 2, 3], None, Some(2)));
        run(&mut undo, 4, |_, oldest| assert_eq!(oldest, 4));
        assert_eq!((cells(&undo), undo.checkpoint(2)), (vec![3, 4], Some(4)));
    }

    #[test]
    fn a_copy_that_is_gone_takes_those_before_it_along_and_leaves_those_behind_it() {
        let mut undo = Undo::default();
        (1..=3).for_each(|cell| run(&mut undo, cell, well));
        undo.lose(2);
        assert_eq!(
            undo.step(2).unwrap_err(),
            "cell 3 alone can be undone: the copy of the process from before cell 2 is gone"
        );
    }

    #[test]
    fn what_a_cell_gave_back_is_kept_until_the_next_begins() {
        let mut undo = Undo::default();
        run(&mut undo, 1, well);
        run(&mut undo, 2, |undo, oldest| undo.learn(&Kept { holds_objects: true, ..kept(oldest) }));
        assert_eq!(cells(&undo), [1, 2]);
        run(&mut undo, 3, |undo, oldest| {
            assert_eq!(oldest, 3);
            well(undo, oldest);
        });
        assert_eq!(
            undo.step(2).unwrap_err(),
            "cell 3 alone can be undone: what cell 2 gave back to the store went when the next cell ran"
        );
    }

    #[test]
    fn a_cell_whose_process_keeps_no_twin_is_final_and_so_is_all_before_it() {
        let mut undo = Undo::default();
        run(&mut undo, 1, well);
        run(&mut undo, 2, |undo, _| {
            undo.learn(&Kept { is_final: Some("it gave back an actor".into()), ..kept(3) });
        });
        let why = undo.step(1).unwrap_err();
        assert_eq!(why, "no cell can be undone: cell 2 is final, because it gave back an actor");
        run(&mut undo, 3, well);
        assert_eq!(cells(&undo), [3]);
        undo.clear("cell 4 added crates");
        assert_eq!(undo.step(1).unwrap_err(), "no cell can be undone: cell 4 added crates");
    }
}
