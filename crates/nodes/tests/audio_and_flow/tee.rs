use crate::common::{run, tone};
use std::sync::Arc;

#[tokio::test]
async fn each_branch_gets_everything_and_changes_only_its_own() {
    let manifest = "
pipeline:
  nodes:
    - { id: split, type: Tee }
    - { id: loud, type: Gain, params: { linear: 2 } }
    - { id: plain, type: PassThrough }
  graph:
    - { from: input, to: split }
    - { from: split, to: loud }
    - { from: split, to: plain }
    - { from: loud, to: output }
    - { from: plain, to: output }
";
    let input = tone(440.0, 0.25, 48_000, 1).remove(0);
    let original = Arc::clone(input.as_audio().unwrap());
    let outputs = run(manifest, [input]).await;
    assert_eq!(outputs.len(), 2);
    let peaks: Vec<f32> =
        outputs.iter().map(|o| o.data.as_audio().unwrap().samples()[27] / original.samples()[27]).collect();
    assert!(peaks.contains(&1.0) && peaks.contains(&2.0), "{peaks:?}");
}
