use crate::{
    common::{audio, refusal, tone},
    support::{Step, drive},
};
use remotemedia_runtime_core::data::{AudioFrame, RuntimeData};
use serde_json::json;

#[tokio::test]
async fn the_count_changes_while_it_runs() {
    let manifest = "pipeline: { nodes: [{ id: channels, type: ChannelConvert, params: { channels: 2 } }] }";
    let frame = tone(440.0, 0.5, 48_000, 1).remove(0);
    let mix = RuntimeData::AudioMix { inputs: vec![frame.as_audio().unwrap().clone()], sample_rate: 48_000 };
    let change = Step::Change("channels", json!({ "channels": 6 }));
    let outputs = drive(manifest, [Step::from(frame.clone()), mix.into(), change, frame.clone().into()]).await;
    let frames = audio(&outputs);
    assert_eq!(frames.iter().map(|frame| frame.channels()).collect::<Vec<_>>(), [2, 6]);
    let RuntimeData::AudioMix { inputs, .. } = &outputs[1].data else { panic!("{:?}", outputs[1]) };
    assert_eq!(inputs[0].channels(), 2);
    let centre: Vec<f32> = frames[1].samples().iter().skip(2).step_by(6).copied().collect();
    assert_eq!(RuntimeData::from(AudioFrame::new(centre, 48_000, 1).unwrap()), frame);
}

#[test]
fn nine_channels_are_refused() {
    let manifest = "pipeline: { nodes: [{ id: channels, type: ChannelConvert, params: { channels: 9 } }] }";
    assert!(refusal(manifest).contains("a whole number from 1 to 8"));
}
