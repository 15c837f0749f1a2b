use std::{ffi::c_int, mem::MaybeUninit, ptr, slice, time::Duration};

use bytes::Bytes;
use remotemedia_media::{Bitrate, Codec, VideoFrame};
use vpx_sys::{
    VPX_DL_REALTIME, VPX_EFLAG_FORCE_KF, VPX_ENCODER_ABI_VERSION, VPX_FRAME_IS_KEY, vp8e_enc_control_id,
    vpx_codec_control_, vpx_codec_cx_pkt_kind, vpx_codec_enc_cfg_t, vpx_codec_enc_config_default,
    vpx_codec_enc_config_set, vpx_codec_enc_init_ver, vpx_codec_encode, vpx_codec_err_t, vpx_codec_get_cx_data,
    vpx_codec_iface_t, vpx_codec_vp8_cx, vpx_codec_vp9_cx, vpx_enc_pass, vpx_image_t, vpx_img_fmt, vpx_img_wrap,
    vpx_kf_mode, vpx_rational, vpx_rc_mode,
};

use super::context::{Context, VpxError};
use crate::{
    CodecError, EncodedVideo, VideoContent, VideoEffort, VideoEncoder, VideoEncoderSettings,
    picture::i420_planes,
    to_i420,
    video::{check_bitrate, check_framerate},
};

/// VP9 below this size is legal, but libvpx's real-time code was not made for it.
const MIN_SIDE: u32 = 16;
/// The largest side of VP8 (RFC 6386, section 9.1: 14 bits).
const MAX_SIDE: u32 = 16_383;
/// Pixels from which on pictures are encoded with less effort: 720p.
const LARGE: u64 = 1_280 * 720;
/// Ticks of libvpx's time base a second: that of RTP.
const CLOCK: u32 = 90_000;

/// The encoder for VP8 or VP9.
pub(crate) struct VpxEncoder {
    codec: Codec,
    settings: VideoEncoderSettings,
    running: Option<Running>,
    keyframe_owed: bool,
}

/// An encoder whose picture size is settled.
struct Running {
    context: Context,
    config: vpx_codec_enc_cfg_t,
    size: (u32, u32),
    bitrate: Bitrate,
    first_tick: i64,
    last_tick: i64,
}

// SAFETY: `Context` is `Send`, and the configuration's pointers, for the statistics of two-pass encoding, stay null.
unsafe impl Send for Running {}

impl VpxEncoder {
    pub(crate) fn new(codec: Codec, settings: &VideoEncoderSettings) -> Result<Self, CodecError> {
        settings.validate()?;
        Ok(Self { codec, settings: settings.clone(), running: None, keyframe_owed: false })
    }

    /// The encoder for pictures of `size`, at the current bitrate. Another size takes a new one: VP8 cannot grow beyond
    /// its first size, and VP9 would go on without a keyframe, which receivers are not bound to follow.
    fn prepare(&mut self, size: (u32, u32), tick: i64) -> Result<&mut Running, CodecError> {
        let codec = self.codec;
        let failed = |operation| move |error: VpxError| CodecError::library(codec, operation, error);
        match self.running.take() {
            Some(mut running) if running.size == size => {
                if running.bitrate != self.settings.bitrate {
                    running.set_bitrate(self.settings.bitrate).map_err(failed("setting the bitrate"))?;
                }
                Ok(self.running.insert(running))
            }
            _ => {
                let running =
                    Running::new(codec, &self.settings, size, tick).map_err(failed("creating the encoder"))?;
                Ok(self.running.insert(running))
            }
        }
    }
}

impl VideoEncoder for VpxEncoder {
    fn encode(
        &mut self,
        frame: &VideoFrame,
        timestamp: Duration,
        force_keyframe: bool,
    ) -> Result<Option<EncodedVideo>, CodecError> {
        let (width, height) = (frame.width(), frame.height());
        if width.min(height) < MIN_SIDE || width.max(height) > MAX_SIDE {
            return Err(CodecError::PictureSize { codec: self.codec, width, height, min: MIN_SIDE, max: MAX_SIDE });
        }
        let picture = to_i420(frame)?;
        let tick = timestamp.as_nanos() * u128::from(CLOCK) / 1_000_000_000;
        let tick = i64::try_from(tick).unwrap_or(i64::MAX / 2);
        let ticks_per_frame = (f64::from(CLOCK) / self.settings.framerate) as u64;

        let codec = self.codec;
        self.keyframe_owed |= force_keyframe;
        let owed = self.keyframe_owed;
        let running = self.prepare((width, height), tick)?;
        let (data, keyframe) = running
            .encode(&picture, tick, ticks_per_frame, owed)
            .map_err(|error| CodecError::library(codec, "encoding", error))?;
        if data.is_empty() {
            return Ok(None);
        }
        if keyframe {
            self.keyframe_owed = false;
        }
        Ok(Some(EncodedVideo { data: Bytes::from(data), keyframe, width, height }))
    }

