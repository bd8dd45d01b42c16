// Tasks, whatever runs them: the local runtime, one that sessions share, or a Ray cluster. Each cell holds by its assertions.

// %% [markdown]
// # Arguments and results

// %%
fn twice(n: u64) -> u64 {
    2 * n
}
fn sum(numbers: Vec<u64>) -> u64 {
    numbers.iter().sum()
}
assert_eq!(get(&twice.remote(4))?, 8);

// %%
// A reference as an argument is its value there; one inside a value stays a reference.
let a = twice.remote(1);
let b = twice.remote(&a);
let c = twice.remote(b.clone());
assert_eq!(get(&[a.clone(), b, c])?, [2, 4, 8]);
fn first(of: Vec<ObjectRef<u64>>) -> u64 {
    get(&of[0]).unwrap()
}
assert_eq!(get(&first.remote(vec![a.clone()]))?, 2);

// %%
// References come back in a result, and live as long as they are held here.
fn several(n: u64) -> Vec<ObjectRef<u64>> {
    (0..n).map(|k| twice.remote(k)).collect()
}
let inner = get(&several.remote(3))?;
assert_eq!(get(&inner)?, [0, 2, 4]);

// %%
// Tuples are split, closures and generic functions are tasks, too.
fn pair() -> (i64, String) {
    (1, "two".into())
}
let (one, two) = pair.remote().split();
assert_eq!((get(&one)?, get(&two)?), (1, "two".to_string()));
assert_eq!(get(&(|n: u64| n + 1).remote(41))?, 42);
fn same<T>(value: T) -> T {
    value
}
assert_eq!(get(&same::<String>.remote("generic".to_string()))?, "generic");

// %%
// A cell's later definitions take the place of earlier ones, also for tasks.
fn twice(n: u64) -> u64 {
    n + n
}
assert_eq!(get(&twice.remote(21))?, 42);

// %% [markdown]
// # Objects

// %%
let big = put(&vec![7u64; 200_000])?;
assert_eq!(get(&sum.remote(&big))?, 1_400_000);
assert_eq!(get(&big)?.len(), 200_000);
fn make(n: usize) -> Vec<u64> {
    vec![3; n]
}
let made = make.remote(100_000);
assert_eq!(get(&sum.remote(&made))?, 300_000);
assert_eq!(get(&made)?[99_999], 3);

// %%
// Arrays are viewed where they lie.
use mobula::ndarray::Array2;
let matrix = Array::from(Array2::from_shape_fn((300, 400), |(x, y)| (x * y) as f64));
let there = put(&matrix)?;
fn trace(m: Array<f64, mobula::ndarray::Ix2>) -> f64 {
    m.diag().sum()
}
assert_eq!(get(&trace.remote(&there))?, get(&there)?.diag().sum());
fn row(m: Array<f64, mobula::ndarray::Ix2>, y: usize) -> Array<f64> {
    Array::from(m.row(y).to_owned())
}
assert_eq!(get(&row.remote(&there, 2))?[3], 6.0);

// %% [markdown]
// # Waiting

// %%
fn nap(ms: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(ms));
    ms
}
let slow = nap.remote(60_000);
let quick = nap.remote(1);
let (ready, rest) = wait(&[slow.clone(), quick.clone()]).num_returns(1).run()?;
assert_eq!((ready, rest), (vec![quick], vec![slow.clone()]));
assert!(get_timeout(&slow, Duration::from_millis(50)).is_err());
cancel(&slow)?;
assert!(matches!(get(&slow), Err(GetError::Cancelled { .. })), "{:?}", get(&slow));

// %%
// As they come, and awaited.
let refs: Vec<_> = (0..5u64).map(|n| twice.remote(n)).collect();
let mut came: Vec<u64> = Vec::new();
for ready in wait_stream(&refs) {
    came.push(get(&ready)?);
}
came.sort();
assert_eq!(came, [0, 2, 4, 6, 8]);
assert_eq!(twice.remote(8).await?, 16);

// %% [markdown]
// # Tasks in tasks

// %%
fn outer(n: u64) -> u64 {
    let refs: Vec<_> = (0..n).map(|k| twice.remote(k)).collect();
    let (ready, rest) = wait(&refs).num_returns(n as usize).run().unwrap();
    assert!(rest.is_empty());
    let there = put(&ready.len()).unwrap();
    get(&refs).unwrap().iter().sum::<u64>() + get(&there).unwrap() as u64
}
assert_eq!(get(&outer.remote(5))?, 25);

// %%
fn tree(depth: u32) -> u64 {
    if depth == 0 {
        return 1;
    }
    get(&[tree.remote(depth - 1), tree.remote(depth - 1)]).unwrap().iter().sum()
}
assert_eq!(get(&tree.remote(2))?, 4);
