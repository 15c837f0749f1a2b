use std::collections::VecDeque;

use parking_lot::Mutex;
use remotemedia_media::PeerId;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::Feedback;

/// What the media engine has not read yet. Nothing that still holds is dropped: a newer entry takes the place of what it
/// makes void, so that a few entries per peer remain however long nobody reads.
#[derive(Debug, Default)]
pub(crate) struct FeedbackQueue {
    waiting: Mutex<VecDeque<Feedback>>,
    filled: Notify,
}

impl FeedbackQueue {
    /// Only peers without number come here, since each has a handful of entries.
    const DEPTH: usize = 16_384;

    pub(crate) fn push(&self, feedback: Feedback) {
        let mut waiting = self.waiting.lock();
        waiting.retain(|old| !is_void(old, &feedback));
        if waiting.len() >= Self::DEPTH {
            tracing::warn!("nobody reads the feedback of the mesh: the oldest was dropped");
            waiting.pop_front();
        }
        waiting.push_back(feedback);
        drop(waiting);
        self.filled.notify_one();
    }

    pub(crate) async fn next(&self, cancel: &CancellationToken) -> Option<Feedback> {
        loop {
            let feedback = self.waiting.lock().pop_front();
            if let Some(feedback) = feedback {
                // For another reader, if there is one: a notification wakes one only.
                if !self.waiting.lock().is_empty() {
                    self.filled.notify_one();
                }
                return Some(feedback);
            }
            tokio::select! {
                biased;
                () = self.filled.notified() => {}
                () = cancel.cancelled() => return self.waiting.lock().pop_front(),
            }
        }
    }
}

fn peer(feedback: &Feedback) -> &PeerId {
    match feedback {
        Feedback::MediaReady { peer, .. }
        | Feedback::StreamReady { peer, .. }
        | Feedback::KeyframeRequested { peer, .. }
        | Feedback::VideoGivenUp { peer, .. }
        | Feedback::TargetBitrate { peer, .. }
        | Feedback::PlayoutAsked { peer, .. }
        | Feedback::Played { peer, .. }
        | Feedback::MediaGone { peer } => peer,
    }
}

/// Whether an unread entry need not be read any more after a newer one.
fn is_void(old: &Feedback, new: &Feedback) -> bool {
    use Feedback::{KeyframeRequested, MediaGone, Played, PlayoutAsked, StreamReady, TargetBitrate, VideoGivenUp};
    let replaced = match (old, new) {
        (KeyframeRequested { stream: old, .. }, KeyframeRequested { stream: new, .. })
        | (VideoGivenUp { stream: old, .. }, VideoGivenUp { stream: new, .. }) => old == new,
        (StreamReady { kind: a, stream: old, .. }, StreamReady { kind: b, stream: new, .. }) => (a, old) == (b, new),
        // Who asks anew has been interrupted anew: the earlier question is answered by the later answer.
        (TargetBitrate { .. }, TargetBitrate { .. })
        | (PlayoutAsked { .. }, PlayoutAsked { .. })
        | (Played { .. }, Played { .. }) => true,
        _ => false,
    };
    (replaced || matches!(new, MediaGone { .. })) && peer(old) == peer(new)
}

#[cfg(test)]
mod tests {
    use remotemedia_media::Bitrate;

    use super::*;

    fn id(name: &str) -> PeerId {
        name.parse().unwrap()
    }

    #[tokio::test]
    async fn what_holds_is_kept_and_what_is_void_goes() {
        let queue = FeedbackQueue::default();
        let ready = |peer| Feedback::MediaReady { peer: id(peer), audio: vec![], video: vec![] };
        let rate = |peer, kbps| Feedback::TargetBitrate { peer: id(peer), rate: Bitrate::from_kbps(kbps) };
        for feedback in [ready("a"), ready("b"), rate("a", 1), rate("b", 1), rate("a", 2)] {
            queue.push(feedback);
        }
        for _ in 0..3 {
            queue.push(Feedback::KeyframeRequested { peer: id("a"), stream: None });
        }
        queue.push(Feedback::MediaGone { peer: id("b") });
        let cancel = CancellationToken::new();
        cancel.cancel();
        let mut read = Vec::new();
        while let Some(feedback) = queue.next(&cancel).await {
            read.push(feedback);
        }
        let keyframe = Feedback::KeyframeRequested { peer: id("a"), stream: None };
        assert_eq!(read, [ready("a"), rate("a", 2), keyframe, Feedback::MediaGone { peer: id("b") }]);
    }
}
