//! The contract of tasks, objects and actors, whatever runs them: the scripts of `tests/contract`, here on a session's own runtime and on one that
//! sessions share. `tests/ray` runs them on a Ray cluster.

use crate::support::{Place, finish};
use std::path::Path;

fn holds(script: &str) {
    let place = Place::new();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract").join(script);
    finish(place.mobula().arg("run").arg(path)).exits(0);
    place.leaves_nothing();
}

/// A test for each script, on both.
macro_rules! hold {
    ($($own:ident, $shared:ident: $script:literal)*) => {$(
        #[test]
        fn $own() {
            holds($script);
        }

        #[test]
        fn $shared() {
            Place::shared(|| holds($script));
        }
    )*};
}

hold! {
    tasks_and_objects_keep_the_contract, tasks_and_objects_keep_the_contract_on_a_shared_runtime: "tasks.rs"
    failures_keep_the_contract, failures_keep_the_contract_on_a_shared_runtime: "failures.rs"
    actors_keep_the_contract, actors_keep_the_contract_on_a_shared_runtime: "actors.rs"
    options_keep_the_contract, options_keep_the_contract_on_a_shared_runtime: "options.rs"
}
