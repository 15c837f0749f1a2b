use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use remotemedia_media::{Codec, MediaKind, StreamId};
use remotemedia_rtp::OutgoingPacket;
use rtc::rtp;
use tokio::{sync::Notify, time::Instant};
use webrtc::media_stream::track_local::{TrackLocal, static_rtp::TrackLocalStaticRTP};

use crate::stream_key::StreamKey;

/// The media on its way to one peer, above the interceptors: what they do not take at once waits here, audio before video,
/// and of several streams of a kind whatever has waited longest.
///
/// Video that has waited longer than [`MAX_VIDEO_WAIT`] because the interceptors take nothing is given up by whole frames,
/// and everything after it up to the next keyframe, which is asked for. Audio is given up only beyond
/// [`MAX_AUDIO_PACKETS`].
#[derive(Debug, Default)]
pub(crate) struct MediaQueue {
    state: Mutex<State>,
    filled: Notify,
}

/// How long a video frame may wait above interceptors that take nothing.
const MAX_VIDEO_WAIT: Duration = Duration::from_millis(30);
/// How long it may wait in any case. A busy machine that wakes the pump late is no reason for a keyframe, until it is that
/// late.
const MAX_SCHEDULING_WAIT: Duration = Duration::from_millis(250);
/// Ten seconds of audio in frames of 20 ms.
const MAX_AUDIO_PACKETS: usize = 500;

#[derive(Debug, Default)]
struct State {
    streams: Vec<Stream>,
    /// Since when the interceptors have not taken the packet that was handed to them last.
    blocked_since: Option<Instant>,
    counters: SendCounters,
}

/// What went out and what did not.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SendCounters {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) video_frames_dropped: u64,
    pub(crate) audio_packets_dropped: u64,
}

/// One outgoing track: the numbers that its packets carry.
#[derive(Debug)]
struct Stream {
    key: StreamKey,
    id: StreamIdentity,
    payload_types: Vec<(Codec, u8)>,
    waiting: VecDeque<Waiting>,
    /// The frame whose packets are partly with the interceptors already.
    begun: Option<u64>,
    frames: u64,
    awaiting_keyframe: bool,
    /// What was sent last, at first what the interceptors expect.
    codec: Codec,
}

/// Where an outgoing track's numbers start. Kept over renegotiation, so that they stay continuous.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamIdentity {
    pub(crate) ssrc: u32,
    /// Of its retransmissions.
    pub(crate) repair_ssrc: u32,
    sequence: u16,
    /// What is added to the timestamps that the sender gives.
    pub(crate) timestamp_offset: u32,
}

#[derive(Debug)]
struct Waiting {
    frame: u64,
    since: Instant,
    payload_type: u8,
    packet: OutgoingPacket,
}

/// What became of media handed to [`MediaQueue::push`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It waits for its turn.
    Queued,
    /// The same, and it is of another codec than what came before.
    Switched,
    /// It was given up, as everything is until the next keyframe. To be asked for each time: whoever encodes may pass over
    /// a request that comes soon after a keyframe.
    AwaitingKeyframe,
    /// The peer does not take this codec but these.
    NotNegotiated(Vec<Codec>),
}

impl StreamIdentity {
    pub(crate) fn random() -> Self {
        // The sequence starts in the lower half, so that an early loss cannot be mistaken for a wrap (RFC 3711).
        let sequence = rand::random::<u16>() >> 1;
        Self { ssrc: rand::random(), repair_ssrc: rand::random(), sequence, timestamp_offset: rand::random() }
    }
}

impl MediaQueue {
    /// Sets which codecs can be sent from now on; an empty list stops that stream.
    pub(crate) fn set_stream(&self, key: StreamKey, id: StreamIdentity, codec: Codec, payload_types: Vec<(Codec, u8)>) {
        let mut state = self.state.lock();
        if let Some(stream) = state.stream(&key).filter(|stream| stream.id.ssrc == id.ssrc && !payload_types.is_empty())
        {
            stream.payload_types = payload_types;
            return;
        }
        state.streams.retain(|stream| stream.key != key);
        if !payload_types.is_empty() {
            let (waiting, begun) = (VecDeque::new(), None);
            let stream = Stream { key, id, payload_types, waiting, begun, frames: 0, awaiting_keyframe: false, codec };
            state.streams.push(stream);
        }
    }

