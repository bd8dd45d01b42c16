//! The lines of a cell that begin with `:`.

use super::book::{Book, Lost, Standing, Variable};
use super::child::Child;
use super::cut::cut;
use super::plan::Planned;
use super::{Clock, Direct, listed};
use crate::base::{self, Base, Built, Project};
use crate::event::{Bundle, CellError, CellId, Completion, Completions, Event, InputReader, Phase, Stream};
use crate::report::plain_error;
use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Name, arguments and meaning of each.
const COMMANDS: [(&str, &str, &str); 12] = [
    (":dep", "NAME = REQUIREMENT", "use a crate, as in Cargo.toml: `:dep rand = \"0.9\"`"),
    (":vars", "", "the variables, with their types and sizes"),
    (":type", "EXPRESSION", "the type of an expression, which is not run"),
    (":doc", "NAME", "the documentation of a name"),
    (":warnings", "", "show the compiler's warnings about your code; again, to stop"),
    (":explain", "[CODE]", "the compiler's explanation of its last error, or of a code"),
    (":opt", "[LEVEL]", "how cells are optimised: 0 to 3; without a level, as each needs it"),
    (":memory", "[SIZE]", "how much more memory a cell may take, such as `4 GiB`; without a size, no limit"),
    (":timing", "", "show after each cell where its time went; again, to stop"),
    (":checkpoint", "", "what the copies that keep your variables safe have cost"),
    (":reset", "", "forget all variables, items and imports"),
    (":help", "", "this list"),
];

/// The name that the expression of `:type` gets.
const ASKED: &str = "mobula_asked";

/// How many cells `:checkpoint` speaks of.
const CHECKPOINTS: usize = 10;

/// A cell's commands, and the rest of it with empty lines in their place.
pub fn apart(code: &str) -> (Vec<String>, String) {
    let mut commands = Vec::new();
    let mut rest = String::with_capacity(code.len());
    // A line of a text or a comment may begin with a colon as well.
    let mut before = String::new();
    for line in code.split_inclusive('\n') {
        let is_command = line.trim_start().strip_prefix(':').is_some_and(|word| word.starts_with(char::is_alphabetic));
        let is_between = matches!(crate::completeness(&before), crate::Completeness::Complete);
        if is_command && is_between {
            commands.push(line.trim().to_owned());
            rest.extend(line.chars().filter(|c| *c == '\n'));
        } else {
            rest.push_str(line);
            before.push_str(line);
        }
    }
    (commands, rest)
}

/// The commands that could stand at byte `cursor`; `None` where none can.
pub fn complete(code: &str, cursor: usize) -> Option<Completions> {
    let before = code.get(..cursor)?;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let start = start + (before[start..].len() - before[start..].trim_start().len());
    let word = before[start..].strip_prefix(':').filter(|word| word.chars().all(char::is_alphanumeric))?;
    let fitting = COMMANDS.iter().filter(|(name, ..)| name[1..].starts_with(word));
    let items = fitting.map(|(name, _, means)| Completion {
        code: (*name).into(),
        kind: "command".into(),
        label: format!("{name}: {means}"),
    });
    Some(Completions { start, end: cursor, items: items.collect() })
}

/// What commands change about how the session answers.
#[derive(Debug, Default)]
pub struct Habits {
    /// Show warnings.
    pub warnings: bool,
    /// Show where the time of each cell went.
    pub timing: bool,
    /// Cells and what their checkpoints cost, in microseconds.
    pub checkpoints: Vec<(CellId, u64)>,
    /// The code of the last compile error.
    pub last_error: Option<String>,
    /// It was said already that checkpoints are slow.
    pub warned: bool,
}

/// A checkpoint that takes longer is worth a word.
const CHECKPOINT_SLOW: Duration = Duration::from_millis(100);

impl Habits {
    /// A cell has ended.
    pub fn note(&mut self, cell: CellId, result: &Result<(), CellError>, phases: &[Phase]) {
        if let Some(phase) = phases.iter().find(|phase| phase.name == "checkpoint") {
            self.checkpoints.push((cell, phase.took.as_micros() as u64));
            let excess = self.checkpoints.len().saturating_sub(CHECKPOINTS);
            self.checkpoints.drain(..excess);
        }
        if let Err(error) = result
            && error.name.len() == 5
            && error.name.starts_with('E')
        {
            self.last_error = Some(error.name.clone());
        }
    }
}

