use std::collections::HashMap;

use remotemedia_media::{PeerId, StreamId, VideoFrame};

/// State per stream, for the streams that were seen last.
#[derive(Clone, Debug)]
pub(crate) struct Streams<T> {
    states: HashMap<(Option<PeerId>, Option<StreamId>), (u64, T)>,
    calls: u64,
}

impl<T> Default for Streams<T> {
    fn default() -> Self {
        Self { states: HashMap::new(), calls: 0 }
    }
}

impl<T: Default> Streams<T> {
    /// How many streams are remembered; the one that was not seen for longest goes first.
    pub(crate) const LIMIT: usize = 64;

    /// The state of the stream that `frame` belongs to.
    pub(crate) fn of(&mut self, frame: &VideoFrame) -> &mut T {
        self.calls += 1;
        let key = (frame.source.clone(), frame.stream_id.clone());
        if self.states.len() >= Self::LIMIT && !self.states.contains_key(&key) {
            let oldest = self.states.iter().min_by_key(|(_, (call, _))| *call).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| self.states.remove(&oldest));
        }
        let entry = self.states.entry(key).or_default();
        entry.0 = self.calls;
        &mut entry.1
    }

    /// Forgets every stream.
    pub(crate) fn clear(&mut self) {
        self.states.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(peer: usize) -> VideoFrame {
        let mut frame = VideoFrame::i420(2, 2, vec![0; 6]).unwrap();
        frame.source = Some(PeerId::new(&format!("peer-{peer}")).unwrap());
        frame
    }

    #[test]
    fn each_stream_has_a_state_of_its_own() {
        let mut streams = Streams::<u32>::default();
        *streams.of(&frame(1)) += 1;
        *streams.of(&frame(2)) += 10;
        *streams.of(&frame(1)) += 1;
        let other = frame(1).with_stream_id(StreamId::new("screen").unwrap());
        assert_eq!((*streams.of(&frame(1)), *streams.of(&frame(2)), *streams.of(&other)), (2, 10, 0));
    }

    #[test]
    fn the_stream_not_seen_for_longest_is_forgotten() {
        let mut streams = Streams::<u32>::default();
        (0..Streams::<u32>::LIMIT).for_each(|peer| *streams.of(&frame(peer)) = 7);
        streams.of(&frame(0));
        streams.of(&frame(1_000));
        assert_eq!(streams.states.len(), Streams::<u32>::LIMIT);
        assert_eq!(*streams.of(&frame(0)), 7);
        assert_eq!(*streams.of(&frame(1)), 0);
    }
}
