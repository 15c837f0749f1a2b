use remotemedia_media::{Codec, MediaKind};

/// The session attribute by which two peers of this library know each other. Others ignore it (RFC 8866, section 5.13).
const MARK: &str = "a=x-remotemedia:1";
/// In descriptions of a peer of this library that reads no messages: its data section carries the control channel alone.
const NO_MESSAGES: &str = "a=x-remotemedia-messages:0";

/// What the mesh must know of a session description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Description {
    /// Whether it comes from this library.
    pub(super) remotemedia: bool,
    /// Whether it says that no message will be read.
    pub(super) no_messages: bool,
    /// The certificate's fingerprint: the same for as long as the peer connection behind it lives.
    pub(super) fingerprint: Option<String>,
    /// ICE user fragments in it.
    pub(super) ufrags: Vec<String>,
    /// Media and data sections, in order.
    pub(super) sections: Vec<Section>,
}

/// One `m=` section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Section {
    /// `audio`, `video`, `application` or something unknown.
    pub(super) media: String,
    pub(super) mid: Option<String>,
    /// The stream and the track that whoever describes it sends there (RFC 8830).
    pub(super) msid: Option<(String, String)>,
    /// Not rejected.
    pub(super) accepted: bool,
    pub(super) sends: bool,
    pub(super) receives: bool,
    /// Codecs known here with their payload types, best first.
    pub(super) codecs: Vec<(Codec, u8)>,
    /// The largest SCTP message that can be sent there; 0 means any.
    pub(super) max_message_size: Option<usize>,
}

impl Description {
    /// Reads what it can; what is missing stays at its default, since the WebRTC stack judges the description as a whole.
    pub(super) fn parse(sdp: &str) -> Self {
        let mut this = Self::default();
        // Attributes before the first m= line hold for every section.
        let (mut sends, mut receives) = (true, true);
        let mut formats = Formats::default();
        for line in sdp.lines().map(str::trim_end) {
            if let Some(media) = line.strip_prefix("m=") {
                this.close_section(&mut formats);
                let mut words = media.split(' ');
                let name = words.next().unwrap_or_default().to_owned();
                let port = words.next().unwrap_or_default();
                formats.order = words.skip(1).filter_map(|pt| pt.parse().ok()).collect();
                let accepted = port != "0";
                this.sections.push(Section { media: name, accepted, sends, receives, ..Default::default() });
                continue;
            }
            if line == MARK {
                this.remotemedia = true;
            } else if line == NO_MESSAGES {
                this.no_messages = true;
            } else if let Some(value) = line.strip_prefix("a=fingerprint:") {
                this.fingerprint.get_or_insert_with(|| value.to_ascii_lowercase());
            } else if let Some(value) = line.strip_prefix("a=ice-ufrag:") {
                if !this.ufrags.iter().any(|u| u == value) {
                    this.ufrags.push(value.to_owned());
                }
            } else if let Some((s, r)) = direction(line) {
                match this.sections.last_mut() {
                    Some(section) => (section.sends, section.receives) = (s, r),
                    None => (sends, receives) = (s, r),
                }
            } else if let Some(section) = this.sections.last_mut() {
                if line == "a=bundle-only" {
                    // Port 0, but not turned down: it shares the port of the first section (RFC 8843, section 6).
                    section.accepted = true;
                } else if let Some(value) = line.strip_prefix("a=mid:") {
                    section.mid = Some(value.to_owned());
                } else if let Some(value) = line.strip_prefix("a=msid:") {
                    section.msid = value.split_once(' ').map(|(stream, track)| (stream.to_owned(), track.to_owned()));
                } else if let Some(value) = line.strip_prefix("a=max-message-size:") {
                    section.max_message_size = value.trim().parse().ok();
                } else {
                    formats.note(line);
                }
            }
        }
        this.close_section(&mut formats);
        this
    }

    fn close_section(&mut self, formats: &mut Formats) {
        let formats = std::mem::take(formats);
        if let Some(section) = self.sections.last_mut() {
            section.codecs = formats.into_codecs();
        }
    }

