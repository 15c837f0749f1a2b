use std::time::Instant;

use remotemedia_runtime_core::{data::AudioFrame, transport::TransportData};

use crate::{
    common::{refusal, run},
    sound::{delay, frames, joined, likeness, noise, rms_db, scaled, speech, sum},
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

/// `sound` of 48 kHz at another rate. It has little above 8 kHz.
fn at_rate(sound: &[f32], rate: u32) -> Vec<f32> {
    let sample = |n: usize| {
        let place = n as f64 * 48_000.0 / f64::from(rate);
        let (index, rest) = (place as usize, place.fract() as f32);
        sound[index] * (1.0 - rest) + sound[(index + 1).min(sound.len() - 1)] * rest
    };
    (0..sound.len() * rate as usize / 48_000).map(sample).collect()
}

#[tokio::test]
async fn the_echo_is_taken_away_at_any_rate_and_delay() {
    let spoken = speech(1, 48_000, 10.0);
    for (mic_rate, far_rate, delay_ms) in
        [(16_000, 16_000, 60), (48_000, 48_000, 20), (48_000, 16_000, 120), (44_100, 48_000, 200), (8_000, 44_100, 80)]
    {
        let (far, heard) = (at_rate(&spoken, far_rate), at_rate(&spoken, mic_rate));
        let heard = sum(&echo(&heard, delay_ms, 0.5, mic_rate), &noise(1, 0.0002, heard.len()));
        let mic = frames(&heard, mic_rate, 1, mic_rate as usize / 50);
        let before = Instant::now();
        let output = cancel("reference: far", &mic, &frames(&far, far_rate, 1, far_rate as usize / 50)).await;
        let each = before.elapsed() / 500;
        let settled = 5 * mic_rate as usize;
        let erle = rms_db(&heard[settled..]) - rms_db(&output[settled..]);
        println!("{mic_rate} Hz, reference {far_rate} Hz, {delay_ms} ms: ERLE {erle:.1} dB, {each:?} for 20 ms");
        assert!(each.as_millis() < 10);
        assert!(erle > 20.0, "{mic_rate} Hz, reference {far_rate} Hz, {delay_ms} ms: ERLE {erle} dB");
    }
}

#[tokio::test]
async fn who_speaks_near_is_heard_while_the_echo_is_not() {
    let far = speech(1, RATE, 12.0);
    let echo = echo(&far, 60, 0.4, RATE);
    let mut near = vec![0.0; 6 * RATE as usize];
    near.extend(scaled(&speech(9, RATE, 6.0), 0.8));
    let output = cancel("reference: far", &frames(&sum(&echo, &near), RATE, 1, 320), &frames(&far, RATE, 1, 320)).await;
    let erle = rms_db(part(&echo, 4.0, 6.0)) - rms_db(part(&output, 4.0, 6.0));
    let heard = sum(&echo, &near);
    let [before, after] = [&heard, &output].map(|sound| likeness(part(&near, 7.0, 12.0), part(sound, 7.0, 12.0), RATE));
    let kept = rms_db(part(&output, 7.0, 12.0)) - rms_db(part(&near, 7.0, 12.0));
    println!("ERLE {erle:.1} dB; both speak: near {kept:.1} dB, likeness {before:.3} before and {after:.3} after");
    assert!(erle > 20.0 && kept.abs() < 4.0 && after > before && after > 0.8);
}

#[tokio::test]
async fn without_a_reference_the_microphone_passes() {
    let near = speech(9, RATE, 4.0);
    let inputs = frames(&near, RATE, 1, 320).into_iter().map(|frame| TransportData::new(frame).with_port("mic"));
    let output = joined(&run(&manifest("reference: far"), inputs).await);
    let (late, _) = delay(part(&near, 1.0, 4.0), part(&output, 1.0, 4.0), 400);
    let likeness = likeness(part(&near, 1.0, 4.0), part(&output, 1.0, 4.0), RATE);
    let change = rms_db(&output) - rms_db(&near);
    println!("without a reference: {} ms late, {change:.2} dB, likeness {likeness:.3}", late / 16);
    assert!(likeness > 0.95 && change.abs() < 1.0 && late <= 320);
}

#[tokio::test]
async fn noise_is_suppressed_too_if_wanted() {
    let heard = noise(3, 0.05, 6 * RATE as usize);
    let far = frames(&vec![0.0; heard.len()], RATE, 1, 320);
    let mut left = Vec::new();
    for level in ["none", "low", "very_high"] {
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
