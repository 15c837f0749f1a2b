//! One video source: takes pictures in, encodes each once per codec in use, sends them to its audience.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use remotemedia_codecs::{CodecError, EncodedVideo, VideoEncoder, VideoEncoderSettings, scale_to_fit, video_encoder};
use remotemedia_media::{Bitrate, Codec, MediaKind, PeerId, VideoFrame};
use remotemedia_mesh::Mesh;
use remotemedia_rtp::Packetizer;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    EngineShared,
    clock::{VideoStamp, VideoStamper},
    frame_limit::{FrameLimit, Verdict},
    keyframes::{KeyframeWishes, Wishes},
    roster::{Address, Listener},
};
use crate::codec_config::VideoSettings;

/// A keyframe that was asked for waits this long for a new picture; then the last one is sent again, so that somebody
/// who joins sees a source that stands still.
const KEYFRAME_PATIENCE: Duration = Duration::from_millis(100);

/// The least that is worth encoding.
const FLOOR: Bitrate = Bitrate::from_kbps(30);

/// What can be changed on a running video source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct VideoControls {
    pub(crate) bitrate: Bitrate,
    pub(crate) framerate: u32,
    pub(crate) adaptive: bool,
    /// What audio takes of the rate the network carries.
    pub(crate) audio: Bitrate,
}

/// The way into a source; dropping it ends the source.
#[derive(Debug)]
pub(crate) struct VideoSource {
    slot: Arc<Slot>,
}

/// The newest picture that waits; an older one is replaced and counted.
#[derive(Debug, Default)]
struct Slot {
    waiting: Mutex<Option<(Arc<VideoFrame>, Instant)>>,
    changed: Notify,
    keyframes: KeyframeWishes,
    closed: AtomicBool,
    replaced: AtomicU64,
}

impl VideoSource {
    pub(crate) fn start(
        shared: Arc<EngineShared>,
        mesh: Mesh,
        address: Address,
        settings: VideoSettings,
        controls: watch::Receiver<VideoControls>,
    ) -> Self {
        let slot = Arc::new(Slot::default());
        let stamper = VideoStamper::new(shared.clock);
        let task = Task {
            shared,
            mesh,
            address,
            settings,
            controls,
            stamper,
            limit: FrameLimit::default(),
            held: None,
            tiers: HashMap::new(),
            last: None,
            slot: Arc::clone(&slot),
        };
        tokio::spawn(task.run());
        Self { slot }
    }

    /// Hands a picture over. Returns at once; a picture that still waits is dropped for it.
    pub(crate) fn push(&self, frame: Arc<VideoFrame>) {
        if self.slot.waiting.lock().replace((frame, Instant::now())).is_some() {
            self.slot.replaced.fetch_add(1, Ordering::Relaxed);
        }
        self.slot.changed.notify_one();
    }

    /// Asks for a keyframe: somebody cannot decode.
    pub(crate) fn request_keyframe(&self) {
        self.slot.keyframes.ask();
        self.slot.changed.notify_one();
    }

    /// What was encoded did not reach somebody, who can go on only from a keyframe that is made from now on.
    pub(crate) fn bridge_gap(&self) {
        self.slot.keyframes.bridge_gap(Instant::now());
        self.slot.changed.notify_one();
    }

    /// Pictures that were dropped for newer ones so far.
    pub(crate) fn replaced(&self) -> u64 {
        self.slot.replaced.load(Ordering::Relaxed)
    }
}

impl Drop for VideoSource {
    fn drop(&mut self) {
        self.slot.closed.store(true, Ordering::Release);
        self.slot.changed.notify_one();
    }
}

struct Task {
    shared: Arc<EngineShared>,
    mesh: Mesh,
    address: Address,
    settings: VideoSettings,
    controls: watch::Receiver<VideoControls>,
    stamper: VideoStamper,
    limit: FrameLimit,
    held: Option<Held>,
    /// One encoder for each codec that somebody in the audience prefers.
    tiers: HashMap<Codec, Tier>,
    last: Option<Arc<VideoFrame>>,
    slot: Arc<Slot>,
}

/// A picture that came sooner than the frame rate allows. It goes out when it is time, unless a newer one comes before.
struct Held {
    frame: Arc<VideoFrame>,
    stamp: VideoStamp,
    due: Instant,
}

/// An encoder and who gets what it makes.
struct Tier {
    /// Out while a job has it.
    encoder: Option<Box<dyn VideoEncoder>>,
    packetizer: Packetizer,
    /// Who has been sent a keyframe of this tier, and every picture since.
    following: HashSet<PeerId>,
    bitrate: Bitrate,
    framerate: u32,
    last_keyframe: Option<Instant>,
}

