//! How long sound waits, and what is lost for it, on one network after another.

use std::time::Duration;

use remotemedia_jitter::{PlayoutMode, PlayoutStats};

use crate::call::{Call, Fate, Random, noise, report, speech, tone};

const SEEDS: [u64; 3] = [1, 0xfeed, 77_777];

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Runs a call and counts from its tenth second on.
fn steady(call: &Call, network: impl FnMut(&mut Random, Duration) -> Fate) -> PlayoutStats {
    let mut early = None;
    let end = call.run(network, |at, _, playout| {
        if at < ms(10_000) {
            early = Some(playout.stats());
        }
    });
    let early = early.expect("a call longer than ten seconds");
    PlayoutStats {
        total_samples_received: end.total_samples_received - early.total_samples_received,
        concealed_samples: end.concealed_samples - early.concealed_samples,
        concealment_events: end.concealment_events - early.concealment_events,
        jitter_buffer_delay: end.jitter_buffer_delay - early.jitter_buffer_delay,
        jitter_buffer_target_delay: end.jitter_buffer_target_delay - early.jitter_buffer_target_delay,
        jitter_buffer_emitted_count: end.jitter_buffer_emitted_count - early.jitter_buffer_emitted_count,
        removed_samples_for_acceleration: end.removed_samples_for_acceleration - early.removed_samples_for_acceleration,
        inserted_samples_for_deceleration: end.inserted_samples_for_deceleration
            - early.inserted_samples_for_deceleration,
        recovered_samples: end.recovered_samples - early.recovered_samples,
        packets_discarded: end.packets_discarded - early.packets_discarded,
        packets_lost: end.packets_lost - early.packets_lost,
        ..end
    }
}

#[test]
fn on_a_clean_path_the_delay_settles_below_one_packet() {
    for phase in [0, 100, 3_700, 9_900, 14_000] {
        for signal in [speech, tone] {
            let call = Call { phase: Duration::from_micros(phase), signal, ..Call::new(1, ms(30_000)) };
            let stats = steady(&call, |_, _| Fate::Delivered(ms(5)));
            report(&format!("clean, phase {phase} us"), call.seed, &stats);
            // Half a packet is the least: its second half waits for the next pull.
            assert!(stats.mean_delay() < ms(20), "{:?}", stats.mean_delay());
            assert_eq!(stats.concealed_samples, 0);
        }
    }
}

#[test]
fn on_a_loopback_with_small_jitter_nothing_is_concealed() {
    for seed in SEEDS {
        let call = Call::new(seed, ms(60_000));
        let stats = steady(&call, |random, _| Fate::Delivered(random.up_to(Duration::from_micros(1_500))));
        report("loopback", seed, &stats);
        assert!(stats.mean_delay() < ms(22), "seed {seed}: {:?}", stats.mean_delay());
        assert!(stats.concealed_ratio() < 0.001, "seed {seed}");
    }
}

#[test]
fn an_unsteady_reader_is_served_without_concealment() {
    for (pull, most) in [(ms(10), ms(24)), (ms(20), ms(34))] {
        for seed in SEEDS {
            let call = Call { pull, lateness: ms(3), ..Call::new(seed, ms(60_000)) };
            let stats = steady(&call, |random, _| Fate::Delivered(random.up_to(Duration::from_micros(1_500))));
            report(&format!("pulls of {pull:?}, up to 3 and 15 ms late"), seed, &stats);
            assert!(stats.mean_delay() < most, "seed {seed}: {:?}", stats.mean_delay());
            assert!(stats.concealed_ratio() < 0.001, "seed {seed}");
        }
    }
}

#[test]
fn the_start_delay_is_left_within_two_seconds() {
    let mut delays = Vec::new();
    let mut last = PlayoutStats::default();
    Call::new(1, ms(3_000)).run(
        |_, _| Fate::Delivered(ms(5)),
        |at, _, playout| {
            let stats = playout.stats();
            let waited = stats.jitter_buffer_delay - last.jitter_buffer_delay;
            delays.push((at, waited / 480));
            last = stats;
        },
    );
    let at = |time| delays.iter().find(|(at, _)| *at > time).map(|(_, delay)| *delay).unwrap_or_default();
    println!(
        "delay at 0.1 s {:?}, 0.5 s {:?}, 1 s {:?}, 2 s {:?}",
        at(ms(100)),
        at(ms(500)),
        at(ms(1_000)),
        at(ms(2_000))
    );
    assert!(at(ms(100)) > ms(40), "it begins where it was told to");
    assert!(at(ms(2_000)) < ms(25));
}

