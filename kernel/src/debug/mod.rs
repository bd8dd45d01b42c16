//! `debug_request`: the part of the Debug Adapter Protocol by which front ends show variables.
//!
//! ```text
//!   control ─▶ the session knows them, or a cell runs ─▶ answered here
//!          └─▶ a cell has run since ─▶ cells thread: has the session read the variables ─▶ answered there
//! ```
//!
//! Breakpoints are refused: a cell is optimised native code in a process that must be able to be copied at any time.
//! ("Debug request" in Jupyter's messaging protocol; the requests are those of JupyterLab's debugger.)

mod murmur;
mod value;

use mobula_session::VariableInfo;
use murmur::murmur2;
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

/// The name of a cell's file, around the hash of its code; a front end makes the same.
const PREFIX: &str = "mobula-cell-";
const SUFFIX: &str = ".rs";
/// The seed of that hash, which is ipykernel's.
const SEED: u32 = 0xc70f_6907;

/// The state of the debugger.
#[derive(Default)]
pub(crate) struct Debugger(Mutex<State>);

#[derive(Default)]
struct State {
    is_started: bool,
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

    /// What is needed to answer a request with this content. `known` are the variables, if they need not be read.
    pub(crate) fn needs(&self, content: &Value, known: impl FnOnce() -> Option<Vec<VariableInfo>>) -> Needs {
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
            "inspectVariables" | "richInspectVariables" => {
                return known().map_or(Needs::Variables, |known| Needs::Nothing(state.inspected(content, &known)));
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
                let path = format!("{PREFIX}{}{SUFFIX}", murmur2(&code, SEED));
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

    /// The reply to a request for variables, which these are.
    pub(crate) fn variables(&self, content: &Value, variables: &[VariableInfo]) -> Value {
        self.state().inspected(content, variables)
    }
}

impl State {
    fn info(&self) -> Value {
        json!({
            "isStarted": self.is_started,
            "hashMethod": "Murmur2",
            "hashSeed": SEED,
            "tmpFilePrefix": PREFIX,
            "tmpFileSuffix": SUFFIX,
            "breakpoints": [],
            "stoppedThreads": [],
            "richRendering": true,
            "exceptionPaths": [],
            "copyToGlobals": false,
        })
    }

    /// The reply to a request for all variables, or for one.
    fn inspected(&mut self, content: &Value, variables: &[VariableInfo]) -> Value {
        if content.get("command").and_then(Value::as_str) == Some("inspectVariables") {
            return response(content, self.scope(variables));
        }
        let name = content.pointer("/arguments/variableName").and_then(Value::as_str).unwrap_or_default();
        match variables.iter().find(|variable| bare(&variable.name) == name) {
            Some(variable) => {
                let text = variable.value.as_ref().unwrap_or(&variable.standing);
                response(content, json!({"data": {"text/plain": text}, "metadata": {}}))
            }
            None => refused(content, &format!("there is no variable `{name}`")),
        }
    }

    /// The variables as a list of the protocol.
    fn scope(&mut self, variables: &[VariableInfo]) -> Value {
        self.references.clear();
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
        match debugger.needs(&ask(command, arguments), || Some(Vec::new())) {
            Needs::Nothing(reply) => reply,
            _ => panic!("{command} needs the session"),
        }
    }

    #[test]
    fn variables_that_are_known_are_not_read_and_their_parts_come_by_page() {
        let debugger = Debugger::default();
        assert_eq!(answer(&debugger, "initialize", json!({}))["success"], true);
        let request = ask("inspectVariables", json!({}));
        assert!(matches!(debugger.needs(&request, || None), Needs::Variables));
        let variables = vec![variable("mut list", "[10, [1], 30]"), variable("n", "5")];
        let reply = debugger.variables(&request, &variables);
        assert_eq!(reply["request_seq"], 5);
        let list = &reply["body"]["variables"];
        assert_eq!(
            (&list[0]["name"], &list[0]["evaluateName"], &list[0]["indexedVariables"]),
            (&json!("mut list"), &json!("list"), &json!(3))
        );
        assert_eq!((&list[1]["value"], &list[1]["variablesReference"]), (&json!("5"), &json!(0)));
        let page = json!({"variablesReference": list[0]["variablesReference"], "start": 1, "count": 1});
        let parts = answer(&debugger, "variables", page)["body"]["variables"].clone();
        assert_eq!(
            (parts.as_array().map(Vec::len), &parts[0]["name"], &parts[0]["value"]),
            (Some(1), &json!("1"), &json!("[1]"))
        );
        let rich = ask("richInspectVariables", json!({"variableName": "list"}));
        let Needs::Nothing(reply) = debugger.needs(&rich, || Some(variables)) else { panic!("they are known") };
        assert_eq!(reply["body"]["data"]["text/plain"], "[10, [1], 30]");
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
        assert_eq!(path, "mobula-cell-67329842.rs", "as a front end finds it by `debugInfo`");
        assert_eq!(answer(&debugger, "source", json!({"source": {"path": path}}))["body"]["content"], "let x = 1;");
    }
}