impl Task {
    async fn run(mut self) {
        loop {
            self.woken().await;
            if self.slot.closed.load(Ordering::Acquire) {
                return;
            }
            let waiting = self.slot.waiting.lock().take();
            if let Some((frame, at)) = waiting {
                self.take(frame, at).await;
            } else if let Some(held) = self.held.take_if(|held| held.due <= Instant::now()) {
                self.limit.release(self.controls.borrow().framerate);
                self.send(held.frame, held.stamp).await;
            } else if self.held.is_none() && self.slot.keyframes.are_waiting() {
                self.repeat_last().await;
            }
        }
    }

    /// Returns when something changed, or when it is time for the picture that is held back or for one that bridges a gap.
    async fn woken(&mut self) {
        let due = match (&self.held, &self.last) {
            (Some(held), _) => Some(held.due),
            (None, Some(_)) => self.slot.keyframes.due(self.newest_keyframe()),
            (None, None) => None,
        };
        let changed = self.slot.changed.notified();
        match due {
            Some(due) => tokio::select! {
                biased;
                () = changed => {}
                () = sleep_until(due) => {}
            },
            None => changed.await,
        }
    }

    /// When the last of the encoders to make a keyframe did so.
    fn newest_keyframe(&self) -> Option<Instant> {
        self.tiers.values().filter_map(|tier| tier.last_keyframe).max()
    }

    /// Sends a picture that came in at `at`, or holds it back if it came sooner than the frame rate allows.
    async fn take(&mut self, frame: Arc<VideoFrame>, at: Instant) {
        let stamp = self.stamper.stamp(at, frame.timestamp);
        self.last = Some(Arc::clone(&frame));
        let framerate = self.controls.borrow().framerate;
        let verdict = self.limit.offer(stamp.position, framerate);
        let older = self.held.take();
        if older.is_some() {
            self.slot.replaced.fetch_add(1, Ordering::Relaxed);
        }
        match verdict {
            Verdict::Pass => self.send(frame, stamp).await,
            Verdict::Wait(wait) => {
                // A newer picture with an odd timestamp does not put it off.
                let due = older.map_or(at + wait, |older| older.due.min(at + wait));
                self.held = Some(Held { frame, stamp, due });
            }
        }
    }

    /// A keyframe is wanted and no picture waits: sends the last one again unless a new one comes soon.
    async fn repeat_last(&mut self) {
        let Some(last) = self.last.clone() else { return };
        // Further requests meanwhile do not put it off.
        let patience = Instant::now() + KEYFRAME_PATIENCE;
        while timeout_at(patience, self.slot.changed.notified()).await.is_ok() {
            if self.slot.waiting.lock().is_some() || self.slot.closed.load(Ordering::Acquire) {
                // The loop looks after it.
                self.slot.changed.notify_one();
                return;
            }
        }
        let stamp = self.stamper.stamp(Instant::now(), None);
        self.send(last, stamp).await;
    }

    async fn send(&mut self, frame: Arc<VideoFrame>, stamp: VideoStamp) {
        let now = Instant::now();
        let mut by_codec: HashMap<Codec, Vec<Listener>> = HashMap::new();
        for listener in self.shared.roster.audience(&self.address, MediaKind::Video, now) {
            if let Some(&codec) = listener.codecs.first() {
                by_codec.entry(codec).or_default().push(listener);
            }
        }
        if by_codec.is_empty() {
            self.slot.keyframes.forget_gap();
            return;
        }
        let wishes = self.slot.keyframes.take();
        self.tiers.retain(|codec, _| by_codec.contains_key(codec));
        for (codec, listeners) in by_codec {
            self.send_tier(codec, &listeners, &frame, stamp, wishes).await;
        }
        self.slot.keyframes.all_made(self.tiers.values().map(|tier| tier.last_keyframe).min().flatten());
    }

    async fn send_tier(
        &mut self,
        codec: Codec,
        listeners: &[Listener],
        frame: &Arc<VideoFrame>,
        stamp: VideoStamp,
        wishes: Wishes,
    ) {
        let controls = *self.controls.borrow_and_update();
        let bitrate = share_for_video(listeners, controls);
        let tier = match self.tiers.entry(codec) {
            Entry::Occupied(tier) => tier.into_mut(),
            Entry::Vacant(place) => match Tier::new(codec, bitrate, controls.framerate) {
                Ok(tier) => place.insert(tier),
                Err(error) => {
                    tracing::error!(%codec, %error, "no video encoder");
                    return;
                }
            },
        };
        tier.following.retain(|peer| self.shared.roster.is_shown(peer, &self.address));
        let newcomer = listeners.iter().any(|listener| !tier.following.contains(&listener.peer));
        let force = newcomer || wishes.call_for_one(tier.last_keyframe, Instant::now());
        let Some(encoded) = tier
            .encode(&self.shared.executor, frame, stamp.position, force, bitrate, self.settings, controls.framerate)
            .await
        else {
            if tier.encoder.is_none() {
                // The encoder went down with its job: the next picture gets a new one.
                self.tiers.remove(&codec);
            }
            if force {
                self.slot.keyframes.ask();
            }
            return;
        };
        let packets = match tier.packetizer.packetize(&encoded.data, stamp.rtp) {
            Ok(packets) => packets,
            Err(error) => {
                tracing::warn!(%codec, %error, "an encoded picture could not be cut into packets");
                return;
            }
        };
        if encoded.keyframe {
            tier.last_keyframe = Some(Instant::now());
            tier.following = listeners.iter().map(|listener| listener.peer.clone()).collect();
        } else {
            // Whoever left the audience must begin with a keyframe when it comes back.
            tier.following
                .retain(|id| listeners.iter().any(|l| l.peer == *id) && self.shared.roster.is_shown(id, &self.address));
        }
        let now = Instant::now();
        for Listener { peer, .. } in listeners.iter().filter(|listener| tier.following.contains(&listener.peer)) {
            self.shared.roster.mark_sent(peer, &self.address, MediaKind::Video, now);
            let sent = match &self.address.stream {
                Some(stream) => self.mesh.send_stream(peer, stream, codec, &packets, encoded.keyframe),
                None => self.mesh.send_media(peer, codec, &packets, encoded.keyframe),
            };
            if let Err(error) = sent {
                tracing::debug!(%peer, %error, "video was not sent");
            }
        }
    }
}