#[test]
fn jitter_is_waited_for_as_long_as_it_pays() {
    // Delays of independent packets: they overtake one another.
    for (name, most_concealed, most_delay, spread) in
        [("jitter 0-40 ms", 0.004, ms(50), ms(40)), ("jitter 0-100 ms", 0.006, ms(112), ms(100))]
    {
        for seed in SEEDS {
            let stats = steady(&Call::new(seed, ms(60_000)), |random, _| Fate::Delivered(random.up_to(spread)));
            report(name, seed, &stats);
            assert!(stats.concealed_ratio() < most_concealed, "seed {seed}: {}", stats.concealed_ratio());
            assert!(stats.mean_delay() < most_delay, "seed {seed}: {:?}", stats.mean_delay());
        }
    }
}

#[test]
fn a_rare_spike_does_not_raise_the_delay() {
    for seed in SEEDS {
        let spiky = |random: &mut Random, _| Fate::Delivered(if random.unit() < 0.01 { ms(150) } else { ms(5) });
        let stats = steady(&Call::new(seed, ms(60_000)), spiky);
        report("1 % spikes of 150 ms", seed, &stats);
        assert!(stats.mean_delay() < ms(30), "seed {seed}: {:?}", stats.mean_delay());
        assert!(stats.concealed_ratio() < 0.016, "seed {seed}: {}", stats.concealed_ratio());
    }
}

#[test]
fn loss_is_concealed_once_and_costs_no_delay() {
    for (share, most) in [(0.05, 0.075), (0.10, 0.135)] {
        for seed in SEEDS {
            let lossy = |random: &mut Random, _| match random.unit() < share {
                true => Fate::Lost,
                false => Fate::Delivered(ms(5)),
            };
            let stats = steady(&Call::new(seed, ms(60_000)), lossy);
            report(&format!("loss {share}"), seed, &stats);
            assert!(stats.concealed_ratio() < most, "seed {seed}: {}", stats.concealed_ratio());
            assert!(stats.mean_delay() < ms(30), "seed {seed}: {:?}", stats.mean_delay());
        }
    }
}

#[test]
fn redundancy_is_waited_for_where_losses_are_frequent() {
    for (share, most_concealed, most_delay) in [(0.05, 0.010, 45), (0.1, 0.03, 45)] {
        for seed in SEEDS {
            let call = Call { redundancy: true, ..Call::new(seed, ms(60_000)) };
            let lossy = |random: &mut Random, _| match random.unit() < share {
                true => Fate::Lost,
                false => Fate::Delivered(ms(5)),
            };
            let stats = steady(&call, lossy);
            report(&format!("loss {share} with redundancy"), seed, &stats);
            // What is lost together with the packet behind it cannot be recovered.
            assert!(stats.concealed_ratio() < most_concealed, "seed {seed}: {}", stats.concealed_ratio());
            assert!(stats.mean_delay() < ms(most_delay), "seed {seed}: {:?}", stats.mean_delay());
        }
    }
    let call = Call { redundancy: true, ..Call::new(4, ms(60_000)) };
    let seldom = |random: &mut Random, _| match random.unit() < 0.001 {
        true => Fate::Lost,
        false => Fate::Delivered(ms(5)),
    };
    let stats = steady(&call, seldom);
    report("loss 0.1 % with redundancy", call.seed, &stats);
    assert!(stats.mean_delay() < ms(20), "{:?}", stats.mean_delay());
}

