//! The answers of a page, and to whom they are given.

use crate::runtime::{Made, run};
use crate::wire::{Events, ask, ask_stack, get, post_stack, send};
use mobula_abi::TaskState;
use mobula_dashboard::{Options, report_page, saved_report, start};
use serde_json::json;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::Ordering;

const PATHS: [&str; 12] = [
    "/",
    "/events",
    "/metrics",
    "/report",
    "/api/status",
    "/api/tasks",
    "/api/task?id=1.0",
    "/api/cells",
    "/api/actors",
    "/api/objects",
    "/api/errors",
    "/api/log",
];

#[test]
fn nothing_is_answered_without_the_token() {
    let (made, page) = Made::page();
    for path in PATHS.iter().chain(&["/nothing", "/api", "/api/status/"]) {
        let refused = ask(&page, path, "");
        assert_eq!(refused.status, 401, "{path}");
        assert!(!refused.body.contains("half") && !refused.head.to_lowercase().contains("set-cookie"), "{path}");
    }
    assert_eq!(made.looks.load(Ordering::Relaxed), 0);
}

#[test]
fn the_token_is_traded_for_a_cookie_that_scripts_and_other_sites_do_not_get() {
    let (_made, page) = Made::page();
    let path = page.url().split_once(&page.port().to_string()).unwrap().1;
    let first = ask(&page, path, "");
    assert_eq!(first.status, 200);
    let cookie = first.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("a cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains(page.token()));
    let header = format!("Cookie: {}\r\n", cookie.split(';').next().unwrap());
    assert_eq!(ask(&page, "/api/status", &header).status, 200);
    assert_eq!(ask(&page, "/api/status", "Cookie: mobula-1=0\r\n").status, 401);
}

#[test]
fn no_page_of_another_site_and_no_other_name_is_answered() {
    let (_made, page) = Made::page();
    let token = format!("Authorization: token {}\r\n", page.token());
    assert_eq!(ask(&page, "/api/status", &format!("{token}Origin: http://evil.example\r\n")).status, 403);
    let renamed = format!("GET /api/status HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n{token}\r\n");
    assert_eq!(send(&page, renamed.as_bytes()).unwrap().status, 403);
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let request = format!("{method} /api/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{token}\r\n");
        assert_eq!(send(&page, request.as_bytes()).unwrap().status, 405, "{method}");
    }
}

#[test]
fn each_document_says_what_the_browser_may_do_with_it() {
    let (_made, page) = Made::page();
    let document = get(&page, "/");
    let head = document.head.to_lowercase();
    for header in [
        "content-security-policy: default-src 'none'",
        "referrer-policy: no-referrer",
        "cache-control: no-store",
        "nosniff",
    ] {
        assert!(head.contains(header), "{header}: {head}");
    }
    assert!(
        !document.body.contains("http://") || !document.body.contains("src=\"http"),
        "everything is in the document"
    );
    assert!(!document.body.contains("href=\"/") && !document.body.contains("src=\"/"), "every address is relative");
}

#[test]
fn what_the_page_shows_is_there_as_json() {
    let (_made, page) = Made::page();
    let answer = |path: &str| {
        let answered = get(&page, path);
        assert_eq!(answered.status, 200, "{path}: {answered:?}");
        answered.json()
    };
    assert_eq!(answer("/api/status")["resources"][0], json!({ "name": "CPU", "in_use": 1.5, "total": 2.0 }));
    let tasks = answer("/api/tasks");
    assert_eq!((&tasks["number"], &tasks["tasks"][1]["state"]), (&json!(2), &json!("failed")));
    assert_eq!(answer("/api/tasks?state=finished&limit=1")["tasks"][0]["id"], "1.0");
    assert_eq!(answer("/api/actors")["actors"][0]["restarts"], 2);
    assert_eq!(answer("/api/objects")["totals"]["memory"], json!([1, 4096]));
    assert_eq!(answer("/api/errors")["errors"][0]["text"], "task `half` failed");
    assert_eq!(answer("/api/cells")["cells"][0]["source"], "</script>half");
    assert_eq!(answer("/api/cells?after=1")["cells"], json!([]));
    assert_eq!(answer("/api/log?after=1")["lines"].as_array().unwrap().len(), 1);
}

