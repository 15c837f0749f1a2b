//! What the bot tells of a pipeline, over HTTP and as events.

use std::time::{Duration, Instant};

use remotemedia_codecs::test_media::Speech;
use serde_json::{Value, json};

use crate::{
    http::http,
    process::{PATIENCE, example},
    tuning::call_through,
};

/// The first answer about the caller's pipeline that is as it should be.
fn wait_for(signaling: &str, is_right: impl Fn(&Value) -> bool) -> Value {
    let limit = Instant::now() + PATIENCE;
    loop {
        let (_, body) = http(signaling, "GET", "/api/peers/caller/pipeline", "");
        let answer: Value = serde_json::from_str(&body).unwrap();
        if is_right(&answer) {
            return answer;
        }
        assert!(Instant::now() < limit, "{answer}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_a_pipeline_does_not_take_is_counted_and_told_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("telephone.yaml");
    let text =
        "pipeline: { manifest: { inputs: [{ type: audio, sample_rate: 8000 }] }, nodes: [{ id: e, type: Echo }] }";
    std::fs::write(&manifest, text).unwrap();
    let (serve, _call, signaling) = call_through(manifest.to_str().unwrap(), &[]);
    let mut kinds = ["audio (48000", "video"].to_vec();
    while !kinds.is_empty() {
        let failed = serve.event("pipeline_failed", PATIENCE);
        assert_eq!((&failed["peer"], &failed["ended"]), (&json!("caller"), &json!(false)));
        let error = failed["error"].as_str().unwrap().to_owned();
        assert!(error.contains("takes audio (8000 Hz)"), "{error}");
        let before = kinds.len();
        kinds.retain(|kind| !error.contains(&format!("given {kind}")));
        assert_eq!(kinds.len(), before - 1, "each is told once: {error}");
    }
    let answer = wait_for(&signaling, |answer| answer["inputs_refused"].as_u64() > Some(50));
    assert_eq!((&answer["outputs_dropped"], &answer["nodes"][0]["timeouts"]), (&json!(0), &json!(0)), "{answer}");
    assert_eq!(answer["nodes"][0]["calls"], json!(0), "{answer}");
}

#[test]
fn what_a_pipeline_said_last_about_a_peer_is_told_until_it_gets_another() {
    let folder = tempfile::tempdir().unwrap();
    let wav = folder.path().join("speech.wav");
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 48_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(&wav, spec).unwrap();
    // A pause between what is said, so that it ends now and then.
    let mut voice = Speech::new(1, 48_000);
    for second in 0..60 {
        let samples = if second % 4 < 2 { voice.samples(48_000) } else { vec![0.0; 48_000] };
        samples.iter().for_each(|sample| writer.write_sample((sample * 32_767.0) as i16).unwrap());
    }
    writer.finalize().unwrap();
    let agent = example("voice_agent.yaml");
    let (_serve, _call, signaling) = call_through(agent.to_str().unwrap(), &["--audio", wav.to_str().unwrap()]);
    for word in ["speech_start", "speech_end"] {
        let said = wait_for(&signaling, |answer| answer["said"]["type"] == word)["said"].clone();
        assert!(said["ago_ms"].as_u64().unwrap() < 5_000, "{said}");
    }
    let (status, body) = http(&signaling, "PUT", "/api/peers/caller/pipeline", "{\"name\":\"echo\"}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert!(status.contains("200") && answer["said"] == Value::Null, "{status} {body}");
}
