use crate::sound::{changed, noise, rms_db, scaled, sine, speech, sum};

const RATE: u32 = 48_000;

/// The level of speech of `level_db` once the gain has settled, and all of it.
async fn settled(params: &str, level_db: f32, rate: u32) -> (f32, Vec<f32>) {
    let said = speech(4, rate, 12.0);
    let said = scaled(&said, 10f32.powf((level_db - rms_db(&said)) / 20.0));
    let output = changed(&format!("type: AutoGain, params: {{ {params} }}"), &said, rate).await;
    (rms_db(&output[rate as usize * 5..]), output)
}

#[tokio::test]
async fn quiet_and_loud_speech_arrives_at_the_target() {
    for rate in [8_000, 44_100, 48_000] {
        for level in [-48.0, -40.0, -30.0, -20.0, -8.0] {
            let (arrives, output) = settled("", level, rate).await;
            println!("{level} dBFS at {rate} Hz arrives at {arrives:.1} dBFS");
            assert!((arrives + 20.0).abs() < 3.0, "{level} dBFS at {rate} Hz arrives at {arrives} dBFS");
            assert!(output.iter().all(|sample| sample.abs() <= 1.0), "{level} dBFS clips");
        }
    }
}

#[tokio::test]
async fn the_target_and_the_most_gain_are_those_of_the_params() {
    let (arrives, _) = settled("target_db: -30", -45.0, RATE).await;
    assert!((arrives + 30.0).abs() < 3.0, "{arrives} dBFS");
    let (arrives, _) = settled("max_gain_db: 10", -45.0, RATE).await;
    assert!((arrives + 35.0).abs() < 1.0, "{arrives} dBFS");
}

#[tokio::test]
async fn nothing_clips_however_loud_it_gets() {
    // Quiet speech brings the gain up; then somebody shouts into the microphone.
    let mut said = scaled(&speech(4, RATE, 5.0), 0.02);
    said.extend(scaled(&speech(5, RATE, 3.0), 3.0));
    let output = changed("type: AutoGain, params: { max_gain_db: 60 }", &said, RATE).await;
    let peak = output.iter().fold(0f32, |peak, sample| peak.max(sample.abs()));
    assert!(peak <= 0.892, "a peak of {peak}");
}

#[tokio::test]
async fn pauses_and_noise_do_not_move_the_gain() {
    let background = noise(3, 0.002, RATE as usize * 20);
    let mut said = scaled(&speech(4, RATE, 8.0), 0.2);
    said.resize(background.len(), 0.0);
    let output = changed("type: AutoGain", &sum(&said, &background), RATE).await;
    let second = |number: usize| rms_db(&output[number * RATE as usize..(number + 1) * RATE as usize]);
    let (early, late) = (second(9), second(19));
    assert!((late - early).abs() < 0.5, "noise goes from {early} to {late} dBFS");

    for steady in [noise(3, 0.01, RATE as usize * 10), sine(400.0, 0.01, RATE, RATE as usize * 10), vec![0.0; 480_000]]
    {
        let output = changed("type: AutoGain", &steady, RATE).await;
        assert!((rms_db(&output) - rms_db(&steady)).abs() < 0.5, "{} dBFS", rms_db(&output));
    }
}
