//! Subjects of commits: `area: imperative …`, at most 72 characters. Only warned of, because a commit that is there stays.

use crate::tree::Tree;
use std::process::Command;

/// How many commits are looked at where there is no tag, or none so near.
const COMMITS_MAX: &str = "50";

/// The longest subject, in characters.
const SUBJECT_CHARS_MAX: usize = 72;

/// What is odd about the subjects since the last tag. Nothing where there is no history to ask.
pub fn warnings(tree: &Tree) -> Vec<String> {
    let git = |words: &[&str]| {
        let done = Command::new("git").args(words).current_dir(&tree.root).output().ok()?;
        done.status.success().then(|| String::from_utf8_lossy(&done.stdout).trim().to_owned())
    };
    let tag = git(&["describe", "--tags", "--abbrev=0"]);
    let range = tag.map_or_else(|| "HEAD".into(), |tag| format!("{tag}..HEAD"));
    let subjects = git(&["log", "--no-merges", "--format=%h %s", "-n", COMMITS_MAX, &range]).unwrap_or_default();
    let odd = |line: &str| {
        let (id, subject) = line.split_once(' ')?;
        oddity(subject).map(|what| format!("commit {id}: {what}: {subject}"))
    };
    subjects.lines().filter_map(odd).collect()
}

fn oddity(subject: &str) -> Option<&'static str> {
    let is_area =
        |area: &str| !area.is_empty() && area.chars().all(|c| c.is_ascii_lowercase() || matches!(c, ',' | ' ' | '-'));
    match subject.split_once(": ") {
        _ if subject.chars().count() > SUBJECT_CHARS_MAX => Some("is longer than 72 characters"),
        Some((area, rest)) if is_area(area) => {
            let is_plain = rest.starts_with(|c: char| c.is_lowercase()) && !rest.ends_with('.');
            (!is_plain).then_some("goes on with a small letter behind its area, and ends without a full stop")
        }
        _ => Some("does not begin with an area and a colon"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_an_area_and_what_the_commit_does() {
        for good in ["store: evict in one pass", "runtime, session: send descriptors", "walk-model: know more"] {
            assert_eq!(oddity(good), None, "{good}");
        }
        for bad in ["Evict in one pass", "store: Evict.", "store: evict.", ": evict", "src/store: evict"] {
            assert!(oddity(bad).is_some(), "{bad}");
        }
        assert!(oddity(&format!("store: evict {}", "x".repeat(72))).is_some());
    }
}
