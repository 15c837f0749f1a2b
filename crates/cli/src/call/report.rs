//! What a participant measured.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use remotemedia_webrtc::{AudioFrame, PeerId, PeerInfo, VideoFrame, WebRtcTransport};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use crate::figures;

/// Counts while the call lasts.
pub(super) struct Tally {
    audio_sent: AtomicU64,
    video_sent: AtomicU64,
    peers: std::sync::Mutex<BTreeMap<PeerId, Seen>>,
}

#[derive(Default)]
struct Seen {
    audio_frames: u64,
    audible_frames: u64,
    pictures: u64,
    size: (u32, u32),
    last: Option<Instant>,
    intervals: Duration,
    freezes: u64,
    frozen: Duration,
    messages_sent: u64,
    messages_received: u64,
    /// The connection's figures while it stood, for one that has gone by the end.
    info: Option<PeerInfo>,
}

impl Tally {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { audio_sent: AtomicU64::new(0), video_sent: AtomicU64::new(0), peers: Default::default() })
    }

    pub(super) fn said(&self) {
        self.audio_sent.fetch_add(1, Relaxed);
    }

    pub(super) fn shown(&self) {
        self.video_sent.fetch_add(1, Relaxed);
    }

    pub(super) fn heard(&self, peer: &PeerId, frame: &AudioFrame) {
        let audible = frame.samples().iter().any(|sample| sample.abs() > 0.001);
        self.with(peer, |seen| {
            seen.audio_frames += 1;
            seen.audible_frames += u64::from(audible);
        });
    }

    pub(super) fn seen(&self, peer: &PeerId, frame: &VideoFrame, now: Instant) {
        self.with(peer, |seen| {
            if let Some(last) = seen.last {
                let gap = now - last;
                let mean = seen.intervals / u32::try_from(seen.pictures).unwrap_or(u32::MAX).max(1);
                // As the WebRTC statistics define a freeze: three times the mean interval, and 150 ms above it.
                if seen.pictures > 1 && gap > (3 * mean).max(mean + Duration::from_millis(150)) {
                    seen.freezes += 1;
                    seen.frozen += gap;
                }
                seen.intervals += gap;
            }
            seen.last = Some(now);
            seen.pictures += 1;
            seen.size = (frame.width(), frame.height());
        });
    }

    pub(super) fn message_sent(&self, peer: &PeerId) {
        self.with(peer, |seen| seen.messages_sent += 1);
    }

    pub(super) fn message_received(&self, peer: &PeerId) {
        self.with(peer, |seen| seen.messages_received += 1);
    }

    /// Keeps the figures of the connections that stand now.
    pub(super) async fn sample(&self, transport: &WebRtcTransport) {
        for info in transport.list_peers().await.unwrap_or_default() {
            let peer = info.peer_id.clone();
            self.with(&peer, |seen| seen.info = Some(info));
        }
    }

    /// Everything as one object. Times are in milliseconds, rates in kbit/s, loss is a fraction.
    pub(super) async fn figures(&self, transport: &WebRtcTransport) -> Value {
        self.sample(transport).await;
        let (audio_sent, video_sent) = (self.audio_sent.load(Relaxed), self.video_sent.load(Relaxed));
        let peers = self.lock();
        let connect = peers.values().filter_map(|seen| seen.info.as_ref()).map(|info| info.metrics.connect_time).max();
        let described: serde_json::Map<String, Value> =
            peers.iter().map(|(peer, seen)| (peer.to_string(), seen.describe(audio_sent, video_sent))).collect();
        json!({ "connect_ms": connect.map(millis), "peers": described })
    }

    fn with(&self, peer: &PeerId, change: impl FnOnce(&mut Seen)) {
        change(self.lock().entry(peer.clone()).or_default());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<PeerId, Seen>> {
        self.peers.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Seen {
    fn describe(&self, audio_sent: u64, video_sent: u64) -> Value {
        let info = self.info.as_ref();
        let audio = json!({
            "frames_sent": audio_sent,
            "frames": self.audio_frames,
            "audible_frames": self.audible_frames,
        });
        let video = json!({
            "frames_sent": video_sent,
            "frames": self.pictures,
            "width": self.size.0,
            "height": self.size.1,
            "freezes": self.freezes,
            "freeze_ms": millis(self.frozen),
        });
        let all = json!({
            "audio": figures::join(figures::of_audio(info), audio),
            "video": figures::join(figures::of_video(info), video),
            "data": { "messages_sent": self.messages_sent, "messages": self.messages_received },
        });
        figures::join(figures::of_connection(info), all)
    }
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e4).round() / 10.0
}
