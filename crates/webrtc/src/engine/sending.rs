//! The sending side: which source speaks to which peer.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use remotemedia_media::{AudioFrame, Bitrate, Codec, MediaKind, PeerId, RtpTimestamp, StreamId, VideoFrame};
use remotemedia_mesh::{BitrateBounds, Mesh, MeshError};
use tokio::{
    sync::{Notify, broadcast, watch},
    time::Instant,
};

use super::{
    EngineShared,
    audio_source::{AudioControls, AudioSource},
    roster::{Address, Audience, PeerMedia, StreamState},
    video_source::{VideoControls, VideoSource},
};
use crate::{
    codec_config::{AudioSettings, VideoSettings},
    config::{Settings, bitrate_bounds},
};

/// Cheap to clone; the sources end with the last clone.
#[derive(Clone, Debug)]
pub(crate) struct Sending {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<EngineShared>,
    mesh: Mesh,
    audio: Option<AudioSettings>,
    video: Option<VideoSettings>,
    audio_queue: Duration,
    audio_sources: Mutex<HashMap<Address, Arc<AudioSource>>>,
    video_sources: Mutex<HashMap<Address, VideoSource>>,
    audio_controls: watch::Sender<AudioControls>,
    video_controls: watch::Sender<VideoControls>,
    video_muted: AtomicBool,
    /// What the bandwidth estimates are kept within now.
    bounds: Mutex<BitrateBounds>,
    /// Told when a peer becomes ready, or a named stream to it.
    changed: Notify,
    /// How far peers played our audio out.
    played: broadcast::Sender<(PeerId, RtpTimestamp)>,
}

impl Sending {
    pub(crate) fn new(shared: Arc<EngineShared>, mesh: Mesh, settings: &Settings) -> Self {
        let audio_rate = settings.audio.map_or(Bitrate::ZERO, |a| a.bitrate);
        let (audio_controls, _) =
            watch::channel(AudioControls { bitrate: audio_rate, expected_loss: 0.0, muted: false });
        let (video_controls, _) = watch::channel(VideoControls {
            bitrate: settings.video.map_or(Bitrate::ZERO, |v| v.bitrate),
            framerate: settings.video.map_or(30, |v| v.framerate),
            adaptive: settings.adaptive_bitrate,
            audio: audio_rate,
        });
        Self {
            inner: Arc::new(Inner {
                shared,
                mesh,
                audio: settings.audio,
                video: settings.video,
                audio_queue: settings.audio_queue,
                audio_sources: Mutex::new(HashMap::new()),
                video_sources: Mutex::new(HashMap::new()),
                audio_controls,
                video_controls,
                video_muted: AtomicBool::new(false),
                bounds: Mutex::new(settings.mesh.bitrate),
                changed: Notify::new(),
                played: broadcast::Sender::new(64),
            }),
        }
    }

    /// The peers that media can be sent to now.
    pub(crate) fn peers(&self) -> Vec<PeerId> {
        self.inner.shared.roster.ids()
    }

    /// What a peer takes.
    pub(crate) fn peer(&self, peer: &PeerId) -> Option<PeerMedia> {
        self.inner.shared.roster.get(peer)
    }

    /// Queues audio for `audience`, as the stream that it names, waiting while more is queued than the configuration allows.
    /// `None` without audio, or if the peer that it is for has gone.
    pub(crate) async fn send_audio(&self, audience: Audience, frame: Arc<AudioFrame>) -> Option<()> {
        let address = Address::new(audience, frame.stream_id.clone());
        self.open_streams(&address, MediaKind::Audio);
        let source = self.audio_source(&address)?;
        self.inner.shared.roster.mark_direct(&address, MediaKind::Audio, Instant::now());
        source.push(frame).await;
        Some(())
    }

    /// Hands a picture to `audience`, as the stream that it names. `None` without video, or if the peer that it is for has gone.
    pub(crate) fn send_video(&self, audience: Audience, frame: Arc<VideoFrame>) -> Option<()> {
        let settings = self.inner.video?;
        if self.is_muted(MediaKind::Video) {
            return Some(());
        }
        let address = Address::new(audience, frame.stream_id.clone());
        self.open_streams(&address, MediaKind::Video);
        let mut sources = self.inner.video_sources.lock();
        // Asked again with the sources locked: who mutes meanwhile has ended them, and a new one would show this picture.
        if self.is_muted(MediaKind::Video) {
            return Some(());
        }
        if !self.is_there(&address.audience) {
            return None;
        }
        self.inner.shared.roster.mark_direct(&address, MediaKind::Video, Instant::now());
        let start = |address: &Address| {
            VideoSource::start(
                Arc::clone(&self.inner.shared),
                self.inner.mesh.clone(),
                address.clone(),
                settings,
                self.inner.video_controls.subscribe(),
            )
        };
        let source = sources.entry(address).or_insert_with_key(start);
        // Still locked, so that no picture comes into a source that has just been ended.
        source.push(frame);
        Some(())
    }

