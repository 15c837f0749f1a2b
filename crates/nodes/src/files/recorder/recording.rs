//! One recording: the files that the streams of one name go into, one after the other.

use std::{path::PathBuf, time::Duration};

use remotemedia_media::{AudioFrame, MediaKind, PeerId, StreamId, VideoFrame};
use tokio::time::Instant;

use super::{
    OnFull, RecorderError, RecorderSettings,
    error::SinkError,
    ivf::IvfSink,
    ogg::OggSink,
    sink::{Bitrates, Sink},
    target::{Container, Target},
    timeline::{LONGEST_GAP, nanos},
    wav::WavSink,
    webm::WebmSink,
    y4m::Y4mSink,
};

/// Sound that is less out of place than this stays where it is: timestamps of 1 ms precision are common.
const TOLERANCE: Duration = Duration::from_millis(1);

/// Which stream something belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StreamKey {
    pub(super) source: Option<PeerId>,
    pub(super) stream: Option<StreamId>,
}

/// Sound or a picture, to record.
#[derive(Clone, Copy)]
pub(super) enum Media<'a> {
    Audio(&'a AudioFrame),
    Video(&'a VideoFrame),
}

impl Media<'_> {
    pub(super) fn kind(self) -> MediaKind {
        match self {
            Self::Audio(_) => MediaKind::Audio,
            Self::Video(_) => MediaKind::Video,
        }
    }
}

/// The file that is being written and those that come after it.
pub(super) struct Recording {
    pub(super) name: String,
    pub(super) target: Target,
    streams: [Option<StreamKey>; 2],
    file: Option<OpenFile>,
    next_number: u32,
    files: u32,
    /// Nothing more is recorded: the size is reached, or the disk failed.
    is_over: bool,
}

struct OpenFile {
    path: PathBuf,
    sink: Box<dyn Sink>,
    /// Where the file begins on the timeline, in nanoseconds.
    begin: i128,
    /// Where the sound ended when its rate last changed, and what came since.
    audio_base: i128,
    audio_rate: u32,
    audio_samples: u64,
    silence: Vec<f32>,
    /// How much silence was put into gaps, in nanoseconds.
    filled: i128,
    created: Instant,
}

impl Recording {
    pub(super) fn new(name: String, target: Target) -> Self {
        Self { name, target, streams: [None, None], file: None, next_number: 1, files: 0, is_over: false }
    }

    /// Whether `key` is the stream of its kind in this recording, which it becomes if there is none.
    pub(super) fn claim(&mut self, kind: MediaKind, key: &StreamKey) -> bool {
        let owner = &mut self.streams[usize::from(kind == MediaKind::Video)];
        owner.get_or_insert_with(|| key.clone()) == key
    }

    /// Appends media whose place on the timeline is `at`, in nanoseconds.
    pub(super) fn push(
        &mut self,
        media: Media<'_>,
        at: i128,
        settings: &RecorderSettings,
    ) -> Result<(), RecorderError> {
        if self.is_over {
            return Ok(());
        }
        let result = self.try_push(media, at, settings);
        // Whoever wants to go on after a failure has the node restarted: each frame would fail again.
        self.is_over |= result.is_err();
        result
    }

    fn try_push(&mut self, media: Media<'_>, at: i128, settings: &RecorderSettings) -> Result<(), RecorderError> {
        if self.file.as_ref().is_some_and(|file| !file.sink.takes(media.kind())) {
            self.finish()?;
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                // The first file begins with the peer's first medium of either kind, so that two files stay together.
                let begin = if self.files == 0 && at <= nanos(LONGEST_GAP) { 0 } else { at };
                self.files += 1;
                let opened = OpenFile::create(&self.target, &self.name, &mut self.next_number, begin, settings)?;
                self.file.insert(opened)
            }
        };
        let written = match media {
            Media::Audio(frame) => file.audio(frame, at),
            Media::Video(frame) => file.video(frame, at),
        };
        written.map_err(|error| error.at(&file.path))?;
        let bytes = file.sink.bytes();
        let is_full = settings.max_bytes.is_some_and(|most| bytes >= most);
        if is_full || bytes >= file.sink.most_bytes() {
            self.finish()?;
            self.is_over = is_full && settings.on_full == OnFull::Stop;
        }
        Ok(())
    }

    /// Encodes with these bitrates from now on.
    pub(super) fn set_bitrates(&mut self, bitrates: Bitrates) -> Result<(), RecorderError> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.sink.set_bitrates(bitrates).map_err(|error| error.at(&file.path))
    }

    /// Completes the file that is being written.
    pub(super) fn finish(&mut self) -> Result<(), RecorderError> {
        let Some(mut file) = self.file.take() else { return Ok(()) };
        file.sink.finish().map_err(|error| error.at(&file.path))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        // Nobody is left to be told.
        self.finish().ok();
    }
}

