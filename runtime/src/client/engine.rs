//! The local engine: the client, behind the table.

use super::current::current;
use super::loaded_code::locate;
use super::{Client, Input, nonsense, refused};
use crate::abi::engine::{self, Engine, Fallible, Opened, Task};
use crate::abi::{Answer, Cause, Draft, Notify, Question, Submission, Table, TaskOptions};
use crate::protocol::{Function, ObjectId, ToClient, ToHead};
use crate::store::{ARGS_MAX, Access, TaskKind};
use std::sync::Arc;
use std::time::Duration;

/// Options whose numbers a process remembers.
const OPTIONS_KEPT_MAX: usize = 10_000;

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
        // The first argument of a call says which actor, and that is in its description.
        let inputs = task.inputs().skip(Submission::is_call(task.kind).into());
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
        let described = self.described(&task);
        let existing = match described {
            Ok(Described::New { function, options, kind }) => {
                let submitted = self.submit(function, options, kind, args).map(|id| id.0);
                if let (Err(_), TaskKind::Creation { mailbox }) = (&submitted, kind) {
                    self.tell(&ToHead::Unspawned { mailbox });
                }
                return submitted;
            }
            Ok(Described::Existing(id)) => Ok(id.0),
            Err(fault) => Err(fault),
        };
        args.iter().for_each(|arg| {
            if let Input::Draft(draft, _) = arg {
                self.discard(*draft);
            }
        });
        existing
    }

    fn wait(&self, ids: &[u64], num_returns: u64, timeout: Option<Duration>, ready: &mut [u8]) -> Fallible<()> {
        self.wait(ids, num_returns, timeout, ready)
    }

    fn watch(&'static self, id: u64, notify: Notify) -> Fallible<()> {
        self.watch(ObjectId(id), notify)
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

/// What a submission asks for.
enum Described {
    /// A task of this function, with these options.
    New { function: u32, options: u16, kind: TaskKind },
    /// An actor that there is already; the caller has a reference to what stands for it.
    Existing(ObjectId),
}

impl Client {
    /// The numbers of a task's function and of its options.
    fn described(&self, task: &Task<'_>) -> Fallible<Described> {
        if task.returns > 1 {
            return Err(refused("this runtime does not support several results".into()));
        }
        let address = task.trampoline as usize;
        let function = || self.function(address, &Arc::default(), || locate(task.trampoline, task.name));
        if task.kind == Submission::SPAWN {
            let function = function()?;
            return match self.new_mailbox(task.options)? {
                Ok((mailbox, options)) => {
                    Ok(Described::New { function, options, kind: TaskKind::Creation { mailbox } })
                }
                Err(existing) => Ok(Described::Existing(existing)),
            };
        }
        let kind = match task.kind {
            kind if Submission::is_call(kind) => {
                let access = match kind {
                    Submission::READ => Access::Shared,
                    Submission::ASYNC => Access::Async,
                    _ => Access::Exclusive,
                };
                TaskKind::Call { mailbox: self.mailbox_for(task)?, caller: None, access }
            }
            _ => TaskKind::Normal,
        };
        if kind.is_call() {
            return Ok(Described::New { function: function()?, options: 0, kind });
        }
        if task.options.is_empty() {
            return Ok(Described::New { function: function()?, options: self.plain, kind });
        }
        let (name, options) = self.options(task.options)?;
        let find = || {
            let function = locate(task.trampoline, task.name)?;
            Ok(if name.is_empty() { function } else { Function { name: name.to_string(), ..function } })
        };
        Ok(Described::New { function: self.function(address, &name, find)?, options, kind })
    }

    /// The mailbox of a new actor and the number of its options, or the actor that is there already.
    fn new_mailbox(&self, options: &[u8]) -> Fallible<Result<(u32, u16), ObjectId>> {
        let options = TaskOptions::read_on_one_machine(options).map_err(refused)?;
        match self.ask(|req| ToHead::Spawn { req, options })? {
            ToClient::Mailbox { mailbox, options, .. } => Ok(Ok((mailbox, options))),
            // The head refers to an actor with a name for as long as it lives.
            ToClient::Existing { id, .. } if self.state().retain(id) => Ok(Err(id)),
            ToClient::Existing { .. } => Err(refused("the actor with this name has just ended".into())),
            ToClient::Refused { fault, .. } => Err(fault.into()),
            _ => Err(nonsense()),
        }
    }

    /// The name that a task's options give it, or nothing, and their number.
    fn options(&self, bytes: &[u8]) -> Fallible<(Arc<str>, u16)> {
        if let Some(known) = self.state().options.get(bytes) {
            return Ok(known.clone());
        }
        let mut options = TaskOptions::read_on_one_machine(bytes).map_err(refused)?;
        let name: Arc<str> = options.name.take().unwrap_or_default().into();
        let number = match self.ask(|req| ToHead::Number { req, options })? {
            ToClient::Numbered { options, .. } => options,
            ToClient::Refused { fault, .. } => return Err(fault.into()),
            _ => return Err(nonsense()),
        };
        let mut state = self.state();
        // A program that names each task anew would fill it.
        if state.options.len() >= OPTIONS_KEPT_MAX {
            state.options.clear();
        }
        state.options.insert(bytes.into(), (Arc::clone(&name), number));
        Ok((name, number))
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
