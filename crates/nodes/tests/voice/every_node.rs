//! What holds for every node for voices.

use std::time::Instant;

use remotemedia_runtime_core::{
    data::{AudioFrame, RuntimeData, VideoFrame},
    transport::TransportData,
};

use crate::{
    common::{audio, run, video},
    sound::{frames, manifest, rms_db, speech},
};

const NODES: [&str; 7] = [
    "type: Vad",
    "type: NoiseGate",
    "type: NoiseSuppress",
    "type: NoiseSuppress, params: { model: light }",
    "type: EchoCancel, params: { reference: nobody }",
    "type: AutoGain",
    "type: AudioLevel",
];

#[tokio::test]
async fn frames_keep_their_length_format_times_and_names_and_formats_may_change() {
    for node in NODES {
        let mut inputs = Vec::new();
        for (rate, channels, length) in
            [(48_000, 1, 960), (48_000, 2, 100), (8_000, 1, 160), (44_100, 2, 441), (192_000, 8, 1), (11_025, 1, 9_999)]
        {
            inputs.extend(frames(&speech(1, rate, 0.3), rate, channels, length).into_iter().take(40).map(
                |mut frame| {
                    frame.source = Some("ann".parse().unwrap());
                    frame.stream_id = Some("mic".parse().unwrap());
                    frame
                },
            ));
        }
        let outputs = audio(&run(&manifest(node), inputs.iter().cloned().map(TransportData::new)).await);
        assert_eq!(outputs.len(), inputs.len(), "{node}");
        let about = |frame: &AudioFrame| {
            let AudioFrame { timestamp, stream_id, capture_time, source, .. } = frame.clone();
            let shape = (frame.samples().len(), frame.sample_rate(), frame.channels());
            (shape, timestamp, stream_id, capture_time, source)
        };
        assert!(outputs.iter().zip(&inputs).all(|(output, input)| about(output) == about(input)), "{node}");
    }
}

#[tokio::test]
async fn other_data_and_empty_frames_pass() {
    for node in NODES {
        let picture = VideoFrame::i420(2, 2, vec![7; 6]).unwrap();
        let empty = AudioFrame::new(vec![], 48_000, 2).unwrap();
        let inputs: Vec<RuntimeData> = vec!["words".into(), picture.clone().into(), empty.into()];
        let outputs = run(&manifest(node), inputs).await;
        assert_eq!(outputs[0].data, RuntimeData::from("words"), "{node}");
        assert_eq!(*video(&outputs)[0], picture, "{node}");
        assert_eq!(audio(&outputs).len(), 1, "{node}");
    }
}

#[tokio::test]
async fn samples_that_are_no_numbers_do_no_lasting_harm() {
    for node in NODES {
        let mut inputs = frames(&speech(1, 48_000, 3.0), 48_000, 1, 960);
        for (index, bad) in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX].into_iter().enumerate() {
            inputs[5 + index].samples_mut()[100..110].fill(bad);
        }
        let outputs = audio(&run(&manifest(node), inputs.into_iter().map(TransportData::new)).await);
        let tail: Vec<f32> = outputs[75..].iter().flat_map(|frame| frame.samples().to_vec()).collect();
        assert!(
            rms_db(&tail) > -40.0 && tail.iter().all(|sample| sample.is_finite()),
            "{node}: {} dBFS",
            rms_db(&tail)
        );
    }
}

#[tokio::test]
async fn mixes_are_worked_on_frame_by_frame() {
    for node in NODES {
        let [a, b] = [1, 2].map(|seed| frames(&speech(seed, 48_000, 1.0), 48_000, 1, 960));
        let mix = |(a, b): (AudioFrame, AudioFrame)| RuntimeData::AudioMix {
            inputs: vec![a.into(), b.into()],
            sample_rate: 48_000,
        };
        let outputs = run(&manifest(node), a.into_iter().zip(b).map(mix).map(TransportData::new)).await;
        let of = |index: usize| -> Vec<f32> {
            let frames = outputs.iter().filter_map(|output| match &output.data {
                RuntimeData::AudioMix { inputs, .. } => Some(inputs[index].samples().to_vec()),
                _ => None,
            });
            frames.flatten().collect()
        };
        for (index, seed) in [(0, 1), (1, 2)] {
            // Alone it sounds the same: the other of the mix has a state of its own.
            let alone = frames(&speech(seed, 48_000, 1.0), 48_000, 1, 960).into_iter().map(TransportData::new);
            let alone = crate::sound::joined(&run(&manifest(node), alone).await);
            assert_eq!(of(index), alone, "{node}");
        }
    }
}

#[tokio::test]
async fn every_node_is_far_faster_than_real_time() {
    for node in NODES {
        let inputs = frames(&speech(1, 48_000, 10.0), 48_000, 1, 960);
        let before = Instant::now();
        run(&manifest(node), inputs.into_iter().map(TransportData::new)).await;
        let each = before.elapsed() / 500;
        println!("{node}: {each:?} for a frame of 20 ms");
        assert!(each.as_millis() < 10, "{node}: {each:?} for a frame of 20 ms");
    }
}
