//! Starts of sessions, of which the cluster fails some.

use crate::cluster::Cluster;
use std::collections::BTreeMap;

tests! {
    every_start_in_a_row_succeeds
}

/// How many starts there are, if it is not the usual short row.
const STARTS: &str = "MOBULA_TEST_RAY_STARTS";

fn every_start_in_a_row_succeeds(cluster: &Cluster) {
    let starts = std::env::var(STARTS).map_or(8, |starts| starts.parse().expect("a number of starts"));
    let mut attempts: BTreeMap<u32, u32> = BTreeMap::new();
    for _ in 0..starts {
        let session = cluster.session();
        *attempts.entry(session.server().attempts).or_default() += 1;
        session.close();
    }
    println!("{starts} starts, by the attempts that they took: {attempts:?}");
}
