//! A runtime that outlives sessions: `mobula start`, and notebooks, prompts and scripts that join it.

use crate::support::{Jupyter, Notebook, Place, Terminal, eventually, finish, kill};
use crate::tasks;

/// Tests of other files, on a runtime that every session joins.
macro_rules! hold_on_a_shared_runtime {
    ($($name:ident = $test:path),* $(,)?) => {$(
        #[test]
        fn $name() {
            Place::shared($test);
        }
    )*};
}

hold_on_a_shared_runtime! {
    the_contract_holds_on_a_shared_runtime = crate::suite::the_contract_holds_in_scripts,
    the_api_holds_on_a_shared_runtime = tasks::the_example_of_the_api_works_as_written,
    failures_are_located_on_a_shared_runtime = tasks::a_failing_task_is_shown_where_it_was_started_and_raised_where_it_is_got,
    output_finds_its_cell_on_a_shared_runtime = tasks::what_a_task_prints_appears_in_the_cell_that_started_it,
    arrays_are_views_on_a_shared_runtime = tasks::arrays_come_back_as_views_of_the_store_and_everything_is_freed_in_the_end,
    callers_are_named_on_a_shared_runtime = tasks::a_task_that_panics_names_the_lines_that_called,
    a_killed_worker_fails_its_task_on_a_shared_runtime = crate::death::a_killed_worker_fails_its_task_by_name_and_the_rest_goes_on,
    cells_are_undone_on_a_shared_runtime = crate::undo::the_last_cells_are_undone_and_everything_is_as_it_was,
    a_killed_cell_host_loses_nothing_on_a_shared_runtime =
        crate::death::a_cell_host_killed_in_mid_cell_loses_no_variable_and_no_object,
}

const JOIN: &str = "init_with(Config::connect(\"auto\").namespace(\"team\"))?;";

/// Code that waits until there is a file in the place.
fn until(name: &str) -> String {
    format!(
        "while !std::path::Path::new(\"{{here}}/{name}\").exists() {{ std::thread::sleep(Duration::from_millis(5)); }}"
    )
}

/// The process that owns the runtime of a place.
fn owner(place: &Place) -> u32 {
    let said = finish(place.mobula().arg("status")).exits(0).stdout;
    let number = said.split("pid ").nth(1).and_then(|rest| rest.split(',').next()).expect("a process id in the status");
    number.parse().expect("a process id")
}

#[test]
fn objects_and_actors_pass_from_one_session_to_another_by_name() {
    let place = Place::new().with_a_runtime();
    let giver = Notebook::new()
        .cell("#[derive(serde::Serialize, serde::Deserialize, Debug)]\nstruct P { x: i64, name: String }")
        .cell("struct Counter(i64);\nimpl Counter {\n    fn new() -> Counter { Counter(0) }\n    fn add(&mut self, n: i64) -> i64 { self.0 += n; self.0 }\n}")
        .cell("init_with(Config::connect(\"auto\").namespace(\"team\").ignore_reinit())?;")
        .cell("publish(&put(&P { x: 7, name: \"seven\".into() })?, \"p\")?;\npublish(&put(&Buffer::from(vec![1.5f64; 1000]))?, \"numbers\")?;")
        .cell("let c = Counter::new.options().name(\"count\").detached().spawn();\nget(Counter::add.call(&c, 5))?")
        .cell(&format!("std::fs::write(\"{{here}}/given\", \"\")?;\n{}", until("taken")))
        .cell("get(Counter::add.call(&c, 1))?");
    let giver = giver.start_as(&place, "giver.ipynb");
    eventually("the object was published", || std::fs::metadata(place.path("given")).map(drop));
    let taker = Notebook::new()
        .cell("#[derive(serde::Serialize, serde::Deserialize, Debug)]\nstruct P { x: i64, name: String }")
        .cell("let p: ObjectRef<P> = lookup(\"p\")?;\nget(&p)?")
        .failing("#[derive(serde::Serialize, serde::Deserialize, Debug)]\nstruct P { x: u8 }\nlookup::<P>(\"p\")?")
        .failing("lookup::<i64>(\"nothing\")?")
        .cell("get(lookup::<Buffer<f64>>(\"numbers\")?)?.iter().sum::<f64>()")
        .cell("std::fs::write(\"{here}/taken\", \"\")?;")
        .start_as(&place, "taker.ipynb")
        .finish();
    assert!(taker.cell(2).value().contains("seven"), "{}", taker.cell(2).everything());
    let (_, _, report) = taker.cell(3).error();
    for word in ["P { x: i64, name: String }", "P { x: u8 }", "session 1"] {
        assert!(report.contains(word), "no {word} in {report}");
    }
    assert_eq!(taker.cell(5).value(), "1500.0");
    assert!(taker.cell(4).error().2.contains("publish(&object, \"nothing\")"), "{}", taker.cell(4).everything());
    assert_eq!(giver.finish().cell(7).value(), "6");

    // The session that made it is over, and the detached actor is not.
    let heir = Notebook::new()
        .cell("struct Counter(i64);\nimpl Counter {\n    fn new() -> Counter { Counter(0) }\n    fn add(&mut self, n: i64) -> i64 { self.0 += n; self.0 }\n}")
        .cell("init_with(Config::connect(\"auto\").namespace(\"team\").ignore_reinit())?;\nactors().len()")
        .failing("lookup::<i64>(\"p\")?")
        .start_as(&place, "heir.ipynb")
        .finish();
    assert_eq!(heir.cell(2).value(), "1", "{}", heir.cell(2).everything());
    place.leaves_nothing();
}