    /// Stops a stream, and forgets what waits in it.
    pub(crate) fn remove_stream(&self, key: &StreamKey) {
        self.state.lock().streams.retain(|stream| stream.key != *key);
    }

    /// Forgets all streams and what waits in them.
    pub(crate) fn clear(&self) {
        self.state.lock().streams.clear();
    }

    pub(crate) fn counters(&self) -> SendCounters {
        self.state.lock().counters
    }

    /// The codecs that can be sent as the main stream of that kind, in the peer's order.
    pub(crate) fn codecs(&self, kind: MediaKind) -> Vec<Codec> {
        self.state.lock().codecs(&StreamKey::main(kind))
    }

    /// The named streams that can be sent, each with its codecs in the peer's order.
    pub(crate) fn named_streams(&self) -> Vec<(StreamKey, Vec<Codec>)> {
        let state = self.state.lock();
        let named = state.streams.iter().filter(|stream| stream.key.stream.is_some());
        named.map(|stream| (stream.key.clone(), stream.codecs())).collect()
    }

    /// The name of the stream with that SSRC; `None` for the main one.
    pub(crate) fn stream_of(&self, ssrc: u32) -> Option<StreamId> {
        let state = self.state.lock();
        state.streams.iter().find(|stream| stream.id.ssrc == ssrc)?.key.stream.clone()
    }

    /// Takes the packets of one frame (or some of audio) of the stream of that name, or of the main one.
    pub(crate) fn push(
        &self,
        now: Instant,
        name: Option<&StreamId>,
        codec: Codec,
        packets: &[OutgoingPacket],
        keyframe: bool,
    ) -> Pushed {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let kind = codec.kind();
        let blocked = state.blocked_since.is_some_and(|since| now.saturating_duration_since(since) > MAX_VIDEO_WAIT);
        let patience = if blocked { MAX_VIDEO_WAIT } else { MAX_SCHEDULING_WAIT };
        let State { streams, counters, .. } = state;
        let of_that_name = |stream: &&mut Stream| stream.key.kind == kind && stream.key.stream.as_ref() == name;
        let Some(stream) = streams.iter_mut().find(of_that_name) else { return Pushed::NotNegotiated(Vec::new()) };
        let Some(payload_type) = stream.payload_type(codec) else { return Pushed::NotNegotiated(stream.codecs()) };
        match kind {
            MediaKind::Audio => {
                let excess = (stream.waiting.len() + packets.len()).saturating_sub(MAX_AUDIO_PACKETS);
                counters.audio_packets_dropped += stream.drop_oldest(excess) as u64;
            }
            MediaKind::Video => {
                let dropped = stream.drop_stale(now, patience);
                counters.video_frames_dropped += dropped;
                stream.awaiting_keyframe |= dropped > 0;
                if stream.awaiting_keyframe && !keyframe {
                    counters.video_frames_dropped += 1;
                    return Pushed::AwaitingKeyframe;
                }
                stream.awaiting_keyframe = false;
            }
        }
        let switched = std::mem::replace(&mut stream.codec, codec) != codec;
        stream.frames += 1;
        let frame = stream.frames;
        let waiting = packets.iter().map(|p| Waiting { frame, since: now, payload_type, packet: p.clone() });
        stream.waiting.extend(waiting);
        drop(guard);
        self.filled.notify_one();
        if switched { Pushed::Switched } else { Pushed::Queued }
    }

    /// The next packet with its header; audio first. Asking for it says that the one before has been taken.
    pub(crate) async fn next(&self) -> (StreamKey, rtp::Packet) {
        loop {
            if let Some(next) = self.take(Instant::now()) {
                return next;
            }
            self.filled.notified().await;
        }
    }

    fn take(&self, now: Instant) -> Option<(StreamKey, rtp::Packet)> {
        let mut state = self.state.lock();
        let State { streams, blocked_since, counters } = &mut *state;
        *blocked_since = None;
        let waiting = streams.iter_mut().filter_map(|stream| {
            let since = stream.waiting.front()?.since;
            Some(((stream.key.kind == MediaKind::Video, since), stream))
        });
        let (_, stream) = waiting.min_by_key(|(turn, _)| *turn)?;
        let packet = stream.take()?;
        *blocked_since = Some(now);
        counters.packets += 1;
        counters.bytes += packet.payload.len() as u64;
        Some((stream.key.clone(), packet))
    }
}

impl State {
    fn stream(&mut self, key: &StreamKey) -> Option<&mut Stream> {
        self.streams.iter_mut().find(|stream| stream.key == *key)
    }

