use std::time::Duration;

use crate::{
    common::{audio, run},
    support::{Step, Talker, db, drive, heard_by, left, level, peak, session},
};
use remotemedia_runtime_core::transport::TransportData;

const MIX_MINUS: &str = "pipeline: { nodes: [{ id: mix, type: AudioMixer, params: { mix_minus: true } }] }";
const TONES: [(&str, f32); 5] = [("a", 311.0), ("b", 457.0), ("c", 683.0), ("d", 1_039.0), ("e", 1_583.0)];

#[tokio::test(start_paused = true)]
async fn five_peers_hear_each_other_and_not_themselves() {
    let mut talkers = TONES.map(|(peer, hertz)| Talker::new(peer, hertz));
    let inputs: Vec<_> =
        (0..260).flat_map(|_| talkers.each_mut().map(|talker| TransportData::new(talker.frame()))).collect();
    let outputs = run(MIX_MINUS, inputs).await;
    for (listener, own) in TONES {
        let heard = heard_by(&outputs, listener);
        // Five seconds, without the beginning.
        let heard = &heard[4_800..4_800 + 240_000];
        for (_, hertz) in TONES {
            let level = level(heard, hertz, 48_000);
            if hertz == own {
                assert!(level < -90.0, "{listener} hears itself at {level} dB");
            } else {
                assert!((level - db(0.1)).abs() < 0.1, "{listener} hears {hertz} Hz at {level} dB");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_with_two_streams_hears_neither_and_audio_of_nobody_is_in_every_mix() {
    let mut voice = Talker { stream: Some("voice"), ..Talker::new("a", 400.0) };
    let mut music = Talker { stream: Some("music"), ..Talker::new("a", 900.0) };
    let (mut other, mut announcement) = (Talker::new("b", 1_500.0), Talker::nobody(2_300.0));
    let steps = (0..60)
        .flat_map(|_| [&mut voice, &mut music, &mut other, &mut announcement].map(|talker| Step::from(talker.frame())));
    let outputs = drive(MIX_MINUS, steps.collect::<Vec<_>>()).await;
    let (a, b) = (heard_by(&outputs, "a"), heard_by(&outputs, "b"));
    for (heard, hertz, is_there) in [
        (&a, 400.0, false),
        (&a, 900.0, false),
        (&a, 1_500.0, true),
        (&a, 2_300.0, true),
        (&b, 400.0, true),
        (&b, 900.0, true),
        (&b, 1_500.0, false),
        (&b, 2_300.0, true),
    ] {
        let level = level(&heard[4_800..52_800], hertz, 48_000);
        assert_eq!(level > -21.0, is_there, "{hertz} Hz at {level} dB");
    }
    let frames = audio(&outputs);
    assert!(frames.iter().all(|frame| frame.source.is_none() && frame.stream_id.is_none()));
    assert_eq!(outputs.len(), frames.len(), "nobody gets a mix without being a peer");
    assert!(outputs.iter().all(|output| output.get_metadata("peer").is_some()));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_alone_hears_silence_in_a_steady_stream() {
    let mut alone = Talker::new("a", 400.0);
    let outputs = drive(MIX_MINUS, alone.frames(50).into_iter().map(Step::from)).await;
    let heard = heard_by(&outputs, "a");
    assert!(heard.len() >= 48_000, "{} samples", heard.len());
    assert_eq!(peak(&heard), 0.0);
    let times: Vec<_> = audio(&outputs).iter().map(|frame| frame.timestamp.unwrap()).collect();
    assert!(times.iter().enumerate().all(|(n, time)| *time == Duration::from_millis(20) * n as u32), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_muted_peer_goes_on_listening_until_it_leaves() {
    let (mut a, mut b) = (Talker::new("a", 400.0), Talker::new("b", 900.0));
    let mut steps: Vec<Step> = vec![a.frame().into(), b.frame().into()];
    steps.extend(b.frames(50).into_iter().map(Step::from));
    steps.push(left("a"));
    steps.extend(b.frames(50).into_iter().map(Step::from));
    let outputs = drive(MIX_MINUS, steps).await;
    let heard = heard_by(&outputs, "a");
    assert!((44_000..=49_920).contains(&heard.len()), "{} samples", heard.len());
    assert!((level(&heard[4_800..43_200], 900.0, 48_000) + 20.0).abs() < 0.1);
    assert!(heard_by(&outputs, "b").len() >= 48_000 * 2);
}

#[tokio::test(start_paused = true)]
async fn listeners_are_bounded_even_if_nobody_ever_says_that_one_left() {
    let ended = |peer: &str| {
        let payload = serde_json::json!({ "peer": peer });
        Step::from(remotemedia_runtime_core::data::ControlMessage::new("stream_ended").with_payload(payload))
    };
    let mut steps = Vec::new();
    for number in 0..200 {
        let mut frame = Talker::nobody(400.0).frame();
        frame.source = Some(format!("p{number}").parse().unwrap());
        steps.extend([Step::from(frame), ended(&format!("p{number}"))]);
    }
    let outputs = drive(MIX_MINUS, steps).await;
    let last = audio(&outputs).last().unwrap().timestamp;
    let at_last = audio(&outputs).iter().filter(|frame| frame.timestamp == last).count();
    assert!((1..=64).contains(&at_last), "{at_last} peers get a mix");
}

/// Prints what a frame costs; fails only when that is far off.
#[tokio::test]
async fn ten_peers_cost_little() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    for count in [5, 10] {
        let mut talkers: Vec<_> = (0..count).map(|n| Talker::new(names[n], 300.0 + 97.0 * n as f32)).collect();
        let mut session = session(MIX_MINUS);
        for _ in 0..250 {
            for talker in &mut talkers {
                session.send_input(TransportData::new(talker.frame())).await.unwrap();
                while session.recv_output().await.unwrap().is_some() {}
            }
        }
        let busy = session.control().metrics()[0].busy / 250;
        println!("mix-minus of {count} peers: {busy:?} for 20 ms of all of them");
        assert!(busy < Duration::from_millis(5), "{busy:?}");
    }
}
