//! Where a peer's decoded media waits for whoever pulls it.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use remotemedia_media::{AudioFrame, MediaKind, VideoFrame};
use tokio::sync::Notify;

/// Two seconds of 20 ms frames: a reader that stalls longer loses the oldest.
const AUDIO_DEPTH: usize = 100;

/// A quarter of a second at 30 frames per second: pictures are large, and old ones of no use.
const VIDEO_DEPTH: usize = 8;

/// The decoded audio and video of one peer, or of one of its named streams.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) audio: Arc<Feed<AudioFrame>>,
    pub(crate) video: Arc<Feed<VideoFrame>>,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self { audio: Arc::new(Feed::new(AUDIO_DEPTH, None)), video: Arc::new(Feed::new(VIDEO_DEPTH, None)) }
    }

    /// The inbox of a named stream: the taps of the peer's get its frames too.
    pub(crate) fn of_stream(peer: &Self) -> Self {
        Self {
            audio: Arc::new(Feed::new(AUDIO_DEPTH, Some(Arc::clone(&peer.audio)))),
            video: Arc::new(Feed::new(VIDEO_DEPTH, Some(Arc::clone(&peer.video)))),
        }
    }

    /// The inbox of the stream that comes in the place of this one's audio or video, whose readers see the end. The other kind
    /// goes on, and whoever reads it reads on.
    pub(crate) fn replaced(&self, kind: MediaKind, peer: &Self) -> Self {
        let fresh = Self::of_stream(peer);
        match kind {
            MediaKind::Audio => {
                self.audio.close();
                Self { video: Arc::clone(&self.video), ..fresh }
            }
            MediaKind::Video => {
                self.video.close();
                Self { audio: Arc::clone(&self.audio), ..fresh }
            }
        }
    }

    /// The peer is gone: what waits can still be taken, then readers see the end.
    pub(crate) fn close(&self) {
        self.audio.close();
        self.video.close();
    }

    /// Whether everybody who ever pulled has seen the end.
    pub(crate) fn is_over(&self) -> bool {
        self.audio.is_over() && self.video.is_over()
    }
}

/// Frames for those who pull them, who share them, and for any number of taps, each of which gets all.
#[derive(Debug)]
pub(crate) struct Feed<T> {
    pulled: FrameQueue<T>,
    taps: Mutex<Taps<T>>,
    /// Told when a reader comes: whoever fills the feed may begin to.
    wanted: Notify,
    depth: usize,
    /// Whose taps get every frame too.
    above: Option<Arc<Feed<T>>>,
}

#[derive(Debug)]
struct Taps<T> {
    queues: Vec<Weak<FrameQueue<T>>>,
    closed: bool,
}

impl<T> Feed<T> {
    fn new(depth: usize, above: Option<Arc<Self>>) -> Self {
        let taps = Mutex::new(Taps { queues: Vec::new(), closed: false });
        Self { pulled: FrameQueue::new(depth), taps, wanted: Notify::new(), depth, above }
    }

    /// Gives a frame to everybody who reads.
    pub(crate) fn push(&self, frame: Arc<T>) {
        if let Some(above) = &self.above {
            above.push_to_taps(&frame);
        }
        self.push_to_taps(&frame);
        self.pulled.push(frame);
    }

    fn push_to_taps(&self, frame: &Arc<T>) {
        let mut taps = self.taps.lock();
        taps.queues.retain(|tap| match tap.upgrade() {
            Some(tap) => {
                tap.push(Arc::clone(frame));
                true
            }
            None => false,
        });
    }

    /// As [`FrameQueue::pull`].
    pub(crate) async fn pull(&self) -> Option<Arc<T>> {
        if self.pulled.begin() {
            self.wanted.notify_waiters();
        }
        self.pulled.pull().await
    }

