//! A cell's outputs in the notebook format.
//!
//! The rules are those of nbclient. Consecutive text of one stream is one output. An update changes a display wherever
//! it was shown. A cleared cell begins anew. Output that comes after its cell has ended still goes to that cell. What an
//! `Output` widget takes stands in the widget's state, and on a page, which has no widgets, below the cell.

use mobula_session::{Bundle, CellError, CellId, Event, Stream};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The outputs of all cells that have run.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    cells: BTreeMap<CellId, Vec<Shown>>,
    /// The cells of the file. The numbers between them are those of cells that they have loaded from other files.
    begun: BTreeSet<CellId>,
    /// The `Output` widgets that take what a cell shows, by their comms, the innermost last.
    inside: BTreeMap<CellId, Vec<String>>,
    /// Cells and widgets whose outputs are cleared when their next output comes.
    clear_waits: BTreeSet<(CellId, Option<String>)>,
}

/// An output, and the `Output` widget that has taken it.
#[derive(Clone, Debug, PartialEq)]
struct Shown {
    output: Output,
    inside: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Output {
    Text { stream: Stream, text: String },
    Display(Bundle),
    Result(Bundle),
    Error { name: String, value: String, traceback: Vec<String> },
}

impl Recorder {
    /// A cell of the file begins.
    pub fn begins(&mut self, cell: CellId) {
        self.begun.insert(cell);
    }

    /// The cell of the file that an event of `cell` belongs to.
    fn owner(&self, cell: CellId) -> CellId {
        self.begun.range(..=cell).next_back().copied().unwrap_or(cell)
    }

    /// Records an event.
    pub fn event(&mut self, event: &Event) {
        match event {
            Event::Text { cell, stream, text } => self.print(self.owner(*cell), *stream, text),
            Event::Display { cell, bundle } | Event::Page { cell, bundle } => {
                self.push(self.owner(*cell), Output::Display(bundle.clone()))
            }
            Event::Report { cell, report } => self.push(self.owner(*cell), Output::Display(report.bundle())),
            Event::Result { cell, bundle } => self.push(self.owner(*cell), Output::Result(bundle.clone())),
            Event::Update { bundle, .. } => self.update(bundle),
            Event::Comm { .. } | Event::CommReply { .. } | Event::Tasks { .. } => {}
            Event::Capture { cell, comm, begins: true } => {
                self.inside.entry(self.owner(*cell)).or_default().push(comm.clone());
            }
            Event::Capture { cell, begins: false, .. } => {
                drop(self.inside.get_mut(&self.owner(*cell)).and_then(Vec::pop));
            }
            Event::Clear { cell, wait } => {
                let cell = self.owner(*cell);
                let inside = self.inside(cell);
                if *wait {
                    self.clear_waits.insert((cell, inside));
                    return;
                }
                self.clear_waits.remove(&(cell, inside.clone()));
                self.clear(cell, inside.as_deref());
            }
            Event::Notice { .. } => {}
        }
    }

    /// Records why a cell failed.
    pub fn error(&mut self, cell: CellId, error: &CellError) {
        let (name, value, traceback) = (error.name.clone(), error.value.clone(), error.traceback());
        self.push(cell, Output::Error { name, value, traceback });
    }

    /// What the cell has printed on a stream.
    pub fn text(&self, cell: CellId, of: Stream) -> String {
        let outputs = self.cells.get(&cell).into_iter().flatten();
        let text = |shown: &Shown| match &shown.output {
            Output::Text { stream, text } if *stream == of => Some(text.clone()),
            _ => None,
        };
        outputs.filter_map(text).collect()
    }

    /// The cell's outputs in the notebook format, without those that stand in a widget.
    pub fn outputs(&self, cell: CellId) -> Value {
        self.json(cell, |shown| shown.inside.is_none())
    }

    /// All of the cell's outputs in the notebook format, for a page, which shows no widgets.
    pub fn all_outputs(&self, cell: CellId) -> Value {
        self.json(cell, |_| true)
    }

    /// The outputs that an `Output` widget has taken.
    pub fn taken_by(&self, comm: &str) -> Vec<Value> {
        let of_it = |shown: &&Shown| shown.inside.as_deref() == Some(comm);
        let of_cell = |(cell, outputs): (&CellId, &Vec<Shown>)| -> Vec<Value> {
            outputs.iter().filter(of_it).map(|shown| shown.output.json(*cell)).collect()
        };
        self.cells.iter().flat_map(of_cell).collect()
    }

    fn json(&self, cell: CellId, is_wanted: impl Fn(&Shown) -> bool) -> Value {
        let outputs = self.cells.get(&cell).into_iter().flatten();
        outputs.filter(|shown| is_wanted(shown)).map(|shown| shown.output.json(cell)).collect()
    }

    /// The widget that takes what the cell shows now.
    fn inside(&self, cell: CellId) -> Option<String> {
        self.inside.get(&cell).and_then(|inside| inside.last()).cloned()
    }

