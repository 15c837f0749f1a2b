use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use remotemedia_media::EncodedFrame;

/// Orders encoded pictures for a decoder and holds back what it could not decode.
///
/// Pictures come in any order. One that follows the last released without a gap, or is a keyframe, is released at once. Behind
/// a gap the buffer waits: the missing packets may be retransmitted. A complete keyframe ends the wait, since nothing before
/// it matters any more. After [`VideoBufferConfig::patience`] a keyframe is wanted, and
/// [`VideoFrameBuffer::take_keyframe_request`] says so, at most once per [`VideoBufferConfig::request_interval`]; should the
/// missing packets come after all, playout resumes with them.
///
/// When the buffer is full the oldest pictures go, those a decoder could not use first, and the next to be released is a
/// keyframe.
#[derive(Debug)]
pub struct VideoFrameBuffer {
    config: VideoBufferConfig,
    frames: BTreeMap<u64, EncodedFrame>,
    bytes: usize,
    /// Last packet of the last picture released.
    released: Option<u64>,
    /// Nothing but a keyframe can be decoded next.
    needs_keyframe: bool,
    /// Since when nothing can be released for want of something.
    stuck_since: Option<Instant>,
    /// Since when the source of pictures has been stuck, as told.
    source_stuck_since: Option<Instant>,
    last_request: Option<Instant>,
    /// A decoder could not go on.
    forced: bool,
    stats: VideoBufferStats,
}

/// How a [`VideoFrameBuffer`] waits and what it keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoBufferConfig {
    /// How long to wait at a gap before a keyframe is asked for: about a round trip and a half, so that a retransmission comes
    /// first.
    pub patience: Duration,
    /// Least time between two requests: at least a round trip, since an answer takes that long.
    pub request_interval: Duration,
    /// Pictures kept at most; at least 1.
    pub max_frames: usize,
    /// Bytes of them kept at most.
    pub max_bytes: usize,
}

impl Default for VideoBufferConfig {
    /// 100 ms of patience, a request every 300 ms, 120 pictures, 16 MiB.
    fn default() -> Self {
        Self {
            patience: Duration::from_millis(100),
            request_interval: Duration::from_millis(300),
            max_frames: 120,
            max_bytes: 16 << 20,
        }
    }
}

/// What a [`VideoFrameBuffer`] counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VideoBufferStats {
    /// Pictures taken in, duplicates apart.
    pub frames_received: u64,
    /// Pictures released.
    pub frames_released: u64,
    /// Of these, keyframes.
    pub keyframes_released: u64,
    /// Pictures dropped since no decoder could use them any more.
    pub frames_dropped: u64,
    /// Pictures that came after their turn, or twice.
    pub frames_late: u64,
    /// Times a keyframe was asked for.
    pub keyframe_requests: u64,
}

impl VideoFrameBuffer {
    /// An empty buffer, which begins with a keyframe.
    pub fn new(config: VideoBufferConfig) -> Self {
        Self {
            config: VideoBufferConfig { max_frames: config.max_frames.max(1), ..config },
            frames: BTreeMap::new(),
            bytes: 0,
            released: None,
            needs_keyframe: true,
            stuck_since: None,
            source_stuck_since: None,
            last_request: None,
            forced: false,
            stats: VideoBufferStats::default(),
        }
    }

    /// Changes how long the buffer waits, as the round-trip time becomes known.
    pub fn set_timing(&mut self, patience: Duration, request_interval: Duration) {
        self.config.patience = patience;
        self.config.request_interval = request_interval;
    }

    /// Takes a complete picture at `now`.
    pub fn insert(&mut self, frame: EncodedFrame, now: Instant) {
        let first = frame.first_sequence;
        if self.released.is_some_and(|last| first <= last) || self.frames.contains_key(&first) {
            self.stats.frames_late += 1;
            return;
        }
        self.stats.frames_received += 1;
        self.bytes += frame.data.len();
        self.frames.insert(first, frame);
        while self.frames.len() > self.config.max_frames
            || (self.bytes > self.config.max_bytes && self.frames.len() > 1)
        {
            self.make_room();
        }
        self.note_progress(now);
    }

