//! What comes out sounds like what went in.

use std::time::Duration;

use remotemedia_jitter::PlayoutStats;

use crate::call::{Call, Fate, Random, report, tone};

/// Runs a call with a tone and answers the steepest step between two samples, from the first second on.
fn steepest_step(call: &Call, network: impl FnMut(&mut Random, Duration) -> Fate) -> (f32, PlayoutStats) {
    let (mut last, mut steepest) = (None::<f32>, 0.0_f32);
    let stats = call.run(network, |at, out, _| {
        for sample in out {
            if let Some(last) = last.filter(|_| at > Duration::from_secs(1)) {
                steepest = steepest.max((sample - last).abs());
            }
            last = Some(*sample);
        }
    });
    (steepest, stats)
}

#[test]
fn changes_of_delay_leave_a_tone_without_clicks() {
    let call = Call { signal: tone, ..Call::new(21, Duration::from_secs(40)) };
    // The path gets slower and faster every five seconds, by 30 ms: the delay has to follow, in both directions.
    let (steepest, stats) = steepest_step(&call, |_, at| {
        let slow = at.as_secs() / 5 % 2 == 1;
        let ramp = (at.as_millis() % 5_000).min(1_000) as f64 / 1_000.0;
        Fate::Delivered(Duration::from_secs_f64(0.005 + 0.03 * if slow { ramp } else { 1.0 - ramp }))
    });
    report("tone on a path of changing length", call.seed, &stats);
    assert!(stats.removed_samples_for_acceleration > 1_000, "the delay moved");
    // The tone itself steps by 0.5 * 2 pi / 240 at most.
    let own = 0.5 * std::f32::consts::TAU / 240.0;
    println!("steepest step {steepest:.4}, the tone's own {own:.4}");
    assert_eq!(stats.concealed_samples, 0);
    assert!(steepest < own * 1.05, "{steepest}");
}

#[test]
fn the_descent_from_the_start_delay_leaves_a_tone_whole() {
    let mut call = Call { signal: tone, ..Call::new(22, Duration::from_secs(10)) };
    call.config.start = Duration::from_millis(200);
    let (mut last, mut steepest) = (None::<f32>, 0.0_f32);
    let stats = call.run(
        |_, _| Fate::Delivered(Duration::from_millis(5)),
        |_, out, playout| {
            if playout.stats().jitter_buffer_emitted_count <= 480 {
                return;
            }
            for sample in out {
                if let Some(last) = last {
                    steepest = steepest.max((*sample - last).abs());
                }
                last = Some(*sample);
            }
        },
    );
    report("tone, from 200 ms down", call.seed, &stats);
    assert_eq!(stats.concealed_samples, 0);
    assert!(stats.removed_samples_for_acceleration > 8_000);
    assert!(steepest < 0.5 * std::f32::consts::TAU / 240.0 * 1.05, "{steepest}");
}
