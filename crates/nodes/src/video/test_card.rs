use std::{sync::Arc, time::Duration};

use remotemedia_media::{PixelFormat, StreamId, VideoFrame};
use remotemedia_runtime_core::{
    data::{DataKind, KindSet, RuntimeData},
    manifest::MediaFormat,
    node::{Emitter, Node, NodeResult, NodeType, ParamProblem, ParamSpec, Params, Produces},
};
use tokio::time::Instant;

use super::{
    VideoError,
    overlay::{Layer, Typesetter, clock},
    picture::{Canvas, components, yuv_of},
    scale::refuse_odd_sides,
};

/// `TestCard`: makes pictures on its own clock, I420 in BT.601 limited range. It takes no input.
///
/// Params: `width` and `height`, 16 to 4,096 pixels and even (default 1280 and 720); `fps`, 1 to 120 pictures a second
/// (default 30); `pattern`: `bars` (the default; seven colours of 75 %), `gradient` (luma from left to right, chroma
/// from top to bottom), `checker` (black and white squares of 1/9 of the height) or `moving` (a square that moves, the
/// number of the picture and its time); `stream_id`, the stream that the pictures belong to; `duration_s`, 0.001 to
/// 86,400 seconds of pictures, without an end if missing.
///
/// Picture number n has the timestamp n / `fps`. When the pipeline is late, pictures are left out, never sent in a
/// burst. A pattern that stands still is drawn once, and its pictures share their memory. When params change while it
/// runs, timestamps go on.
#[derive(Clone, Debug)]
pub struct TestCard {
    options: TestCardOptions,
    still: Option<VideoFrame>,
    typesetter: Typesetter,
    /// When the picture numbered `first` was due.
    started: Option<Instant>,
    first: u64,
    first_timestamp: Duration,
    /// Pictures since then, those left out included.
    passed: u64,
}

/// What a [`TestCard`] shows.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TestCardOptions {
    /// Width in pixels, even.
    pub width: u32,
    /// Height in pixels, even.
    pub height: u32,
    /// Pictures per second.
    pub fps: f64,
    /// What the pictures show.
    pub pattern: Pattern,
    /// The stream that they belong to.
    pub stream_id: Option<StreamId>,
    /// How long pictures are made; without an end if `None`.
    pub duration: Option<Duration>,
}

/// What a [`TestCard`] draws.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pattern {
    /// Seven upright bars of 75 % colours.
    #[default]
    Bars,
    /// Luma rises from left to right, chroma changes from top to bottom.
    Gradient,
    /// Black and white squares.
    Checker,
    /// A square that moves, the number of the picture and its time.
    Moving,
}

impl Default for TestCardOptions {
    fn default() -> Self {
        Self { width: 1_280, height: 720, fps: 30.0, pattern: Pattern::Bars, stream_id: None, duration: None }
    }
}

impl TestCard {
    /// The type, to register.
    pub fn node_type() -> NodeType {
        let side = |name, default: i64| ParamSpec::integer(name, 16..=4_096).default_value(default).unit("pixels");
        NodeType::new("TestCard", |params| Ok(Self::new(options(params)?)))
            .describe("Makes pictures of a test pattern on its own clock.")
            .param(side("width", 1_280).doc("The width, an even number."))
            .param(side("height", 720).doc("The height, an even number."))
            .param(ParamSpec::number("fps", 1.0..=120.0).default_value(30).unit("pictures/s").doc("How many pictures."))
            .param(
                ParamSpec::choice("pattern", ["bars", "gradient", "checker", "moving"])
                    .default_value("bars")
                    .doc("What the pictures show."),
            )
            .param(ParamSpec::text("stream_id").doc("The stream that the pictures belong to."))
            .param(
                ParamSpec::number("duration_s", 0.001..=86_400.0)
                    .unit("s")
                    .doc("How long pictures are made; without an end if missing."),
            )
            .accepts(KindSet::NONE)
            .produces(Produces::Kinds(KindSet::of(&[DataKind::Video])))
            .emits(|params| {
                let format = |card: TestCardOptions| MediaFormat::video(PixelFormat::I420, card.width, card.height);
                options(params).map(format).into_iter().collect()
            })
    }

