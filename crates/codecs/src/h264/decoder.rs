use openh264::{
    OpenH264API,
    decoder::{DecodedYUV, Decoder, DecoderConfig},
    formats::YUVSource,
};
use remotemedia_media::{Codec, EncodedFrame, PixelFormat, VideoFrame};

use super::sps::announced_sizes;
use crate::{CodecError, VideoDecoder, VideoDecoderSettings};

/// The H.264 decoder. It notices lost pictures itself, by their frame numbers, and refuses what follows them up to the
/// next keyframe.
pub(crate) struct H264Decoder {
    decoder: Decoder,
    max_pixels: u32,
}

impl H264Decoder {
    pub(crate) fn new(settings: &VideoDecoderSettings) -> Result<Self, CodecError> {
        settings.validate()?;
        let decoder = Decoder::with_api_config(OpenH264API::from_source(), DecoderConfig::new())
            .map_err(|error| CodecError::library(Codec::H264, "creating the decoder", error))?;
        Ok(Self { decoder, max_pixels: settings.max_pixels })
    }

    fn check_sizes(&self, data: &[u8]) -> Result<(), CodecError> {
        for size in announced_sizes(data) {
            let (width, height) = size.map_err(|error| CodecError::bitstream(Codec::H264, error))?;
            let fits = width.checked_mul(height).is_some_and(|pixels| pixels <= self.max_pixels);
            if !fits || width.max(height) > VideoFrame::MAX_SIDE {
                let max_pixels = self.max_pixels;
                return Err(CodecError::PictureTooLarge { codec: Codec::H264, width, height, max_pixels });
            }
        }
        Ok(())
    }
}

impl VideoDecoder for H264Decoder {
    fn decode(&mut self, frame: &EncodedFrame) -> Result<Option<VideoFrame>, CodecError> {
        if frame.codec != Codec::H264 {
            return Err(CodecError::CodecMismatch { expected: Codec::H264, actual: frame.codec });
        }
        if frame.data.is_empty() {
            return Err(CodecError::bitstream(Codec::H264, "the frame is empty"));
        }
        self.check_sizes(&frame.data)?;
        match self.decoder.decode(&frame.data) {
            Ok(Some(picture)) => copy(&picture).map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(CodecError::bitstream(Codec::H264, error)),
        }
    }

    fn codec(&self) -> Codec {
        Codec::H264
    }
}

fn copy(picture: &DecodedYUV<'_>) -> Result<VideoFrame, CodecError> {
    let (width, height) = picture.dimensions();
    let strides = picture.strides();
    let mut packed = Vec::with_capacity(PixelFormat::I420.packed_len(width as u32, height as u32));
    let planes = [
        (picture.y(), strides.0, width, height),
        (picture.u(), strides.1, width / 2, height / 2),
        (picture.v(), strides.2, width / 2, height / 2),
    ];
    for (plane, stride, row, rows) in planes {
        for line in plane.chunks(stride.max(1)).take(rows) {
            packed.extend_from_slice(line.get(..row).unwrap_or_default());
        }
    }
    VideoFrame::i420(width as u32, height as u32, packed).map_err(|error| CodecError::bitstream(Codec::H264, error))
}
