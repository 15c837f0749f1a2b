use remotemedia_media::RtpTimestamp;

use crate::DisconnectReason;

/// The label of the channel on which two peers of this library talk about their connection.
pub(super) const CONTROL_LABEL: &str = "remotemedia-control";
/// The label of the channel for messages.
pub(super) const MESSAGE_LABEL: &str = "remotemedia";

/// A line on the control channel. Unknown ones are ignored, so that later versions may add some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    /// Asks for a `Pong` with the same number.
    Ping(u64),
    /// The answer to a `Ping`.
    Pong(u64),
    /// Asks for a `Played` once the sender's audio was played out up to this timestamp, or as far as it ever will be.
    WhenPlayed(RtpTimestamp),
    /// How far the receiver's audio was played out: the timestamp behind the last sample.
    Played(RtpTimestamp),
    /// The sender ends the connection.
    Bye(DisconnectReason),
}

impl Control {
    pub(super) fn line(self) -> String {
        match self {
            Self::Ping(number) => format!("ping {number}"),
            Self::Pong(number) => format!("pong {number}"),
            Self::WhenPlayed(RtpTimestamp(timestamp)) => format!("when-played {timestamp}"),
            Self::Played(RtpTimestamp(timestamp)) => format!("played {timestamp}"),
            Self::Bye(reason) => format!("bye {reason}"),
        }
    }

    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line.get(..64).unwrap_or(line)).ok()?;
        let (word, rest) = line.split_once(' ')?;
        match word {
            "ping" => rest.parse().ok().map(Self::Ping),
            "pong" => rest.parse().ok().map(Self::Pong),
            "when-played" => rest.parse().ok().map(|timestamp| Self::WhenPlayed(RtpTimestamp(timestamp))),
            "played" => rest.parse().ok().map(|timestamp| Self::Played(RtpTimestamp(timestamp))),
            "bye" => Some(Self::Bye(DisconnectReason::from_name(rest))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_understood_and_others_ignored() {
        for control in [
            Control::Ping(7),
            Control::Pong(u64::MAX),
            Control::WhenPlayed(RtpTimestamp(0)),
            Control::Played(RtpTimestamp(u32::MAX)),
            Control::Bye(DisconnectReason::UserRequested),
        ] {
            assert_eq!(Control::parse(control.line().as_bytes()), Some(control));
        }
        for junk in [&b""[..], b"ping", b"ping x", b"hello 2", b"played 4294967296", &[0xff, 0x20], &[b'x'; 4_000]] {
            assert_eq!(Control::parse(junk), None);
        }
    }
}
