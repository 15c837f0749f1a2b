//! `cargo xtask bench pipeline`: what the runner costs, without any transport.
//!
//! Prints a table, and with `--json` one JSON object on the last line:
//!
//! - `echo_us`: 10 ms of audio through one `Echo`, from `send_input` to `recv_output`, one chunk at a time;
//! - `node_us`: what each further node adds, from the difference between 9 and 1 of them; `allocations` is per chunk and node.
//!   `echo` is the node of that name; `copying` copies the samples, as every node of a runner without shared frames would;
//! - `ten_peers_ms`: ten sessions at once, each given 1,000 chunks per second: how late each chunk comes out; `dropped`
//!   counts those that found 100 of their session waiting;
//! - `create_ms`, `close_ms`: a session of nine nodes, with 16 chunks under way when it is closed.
//!
//! It fails if the runner allocates, drops, or copies half as much as a copying one, and if a time is far beyond what is
//! promised: ten times, since machines differ and have other work.

mod allocations;
#[path = "../../../webrtc/benches/call/figure.rs"]
mod figure;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use figure::{Figure, Report};
use remotemedia_runtime_core::{
    data::{AudioFrame, RuntimeData},
    manifest::Manifest,
    node::NodeRegistry,
    runner::PipelineRunner,
    transport::TransportData,
};
use serde_json::Value;

type Error = Box<dyn std::error::Error + Send + Sync>;

const CHUNKS: usize = 20_000;
const WARM_UP: usize = 1_000;
const PEERS: usize = 10;
const PER_SECOND: u32 = 1_000;
const SECONDS: u32 = 5;
/// Chunks of one session that may wait, as in a route: two seconds of 20 ms frames.
const WAITING: usize = 100;

fn main() -> Result<(), Error> {
    let json = std::env::args().any(|argument| argument == "--json");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut report = Report::default();
    let limits = runtime.block_on(async {
        let (one, in_one) = chain("Echo", 1).await?;
        let (nine, in_nine) = chain("Echo", 9).await?;
        let (copy, in_copy) = chain("Copy", 1).await?;
        let (copies, in_copies) = chain("Copy", 9).await?;
        let per_node = |nine: &[f64], one: &[f64]| nine.iter().zip(one).map(|(nine, one)| (nine - one) / 8.0).collect();
        let in_copies = (in_copies - in_copy) / 8.0;
        let in_nine = (in_nine - in_one) / 8.0;
        report.add_case("node_us", "echo", Figure::new("us", per_node(&nine, &one)).with("allocations", in_nine));
        report.add_case(
            "node_us",
            "copying",
            Figure::new("us", per_node(&copies, &copy)).with("allocations", in_copies),
        );
        let mut limits = Limits::default();
        // The whole process is counted, whose other threads allocate a few times in all; one a chunk would be a thousand times more.
        limits.at_most("allocations per chunk and node", in_nine.max(in_one), 0.001);
        limits.at_most("allocations per chunk and node, twice", 2.0 * in_nine, in_copies);
        limits.at_most("echo_us p50", median(&one), 10.0 * 50.0);
        report.add("echo_us", Figure::new("us", one).with("allocations", in_one));
        let (late, dropped) = ten_peers().await?;
        limits.at_most("ten_peers_ms dropped", dropped as f64, 0.0);
        report.add("ten_peers_ms", Figure::new("ms", late).with("dropped", dropped as f64));
        let (created, closed) = create_and_close().await?;
        limits.at_most("create_ms p50", median(&created), 10.0 * 5.0);
        limits.at_most("close_ms p50", median(&closed), 10.0 * 50.0);
        report.add("create_ms", Figure::new("ms", created));
        report.add("close_ms", Figure::new("ms", closed));
        Ok::<Limits, Error>(limits)
    });
    let limits = limits?;
    report.print_table();
    if json {
        println!("{}", report.to_json());
    }
    limits.check()
}

/// What was beyond its limit.
#[derive(Default)]
struct Limits {
    passed: Vec<String>,
}

impl Limits {
    fn at_most(&mut self, figure: &str, value: f64, limit: f64) {
        if value > limit {
            self.passed.push(format!("{figure}: {value:.3} is more than {limit:.3}"));
        }
    }

