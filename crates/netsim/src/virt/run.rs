use std::{env, panic::resume_unwind, thread, time::Duration};

use tokio::{runtime::Builder, time::timeout};

use super::VirtualNetwork;

/// The environment variable whose value takes the place of every seed, to repeat a failure.
pub const SEED_VARIABLE: &str = "REMOTEMEDIA_SEED";

/// How much virtual time a test may take. One that waits for what never comes would otherwise spin on its timers for ever.
const LIMIT: Duration = Duration::from_secs(24 * 3_600);

/// Enough for the deep futures of unoptimised builds.
const STACK: usize = 16 << 20;

/// Runs `test` in virtual time, with an empty network seeded by `seed` (or by [`SEED_VARIABLE`] where that is set).
///
/// It runs on a thread and a single-threaded runtime of its own, for what a thread keeps from one test to the next
/// (random streams, for one) would make the second differ. What the test left running is dropped with the runtime.
///
/// # Panics
///
/// If `test` panics, having printed the seed; if it takes more than a day of virtual time; if the variable is no number.
pub fn run_virtual<T, F>(seed: u64, test: impl FnOnce(VirtualNetwork) -> F + Send + 'static) -> T
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let seed = overridden().unwrap_or(seed);
    let body = move || {
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
        runtime.block_on(async {
            let network = VirtualNetwork::new(seed);
            timeout(LIMIT, test(network)).await.expect("the test to end within a day of virtual time")
        })
    };
    // A panic's message names the thread: let it be the test's.
    let name = thread::current().name().unwrap_or("virtual").to_owned();
    let thread = thread::Builder::new().name(name).stack_size(STACK).spawn(body).expect("a thread");
    thread.join().unwrap_or_else(|panic| {
        eprintln!("failed with seed {seed}; {SEED_VARIABLE}={seed} repeats it");
        resume_unwind(panic)
    })
}

/// `count` seeds from `first` on; or the one of [`SEED_VARIABLE`] where that is set.
///
/// # Panics
///
/// If the variable is no number.
pub fn seeds(first: u64, count: u64) -> impl Iterator<Item = u64> {
    match overridden() {
        Some(seed) => seed..seed + 1,
        None => first..first + count,
    }
}

fn overridden() -> Option<u64> {
    let text = env::var(SEED_VARIABLE).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{SEED_VARIABLE}={text:?} is no seed: give a whole number")))
}
