use remotemedia_media::Codec;

/// The cargo feature that builds `codec`.
pub const fn feature_of(codec: Codec) -> &'static str {
    match codec {
        Codec::Opus => "opus",
        Codec::H264 => "h264",
        _ => "vpx",
    }
}

/// Whether this build has `codec`.
pub const fn is_built(codec: Codec) -> bool {
    match codec {
        Codec::Opus => cfg!(feature = "opus"),
        Codec::H264 => cfg!(feature = "h264"),
        _ => matches!(codec, Codec::Vp8 | Codec::Vp9) && cfg!(feature = "vpx"),
    }
}