    fn check(self) -> Result<(), Error> {
        if self.passed.is_empty() { Ok(()) } else { Err(self.passed.join("; ").into()) }
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A runner that knows, besides its own types, one that copies what it is given.
fn runner() -> PipelineRunner {
    let mut registry = NodeRegistry::with_builtin();
    registry.register_fn("Copy", |input, out| {
        match input {
            RuntimeData::Audio { frame } => out.emit(AudioFrame::clone(&frame)),
            other => out.emit(other),
        }
        Ok(())
    });
    PipelineRunner::with_registry(registry)
}

fn nodes(node_type: &str, count: usize) -> Result<Manifest, Error> {
    let mut builder = Manifest::builder();
    for index in 0..count {
        builder = builder.node(&format!("n{index}"), node_type, Value::Null);
    }
    for index in 1..count {
        builder = builder.edge(&format!("n{}", index - 1), &format!("n{index}"));
    }
    Ok(builder.build()?)
}

/// Microseconds per chunk, in order of size, and allocations per chunk.
async fn chain(node_type: &str, count: usize) -> Result<(Vec<f64>, f64), Error> {
    let mut session = runner().create_session(&nodes(node_type, count)?)?;
    let frame = Arc::new(AudioFrame::new(vec![0.1; 480], 48_000, 1)?);
    let mut times = Vec::with_capacity(CHUNKS);
    let mut before = 0;
    for chunk in 0..WARM_UP + CHUNKS {
        if chunk == WARM_UP {
            before = allocations::count();
        }
        let started = Instant::now();
        session.send_input(TransportData::new(Arc::clone(&frame))).await?;
        while session.recv_output().await?.is_some() {}
        if chunk >= WARM_UP {
            times.push(started.elapsed().as_secs_f64() * 1e6);
        }
    }
    let allocations = (allocations::count() - before) as f64 / CHUNKS as f64;
    times.sort_by(f64::total_cmp);
    Ok((times, allocations))
}

/// How late chunks come out, in milliseconds, and how many were dropped.
async fn ten_peers() -> Result<(Vec<f64>, usize), Error> {
    let mut tasks = Vec::new();
    for _ in 0..PEERS {
        // Room for those that count as dropped, so that none is held back instead.
        let manifest = Manifest::builder().node("n0", "Echo", Value::Null).queue(2 * WAITING).build()?;
        let session = runner().create_session(&manifest)?;
        let (sender, mut receiver) = session.split();
        let start = tokio::time::Instant::now() + Duration::from_millis(50);
        let due = move |number: u32| start + Duration::from_secs(1) / PER_SECOND * number;
        let sending = tokio::spawn(async move {
            let frame = Arc::new(AudioFrame::new(vec![0.1; 48], 48_000, 1)?);
            let mut dropped = 0;
            for number in 0..PER_SECOND * SECONDS {
                tokio::time::sleep_until(due(number)).await;
                let waiting: usize = sender.control().metrics().iter().map(|node| node.queued).sum();
                if waiting >= WAITING {
                    dropped += 1;
                    continue;
                }
                let input = TransportData::new(Arc::clone(&frame)).with_sequence(number.into());
                sender.send_input(input).await?;
            }
            sender.finish().await?;
            Ok::<usize, Error>(dropped)
        });
        let receiving = tokio::spawn(async move {
            let mut late = Vec::new();
            while let Some(output) = receiver.next_output().await? {
                let number =
                    output.sequence.and_then(|number| u32::try_from(number).ok()).ok_or("no sequence number")?;
                late.push(due(number).elapsed().as_secs_f64() * 1e3);
            }
            Ok::<Vec<f64>, Error>(late)
        });
        tasks.push((sending, receiving));
    }
    let (mut late, mut dropped) = (Vec::new(), 0);
    for (sending, receiving) in tasks {
        dropped += sending.await??;
        late.extend(receiving.await??);
    }
    let expected = PEERS * (PER_SECOND * SECONDS) as usize;
    if late.len() + dropped != expected {
        return Err(format!("{} of {expected} chunks came out, {dropped} were dropped", late.len()).into());
    }
    Ok((late, dropped))
}

/// Milliseconds to create a session and to close it.
async fn create_and_close() -> Result<(Vec<f64>, Vec<f64>), Error> {
    let (runner, manifest) = (runner(), nodes("Echo", 9)?);
    let frame = Arc::new(AudioFrame::new(vec![0.1; 480], 48_000, 1)?);
    let (mut created, mut closed) = (Vec::new(), Vec::new());
    for _ in 0..1_000 {
        let started = Instant::now();
        let mut session = runner.create_session(&manifest)?;
        created.push(started.elapsed().as_secs_f64() * 1e3);
        for _ in 0..16 {
            session.send_input(TransportData::new(Arc::clone(&frame))).await?;
        }
        let started = Instant::now();
        session.close().await;
        closed.push(started.elapsed().as_secs_f64() * 1e3);
    }
    Ok((created, closed))
}