#[test]
fn a_task_is_told_with_what_is_next_to_it_its_error_its_log_and_its_cell() {
    let (_made, page) = Made::page();
    let task = get(&page, "/api/task?id=2.0").json();
    assert_eq!((&task["task"]["state"], &task["error"]), (&json!("failed"), &json!("task `half` failed")));
    assert_eq!((&task["needs"][0]["id"], &task["needed_by"][0]["id"]), (&json!("1.0"), &json!("102.0")));
    assert_eq!((&task["cell"]["cell"], task["log"].as_array().unwrap().len()), (&json!(3), 2));
    assert_eq!(get(&page, "/api/task?id=1.0").json()["error"], json!(null), "that of another run is not this one's");
    assert_eq!(
        [get(&page, "/api/task?id=5.0").status, get(&page, "/api/task?id=x").status, get(&page, "/api/task").status],
        [404, 404, 400]
    );
}

#[test]
fn the_stack_of_a_worker_is_told_and_of_no_other_process() {
    let mut worker = Command::new("sleep").arg("1000").spawn().unwrap();
    let (made, page) = Made::page();
    let body = format!("{{\"pid\":{}}}", worker.id());
    let refused = ask_stack(&page, &body);
    assert_eq!((refused.status, refused.body.contains("is no living worker")), (404, true), "{refused:?}");
    made.workers(vec![worker.id(), u32::MAX - 1]);
    let told = ask_stack(&page, &body);
    assert_eq!(told.status, 200, "{told:?}");
    let threads = told.json()["threads"].clone();
    assert_eq!(
        (&threads[0]["name"], &threads[0]["tid"], &threads[1]),
        (&json!("sleep"), &json!(worker.id()), &json!(null))
    );
    assert!(threads[0]["frames"].as_array().is_some_and(|frames| !frames.is_empty()), "{threads}");
    worker.kill().unwrap();
    worker.wait().unwrap();
    for pid in [worker.id(), u32::MAX - 1, 0, 1] {
        assert_eq!(ask_stack(&page, &format!("{{\"pid\":{pid}}}")).status, 404, "{pid}");
    }
    assert_eq!(get(&page, "/api/status").status, 200);
}

#[test]
fn a_stack_is_asked_for_from_the_page_alone_and_with_few_words() {
    let (_made, page) = Made::page();
    let json = "Content-Type: application/json\r\n";
    let own = format!("Origin: http://127.0.0.1:{}\r\n", page.port());
    for origin in ["", "Origin: http://evil.example\r\n", "Origin: null\r\n"] {
        assert_eq!(post_stack(&page, &format!("{origin}{json}"), "{\"pid\":1}").status, 403, "{origin}");
    }
    // What a form of another site can send, says another type.
    assert_eq!(post_stack(&page, &format!("{own}Content-Type: text/plain\r\n"), "{\"pid\":1}").status, 415);
    for (body, status) in [("", 400), ("[", 400), ("{}", 422), ("{\"pid\":-1}", 422), ("{\"pid\":\"1\"}", 422)] {
        assert_eq!(ask_stack(&page, body).status, status, "{body}");
    }
    assert_eq!(ask_stack(&page, &" ".repeat(100_000)).status, 413);
    let asked = get(&page, "/api/stack");
    assert_eq!((asked.status, asked.head.contains("allow: POST")), (405, true), "{asked:?}");
    let without = format!(
        "POST /api/stack HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\nConnection: close\r\n{json}Content-Length: 9\r\n\r\n{{\"pid\":1}}"
    );
    assert_eq!(send(&page, without.as_bytes()).unwrap().status, 401);
}

