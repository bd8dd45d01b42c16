//! Each Rust file begins with a head whose first sentence would stand in a table of contents.

use super::{Complaint, File};

/// Words with which a question or a riddle begins, and not the name of a thing.
const OPENINGS: [&str; 12] =
    ["What", "Where", "Which", "When", "How", "Why", "Who", "Whoever", "Whether", "Somebody", "Nobody", "Everybody"];

/// More words than these are two thoughts.
const WORDS_MAX: usize = 28;

/// Complains about files without a head, and about first sentences that begin with no named subject or are too long.
pub fn check(files: &[File]) -> Vec<Complaint> {
    files.iter().filter(|file| file.is_rust()).filter_map(complaint).collect()
}

fn complaint(file: &File) -> Option<Complaint> {
    if !file.text.starts_with("//") {
        return Some(file.complaint(1, "begins without a head comment that says what the file is"));
    }
    let head = file.text.lines().map_while(|line| line.strip_prefix("//!")).take_while(|line| !line.trim().is_empty());
    let head = head.collect::<Vec<_>>().join(" ");
    let words: Vec<&str> = first_sentence(&head).split_whitespace().collect();
    let opening = words.first().map_or("", |word| word.trim_end_matches([',', ':', '.']));
    if OPENINGS.contains(&opening) {
        let text = format!("its head begins with `{opening}`: begin with the name of the thing that the file holds");
        return Some(file.complaint(1, text));
    }
    (words.len() > WORDS_MAX).then(|| {
        file.complaint(1, format!("the first sentence of its head has {} words, more than {WORDS_MAX}", words.len()))
    })
}

/// Up to the first full stop before a space.
fn first_sentence(text: &str) -> &str {
    text.split_once(". ").map_or(text, |(first, _)| first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(path: &str, text: &str) -> bool {
        !check(&[File::new(path, text)]).is_empty()
    }

    #[test]
    fn a_rust_file_without_a_head_comment_is_told() {
        assert!(told("src/a.rs", "fn a() {}\n"));
        assert!(!told("src/a.rs", "//! A.\nfn a() {}\n") && !told("a.txt", "text"));
    }

    #[test]
    fn a_head_that_names_nothing_or_says_too_much_is_told() {
        assert!(told("src/a.rs", "//! What happens to slots.\n"));
        assert!(told("src/a.rs", &format!("//! Slots{}.\n", " and more".repeat(14))));
        assert!(!told("src/a.rs", "//! Slots, and what\n//! happens to them.\n\nfn what() {}\n"));
    }
}
