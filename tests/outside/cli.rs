//! The command line: wrong commands, wrong files, a broken environment, and what the bare crate drags in.

use crate::support::{Place, finish};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

#[test]
fn a_wrong_command_exits_with_2_and_says_what_is_wrong() {
    let place = Place::new();
    let wrong: [(&[&str], &str); 3] = [
        (&["--nonsense"], "unexpected argument '--nonsense'"),
        (&["run"], "<FILE>"),
        (&["run", "missing.rs"], "missing.rs"),
    ];
    for (arguments, says) in wrong {
        let finished = finish(place.mobula().args(arguments)).exits(2);
        assert!(finished.stderr.contains(says), "{arguments:?} does not say {says:?}: {finished}");
    }
    place.leaves_nothing();
}

#[test]
fn a_malformed_notebook_is_named_with_the_position_of_the_fault() {
    let place = Place::new();
    let file = place.write("broken.ipynb", "{\n  \"cells\": [\n    { \"cell_type\": \"code\",, }\n  ]\n}\n");
    let finished = finish(place.mobula().arg("run").arg(&file));
    assert_ne!(finished.code(), 0, "{finished}");
    for word in ["broken.ipynb", "line 3", "column"] {
        assert!(finished.stderr.contains(word), "no {word} in {finished}");
    }
    place.leaves_nothing();
}

#[test]
fn without_a_compiler_it_says_what_to_install() {
    let place = Place::new();
    let script = place.write("one.rs", "println!(\"{}\", 1 + 1);\n");
    let finished = finish(place.mobula().arg("run").arg(script).env("PATH", place.path("home"))).exits(3);
    for word in ["rustc", "rustup"] {
        assert!(finished.stderr.contains(word), "no {word} in {finished}");
    }
    place.leaves_nothing();
}

#[test]
fn variables_of_the_shell_that_mean_another_build_do_not_disturb_cells() {
    let place = Place::new();
    let script = place.write("one.rs", "fn f(x: i64) -> i64 { x + 1 }\nprintln!(\"{}\", get(&f.remote(1))?);\n");
    let mut command = place.mobula();
    command.args(["run"]).arg(script).env("CARGO_TARGET_DIR", place.path("elsewhere")).env("RUST_BACKTRACE", "1");
    assert_eq!(finish(&mut command).exits(0).stdout, "2\n");
    assert!(!Path::new(&place.path("elsewhere")).exists(), "a cell was built into the person's own target folder");
    place.leaves_nothing();
}

#[test]
fn every_command_has_help_with_an_example() {
    let place = Place::new();
    let commands: [&[&str]; 7] =
        [&["repl"], &["run"], &["kernel"], &["kernel", "install"], &["kernel", "run"], &["doctor"], &["completions"]];
    for command in commands {
        let finished = finish(place.mobula().args(command).arg("--help")).exits(0);
        assert!(finished.stdout.contains("Example"), "{command:?} has no example: {finished}");
    }
    let whole = finish(place.mobula().arg("--help")).exits(0).stdout;
    assert!(whole.contains("run") && whole.contains("kernel"), "{whole}");
}

#[test]
fn a_person_whose_home_is_in_the_password_database_alone_has_a_home() {
    let users = std::fs::read_to_string("/etc/passwd").expect("the password database");
    let me = rustix::process::getuid().as_raw().to_string();
    let home = users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.get(2) == Some(&me.as_str()));
    let home = home.map(|fields| fields[5].to_owned()).expect("an entry for who runs the tests");
    let place = Place::new();
    let mut doctor = place.mobula();
    doctor.arg("doctor").env_remove("HOME").env_remove("XDG_CACHE_HOME");
    let said = finish(&mut doctor).exits(0).stdout;
    assert!(said.contains(&format!("{home}/.cache/mobula")), "{said}");
    place.leaves_nothing();
}

#[test]
fn what_the_readme_tells_to_type_is_understood() {
    let place = Place::new();
    let readme = include_str!("../../README.md");
    // A line of a list: the command, two spaces or more, what it does.
    let commands = readme.lines().filter_map(|line| line.split("  ").next()?.strip_prefix("mobula"));
    let mut seen = 0;
    for command in commands.filter(|command| command.is_empty() || command.starts_with(' ')) {
        // The words up to the first option or file name a command; the rest is for `--help` to explain.
        let is_name = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase());
        let words: Vec<&str> = command.split_whitespace().take_while(is_name).collect();
        finish(place.mobula().args(&words).arg("--help")).exits(0);
        seen += 1;
    }
    assert!(seen > 0, "the README shows no command");
}

