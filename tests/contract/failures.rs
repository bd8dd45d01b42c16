// Failures of tasks, whatever runs them.

// %%
fn half(n: u32) -> u32 {
    assert!(n % 2 == 0, "odd: {n}");
    n / 2
}
fn parse(text: String) -> Result<i64, String> {
    text.parse().map_err(|_| format!("no number: {text}"))
}
assert_eq!((get(&half.remote(8))?, get(&parse.remote("7".to_string()))?), (4, Ok(7)));

// %%
// A panic names its message and its line.
let bad = half.remote(3);
let said = get(&bad).unwrap_err().to_string();
for word in ["half", "odd: 3", "line 2"] {
    assert!(said.contains(word), "no {word} in {said}");
}

// %%
let said = get(&parse.remote("seven".to_string())).unwrap_err().to_string();
assert!(said.contains("parse") && said.contains("no number: seven"), "{said}");

// %%
// Whoever takes the result of a task that failed, fails with it and does not run.
fn follows(n: u32) -> u32 {
    n + 1
}
let carried = follows.remote(&bad);
let Err(GetError::TaskFailed { source, .. }) = get(&carried) else { panic!("it is carried on") };
assert!(source.to_string().contains("odd: 3"), "{source}");

// %%
// A failure is told once, and listed.
let listed = errors();
assert_eq!(listed.iter().filter(|error| error.task == "half").count(), 1, "{listed}");
assert_eq!(listed.iter().filter(|error| error.task == "parse").count(), 1, "{listed}");

// %%
// A task that catches the error of another one goes on.
fn catches() -> String {
    match get(&half.remote(5)) {
        Ok(_) => "no error".into(),
        Err(error) => error.to_string(),
    }
}
assert!(get(&catches.remote())?.contains("odd: 5"));

// %%
// A process that a signal ends, or that exits, says so.
fn aborts() -> u32 {
    std::process::abort()
}
let Err(GetError::WorkerDied { status, .. }) = get(&aborts.options().max_retries(0).remote()) else {
    panic!("it dies")
};
assert!(status.to_string().contains("SIGABRT"), "{status}");

// %%
fn exits() -> u32 {
    std::process::exit(3)
}
let Err(GetError::WorkerDied { status, .. }) = get(&exits.options().max_retries(0).remote()) else {
    panic!("it exits")
};
assert!(status.to_string().contains('3'), "{status}");

// %%
// A panic is run again only when asked for; the attempts are counted.
let said = get(&half.options().max_retries(2).retry_panics().remote(7)).unwrap_err().to_string();
assert!(said.contains("attempt 3 of 3"), "{said}");

// %%
// What is cancelled is told so, and what it started, too.
fn endless() -> u32 {
    loop {
        std::thread::sleep(Duration::from_millis(20));
        if is_cancelled() {
            return 1;
        }
    }
}
let running = endless.remote();
let _ = wait(&[running.clone()]).timeout(Duration::from_millis(500)).run()?;
cancel(&running)?;
assert!(matches!(get(&running), Err(GetError::Cancelled { .. })));
