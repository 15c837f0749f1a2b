//! What a participant shows and sees.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use anyhow::Result;
use remotemedia_codecs::scale_to_fit;
use remotemedia_runtime_core::data::RuntimeData;
use remotemedia_webrtc::{PixelFormat, VideoFrame, WebRtcTransport};
use tokio::time::MissedTickBehavior;

use super::{
    card::TestCard,
    clip::{Clip, ClipError},
    recording::{Failures, Recorder, empty},
    report::Tally,
};
use crate::failure::with_hint;

/// Pictures that wait to be sent or written.
const QUEUE: usize = 8;

/// Pictures a second in a recording.
const RECORDED_RATE: usize = 30;

/// The most that is held back of a recording: a peer that is silent for longer leaves a jump.
const LONGEST_GAP: usize = 30 * RECORDED_RATE;

/// Where pictures come from.
pub(super) enum Camera {
    Card(TestCard),
    File { pictures: tokio::sync::mpsc::Receiver<Result<VideoFrame, ClipError>>, every: Duration },
}

impl Camera {
    /// Without a file, a test card of that width and height.
    pub(super) fn open(file: Option<&Path>, (width, height): (u32, u32)) -> Result<Self> {
        let Some(path) = file else { return Ok(Self::Card(TestCard::new(width, height))) };
        let clip = Clip::open(path)?;
        let every = clip.every();
        let (frames, pictures) = tokio::sync::mpsc::channel(QUEUE);
        std::thread::spawn(move || read(clip, &frames));
        Ok(Self::File { pictures, every })
    }

    /// Whether it ends by itself.
    pub(super) fn ends(&self) -> bool {
        matches!(self, Self::File { .. })
    }

    /// The time between two pictures.
    fn every(&self) -> Duration {
        match self {
            Self::Card(_) => Duration::from_secs(1) / 30,
            Self::File { every, .. } => *every,
        }
    }

    /// The frame rate that lets all pictures through, as far as a codec's goes: 1 to 60 a second.
    pub(super) fn framerate(&self) -> u32 {
        // 30,000/1,001 is close to 30.
        (1.0 / self.every().as_secs_f64() - 0.01).ceil().clamp(1.0, 60.0) as u32
    }

    /// Sends everything to everybody, in real time. A file that turns out to be damaged is played until there.
    pub(super) async fn play(
        mut self,
        transport: WebRtcTransport,
        tally: Arc<Tally>,
        failures: Failures,
    ) -> Result<()> {
        let mut clock = tokio::time::interval(self.every());
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for number in 0.. {
            clock.tick().await;
            let picture = match &mut self {
                Self::Card(card) => Some(card.picture(number)?),
                Self::File { pictures, .. } => pictures.recv().await.transpose().unwrap_or_else(|error| {
                    // There is room for one of each file.
                    let _ = failures.try_send(error.into());
                    None
                }),
            };
            let Some(picture) = picture else { break };
            transport.broadcast(&RuntimeData::from(picture)).await.map_err(with_hint)?;
            tally.shown();
        }
        Ok(())
    }
}

fn read(mut clip: Clip, frames: &tokio::sync::mpsc::Sender<Result<VideoFrame, ClipError>>) {
    while let Some(picture) = clip.next().transpose() {
        let is_last = picture.is_err();
        if frames.blocking_send(picture).is_err() || is_last {
            return;
        }
    }
}

/// Writes what is seen, with the time that it came at.
pub(super) type Y4mRecorder = Recorder<(Instant, Arc<VideoFrame>)>;

impl Y4mRecorder {
    pub(super) fn y4m(path: &Path, failures: Failures) -> Result<Self> {
        Self::create(path, QUEUE, failures, write)
    }
}

fn write(file: File, pictures: &mpsc::Receiver<(Instant, Arc<VideoFrame>)>) -> io::Result<()> {
    let mut out = BufWriter::new(file);
    write_y4m(&mut out, pictures).map_err(|error| match error {
        y4m::Error::IoError(error) => error,
        error => io::Error::other(error),
    })?;
    out.flush()
}

