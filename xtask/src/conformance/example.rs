//! An example as rustdoc reads it: its words (`should_panic`, `compile_fail,E0382`), its hidden lines, and the program that it stands for.

use super::blocks::Block;
use super::split;

/// What must become of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    Runs,
    Panics,
    IsRefused,
}

/// An example that can be compared.
#[derive(Debug)]
pub struct Example {
    pub name: String,
    /// All its lines, the hidden ones too.
    pub code: String,
    pub fate: Fate,
}

/// Words in an example that need something that a comparison has not: the word, and why.
const NEEDS: [(&str, &str); 30] = [
    ("#![feature", "needs the nightly compiler"),
    ("#![no_std]", "is without the standard library"),
    ("#![no_main]", "is without the standard library"),
    ("#![no_core]", "is without the standard library"),
    ("#![crate_type", "is no program"),
    ("#![proc_macro", "is no program"),
    ("proc_macro", "is no program"),
    ("stdin()", "reads standard input"),
    ("env::args", "reads arguments"),
    ("process::exit", "ends the process"),
    ("ExitCode", "ends the process"),
    ("process::abort", "ends the process"),
    ("TcpStream", "needs the network"),
    ("TcpListener", "needs the network"),
    ("UdpSocket", "needs the network"),
    ("ToSocketAddrs", "needs the network"),
    ("available_parallelism", "depends on the machine"),
    ("set_current_dir", "changes the process for all others"),
    ("windows::", "is for another system"),
    ("wasi::", "is for another system"),
    ("current_exe", "depends on the environment"),
    ("env!(", "is compiled with something of the environment"),
    ("{panic_info}", "tells its own place"),
    ("line!()", "tells its own place"),
    ("column!()", "tells its own place"),
    ("file!()", "tells its own place"),
    (".file()", "tells its own place"),
    (".line()", "tells its own place"),
    ("core::arch", "depends on the machine"),
    ("std::arch", "depends on the machine"),
];

impl Example {
    /// The example in `block`, or why it cannot be compared.
    pub fn new(block: Block) -> Result<Example, String> {
        if block.is_partial {
            return Err("is written by a macro".into());
        }
        let words: Vec<&str> = block.info.split([',', ' ']).map(str::trim).filter(|word| !word.is_empty()).collect();
        let is_rust = |word: &&str| {
            matches!(*word, "rust" | "should_panic" | "compile_fail" | "no_run" | "test_harness" | "standalone_crate")
                || word.starts_with("ignore")
                || word.starts_with("edition")
                || is_code(word)
        };
        if !(words.iter().all(is_rust) && (block.is_documentation || words.contains(&"rust"))) {
            return Err("is not Rust".into());
        }
        let mut fate = Fate::Runs;
        for word in &words {
            match *word {
                "should_panic" => fate = Fate::Panics,
                "compile_fail" => fate = Fate::IsRefused,
                "no_run" => return Err("is not to be run (`no_run`)".into()),
                word if word.starts_with("ignore") => return Err("is to be ignored (`ignore`)".into()),
                word if word.starts_with("edition") && word != "edition2024" => {
                    return Err("is of another edition".into());
                }
                _ => {}
            }
        }
        let code: String = block.text.lines().map(|line| shown(line) + "\n").collect();
        if let Some((_, why)) = NEEDS.iter().find(|(word, _)| code.contains(word)) {
            return Err((*why).into());
        }
        if !block.is_documentation && !split::has_main(&code) {
            return Err("has no `main`".into());
        }
        Ok(Example { name: block.name, code, fate })
    }

    /// The program that rustdoc makes of it.
    pub fn program(&self) -> String {
        if split::has_main(&self.code) {
            return self.code.clone();
        }
        let (attributes, rest) = split::inner_attributes(&self.code);
        if rest.trim_end().ends_with("(())") {
            return format!(
                "{attributes}fn main() {{ fn _inner() -> core::result::Result<(), impl core::fmt::Debug> {{\n{rest}\n}} _inner().unwrap() }}\n"
            );
        }
        format!("{attributes}fn main() {{\n{rest}\n}}\n")
    }
}

/// A line of an example as the compiler sees it: `# hidden` is a line, `##` is a `#`.
fn shown(line: &str) -> String {
    let trimmed = line.trim_start();
    if trimmed == "#" {
        return String::new();
    }
    if let Some(hidden) = trimmed.strip_prefix("# ") {
        return hidden.into();
    }
    match trimmed.strip_prefix("##") {
        Some(rest) => format!("{}#{rest}", &line[..line.len() - trimmed.len()]),
        None => line.into(),
    }
}

/// Whether it is the code of an error, such as `E0382`.
fn is_code(word: &str) -> bool {
    word.strip_prefix('E').is_some_and(|number| number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(info: &str, text: &str) -> Block {
        Block { name: "x".into(), info: info.into(), text: text.into(), is_partial: false, is_documentation: true }
    }

    #[test]
    fn hidden_lines_belong_to_the_program() {
        let example =
            Example::new(block("", "# use std::fmt;\n#\n##[derive(Debug)] struct A;\n#[test] fn f() {}\n")).unwrap();
        assert_eq!(example.code, "use std::fmt;\n\n#[derive(Debug)] struct A;\n#[test] fn f() {}\n");
    }

    #[test]
    fn the_words_behind_the_fence_say_what_must_become_of_it() {
        assert_eq!(Example::new(block("should_panic", "a")).unwrap().fate, Fate::Panics);
        assert_eq!(Example::new(block("compile_fail,E0382", "a")).unwrap().fate, Fate::IsRefused);
        for info in ["no_run", "ignore (x)", "ignore-wasm", "text", "edition2018", "console"] {
            assert!(Example::new(block(info, "a")).is_err(), "{info}");
        }
    }

    #[test]
    fn what_has_no_main_gets_one_and_what_ends_with_ok_returns_a_result() {
        let program = |text: &str| Example::new(block("", text)).unwrap().program();
        assert_eq!(program("fn main() { }\n"), "fn main() { }\n");
        assert_eq!(program("#![allow(unused)]\nf();\n"), "#![allow(unused)]\nfn main() {\nf();\n\n}\n");
        assert!(program("f()?;\nOk::<(), E>(())\n").contains("_inner().unwrap()"));
    }
}
