//! Output of cells, besides tasks: panics of threads, places outside of cells, the order of what is written.

use crate::support::{Notebook, Place, finish};

#[test]
fn a_panic_that_does_not_end_the_cell_is_shown_and_one_in_a_library_points_at_no_cell() {
    let place = Place::new();
    let ran = Notebook::new()
        .cell("let kept = 5i64;")
        .cell("let joined = std::thread::spawn(|| panic!(\"in a thread\")).join().is_err();\njoined")
        .failing("let a = ndarray::Array1::<f64>::zeros(3);\nlet b = a.into_shape_with_order((2, 2)).unwrap();")
        .failing(
            "let empty: Vec<i64> = Vec::new();\nempty.iter().copied().reduce(|a, b| a + b).expect(\"nothing to add\")",
        )
        .failing("std::str::from_utf8(&[0x66]).unwrap().split_at(9).0.len()")
        .failing(":explain E9999")
        .cell("print!(\"a\"); eprint!(\"b\"); print!(\"c\"); kept + 1")
        .run(&place);
    assert_eq!(ran.cell(2).value(), "true");
    let text = ran.cell(2).text();
    assert!(text.contains("in a thread") && text.contains("cell 2:1"), "{text}");
    for cell in [3, 4, 5] {
        let (name, _, report) = ran.cell(cell).error();
        assert_eq!(name, "Panic", "{report}");
        assert!(!report.contains("/registry/") && !report.contains("/rustc/"), "a folder of a machine: {report}");
    }
    let (_, _, report) = ran.cell(4).error();
    assert!(report.contains("nothing to add") && report.contains("cell 4:2"), "{report}");
    let (name, value, _) = ran.cell(6).error();
    assert!(name == "CommandError" && value.contains("E9999"), "{name}: {value}");
    assert_eq!(ran.cell(7).text().len(), 3, "{}", ran.cell(7).text());
    assert_eq!(ran.cell(7).value(), "6");
    place.leaves_nothing();
}

