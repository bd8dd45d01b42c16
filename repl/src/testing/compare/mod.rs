//! The outputs of a cell, compared with those that are stored.
//!
//! Text is compared by lines, tables and JSON by structure, pictures by what they show, errors by message and place.
//!
//! The order of text on the two streams, and of text and displays, is not compared: it depends on who was faster.

mod markup;
mod picture;
mod structure;

use super::rules::Rules;
use serde_json::Value;
use similar::TextDiff;
use std::collections::BTreeMap;

/// The outputs of a cell, without what varies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    stdout: String,
    stderr: String,
    /// Displays and results, in their order.
    bundles: Vec<Bundle>,
    pub error: Option<Failure>,
}

/// One value in several forms.
#[derive(Clone, Debug, PartialEq)]
struct Bundle {
    what: &'static str,
    /// By MIME type.
    forms: BTreeMap<String, Form>,
}

#[derive(Clone, Debug, PartialEq)]
enum Form {
    Text(String),
    /// One tag or one piece of text a line.
    Markup(String),
    Json(Value),
    Picture(picture::Picture),
}

/// Why a cell failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    name: String,
    value: String,
    /// Lines of the traceback that name a place.
    places: Vec<String>,
}

impl Failure {
    /// The error as it is shown in a difference.
    pub fn text(&self) -> String {
        let places = self.places.iter().map(|place| format!("\n{place}"));
        format!("{}: {}{}", self.name, self.value, places.collect::<String>())
    }
}

impl Outputs {
    /// Reads outputs in the notebook format.
    pub fn read(outputs: &Value, rules: &Rules) -> Outputs {
        let mut read = Outputs::default();
        for output in outputs.as_array().into_iter().flatten() {
            let text = |name: &str| joined(&output[name]);
            match output["output_type"].as_str() {
                Some("stream") if output["name"] == "stderr" => read.stderr.push_str(&text("text")),
                Some("stream") => read.stdout.push_str(&text("text")),
                Some("error") => {
                    let traceback = rules.apply(&joined_lines(&output["traceback"]));
                    let is_place = |line: &&str| line.contains("cell #");
                    read.error = Some(Failure {
                        name: text("ename"),
                        value: rules.apply(&text("evalue")),
                        places: traceback.lines().filter(is_place).map(|line| line.trim().to_owned()).collect(),
                    });
                }
                Some(kind) => {
                    // A widget has another number each time; its text tells its value.
                    let is_view = |mime: &str| mime == "application/vnd.jupyter.widget-view+json";
                    let forms = output["data"].as_object().into_iter().flatten().filter(|(mime, _)| !is_view(mime));
                    let forms = forms.map(|(mime, value)| (mime.clone(), Form::read(mime, value, rules))).collect();
                    let what = if kind == "execute_result" { "the result" } else { "a display" };
                    read.bundles.push(Bundle { what, forms });
                }
                None => {}
            }
        }
        for text in [&mut read.stdout, &mut read.stderr] {
            *text = tasks_apart(&rules.apply(text));
        }
        read
    }
}

impl Form {
    fn read(mime: &str, value: &Value, rules: &Rules) -> Form {
        match mime {
            "text/html" | "image/svg+xml" => Form::Markup(markup::lines(&joined(value), rules)),
            mime if mime == "application/json" || mime.ends_with("+json") => Form::Json(structure::plain(value, rules)),
            mime if mime.starts_with("image/") => Form::Picture(picture::Picture::read(mime, &joined(value))),
            "text/plain" => Form::Text(unpadded(&rules.apply(&joined(value)))),
            _ => Form::Text(rules.apply(&joined(value))),
        }
    }

    /// How the new form differs.
    fn difference(&self, new: &Form) -> Option<String> {
        match (self, new) {
            (Form::Text(stored), Form::Text(new)) | (Form::Markup(stored), Form::Markup(new)) => unified(stored, new),
            (Form::Json(stored), Form::Json(new)) => structure::difference(stored, new),
            (Form::Picture(stored), Form::Picture(new)) => stored.difference(new),
            _ => Some("it is stored in another way".into()),
        }
    }
}

