use std::{
    collections::VecDeque,
    ops::{Range, RangeInclusive},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use remotemedia_media::{Codec, EncodedFrame, MediaKind};

use crate::{
    ReceivedPacket,
    payload::{FramePart, Part, PictureId, h264},
};

/// Puts the frames of one stream together from its packets.
///
/// [`FrameAssembler::insert`] takes packets in any order; [`FrameAssembler::pop`] gives whole frames in the order of their
/// sequence numbers. A missing packet holds back the frames behind it, since it may still be retransmitted, until
///
/// - it arrives, or the picture numbers of VP8 and VP9 prove that it held no picture data,
/// - a later keyframe is complete (video): nothing in front of it matters any more,
/// - [`FrameAssembler::give_up_before`] says not to wait, or
/// - one of the [`AssemblerLimits`] is reached: what is oldest goes first, and is counted.
///
/// Packets without payload (padding, probes) count as received. A payload that breaks its format spoils the frame it stands
/// in. The first frame handed out after anything was given up has `contiguous: false`; so has the first of all.
///
/// `keyframe` is read from the bitstream. An H.264 frame is a keyframe if it has an IDR slice and parameter sets came with it
/// or with a frame before it; parameter sets out of band (SDP) do not count.
#[derive(Debug)]
pub struct FrameAssembler {
    codec: Codec,
    limits: AssemblerLimits,
    /// The packets from `base` on; `None` is missing. Ends with a received one, if any.
    window: VecDeque<Option<Slot>>,
    /// Extended sequence number of the window's front: the first not yet handed out or given up.
    base: u64,
    bytes: usize,
    progress: Progress,
    ready: VecDeque<EncodedFrame>,
    ready_bytes: usize,
    stats: AssemblerStats,
}

/// How much a [`FrameAssembler`] keeps at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssemblerLimits {
    /// Span of sequence numbers between the oldest and the newest packet held; at least 16. It bounds the length of a frame.
    pub packets: usize,
    /// Payload bytes of incomplete frames, and again of complete ones that nobody popped.
    pub bytes: usize,
    /// Complete frames that nobody popped; at least 1.
    pub frames: usize,
    /// How much older than the newest packet the oldest one may be while its frame is incomplete.
    pub age: Duration,
}

impl Default for AssemblerLimits {
    /// 2,048 packets, 4 MiB, 64 frames, 3 s: a second of 720p video at 20 Mbit/s.
    fn default() -> Self {
        Self { packets: 2_048, bytes: 4 << 20, frames: 64, age: Duration::from_secs(3) }
    }
}

/// What a [`FrameAssembler`] counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AssemblerStats {
    /// Frames completed.
    pub frames: u64,
    /// Of these, keyframes.
    pub keyframes: u64,
    /// Complete frames dropped since nobody popped them.
    pub frames_dropped: u64,
    /// Packets with payload that were received and given up, their frame being incomplete, unusable or skipped.
    pub packets_given_up: u64,
    /// Packets that came after their place was handed out or given up.
    pub late: u64,
    /// Packets that were there already.
    pub duplicates: u64,
    /// Packets whose payload breaks the payload format.
    pub malformed: u64,
    /// Packets without payload.
    pub empty: u64,
}

/// A hole that holds frames back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Extended sequence number of the first missing packet.
    pub first_missing: u64,
    /// When the first packet from behind the hole arrived: since then it is known.
    pub since: Instant,
    /// First packet of the first complete frame behind the hole, if there is one: what
    /// [`FrameAssembler::give_up_before`] would continue with.
    pub next_complete: Option<u64>,
}

#[derive(Debug)]
struct Slot {
    packet: ReceivedPacket,
    part: Part,
}

/// What is known about the boundary at the window's front.
#[derive(Debug, Default)]
struct Progress {
    /// Anything was received.
    started: bool,
    /// The packet in front of the window ended a frame that was handed out.
    aligned: bool,
    /// Anything was given up since the last frame handed out, or there was none.
    broken: bool,
    last_picture: Option<PictureId>,
    has_parameter_sets: bool,
}

/// What stands at the front of the window.
enum Head {
    Frame {
        len: usize,
    },
    /// Nothing to do until more packets come.
    Waiting,
    /// This many packets can be no beginning of a frame.
    Unusable {
        len: usize,
    },
    /// This many missing packets held no picture data.
    Hollow {
        len: usize,
    },
}

