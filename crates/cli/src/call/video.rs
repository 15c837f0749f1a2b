//! What a participant shows and sees.

use std::{
    fs::File,
    io::{BufReader, BufWriter, Read},
    path::Path,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use remotemedia_codecs::scale_to_fit;
use remotemedia_runtime_core::data::RuntimeData;
use remotemedia_webrtc::{PixelFormat, VideoFrame, WebRtcTransport};
use tokio::time::MissedTickBehavior;

use super::{card::TestCard, empty, recording, report::Tally};

/// Pictures that wait to be sent or written.
const QUEUE: usize = 8;

/// Pictures a second in a recording.
const RECORDED_RATE: usize = 30;

/// The most that is held back of a recording: a peer that is silent for longer leaves a jump.
const LONGEST_GAP: usize = 30 * RECORDED_RATE;

/// Where pictures come from.
pub(super) enum Camera {
    Card(TestCard),
    File { pictures: tokio::sync::mpsc::Receiver<Result<VideoFrame>>, every: Duration },
}

impl Camera {
    pub(super) fn open(file: Option<&Path>) -> Result<Self> {
        let Some(path) = file else { return Ok(Self::Card(TestCard::new(640, 360))) };
        let name = path.display().to_string();
        let opened = File::open(path).with_context(|| format!("{name} cannot be read"))?;
        let decoder = y4m::decode(BufReader::new(opened)).with_context(|| format!("{name} cannot be read as Y4M"))?;
        let colours = decoder.get_colorspace();
        if decoder.get_bit_depth() != 8 || !format!("{colours:?}").starts_with("C420") {
            bail!("{name} has the colour space {colours:?}: 4:2:0 with 8 bits a sample is taken");
        }
        let rate = decoder.get_framerate();
        let fps = rate.num as f64 / rate.den.max(1) as f64;
        if !(1.0..=120.0).contains(&fps) {
            bail!("{name} has {fps} pictures a second: 1 to 120 are taken");
        }
        let (frames, pictures) = tokio::sync::mpsc::channel(QUEUE);
        std::thread::spawn(move || read(decoder, &name, &frames));
        Ok(Self::File { pictures, every: Duration::from_secs_f64(1.0 / fps) })
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

    /// Sends everything to everybody, in real time.
    pub(super) async fn play(mut self, transport: WebRtcTransport, tally: Arc<Tally>) -> Result<()> {
        let mut clock = tokio::time::interval(self.every());
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for number in 0.. {
            clock.tick().await;
            let picture = match &mut self {
                Self::Card(card) => Some(card.picture(number)?),
                Self::File { pictures, .. } => pictures.recv().await.transpose()?,
            };
            let Some(picture) = picture else { break };
            transport.broadcast(&RuntimeData::from(picture)).await?;
            tally.shown();
        }
        Ok(())
    }
}

fn read<R: Read>(mut decoder: y4m::Decoder<R>, name: &str, frames: &tokio::sync::mpsc::Sender<Result<VideoFrame>>) {
    let (width, height) = (decoder.get_width() as u32, decoder.get_height() as u32);
    loop {
        let picture = match decoder.read_frame() {
            Ok(frame) => {
                let planes = [frame.get_y_plane(), frame.get_u_plane(), frame.get_v_plane()].concat();
                VideoFrame::i420(width, height, planes).with_context(|| format!("{name} is damaged"))
            }
            Err(y4m::Error::EOF) => return,
            Err(error) => Err(anyhow::Error::new(error).context(format!("{name} is damaged"))),
        };
        let is_last = picture.is_err();
        if frames.blocking_send(picture).is_err() || is_last {
            return;
        }
    }
}

/// Writes what is seen, on a thread of its own.
pub(super) struct Y4mRecorder {
    pictures: mpsc::SyncSender<(Instant, Arc<VideoFrame>)>,
    writer: JoinHandle<Result<()>>,
}

/// The way into a [`Y4mRecorder`].
pub(super) struct Y4mInput(mpsc::SyncSender<(Instant, Arc<VideoFrame>)>);

impl Y4mInput {
    pub(super) fn push(&self, frame: Arc<VideoFrame>) {
        if self.0.try_send((Instant::now(), frame)).is_err() {
            tracing::warn!("the disk is too slow: a picture is missing in the recording");
        }
    }
}

impl Y4mRecorder {
    pub(super) fn create(path: &Path) -> Result<Self> {
        let file = recording(path)?;
        let (pictures, queue) = mpsc::sync_channel(QUEUE);
        let path = path.to_owned();
        let writer = std::thread::spawn(move || {
            write(file, &queue).with_context(|| format!("{} cannot be written", path.display()))
        });
        Ok(Self { pictures, writer })
    }

    pub(super) fn input(&self) -> Y4mInput {
        Y4mInput(self.pictures.clone())
    }

    /// Completes the file, once every input has been dropped.
    pub(super) fn finish(self) -> Result<()> {
        drop(self.pictures);
        self.writer.join().unwrap_or_else(|_| bail!("the recorder went down"))
    }
}

fn write(file: File, pictures: &mpsc::Receiver<(Instant, Arc<VideoFrame>)>) -> Result<()> {
    let Ok((begin, first)) = pictures.recv() else { return Ok(()) };
    empty(&file)?;
    let (width, height) = (first.width(), first.height());
    let rate = y4m::Ratio::new(RECORDED_RATE, 1);
    let mut encoder = y4m::encode(width as usize, height as usize, rate)
        .with_colorspace(y4m::Colorspace::C420jpeg)
        .write_header(BufWriter::new(file))?;
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

fn put<W: std::io::Write>(encoder: &mut y4m::Encoder<W>, packed: &[u8], width: u32, height: u32) -> Result<()> {
    let luma = (width * height) as usize;
    let chroma = (width.div_ceil(2) * height.div_ceil(2)) as usize;
    let (y, rest) = packed.split_at(luma);
    let (u, v) = rest.split_at(chroma);
    Ok(encoder.write_frame(&y4m::Frame::new([y, u, v], None))?)
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
    fn what_is_no_y4m_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("noise.y4m");
        std::fs::write(&path, b"not a video").unwrap();
        let error = format!("{:#}", Camera::open(Some(&path)).err().unwrap());
        assert!(error.contains("noise.y4m"), "{error}");
    }

    #[test]
    fn a_file_is_sent_at_its_own_frame_rate_as_far_as_a_codec_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("film.y4m");
        for (num, den, expected) in [(25, 1, 25), (30_000, 1_001, 30), (60, 1, 60), (3, 2, 2), (120, 1, 60)] {
            let file = File::create(&path).unwrap();
            y4m::encode(16, 16, y4m::Ratio::new(num, den)).write_header(file).unwrap();
            assert_eq!(Camera::open(Some(&path)).unwrap().framerate(), expected, "{num}/{den}");
        }
        assert_eq!(Camera::open(None).unwrap().framerate(), 30);
    }
}
