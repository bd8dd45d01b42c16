//! The commands of a cell: its lines that begin with `:`.

use super::command_names::{COMMANDS, nearest, runs_code};
use super::crate_files::whole_stamps;
use super::dep::{self, Dep};
use super::parse::parse_cell;
use super::plan::Planned;
use super::program::Program;
use super::session_state::{Lost, Standing, Variable};
use super::session_tests::{self, Test};
use super::{Clock, Direct, LOOK, cargo_error, foreign_commands, items_command};
use crate::base::{self, Base, Built, Damage, Project};
use crate::cells::completeness::next_line_between;
use crate::event::{Bundle, CellError, CellId, Event, InputReader, Phase, Stream};
use crate::reports::report::plain_error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The name of the variable for the expression of `:type`.
const ASKED: &str = "mobula_asked";

/// How many cells `:checkpoint` lists.
const CHECKPOINTS: usize = 10;

/// A cell's commands, and the rest of it with empty lines in their place. A command stands outside brackets, texts and comments. A
/// `:dep` goes on while a bracket is open in it. Lines of `#|` before everything are a publisher's options for the cell, and empty, too.
pub fn apart(code: &str) -> (Vec<String>, String) {
    let (mut commands, mut rest) = (Vec::new(), String::with_capacity(code.len()));
    for piece in pieces(code) {
        match piece {
            Piece::Command { command, lines } => {
                commands.push(command);
                rest.extend(lines.chars().filter(|c| *c == '\n'));
            }
            Piece::Options(lines) => rest.extend(lines.chars().filter(|c| *c == '\n')),
            Piece::Code(code) => rest.push_str(code),
        }
    }
    (commands, rest)
}

