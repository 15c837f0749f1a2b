//! One peer's incoming audio: packets to a steady stream of 20 ms frames.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use parking_lot::Mutex;
use remotemedia_codecs::{AudioDecoder, AudioDecoderSettings, audio_decoder};
use remotemedia_jitter::{
    AudioPacket, AudioPlayout, PacketDecoder, PlayoutConfig, PlayoutStats, PullPhase, Pulled, UndecodablePacket,
};
use remotemedia_media::{AudioFrame, Codec, MediaKind, RtpTimestamp};
use remotemedia_mesh::{IncomingTrack, Mesh, TrackItem};
use remotemedia_rtp::opus_carries_redundancy;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::{executor::Executor, inbox::Inbox, media_time::MediaTime, origin::Origin};

/// Length of the frames that readers get.
const FRAME: Duration = Duration::from_millis(20);

/// How long a frame waits for a packet that is late, rather than be made up. What is made up while the packet is
/// on its way pushes everything behind it back by a frame; the one frame that comes late by this pushes back nothing.
const GRACE: Duration = Duration::from_millis(10);

/// Most packets taken in before a frame, so that a flood cannot hold it up.
const MOST_TAKEN: usize = 64;

/// A playout that is late by more than this, as after the machine slept, goes on from now instead of catching up.
const CATCH_UP: Duration = Duration::from_secs(1);

/// Frames without anything of the peer in them after which no more is to be expected.
const DRY: u32 = 10;

/// What a playout is asked.
enum Request {
    Play(IncomingTrack),
    TellWhenPlayed(RtpTimestamp),
}

/// The playout of one stream of a peer. Dropping it ends it.
#[derive(Debug)]
pub(super) struct AudioSink {
    requests: mpsc::UnboundedSender<Request>,
    stats: Arc<Mutex<PlayoutStats>>,
}

impl AudioSink {
    /// Starts the playout. It gives frames once somebody pulls them: silence until there is a track. That of a named stream
    /// ends with its track.
    pub(super) fn start(
        origin: Origin,
        inbox: Arc<Inbox>,
        executor: Executor,
        config: watch::Receiver<PlayoutConfig>,
        mesh: Mesh,
    ) -> Self {
        // A peer has one audio track at a time and asks rarely, so that few ever wait here.
        let (requests, incoming) = mpsc::unbounded_channel();
        let stats = Arc::new(Mutex::new(PlayoutStats::default()));
        let task = Task {
            origin,
            inbox,
            executor,
            config,
            incoming,
            stats: Arc::clone(&stats),
            track: None,
            time: MediaTime::default(),
            playout: None,
            phase: PullPhase::default(),
            position: Duration::ZERO,
            mesh,
            asked: None,
            sounded: None,
        };
        tokio::spawn(task.run());
        Self { requests, stats }
    }

    /// Plays `track` from now on, in the place of an earlier one.
    pub(super) fn attach(&self, track: IncomingTrack) {
        // Without a task the peer is gone, and its track with it.
        let _ = self.requests.send(Request::Play(track));
    }

    /// Tells the peer when its audio was played out up to `timestamp`, or as far as it ever will be.
    pub(super) fn tell_when_played(&self, timestamp: RtpTimestamp) {
        let _ = self.requests.send(Request::TellWhenPlayed(timestamp));
    }

    pub(super) fn stats(&self) -> PlayoutStats {
        *self.stats.lock()
    }
}

struct Task {
    origin: Origin,
    inbox: Arc<Inbox>,
    executor: Executor,
    config: watch::Receiver<PlayoutConfig>,
    incoming: mpsc::UnboundedReceiver<Request>,
    stats: Arc<Mutex<PlayoutStats>>,
    track: Option<IncomingTrack>,
    time: MediaTime,
    /// Out while a job has it.
    playout: Option<Box<AudioPlayout<DecoderHook>>>,
    phase: PullPhase,
    /// How much was given so far: the media time of the next frame.
    position: Duration,
    mesh: Mesh,
    asked: Option<Asked>,
    /// Up to where the peer's audio was played out.
    sounded: Option<RtpTimestamp>,
}

