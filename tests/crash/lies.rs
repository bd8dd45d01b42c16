//! Proof that this program can fail: it is run again with an expectation that is wrong on purpose, and must say so.

use crate::witness::PATIENCE_MS;
use std::process::Command;

/// Names the expectation that is wrong. Only this program looks at it.
const LIE: &str = "MOBULA_CRASH_LIE";

/// Each lie, the scenario that must find it, and a part of what it must say.
pub const ALL: &[(&str, &str, &str)] = &[
    ("bytes", "put inline", "is not what it was"),
    ("leak", "release of one's own, inline", "what is in the store"),
    ("cause", "a task that fails", "it failed because of"),
    ("lost", "storm", "objects never came"),
    ("sum", "storm", "gave another result"),
];

/// Whether this expectation is to be wrong.
pub fn is(lie: &str) -> bool {
    std::env::var_os(LIE).is_some_and(|told| told == *lie)
}

/// Whether any is.
pub fn is_any() -> bool {
    std::env::var_os(LIE).is_some()
}

/// Runs scenarios with wrong expectations.
pub fn each_wrong_expectation_is_found() {
    for (lie, scenario, said) in ALL {
        let program = std::env::current_exe().expect("this program has a path");
        let output = Command::new(program)
            .args(["--scenario", scenario])
            .env(LIE, lie)
            .env(PATIENCE_MS, "500")
            .output()
            .expect("this program runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "`{scenario}` does not find that `{lie}` is wrong");
        assert!(text.contains(said), "`{scenario}` fails for another reason than that `{lie}` is wrong:\n{text}");
    }
    println!("  {} wrong expectations, all found", ALL.len());
}
