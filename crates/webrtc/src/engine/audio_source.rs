//! One audio source: takes frames of any format in, sends Opus to its audience.

use std::{sync::Arc, time::Duration};

use remotemedia_codecs::{AudioEncoder, AudioEncoderSettings, CodecError, audio_encoder};
use remotemedia_media::{AudioFrame, Bitrate, Codec, MediaKind, PeerId, RtpTimestamp};
use remotemedia_mesh::Mesh;
use remotemedia_rtp::OutgoingPacket;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    EngineShared,
    audio_queue::{Logs, Next, QueueInput, QueueOutput, Queued, Room, Stop, audio_queue},
    clock::{AUDIO_GAP, AudioStamper},
    reframe::Reframer,
    roster::{Address, Listener},
};
use crate::codec_config::AudioSettings;

/// Length of the frames that are sent. Shorter ones cost headers, longer ones latency.
const FRAME: Duration = Duration::from_millis(20);

/// A frame on the RTP clock, which for Opus counts 48 kHz always (RFC 7587, section 4.1).
const TICKS: u32 = 48_000 * FRAME.as_millis() as u32 / 1_000;

/// How far audio may leave ahead of real time, which absorbs the jitter of the task that pushes it.
const LEAD: Duration = Duration::from_millis(40);

/// Frames of silence that follow where sound is cut off: a decoder that has to make up what comes behind the last packet goes on
/// with what was in it, and should find silence there.
const TAIL: u32 = 2;

/// A source that is pushed by a clock slightly faster than ours is followed at up to this rate, so that its queue does
/// not fill over the hours.
const CATCH_UP: f64 = 0.999;

/// What can be changed on a running audio source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct AudioControls {
    pub(crate) bitrate: Bitrate,
    /// Fraction of packets that the worst-off peer loses.
    pub(crate) expected_loss: f32,
    /// Whether nothing is sent.
    pub(crate) muted: bool,
}

/// The way into a source; dropping it ends the source, and what is queued with it.
#[derive(Debug)]
pub(crate) struct AudioSource {
    queue: QueueInput,
    _stop: DropGuard,
}

impl AudioSource {
    /// Starts a source that takes up to `capacity` ahead of real time.
    pub(crate) fn start(
        shared: Arc<EngineShared>,
        mesh: Mesh,
        address: Address,
        settings: AudioSettings,
        capacity: Duration,
        controls: watch::Receiver<AudioControls>,
    ) -> Self {
        let (queue, waiting) = audio_queue(u32::try_from(capacity.as_millis()).unwrap_or(u32::MAX));
        let stamper = AudioStamper::new(shared.clock);
        let reframer = Reframer::new(settings.sample_rate, settings.channels);
        // One that begins muted has nothing to fade out.
        let gain = if controls.borrow().muted { 0.0 } else { 1.0 };
        let task = Task {
            shared,
            mesh,
            address,
            settings,
            controls,
            stamper,
            reframer,
            encoder: None,
            due: None,
            waiting,
            logs: Logs::new(),
            gain,
            tail: 0,
        };
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(task.run()));
        Self { queue, _stop: stop.drop_guard() }
    }

    /// How much is queued.
    pub(crate) fn queued(&self) -> Duration {
        self.queue.queued()
    }

    /// Returns once everything that is queued now has been sent or dropped.
    pub(crate) async fn drained(&self) {
        self.queue.drained().await;
    }

    /// Drops what is queued at once. Answers what each peer was sent since the last time, with the fade-out that ends it; `None`
    /// if the runtime is going down.
    pub(crate) async fn stop(&self) -> Option<Logs> {
        self.queue.stop().await
    }

    /// Queues `frame`, waiting while more audio is queued than the source takes. Cancelled, it has queued nothing.
    pub(crate) async fn push(&self, frame: Arc<AudioFrame>) {
        self.queue.push(frame).await;
    }
}

struct Task {
    shared: Arc<EngineShared>,
    mesh: Mesh,
    address: Address,
    settings: AudioSettings,
    controls: watch::Receiver<AudioControls>,
    stamper: AudioStamper,
    reframer: Reframer,
    encoder: Option<Box<dyn AudioEncoder>>,
    /// When the next frame would be sent in real time.
    due: Option<Instant>,
    waiting: QueueOutput,
    logs: Logs,
    /// 0 while muted.
    gain: f32,
    /// How many frames of silence are still to be sent.
    tail: u32,
}

impl Task {
    async fn run(mut self) {
        loop {
            // When nothing follows for now, the last words are not kept until something does.
            let stop = match self.waiting.next(AUDIO_GAP).await {
                Next::Frame(queued) => self.take(queued).await,
                Next::Rest => {
                    let stop = self.finish_run().await;
                    if stop.is_none() {
                        self.waiting.all_is_done();
                    }
                    stop
                }
                Next::Stop(stop) => Some(stop),
            };
            if let Some(stop) = stop {
                self.stop(stop).await;
            }
        }
    }

    /// Sends what fills whole frames with `queued`.
    async fn take(&mut self, Queued { frame, mut room }: Queued) -> Option<Stop> {
        let now = Instant::now();
        let begins = !self.stamper.follows(now, frame.timestamp);
        if begins && let Some(stop) = self.finish_run().await {
            return Some(stop);
        }
        self.stamper.push(now, frame.timestamp, frame.duration());
        self.reframer.push(&frame);
        self.send_ready(begins, Some(&mut room)).await
    }

