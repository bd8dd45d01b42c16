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
fn a_list_of_structs_is_a_table_in_both_forms_and_a_map_in_html() {
    #[derive(Debug)]
    #[allow(dead_code)]
    struct P {
        x: i32,
    }
    let forms = super::read(&vec![P { x: 1 }, P { x: 22 }]);
    assert_eq!(forms.data[0].1, "x\n──\n1\n22");
    assert!(forms.data[1].1.starts_with("<table>"));
    let forms = super::read(&ndarray::arr1(&[1.0, 2.0]));
    assert_eq!(forms.data, [("text/plain".into(), "[1.0, 2.0]".into())]);
    let forms = super::read(&ndarray::arr2(&[[1.0, 2.0], [30.0, 4.0]]));
    assert_eq!(forms.data[0].1, "[[ 1.0, 2.0],\n [30.0, 4.0]]");
    let forms = super::read(&std::collections::BTreeMap::from([("a", 1)]));
    assert_eq!((forms.data[0].1.as_str(), forms.data.len()), ("{\"a\": 1}", 2));
}
