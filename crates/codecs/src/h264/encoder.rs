use std::time::Duration;

use bytes::Bytes;
use openh264::{
    OpenH264API, Timestamp,
    encoder::{BitRate, Complexity, Encoder, EncoderConfig, FrameRate, FrameType, Profile, RateControlMode, UsageType},
    formats::YUVSource,
};
use openh264_sys2::{
    ENCODER_OPTION, ENCODER_OPTION_BITRATE, ENCODER_OPTION_FRAME_RATE, ENCODER_OPTION_MAX_BITRATE,
    ENCODER_OPTION_TRACE_LEVEL, SBitrateInfo, SPATIAL_LAYER_0, WELS_LOG_QUIET,
};
use remotemedia_media::{Bitrate, Codec, PixelFormat, Plane, VideoFrame};

use crate::{
    CodecError, EncodedVideo, VideoContent, VideoEffort, VideoEncoder, VideoEncoderSettings,
    picture::i420_planes,
    to_i420,
    video::{check_bitrate, check_framerate},
};

/// OpenH264 codes whole macroblocks.
const MIN_SIDE: u32 = 16;
/// OpenH264 stops at level 5.2.
const MAX_SIDE: u32 = 3_840;
const MAX_SHORT_SIDE: u32 = 2_160;

/// The H.264 encoder.
pub(crate) struct H264Encoder {
    settings: VideoEncoderSettings,
    running: Option<Running>,
    keyframe_owed: bool,
    last_millis: Option<u64>,
}

/// An encoder whose picture size is settled.
struct Running {
    encoder: Encoder,
    size: (u32, u32),
    bitrate: Bitrate,
    framerate: f64,
}

impl H264Encoder {
    pub(crate) fn new(settings: &VideoEncoderSettings) -> Result<Self, CodecError> {
        settings.validate()?;
        Ok(Self { settings: settings.clone(), running: None, keyframe_owed: false, last_millis: None })
    }

    /// The encoder for pictures of `size`, at the current rates.
    ///
    /// OpenH264 could change its size in place, but goes back to the bitrate it was created with for the keyframe that
    /// follows. A new one costs less than that keyframe.
    fn prepare(&mut self, size: (u32, u32)) -> Result<&mut Running, CodecError> {
        match self.running.take() {
            Some(mut running) if running.size == size => {
                running.follow(&self.settings)?;
                Ok(self.running.insert(running))
            }
            _ => Ok(self.running.insert(Running::new(&self.settings, size)?)),
        }
    }
}

impl VideoEncoder for H264Encoder {
    fn encode(
        &mut self,
        frame: &VideoFrame,
        timestamp: Duration,
        force_keyframe: bool,
    ) -> Result<Option<EncodedVideo>, CodecError> {
        let (width, height) = (frame.width(), frame.height());
        if width.min(height) < MIN_SIDE || width.max(height) > MAX_SIDE || width.min(height) > MAX_SHORT_SIDE {
            let max = if width.max(height) > MAX_SIDE { MAX_SIDE } else { MAX_SHORT_SIDE };
            return Err(CodecError::PictureSize { codec: Codec::H264, width, height, min: MIN_SIDE, max });
        }
        let picture = to_i420(frame)?;
        let Some(source) = Source::new(&picture) else {
            return Err(CodecError::PixelFormat { format: frame.format() });
        };
        let (width, height) = (source.width as u32, source.height as u32);

        // Rate control divides by the time between pictures.
        let millis = timestamp.as_millis().min(i64::MAX as u128) as u64;
        let millis = self.last_millis.map_or(millis, |last| millis.max(last + 1));
        self.last_millis = Some(millis);

        self.keyframe_owed |= force_keyframe;
        let owed = self.keyframe_owed;
        let running = self.prepare((width, height))?;
        if owed {
            running.encoder.force_intra_frame();
        }
        let stream = running
            .encoder
            .encode_at(&source, Timestamp::from_millis(millis))
            .map_err(|error| CodecError::library(Codec::H264, "encoding", error))?;
        let keyframe = stream.frame_type() == FrameType::IDR;
        let data = stream.to_vec();
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
        Codec::H264
    }
}

