use crate::sound::{changed, noise, rms_db, sine, speech};

const RATE: u32 = 48_000;

#[tokio::test]
async fn what_is_below_the_threshold_is_attenuated_by_the_range() {
    let quiet = noise(1, 0.001, RATE as usize);
    for range in [0.0, 10.0, 40.0, 80.0] {
        let node = format!("type: NoiseGate, params: {{ range_db: {range} }}");
        let attenuation = rms_db(&quiet) - rms_db(&changed(&node, &quiet, RATE).await);
        assert!((attenuation - range).abs() < 0.5, "{attenuation} dB instead of {range}");
    }
}

#[tokio::test]
async fn speech_above_the_threshold_passes_unchanged() {
    let mut total = 0.0;
    for seed in 0..5 {
        let said = speech(seed, RATE, 4.0);
        let output = changed("type: NoiseGate", &said, RATE).await;
        // Where 20 ms are clearly above the threshold, and those before them too, so that it had the time to open.
        let is_loud = |frame: &[f32]| frame.chunks(480).all(|part| part.iter().any(|sample| sample.abs() > 0.03));
        let mut before_was_loud = false;
        for (before, after) in said.chunks(960).zip(output.chunks(960)) {
            let loud = is_loud(before);
            if loud && before_was_loud {
                total += 0.02;
                let change = rms_db(after) - rms_db(before);
                assert!(change.abs() < 0.1, "seed {seed}: {change} dB");
            }
            before_was_loud = loud;
        }
    }
    assert!(total > 1.0, "only {total} s of speech were compared");
}

#[tokio::test]
async fn opening_and_closing_makes_no_step() {
    // A constant shows every step of the gain.
    let mut samples = vec![0.001; RATE as usize / 2];
    samples.extend(vec![0.5; RATE as usize / 2]);
    samples.extend(vec![0.002; RATE as usize]);
    let output =
        changed("type: NoiseGate, params: { attack_ms: 5, hold_ms: 50, release_ms: 20 }", &samples, RATE).await;
    let gain: Vec<f32> = output.iter().zip(&samples).map(|(after, before)| after / before).collect();
    let step = gain.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
    assert!(step <= 1.01 / (0.005 * RATE as f32), "a step of {step}");
    assert!(gain[..RATE as usize / 2].iter().all(|gain| (gain - 0.01).abs() < 1e-4));
    assert_eq!(gain[RATE as usize / 2 + 300], 1.0);
    assert!((gain.last().unwrap() - 0.01).abs() < 1e-4);
}

/// Milliseconds for which the gate is not shut after a loud sound ends, at a level below the threshold.
async fn open_for(params: &str) -> usize {
    let mut samples = vec![0.5; RATE as usize / 2];
    samples.extend(vec![0.001; 2 * RATE as usize]);
    let output = changed(&format!("type: NoiseGate, params: {{ {params} }}"), &samples, RATE).await;
    output[RATE as usize / 2..].iter().filter(|sample| **sample > 0.000_011).count() * 1_000 / RATE as usize
}

#[tokio::test]
async fn hold_and_release_keep_it_open() {
    let short = open_for("hold_ms: 0, release_ms: 10").await;
    let (held, released) =
        (open_for("hold_ms: 400, release_ms: 10").await, open_for("hold_ms: 0, release_ms: 410").await);
    assert!((395..=405).contains(&(held - short)), "hold: {held} instead of {short} ms");
    assert!((390..=410).contains(&(released - short)), "release: {released} instead of {short} ms");
}

#[tokio::test]
async fn attack_and_threshold_say_when_it_opens() {
    let tone = sine(1_000.0, 0.1, RATE, RATE as usize / 2);
    let loss = |output: &[f32]| rms_db(&tone[..960]) - rms_db(&output[..960]);
    let slow = loss(&changed("type: NoiseGate, params: { attack_ms: 100 }", &tone, RATE).await);
    let fast = loss(&changed("type: NoiseGate, params: { attack_ms: 0.1 }", &tone, RATE).await);
    assert!(slow > 10.0 && fast < 0.2, "the first 20 ms lose {slow} and {fast} dB");
    let shut = changed("type: NoiseGate, params: { threshold_db: -19 }", &tone, RATE).await;
    let open = changed("type: NoiseGate, params: { threshold_db: -21 }", &tone, RATE).await;
    assert!(rms_db(&shut) < -60.0 && rms_db(&open) > -23.5, "{} and {} dBFS", rms_db(&shut), rms_db(&open));
}

#[tokio::test]
async fn a_level_within_the_hysteresis_does_not_flutter() {
    // 2 dB up and down around the threshold, ten times a second.
    let wobble = |n: usize| 1.0 + 0.2 * (n as f32 * std::f32::consts::TAU * 10.0 / RATE as f32).sin();
    let samples: Vec<f32> = (0..RATE as usize * 2).map(|n| 0.0056 * wobble(n)).collect();
    let output = changed("type: NoiseGate, params: { hold_ms: 0, release_ms: 1 }", &samples, RATE).await;
    let settled = RATE as usize / 5;
    assert_eq!(output[settled..], samples[settled..]);
}
