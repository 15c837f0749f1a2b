//! A Y4M file that is played.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Chain, Cursor, Read},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use remotemedia_webrtc::{VideoFrame, WebRtcError};

/// The longest side of a picture, in pixels.
const LONGEST_SIDE: u64 = 16_384;

/// The pixels of the largest picture.
const MOST_PIXELS: u64 = 7_680 * 4_320;

/// The longest first line, in bytes, that the decoder reads.
const LONGEST_HEADER: u64 = 1_024;

/// Why a Y4M file is not played, or not to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClipError {
    #[error("{file} cannot be read: {source}")]
    Read { file: String, source: io::Error },
    #[error("{file} cannot be read as Y4M: convert it, for example with ffmpeg")]
    NotY4m { file: String },
    #[error("{file} has pictures of {width} x {height} pixels: 1 x 1 to 7680 x 4320 are taken")]
    Size { file: String, width: String, height: String },
    #[error("{file} has the colour space {found}: 4:2:0 with 8 bits a sample is taken")]
    Colours { file: String, found: String },
    #[error("{file} has {fps} pictures a second: 1 to 120 are taken")]
    Rate { file: String, fps: f64 },
    #[error("{file} is cut off in the middle of picture {}; what comes before it is sent", pictures + 1)]
    CutOff { file: String, pictures: u64 },
    #[error("{file} is damaged behind picture {pictures}; what comes before is sent")]
    Damaged { file: String, pictures: u64 },
    #[error("picture {} of {file} cannot be taken: {source}", pictures + 1)]
    Picture { file: String, pictures: u64, source: Box<WebRtcError> },
}

/// The first line, which was looked at already, and the rest.
type Input = Chain<Cursor<Vec<u8>>, BufReader<File>>;

/// Pictures out of a file, one after the other.
pub(super) struct Clip {
    file: String,
    decoder: y4m::Decoder<Counted<Input>>,
    /// Bytes that the decoder has taken.
    taken: Arc<AtomicU64>,
    pictures: u64,
    fps: f64,
}

impl Clip {
    pub(super) fn open(path: &Path) -> Result<Self, ClipError> {
        let file = path.display().to_string();
        let unreadable = |source| ClipError::Read { file: file.clone(), source };
        let mut input = BufReader::new(File::open(path).map_err(unreadable)?);
        let mut header = Vec::new();
        input.by_ref().take(LONGEST_HEADER).read_until(b'\n', &mut header).map_err(unreadable)?;
        if !header.starts_with(b"YUV4MPEG2 ") {
            return Err(ClipError::NotY4m { file });
        }
        let (width, height) = (field(&header, b'W', "?"), field(&header, b'H', "?"));
        // The decoder multiplies them before it looks whether they are sensible.
        if !is_taken(&width, &height) {
            return Err(ClipError::Size { file, width, height });
        }
        let found = field(&header, b'C', "420");
        let taken = Arc::new(AtomicU64::new(0));
        let input = Counted { inner: Cursor::new(header).chain(input), count: Arc::clone(&taken) };
        let decoder = match y4m::Decoder::new(input) {
            Ok(decoder) => decoder,
            Err(y4m::Error::IoError(source)) => return Err(ClipError::Read { file, source }),
            Err(y4m::Error::UnknownColorspace) => return Err(ClipError::Colours { file, found }),
            Err(_) => return Err(ClipError::NotY4m { file }),
        };
        if decoder.get_bit_depth() != 8 || !format!("{:?}", decoder.get_colorspace()).starts_with("C420") {
            return Err(ClipError::Colours { file, found });
        }
        let rate = decoder.get_framerate();
        let fps = rate.num as f64 / rate.den.max(1) as f64;
        if !(1.0..=120.0).contains(&fps) {
            return Err(ClipError::Rate { file, fps });
        }
        Ok(Self { file, decoder, taken, pictures: 0, fps })
    }

    /// The time between two pictures.
    pub(super) fn every(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.fps)
    }

    /// The next picture; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<VideoFrame>, ClipError> {
        let (file, pictures) = (|| self.file.clone(), self.pictures);
        let (width, height) = (self.decoder.get_width() as u32, self.decoder.get_height() as u32);
        let before = self.taken.load(Relaxed);
        let frame = match self.decoder.read_frame() {
            Ok(frame) => frame,
            // The decoder does not say whether a file ends between two pictures or within one.
            Err(y4m::Error::EOF) if self.taken.load(Relaxed) == before => return Ok(None),
            Err(y4m::Error::EOF) => return Err(ClipError::CutOff { file: file(), pictures }),
            Err(y4m::Error::IoError(source)) => return Err(ClipError::Read { file: file(), source }),
            Err(_) => return Err(ClipError::Damaged { file: file(), pictures }),
        };
        let planes = [frame.get_y_plane(), frame.get_u_plane(), frame.get_v_plane()].concat();
        let picture = VideoFrame::i420(width, height, planes);
        self.pictures += 1;
        picture.map(Some).map_err(|error| ClipError::Picture { file: file(), pictures, source: Box::new(error.into()) })
    }
}