#[test]
fn a_kernel_a_prompt_and_a_script_share_a_runtime_and_each_outlives_the_death_of_another() {
    let place = Place::new().with_a_runtime();
    let owner = owner(&place);
    let mut prompt = Terminal::open(&place);
    prompt.is_asked_for_cell(1).types("fn half(n: u32) -> u32 { assert!(n % 2 == 0, \"odd\"); n / 2 }");
    prompt.is_asked_for_cell(2).types("get(half.remote(8))?").sees("4");
    // A script whose tasks hold all CPUs is killed: they end, and the prompt's run.
    let mut script = Notebook::new()
        .cell("fn endless(n: i64) -> i64 { std::fs::write(format!(\"{here}/pid-{n}\"), format!(\"{}\\n\", std::process::id())).unwrap(); loop { std::thread::park() } }")
        .cell("let all: Vec<_> = (0..64).map(|n| endless.remote(n)).collect();\nlet named = put(&1i64)?;\npublish(&named, \"mine\")?;")
        .cell("get(&all)?")
        .start_as(&place, "script.ipynb");
    place.pid_in("pid-0");
    script.kill_front();
    prompt.is_asked_for_cell(3).types("get(half.remote(10))?").sees("5");
    prompt.is_asked_for_cell(4).types("lookup::<i64>(\"mine\").is_err()").sees("true");
    // Its errors are its own.
    prompt.is_asked_for_cell(5).types("get(half.remote(3))?").sees("odd");
    let jupyter = Jupyter::with_kernel(place);
    let notebook = Notebook::new()
        .cell("fn one() -> i64 { 1 }\nget(one.remote())?")
        .cell("errors().len()")
        .cell("tasks().iter().any(|task| task.session.is_some())");
    jupyter.write("kernel.ipynb", &notebook.text());
    let out = jupyter.path("out.ipynb");
    finish(jupyter.script("execute.py").args([&jupyter.path("kernel.ipynb"), &out])).exits(0);
    let shown = std::fs::read_to_string(out).expect("the notebook");
    assert!(shown.contains("\"0\"") && shown.contains("\"true\""), "{shown}");
    // The runtime is killed while a call waits for it.
    prompt.is_asked_for_cell(6).types("fn forever() -> i64 { println!(\"begun\"); loop { std::thread::park() } }");
    prompt.is_asked_for_cell(7).types("get(forever.remote())?").sees("begun");
    kill(owner);
    prompt.sees("has ended").is_asked_for_cell(8).types("get(half.remote(8))?").sees("the runtime has ended");
    // A new one can be started at once, and joined.
    let place = jupyter.into_place();
    let place = place.with_a_runtime();
    prompt.is_asked_for_cell(9).types(JOIN).is_asked_for_cell(10).types("get(half.remote(12))?").sees("6");
    prompt.is_asked_for_cell(11).types("shutdown()?; get(half.remote(14))?").sees("7");
    prompt.is_asked_for_cell(12).presses_ctrl_d();
    assert!(prompt.closes().success());
    place.leaves_nothing();
}

