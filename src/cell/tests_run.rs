//! The tests of a session, as `:test` runs them: each is a task, so each has a process that it may take along.

use crate::error::GetError;
use crate::object::ObjectRef;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{ExitCode, Termination};

/// Tests that were started, and what became of them.
#[derive(Debug, Default)]
pub struct Tests {
    started: Vec<Started>,
    ignored: Vec<&'static str>,
    refused: Vec<(&'static str, &'static str)>,
}

/// A test that was started.
#[derive(Debug)]
struct Started {
    name: &'static str,
    /// The words that its panic must have.
    panics: Option<&'static str>,
    run: ObjectRef<Option<String>>,
}

/// Runs a test. Its panic is its task's; an `Err` is told on standard error, as the standard library does it.
pub fn passes<T: Termination>(test: impl FnOnce() -> T) -> Option<String> {
    let is_fine = test().report() == ExitCode::SUCCESS;
    (!is_fine).then(|| "it returned an error".to_owned())
}

/// Runs a test that must panic. Gives the words of its panic.
pub fn panics<T: Termination>(test: impl FnOnce() -> T) -> Option<String> {
    // Nothing of the test is used afterwards.
    let panic = catch_unwind(AssertUnwindSafe(|| test().report())).err()?;
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    Some(text.unwrap_or_default().to_owned())
}

impl Tests {
    /// None yet.
    pub fn new() -> Tests {
        Tests::default()
    }

    /// A test that was started; `panics` are the words that its panic must have.
    pub fn add(&mut self, name: &'static str, panics: Option<&'static str>, run: ObjectRef<Option<String>>) {
        self.started.push(Started { name, panics, run });
    }

    /// A test that is not run.
    pub fn ignore(&mut self, name: &'static str) {
        self.ignored.push(name);
    }

    /// A function that is no test, and why.
    pub fn refuse(&mut self, name: &'static str, why: &'static str) {
        self.refused.push((name, why));
    }

    /// Waits for all tests, and prints what became of each, as `cargo test` does.
    ///
    /// # Errors
    /// The number of those that failed.
    pub fn end(self) -> Result<(), String> {
        let (mut passed, mut failed) = (0, 0);
        for Started { name, panics, run } in &self.started {
            let why = match (crate::get(run), panics) {
                (Ok(None), None) => None,
                (Ok(Some(why)), None) => Some(why),
                (Ok(None), Some(_)) => Some("it did not panic".to_owned()),
                (Ok(Some(said)), Some(words)) if said.contains(words) => None,
                (Ok(Some(said)), Some(words)) => Some(format!("it panicked with {said:?}, which lacks {words:?}")),
                // An interrupt, or the runtime is gone: that is no test's fault.
                (Err(GetError::Refused { message }), _) => return Err(message),
                (Err(error), _) => Some(error.to_string().lines().next().unwrap_or_default().to_owned()),
            };
            match &why {
                None => println!("test {name} ... ok"),
                Some(why) => println!("test {name} ... FAILED: {why}"),
            }
            *if why.is_none() { &mut passed } else { &mut failed } += 1;
        }
        for (name, why) in &self.refused {
            println!("test {name} ... FAILED: {why}");
            failed += 1;
        }
        self.ignored.iter().for_each(|name| println!("test {name} ... ignored"));
        let result = if failed == 0 { "ok" } else { "FAILED" };
        println!("test result: {result}. {passed} passed; {failed} failed; {} ignored", self.ignored.len());
        if failed == 0 { Ok(()) } else { Err(format!("{failed} of {} tests failed", passed + failed)) }
    }
}
