use std::{convert::Infallible, sync::Arc};

use remotemedia_media::{PeerId, StreamId};
use remotemedia_runtime_core::{
    data::{AudioFrame, RuntimeData},
    node::Emitter,
};

/// State of a node per stream: one for each sender and stream id, of at most [`Streams::LIMIT`] streams.
#[derive(Clone, Debug)]
pub(super) struct Streams<T> {
    entries: Vec<Entry<T>>,
    clock: u64,
}

#[derive(Clone, Debug)]
struct Entry<T> {
    key: Key,
    used: u64,
    state: T,
}

/// What tells streams apart. The position in a mix counts for frames that bear no name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) peer: Option<PeerId>,
    pub(super) stream: Option<StreamId>,
    position: usize,
}

impl Key {
    pub(super) fn of(frame: &AudioFrame, position: usize) -> Self {
        let position = if frame.source.is_none() && frame.stream_id.is_none() { position } else { 0 };
        Self { peer: frame.source.clone(), stream: frame.stream_id.clone(), position }
    }
}

impl<T> Default for Streams<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), clock: 0 }
    }
}

impl<T> Streams<T> {
    /// How many streams are kept; one more drops the one that was silent for longest.
    pub(super) const LIMIT: usize = 64;

    /// The state of the stream of `frame`, which `create` makes if there is none.
    pub(super) fn entry<E>(
        &mut self,
        frame: &AudioFrame,
        position: usize,
        create: impl FnOnce() -> Result<T, E>,
    ) -> Result<&mut T, E> {
        self.clock += 1;
        let key = Key::of(frame, position);
        let index = match self.entries.iter().position(|entry| entry.key == key) {
            Some(index) => index,
            None => {
                let state = create()?;
                if self.entries.len() == Self::LIMIT
                    && let Some(oldest) = (0..self.entries.len()).min_by_key(|index| self.entries[*index].used)
                {
                    self.entries.swap_remove(oldest);
                }
                self.entries.push(Entry { key, used: 0, state });
                self.entries.len() - 1
            }
        };
        let entry = &mut self.entries[index];
        entry.used = self.clock;
        Ok(&mut entry.state)
    }

    /// The state of the stream of `frame`, new if there is none.
    pub(super) fn entry_or_default(&mut self, frame: &AudioFrame, position: usize) -> &mut T
    where
        T: Default,
    {
        match self.entry(frame, position, || Ok::<T, Infallible>(T::default())) {
            Ok(state) => state,
            Err(never) => match never {},
        }
    }

    /// Passes `data` on when `work` has changed every audio frame of it, each with the state of its stream.
    pub(super) fn change(
        &mut self,
        mut data: RuntimeData,
        out: &mut Emitter<'_>,
        mut work: impl FnMut(&mut T, &mut AudioFrame),
    ) where
        T: Default,
    {
        let changed = change_frames(&mut data, |frame, position| {
            work(self.entry_or_default(frame, position), frame);
            Ok::<_, Infallible>(())
        });
        match changed {
            Ok(()) => out.emit(data),
            Err(never) => match never {},
        }
    }

    /// Every stream with its state.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&Key, &mut T)> {
        self.entries.iter_mut().map(|entry| (&entry.key, &mut entry.state))
    }
}

/// Calls `work` with every audio frame of `data`, which is one frame or a mix, and its position there. Samples are copied
/// only while someone else looks at them too.
pub(super) fn change_frames<E>(
    data: &mut RuntimeData,
    mut work: impl FnMut(&mut AudioFrame, usize) -> Result<(), E>,
) -> Result<(), E> {
    match data {
        RuntimeData::Audio { frame } => work(Arc::make_mut(frame), 0),
        RuntimeData::AudioMix { inputs, .. } => {
            inputs.iter_mut().enumerate().try_for_each(|(position, frame)| work(Arc::make_mut(frame), position))
        }
        _ => Ok(()),
    }
}

/// Calls `work` with every audio frame of `data`, which is one frame or a mix, and its position there.
pub(super) fn look_at_frames<E>(
    data: &RuntimeData,
    mut work: impl FnMut(&AudioFrame, usize) -> Result<(), E>,
) -> Result<(), E> {
    match data {
        RuntimeData::Audio { frame } => work(frame, 0),
        RuntimeData::AudioMix { inputs, .. } => {
            inputs.iter().enumerate().try_for_each(|(position, frame)| work(frame, position))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(peer: Option<&str>) -> AudioFrame {
        let mut frame = AudioFrame::new(vec![0.0; 4], 48_000, 1).unwrap();
        frame.source = peer.map(|peer| peer.parse().unwrap());
        frame
    }

    #[test]
    fn each_peer_has_its_own_state_and_nameless_frames_of_a_mix_have_theirs() {
        let mut streams = Streams::<u32>::default();
        *streams.entry_or_default(&frame(Some("a")), 0) = 1;
        *streams.entry_or_default(&frame(Some("b")), 1) = 2;
        *streams.entry_or_default(&frame(None), 1) = 3;
        assert_eq!(*streams.entry_or_default(&frame(Some("a")), 7), 1);
        assert_eq!(*streams.entry_or_default(&frame(None), 1), 3);
        assert_eq!(*streams.entry_or_default(&frame(None), 0), 0);
    }

    #[test]
    fn the_least_recently_used_of_too_many_is_dropped() {
        let mut streams = Streams::<u32>::default();
        for number in 0..Streams::<u32>::LIMIT as u32 {
            *streams.entry_or_default(&frame(Some(&format!("p{number}"))), 0) = number + 1;
        }
        // The first is in use again, so that the second is the oldest.
        streams.entry_or_default(&frame(Some("p0")), 0);
        streams.entry_or_default(&frame(Some("new")), 0);
        assert_eq!(streams.iter_mut().count(), Streams::<u32>::LIMIT);
        assert_eq!(*streams.entry_or_default(&frame(Some("p0")), 0), 1);
        assert!(streams.iter_mut().all(|(key, _)| key.peer.as_deref() != Some("p1")));
    }
}