#[test]
fn the_bare_crate_brings_no_evaluator_and_no_front_end() {
    let mut tree = Command::new("cargo");
    tree.args(["tree", "--no-default-features", "--package", "mobula", "--edges", "normal", "--prefix", "none"]);
    tree.args(["--locked", "--offline"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let tree = finish(&mut tree).exits(0).stdout;
    let names: Vec<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"serde"), "the test reads the tree wrongly: {tree}");
    for heavy in ["evcxr", "zeromq", "clap", "tokio", "rustyline", "mobula-session", "mobula-kernel", "mobula-repl"] {
        assert!(!names.contains(&heavy), "the bare crate depends on {heavy}:\n{tree}");
    }
}

/// A program in a folder of a place's.
fn write_program(place: &Place, name: &str, text: &str) {
    let path = place.write(name, text);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("its own file");
}

#[test]
fn a_compiler_that_speaks_in_other_words_is_noticed_and_evcxr_runs_the_cells() {
    let place = Place::new();
    let which = |program: &str, words: &[&str]| {
        let output = Command::new(program).args(words).output().expect(program);
        String::from_utf8(output.stdout).expect("a path").trim().to_owned()
    };
    let (rustup, rustc) = (which("sh", &["-c", "command -v rustup"]), which("rustup", &["which", "rustc"]));
    let ours = place.path("bin/rustc");
    write_program(
        &place,
        "bin/rustup",
        &format!("#!/bin/sh\nif [ \"$1 $2\" = \"which rustc\" ]; then echo {ours}; else exec {rustup} \"$@\"; fi\n"),
    );
    // Another version, whose messages are about conversions.
    let rustc = format!(
        "#!/bin/sh\nif [ \"$1\" = -vV ]; then {rustc} -vV; echo \"words: others\"; exit; fi\nsaid=$(mktemp)\n\
         {rustc} \"$@\" 2>\"$said\"\ncode=$?\nsed \"s/trivial cast:/trivial conversion:/\" \"$said\" >&2\nrm \"$said\"\nexit $code\n"
    );
    write_program(&place, "bin/rustc", &rustc);
    let path = format!("{}:{}", place.path("bin"), std::env::var("PATH").expect("there is one"));
    let ran = finish(place.mobula().args(["-c", "1 + 1"]).env("PATH", &path)).exits(0);
    assert_eq!(ran.stdout, "2\n");
    assert!(ran.stderr.contains("of a `u8` it says nothing"), "{}", ran.stderr);
    assert!(ran.stderr.contains("evcxr's evaluator"), "{}", ran.stderr);
    place.leaves_nothing();
}

#[test]
fn notebook_installs_the_kernel_makes_the_file_and_becomes_jupyterlab() {
    let place = Place::new();
    let none = finish(place.mobula().arg("notebook").env("PATH", place.path("home"))).exits(3);
    assert!(none.stderr.contains("pip install jupyterlab"), "{none}");
    let lab = place.write("bin/jupyter-lab", "#!/bin/sh\necho lab with \"$@\"\n");
    std::fs::set_permissions(&lab, std::fs::Permissions::from_mode(0o755)).expect("it was written");
    let path = format!("{}:{}", place.path("bin"), std::env::var("PATH").unwrap_or_default());
    let notebook = |file: &str| {
        let mut command = place.mobula();
        command.args(["notebook", file]).env("PATH", &path).env_remove("VIRTUAL_ENV").env_remove("CONDA_PREFIX");
        command
    };
    let file = place.path("new.ipynb");
    let first = finish(&mut notebook(&file)).exits(0);
    assert!(
        first.stdout.contains("installed the kernel") && first.stdout.contains(&format!("lab with {file}")),
        "{first}"
    );
    assert!(std::fs::read_to_string(&file).expect("it was made").contains("\"mobula\""));
    let second = finish(&mut notebook(&file)).exits(0);
    assert_eq!(second.stdout, format!("lab with {file}\n"));
    let wrong = finish(&mut notebook(&place.path("missing.txt"))).exits(2);
    assert!(wrong.stderr.contains("missing.txt"), "{wrong}");
    place.leaves_nothing();
}