impl Running {
    fn new(settings: &VideoEncoderSettings, size: (u32, u32)) -> Result<Self, CodecError> {
        let mut config = EncoderConfig::new()
            .bitrate(BitRate::from_bps(bits(settings.bitrate).unsigned_abs()))
            // The default of 0 leaves rate control without a measure.
            .max_frame_rate(FrameRate::from_hz(settings.framerate as f32))
            .rate_control_mode(RateControlMode::Bitrate)
            // Without skipping it cannot hold the bitrate.
            .skip_frames(true)
            .profile(Profile::Baseline)
            .num_threads(u16::from(settings.threads))
            .complexity(match settings.effort {
                VideoEffort::Low | VideoEffort::Balanced => Complexity::Low,
                VideoEffort::High => Complexity::High,
            })
            .usage_type(match settings.content {
                VideoContent::Camera => UsageType::CameraVideoRealTime,
                VideoContent::Screen => UsageType::ScreenContentRealTime,
            });
        if settings.content == VideoContent::Screen {
            // Neither exists for screens, and OpenH264 complains about being asked.
            config = config.adaptive_quantization(false).background_detection(false);
        }
        if let Some(len) = settings.max_slice_len {
            config = config.max_slice_len(u32::from(len));
        }
        let encoder = Encoder::with_api_config(OpenH264API::from_source(), config)
            .map_err(|error| CodecError::library(Codec::H264, "creating the encoder", error))?;
        let mut this = Self { encoder, size, bitrate: settings.bitrate, framerate: settings.framerate };
        // A library does not write to standard error. The crate says so to OpenH264 only after it is initialised.
        this.set_option(ENCODER_OPTION_TRACE_LEVEL, WELS_LOG_QUIET, "silencing its log")?;
        Ok(this)
    }

    /// Brings the rates of the running encoder to those of `settings`.
    fn follow(&mut self, settings: &VideoEncoderSettings) -> Result<(), CodecError> {
        if self.bitrate != settings.bitrate {
            // The target may never exceed the maximum, not even between the two calls.
            let mut steps = [ENCODER_OPTION_MAX_BITRATE, ENCODER_OPTION_BITRATE];
            if settings.bitrate < self.bitrate {
                steps.reverse();
            }
            for option in steps {
                let info = SBitrateInfo { iLayer: SPATIAL_LAYER_0, iBitrate: bits(settings.bitrate) };
                self.set_option(option, info, "setting the bitrate")?;
            }
            self.bitrate = settings.bitrate;
        }
        if self.framerate != settings.framerate {
            self.set_option(ENCODER_OPTION_FRAME_RATE, settings.framerate as f32, "setting the frame rate")?;
            self.framerate = settings.framerate;
        }
        Ok(())
    }

    /// `T` is the type that OpenH264's interface names for `option`. Before the first picture only the log level can be
    /// set; everything else is an error there.
    fn set_option<T>(
        &mut self,
        option: ENCODER_OPTION,
        mut value: T,
        operation: &'static str,
    ) -> Result<(), CodecError> {
        // SAFETY: the encoder exists, and OpenH264 itself refuses options that come before initialisation; `value` has
        // the type that the option reads (codec_app_def.h) and lives through the call, which copies it.
        let code = unsafe { self.encoder.raw_api().set_option(option, (&raw mut value).cast()) };
        if code == 0 {
            Ok(())
        } else {
            Err(CodecError::library(Codec::H264, operation, format!("OpenH264 error {code}")))
        }
    }
}

/// An I420 picture cut to even sides: chroma at half size leaves no choice in 4:2:0 H.264.
struct Source<'a> {
    planes: &'a [Plane; 3],
    width: usize,
    height: usize,
}

impl<'a> Source<'a> {
    fn new(picture: &'a VideoFrame) -> Option<Self> {
        debug_assert_eq!(picture.format(), PixelFormat::I420);
        let planes = i420_planes(picture)?;
        Some(Self { planes, width: picture.width() as usize & !1, height: picture.height() as usize & !1 })
    }
}

impl YUVSource for Source<'_> {
    fn dimensions(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    fn strides(&self) -> (usize, usize, usize) {
        (self.planes[0].stride, self.planes[1].stride, self.planes[2].stride)
    }

    fn y(&self) -> &[u8] {
        &self.planes[0].data
    }

    fn u(&self) -> &[u8] {
        &self.planes[1].data
    }

    fn v(&self) -> &[u8] {
        &self.planes[2].data
    }
}

fn bits(bitrate: Bitrate) -> i32 {
    // MAX_BITRATE is far below.
    i32::try_from(bitrate.as_bps()).unwrap_or(i32::MAX)
}
