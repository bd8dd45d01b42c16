//! A cell's tasks as text and as HTML: a bar a function while they run, one line when they have ended.
//!
//! ```text
//!   load   100% |████████████████████| 20/20 [00:02, 10.0/s]
//!   parse   40% |████████            | 8/20 [00:01<00:02, 6.2/s] 4 running, 1 failed
//!   ──▶  40 tasks in 5.1 s: load 20, parse 20; failed: parse 1
//! ```

use crate::bar::{Bar, FAILED, STYLE, clock};
use crate::event::Bundle;
use crate::rendered::html_escaped;
use mobula_abi::{TaskCounts, hue};
use std::time::Duration;

/// How many functions have bars of their own.
const BARS_MAX: usize = 6;
/// How many functions the last line names.
const NAMES_MAX: usize = 8;
/// How many characters of a name are shown.
const NAME_MAX: usize = 28;

/// The tasks while they run.
pub fn live(counts: &[TaskCounts]) -> Bundle {
    // Those that go on are of more interest than those that have ended.
    let mut shown: Vec<&TaskCounts> = counts.iter().collect();
    shown.sort_by_key(|counts| counts.unfinished() == 0);
    let rest = shown.split_off(shown.len().min(BARS_MAX));
    shown.sort_by_key(|counts| std::cmp::Reverse(counts.first));
    let bars: Vec<Bar> = shown.iter().map(|counts| bar(counts)).collect();
    let width = bars.iter().map(|bar| bar.name.chars().count()).max().unwrap_or_default();
    let more = (!rest.is_empty()).then(|| {
        let [ended, all] = [TaskCounts::ended, total].map(|sum| rest.iter().map(|counts| sum(counts)).sum::<u64>());
        format!("and {} more functions: {ended}/{all}", rest.len())
    });
    let failed = (!rest.is_empty()).then(|| failed(counts)).filter(|failed| !failed.is_empty());
    let words: Vec<String> = more.into_iter().chain(failed).collect();
    let text = bars.iter().map(|bar| bar.text(width)).chain(words.iter().cloned()).collect::<Vec<_>>().join("\n");
    let html = bars.iter().map(|bar| bar.html(width));
    let html = html.chain(words.iter().map(|words| format!("<div style=\"{STYLE}\">{}</div>", html_escaped(words))));
    bundle(text, html.collect())
}

/// The tasks when they have ended.
pub fn folded(counts: &[TaskCounts]) -> Bundle {
    let tasks: u64 = counts.iter().map(total).sum();
    let first = counts.iter().map(|counts| counts.first).max().unwrap_or_default();
    let last = counts.iter().filter_map(|counts| counts.last).min().unwrap_or_default();
    let names = match counts {
        [one] => name(one),
        several => listed(several.iter().map(|counts| (name(counts), total(counts)))),
    };
    let about = if counts.iter().any(|counts| counts.is_rough) { "about " } else { "" };
    let plural = if tasks == 1 { "" } else { "s" };
    let line = format!("{about}{tasks} task{plural} in {}: {names}", spoken(first.saturating_sub(last)));
    let cancelled = listed(counts.iter().map(|counts| (name(counts), counts.cancelled)));
    let cancelled = if cancelled.is_empty() { cancelled } else { format!("; cancelled: {cancelled}") };
    let failed = Some(failed(counts)).filter(|failed| !failed.is_empty()).map(|failed| format!("; {failed}"));
    let failed = failed.unwrap_or_default();
    let html = format!(
        "<div style=\"{STYLE};color:var(--jp-ui-font-color2,#767676)\">{}<span style=\"color:{FAILED}\">{}</span></div>",
        html_escaped(&format!("{line}{cancelled}")),
        html_escaped(&failed)
    );
    bundle(format!("{line}{cancelled}{failed}"), html)
}

fn bundle(text: String, html: String) -> Bundle {
    let mut bundle = Bundle::text(text);
    bundle.data.insert("text/html".into(), html.into());
    bundle
}

fn total(counts: &TaskCounts) -> u64 {
    counts.ended() + counts.unfinished()
}

fn bar(counts: &TaskCounts) -> Bar {
    let took = match counts.unfinished() {
        0 => counts.first.saturating_sub(counts.last.unwrap_or_default()),
        _ => counts.first,
    };
    let states = [(counts.running, "running"), (counts.failed, "failed"), (counts.cancelled, "cancelled")];
    let states = states.iter().filter(|(count, _)| *count > 0).map(|(count, state)| format!("{count} {state}"));
    Bar {
        is_rough: counts.is_rough,
        note: states.collect::<Vec<_>>().join(", "),
        has_failed: counts.failed > 0,
        colour: colour(&counts.function),
        ..Bar::new(&name(counts), counts.ended(), Some(total(counts)), took)
    }
}