    /// Forgets what a cell, or a widget, has shown. A widget may have been filled by several cells.
    fn clear(&mut self, cell: CellId, inside: Option<&str>) {
        for (_, outputs) in self.cells.iter_mut().filter(|(of, _)| inside.is_some() || **of == cell) {
            outputs.retain(|shown| shown.inside.as_deref() != inside);
        }
    }

    fn push(&mut self, cell: CellId, output: Output) {
        let inside = self.inside(cell);
        if self.clear_waits.remove(&(cell, inside.clone())) {
            self.clear(cell, inside.as_deref());
        }
        let outputs = self.cells.entry(cell).or_default();
        match (outputs.last_mut(), output) {
            (
                Some(Shown { output: Output::Text { stream: last, text }, inside: before }),
                Output::Text { stream, text: more },
            ) if *last == stream && *before == inside => text.push_str(&more),
            (_, output) => outputs.push(Shown { output, inside }),
        }
    }

    fn print(&mut self, cell: CellId, stream: Stream, more: &str) {
        self.push(cell, Output::Text { stream, text: more.to_owned() });
    }

    fn update(&mut self, new: &Bundle) {
        let shown = self.cells.values_mut().flatten().filter_map(|shown| match &mut shown.output {
            Output::Display(bundle) | Output::Result(bundle) => Some(bundle),
            _ => None,
        });
        for bundle in shown.filter(|bundle| bundle.display_id.is_some() && bundle.display_id == new.display_id) {
            bundle.data.clone_from(&new.data);
            bundle.metadata.clone_from(&new.metadata);
        }
    }
}

impl Output {
    fn json(&self, cell: CellId) -> Value {
        match self {
            Output::Text { stream, text } => {
                let name = match stream {
                    Stream::Stdout => "stdout",
                    Stream::Stderr => "stderr",
                };
                json!({"name": name, "output_type": "stream", "text": lines(text)})
            }
            Output::Display(bundle) => {
                json!({"data": data(bundle), "metadata": bundle.metadata, "output_type": "display_data"})
            }
            Output::Result(bundle) => json!({
                "data": data(bundle),
                "execution_count": cell.0,
                "metadata": bundle.metadata,
                "output_type": "execute_result",
            }),
            Output::Error { name, value, traceback } => {
                json!({"ename": name, "evalue": value, "output_type": "error", "traceback": traceback})
            }
        }
    }
}

/// Text is stored as a list of lines, for the sake of diffs; JSON and images other than SVG are not.
fn data(bundle: &Bundle) -> Map<String, Value> {
    let split = |mime: &str| mime.starts_with("text/") || matches!(mime, "application/javascript" | "image/svg+xml");
    let content = |(mime, value): (&String, &Value)| match value {
        Value::String(text) if split(mime) => (mime.clone(), lines(text)),
        value => (mime.clone(), value.clone()),
    };
    bundle.data.iter().map(content).collect()
}

/// The lines of `text`, each with its end. The ends of lines are Python's, because Jupyter splits with Python, and a
/// file that two programs write should not change with each.
pub(super) fn lines(text: &str) -> Value {
    let mut lines: Vec<&str> = Vec::new();
    let (mut begin, mut chars) = (0, text.char_indices().peekable());
    while let Some((at, c)) = chars.next() {
        let ends =
            matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}');
        if ends && !(c == '\r' && chars.peek().is_some_and(|(_, next)| *next == '\n')) {
            let end = at + c.len_utf8();
            lines.push(&text[begin..end]);
            begin = end;
        }
    }
    if begin < text.len() {
        lines.push(&text[begin..]);
    }
    lines.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: CellId = CellId(1);
    const SECOND: CellId = CellId(2);

    fn print(cell: CellId, stream: Stream, text: &str) -> Event {
        Event::Text { cell, stream, text: text.into() }
    }

    fn bar(text: &str) -> Bundle {
        Bundle { display_id: Some("bar".into()), ..Bundle::text(text) }
    }

    fn recorded(events: impl IntoIterator<Item = Event>) -> Recorder {
        let mut recorder = Recorder::default();
        events.into_iter().for_each(|event| recorder.event(&event));
        recorder
    }

    #[test]
    fn text_of_one_stream_in_a_row_is_one_output() {
        let recorder = recorded([
            print(FIRST, Stream::Stdout, "a"),
            print(FIRST, Stream::Stdout, "b\nc"),
            print(FIRST, Stream::Stderr, "w\n"),
            print(FIRST, Stream::Stdout, "d"),
        ]);
        let expected = json!([
            {"name": "stdout", "output_type": "stream", "text": ["ab\n", "c"]},
            {"name": "stderr", "output_type": "stream", "text": ["w\n"]},
            {"name": "stdout", "output_type": "stream", "text": ["d"]},
        ]);
        assert_eq!(recorder.outputs(FIRST), expected);
    }

