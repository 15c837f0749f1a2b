use remotemedia_media::{MediaKind, StreamId};

/// Which of the tracks of one direction of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StreamKey {
    pub(crate) kind: MediaKind,
    /// `None` for the track of that kind that every connection has.
    pub(crate) stream: Option<StreamId>,
}

impl StreamKey {
    /// The track of that kind that every connection has.
    pub(crate) fn main(kind: MediaKind) -> Self {
        Self { kind, stream: None }
    }

    pub(crate) fn named(kind: MediaKind, stream: StreamId) -> Self {
        Self { kind, stream: Some(stream) }
    }
}
