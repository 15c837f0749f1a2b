//! One audio source: takes frames of any format in, sends Opus to its audience.

use std::{sync::Arc, time::Duration};

use remotemedia_codecs::{AudioEncoder, AudioEncoderSettings, CodecError, audio_encoder};
use remotemedia_media::{AudioFrame, Bitrate, Codec, MediaKind};
use remotemedia_mesh::Mesh;
use remotemedia_rtp::OutgoingPacket;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    EngineShared,
    clock::{AUDIO_GAP, AudioStamper},
    reframe::Reframer,
    roster::Audience,
};
use crate::codec_config::AudioSettings;

/// Length of the frames that are sent. Shorter ones cost headers, longer ones latency.
const FRAME: Duration = Duration::from_millis(20);

/// How far audio may leave ahead of real time, which absorbs the jitter of the task that pushes it.
const LEAD: Duration = Duration::from_millis(40);

/// A source that is pushed by a clock slightly faster than ours is followed at up to this rate, so that its queue does
/// not fill over the hours.
const CATCH_UP: f64 = 0.999;

/// What can be changed on a running audio source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct AudioControls {
    pub(crate) bitrate: Bitrate,
    /// Fraction of packets that the worst-off peer loses.
    pub(crate) expected_loss: f32,
}

/// The way into a source; dropping it ends the source, and what is queued with it.
#[derive(Debug)]
pub(crate) struct AudioSource {
    queue: mpsc::UnboundedSender<(Arc<AudioFrame>, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
    capacity_ms: u32,
    _stop: DropGuard,
}

impl AudioSource {
    /// Starts a source that takes up to `capacity` ahead of real time.
    pub(crate) fn start(
        shared: Arc<EngineShared>,
        mesh: Mesh,
        audience: Audience,
        settings: AudioSettings,
        capacity: Duration,
        controls: watch::Receiver<AudioControls>,
    ) -> Self {
        // Bounded by the permits that every frame in it holds.
        let (queue, frames) = mpsc::unbounded_channel();
        let capacity_ms = u32::try_from(capacity.as_millis()).unwrap_or(u32::MAX);
        let room = Arc::new(Semaphore::new(capacity_ms as usize));
        let stamper = AudioStamper::new(shared.clock);
        let reframer = Reframer::new(settings.sample_rate, settings.channels);
        let task = Task { shared, mesh, audience, settings, controls, stamper, reframer, encoder: None, due: None };
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(task.run(frames)));
        Self { queue, room, capacity_ms, _stop: stop.drop_guard() }
    }

    /// Queues `frame`, waiting while more audio is queued than the source takes. Cancelled, it has queued nothing.
    pub(crate) async fn push(&self, frame: Arc<AudioFrame>) {
        let millis = u32::try_from(frame.duration().as_millis()).unwrap_or(u32::MAX).max(1);
        // A frame longer than the queue waits until the queue is empty.
        let permits = millis.min(self.capacity_ms);
        if let Ok(permit) = Arc::clone(&self.room).acquire_many_owned(permits).await {
            // The task lives as long as this handle, unless its runtime is going down.
            let _ = self.queue.send((frame, permit));
        }
    }
}

struct Task {
    shared: Arc<EngineShared>,
    mesh: Mesh,
    audience: Audience,
    settings: AudioSettings,
    controls: watch::Receiver<AudioControls>,
    stamper: AudioStamper,
    reframer: Reframer,
    encoder: Option<Box<dyn AudioEncoder>>,
    /// When the next frame would be sent in real time.
    due: Option<Instant>,
}

impl Task {
    async fn run(mut self, mut frames: mpsc::UnboundedReceiver<(Arc<AudioFrame>, OwnedSemaphorePermit)>) {
        loop {
            let (frame, permit) = match timeout(AUDIO_GAP, frames.recv()).await {
                Ok(Some(next)) => next,
                Ok(None) => return,
                // Nothing follows for now: the last words are not kept until something does.
                Err(_) => {
                    self.finish_run().await;
                    match frames.recv().await {
                        Some(next) => next,
                        None => return,
                    }
                }
            };
            let now = Instant::now();
            let begins = !self.stamper.follows(now, frame.timestamp);
            if begins {
                self.finish_run().await;
            }
            self.stamper.push(now, frame.timestamp, frame.duration());
            self.reframer.push(&frame);
            self.send_ready(begins).await;
            drop(permit);
        }
    }

    /// Sends what is left over of a run of audio, filled up with silence.
    async fn finish_run(&mut self) {
        self.reframer.flush(self.samples());
        self.send_ready(false).await;
        self.reframer.reset();
    }

    /// Samples per channel of a frame at the encoder's rate.
    fn samples(&self) -> usize {
        (u64::from(self.settings.sample_rate) * FRAME.as_millis() as u64 / 1_000) as usize
    }

    async fn send_ready(&mut self, mut marker: bool) {
        while let Some(pcm) = self.reframer.pop(self.samples()) {
            self.wait_for_turn().await;
            let timestamp = self.stamper.take(48_000 * FRAME.as_millis() as u32 / 1_000);
            let peers = self.shared.roster.audience(&self.audience, MediaKind::Audio, Instant::now());
            if peers.is_empty() {
                continue;
            }
            let Some(payload) = self.encode(pcm).await else { continue };
            let packet = OutgoingPacket { timestamp, marker, payload };
            marker = false;
            for (peer, _) in peers {
                if let Err(error) = self.mesh.send_media(&peer, Codec::Opus, std::slice::from_ref(&packet), false) {
                    tracing::debug!(%peer, %error, "audio was not sent");
                }
            }
        }
    }

    /// Waits until the next frame is at most [`LEAD`] early.
    async fn wait_for_turn(&mut self) {
        let now = Instant::now();
        let earliest = now.checked_sub(LEAD).unwrap_or(now);
        let due = self.due.map_or(earliest, |due| due.max(earliest));
        if due > now {
            sleep_until(due).await;
        }
        self.due = Some(due + FRAME.mul_f64(CATCH_UP));
    }

    async fn encode(&mut self, pcm: Vec<f32>) -> Option<bytes::Bytes> {
        let controls = *self.controls.borrow_and_update();
        let mut encoder = match self.encoder.take() {
            Some(encoder) => encoder,
            None => match self.make_encoder() {
                Ok(encoder) => encoder,
                Err(error) => {
                    tracing::error!(%error, "no audio encoder");
                    return None;
                }
            },
        };
        let job = self.shared.executor.run(MediaKind::Audio, move || {
            let encoded = encoder
                .set_bitrate(controls.bitrate)
                .and_then(|()| encoder.set_expected_loss(controls.expected_loss))
                .and_then(|()| encoder.encode(&pcm));
            (encoder, encoded)
        });
        let (encoder, encoded) = job.await.ok()?;
        self.encoder = Some(encoder);
        match encoded {
            Ok(encoded) => Some(encoded.data),
            Err(error) => {
                tracing::warn!(%error, "audio could not be encoded");
                None
            }
        }
    }

    fn make_encoder(&self) -> Result<Box<dyn AudioEncoder>, CodecError> {
        let settings = AudioEncoderSettings {
            sample_rate: self.settings.sample_rate,
            channels: self.settings.channels,
            frame: FRAME,
            bitrate: self.settings.bitrate,
            complexity: self.settings.complexity,
            ..Default::default()
        };
        audio_encoder(Codec::Opus, &settings)
    }
}