    #[test]
    fn a_display_that_changes_changes_wherever_it_was_shown() {
        let recorder = recorded([
            Event::Display { cell: FIRST, bundle: bar("0 %") },
            Event::Display { cell: FIRST, bundle: Bundle::text("other") },
            Event::Display { cell: SECOND, bundle: bar("0 %") },
            Event::Update { cell: SECOND, bundle: bar("100 %") },
        ]);
        let display = |text| json!({"data": {"text/plain": [text]}, "metadata": {}, "output_type": "display_data"});
        assert_eq!(recorder.outputs(FIRST), json!([display("100 %"), display("other")]));
        assert_eq!(recorder.outputs(SECOND), json!([display("100 %")]));
    }

    #[test]
    fn a_cleared_cell_begins_anew_at_once_or_with_the_next_output() {
        let clear = |wait| Event::Clear { cell: FIRST, wait };
        let text = |event: Event| vec![print(FIRST, Stream::Stdout, "a"), event];
        assert_eq!(recorded(text(clear(false))).outputs(FIRST), json!([]));
        assert_eq!(recorded(text(clear(true))).outputs(FIRST)[0]["text"], json!(["a"]));
        let more = text(clear(true)).into_iter().chain([print(FIRST, Stream::Stdout, "b")]);
        assert_eq!(recorded(more).outputs(FIRST)[0]["text"], json!(["b"]));
    }

    #[test]
    fn what_a_widget_takes_stands_in_it_until_it_is_cleared_and_on_a_page_below_the_cell() {
        let capture = |begins| Event::Capture { cell: FIRST, comm: "w".into(), begins };
        let story = || {
            vec![
                print(FIRST, Stream::Stdout, "before"),
                capture(true),
                print(FIRST, Stream::Stdout, "old"),
                Event::Clear { cell: FIRST, wait: true },
                capture(false),
                print(FIRST, Stream::Stdout, "after"),
                capture(true),
                print(FIRST, Stream::Stdout, "new"),
                capture(false),
            ]
        };
        let text = |text: &str| json!({"name": "stdout", "output_type": "stream", "text": [text]});
        let recorder = recorded(story());
        assert_eq!(recorder.outputs(FIRST), json!([text("before"), text("after")]));
        assert_eq!(recorder.taken_by("w"), [text("new")]);
        assert_eq!(recorder.all_outputs(FIRST), json!([text("before"), text("after"), text("new")]));
        let cleared = [capture(true), Event::Clear { cell: FIRST, wait: false }, capture(false)];
        let recorder = recorded(story().into_iter().chain(cleared));
        assert_eq!((recorder.taken_by("w"), recorder.outputs(FIRST)), (vec![], json!([text("before"), text("after")])));
    }

    #[test]
    fn a_result_carries_the_number_of_its_cell_and_an_error_its_report() {
        let mut recorder = recorded([Event::Result { cell: SECOND, bundle: Bundle::text("1") }]);
        let error = CellError { name: "E0308".into(), value: "v".into(), plain: "p".into(), ansi: "a\nb".into() };
        recorder.error(SECOND, &error);
        let expected = json!([
            {"data": {"text/plain": ["1"]}, "execution_count": 2, "metadata": {}, "output_type": "execute_result"},
            {"ename": "E0308", "evalue": "v", "output_type": "error", "traceback": ["a", "b"]},
        ]);
        assert_eq!(recorder.outputs(SECOND), expected);
    }

    #[test]
    fn what_cells_show_that_a_cell_has_loaded_stands_in_that_cell() {
        let mut recorder = Recorder::default();
        recorder.begins(FIRST);
        recorder.event(&print(SECOND, Stream::Stdout, "loaded "));
        recorder.begins(CellId(3));
        recorder.event(&print(CellId(3), Stream::Stdout, "own"));
        recorder.event(&print(SECOND, Stream::Stdout, "late"));
        let text = |cell| recorder.text(CellId(cell), Stream::Stdout);
        assert_eq!([text(1), text(2), text(3)], ["loaded late", "", "own"]);
    }

    #[test]
    fn only_texts_are_kept_as_lines() {
        let mut bundle = Bundle::text("a\nb");
        bundle.data.insert("image/png".into(), "QUJD\nQUJD".into());
        bundle.data.insert("application/json".into(), json!({"a": "b\nc"}));
        bundle.data.insert("image/svg+xml".into(), "<svg>\n</svg>".into());
        let expected = json!({
            "application/json": {"a": "b\nc"},
            "image/png": "QUJD\nQUJD",
            "image/svg+xml": ["<svg>\n", "</svg>"],
            "text/plain": ["a\n", "b"],
        });
        assert_eq!(Value::Object(data(&bundle)), expected);
    }

    #[test]
    fn lines_end_where_python_ends_them() {
        assert_eq!(lines("a\r\nb\rc\u{85}d\u{2028}\n"), json!(["a\r\n", "b\r", "c\u{85}", "d\u{2028}", "\n"]));
        assert_eq!(lines(""), json!([]));
        assert_eq!(lines("\n\n"), json!(["\n", "\n"]));
    }
}
