use remotemedia_codecs::{AudioEncoderSettings, VideoEncoderSettings, feature_of, is_built};
use remotemedia_media::{Bitrate, Codec};
use remotemedia_runtime_core::node::{ParamProblem, Params};

use super::{
    sink::Bitrates,
    target::{Container, Target},
};

/// How the samples of a WAV file are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WavFormat {
    /// 16 bits; what is beyond [-1, 1] is clipped.
    #[default]
    Pcm16,
    /// 32-bit floating point, exactly as the samples are.
    Float,
}

/// What happens when a file has the largest size that is allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFull {
    /// The recording ends.
    #[default]
    Stop,
    /// It goes on in a new file.
    Rotate,
}

/// What a [`Recorder`](super::Recorder) records, and how.
#[derive(Clone, Debug)]
pub struct RecorderSettings {
    pub(super) audio: Option<Target>,
    pub(super) video: Option<Target>,
    /// VP8 or VP9. Default VP8.
    pub(super) codec: Codec,
    video_bitrate: Bitrate,
    audio_bitrate: Bitrate,
    /// Pictures a second.
    pub(super) framerate: f64,
    pub(super) wav_format: WavFormat,
    pub(super) pass: bool,
    pub(super) max_bytes: Option<u64>,
    pub(super) on_full: OnFull,
}

impl RecorderSettings {
    /// Sound into a `.wav`, `.ogg` or `.opus` file.
    ///
    /// # Errors
    ///
    /// [`ParamProblem::Unusable`] if the path has another ending or an unknown placeholder, its folder does not exist, or
    /// the codec is not part of the build.
    pub fn audio(path: &str) -> Result<Self, ParamProblem> {
        Self::new(Some(path), None)
    }

    /// Pictures into an `.ivf` or `.y4m` file, or sound and pictures into a `.webm` file.
    ///
    /// # Errors
    ///
    /// As [`RecorderSettings::audio`].
    pub fn video(path: &str) -> Result<Self, ParamProblem> {
        Self::new(None, Some(path))
    }

    fn new(audio: Option<&str>, video: Option<&str>) -> Result<Self, ParamProblem> {
        let audio = audio.map(|path| Target::new("audio", path, &[Container::Wav, Container::OggOpus])).transpose()?;
        let allowed = [Container::WebM, Container::Ivf, Container::Y4m];
        let video = video.map(|path| Target::new("video", path, &allowed)).transpose()?;
        Ok(Self {
            audio,
            video,
            codec: Codec::Vp8,
            video_bitrate: VideoEncoderSettings::default().bitrate,
            audio_bitrate: Bitrate::from_kbps(64),
            framerate: 30.0,
            wav_format: WavFormat::default(),
            pass: true,
            max_bytes: None,
            on_full: OnFull::default(),
        })
    }

    pub(super) fn from_params(params: &Params) -> Result<Self, ParamProblem> {
        let (audio, video) = (params.text("audio"), params.text("video"));
        if audio.is_none() && video.is_none() {
            let expected =
                "the path of a .wav, .ogg or .opus file, or \"video\" with that of a .webm, .ivf or .y4m file";
            return Err(ParamProblem::Missing { param: "audio", expected: expected.to_owned() });
        }
        let mut settings = Self::new(audio, video)?;
        if params.text("codec") == Some("vp9") {
            settings.codec = Codec::Vp9;
        }
        if !is_built(settings.codec) && settings.video.as_ref().is_some_and(|target| target.container != Container::Y4m)
        {
            let reason = format!("turn on the cargo feature {:?}", feature_of(settings.codec));
            return Err(ParamProblem::Unusable { param: "codec", value: settings.codec.to_string(), reason });
        }
        // The checks of the params keep all of these in range.
        let kbps = |param, default: Bitrate| match params.integer(param) {
            Some(kbps) => Bitrate::from_kbps(u32::try_from(kbps).unwrap_or(u32::MAX)),
            None => default,
        };
        settings.video_bitrate = kbps("bitrate_kbps", settings.video_bitrate);
        settings.audio_bitrate = kbps("audio_bitrate_kbps", settings.audio_bitrate);
        settings.framerate = params.number("fps").unwrap_or(settings.framerate);
        if params.text("wav_format") == Some("float") {
            settings.wav_format = WavFormat::Float;
        }
        settings.pass = params.bool("pass").unwrap_or(true);
        settings.max_bytes = params.number("max_mb").map(|megabytes| (megabytes * 1e6) as u64);
        if params.text("on_full") == Some("rotate") {
            settings.on_full = OnFull::Rotate;
        }
        Ok(settings)
    }

    /// The same with another format of WAV files.
    #[must_use]
    pub fn with_wav_format(mut self, wav_format: WavFormat) -> Self {
        self.wav_format = wav_format;
        self
    }

    /// The same with VP9 instead of VP8.
    #[must_use]
    pub fn with_vp9(mut self) -> Self {
        self.codec = Codec::Vp9;
        self
    }

    /// The same with files of at most about `bytes`, and what happens then.
    #[must_use]
    pub fn with_limit(mut self, bytes: u64, on_full: OnFull) -> Self {
        self.max_bytes = Some(bytes);
        self.on_full = on_full;
        self
    }

    /// The same with other bitrates of the encoders, brought into their ranges.
    #[must_use]
    pub fn with_bitrates(mut self, audio: Bitrate, video: Bitrate) -> Self {
        self.audio_bitrate = audio.clamp(AudioEncoderSettings::MIN_BITRATE, AudioEncoderSettings::MAX_BITRATE);
        self.video_bitrate = video.clamp(VideoEncoderSettings::MIN_BITRATE, VideoEncoderSettings::MAX_BITRATE);
        self
    }

    pub(super) fn bitrates(&self) -> Bitrates {
        Bitrates { audio: self.audio_bitrate, video: self.video_bitrate }
    }

    /// Whether files that are being written with `self` can go on with `other`.
    pub(super) fn writes_like(&self, other: &Self) -> bool {
        (&self.audio, &self.video) == (&other.audio, &other.video)
            && (self.codec, self.framerate, self.wav_format) == (other.codec, other.framerate, other.wav_format)
    }
}