    /// Opens the stream of `address` to those whom it is meant for and who have not got it.
    fn open_streams(&self, address: &Address, kind: MediaKind) {
        let Some(stream) = &address.stream else { return };
        for peer in self.inner.shared.roster.without_stream(&address.audience, kind, stream) {
            if let Err(error) = self.inner.mesh.open_stream(&peer, kind, stream) {
                tracing::debug!(%peer, %stream, %error, "a stream was not opened");
            }
        }
    }

    /// Opens a named stream to `peer`, and returns when the peer has taken or refused it or is gone, or after `patience`.
    pub(crate) async fn open_stream(
        &self,
        peer: &PeerId,
        kind: MediaKind,
        stream: &StreamId,
        patience: Duration,
    ) -> Result<StreamState, MeshError> {
        let roster = &self.inner.shared.roster;
        if self.begin_stream(peer, kind, stream)? == StreamState::Unknown {
            let settled = || !roster.has(peer) || roster.stream(peer, kind, stream) != StreamState::Unknown;
            self.wait_until(patience, settled).await;
        }
        if !roster.has(peer) {
            return Err(MeshError::NotConnected(peer.clone()));
        }
        Ok(roster.stream(peer, kind, stream))
    }

    /// Opens a named stream to `peer` unless that is done. Answers how it stands now.
    pub(crate) fn begin_stream(
        &self,
        peer: &PeerId,
        kind: MediaKind,
        stream: &StreamId,
    ) -> Result<StreamState, MeshError> {
        let state = self.inner.shared.roster.stream(peer, kind, stream);
        if state == StreamState::Unknown {
            self.inner.mesh.open_stream(peer, kind, stream)?;
        }
        Ok(state)
    }

    /// Ends the streams of that name, of both kinds, to everybody.
    pub(crate) fn close_stream(&self, stream: &StreamId) {
        let is_kept = |address: &Address| address.stream.as_ref() != Some(stream);
        self.inner.audio_sources.lock().retain(|address, _| is_kept(address));
        self.inner.video_sources.lock().retain(|address, _| is_kept(address));
        // To some it may have been opened without an answer yet.
        for peer in self.peers() {
            for kind in [MediaKind::Audio, MediaKind::Video] {
                // A peer that has gone meanwhile has no stream either.
                let _ = self.inner.mesh.close_stream(&peer, kind, stream);
            }
        }
        // Forgotten behind that, so that an answer which is on its way cannot bring it back.
        self.inner.shared.roster.remove_stream(stream);
        self.fit_bounds();
    }

    /// A named stream was negotiated; without codecs it was refused.
    pub(crate) fn stream_ready(&self, peer: &PeerId, kind: MediaKind, stream: StreamId, codecs: Vec<Codec>) {
        let roster = &self.inner.shared.roster;
        let is_taken = !codecs.is_empty();
        roster.set_stream(peer, kind, stream.clone(), codecs);
        if is_taken && !self.inner.mesh.is_stream_open(peer, kind, &stream) {
            // The answer comes behind the end of the stream. Frames that name it later are to open it anew.
            roster.forget_stream(peer, kind, &stream);
        }
        self.fit_bounds();
        self.inner.changed.notify_waiters();
        self.keyframe_requested(peer, Some(stream));
    }

    /// Pictures dropped so far because newer ones came before they were encoded.
    pub(crate) fn replaced_pictures(&self) -> u64 {
        self.inner.video_sources.lock().values().map(|s| s.replaced()).sum()
    }

    /// Returns once media can be sent to `peer`, or after `patience`.
    pub(crate) async fn wait_ready(&self, peer: &PeerId, patience: Duration) {
        // Without media on either side there is nothing to wait for, and messages flow all the same.
        self.wait_until(patience, || self.peer(peer).is_some()).await;
    }

