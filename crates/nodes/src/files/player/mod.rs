//! `FilePlayer`: plays sound and pictures out of a file.

mod error;
#[cfg(test)]
mod hostile;
mod ivf;
mod ogg;
mod opus;
mod source;
mod video;
mod wav;
mod webm;
mod y4m;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use remotemedia_media::{PixelFormat, StreamId};
use remotemedia_runtime_core::{
    data::{ControlMessage, DataKind, KindSet, RuntimeData},
    manifest::MediaFormat,
    node::{Emitter, Node, NodeResult, NodeType, ParamProblem, ParamSpec, Params, Produces},
};
use tokio::time::Instant;

pub use error::PlayerError;
use source::{Item, Media, Source};

/// How often the player looks at the clock.
const TICK: Duration = Duration::from_millis(10);
/// A player that is later than this goes on from where it is, and does not hurry.
const LATEST: Duration = Duration::from_secs(1);

/// `FilePlayer`: plays sound and pictures out of a file, in real time.
///
/// Params: `path` (required), a WAV file of 8 to 32 bits or floating point with up to 8 channels, or an Ogg file with Opus,
/// an IVF file with VP8, VP9 or H.264, a Y4M file of 8-bit 4:2:0, or a WebM file with VP8 or VP9 and Opus, told by its
/// first bytes; `loop`, whether it starts again at the end (default false); `start_s`, seconds into the file at which it
/// begins, 0 to 1,000,000 (default 0); `stream_id`, the stream that its frames belong to (default none); `autostart`,
/// whether it plays from the beginning of the session (default true).
///
/// It makes audio of 20 ms a frame (Opus: of one packet, at 48 kHz), I420 pictures, and the control message `ended`, with
/// the time as its timestamp and the `path` in its payload, after the last of them. Timestamps count from the first thing
/// that it plays. It needs no input; where an edge leads to it, it takes the control messages `play`, which begins at
/// `start_s`, also while it plays, and `stop`. A file that is cut off is played as far as it goes.
pub struct FilePlayer {
    path: PathBuf,
    loops: bool,
    start: Duration,
    stream_id: Option<StreamId>,
    autostart: bool,
    /// What timestamps count from.
    began: Option<Instant>,
    playing: Option<Playing>,
    /// Reported when what came before it is on its way.
    failure: Option<PlayerError>,
}

struct Playing {
    source: Box<dyn Source>,
    /// The next piece, read ahead.
    next: Option<Item>,
    /// When what is at the start of the file was due.
    anchor: Instant,
    /// The time from the start of the file to the end of what was played, and of the longest round.
    end: Duration,
    is_empty: bool,
}

impl FilePlayer {
    /// The type, to register.
    pub fn node_type() -> NodeType {
        NodeType::heavy("FilePlayer", Self::from_params)
            .describe("Plays sound and pictures out of a file, in real time.")
            .param(ParamSpec::text("path").required().doc("The WAV, Ogg Opus, IVF, Y4M or WebM file."))
            .param(ParamSpec::bool("loop").default_value(false).doc("Whether it starts again at the end."))
            .param(
                ParamSpec::number("start_s", 0.0..=1_000_000.0)
                    .unit("s")
                    .default_value(0)
                    .doc("Where in the file it begins."),
            )
            .param(ParamSpec::text("stream_id").doc("The stream that its frames belong to."))
            .param(
                ParamSpec::bool("autostart")
                    .default_value(true)
                    .doc("Whether it plays from the beginning, or only when it is told to."),
            )
            .accepts(KindSet::of(&[DataKind::Control]))
            .produces(Produces::Kinds(KindSet::of(&[DataKind::Audio, DataKind::Video, DataKind::Control])))
            .works_unfed()
            .emits(|params| match Path::new(params.text("path").unwrap_or_default()).extension() {
                // Of sound the file alone knows the rate; pictures are what decoders give.
                Some(ending) if ["ivf", "y4m", "webm"].iter().any(|known| ending.eq_ignore_ascii_case(known)) => {
                    let pixel_format = Some(PixelFormat::I420);
                    vec![MediaFormat { pixel_format, ..MediaFormat::any(DataKind::Video) }]
                }
                _ => Vec::new(),
            })
    }

    /// A player of the file at `path`, from its beginning and once.
    ///
    /// # Errors
    ///
    /// [`PlayerError`] if the file cannot be played. It is opened once to see that.
    pub fn new(path: impl AsRef<Path>) -> Result<Self, PlayerError> {
        Self::starting_at(path, Duration::ZERO)
    }

    /// A player of the file at `path` from `start` on.
    ///
    /// # Errors
    ///
    /// As [`FilePlayer::new`].
    pub fn starting_at(path: impl AsRef<Path>, start: Duration) -> Result<Self, PlayerError> {
        let path = path.as_ref().to_owned();
        source::open(&path, Duration::ZERO)?;
        let (stream_id, autostart) = (None, true);
        Ok(Self { path, loops: false, start, stream_id, autostart, began: None, playing: None, failure: None })
    }