    /// The first accepted section of that kind.
    pub(super) fn media(&self, kind: MediaKind) -> Option<&Section> {
        self.sections_of(kind).next()
    }

    /// The accepted sections of that kind.
    pub(super) fn sections_of(&self, kind: MediaKind) -> impl Iterator<Item = &Section> {
        let name = kind.to_string();
        self.sections.iter().filter(move |s| s.media == name && s.accepted)
    }

    /// The section in which whoever describes it sends the track of that id.
    pub(super) fn section_of_track(&self, track: &str) -> Option<&Section> {
        self.sections.iter().find(|s| s.msid.as_ref().is_some_and(|(_, id)| id == track))
    }

    /// What stands here for `section` of the other side's description, unless it is turned down.
    pub(super) fn counterpart(&self, section: &Section) -> Option<&Section> {
        self.sections.iter().find(|s| s.accepted && s.mid.is_some() && s.mid == section.mid)
    }

    /// The accepted data section.
    pub(super) fn data(&self) -> Option<&Section> {
        self.sections.iter().find(|s| s.media == "application" && s.accepted)
    }
}

/// The description with this library's mark in it.
pub(super) fn mark(sdp: &str, messages: bool) -> String {
    let no_messages = if messages { String::new() } else { format!("{NO_MESSAGES}\r\n") };
    match sdp.find("\nm=") {
        Some(at) => format!("{}{MARK}\r\n{no_messages}{}", &sdp[..=at], &sdp[at + 1..]),
        None => sdp.to_owned(),
    }
}

/// The offer without the layers of simulcast (RFC 8853). The stack would take all of them as one track and drop the
/// retransmissions of each; a peer whose offer of layers is not taken up sends one stream (section 5.3.2).
pub(super) fn without_layers(sdp: &str) -> String {
    let is_of_layers = |line: &&str| line.starts_with("a=simulcast:") || line.starts_with("a=rid:");
    sdp.split_inclusive('\n').filter(|line| !is_of_layers(line)).collect()
}

fn direction(line: &str) -> Option<(bool, bool)> {
    match line {
        "a=sendrecv" => Some((true, true)),
        "a=sendonly" => Some((true, false)),
        "a=recvonly" => Some((false, true)),
        "a=inactive" => Some((false, false)),
        _ => None,
    }
}

#[derive(Default)]
struct Formats {
    order: Vec<u8>,
    names: Vec<(u8, Codec)>,
    parameters: Vec<(u8, String)>,
}

impl Formats {
    fn note(&mut self, line: &str) {
        if let Some((pt, rest)) = line.strip_prefix("a=rtpmap:").and_then(split_pt) {
            let name = rest.split('/').next().unwrap_or_default();
            if let Some(codec) = Codec::from_name(name) {
                self.names.push((pt, codec));
            }
        } else if let Some((pt, rest)) = line.strip_prefix("a=fmtp:").and_then(split_pt) {
            self.parameters.push((pt, rest.to_ascii_lowercase()));
        }
    }

    fn into_codecs(self) -> Vec<(Codec, u8)> {
        let codec = |pt: &u8| {
            let (_, codec) = self.names.iter().find(|(p, _)| p == pt)?;
            let parameters = self.parameters.iter().find(|(p, _)| p == pt).map_or("", |(_, p)| p.as_str());
            is_supported(*codec, parameters).then_some((*codec, *pt))
        };
        self.order.iter().filter_map(codec).collect()
    }
}

fn split_pt(value: &str) -> Option<(u8, &str)> {
    let (pt, rest) = value.split_once(' ')?;
    Some((pt.parse().ok()?, rest))
}