    fn set_bitrate(&mut self, bitrate: Bitrate) -> Result<(), CodecError> {
        check_bitrate(bitrate)?;
        self.settings.bitrate = bitrate;
        Ok(())
    }

    fn set_framerate(&mut self, framerate: f64) -> Result<(), CodecError> {
        check_framerate(framerate)?;
        self.settings.framerate = framerate;
        Ok(())
    }

    fn codec(&self) -> Codec {
        self.codec
    }
}

impl Running {
    fn new(codec: Codec, settings: &VideoEncoderSettings, size: (u32, u32), tick: i64) -> Result<Self, VpxError> {
        let interface = interface(codec);
        let mut config = default_config(interface)?;
        configure(&mut config, codec, settings, size);
        // SAFETY: a matching init on the given pointer; interface and configuration live through the call, and libvpx
        // copies the configuration.
        let context = unsafe {
            Context::new(|context| {
                vpx_codec_enc_init_ver(context, interface, &raw const config, 0, VPX_ENCODER_ABI_VERSION as c_int)
            })
        }?;
        let mut this = Self { context, config, size, bitrate: settings.bitrate, first_tick: tick, last_tick: -1 };
        for (control, value) in controls(codec, settings, size) {
            this.control(control, value)?;
        }
        Ok(this)
    }

    /// Sets a control whose argument is an `int` or an enum of its size: all that `controls` names.
    fn control(&mut self, control: vp8e_enc_control_id, value: c_int) -> Result<(), VpxError> {
        // SAFETY: the context is an initialised encoder and the control takes one argument of the size of `int`.
        let code = unsafe { vpx_codec_control_(self.context.as_ptr(), control as c_int, value) };
        self.context.check(code)
    }

    fn set_bitrate(&mut self, bitrate: Bitrate) -> Result<(), VpxError> {
        self.config.rc_target_bitrate = bitrate.as_kbps();
        // SAFETY: the context is an initialised encoder; libvpx copies the configuration.
        let code = unsafe { vpx_codec_enc_config_set(self.context.as_ptr(), &raw const self.config) };
        self.context.check(code)?;
        self.bitrate = bitrate;
        Ok(())
    }

    /// Encodes an I420 picture of the settled size. Answers no data if rate control dropped it.
    fn encode(
        &mut self,
        picture: &VideoFrame,
        tick: i64,
        ticks_per_frame: u64,
        keyframe: bool,
    ) -> Result<(Vec<u8>, bool), VpxError> {
        // libvpx refuses a time that does not rise; and a huge first one would count as a huge gap.
        let tick = (tick - self.first_tick).max(self.last_tick + 1);
        self.last_tick = tick;
        let Some(image) = image(picture) else { return Ok((Vec::new(), false)) };
        let flags = if keyframe { VPX_EFLAG_FORCE_KF } else { 0 };
        // SAFETY: the context is an initialised encoder. The image's planes point into `picture`, which lives through
        // the call, has the configured size and planes of at least stride x rows bytes; libvpx only reads them.
        let code = unsafe {
            vpx_codec_encode(
                self.context.as_ptr(),
                &raw const image,
                tick,
                ticks_per_frame as _,
                flags.into(),
                VPX_DL_REALTIME.into(),
            )
        };
        self.context.check(code)?;

        let mut data = Vec::new();
        let mut is_keyframe = false;
        let mut iterator = ptr::null();
        loop {
            // SAFETY: the context is an initialised encoder and `iterator` started as null.
            let packet = unsafe { vpx_codec_get_cx_data(self.context.as_ptr(), &raw mut iterator) };
            // SAFETY: a packet is null or valid until the next call on the context.
            let Some(packet) = (unsafe { packet.as_ref() }) else { break };
            if packet.kind == vpx_codec_cx_pkt_kind::VPX_CODEC_CX_FRAME_PKT {
                // SAFETY: the kind says that the union holds a frame, whose buffer has `sz` bytes.
                let (bytes, flags) = unsafe {
                    let frame = packet.data.frame;
                    (slice::from_raw_parts(frame.buf.cast::<u8>(), frame.sz as usize), frame.flags)
                };
                data.extend_from_slice(bytes);
                is_keyframe |= flags & VPX_FRAME_IS_KEY != 0;
            }
        }
        Ok((data, is_keyframe))
    }
}

fn interface(codec: Codec) -> *mut vpx_codec_iface_t {
    // SAFETY: both answer the address of a static.
    unsafe { if codec == Codec::Vp8 { vpx_codec_vp8_cx() } else { vpx_codec_vp9_cx() } }
}

fn default_config(interface: *mut vpx_codec_iface_t) -> Result<vpx_codec_enc_cfg_t, VpxError> {
    let mut config = MaybeUninit::<vpx_codec_enc_cfg_t>::zeroed();
    // SAFETY: the interface is one of libvpx's own, and the pointer is good for a configuration.
    let code = unsafe { vpx_codec_enc_config_default(interface, config.as_mut_ptr(), 0) };
    if code != vpx_codec_err_t::VPX_CODEC_OK {
        return Err(VpxError::new(code));
    }
    // SAFETY: libvpx has filled it, bit depth included, which has no legal value of zero.
    Ok(unsafe { config.assume_init() })
}

