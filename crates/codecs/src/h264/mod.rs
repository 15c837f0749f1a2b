//! H.264, constrained baseline, on OpenH264, which is compiled from source.

mod decoder;
mod encoder;
mod sps;

pub(crate) use decoder::H264Decoder;
pub(crate) use encoder::H264Encoder;
