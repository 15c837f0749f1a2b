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
";
    let sent = tone(440.0, 0.5, 48_000, 3);
    let inputs = sent.iter().cloned().chain([RuntimeData::from("words")]).map(TransportData::new);
    let outputs = run(manifest, inputs).await;
    let sound: Vec<RuntimeData> = audio(&outputs).into_iter().map(RuntimeData::from).collect();
    assert_eq!(sound, sent);
    assert_eq!(outputs.last().unwrap().data.as_text(), Some("words"));
}