#[test]
fn a_runtime_is_started_once_and_found_or_refused_with_a_sentence() {
    let place = Place::new();
    let ended = finish(place.mobula().arg("stop")).exits(2);
    assert!(ended.stderr.contains("`mobula start` starts one"), "{ended}");
    let started = finish(place.mobula().args(["start", "--num-cpus", "3", "--resource", "tpu=2"])).exits(0);
    assert!(started.stdout.contains("Config::connect(\"auto\")"), "{started}");
    let again = finish(place.mobula().arg("start")).exits(2);
    assert!(again.stderr.contains("runs already") && again.stderr.contains("mobula stop"), "{again}");
    let status = finish(place.mobula().arg("status")).exits(0);
    assert!(status.stdout.contains("tpu") && status.stdout.contains('3'), "{status}");
    for address in ["10.0.0.5:6379", "nowhere", "/nowhere"] {
        let refused = finish(place.mobula().args(["--address", address, "-c", "1"])).exits(3);
        assert!(refused.stderr.contains(address), "{refused}");
    }
    let ran = Notebook::new()
        .cell("cluster_resources().get(\"tpu\")")
        .failing("init_with(Config::connect(\"auto\").num_cpus(1.0))?")
        .cell("let x = put(&1)?;")
        .failing("init_with(Config::connect(\"auto\"))?")
        .cell("drop(x);")
        .cell("init_with(Config::connect(\"auto\"))?; cluster_resources().get(\"tpu\")")
        .failing("init_with(Config::connect(\"auto\"))?")
        .cell("init_with(Config::connect(\"auto\").ignore_reinit())?.num_cpus")
        .cell("shutdown()?; cluster_resources().get(\"tpu\")")
        .failing("init_with(Config::connect(\"auto\").share(0))?")
        .failing("init_with(Config::new().share(2).ignore_reinit())?")
        .cell("init_with(Config::connect(\"auto\").share(3))?;\nmobula::status()")
        .run(&place);
    assert_eq!(ran.cell(1).value(), "None");
    assert!(ran.cell(2).error().2.contains("has its own resources"), "{}", ran.cell(2).everything());
    assert!(ran.cell(4).error().2.contains("do not come along"), "{}", ran.cell(4).everything());
    assert_eq!(ran.cell(6).value(), "Some(2.0)");
    assert!(ran.cell(7).error().2.contains("joined a runtime already"), "{}", ran.cell(7).everything());
    assert_eq!((ran.cell(8).value(), ran.cell(9).value()), ("3.0".to_owned(), "None".to_owned()));
    assert!(ran.cell(10).error().2.contains("from 1 to 100, not 0"), "{}", ran.cell(10).everything());
    assert!(ran.cell(11).error().2.contains("together with `Config::connect`"), "{}", ran.cell(11).everything());
    assert!(ran.cell(12).everything().contains("share 3"), "{}", ran.cell(12).everything());
    let refused = finish(place.mobula().args(["--address", "auto", "--share", "0", "-c", "1"])).exits(2);
    assert!(refused.stderr.contains("--share"), "{refused}");
    finish(place.mobula().arg("stop")).exits(0);
    place.leaves_nothing();
}

#[test]
fn a_flood_of_one_session_does_not_keep_another_one_waiting() {
    let place = Place::new().with_a_runtime();
    const NAP: &str = "fn nap(ms: u64) -> u64 { std::thread::sleep(Duration::from_millis(ms)); ms }";
    let flood = Notebook::new()
        .cell(NAP)
        .cell("let all: Vec<_> = (0..10_000).map(|_| nap.options().num_cpus(0.5).remote(5)).collect();\nstd::fs::write(\"{here}/flooded\", \"\")?;")
        .cell(&format!("{}\nwait(&all).num_returns(all.len()).timeout(Duration::ZERO).run()?.0.len()", until("served")))
        .start_as(&place, "flood.ipynb");
    eventually("the flood has come", || std::fs::metadata(place.path("flooded")).map(drop));
    let other = Notebook::new()
        .cell(NAP)
        .cell("let few: Vec<_> = (0..20).map(|_| nap.options().num_cpus(0.5).remote(5)).collect();\nget(&few)?.len()")
        .cell("std::fs::write(\"{here}/served\", \"\")?;")
        .start_as(&place, "other.ipynb")
        .finish();
    assert_eq!(other.cell(2).value(), "20");
    let ended: usize = flood.finish().cell(3).value().parse().expect("a number");
    assert!(ended < 9_000, "the others waited until {ended} tasks of the flood had ended");
    place.leaves_nothing();
}