/// Constant bitrate in real time, one picture in, one out.
fn configure(config: &mut vpx_codec_enc_cfg_t, codec: Codec, settings: &VideoEncoderSettings, size: (u32, u32)) {
    (config.g_w, config.g_h) = size;
    config.g_threads = settings.threads.into();
    config.g_timebase = vpx_rational { num: 1, den: CLOCK as c_int };
    config.g_pass = vpx_enc_pass::VPX_RC_ONE_PASS;
    config.g_lag_in_frames = 0;
    config.g_error_resilient = 0;
    config.rc_end_usage = vpx_rc_mode::VPX_CBR;
    config.rc_target_bitrate = settings.bitrate.as_kbps();
    config.rc_min_quantizer = 2;
    config.rc_max_quantizer = 56;
    // A frame's worth of bits too many may wait up to a second, and half of one is the aim.
    config.rc_buf_sz = 1_000;
    config.rc_buf_initial_sz = 500;
    config.rc_buf_optimal_sz = 600;
    (config.rc_undershoot_pct, config.rc_overshoot_pct) = if codec == Codec::Vp8 { (100, 15) } else { (50, 50) };
    config.rc_dropframe_thresh = 30;
    // Keyframes come when asked for, never by themselves.
    config.kf_mode = vpx_kf_mode::VPX_KF_DISABLED;
}

fn controls(codec: Codec, settings: &VideoEncoderSettings, size: (u32, u32)) -> Vec<(vp8e_enc_control_id, c_int)> {
    use vp8e_enc_control_id as id;

    let screen = c_int::from(settings.content == VideoContent::Screen);
    let large = u64::from(size.0) * u64::from(size.1) >= LARGE;
    // The largest keyframe, in percent of a picture's share of the bitrate: a tenth of a second's worth at 30 a second.
    let max_intra = 300;
    if codec == Codec::Vp8 {
        // Negative speeds are fixed; positive ones follow the clock, so that output would depend on the machine's load.
        let speed = match settings.effort {
            VideoEffort::Low => -12,
            // A third less work than -8, for 0.2 dB of the PSNR of a camera's picture.
            VideoEffort::Balanced if large => -12,
            VideoEffort::Balanced => -8,
            VideoEffort::High => -5,
        };
        vec![
            (id::VP8E_SET_CPUUSED, speed),
            (id::VP8E_SET_NOISE_SENSITIVITY, 0),
            (id::VP8E_SET_STATIC_THRESHOLD, 1),
            (id::VP8E_SET_MAX_INTRA_BITRATE_PCT, max_intra),
            (id::VP8E_SET_SCREEN_CONTENT_MODE, screen),
        ]
    } else {
        let speed = match settings.effort {
            VideoEffort::Low => 9,
            // A quarter less work than 8, for 0.2 dB of the PSNR of a camera's picture.
            VideoEffort::Balanced if large => 9,
            VideoEffort::Balanced => 8,
            VideoEffort::High => 6,
        };
        vec![
            (id::VP8E_SET_CPUUSED, speed),
            (id::VP8E_SET_STATIC_THRESHOLD, 1),
            (id::VP8E_SET_MAX_INTRA_BITRATE_PCT, max_intra),
            (id::VP9E_SET_NOISE_SENSITIVITY, 0),
            // Cyclic refresh spreads intra blocks over pictures.
            (id::VP9E_SET_AQ_MODE, 3),
            (id::VP9E_SET_ROW_MT, c_int::from(settings.threads > 1)),
            (id::VP9E_SET_TILE_COLUMNS, settings.threads.ilog2() as c_int),
            (id::VP9E_SET_FRAME_PARALLEL_DECODING, 0),
            (id::VP9E_SET_TUNE_CONTENT, screen),
        ]
    }
}

/// Wraps an I420 picture for libvpx; `None` for any other format.
fn image(picture: &VideoFrame) -> Option<vpx_image_t> {
    let planes = i420_planes(picture)?;
    let mut image = MaybeUninit::<vpx_image_t>::zeroed();
    let luma = planes[0].data.as_ptr().cast_mut();
    // SAFETY: `image` is good for an image; wrapping only stores the pointer, and fills every field.
    let wrapped = unsafe {
        vpx_img_wrap(image.as_mut_ptr(), vpx_img_fmt::VPX_IMG_FMT_I420, picture.width(), picture.height(), 1, luma)
    };
    if wrapped.is_null() {
        return None;
    }
    // SAFETY: the call above filled it.
    let mut image = unsafe { image.assume_init() };
    for (index, plane) in planes.iter().enumerate() {
        image.planes[index] = plane.data.as_ptr().cast_mut();
        image.stride[index] = c_int::try_from(plane.stride).ok()?;
    }
    Some(image)
}