/// The functions that have failed, in words; empty if none has.
fn failed(counts: &[TaskCounts]) -> String {
    let failed = listed(counts.iter().map(|counts| (name(counts), counts.failed)));
    if failed.is_empty() { failed } else { format!("failed: {failed}") }
}

/// Names with how many there are of each, but for those of which there is none.
fn listed(of: impl Iterator<Item = (String, u64)>) -> String {
    let mut words: Vec<String> =
        of.filter(|(_, count)| *count > 0).map(|(name, count)| format!("{name} {count}")).collect();
    let more = words.split_off(words.len().min(NAMES_MAX)).len();
    if more > 0 {
        words.push(format!("and {more} more"));
    }
    words.join(", ")
}

/// The last part of a function's name says most.
fn name(counts: &TaskCounts) -> String {
    let (name, len) = (&counts.function, counts.function.chars().count());
    match len > NAME_MAX {
        true => format!("…{}", name.chars().skip(len - NAME_MAX + 1).collect::<String>()),
        false => name.clone(),
    }
}

fn spoken(took: Duration) -> String {
    match took.as_secs_f64() {
        seconds if seconds < 60.0 => format!("{seconds:.1} s"),
        seconds => clock(seconds),
    }
}

/// The colour of a function, as on the web page.
fn colour(function: &str) -> String {
    format!("hsl({} 58% 50%)", hue(function))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(function: &str, finished: u64, first: u64) -> TaskCounts {
        let first = Duration::from_secs(first);
        TaskCounts { cell: 1, function: function.into(), finished, first, ..TaskCounts::default() }
    }

    #[test]
    fn each_function_has_a_bar_and_says_what_runs_and_what_failed() {
        let ended = TaskCounts { last: Some(Duration::from_secs(2)), ..of("load", 20, 4) };
        let goes = TaskCounts { waiting: 12, running: 4, failed: 1, ..of("parse", 3, 2) };
        let bundle = live(&[ended, goes]);
        let expected = "load  100% |████████████████████| 20/20 [00:02, 10.0/s]\n\
                        parse  20% |████                | 4/20 [00:02<00:08, 2.0/s] 4 running, 1 failed";
        assert_eq!(bundle.plain(), Some(expected));
        let html = bundle.data["text/html"].as_str().unwrap();
        assert_eq!((html.matches("<progress").count(), html.matches("--jp-error-color").count()), (2, 1), "{html}");
    }

    #[test]
    fn of_many_functions_those_that_go_on_have_bars_and_what_failed_is_named_in_any_case() {
        let mut counts: Vec<TaskCounts> = (0..20).map(|at| of(&format!("f{at}"), 1, 20 - at)).collect();
        counts[1].failed = 2;
        counts[19].running = 1;
        let text = live(&counts).plain().unwrap().to_owned();
        assert!(text.contains("f19  50%") && !text.contains("f18 "), "{text}");
        assert!(text.ends_with("and 14 more functions: 14/14\nfailed: f1 2"), "{text}");
    }

    #[test]
    fn when_they_have_ended_they_are_one_line() {
        let half = TaskCounts { failed: 2, last: Some(Duration::from_secs(1)), ..of("half", 298, 9) };
        let sum = TaskCounts { cancelled: 1, last: Some(Duration::from_secs(2)), ..of("sum", 0, 5) };
        assert_eq!(folded(std::slice::from_ref(&half)).plain(), Some("300 tasks in 8.0 s: half; failed: half 2"));
        assert_eq!(
            folded(&[half, sum]).plain(),
            Some("301 tasks in 8.0 s: half 300, sum 1; cancelled: sum 1; failed: half 2")
        );
        let rough = TaskCounts { is_rough: true, ..of("<f>", 1, 90) };
        let line = folded(&[rough]);
        assert_eq!(line.plain(), Some("about 1 task in 01:30: <f>"));
        assert!(line.data["text/html"].as_str().unwrap().contains("&lt;f&gt;"));
    }

    #[test]
    fn a_long_name_keeps_its_end() {
        let long = of(&format!("{}::parse", "m".repeat(40)), 1, 1);
        let text = folded(&[long]).plain().unwrap().to_owned();
        assert!(text.contains(": …mm") && text.ends_with("::parse"), "{text}");
    }
}
