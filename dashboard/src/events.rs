//! The page's server-sent events: a step whenever something was seen, and never more of them than the reader takes.

use crate::step::{Place, step};
use crate::watch::Watch;
use axum::response::sse::{Event, Sse};
use futures_core::Stream;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// The events of one reader.
pub struct Steps(mpsc::Receiver<Event>);

impl Stream for Steps {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|event| event.map(Ok))
    }
}

/// Begins to tell a reader what is seen.
pub fn events(watch: &Arc<Watch>) -> Sse<Steps> {
    // Of a step that waits for the reader, the next one does not tell again: what happens meanwhile is put together in one.
    let (tell, steps) = mpsc::channel(1);
    let (watch, mut reader) = (watch.clone(), watch.reader());
    tokio::spawn(async move {
        let mut place = Place::default();
        loop {
            tokio::select! {
                seen = reader.looks.changed() => if seen.is_err() { return },
                () = tell.closed() => return,
            }
            let event = {
                let picture = watch.picture();
                match &picture.trouble {
                    Some(trouble) => Event::default().event("trouble").json_data(trouble.to_string()),
                    None => Ok(Event::default().event("step").data(step(&picture, &mut place))),
                }
            };
            let Ok(event) = event else { return };
            if tell.send(event).await.is_err() {
                return;
            }
        }
    });
    Sse::new(Steps(steps))
}