    /// A queue of its own, as deep as that of those who pull, for whatever comes from now on. It ends when it is dropped.
    pub(crate) fn tap(&self) -> Arc<FrameQueue<T>> {
        let tap = Arc::new(FrameQueue::new(self.depth));
        tap.begin();
        let mut taps = self.taps.lock();
        if taps.closed {
            tap.close();
        }
        taps.queues.push(Arc::downgrade(&tap));
        drop(taps);
        self.wanted.notify_waiters();
        tap
    }

    /// Returns once somebody reads.
    pub(crate) async fn wait_for_reader(&self) {
        loop {
            // Registered before the look, so that a reader who comes in between is not missed.
            let wanted = self.wanted.notified();
            tokio::pin!(wanted);
            wanted.as_mut().enable();
            let Some(above) = &self.above else {
                if self.is_read() {
                    return;
                }
                wanted.await;
                continue;
            };
            let tapped = above.wanted.notified();
            tokio::pin!(tapped);
            tapped.as_mut().enable();
            if self.is_read() || above.is_tapped() {
                return;
            }
            tokio::select! {
                () = wanted => {}
                () = tapped => {}
            }
        }
    }

    fn is_read(&self) -> bool {
        self.pulled.is_pulled() || self.is_tapped()
    }

    fn is_tapped(&self) -> bool {
        !self.taps.lock().queues.is_empty()
    }

    /// Frames dropped so far since nobody pulled them in time.
    pub(crate) fn dropped(&self) -> u64 {
        self.pulled.dropped()
    }

    fn is_over(&self) -> bool {
        self.pulled.is_over()
    }

    pub(crate) fn close(&self) {
        self.pulled.close();
        let mut taps = self.taps.lock();
        taps.closed = true;
        for tap in taps.queues.iter().filter_map(Weak::upgrade) {
            tap.close();
        }
    }
}

/// A bounded queue that drops its oldest frame when it is full, and counts it. Until the first pull it keeps nothing,
/// so that a late reader begins with what is new.
#[derive(Debug)]
pub(crate) struct FrameQueue<T> {
    frames: Mutex<VecDeque<Arc<T>>>,
    arrived: Notify,
    pulled: AtomicBool,
    closed: AtomicBool,
    /// Whether a reader was told of the end.
    ended: AtomicBool,
    dropped: AtomicU64,
    depth: usize,
}

impl<T> FrameQueue<T> {
    fn new(depth: usize) -> Self {
        Self {
            frames: Mutex::new(VecDeque::new()),
            arrived: Notify::new(),
            pulled: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
            depth,
        }
    }

