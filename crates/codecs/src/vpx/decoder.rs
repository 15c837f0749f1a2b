use std::{ffi::c_int, ptr, slice};

use remotemedia_media::{Codec, EncodedFrame, PixelFormat, VideoFrame};
use vpx_sys::{
    VPX_DECODER_ABI_VERSION, vp8_dec_control_id, vpx_codec_control_, vpx_codec_dec_cfg_t, vpx_codec_dec_init_ver,
    vpx_codec_decode, vpx_codec_get_frame, vpx_codec_iface_t, vpx_codec_vp8_dx, vpx_codec_vp9_dx, vpx_image_t,
    vpx_img_fmt,
};

use super::{context::Context, header::announced_sizes};
use crate::{CodecError, VideoDecoder, VideoDecoderSettings};

/// The decoder for VP8 or VP9.
///
/// libvpx decodes a VP8 picture without complaint when its references are wrong, and VP9 notices it only by chance. So
/// after a loss or an error nothing is decoded before the next keyframe.
pub(crate) struct VpxDecoder {
    codec: Codec,
    context: Context,
    max_pixels: u32,
    keyframe_needed: bool,
}

impl VpxDecoder {
    pub(crate) fn new(codec: Codec, settings: &VideoDecoderSettings) -> Result<Self, CodecError> {
        settings.validate()?;
        let config = vpx_codec_dec_cfg_t { threads: settings.threads.into(), w: 0, h: 0 };
        // SAFETY: a matching init on the given pointer; interface and configuration live through the call, and libvpx
        // copies the configuration.
        let context = unsafe {
            Context::new(|context| {
                let version = VPX_DECODER_ABI_VERSION as c_int;
                vpx_codec_dec_init_ver(context, interface(codec), &raw const config, 0, version)
            })
        }
        .map_err(|error| CodecError::library(codec, "creating the decoder", error))?;
        Ok(Self { codec, context, max_pixels: settings.max_pixels, keyframe_needed: true })
    }

    fn check_sizes(&self, data: &[u8]) -> Result<(), CodecError> {
        let sizes = announced_sizes(self.codec, data).map_err(|error| CodecError::bitstream(self.codec, error))?;
        for (width, height) in sizes {
            let fits = width.checked_mul(height).is_some_and(|pixels| pixels <= self.max_pixels);
            if !fits || width.max(height) > VideoFrame::MAX_SIDE {
                let (codec, max_pixels) = (self.codec, self.max_pixels);
                return Err(CodecError::PictureTooLarge { codec, width, height, max_pixels });
            }
        }
        Ok(())
    }

    fn run(&mut self, data: &[u8]) -> Result<Option<VideoFrame>, CodecError> {
        let codec = self.codec;
        let len = data.len().try_into().map_err(|error| CodecError::bitstream(codec, error))?;
        // SAFETY: the context is an initialised decoder and `data` has `len` bytes, which libvpx only reads.
        let code = unsafe { vpx_codec_decode(self.context.as_ptr(), data.as_ptr(), len, ptr::null_mut(), 0) };
        self.context.check(code).map_err(|error| CodecError::bitstream(codec, error))?;

        // A superframe may show more than one picture: the last one is the newest.
        let mut shown = None;
        let mut iterator = ptr::null();
        loop {
            // SAFETY: the context is an initialised decoder and `iterator` started as null.
            let image = unsafe { vpx_codec_get_frame(self.context.as_ptr(), &raw mut iterator) };
            // SAFETY: an image is null or valid until the next call to `vpx_codec_decode`.
            let Some(image) = (unsafe { image.as_ref() }) else { break };
            shown = Some(copy(codec, image)?);
        }
        if self.is_corrupted() {
            return Err(CodecError::bitstream(codec, "libvpx marks the picture as corrupted"));
        }
        Ok(shown)
    }

    fn is_corrupted(&mut self) -> bool {
        let mut corrupted: c_int = 0;
        let control = vp8_dec_control_id::VP8D_GET_FRAME_CORRUPTED as c_int;
        // SAFETY: the context is an initialised decoder; the control takes a pointer to an `int`.
        let code = unsafe { vpx_codec_control_(self.context.as_ptr(), control, &raw mut corrupted) };
        self.context.check(code).is_ok() && corrupted != 0
    }
}

impl VideoDecoder for VpxDecoder {
    fn decode(&mut self, frame: &EncodedFrame) -> Result<Option<VideoFrame>, CodecError> {
        if frame.codec != self.codec {
            return Err(CodecError::CodecMismatch { expected: self.codec, actual: frame.codec });
        }
        if frame.data.is_empty() {
            self.keyframe_needed = true;
            return Err(CodecError::bitstream(self.codec, "the frame is empty"));
        }
        self.keyframe_needed = !frame.keyframe && (self.keyframe_needed || !frame.contiguous);
        if self.keyframe_needed {
            return Err(CodecError::KeyframeNeeded { codec: self.codec });
        }
        let result = self.check_sizes(&frame.data).and_then(|()| self.run(&frame.data));
        self.keyframe_needed = result.is_err();
        result
    }

    fn codec(&self) -> Codec {
        self.codec
    }
}

fn interface(codec: Codec) -> *mut vpx_codec_iface_t {
    // SAFETY: both answer the address of a static.
    unsafe { if codec == Codec::Vp8 { vpx_codec_vp8_dx() } else { vpx_codec_vp9_dx() } }
}

fn copy(codec: Codec, image: &vpx_image_t) -> Result<VideoFrame, CodecError> {
    if image.fmt != vpx_img_fmt::VPX_IMG_FMT_I420 {
        return Err(CodecError::bitstream(codec, format!("the picture is {:?}, not 8-bit 4:2:0", image.fmt)));
    }
    let (width, height) = (image.d_w, image.d_h);
    let mut packed = Vec::with_capacity(PixelFormat::I420.packed_len(width, height));
    for index in 0..3 {
        let Some((row, rows)) = PixelFormat::I420.plane_size(index, width, height) else { continue };
        for y in 0..rows {
            // SAFETY: libvpx's planes have `rows` rows of at least `row` bytes, each `stride` after the one before.
            let line = unsafe {
                slice::from_raw_parts(image.planes[index].offset(y as isize * image.stride[index] as isize), row)
            };
            packed.extend_from_slice(line);
        }
    }
    VideoFrame::i420(width, height, packed).map_err(|error| CodecError::bitstream(codec, error))
}