impl FrameAssembler {
    /// An assembler for a stream of `codec` with the default limits.
    pub fn new(codec: Codec) -> Self {
        Self::with_limits(codec, AssemblerLimits::default())
    }

    /// An assembler for a stream of `codec` that keeps at most `limits`.
    pub fn with_limits(codec: Codec, limits: AssemblerLimits) -> Self {
        let limits = AssemblerLimits { packets: limits.packets.max(16), frames: limits.frames.max(1), ..limits };
        Self {
            codec,
            limits,
            window: VecDeque::new(),
            base: 0,
            bytes: 0,
            progress: Progress { broken: true, ..Progress::default() },
            ready: VecDeque::new(),
            ready_bytes: 0,
            stats: AssemblerStats::default(),
        }
    }

    /// Takes a packet of the stream.
    pub fn insert(&mut self, packet: ReceivedPacket) {
        let now = packet.arrival;
        if self.store(packet) {
            self.drain();
            self.enforce_limits(now);
        }
    }

    /// The next complete frame.
    pub fn pop(&mut self) -> Option<EncodedFrame> {
        let frame = self.ready.pop_front()?;
        self.ready_bytes -= frame.data.len();
        Some(frame)
    }

    /// Stops waiting for packets before `sequence`, and for the frame that lies across it. Frames that are complete in front
    /// of it are kept.
    pub fn give_up_before(&mut self, sequence: u64) {
        if !self.progress.started || sequence <= self.base {
            return;
        }
        self.discard_front(sequence - self.base);
        self.drain();
    }

    /// The hole that holds frames back now, if there is one.
    pub fn gap(&self) -> Option<Gap> {
        let hole = self.window.iter().position(Option::is_none)?;
        let behind = self.window.iter().skip(hole).flatten();
        let since = behind.map(|slot| slot.packet.arrival).min()?;
        let next_complete = self.complete_frame_behind(hole, |_| true).map(|at| self.base + at as u64);
        Some(Gap { first_missing: self.base + hole as u64, since, next_complete })
    }

    /// The packets that are missing between those that were received, oldest first: what to ask for again.
    pub fn missing(&self) -> Vec<RangeInclusive<u64>> {
        let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
        for (i, _) in self.window.iter().enumerate().filter(|(_, slot)| slot.is_none()) {
            let sequence = self.base + i as u64;
            match ranges.last_mut() {
                Some(range) if *range.end() + 1 == sequence => *range = *range.start()..=sequence,
                _ => ranges.push(sequence..=sequence),
            }
        }
        ranges
    }

    /// What was counted so far.
    pub fn stats(&self) -> AssemblerStats {
        self.stats
    }

    /// Payload bytes held: of incomplete frames, and of complete ones not popped yet.
    pub fn buffered_bytes(&self) -> usize {
        self.bytes + self.ready_bytes
    }

    /// Puts the packet into its place. Answers whether anything changed.
    fn store(&mut self, packet: ReceivedPacket) -> bool {
        // No stream lives to see more: SRTP ends at 2^48 packets (RFC 3711, section 9.2).
        let sequence = packet.sequence.min(1 << 48);
        if !self.progress.started {
            self.progress.started = true;
            self.base = sequence;
        } else if sequence < self.base && !self.extend_front(sequence) {
            self.stats.late += 1;
            return false;
        }
        let span = self.limits.packets as u64;
        if sequence - self.base >= span {
            self.discard_front(sequence - self.base - span + 1);
        }
        // The span fits a usize, since the limit is one.
        let at = (sequence - self.base) as usize;
        if at >= self.window.len() {
            self.window.resize_with(at + 1, || None);
        }
        if self.window[at].is_some() {
            self.stats.duplicates += 1;
            return false;
        }
        let part = Part::parse(self.codec, &packet.payload);
        match part {
            Part::Data(_) => {}
            Part::Empty => self.stats.empty += 1,
            Part::Malformed => self.stats.malformed += 1,
        }
        self.bytes += packet.payload.len();
        self.window[at] = Some(Slot { packet, part });
        true
    }

    /// Makes room for a packet from before the first one, as long as nothing was handed out.
    fn extend_front(&mut self, sequence: u64) -> bool {
        let missing = self.base - sequence;
        if !self.is_young() || self.window.len() as u64 + missing > self.limits.packets as u64 {
            return false;
        }
        (0..missing).for_each(|_| self.window.push_front(None));
        self.base = sequence;
        true
    }

