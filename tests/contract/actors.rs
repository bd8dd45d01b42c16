// Actors, whatever runs them.

// %%
struct Counter {
    n: i64,
}
impl Counter {
    fn new(n: i64) -> Counter {
        Counter { n }
    }
    fn add(&mut self, by: i64) -> i64 {
        self.n += by;
        self.n
    }
    fn value(&self) -> i64 {
        self.n
    }
    fn fails(&mut self) -> i64 {
        panic!("not today")
    }
    fn ends(&mut self) -> i64 {
        std::process::abort()
    }
}
let counter = Counter::new.spawn(10);

// %%
// Calls from one caller run in order.
let sums: Vec<_> = (0..5).map(|by| Counter::add.call(&counter, by)).collect();
assert_eq!(get(&sums)?, [10, 11, 13, 16, 20]);

// %%
// A handle is an argument, and works in tasks and other actors.
fn add_there(counter: Actor<Counter>, by: i64) -> i64 {
    get(&Counter::add.call(&counter, by)).unwrap()
}
assert_eq!(get(&add_there.remote(&counter, 100))?, 120);
assert_eq!(get(&Counter::value.call(&counter))?, 120);

// %%
// References are arguments of calls, too.
fn seven() -> i64 {
    7
}
assert_eq!(get(&Counter::add.call(&counter, seven.remote()))?, 127);

// %%
// A method that panics fails its call, and the actor lives on.
let said = get(&Counter::fails.call(&counter)).unwrap_err().to_string();
assert!(said.contains("not today") && said.contains("line 16"), "{said}");
assert_eq!(get(&Counter::value.call(&counter))?, 127);

// %%
// An actor with a name is found by it, with its type.
let named = Counter::new.options().name("the counter").spawn(1);
get(&Counter::value.call(&named))?;
let found = actor::<Counter>("the counter")?;
assert_eq!(get(&Counter::add.call(&found, 1))?, 2);
assert!(actor::<Counter>("nobody").is_err());
assert!(actor::<String>("the counter").unwrap_err().to_string().contains("Counter"));
let same = Counter::new.options().name("the counter").get_if_exists().spawn(50);
assert_eq!(get(&Counter::value.call(&same))?, 2);

// %%
// `kill` ends it, and its calls say so, by whatever handle.
kill(&named)?;
for handle in [&named, &found] {
    let said = get(&Counter::value.call(handle)).unwrap_err().to_string();
    assert!(said.contains("Counter") && said.contains("died"), "{said}");
}

// %%
// A task may end one, too.
fn ends_it(counter: Actor<Counter>) -> Option<i64> {
    kill(&counter).unwrap();
    get(&Counter::value.call(&counter)).ok()
}
assert_eq!(get(&ends_it.remote(&counter))?, None);
assert!(get(&Counter::value.call(&counter)).is_err());

// %%
// A process that dies takes its actor along; one with restarts comes back as its constructor makes it.
let brittle = Counter::new.options().max_restarts(1).spawn(3);
assert_eq!(get(&Counter::add.call(&brittle, 1))?, 4);
assert!(get(&Counter::ends.call(&brittle)).is_err());
let mut value = get(&Counter::value.call(&brittle));
for _ in 0..100 {
    if value.is_ok() {
        break;
    }
    std::thread::sleep(Duration::from_millis(100));
    value = get(&Counter::value.call(&brittle));
}
assert_eq!(value?, 3);

// %%
// What a constructor panics with is what its calls fail with.
struct Picky;
impl Picky {
    fn new(n: i64) -> Picky {
        assert!(n > 0, "too small: {n}");
        Picky
    }
    fn get(&self) -> i64 {
        1
    }
}
let picky = Picky::new.spawn(0);
let said = format!("{:?}", get(&Picky::get.call(&picky)).unwrap_err());
assert!(said.contains("too small: 0"), "{said}");

// %%
// Methods that only read run at once, if the actor allows it.
struct Gate;
impl Gate {
    fn new() -> Gate {
        Gate
    }
    fn pass(&self, ms: u64) -> u64 {
        std::thread::sleep(Duration::from_millis(ms));
        ms
    }
}
let gate = Gate::new.options().max_concurrency(2).spawn();
let long = Gate::pass.call(&gate, 60_000);
assert_eq!(get(&Gate::pass.call(&gate, 1))?, 1);
kill(&gate)?;
