//! Decoders fed with damaged and invented bitstreams: they answer with errors, stay within bounds, and decode the next
//! intact keyframe.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use bytes::Bytes;
use proptest::prelude::*;
use remotemedia_codecs::{
    AudioDecoderSettings, AudioEncoderSettings, CodecError, VideoDecoderSettings, VideoEncoderSettings, audio_decoder,
    audio_encoder,
    test_media::{Clip, Speech, psnr_y},
    video_decoder, video_encoder,
};
use remotemedia_media::{Bitrate, Codec, EncodedFrame, RtpTimestamp};

/// What happens to a frame or packet on its way.
#[derive(Clone, Debug)]
enum Damage {
    None,
    Lost,
    /// These bits are flipped, by position in the whole.
    Flipped(Vec<(prop::sample::Index, u8)>),
    Truncated(prop::sample::Index),
    Replaced(Vec<u8>),
    /// The right beginning, then something else.
    Continued(prop::sample::Index, Vec<u8>),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        2 => Just(Damage::None),
        1 => Just(Damage::Lost),
        4 => prop::collection::vec((any::<prop::sample::Index>(), 0..8u8), 1..20).prop_map(Damage::Flipped),
        2 => any::<prop::sample::Index>().prop_map(Damage::Truncated),
        1 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Damage::Replaced),
        2 => (any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..200))
            .prop_map(|(at, tail)| Damage::Continued(at, tail)),
    ]
}

impl Damage {
    fn apply(&self, data: &[u8]) -> Option<Vec<u8>> {
        let mut damaged = data.to_vec();
        match self {
            Self::None => {}
            Self::Lost => return None,
            Self::Flipped(bits) => bits.iter().for_each(|(at, bit)| damaged[at.index(data.len())] ^= 1 << bit),
            Self::Truncated(at) => damaged.truncate(at.index(data.len())),
            Self::Replaced(junk) => damaged.clone_from(junk),
            Self::Continued(at, junk) => {
                damaged.truncate(at.index(data.len()));
                damaged.extend(junk);
            }
        }
        Some(damaged)
    }
}

const CODECS: [Codec; 3] = [Codec::H264, Codec::Vp8, Codec::Vp9];
const SIZE: (u32, u32) = (96, 80);

/// The codec, and each frame's data and whether it is a keyframe.
type Stream = (Codec, Vec<(Bytes, bool)>);

/// Eight pictures in each codec that is built, the first and the last being keyframes.
fn streams() -> &'static [Stream] {
    static STREAMS: OnceLock<Vec<Stream>> = OnceLock::new();
    STREAMS.get_or_init(|| {
        let encode = |codec| {
            let settings = VideoEncoderSettings { bitrate: Bitrate::from_kbps(600), ..Default::default() };
            let mut encoder = match video_encoder(codec, &settings) {
                Err(CodecError::CodecNotBuilt { .. }) => return None,
                encoder => encoder.unwrap(),
            };
            let clip = Clip::new(1, SIZE.0, SIZE.1);
            let frames = (0..8u32).map(|index| {
                let time = Duration::from_millis(33) * index;
                let encoded = encoder.encode(&clip.frame(index.into()), time, index == 7).unwrap().unwrap();
                (encoded.data, encoded.keyframe)
            });
            Some((codec, frames.collect()))
        };
        CODECS.into_iter().filter_map(encode).collect()
    })
}