    async fn wait_until(&self, patience: Duration, is_so: impl Fn() -> bool) {
        let waiting = async {
            loop {
                // Registered before the look, so that what changes in between is not missed.
                let changed = self.inner.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if is_so() {
                    return;
                }
                changed.await;
            }
        };
        let _ = tokio::time::timeout(patience, waiting).await;
    }

    /// The settings in force, live changes included.
    pub(crate) fn current_settings(&self) -> (Option<AudioSettings>, Option<VideoSettings>) {
        let audio = self.inner.audio_controls.borrow().bitrate;
        let video = *self.inner.video_controls.borrow();
        (
            self.inner.audio.map(|a| AudioSettings { bitrate: audio, ..a }),
            self.inner.video.map(|v| VideoSettings { bitrate: video.bitrate, framerate: video.framerate, ..v }),
        )
    }

    /// Whether bitrates follow the network.
    pub(crate) fn is_adaptive(&self) -> bool {
        self.inner.video_controls.borrow().adaptive
    }

    /// Keeps the bandwidth estimates within what the settings in force and the streams that are sent now ask for.
    pub(crate) fn update_bounds(&self) -> Result<(), MeshError> {
        let inner = &self.inner;
        // Held to the end, so that of two changes at a time the later one stays.
        let mut bounds = inner.bounds.lock();
        let (audio, video) = self.current_settings();
        let wanted = bitrate_bounds(self.is_adaptive(), audio, video, inner.shared.roster.named_streams());
        if *bounds != wanted {
            inner.mesh.set_bitrate_bounds(wanted)?;
            *bounds = wanted;
        }
        Ok(())
    }

    /// As [`Sending::update_bounds`], after a stream came or went.
    fn fit_bounds(&self) {
        if let Err(error) = self.update_bounds() {
            tracing::warn!(%error, "the bandwidth estimates have no room for all streams");
        }
    }

    pub(crate) fn set_audio_bitrate(&self, bitrate: Bitrate) {
        self.inner.audio_controls.send_modify(|c| c.bitrate = bitrate);
        self.inner.video_controls.send_modify(|c| c.audio = bitrate);
    }

    /// Tells the audio encoders what fraction of packets the worst-off peer loses.
    pub(crate) fn set_expected_loss(&self, fraction: f32) {
        self.inner.audio_controls.send_if_modified(|c| {
            let changed = (c.expected_loss - fraction).abs() >= 0.01;
            if changed {
                c.expected_loss = fraction;
            }
            changed
        });
    }

    pub(crate) fn change_video(&self, change: impl FnOnce(&mut VideoControls)) {
        self.inner.video_controls.send_modify(change);
    }

    pub(crate) fn peer_ready(&self, peer: PeerId, audio: bool, video: Vec<Codec>) {
        self.inner.shared.roster.insert(peer.clone(), audio, video);
        self.inner.changed.notify_waiters();
        // A source that stands still must show itself to the newcomer.
        self.keyframe_requested(&peer, None);
    }

    pub(crate) fn peer_gone(&self, peer: &PeerId) {
        self.inner.shared.roster.remove(peer);
        let is_kept = |address: &Address| address.audience != Audience::Peer(peer.clone());
        self.inner.audio_sources.lock().retain(|address, _| is_kept(address));
        self.inner.video_sources.lock().retain(|address, _| is_kept(address));
        self.inner.changed.notify_waiters();
        self.fit_bounds();
    }

    pub(crate) fn keyframe_requested(&self, peer: &PeerId, stream: Option<StreamId>) {
        self.for_video_sources(peer, stream, VideoSource::request_keyframe);
    }

    /// Video to `peer` was given up on its way out.
    pub(crate) fn video_given_up(&self, peer: &PeerId, stream: Option<StreamId>) {
        self.for_video_sources(peer, stream, VideoSource::bridge_gap);
    }

    fn for_video_sources(&self, peer: &PeerId, stream: Option<StreamId>, act: impl Fn(&VideoSource)) {
        let sources = self.inner.video_sources.lock();
        for audience in [Audience::Peer(peer.clone()), Audience::All] {
            if let Some(source) = sources.get(&Address::new(audience, stream.clone())) {
                act(source);
            }
        }
    }

    /// A peer said how far it played our audio out.
    pub(crate) fn played(&self, peer: PeerId, until: RtpTimestamp) {
        // Nobody may have asked.
        self.inner.played.send((peer, until)).ok();
    }

