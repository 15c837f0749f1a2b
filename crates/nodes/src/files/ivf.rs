//! IVF, the container of the VP8 and VP9 tools: a header of 32 bytes, then frames with their size and time.

use std::{
    io::{self, Read, Seek, SeekFrom, Write},
    time::Duration,
};

use remotemedia_media::Codec;

/// The largest frame that is read: no picture of a sensible size needs more.
const MAX_FRAME: u32 = 16 << 20;

/// Writes frames. Times are kept on a clock of 90 kHz, the one that the network uses.
pub(super) struct IvfWriter<W> {
    output: W,
    frames: u32,
    bytes: u64,
}

impl<W: Write + Seek> IvfWriter<W> {
    const CLOCK_RATE: u32 = 90_000;

    /// Begins a file.
    pub(super) fn new(mut output: W, codec: Codec, width: u32, height: u32) -> io::Result<Self> {
        let mut header = [0; 32];
        header[..4].copy_from_slice(b"DKIF");
        header[6..8].copy_from_slice(&32_u16.to_le_bytes());
        header[8..12].copy_from_slice(fourcc(codec));
        // The sides of a picture are at most 16,384.
        header[12..14].copy_from_slice(&(width as u16).to_le_bytes());
        header[14..16].copy_from_slice(&(height as u16).to_le_bytes());
        header[16..20].copy_from_slice(&Self::CLOCK_RATE.to_le_bytes());
        header[20..24].copy_from_slice(&1_u32.to_le_bytes());
        output.write_all(&header)?;
        Ok(Self { output, frames: 0, bytes: 32 })
    }

    /// Appends a frame that is shown at `at`.
    pub(super) fn write(&mut self, data: &[u8], at: Duration) -> io::Result<()> {
        let size = u32::try_from(data.len()).map_err(io::Error::other)?;
        let ticks = (at.as_nanos() * u128::from(Self::CLOCK_RATE) + 500_000_000) / 1_000_000_000;
        self.output.write_all(&size.to_le_bytes())?;
        self.output.write_all(&(ticks as u64).to_le_bytes())?;
        self.output.write_all(data)?;
        self.frames += 1;
        self.bytes += 12 + u64::from(size);
        Ok(())
    }

    /// Puts the number of frames into the header and everything onto the disk.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.output.seek(SeekFrom::Start(24))?;
        self.output.write_all(&self.frames.to_le_bytes())?;
        self.output.seek(SeekFrom::End(0))?;
        self.output.flush()
    }

    /// Bytes so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Reads frames one by one.
#[derive(Debug)]
pub(super) struct IvfReader<R> {
    input: R,
    codec: Codec,
    /// Seconds of a tick, as numerator and denominator.
    scale: (u32, u32),
}

impl<R: Read> IvfReader<R> {
    /// Reads the header.
    pub(super) fn new(mut input: R) -> io::Result<Self> {
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let mut header = [0; 32];
        input.read_exact(&mut header)?;
        if !header.starts_with(b"DKIF") {
            return Err(invalid("it does not begin as an IVF file does"));
        }
        let name = &header[8..12];
        let codec = [Codec::Vp8, Codec::Vp9, Codec::H264].into_iter().find(|codec| fourcc(*codec) == name);
        let codec = codec.ok_or_else(|| {
            invalid(&format!("its codec is {:?}: VP8, VP9 and H.264 are played", String::from_utf8_lossy(name)))
        })?;
        let rate = u32::from_le_bytes([header[16], header[17], header[18], header[19]]);
        let scale = u32::from_le_bytes([header[20], header[21], header[22], header[23]]);
        if rate == 0 || scale == 0 {
            return Err(invalid("its clock stands still"));
        }
        let length = u64::from(u16::from_le_bytes([header[6], header[7]]));
        io::copy(&mut (&mut input).take(length.saturating_sub(32)), &mut io::sink())?;
        Ok(Self { input, codec, scale: (scale, rate) })
    }

    /// What it reads from.
    pub(super) fn into_inner(self) -> R {
        self.input
    }

    /// What the frames are encoded with.
    pub(super) fn codec(&self) -> Codec {
        self.codec
    }

    /// The next frame and its time; `None` at the end, and where the file is cut off.
    pub(super) fn next(&mut self) -> io::Result<Option<(Duration, Vec<u8>)>> {
        let mut header = [0; 12];
        if super::ebml::at_end(self.input.read_exact(&mut header))?.is_none() {
            return Ok(None);
        }
        let [s0, s1, s2, s3, ticks @ ..] = header;
        let size = u32::from_le_bytes([s0, s1, s2, s3]);
        if size > MAX_FRAME {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame claims {size} bytes")));
        }
        let mut data = Vec::new();
        // Grows with what is there, not with what the header claims.
        if (&mut self.input).take(size.into()).read_to_end(&mut data)? < size as usize {
            return Ok(None);
        }
        let (numerator, denominator) = (u128::from(self.scale.0), u128::from(self.scale.1));
        let nanos = u128::from(u64::from_le_bytes(ticks)) * numerator * 1_000_000_000 / denominator;
        Ok(Some((Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)), data)))
    }
}

fn fourcc(codec: Codec) -> &'static [u8; 4] {
    match codec {
        Codec::Vp9 => b"VP90",
        Codec::H264 => b"H264",
        _ => b"VP80",
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn frames_keep_their_time_to_a_tick_of_the_90_khz_clock() {
        let mut file = Cursor::new(Vec::new());
        let mut writer = IvfWriter::new(&mut file, Codec::Vp9, 640, 360).unwrap();
        let times = [0, 33_333_333, 66_666_667, 5_000_011_111].map(Duration::from_nanos);
        for at in times {
            writer.write(b"frame", at).unwrap();
        }
        writer.flush().unwrap();
        assert_eq!(writer.bytes(), file.get_ref().len() as u64);
        assert_eq!(file.get_ref()[24..28], 4_u32.to_le_bytes());
        file.set_position(0);
        let mut reader = IvfReader::new(file).unwrap();
        assert_eq!(reader.codec(), Codec::Vp9);
        for expected in times {
            let (at, data) = reader.next().unwrap().unwrap();
            assert!(at.abs_diff(expected) <= Duration::from_nanos(5_556), "{at:?} instead of {expected:?}");
            assert_eq!(data, b"frame");
        }
        assert_eq!(reader.next().unwrap(), None);
    }

    #[test]
    fn a_frame_that_is_cut_off_ends_the_file_and_an_absurd_one_is_refused() {
        let mut file = Cursor::new(Vec::new());
        IvfWriter::new(&mut file, Codec::Vp8, 64, 64).unwrap().write(&[1; 100], Duration::ZERO).unwrap();
        let mut bytes = file.into_inner();
        bytes.truncate(90);
        assert_eq!(IvfReader::new(&bytes[..]).unwrap().next().unwrap(), None);
        bytes[32..36].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(IvfReader::new(&bytes[..]).unwrap().next().is_err());
    }
}
