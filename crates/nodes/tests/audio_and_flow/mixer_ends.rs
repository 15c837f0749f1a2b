use std::time::Duration;

use crate::support::{Step, Talker, drive, heard_by, largest_step, left, level, own_step, peak, to};

const MIX_MINUS: &str = "pipeline: { nodes: [{ id: mix, type: AudioMixer, params: { mix_minus: true } }] }";

/// `a` talks for two seconds; `b` joins after half a second and goes as `how` says after one.
async fn visit(how: impl Fn(usize, &mut Vec<Step>)) -> (Vec<f32>, [Talker; 3]) {
    let mut talkers = [Talker::new("a", 311.0), Talker::new("b", 457.0), Talker::new("c", 683.0)];
    let mut steps = Vec::new();
    for round in 0..100 {
        steps.extend([Step::from(talkers[0].frame()), Step::from(talkers[2].frame())]);
        if round >= 25 {
            how(round, &mut steps);
            let frame = talkers[1].frame();
            if round < 50 {
                steps.push(frame.into());
            }
        }
    }
    (heard_by(&drive(MIX_MINUS, steps).await, "c"), talkers)
}

#[tokio::test(start_paused = true)]
async fn whoever_joins_and_falls_silent_makes_no_step() {
    let (heard, [a, b, _]) = visit(|_, _| {}).await;
    assert!(level(&heard[26_400..45_600], b.hertz, 48_000) > -20.2, "b was heard");
    assert!(level(&heard[55_200..91_200], b.hertz, 48_000) < -80.0, "b is gone");
    let (step, own) = (largest_step(&heard), own_step(&[&a, &b]));
    assert!(step <= own * 1.001, "a step of {step}, where the tones make {own}");
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_fades_out_at_once() {
    let (heard, [a, b, _]) = visit(|round, steps| {
        if round == 40 {
            steps.push(left("b"));
        }
    })
    .await;
    // It comes back with its next frame, as one that was not told to leave would.
    let (step, own) = (largest_step(&heard), own_step(&[&a, &b]));
    assert!(step <= own * 1.001, "a step of {step}, where the tones make {own}");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_one_stream_leaves_the_others_of_the_peer() {
    let mut voice = Talker { stream: Some("voice"), ..Talker::new("a", 400.0) };
    let mut music = Talker { stream: Some("music"), ..Talker::new("a", 900.0) };
    let mut listener = Talker::new("b", 1_500.0);
    let mut steps = Vec::new();
    for round in 0..100 {
        steps.extend([Step::from(listener.frame()), Step::from(music.frame())]);
        match round {
            0..50 => steps.push(voice.frame().into()),
            50 => {
                let payload = serde_json::json!({ "peer": "a", "stream_id": "voice" });
                let message = remotemedia_runtime_core::data::ControlMessage::new("stream_ended");
                steps.push(message.with_payload(payload).into());
            }
            _ => {}
        }
    }
    let outputs = drive(MIX_MINUS, steps).await;
    let controls = outputs.iter().filter(|output| output.data.kind().name() == "control").count();
    assert_eq!(controls, 1, "the message passes");
    let heard = heard_by(&outputs, "b");
    assert!(level(&heard[4_800..43_200], 400.0, 48_000) > -20.2);
    assert!(level(&heard[52_800..91_200], 400.0, 48_000) < -80.0);
    assert!(level(&heard[52_800..91_200], 900.0, 48_000) > -20.2);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_session_drains_and_fades_what_is_left() {
    let mut talker = Talker { length: 700, ..Talker::nobody(400.0) };
    let manifest = "pipeline: { nodes: [{ id: mix, type: AudioMixer }] }";
    let outputs = drive(manifest, talker.frames(10).into_iter().map(Step::from)).await;
    let samples: Vec<f32> =
        outputs.iter().flat_map(|output| output.data.as_audio().unwrap().samples().to_vec()).collect();
    assert!(samples.len() >= 7_000 && samples.len() <= 7_000 + 960 + 240, "{} samples", samples.len());
    assert!((samples[6_999] - talker.at(6_999)).abs() < 1e-6, "the last sample is there");
    assert!(largest_step(&samples) <= own_step(&[&talker]) * 1.001);
    assert!(peak(&samples[7_240..]) < 1e-3, "silence after 5 ms");
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_the_only_talker_is_bridged_without_a_step() {
    let mut talker = Talker::nobody(311.0);
    let mut steps: Vec<Step> = talker.frames(20).into_iter().map(Step::from).collect();
    // A quarter of a period further, so that the tone would jump.
    talker.position += 48_000 + 1_000;
    steps.extend(talker.frames(20).into_iter().map(Step::from));
    let manifest = "pipeline: { nodes: [{ id: mix, type: AudioMixer }] }";
    let outputs = drive(manifest, steps).await;
    let times: Vec<_> = outputs.iter().filter_map(|output| output.data.as_audio()?.timestamp).collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == Duration::from_millis(20)), "{times:?}");
    let samples: Vec<f32> =
        outputs.iter().flat_map(|output| output.data.as_audio().unwrap().samples().to_vec()).collect();
    assert!(largest_step(&samples) <= own_step(&[&talker]) * 1.001, "{}", largest_step(&samples));
}

#[tokio::test(start_paused = true)]
async fn the_65th_input_takes_the_place_of_the_least_recently_used_without_a_step() {
    let mut steps: Vec<Step> = Vec::new();
    let mut main = Talker::nobody(311.0);
    for number in 0..80 {
        steps.push(main.frame().into());
        let mut frame = Talker { length: 480, ..Talker::nobody(0.0) }.frame();
        frame.stream_id = Some(format!("s{number}").parse().unwrap());
        steps.push(frame.into());
    }
    steps.extend(main.frames(50).into_iter().map(Step::from));
    let manifest = "pipeline: { nodes: [{ id: mix, type: AudioMixer }] }";
    let outputs = drive(manifest, steps).await;
    let samples: Vec<f32> =
        outputs.iter().flat_map(|output| output.data.as_audio().unwrap().samples().to_vec()).collect();
    assert!(largest_step(&samples) <= own_step(&[&main]) * 1.001);
    assert!(level(&samples[9_600..105_600], 311.0, 48_000) > -20.1, "the one that is used stays");
}

#[tokio::test(start_paused = true)]
async fn inputs_of_the_pipeline_are_told_apart_by_name() {
    let manifest = "
version: v1
nodes:
  - { id: left, node_type: Input }
  - { id: right, node_type: Input }
  - { id: mix, node_type: AudioMixer, params: { gains: { right: -20 } } }
connections: [{ from: left, to: mix }, { from: right, to: mix }]
";
    let (mut a, mut b) = (Talker::nobody(311.0), Talker::nobody(683.0));
    let steps = (0..60).flat_map(|_| [to("left", a.frame()), to("right", b.frame())]);
    let outputs = drive(manifest, steps.collect::<Vec<_>>()).await;
    let samples: Vec<f32> =
        outputs.iter().flat_map(|output| output.data.as_audio().unwrap().samples().to_vec()).collect();
    assert!((level(&samples[4_800..52_800], 311.0, 48_000) + 20.0).abs() < 0.1);
    assert!((level(&samples[4_800..52_800], 683.0, 48_000) + 40.0).abs() < 0.1);
}
