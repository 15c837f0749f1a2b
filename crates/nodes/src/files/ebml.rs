//! The few parts of EBML (RFC 8794) that WebM files are made of, to write and to read.
//!
//! Crates exist for either direction, but the writers wrap a C++ library or a whole specification, and the readers panic on
//! some damaged files.

use std::io::{self, Read};

/// Element ids (RFC 9559, section 5), with their length marker.
pub(super) mod id {
    pub(in crate::files) const EBML: u32 = 0x1a45_dfa3;
    pub(in crate::files) const EBML_VERSION: u32 = 0x4286;
    pub(in crate::files) const EBML_READ_VERSION: u32 = 0x42f7;
    pub(in crate::files) const EBML_MAX_ID_LENGTH: u32 = 0x42f2;
    pub(in crate::files) const EBML_MAX_SIZE_LENGTH: u32 = 0x42f3;
    pub(in crate::files) const DOC_TYPE: u32 = 0x4282;
    pub(in crate::files) const DOC_TYPE_VERSION: u32 = 0x4287;
    pub(in crate::files) const DOC_TYPE_READ_VERSION: u32 = 0x4285;
    pub(in crate::files) const VOID: u32 = 0xec;
    pub(in crate::files) const SEGMENT: u32 = 0x1853_8067;
    pub(in crate::files) const SEEK_HEAD: u32 = 0x114d_9b74;
    pub(in crate::files) const SEEK: u32 = 0x4dbb;
    pub(in crate::files) const SEEK_ID: u32 = 0x53ab;
    pub(in crate::files) const SEEK_POSITION: u32 = 0x53ac;
    pub(in crate::files) const INFO: u32 = 0x1549_a966;
    pub(in crate::files) const TIMESTAMP_SCALE: u32 = 0x2a_d7b1;
    pub(in crate::files) const DURATION: u32 = 0x4489;
    pub(in crate::files) const MUXING_APP: u32 = 0x4d80;
    pub(in crate::files) const WRITING_APP: u32 = 0x5741;
    pub(in crate::files) const TRACKS: u32 = 0x1654_ae6b;
    pub(in crate::files) const TRACK_ENTRY: u32 = 0xae;
    pub(in crate::files) const TRACK_NUMBER: u32 = 0xd7;
    pub(in crate::files) const TRACK_UID: u32 = 0x73c5;
    pub(in crate::files) const TRACK_TYPE: u32 = 0x83;
    pub(in crate::files) const FLAG_LACING: u32 = 0x9c;
    pub(in crate::files) const CODEC_ID: u32 = 0x86;
    pub(in crate::files) const CODEC_PRIVATE: u32 = 0x63a2;
    pub(in crate::files) const CODEC_DELAY: u32 = 0x56aa;
    pub(in crate::files) const SEEK_PRE_ROLL: u32 = 0x56bb;
    pub(in crate::files) const VIDEO: u32 = 0xe0;
    pub(in crate::files) const PIXEL_WIDTH: u32 = 0xb0;
    pub(in crate::files) const PIXEL_HEIGHT: u32 = 0xba;
    pub(in crate::files) const AUDIO: u32 = 0xe1;
    pub(in crate::files) const SAMPLING_FREQUENCY: u32 = 0xb5;
    pub(in crate::files) const CHANNELS: u32 = 0x9f;
    pub(in crate::files) const CLUSTER: u32 = 0x1f43_b675;
    pub(in crate::files) const TIMESTAMP: u32 = 0xe7;
    pub(in crate::files) const SIMPLE_BLOCK: u32 = 0xa3;
    pub(in crate::files) const BLOCK_GROUP: u32 = 0xa0;
    pub(in crate::files) const BLOCK: u32 = 0xa1;
    pub(in crate::files) const CUES: u32 = 0x1c53_bb6b;
    pub(in crate::files) const CUE_POINT: u32 = 0xbb;
    pub(in crate::files) const CUE_TIME: u32 = 0xb3;
    pub(in crate::files) const CUE_TRACK_POSITIONS: u32 = 0xb7;
    pub(in crate::files) const CUE_TRACK: u32 = 0xf7;
    pub(in crate::files) const CUE_CLUSTER_POSITION: u32 = 0xf1;
}

/// A size of eight bytes that says that the element ends where its parent does or the next of its kind begins.
pub(super) const UNKNOWN_SIZE: [u8; 8] = [0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];

/// `size` in eight bytes, whatever its value, so that it can be put in later.
pub(super) fn wide_size(size: u64) -> [u8; 8] {
    (size | 1 << 56).to_be_bytes()
}

/// Appends an element id.
pub(super) fn put_id(out: &mut Vec<u8>, id: u32) {
    let skipped = id.leading_zeros() as usize / 8;
    out.extend_from_slice(&id.to_be_bytes()[skipped..]);
}