    /// Whether media of `kind` is kept back.
    pub(crate) fn is_muted(&self, kind: MediaKind) -> bool {
        match kind {
            MediaKind::Audio => self.inner.audio_controls.borrow().muted,
            MediaKind::Video => self.inner.video_muted.load(Ordering::Acquire),
        }
    }

    /// Keeps media of `kind` back, or no longer.
    pub(crate) fn set_muted(&self, kind: MediaKind, muted: bool) {
        match kind {
            MediaKind::Audio => self.inner.audio_controls.send_modify(|controls| controls.muted = muted),
            MediaKind::Video => {
                let mut sources = self.inner.video_sources.lock();
                self.inner.video_muted.store(muted, Ordering::Release);
                if muted {
                    // A source shows its last picture to whoever comes. A new one begins with a keyframe.
                    sources.clear();
                }
            }
        }
    }

    /// A source of its own for `audience`, which takes up to `capacity`. `None` without audio.
    pub(crate) fn voice(&self, audience: Audience, capacity: Duration) -> Option<Voice> {
        let inner = &self.inner;
        let source = AudioSource::start(
            Arc::clone(&inner.shared),
            inner.mesh.clone(),
            Address::new(audience.clone(), None),
            inner.audio?,
            capacity,
            inner.audio_controls.subscribe(),
        );
        Some(Voice { audience, source, sending: self.clone() })
    }

    pub(crate) fn target_changed(&self, peer: &PeerId, rate: Bitrate) {
        self.inner.shared.roster.set_target(peer, rate);
    }

    /// Whether sources for `audience` are cleaned up one day. A peer that goes leaves the roster before its sources are ended:
    /// one that was made after that, with the sources locked, would never end.
    fn is_there(&self, audience: &Audience) -> bool {
        match audience {
            Audience::All => true,
            Audience::Peer(peer) => self.inner.shared.roster.has(peer),
        }
    }

    fn audio_source(&self, address: &Address) -> Option<Arc<AudioSource>> {
        let inner = &self.inner;
        let settings = inner.audio?;
        let mut sources = inner.audio_sources.lock();
        if !self.is_there(&address.audience) {
            return None;
        }
        let source = sources.entry(address.clone()).or_insert_with(|| {
            Arc::new(AudioSource::start(
                Arc::clone(&inner.shared),
                inner.mesh.clone(),
                address.clone(),
                settings,
                inner.audio_queue,
                inner.audio_controls.subscribe(),
            ))
        });
        Some(Arc::clone(source))
    }
}

/// A source of audio that can be interrupted. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Voice {
    audience: Audience,
    source: AudioSource,
    sending: Sending,
}

/// What one peer has heard of a voice.
pub(crate) struct Listened {
    pub(crate) peer: PeerId,
    pub(crate) heard: Duration,
    /// The peer told, or was sent nothing; otherwise it is what was sent to it.
    pub(crate) told: bool,
}

impl Voice {
    pub(crate) async fn push(&self, frame: Arc<AudioFrame>) {
        self.source.push(frame).await;
    }

    pub(crate) fn queued(&self) -> Duration {
        self.source.queued()
    }

    pub(crate) async fn drained(&self) {
        self.source.drained().await;
    }

    /// Drops what is queued at once, and answers, at the latest after `patience`, what each peer has heard since the last
    /// time.
    pub(crate) async fn interrupt(&self, patience: Duration) -> Vec<Listened> {
        let Some(logs) = self.source.stop().await else { return Vec::new() };
        let inner = &self.sending.inner;
        let ask = |peer: PeerId| {
            let mut played = inner.played.subscribe();
            let log = logs.get(&peer);
            async move {
                let Some((log, end)) = log.and_then(|log| Some((log, log.end()?))) else {
                    // It came later, or was told other things meanwhile.
                    return Listened { peer, heard: Duration::ZERO, told: true };
                };
                let is_asked = inner.mesh.ask_played(&peer, end);
                let until = match is_asked {
                    true => tokio::time::timeout(patience, answer_of(&peer, &mut played)).await.ok(),
                    false => None,
                };
                let heard = until.map_or(log.total(), |until| log.until(until));
                Listened { peer, heard, told: until.is_some() }
            }
        };
        let peers = inner.shared.roster.listeners(&self.audience);
        futures_util::future::join_all(peers.into_iter().map(ask)).await
    }
}

