use remotemedia_nodes::registry;
use remotemedia_runtime_core::{manifest::Manifest, runner::PipelineRunner, transport::TransportData};

use crate::{
    common::{audio, refusal},
    sound::{changed, delay, frames, manifest, noise, rms_db, snr_db, speech, sum},
};

/// By how much the signal-to-noise ratio of noisy speech improves in dB, once the noise is known.
async fn improvement(params: &str, seed: u64, rate: u32) -> f32 {
    let clean = speech(seed, rate, 8.0);
    let noisy = sum(&clean, &noise(5, 0.06, clean.len()));
    let output = changed(&format!("type: NoiseSuppress, params: {{ {params} }}"), &noisy, rate).await;
    let known = 3 * rate as usize;
    let most = rate as usize / 40;
    snr_db(&clean[known..], &output[known..], most) - snr_db(&clean[known..], &noisy[known..], most)
}

/// By how much noise alone is made quieter in dB, once it is known.
async fn attenuation(params: &str, rate: u32) -> f32 {
    let noise = noise(5, 0.05, rate as usize * 6);
    let output = changed(&format!("type: NoiseSuppress, params: {{ {params} }}"), &noise, rate).await;
    rms_db(&noise[rate as usize * 4..]) - rms_db(&output[rate as usize * 4..])
}

#[tokio::test]
async fn speech_stands_out_more_with_either_model() {
    for (params, least) in [("model: full", 2.0), ("model: full, level: high", 2.0), ("model: light", 2.0)] {
        let mut gains = Vec::new();
        for seed in 0..3 {
            gains.push(improvement(params, seed, 48_000).await);
        }
        println!("{params}: SNR improves by {gains:.1?} dB");
        assert!(gains.iter().all(|gain| *gain >= least), "{params}: {gains:?} dB");
    }
}

#[tokio::test]
async fn each_level_takes_more_noise_away_than_the_one_before() {
    let mut before = 0.0;
    for level in ["low", "moderate", "high", "very_high"] {
        let taken = attenuation(&format!("level: {level}"), 16_000).await;
        println!("{level}: {taken:.1} dB");
        assert!(taken > before + 1.0, "{level}: {taken} dB after {before} dB");
        before = taken;
    }
    let default = attenuation("", 16_000).await;
    assert_eq!(default, attenuation("model: full, level: moderate", 16_000).await);
}

#[tokio::test]
async fn both_models_work_at_every_rate() {
    for params in ["model: full", "model: light"] {
        for rate in [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 96_000, 192_000] {
            let taken = attenuation(params, rate).await;
            assert!(taken > 5.0, "{params} at {rate} Hz: {taken} dB");
        }
    }
}

#[tokio::test]
async fn clean_speech_keeps_its_level_and_comes_little_later() {
    for params in ["model: full", "model: light"] {
        let clean = speech(2, 48_000, 4.0);
        let output = changed(&format!("type: NoiseSuppress, params: {{ {params} }}"), &clean, 48_000).await;
        let (late, correlation) = delay(&clean[48_000..], &output[48_000..], 1_600);
        let change = rms_db(&output[48_000..]) - rms_db(&clean[48_000..]);
        println!("{params}: {:.1} ms late, level {change:.2} dB, correlation {correlation:.3}", late as f32 / 48.0);
        assert!(late <= 1_200 && change.abs() < 2.0 && correlation > 0.85);
    }
}

#[tokio::test]
async fn the_level_can_be_changed_while_it_runs() {
    let node = Manifest::from_yaml(&manifest("type: NoiseSuppress, params: { level: low }")).unwrap();
    let mut session = PipelineRunner::with_registry(registry()).create_session(&node).unwrap();
    let control = session.control();
    let mut levels = Vec::new();
    let inputs = frames(&noise(5, 0.05, 16_000 * 8), 16_000, 1, 320);
    for (number, frame) in inputs.into_iter().enumerate() {
        if number == 200 {
            control.reconfigure("node", serde_json::json!({ "level": "very_high" })).await.unwrap();
        }
        session.send_input(TransportData::new(frame)).await.unwrap();
        while let Some(output) = session.recv_output().await.unwrap() {
            levels.extend(audio(&[output]).iter().map(|frame| rms_db(frame.samples())));
        }
    }
    assert!(levels[390] < levels[190] - 6.0, "{} and {} dBFS", levels[190], levels[390]);
}

#[test]
fn a_level_for_the_light_model_is_refused() {
    let refusal = refusal(&manifest("type: NoiseSuppress, params: { model: light, level: high }"));
    assert!(refusal.contains("has no levels"), "{refusal}");
}
