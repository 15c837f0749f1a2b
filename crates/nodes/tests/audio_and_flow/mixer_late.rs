use remotemedia_runtime_core::transport::TransportData;

use crate::support::{Step, Talker, drive, heard_by, largest_step, level, own_step, session};

const MIX_MINUS: &str = "pipeline: { nodes: [{ id: mix, type: AudioMixer, params: { mix_minus: true } }] }";

/// `a` sends every 20 ms; frame `n` of `b` comes in round `arrival(n)`, or never. What `c` hears.
async fn with_delays(manifest: &str, rounds: usize, arrival: impl Fn(usize) -> Option<usize>) -> (Vec<f32>, f32) {
    let mut a = Talker::new("a", 311.0);
    let mut c = Talker::new("c", 1_039.0);
    let mut b = Talker::new("b", 457.0);
    let mut waiting: Vec<_> = b.frames(rounds).into_iter().enumerate().collect();
    let mut steps = Vec::new();
    for round in 0..rounds {
        steps.extend([Step::from(a.frame()), Step::from(c.frame())]);
        let due = waiting.extract_if(.., |(number, _)| arrival(*number).is_none_or(|arrival| arrival <= round));
        steps.extend(due.filter(|(number, _)| arrival(*number).is_some()).map(|(_, frame)| Step::from(frame)));
    }
    (heard_by(&drive(manifest, steps).await, "c"), own_step(&[&a, &b]))
}

#[tokio::test(start_paused = true)]
async fn jitter_within_the_wait_is_not_heard() {
    let (heard, own) = with_delays(MIX_MINUS, 150, |n| Some(n + [0, 1, 0, 2, 2, 1, 0, 1][n % 8])).await;
    let middle = &heard[9_600..129_600];
    assert!((level(middle, 457.0, 48_000) + 20.0).abs() < 0.05, "{}", level(middle, 457.0, 48_000));
    assert!((level(middle, 311.0, 48_000) + 20.0).abs() < 0.05);
    // Nothing of it lies beside the tones: no gap, no fade.
    let mut rest: Vec<f32> = vec![487.0, 427.0, 341.0, 281.0];
    rest.retain(|hertz| level(middle, *hertz, 48_000) > -80.0);
    assert!(rest.is_empty(), "{rest:?} Hz are heard");
    assert!(largest_step(&heard) <= own * 1.001);
}

#[tokio::test(start_paused = true)]
async fn the_wait_can_be_made_shorter_and_longer() {
    let held_up = |n: usize| Some(if (50..54).contains(&n) { 54 } else { n });
    let short = MIX_MINUS.replace("true", "true, max_wait_ms: 0");
    let long = MIX_MINUS.replace("true", "true, max_wait_ms: 120");
    let gap = 50 * 960..54 * 960;
    let (heard, _) = with_delays(&short, 100, held_up).await;
    let without = level(&heard[gap.clone()], 457.0, 48_000);
    assert!(without < -28.0, "went on without: {without} dB");
    let (heard, _) = with_delays(&long, 100, held_up).await;
    assert!(level(&heard[gap], 457.0, 48_000) > -20.5, "waited");
}

#[tokio::test(start_paused = true)]
async fn a_stall_is_faded_over_and_what_is_late_is_skipped() {
    // A second of b is held up and comes in one burst.
    let (heard, own) = with_delays(MIX_MINUS, 250, |n| Some(if (50..100).contains(&n) { 100 } else { n })).await;
    assert!(heard.len() <= 250 * 960 + 960 + 240, "the burst makes the others no later: {} samples", heard.len());
    let after = &heard[110 * 960..240 * 960];
    assert!((level(after, 457.0, 48_000) + 20.0).abs() < 0.1, "b is back: {}", level(after, 457.0, 48_000));
    assert!((level(after, 311.0, 48_000) + 20.0).abs() < 0.1, "a is unharmed: {}", level(after, 311.0, 48_000));
    assert!(level(&heard[60 * 960..95 * 960], 457.0, 48_000) < -80.0);
    assert!(largest_step(&heard) <= own * 1.001, "{} > {own}", largest_step(&heard));
}

#[tokio::test(start_paused = true)]
async fn what_is_skipped_is_counted() {
    let mut session = session(MIX_MINUS);
    let (mut a, mut b) = (Talker::new("a", 311.0), Talker::new("b", 457.0));
    for round in 0..150 {
        let mut frames = vec![a.frame()];
        match round {
            50..100 => {}
            // A second of b is held up and comes in one burst.
            100 => frames.extend(b.frames(51)),
            _ => frames.push(b.frame()),
        }
        for frame in frames {
            session.send_input(TransportData::new(frame)).await.unwrap();
            while session.recv_output().await.unwrap().is_some() {}
        }
    }
    let dropped = session.control().metrics()[0].dropped;
    assert!((45..=50).contains(&dropped), "{dropped} of 50 that were late were skipped");
}

#[tokio::test(start_paused = true)]
async fn an_input_whose_way_has_become_longer_is_heard_again() {
    let (heard, own) = with_delays(MIX_MINUS, 250, |n| Some(if n < 50 { n } else { n + 20 })).await;
    let after = &heard[80 * 960..240 * 960];
    assert!((level(after, 457.0, 48_000) + 20.0).abs() < 0.1, "{}", level(after, 457.0, 48_000));
    assert!(largest_step(&heard) <= own * 1.001);
}

#[tokio::test(start_paused = true)]
async fn lost_frames_leave_no_step() {
    let (heard, own) = with_delays(MIX_MINUS, 250, |n| (n % 17 > 4).then_some(n)).await;
    assert!(level(&heard[9_600..230_000], 457.0, 48_000) > -30.0);
    assert!(largest_step(&heard) <= own * 1.001, "{} > {own}", largest_step(&heard));
}
