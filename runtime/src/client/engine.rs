//! The local engine: the client, behind the table.

use super::current::current;
use super::loaded_code::locate;
use super::{Client, Input};
use crate::abi::engine::{self, Engine, Fallible, Opened, Task};
use crate::abi::{Answer, Cause, Draft, Fault, Question, Table};
use crate::protocol::ObjectId;
use crate::store::ARGS_MAX;
use std::time::Duration;

static TABLE: Table = engine::table::<Client>();

/// The table that this process attaches libraries to. Its functions fail, with a message that says so, until the
/// process is connected.
pub fn table() -> &'static Table {
    &TABLE
}

impl Engine for Client {
    fn current() -> Option<&'static Client> {
        current()
    }

    fn create(&self, len: u64) -> Fallible<Draft> {
        self.create(len).map(|(token, ptr)| Draft { token, ptr })
    }

    fn seal(&self, draft: u64, contains: &[u64]) -> Fallible<u64> {
        self.seal(draft, ids(contains)).map(|id| id.0)
    }

    fn discard(&self, draft: u64) {
        self.discard(draft);
    }

    fn submit(&self, task: Task<'_>) -> Fallible<u64> {
        let inputs = task.inputs();
        let mut few: [Input; ARGS_MAX] = [const { Input::Ref(ObjectId(0)) }; ARGS_MAX];
        let mut many = Vec::new();
        let args: &[Input] = if inputs.len() <= ARGS_MAX {
            let len = inputs.len();
            few.iter_mut().zip(inputs).for_each(|(place, given)| *place = input(given));
            &few[..len]
        } else {
            many.extend(inputs.map(input));
            &many
        };
        let function = if !task.options.is_empty() || task.returns > 1 {
            Err(Fault::Refused { message: "this runtime does not support task options or several results".into() }
                .into())
        } else {
            self.function(task.trampoline as usize, || locate(task.trampoline, task.name))
        };
        match function {
            Ok(function) => self.submit(function, args).map(|id| id.0),
            Err(fault) => {
                args.iter().for_each(|arg| {
                    if let Input::Draft(draft, _) = arg {
                        self.discard(*draft);
                    }
                });
                Err(fault)
            }
        }
    }

    fn wait(&self, ids: &[u64], num_returns: u64, timeout: Option<Duration>, ready: &mut [u8]) -> Fallible<()> {
        self.wait(ids, num_returns, timeout, ready)
    }

    fn open(&self, id: u64) -> Fallible<Opened> {
        self.open(ObjectId(id))
    }

    fn close(&self, hold: u64) {
        self.close(hold);
    }

    fn retain(&self, ids: &[u64]) {
        self.retain(ids);
    }

    fn release(&self, id: u64) {
        self.release(ObjectId(id));
    }

    fn result(&self, call: u64, draft: u64, contains: &[u64]) {
        self.result(call, draft, ids(contains));
    }

    fn fail(&self, call: u64, cause: Cause) {
        self.fail(call, cause);
    }

    fn ask(&self, question: Question) -> Fallible<Answer> {
        self.question(question)
    }
}

fn ids(raw: &[u64]) -> Vec<ObjectId> {
    raw.iter().copied().map(ObjectId).collect()
}

fn input(given: engine::Input<'_>) -> Input {
    match given {
        engine::Input::Object(id) => Input::Ref(ObjectId(id)),
        engine::Input::Draft(draft, contains) => Input::Draft(draft, ids(contains)),
    }
}
