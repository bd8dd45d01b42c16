//! Crates of the person's own, files beside the notebook, and Rust files that are programs.

use crate::support::{Finished, Notebook, Place, finish};
use std::path::Path;
use std::process::Command;

fn write_crate(place: &Place, name: &str, build: &str, lib: &str) {
    place.write(&format!("{name}/Cargo.toml"), &format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n"));
    place.write(&format!("{name}/src/lib.rs"), lib);
    if !build.is_empty() {
        place.write(&format!("{name}/build.rs"), build);
    }
}

/// A library of the system's kind, which exports `answer`.
fn write_library(place: &Place, folder: &str, name: &str, source: &str, links: Option<&str>) {
    let file = place.write(&format!("{folder}/{name}.rs"), source);
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition=2024", "--crate-type=cdylib", "-Cpanic=abort", "-o"]);
    rustc.arg(place.path(&format!("{folder}/lib{name}.so"))).arg(file);
    rustc.args(links.map(|folder| format!("-Lnative={}", place.path(folder))));
    assert!(rustc.status().expect("rustc").success());
}

#[test]
fn a_crate_is_found_beside_the_notebook_and_built_anew_once_it_was_edited() {
    let place = Place::new();
    write_crate(&place, "mine", "", "pub struct P(pub u8);\npub fn version() -> u8 { 1 }\n");
    let lib = place.path("mine/src/lib.rs");
    let edit = format!(
        "std::fs::write({lib:?}, \"pub struct P(pub u8, pub [u64; 9]);\\npub fn version() -> u8 {{ 2 }}\\n\")?;"
    );
    let ran = Notebook::new()
        .cell(":dep ./mine // by its folder")
        .cell("let p = mine::P(7); let other = String::from(\"kept\"); mine::version()")
        .cell(":dep { path = \"mine\" }")
        .cell("p.0")
        .cell(&edit)
        .cell(":dep mine = { path = \"./mine\" }")
        .cell("mine::version()")
        .cell("other")
        .failing("p.0")
        .run(&place);
    assert_eq!((ran.cell(2).value(), ran.cell(4).value()), ("1".into(), "7".into()));
    assert!(ran.cell(6).text().contains("`p` is gone"), "{}", ran.cell(6).everything());
    assert_eq!((ran.cell(7).value(), ran.cell(8).value()), ("2".into(), "\"kept\"".into()));
    assert!(ran.cell(9).everything().contains("was built anew by cell 6"), "{}", ran.cell(9).everything());
    place.leaves_nothing();
}

#[test]
fn the_dependencies_of_the_folders_manifest_are_taken_as_cargo_reads_them() {
    let place = Place::new();
    write_crate(&place, "mine", "", "#[cfg(feature = \"big\")]\npub fn size() -> u8 { 9 }\n");
    let features = std::fs::read_to_string(place.path("mine/Cargo.toml")).expect("it") + "[features]\nbig = []\n";
    place.write("mine/Cargo.toml", &features);
    place.write("src/main.rs", "fn main() {}\n");
    place.write(
        "Cargo.toml",
        "[package]\nname = \"app\"\nedition = \"2024\"\n[workspace]\nmembers = [\"mine\"]\n\
         [workspace.dependencies]\nmine = { path = \"mine\" }\n\
         [dependencies]\nown = { package = \"mine\", path = \"mine\", features = [\"big\"] }\n\
         [dev-dependencies]\nfnv = \"1\"\n",
    );
    let ran = Notebook::new().cell(":dep .").cell("own::size()").run(&place);
    let told = ran.cell(1).text();
    assert!(told.starts_with("own = { features = [\"big\"], package = \"mine\", path = "), "{told}");
    assert!(told.ends_with("\nleft out: fnv (for tests)\n"), "{told}");
    assert_eq!(ran.cell(2).value(), "9");
    std::fs::remove_file(place.path("Cargo.toml")).expect("it was there");
    let ran = Notebook::new().failing(":dep .").run(&place);
    assert!(ran.cell(1).everything().contains("there is no `Cargo.toml` in"), "{}", ran.cell(1).everything());
    place.leaves_nothing();
}

#[test]
fn evcxr_keeps_the_versions_of_crates_when_another_is_added() {
    let place = Place::new();
    write_crate(&place, "mine", "", "pub struct P(pub u8);\npub fn version() -> u8 { 1 }\n");
    write_crate(&place, "other", "", "pub fn answer() -> u8 { 42 }\n");
    let commit = "git init -q; git add -A; git -c user.name=a -c user.email=a@b commit -qm all";
    let script = place.write("commit.sh", &format!("set -e; cd {}; {commit}\n", place.path("mine")));
    finish(Command::new("sh").arg(&script)).exits(0);
    let address = format!("file://{}", place.path("mine"));
    let cells = format!(
        ":dep mine = {{ git = {address:?} }}\nlet p: mine::P = mine::P(7);\n\
         // %%\nstd::fs::write(\"mine/src/lib.rs\", \"pub struct P(pub u8);\\npub fn version() -> u8 {{ 2 }}\\n\")?;\n\
         assert!(std::process::Command::new(\"sh\").arg(\"commit.sh\").status()?.success());\n\
         // %%\n:dep other = {{ path = {:?} }}\nprintln!(\"{{}} {{}} {{}}\", other::answer(), mine::version(), p.0);\n\
         // %%\nasync {{}}.await;\nprintln!(\"{{}} {{}}\", mine::version(), p.0);\n",
        place.path("other")
    );
    let script = place.write("all.rs", &cells);
    let finished = finish(place.mobula().arg("run").arg(script).env("MOBULA_EVALUATOR", "evcxr")).exits(0);
    assert_eq!(finished.stdout, "42 1 7\n1 7\n", "{finished}");
    place.leaves_nothing();
}

#[test]
fn a_session_whose_program_is_replaced_by_an_update_goes_on() {
    let place = Place::new();
    write_crate(&place, "mine", "", "pub fn version() -> u8 { 1 }\n");
    let program = place.write("mobula", "");
    std::fs::copy(env!("CARGO_BIN_EXE_mobula"), &program).expect("a copy of the program");
    let script = place.write(
        "all.rs",
        "std::fs::remove_file(\"mobula\")?; std::fs::write(\"mobula\", \"another\")?;\n\
         // %%\n:dep ./mine\nprintln!(\"version {}\", mine::version());\n\
         // %%\n:reset\n// %%\nfn f(x: i64) -> i64 { x + 1 }\nprintln!(\"task {}\", get(&f.remote(1))?);\n",
    );
    let finished = finish(place.command(&program).arg("run").arg(script)).exits(0);
    assert_eq!(finished.stdout, "version 1\ntask 2\n", "{finished}");
    place.leaves_nothing();
}

#[test]
fn a_library_beside_a_crate_is_found_and_one_that_is_missing_is_met_at_the_dep() {
    let place = Place::new();
    let answer = |number: u8| format!("#[unsafe(no_mangle)] pub extern \"C\" fn answer() -> u8 {{ {number} }}\n");
    write_library(&place, "here", "here", &answer(7), None);
    // One that needs another, which nobody finds.
    let inner = "#[unsafe(no_mangle)] pub extern \"C\" fn inner() -> u8 { 1 }\n";
    write_library(&place, "hidden", "inner", inner, None);
    let outer = "#[link(name = \"inner\")] unsafe extern \"C\" { fn inner() -> u8; }\n\
                 #[unsafe(no_mangle)] pub extern \"C\" fn answer() -> u8 { unsafe { inner() } }\n";
    write_library(&place, "outer", "outer", outer, Some("hidden"));
    let calls = "unsafe extern \"C\" { fn answer() -> u8; }\npub fn ask() -> u8 { unsafe { answer() } }\n";
    for name in ["here", "outer"] {
        let build = format!(
            "fn main() {{ println!(\"cargo:rustc-link-search=native={}\"); println!(\"cargo:rustc-link-lib=dylib={name}\"); }}\n",
            place.path(name)
        );
        write_crate(&place, &format!("with_{name}"), &build, calls);
    }
    let ran = Notebook::new()
        .cell("fn twice(x: i64) -> i64 { x * 2 } let kept = 21i64;")
        .failing(":dep ./with_outer")
        .cell("twice(kept)")
        .cell(":dep ./with_here")
        .cell("with_here::ask()")
        .cell("twice(kept)")
        .failing("with_outer::ask()")
        .run(&place);
    let error = ran.cell(2).everything();
    assert!(error.contains("cannot be loaded") && error.contains("libinner.so"), "{error}");
    assert_eq!((ran.cell(3).value(), ran.cell(6).value()), ("42".into(), "42".into()));
    assert_eq!(ran.cell(5).value(), "7");
    place.leaves_nothing();
}

#[test]
fn what_fails_in_a_dep_leaves_the_session_as_it_was_and_names_no_folder_of_its() {
    let place = Place::new();
    write_crate(&place, "broken", "", "pub fn f() -> u8 { \"text\" }\n");
    write_crate(&place, "whole", "", "pub fn f() -> u8 { 5 }\n");
    write_crate(&place, "other", "", "pub fn f() -> u8 { 6 }\n");
    let ran = Notebook::new()
        .cell(":dep ./whole\nlet kept = whole::f();")
        .failing(":dep ./broken")
        .failing(":offline 1\n:dep no_such_crate_at_all = \"1\"")
        .cell("kept + whole::f()")
        .failing(":no_such_command\n:dep ./other\nkept")
        .cell("other::f()")
        .run(&place);
    let broken = ran.cell(2).everything();
    assert!(broken.contains("mismatched types") && broken.contains("broken/src/lib.rs"), "{broken}");
    let unknown = ran.cell(3).everything();
    assert!(unknown.contains("no_such_crate_at_all") && unknown.contains("crates.io"), "{unknown}");
    for error in [broken, unknown] {
        assert!(!error.contains("cells/deps") && !error.contains("mobula_base"), "{error}");
    }
    // A command that is not known stops the cell, and not the crates that it asks for.
    assert_eq!((ran.cell(4).value(), ran.cell(6).value()), ("10".into(), "6".into()));
    place.leaves_nothing();
}

#[test]
fn files_and_modules_beside_the_notebook_are_found_and_read_again_when_they_change() {
    let place = Place::new();
    place.write("data.txt", "four");
    place.write("helper.rs", "pub fn helper() -> u8 { 1 }\n");
    place.write("util.rs", "mod inner;\npub fn util() -> u8 { inner::deep() + super::base() }\n");
    place.write("util/inner.rs", "pub fn deep() -> u8 { 40 }\n");
    let helper = place.path("helper.rs");
    let ran = Notebook::new()
        .cell("include_str!(\"data.txt\").len()")
        .cell("mod helper { include!(\"helper.rs\"); }\nhelper::helper()")
        .cell(&format!("std::fs::write({helper:?}, \"pub fn helper() -> u8 {{ 2 }}\")?;"))
        .cell("mod helper { include!(\"helper.rs\"); }\nhelper::helper()")
        .cell("fn base() -> u8 { 2 }\n#[path = \"util.rs\"] mod other { pub fn f() -> u8 { 0 } }\nmod util;\nutil::util()")
        .failing("mod nowhere;")
        .run(&place);
    let values: Vec<String> = [1, 2, 4, 5].map(|cell| ran.cell(cell).value()).into();
    assert_eq!(values, ["4", "1", "2", "42"]);
    let error = ran.cell(6).everything();
    assert!(error.contains(&place.path("nowhere.rs")), "{error}");
    place.leaves_nothing();
}

#[test]
fn bars_of_another_crate_are_drawn_in_the_cell_and_in_a_pipe_stand_there_once() {
    let place = Place::new();
    let bars = "use indicatif::{MultiProgress, ProgressBar};\nlet bars = MultiProgress::with_draw_target(draw_target!());\n\
                let all: Vec<_> = (1..=2u64).map(|n| bars.add(ProgressBar::new(10 * n))).collect();\n\
                for bar in &all { for _ in 0..bar.length().unwrap() { bar.inc(1) } }\nfor bar in &all { bar.finish() }";
    let task = "fn work(n: u64) -> u64 { let bar = ProgressBar::with_draw_target(Some(n), draw_target!()); (0..n).for_each(|_| bar.inc(1)); \
                bar.finish_with_message(\"worked\"); n }\nget(&work.remote(7))?";
    let ran = Notebook::new()
        .cell(":dep indicatif = { version = \"0.18\", default-features = false }")
        .cell(bars)
        .cell(task)
        .run(&place);
    let drawn = ran.cell(2).everything();
    // Once as text, and once as HTML.
    let counts = ["10/10", "20/20", "11/20"].map(|count| drawn.matches(count).count());
    assert_eq!(counts, [2, 2, 0], "{drawn}");
    assert!(ran.cell(3).everything().contains(" 7/7") && ran.cell(3).value() == "7", "{}", ran.cell(3).everything());
    place.leaves_nothing();
}

#[test]
fn a_notebook_runs_in_its_own_folder_as_in_jupyter() {
    let place = Place::new();
    place.write("below/data.txt", "four");
    let cells =
        Notebook::new().cell("(std::fs::read_to_string(\"data.txt\")?.len(), include_str!(\"data.txt\").len())");
    place.write("below/there.ipynb", &cells.text());
    let mut mobula = place.mobula();
    mobula.args(["run", "below/there.ipynb", "--save"]).current_dir(place.folder());
    assert_eq!(finish(&mut mobula).exits(0).stdout.trim(), "(4, 4)");
    let saved = std::fs::read_to_string(place.folder().join("below/there.ipynb")).expect("the notebook");
    assert!(saved.contains("(4, 4)"), "{saved}");
    place.leaves_nothing();
}

fn run(place: &Place, script: &Path, arguments: &[&str]) -> Finished {
    finish(place.mobula().arg("run").arg(script).args(arguments))
}

#[test]
fn a_file_with_a_main_is_a_program_with_arguments_and_an_exit_code() {
    let place = Place::new();
    place.write("util.rs", "pub const N: usize = 1;\n");
    let text = "\u{feff}#!/usr/bin/env mobula\n//! A program.\nuse std::env::args;\nuse crate::util::N;\nmod util;\n\n#[derive(Debug)]\nstruct Odd(String);\n\n\
                fn main() -> Result<(), Odd> {\n    let all: Vec<String> = args().skip(N).collect();\n    println!(\"{}\", all.join(\",\"));\n    \
                match all.first().map(String::as_str) {\n        Some(\"fail\") => Err(Odd(\"no\".into())),\n        Some(\"exit\") => std::process::exit(7),\n        \
                Some(\"panic\") => panic!(\"oh\"),\n        _ => Ok(()),\n    }\n}\n";
    let script = place.write("tool.rs", text);
    assert_eq!(run(&place, &script, &["--", "a", "--b"]).exits(0).stdout, "a,--b\n");
    let failed = run(&place, &script, &["fail"]).exits(1);
    assert!(failed.stderr.contains("Error: Odd(\"no\")"), "{failed}");
    let exited = run(&place, &script, &["exit"]).exits(7);
    assert_eq!((exited.stdout.as_str(), exited.stderr.as_str()), ("exit\n", ""));
    let panicked = run(&place, &script, &["panic"]).exits(101);
    assert!(panicked.stderr.contains("panicked: oh") && panicked.stderr.contains("16"), "{panicked}");
    place.leaves_nothing();
}

#[test]
fn a_file_may_bring_its_crates_with_it_and_have_cells() {
    let place = Place::new();
    write_crate(&place, "mine", "", "pub fn f() -> u8 { 5 }\n");
    let cargo = "---\n[dependencies]\nmine = { path = \"mine\" }\n---\n\nfn main() -> std::process::ExitCode {\n    std::process::ExitCode::from(mine::f())\n}\n";
    run(&place, &place.write("cargo.rs", cargo), &[]).exits(5);
    let cells = "// %%\nlet x = 2;\n// %%\nx + no_such_name\n// %%\nprintln!(\"{}\", x + 1);\n";
    let cells = place.write("cells.rs", cells);
    let stopped = run(&place, &cells, &[]).exits(1);
    assert!(stopped.stdout.is_empty() && stopped.stderr.contains("line 4 of the file"), "{stopped}");
    assert_eq!(run(&place, &cells, &["--keep-going"]).exits(1).stdout, "3\n");
    assert_eq!(
        finish(place.mobula().args(["-c", "println!(\"{}\", 1 + 1); std::env::args().count()", "x"])).exits(0).stdout,
        "2\n2\n"
    );
    place.leaves_nothing();
}
