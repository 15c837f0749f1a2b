//! `Recorder`: writes sound and pictures to files.

mod error;
mod ivf;
mod ogg;
mod opus_track;
mod recording;
mod settings;
mod sink;
mod target;
mod timeline;
mod video_track;
mod wav;
mod webm;
mod y4m;

use std::time::Duration;

use remotemedia_media::{MediaKind, PeerId};
use remotemedia_runtime_core::{
    data::{AudioFrame, RuntimeData, VideoFrame},
    node::{AcceptedFormat, Emitter, Node, NodeResult, NodeType, ParamSpec, Params, Produces},
};
use tokio::time::Instant;

pub use error::RecorderError;
use recording::{Media, Recording, StreamKey};
pub use settings::{OnFull, RecorderSettings, WavFormat};
use target::Container;
use timeline::Timeline;
use video_track::SIDES;

/// How many recordings are open at once, and of how many streams and peers something is remembered.
const MOST_OPEN: usize = 64;

/// `Recorder`: writes sound and pictures to files, and passes all data on unchanged.
///
/// Params: `audio`, the path of a `.wav`, `.ogg` or `.opus` file, and `video`, that of an `.ivf` or `.y4m` file with the
/// pictures or of a `.webm` file with pictures and sound; one of the two is needed. The file name may contain `{peer}`
/// (`local` for media made here), `{stream}` (`main` for the default stream) and `{time}` (UTC at the beginning, as
/// `20270131T235959Z`). Streams that would share a name are refused, but for the sound and the pictures of a `.webm`.
/// `codec`, `vp8` (default) or `vp9`, for `.ivf` and `.webm`; `bitrate_kbps` of the pictures, 30 to 100,000 (default
/// 2,000); `audio_bitrate_kbps` of Opus, 6 to 510 (default 64); `fps`, pictures a second of a `.y4m` and what rate control
/// expects otherwise, 1 to 60 (default 30); `wav_format`, `pcm16` (default) or `float`; `pass`, whether data goes on to
/// the nodes behind (default true); `max_mb`, the size in megabytes at which a file ends, and `on_full`, what then
/// happens: `stop` (default) or `rotate`, into a new file.
///
/// No file is overwritten: `call.wav` is followed by `call-2.wav`. Time is that of the timestamps. A recording begins with
/// the first medium of its peer, so that sound and pictures of a peer stay together, also in two files; what would be
/// before the beginning is left out. Gaps in sound are silence. A jump of more than 10 s, in either direction, is taken for
/// a new start of the sender's clock, and recording goes on at once. Sound of any rate and channel count is taken: a WAV
/// file has those of its beginning and what follows in others is converted; Opus has one or two channels. Pictures of every
/// pixel format are taken. Headers are kept right once a second, so that a file whose writer was killed plays.
///
/// What a file cannot take is reported once, and not recorded any more until the node is restarted. At most 64 files are
/// open: the least recently used one is completed when another is needed.
pub struct Recorder {
    settings: RecorderSettings,
    /// The least recently used first.
    recordings: Vec<Recording>,
    timelines: Vec<(Option<PeerId>, Timeline)>,
    /// Streams that were refused, so that each is reported once.
    refused: Vec<(MediaKind, StreamKey)>,
    began: Option<Instant>,
}

impl Recorder {
    /// The type, to register.
    pub fn node_type() -> NodeType {
        NodeType::heavy("Recorder", |params| Ok(Self::new(RecorderSettings::from_params(params)?)))
            .describe("Writes sound and pictures to files.")
            .param(
                ParamSpec::text("audio")
                    .doc("The .wav, .ogg or .opus file for sound; {peer}, {stream}, {time} in its name."),
            )
            .param(ParamSpec::text("video").doc("The .ivf or .y4m file for pictures, or the .webm file for both."))
            .param(ParamSpec::choice("codec", ["vp8", "vp9"]).default_value("vp8").doc("What .ivf and .webm contain."))
            .param(
                ParamSpec::integer("bitrate_kbps", 30..=100_000)
                    .unit("kbit/s")
                    .default_value(2_000)
                    .doc("The bitrate of pictures."),
            )
            .param(
                ParamSpec::integer("audio_bitrate_kbps", 6..=510)
                    .unit("kbit/s")
                    .default_value(64)
                    .doc("The bitrate of Opus."),
            )
            .param(
                ParamSpec::number("fps", 1.0..=60.0)
                    .unit("pictures a second")
                    .default_value(30)
                    .doc("The rate of a .y4m file; elsewhere what rate control expects."),
            )
            .param(
                ParamSpec::choice("wav_format", ["pcm16", "float"])
                    .default_value("pcm16")
                    .doc("How a .wav file keeps samples."),
            )
            .param(ParamSpec::bool("pass").default_value(true).doc("Whether data goes on to the nodes behind."))
            .param(ParamSpec::number("max_mb", 0.01..=1_000_000.0).unit("MB").doc("The size at which a file ends."))
            .param(
                ParamSpec::choice("on_full", ["stop", "rotate"])
                    .default_value("stop")
                    .doc("What happens at max_mb: the recording ends, or goes on in a new file."),
            )
            .produces(Produces::SameAsInput)
            .takes_as(|params| {
                let records = RecorderSettings::from_params(params).ok().and_then(|settings| settings.video);
                let encodes = records.is_some_and(|target| target.container != Container::Y4m);
                encodes.then(|| AcceptedFormat::video().width(SIDES).height(SIDES)).into_iter().collect()
            })
            .makes(|format, params| params.bool("pass").unwrap_or(true).then_some(format))
    }

