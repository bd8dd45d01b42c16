//! The routes, behind the guard.

use crate::answers::{self, NoAnswer, StackChoice, TaskChoice, TaskFilter};
use crate::document::{self, Document};
use crate::guard::{self, Guard, Way};
use crate::metrics;
use crate::source::Source;
use crate::stack::NoStack;
use crate::watch::Watch;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, FromRequest, Query, Request, State};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, SET_COOKIE,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// The most bytes that a request may have behind its head.
const BODY_BYTES_MAX: usize = 256;
/// How long they may take.
const BODY_MAX: Duration = Duration::from_secs(10);

/// What the routes share.
#[derive(Clone)]
pub struct Site {
    source: Arc<dyn Source>,
    watch: Arc<Watch>,
    guard: Arc<Guard>,
    /// Held while a stack is read, so that a process has to stand for one request at a time, and others find free threads.
    stack: Arc<Mutex<()>>,
}

/// A place in a list of which only what comes after is wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct From {
    after: u64,
}

impl Site {
    /// The site of a source, which is looked at from now on while there are readers. Call it within an executor.
    pub fn new(source: Arc<dyn Source>, guard: Guard) -> Site {
        let watch = Arc::new(Watch::new(source.clone()));
        tokio::spawn(watch.clone().run());
        Site { source, watch, guard: Arc::new(guard), stack: Arc::default() }
    }

    /// Answers on a thread that may wait.
    async fn answer<A: Serialize + Send + 'static>(
        self,
        answer: impl FnOnce(&dyn Source, &Watch) -> Result<A, NoAnswer> + Send + 'static,
    ) -> Response {
        match self.on_a_thread(answer).await {
            Ok(answer) => Json(answer).into_response(),
            Err(error) => refused(&error),
        }
    }

    async fn on_a_thread<A: Send + 'static>(
        self,
        answer: impl FnOnce(&dyn Source, &Watch) -> Result<A, NoAnswer> + Send + 'static,
    ) -> Result<A, NoAnswer> {
        let answered = tokio::task::spawn_blocking(move || answer(&*self.source, &self.watch)).await;
        answered.unwrap_or_else(|_| Err(NoAnswer::Missing { what: "the page is ending".into() }))
    }
}

/// All routes.
pub fn routes(site: Site) -> Router {
    type Asked<T> = Result<Query<T>, QueryRejection>;
    Router::new()
        .route("/", get(|| async { page(document::live()) }))
        .route("/events", get(|State(site): State<Site>| async move { crate::events::events(&site.watch) }))
        .route("/metrics", get(prometheus))
        .route("/report", get(report))
        .route("/api/status", get(|State(site): State<Site>| site.answer(|source, _| answers::status(source))))
        .route(
            "/api/tasks",
            get(|State(site): State<Site>, asked: Asked<TaskFilter>| async move {
                match asked {
                    Ok(Query(filter)) => site.answer(move |source, _| answers::tasks(source, &filter)).await,
                    Err(error) => (StatusCode::BAD_REQUEST, error.body_text()).into_response(),
                }
            }),
        )
        .route(
            "/api/task",
            get(|State(site): State<Site>, asked: Asked<TaskChoice>| async move {
                match asked {
                    Ok(Query(choice)) => site.answer(move |source, _| answers::task(source, &choice)).await,
                    Err(error) => (StatusCode::BAD_REQUEST, error.body_text()).into_response(),
                }
            }),
        )
        .route(
            "/api/cells",
            get(|State(site): State<Site>, asked: Asked<From>| async move {
                let after = asked.map_or(0, |Query(from)| from.after);
                site.answer(move |source, _| Ok(source.cells(after))).await
            }),
        )
        .route(
            "/api/log",
            get(|State(site): State<Site>, asked: Asked<From>| async move {
                let after = asked.map_or(0, |Query(from)| from.after);
                site.answer(move |source, _| Ok(source.log(after))).await
            }),
        )
        .route("/api/actors", get(|State(site): State<Site>| site.answer(|source, _| answers::actors(source))))
        .route("/api/objects", get(|State(site): State<Site>| site.answer(|source, _| answers::objects(source))))
        .route("/api/errors", get(|State(site): State<Site>| site.answer(|source, _| answers::errors(source))))
        .route(guard::STACK, post(stack).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)))
        .fallback(|| async { (StatusCode::NOT_FOUND, "there is nothing at this address") })
        .layer(from_fn_with_state(site.clone(), guarded))
        .with_state(site)
}

