//! `:test`: the `#[test]` functions of a session, each a task on a worker process.
//!
//! A test is an ordinary function of the session: its attributes are taken off as it is compiled, in a `mod` those of
//! the module, too. What they said is kept here.

use super::edit::Edit;
use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::{Attribute, Expr, ExprLit, Item, Lit, Meta};

/// A test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// Its name, with those of its modules.
    pub path: String,
    /// The words that its panic must have, if it must panic.
    pub panics: Option<String>,
    /// Whether it runs only when it is named in full.
    pub is_ignored: bool,
    /// Why it cannot be run.
    pub mistake: Option<&'static str>,
}

/// The tests of an item, and the edits that make them functions like others.
pub fn tests_of(item: &Item, edits: &mut Vec<Edit>) -> Vec<Test> {
    let mut tests = Vec::new();
    match item {
        Item::Fn(function) => {
            let signature = &function.sig;
            let mistake = match signature {
                _ if signature.asyncness.is_some() => Some("an `async fn` is no test: use `block_on` inside of one"),
                _ if !signature.inputs.is_empty() => Some("a test takes no arguments"),
                _ => None,
            };
            let test = test(&function.attrs, &signature.ident, edits);
            tests.extend(test.map(|test| Test { mistake, ..test }));
        }
        Item::Mod(module) => {
            let Some((_, items)) = &module.content else { return tests };
            for item in items {
                let inner = tests_of(item, edits);
                if let (Item::Fn(function), false) = (item, inner.is_empty()) {
                    show(&function.vis, function.sig.span(), edits);
                } else if let (Item::Mod(module), false) = (item, inner.is_empty()) {
                    show(&module.vis, module.mod_token.span, edits);
                }
                tests.extend(inner);
            }
            let name = &module.ident;
            tests.iter_mut().for_each(|test| test.path = format!("{name}::{}", test.path));
            if !tests.is_empty() {
                let only_in_tests = module.attrs.iter().filter(|attribute| is_cfg_test(attribute));
                edits.extend(only_in_tests.map(gone));
            }
        }
        _ => {}
    }
    tests
}

/// The test with these attributes, which are removed: a `#[test]` function exists only in test builds, but a session can
/// call it.
fn test(attributes: &[Attribute], name: &syn::Ident, edits: &mut Vec<Edit>) -> Option<Test> {
    let find = |name: &str| attributes.iter().find(|attribute| attribute.path().is_ident(name));
    let test = find("test")?;
    let (panics, ignored) = (find("should_panic"), find("ignore"));
    edits.extend([Some(test), panics, ignored].into_iter().flatten().map(gone));
    Some(Test { path: name.to_string(), panics: panics.map(expected), is_ignored: ignored.is_some(), mistake: None })
}

/// The words in `should_panic`.
fn expected(attribute: &Attribute) -> String {
    let text = |value: &Expr| match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
        _ => None,
    };
    match &attribute.meta {
        Meta::Path(_) => None,
        Meta::NameValue(pair) => text(&pair.value),
        Meta::List(_) => attribute.parse_args::<syn::MetaNameValue>().ok().and_then(|pair| text(&pair.value)),
    }
    .unwrap_or_default()
}

fn is_cfg_test(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
}

fn gone(attribute: &Attribute) -> Edit {
    Edit { range: attribute.span().byte_range(), text: "".into() }
}

/// Makes an item of a module visible to the code that runs its tests.
fn show(vis: &syn::Visibility, at: Span, edits: &mut Vec<Edit>) {
    if matches!(vis, syn::Visibility::Inherited) {
        let start = at.byte_range().start;
        edits.push(Edit { range: start..start, text: "pub ".into() });
    }
}

/// The code that runs tests and tells their results.
pub fn code(tests: &[Test], name: &str) -> String {
    let mut code = String::from("{ let mut tests = ::mobula::__private::Tests::new(); ");
    for Test { path, panics, is_ignored, mistake } in tests {
        if let Some(mistake) = mistake {
            code.push_str(&format!("tests.refuse({path:?}, {mistake:?}); "));
            continue;
        }
        if *is_ignored && name != path {
            code.push_str(&format!("tests.ignore({path:?}); "));
            continue;
        }
        let run = match panics {
            None => format!("|| ::mobula::__private::passes({path})"),
            Some(_) => format!("|| ::mobula::__private::panics({path})"),
        };
        code.push_str(&format!(
            "tests.add({path:?}, {panics:?}, ({run}).options().name({path:?}).max_retries(0).remote()); "
        ));
    }
    code + "tests.end()? };"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(code: &str) -> (Vec<Test>, String) {
        let mut edits = Vec::new();
        let tests = tests_of(&syn::parse_str(code).unwrap(), &mut edits);
        edits.sort_by_key(|edit| edit.range.start);
        let mut text = code.to_owned();
        edits.iter().rev().for_each(|edit| text.replace_range(edit.range.clone(), &edit.text));
        (tests, text)
    }

    #[test]
    fn a_test_is_a_function_whose_attributes_are_kept_apart() {
        let (tests, text) = read("#[test] #[should_panic(expected = \"odd\")] #[ignore] fn a() {}");
        assert_eq!(tests, [Test { path: "a".into(), panics: Some("odd".into()), is_ignored: true, mistake: None }]);
        assert!(read("#[test] fn a(n: u8) {}").0[0].mistake.is_some());
        assert_eq!(text, "   fn a() {}");
        assert!(read("#[inline] fn a() {}").0.is_empty());
    }

    #[test]
    fn the_tests_of_a_module_are_found_and_can_be_called() {
        let (tests, text) = read(
            "#[cfg(test)] mod tests { use super::*; fn help() {} #[test] fn a() {} mod b { #[test] #[should_panic] pub fn c() {} } }",
        );
        let found: Vec<(&str, Option<&str>)> =
            tests.iter().map(|test| (test.path.as_str(), test.panics.as_deref())).collect();
        assert_eq!(found, [("tests::a", None), ("tests::b::c", Some(""))]);
        assert_eq!(text, " mod tests { use super::*; fn help() {}  pub fn a() {} pub mod b {   pub fn c() {} } }");
    }
}
