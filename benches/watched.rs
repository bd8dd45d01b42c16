// What a reader of the web page costs the tasks: this file is a cell, run by `mobula run benches/watched.rs`.
//
// Samples with a reader and without one are taken in turn, so that what the machine does meanwhile meets both alike. Prints rows as
// benches/tasks.rs does.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Instant;

type Outcome<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn nop() -> i64 {
    1
}

fn work_a_millisecond() -> i64 {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(1) {}
    1
}

/// A reader of the page's events. It takes all of them and looks at none, so what is measured is what the page costs, and not a browser.
struct Reader {
    stream: TcpStream,
    thread: Option<std::thread::JoinHandle<u64>>,
}

impl Reader {
    /// Begins to read, and returns when the first event has come.
    fn start(url: &str) -> Outcome<Reader> {
        let (host, query) = url.trim_start_matches("http://").split_once("/?").ok_or("an address")?;
        let mut stream = TcpStream::connect(host)?;
        stream.write_all(format!("GET /events?{query} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes())?;
        let mut from = stream.try_clone()?;
        let (tell, told) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let (mut bytes, mut buffer) = (0, vec![0; 1 << 16]);
            while let Ok(read @ 1..) = from.read(&mut buffer) {
                bytes += read as u64;
                let _ = tell.send(());
            }
            bytes
        });
        told.recv()?;
        Ok(Reader { stream, thread: Some(thread) })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}

fn round_trips(count: usize) -> Outcome<()> {
    for _ in 0..count {
        get(&nop.remote())?;
    }
    Ok(())
}

fn fan_outs(count: usize) -> Outcome<()> {
    for _ in 0..count {
        let refs: Vec<ObjectRef<i64>> = (0..10_000).map(|_| nop.remote()).collect();
        get(&refs)?;
    }
    Ok(())
}

fn milliseconds(count: usize) -> Outcome<()> {
    let refs: Vec<ObjectRef<i64>> = (0..count).map(|_| work_a_millisecond.remote()).collect();
    get(&refs)?;
    Ok(())
}

fn print(name: &str, unit: &str, mut taken: Vec<f64>) {
    taken.sort_by(f64::total_cmp);
    let (median, min, max) = (taken[taken.len() / 2], taken[0], taken[taken.len() - 1]);
    println!(r#"{{"row":"{name}","unit":"{unit}","median":{median},"min":{min},"max":{max}}}"#);
}

/// Takes samples with a reader and without one in turn, and prints a row of each and one of how much longer the shortest with a reader takes, in percent.
fn rows(url: &str, name: &str, unit: &str, scale: f64, each: usize, work: impl Fn(usize) -> Outcome<()>) -> Outcome<()> {
    let samples: usize = std::env::var("MOBULA_BENCH_REPEATS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let timed = || -> Outcome<f64> {
        let begin = Instant::now();
        work(each)?;
        Ok(begin.elapsed().as_secs_f64() * scale / each as f64)
    };
    timed()?;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..2 * samples {
        without.push(timed()?);
        let reader = Reader::start(url)?;
        with.push(timed()?);
        drop(reader);
    }
    let least = |taken: &[f64]| taken.iter().copied().fold(f64::INFINITY, f64::min);
    let (costs, mut more) = (
        (least(&with) / least(&without) - 1.0) * 100.0,
        with.iter().zip(&without).map(|(with, without)| (with / without - 1.0) * 100.0).collect::<Vec<f64>>(),
    );
    more.sort_by(f64::total_cmp);
    print(&format!("unwatched_{name}"), unit, without);
    print(&format!("watched_{name}"), unit, with);
    // What else runs on the machine only ever adds, so the shortest samples say most; the pairs say how far they are from each other.
    let (min, max) = (more[0], more[more.len() - 1]);
    println!(r#"{{"row":"watching_{name}","unit":"%","median":{costs},"min":{min},"max":{max}}}"#);
    Ok(())
}

fn measure() -> Outcome<()> {
    let url = dashboard()?.url;
    rows(&url, "round_trip", "us", 1e6, 500_000, round_trips)?;
    rows(&url, "fan_out_10k", "ms", 1e3, 150, fan_outs)?;
    rows(&url, "task_of_1ms", "ms", 1e3, 2_000, milliseconds)
}

measure()?;