/// Whether the mesh speaks that variant: VP9 profile 0 and H.264 in packetization mode 1 only.
fn is_supported(codec: Codec, parameters: &str) -> bool {
    let value = |name: &str| {
        parameters.split(';').find_map(|p| p.trim().strip_prefix(name).and_then(|v| v.strip_prefix('='))).map(str::trim)
    };
    match codec {
        Codec::Vp9 => value("profile-id").is_none_or(|id| id == "0"),
        Codec::H264 => {
            let constrained_baseline = value("profile-level-id").is_some_and(|p| p.starts_with("42e0"));
            constrained_baseline && value("packetization-mode") == Some("1")
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\na=fingerprint:sha-256 AB:CD\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\na=mid:0\r\na=ice-ufrag:abcd\r\na=rtpmap:111 opus/48000/2\r\n\
        a=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 98 100 102 125 96 97\r\na=mid:1\r\na=msid:home cam\r\na=ice-ufrag:abcd\r\na=rtpmap:96 VP8/90000\r\n\
        a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:98 VP9/90000\r\na=fmtp:98 profile-id=0\r\n\
        a=rtpmap:100 VP9/90000\r\na=fmtp:100 profile-id=2\r\na=rtpmap:102 H264/90000\r\n\
        a=fmtp:102 packetization-mode=0;profile-level-id=42e01f\r\na=rtpmap:125 H264/90000\r\n\
        a=fmtp:125 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42E01F\r\na=recvonly\r\n\
        m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\na=max-message-size:262144\r\n";

    #[test]
    fn sections_codecs_and_limits_are_read() {
        let d = Description::parse(OFFER);
        assert!(!d.remotemedia);
        assert_eq!(d.fingerprint.as_deref(), Some("sha-256 ab:cd"));
        assert_eq!(d.ufrags, ["abcd"]);
        let video = d.media(MediaKind::Video).unwrap();
        assert_eq!(video.codecs, [(Codec::Vp9, 98), (Codec::H264, 125), (Codec::Vp8, 96)]);
        assert!(video.receives && !video.sends);
        assert_eq!(d.media(MediaKind::Audio).unwrap().codecs, [(Codec::Opus, 111)]);
        assert_eq!(d.data().unwrap().max_message_size, Some(262_144));
        assert_eq!(d.section_of_track("cam").unwrap().mid.as_deref(), Some("1"));
        assert_eq!(d.counterpart(video).unwrap().mid.as_deref(), Some("1"));
    }

    #[test]
    fn the_mark_is_found_again() {
        let marked = mark(OFFER, true);
        assert!(Description::parse(&marked).remotemedia);
        assert!(Description::parse(&mark(OFFER, false)).no_messages);
        assert_eq!(Description { remotemedia: false, ..Description::parse(&marked) }, Description::parse(OFFER));
    }

    #[test]
    fn layers_are_taken_out_of_an_offer_and_nothing_else() {
        let layered =
            OFFER.replace("a=mid:1\r\n", "a=mid:1\r\na=rid:q send\r\na=rid:f send\r\na=simulcast:send q;f\r\n");
        assert_ne!(layered, OFFER);
        assert_eq!(without_layers(&layered), OFFER);
        assert_eq!(without_layers("a=rid:"), "");
    }

    #[test]
    fn a_rejected_section_does_not_count() {
        let d = Description::parse(&OFFER.replace("m=video 9", "m=video 0"));
        assert!(d.media(MediaKind::Video).is_none());
    }

    #[test]
    fn a_section_without_a_port_of_its_own_is_not_rejected() {
        // Firefox offers every section but the first like this, and Chromium those that are added later.
        let bundled = OFFER.replace("m=video 9", "m=video 0").replace("a=mid:1\r\n", "a=bundle-only\r\na=mid:1\r\n");
        let d = Description::parse(&bundled);
        assert_eq!(d.media(MediaKind::Video).unwrap().codecs.len(), 3);
        let only = "v=0\r\nm=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\na=bundle-only\r\na=mid:2\r\n";
        assert!(Description::parse(only).data().is_some());
    }

    #[test]
    fn junk_is_read_without_harm() {
        for junk in
            ["", "m=", "m=video", "a=rtpmap:\r\na=fmtp:x y", "m=video 9 X 1 2\na=rtpmap:1\na=max-message-size:x"]
        {
            assert!(Description::parse(junk).data().is_none());
        }
    }
}
