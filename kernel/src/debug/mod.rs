//! `debug_request`: the part of the Debug Adapter Protocol by which front ends show variables.
//!
//! ```text
//!   control ─▶ answer known, or a cell runs ─▶ answered here
//!          └─▶ a cell has run since ─▶ cells thread: asks the session for the variables ─▶ answered there
//! ```
//!
//! Breakpoints are refused: a cell is optimised native code in a process that must be able to be copied at any time.
//! ("Debug request" in Jupyter's messaging protocol; the requests are those of JupyterLab's debugger.)

mod value;

use mobula_session::VariableInfo;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How much of a value stands in a line.
const LINE_CHARS_MAX: usize = 200;
/// How many parts of a value are given when a front end does not say which.
const PARTS_MAX: usize = 1000;

/// How many values with parts are remembered between two lists of all variables.
const REFERENCES_MAX: usize = 10_000;
/// How many cells' sources are remembered.
const SOURCES_MAX: usize = 1000;

/// The state of the debugger.
#[derive(Default)]
pub(crate) struct Debugger(Mutex<State>);

#[derive(Default)]
struct State {
    is_started: bool,
    /// How many cells have begun.
    cells: u64,
    /// Whether one runs.
    is_busy: bool,
    variables: Vec<VariableInfo>,
    /// How many cells had begun when the variables were read.
    read_at: Option<u64>,
    /// Texts of values that have parts, by reference - 1.
    references: Vec<String>,
    /// Code that was dumped, by path.
    sources: HashMap<String, String>,
}

/// What a request needs.
pub(crate) enum Needs {
    /// Nothing: this is the content of its reply.
    Nothing(Value),
    /// The variables, as they are now: [`Debugger::variables`].
    Variables,
}

impl Debugger {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A cell begins.
    pub(crate) fn cell_begins(&self) {
        let mut state = self.state();
        state.cells += 1;
        state.is_busy = true;
    }

    /// The cell has ended.
    pub(crate) fn cell_ended(&self) {
        self.state().is_busy = false;
    }

    /// What is needed to answer a request with this content.
    pub(crate) fn needs(&self, content: &Value) -> Needs {
        let mut state = self.state();
        let command = content.get("command").and_then(Value::as_str).unwrap_or_default();
        let argument = |name: &str| content.get("arguments").and_then(|arguments| arguments.get(name));
        let number = |name: &str| argument(name).and_then(Value::as_u64).map(|number| number as usize);
        let text = |name: &str| argument(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let body = match command {
            "debugInfo" => state.info(),
            "initialize" => {
                state.is_started = true;
                json!({"supportsEvaluateForHovers": false, "supportsSetVariable": false})
            }
            "attach" | "configurationDone" | "launch" => json!({}),
            "disconnect" | "terminate" => {
                state.is_started = false;
                json!({"restart": false, "terminateDebuggee": false})
            }
            "inspectVariables" if state.is_busy || state.read_at == Some(state.cells) => state.scope(),
            "inspectVariables" => return Needs::Variables,
            "richInspectVariables" => {
                let name = text("variableName");
                match state.variables.iter().find(|variable| bare(&variable.name) == name) {
                    Some(variable) => {
                        let text = variable.value.clone().unwrap_or_else(|| variable.standing.clone());
                        json!({"data": {"text/plain": text}, "metadata": {}})
                    }
                    None => return Needs::Nothing(refused(content, &format!("there is no variable `{name}`"))),
                }
            }
            "variables" => match state.parts(number("variablesReference"), number("start"), number("count")) {
                Some(body) => body,
                None => return Needs::Nothing(refused(content, "there is no such value any more")),
            },
            "dumpCell" => {
                let code = text("code");
                if state.sources.len() >= SOURCES_MAX {
                    state.sources.clear();
                }
                let path = format!("mobula-cell-{:016x}.rs", hash(&code));
                state.sources.insert(path.clone(), code);
                json!({"sourcePath": path})
            }
            "source" => {
                let path = argument("source").and_then(|source| source.get("path")).and_then(Value::as_str);
                match path.and_then(|path| state.sources.get(path)) {
                    Some(code) => json!({"content": code}),
                    None => return Needs::Nothing(refused(content, "there is no such source")),
                }
            }
            // None is set, and the front end takes its marks away.
            "setBreakpoints" => json!({"breakpoints": []}),
            "setExceptionBreakpoints" | "threads" | "modules" | "stackTrace" => {
                json!({"breakpoints": [], "threads": [], "modules": [], "stackFrames": []})
            }
            _ => {
                let message =
                    format!("`{command}` is not supported: variables can be inspected, cells cannot be stopped");
                return Needs::Nothing(refused(content, &message));
            }
        };
        Needs::Nothing(response(content, body))
    }

    /// The reply to a request for variables, which these are; `None` if they could not be read, so that those of before are shown.
    pub(crate) fn variables(&self, content: &Value, variables: Option<Vec<VariableInfo>>) -> Value {
        let mut state = self.state();
        if let Some(variables) = variables {
            state.variables = variables;
            state.read_at = Some(state.cells);
        }
        response(content, state.scope())
    }
}

impl State {
    fn info(&self) -> Value {
        json!({
            "isStarted": self.is_started,
            "hashMethod": "Murmur2",
            "hashSeed": 0,
            "tmpFilePrefix": "mobula-cell-",
            "tmpFileSuffix": ".rs",
            "breakpoints": [],
            "stoppedThreads": [],
            "richRendering": true,
            "exceptionPaths": [],
            "copyToGlobals": false,
        })
    }