    /// Whether nothing was handed out or given up yet, so that packets from before the first may still find their place.
    fn is_young(&self) -> bool {
        self.stats.frames == 0 && self.stats.packets_given_up == 0 && !self.progress.aligned
    }

    fn drain(&mut self) {
        loop {
            match self.head() {
                Head::Frame { len } => self.take_frame(len),
                Head::Unusable { len } => self.discard_front(len as u64),
                Head::Hollow { len } => self.pass_front(len),
                Head::Waiting => match self.keyframe_behind_gap() {
                    Some(at) => self.discard_front(at as u64),
                    None => return,
                },
            }
        }
    }

    fn head(&self) -> Head {
        match self.window.front() {
            None => Head::Waiting,
            Some(None) => self.hollow_gap(),
            Some(Some(Slot { part: Part::Empty, .. })) if self.progress.aligned => Head::Hollow { len: 1 },
            Some(Some(slot)) if !slot.can_begin(self.progress.aligned) => self.without_beginning(),
            Some(Some(_)) => self.frame_end(0).map_or(Head::Waiting, |len| Head::Frame { len }),
        }
    }

    /// The front can begin no frame. When the stream is young its beginning may only be late.
    fn without_beginning(&self) -> Head {
        if !self.is_young() {
            return Head::Unusable { len: 1 };
        }
        self.complete_frame_behind(0, |_| true).map_or(Head::Waiting, |len| Head::Unusable { len })
    }

    /// Missing packets between two pictures with consecutive numbers were padding.
    fn hollow_gap(&self) -> Head {
        let Some(len) = self.window.iter().position(Option::is_some) else { return Head::Waiting };
        let next = self.window[len].as_ref().and_then(Slot::data);
        let proven = match (next.and_then(|part| part.picture_id), self.progress.last_picture) {
            // Fewer missing packets than the shorter numbers take to wrap.
            (Some(next_id), Some(last_id)) if self.progress.aligned && len < 128 => next_id.follows(last_id),
            _ => false,
        };
        if proven && next.is_some_and(|part| part.starts) { Head::Hollow { len } } else { Head::Waiting }
    }

    /// Where the frame that begins at `at` ends, exclusive: behind a packet with the marker, or in front of another
    /// timestamp. The error is where the known packets end instead.
    fn frame_end(&self, at: usize) -> Result<usize, usize> {
        let mut timestamp = None;
        for (i, slot) in self.window.iter().enumerate().skip(at) {
            let Some(slot) = slot else { return Err(i) };
            if matches!(slot.part, Part::Empty) {
                continue;
            }
            if *timestamp.get_or_insert(slot.packet.timestamp) != slot.packet.timestamp {
                return Ok(i);
            }
            if slot.packet.marker || slot.data().is_some_and(|part| part.ends) {
                return Ok(i + 1);
            }
        }
        Err(self.window.len())
    }

    /// Where, behind the hole or unusable packet at `hole`, the first complete frame begins that passes `filter`.
    fn complete_frame_behind(&self, hole: usize, filter: impl Fn(Range<usize>) -> bool) -> Option<usize> {
        let mut at = hole + 1;
        while at < self.window.len() {
            if !self.window[at].as_ref().and_then(Slot::data).is_some_and(|part| part.starts) {
                at += 1;
                continue;
            }
            match self.frame_end(at) {
                Ok(end) if filter(at..end) => return Some(at),
                Ok(end) => at = end,
                // Whatever else begins before the next hole ends there too.
                Err(end) => at = end + 1,
            }
        }
        None
    }

    fn keyframe_behind_gap(&self) -> Option<usize> {
        if self.codec.kind() == MediaKind::Audio {
            return None;
        }
        let hole = self.window.iter().position(Option::is_none)?;
        self.complete_frame_behind(hole, |frame| {
            let parts = || self.window.range(frame.clone()).flatten().filter_map(Slot::data);
            // An H.264 keyframe whose parameter sets may be what is missing is worth waiting for.
            parts().any(|part| part.keyframe) && (self.codec != Codec::H264 || parts().any(|part| part.parameter_sets))
        })
    }

