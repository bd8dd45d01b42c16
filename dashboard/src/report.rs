//! A report: all that the page shows, at one moment.

use crate::answers::{self, NoAnswer};
use crate::document;
use crate::source::Source;
use crate::step::whole;
use crate::watch::Watch;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The data of a report, as the page asks for them.
///
/// # Errors
/// The runtime is gone.
pub fn report(source: &dyn Source, watch: &Watch) -> Result<Value, NoAnswer> {
    if let Some(trouble) = &watch.picture().trouble {
        return Err(trouble.clone().into());
    }
    let step: Value = serde_json::from_str(&whole(&watch.picture())).unwrap_or_default();
    let ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    Ok(json!({
        "made_ms": ms,
        "step": step,
        "cells": source.cells(0),
        "actors": answers::actors(source)?,
        "objects": answers::objects(source)?,
        "errors": answers::errors(source)?,
        "log": source.log(0),
    }))
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoReport {
    /// The runtime tells nothing.
    #[error("{reason}")]
    Untold {
        /// The reason.
        reason: String,
    },
    /// The page of the runtime cannot be reached.
    #[error("the web page at {host} cannot be reached")]
    Unreachable {
        /// Its name and port.
        host: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// The page of a source at this moment, with its data in it: one file that needs no server.
///
/// # Errors
/// See [`NoReport`].
pub fn report_page(source: Arc<dyn Source>) -> Result<String, NoReport> {
    let watch = Watch::new(source.clone());
    watch.look();
    let untold = |reason: String| NoReport::Untold { reason };
    let data = report(&*source, &watch).map_err(|error| untold(error.to_string()))?;
    document::report(&data).map(|document| document.text).map_err(|error| untold(error.to_string()))
}

/// The report of a page that another process serves, by the page's address: with the cells and the log of that process.
///
/// # Errors
/// See [`NoReport`].
pub fn saved_report(url: &str) -> Result<String, NoReport> {
    let untold = |reason: &str| NoReport::Untold { reason: reason.to_owned() };
    let parts = url.strip_prefix("http://").and_then(|rest| rest.split_once("/?"));
    let (host, query) = parts.ok_or_else(|| untold("the page has an address of another form"))?;
    let unreachable = |source| NoReport::Unreachable { host: host.to_owned(), source };
    let mut stream = TcpStream::connect(host).map_err(unreachable)?;
    stream.set_read_timeout(Some(ANSWER_MAX)).map_err(unreachable)?;
    // In this version of HTTP, the answer is what comes until the end.
    let request = format!("GET /report?{query} HTTP/1.0\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(unreachable)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(unreachable)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| untold("the page gave no answer"))?;
    if head.split(' ').nth(1) == Some("200") { Ok(body.to_owned()) } else { Err(untold(body)) }
}

/// How long a page may be silent.
const ANSWER_MAX: Duration = Duration::from_secs(60);