    /// The variables as a list of the protocol.
    fn scope(&mut self) -> Value {
        self.references.clear();
        let variables = self.variables.clone();
        let list: Vec<Value> = variables
            .iter()
            .map(|variable| {
                let text = match (&variable.value, &*variable.standing) {
                    (Some(value), "") => value.clone(),
                    (None, "") => String::new(),
                    (_, standing) => standing.to_owned(),
                };
                let mut entry = self.entry(&variable.name, &text);
                // JupyterLab's tree shows the type alone, of a value of which it knows nothing else.
                entry["type"] = match variable.bytes {
                    _ if entry["variablesReference"] == 0 && !text.is_empty() => {
                        format!("{} = {}", variable.ty, entry["value"].as_str().unwrap_or_default())
                    }
                    Some(bytes) => format!("{} ({bytes} B)", variable.ty),
                    None => variable.ty.clone(),
                }
                .into();
                entry["evaluateName"] = bare(&variable.name).into();
                entry
            })
            .collect();
        json!({"variables": list})
    }

    /// The parts of a value.
    fn parts(&mut self, reference: Option<usize>, start: Option<usize>, count: Option<usize>) -> Option<Value> {
        let text = self.references.get(reference?.checked_sub(1)?)?.clone();
        let most = count.filter(|count| *count > 0).unwrap_or(PARTS_MAX);
        let parts = value::parts(&text).into_iter().enumerate().skip(start.unwrap_or(0)).take(most);
        let list: Vec<Value> = parts
            .map(|(place, part)| {
                let name = if part.name.is_empty() { place.to_string() } else { part.name.to_owned() };
                self.entry(&name, part.text)
            })
            .collect();
        Some(json!({"variables": list}))
    }

