//! The round trip of a request between two processes by iceoryx2: the floor of what a task's round trip can cost, as this trade has it.
//!
//! ```text
//!   this program ──spawns──▶ itself, as `serve`: looks for requests without ever sleeping, and adds one to each
//!        └── 10,000 requests, one after the other, looking for each response without ever sleeping
//! ```
//!
//! `--json FILE` writes the row for `benches/compare`. Both sides spin, which a runtime cannot do whose processors are for tasks.

use iceoryx2::prelude::*;
use std::error::Error;
use std::process::Command;
use std::time::Instant;

const ROUND_TRIPS: u64 = 10_000;

/// The request that ends the other process.
const END: u64 = u64::MAX;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("serve") => serve(&args[2]),
        Some("--json") => Ok(std::fs::write(&args[2], measure()?)?),
        _ => Ok(println!("{}", measure()?)),
    }
}

type Service = iceoryx2::service::port_factory::request_response::PortFactory<ipc::Service, u64, (), u64, ()>;

fn service(node: &Node<ipc::Service>, name: &str) -> Result<Service, Box<dyn Error>> {
    Ok(node.service_builder(&name.try_into()?).request_response::<u64, u64>().open_or_create()?)
}

fn serve(name: &str) -> Result<(), Box<dyn Error>> {
    set_log_level(LogLevel::Error);
    let node = NodeBuilder::new().create::<ipc::Service>()?;
    let server = service(&node, name)?.server_builder().create()?;
    loop {
        let Some(request) = server.receive()? else {
            std::hint::spin_loop();
            continue;
        };
        let number = *request;
        request.send_copy(number.wrapping_add(1))?;
        if number == END {
            return Ok(());
        }
    }
}

/// The row, as `benches/compare` reads it.
fn measure() -> Result<String, Box<dyn Error>> {
    set_log_level(LogLevel::Error);
    let name = format!("mobula-bench-{}", std::process::id());
    let node = NodeBuilder::new().create::<ipc::Service>()?;
    let client = service(&node, &name)?.client_builder().create()?;
    let mut server = Command::new(std::env::current_exe()?).args(["serve", &name]).spawn()?;
    let ask = |number: u64| -> Result<u64, Box<dyn Error>> {
        loop {
            let pending = client.send_copy(number)?;
            // Until the other process is there, a request reaches nobody.
            while pending.is_connected() || pending.has_response() {
                if let Some(response) = pending.receive()? {
                    return Ok(*response);
                }
                std::hint::spin_loop();
            }
        }
    };
    assert_eq!(ask(1)?, 2);
    let repeats = std::env::var("MOBULA_BENCH_REPEATS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let mut samples: Vec<f64> = Vec::new();
    for _ in 0..repeats {
        let begun = Instant::now();
        for number in 0..ROUND_TRIPS {
            assert_eq!(ask(number)?, number + 1);
        }
        samples.push(begun.elapsed().as_secs_f64() * 1e6 / ROUND_TRIPS as f64);
    }
    ask(END)?;
    server.wait()?;
    samples.sort_by(f64::total_cmp);
    let (median, min, max) = (samples[samples.len() / 2], samples[0], samples[samples.len() - 1]);
    let row = format!(r#"{{"unit": "us", "median": {median:.3}, "min": {min:.3}, "max": {max:.3}}}"#);
    Ok(format!(r#"{{"peer": "iceoryx2", "rows": {{"task_round_trip": {row}}}}}"#))
}