#[test]
fn room_tells_how_much_sooner_pulls_could_come() {
    let room = |phase| {
        let call = Call { phase: Duration::from_micros(phase), ..Call::new(1, ms(15_000)) };
        let mut room = None;
        call.run(|_, _| Fate::Delivered(ms(5)), |_, _, playout| room = playout.room());
        room.expect("it plays")
    };
    // Arrivals are at 5 ms modulo 10: pulls at 13.7 ms come 8.7 ms later.
    let late = room(3_700);
    let close = room(7_500);
    println!("room at 8.7 ms behind arrivals {late} us, at 2.5 ms {close} us");
    assert!((7_000..=8_000).contains(&late), "{late}");
    assert!(close <= 2_000, "{close}");
}

#[test]
fn a_start_above_50_ms_is_a_floor_only_while_packets_are_lost() {
    let mut call = Call::new(5, ms(100_000));
    call.config.start = ms(100);
    let (mut before, mut after, mut later) = (None, None, None);
    let mut last = PlayoutStats::default();
    call.run(
        // One packet is lost at 5 s, then none.
        |_, at| if at == ms(5_000) { Fate::Lost } else { Fate::Delivered(ms(5)) },
        |at, _, playout| {
            let stats = playout.stats();
            let delay = (stats.jitter_buffer_delay - last.jitter_buffer_delay) / 480;
            last = stats;
            match at.as_millis() {
                4_900..=4_909 => before = Some(delay),
                20_000..=20_009 => after = Some(delay),
                60_000..=60_009 => later = Some(delay),
                _ => {}
            }
        },
    );
    println!("before the loss {before:?}, 15 s after {after:?}, 55 s after {later:?}");
    assert!(before < Some(ms(25)));
    assert!(after > Some(ms(85)));
    assert!(later < Some(ms(25)));
}

#[test]
fn fixed_playout_stays_where_it_was_told() {
    let mut call = Call::new(9, ms(60_000));
    call.config.mode = PlayoutMode::Fixed;
    call.config.start = ms(80);
    let stats = steady(&call, |random, _| Fate::Delivered(random.up_to(ms(30))));
    report("fixed 80 ms, jitter 0-30", call.seed, &stats);
    assert!((ms(60)..ms(100)).contains(&stats.mean_delay()), "{:?}", stats.mean_delay());
    assert_eq!(stats.concealed_samples, 0);
}

#[test]
fn after_a_stall_the_delay_returns() {
    for (stall, signal, within) in [
        (ms(150), tone as fn(u64) -> f32, ms(1_000)),
        (ms(400), tone, ms(2_000)),
        (ms(1_500), tone, ms(2_000)),
        (ms(5_000), tone, ms(2_000)),
        (ms(400), speech, ms(2_500)),
        (ms(400), noise, ms(6_000)),
    ] {
        let mut call = Call::new(3, ms(20_000) + stall);
        call.signal = signal;
        let mut last = PlayoutStats::default();
        let mut delays = Vec::new();
        let stats = call.run(
            // What is sent during the stall arrives at its end, in order.
            |_, at| match at.checked_sub(ms(8_000)) {
                Some(into) if into < stall => Fate::Delivered(stall - into + ms(5) + into / 1_000),
                _ => Fate::Delivered(ms(5)),
            },
            |at, _, playout| {
                let stats = playout.stats();
                let emitted = stats.jitter_buffer_emitted_count - last.jitter_buffer_emitted_count;
                if emitted == 480 {
                    delays.push((at, (stats.jitter_buffer_delay - last.jitter_buffer_delay) / 480));
                }
                last = stats;
            },
        );
        report(&format!("stall of {stall:?}"), call.seed, &stats);
        let returned = delays.iter().rev().find(|(_, delay)| *delay > ms(35)).map(|(at, _)| *at).unwrap_or_default();
        let after = returned.saturating_sub(ms(8_000) + stall);
        println!("stall of {stall:?}: back after {after:?}");
        assert!(after < within, "stall of {stall:?}: back after {after:?}");
        assert!(delays.last().is_some_and(|(_, delay)| *delay < ms(25)), "{:?}", delays.last());
        if stall <= ms(400) {
            assert_eq!(stats.packets_discarded, 0, "nothing that was said in a short stall is skipped");
        }
    }
}