    /// A source of pictures; its first one is due at once.
    pub fn new(options: TestCardOptions) -> Self {
        Self {
            options,
            still: None,
            typesetter: Typesetter::default(),
            started: None,
            first: 0,
            first_timestamp: Duration::ZERO,
            passed: 0,
        }
    }

    /// The picture that is due at `now`, unless it was made already.
    fn due(&mut self, now: Instant) -> Result<Option<VideoFrame>, VideoError> {
        let started = *self.started.get_or_insert(now);
        // A due time that the clock cannot express exactly is not to be missed by a nanosecond.
        let index = (now.duration_since(started).as_secs_f64() * self.options.fps + 1e-6).floor() as u64;
        if index < self.passed {
            return Ok(None);
        }
        self.passed = index + 1;
        let timestamp = self.timestamp(index);
        if self.options.duration.is_some_and(|duration| timestamp >= duration) {
            return Ok(None);
        }
        self.picture(self.first + index, timestamp).map(Some)
    }

    fn timestamp(&self, index: u64) -> Duration {
        self.first_timestamp + Duration::from_secs_f64(index as f64 / self.options.fps)
    }

    fn picture(&mut self, number: u64, timestamp: Duration) -> Result<VideoFrame, VideoError> {
        let still = match &self.still {
            Some(still) => still.clone(),
            None => self.still.insert(still(&self.options)?).clone(),
        };
        let mut picture = still;
        if self.options.pattern == Pattern::Moving {
            picture = self.moved(picture, number, timestamp)?;
        }
        picture.stream_id.clone_from(&self.options.stream_id);
        Ok(picture.with_timestamp(timestamp))
    }

    /// The square goes from left to right and back within four seconds, and up and down within seven.
    fn moved(&mut self, still: VideoFrame, number: u64, timestamp: Duration) -> Result<VideoFrame, VideoError> {
        let (width, height) = (still.width() as usize, still.height() as usize);
        let side = (height.min(width) / 4).next_multiple_of(2);
        let along = |room: usize, period: f64| {
            let phase = (timestamp.as_secs_f64() / period).fract() * 2.0;
            (room as f64 * (1.0 - (1.0 - phase).abs())) as usize & !1
        };
        let (x, y) = (along(width - side, 4.0), along(height - side, 7.0));
        let mut canvas = Canvas::new(Arc::new(still));
        for plane in 0..3 {
            let share = if plane == 0 { 1 } else { 2 };
            let value = components(PixelFormat::I420, plane, [255, 160, 0])[0];
            for row in y / share..(y + side) / share {
                canvas.row_mut(plane, x / share, row)[..side / share].fill(value);
            }
        }
        let size = (height / 10).max(8) as u32;
        let text = format!("{number}\n{}", clock(timestamp));
        let coverage = self.typesetter.set(&text, size, width, height)?;
        let padding = (size / 4) as usize;
        Layer::of_text(&coverage, [255; 4], Some([0, 0, 0, 255]), padding).draw(&mut canvas, 0, 0, 255)?;
        canvas.into_frame()
    }
}

impl Node for TestCard {
    fn process(&mut self, _input: RuntimeData, _out: &mut Emitter<'_>) -> NodeResult {
        // It takes no input.
        Ok(())
    }

    fn tick_every(&self) -> Option<Duration> {
        // Ticks that come late are followed by others soon enough that no due time is missed by much.
        Some(Duration::from_secs_f64(0.25 / self.options.fps).max(Duration::from_millis(1)))
    }

    fn tick(&mut self, out: &mut Emitter<'_>) -> NodeResult {
        if let Some(picture) = self.due(Instant::now())? {
            out.emit(picture);
        }
        Ok(())
    }