    /// Puts a frame in, if anybody ever pulled.
    pub(crate) fn push(&self, frame: Arc<T>) {
        if !self.is_pulled() {
            return;
        }
        {
            let mut frames = self.frames.lock();
            if frames.len() == self.depth {
                frames.pop_front();
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            frames.push_back(frame);
        }
        self.arrived.notify_one();
    }

    /// The next frame; `None` once the peer has left and everything is taken. Cancel-safe. Several readers share the
    /// frames.
    pub(crate) async fn pull(&self) -> Option<Arc<T>> {
        self.begin();
        loop {
            let (frame, more) = {
                let mut frames = self.frames.lock();
                (frames.pop_front(), !frames.is_empty())
            };
            if more || self.closed.load(Ordering::Acquire) {
                // A notification holds for one reader: the next one may be waiting for what is left, or for the end.
                self.arrived.notify_one();
            }
            if frame.is_some() {
                return frame;
            }
            if self.closed.load(Ordering::Acquire) {
                self.ended.store(true, Ordering::Release);
                return None;
            }
            self.arrived.notified().await;
        }
    }

    /// Whether anybody ever pulled.
    fn is_pulled(&self) -> bool {
        self.pulled.load(Ordering::Acquire)
    }

    /// Keeps frames from now on; whether it did not before.
    fn begin(&self) -> bool {
        !self.pulled.swap(true, Ordering::AcqRel)
    }

    /// Frames dropped so far since nobody took them in time.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        !self.is_pulled() || self.ended.load(Ordering::Acquire)
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.arrived.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slow_reader_loses_the_oldest_and_sees_the_end_after_the_rest() {
        let queue = FrameQueue::new(2);
        queue.push(Arc::new(0));
        assert!(tokio::time::timeout(std::time::Duration::from_millis(1), queue.pull()).await.is_err());
        for n in 1..=3 {
            queue.push(Arc::new(n));
        }
        queue.close();
        assert_eq!(queue.pull().await.as_deref(), Some(&2));
        assert_eq!(queue.pull().await.as_deref(), Some(&3));
        assert_eq!(queue.pull().await, None);
        assert_eq!(queue.pull().await, None);
        assert_eq!(queue.dropped(), 1);
    }

    #[tokio::test]
    async fn a_tap_gets_every_frame_that_those_who_pull_share() {
        let feed = Feed::new(4, None);
        let taps = [feed.tap(), feed.tap()];
        assert!(tokio::time::timeout(std::time::Duration::from_millis(1), feed.pull()).await.is_err());
        feed.push(Arc::new(1));
        feed.push(Arc::new(2));
        feed.close();
        for tap in &taps {
            assert_eq!(tap.pull().await.as_deref(), Some(&1));
            assert_eq!(tap.pull().await.as_deref(), Some(&2));
            assert_eq!(tap.pull().await, None);
        }
        assert_eq!(feed.tap().pull().await, None, "a tap of a peer that left sees the end at once");
        assert_eq!(feed.pull().await.as_deref(), Some(&1));
    }

    #[tokio::test]
    async fn the_taps_of_a_peer_get_the_frames_of_its_named_streams_but_those_who_pull_from_it_do_not() {
        let peer = Arc::new(Feed::new(4, None));
        let stream = Feed::new(4, Some(Arc::clone(&peer)));
        let waiting = stream.wait_for_reader();
        tokio::pin!(waiting);
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        let tap = peer.tap();
        waiting.await;
        stream.push(Arc::new(1));
        peer.push(Arc::new(2));
        assert_eq!(tap.pull().await.as_deref(), Some(&1));
        assert_eq!(tap.pull().await.as_deref(), Some(&2));
        assert!(!stream.pulled.is_pulled() && !peer.pulled.is_pulled());
    }

    #[tokio::test]
    async fn of_a_stream_that_is_replaced_one_kind_ends_and_the_other_goes_on() {
        let frame = || Arc::new(VideoFrame::i420(16, 16, vec![0; 384]).unwrap());
        let peer = Inbox::new();
        let old = Inbox::of_stream(&peer);
        let (listening, watching) = (old.audio.pull(), old.video.pull());
        tokio::pin!(listening, watching);
        assert!(futures_util::poll!(listening.as_mut()).is_pending());
        assert!(futures_util::poll!(watching.as_mut()).is_pending());
        let new = old.replaced(MediaKind::Audio, &peer);
        assert_eq!(listening.await, None);
        assert!(futures_util::poll!(watching.as_mut()).is_pending());
        new.video.push(frame());
        assert!(watching.await.is_some());
        // The new audio reaches those who read it, and the taps of the peer.
        let tap = peer.audio.tap();
        let hearing = new.audio.pull();
        tokio::pin!(hearing);
        assert!(futures_util::poll!(hearing.as_mut()).is_pending());
        new.audio.push(Arc::new(AudioFrame::new(vec![0.1; 960], 48_000, 1).unwrap()));
        assert!(hearing.await.is_some() && tap.pull().await.is_some());
    }

    #[tokio::test]
    async fn every_waiting_reader_is_woken_at_the_end() {
        let queue = Arc::new(FrameQueue::<u8>::new(2));
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let queue = Arc::clone(&queue);
                tokio::spawn(async move { queue.pull().await })
            })
            .collect();
        tokio::task::yield_now().await;
        queue.close();
        for reader in readers {
            assert_eq!(reader.await.unwrap(), None);
        }
    }
}
