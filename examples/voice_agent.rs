//! A voice agent: it answers when the caller has finished, and stops when the caller interrupts.
//!
//! `cargo run --release --example voice_agent -- --duration 15`
//!
//! Caller and agent are both in this program. The caller asks something, listens to the answer for two seconds, and speaks
//! again in the middle of it. The agent hears that, drops what it still had to say, and knows how much of it was heard.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use remotemedia_codecs::test_media::Speech;
use remotemedia_examples::{Error, Stage, duration};
use remotemedia_runtime_core::{
    data::{AudioFrame, RuntimeData},
    manifest::Manifest,
};
use remotemedia_webrtc::{Route, Target, TransportEvent, WebRtcTransport, WebRtcTransportConfig};
use tokio::time::{Instant, interval, timeout_at};

const RATE: u32 = 48_000;
const FRAME: Duration = Duration::from_millis(20);
/// What the caller says at a time.
const QUESTION: Duration = Duration::from_millis(1_500);
/// How long the caller listens before speaking again.
const PATIENCE: Duration = Duration::from_secs(2);

/// When the caller began to speak last, for the figures.
type Onset = Arc<Mutex<Option<Instant>>>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let duration = duration(Duration::from_secs(15))?;
    let stage = Stage::open().await?;
    let config = || WebRtcTransportConfig { enable_video: false, ..Default::default() };
    let agent = stage.join("agent", config()).await?;
    let caller = stage.join("caller", config()).await?;
    let end = Instant::now() + duration;
    let onset = Onset::default();

    let answering = tokio::spawn(answer(agent.clone(), Arc::clone(&onset), end));
    caller.connect_peer("agent").await?;
    let listening = tokio::spawn(listen(caller.clone(), end));
    talk(&caller, &onset, end).await?;
    let interruptions = answering.await??;
    let heard = listening.await??;
    println!("{interruptions} interruptions; the caller has heard {heard:?} of sound in all");
    caller.shutdown().await?;
    agent.shutdown().await?;
    Ok(())
}

/// The agent: answers, and lets itself be interrupted. Tells how often it was.
async fn answer(agent: WebRtcTransport, onset: Onset, end: Instant) -> Result<u32, Error> {
    let manifest = Manifest::from_file(concat!(env!("CARGO_MANIFEST_DIR"), "/voice_agent.yaml"))?;
    let mut events = agent.events();
    let _ears = agent.attach(Arc::new(manifest), Route::from_all()).await?;
    let speaker = agent.speaker(Target::peer("caller")?)?;
    let mut interruptions = 0;
    while let Ok(Some(event)) = timeout_at(end, events.next()).await {
        let TransportEvent::PipelineControl { message, .. } = event else { continue };
        match &*message.message_type {
            "speech_end" => {
                // The language model and the synthesiser of a real agent would be asked here.
                let answer = Speech::new(2, RATE).samples(RATE as usize * 8);
                println!("the caller has finished: the agent answers");
                speaker.play(AudioFrame::new(answer, RATE, 1)?).await;
            }
            "speech_start" if !speaker.queued().is_zero() => {
                let begun = onset.lock().unwrap_or_else(PoisonError::into_inner).map(|onset| onset.elapsed());
                let interruption = speaker.interrupt().await;
                interruptions += 1;
                println!(
                    "interrupted {:.0?} after the caller began to speak: {:.2?} were heard, {:.2?} dropped",
                    begun.unwrap_or_default(),
                    interruption.heard("caller"),
                    interruption.dropped,
                );
            }
            _ => {}
        }
    }
    Ok(interruptions)
}

/// The caller's mouth: asks, waits, and asks again.
async fn talk(caller: &WebRtcTransport, onset: &Onset, end: Instant) -> Result<(), Error> {
    let mut clock = interval(FRAME);
    let mut voice = Speech::new(1, RATE);
    let begin = Instant::now() + Duration::from_secs(1);
    let turn = QUESTION + Duration::from_millis(400) + PATIENCE;
    let mut is_speaking = false;
    loop {
        let now = clock.tick().await;
        if now >= end {
            return Ok(());
        }
        let into = now.saturating_duration_since(begin).as_nanos() % turn.as_nanos();
        let speaks = now >= begin && into < QUESTION.as_nanos();
        if speaks && !is_speaking {
            println!("the caller speaks");
            *onset.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        }
        is_speaking = speaks;
        let samples = if speaks { voice.samples(RATE as usize / 50) } else { vec![0.0; RATE as usize / 50] };
        caller.send_to_peer("agent", &RuntimeData::from(AudioFrame::new(samples, RATE, 1)?)).await?;
    }
}

/// The caller's ears: for how long something was heard.
async fn listen(caller: WebRtcTransport, end: Instant) -> Result<Duration, Error> {
    let mut heard = Duration::ZERO;
    while let Ok(frame) = timeout_at(end, caller.recv_audio("agent")).await {
        let Some(frame) = frame? else { break };
        if frame.samples().iter().any(|sample| sample.abs() > 0.003) {
            heard += frame.duration();
        }
    }
    Ok(heard)
}