    fn codecs(&self, key: &StreamKey) -> Vec<Codec> {
        self.streams.iter().find(|stream| stream.key == *key).map(Stream::codecs).unwrap_or_default()
    }
}

impl Stream {
    fn payload_type(&self, codec: Codec) -> Option<u8> {
        self.payload_types.iter().find(|(c, _)| *c == codec).map(|(_, pt)| *pt)
    }

    fn codecs(&self) -> Vec<Codec> {
        self.payload_types.iter().map(|(codec, _)| *codec).collect()
    }

    fn take(&mut self) -> Option<rtp::Packet> {
        let waiting = self.waiting.pop_front()?;
        self.begun = Some(waiting.frame);
        // A header built from nothing: extensions left over in a reused one make the packet vanish later.
        let header = rtp::header::Header {
            version: 2,
            marker: waiting.packet.marker,
            payload_type: waiting.payload_type,
            sequence_number: self.id.sequence,
            timestamp: waiting.packet.timestamp.0.wrapping_add(self.id.timestamp_offset),
            ssrc: self.id.ssrc,
            ..Default::default()
        };
        self.id.sequence = self.id.sequence.wrapping_add(1);
        Some(rtp::Packet { header, payload: waiting.packet.payload })
    }

    fn drop_oldest(&mut self, count: usize) -> usize {
        let count = count.min(self.waiting.len());
        self.waiting.drain(..count);
        count
    }

    /// Drops all frames that were not begun, if the oldest of them has waited too long. Answers how many.
    fn drop_stale(&mut self, now: Instant, patience: Duration) -> u64 {
        let begun = self.begun;
        let Some(oldest) = self.waiting.iter().find(|w| Some(w.frame) != begun) else { return 0 };
        if now.saturating_duration_since(oldest.since) <= patience {
            return 0;
        }
        let first = oldest.frame;
        self.waiting.retain(|w| w.frame < first);
        self.frames + 1 - first
    }
}

/// The tracks that one peer connection sends.
pub(crate) type OutgoingTracks = HashMap<StreamKey, Arc<TrackLocalStaticRTP>>;

