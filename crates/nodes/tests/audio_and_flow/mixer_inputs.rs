use crate::{
    common::{audio, refusal, run},
    support::{Step, Talker, drive, join, largest_step, level, own_step},
};
use remotemedia_runtime_core::{data::RuntimeData, transport::TransportData};
use serde_json::json;

const MIX: &str = "pipeline: { nodes: [{ id: mix, type: AudioMixer }] }";

#[tokio::test(start_paused = true)]
async fn any_rate_channels_and_frame_length_are_mixed_in_tune_and_at_their_level() {
    let mut talkers = [
        Talker::new("a", 311.0).format(44_100, 2, 441),
        Talker::new("b", 457.0).format(8_000, 1, 160),
        Talker::new("c", 683.0).format(16_000, 1, 1_000),
        Talker::new("d", 1_039.0).format(96_000, 4, 77),
        Talker::new("e", 1_583.0).format(44_101, 1, 882),
    ];
    let mut steps = Vec::new();
    for millisecond in 0..3_000u64 {
        for talker in &mut talkers {
            while (talker.position + talker.length) as u64 * 1_000 <= millisecond * u64::from(talker.rate) {
                steps.push(Step::from(talker.frame()));
            }
        }
    }
    for channels in [1, 2] {
        let steps = steps.iter().map(|step| match step {
            Step::Send(data) => Step::Send(data.clone()),
            Step::Change(..) => unreachable!(),
        });
        let manifest =
            MIX.replace("AudioMixer", &format!("AudioMixer, params: {{ channels: {channels}, max_wait_ms: 100 }}"));
        let frames = audio(&drive(&manifest, steps.collect::<Vec<_>>()).await);
        assert!(frames.iter().all(|frame| (frame.sample_rate(), frame.channels()) == (48_000, channels)));
        let left: Vec<f32> = join(&frames).into_iter().step_by(channels.into()).collect();
        for (hertz, expected) in [(311.0, 0.1), (457.0, 0.1), (683.0, 0.1), (1_583.0, 0.1)] {
            let level = level(&left[24_000..120_000], hertz, 48_000) - 20.0 * f64::log10(expected);
            assert!(level.abs() < 0.1, "{hertz} Hz is off by {level} dB");
        }
        // Both surrounds are folded in.
        let folded = level(&left[24_000..120_000], 1_039.0, 48_000) - 20.0 * f64::log10(0.1 * 1.7071);
        assert!(folded.abs() < 0.1, "{folded} dB");
    }
}

#[tokio::test(start_paused = true)]
async fn the_format_of_what_comes_out_is_chosen() {
    let manifest = MIX.replace("AudioMixer", "AudioMixer, params: { sample_rate: 16000, channels: 2, frame_ms: 10 }");
    let mut talker = Talker::new("a", 440.0);
    let frames = audio(&drive(&manifest, talker.frames(50).into_iter().map(Step::from)).await);
    assert!(frames.iter().all(|frame| frame.sample_rate() == 16_000 && frame.samples().len() == 320));
    let left: Vec<f32> = join(&frames).into_iter().step_by(2).collect();
    assert!((level(&left[1_600..14_400], 440.0, 16_000) + 20.0).abs() < 0.1);
}

#[tokio::test(start_paused = true)]
async fn an_input_that_changes_its_format_makes_no_step() {
    let mut before = Talker::new("a", 311.0).format(44_100, 1, 882);
    let mut steps: Vec<Step> = before.frames(50).into_iter().map(Step::from).collect();
    let mut after = Talker { rate: 48_000, channels: 2, length: 960, position: 48_000, ..before.clone() };
    steps.extend(after.frames(50).into_iter().map(Step::from));
    let samples = join(&audio(&drive(MIX, steps).await));
    assert!(largest_step(&samples) <= own_step(&[&before]) * 1.01, "{}", largest_step(&samples));
    // Whole on both sides of the change, and in time: behind it every sample is where it would have been.
    let late = |n: usize| (samples[n] - after.at(n)).abs();
    let worst = (57_600..86_400).map(late).fold(0.0, f32::max);
    assert!(worst < 0.002, "off by {worst}, which at 311 Hz and this level is {} us", worst / 0.195 * 1e3);
    for part in [&samples[9_600..38_400], &samples[57_600..86_400]] {
        let level = level(part, 311.0, 48_000);
        assert!((level + 20.0).abs() < 0.1, "{level} dB");
    }
}

#[tokio::test(start_paused = true)]
async fn the_frames_of_an_audio_mix_are_inputs() {
    let (mut a, mut b) = (Talker::nobody(311.0), Talker::nobody(683.0));
    let mix = |_| {
        let inputs = vec![a.frame().into(), b.frame().into()];
        TransportData::new(RuntimeData::AudioMix { inputs, sample_rate: 48_000 })
    };
    let samples = join(&audio(&run(MIX, (0..60).map(mix).collect::<Vec<_>>()).await));
    assert_eq!(samples.len(), 60 * 960 + 960, "and a frame for the fade-out");
    for hertz in [311.0, 683.0] {
        assert!((level(&samples[4_800..52_800], hertz, 48_000) + 20.0).abs() < 0.05);
    }
}

#[tokio::test(start_paused = true)]
async fn a_gain_moves_while_it_runs_and_does_not_click() {
    let mut talker = Talker::new("a", 311.0);
    let mut steps: Vec<Step> = talker.frames(30).into_iter().map(Step::from).collect();
    steps.push(Step::Change("mix", json!({ "gains": { "a": -20, "somebody": 6 } })));
    steps.extend(talker.frames(30).into_iter().map(Step::from));
    steps.push(Step::Change("mix", json!({ "gains": { "a": -120 }, "max_wait_ms": 100 })));
    steps.extend(talker.frames(30).into_iter().map(Step::from));
    let samples = join(&audio(&drive(MIX, steps).await));
    assert!((level(&samples[4_800..24_000], 311.0, 48_000) + 20.0).abs() < 0.1);
    assert!((level(&samples[33_600..52_800], 311.0, 48_000) + 40.0).abs() < 0.1);
    assert!(samples[62_400..].iter().all(|sample| *sample == 0.0), "-120 dB is silence");
    assert!(largest_step(&samples) <= own_step(&[&talker]) * 1.02, "{}", largest_step(&samples));
}

#[tokio::test(start_paused = true)]
async fn params_that_need_a_new_mixer_take_effect_while_it_runs() {
    let mut talker = Talker::new("a", 311.0);
    let mut steps: Vec<Step> = talker.frames(10).into_iter().map(Step::from).collect();
    steps.push(Step::Change("mix", json!({ "frame_ms": 10 })));
    steps.extend(talker.frames(10).into_iter().map(Step::from));
    let frames = audio(&drive(MIX, steps).await);
    assert_eq!(frames[0].samples().len(), 960);
    assert_eq!(frames.last().unwrap().samples().len(), 480);
}

#[test]
fn wrong_params_are_refused_in_words() {
    for (params, expected) in [
        ("frame_ms: 15", "param \"frame_ms\": 15 is not allowed; use 10 or 20 ms"),
        ("gains: { a: 21 }", "an object from peers to numbers from -120 to 20 dB"),
        ("gains: loud", "an object from peers to numbers from -120 to 20 dB"),
        ("mix_mode: summ", "did you mean \"sum\""),
        ("max_wait_ms: 181", "a whole number from 0 to 180 ms"),
        ("channels: 3", "a whole number from 1 to 2"),
    ] {
        let refused = refusal(&MIX.replace("AudioMixer", &format!("AudioMixer, params: {{ {params} }}")));
        assert!(refused.contains(expected), "{refused}");
    }
}
