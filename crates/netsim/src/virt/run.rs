use std::{env, panic::resume_unwind, str::FromStr, thread, time::Duration};

use futures_util::{FutureExt, future::ready};
use parking_lot::Mutex;
use tokio::{runtime::Builder, time::timeout};

use super::VirtualNetwork;

/// The environment variable that repeats a failure: its value, a seed or `seed@run`, takes the place of every seed.
///
/// The peer connections' driver picks among what is ready with a generator that `futures` seeds with the number of threads
/// that used one before: hence the number of the run, which a failure prints.
pub const SEED_VARIABLE: &str = "REMOTEMEDIA_SEED";

/// How much virtual time a test may take. One that waits for what never comes would otherwise spin on its timers for ever.
const LIMIT: Duration = Duration::from_secs(24 * 3_600);

/// Enough for the deep futures of unoptimised builds.
const STACK: usize = 16 << 20;

/// Runs `test` in virtual time, with an empty network seeded by `seed` (or by [`SEED_VARIABLE`] where that is set).
///
/// It runs on a thread and a single-threaded runtime of its own, for what a thread keeps from one test to the next
/// would make the second differ. What the test left running is dropped with the runtime.
///
/// # Panics
///
/// If `test` panics, having printed the seed; if it takes more than a day of virtual time; if the variable holds no seed.
pub fn run_virtual<T, F>(seed: u64, test: impl FnOnce(VirtualNetwork) -> F + Send + 'static) -> T
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let Repeat { seed, run } = overridden().unwrap_or(Repeat { seed, run: None });
    let body = move || {
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
        runtime.block_on(async {
            let network = VirtualNetwork::new(seed);
            timeout(LIMIT, test(network)).await.expect("the test to end within a day of virtual time")
        })
    };
    let (run, thread) = spawn_as(run, body);
    thread.join().unwrap_or_else(|panic| {
        eprintln!("failed with seed {seed}; {SEED_VARIABLE}={seed}@{run} and the name of this test alone repeat it");
        resume_unwind(panic)
    })
}

/// `count` seeds from `first` on; or the one of [`SEED_VARIABLE`] where that is set.
///
/// # Panics
///
/// If the variable holds no seed.
pub fn seeds(first: u64, count: u64) -> impl Iterator<Item = u64> {
    match overridden() {
        Some(Repeat { seed, .. }) => seed..seed + 1,
        None => first..first + count,
    }
}

/// What [`SEED_VARIABLE`] asks for.
struct Repeat {
    seed: u64,
    run: Option<u64>,
}

impl FromStr for Repeat {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (seed, run) = text.split_once('@').map_or((text, None), |(seed, run)| (seed, Some(run)));
        Ok(Self { seed: seed.parse()?, run: run.map(str::parse).transpose()? })
    }
}

fn overridden() -> Option<Repeat> {
    let text = env::var(SEED_VARIABLE).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{SEED_VARIABLE}={text:?} is no seed: give 17, or 17@3 for run 3")))
}

/// Threads that have a generator of `futures`.
static RUNS: Mutex<u64> = Mutex::new(0);

/// Runs `body` on a thread whose generator is number `run` of this process, or the next one if there is none or that one
/// has been.
fn spawn_as<T: Send + 'static>(
    run: Option<u64>,
    body: impl FnOnce() -> T + Send + 'static,
) -> (u64, thread::JoinHandle<T>) {
    let mut runs = RUNS.lock();
    while run.is_some_and(|run| *runs < run) {
        thread::spawn(take_generator).join().expect("a thread that does next to nothing");
        *runs += 1;
    }
    let number = *runs;
    *runs += 1;
    let (taken, wait) = std::sync::mpsc::sync_channel(1);
    let body = move || {
        take_generator();
        // Fails only if whoever waits for it is gone.
        let _ = taken.send(());
        body()
    };
    // A panic's message names the thread: let it be the test's.
    let name = thread::current().name().unwrap_or("virtual").to_owned();
    let thread = thread::Builder::new().name(name).stack_size(STACK).spawn(body).expect("a thread");
    // The next thread must not take its generator before this one has.
    let _ = wait.recv();
    (number, thread)
}

/// Makes `futures` seed this thread's generator now.
fn take_generator() {
    let (mut one, mut other) = (ready(()).fuse(), ready(()).fuse());
    let either = async {
        futures_util::select! {
            () = one => {}
            () = other => {}
        }
    };
    either.now_or_never().expect("both are ready");
}
