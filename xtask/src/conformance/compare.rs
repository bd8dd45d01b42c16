//! The differences between the two outcomes of an example, in groups.

use super::cells::AsCells;
use super::example::{Example, Fate};
use super::reference::Outcome;
use std::collections::BTreeMap;

/// An example that does something else as cells.
#[derive(Debug)]
pub struct Difference {
    pub name: String,
    kind: String,
    says: String,
    cells: Vec<String>,
    expected: Outcome,
    found: Outcome,
}

/// The difference, if there is one.
pub fn difference(example: &Example, expected: &Outcome, found: &AsCells) -> Option<Difference> {
    let kind = kind(expected, &found.outcome)?;
    if is_by_chance(example, expected, &found.outcome) {
        return None;
    }
    let kind = if example.fate == Fate::IsRefused { format!("compile_fail: {kind}") } else { kind };
    Some(Difference {
        name: example.name.clone(),
        kind,
        says: found.says.clone(),
        cells: found.cells.clone(),
        expected: expected.clone(),
        found: found.outcome.clone(),
    })
}

/// Whether the two printed something else by chance only: the order of a hash map is another one in each process, and so may be that of threads, of which
/// the last lines are lost when a program ends first.
fn is_by_chance(example: &Example, expected: &Outcome, found: &Outcome) -> bool {
    let (Outcome::Ran(expected), Outcome::Ran(found)) = (expected, found) else { return false };
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    let (expected, mut found) = (sorted(expected), sorted(found));
    if example.code.contains("thread") {
        found.retain(|line| expected.contains(line) || !example.code.contains("spawn("));
    }
    (example.code.contains("Hash") || example.code.contains("thread")) && expected == found
}

fn kind(expected: &Outcome, found: &Outcome) -> Option<String> {
    use Outcome::{Failed, Ran, Refused};
    match (expected, found) {
        (Ran(a), Ran(b)) | (Failed(a), Failed(b)) => (a != b).then(|| "prints something else".into()),
        (Refused(a), Refused(b)) if a == b => None,
        // An error without a code: a cell calls it by a word of its own.
        (Refused(a), Refused(b)) if a.is_empty() && !b.starts_with("E0") => None,
        (Refused(a), Refused(b)) => Some(format!("refused with {b} instead of {}", code(a))),
        (Ran(_) | Failed(_), Refused(b)) => Some(format!("refused with {b}, and rustc accepts it")),
        (Refused(a), Ran(_) | Failed(_)) => Some(format!("accepted, and rustc refuses it with {}", code(a))),
        (Ran(_), Failed(_)) => Some("fails, and does not under rustc".into()),
        (Failed(_), Ran(_)) => Some("does not fail, and does under rustc".into()),
    }
}

fn code(code: &str) -> &str {
    if code.is_empty() { "an error without a code" } else { code }
}

/// Prints them, the largest group first.
pub fn print(differences: &[Difference], verbose: bool) {
    let mut groups: BTreeMap<&str, Vec<&Difference>> = BTreeMap::new();
    for difference in differences {
        groups.entry(&difference.kind).or_default().push(difference);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.len()));
    for (kind, group) in &groups {
        println!("{:6} {kind}", group.len());
    }
    for (kind, group) in &groups {
        println!("\n## {kind}: {}", group.len());
        for difference in group {
            println!("{}  {}", difference.name, difference.says.lines().next().unwrap_or_default());
            if verbose {
                println!("  rustc: {:?}\n  cells: {:?}", difference.expected, difference.found);
                for cell in &difference.cells {
                    println!("  > {}", cell.trim().replace('\n', "\n  . "));
                }
            }
        }
    }
    println!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_lines_counts_but_not_that_of_a_hash_map() {
        let [expected, found] = ["1\n2\n", "2\n1\n"].map(|text| Outcome::Ran(text.into()));
        let differs = |code: &str| {
            let example = Example { name: "x".into(), code: code.into(), fate: Fate::Runs };
            let found = AsCells { cells: vec![], outcome: found.clone(), says: String::new() };
            difference(&example, &expected, &found).is_some()
        };
        assert!(differs("for x in vec {}"));
        assert!(!differs("for x in HashSet::from([1, 2]) {}"));
    }

    #[test]
    fn the_same_fate_with_the_same_output_is_no_difference() {
        let refused = |code: &str| Outcome::Refused(code.into());
        assert_eq!(kind(&Outcome::Ran("a".into()), &Outcome::Ran("a".into())), None);
        assert!(kind(&Outcome::Ran("a".into()), &Outcome::Ran("b".into())).is_some());
        assert_eq!(kind(&refused("E0382"), &refused("E0382")), None);
        assert!(kind(&refused("E0382"), &refused("E0505")).is_some());
        assert_eq!(kind(&refused(""), &refused("CompileError")), None);
        assert!(kind(&refused("E0382"), &Outcome::Ran(String::new())).is_some());
    }
}