/// What the header says under that letter, last.
fn field(header: &[u8], letter: u8, missing: &str) -> String {
    let fields = header.trim_ascii_end().split(|byte| *byte == b' ').skip(1);
    let value = fields.filter_map(|field| field.strip_prefix(&[letter])).last();
    value.map_or_else(|| missing.to_owned(), |value| String::from_utf8_lossy(value).into_owned())
}

fn is_taken(width: &str, height: &str) -> bool {
    let side = |text: &str| text.parse::<u64>().ok().filter(|side| (1..=LONGEST_SIDE).contains(side));
    side(width).zip(side(height)).is_some_and(|(width, height)| width * height <= MOST_PIXELS)
}

/// Counts what is read.
struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.fetch_add(read as u64, Relaxed);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of the bytes of these parts.
    fn clip(parts: &[&[u8]]) -> (tempfile::TempDir, Result<Clip, ClipError>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("film.y4m");
        std::fs::write(&path, parts.concat()).unwrap();
        let clip = Clip::open(&path);
        (folder, clip)
    }

    fn refusal(parts: &[&[u8]]) -> String {
        let text = clip(parts).1.err().unwrap().to_string();
        assert!(text.contains("film.y4m"), "{text}");
        text
    }

    const HEADER: &[u8] = b"YUV4MPEG2 W4 H2 F25:1 C420jpeg\n";

    #[test]
    fn what_is_no_y4m_is_refused_by_name_and_told_once() {
        for begin in [&b""[..], b"not a video", b"YUV4MPEG2", b"YUV4MPEG2 W4 H2 F25\n"] {
            assert!(refusal(&[begin]).contains("cannot be read as Y4M"));
        }
        let text = Clip::open(Path::new("/no/such.y4m")).err().unwrap().to_string();
        assert_eq!(text.matches("No such file").count(), 1, "{text}");
        assert!(refusal(&[b"YUV4MPEG2 W4 H2 F25:1 C422\n"]).contains("the colour space 422:"));
        assert!(refusal(&[b"YUV4MPEG2 W4 H2 F25:1 C420p10\n"]).contains("the colour space 420p10:"));
        assert!(refusal(&[b"YUV4MPEG2 W4 H2 F25:1 Cpurple\n"]).contains("the colour space purple:"));
        assert!(refusal(&[b"YUV4MPEG2 W4 H2 F0:1\n"]).contains("has 0 pictures a second"));
    }

    #[test]
    fn sides_that_no_picture_has_are_refused_before_there_is_room_for_them() {
        let giant = u64::MAX.to_string();
        for (width, height) in [
            (giant.as_str(), "2"),
            ("4", &giant),
            (&giant, &giant),
            ("4294967296", "4294967296"),
            ("99999999999999999999999", "2"),
            ("16384", "16384"),
            ("0", "2"),
            ("-4", "2"),
            ("four", "2"),
        ] {
            let text = refusal(&[format!("YUV4MPEG2 W{width} H{height} F25:1\n").as_bytes()]);
            assert!(text.contains(&format!("{width} x {height} pixels")), "{text}");
        }
        assert!(refusal(&[b"YUV4MPEG2 W4 F25:1\n"]).contains("4 x ? pixels"));
        assert!(clip(&[b"YUV4MPEG2 W7680 H4320 F25:1\n"]).1.is_ok());
    }

    #[test]
    fn pictures_come_until_the_file_ends_and_one_that_is_cut_off_is_told() {
        let picture = [&b"FRAME\n"[..], &[7; 12]].concat();
        let (_folder, whole) = clip(&[HEADER, &picture, &picture]);
        let mut whole = whole.unwrap();
        assert_eq!(whole.every(), Duration::from_millis(40));
        assert!(whole.next().unwrap().is_some() && whole.next().unwrap().is_some());
        assert!(whole.next().unwrap().is_none() && whole.next().unwrap().is_none());
        for cut in 1..picture.len() {
            let (_folder, broken) = clip(&[HEADER, &picture, &picture[..cut]]);
            let mut broken = broken.unwrap();
            assert!(broken.next().unwrap().is_some());
            let text = broken.next().unwrap_err().to_string();
            assert!(text.contains("film.y4m is cut off in the middle of picture 2"), "after {cut}: {text}");
        }
        let (_folder, broken) = clip(&[HEADER, &picture, b"SOUND\n"]);
        let mut broken = broken.unwrap();
        assert!(broken.next().unwrap().is_some());
        let text = broken.next().unwrap_err().to_string();
        assert!(text.contains("film.y4m is damaged behind picture 1"), "{text}");
    }
}