#[test]
fn a_crate_can_be_added_and_what_was_made_before_goes_on_with_it() {
    let place = Place::new();
    std::fs::create_dir_all(place.folder().join("mine/src")).expect("a folder");
    place.write("mine/Cargo.toml", "[package]\nname = \"mine\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
    place.write("mine/src/lib.rs", "pub fn thrice(x: i64) -> i64 { x * 3 }\npub struct Thing(pub i64);\n");
    let ran = Notebook::new()
        .cell("#[derive(Debug, Clone, Serialize, Deserialize)] struct P { x: i64 }\nfn f(p: P) -> i64 { p.x + 1 }\nlet p = P { x: 1 };")
        .cell(":dep mine = { path = \"{here}/mine\" }\nmine::thrice(f(p.clone()))")
        .cell("use mine::Thing;\nfn of(thing: &Thing) -> i64 { thing.0 + p_of(P { x: 1 }) }\nfn p_of(p: P) -> i64 { f(p) }")
        .cell("get(&f.remote(p.clone()))? + of(&Thing(5))")
        .cell("let thing = Thing(7);")
        .cell("thing.0")
        .failing(":dep no-such-crate-anywhere = \"1\"")
        .cell("thing.0 + p.x")
        .run(&place);
    assert_eq!(ran.cell(2).value(), "6");
    assert_eq!(ran.cell(4).value(), "9");
    assert_eq!(ran.cell(6).value(), "7");
    let (name, _, report) = ran.cell(7).error();
    assert!(name == "DepError" && report.contains("no-such-crate-anywhere"), "{name}: {report}");
    assert_eq!(ran.cell(8).value(), "8");
    place.leaves_nothing();
}

#[test]
fn a_crate_that_one_session_has_compiled_the_next_has_at_once() {
    let place = Place::new();
    std::fs::create_dir_all(place.folder().join("slow/src")).expect("a folder");
    place.write("slow/Cargo.toml", "[package]\nname = \"slow\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
    place.write("slow/src/lib.rs", "pub fn one() -> i64 { 1 }\n");
    // Says each time that it is compiled.
    place.write(
        "slow/build.rs",
        "use std::io::Write as _;\nfn main() {\n    println!(\"cargo::rerun-if-changed=build.rs\");\n    \
         std::fs::File::options().append(true).create(true).open(\"compiled\").unwrap().write_all(b\"once \").unwrap();\n}\n",
    );
    for _ in 0..2 {
        let ran = Notebook::new().cell(":dep slow = { path = \"{here}/slow\" }\nslow::one()").run(&place);
        assert_eq!(ran.cell(1).value(), "1");
    }
    assert_eq!(std::fs::read_to_string(place.folder().join("slow/compiled")).expect("the file"), "once ");
    place.leaves_nothing();
}

#[test]
fn a_picture_of_the_crate_image_is_shown_as_one() {
    let place = Place::new();
    let ran = Notebook::new()
        .cell(":dep image = { version = \"0.25\", default-features = false, features = [\"png\"] }")
        .cell("let picture = image::RgbImage::from_fn(4, 3, |x, y| image::Rgb([x as u8 * 60, y as u8 * 80, 0]));\npicture")
        .cell("image::DynamicImage::from(picture).to_luma8()")
        .run(&place);
    for cell in [2, 3] {
        assert_eq!(ran.cell(cell).value(), "<image, 4 × 3 pixels>");
        // The first bytes of every PNG file.
        let png = ran.cell(cell).value_as("image/png");
        assert!(png.starts_with("iVBORw0KGgo"), "{png}");
    }
    place.leaves_nothing();
}

#[test]
fn what_a_cell_starts_on_tokios_runtime_goes_on_in_later_cells_and_a_crash_leaves_a_new_runtime() {
    let place = Place::new();
    let ran = Notebook::new()
        .cell(":dep tokio = { version = \"1\", features = [\"rt-multi-thread\", \"time\", \"sync\"] }")
        .cell("let (tell, told) = tokio::sync::oneshot::channel::<i64>();\nlet task = tokio::spawn(async move { told.await.unwrap() * 2 });")
        .cell("tell.send(21).unwrap();\ntask.await?")
        .failing("std::process::abort();")
        .cell("tokio::spawn(async { tokio::time::sleep(Duration::from_millis(1)).await; 6 }).await?")
        .run(&place);
    assert_eq!(ran.cell(3).value(), "42");
    assert_eq!(ran.cell(5).value(), "6");
    place.leaves_nothing();
}

#[test]
fn cells_add_no_mappings_to_their_process_for_a_checkpoint_to_go_through() {
    let place = Place::new();
    let notebook = Notebook::new()
        .cell("fn mappings() -> usize { std::fs::read_to_string(\"/proc/self/maps\").unwrap().lines().count() }")
        .cell("let at_first = mappings();");
    let notebook = (0..20).fold(notebook, |notebook, number| match number % 2 {
        0 => notebook.cell(&format!(
            "fn f{number}() -> usize {{ before::<{number}>() }}\nfn before<const N: usize>() -> usize {{ N }}"
        )),
        _ => notebook.cell(&format!("f{}()", number - 1)),
    });
    let ran = notebook.cell("mappings() - at_first < 10").cell("f18()").run(&place);
    assert_eq!([ran.cell(23).value(), ran.cell(24).value()], ["true", "18"]);
    place.leaves_nothing();
}

#[test]
fn a_plot_is_vega_lite_a_picture_and_words_and_json_is_no_text() {
    let place = Place::new();
    let ran = Notebook::new()
        .cell("use show::Plot;\nshow::plot(&[1, 4, 9]).title(\"squares\")")
        .cell("Plot::new().bars(\"n\", &[\"a\", \"b\"], &[1.5, 2.5]).histogram(\"h\", &[1, 2, 2], 2).show();")
        .cell("let table = ndarray::array![[1.0, 2.0], [3.0, 4.0]]; Plot::new().heat_map(&table)")
        .cell("show::json(r#\"{\"a\": [1, 2]}\"#); show::markdown(\"*a*\"); show::latex(\"$x$\");")
        .cell("show::image(\"<svg xmlns='http://www.w3.org/2000/svg'/>\")?; show::audio(\"audio/wav\", b\"RIFF\");")
        .run(&place);
    assert_eq!(ran.cell(1).value(), "plot “squares”: line, 3 points");
    assert!(ran.cell(1).value_as("image/svg+xml").starts_with("<svg"));
    let vega = &ran.cell(1).data()[0]["application/vnd.vegalite.v5+json"];
    assert_eq!((&vega["title"], &vega["layer"][0]["data"]["values"][2]["y"]), (&"squares".into(), &9.into()));
    let bars = &ran.cell(2).data()[0]["application/vnd.vegalite.v5+json"]["layer"];
    assert_eq!((&bars[0]["data"]["values"][1]["x"], &bars[1]["data"]["values"][1]["y"]), (&"b".into(), &2.into()));
    let heat = &ran.cell(3).data()[0]["application/vnd.vegalite.v5+json"]["layer"][0]["data"]["values"];
    assert_eq!(heat[3]["v"], 4);
    let shown = ran.cell(4).data();
    assert_eq!(shown[0]["application/json"]["a"][1], 2);
    assert!(shown[1]["text/markdown"].is_array() && shown[2]["text/latex"].is_array());
    let shown = ran.cell(5).data();
    assert!(shown[0]["image/svg+xml"].is_array());
    assert!(shown[1]["text/html"][0].as_str().is_some_and(|html| html.contains("data:audio/wav;base64,UklGRg==")));
    place.leaves_nothing();
}

#[test]
fn a_cell_that_is_tried_leaves_variables_items_and_references_as_they_were() {
    let place = Place::new();
    let ran = Notebook::new()
        .cell("let mut kept = vec![1]; let object = put(&7u8)?;")
        .cell(":try kept.push(2); drop(object); fn added() -> u8 { get(&one.remote()).unwrap() } fn one() -> u8 { 1 } (kept.len(), added())")
        .cell("kept.len()")
        .failing("added()")
        .cell(":try\nlet object = 1u8;\nkept.clear();\nkept.len()")
        .cell("fn one() -> u8 { 5 } (kept.len(), get(&object)?, get(&one.remote())?)")
        .failing(":try kept.clear(); panic!(\"on purpose\")")
        .failing(":try kept.clear(); let wrong: u8 = \"text\";")
        .failing(":try kept.clear(); std::process::abort()")
        .cell("kept.push(3); kept")
        .run(&place);
    let values: Vec<String> = [2, 3, 5, 6, 10].map(|cell| ran.cell(cell).value()).into();
    assert_eq!(values, ["(2, 1)", "1", "0", "(1, 7, 5)", "[1, 3]"]);
    assert!(ran.cell(2).text().contains("taken back"), "{}", ran.cell(2).everything());
    assert!(ran.cell(4).everything().contains("cannot find function `added`"), "{}", ran.cell(4).everything());
    assert!(ran.cell(7).everything().contains("on purpose"), "{}", ran.cell(7).everything());
    place.leaves_nothing();
}

#[test]
fn the_cells_that_succeeded_are_saved_and_run_again_from_either_kind_of_file() {
    let place = Place::new();
    let ran = Notebook::new()
        .failing(":save none.rs")
        .cell("let a = 2i64;")
        .failing("let b: u8 = \"text\";")
        .cell(":opt 0\nfn twice(x: i64) -> i64 { 2 * x }")
        .cell("println!(\"{}\", twice(a))")
        .cell(":save tour.ipynb\n:save \"my tour.rs\" 2..4")
        .failing(":save \"my tour.rs\" 4")
        .cell(":save -f \"my tour.rs\"")
        .failing(":save tour.txt")
        .failing(":save missing/tour.rs")
        .failing(":save other.rs 3")
        .run(&place);
    assert!(ran.cell(1).everything().contains("there is no cell to save"), "{}", ran.cell(1).everything());
    assert_eq!(
        ran.cell(6).text(),
        "3 cells are saved in tour.ipynb; 1 that failed is left out\n2 cells are saved in my tour.rs; 1 that failed is left out\n"
    );
    for (cell, says) in [
        (7, "`my tour.rs` is there already and stays as it is; `:save -f "),
        (9, "is no `.rs` or `.ipynb` file"),
        (10, "there is no such folder"),
        (11, "there is no cell to save; 1 that failed is left out"),
    ] {
        assert!(ran.cell(cell).everything().contains(says), "{says}: {}", ran.cell(cell).everything());
    }
    for file in ["tour.ipynb", "my tour.rs"] {
        assert_eq!(finish(place.mobula().arg("run").arg(place.path(file))).exits(0).stdout, "4\n", "{file}");
    }
    place.leaves_nothing();
}

#[test]
fn the_cells_of_a_file_are_loaded_as_if_they_were_typed() {
    let place = Place::new();
    place.write(
        "tools.rs",
        "// %%\nlet a = 2i64;\n\n// %%\nfn twice(x: i64) -> i64 { 2 * x }\nprintln!(\"tools\");\n\n// %%\ntwice(a)\n",
    );
    place.write("broken.rs", "// %%\nlet c = 1;\n\n// %%\nlet d: u8 = \"text\";\n\n// %%\nlet e = 1;\n");
    place.write("itself.rs", "// %%\n:load itself.rs\n");
    place.write("exits.rs", "// %%\nlet f = 1;\n\n// %%\nstd::process::exit(3)\n");
    let inner = Notebook::new().cell("let n = a + 40;").failing("panic!(\"on purpose\")").cell("n");
    place.write("inner.ipynb", &inner.text());
    let ran = Notebook::new()
        .cell("println!(\"first\");")
        .cell(":load tools.rs\ntwice(a) + 1")
        .cell("a + 10")
        .cell(":load inner.ipynb")
        .failing(":load broken.rs")
        .cell("c")
        .failing("e")
        .failing(":load missing.rs")
        .failing(":load itself.rs")
        .failing(":try\n:load tools.rs")
        .failing(":load exits.rs")
        .cell(":save all.rs")
        .run(&place);
    let shown = |cell: usize| ran.shown()[cell - 1].iter().map(|(_, text)| text.trim().to_owned()).collect::<Vec<_>>();
    assert_eq!(
        (shown(1), shown(2), shown(3)),
        (vec!["first".into()], ["tools", "4", "5"].map(String::from).into(), vec!["12".into()])
    );
    let inner = ran.cell(4).everything();
    assert!(inner.contains("on purpose") && inner.contains("42"), "{inner}");
    let broken = ran.cell(5).everything();
    assert!(broken.contains("E0308") && broken.contains("in broken.rs, line 5; 1 more cell was not run"), "{broken}");
    assert_eq!(ran.cell(6).value(), "1");
    for (cell, says) in [
        (7, "cannot find value `e`"),
        (8, "missing.rs` could not be read"),
        (9, "`itself.rs` is being loaded already"),
        (10, "`:try` cannot take back"),
        (11, "in exits.rs, line 5"),
    ] {
        assert!(ran.cell(cell).everything().contains(says), "{says}: {}", ran.cell(cell).everything());
    }
    let saved = std::fs::read_to_string(place.path("all.rs")).expect("the saved script");
    assert!(saved.contains("println!(\"tools\");") && saved.contains("// %%\nlet n = a + 40;"), "{saved}");
    assert!(!saved.contains(":load") && !saved.contains("on purpose") && !saved.contains("let d"), "{saved}");
    place.leaves_nothing();
}
