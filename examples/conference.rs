//! An audio conference: five people, one mixer, and nobody hears themselves.
//!
//! `cargo run --release --example conference -- --duration 20`
//!
//! Each participant hums a tone of their own, so that what arrives can be told apart. The fifth joins when a third of the time
//! is over, and leaves when two thirds are. At the end it prints who was heard by whom, and how loud, over the last five
//! seconds before the fifth left.

use std::{sync::Arc, time::Duration};

use remotemedia_examples::{Error, Stage, duration, largest_bend, tone_level};
use remotemedia_runtime_core::{
    data::{AudioFrame, RuntimeData},
    manifest::Manifest,
};
use remotemedia_webrtc::{AudioCodec, Route, WebRtcTransport, WebRtcTransportConfig};
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout_at},
};

/// No multiple of one of these is another, so that distortion is not taken for a voice.
const TONES: [f64; 5] = [311.0, 439.0, 587.0, 823.0, 1_109.0];
const AMPLITUDE: f64 = 0.1;
const RATE: u32 = 48_000;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let duration = duration(Duration::from_secs(20))?;
    let stage = Stage::open().await?;
    let host = stage.join("host", audio_only()).await?;
    let manifest = Manifest::from_file(concat!(env!("CARGO_MANIFEST_DIR"), "/conference.yaml"))?;
    // One session for everybody: what the mixer makes for a participant finds its way back to them.
    let conference = host.attach(Arc::new(manifest), Route::from_all().shared()).await?;

    let start = Instant::now();
    let end = start + duration;
    let (joins, leaves) = (start + duration / 3, start + duration * 2 / 3);
    let mut participants = Vec::new();
    for number in 0..4 {
        participants.push(Participant::join(&stage, number, end).await?);
    }
    sleep_until(joins).await;
    println!("{} joins {:?}", name(4), conference.peers());
    let fifth = Participant::join(&stage, 4, leaves).await?.leave().await?;
    println!("{} left {:?}", name(4), conference.peers());

    let mut heard = Vec::new();
    for participant in participants {
        heard.push(participant.leave().await?);
    }
    heard.push(fifth);
    conference.detach().await;
    host.shutdown().await?;
    report(&heard, joins, leaves);
    Ok(())
}

fn audio_only() -> WebRtcTransportConfig {
    let audio_codec = AudioCodec::Opus { sample_rate: RATE, channels: 1, bitrate_kbps: 64, complexity: 8 };
    WebRtcTransportConfig { audio_codec, enable_video: false, enable_data_channel: false, ..Default::default() }
}

fn name(number: usize) -> String {
    format!("participant-{}", number + 1)
}

/// Somebody who hums and listens.
struct Participant {
    transport: WebRtcTransport,
    humming: JoinHandle<Result<(), Error>>,
    listening: JoinHandle<Result<Heard, Error>>,
}

/// What somebody heard, 20 ms at a time, each with when.
type Heard = Vec<(Instant, Arc<AudioFrame>)>;

impl Participant {
    async fn join(stage: &Stage, number: usize, until: Instant) -> Result<Self, Error> {
        let transport = stage.join(&name(number), audio_only()).await?;
        transport.connect_peer("host").await?;
        let humming = tokio::spawn(hum(transport.clone(), TONES[number], until));
        let listening = tokio::spawn(listen(transport.clone(), until));
        Ok(Self { transport, humming, listening })
    }

    /// Takes part to the end.
    async fn leave(self) -> Result<Heard, Error> {
        let heard = self.listening.await??;
        self.humming.await??;
        self.transport.shutdown().await?;
        Ok(heard)
    }
}

async fn hum(transport: WebRtcTransport, hertz: f64, until: Instant) -> Result<(), Error> {
    let mut clock = interval(Duration::from_millis(20));
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let length = RATE as usize / 50;
    for number in 0.. {
        if clock.tick().await >= until {
            break;
        }
        // It rises over a tenth of a second, as a voice does: a tone that begins at once is a click of its own.
        let rise = |n: usize| AMPLITUDE * (n as f64 * 10.0 / f64::from(RATE)).min(1.0);
        let sample = |n: usize| (rise(n) * (std::f64::consts::TAU * hertz * n as f64 / f64::from(RATE)).sin()) as f32;
        let samples: Vec<f32> = (number * length..(number + 1) * length).map(sample).collect();
        transport.send_to_peer("host", &RuntimeData::from(AudioFrame::new(samples, RATE, 1)?)).await?;
    }
    Ok(())
}

async fn listen(transport: WebRtcTransport, until: Instant) -> Result<Heard, Error> {
    let mut heard = Vec::new();
    while let Ok(frame) = timeout_at(until, transport.recv_audio("host")).await {
        let Some(frame) = frame? else { break };
        heard.push((Instant::now(), frame));
    }
    Ok(heard)
}

/// Prints how loud everybody was to everybody over the last five seconds that all were there, or fewer if there were fewer, and
/// how smoothly the fifth came and went.
fn report(heard: &[Heard], joins: Instant, leaves: Instant) {
    let settled = joins + Duration::from_millis(500);
    let from = leaves.checked_sub(Duration::from_secs(5)).map_or(settled, |from| from.max(settled));
    println!("voices in dB of full scale; each alone has {:.1}", 20.0 * AMPLITUDE.log10());
    println!("{:<24}{}", "heard by", (0..5).map(|number| format!("{:>16}", name(number))).collect::<String>());
    for (number, heard) in heard.iter().enumerate() {
        let samples = between(heard, from, leaves);
        let level = |hertz: &f64| format!("{:>16.1}", tone_level(&samples, *hertz, f64::from(RATE)));
        println!("{:<24}{}", name(number), TONES.iter().map(level).collect::<String>());
    }
    let second = Duration::from_secs(1);
    for (number, heard) in heard.iter().enumerate().take(4) {
        let around = |at: Instant| largest_bend(&between(heard, at - second, at + second));
        println!(
            "{:<24}largest bend while the fifth joins {:.5}, leaves {:.5}, in between {:.5}",
            name(number),
            around(joins),
            around(leaves),
            largest_bend(&between(heard, settled, leaves - second))
        );
    }
}

fn between(heard: &Heard, from: Instant, until: Instant) -> Vec<f32> {
    let frames = heard.iter().filter(|(at, _)| (from..until).contains(at));
    frames.flat_map(|(_, frame)| frame.samples().to_vec()).collect()
}
