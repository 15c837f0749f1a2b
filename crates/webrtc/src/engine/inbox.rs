//! Where a peer's decoded media waits for whoever pulls it.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use remotemedia_media::{AudioFrame, VideoFrame};
use tokio::sync::Notify;

/// Two seconds of 20 ms frames: a reader that stalls longer loses the oldest.
const AUDIO_DEPTH: usize = 100;

/// A quarter of a second at 30 frames per second: pictures are large, and old ones of no use.
const VIDEO_DEPTH: usize = 8;

/// One peer's decoded audio and video.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) audio: FrameQueue<AudioFrame>,
    pub(crate) video: FrameQueue<VideoFrame>,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self { audio: FrameQueue::new(AUDIO_DEPTH), video: FrameQueue::new(VIDEO_DEPTH) }
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

/// A bounded queue that drops its oldest frame when it is full, and counts it. Until the first pull it keeps nothing,
/// so that a late reader begins with what is new.
#[derive(Debug)]
pub(crate) struct FrameQueue<T> {
    frames: Mutex<VecDeque<Arc<T>>>,
    arrived: Notify,
    pulled: AtomicBool,
    /// Told when the first reader comes: whoever fills the queue may begin to.
    wanted: Notify,
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
            wanted: Notify::new(),
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
        if !self.pulled.swap(true, Ordering::AcqRel) {
            self.wanted.notify_one();
        }
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
    pub(crate) fn is_pulled(&self) -> bool {
        self.pulled.load(Ordering::Acquire)
    }

    /// Returns once somebody has pulled.
    pub(crate) async fn wait_for_reader(&self) {
        while !self.is_pulled() {
            self.wanted.notified().await;
        }
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
