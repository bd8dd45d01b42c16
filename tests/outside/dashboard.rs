//! The web page, as a browser, the command line and a person at a notebook see it.

use crate::support::{Jupyter, Notebook, Place, eventually, finish};
use std::net::TcpListener;

/// Code that waits until there is a file of this name in the place.
fn until(name: &str) -> String {
    format!(
        "while !std::path::Path::new(\"{{here}}/{name}\").exists() {{ std::thread::sleep(Duration::from_millis(5)); }}"
    )
}

#[test]
fn each_view_of_the_page_shows_a_real_run_in_chromium() {
    Jupyter::with_kernel(Place::new()).run("test_dashboard.py", &[]);
}

#[test]
fn init_gives_the_address_of_the_page_and_a_second_question_the_same_one() {
    let place = Place::new();
    let ran = Notebook::new()
        .cell("let first = init()?.dashboard_url;\nfirst.is_some()")
        .cell("dashboard()?")
        .cell("Some(dashboard()?.url) == first")
        .run(&place);
    assert_eq!((ran.cell(1).value().as_str(), ran.cell(3).value().as_str()), ("true", "true"));
    let (text, html) = (ran.cell(2).value(), ran.cell(2).value_as("text/html"));
    let url = text.strip_prefix("web page: ").expect("an address");
    assert!(url.starts_with("http://127.0.0.1:") && url.contains("/?token="), "{text}");
    assert!(html.contains("<iframe src=\"") && html.contains("target=\"_blank\""), "{html}");
    place.leaves_nothing();
}

#[test]
fn a_port_that_is_taken_costs_the_page_and_not_the_runtime() {
    let (place, taken) = (Place::new(), TcpListener::bind("127.0.0.1:0").expect("there is a free port"));
    let port = taken.local_addr().expect("it is bound").port();
    let ran = Notebook::new()
        .cell(&format!("init_with(Config::new().dashboard_port({port}))?.dashboard_url"))
        .cell("fn half(n: u32) -> u32 { n / 2 }\nget(half.remote(8))?")
        .failing("dashboard()?")
        .run(&place);
    assert_eq!((ran.cell(1).value().as_str(), ran.cell(2).value().as_str()), ("None", "4"));
    let said = format!("the web page cannot listen on 127.0.0.1, port {port}");
    assert!(ran.finished.stderr.contains(&said), "{}", ran.finished);
    assert!(ran.cell(3).error().2.contains(&said), "{}", ran.cell(3).everything());
    place.leaves_nothing();
}

#[test]
fn a_page_that_others_can_reach_says_so() {
    let place = Place::new();
    let ran = Notebook::new()
        .cell("init_with(Config::new().dashboard_host(\"0.0.0.0\"))?.dashboard_url.is_some()")
        .run(&place);
    let said = "the web page is open to other machines, and what it sends is not encrypted";
    assert!(ran.finished.stderr.contains(said), "{}", ran.finished);
    place.leaves_nothing();
}

#[test]
fn a_report_of_a_session_has_its_cells_its_tasks_and_what_they_wrote() {
    let place = Place::new();
    let none = finish(place.mobula().args(["report", &place.path("none.html")]));
    // The person who runs the tests may have a session open.
    if !none.stdout.starts_with("wrote") {
        let none = none.exits(2);
        assert!(none.stderr.contains("`mobula start`"), "{none}");
    }
    let notebook = Notebook::new()
        .cell("fn half(n: u32) -> u32 { println!(\"halving {n}\"); n / 2 }\nget(half.remote(8))?")
        .cell(&format!("std::fs::write(\"{{here}}/begun\", \"\")?;\n{}", until("enough")));
    let running = notebook.start(&place);
    eventually("the session has run its first cell", || std::fs::metadata(place.path("begun")).map(drop));
    let file = place.path("report.html");
    let said = finish(place.mobula().args(["report", &file])).exits(0);
    assert_eq!(said.stdout, format!("wrote {file}\n"));
    let report = std::fs::read_to_string(&file).expect("the report");
    for part in ["get(half.remote(8))?", "halving 8", "\"half\""] {
        let written = part.replace('"', "\\\"");
        assert!(report.contains(part) || report.contains(&written), "no {part}");
    }
    let address = finish(place.mobula().arg("dashboard")).exits(0).stdout;
    assert!(address.starts_with("http://127.0.0.1:"), "{address}");
    std::fs::remove_file(&file).expect("it was written");
    std::fs::write(place.path("enough"), "").expect("a file can be written");
    running.finish();
    place.leaves_nothing();
}

#[test]
fn the_page_of_a_shared_runtime_has_the_cells_and_the_output_of_its_sessions() {
    let place = Place::new();
    finish(place.mobula().args(["start", "--num-cpus", "2", "--object-store-memory", "64MiB"])).exits(0);
    Notebook::new()
        .cell("fn half(n: u32) -> u32 { println!(\"halving {n}\"); n / 2 }\nfn full() -> Vec<u8> { vec![7; 20 << 20] }")
        .cell("init_with(Config::connect(\"auto\"))?;")
        .cell("get(half.remote(8))?")
        .cell("let all: Vec<_> = (0..6).map(|_| full.remote()).collect();\nget(&all)?.len()")
        .failing("no_such_name")
        .run(&place);
    let file = place.path("report.html");
    finish(place.mobula().args(["report", &file])).exits(0);
    let report = std::fs::read_to_string(&file).expect("the report");
    // One of before the session joined, one of after, and the failure of the last.
    for part in ["halving {n}", "get(half.remote(8))?", "halving 8", "no_such_name", "\"failed\"", "\"disk\":[["] {
        let written = part.replace('"', "\\\"");
        assert!(report.contains(part) || report.contains(&written), "no {part}");
    }
    std::fs::remove_file(&file).expect("it was written");
    finish(place.mobula().arg("stop")).exits(0);
    place.leaves_nothing();
}

#[test]
fn a_runtime_that_outlives_sessions_has_a_page_which_they_are_given() {
    let place = Place::new();
    let started = finish(place.mobula().args(["start", "--num-cpus", "2"])).exits(0);
    let url =
        started.stdout.lines().find_map(|line| line.trim().strip_prefix("or on its web page")).expect("an address");
    let ran = Notebook::new()
        .cell("init_with(Config::connect(\"auto\"))?.dashboard_url.unwrap()")
        .cell("dashboard()?.url")
        .run(&place);
    for cell in [1, 2] {
        assert_eq!(ran.cell(cell).value().trim_matches('"'), url.trim());
    }
    assert_eq!(finish(place.mobula().arg("dashboard")).exits(0).stdout.trim(), url.trim());
    finish(place.mobula().arg("stop")).exits(0);
    place.leaves_nothing();
}
