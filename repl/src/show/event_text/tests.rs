//! Tests of a page that is drawn again: what is erased, and what stays.

use super::*;
use mobula_session::CellId;

const CELL: CellId = CellId(1);
const FILE: Look = Look { stdout_is_terminal: false, stderr_is_terminal: false, stderr_colours: false, size: None };
const SCREEN: Look =
    Look { stdout_is_terminal: true, stderr_is_terminal: true, stderr_colours: false, size: Some((80, 24)) };

fn print(text: &str) -> Event {
    Event::Text { cell: CELL, stream: Stream::Stdout, text: text.into() }
}

fn warn(text: &str) -> Event {
    Event::Text { cell: CELL, stream: Stream::Stderr, text: text.into() }
}

fn result(text: &str) -> Event {
    Event::Result { cell: CELL, bundle: Bundle::text(text) }
}

fn bar(text: &str) -> Bundle {
    Bundle { display_id: Some("bar".into()), ..Bundle::text(text) }
}

fn show(text: &str) -> Event {
    Event::Display { cell: CELL, bundle: bar(text) }
}

fn change(text: &str) -> Event {
    Event::Update { cell: CELL, bundle: bar(text) }
}

fn clear(wait: bool) -> Event {
    Event::Clear { cell: CELL, wait }
}

fn text_of(inks: &[Ink], stream: Stream) -> String {
    inks.iter().filter(|ink| ink.stream == stream).map(|ink| ink.text.as_str()).collect()
}

/// The text that (stdout, stderr) get, including the cell's end.
fn shown(look: Look, events: impl IntoIterator<Item = Event>) -> (String, String) {
    let mut page = Page::new(look);
    let mut inks: Vec<Ink> = events.into_iter().flat_map(|event| page.event(event, true)).collect();
    inks.extend(page.settle());
    (text_of(&inks, Stream::Stdout), text_of(&inks, Stream::Stderr))
}

#[test]
fn what_a_cell_prints_is_passed_on_byte_for_byte() {
    let (out, err) = shown(FILE, [print("a"), print("b\r"), warn("w"), print("\x1b[1mc\n")]);
    assert_eq!((out.as_str(), err.as_str()), ("ab\r\x1b[1mc\n", "w"));
}

#[test]
fn a_result_begins_on_a_line_of_its_own_and_ends_it() {
    assert_eq!(shown(FILE, [print("a"), result("1")]).0, "a\n1\n");
    assert_eq!(shown(FILE, [print("a\n"), result("1\n")]).0, "a\n1\n");
}

#[test]
fn two_streams_share_a_line_only_on_one_screen() {
    assert_eq!(shown(FILE, [warn("w"), result("1")]).0, "1\n");
    assert_eq!(shown(SCREEN, [warn("w"), result("1")]).0, "\n1\n");
}

#[test]
fn a_file_gets_the_last_content_of_a_display_and_no_other() {
    assert_eq!(shown(FILE, [show("0 %"), change("50 %"), change("100 %")]).0, "0 %\n100 %\n");
    assert_eq!(shown(FILE, [change("100 %"), show("done")]).0, "done\n");
}

#[test]
fn a_screen_draws_over_a_display_that_is_the_last_thing_on_it() {
    assert_eq!(shown(SCREEN, [show("a\nb"), change("c")]).0, "a\nb\n\x1b[2A\r\x1b[Jc\n");
    assert_eq!(shown(SCREEN, [show("a"), print("x\n"), change("b"), change("c")]).0, "a\nx\nc\n");
}

#[test]
fn a_display_taller_than_the_screen_is_not_drawn_over() {
    let tall = "x\n".repeat(30);
    assert_eq!(shown(SCREEN, [show(&tall), change("b")]).0, format!("{tall}b\n"));
    let long = "x".repeat(100);
    assert_eq!(shown(SCREEN, [show(&long), change("b")]).0, format!("{long}\n\x1b[2A\r\x1b[Jb\n"));
}

#[test]
fn while_a_person_types_nothing_is_drawn_over() {
    let mut page = Page::new(SCREEN);
    page.event(show("a"), true);
    assert_eq!(page.event(change("b"), false), []);
    assert_eq!(text_of(&page.settle(), Stream::Stdout), "b\n");
}

#[test]
fn clearing_takes_back_the_line_or_waits_for_the_next_output() {
    assert_eq!(shown(SCREEN, [print("50 %"), clear(false), print("100 %")]).0, "50 %\r\x1b[K100 %");
    assert_eq!(shown(SCREEN, [show("a"), clear(true), show("b")]).0, "a\n\x1b[1A\r\x1b[Jb\n");
    assert_eq!(shown(SCREEN, [show("a"), clear(true)]).0, "a\n");
    assert_eq!(shown(FILE, [print("50 %"), clear(false), print("100 %")]).0, "50 %100 %");
}

#[test]
fn errors_and_notices_are_the_talk() {
    let mut page = Page::new(FILE);
    let error = CellError { name: "Panic".into(), value: "v".into(), plain: "plain".into(), ansi: "ansi".into() };
    assert_eq!(text_of(&page.error(&error), Stream::Stderr), "plain\n");
    assert_eq!(text_of(&page.notice("n"), Stream::Stderr), "n\n");
    let mut page = Page::new(Look { stderr_colours: true, ..FILE });
    assert_eq!(text_of(&page.error(&error), Stream::Stderr), "ansi\n");
    let report = mobula_session::report::Rendered { plain: "plain".into(), ansi: "coloured".into() };
    assert_eq!(text_of(&page.event(Event::Report { cell: CELL, report }, true), Stream::Stderr), "coloured\n");
}

#[test]
fn an_unfinished_line_can_become_a_prompt() {
    let mut page = Page::new(SCREEN);
    page.event(print("hello\nna"), true);
    page.event(print("me? "), true);
    assert_eq!(page.take_line(), "name? ");
    assert_eq!(page.fresh_line(), []);
    page.event(print("50 %\r"), true);
    assert_eq!(page.take_line(), "");
    assert_eq!(text_of(&page.fresh_line(), Stream::Stdout), "\n");
}

#[test]
fn a_line_that_was_ended_or_taken_back_does_not_become_a_prompt() {
    for ends in [clear(false), warn("w\n"), warn("w")] {
        let mut page = Page::new(SCREEN);
        page.event(print("name? "), true);
        page.event(ends, true);
        assert_eq!(page.take_line(), "");
    }
    let mut page = Page::new(Look { stderr_is_terminal: false, ..SCREEN });
    page.event(print("name? "), true);
    page.event(warn("w\n"), true);
    assert_eq!(page.take_line(), "name? ", "the other stream is not on the screen");
}

#[test]
fn codes_take_no_columns() {
    assert_eq!(without_codes("\x1b[1;31mred\x1b[0m"), "red");
}
