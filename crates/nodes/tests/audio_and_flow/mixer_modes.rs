use crate::{
    common::{audio, run},
    support::{Step, Talker, db, drive, heard_by, join, level, peak},
};
use remotemedia_runtime_core::{data::RuntimeData, transport::TransportData};
use std::sync::Arc;

async fn mix(params: &str, talkers: &mut [Talker], rounds: usize) -> Vec<TransportData> {
    let manifest = format!("pipeline: {{ nodes: [{{ id: mix, type: AudioMixer, params: {{ {params} }} }}] }}");
    let inputs = (0..rounds).map(|_| {
        // At the same time, so that no sample of one is ahead of the others.
        let inputs = talkers.iter_mut().map(|talker| Arc::new(talker.frame())).collect();
        TransportData::new(RuntimeData::AudioMix { inputs, sample_rate: 48_000 })
    });
    let inputs: Vec<_> = inputs.collect();
    run(&manifest, inputs).await
}

#[tokio::test(start_paused = true)]
async fn a_sum_below_the_limit_is_exact() {
    let mut talkers =
        [Talker::new("a", 311.0).loud(0.3), Talker::new("b", 457.0).loud(0.28), Talker::nobody(683.0).loud(0.3)];
    let samples = join(&audio(&mix("mix_mode: sum", &mut talkers, 50).await));
    for (n, sample) in samples.iter().enumerate().take(48_000).skip(240) {
        let sum: f64 = talkers.iter().map(|talker| f64::from(talker.at(n))).sum();
        assert_eq!(*sample, sum as f32, "sample {n}");
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_comes_nothing_exceeds_full_scale() {
    for mode in ["sum", "average", "maximum"] {
        let mut talkers =
            [Talker::new("a", 311.0).loud(0.9), Talker::new("b", 457.0).loud(2.5), Talker::new("c", 683.0)];
        talkers[2].amplitude = 40.0;
        let outputs = mix(&format!("mix_mode: {mode}, mix_minus: true"), &mut talkers, 100).await;
        for peer in ["a", "b", "c"] {
            let heard = heard_by(&outputs, peer);
            assert!(peak(&heard) <= 1.0, "{mode}: {}", peak(&heard));
            assert!(peak(&heard[48_000..]) > 0.85, "{mode}: {}", peak(&heard[48_000..]));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_average_divides_by_the_inputs_that_sound() {
    let mut talkers =
        [Talker::new("a", 311.0), Talker::new("b", 457.0), Talker::new("c", 683.0), Talker::new("d", 1_039.0)];
    let samples = join(&audio(&mix("mix_mode: average", &mut talkers, 60).await));
    let heard = level(&samples[4_800..52_800], 311.0, 48_000);
    assert!((heard - db(0.025)).abs() < 0.1, "{heard} dB");
    // Each of four hears three.
    talkers.iter_mut().for_each(|talker| talker.position = 0);
    let outputs = mix("mix_mode: average, mix_minus: true", &mut talkers, 60).await;
    let heard = heard_by(&outputs, "b");
    assert!((level(&heard[4_800..52_800], 311.0, 48_000) - db(0.1 / 3.0)).abs() < 0.1);
    assert!(level(&heard[4_800..52_800], 457.0, 48_000) < -90.0);
}

#[tokio::test(start_paused = true)]
async fn a_maximum_is_the_sample_with_the_largest_magnitude() {
    let mut talkers = [Talker::new("a", 311.0), Talker::new("b", 457.0), Talker::new("c", 683.0)];
    let samples = join(&audio(&mix("mix_mode: maximum", &mut talkers, 20).await));
    let largest = |n: usize, without: Option<usize>| {
        let others = talkers.iter().enumerate().filter(|(index, _)| Some(*index) != without);
        others.map(|(_, talker)| talker.at(n)).fold(0.0f32, |a, b| if b.abs() > a.abs() { b } else { a })
    };
    for (n, sample) in samples.iter().enumerate().take(19_200).skip(240) {
        assert_eq!(*sample, largest(n, None), "sample {n}");
    }
    let mut again = talkers.clone();
    again.iter_mut().for_each(|talker| talker.position = 0);
    let outputs = mix("mix_mode: maximum, mix_minus: true", &mut again, 20).await;
    for (index, peer) in ["a", "b", "c"].iter().enumerate() {
        let heard = heard_by(&outputs, peer);
        for (n, sample) in heard.iter().enumerate().take(19_200).skip(1_200) {
            assert_eq!(sample.abs(), largest(n, Some(index)).abs(), "{peer}, sample {n}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn samples_that_are_no_numbers_spoil_nothing() {
    let (mut a, mut b) = (Talker::nobody(311.0), Talker::new("b", 457.0));
    let manifest = "pipeline: { nodes: [{ id: mix, type: AudioMixer }] }";
    let mut steps = Vec::new();
    for round in 0..60 {
        let mut frame = b.frame();
        if round == 10 {
            frame.samples_mut().copy_from_slice(&[f32::NAN, f32::INFINITY, f32::MIN, 0.0].repeat(240));
        }
        steps.extend([Step::from(a.frame()), Step::from(frame)]);
    }
    let samples = join(&audio(&drive(manifest, steps).await));
    assert!(samples.iter().all(|sample| sample.abs() <= 1.0));
    assert!(level(&samples[38_400..57_600], 311.0, 48_000) > -20.1);
}
