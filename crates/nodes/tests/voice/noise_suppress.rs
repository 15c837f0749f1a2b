use remotemedia_nodes::registry;
use remotemedia_runtime_core::{manifest::Manifest, runner::PipelineRunner, transport::TransportData};

use crate::{
    common::{audio, refusal},
    sound::{changed, delay, frames, likeness, manifest, noise, rms_db, speech, sum},
};

/// By how much noisy speech stands out more from the pauses in it in dB, once the noise is known, and by how much it
/// becomes louder itself.
async fn improvement(params: &str, seed: u64, rate: u32) -> (f32, f32) {
    let second = rate as usize;
    // One second of speech, one without, and so on.
    let mut clean = speech(seed, rate, 12.0);
    clean.chunks_mut(second).skip(1).step_by(2).for_each(|pause| pause.fill(0.0));
    let noisy = sum(&clean, &noise(5, 0.06, clean.len()));
    let output = changed(&format!("type: NoiseSuppress, params: {{ {params} }}"), &noisy, rate).await;
    // 50 ms at either edge of a second belong to neither, since the output is late.
    let level = |sound: &[f32], first: usize| {
        let inner = |part: &[f32]| part[second / 20..second - second / 20].to_vec();
        rms_db(&sound.chunks(second).skip(first).step_by(2).flat_map(inner).collect::<Vec<_>>())
    };
    let snr = |sound: &[f32]| level(sound, 4) - level(sound, 5);
    (snr(&output) - snr(&noisy), level(&output, 4) - level(&clean, 4))
}

/// By how much noise alone is made quieter in dB, once it is known.
async fn attenuation(params: &str, rate: u32) -> f32 {
    let noise = noise(5, 0.05, rate as usize * 6);
    let output = changed(&format!("type: NoiseSuppress, params: {{ {params} }}"), &noise, rate).await;
    rms_db(&noise[rate as usize * 4..]) - rms_db(&output[rate as usize * 4..])
}

#[tokio::test]
async fn speech_stands_out_more_with_either_model() {
    for (params, least) in [("model: full", 8.0), ("model: full, level: high", 10.0), ("model: light", 8.0)] {
        for seed in 0..3 {
            let (gain, change) = improvement(params, seed, 48_000).await;
            println!("{params}: the SNR improves by {gain:.1} dB, speech changes by {change:.1} dB");
            assert!(gain >= least && change.abs() < 4.0, "{params}: {gain} dB, speech {change} dB");
        }
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
    for (params, rate) in
        [("model: full", 48_000), ("model: full", 16_000), ("model: light", 48_000), ("model: light", 16_000)]
    {
        let clean = speech(2, rate, 4.0);
        let output = changed(&format!("type: NoiseSuppress, params: {{ {params} }}"), &clean, rate).await;
        let (clean, output) = (&clean[rate as usize..], &output[rate as usize..]);
        let late = delay(clean, output, rate as usize / 30).0 as f32 * 1e3 / rate as f32;
        let likeness = likeness(clean, output, rate);
        let change = rms_db(output) - rms_db(clean);
        println!("{params} at {rate} Hz: {late:.1} ms late, level {change:.2} dB, likeness {likeness:.3}");
        // At 16 kHz less is left of a hiss to tell it from noise.
        let (most, least) = if rate == 16_000 { (4.5, 0.72) } else { (2.0, 0.85) };
        assert!(late <= 25.0 && change.abs() < most && likeness > least);
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