/// The peer wants to know when its audio was played out up to `until`.
struct Asked {
    until: RtpTimestamp,
    /// Frames in a row without anything of the peer in them.
    dry: u32,
}

/// Lets the jitter buffer drive a codec without knowing it.
struct DecoderHook(Box<dyn AudioDecoder>);

impl Task {
    async fn run(mut self) {
        if self.wait_for_reader().await.is_none() {
            return;
        }
        let mut next = Instant::now();
        // Behind `next` while a late packet is waited for.
        let mut due = next;
        loop {
            tokio::select! {
                biased;
                () = sleep_until(due) => {
                    self.take_what_is_there();
                    if due == next && self.runs_dry() {
                        due = next + GRACE;
                        continue;
                    }
                    self.play().await;
                    let now = Instant::now();
                    let room = self.playout.as_ref().and_then(|p| p.room());
                    let until_next = self.phase.advance(room, FRAME);
                    next = if now > next + CATCH_UP { now } else { next + until_next };
                    due = next;
                }
                request = self.incoming.recv() => match request {
                    Some(Request::Play(track)) => self.begin(track),
                    Some(Request::TellWhenPlayed(until)) => self.asked = Some(Asked { until, dry: 0 }),
                    None => return,
                },
                item = next_item(&mut self.track) => {
                    if item.is_none() && self.origin.stream.is_some() {
                        return;
                    }
                    self.take(item);
                    if !self.runs_dry() {
                        due = next;
                    }
                }
                Ok(()) = self.config.changed() => {
                    let config = *self.config.borrow_and_update();
                    if let Some(Err(error)) = self.playout.as_mut().map(|p| p.set_delays(&config)) {
                        tracing::error!(peer = %self.origin.peer, %error, "the playout delay stays as it was");
                    }
                }
            }
        }
    }

    /// Lets packets go until somebody pulls; `None` if the peer leaves before.
    async fn wait_for_reader(&mut self) -> Option<()> {
        let inbox = Arc::clone(&self.inbox);
        loop {
            tokio::select! {
                biased;
                () = inbox.audio.wait_for_reader() => return Some(()),
                request = self.incoming.recv() => {
                    if let Request::Play(track) = request? {
                        self.begin(track);
                    }
                }
                item = next_item(&mut self.track) => {
                    if item.is_none() && self.origin.stream.is_some() {
                        return None;
                    }
                    if !matches!(item, Some(TrackItem::Packet { .. })) {
                        self.take(item);
                    }
                }
            }
        }
    }

    fn begin(&mut self, track: IncomingTrack) {
        self.track = Some(track);
        self.time = MediaTime::default();
        self.playout = None;
        self.phase = PullPhase::default();
        self.sounded = None;
    }

    fn take(&mut self, item: Option<TrackItem>) {
        match item {
            Some(TrackItem::Packet { codec: Codec::Opus, packet }) => {
                if let Some(playout) = self.playout_for_packets() {
                    playout.insert(AudioPacket {
                        sequence: packet.sequence,
                        timestamp: packet.timestamp,
                        payload: packet.payload,
                        arrival: packet.arrival,
                    });
                }
            }
            Some(TrackItem::SenderReport { ntp, rtp }) => self.time.on_sender_report(ntp, rtp),
            Some(_) => {}
            None => self.track = None,
        }
    }

    /// Takes in what came while this task was late itself.
    fn take_what_is_there(&mut self) {
        for _ in 0..MOST_TAKEN {
            let Some(item) = next_item(&mut self.track).now_or_never() else { return };
            self.take(item);
        }
    }

    /// Whether the next frame would have to be made up, the last one not.
    fn runs_dry(&self) -> bool {
        let samples = samples_of_frame(self.config.borrow().sample_rate);
        self.playout.as_ref().is_some_and(|playout| playout.runs_dry(samples))
    }

    fn playout_for_packets(&mut self) -> Option<&mut AudioPlayout<DecoderHook>> {
        if self.playout.is_none() {
            let config = *self.config.borrow_and_update();
            match new_playout(config) {
                Ok(playout) => self.playout = Some(Box::new(playout)),
                Err(error) => tracing::error!(peer = %self.origin.peer, %error, "audio cannot be played out"),
            }
        }
        self.playout.as_deref_mut()
    }