/// Appends an element with `body`.
pub(super) fn put(out: &mut Vec<u8>, id: u32, body: &[u8]) {
    put_id(out, id);
    let size = body.len() as u64;
    // A size of all ones is reserved, so a length of n bytes holds 7n bits less one value.
    let bytes = (1..8).find(|bytes| size < (1 << (7 * bytes)) - 1).unwrap_or(8);
    out.extend_from_slice(&(size | 1 << (7 * bytes)).to_be_bytes()[8 - bytes..]);
    out.extend_from_slice(body);
}

/// Appends an element with a whole number, as short as it goes.
pub(super) fn put_uint(out: &mut Vec<u8>, id: u32, value: u64) {
    let skipped = (value.leading_zeros() as usize / 8).min(7);
    put(out, id, &value.to_be_bytes()[skipped..]);
}

/// Appends an element with a floating-point number.
pub(super) fn put_float(out: &mut Vec<u8>, id: u32, value: f64) {
    put(out, id, &value.to_be_bytes());
}

/// Appends an element whose children `fill` writes.
pub(super) fn put_master(out: &mut Vec<u8>, id: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut body = Vec::new();
    fill(&mut body);
    put(out, id, &body);
}

/// The beginning of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id: u32,
    /// Bytes of the body; `None` if it is unknown.
    pub(super) size: Option<u64>,
}

impl Header {
    /// Reads the next header; `None` at the end of `input`, also in the middle of a header.
    pub(super) fn read(input: &mut impl Read) -> io::Result<Option<Self>> {
        at_end(Self::read_whole(input))
    }

    fn read_whole(input: &mut impl Read) -> io::Result<Self> {
        let (id, _) = read_number(input, 4, true)?;
        let (size, bits) = read_number(input, 8, false)?;
        let size = (size != (1 << bits) - 1).then_some(size);
        Ok(Self { id: id as u32, size })
    }
}

/// `None` for an error that says that the file ends here.
pub(super) fn at_end<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads a number of variable length, with or without its marker, and how many bits it may have.
pub(super) fn read_number(input: &mut impl Read, longest: usize, keeps_marker: bool) -> io::Result<(u64, u32)> {
    let mut bytes = [0; 8];
    input.read_exact(&mut bytes[..1])?;
    let length = bytes[0].leading_zeros() as usize + 1;
    if length > longest {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a number is longer than EBML allows"));
    }
    input.read_exact(&mut bytes[1..length])?;
    let value = bytes[..length].iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    let bits = 7 * length as u32;
    Ok((if keeps_marker { value } else { value & ((1 << bits) - 1) }, bits))
}

/// The children of a master element that is in memory; what is damaged ends the list.
pub(super) fn children(mut body: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    std::iter::from_fn(move || {
        let header = Header::read(&mut body).ok()??;
        let size = usize::try_from(header.size?).ok()?;
        let (child, rest) = body.split_at_checked(size)?;
        body = rest;
        Some((header.id, child))
    })
}

/// A whole number of up to eight bytes; `None` if it is longer.
pub(super) fn uint(body: &[u8]) -> Option<u64> {
    (body.len() <= 8).then(|| body.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_come_back_as_they_were_written() {
        for size in [0, 1, 126, 127, 128, 16_382, 16_383, 70_000] {
            let mut bytes = Vec::new();
            put(&mut bytes, id::SIMPLE_BLOCK, &vec![7; size]);
            put_uint(&mut bytes, id::TIMESTAMP_SCALE, 1_000_000);
            let all: Vec<_> = children(&bytes).collect();
            assert_eq!(all.len(), 2, "{size} bytes");
            assert_eq!((all[0].0, all[0].1.len()), (id::SIMPLE_BLOCK, size));
            assert_eq!((all[1].0, uint(all[1].1)), (id::TIMESTAMP_SCALE, Some(1_000_000)));
        }
    }

    #[test]
    fn an_unknown_size_and_a_size_that_is_put_in_later_are_told_apart() {
        let mut bytes = Vec::new();
        put_id(&mut bytes, id::SEGMENT);
        bytes.extend(UNKNOWN_SIZE);
        assert_eq!(Header::read(&mut &bytes[..]).unwrap(), Some(Header { id: id::SEGMENT, size: None }));
        bytes.splice(4.., wide_size(5));
        assert_eq!(Header::read(&mut &bytes[..]).unwrap(), Some(Header { id: id::SEGMENT, size: Some(5) }));
    }

    #[test]
    fn what_is_cut_off_ends_and_what_is_no_number_is_refused() {
        assert_eq!(Header::read(&mut &[0x1a, 0x45][..]).unwrap(), None);
        assert!(Header::read(&mut &[0x00, 0x45, 0x00, 0x00][..]).is_err());
    }
}
