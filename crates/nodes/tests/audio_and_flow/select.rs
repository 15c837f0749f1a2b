use crate::{
    common::{audio, refusal, video},
    support::{Step, Talker, drive, join, largest_step, level, own_step, to},
};
use remotemedia_runtime_core::data::VideoFrame;
use serde_json::json;

fn manifest(params: &str) -> String {
    format!(
        "
version: v1
nodes:
  - {{ id: a, node_type: Input }}
  - {{ id: b, node_type: Input }}
  - {{ id: which, node_type: Select, params: {{ {params} }} }}
connections: [{{ from: a, to: which }}, {{ from: b, to: which }}]
"
    )
}

fn switch(from: &str) -> Step {
    Step::Change("which", json!({ "from": from }))
}

#[tokio::test]
async fn only_the_chosen_passes_and_other_kinds_always_do() {
    let picture = |grey: u8| VideoFrame::i420(2, 2, vec![grey; 6]).unwrap();
    let steps = [
        to("a", picture(1)),
        to("b", picture(2)),
        to("b", "words"),
        switch("b"),
        to("a", picture(3)),
        to("b", picture(4)),
    ];
    let outputs = drive(&manifest("from: a, kinds: [video, audio]"), steps).await;
    let greys: Vec<u8> = video(&outputs).iter().map(|frame| frame.to_packed()[0]).collect();
    assert_eq!(greys, [1, 4], "video switches at once");
    assert_eq!(outputs.len(), 3, "the words pass");
}

#[tokio::test]
async fn kinds_that_are_not_chosen_from_pass() {
    let steps = [to("b", "words"), to("b", json!(1)), to("a", json!(2))];
    let outputs = drive(&manifest("from: a, kinds: [json]"), steps).await;
    assert_eq!(outputs.len(), 2);
    assert_eq!(outputs[0].data.as_text(), Some("words"));
    assert_eq!(outputs[1].data.as_json(), Some(&json!(2)));
}

async fn switched(mut a: Talker, mut b: Talker, old_goes_first: bool) -> Vec<f32> {
    let mut steps = Vec::new();
    for round in 0..100 {
        if round == 50 {
            steps.push(switch("b"));
        }
        let (a, b) = (to("a", a.frame()), to("b", b.frame()));
        steps.extend(if old_goes_first { [a, b] } else { [b, a] });
    }
    let frames = audio(&drive(&manifest("from: a"), steps).await);
    frames.iter().flat_map(|frame| frame.samples().iter().step_by(frame.channels().into()).copied()).collect()
}

#[tokio::test]
async fn audio_fades_over_without_a_step() {
    for old_goes_first in [true, false] {
        let (a, b) = (Talker::nobody(311.0), Talker { position: 37, ..Talker::nobody(457.0) });
        let own = own_step(&[&a, &b]);
        let samples = switched(a, b, old_goes_first).await;
        assert!(largest_step(&samples) <= own, "{} > {own}", largest_step(&samples));
        assert!(samples.len() <= 96_000 + 480, "{}", samples.len());
        assert!(level(&samples[..46_000], 311.0, 48_000) > -20.1);
        assert!(level(&samples[..46_000], 457.0, 48_000) < -80.0);
        assert!(level(&samples[50_000..], 457.0, 48_000) > -20.1);
        assert!(level(&samples[50_000..], 311.0, 48_000) < -80.0);
    }
}

#[tokio::test]
async fn audio_of_another_format_is_preceded_by_the_end_of_the_old() {
    let (a, b) = (Talker::nobody(311.0), Talker::nobody(457.0).format(48_000, 2, 960));
    let own = own_step(&[&a, &b]);
    let samples = switched(a, b, false).await;
    assert!(largest_step(&samples) <= own, "{} > {own}", largest_step(&samples));
    assert!((96_240..=96_480).contains(&samples.len()), "{}", samples.len());
}

#[tokio::test]
async fn streams_of_several_peers_switch_each_by_itself() {
    let (mut x, mut y) = (Talker::new("x", 311.0), Talker::new("y", 457.0));
    let mut steps = Vec::new();
    for round in 0..40 {
        if round == 20 {
            steps.push(switch("b"));
        }
        for talker in [&mut x, &mut y] {
            let frame = talker.frame();
            steps.extend([to("b", frame.clone()), to("a", frame)]);
        }
    }
    let frames = audio(&drive(&manifest("from: a"), steps).await);
    for talker in [&x, &y] {
        let own = frames.iter().filter(|frame| frame.source.as_deref() == talker.peer);
        let samples = join(own);
        assert_eq!(samples.len(), 40 * 960);
        assert!(largest_step(&samples) <= own_step(&[talker]) * 2.0, "{}", largest_step(&samples));
        assert!(level(&samples, talker.hertz, 48_000) > -20.5);
    }
}

#[test]
fn kinds_that_do_not_exist_are_refused_with_the_nearest() {
    let refused = refusal(&manifest("from: a, kinds: [vidoe]"));
    assert!(refused.contains("did you mean \"video\""), "{refused}");
    assert!(refusal(&manifest("kinds: [video]")).contains("\"from\" is missing"));
}
