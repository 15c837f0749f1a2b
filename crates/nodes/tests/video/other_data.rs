//! Data that the video nodes do not work on.

use remotemedia_runtime_core::{data::RuntimeData, transport::TransportData};

use crate::common::{audio, run, tone};

#[tokio::test]
async fn sound_and_words_pass_every_node_unchanged() {
    let manifest = "
pipeline:
  nodes:
    - { id: scale, type: VideoScale, params: { width: 640 } }
    - { id: format, type: VideoFormat, params: { format: nv12 } }
    - { id: crop, type: VideoCrop, params: { width: 100 } }
    - { id: overlay, type: Overlay, params: { text: hello } }
    - { id: blur, type: BackgroundBlur }
  graph:
    - { from: input, to: scale }
    - { from: scale, to: format }
    - { from: format, to: crop }
    - { from: crop, to: overlay }
    - { from: overlay, to: blur }
    - { from: blur, to: output }
";
    let sent = tone(440.0, 0.5, 48_000, 3);
    let inputs = sent.iter().cloned().chain([RuntimeData::from("words")]).map(TransportData::new);
    let outputs = run(manifest, inputs).await;
    let sound = audio(&outputs);
    assert_eq!(sound.len(), sent.len());
    for (came, sent) in sound.iter().zip(&sent) {
        let sent = sent.as_audio().unwrap();
        assert_eq!((came.samples(), came.sample_rate()), (sent.samples(), sent.sample_rate()));
        assert_eq!((came.timestamp, &came.stream_id, &came.source), (sent.timestamp, &sent.stream_id, &sent.source));
    }
    assert_eq!(outputs.last().unwrap().data.as_text(), Some("words"));
}