    fn entry(&mut self, name: &str, text: &str) -> Value {
        let parts = value::parts(text).len();
        let reference = match parts {
            0 => 0,
            _ if self.references.len() >= REFERENCES_MAX => 0,
            _ => {
                self.references.push(text.to_owned());
                self.references.len()
            }
        };
        let line: String = text.chars().take(LINE_CHARS_MAX).collect();
        let rest = if line.len() < text.len() { "…" } else { "" };
        json!({"name": name, "value": format!("{line}{rest}"), "type": null, "variablesReference": reference, "indexedVariables": parts})
    }
}

/// The reply to a request that cannot be answered.
pub(crate) fn refused(content: &Value, message: &str) -> Value {
    let mut reply = response(content, json!({"error": {"id": 1, "format": message}}));
    reply["success"] = false.into();
    reply["message"] = message.into();
    reply
}

fn response(content: &Value, body: Value) -> Value {
    json!({
        "type": "response",
        "seq": content.get("seq").cloned().unwrap_or(0.into()),
        "request_seq": content.get("seq").cloned().unwrap_or(0.into()),
        "command": content.get("command").cloned().unwrap_or("".into()),
        "success": true,
        "body": body,
    })
}

/// A variable's name without `mut`.
fn bare(name: &str) -> &str {
    name.strip_prefix("mut ").unwrap_or(name)
}

fn hash(code: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    code.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str, value: &str) -> VariableInfo {
        VariableInfo {
            made: 1,
            name: name.into(),
            ty: "T".into(),
            bytes: None,
            standing: String::new(),
            value: Some(value.into()),
        }
    }

    fn ask(command: &str, arguments: Value) -> Value {
        json!({"type": "request", "seq": 5, "command": command, "arguments": arguments})
    }

    fn answer(debugger: &Debugger, command: &str, arguments: Value) -> Value {
        match debugger.needs(&ask(command, arguments)) {
            Needs::Nothing(reply) => reply,
            _ => panic!("{command} needs the session"),
        }
    }

    #[test]
    fn variables_are_read_once_for_each_cell_and_their_parts_by_page() {
        let debugger = Debugger::default();
        assert_eq!(answer(&debugger, "initialize", json!({}))["success"], true);
        let request = ask("inspectVariables", json!({}));
        assert!(matches!(debugger.needs(&request), Needs::Variables));
        let reply = debugger.variables(&request, Some(vec![variable("mut list", "[10, [1], 30]"), variable("n", "5")]));
        assert_eq!(reply["request_seq"], 5);
        let list = &reply["body"]["variables"];
        assert_eq!(
            (&list[0]["name"], &list[0]["evaluateName"], &list[0]["indexedVariables"]),
            (&json!("mut list"), &json!("list"), &json!(3))
        );
        assert_eq!((&list[1]["value"], &list[1]["variablesReference"]), (&json!("5"), &json!(0)));
        assert_eq!(answer(&debugger, "inspectVariables", json!({}))["body"]["variables"][1]["value"], "5");
        let page = json!({"variablesReference": list[0]["variablesReference"], "start": 1, "count": 1});
        let parts = answer(&debugger, "variables", page)["body"]["variables"].clone();
        assert_eq!(
            (parts.as_array().map(Vec::len), &parts[0]["name"], &parts[0]["value"]),
            (Some(1), &json!("1"), &json!("[1]"))
        );
        debugger.cell_begins();
        // A cell runs: what is known is better than to wait for its end.
        assert_eq!(answer(&debugger, "inspectVariables", json!({}))["body"]["variables"][1]["value"], "5");
        debugger.cell_ended();
        assert!(matches!(debugger.needs(&request), Needs::Variables));
    }

    #[test]
    fn what_cannot_be_done_is_refused_in_words() {
        let debugger = Debugger::default();
        let reply = answer(&debugger, "stepIn", json!({}));
        assert_eq!(
            (&reply["success"], reply["message"].as_str().is_some_and(|text| text.contains("stepIn"))),
            (&json!(false), true)
        );
        assert_eq!(answer(&debugger, "variables", json!({"variablesReference": 99}))["success"], false);
        assert_eq!(answer(&debugger, "richInspectVariables", json!({"variableName": "x"}))["success"], false);
        assert_eq!(answer(&debugger, "setBreakpoints", json!({}))["body"]["breakpoints"], json!([]));
    }

    #[test]
    fn the_source_of_a_cell_that_was_dumped_is_given_back() {
        let debugger = Debugger::default();
        let path = answer(&debugger, "dumpCell", json!({"code": "let x = 1;"}))["body"]["sourcePath"].clone();
        assert_eq!(answer(&debugger, "source", json!({"source": {"path": path}}))["body"]["content"], "let x = 1;");
    }
}