#[test]
fn a_session_that_a_living_runtime_drops_is_told_and_can_join_again() {
    let place = Place::new().with_a_runtime();
    let ran = Notebook::new()
        .cell("fn forever() -> i64 { std::fs::write(\"{here}/begun\", \"\").unwrap(); loop { std::thread::park() } }\nfn one() -> i64 { 1 }")
        .cell("let socket = init_with(Config::connect(\"auto\").ignore_reinit())?.socket;")
        .failing(&format!(
            "use std::{{io::Write, mem::ManuallyDrop, os::{{fd::FromRawFd, unix::net::UnixStream}}}};
            let socket = socket.clone();
            std::thread::spawn(move || {{
                {}
                for fd in 3..256 {{
                    let mut stream = ManuallyDrop::new(unsafe {{ UnixStream::from_raw_fd(fd) }});
                    if stream.peer_addr().is_ok_and(|peer| peer.as_pathname() == Some(std::path::Path::new(&socket))) {{
                        let _ = stream.write_all(&[0xff; 64]);
                    }}
                }}
            }});
            get(forever.remote())?",
            until("begun")
        ))
        .failing("get(one.remote())?")
        .cell("shutdown()?; get(one.remote())?")
        .cell("shutdown()?; init_with(Config::connect(\"auto\"))?; get(one.remote())?")
        .run(&place);
    for cell in [3, 4] {
        assert!(ran.cell(cell).error().2.contains("dropped this session"), "{}", ran.cell(cell).everything());
    }
    assert_eq!((ran.cell(5).value(), ran.cell(6).value()), ("1".to_owned(), "1".to_owned()));
    place.leaves_nothing();
}

#[test]
fn a_detached_actor_is_made_again_when_its_session_and_its_files_are_gone() {
    let place = Place::new().with_a_runtime();
    const COUNTER: &str = "#[derive(Serialize, Deserialize)] struct Counter(f64);
impl Counter {
    fn new(numbers: Buffer<f64>) -> Counter { Counter(numbers.iter().sum()) }
    fn add(&mut self, n: f64) -> f64 { self.0 += n; self.0 }
    fn pid(&self) -> u32 { std::process::id() }
}";
    let join = format!("shutdown()?;\n{JOIN}");
    let maker = Notebook::new()
        .cell(COUNTER)
        .cell(&join)
        .cell("let numbers = put(&Buffer::from(vec![1.5f64; 1000]))?;\nlet c = Counter::new.options().name(\"count\").detached().max_restarts(2).checkpoint_interval(100).spawn(&numbers);")
        .cell("get(Counter::add.call(&c, 5.0))?")
        .run(&place);
    assert_eq!(maker.cell(4).value(), "1505.0");
    // A session that calls it ends, too: what it has called is run again.
    let kill = "let pid = get(Counter::pid.call(&c))?;\nstd::process::Command::new(\"kill\").args([\"-9\", &pid.to_string()]).status()?;";
    let caller = Notebook::new()
        .cell(COUNTER)
        .cell(&format!("{join}\nlet c = actor::<Counter>(\"count\")?;"))
        .cell("get(Counter::add.call(&c, 10.0))?")
        .cell(kill)
        .cell("get(Counter::add.call(&c, 1.0))?")
        .run(&place);
    assert_eq!((caller.cell(3).value(), caller.cell(5).value()), ("1515.0".to_owned(), "1516.0".to_owned()));
    let heir = Notebook::new()
        .cell(COUNTER)
        .cell(&format!("{join}\nlet c = actor::<Counter>(\"count\")?;"))
        .cell(kill)
        .cell("get(Counter::add.call(&c, 1.0))?")
        .cell("kill(&c)?;")
        .run(&place);
    assert_eq!(heir.cell(4).value(), "1517.0");
    place.leaves_nothing();
}