/// A type as people write it: without the paths of the standard library and of the session's own crates.
pub fn brief(ty: &str) -> String {
    let mut out = String::with_capacity(ty.len());
    let mut word = String::new();
    let mut chars = ty.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
        } else if c == ':' && chars.peek() == Some(&':') && !word.is_empty() {
            chars.next();
            word.clear();
        } else {
            out.push_str(&word);
            word.clear();
            out.push(c);
        }
    }
    out + &word
}

impl Direct {
    /// Carries out a cell's commands, in order; the crates of neighbouring `:dep`s are built at once.
    pub(super) fn commands(
        &mut self,
        cell: CellId,
        lines: &[String],
        input: Option<&InputReader>,
    ) -> Result<(), CellError> {
        let mut deps = Vec::new();
        for line in lines {
            let (name, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            if name == ":dep" {
                let mistake = || mistake("write `:dep NAME = REQUIREMENT`, such as `:dep rand = \"0.9\"`");
                deps.push(dep(argument).ok_or_else(mistake)?);
            } else {
                self.add_deps(std::mem::take(&mut deps))?;
                self.command(cell, name, argument.trim(), input)?;
            }
        }
        self.add_deps(deps)
    }

    fn command(
        &mut self,
        cell: CellId,
        name: &str,
        argument: &str,
        input: Option<&InputReader>,
    ) -> Result<(), CellError> {
        match (name, argument) {
            (":vars", "") => self.show_variables(cell, input),
            (":type", argument) => self.type_of(cell, argument),
            (":doc", name) if !name.is_empty() => self.document(cell, name),
            (":warnings", "") => {
                self.habits.warnings = !self.habits.warnings;
                Ok(())
            }
            (":explain", code) => self.explain_code(cell, code),
            (":opt", level) => self.set_speed(cell, level),
            (":memory", size) => self.limit_memory(size),
            (":timing", "") => {
                self.habits.timing = !self.habits.timing;
                Ok(())
            }
            (":checkpoint", "") => {
                self.say(cell, &self.checkpoints());
                Ok(())
            }
            (":reset", "") => self.forget_everything(),
            (":help", "") => {
                self.say(cell, &help());
                Ok(())
            }
            (":quit" | ":exit", _) => {
                Err(mistake("`:quit` is for the prompt; a notebook is ended by shutting its kernel down"))
            }
            (name, _) => Err(match COMMANDS.iter().find(|(known, ..)| *known == name) {
                Some((name, "", _)) => mistake(&format!("`{name}` takes no argument")),
                Some((name, arguments, _)) => mistake(&format!("write `{name} {arguments}`")),
                None => mistake(&format!("there is no command `{name}`; `:help` lists them")),
            }),
        }
    }

    fn say(&self, cell: CellId, text: &str) {
        (self.sink)(Event::Text { cell, stream: Stream::Stdout, text: format!("{}\n", text.trim_end()) });
    }

    /// Prints the variables. Only where they are is known how large they are, so this is a cell like any other.
    fn show_variables(&mut self, cell: CellId, input: Option<&InputReader>) -> Result<(), CellError> {
        if self.book.named().next().is_none() {
            self.say(cell, "there are no variables");
            return Ok(());
        }
        let rows: String = self.book.named().map(|(name, variable)| row(name, variable)).collect();
        let code = format!(
            "{{ use ::mobula::__private::sizes::{{Owning as _, Plain as _, Weighed, print_variables}}; print_variables(&[{rows}]) }};"
        );
        let result = self.evaluate(cell, &code, &mut Clock::default());
        // What follows in the cell is a run of its own.
        self.link.begin(cell, input.cloned());
        result
    }

    fn type_of(&mut self, cell: CellId, expression: &str) -> Result<(), CellError> {
        if expression.is_empty() {
            return Err(mistake("write `:type EXPRESSION`"));
        }
        let code = format!("let {ASKED} = {};", expression.trim_end_matches(';'));
        let mut cut = cut(&code).ok_or_else(|| mistake(&format!("`{expression}` is not an expression")))?;
        self.book.resolve(&mut cut);
        let mut planned = Planned::new(&cut, &self.book.variables);
        planned.plan.puts.clear();
        let library = self.folders.libraries.join("asked.so");
        self.sources.add_cell(cell, &code);
        self.compile_cell(&self.book, cell, &code, &cut, &mut planned, &library)?;
        let ty = planned.type_of(ASKED).map_or_else(|| "unknown".into(), brief);
        self.say(cell, &ty);
        Ok(())
    }

    fn document(&self, cell: CellId, name: &str) -> Result<(), CellError> {
        let found = self.analysis.inspect(name, name.len());
        let bundle = found.ok_or_else(|| mistake(&format!("nothing is known of `{name}`")))?;
        (self.sink)(Event::Display { cell, bundle });
        Ok(())
    }

    fn explain_code(&mut self, cell: CellId, code: &str) -> Result<(), CellError> {
        let code = match (code, &self.habits.last_error) {
            ("", None) => return Err(mistake("no error has a code yet; write `:explain E0382`")),
            ("", Some(last)) => last.clone(),
            (code, _) => code.to_owned(),
        };
        let output = Command::new(&self.base.rustc).args(["--explain", &code]).output();
        match output {
            Ok(output) if output.status.success() => {
                let text = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
                let mut bundle = Bundle::text(text.as_str());
                bundle.data.insert("text/markdown".into(), text.into());
                (self.sink)(Event::Display { cell, bundle });
                Ok(())
            }
            _ => Err(mistake(&format!("the compiler knows no error `{code}`"))),
        }
    }

    fn set_speed(&mut self, cell: CellId, level: &str) -> Result<(), CellError> {
        match level {
            "" => {
                self.speed.asked = None;
                self.say(cell, "items and cells with loops, closures or chains of calls are optimised (3), other cells are not (0)");
                Ok(())
            }
            "0" | "1" | "2" | "3" | "s" | "z" => {
                self.speed.asked = Some(level.to_owned());
                Ok(())
            }
            _ => Err(mistake(&format!("`{level}` is no level of optimisation: 0, 1, 2, 3, s or z"))),
        }
    }

    fn limit_memory(&mut self, size: &str) -> Result<(), CellError> {
        let bytes = match size {
            "" => None,
            size => {
                Some(bytes_of(size).ok_or_else(|| mistake(&format!("`{size}` is no size; write `:memory 4 GiB`")))?)
            }
        };
        self.link.limit_memory(bytes);
        Ok(())
    }

    fn checkpoints(&self) -> String {
        if self.habits.checkpoints.is_empty() {
            return "no cell has run yet".into();
        }
        let line = |(cell, us): &(CellId, u64)| format!("cell {cell}: {:.1} ms\n", *us as f64 / 1000.0);
        self.habits.checkpoints.iter().map(line).collect()
    }

    fn forget_everything(&mut self) -> Result<(), CellError> {
        // Numbers go on: libraries of the old ones are still open.
        self.book = self.book.emptied();
        self.child =
            Child::start(&*self.host, self.link.socket()).map_err(|error| plain_error("SessionError", &error))?;
        Ok(())
    }

    fn add_deps(&mut self, added: Vec<(String, String)>) -> Result<(), CellError> {
        let mut deps = self.deps.clone();
        for (name, requirement) in added {
            deps.retain(|(known, _)| *known != name);
            deps.push((name, requirement));
        }
        if deps == self.deps { Ok(()) } else { self.rebuild(deps) }
    }

    /// Builds what cells are linked against anew, with these crates, and the items of the session for it.
    fn rebuild(&mut self, deps: Vec<(String, String)>) -> Result<(), CellError> {
        let failed = |text: String| plain_error("DepError", &text);
        let dir = self.deps_dir();
        let target = dir.join("target");
        if self.bases == 0 {
            self.template.link_target(&target).map_err(|error| failed(format!("the session's folder: {error}")))?;
        }
        let lock = self.project_lock();
        let project = Project {
            dir: dir.join("project"),
            target_dir: target.clone(),
            krate: format!("{}_{}", base::CRATE, self.bases + 1),
            deps: self.template.deps_with(&deps),
            lock: (!lock.is_file()).then(|| self.template.lock()),
        };
        let notice = |text: String| (self.sink)(Event::Notice { text });
        // What is here already is enough for most; else the network is asked.
        let built = project.build(&self.toolchain, true, &self.running, &notice).or_else(|offline| {
            project.build(&self.toolchain, false, &self.running, &notice).map_err(|online| {
                let no_network = online.contains("Could not resolve host") || online.contains("failed to download");
                if no_network {
                    format!("the network cannot be reached, and what is here already is not enough:\n{offline}")
                } else {
                    online
                }
            })
        });
        if self.running.is_stopped() {
            return Err(crate::report::not_compiled());
        }
        let built = Built { linker: self.base.linker.clone(), ..built.map_err(failed)? };
        self.template.keep(&target);
        let stubs = self.host.session_dir().join("cells/stubs");
        let base = Base::new(&built, &self.toolchain, &stubs).map_err(|error| failed(error.to_string()))?;
        let before = std::mem::replace(&mut self.base, base);
        self.bases += 1;
        if let Err(error) = self.recompile_items() {
            self.base = before;
            return Err(error);
        }
        self.deps = deps;
        Ok(())
    }

    /// The versions of the crates that cells have added, once there are any.
    pub(super) fn project_lock(&self) -> PathBuf {
        self.deps_dir().join("project/Cargo.lock")
    }

    fn deps_dir(&self) -> PathBuf {
        self.host.session_dir().join("cells/deps")
    }

    /// All items of the session, compiled together for another base.
    fn recompile_items(&mut self) -> Result<(), CellError> {
        let joined: BTreeSet<u32> = self.book.units.keys().copied().collect();
        if joined.is_empty() {
            return Ok(());
        }
        let mut book = self.book.clone();
        let sources = book.sources_of(&joined, &super::Cut::default(), &HashSet::new());
        let statics = listed(&Book::statics_of(&sources));
        if !statics.is_empty() {
            let text = format!(
                "{statics}: a static that begins anew, because every item was compiled again for the new crates"
            );
            (self.sink)(Event::Notice { text });
        }
        let number = book.number();
        let newest = sources.last().map_or(CellId(0), |source| source.cell);
        let unit = self.compile_unit(&book, number, sources, &joined, newest)?;
        book.move_unit(unit, &joined);
        self.book = book;
        Ok(())
    }

    /// After a cell: what its person has asked to be told of each.
    pub(super) fn after(&mut self, cell: CellId, result: &Result<(), CellError>, clock: &Clock) {
        self.habits.note(cell, result, &clock.phases);
        let slow = clock.phases.iter().find(|phase| phase.name == "checkpoint" && phase.took > CHECKPOINT_SLOW);
        if let Some(phase) = slow.filter(|_| !self.habits.warned) {
            self.habits.warned = true;
            let text = format!(
                "keeping your variables safe took {:.0} ms after this cell, because they take much memory; what is large belongs in the \
                 store: `let x = put(&x)?;`",
                phase.took.as_secs_f64() * 1e3
            );
            (self.sink)(Event::Notice { text });
        }
        if self.habits.timing {
            let phases = clock.phases.iter();
            let words = phases.map(|phase| format!("{} {:.1} ms", phase.name, phase.took.as_secs_f64() * 1e3));
            let text = format!("{}\n", words.collect::<Vec<_>>().join(" · "));
            (self.sink)(Event::Text { cell, stream: Stream::Stderr, text });
        }
    }
}

fn mistake(text: &str) -> CellError {
    plain_error("CommandError", text)
}

/// A variable as code that makes a line of the table.
fn row(name: &str, variable: &Variable) -> String {
    let standing = match &variable.standing {
        Standing::Kept | Standing::Function(_) => String::new(),
        Standing::Lost(Lost::Moved(cell)) => format!("moved in cell {cell}"),
        Standing::Lost(Lost::Nameless(cell, _)) => format!("ended with cell {cell}: its type has no name"),
        Standing::Lost(Lost::Borrowed(cell)) => format!("ended with cell {cell}: it refers to another variable"),
    };
    let shown = if variable.is_mut { format!("mut {name}") } else { name.to_owned() };
    let ty = if variable.ty.contains("{closure@") { "closure".into() } else { brief(&variable.ty) };
    let size = match variable.standing {
        Standing::Kept => format!("Some((&Weighed(&{name})).bytes())"),
        _ => "None".into(),
    };
    format!("({shown:?}, {ty:?}, {size}, {standing:?}), ")
}

fn help() -> String {
    let mut text = String::from("Commands of the session\n");
    for (name, arguments, means) in COMMANDS {
        let _ = writeln!(text, "  {:<26} {means}", format!("{name} {arguments}"));
    }
    text
}

/// `200 MiB`, `4GiB`, `1.5 GiB`.
fn bytes_of(size: &str) -> Option<u64> {
    let at = size.find(|c: char| c.is_alphabetic())?;
    let (number, unit) = size.split_at(at);
    let unit: u64 = match unit.to_ascii_lowercase().as_str() {
        "kib" | "kb" | "k" => 1 << 10,
        "mib" | "mb" | "m" => 1 << 20,
        "gib" | "gb" | "g" => 1 << 30,
        "tib" | "tb" | "t" => 1 << 40,
        _ => return None,
    };
    let number: f64 = number.trim().parse().ok().filter(|number| *number > 0.0)?;
    Some((number * unit as f64) as u64)
}

/// `rand = "0.9"`, `rand`, `rand@0.9`, `mine = { path = "…" }`.
fn dep(argument: &str) -> Option<(String, String)> {
    let argument = argument.trim();
    let (name, requirement) = match argument.split_once('=') {
        Some((name, requirement)) => (name.trim(), requirement.trim().to_owned()),
        None => match argument.split_once('@') {
            Some((name, version)) => (name.trim(), format!("\"{}\"", version.trim())),
            None => (argument.trim(), "\"*\"".to_owned()),
        },
    };
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    (!name.is_empty() && name.chars().all(is_name) && !requirement.is_empty()).then(|| (name.to_owned(), requirement))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_taken_out_and_the_lines_stay_where_they_are() {
        let (commands, rest) = apart(":dep rand = \"0.9\"\nlet x = 1;\n  :vars\nlet y = \"\n:no command\n\";");
        assert_eq!(commands, [":dep rand = \"0.9\"", ":vars"]);
        assert_eq!(rest, "\nlet x = 1;\n\nlet y = \"\n:no command\n\";");
    }

    #[test]
    fn a_command_is_completed_at_the_beginning_of_a_line() {
        let names = |code: &str| {
            complete(code, code.len()).map(|found| found.items.into_iter().map(|item| item.code).collect::<Vec<_>>())
        };
        assert_eq!(names("let x = 1;\n:t").unwrap(), [":type", ":timing"]);
        assert_eq!(names("x::t"), None);
        assert_eq!(names(":type x"), None);
    }

    #[test]
    fn a_dependency_is_written_as_in_cargos_manifest_or_shorter() {
        let dep = |argument| dep(argument).map(|(name, requirement)| format!("{name} = {requirement}"));
        assert_eq!(dep("rand = \"0.9\"").unwrap(), "rand = \"0.9\"");
        assert_eq!(
            dep("a-b={ path = \"x\", features = [\"y\"] }").unwrap(),
            "a-b = { path = \"x\", features = [\"y\"] }"
        );
        assert_eq!(dep("rand").unwrap(), "rand = \"*\"");
        assert_eq!(dep("rand@0.9").unwrap(), "rand = \"0.9\"");
        assert_eq!(dep(""), None);
        assert_eq!(dep("a b = \"1\""), None);
    }

    #[test]
    fn a_size_has_a_number_and_a_unit() {
        assert_eq!(bytes_of("200 MiB"), Some(200 << 20));
        assert_eq!(bytes_of("1.5GiB"), Some(3 << 29));
        for nonsense in ["", "much", "3", "-1 GiB", "3 cows"] {
            assert_eq!(bytes_of(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_type_is_shown_without_paths() {
        let ty = "std::collections::HashMap<std::string::String, (cells_3::m::P, &'static [u8; 4])>";
        assert_eq!(brief(ty), "HashMap<String, (P, &'static [u8; 4])>");
        assert_eq!(brief("std::boxed::Box<dyn std::ops::Fn(i64) -> i64>"), "Box<dyn Fn(i64) -> i64>");
    }
}