#[test]
fn the_runtime_is_looked_at_while_somebody_watches_and_only_what_is_new_is_told() {
    let (made, page) = Made::page();
    made.tasks(vec![run(1, TaskState::Finished), run(2, TaskState::Failed)], vec![run(3, TaskState::Running)]);
    assert_eq!(get(&page, "/api/tasks").status, 200);
    assert_eq!(made.looks.load(Ordering::Relaxed), 0, "nobody watches");
    let mut events = Events::of(&page);
    let first = events.step(|_| true);
    assert_eq!(
        (&first["first"], &first["names"][0][0], &first["functions"][0].as_array().unwrap()[..6]),
        (&json!(true), &json!("half"), &[json!(0), json!(1), json!(1), json!(0), json!(1), json!(0)][..])
    );
    assert_eq!((first["blocks"].as_array().unwrap().len(), first["living"].as_array().unwrap().len()), (2, 1));
    made.tasks(vec![run(3, TaskState::Finished)], vec![]);
    let next = events.step(|step| step["blocks"] != json!([]));
    assert_eq!(
        (&next["first"], &next["names"], next["blocks"].as_array().unwrap().len()),
        (&json!(false), &json!([]), 1)
    );
    assert_eq!(
        (&next["blocks"][0][4], &next["functions"][0][1], &next["living"]),
        (&json!("3.0"), &json!(2), &json!([]))
    );
    // Who comes later is told all.
    let whole = Events::of(&page).step(|_| true);
    assert_eq!((&whole["first"], whole["blocks"].as_array().unwrap().len()), (&json!(true), 3));
}

#[test]
fn a_reader_learns_that_the_runtime_has_ended() {
    let (made, page) = Made::page();
    let mut events = Events::of(&page);
    events.step(|_| true);
    made.end();
    while events.next() != ("trouble".into(), json!("the runtime has ended")) {}
    assert_eq!(get(&page, "/api/status").status, 503);
    assert_eq!(get(&page, "/").status, 200);
}

#[test]
fn prometheus_reads_counts_and_amounts() {
    let (made, page) = Made::page();
    made.tasks(vec![run(1, TaskState::Finished), run(2, TaskState::Failed)], vec![run(3, TaskState::Running)]);
    let metrics = get(&page, "/metrics");
    assert!(metrics.head.contains("application/openmetrics-text"), "{metrics:?}");
    for line in [
        r#"mobula_task_runs_total{function="half",outcome="finished"} 1"#,
        r#"mobula_task_runs_total{function="half",outcome="failed"} 1"#,
        r#"mobula_tasks{function="half",state="running"} 1"#,
        r#"mobula_resource_used{resource="CPU"} 1.5"#,
        r#"mobula_objects_bytes{place="memory"} 4096"#,
        r#"mobula_actors{state="alive"} 1"#,
        "# EOF",
    ] {
        assert!(metrics.body.lines().any(|found| found == line), "{line}\n{}", metrics.body);
    }
    // A second reading counts nothing twice.
    assert!(get(&page, "/metrics").body.contains(r#"outcome="finished"} 1"#));
}

#[test]
fn a_report_is_one_file_with_the_data_in_it() {
    let (made, page) = Made::page();
    made.tasks(vec![run(1, TaskState::Finished)], vec![]);
    let report = get(&page, "/report");
    assert!(report.head.contains("attachment; filename=\"mobula-report.html\""), "{}", report.head);
    assert!(saved_report(page.url()).unwrap().contains("</script>"));
    assert!(report.body.contains("id=\"frozen\"") && report.body.contains("\\u003c/script>half"));
    assert!(!report.body.contains(page.token()), "who gets the file cannot come in");
    made.tasks(vec![run(2, TaskState::Finished)], vec![]);
    assert!(report_page(made.clone()).unwrap().contains("\"2.0\""));
    made.end();
    assert_eq!(report_page(made).unwrap_err().to_string(), "the runtime has ended");
    assert_eq!(saved_report(page.url()).unwrap_err().to_string(), "the runtime has ended");
}

#[test]
fn a_page_that_is_dropped_is_gone_and_so_are_its_readers() {
    let (_made, page) = Made::page();
    let mut events = Events::of(&page);
    events.step(|_| true);
    let port = page.port();
    drop(page);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn a_port_that_is_taken_is_an_error_that_says_so() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let (made, _page) = Made::page();
    let refused = start(made, &Options { port: Some(port), ..Options::default() }).unwrap_err().to_string();
    assert!(refused.starts_with(&format!("the web page cannot listen on 127.0.0.1, port {port}: ")), "{refused}");
}