impl Tier {
    fn new(codec: Codec, bitrate: Bitrate, framerate: u32) -> Result<Self, CodecError> {
        let settings = VideoEncoderSettings { bitrate, framerate: framerate.into(), ..Default::default() };
        Ok(Self {
            encoder: Some(video_encoder(codec, &settings)?),
            packetizer: Packetizer::new(codec, rand::random()),
            following: HashSet::new(),
            bitrate,
            framerate,
            last_keyframe: None,
        })
    }

    /// Encodes one picture; `None` if rate control skipped it or the encoder failed.
    #[allow(clippy::too_many_arguments, reason = "all of it goes into one job")]
    async fn encode(
        &mut self,
        executor: &super::executor::Executor,
        frame: &Arc<VideoFrame>,
        position: Duration,
        force: bool,
        bitrate: Bitrate,
        limits: VideoSettings,
        framerate: u32,
    ) -> Option<EncodedVideo> {
        let mut encoder = self.encoder.take()?;
        let frame = Arc::clone(frame);
        let new_bitrate = (bitrate != self.bitrate).then_some(bitrate);
        let new_framerate = (framerate != self.framerate).then_some(framerate);
        let job = executor.run(MediaKind::Video, move || {
            let mut work = || {
                if let Some(rate) = new_bitrate {
                    encoder.set_bitrate(rate)?;
                }
                if let Some(fps) = new_framerate {
                    encoder.set_framerate(fps.into())?;
                }
                let fitted = scale_to_fit(&frame, limits.width, limits.height)?;
                encoder.encode(&fitted, position, force)
            };
            let encoded = work();
            (encoder, encoded)
        });
        let (encoder, encoded) = job.await.ok()?;
        self.encoder = Some(encoder);
        match encoded {
            Ok(encoded) => {
                (self.bitrate, self.framerate) = (bitrate, framerate);
                encoded
            }
            Err(error) => {
                tracing::warn!(%error, "a picture could not be encoded");
                None
            }
        }
    }
}

/// What the encoder may make so that the worst-off of `listeners` can take it. Each is sent as much of every other video stream.
fn share_for_video(listeners: &[Listener], controls: VideoControls) -> Bitrate {
    if !controls.adaptive {
        return controls.bitrate;
    }
    let share = |listener: &Listener| {
        let (audio, video) = listener.streams;
        // A tenth is left for headers, retransmissions and messages.
        let carried = listener.target?.scale(0.9);
        Some(carried.saturating_sub(controls.audio.scale(audio.into())).scale(1.0 / f64::from(video)))
    };
    match listeners.iter().filter_map(share).min() {
        Some(share) => share.clamp(FLOOR, controls.bitrate.max(FLOOR)),
        None => controls.bitrate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_network_carries_is_shared_among_the_streams_of_a_peer() {
        let listener = |name: &str, kbps, streams| Listener {
            peer: PeerId::new(name).unwrap(),
            codecs: vec![Codec::Vp8],
            target: Some(Bitrate::from_kbps(kbps)),
            streams,
        };
        let controls = VideoControls {
            bitrate: Bitrate::from_kbps(2_000),
            framerate: 30,
            adaptive: true,
            audio: Bitrate::from_kbps(50),
        };
        let share = |listeners: &[Listener]| share_for_video(listeners, controls).as_bps() / 1_000;
        assert_eq!(share(&[listener("a", 1_000, (1, 1))]), 850);
        assert_eq!(share(&[listener("a", 1_000, (2, 2))]), 400);
        assert_eq!(share(&[listener("a", 1_000, (1, 1)), listener("b", 1_000, (1, 2))]), 425);
        assert_eq!(share(&[listener("a", 9_000, (1, 1))]), 2_000);
    }
}