/// Lets the guard look at each request, and gives each answer the headers of all.
async fn guarded(State(site): State<Site>, request: Request, next: Next) -> Response {
    let guard = &site.guard;
    let way = guard.admit(request.method(), request.uri(), request.headers());
    let methods = guard::methods(request.uri().path());
    let mut response = match way {
        Ok(_) => next.run(request).await,
        Err(refusal) => (refusal.status, refusal.message).into_response(),
    };
    let status = response.status();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static(methods));
    }
    if way == Ok(Way::Token) {
        // Without a path: behind a proxy the browser then gives it to this page alone.
        let cookie = format!("{}={}; HttpOnly; SameSite=Strict", guard.cookie_name, guard.cookie.digits());
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            headers.append(SET_COOKIE, cookie);
        }
    }
    response
}

fn page(document: std::io::Result<Document>) -> Response {
    match document {
        Ok(Document { text, policy }) => {
            let html = "text/html; charset=utf-8".to_owned();
            ([(CONTENT_TYPE, html), (CONTENT_SECURITY_POLICY, policy)], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("the page cannot be made: {error}")).into_response(),
    }
}

async fn report(State(site): State<Site>) -> Response {
    let made = site.on_a_thread(|source, watch| {
        watch.look();
        crate::report::report(source, watch)
    });
    match made.await {
        Ok(data) => {
            let mut response = page(document::report(&data));
            let name = HeaderValue::from_static("attachment; filename=\"mobula-report.html\"");
            response.headers_mut().insert(CONTENT_DISPOSITION, name);
            response
        }
        Err(error) => refused(&error),
    }
}

async fn stack(State(site): State<Site>, request: Request) -> Response {
    let choice = match tokio::time::timeout(BODY_MAX, Json::<StackChoice>::from_request(request, &())).await {
        Ok(Ok(Json(choice))) => choice,
        Ok(Err(error)) => return (error.status(), error.body_text()).into_response(),
        Err(_) => return (StatusCode::REQUEST_TIMEOUT, "the request did not end in time").into_response(),
    };
    let turn = site.stack.clone().lock_owned().await;
    site.answer(move |source, _| {
        // Also when who has asked is gone meanwhile.
        let _turn = turn;
        answers::stack(source, &choice)
    })
    .await
}

async fn prometheus(State(site): State<Site>) -> Response {
    let read = site.on_a_thread(|source, watch| {
        watch.look();
        let (store, actors) = (source.store_summary()?, answers::actor_list(source)?);
        Ok(metrics::metrics(&watch.picture(), &store, &actors))
    });
    match read.await {
        Ok(text) => ([(CONTENT_TYPE, metrics::TYPE)], text).into_response(),
        Err(error) => refused(&error),
    }
}

fn refused(error: &NoAnswer) -> Response {
    let status = match error {
        NoAnswer::Unanswered(_) => StatusCode::SERVICE_UNAVAILABLE,
        NoAnswer::Other => StatusCode::BAD_GATEWAY,
        NoAnswer::Missing { .. } | NoAnswer::Stack(NoStack::Ended { .. }) => StatusCode::NOT_FOUND,
        NoAnswer::Stack(NoStack::Traced { .. }) => StatusCode::CONFLICT,
        NoAnswer::Stack(_) => StatusCode::FORBIDDEN,
    };
    (status, error.to_string()).into_response()
}