/// How far `peer` says that it played our audio out.
async fn answer_of(peer: &PeerId, played: &mut broadcast::Receiver<(PeerId, RtpTimestamp)>) -> RtpTimestamp {
    loop {
        match played.recv().await {
            Ok((who, until)) if who == *peer => return until,
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicUsize, thread};

    use async_trait::async_trait;
    use remotemedia_codecs::test_media::Clip;
    use remotemedia_mesh::{Signaler, SignalingError, SignalingEvent, SignalingMessage};

    use super::*;
    use crate::{
        config::WebRtcTransportConfig,
        engine::{Executor, clock::MediaClock, roster::Roster},
    };

    struct Silence;

    #[async_trait]
    impl Signaler for Silence {
        async fn send(&self, _: &PeerId, _: SignalingMessage) -> Result<(), SignalingError> {
            Ok(())
        }

        async fn next_event(&self) -> Option<SignalingEvent> {
            std::future::pending().await
        }
    }

    /// The sending side of a mesh that has no connection.
    fn sending() -> Sending {
        let settings = Settings::parse(&WebRtcTransportConfig::default()).unwrap();
        let mesh = Mesh::new(settings.mesh.clone(), Arc::new(Silence)).unwrap();
        let clock = MediaClock::new(Instant::now());
        let shared = Arc::new(EngineShared { executor: Executor::Inline, clock, roster: Roster::default() });
        Sending::new(shared, mesh, &settings)
    }

    #[tokio::test]
    async fn what_the_peer_answers_to_a_stream_that_has_been_closed_meanwhile_is_passed_over() {
        let (sending, bob): (_, PeerId) = (sending(), "bob".parse().unwrap());
        let screen: StreamId = "screen".parse().unwrap();
        sending.peer_ready(bob.clone(), true, vec![Codec::Vp8]);
        sending.close_stream(&screen);
        sending.stream_ready(&bob, MediaKind::Video, screen.clone(), vec![Codec::Vp8]);
        // Or else frames that name it later would not open it anew.
        assert_eq!(sending.inner.shared.roster.stream(&bob, MediaKind::Video, &screen), StreamState::Unknown);
    }

    #[tokio::test]
    async fn no_source_is_made_for_a_peer_that_has_gone_meanwhile() {
        let (sending, bob): (_, PeerId) = (sending(), "bob".parse().unwrap());
        let audio = Arc::new(AudioFrame::new(vec![0.1; 960], 48_000, 1).unwrap());
        let video = Arc::new(VideoFrame::i420(16, 16, vec![0; 384]).unwrap());
        let sources = || (sending.inner.audio_sources.lock().len(), sending.inner.video_sources.lock().len());
        let send = async || {
            let heard = sending.send_audio(Audience::Peer(bob.clone()), Arc::clone(&audio)).await;
            (heard, sending.send_video(Audience::Peer(bob.clone()), Arc::clone(&video)))
        };
        sending.peer_ready(bob.clone(), true, vec![Codec::Vp8]);
        assert_eq!((send().await, sources()), ((Some(()), Some(())), (1, 1)));
        sending.peer_gone(&bob);
        assert_eq!((send().await, sources()), ((None, None), (0, 0)));
    }

    #[tokio::test(start_paused = true)]
    async fn once_it_is_muted_no_picture_is_taken_from_a_camera_thread_either() {
        let sending = sending();
        let frame = Arc::new(Clip::new(1, 64, 64).frame(0));
        let (calls, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
        let runtime = tokio::runtime::Handle::current();
        let mut taken = 0;
        thread::scope(|scope| {
            let camera = scope.spawn(|| {
                let _runtime = runtime.enter();
                while !is_over.load(Ordering::Acquire) {
                    sending.send_video(Audience::All, Arc::clone(&frame));
                    calls.fetch_add(1, Ordering::AcqRel);
                }
            });
            // A call that had begun before, and one whole.
            let two_calls = || {
                let until = calls.load(Ordering::Acquire) + 2;
                while calls.load(Ordering::Acquire) < until {
                    assert!(!camera.is_finished(), "the camera's thread has panicked");
                    thread::yield_now();
                }
            };
            for _ in 0..300 {
                two_calls();
                sending.set_muted(MediaKind::Video, true);
                two_calls();
                taken += sending.inner.video_sources.lock().len();
                sending.set_muted(MediaKind::Video, false);
            }
            two_calls();
            is_over.store(true, Ordering::Release);
        });
        assert_eq!(taken, 0, "sources that were made behind the back of who muted");
        assert!(!sending.inner.video_sources.lock().is_empty(), "what is not muted is taken");
    }
}
