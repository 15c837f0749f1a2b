//! One call between Alice and Bob, and what each heard of the other.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use remotemedia_codecs::test_media::Speech;
use remotemedia_runtime_core::{
    data::RuntimeData,
    manifest::Manifest,
    transport::{StreamSession, TransportData},
};
use remotemedia_webrtc::{AudioFrame, VideoCodec, VideoFrame, WebRtcTransport, WebRtcTransportConfig};
use tokio::time::{MissedTickBehavior, interval};

use crate::{Error, heard::Heard, pictures, processors::Processors, sound};

/// How long both talk before anything is measured: connections, encoders and buffers settle.
const WARM_UP: Duration = Duration::from_secs(3);

/// How long is measured.
pub(crate) const MEASURED: Duration = Duration::from_secs(10);

const PIPELINE: &str = "
pipeline:
  nodes:
    - {id: echo, type: Echo}
  graph:
    - {from: input, to: echo}
    - {from: echo, to: output}
";

/// What a call was like.
pub(crate) struct Call {
    pub(crate) connect: Duration,
    /// How much of the processors had nothing to do, of 1; `None` where the system does not tell.
    pub(crate) idle: Option<f64>,
    pub(crate) to_bob: Heard,
    pub(crate) to_alice: Heard,
}

/// Plays a call in `codec`.
pub(crate) async fn play(
    signaling_url: &str,
    codec: VideoCodec,
    clip: &Arc<Vec<Arc<VideoFrame>>>,
) -> Result<Call, Error> {
    let start = async |peer_id: &str| {
        let transport = WebRtcTransport::new(WebRtcTransportConfig {
            signaling_url: signaling_url.into(),
            peer_id: peer_id.into(),
            stun_servers: vec![],
            video_codec: codec.clone(),
            ..Default::default()
        })?;
        transport.start().await?;
        Ok::<_, Error>(transport)
    };
    let (alice, bob) = (start("alice").await?, start("bob").await?);
    let begin = Instant::now();
    alice.connect_peer("bob").await?;
    let connect = begin.elapsed();
    let mut connected = alice.list_peers().await?.len() + bob.list_peers().await?.len();
    while connected < 2 {
        tokio::task::yield_now().await;
        connected = alice.list_peers().await?.len() + bob.list_peers().await?.len();
    }
    let (to_bob, to_alice, idle) = tokio::try_join!(
        talk(alice.clone(), bob.clone(), Arc::clone(clip), 1),
        talk(bob.clone(), alice.clone(), Arc::clone(clip), 2),
        async { Ok(idle_while_measured().await) },
    )?;
    alice.shutdown().await?;
    bob.shutdown().await?;
    Ok(Call { connect, idle, to_bob, to_alice })
}

/// The share of the processors that has nothing to do while the call is measured: what compares it afterwards does not count.
async fn idle_while_measured() -> Option<f64> {
    tokio::time::sleep(WARM_UP).await;
    let before = Processors::now()?;
    tokio::time::sleep(MEASURED).await;
    Processors::now()?.idle_since(before)
}

/// What the speaker notes down for the comparison.
#[derive(Default)]
struct Said {
    samples: Mutex<Vec<f32>>,
    /// When each chunk of 10 ms was handed over.
    times: Mutex<Vec<Instant>>,
    pictures: pictures::Sent,
}

/// Lets `speaker` talk to `listener` and compares.
async fn talk(
    speaker: WebRtcTransport,
    listener: WebRtcTransport,
    clip: Arc<Vec<Arc<VideoFrame>>>,
    seed: u64,
) -> Result<Heard, Error> {
    let said = Arc::new(Said::default());
    let from = speaker.peer_id().to_string();
    let begin = Instant::now();
    let eyes = tokio::spawn(watch(listener.clone(), from.clone(), Arc::clone(&clip), Arc::clone(&said), begin));
    let ears = tokio::spawn(listen(listener.clone(), from, begin));
    let mouth = tokio::spawn(speak(speaker.clone(), listener.peer_id().to_string(), Arc::clone(&said), seed));
    let sent = show(&speaker, listener.peer_id(), &clip, &said, begin).await?;
    mouth.await??;
    let (pictures, heard) = (eyes.await??, ears.await??);

    let samples = std::mem::take(&mut *said.samples.lock());
    let skipped = sound::RATE * WARM_UP.as_secs() as usize;
    let Recording { samples: heard, times: heard_at } = heard;
    // Speaker and listener begin at the same moment.
    let sound = tokio::task::spawn_blocking(move || {
        sound::compare(samples.get(skipped..).unwrap_or_default(), heard.get(skipped..).unwrap_or_default())
    });
    let sound = sound.await?;
    let said_at = std::mem::take(&mut *said.times.lock());
    let latency = |&(said, heard): &(usize, usize)| {
        let spoken = said_at.get((skipped + said) / (sound::RATE / 100))?;
        Some(*heard_at.get((skipped + heard) / (sound::RATE / 50))? - *spoken)
    };
    let audio_latency = sound.alignments.iter().filter_map(latency).collect();
    let packet_loss = speaker.list_peers().await?.first().map_or(0.0, |p| p.metrics.packet_loss_rate);
    let playout = listener.list_peers().await?.first().map(|p| p.metrics.clone()).unwrap_or_default();
    Ok(Heard {
        sent,
        pictures,
        sound,
        audio_latency,
        packet_loss,
        stretched: playout.stretched_rate,
        concealed: playout.concealed_rate,
    })
}