    /// Sends what is left over of a run of audio, filled up with silence.
    async fn finish_run(&mut self) -> Option<Stop> {
        self.reframer.flush(self.samples());
        let stop = self.send_ready(false, None).await;
        if stop.is_none() {
            self.reframer.reset();
        }
        stop
    }

    /// Samples per channel of a frame at the encoder's rate.
    fn samples(&self) -> usize {
        (u64::from(self.settings.sample_rate) * FRAME.as_millis() as u64 / 1_000) as usize
    }

    /// Sends what fills whole frames, each when it is its turn; what is asked meanwhile ends it. Of `room`, which all of it took
    /// in the queue, it gives back what is no longer taken.
    async fn send_ready(&mut self, mut marker: bool, mut room: Option<&mut Room>) -> Option<Stop> {
        while self.reframer.has(self.samples()) {
            if let Some(stop) = self.wait_for_turn().await {
                return Some(stop);
            }
            let Some(pcm) = self.reframer.pop(self.samples()) else { break };
            self.send(pcm, &mut marker, FRAME).await;
            if let Some(room) = &mut room {
                let waiting = self.reframer.len() * 1_000 / self.settings.sample_rate as usize;
                room.keep(waiting);
            }
        }
        None
    }

    /// Sends one frame, of which `heard` is sound.
    async fn send(&mut self, mut pcm: Vec<f32>, marker: &mut bool, heard: Duration) {
        let timestamp = self.stamper.take(TICKS);
        let now = Instant::now();
        // What is queued far ahead keeps broadcasts away until it is over.
        self.shared.roster.mark_direct(&self.address, MediaKind::Audio, now);
        let listeners = self.shared.roster.audience(&self.address, MediaKind::Audio, now);
        let wanted = if self.controls.borrow().muted { 0.0 } else { 1.0 };
        let was = std::mem::replace(&mut self.gain, wanted);
        let is_silent = was == 0.0 && wanted == 0.0;
        if listeners.is_empty() || (is_silent && self.tail == 0) {
            *marker = true;
            return;
        }
        if is_silent {
            self.tail -= 1;
            pcm.fill(0.0);
        } else if was != wanted {
            fade(&mut pcm, self.settings.channels, was, wanted);
            self.tail = TAIL;
        }
        let Some(payload) = self.encode(pcm).await else { return };
        let packet = OutgoingPacket { timestamp, marker: *marker, payload };
        *marker = false;
        let packets = std::slice::from_ref(&packet);
        for Listener { peer, .. } in listeners {
            self.shared.roster.mark_sent(&peer, &self.address, MediaKind::Audio, now);
            let sent = match &self.address.stream {
                Some(stream) => self.mesh.send_stream(&peer, stream, Codec::Opus, packets, false),
                None => self.mesh.send_media(&peer, Codec::Opus, packets, false),
            };
            if let Err(error) = sent {
                tracing::debug!(%peer, %error, "audio was not sent");
                continue;
            }
            self.note_sent(peer, timestamp + TICKS, heard);
        }
    }

    /// Notes that `peer` was sent a frame that ends at `end`, of which `heard` is sound.
    fn note_sent(&mut self, peer: PeerId, end: RtpTimestamp, heard: Duration) {
        // Those who left are forgotten when somebody comes, so that the logs do not grow over the days.
        if !self.logs.contains_key(&peer) {
            self.logs.retain(|known, _| self.shared.roster.get(known).is_some());
        }
        self.logs.entry(peer).or_default().sent(end, heard);
    }

    /// Drops what is left over, behind a frame in which it fades out.
    async fn stop(&mut self, stop: Stop) {
        if let Some(mut pcm) = self.reframer.pop(self.samples()) {
            let fading = self.samples() * usize::from(self.settings.channels) / 4;
            fade(&mut pcm[..fading], self.settings.channels, 1.0, 0.0);
            pcm[fading..].fill(0.0);
            self.send(pcm, &mut false, FRAME / 4).await;
            for _ in 0..TAIL {
                let silence = vec![0.0; self.samples() * usize::from(self.settings.channels)];
                self.send(silence, &mut false, Duration::ZERO).await;
            }
        }
        self.reframer.reset();
        self.stamper.cut();
        self.waiting.all_is_done();
        // Whoever asked may have gone.
        stop.send(std::mem::take(&mut self.logs)).ok();
    }

    /// Waits until the next frame is at most [`LEAD`] early, or until it is to be dropped.
    async fn wait_for_turn(&mut self) -> Option<Stop> {
        let now = Instant::now();
        let earliest = now.checked_sub(LEAD).unwrap_or(now);
        let due = self.due.map_or(earliest, |due| due.max(earliest));
        tokio::select! {
            biased;
            stop = self.waiting.stopped() => return Some(stop),
            () = sleep_until(due), if due > now => {}
            () = std::future::ready(()), if due <= now => {}
        }
        self.due = Some(due + FRAME.mul_f64(CATCH_UP));
        None
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

/// Leads interleaved samples evenly from the loudness `from` to `to`.
fn fade(pcm: &mut [f32], channels: u16, from: f32, to: f32) {
    let moments = pcm.len() / usize::from(channels);
    for (index, moment) in pcm.chunks_exact_mut(channels.into()).enumerate() {
        let gain = from + (to - from) * (index + 1) as f32 / moments as f32;
        moment.iter_mut().for_each(|sample| *sample *= gain);
    }
}
