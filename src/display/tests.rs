//! Tests of the method that `(expression).evcxr_display()` resolves to, for many kinds of expression. The methods here
//! return what they would show. Rust finds them in the same way as the real ones.

#![expect(clippy::needless_borrow, reason = "what a person may write as a last line")]

use std::fmt::Debug;
use std::rc::Rc;

trait ByDebug {
    fn evcxr_display(&self) -> String;
}

impl<T: Debug + ?Sized> ByDebug for T {
    fn evcxr_display(&self) -> String {
        super::text::debug(&self)
    }
}

trait ByType {
    fn evcxr_display(&mut self) -> String;
}

impl<T: ?Sized> ByType for T {
    fn evcxr_display(&mut self) -> String {
        "no Debug".into()
    }
}

#[derive(Debug)]
struct Own;

impl Own {
    fn evcxr_display(&self) -> &'static str {
        "drawn"
    }
}

#[derive(Debug)]
struct OwnByValue;

impl OwnByValue {
    fn evcxr_display(self) -> &'static str {
        "drawn"
    }
}

struct Bare;

#[test]
fn values_references_and_temporaries_are_shown_as_debug() {
    let number = 7;
    let text = String::from("a");
    let boxed: Box<dyn Debug> = Box::new([1]);
    assert_eq!((number).evcxr_display(), "7");
    assert_eq!((&number).evcxr_display(), "7");
    assert_eq!((number + 1).evcxr_display(), "8");
    assert_eq!(("a").evcxr_display(), "\"a\"");
    assert_eq!((text).evcxr_display(), "\"a\"");
    assert_eq!((&text[..]).evcxr_display(), "\"a\"");
    assert_eq!((vec![1, 2][..]).evcxr_display(), "[1, 2]");
    assert_eq!((&[1, 2]).evcxr_display(), "[1, 2]");
    assert_eq!((boxed).evcxr_display(), "[1]");
    assert_eq!((Rc::new(1)).evcxr_display(), "1");
    assert_eq!((Ok::<i32, String>(1)).evcxr_display(), "Ok(1)");
    assert_eq!(({ 1 }).evcxr_display(), "1");
    assert_eq!((if number > 1 { Some(1.5) } else { None }).evcxr_display(), "Some(1.5)");
}

#[test]
fn what_was_shown_can_still_be_used() {
    let list = vec![1];
    assert_eq!((list).evcxr_display(), "[1]");
    drop(list);
}

#[test]
fn a_type_that_draws_itself_is_asked_to() {
    assert_eq!((Own).evcxr_display(), "drawn");
    assert_eq!((&Own).evcxr_display(), "drawn");
    assert_eq!((OwnByValue).evcxr_display(), "drawn");
}

#[test]
fn a_type_without_debug_says_what_it_is() {
    let mut kept = Bare;
    assert_eq!((kept).evcxr_display(), "no Debug");
    assert_eq!((Bare).evcxr_display(), "no Debug");
    assert_eq!((&Bare).evcxr_display(), "no Debug");
    assert_eq!((vec![Bare]).evcxr_display(), "no Debug");
    assert_eq!((|| 1).evcxr_display(), "no Debug");
    let text = super::text::no_debug("alloc::vec::Vec<ctx::Bare>");
    assert_eq!(text, "<value of type Vec<Bare>, which has no Debug>");
    let text = super::text::no_debug("cell_7::mobula_cell_7::{{closure}}::{{closure}}");
    assert_eq!(text, "<value of type {closure}, which has no Debug>");
}

#[test]
fn a_display_is_one_line_of_json() {
    let expected = r#"{"kind":"result","data":{"text/plain":"\"a\"\n"},"metadata":{},"display_id":null}"#;
    assert_eq!(super::block("result", &super::Forms::plain("\"a\"\n".into()), None), expected);
}

#[test]
fn data_of_a_type_is_text_or_base64_beside_a_word_for_those_who_cannot_show_it() {
    let forms = super::Forms::of("image/png", &[0x89, b'P']);
    assert_eq!(forms.data, [("image/png".into(), "iVA=".into()), ("text/plain".into(), "<image/png, 2 bytes>".into())]);
    let forms = super::Forms::of("image/svg+xml", b"<svg/>");
    assert_eq!(forms.data[0].1, "<svg/>");
    assert_eq!(super::Forms::of("text/plain", b"x").data.len(), 1);
}

#[test]
fn lists_of_structs_arrays_and_maps_are_tables() {
    #[derive(Debug)]
    #[allow(dead_code)]
    struct P {
        x: i32,
    }
    fn forms<T: Debug>(value: T) -> Vec<(String, String)> {
        super::shown(&super::Seen::of(&&value)).data
    }
    let list = forms(vec![P { x: 1 }, P { x: 22 }]);
    assert_eq!(list[0].1, " x\n──\n 1\n22");
    assert!(list[1].1.contains("<td align=\"right\">22</td>"));
    assert_eq!(list[2].0, "application/vnd.dataresource+json");
    assert_eq!(forms(vec![P { x: 1 }]).len(), 1, "one struct reads best as it is written");
    assert_eq!(forms(ndarray::arr1(&[1.0, 2.0])), [("text/plain".into(), "[1.0, 2.0]".into())]);
    assert_eq!(forms(ndarray::arr2(&[[1.0, 2.0], [30.0, 4.0]]))[0].1, "[[ 1.0, 2.0],\n [30.0, 4.0]]");
    let long = forms(ndarray::Array2::<f64>::zeros((1000, 2)));
    assert!(long[0].1.contains("...,") && long[1].1.contains("… 900 more rows"), "{}", long[0].1);
    let map = forms(std::collections::BTreeMap::from([("a", 1)]));
    assert_eq!((map[0].1.as_str(), map.len()), ("{\"a\": 1}", 3));
    assert!(map[1].1.contains("<small>i32</small>"));
}
