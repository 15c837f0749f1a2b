/// WebSocket close codes that the server uses (RFC 6455 section 7.4.1, and 4001 of this protocol).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseCode {
    /// The server shuts down, or the peer answered no ping.
    GoingAway,
    /// A binary frame arrived; this protocol is text.
    Unsupported,
    /// The bytes are no WebSocket frames.
    Protocol,
    /// A text frame was not UTF-8.
    InvalidData,
    /// An operator removed the peer.
    Policy,
    /// A message was over [`MAX_MESSAGE_BYTES`](super::MAX_MESSAGE_BYTES).
    TooBig,
    /// The peer reads too slowly, or the server has no room for another socket: come back later.
    TryAgainLater,
    /// Another socket took the registration over with the session key.
    TakenOver,
}

impl CloseCode {
    /// The number on the wire.
    pub const fn code(self) -> u16 {
        match self {
            Self::GoingAway => 1001,
            Self::Protocol => 1002,
            Self::Unsupported => 1003,
            Self::InvalidData => 1007,
            Self::Policy => 1008,
            Self::TooBig => 1009,
            Self::TryAgainLater => 1013,
            Self::TakenOver => 4001,
        }
    }

    /// What goes along with the number, for people; at most 123 bytes (RFC 6455 section 5.5).
    pub const fn reason(self) -> &'static str {
        match self {
            Self::GoingAway => "the server goes away, or heard nothing from this socket",
            Self::Protocol => "not a WebSocket frame",
            Self::Unsupported => "send text frames, this protocol has no binary ones",
            Self::InvalidData => "text frames must be UTF-8",
            Self::Policy => "removed by an operator",
            Self::TooBig => "a message may have 1 MiB",
            Self::TryAgainLater => "too slow: messages were waiting to be read",
            Self::TakenOver => "another socket took this registration over",
        }
    }
}
