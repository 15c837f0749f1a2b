use remotemedia_runtime_core::{data::AudioFrame, transport::TransportData};

use crate::{
    common::{refusal, run},
    sound::{delay, frames, joined, noise, rms_db, scaled, speech, sum},
};

const RATE: u32 = 16_000;

fn manifest(params: &str) -> String {
    format!(
        "nodes:
  - {{ id: mic, type: Input }}
  - {{ id: far, type: Input }}
  - {{ id: canceller, type: EchoCancel, params: {{ {params} }} }}
connections:
  - {{ from: mic, to: canceller }}
  - {{ from: far, to: canceller }}
"
    )
}

/// What a microphone hears of `far`: later, quieter, through a small room.
fn echo(far: &[f32], delay_ms: usize, gain: f32, rate: u32) -> Vec<f32> {
    let at = |n: usize, ms: f32| n.checked_sub((ms * rate as f32 / 1e3) as usize).map_or(0.0, |index| far[index]);
    let taps = [(0.0, 0.6), (1.3, 0.3), (3.1, -0.2), (7.7, 0.12), (12.4, -0.06), (21.0, 0.03)];
    let sample = |n| taps.iter().map(|(ms, tap)| tap * at(n, ms + delay_ms as f32)).sum::<f32>() * gain;
    (0..far.len()).map(sample).collect()
}

/// What is left of the microphone when the reference and it come in turns.
async fn cancel(params: &str, mic: &[AudioFrame], far: &[AudioFrame]) -> Vec<f32> {
    let turns = far.iter().zip(mic).flat_map(|(far, mic)| {
        [TransportData::new(far.clone()).with_port("far"), TransportData::new(mic.clone()).with_port("mic")]
    });
    joined(&run(&manifest(params), turns.collect::<Vec<_>>()).await)
}

fn part(samples: &[f32], from: f32, to: f32) -> &[f32] {
    &samples[(from * RATE as f32) as usize..(to * RATE as f32) as usize]
}

#[tokio::test]
async fn the_echo_is_taken_away_at_any_rate_and_delay() {
    for (mic_rate, far_rate, delay_ms) in
        [(16_000, 16_000, 60), (48_000, 48_000, 20), (48_000, 16_000, 120), (44_100, 48_000, 200)]
    {
        let far = speech(1, far_rate, 10.0);
        let heard =
            sum(&echo(&speech(1, mic_rate, 10.0), delay_ms, 0.5, mic_rate), &noise(1, 0.0002, mic_rate as usize * 10));
        // The voice is seeded by its rate, so it is the same only where both agree; elsewhere a tone in steps carries over.
        let (far, heard) = if mic_rate == far_rate { (far, heard) } else { two_rates(far_rate, mic_rate, delay_ms) };
        let output = cancel(
            "reference: far",
            &frames(&heard, mic_rate, 1, mic_rate as usize / 50),
            &frames(&far, far_rate, 1, far_rate as usize / 50),
        )
        .await;
        let settled = 5 * mic_rate as usize;
        let erle = rms_db(&heard[settled..]) - rms_db(&output[settled..]);
        println!("{mic_rate} Hz, reference {far_rate} Hz, {delay_ms} ms: ERLE {erle:.1} dB");
        assert!(erle > 20.0, "{mic_rate} Hz, reference {far_rate} Hz, {delay_ms} ms: ERLE {erle} dB");
    }
}

/// The same far end at two rates, and its echo at the second: sines whose pitch and level change ten times a second.
fn two_rates(far_rate: u32, mic_rate: u32, delay_ms: usize) -> (Vec<f32>, Vec<f32>) {
    let steps = noise(11, 1.0, 400);
    let at = |seconds: f64| {
        let step = (seconds * 10.0) as usize;
        let sine = |k: usize| {
            (seconds * std::f64::consts::TAU * (300.0 + 1_200.0 * f64::from(steps[step * 3 + k].abs()))).sin()
        };
        0.1 * (f64::from(steps[step]) * sine(0) + sine(1) + sine(2))
    };
    let sound = |rate: u32| -> Vec<f32> { (0..rate * 10).map(|n| at(f64::from(n) / f64::from(rate)) as f32).collect() };
    (sound(far_rate), echo(&sound(mic_rate), delay_ms, 0.5, mic_rate))
}

