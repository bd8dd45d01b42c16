//! Output widgets: a place for what a cell or a callback shows.

use super::model::{Classes, Model};
use super::widget::is_widget;
use crate::abi::Tenant;
use crate::calls::{Json, role, write_block};
use crate::display::clear_output;
use crate::json::JsonValue;
use std::io::Write;

/// A place that takes what is printed and shown while a closure runs.
///
/// ```
/// # mobula::inline::attach();
/// use mobula::widgets::Output;
/// let log = Output::new();
/// let answer = log.capture(|| {
///     println!("this stands in the widget");
///     42
/// });
/// assert_eq!(answer, 42);
/// log.append("from anywhere, a task too\n");
/// log.clear();
/// ```
#[derive(Clone, PartialEq)]
pub struct Output {
    model: Model,
}

is_widget!(
    Output,
    Classes {
        name: "Output",
        model: "OutputModel",
        view: "OutputView",
        module: "@jupyter-widgets/output",
        version: "1.0.0",
    }
);

impl Default for Output {
    fn default() -> Output {
        Output::new()
    }
}

impl Output {
    /// An empty one.
    pub fn new() -> Output {
        let widget = Output::made();
        widget.model.set("outputs", [(); 0]);
        widget.model.set("msg_id", "");
        widget
    }

    /// Runs `code`, with this as the place for what it prints and shows. In a task, where output goes to the task's cell, `code`
    /// runs without that.
    pub fn capture<R>(&self, code: impl FnOnce() -> R) -> R {
        let _until = Captured::begin(self);
        code()
    }

    /// Adds a text, from a cell, a task or an actor.
    pub fn append(&self, text: &str) {
        if role() == Tenant::CELL_HOST {
            // In its order with what is captured.
            self.capture(|| print!("{text}"));
        } else {
            let output = [("output_type", "stream"), ("name", "stdout"), ("text", text)];
            self.model.append("outputs", &JsonValue::map(output.map(|(key, text)| (key, text.into()))));
        }
    }

    /// Empties it.
    pub fn clear(&self) {
        if role() == Tenant::CELL_HOST {
            self.capture(|| clear_output(false));
        } else {
            self.model.set("outputs", [(); 0]);
        }
    }

    /// Empties it as soon as something else comes, so that it does not flicker.
    pub(super) fn clear_before_next(&self) {
        self.capture(|| clear_output(true));
    }
}

/// While this lives, the widget takes what the process prints.
struct Captured<'a>(&'a str);

impl<'a> Captured<'a> {
    fn begin(output: &'a Output) -> Option<Captured<'a>> {
        output.model.open();
        (role() == Tenant::CELL_HOST).then(|| {
            tell(output.model.id(), true);
            Captured(output.model.id())
        })
    }
}

impl Drop for Captured<'_> {
    fn drop(&mut self) {
        tell(self.0, false);
    }
}

fn tell(comm: &str, begins: bool) {
    // What stands in the buffers belongs to the part before.
    let _ = std::io::stdout().flush();
    write_block("application/vnd.mobula.capture+json", &format!("{{\"comm\":{},\"begins\":{begins}}}", Json(comm)));
}