fn frame(codec: Codec, data: Vec<u8>, keyframe: bool, contiguous: bool) -> EncodedFrame {
    EncodedFrame {
        codec,
        data: data.into(),
        keyframe,
        contiguous,
        timestamp: RtpTimestamp(0),
        first_sequence: 0,
        last_sequence: 0,
        arrival: Instant::now(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_video_never_breaks_a_decoder(damages in prop::collection::vec(damage(), 7)) {
        for (codec, stream) in streams() {
            let settings = VideoDecoderSettings { max_pixels: 1 << 16, ..Default::default() };
            let mut decoder = video_decoder(*codec, &settings).unwrap();
            let mut contiguous = true;
            for ((data, keyframe), damage) in stream.iter().zip(&damages) {
                let Some(damaged) = damage.apply(data) else {
                    contiguous = false;
                    continue;
                };
                if let Ok(Some(picture)) = decoder.decode(&frame(*codec, damaged, *keyframe, contiguous)) {
                    prop_assert!(picture.width() * picture.height() <= 1 << 16, "{codec}");
                }
                contiguous = true;
            }
            let (data, _) = &stream[7];
            let intact = frame(*codec, data.to_vec(), true, true);
            // A damaged parameter set may leave H.264 in need of a second keyframe; it has to say so.
            let shown = decoder.decode(&intact).or_else(|_| decoder.decode(&intact)).unwrap();
            let shown = shown.expect("an intact keyframe shows a picture");
            let ratio = psnr_y(&Clip::new(1, SIZE.0, SIZE.1).frame(7), &shown).unwrap();
            prop_assert!(ratio > 25.0, "{codec}: {ratio:.1} dB");
        }
    }

    #[test]
    fn invented_video_never_breaks_a_decoder(
        frames in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..300), any::<bool>()), 1..6),
        start in 0..4usize,
    ) {
        for (codec, _) in streams() {
            let mut decoder = video_decoder(*codec, &VideoDecoderSettings::default()).unwrap();
            for (junk, keyframe) in &frames {
                // With a plausible beginning junk gets further.
                let start = match (codec, start) {
                    (_, 0) => &[][..],
                    (Codec::H264, 1) => &[0, 0, 0, 1, 0x67],
                    (Codec::H264, 2) => &[0, 0, 0, 1, 0x68],
                    (Codec::H264, _) => &[0, 0, 0, 1, 0x65],
                    (Codec::Vp8, _) => &[0x10, 2, 0, 0x9d, 0x01, 0x2a, 64, 0, 64, 0],
                    (_, 1) => &[0x82, 0x49, 0x83, 0x42, 0, 3, 0xf0, 3, 0xf0],
                    _ => &[0x86],
                };
                let _ = decoder.decode(&frame(*codec, [start, junk].concat(), *keyframe, true));
            }
        }
    }

    #[test]
    fn damaged_audio_never_breaks_a_decoder(damages in prop::collection::vec(damage(), 20)) {
        let mut encoder = match audio_encoder(Codec::Opus, &AudioEncoderSettings::default()) {
            Err(CodecError::CodecNotBuilt { .. }) => return Ok(()),
            encoder => encoder.unwrap(),
        };
        let mut speech = Speech::new(1, 48_000);
        let mut decoder = audio_decoder(Codec::Opus, &AudioDecoderSettings::default()).unwrap();
        let mut out = Vec::new();
        for damage in &damages {
            let packet = encoder.encode(&speech.samples(960)).unwrap().data;
            let before = out.len();
            let result = match damage.apply(&packet) {
                Some(damaged) => {
                    let recovered = decoder.recover(&damaged, 960, &mut out).unwrap_or(0);
                    prop_assert_eq!(out.len(), before + recovered);
                    out.truncate(before);
                    decoder.decode(&damaged, &mut out)
                }
                None => decoder.conceal(960, &mut out),
            };
            prop_assert_eq!(out.len() - before, result.unwrap_or(0));
            prop_assert!(out.len() - before <= 5_760);
            prop_assert!(out[before..].iter().all(|sample| sample.is_finite()));
        }
        let packet = encoder.encode(&speech.samples(960)).unwrap().data;
        prop_assert_eq!(decoder.decode(&packet, &mut out).unwrap(), 960);
    }
}

#[test]
fn an_empty_packet_or_frame_is_an_error() {
    for (codec, _) in streams() {
        let mut decoder = video_decoder(*codec, &VideoDecoderSettings::default()).unwrap();
        assert!(decoder.decode(&frame(*codec, Vec::new(), true, true)).is_err(), "{codec}");
    }
    if let Ok(mut decoder) = audio_decoder(Codec::Opus, &AudioDecoderSettings::default()) {
        assert!(decoder.decode(&[], &mut Vec::new()).is_err());
        assert!(decoder.recover(&[], 960, &mut Vec::new()).is_err());
    }
}

#[test]
fn a_giant_announced_by_a_few_bytes_is_refused() {
    let giants: [(Codec, &[u8]); 2] = [
        (Codec::Vp8, &[0x10, 2, 0, 0x9d, 0x01, 0x2a, 0xff, 0x3f, 0xff, 0x3f, 1, 2, 3]),
        (Codec::Vp9, &[0x82, 0x49, 0x83, 0x42, 0x0f, 0xff, 0xff, 0xff, 0xf0, 0, 0]),
    ];
    for (codec, data) in giants {
        let Ok(mut decoder) = video_decoder(codec, &VideoDecoderSettings::default()) else { continue };
        let refused = decoder.decode(&frame(codec, data.to_vec(), true, true));
        assert!(matches!(refused, Err(CodecError::PictureTooLarge { .. })), "{codec}: {refused:?}");
    }
}