    /// Gives the next frame to the inbox.
    async fn play(&mut self) {
        let PlayoutConfig { sample_rate, channels, clock_rate, .. } = *self.config.borrow();
        let samples = samples_of_frame(sample_rate);
        let mut out = vec![0.0; samples * usize::from(channels)];
        let mut capture_time = None;
        if let Some(mut playout) = self.playout.take() {
            let now = Instant::now().into_std();
            let job = self.executor.run(MediaKind::Audio, move || {
                let pulled = playout.pull(now, &mut out);
                (playout, pulled, out)
            });
            let Ok((playout, pulled, played)) = job.await else {
                // The decoder went down with its job: the next packet gets a new one.
                return;
            };
            out = played;
            *self.stats.lock() = playout.stats();
            self.answer(pulled, sample_rate, clock_rate);
            capture_time = pulled.timestamp.and_then(|t| self.time.capture_time(t, clock_rate));
            self.playout = Some(playout);
        }
        match AudioFrame::new(out, sample_rate, channels) {
            Ok(mut frame) => {
                frame.timestamp = Some(self.position);
                frame.capture_time = capture_time;
                self.origin.mark_audio(&mut frame);
                self.inbox.audio.push(Arc::new(frame));
            }
            Err(error) => tracing::error!(peer = %self.origin.peer, %error, "audio cannot be played out"),
        }
        self.position += FRAME;
    }
}

impl Task {
    /// Notes how far the peer's audio was played out, and tells it if it asked and it is time.
    fn answer(&mut self, pulled: Pulled, sample_rate: u32, clock_rate: u32) {
        let Some(first) = pulled.timestamp else { return };
        let sounded = pulled.from_packets as u64 * u64::from(clock_rate) / u64::from(sample_rate);
        let until = first + u32::try_from(sounded).unwrap_or(0);
        // While nothing comes, the position stands still before the end of what was played last.
        let is_end =
            |last: &RtpTimestamp| i64::from(last.since(until)) <= i64::from(clock_rate) && last.since(until) > 0;
        let until = self.sounded.filter(is_end).unwrap_or(until);
        self.sounded = Some(until);
        let Some(asked) = &mut self.asked else { return };
        asked.dry = if pulled.from_packets == 0 { asked.dry + 1 } else { 0 };
        if until.since(asked.until) >= 0 || asked.dry >= DRY {
            self.mesh.tell_played(&self.origin.peer, until);
            self.asked = None;
        }
    }
}

/// Samples per channel of a frame.
fn samples_of_frame(sample_rate: u32) -> usize {
    (u64::from(sample_rate) * FRAME.as_millis() as u64 / 1_000) as usize
}

fn new_playout(config: PlayoutConfig) -> Result<AudioPlayout<DecoderHook>, Box<dyn std::error::Error + Send + Sync>> {
    let settings = AudioDecoderSettings { sample_rate: config.sample_rate, channels: config.channels };
    Ok(AudioPlayout::new(config, DecoderHook(audio_decoder(Codec::Opus, &settings)?))?)
}

impl PacketDecoder for DecoderHook {
    fn decode(&mut self, payload: &[u8], out: &mut Vec<f32>) -> Result<(), UndecodablePacket> {
        self.0.decode(payload, out).map(drop).map_err(|_| UndecodablePacket)
    }

    fn conceal(&mut self, samples: usize, out: &mut Vec<f32>) {
        // What is missing is filled with silence by the caller.
        if let Err(error) = self.0.conceal(samples, out) {
            tracing::debug!(%error, "concealment failed");
        }
    }

    fn can_recover(&self, next: &[u8]) -> bool {
        opus_carries_redundancy(next)
    }

    fn recover(&mut self, next: &[u8], samples: usize, out: &mut Vec<f32>) -> bool {
        self.0.recover(next, samples, out).is_ok()
    }
}

async fn next_item(track: &mut Option<IncomingTrack>) -> Option<TrackItem> {
    match track {
        Some(track) => track.recv().await,
        None => std::future::pending().await,
    }
}