    fn take_frame(&mut self, len: usize) {
        let base = self.base;
        let slots: Vec<Slot> = self.remove_front(len);
        self.progress.aligned = true;
        match Assembled::new(self.codec, &slots, self.progress.has_parameter_sets) {
            None => {
                self.stats.packets_given_up += slots.len() as u64;
                self.progress.broken = true;
                self.progress.last_picture = None;
            }
            Some(assembled) => {
                self.stats.frames += 1;
                self.stats.keyframes += u64::from(assembled.keyframe);
                self.progress.has_parameter_sets |= assembled.parameter_sets;
                self.progress.last_picture = slots.iter().find_map(|slot| slot.data()?.picture_id);
                let frame = EncodedFrame {
                    codec: self.codec,
                    keyframe: assembled.keyframe,
                    contiguous: !std::mem::take(&mut self.progress.broken),
                    timestamp: slots[0].packet.timestamp,
                    first_sequence: base,
                    last_sequence: base + len as u64 - 1,
                    arrival: slots.iter().map(|slot| slot.packet.arrival).max().unwrap_or(slots[0].packet.arrival),
                    data: assembled.data,
                };
                self.queue(frame);
            }
        }
    }

    fn queue(&mut self, frame: EncodedFrame) {
        self.ready_bytes += frame.data.len();
        self.ready.push_back(frame);
        while self.ready.len() > self.limits.frames || (self.ready_bytes > self.limits.bytes && self.ready.len() > 1) {
            let Some(dropped) = self.ready.pop_front() else { return };
            self.ready_bytes -= dropped.data.len();
            self.stats.frames_dropped += 1;
            if let Some(next) = self.ready.front_mut() {
                next.contiguous = false;
            }
        }
    }

    fn enforce_limits(&mut self, now: Instant) {
        loop {
            let Some(oldest) = self.window.iter().flatten().next() else { return };
            let too_old = now.saturating_duration_since(oldest.packet.arrival) > self.limits.age;
            if !too_old && self.bytes <= self.limits.bytes {
                return;
            }
            // Either the missing packets in front of the oldest one, or the oldest one of an incomplete frame; what cannot
            // stand without it follows.
            let holes = self.window.iter().position(Option::is_some).unwrap_or(0);
            self.discard_front(holes.max(1) as u64);
            self.drain();
        }
    }

    /// Gives up `count` packets from the front, or more if the window is shorter.
    fn discard_front(&mut self, count: u64) {
        let len = self.window.len().min(usize::try_from(count).unwrap_or(usize::MAX));
        let given_up = self.remove_front(len);
        self.base += count - len as u64;
        self.stats.packets_given_up += given_up.iter().filter(|slot| !matches!(slot.part, Part::Empty)).count() as u64;
        self.progress.aligned = false;
        self.progress.broken = true;
        self.progress.last_picture = None;
    }

    /// Goes over `len` places that hold no picture data.
    fn pass_front(&mut self, len: usize) {
        self.remove_front(len);
    }

    fn remove_front(&mut self, len: usize) -> Vec<Slot> {
        let slots: Vec<Slot> = self.window.drain(..len).flatten().collect();
        self.bytes -= slots.iter().map(|slot| slot.packet.payload.len()).sum::<usize>();
        self.base += len as u64;
        slots
    }
}

impl Slot {
    fn data(&self) -> Option<&FramePart> {
        match &self.part {
            Part::Data(part) => Some(part),
            Part::Empty | Part::Malformed => None,
        }
    }

    fn can_begin(&self, aligned: bool) -> bool {
        self.data().is_some_and(|part| part.starts || (aligned && part.may_start))
    }
}

/// A frame's bitstream out of its packets.
struct Assembled {
    data: Bytes,
    keyframe: bool,
    parameter_sets: bool,
}

impl Assembled {
    /// `None` if a packet breaks its format.
    fn new(codec: Codec, slots: &[Slot], has_parameter_sets: bool) -> Option<Self> {
        if slots.iter().any(|slot| matches!(slot.part, Part::Malformed)) {
            return None;
        }
        let parts = slots.iter().filter_map(Slot::data);
        let first = parts.clone().next()?;
        if codec == Codec::H264 {
            let unit = h264::assemble(parts.clone().map(|part| &part.data))?;
            let parameter_sets = parts.clone().any(|part| part.parameter_sets);
            let keyframe = unit.idr && (parameter_sets || has_parameter_sets);
            return Some(Self { data: unit.data, keyframe, parameter_sets });
        }
        let keyframe = first.keyframe;
        let data = if parts.clone().nth(1).is_none() {
            first.data.clone()
        } else {
            let mut data = BytesMut::with_capacity(parts.clone().map(|part| part.data.len()).sum());
            parts.for_each(|part| data.extend_from_slice(&part.data));
            data.freeze()
        };
        Some(Self { data, keyframe, parameter_sets: false })
    }
}