/// A piece of a cell.
enum Piece<'a> {
    /// A command, without the spaces around its lines, and its lines.
    Command {
        command: String,
        lines: &'a str,
    },
    /// Lines like `#| echo: false`, of which Quarto takes its options. They are no Rust.
    Options(&'a str),
    Code(&'a str),
}

/// A cell's pieces, which are all of it.
fn pieces(code: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let options = code.split_inclusive('\n').take_while(|line| line.starts_with("#|"));
    let mut at = options.map(str::len).sum();
    if at > 0 {
        pieces.push(Piece::Options(&code[..at]));
    }
    while at < code.len() {
        let left = &code[at..];
        let line = |left: &str| left.find('\n').map_or(left.len(), |end| end + 1);
        let mut end = line(left);
        let first = left[..end].trim();
        if !first.strip_prefix(':').is_some_and(|word| word.starts_with(char::is_alphabetic)) {
            let passed = next_line_between(left);
            pieces.push(Piece::Code(&left[..passed]));
            at += passed;
            continue;
        }
        let mut command = first.to_owned();
        while goes_on_after(&command) && end < left.len() {
            let more = line(&left[end..]);
            command.extend(["\n", left[end..end + more].trim()]);
            end += more;
        }
        pieces.push(Piece::Command { command, lines: &left[..end] });
        at += end;
    }
    pieces
}

/// A cell without its commands that are about the session's cells: those of a file that was loaded are cells, too.
pub(super) fn without_commands_on_cells(code: &str) -> String {
    let is_on_cells = |command: &str| matches!(split(command).0, ":save" | ":load" | ":undo");
    let is_kept = |piece: &Piece<'_>| !matches!(piece, Piece::Command { command, .. } if is_on_cells(command));
    let kept = pieces(code).into_iter().filter(is_kept);
    let text = kept.map(|piece| match piece {
        Piece::Command { lines, .. } | Piece::Options(lines) => lines,
        Piece::Code(code) => code,
    });
    text.collect::<String>().trim_end().trim_start_matches('\n').to_owned()
}

/// The rest of a cell without its commands, and whether the last command goes on.
pub fn without_commands(code: &str) -> (String, bool) {
    let (commands, rest) = apart(code);
    let goes_on = rest.trim().is_empty() && commands.last().is_some_and(|command| goes_on_after(command));
    (rest, goes_on)
}

/// Whether the next line belongs to `command`, too.
fn goes_on_after(command: &str) -> bool {
    dep_argument(command).is_some_and(dep::goes_on)
}

/// A command's name and its argument; `:opt = 2` is `:opt 2`.
pub(super) fn split(line: &str) -> (&str, &str) {
    let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
    let (name, argument) = line.split_at(end);
    let argument = argument.trim();
    (name, argument.strip_prefix('=').unwrap_or(argument).trim())
}

/// The argument of `:dep`, or of its equivalent in other programs.
pub(super) fn dep_argument(line: &str) -> Option<&str> {
    let (name, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    matches!(name, ":dep" | ":add").then_some(argument)
}

/// A line without the comment at its end.
pub(super) fn uncommented(line: &str) -> &str {
    let mut ends = line.match_indices("//").map(|(at, _)| at);
    let is_comment =
        |at: &usize| line[..*at].matches('"').count().is_multiple_of(2) && line[..*at].ends_with([' ', ';']);
    ends.find(is_comment).map_or(line, |at| line[..at].trim_end())
}

/// The session's settings that commands change.
#[derive(Debug, Default)]
pub struct Habits {
    /// Show warnings.
    pub warnings: bool,
    /// Show how each cell's time was spent.
    pub timing: bool,
    /// Cells and what their checkpoints cost, in microseconds.
    pub checkpoints: Vec<(CellId, u64)>,
    /// The code of the last compile error.
    pub last_error: Option<String>,
    /// Whether it has been said that checkpoints are slow.
    pub warned: bool,
    /// Whether items stay that a cell no longer has when it is run again.
    pub keeps: bool,
    /// Whether the network is not used for crates.
    pub offline: bool,
    /// Whether it has been said how a `main` is run.
    pub told_main: bool,
}

/// A checkpoint that takes longer is reported.
const CHECKPOINT_SLOW: Duration = Duration::from_millis(100);

impl Habits {
    /// Records a cell that has ended.
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

/// A type as people write it: without paths of the standard library and of the session's crates.
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
    /// Carries out a cell's commands: first all `:dep`s, built at once, then the others in order, also after an error; the first error is
    /// the cell's.
    pub(super) fn commands(
        &mut self,
        cell: CellId,
        lines: &[String],
        input: Option<&InputReader>,
    ) -> Result<(), CellError> {
        let (mut deps, mut told) = (Vec::new(), String::new());
        for argument in lines.iter().filter_map(|line| dep_argument(line)) {
            let asked = dep::read(argument, &self.folder).map_err(|error| mistake(&error))?;
            deps.extend(asked.deps);
            told.push_str(&asked.told);
        }
        self.habits.offline |= lines.iter().any(|line| split(uncommented(line)) == (":offline", "1"));
        self.add_deps(cell, deps, input)?;
        if !told.is_empty() {
            self.say(cell, &told);
        }
        let mut result = Ok(());
        for line in lines.iter().filter(|line| dep_argument(line).is_none()) {
            let (name, argument) = split(uncommented(line));
            result = result.and(self.command(cell, name, argument, input));
        }
        result
    }

    fn command(
        &mut self,
        cell: CellId,
        name: &str,
        argument: &str,
        input: Option<&InputReader>,
    ) -> Result<(), CellError> {
        if runs_code(name, argument) {
            self.take_up_edited(cell, input)?;
        }
        match (name, argument) {
            (":vars", "") => self.show_variables(cell, input),
            (":items", "") => {
                self.say(cell, &items_command::items(&self.state.program));
                Ok(())
            }
            (":keep", word @ ("" | "on" | "off")) => {
                self.habits.keeps = if word.is_empty() { !self.habits.keeps } else { word == "on" };
                self.say(cell, if self.habits.keeps { "kept" } else { "not kept" });
                Ok(())
            }
            (":progress", word @ ("" | "on" | "off")) => {
                let wanted = if word.is_empty() { !self.watch.is_wanted() } else { word == "on" };
                self.watch.set_wanted(wanted);
                self.say(cell, if wanted { "shown" } else { "not shown" });
                Ok(())
            }
            (":type" | ":t", argument) => self.type_of(cell, argument),
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
            (":status", "") => self.as_code(cell, "::mobula::status().display();", input),
            (":summary", "") => self.as_code(cell, "::mobula::summary().display();", input),
            (":tasks", "") => self.as_code(cell, "::mobula::tasks().display();", input),
            (":actors", "") => self.as_code(cell, "::mobula::actors().display();", input),
            (":errors", "") => self.as_code(cell, "::mobula::errors().display();", input),
            (":memory-summary", "") => self.as_code(cell, "::mobula::objects().display();", input),
            (":dashboard", "") => self.as_code(cell, "::mobula::dashboard()?", input),
            (":try", "") => {
                self.is_trial = true;
                Ok(())
            }
            (":try", code) => {
                let result = self.try_out(cell, code, &mut Clock::default());
                // The rest of the cell is a run of its own.
                self.link.begin(cell, input.cloned());
                result
            }
            (":undo", count) => self.undo(cell, count, input),
            (":test", name) => self.run_tests(cell, name, input),
            (":timeline", file) if !file.is_empty() => {
                self.as_code(cell, &format!("::mobula::timeline({:?})?;", file.trim_matches('"')), input)
            }
            (":load", file) if !file.is_empty() => self.load(cell, file, input),
            (":save", argument) if !argument.is_empty() => self.save(cell, argument, input),
            (":track", argument) => self.track(cell, argument, input),
            (":reset" | ":clear", "") => self.forget_everything(cell),
            (":help", topic) => {
                let topic = format!(":{}", topic.trim_start_matches(':'));
                match COMMANDS.iter().find(|(known, ..)| *known == topic) {
                    Some(command) => self.say(cell, &help_of(command)),
                    None => self.say(cell, &help()),
                }
                Ok(())
            }
            (":quit" | ":exit" | ":q", _) => {
                self.remark(cell, "`:quit` is for the prompt; a notebook is ended by shutting its kernel down");
                Ok(())
            }
            (":version", _) => {
                self.say(cell, &format!("mobula {}, {}", env!("CARGO_PKG_VERSION"), self.rustc_in_a_word()));
                Ok(())
            }
            (":toolchain", asked) => {
                if !asked.is_empty() {
                    self.remark(
                        cell,
                        "`:toolchain` is ignored: cells use the `rustc` of the folder in which Mobula was started",
                    );
                }
                self.say(cell, self.rustc_in_a_word());
                Ok(())
            }
            (":show_deps" | ":toml", _) => {
                let deps: String =
                    self.deps.iter().map(|(name, requirement)| format!("{name} = {requirement}\n")).collect();
                self.say(cell, &format!("[dependencies]\n{deps}"));
                Ok(())
            }
            (":show", _) => {
                self.say(cell, &items_command::items(&self.state.program));
                Ok(())
            }
            (":last_compile_dir", _) => {
                self.say(cell, &self.host.session_dir().join("cells").to_string_lossy());
                Ok(())
            }
            (":offline", value) => {
                self.habits.offline = value != "0";
                Ok(())
            }
            (":env", assignment) => self.set_variable_of_environment(cell, assignment, input),
            (name, _) => {
                match (COMMANDS.iter().find(|(known, ..)| *known == name), foreign_commands::passed_over(name)) {
                    (Some((name, "", _)), _) => Err(mistake(&format!("`{name}` takes no argument"))),
                    (Some((name, arguments, _)), _) => Err(mistake(&format!("write `{name} {arguments}`"))),
                    (None, Some(word)) => {
                        self.remark(cell, &word);
                        Ok(())
                    }
                    (None, None) => {
                        let near = nearest(name, COMMANDS.iter().map(|(known, ..)| *known));
                        let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                        Err(mistake(&format!("there is no command `{name}`{hint}; `:help` lists them")))
                    }
                }
            }
        }
    }

    /// The version: `rustc 1.95.0 (…)`.
    fn rustc_in_a_word(&self) -> &str {
        self.toolchain.version.lines().next().unwrap_or_default()
    }

    /// Shows a remark beside the cell's output.
    pub(super) fn remark(&self, cell: CellId, text: &str) {
        self.outlet.put(Event::Text { cell, stream: Stream::Stderr, text: format!("{text}\n") });
    }

    /// Carries out `:env NAME=VALUE`, for cells and their tasks.
    fn set_variable_of_environment(
        &mut self,
        cell: CellId,
        assignment: &str,
        input: Option<&InputReader>,
    ) -> Result<(), CellError> {
        let Some((name, value)) = assignment.split_once('=').map(|(name, value)| (name.trim(), value.trim())) else {
            self.remark(cell, "`:env NAME=VALUE` sets a variable of the environment; `std::env::vars()` has them all");
            return Ok(());
        };
        if name.is_empty() || name.contains('\0') || value.contains('\0') {
            return Err(mistake("write `:env NAME=VALUE`"));
        }
        let value = value.trim_matches('"');
        self.as_code(cell, &format!("unsafe {{ ::std::env::set_var({name:?}, {value:?}) }};"), input)
    }

    /// Carries out a command that is code.
    fn as_code(&mut self, cell: CellId, code: &str, input: Option<&InputReader>) -> Result<(), CellError> {
        let result = self.evaluate(cell, code, &mut Clock::default());
        // The rest of the cell is a run of its own.
        self.link.begin(cell, input.cloned());
        result
    }

    /// Runs the tests whose names contain `name`.
    fn run_tests(&mut self, cell: CellId, name: &str, input: Option<&InputReader>) -> Result<(), CellError> {
        let definitions = self.state.program.definitions();
        let all = definitions.iter().flat_map(|known| &known.part.tests);
        let tests: Vec<Test> = all.filter(|test| test.path.contains(name)).cloned().collect();
        if tests.is_empty() {
            let of_name = if name.is_empty() { String::new() } else { format!(" whose name contains `{name}`") };
            return Err(mistake(&format!("there is no `#[test]` function{of_name}")));
        }
        self.as_code(cell, &session_tests::code(&tests, name), input)
    }

    pub(super) fn say(&self, cell: CellId, text: &str) {
        self.outlet.put(Event::Text { cell, stream: Stream::Stdout, text: format!("{}\n", text.trim_end()) });
    }

    /// Prints the variables. Only the cell host knows their sizes, so this is a cell like any other.
    fn show_variables(&mut self, cell: CellId, input: Option<&InputReader>) -> Result<(), CellError> {
        if self.state.named().next().is_none() {
            self.say(cell, "there are no variables");
            return Ok(());
        }
        let rows: String =
            self.state.named().map(|(name, variable)| row(name, variable, &self.state.program)).collect();
        let code = format!(
            "{{ use ::mobula::__private::sizes::{{Owning as _, Plain as _, Weighed, print_variables}}; print_variables(&[{rows}]) }};"
        );
        let result = self.evaluate(cell, &code, &mut Clock::default());
        // The rest of the cell is a run of its own.
        self.link.begin(cell, input.cloned());
        result
    }

    /// The variables with their values.
    pub(super) fn look_at_variables(&mut self) -> Option<String> {
        let named: Vec<_> = self.state.named().collect();
        let rows: String =
            named.iter().map(|(name, variable)| looked_row(name, variable, &self.state.program)).collect();
        if rows.is_empty() {
            return None;
        }
        let code = format!(
            "{{ use ::mobula::__private::sizes::{{Owning as _, Plain as _, Weighed}}; \
             use ::mobula::__private::inspect::{{Looked, Opaque as _, Readable as _, tell_variables}}; tell_variables(&[{rows}]) }};"
        );
        // A failure, such as an interrupt, leaves out the values for once.
        let _ = self.evaluate(LOOK, &code, &mut Clock::default());
        self.link.take_variables()
    }

    fn type_of(&mut self, cell: CellId, expression: &str) -> Result<(), CellError> {
        if expression.is_empty() {
            return Err(mistake("write `:type EXPRESSION`"));
        }
        let code = format!("let {ASKED} = {};", expression.trim_end_matches(';'));
        let mut parsed = parse_cell(&code).ok_or_else(|| mistake(&format!("`{expression}` is not an expression")))?;
        self.state.resolve(&mut parsed);
        let mut planned = Planned::new(&parsed, &self.state.variables);
        planned.plan.puts.clear();
        let library = self.folders.libraries.join("asked.so");
        self.sources.add_cell(cell, &code);
        self.compile_cell(&self.state, cell, &code, &parsed, &mut planned, &library)?;
        let ty = planned.type_of(ASKED).map_or_else(|| "unknown".into(), |ty| brief(&self.state.program.spoken(ty)));
        self.say(cell, &ty);
        Ok(())
    }

    fn document(&self, cell: CellId, name: &str) -> Result<(), CellError> {
        // `vec!`, `drop()` and IPython's `Vec?` are looked up by their names.
        let name = name.trim_end_matches(['!', '(', ')', '?']);
        let found = self.analysis.inspect(name, name.len(), None).map_err(|why| mistake(&why))?;
        let bundle = found.ok_or_else(|| mistake(&format!("nothing is known of `{name}`")))?;
        self.outlet.put(Event::Page { cell, bundle });
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
                self.outlet.put(Event::Page { cell, bundle });
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

    fn forget_everything(&mut self, cell: CellId) -> Result<(), CellError> {
        // Numbers go on, because libraries with the old numbers are still open.
        self.state = self.state.emptied();
        self.guard = None;
        self.undo.clear(&format!("cell {cell} has forgotten everything"));
        self.child = self.start_child()?;
        Ok(())
    }

    /// Adds crates, or builds edited ones on this machine anew. If anything fails, the session stays as it was.
    pub(super) fn add_deps(
        &mut self,
        cell: CellId,
        added: Vec<Dep>,
        input: Option<&InputReader>,
    ) -> Result<(), CellError> {
        let mut deps = self.deps.clone();
        let mut is_edited = false;
        for dep in added {
            let known = deps.iter().position(|(known, _)| *known == dep.name);
            // A name alone accepts the version that is there.
            let requirement = match (known, dep.requirement.is_none()) {
                (Some(at), true) => deps.remove(at).1,
                (Some(at), false) => {
                    deps.remove(at);
                    dep.requirement.unwrap_or_default()
                }
                (None, _) => dep.requirement.unwrap_or_else(|| "\"*\"".into()),
            };
            is_edited |= dep::path_of(&requirement).is_some_and(|folder| self.is_edited(&dep.name, &folder));
            deps.push((dep.name, requirement));
        }
        let is_same = deps.len() == self.deps.len() && deps.iter().all(|dep| self.deps.contains(dep));
        if is_same && !is_edited {
            return Ok(());
        }
        let (before, whole) = (self.base.local.clone(), whole_stamps(&deps));
        self.rebuild(cell, deps, input)?;
        self.note_build(cell, &before, &whole);
        Ok(())
    }

    /// Builds the base library anew with these crates, and the session's items for it.
    fn rebuild(
        &mut self,
        cell: CellId,
        deps: Vec<(String, String)>,
        input: Option<&InputReader>,
    ) -> Result<(), CellError> {
        let failed = |text: String| plain_error("DepError", &text);
        let dir = self.deps_dir();
        let target = dir.join("target");
        if !target.exists() {
            self.link_template(&target)?;
        }
        let lock = self.project_lock();
        let project = Project {
            dir: dir.join("project"),
            target_dir: target.clone(),
            krate: format!("{}_{}_{}", base::CRATE, self.bases + 1, self.folders.tag),
            deps: self.template.deps_with(&deps),
            lock: (!lock.is_file()).then(|| self.template.lock()),
        };
        let notice = |text: String| self.outlet.put(Event::Notice { text });
        // The crates on this machine are enough for most; else the network is used.
        let build = || {
            project.build(&self.toolchain, true, &self.running, &notice).or_else(|offline| {
                if self.habits.offline || !cargo_error::may_be_mended_by_the_network(&offline) {
                    return Err(offline);
                }
                project.build(&self.toolchain, false, &self.running, &notice).map_err(|online| {
                    let no_network = online.contains("Could not resolve host") || online.contains("failed to download");
                    if no_network {
                        format!("the network cannot be reached, and what is here already is not enough:\n{offline}")
                    } else {
                        online
                    }
                })
            })
        };
        let mut built = build();
        if built.is_err() && !self.running.is_stopped() {
            built = match self.template.damage() {
                // Later, libraries of earlier bases are in that folder.
                Some(Damage::Added) if self.bases == 0 => {
                    let _ = std::fs::remove_dir_all(&target);
                    self.link_template(&target)?;
                    build()
                }
                Some(damage) => built.map_err(|error| format!("{}\n\n{error}", said_of(damage))),
                None => built,
            };
        }
        if self.running.is_stopped() {
            return Err(crate::reports::report::not_compiled());
        }
        let mut built = Built {
            linker: self.base.linker.clone(),
            ..built.map_err(|error| failed(cargo_error::readable(&error, &dir)))?
        };
        built.local.retain(|krate| !self.template.has(&krate.folder));
        let links = dir.join(format!("local/{}", self.bases + 1));
        built.link_local(&links).map_err(|error| failed(format!("the session's folder: {error}")))?;
        self.template.keep(&target);
        let stubs = self.host.session_dir().join("cells/stubs");
        let base = Base::new(&built, &self.toolchain, &stubs).map_err(|error| failed(error.to_string()))?;
        let before = std::mem::replace(&mut self.base, base);
        self.bases += 1;
        self.undo.clear(&format!("cell {cell} has built the crates anew"));
        if let Err(error) = self.check_that_it_loads(cell, input).and_then(|()| self.recompile_items(cell)) {
            self.base = before;
            return Err(error);
        }
        self.deps = deps;
        Ok(())
    }

    /// Places what is compiled already into the session's folder for Cargo: all of it, or none.
    fn link_template(&self, target: &Path) -> Result<(), CellError> {
        self.template.link_target(target).map_err(|error| {
            let _ = std::fs::remove_dir_all(target);
            plain_error("DepError", &format!("the session's folder: {error}"))
        })
    }

    /// Runs an empty cell with the present base, so that a missing library is reported here and not by every later cell.
    fn check_that_it_loads(&mut self, cell: CellId, input: Option<&InputReader>) -> Result<(), CellError> {
        let state = std::mem::take(&mut self.state);
        self.state = state.emptied();
        let result = self.evaluate(cell, "();", &mut Clock::default());
        self.state = state;
        self.link.begin(cell, input.cloned());
        result.map_err(|error| {
            if let Some(damage) = self.template.damage() {
                return plain_error("DepError", &format!("{}\n\n{}", said_of(damage), error.plain));
            }
            let text = format!(
                "the crates were built, and they cannot be loaded: {}\nIf a library is missing, install it, or name its folder in \
                 LD_LIBRARY_PATH before the session starts.",
                error.plain.trim_start_matches("the cell could not be run: ")
            );
            plain_error("DepError", &text)
        })
    }

    /// The lock file of the crates that cells have added, once there are any.
    pub(super) fn project_lock(&self) -> PathBuf {
        self.deps_dir().join("project/Cargo.lock")
    }

    fn deps_dir(&self) -> PathBuf {
        self.host.session_dir().join("cells/deps")
    }

    /// Compiles all items of the session together for another base. Items that do not compile with it wait.
    fn recompile_items(&mut self, cell: CellId) -> Result<(), CellError> {
        let changed = self.compile_change(self.state.program.anew(), cell)?;
        self.state.take(&changed, cell);
        self.tell(cell, &changed);
        Ok(())
    }

    /// Records a cell, and shows what the person has asked to be told of each.
    pub(super) fn after(&mut self, cell: CellId, result: &Result<(), CellError>, clock: &Clock) {
        self.habits.note(cell, result, &clock.phases);
        let slow = clock.phases.iter().find(|phase| phase.name == "checkpoint" && phase.took > CHECKPOINT_SLOW);
        if let Some(phase) = slow.filter(|_| !self.habits.warned) {
            self.habits.warned = true;
            let text = format!(
                "the checkpoint after this cell took {:.0} ms, because your variables use much memory; put large values into the store",
                phase.took.as_secs_f64() * 1e3
            );
            self.outlet.put(Event::Notice { text });
        }
        if self.habits.timing {
            let phases = clock.phases.iter();
            let words = phases.map(|phase| format!("{} {:.1} ms", phase.name, phase.took.as_secs_f64() * 1e3));
            let text = format!("{}\n", words.collect::<Vec<_>>().join(" · "));
            self.outlet.put(Event::Text { cell, stream: Stream::Stderr, text });
        }
    }
}

/// What a person can do about a damaged cache.
pub(super) fn said_of(damage: Damage) -> &'static str {
    match damage {
        Damage::Added => {
            "crates compiled by earlier sessions were damaged in the cache folder and have been removed; restart the session to compile them again"
        }
        Damage::Template => "the base library in the cache folder is damaged; restart the session to prepare it again",
    }
}

pub(super) fn mistake(text: &str) -> CellError {
    plain_error("CommandError", text)
}

/// The code that makes a variable's line of the table.
fn row(name: &str, variable: &Variable, program: &Program) -> String {
    let standing = match &variable.standing {
        Standing::Kept | Standing::Function(_) => String::new(),
        Standing::Lost(Lost::Moved(cell)) => format!("moved in cell {cell}"),
        Standing::Lost(Lost::Nameless(cell, _)) => format!("ended with cell {cell}: its type has no name"),
        Standing::Lost(Lost::Rebuilt(cell)) => format!("its crate was built anew in cell {cell}"),
        Standing::Lost(Lost::Unguarded(cell)) => format!("lost in a crash: made since cell {cell}, without a copy"),
        Standing::Lost(Lost::Replaced(cell)) => format!("the name of an item since cell {cell}"),
        Standing::Lost(Lost::Borrowed(cell)) => format!("ended with cell {cell}: it refers to another variable"),
    };
    let shown = if variable.is_mut { format!("mut {name}") } else { name.to_owned() };
    let ty = if variable.ty.contains("{closure@") { "closure".into() } else { brief(&program.spoken(&variable.ty)) };
    let size = match variable.standing {
        Standing::Kept => format!("Some((&Weighed(&{name})).bytes())"),
        _ => "None".into(),
    };
    format!("({shown:?}, {ty:?}, {size}, {standing:?}), ")
}

/// As [`row`], with the variable's value.
fn looked_row(name: &str, variable: &Variable, program: &Program) -> String {
    let row = row(name, variable, program);
    let value = match variable.standing {
        Standing::Kept => format!("(&Looked(&{name})).look()"),
        _ => "None".into(),
    };
    format!("{}, {value}, {}), ", row.strip_suffix("), ").unwrap_or(&row), variable.made)
}

fn help() -> String {
    let mut text = String::from("Commands of the session\n");
    for (name, arguments, means) in COMMANDS {
        let _ = writeln!(text, "  {:<26} {means}", format!("{name} {arguments}"));
    }
    text
}

fn help_of((name, arguments, means): &(&str, &str, &str)) -> String {
    format!("{name} {arguments}\n  {means}")
}

/// Reads a size: `200 MiB`, `4GiB`, `1.5 GiB`.
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
    fn options_of_a_publisher_are_no_code_and_stay_in_what_is_saved() {
        let code = "#| label: fig-one\n#| echo: false\n:vars\nlet x = 1;\n#| here: too";
        let (commands, rest) = apart(code);
        assert_eq!((commands, rest.as_str()), (vec![":vars".to_owned()], "\n\n\nlet x = 1;\n#| here: too"));
        assert_eq!(without_commands_on_cells(code), code);
        assert_eq!(apart("#| echo: false").1, "");
    }

    #[test]
    fn a_dep_goes_on_while_a_bracket_is_open_and_what_others_say_of_it_is_the_same() {
        let (commands, rest) = apart("// first\n:dep a = { version = \"1\", features = [\n  \"x\",\n] }\nlet y = 1;");
        assert_eq!(commands, [":dep a = { version = \"1\", features = [\n\"x\",\n] }"]);
        assert_eq!(rest, "// first\n\n\n\nlet y = 1;");
        assert_eq!((dep_argument(":add rand"), dep_argument(":deps")), (Some("rand"), None));
    }

    #[test]
    fn what_is_saved_of_a_cell_is_all_of_it_but_what_saves() {
        let code = ":save a.rs\n:dep a = {\n  path = \"a\"\n}\nlet x = 1; // one\n  :save b.rs 3\n";
        assert_eq!(without_commands_on_cells(code), ":dep a = {\n  path = \"a\"\n}\nlet x = 1; // one");
        assert_eq!(without_commands_on_cells(":save a.rs"), "");
    }

    #[test]
    fn a_command_may_have_an_equals_sign_and_a_comment() {
        assert_eq!(split(":opt = 2"), (":opt", "2"));
        assert_eq!(split(":sccache=1"), (":sccache", "1"));
        assert_eq!(split(":env A=b"), (":env", "A=b"));
        assert_eq!(split(uncommented(":vars // all")), (":vars", ""));
        assert_eq!(uncommented(":type f(\" // \")"), ":type f(\" // \")");
    }

    #[test]
    fn a_command_that_is_misspelled_has_a_near_one() {
        let near = |name| nearest(name, COMMANDS.iter().map(|(known, ..)| *known));
        assert_eq!((near(":VARS"), near(":tipe"), near(":nonsense")), (Some(":vars"), Some(":type"), None));
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