    /// The next picture to decode.
    pub fn pop(&mut self, now: Instant) -> Option<EncodedFrame> {
        let Some(next) = self.next_decodable() else {
            self.note_progress(now);
            return None;
        };
        let kept = self.frames.split_off(&next);
        let skipped = std::mem::replace(&mut self.frames, kept);
        self.drop_frames(skipped);
        let (_, frame) = self.frames.pop_first()?;
        self.bytes -= frame.data.len();
        self.released = Some(frame.last_sequence);
        self.needs_keyframe = false;
        self.forced = false;
        self.stats.frames_released += 1;
        self.stats.keyframes_released += u64::from(frame.keyframe);
        self.stuck_since = None;
        self.note_progress(now);
        Some(frame)
    }

    /// Tells since when whoever puts the pictures together has been held up by a missing packet, if it is: pictures that it
    /// holds back are no less missing here.
    pub fn set_source_stuck(&mut self, since: Option<Instant>) {
        self.source_stuck_since = since;
    }

    /// Tells that the decoder failed on the last picture: nothing but a keyframe helps, and it is wanted at once.
    pub fn decoder_failed(&mut self, now: Instant) {
        self.needs_keyframe = true;
        self.forced = true;
        self.note_progress(now);
    }

    /// Whether to ask the sender for a keyframe now. Answering `true` counts as having asked.
    pub fn take_keyframe_request(&mut self, now: Instant) -> bool {
        if self.next_request().is_none_or(|at| at > now) {
            return false;
        }
        self.last_request = Some(now);
        self.stats.keyframe_requests += 1;
        true
    }

    /// When [`Self::take_keyframe_request`] will answer `true`, if nothing comes before.
    pub fn next_request(&self) -> Option<Instant> {
        let wanted = if self.forced {
            self.stuck_since
        } else {
            let since = [self.stuck_since, self.source_stuck_since].into_iter().flatten().min();
            since.map(|since| since + self.config.patience)
        }?;
        let paced = self.last_request.map(|last| last + self.config.request_interval);
        Some(paced.map_or(wanted, |paced| paced.max(wanted)))
    }

    /// What was counted so far.
    pub fn stats(&self) -> VideoBufferStats {
        self.stats
    }

    /// Pictures that wait here.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether no picture waits here.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// First packet of the picture to release next.
    fn next_decodable(&self) -> Option<u64> {
        let (first, front) = self.frames.first_key_value()?;
        if !self.needs_keyframe && self.follows(front) {
            return Some(*first);
        }
        self.frames.iter().find(|(_, frame)| frame.keyframe).map(|(first, _)| *first)
    }

    /// Whether nothing is missing between the last picture released and `frame`. What its sender calls contiguous is so only
    /// in front of all that wait here.
    fn follows(&self, frame: &EncodedFrame) -> bool {
        self.released.is_some_and(|last| frame.contiguous || frame.first_sequence.checked_sub(1) == Some(last))
    }

    fn note_progress(&mut self, now: Instant) {
        let waits_for_keyframe = self.needs_keyframe && self.released.is_some();
        let stuck = waits_for_keyframe || (!self.frames.is_empty() && self.next_decodable().is_none());
        if !stuck {
            self.stuck_since = None;
        } else if self.stuck_since.is_none() {
            self.stuck_since = Some(now);
        }
    }

    fn make_room(&mut self) {
        // What stands in front of the newest keyframe is worth least.
        let newest_key = self.frames.iter().rev().find(|(_, frame)| frame.keyframe).map(|(first, _)| *first);
        let front = self.frames.first_key_value().map(|(first, _)| *first);
        let keep_from = match (newest_key, front) {
            (Some(key), Some(front)) if key > front => key,
            (_, Some(front)) => front + 1,
            _ => return,
        };
        let kept = self.frames.split_off(&keep_from);
        let dropped = std::mem::replace(&mut self.frames, kept);
        self.drop_frames(dropped);
        self.needs_keyframe = true;
    }

    fn drop_frames(&mut self, dropped: BTreeMap<u64, EncodedFrame>) {
        self.stats.frames_dropped += dropped.len() as u64;
        self.bytes -= dropped.values().map(|frame| frame.data.len()).sum::<usize>();
    }
}
