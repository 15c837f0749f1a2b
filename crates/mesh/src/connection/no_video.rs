use remotemedia_media::{Codec, MediaKind};

use super::{actor::Actor, sdp::Description};
use crate::MeshEvent;

impl Actor {
    /// Tells, once, of a connection that carries no video though it was wanted.
    pub(super) fn tell_of_no_video(&mut self) {
        let sends = !self.peer.media.codecs(MediaKind::Video).is_empty();
        let Some(link) = self.link.as_mut().filter(|link| link.connected) else { return };
        if sends {
            link.told_of_no_video = false;
        }
        let Some(remote) = link.remote.as_ref().filter(|_| !sends && !link.told_of_no_video) else { return };
        let ours = &self.shared.config.video;
        let offer = link.remote_answers.then_some(&link.local);
        if let Some(theirs) = nothing_in_common(ours, remote, offer) {
            link.told_of_no_video = true;
            let peer = self.peer.id.clone();
            self.shared.event(MeshEvent::VideoUnavailable { peer, ours: ours.clone(), theirs });
        }
    }
}

/// The video codecs of a peer that wants or is wanted to exchange video and cannot; `None` if nothing is amiss. `remote` is
/// an offer, or the answer to `offer`.
fn nothing_in_common(ours: &[Codec], remote: &Description, offer: Option<&Description>) -> Option<Vec<Codec>> {
    let accepted = |description: &Description| -> Vec<Codec> {
        description.sections_of(MediaKind::Video).flat_map(|section| section.codecs.iter().map(|(c, _)| *c)).collect()
    };
    let asked = |description: &Description| description.sections_of(MediaKind::Video).next().is_some();
    // An answer does not tell what a peer has that takes nothing of what it was offered.
    let wanted = offer.map_or_else(|| asked(remote), |offer| asked(offer) && !asked(remote));
    let theirs = accepted(remote);
    (!ours.is_empty() && wanted && !theirs.iter().any(|codec| ours.contains(codec))).then_some(theirs)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A description with a video section for each list of codec names; without a port if the list is empty.
    fn description(sections: &[&[&str]]) -> Description {
        let mut sdp = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\n".to_owned();
        for names in sections {
            let port = if names.is_empty() { 0 } else { 9 };
            sdp += &format!("m=video {port} UDP/TLS/RTP/SAVPF 96 97 98\r\n");
            for (name, pt) in names.iter().zip(96..) {
                sdp += &format!("a=rtpmap:{pt} {name}/90000\r\n");
            }
        }
        Description::parse(&sdp)
    }

    const OURS: &[Codec] = &[Codec::Vp8];

    #[test]
    fn an_offer_tells_what_the_peer_has() {
        let offers = |sections: &[&[&str]]| nothing_in_common(OURS, &description(sections), None);
        assert_eq!(offers(&[&["VP9", "AV1"]]), Some(vec![Codec::Vp9]));
        assert_eq!(offers(&[&["AV1"]]), Some(vec![]));
        assert_eq!(offers(&[&["VP9"], &["VP8"]]), None);
        assert_eq!(nothing_in_common(&[], &description(&[&["VP9"]]), None), None, "none is wanted here");
    }

    #[test]
    fn a_peer_that_offers_no_video_lacks_none() {
        assert_eq!(nothing_in_common(OURS, &description(&[]), None), None);
        assert_eq!(nothing_in_common(OURS, &description(&[&[]]), None), None, "it has ended its video");
    }

    #[test]
    fn an_answer_turns_down_what_was_offered() {
        let answers = |offer: &[&[&str]], answer: &[&[&str]]| {
            nothing_in_common(OURS, &description(answer), Some(&description(offer)))
        };
        assert_eq!(answers(&[&["VP8"]], &[&[]]), Some(vec![]));
        assert_eq!(answers(&[&["VP8"]], &[&["VP8"]]), None);
        assert_eq!(answers(&[&[]], &[&[]]), None, "none was offered");
    }
}