    fn set_params(&mut self, params: &Params) -> bool {
        let Ok(options) = options(params) else { return false };
        if options.fps != self.options.fps {
            // The next tick is the due time of the next picture.
            self.first_timestamp = self.timestamp(self.passed);
            self.first += self.passed;
            (self.started, self.passed) = (None, 0);
        }
        (self.options, self.still) = (options, None);
        true
    }
}

fn options(params: &Params) -> Result<TestCardOptions, ParamProblem> {
    refuse_odd_sides(params)?;
    let default = TestCardOptions::default();
    let side = |param| params.integer(param).and_then(|side| u32::try_from(side).ok());
    let stream_id = params.text("stream_id").map(StreamId::new).transpose().map_err(|problem| {
        let value = params.text("stream_id").unwrap_or_default().chars().take(80).collect();
        ParamProblem::Unusable { param: "stream_id", value, reason: problem.to_string() }
    })?;
    Ok(TestCardOptions {
        width: side("width").unwrap_or(default.width),
        height: side("height").unwrap_or(default.height),
        fps: params.number("fps").unwrap_or(default.fps),
        pattern: match params.text("pattern") {
            Some("gradient") => Pattern::Gradient,
            Some("checker") => Pattern::Checker,
            Some("moving") => Pattern::Moving,
            _ => Pattern::Bars,
        },
        stream_id,
        duration: params.number("duration_s").map(Duration::from_secs_f64),
    })
}

/// What does not move.
fn still(options: &TestCardOptions) -> Result<VideoFrame, VideoError> {
    let (width, height) = (options.width as usize, options.height as usize);
    const BARS: [[u8; 3]; 7] =
        [[191, 191, 191], [191, 191, 0], [0, 191, 191], [0, 191, 0], [191, 0, 191], [191, 0, 0], [0, 0, 191]];
    let square = (height / 9).max(2) & !1;
    let ramp = |at: usize, side: usize, from: usize, to: usize| (from + (to - from) * at / (side - 1).max(1)) as u8;
    let color = |x: usize, y: usize| match options.pattern {
        Pattern::Bars => yuv_of(BARS[(x * 7 / width).min(6)]),
        Pattern::Gradient => [ramp(x, width, 16, 235), ramp(y, height, 64, 192), 255 - ramp(y, height, 64, 192)],
        Pattern::Checker => [if (x / square + y / square).is_multiple_of(2) { 235 } else { 16 }, 128, 128],
        Pattern::Moving => [ramp(x + y, width + height, 40, 120), 128, 128],
    };
    let mut packed = Vec::with_capacity(PixelFormat::I420.packed_len(options.width, options.height));
    packed.extend((0..height).flat_map(|y| (0..width).map(move |x| color(x, y)[0])));
    for component in 1..3 {
        let halves = (0..height.div_ceil(2)).flat_map(|y| (0..width.div_ceil(2)).map(move |x| (2 * x, 2 * y)));
        packed.extend(halves.map(|(x, y)| color(x, y)[component]));
    }
    Ok(VideoFrame::i420(options.width, options.height, packed)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_that_come_late_leave_pictures_out_and_make_no_burst() {
        let options = TestCardOptions { width: 16, height: 16, fps: 20.0, ..TestCardOptions::default() };
        let mut card = TestCard::new(options);
        let start = Instant::now();
        let mut at = |millis: u64| {
            let due = card.due(start + Duration::from_millis(millis)).unwrap();
            due.map(|picture| picture.timestamp.unwrap().as_millis())
        };
        assert_eq!(at(0), Some(0));
        assert_eq!([at(12), at(49), at(50), at(62)], [None, None, Some(50), None]);
        // Ten seconds late: one picture, that of now, and the next one at its own time.
        assert_eq!([at(10_012), at(10_012), at(10_049), at(10_050)], [Some(10_000), None, None, Some(10_050)]);
    }
}
