//! What is built answers, and what is not says which feature is missing.

use remotemedia_codecs::{
    AudioDecoderSettings, AudioEncoderSettings, CodecError, VideoDecoderSettings, VideoEncoderSettings, audio_decoder,
    audio_encoder, video_decoder, video_encoder,
};
use remotemedia_media::{Codec, MediaKind};

#[test]
fn every_codec_is_built_or_names_its_feature() {
    for (codec, name, built) in [
        (Codec::Opus, "opus", cfg!(feature = "opus")),
        (Codec::H264, "h264", cfg!(feature = "h264")),
        (Codec::Vp8, "vpx", cfg!(feature = "vpx")),
        (Codec::Vp9, "vpx", cfg!(feature = "vpx")),
    ] {
        let (encoder, decoder) = match codec.kind() {
            MediaKind::Audio => (
                audio_encoder(codec, &AudioEncoderSettings::default()).err(),
                audio_decoder(codec, &AudioDecoderSettings::default()).err(),
            ),
            MediaKind::Video => (
                video_encoder(codec, &VideoEncoderSettings::default()).err(),
                video_decoder(codec, &VideoDecoderSettings::default()).err(),
            ),
        };
        for error in [encoder, decoder] {
            match error {
                None => assert!(built, "{codec} without its feature"),
                Some(CodecError::CodecNotBuilt { codec: missing, feature }) => {
                    assert!(!built);
                    assert_eq!((missing, feature), (codec, name));
                }
                Some(error) => panic!("{codec}: {error}"),
            }
        }
    }
}

#[test]
fn sound_is_no_picture() {
    let video = audio_encoder(Codec::Vp8, &AudioEncoderSettings::default()).err();
    assert!(matches!(video, Some(CodecError::WrongKind { codec: Codec::Vp8, wanted: MediaKind::Audio })), "{video:?}");
    let audio = video_decoder(Codec::Opus, &VideoDecoderSettings::default()).err();
    assert!(matches!(audio, Some(CodecError::WrongKind { codec: Codec::Opus, wanted: MediaKind::Video })), "{audio:?}");
}
