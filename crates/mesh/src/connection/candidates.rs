use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;
use webrtc::peer_connection::RTCIceCandidateInit;

use super::{actor::Actor, sdp::Description};
use crate::{ConnectionReport, IceCandidate, SignalingMessage};

/// Candidates that came before the description they belong to: up to 64, for 30 s.
///
/// Those of an offer that was ignored wait too, for as long as it may still be answered: ours, which it gave way to, may get
/// lost on its way, and nobody sends them again. They push out none that are needed, since the peer sends those of its answer
/// later, and it is the oldest that go. Once ours is answered they are dropped.
#[derive(Debug, Default)]
pub(crate) struct EarlyCandidates {
    waiting: VecDeque<(Instant, IceCandidate)>,
    ignored_offer: Option<(String, String)>,
}

impl EarlyCandidates {
    const LIMIT: usize = 64;
    const LIFETIME: Duration = Duration::from_secs(30);

    /// Keeps a candidate. The oldest goes if there are too many.
    pub(crate) fn push(&mut self, now: Instant, candidate: IceCandidate) {
        self.expire(now);
        if self.waiting.len() >= Self::LIMIT {
            self.waiting.pop_front();
        }
        self.waiting.push_back((now, candidate));
    }

    /// Takes those that belong to a description with these user fragments and that request id.
    pub(crate) fn take(&mut self, now: Instant, ufrags: &[String], request_id: &str) -> Vec<IceCandidate> {
        self.expire(now);
        let (matching, rest) = self.waiting.drain(..).partition(|(_, c)| belongs(c, ufrags, request_id));
        self.waiting = rest;
        let matching: VecDeque<(Instant, IceCandidate)> = matching;
        matching.into_iter().map(|(_, candidate)| candidate).collect()
    }

    /// An offer with this description and request id is ignored for now.
    pub(super) fn ignore(&mut self, sdp: String, request_id: String) {
        self.ignored_offer = Some((sdp, request_id));
    }

    /// The ignored offer, if there is one, is answered after all.
    pub(super) fn unignore(&mut self) -> Option<(String, String)> {
        self.ignored_offer.take()
    }

    /// The ignored offer, if there is one, is never answered.
    pub(super) fn drop_ignored(&mut self, now: Instant) {
        if let Some((sdp, request_id)) = self.ignored_offer.take() {
            drop(self.take(now, &Description::parse(&sdp).ufrags, &request_id));
        }
    }

    /// Whether nothing waits here any more.
    pub(crate) fn is_empty(&mut self, now: Instant) -> bool {
        self.expire(now);
        self.waiting.is_empty()
    }

    fn expire(&mut self, now: Instant) {
        while self.waiting.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > Self::LIFETIME) {
            self.waiting.pop_front();
        }
    }
}

/// Whether a candidate belongs to the ICE generation of a description. One that names its generation is judged by that,
/// since an ICE restart keeps the request id.
fn belongs(candidate: &IceCandidate, ufrags: &[String], request_id: &str) -> bool {
    match candidate.user_fragment.as_deref() {
        Some(ufrag) if !ufrag.is_empty() => ufrags.iter().any(|u| u == ufrag),
        _ => candidate.request_id == request_id,
    }
}

/// Candidates of both sides, as they come.
impl Actor {
    /// A candidate of the peer came.
    pub(super) async fn on_candidate(&mut self, candidate: IceCandidate) {
        ConnectionReport::note_candidate(&mut self.report.remote_candidates, &candidate.candidate);
        let known = self.link.as_ref().is_some_and(|link| {
            let remote = link.remote.as_ref();
            remote.is_some_and(|r| belongs(&candidate, &r.ufrags, &link.request_id))
        });
        if known {
            self.add_candidate(candidate).await;
        } else {
            self.early.push(Instant::now(), candidate);
        }
    }

    pub(super) async fn add_candidate(&mut self, candidate: IceCandidate) {
        let Some(link) = &self.link else { return };
        let init = RTCIceCandidateInit { candidate: candidate.candidate, ..Default::default() };
        if let Err(error) = link.pc.add_ice_candidate(init).await {
            self.report.note_error(super::brief(&error));
        }
    }

    /// A candidate of ours was found; the empty string ends them.
    pub(super) fn on_own_candidate(&mut self, candidate: String) {
        ConnectionReport::note_candidate(&mut self.report.local_candidates, &candidate);
        let Some(link) = &self.link else { return };
        let first_mid = link.local.sections.first().and_then(|s| s.mid.clone());
        let message = IceCandidate {
            candidate,
            sdp_mid: first_mid,
            sdp_m_line_index: Some(0),
            user_fragment: link.local.ufrags.first().cloned(),
            request_id: link.request_id.clone(),
        };
        self.signal(SignalingMessage::Candidate(message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(ufrag: Option<&str>, request_id: &str, name: &str) -> IceCandidate {
        IceCandidate {
            candidate: name.into(),
            sdp_mid: None,
            sdp_m_line_index: None,
            user_fragment: ufrag.map(Into::into),
            request_id: request_id.into(),
        }
    }

    #[test]
    fn candidates_wait_for_their_own_description() {
        let (mut early, now) = (EarlyCandidates::default(), Instant::now());
        early.push(now, candidate(Some("new"), "r1", "a"));
        early.push(now, candidate(None, "r2", "b"));
        early.push(now, candidate(None, "r1", "c"));
        let names = |list: Vec<IceCandidate>| list.into_iter().map(|c| c.candidate).collect::<Vec<_>>();
        assert_eq!(names(early.take(now, &["old".into()], "r1")), ["c"]);
        assert_eq!(names(early.take(now, &["new".into()], "r1")), ["a"]);
        assert_eq!(names(early.take(now, &[], "r2")), ["b"]);
    }

    /// Early candidates with the offer `theirs` ignored, whose candidates have come; another one of the same peer has too.
    fn glare(now: Instant) -> EarlyCandidates {
        let mut early = EarlyCandidates::default();
        early.ignore("v=0\r\na=ice-ufrag:old\r\n".into(), "theirs".into());
        early.push(now, candidate(None, "theirs", "a"));
        early.push(now, candidate(Some("old"), "theirs", "b"));
        early.push(now, candidate(Some("new"), "theirs", "c"));
        early
    }

    #[test]
    fn candidates_of_an_ignored_offer_wait_for_as_long_as_it_may_be_answered() {
        let now = Instant::now();
        let mut early = glare(now);
        let (_, request_id) = early.unignore().expect("the offer");
        assert_eq!(early.take(now, &["old".into()], &request_id).len(), 2);

        let mut early = glare(now);
        early.drop_ignored(now);
        assert_eq!(early.unignore(), None);
        assert_eq!(early.take(now, &["old".into()], "theirs"), []);
        assert_eq!(early.take(now, &["new".into()], "ours").len(), 1);
    }

    #[test]
    fn they_are_few_and_do_not_wait_for_ever() {
        let (mut early, now) = (EarlyCandidates::default(), Instant::now());
        for n in 0..100 {
            early.push(now, candidate(None, "r", &n.to_string()));
        }
        let kept = early.take(now, &[], "r");
        assert_eq!((kept.len(), kept[0].candidate.as_str()), (64, "36"));
        early.push(now, candidate(None, "r", "x"));
        assert!(!early.is_empty(now + Duration::from_secs(29)));
        assert!(early.is_empty(now + Duration::from_secs(31)));
    }
}