impl OpenFile {
    fn create(
        target: &Target,
        name: &str,
        number: &mut u32,
        begin: i128,
        settings: &RecorderSettings,
    ) -> Result<Self, RecorderError> {
        let (path, file) = target.create(name, number)?;
        let (codec, bitrates, framerate) = (settings.codec, settings.bitrates(), settings.framerate);
        let sink: Result<Box<dyn Sink>, SinkError> = match target.container {
            Container::Wav => Ok(Box::new(WavSink::new(file, settings.wav_format))),
            Container::OggOpus => Ok(Box::new(OggSink::new(file, bitrates))),
            Container::Y4m => Ok(Box::new(Y4mSink::new(file, framerate))),
            Container::Ivf => IvfSink::new(file, codec, bitrates, framerate).map(|sink| Box::new(sink) as _),
            Container::WebM => WebmSink::new(file, codec, bitrates, framerate).map(|sink| Box::new(sink) as _),
        };
        let sink = sink.map_err(|error| error.at(&path))?;
        Ok(Self {
            path,
            sink,
            begin,
            audio_base: 0,
            audio_rate: 0,
            audio_samples: 0,
            silence: Vec::new(),
            filled: 0,
            created: Instant::now(),
        })
    }

    /// Puts a picture at its time. One from before the beginning is left out.
    fn video(&mut self, frame: &VideoFrame, at: i128) -> Result<(), SinkError> {
        match u64::try_from(at - self.begin) {
            Ok(at) => self.sink.video(frame, Duration::from_nanos(at)),
            Err(_) => Ok(()),
        }
    }

    /// Puts sound at its time: silence into a gap, and what overlaps is left out.
    fn audio(&mut self, frame: &AudioFrame, at: i128) -> Result<(), SinkError> {
        let (rate, channels) = (frame.sample_rate(), frame.channels());
        if self.audio_rate != rate {
            self.audio_base = self.audio_end();
            self.audio_samples = 0;
            self.audio_rate = rate;
        }
        let gap = at - self.begin - self.audio_end();
        let samples = |nanos: i128| ((nanos * i128::from(rate) + 500_000_000) / 1_000_000_000) as usize;
        let mut content = frame.samples();
        if gap > nanos(TOLERANCE) {
            // Timestamps alone must not fill the disk: no more silence than time has passed, and one gap.
            let most = nanos(self.created.elapsed() + LONGEST_GAP) - self.filled;
            let silence = gap.min(most);
            self.filled += silence;
            self.write_silence(samples(silence), rate, channels)?;
            self.audio_base += gap - silence;
        } else if gap < -nanos(TOLERANCE) {
            let overlap = samples(-gap).min(frame.samples_per_channel());
            content = &content[overlap * usize::from(channels)..];
        }
        self.write_audio(content, rate, channels)
    }

    /// Where the sound ends, in nanoseconds from the beginning of the file.
    fn audio_end(&self) -> i128 {
        let since = i128::from(self.audio_samples) * 1_000_000_000;
        self.audio_base + since / i128::from(self.audio_rate.max(1))
    }

    /// Not in one piece: a gap may be ten seconds long.
    fn write_silence(&mut self, mut samples: usize, rate: u32, channels: u16) -> Result<(), SinkError> {
        while samples > 0 {
            let count = samples.min(4_800);
            let mut silence = std::mem::take(&mut self.silence);
            silence.resize(count * usize::from(channels), 0.0);
            let written = self.write_audio(&silence, rate, channels);
            self.silence = silence;
            written?;
            samples -= count;
        }
        Ok(())
    }

    fn write_audio(&mut self, samples: &[f32], rate: u32, channels: u16) -> Result<(), SinkError> {
        if !samples.is_empty() {
            self.sink.audio(samples, rate, channels)?;
            self.audio_samples += (samples.len() / usize::from(channels)) as u64;
        }
        Ok(())
    }
}
