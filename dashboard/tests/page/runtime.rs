//! A made-up runtime: what it answers is set by the test.

use mobula_abi::{
    ActorEntry, ActorState, Answer, Attempt, Cause, CellState, Failed, Failure, LivingTask, Question, ResourceStatus,
    RuntimeStatus, Share, StoreSummary, TaskChanges, TaskEntry, TaskLinks, TaskState, TaskTable, TaskType,
};
use mobula_dashboard::{CellRecord, CellsSince, LogLine, LogSince, Options, Page, Source, Unanswered, start};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// The runtime.
#[derive(Default)]
pub struct Made {
    changes: Mutex<TaskChanges>,
    is_gone: Mutex<bool>,
    workers: Mutex<Vec<u32>>,
    /// How often its tasks were looked at.
    pub looks: AtomicUsize,
}

/// A run of `half` in cell 3, of which the numbers in `n` are all.
pub fn run(n: u64, state: TaskState) -> TaskEntry {
    let ended = (state > TaskState::Running).then_some(n * 1_000_000 + 900_000);
    TaskEntry {
        id: n,
        parent: 0,
        name: 0,
        of: TaskType::Task,
        state,
        session: 0,
        cell: 3,
        attempt: 1,
        pid: 70,
        submitted: n * 1_000_000,
        began: Some(n * 1_000_000 + 100_000),
        ended,
    }
}

impl Made {
    /// The page of a new one.
    pub fn page() -> (Arc<Made>, Page) {
        let made = Arc::new(Made::default());
        let page = start(made.clone(), &Options::default()).expect("there is a free port");
        (made, page)
    }

    /// These runs have ended by the next look, and these go on.
    pub fn tasks(&self, ended: Vec<TaskEntry>, running: Vec<TaskEntry>) {
        let mut changes = self.changes.lock().unwrap();
        let living = running.into_iter().map(|run| LivingTask { run, needs: vec![8] }).collect();
        changes.ended.extend(ended);
        (changes.names, changes.living, changes.now) = (vec!["half".into()], living, 99_000_000);
    }

    /// These processes are workers, too.
    pub fn workers(&self, pids: Vec<u32>) {
        *self.workers.lock().unwrap() = pids;
    }

    /// It ends.
    pub fn end(&self) {
        *self.is_gone.lock().unwrap() = true;
    }

    fn is_there(&self) -> Result<(), Unanswered> {
        let reason = "the runtime has ended".to_owned();
        if *self.is_gone.lock().unwrap() { Err(Unanswered { reason }) } else { Ok(()) }
    }
}

impl Source for Made {
    fn ask(&self, question: Question) -> Result<Answer, Unanswered> {
        self.is_there()?;
        Ok(match question {
            Question::Status => {
                let cpu = ResourceStatus { name: "CPU".into(), in_use: 1.5, total: 2.0 };
                Answer::Status(RuntimeStatus {
                    resources: vec![cpu],
                    workers: 1,
                    pids: [vec![std::process::id()], self.workers.lock().unwrap().clone()].concat(),
                    demands: vec![],
                    sessions: vec![],
                })
            }
            Question::Tasks => Answer::Tasks(TaskTable {
                names: vec!["half".into()],
                tasks: vec![run(1, TaskState::Finished), run(2, TaskState::Failed)],
                forgotten: 0,
                now: 99,
            }),
            Question::Actors => Answer::Actors(vec![ActorEntry {
                id: 9,
                type_name: "Counter".into(),
                name: None,
                state: ActorState::Alive { pid: 71 },
                session: 0,
                cell: 4,
                restarts: 2,
                calls: 5,
                death: None,
            }]),
            Question::Errors => Answer::Errors(vec![Failed {
                failure: Failure {
                    task: "half".into(),
                    pid: 70,
                    cell: 3,
                    cause: Cause::Error { message: "odd".into() },
                    carried_by: Vec::new(),
                    attempt: Attempt { number: 1, of: None },
                    node: String::new(),
                },
                is_fetched: true,
            }]),
            Question::DiskMoves { .. } => Answer::DiskMoves(Vec::new()),
            other => panic!("the page asked {other:?}"),
        })
    }

    fn task_changes(&self) -> Result<TaskChanges, Unanswered> {
        self.is_there()?;
        self.looks.fetch_add(1, Ordering::Relaxed);
        let mut changes = self.changes.lock().unwrap();
        let ended = std::mem::take(&mut changes.ended);
        Ok(TaskChanges { ended, ..changes.clone() })
    }

    fn task_links(&self, id: u64) -> Result<TaskLinks, Unanswered> {
        self.is_there()?;
        Ok(TaskLinks { needs: vec![1], needed_by: vec![id + 100] })
    }

    fn store_summary(&self) -> Result<StoreSummary, Unanswered> {
        self.is_there()?;
        let share = |name: &str| Share { name: name.into(), objects: 1, bytes: 4096 };
        let (places, makers, holders) = (vec![share("memory")], vec![share("half")], vec![share("70")]);
        Ok(StoreSummary { objects: 1, places, makers, holders, largest: Vec::new() })
    }

    fn report(&self, failure: &Failure) -> String {
        format!("task `{}` failed", failure.task)
    }

    fn cells(&self, after: u64) -> CellsSince {
        let cell =
            CellRecord { cell: 3, state: CellState::Ok, source: "</script>half".into(), ..CellRecord::default() };
        CellsSince { revision: 1, cells: if after == 0 { vec![cell] } else { Vec::new() } }
    }

    fn log(&self, from: u64) -> LogSince {
        let line = |n: u64| LogLine {
            ms: n,
            cell: 3,
            task: "half".into(),
            pid: 70,
            stream: "stdout",
            text: format!("(half pid=70) line {n}\n"),
        };
        LogSince { next: 2, dropped: 0, lines: (from..2).map(line).collect() }
    }
}
