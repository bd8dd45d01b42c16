//! Notebooks as scripts, as pages and as projects: `mobula convert`, `run --html --timeout`, `export`.

use crate::support::{Notebook, Place, Spawned, finish, joined, python};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

fn notebook_of(path: impl AsRef<Path>) -> Value {
    serde_json::from_str(&fs::read_to_string(path).expect("it was written")).expect("a notebook is JSON")
}

/// The cells as a person wrote them: kind, source, tags.
fn cells(path: impl AsRef<Path>) -> Vec<(String, String, Value)> {
    let notebook = notebook_of(path);
    let cells = notebook["cells"].as_array().expect("cells").iter();
    let cells = cells.map(|cell| {
        let kind = cell["cell_type"].as_str().expect("a kind").to_owned();
        (kind, joined(&cell["source"]), cell["metadata"]["tags"].clone())
    });
    cells.collect()
}

fn jupytext(place: &Place, arguments: &[&str]) {
    finish(place.command(python()).args(["-m", "jupytext"]).args(arguments)).exits(0);
}

/// A notebook in the tree.
fn stored(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("notebooks").join(name);
    fs::read_to_string(path).expect("it is in the tree")
}

#[test]
fn a_notebook_is_the_same_cells_whether_jupytext_or_mobula_made_the_script() {
    let place = Place::new();
    for name in ["tour", "03_actors", "04_errors"] {
        let [there, ours, theirs, back, again] =
            ["a.ipynb", "ours.rs", "theirs.rs", "back.ipynb", "again.ipynb"].map(|name| place.path(name));
        place.write("a.ipynb", &stored(&format!("{name}.ipynb")));
        finish(place.mobula().args(["convert", &there, &ours])).exits(0);
        jupytext(&place, &["--to", "rs:percent", "--output", &theirs, &there]);
        jupytext(&place, &["--to", "ipynb", "--output", &back, &ours]);
        let _ = fs::remove_file(&again);
        finish(place.mobula().args(["convert", &theirs, &again])).exits(0);
        assert!(cells(&there).len() > 5 && cells(&there) == cells(&back), "{name}: jupytext reads our script");
        assert_eq!(cells(&there), cells(&again), "{name}: we read jupytext's script");
        // The two scripts differ in who names his version, and in a kind of quotes.
        let text = |path: &str| {
            let text = fs::read_to_string(path).expect("it was written").replace('\'', "\"");
            text.lines().filter(|line| !line.contains("jupytext_version")).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(text(&ours), text(&theirs), "{name}");
    }
}

#[test]
fn a_script_with_tags_runs_as_a_notebook_and_its_page_needs_nothing_else() {
    let place = Place::new();
    let script = "// %% [markdown]\n// # Sums\n\n// %% tags=[\"parameters\"]\nlet n = 3;\n\n// %% tags=[\"raises-error\"]\n\
                  panic!(\"wanted\")\n\n// %% The table\nstd::collections::BTreeMap::from([(n, \"<a>\"), (n + 1, \"b\")])\n";
    let file = place.write("a.rs", script);
    let (copy, page) = (place.path("copy.ipynb"), place.path("page.html"));
    let mut run = place.mobula();
    run.arg("run").arg(&file).args(["-p", "n=5", "--html", &page, &format!("--save={copy}")]);
    finish(&mut run).exits(0);
    let ran = notebook_of(&copy);
    assert_eq!(
        (&ran["cells"][1]["execution_count"], joined(&ran["cells"][1]["source"]).as_str()),
        (&Value::from(1), "let n = 5;")
    );
    assert_eq!(ran["cells"][2]["outputs"][0]["output_type"], "error");
    let page = fs::read_to_string(page).expect("it was written");
    for part in
        ["<h1>Sums</h1>", "wanted", "<td", "&lt;a&gt;", "prefers-color-scheme: dark", "<div class=\"count\">[3]</div>"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    for word in ["http://", "https://", "<link", "src=\"/", "@import"] {
        assert!(!page.contains(word), "{word}: {page}");
    }
    place.leaves_nothing();
}

#[test]
fn a_cell_that_takes_too_long_is_interrupted_and_named() {
    let place = Place::new();
    let script = "// %%\nprintln!(\"before\");\n// %%\nloop {}\n// %%\nprintln!(\"after\");\n";
    for (file, keep) in [("a.rs", false), ("-", true)] {
        let path = place.write("a.rs", script);
        let mut run = place.mobula();
        run.args(["run", file, "--timeout", "2.5"]).stdin(fs::File::open(path).expect("it is there"));
        if keep {
            run.arg("--keep-going");
        }
        let finished = Spawned::start(&mut run, place.folder()).finish().exits(1);
        let late =
            "cell [2] took longer than 2.5 s and was interrupted: loop {}\nthe cell begins on line 4 of the file";
        assert!(finished.stderr.contains(late), "{finished}");
        assert_eq!(finished.stdout.contains("after"), keep, "{finished}");
    }
    let wrong = finish(place.mobula().args(["run", "a.rs", "--timeout", "soon"])).exits(2);
    assert!(wrong.stderr.contains("write a number of seconds"), "{wrong}");
    place.leaves_nothing();
}

/// What a tour shows: items, tasks, an actor, a crate, tables, a variable of the same name, awaiting.
fn tour() -> Notebook {
    Notebook::new()
        .cell(":dep itoa = \"1\"\nuse std::collections::BTreeMap;\nfn half(n: u32) -> u32 { n / 2 }")
        .cell("let x = half.remote(8);\nget(&x)?")
        .cell("// How many are ready.\nlet refs: Vec<_> = (0..4).map(|n| half.remote(n)).collect();\nlet (ready, rest) = wait(&refs).num_returns(4).run()?;\nprintln!(\"{} and {}\", ready.len(), rest.len());\nget(&refs)?")
        .cell("#[derive(Clone, Debug, Serialize, Deserialize)]\nstruct Row { name: String, count: u32 }\n\nfn rows() -> Vec<Row> {\n    (1..3).map(|count| Row { name: format!(\"row {count}\"), count }).collect()\n}\nget(rows.remote())?.into_iter().map(|row| (row.name, row.count)).collect::<Vec<_>>()")
        .cell("struct Counter { n: i64 }\nimpl Counter {\n    fn new(n: i64) -> Self { Counter { n } }\n    fn add(&mut self, by: i64) -> i64 { self.n += by; self.n }\n}\nlet counter = Counter::new.spawn(10);\nget(Counter::add.call(&counter, 5))?")
        .cell("let x = itoa::Buffer::new().format(77).to_owned();\nlet mut counts = BTreeMap::new();\ncounts.insert(x.clone(), x.len());\ncounts")
        .cell("let y = half.remote(40).await?;\ny + 1")
        .cell("impl Row { fn twice(&self) -> u32 { self.count * 2 } }\nrows()[1].twice()")
}

#[test]
fn an_exported_notebook_is_a_project_that_cargo_builds_and_that_shows_the_same() {
    let place = Place::new();
    let file = place.write("My tour.ipynb", &tour().text());
    let ran = finish(place.mobula().arg("run").arg(&file)).exits(0);
    finish(place.mobula().arg("export").arg(&file).arg(place.path("project"))).exits(0);
    // What is built stays for the next test, as in a person's target folder.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("exported");
    let cargo = |folder: &str| -> Command {
        let mut cargo = place.command("cargo");
        cargo.args(["run", "--offline", "--quiet"]).env("CARGO_TARGET_DIR", &target).current_dir(place.path(folder));
        // It shall be built soon, and on a small disk.
        for (name, value) in [("PROFILE_DEV_OPT_LEVEL", "0"), ("PROFILE_DEV_DEBUG", "0"), ("INCREMENTAL", "0")] {
            cargo.env(format!("CARGO_{name}"), value);
        }
        cargo.stdin(Stdio::null());
        cargo
    };
    let exported = finish(&mut cargo("project")).exits(0);
    assert_eq!(exported.stdout, ran.stdout, "{exported}");
    assert_eq!(exported.stderr, "", "no warning, no failure");

    // The same in a runtime that it shares.
    finish(place.mobula().arg("start")).exits(0);
    let shared = finish(cargo("project").env("MOBULA_ADDRESS", "auto")).exits(0);
    assert_eq!((shared.stdout, shared.stderr), (ran.stdout, String::new()));
    finish(place.mobula().arg("stop")).exits(0);

    // The tour of the tree: each value that is stored stands there, in order.
    place.write("tour.ipynb", &stored("tour.ipynb"));
    finish(place.mobula().args(["export", "tour.ipynb", "tour"])).exits(0);
    let exported = finish(&mut cargo("tour")).exits(0);
    let mut rest = exported.stdout.as_str();
    let mut compared = 0;
    for cell in notebook_of(place.path("tour.ipynb"))["cells"].as_array().expect("cells") {
        let tags = cell["metadata"]["tags"].as_array().cloned().unwrap_or_default();
        if tags.iter().any(|tag| ["skip-output", "raises-error"].contains(&tag.as_str().unwrap_or_default())) {
            continue;
        }
        let outputs = cell["outputs"].as_array().cloned().unwrap_or_default();
        for text in outputs.iter().map(|output| joined(&output["data"]["text/plain"])) {
            // A number of a cell is none of a program.
            if text.is_empty() || text.contains("cell ") {
                continue;
            }
            let at = rest.find(&text).unwrap_or_else(|| panic!("`{text}` is not behind the one before: {exported}"));
            rest = &rest[at + text.len()..];
            compared += 1;
        }
    }
    assert!(compared >= 8, "only {compared} values were compared");
    place.leaves_nothing();
}

#[test]
fn what_is_no_single_program_is_refused_and_makes_nothing() {
    let place = Place::new();
    place.write("a.rs", "// %%\nfn f() -> u32 { 1 }\n// %%\nf()\n// %%\nfn f() -> u64 { 2 }\n");
    let refused = finish(place.mobula().args(["export", "a.rs", "project"])).exits(2);
    let why = "`f` of cell 1 is defined anew in cell 3, and cell 2 has used the first one";
    assert!(refused.stderr.contains(why), "{refused}");
    assert!(!Path::new(&place.path("project")).exists());
}
