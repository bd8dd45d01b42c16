//! Random walks of defining, editing, deleting and running again, compared with plain rustc.
//!
//! ```text
//! step ─▶ a cell's code ─┬─▶ a session in Jupyter, with the cell's id ─▶ value, or error code ─┐
//!                        └─▶ model: newest definition of each item, one file ─▶ rustc ─▶ run ──┴─▶ equal
//! ```
//!
//! Without further word the walks are the same ones each time. `MOBULA_WALK_STEPS` says how many steps there are in all, of walks that nobody has gone yet,
//! and `MOBULA_WALK_SHRINKS` how often one that fails is tried with fewer; `cargo xtask test walk` with 10000 is the long form.

mod items;
mod model;
mod session;

use crate::support::{Jupyter, Place};
use items::Item;
use model::{Model, Said};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use session::Session;

/// What a person does.
#[derive(Clone, Debug)]
enum Step {
    /// A new cell.
    New(Vec<Item>),
    /// A cell that is there gets other code, and is run.
    Edit(usize, Vec<Item>),
    /// A cell is run as it is.
    Again(usize),
    /// One of its items is taken out of a cell, which is run.
    Delete(usize),
    /// What a function gives.
    Ask(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let code = || vec(items::item(), 1..4);
    prop_oneof![
        3 => code().prop_map(Step::New),
        3 => (any::<usize>(), code()).prop_map(|(cell, code)| Step::Edit(cell, code)),
        2 => any::<usize>().prop_map(Step::Again),
        1 => any::<usize>().prop_map(Step::Delete),
        4 => any::<usize>().prop_map(Step::Ask),
    ]
}

/// The steps of one session.
const STEPS: usize = 40;
/// How often a walk that fails is tried with fewer steps.
const SHRINKS: u32 = 20;

#[test]
fn a_session_is_one_program_of_the_newest_definition_of_each_item() {
    let asked: Option<usize> = std::env::var("MOBULA_WALK_STEPS").ok().and_then(|steps| steps.parse().ok());
    let steps = asked.unwrap_or(2 * STEPS);
    let config = Config {
        cases: steps.div_ceil(STEPS) as u32,
        max_shrink_iters: std::env::var("MOBULA_WALK_SHRINKS")
            .ok()
            .and_then(|most| most.parse().ok())
            .unwrap_or(SHRINKS),
        failure_persistence: None,
        ..Config::default()
    };
    let jupyter = Jupyter::with_kernel(Place::new());
    let walk = vec(step(), STEPS..=STEPS);
    let mut runner = match asked {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    };
    runner.run(&walk, |steps| walked(&jupyter, &steps)).unwrap_or_else(|error| panic!("{error}"));
}

/// A cell of the notebook: its items.
struct Cell {
    id: String,
    items: Vec<Item>,
}

impl Cell {
    fn code(&self) -> String {
        self.items.iter().map(Item::text).collect::<Vec<_>>().join("\n")
    }
}

fn walked(jupyter: &Jupyter, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut session = Session::start(jupyter);
    let mut model = Model::new(jupyter.path("model"));
    let mut cells: Vec<Cell> = Vec::new();
    let mut history = String::new();
    let begin: Vec<Step> = items::beginning().into_iter().map(Step::New).chain((0..5).map(Step::Ask)).collect();
    for step in begin.iter().chain(steps) {
        let at = match step {
            Step::New(items) => {
                cells.push(Cell { id: format!("c{}", cells.len()), items: items.clone() });
                cells.len() - 1
            }
            Step::Ask(which) => {
                let ask = items::question(*which);
                let (said, known) = (session.run(None, &ask), model.ask(&ask));
                history.push_str(&format!("> {ask}\n= {said:?}\n"));
                prop_assert!(
                    said.is(&known),
                    "{history}the session says {said:?}, rustc {known:?} of\n{}",
                    model.text()
                );
                continue;
            }
            _ if cells.is_empty() => continue,
            Step::Edit(cell, items) => {
                let at = cell % cells.len();
                cells[at].items = items.clone();
                at
            }
            Step::Again(cell) => cell % cells.len(),
            Step::Delete(cell) => {
                let at = cell % cells.len();
                if cells[at].items.len() > 1 {
                    cells[at].items.pop();
                }
                at
            }
        };
        let cell = &cells[at];
        let (said, known) = (session.run(Some(&cell.id), &cell.code()), model.run(&cell.id, &cell.items));
        history.push_str(&format!("> // id {}\n{}\n= {said:?}\n", cell.id, cell.code()));
        prop_assert!(said.is(&known), "{history}the session says {said:?}, rustc {known:?} of\n{}", model.text());
    }
    session.end();
    Ok(())
}
