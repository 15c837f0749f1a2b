//! State per stream, for nodes through which several streams pass.

use remotemedia_media::{AudioFrame, PeerId, StreamId};

/// One state for each (source, stream id), at most [`Streams::LIMIT`]; the least recently used gives way.
#[derive(Debug)]
pub(crate) struct Streams<T> {
    /// The most recently used last.
    states: Vec<(StreamKey, T)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamKey {
    pub(crate) source: Option<PeerId>,
    pub(crate) stream_id: Option<StreamId>,
}

impl StreamKey {
    pub(crate) fn of(frame: &AudioFrame) -> Self {
        Self { source: frame.source.clone(), stream_id: frame.stream_id.clone() }
    }

    fn is_of(&self, frame: &AudioFrame) -> bool {
        self.source == frame.source && self.stream_id == frame.stream_id
    }
}

impl<T> Default for Streams<T> {
    fn default() -> Self {
        Self { states: Vec::new() }
    }
}

impl<T> Streams<T> {
    pub(crate) const LIMIT: usize = 64;

    /// The state of the stream that `frame` belongs to, made by `new` if there is none.
    pub(crate) fn of(&mut self, frame: &AudioFrame, new: impl FnOnce() -> T) -> &mut T {
        let known = self.states.iter().position(|(key, _)| key.is_of(frame));
        let entry = match known {
            Some(index) if index + 1 == self.states.len() => None,
            Some(index) => Some(self.states.remove(index)),
            None => {
                if self.states.len() >= Self::LIMIT {
                    self.states.remove(0);
                }
                Some((StreamKey::of(frame), new()))
            }
        };
        self.states.extend(entry);
        let last = self.states.len() - 1;
        &mut self.states[last].1
    }

    /// Every state with its stream, taken out.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = (StreamKey, T)> {
        std::mem::take(&mut self.states).into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_of_too_many_streams_gives_way() {
        let mut streams = Streams::default();
        let frame = |name: usize| {
            let frame = AudioFrame::new(vec![], 8_000, 1).unwrap();
            frame.with_stream_id(StreamId::new(&name.to_string()).unwrap())
        };
        for name in 0..64 {
            streams.of(&frame(name), || name);
        }
        assert_eq!(*streams.of(&frame(0), || 100), 0);
        streams.of(&frame(64), || 64);
        assert_eq!(*streams.of(&frame(0), || 100), 0, "it was used since");
        assert_eq!(*streams.of(&frame(1), || 100), 100, "it had to go");
        assert_eq!(streams.states.len(), 64);
    }
}