    /// The same player, starting again at the end if `loops`.
    #[must_use]
    pub fn with_loop(mut self, loops: bool) -> Self {
        self.loops = loops;
        self
    }

    /// The same player, its frames belonging to the stream `id`.
    #[must_use]
    pub fn with_stream_id(mut self, id: StreamId) -> Self {
        self.stream_id = Some(id);
        self
    }

    /// The same player, which plays only when it is told to.
    #[must_use]
    pub fn waiting(mut self) -> Self {
        self.autostart = false;
        self
    }

    fn from_params(params: &Params) -> Result<Self, ParamProblem> {
        let path = params.text("path").unwrap_or_default();
        let start = Duration::try_from_secs_f64(params.number("start_s").unwrap_or(0.0)).unwrap_or_default();
        let player = Self::starting_at(path, start).map_err(|error| ParamProblem::Unusable {
            param: "path",
            value: path.to_owned(),
            reason: error.to_string(),
        })?;
        let mut player = player.with_loop(params.bool("loop").unwrap_or(false));
        if let Some(id) = params.text("stream_id") {
            let unusable = |error: remotemedia_media::InvalidPeerId| ParamProblem::Unusable {
                param: "stream_id",
                value: id.chars().take(60).collect(),
                reason: error.to_string(),
            };
            player = player.with_stream_id(StreamId::new(id).map_err(unusable)?);
        }
        Ok(if params.bool("autostart") == Some(false) { player.waiting() } else { player })
    }

    fn play(&mut self) -> Result<(), PlayerError> {
        self.playing = None;
        let mut source = source::open(&self.path, self.start)?;
        let next = source.next()?;
        let anchor = Instant::now();
        self.began.get_or_insert(anchor);
        self.playing = Some(Playing { source, is_empty: next.is_none(), next, anchor, end: Duration::ZERO });
        Ok(())
    }

    /// Emits what is due.
    fn emit_due(&mut self, out: &mut Emitter<'_>) -> Result<(), PlayerError> {
        let now = Instant::now();
        while let Some(playing) = &mut self.playing {
            let Some(item) = playing.next.take_if(|item| playing.anchor + item.at.saturating_sub(self.start) <= now)
            else {
                if playing.next.is_some() || now < playing.anchor + playing.end {
                    return Ok(());
                }
                self.end_round(out)?;
                continue;
            };
            let due = playing.anchor + item.at.saturating_sub(self.start);
            let late = now - due;
            if late > LATEST {
                playing.anchor += late;
            }
            playing.end = playing.end.max(item.end.saturating_sub(self.start));
            let shown = playing.anchor + item.at.saturating_sub(self.start);
            let timestamp = shown - self.began.unwrap_or(shown);
            out.emit(self.stamped(item.media, timestamp));
            if let Some(playing) = &mut self.playing {
                playing.next = playing.source.next()?;
            }
        }
        Ok(())
    }

    /// Starts again, or says that it is over.
    fn end_round(&mut self, out: &mut Emitter<'_>) -> Result<(), PlayerError> {
        let Some(ended) = self.playing.take() else { return Ok(()) };
        let end = ended.anchor + ended.end;
        // A file without anything in it would start again for ever.
        if self.loops && !ended.is_empty && !ended.end.is_zero() {
            self.play()?;
            if let Some(playing) = &mut self.playing {
                playing.anchor = end;
            }
            return Ok(());
        }
        let timestamp = end - self.began.unwrap_or(end);
        let payload = serde_json::json!({ "path": self.path.display().to_string() });
        out.emit(ControlMessage::new("ended").with_timestamp(timestamp).with_payload(payload));
        Ok(())
    }

    fn stamped(&self, media: Media, timestamp: Duration) -> RuntimeData {
        match media {
            Media::Audio(mut frame) => {
                frame.timestamp = Some(timestamp);
                frame.stream_id.clone_from(&self.stream_id);
                frame.into()
            }
            Media::Video(mut frame) => {
                frame.timestamp = Some(timestamp);
                frame.stream_id.clone_from(&self.stream_id);
                frame.into()
            }
        }
    }
}

impl Node for FilePlayer {
    fn process(&mut self, input: RuntimeData, _out: &mut Emitter<'_>) -> NodeResult {
        let RuntimeData::Control(message) = input else { return Ok(()) };
        match &*message.message_type {
            "play" => {
                self.autostart = false;
                self.play()?;
            }
            "stop" => {
                self.autostart = false;
                self.playing = None;
            }
            _ => {}
        }
        Ok(())
    }

    fn tick_every(&self) -> Option<Duration> {
        Some(TICK)
    }

    fn tick(&mut self, out: &mut Emitter<'_>) -> NodeResult {
        if let Some(failure) = self.failure.take() {
            return Err(failure.into());
        }
        if std::mem::take(&mut self.autostart) {
            self.play()?;
        }
        if let Err(error) = self.emit_due(out) {
            // What this call has emitted would be lost with the error.
            self.playing = None;
            self.failure = Some(error);
        }
        Ok(())
    }
}
