//! Opus, VP8, VP9 and H.264 behind four small traits.