#[tokio::test]
async fn who_speaks_near_is_heard_while_the_echo_is_not() {
    let far = speech(1, RATE, 12.0);
    let echo = echo(&far, 60, 0.4, RATE);
    let mut near = vec![0.0; 6 * RATE as usize];
    near.extend(scaled(&speech(9, RATE, 6.0), 0.8));
    let output = cancel("reference: far", &frames(&sum(&echo, &near), RATE, 1, 320), &frames(&far, RATE, 1, 320)).await;
    let erle = rms_db(part(&echo, 4.0, 6.0)) - rms_db(part(&output, 4.0, 6.0));
    let (_, correlation) = delay(part(&near, 7.0, 12.0), part(&output, 7.0, 12.0), 400);
    let (_, before) = delay(part(&near, 7.0, 12.0), part(&sum(&echo, &near), 7.0, 12.0), 400);
    let kept = rms_db(part(&output, 7.0, 12.0)) - rms_db(part(&near, 7.0, 12.0));
    println!("ERLE {erle:.1} dB; both speak: near {kept:.1} dB, correlation {correlation:.3} (before {before:.3})");
    assert!(erle > 20.0 && kept.abs() < 4.0 && correlation > 0.8);
}

#[tokio::test]
async fn without_a_reference_the_microphone_passes() {
    let near = speech(9, RATE, 4.0);
    let inputs = frames(&near, RATE, 1, 320).into_iter().map(|frame| TransportData::new(frame).with_port("mic"));
    let output = joined(&run(&manifest("reference: far"), inputs).await);
    let (late, correlation) = delay(part(&near, 1.0, 4.0), part(&output, 1.0, 4.0), 400);
    let change = rms_db(&output) - rms_db(&near);
    println!("without a reference: {} ms late, {change:.2} dB, correlation {correlation:.3}", late / 16);
    assert!(correlation > 0.9 && change.abs() < 1.0 && late <= 320);
}

#[tokio::test]
async fn the_delay_hint_lets_it_begin_in_the_right_place() {
    let far = speech(1, RATE, 4.0);
    let echo = echo(&far, 240, 0.5, RATE);
    let mut left = Vec::new();
    for params in ["reference: far, delay_hint_ms: 240", "reference: far, delay_hint_ms: 0"] {
        let output = cancel(params, &frames(&echo, RATE, 1, 320), &frames(&far, RATE, 1, 320)).await;
        left.push(rms_db(part(&output, 0.3, 1.2)));
    }
    println!("echo left in the first second: {left:.1?} dBFS with and without the right hint");
    assert!(left[0] < left[1] - 1.0, "{left:?} dBFS");
}

#[tokio::test]
async fn noise_is_suppressed_too_if_wanted() {
    let heard = noise(3, 0.05, 6 * RATE as usize);
    let far = frames(&vec![0.0; heard.len()], RATE, 1, 320);
    let mut left = Vec::new();
    for level in ["off", "low", "very_high"] {
        let output =
            cancel(&format!("reference: far, noise_suppress: {level}"), &frames(&heard, RATE, 1, 320), &far).await;
        left.push(rms_db(part(&output, 4.0, 6.0)));
    }
    assert!(left[1] < left[0] - 3.0 && left[2] < left[1] - 5.0, "{left:?} dBFS");
}

#[tokio::test]
async fn a_second_stream_of_the_reference_is_not_mixed_up_with_the_first() {
    let far = frames(&speech(1, RATE, 8.0), RATE, 1, 320);
    let other = frames(&speech(2, RATE, 8.0), RATE, 1, 320);
    let echo = echo(&speech(1, RATE, 8.0), 60, 0.5, RATE);
    let mic = frames(&echo, RATE, 1, 320);
    let inputs = far.into_iter().zip(other).zip(mic).flat_map(|((mut far, mut other), mic)| {
        far.source = Some("ann".parse().unwrap());
        other.source = Some("bob".parse().unwrap());
        let [far, other] = [far, other].map(|frame| TransportData::new(frame).with_port("far"));
        [far, other, TransportData::new(mic).with_port("mic")]
    });
    let output = joined(&run(&manifest("reference: far"), inputs.collect::<Vec<_>>()).await);
    let erle = rms_db(part(&echo, 5.0, 8.0)) - rms_db(part(&output, 5.0, 8.0));
    assert!(erle > 20.0, "ERLE {erle} dB");
}

#[test]
fn the_reference_has_to_be_named() {
    assert!(refusal(&manifest("")).contains("reference"));
}
