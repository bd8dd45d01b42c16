//! `:track`: a crate of the person's own, edited while the session runs.

use crate::support::{Notebook, Place, Terminal, finish};

/// A crate `mine` that takes its number from a crate `sub` and a file.
fn write_crates(place: &Place) {
    place.write("sub/Cargo.toml", "[package]\nname = \"sub\"\nedition = \"2024\"\n");
    place.write("sub/src/lib.rs", "pub const TENS: u32 = 10;\n");
    place.write(
        "mine/Cargo.toml",
        "[package]\nname = \"mine\"\nedition = \"2024\"\n[dependencies]\nsub = { path = \"../sub\" }\n",
    );
    place.write("mine/ones.txt", "1");
    place.write(
        "mine/src/lib.rs",
        "#[derive(Debug)]\npub struct P(pub u32);\n\
         pub fn number() -> u32 { sub::TENS + include_str!(\"../ones.txt\").trim().parse::<u32>().unwrap() }\n",
    );
}

#[test]
fn a_tracked_crate_is_built_again_once_edited_and_a_broken_one_leaves_the_earlier_build() {
    let place = Place::new();
    write_crates(&place);
    let mut terminal = Terminal::open(&place);
    terminal.is_asked_for_cell(1).types(":track mine");
    terminal.is_asked_for_cell(2).types("let p = mine::P(mine::number()); let kept = 5u32; p.0 * 100").sees("1100");
    // Nothing that the crate is made of.
    place.write("mine/notes.txt", "notes");
    terminal.is_asked_for_cell(3).types("p.0 * 200").sees("2200");
    place.write("sub/src/lib.rs", "pub const TENS: u32 = 20;\n");
    place.write("mine/ones.txt", "3");
    terminal.is_asked_for_cell(4).types("mine::number() * 100");
    terminal.sees("`mine` was built again: its files have changed").sees("`p` is gone").sees("2300");
    place.write("mine/src/lib.rs", "pub fn number() -> u32 { \"none\" }\n");
    terminal.is_asked_for_cell(5).types("mine::number() * 1000");
    terminal.sees("`mine` was edited and cannot be built, so this cell was not run").sees("mismatched types");
    terminal.sees("mine/src/lib.rs:1:26").sees("Nothing is lost");
    // The cell, and items, with the build that there is.
    terminal.is_asked_for_cell(6).types("fn twice() -> u32 { mine::number() * 2 } twice() * 100 + kept");
    terminal.sees("the earlier build is in use").sees("4605");
    terminal.is_asked_for_cell(7).types(":track").sees("built in cell 4; edited since, and cannot be built as it is");
    place.write("mine/src/lib.rs", "pub fn number() -> u32 { 777 }\n");
    terminal.is_asked_for_cell(8).types("mine::number() + twice() + kept").sees("was built again").sees("2336");
    terminal.is_asked_for_cell(9).types(":track off mine").sees("`mine` is not tracked any more");
    place.write("mine/src/lib.rs", "pub fn number() -> u32 { 888 }\n");
    terminal.is_asked_for_cell(10).types("mine::number() * 1000").sees("777000");
    terminal.is_asked_for_cell(11).presses_ctrl_d();
    assert!(terminal.closes().success());
    place.leaves_nothing();
}

#[test]
fn a_notebook_tracks_a_crate_and_what_is_exported_of_it_depends_on_that() {
    let place = Place::new();
    write_crates(&place);
    let ones = place.path("mine/ones.txt");
    let ran = Notebook::new()
        .cell(":track ./mine\nmine::number()")
        .cell(&format!("std::fs::write({ones:?}, \"2\")?;"))
        .cell(":type mine::number()")
        .cell("mine::number()")
        .cell(":track")
        .failing(":track ./nowhere")
        .run(&place);
    assert_eq!((ran.cell(1).value(), ran.cell(4).value()), ("11".into(), "12".into()));
    // Also a command whose argument is code has the new build.
    assert!(ran.cell(3).text().contains("`mine` was built again"), "{}", ran.cell(3).everything());
    let listed = ran.cell(5).text();
    assert!(listed.contains(&place.path("mine")) && listed.contains("built in cell 3\n"), "{listed}");
    assert!(ran.cell(6).everything().contains("there is no folder"), "{}", ran.cell(6).everything());
    let cells = place.write("cells.rs", "// %%\n// :track ./mine\nprintln!(\"{}\", mine::number());\n");
    assert_eq!(finish(place.mobula().arg("run").arg(&cells)).exits(0).stdout, "12\n");
    finish(place.mobula().arg("export").arg(&cells).arg(place.path("project"))).exits(0);
    let manifest = std::fs::read_to_string(place.path("project/Cargo.toml")).expect("a manifest");
    assert!(manifest.contains(&format!("mine = {{ path = {:?} }}", place.path("mine"))), "{manifest}");
    place.leaves_nothing();
}

#[test]
fn a_dep_whose_edited_crate_does_not_compile_leaves_the_earlier_build() {
    let place = Place::new();
    write_crates(&place);
    let [mine, sub] = ["mine/src/lib.rs", "sub/src/lib.rs"].map(|file| place.path(file));
    let edit = format!(
        "std::fs::write({mine:?}, \"pub fn number() -> u32 {{ true }}\")?; std::fs::write({sub:?}, \"pub const TENS: u32 = 90;\")?;"
    );
    let ran = Notebook::new()
        .cell(":dep ./mine\nlet p = mine::P(7);")
        .cell(&edit)
        .failing(":dep ./mine")
        .cell("mine::number() + p.0")
        .run(&place);
    let error = ran.cell(3).everything();
    assert!(error.contains("mismatched types") && !error.contains("warning"), "{error}");
    assert_eq!(ran.cell(4).value(), "18");
    place.leaves_nothing();
}