/// Hands packets to the interceptors. Ends when it is aborted; a packet whose track is gone is dropped.
pub(crate) async fn pump(queue: Arc<MediaQueue>, tracks: OutgoingTracks) {
    loop {
        let (key, packet) = queue.next().await;
        // Waits while the peer connection is busy. The only error is that the connection is closed.
        if let Some(track) = tracks.get(&key)
            && track.write_rtp(packet).await.is_err()
        {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use remotemedia_media::RtpTimestamp;

    use super::*;

    fn now() -> Instant {
        Instant::now()
    }

    fn packets(count: usize) -> Vec<OutgoingPacket> {
        let packet = OutgoingPacket { timestamp: RtpTimestamp(7), marker: false, payload: Bytes::from_static(b"x") };
        vec![packet; count]
    }

    fn queue() -> MediaQueue {
        let queue = MediaQueue::default();
        queue.set_stream(
            StreamKey::main(MediaKind::Audio),
            StreamIdentity::random(),
            Codec::Opus,
            vec![(Codec::Opus, 111)],
        );
        let video = vec![(Codec::Vp8, 96), (Codec::H264, 102)];
        queue.set_stream(StreamKey::main(MediaKind::Video), StreamIdentity::random(), Codec::Vp8, video);
        queue
    }

    #[test]
    fn audio_goes_first_and_numbers_are_continuous() {
        let (queue, start) = (queue(), now());
        assert_eq!(queue.push(start, None, Codec::Vp8, &packets(2), true), Pushed::Queued);
        assert_eq!(queue.push(start, None, Codec::Opus, &packets(2), false), Pushed::Queued);
        let taken: Vec<_> = std::iter::from_fn(|| queue.take(now())).collect();
        let kinds: Vec<_> = taken.iter().map(|t| t.0.kind).collect();
        assert_eq!(kinds, [MediaKind::Audio, MediaKind::Audio, MediaKind::Video, MediaKind::Video]);
        for pair in taken.chunks(2) {
            assert_eq!(pair[1].1.header.sequence_number, pair[0].1.header.sequence_number.wrapping_add(1));
            assert_eq!(pair[0].1.header.ssrc, pair[1].1.header.ssrc);
        }
        assert_eq!(taken[2].1.header.payload_type, 96);
    }

    #[test]
    fn named_streams_have_numbers_of_their_own_and_none_waits_for_another() {
        let (queue, start) = (queue(), now());
        let screen: StreamId = "screen".parse().unwrap();
        let key = StreamKey::named(MediaKind::Video, screen.clone());
        let refused = queue.push(start, Some(&screen), Codec::Vp8, &packets(1), true);
        assert_eq!(refused, Pushed::NotNegotiated(vec![]));
        queue.set_stream(key.clone(), StreamIdentity::random(), Codec::Vp8, vec![(Codec::Vp8, 96)]);
        assert_eq!(queue.named_streams(), [(key.clone(), vec![Codec::Vp8])]);
        queue.push(start, None, Codec::Vp8, &packets(2), true);
        queue.push(start + Duration::from_millis(1), Some(&screen), Codec::Vp8, &packets(1), true);
        queue.push(start + Duration::from_millis(2), None, Codec::Vp8, &packets(1), false);
        let taken: Vec<_> = std::iter::from_fn(|| queue.take(now())).collect();
        let names: Vec<_> = taken.iter().map(|(key, _)| key.stream.is_some()).collect();
        assert_eq!(names, [false, false, true, false]);
        assert_ne!(taken[2].1.header.ssrc, taken[0].1.header.ssrc);
        assert_eq!(taken[3].1.header.sequence_number, taken[1].1.header.sequence_number.wrapping_add(1));
        queue.remove_stream(&key);
        assert!(queue.named_streams().is_empty());
    }

    #[test]
    fn a_codec_that_was_not_negotiated_is_refused_with_those_that_were() {
        let pushed = queue().push(Instant::now(), None, Codec::Vp9, &packets(1), true);
        assert_eq!(pushed, Pushed::NotNegotiated(vec![Codec::Vp8, Codec::H264]));
    }

    #[test]
    fn a_switch_of_codec_is_told_once() {
        let (queue, start) = (queue(), now());
        assert_eq!(queue.push(start, None, Codec::Vp8, &packets(1), true), Pushed::Queued);
        assert_eq!(queue.push(start, None, Codec::H264, &packets(1), true), Pushed::Switched);
        assert_eq!(queue.push(start, None, Codec::H264, &packets(1), false), Pushed::Queued);
        let types: Vec<_> = std::iter::from_fn(|| queue.take(now())).map(|(_, p)| p.header.payload_type).collect();
        assert_eq!(types, [96, 102, 102]);
    }

    #[test]
    fn video_that_waited_too_long_is_dropped_by_whole_frames_until_a_keyframe() {
        let (queue, start) = (queue(), Instant::now());
        queue.push(start, None, Codec::Vp8, &packets(3), true);
        queue.take(start).unwrap();
        queue.push(start + Duration::from_millis(1), None, Codec::Vp8, &packets(3), false);
        let late = start + Duration::from_millis(50);
        for _ in 0..2 {
            assert_eq!(queue.push(late, None, Codec::Vp8, &packets(1), false), Pushed::AwaitingKeyframe);
        }
        assert_eq!(queue.counters().video_frames_dropped, 3);
        assert_eq!(queue.push(late, None, Codec::Vp8, &packets(1), true), Pushed::Queued);
        // The rest of the frame that had begun, then the keyframe.
        let left = std::iter::from_fn(|| queue.take(now())).count();
        assert_eq!(left, 2 + 1);
    }

    #[test]
    fn a_pump_that_is_only_woken_late_costs_no_frame() {
        let (queue, start) = (queue(), Instant::now());
        queue.push(start, None, Codec::Vp8, &packets(3), true);
        let late = start + Duration::from_millis(100);
        assert_eq!(queue.push(late, None, Codec::Vp8, &packets(3), false), Pushed::Queued);
        let too_late = start + Duration::from_millis(400);
        assert_eq!(queue.push(too_late, None, Codec::Vp8, &packets(3), false), Pushed::AwaitingKeyframe);
    }

    #[test]
    fn audio_is_bounded_and_loses_its_oldest() {
        let queue = queue();
        for _ in 0..MAX_AUDIO_PACKETS + 5 {
            queue.push(Instant::now(), None, Codec::Opus, &packets(1), false);
        }
        assert_eq!(queue.counters().audio_packets_dropped, 5);
        assert_eq!(std::iter::from_fn(|| queue.take(now())).count(), MAX_AUDIO_PACKETS);
    }
}
