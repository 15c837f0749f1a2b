//! A calm path between busy machines: sound goes through whole, second after second.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use remotemedia_jitter::{AudioPlayout, PlayoutConfig, PlayoutStats, PullPhase};

use crate::call::{FRAME, Random, Tape, packet, speech};

const SEEDS: [u64; 6] = [1, 2, 3, 0xfeed, 77_777, 0xdead_beef];
const LENGTH: Duration = Duration::from_secs(300);
/// What is before is the beginning, in which the delay goes to its place.
const SETTLED: Duration = Duration::from_secs(3);
const PULL: Duration = Duration::from_millis(20);
/// How long a pull that would run dry waits for a packet, as the facade's does.
const GRACE: Duration = Duration::from_millis(10);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// How late the tasks of a machine run: up to `usual`, some in a hundred up to three times that, and a share of `rare` up to
/// `rarely`.
#[derive(Clone, Copy, Debug)]
struct Busy {
    usual: Duration,
    rarely: Duration,
    rare: f64,
}

impl Busy {
    fn lateness(&self, random: &mut Random) -> Duration {
        match random.unit() {
            unit if unit < self.rare => random.up_to(self.rarely),
            unit if unit < 0.05 => random.up_to(self.usual * 3),
            _ => random.up_to(self.usual),
        }
    }
}

/// What a reader with a clock of its own heard.
#[derive(Debug, Default)]
struct Heard {
    stats: PlayoutStats,
    early: PlayoutStats,
    /// Seconds after the beginning in which sound was taken out, repeated or made up.
    disturbed: u32,
    /// Changes of the delay, each of one splice or one concealment.
    changes: u32,
    /// From arrival to the pull that gave it, each pull.
    delays: Vec<Duration>,
    /// When the delay moved last within the first ten seconds.
    settled: Duration,
}

fn listen(seed: u64, sender: Busy, reader: Busy, in_pairs: f64) -> Heard {
    let mut random = Random(seed);
    let epoch = Instant::now();
    let mut playout = AudioPlayout::new(PlayoutConfig::opus(1), Tape::new(speech, false)).expect("legal");
    let mut phase = PullPhase::default();
    let mut arrivals = VecDeque::new();
    let (mut sent, mut last) = (0_u32, Duration::ZERO);
    let mut next = PULL.mul_f64(random.unit());
    let mut heard = Heard::default();
    let mut out = [0.0; FRAME];
    let mut before = PlayoutStats::default();
    let mut second = u64::MAX;
    while next < LENGTH {
        let late = reader.lateness(&mut random);
        let now = next + late;
        while PULL * sent <= now + PULL {
            // A packet that goes out with the one before is early; the network keeps the order.
            let due = PULL * sent + PULL;
            let due = if random.unit() < in_pairs { due - PULL } else { due };
            last = last.max(due + sender.lateness(&mut random));
            arrivals.push_back((last, sent));
            sent += 1;
        }
        let mut insert = |until: Duration, playout: &mut AudioPlayout<Tape>| {
            while let Some((arrival, index)) = arrivals.front().copied().filter(|(arrival, _)| *arrival <= until) {
                arrivals.pop_front();
                playout.insert(packet(u64::from(index), index, epoch + arrival));
            }
            arrivals.front().map_or(until, |(arrival, _)| *arrival)
        };
        let following = insert(now, &mut playout);
        let now = if playout.runs_dry(FRAME) { now.max(following.min(next + GRACE)) } else { now };
        insert(now, &mut playout);
        playout.pull(epoch + now, &mut out);
        let stats = playout.stats();
        let moved = |stats: &PlayoutStats| {
            stats.removed_samples_for_acceleration
                + stats.inserted_samples_for_deceleration
                + stats.concealed_samples
                + stats.comfort_samples
        };
        let emitted = stats.jitter_buffer_emitted_count - before.jitter_buffer_emitted_count;
        if now < SETTLED {
            heard.early = stats;
        }
        if moved(&stats) != moved(&before) {
            if now < ms(10_000) {
                heard.settled = now;
            }
            if now >= SETTLED {
                heard.changes += 1;
                heard.disturbed += u32::from(second != now.as_secs());
                second = now.as_secs();
            }
        }
        if emitted > 0 && now >= SETTLED {
            heard.delays.push((stats.jitter_buffer_delay - before.jitter_buffer_delay) / emitted as u32);
        }
        before = stats;
        next += phase.advance(playout.room(), PULL);
    }
    heard.stats = before;
    heard.delays.sort();
    heard
}

impl Heard {
    fn report(&self, name: &str, seed: u64) {
        let at = |share: f64| self.delays[(self.delays.len() as f64 * share) as usize].as_secs_f64() * 1e3;
        let ms = |of: fn(&PlayoutStats) -> u64| (of(&self.stats) - of(&self.early)) as f64 / 48.0;
        println!(
            "{name}: seed {seed}, {} disturbed seconds, {} changes, removed {:.1} ms, inserted {:.1} ms, concealed {:.1} ms, \
             delay p50 {:.1} p95 {:.1} ms, settled at {:.2} s",
            self.disturbed,
            self.changes,
            ms(|s| s.removed_samples_for_acceleration),
            ms(|s| s.inserted_samples_for_deceleration),
            ms(|s| s.concealed_samples + s.comfort_samples),
            at(0.5),
            at(0.95),
            self.settled.as_secs_f64(),
        );
    }
}

#[test]
fn on_a_calm_path_sound_goes_through_whole() {
    let quiet = Busy { usual: Duration::from_micros(500), rarely: ms(2), rare: 0.01 };
    let busy = Busy { usual: ms(2), rarely: ms(10), rare: 0.005 };
    let busier = Busy { usual: ms(3), rarely: ms(15), rare: 0.01 };
    for (name, sender, reader, in_pairs, most_delay) in [
        ("quiet", quiet, quiet, 0.0, ms(8)),
        ("busy sender", busy, quiet, 0.0, ms(16)),
        ("busy", busy, busy, 0.0, ms(17)),
        ("busier", busier, busy, 0.0, ms(23)),
        ("in pairs", busy, busy, 0.01, ms(20)),
    ] {
        for seed in SEEDS {
            let heard = listen(seed, sender, reader, in_pairs);
            heard.report(name, seed);
            // A pair that leaves early lowers the baseline, which can be worth a pull.
            assert!(heard.disturbed <= u32::from(in_pairs > 0.0), "{name}, seed {seed}: {} seconds", heard.disturbed);
            assert_eq!(heard.stats.concealed_samples, heard.early.concealed_samples, "{name}, seed {seed}");
            let p95 = heard.delays[heard.delays.len() * 95 / 100];
            assert!(p95 < most_delay, "{name}, seed {seed}: {p95:?}");
        }
    }
}