async fn pipeline(transport: &WebRtcTransport) -> Result<Box<dyn StreamSession>, Error> {
    Ok(transport.stream(Arc::new(Manifest::from_yaml(PIPELINE)?)).await?)
}

/// Sends speech in chunks of 10 ms, through a pipeline, for as long as the call lasts.
async fn speak(transport: WebRtcTransport, to: String, said: Arc<Said>, seed: u64) -> Result<(), Error> {
    let mut session = pipeline(&transport).await?;
    let mut speech = Speech::new(seed, sound::RATE as u32);
    let mut clock = interval(Duration::from_millis(10));
    let chunks = (WARM_UP + MEASURED + Duration::from_secs(1)).as_millis() / 10;
    for _ in 0..chunks {
        clock.tick().await;
        let chunk = speech.samples(sound::RATE / 100);
        said.samples.lock().extend_from_slice(&chunk);
        said.times.lock().push(Instant::now());
        let frame = AudioFrame::new(chunk, sound::RATE as u32, 1)?;
        session.send_input(TransportData::new(RuntimeData::from(frame))).await?;
        while let Some(output) = session.recv_output().await? {
            transport.send_to_peer(&to, &output.data).await?;
        }
    }
    session.close().await?;
    Ok(())
}

/// Shows the clip, through a pipeline. Answers how many pictures were sent in the measured time.
async fn show(
    transport: &WebRtcTransport,
    to: &str,
    clip: &[Arc<VideoFrame>],
    said: &Said,
    begin: Instant,
) -> Result<usize, Error> {
    let mut session = pipeline(transport).await?;
    let mut clock = interval(Duration::from_nanos(33_333_333));
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut sent = 0;
    for (number, frame) in (0..clip.len() as u16).zip(clip).cycle() {
        clock.tick().await;
        let elapsed = begin.elapsed();
        if elapsed > WARM_UP + MEASURED {
            break;
        }
        if elapsed > WARM_UP {
            sent += 1;
            said.pictures.lock().insert(number, Instant::now());
        }
        session.send_input(TransportData::new(RuntimeData::Video { frame: Arc::clone(frame) })).await?;
        while let Some(output) = session.recv_output().await? {
            transport.send_to_peer(to, &output.data).await?;
        }
    }
    session.close().await?;
    Ok(sent)
}

async fn watch(
    transport: WebRtcTransport,
    from: String,
    clip: Arc<Vec<Arc<VideoFrame>>>,
    said: Arc<Said>,
    begin: Instant,
) -> Result<pictures::Comparison, Error> {
    let mut comparison = pictures::Comparison::new(clip);
    let until = begin + WARM_UP + MEASURED + Duration::from_millis(500);
    while let Ok(frame) = tokio::time::timeout_at(until.into(), transport.recv_video(&from)).await {
        let Some(frame) = frame? else { break };
        comparison.look_at(&frame, Instant::now(), &said.pictures)?;
    }
    Ok(comparison)
}

struct Recording {
    samples: Vec<f32>,
    /// When each frame of 20 ms came.
    times: Vec<Instant>,
}

/// Records what is heard for as long as the call lasts.
async fn listen(transport: WebRtcTransport, from: String, begin: Instant) -> Result<Recording, Error> {
    let mut recording = Recording { samples: Vec::new(), times: Vec::new() };
    let until = begin + WARM_UP + MEASURED + Duration::from_secs(1);
    while let Ok(frame) = tokio::time::timeout_at(until.into(), transport.recv_audio(&from)).await {
        let Some(frame) = frame? else { break };
        recording.samples.extend_from_slice(frame.samples());
        recording.times.push(Instant::now());
    }
    Ok(recording)
}
