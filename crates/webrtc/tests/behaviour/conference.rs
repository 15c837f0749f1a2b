//! Five people in one mixer: each hears all others, as loud as they are, and not themselves; nobody hears anybody come or go.

use std::{sync::Arc, time::Duration};

use remotemedia_netsim::virt::run_virtual;
use remotemedia_runtime_core::{data::RuntimeData, manifest::Manifest};
use remotemedia_webrtc::{AudioCodec, AudioFrame, Route, WebRtcTransport, WebRtcTransportConfig};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout_at},
};

use crate::world::World;

/// No multiple of one of these is another.
const TONES: [f64; 5] = [311.0, 439.0, 587.0, 823.0, 1_109.0];
const AMPLITUDE: f64 = 0.1;
const SECOND: Duration = Duration::from_secs(1);

fn audio_only(config: &mut WebRtcTransportConfig) {
    config.enable_video = false;
    config.audio_codec = AudioCodec::Opus { sample_rate: 48_000, channels: 1, bitrate_kbps: 64, complexity: 8 };
}

fn hum(transport: &WebRtcTransport, hertz: f64) -> JoinHandle<()> {
    let transport = transport.clone();
    tokio::spawn(async move {
        for number in 0..usize::MAX {
            // It rises over 100 ms, as a voice does: a tone that begins at once is a click of its own.
            let rise = |n: usize| AMPLITUDE * (n as f64 / 4_800.0).min(1.0);
            let sample = |n: usize| (rise(n) * (std::f64::consts::TAU * hertz * n as f64 / 48e3).sin()) as f32;
            let samples: Vec<f32> = (number * 960..(number + 1) * 960).map(sample).collect();
            let frame = RuntimeData::from(AudioFrame::new(samples, 48_000, 1).unwrap());
            if transport.send_to_peer("host", &frame).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    })
}

type Heard = Vec<(Instant, Arc<AudioFrame>)>;

fn listen(transport: &WebRtcTransport, until: Instant) -> JoinHandle<Heard> {
    let transport = transport.clone();
    tokio::spawn(async move {
        let mut heard = Vec::new();
        while let Ok(Ok(Some(frame))) = timeout_at(until, transport.recv_audio("host")).await {
            heard.push((Instant::now(), frame));
        }
        heard
    })
}

fn between(heard: &Heard, from: Instant, until: Instant) -> Vec<f32> {
    let frames = heard.iter().filter(|(at, _)| (from..until).contains(at));
    frames.flat_map(|(_, frame)| frame.samples().to_vec()).collect()
}

/// The amplitude of a tone in dB of full scale, under a Hann window.
fn level(samples: &[f32], hertz: f64) -> f64 {
    let (mut re, mut im, mut weights) = (0.0, 0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        let weight = 0.5 - 0.5 * (std::f64::consts::TAU * n as f64 / samples.len() as f64).cos();
        let phase = std::f64::consts::TAU * hertz / 48e3 * n as f64;
        re += weight * f64::from(*sample) * phase.cos();
        im += weight * f64::from(*sample) * phase.sin();
        weights += weight;
    }
    20.0 * (2.0 * re.hypot(im) / weights).max(1e-9).log10()
}

fn largest_step(samples: &[f32]) -> f32 {
    samples.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max)
}

/// By how much a sample lies beside the line through the two before it, at most. Low tones make little of it and a click as much as
/// its height, so that one is found far below the steps that the tones make themselves.
fn largest_bend(samples: &[f32]) -> f32 {
    samples.windows(3).map(|three| (three[2] - 2.0 * three[1] + three[0]).abs()).fold(0.0, f32::max)
}

#[test]
fn each_hears_all_others_and_nobody_themselves_while_one_comes_and_goes() {
    run_virtual(381, |network| async move {
        let world = World::clean(network);
        let host = world.join_with("host", audio_only).await;
        let mixer = "pipeline: { nodes: [{ id: mixer, type: AudioMixer, params: { mix_minus: true } }] }";
        let conference = host.attach(Arc::new(Manifest::from_yaml(mixer).unwrap()), Route::from_all().shared()).await;
        let conference = conference.unwrap();
        let start = Instant::now();
        let (joins, leaves, end) = (start + 4 * SECOND, start + 12 * SECOND, start + 15 * SECOND);
        let mut people = Vec::new();
        for (number, hertz) in TONES.into_iter().enumerate() {
            if number == 4 {
                sleep_until(joins).await;
            }
            let transport = world.join_with(&format!("p{number}"), audio_only).await;
            transport.connect_peer("host").await.unwrap();
            let humming = hum(&transport, hertz);
            people.push((listen(&transport, if number == 4 { leaves } else { end }), humming, transport));
        }
        sleep_until(leaves).await;
        let (_, humming, fifth) = &people[4];
        humming.abort();
        fifth.shutdown().await.unwrap();
        sleep_until(end).await;
        let mut heard = Vec::new();
        for (listening, humming, _) in people {
            heard.push(listening.await.unwrap());
            humming.abort();
        }
        conference.detach().await;

        let expected = 20.0 * AMPLITUDE.log10();
        for (listener, heard) in heard.iter().enumerate() {
            let samples = between(heard, leaves - 5 * SECOND, leaves);
            for (speaker, hertz) in TONES.into_iter().enumerate() {
                let level = level(&samples, hertz);
                if speaker == listener {
                    assert!(level < -50.0, "{listener} hears themselves at {level:.1} dB");
                } else {
                    assert!((level - expected).abs() < 1.0, "{listener} hears {speaker} at {level:.1} dB");
                }
            }
        }
        for (listener, heard) in heard.iter().enumerate().take(4) {
            let calm = between(heard, leaves - 3 * SECOND, leaves - SECOND);
            let around = |at: Instant| between(heard, at - SECOND, at + 2 * SECOND);
            // All five together are as loud as it gets.
            let bend = largest_bend(&around(joins)) / largest_bend(&calm);
            println!("{listener}: largest bend around the joining, to that with all five: {bend:.3}");
            assert!(bend <= 1.05, "{listener} hears a click at the joining, {bend} times what the tones make");
            // Who leaves in the middle of a tone is faded over with its mirror image: a corner, but no step.
            let step = largest_step(&around(leaves)) / largest_step(&calm);
            println!("{listener}: largest step around the leaving, to that with all five: {step:.3}");
            assert!(step <= 1.05, "{listener} hears a step at the leaving, {step} times what the tones make");
        }
    });
}
