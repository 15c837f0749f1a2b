//! VP8 and VP9 on the system's libvpx: a thin safe wrapper over its C interface.

mod context;
mod decoder;
mod encoder;
mod header;

pub(crate) use decoder::VpxDecoder;
pub(crate) use encoder::VpxEncoder;
