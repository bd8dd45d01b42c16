//! No file names a place of one particular machine.

use super::{Complaint, File};

/// How such places begin. `concat!` keeps this file from complaining about itself.
const HOMES: [&str; 4] = [concat!("/", "root/"), concat!("/", "work/"), concat!("/", "home/"), concat!("/", "Users/")];

/// Complains about each line with an absolute path of somebody's machine.
pub fn check(files: &[File]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.path.extension().is_none_or(|kind| kind != "lock")) {
        for (number, line) in file.text.lines().enumerate() {
            if let Some(home) = HOMES.iter().find(|home| names(line, home)) {
                complaints
                    .push(file.complaint(number + 1, format!("names an absolute path of one machine (`{home}…`)")));
            }
        }
    }
    complaints
}

/// Whether `line` holds a path that begins with `home`, and not merely contains it further on.
fn names(line: &str, home: &str) -> bool {
    let inside_a_path = |c: char| c.is_alphanumeric() || "_./-}$".contains(c);
    line.match_indices(home).any(|(at, _)| {
        let somebody = line[at + home.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '.');
        somebody && !line[..at].ends_with(inside_a_path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_a_machine_is_told_and_a_relative_one_is_not() {
        let line = |text: String| check(&[File::new("a.md", text)]).len();
        assert_eq!(line(format!("see {}x/y", HOMES[0])), 1);
        assert_eq!(line(format!("see target{}x/y", HOMES[1])), 0);
        assert_eq!(line(format!("see https://example.org{}x", HOMES[2])), 0);
    }
}