/// How new outputs differ from the stored ones; `None` if they do not.
pub fn difference(stored: &Outputs, new: &Outputs) -> Option<String> {
    let mut said = Vec::new();
    let mut say = |what: &str, how: Option<String>| said.extend(how.map(|how| format!("{what} differs\n{how}")));
    say("standard output", unified(&stored.stdout, &new.stdout));
    say("standard error", unified(&stored.stderr, &new.stderr));
    let failure = |outputs: &Outputs| outputs.error.as_ref().map(Failure::text).unwrap_or_default();
    say("the error", unified(&failure(stored), &failure(new)));
    if stored.bundles.len() == new.bundles.len() {
        for (stored, new) in stored.bundles.iter().zip(&new.bundles) {
            for (mime, form) in &stored.forms {
                match new.forms.get(mime) {
                    Some(new_form) => say(&format!("{} ({mime})", stored.what), form.difference(new_form)),
                    None => say(stored.what, Some(format!("it has no `{mime}` any more"))),
                }
            }
            for mime in new.forms.keys().filter(|mime| !stored.forms.contains_key(*mime)) {
                say(stored.what, Some(format!("it has a `{mime}`, which is not stored")));
            }
        }
    } else {
        let texts = |outputs: &Outputs| outputs.bundles.iter().map(Bundle::text).collect::<String>();
        let count = format!("{} are stored, and {} came", stored.bundles.len(), new.bundles.len());
        let lines = unified(&texts(stored), &texts(new)).unwrap_or_default();
        say("the number of displays and results", Some(format!("{count}\n{lines}")));
    }
    (!said.is_empty()).then(|| said.join("\n"))
}

impl Bundle {
    /// Its plain text, or its types.
    fn text(&self) -> String {
        match self.forms.get("text/plain") {
            Some(Form::Text(text)) => format!("{text}\n"),
            _ => self.forms.keys().map(|mime| format!("<{mime}>\n")).collect(),
        }
    }
}

/// The lines of tasks, behind all others and sorted: tasks print in any order.
fn tasks_apart(text: &str) -> String {
    let is_of_task = |line: &&str| line.starts_with('(') && line.contains(" pid=#) ");
    let (mut tasks, others): (Vec<&str>, Vec<&str>) = text.lines().partition(is_of_task);
    tasks.sort_unstable();
    others.into_iter().chain(tasks).map(|line| format!("{line}\n")).collect()
}

/// A text whose columns are as wide as they happen to be, without their widths.
fn unpadded(text: &str) -> String {
    let line = |line: &str| {
        let mut plain = String::new();
        for c in line.trim_end().chars() {
            let is_repeated = matches!(c, ' ' | '-' | '─' | '═' | '=') && plain.ends_with(c);
            if !is_repeated || plain.trim_start().is_empty() {
                plain.push(c);
            }
        }
        plain + "\n"
    };
    text.lines().map(line).collect()
}

/// What differs between two texts, line by line: `-` is stored, `+` is new. Ends of lines, and empty lines at the end,
/// do not count.
fn unified(stored: &str, new: &str) -> Option<String> {
    let lines = |text: &str| text.trim_end().lines().map(|line| format!("{}\n", line.trim_end())).collect::<String>();
    let (stored, new) = (lines(stored), lines(new));
    if stored == new {
        return None;
    }
    let diff = TextDiff::from_lines(&stored, &new);
    Some(diff.unified_diff().context_radius(2).to_string().trim_end().to_owned())
}

/// A notebook's text: a string, or its lines.
fn joined(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Lines without ends, as tracebacks have them.
fn joined_lines(value: &Value) -> String {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(|line| format!("{line}\n")).collect()
}