    /// A recorder that has written nothing yet. Files are created when something comes that goes into them.
    pub fn new(settings: RecorderSettings) -> Self {
        Self { settings, recordings: Vec::new(), timelines: Vec::new(), refused: Vec::new(), began: None }
    }

    fn record_audio(&mut self, frame: &AudioFrame) -> Result<(), RecorderError> {
        let key = StreamKey { source: frame.source.clone(), stream: frame.stream_id.clone() };
        self.record(Media::Audio(frame), &key, frame.timestamp, frame.duration())
    }

    fn record_video(&mut self, frame: &VideoFrame) -> Result<(), RecorderError> {
        let key = StreamKey { source: frame.source.clone(), stream: frame.stream_id.clone() };
        self.record(Media::Video(frame), &key, frame.timestamp, Duration::ZERO)
    }

    fn record(
        &mut self,
        media: Media<'_>,
        key: &StreamKey,
        timestamp: Option<Duration>,
        length: Duration,
    ) -> Result<(), RecorderError> {
        let kind = media.kind();
        let goes_into = |is_audio: bool| match kind {
            MediaKind::Audio => {
                is_audio || self.settings.video.as_ref().is_some_and(|target| target.container == Container::WebM)
            }
            MediaKind::Video => !is_audio,
        };
        let (into_audio, into_video) = (goes_into(true), goes_into(false));
        if !(into_audio && self.settings.audio.is_some() || into_video && self.settings.video.is_some()) {
            return Ok(());
        }
        let now = Instant::now();
        let arrival = now - *self.began.get_or_insert(now);
        let at = self.timeline(key).place(kind, timestamp, arrival, length);
        let mut result = Ok(());
        for (is_taken, is_audio) in [(into_audio, true), (into_video, false)] {
            if is_taken {
                // A failure of one file leaves the other one going.
                result = result.and(self.record_into(is_audio, media, key, at));
            }
        }
        result
    }

    fn record_into(
        &mut self,
        is_audio: bool,
        media: Media<'_>,
        key: &StreamKey,
        at: i128,
    ) -> Result<(), RecorderError> {
        let target = if is_audio { &self.settings.audio } else { &self.settings.video };
        let Some(target) = target else { return Ok(()) };
        let name = target.name(key.source.as_ref(), key.stream.as_ref());
        let known = self.recordings.iter().position(|recording| recording.name == name && recording.target == *target);
        let mut closed = Ok(());
        match known {
            // Rarely more than a few places.
            Some(index) => self.recordings[index..].rotate_left(1),
            None => {
                self.recordings.push(Recording::new(name, target.clone()));
                if self.recordings.len() > MOST_OPEN {
                    closed = self.recordings.remove(0).finish();
                }
            }
        }
        let Some(recording) = self.recordings.last_mut() else { return closed };
        if recording.claim(media.kind(), key) {
            return closed.and(recording.push(media, at, &self.settings));
        }
        let path = target.display();
        closed.and(self.refuse(media.kind(), key, path))
    }

    /// Reports a stream that has no file, once.
    fn refuse(&mut self, kind: MediaKind, key: &StreamKey, path: String) -> Result<(), RecorderError> {
        let entry = (kind, key.clone());
        if self.refused.contains(&entry) {
            return Ok(());
        }
        if self.refused.len() == MOST_OPEN {
            self.refused.remove(0);
        }
        self.refused.push(entry);
        let source = key.source.as_ref().map_or("local", |id| id);
        let stream = key.stream.as_ref().map_or("main", |id| id);
        Err(RecorderError::SecondStream { stream: format!("{kind} stream {stream:?} of {source:?}"), path })
    }

    fn timeline(&mut self, key: &StreamKey) -> &mut Timeline {
        let known = self.timelines.iter().position(|(source, _)| *source == key.source);
        let entry = match known {
            Some(index) => self.timelines.remove(index),
            None => (key.source.clone(), Timeline::default()),
        };
        if self.timelines.len() >= MOST_OPEN {
            self.timelines.remove(0);
        }
        self.timelines.push(entry);
        let last = self.timelines.len() - 1;
        &mut self.timelines[last].1
    }
}

impl Node for Recorder {
    fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
        match &input {
            RuntimeData::Audio { frame } => self.record_audio(frame)?,
            RuntimeData::Video { frame } => self.record_video(frame)?,
            RuntimeData::AudioMix { inputs, .. } => {
                // A failure of one source leaves the others going.
                let results: Vec<_> = inputs.iter().map(|frame| self.record_audio(frame)).collect();
                results.into_iter().collect::<Result<(), _>>()?;
            }
            _ => {}
        }
        if self.settings.pass {
            out.emit(input);
        }
        Ok(())
    }

    fn finish(&mut self, _out: &mut Emitter<'_>) -> NodeResult {
        let finished = self.recordings.iter_mut().map(Recording::finish);
        // All of them are completed, whatever becomes of one.
        let results: Vec<_> = finished.collect();
        Ok(results.into_iter().collect::<Result<(), _>>()?)
    }

    fn set_params(&mut self, params: &Params) -> bool {
        match RecorderSettings::from_params(params) {
            Ok(settings) if settings.writes_like(&self.settings) => {
                self.settings = settings;
                let bitrates = self.settings.bitrates();
                self.recordings.iter_mut().all(|recording| recording.set_bitrates(bitrates).is_ok())
            }
            _ => false,
        }
    }
}