fn write_y4m(
    out: &mut BufWriter<File>,
    pictures: &mpsc::Receiver<(Instant, Arc<VideoFrame>)>,
) -> Result<(), y4m::Error> {
    let Ok((begin, first)) = pictures.recv() else { return Ok(()) };
    empty(out.get_ref())?;
    let (width, height) = (first.width(), first.height());
    let rate = y4m::Ratio::new(RECORDED_RATE, 1);
    let mut encoder = y4m::encode(width as usize, height as usize, rate)
        .with_colorspace(y4m::Colorspace::C420jpeg)
        .write_header(out)?;
    let mut written = 0;
    let mut last: Option<Vec<u8>> = None;
    for (at, picture) in std::iter::once((begin, first)).chain(pictures) {
        let Some(packed) = fitted(&picture, width, height) else { continue };
        // The file has a fixed rate: a picture stands until the next one comes.
        let due = ((at - begin).as_secs_f64() * RECORDED_RATE as f64).round() as usize;
        if let Some(last) = &last {
            let until = due.clamp(written, written + LONGEST_GAP);
            for _ in written..until {
                put(&mut encoder, last, width, height)?;
            }
            written = until;
        }
        if written <= due {
            put(&mut encoder, &packed, width, height)?;
            written += 1;
        }
        last = Some(packed);
    }
    Ok(())
}

/// The picture as I420 of that size; `None` if it has another shape.
fn fitted(picture: &VideoFrame, width: u32, height: u32) -> Option<Vec<u8>> {
    let scaled = scale_to_fit(picture, width, height).ok()?;
    if scaled.format() != PixelFormat::I420 {
        return None;
    }
    if (scaled.width(), scaled.height()) == (width, height) {
        return Some(scaled.to_packed());
    }
    // Smaller than the first: senders do so while the network carries less.
    let mut packed = Vec::with_capacity(PixelFormat::I420.packed_len(width, height));
    for plane in 0..3 {
        let rows: Vec<&[u8]> = scaled.rows(plane).collect();
        let across = if plane == 0 { width } else { width.div_ceil(2) } as usize;
        let down = if plane == 0 { height } else { height.div_ceil(2) } as usize;
        for y in 0..down {
            let row = rows.get(y * rows.len() / down)?;
            packed.extend((0..across).map(|x| row[x * row.len() / across]));
        }
    }
    Some(packed)
}

fn put<W: Write>(encoder: &mut y4m::Encoder<W>, packed: &[u8], width: u32, height: u32) -> Result<(), y4m::Error> {
    let luma = (width * height) as usize;
    let chroma = (width.div_ceil(2) * height.div_ceil(2)) as usize;
    let (y, rest) = packed.split_at(luma);
    let (u, v) = rest.split_at(chroma);
    encoder.write_frame(&y4m::Frame::new([y, u, v], None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_keeps_time_though_pictures_come_unevenly_and_change_their_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seen.y4m");
        let (pictures, queue) = mpsc::sync_channel(16);
        let begin = Instant::now();
        for (millis, width, number) in [(0, 64, 0), (33, 64, 1), (500, 32, 2), (1_000, 128, 3)] {
            let picture = TestCard::new(width, width * 3 / 4).picture(number).unwrap();
            pictures.send((begin + Duration::from_millis(millis), Arc::new(picture))).unwrap();
        }
        drop(pictures);
        write(File::create(&path).unwrap(), &queue).unwrap();
        let mut decoder = y4m::decode(File::open(&path).unwrap()).unwrap();
        assert_eq!((decoder.get_width(), decoder.get_height()), (64, 48));
        let mut count = 0;
        while decoder.read_frame().is_ok() {
            count += 1;
        }
        assert_eq!(count, 31, "one second and the picture at its end");
    }

    #[test]
    fn a_file_is_sent_at_its_own_frame_rate_as_far_as_a_codec_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("film.y4m");
        for (num, den, expected) in [(25, 1, 25), (30_000, 1_001, 30), (60, 1, 60), (3, 2, 2), (120, 1, 60)] {
            let file = File::create(&path).unwrap();
            y4m::encode(16, 16, y4m::Ratio::new(num, den)).write_header(file).unwrap();
            assert_eq!(Camera::open(Some(&path), (16, 16)).unwrap().framerate(), expected, "{num}/{den}");
        }
        assert_eq!(Camera::open(None, (640, 360)).unwrap().framerate(), 30);
    }
}
