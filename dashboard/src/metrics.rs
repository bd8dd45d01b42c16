//! The runtime's numbers in Prometheus' text form.

use crate::watch::Picture;
use mobula_abi::{ActorEntry, ActorState, StoreSummary};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::AtomicU64;

type Labels = Vec<(&'static str, String)>;

/// The media type of the text.
pub const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What was seen, as text.
pub fn metrics(picture: &Picture, store: &StoreSummary, actors: &[ActorEntry]) -> String {
    let mut registry = Registry::with_prefix("mobula");
    let ended = Family::<Labels, Counter>::default();
    let (now, ran) = (Family::<Labels, Gauge>::default(), Family::<Labels, Counter<f64, AtomicU64>>::default());
    let functions = picture.history.names.iter().zip(&picture.history.functions);
    for (name, counted) in functions {
        let with = |key: &'static str, value: &str| vec![("function", name.clone()), (key, value.to_owned())];
        let counts = &counted.counts;
        for (outcome, runs) in [("finished", counts.done), ("failed", counts.failed), ("cancelled", counts.cancelled)] {
            ended.get_or_create(&with("outcome", outcome)).inc_by(runs);
        }
        for (state, runs) in [("running", counts.running), ("waiting", counts.waiting)] {
            now.get_or_create(&with("state", state)).set(signed(runs));
        }
        ran.get_or_create(&vec![("function", name.clone())]).inc_by(counts.ran_ns as f64 / 1e9);
    }
    registry.register("task_runs", "Runs of tasks that have ended", ended);
    registry.register("tasks", "Tasks that have not ended", now);
    registry.register_with_unit("task_run_time", "Time that runs of tasks took", Unit::Seconds, ran);
    let forgotten: Counter = Counter::default();
    forgotten.inc_by(picture.history.missed);
    registry.register("task_runs_forgotten", "Runs that were forgotten before they were counted", forgotten);
    let (used, total) =
        (Family::<Labels, Gauge<f64, AtomicU64>>::default(), Family::<Labels, Gauge<f64, AtomicU64>>::default());
    for resource in picture.status.iter().flat_map(|status| &status.resources) {
        let labels = vec![("resource", resource.name.clone())];
        used.get_or_create(&labels).set(resource.in_use);
        total.get_or_create(&labels).set(resource.total);
    }
    registry.register("resource_used", "Resources that tasks and actors have", used);
    registry.register("resource_total", "Resources that there are", total);
    let (objects, bytes) = (Family::<Labels, Gauge>::default(), Family::<Labels, Gauge>::default());
    for share in &store.places {
        let labels = vec![("place", share.name.clone())];
        objects.get_or_create(&labels).set(signed(share.objects));
        bytes.get_or_create(&labels).set(signed(share.bytes));
    }
    registry.register("objects", "Objects by the place of their bytes", objects);
    registry.register_with_unit("objects", "Sizes of objects by the place of their bytes", Unit::Bytes, bytes);
    let states = Family::<Labels, Gauge>::default();
    for (state, is_it) in [("starting", is_starting as fn(&ActorEntry) -> bool), ("alive", is_alive), ("dead", is_dead)]
    {
        let number = actors.iter().filter(|actor| is_it(actor)).count() as u64;
        states.get_or_create(&vec![("state", state.to_owned())]).set(signed(number));
    }
    registry.register("actors", "Actors by state", states);
    let workers: Gauge = Gauge::default();
    workers.set(picture.status.as_ref().map_or(0, |status| i64::from(status.workers)));
    registry.register("workers", "Processes for tasks and actors", workers);
    let mut text = String::new();
    // Writing to a text cannot fail.
    let _ = encode(&mut text, &registry);
    text
}

fn is_starting(actor: &ActorEntry) -> bool {
    actor.state == ActorState::Starting
}

fn is_alive(actor: &ActorEntry) -> bool {
    matches!(actor.state, ActorState::Alive { .. })
}

fn is_dead(actor: &ActorEntry) -> bool {
    actor.state == ActorState::Dead
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}
