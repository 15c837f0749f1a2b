use std::time::Duration;

use crate::{DisconnectReason, IceServerOutcome, IceServerReport, IceServerRole};

/// How far an attempt to connect came: what a failed call needs to be understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionReport {
    /// Time from the beginning of the attempt to its end.
    pub elapsed: Duration,
    /// Peer connections tried within it: more than one if a try stalled or both sides called at once.
    pub tries: u32,
    /// Candidates found here, as they were sent to the peer; at most 64 are kept.
    pub local_candidates: Vec<String>,
    /// Candidates that came from the peer; at most 64 are kept.
    pub remote_candidates: Vec<String>,
    /// What became of the STUN and TURN servers.
    pub ice_servers: Vec<IceServerReport>,
    /// Whether the signaling server took our offer or answer.
    pub description_sent: bool,
    /// Whether the peer's offer or answer came.
    pub description_received: bool,
    /// The furthest stage reached.
    pub stage: ConnectionStage,
    /// The last error met, in words.
    pub last_error: Option<String>,
    /// The reason that the peer gave, if it ended the attempt.
    pub ended_by_peer: Option<DisconnectReason>,
}

/// The stages of a connection attempt, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConnectionStage {
    /// Offer and answer have not been exchanged.
    #[default]
    Signaling,
    /// Candidate pairs are checked.
    Checking,
    /// A candidate pair works; the keys are negotiated.
    Securing,
    /// Media and data flow.
    Connected,
}

impl ConnectionReport {
    pub(crate) const MAX_CANDIDATES: usize = 64;

    /// One line for people.
    pub fn summary(&self) -> String {
        let stage = match self.stage {
            ConnectionStage::Signaling if !self.description_sent => "no offer or answer could be sent",
            ConnectionStage::Signaling if !self.description_received => "the peer did not answer",
            ConnectionStage::Signaling => "the descriptions could not be applied",
            ConnectionStage::Checking if self.remote_candidates.is_empty() => "the peer sent no network candidates",
            ConnectionStage::Checking if self.has_turn() => "no network path to the peer works",
            ConnectionStage::Checking => "no network path to the peer works (a TURN server may help)",
            ConnectionStage::Securing => "the DTLS handshake did not finish",
            ConnectionStage::Connected => "it was connected and then lost",
        };
        let tries = if self.tries == 1 { "try" } else { "tries" };
        let mut text = format!("{stage} ({} {tries} in {:.1} s)", self.tries, self.elapsed.as_secs_f64());
        for server in self.ice_servers.iter().filter(|s| s.outcome != IceServerOutcome::Answered) {
            text.push_str(&format!("; {server}"));
        }
        if let Some(reason) = self.ended_by_peer {
            text.push_str(&format!("; the peer ended it: {reason}"));
        }
        if let Some(error) = &self.last_error {
            text.push_str(&format!("; last error: {error}"));
        }
        text
    }

    /// Whether a TURN server was asked, so that naming another is no advice.
    fn has_turn(&self) -> bool {
        self.ice_servers.iter().any(|server| server.role == Some(IceServerRole::Turn))
    }

    pub(crate) fn reached(&mut self, stage: ConnectionStage) {
        self.stage = self.stage.max(stage);
    }

    pub(crate) fn note_candidate(list: &mut Vec<String>, candidate: &str) {
        if list.len() < Self::MAX_CANDIDATES && !candidate.is_empty() {
            list.push(candidate.chars().take(256).collect());
        }
    }

    pub(crate) fn note_error(&mut self, error: impl ToString) {
        // Errors of the WebRTC stack may carry whole packets.
        self.last_error = Some(error.to_string().chars().take(200).collect());
    }
}
