//! The items of a walk. Each is one of a few variants, so that what is defined anew fits what is there, or does not.

use proptest::prelude::*;

/// Which item of the program it is: a name in its namespace, a type's method, a trait's `impl`.
pub type Key = String;

/// One item of a cell.
#[derive(Clone, Copy)]
pub struct Item {
    kind: u8,
    name: u8,
    variant: u8,
    number: u8,
    calls: [u8; 2],
}

impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text())
    }
}

/// Any item.
pub fn item() -> impl Strategy<Value = Item> {
    (0..16u8, 0..5u8, any::<u8>(), 0..9u8, any::<[u8; 2]>()).prop_map(|(kind, name, variant, number, calls)| Item {
        kind,
        name,
        variant,
        number,
        calls,
    })
}

/// A notebook in which everything is defined and fits.
pub fn beginning() -> Vec<Vec<Item>> {
    let item = |kind, name, variant, calls| Item { kind, name, variant, number: 3, calls };
    let plain = |kind, variant| item(kind, 0, variant, [0, 0]);
    vec![
        vec![plain(12, 2), plain(12, 1)],
        vec![plain(6, 0), plain(7, 0)],
        vec![plain(8, 0), plain(9, 0)],
        vec![plain(10, 0), plain(11, 0), plain(11, 1)],
        vec![plain(13, 1), plain(14, 0), plain(14, 3)],
        vec![plain(14, 2)],
        vec![plain(15, 0), plain(15, 2), plain(15, 3)],
        vec![item(0, 4, 2, [4, 9]), item(0, 3, 1, [5, 6])],
        vec![item(0, 2, 2, [7, 8]), item(0, 1, 2, [14, 10])],
        vec![item(0, 0, 2, [11, 14])],
    ]
}

/// A function's call.
pub fn question(which: usize) -> String {
    let name = NAMES[which % NAMES.len()];
    match which / NAMES.len() % 8 {
        0 => format!("{name}(1)"),
        _ => format!("{name}()"),
    }
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

impl Item {
    /// Its definition.
    pub fn text(&self) -> String {
        let Item { variant, number: n, .. } = *self;
        let one_of = |texts: &[&str]| texts[variant as usize % texts.len()].replace('@', &n.to_string());
        match self.kind {
            0..=5 => {
                let name = NAMES[self.name as usize];
                let [first, second] = self.calls.map(|call| self.expression(call));
                match variant % 5 {
                    0 => format!("fn {name}(x: i64) -> i64 {{ x + {first} + {second} }}"),
                    1 => format!("fn {name}() -> i64 {{\n    let y = {first};\n    y * 2 + {n}\n}}"),
                    _ => format!("fn {name}() -> i64 {{ {first} + {second} + {n} }}"),
                }
            }
            6 => one_of(&[
                "struct P { x: i64 }",
                "struct P { x: i64, y: i64 }",
                "#[derive(Clone)] struct P { x: i64 }",
                "struct P(i64);",
            ]),
            7 => one_of(&[
                "impl P { fn new(v: i64) -> P { P { x: v } } fn get(&self) -> i64 { self.x + K } }",
                "impl P { fn get(&self) -> i64 { self.x * @ } }",
                "impl P { fn new(v: i64) -> P { P { x: v, y: @ } } }",
                "impl P { fn new(v: i64) -> P { P(v) } fn get(&self) -> i64 { self.0 } }",
            ]),
            8 => one_of(&["enum E { A, B(i64) }", "enum E { A, B(i64), C }", "enum E { B(i64) }"]),
            9 => one_of(&[
                "impl E { fn num(&self) -> i64 { match self { E::A => @, E::B(n) => *n } } }",
                "impl E { fn num(&self) -> i64 { match self { E::B(n) => *n, _ => K } } }",
            ]),
            10 => one_of(&[
                "trait T { fn t(&self) -> i64; }",
                "trait T { fn t(&self) -> i64 { @ } }",
                "trait T { fn t(&self) -> i64; fn u(&self) -> i64 { self.t() + @ } }",
            ]),
            11 => one_of(&[
                "impl T for P { fn t(&self) -> i64 { self.get() } }",
                "impl T for i64 { fn t(&self) -> i64 { *self + @ } }",
                "impl T for i64 {}",
                "impl T for E { fn t(&self) -> i64 { self.num() } }",
            ]),
            12 => one_of(&["const K: i64 = @;", "const K: i64 = J + @;", "const J: i64 = @;", "const K: i32 = @;"]),
            13 => one_of(&[
                "macro_rules! m { ($e:expr) => { $e + @ } }",
                "macro_rules! m { ($e:expr) => { ($e) * K } }",
                "macro_rules! m { () => { @ } }",
            ]),
            14 => one_of(&[
                "mod md { pub fn f() -> i64 { @ } }",
                "mod md { pub const F: i64 = @; }",
                "use md::f as ff;",
                "static S: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(@);",
            ]),
            _ => one_of(&[
                "fn g<X: Into<i64>>(x: X) -> i64 { let y: i64 = x.into(); y + K }",
                "fn g<X>(x: X) -> i64 where X: T { x.t() }",
                "struct G<X> { x: X }",
                "impl<X: Copy> G<X> { fn x(&self) -> X { self.x } }",
                "impl<Y: Copy> G<Y> { fn x(&self) -> Y { self.x } fn y(&self) -> i64 { K } }",
            ]),
        }
    }

    /// What it is. An inherent `impl` is several.
    pub fn keys(&self) -> Vec<Key> {
        let text = self.text();
        let words: Vec<&str> =
            text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect();
        let after = |word: &str| words.iter().position(|known| *known == word).map(|at| words[at + 1].to_owned());
        if text.starts_with("impl T for") {
            return vec![format!("impl T for {}", words[3])];
        }
        if text.starts_with("impl") {
            let of = if text.starts_with("impl<") { "G" } else { words[1] };
            return text
                .split("fn ")
                .skip(1)
                .map(|method| format!("{of}::{}", method.split('(').next().unwrap_or_default()))
                .collect();
        }
        if text.starts_with("macro_rules!") {
            return vec!["m!".into()];
        }
        if text.starts_with("use ") {
            return vec!["ff".into()];
        }
        let word = ["struct", "enum", "trait", "const", "static", "mod", "fn"].iter().find(|word| {
            text.starts_with(&format!("{word} ")) || text.starts_with(&format!("#[derive(Clone)] {word} "))
        });
        word.and_then(|word| after(word)).into_iter().collect()
    }

    /// Something with a number. A function calls only those behind it in the alphabet, so that every walk ends.
    fn expression(&self, call: u8) -> String {
        let n = self.number;
        let calls: [String; 14] = [
            n.to_string(),
            "K".into(),
            format!("P::new({n}).get()"),
            format!("P {{ x: {n} }}.x"),
            format!("E::B({n}).num()"),
            format!("m!({n})"),
            "md::f()".into(),
            "ff()".into(),
            format!("g({n}i64)"),
            "S.load(std::sync::atomic::Ordering::SeqCst)".into(),
            format!("{n}i64.t()"),
            format!("P::new({n}).t()"),
            format!("G {{ x: {n}i64 }}.x()"),
            "e()".into(),
        ];
        let later = NAMES.len() - 1 - self.name as usize;
        match call as usize % (calls.len() + 6) {
            at if at < calls.len() - usize::from(later == 0) => calls[at].clone(),
            at if later > 0 => format!("{}()", NAMES[self.name as usize + 1 + at % later]),
            _ => n.to_string(),
        }
    }
}
