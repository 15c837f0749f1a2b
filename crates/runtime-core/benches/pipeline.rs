//! What the runner costs per node and 10 ms of audio: `cargo bench -p remotemedia-runtime-core`.
//!
//! Prints n, p50, p95 and p99 in microseconds of the way through 1 and through 9 `Echo` nodes, one chunk at a time; the
//! difference, divided by 8, is the cost of a node. Allocations are counted over the steady state.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use remotemedia_runtime_core::{
    data::AudioFrame, manifest::Manifest, runner::PipelineRunner, transport::TransportData,
};
use serde_json::Value;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[allow(unsafe_code, reason = "an allocator cannot be written otherwise")]
// SAFETY: every call is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are the callee's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the callee's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CHUNKS: usize = 20_000;

fn main() {
    for (name, runtime) in [
        ("current thread", tokio::runtime::Builder::new_current_thread().enable_all().build()),
        ("multi thread", tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()),
    ] {
        let runtime = runtime.expect("a runtime");
        let one = runtime.block_on(chain(1));
        let nine = runtime.block_on(chain(9));
        report(&format!("{name}, 1 Echo"), &one);
        report(&format!("{name}, 9 Echo"), &nine);
        let per_node = (nine.p(0.5).as_secs_f64() - one.p(0.5).as_secs_f64()) / 8.0;
        println!("{name:>16}: {:.2} us per node (p50)", per_node * 1e6);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(create_and_close());
}

struct Measured {
    times: Vec<Duration>,
    allocations_per_chunk: Option<f64>,
}

impl Measured {
    fn new(mut times: Vec<Duration>, allocations: Option<u64>) -> Self {
        times.sort();
        let allocations_per_chunk = allocations.map(|count| count as f64 / times.len() as f64);
        Self { times, allocations_per_chunk }
    }

    fn p(&self, share: f64) -> Duration {
        self.times[((self.times.len() - 1) as f64 * share) as usize]
    }
}

fn report(name: &str, measured: &Measured) {
    let us = |share| measured.p(share).as_secs_f64() * 1e6;
    let allocations = measured.allocations_per_chunk;
    let allocations = allocations.map_or_else(String::new, |count| format!(", {count:.3} allocations per chunk"));
    println!(
        "{name:>24}: n {}, p50 {:.1} us, p95 {:.1} us, p99 {:.1} us{allocations}",
        measured.times.len(),
        us(0.5),
        us(0.95),
        us(0.99)
    );
}

fn echoes(count: usize) -> Manifest {
    let mut builder = Manifest::builder();
    for index in 0..count {
        builder = builder.node(&format!("n{index}"), "Echo", Value::Null);
    }
    for index in 1..count {
        builder = builder.edge(&format!("n{}", index - 1), &format!("n{index}"));
    }
    builder.build().expect("a chain")
}

async fn chain(nodes: usize) -> Measured {
    let mut session = PipelineRunner::new().create_session(&echoes(nodes)).expect("a session");
    let frame = Arc::new(AudioFrame::new(vec![0.1; 480], 48_000, 1).expect("a frame"));
    let mut times = Vec::with_capacity(CHUNKS);
    let mut before = 0;
    for chunk in 0..CHUNKS + 1_000 {
        if chunk == 1_000 {
            before = ALLOCATIONS.load(Ordering::Relaxed);
        }
        let started = Instant::now();
        session.send_input(TransportData::new(Arc::clone(&frame))).await.expect("accepted");
        while session.recv_output().await.expect("no failure").is_some() {}
        if chunk >= 1_000 {
            times.push(started.elapsed());
        }
    }
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    Measured::new(times, Some(allocations))
}

async fn create_and_close() {
    let (runner, manifest) = (PipelineRunner::new(), echoes(9));
    let (mut created, mut closed) = (Vec::new(), Vec::new());
    for _ in 0..1_000 {
        let started = Instant::now();
        let mut session = runner.create_session(&manifest).expect("a session");
        created.push(started.elapsed());
        let started = Instant::now();
        session.close().await;
        closed.push(started.elapsed());
    }
    report("create a session of 9", &Measured::new(created, None));
    report("close it", &Measured::new(closed, None));
}
