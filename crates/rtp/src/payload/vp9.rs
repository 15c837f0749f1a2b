use bytes::{BufMut, Bytes};

use super::{FramePart, PictureId};
use crate::packetizer::cut_evenly;

// The first byte of the descriptor (RFC 9628, section 4.2).
const I: u8 = 0x80;
const P: u8 = 0x40;
const L: u8 = 0x20;
const F: u8 = 0x10;
const B: u8 = 0x08;
const E: u8 = 0x04;
const V: u8 = 0x02;

/// Payloads of one frame in flexible mode, the one that needs no picture group. One spatial and one temporal layer.
pub(crate) fn packetize(frame: &[u8], limit: usize, picture_id: u16) -> Vec<Bytes> {
    let header = FrameHeader::read(frame);
    let predicted = !matches!(header, Some(FrameHeader::Keyframe { .. }));
    let structure = match header {
        Some(FrameHeader::Keyframe { width, height }) => width.zip(height),
        _ => None,
    };
    let structure_len = if structure.is_some() { 5 } else { 0 };
    let common_len = if predicted { 4 } else { 3 };
    cut_evenly(
        frame,
        limit,
        |first| common_len + if first { structure_len } else { 0 },
        |out, piece| {
            let structure = structure.filter(|_| piece.first);
            let mut flags = I | F;
            flags |= if predicted { P } else { 0 };
            flags |= if piece.first { B } else { 0 };
            flags |= if piece.last { E } else { 0 };
            flags |= if structure.is_some() { V } else { 0 };
            out.put_u8(flags);
            out.put_u16(0x8000 | picture_id);
            if predicted {
                out.put_u8(1 << 1); // P_DIFF 1, no further reference
            }
            if let Some((width, height)) = structure {
                out.put_u8(0x10); // N_S 0, Y
                out.put_u16(width);
                out.put_u16(height);
            }
        },
    )
}

/// Whether a frame is a keyframe by its uncompressed header.
pub(crate) fn is_keyframe(frame: &[u8]) -> bool {
    matches!(FrameHeader::read(frame), Some(FrameHeader::Keyframe { .. }))
}

/// Reads the descriptor; `None` if it is cut off, breaks the format or nothing follows it.
pub(crate) fn parse(payload: &Bytes) -> Option<FramePart> {
    let (&flags, mut rest) = payload.split_first()?;
    let mut picture_id = None;
    if flags & I != 0 {
        let (id, after) = PictureId::read(rest)?;
        picture_id = Some(id);
        rest = after;
    }
    let mut spatial_layer = 0;
    if flags & L != 0 {
        spatial_layer = (rest.first()? >> 1) & 0x07;
        // Without flexible mode TL0PICIDX follows.
        rest = rest.get(if flags & F == 0 { 2 } else { 1 }..)?;
    }
    if flags & (F | P) == F | P {
        rest = skip_references(rest)?;
    }
    if flags & V != 0 {
        rest = skip_scalability_structure(rest)?;
    }
    if rest.is_empty() {
        return None;
    }
    let starts = flags & B != 0 && spatial_layer == 0;
    Some(FramePart {
        data: payload.slice(payload.len() - rest.len()..),
        starts,
        may_start: starts,
        ends: false,
        // The bitstream decides: there are senders that never set P.
        keyframe: starts && is_keyframe(rest),
        parameter_sets: false,
        picture_id,
    })
}

/// Up to three P_DIFF bytes, each telling whether another follows.
fn skip_references(bytes: &[u8]) -> Option<&[u8]> {
    let count = bytes.iter().take(3).position(|byte| byte & 1 == 0)? + 1;
    bytes.get(count..)
}

fn skip_scalability_structure(bytes: &[u8]) -> Option<&[u8]> {
    let (&head, mut rest) = bytes.split_first()?;
    if head & 0x10 != 0 {
        let layers = usize::from(head >> 5) + 1;
        rest = rest.get(layers * 4..)?;
    }
    if head & 0x08 != 0 {
        let (&pictures, after) = rest.split_first()?;
        rest = after;
        for _ in 0..pictures {
            let (&picture, after) = rest.split_first()?;
            rest = after.get(usize::from((picture >> 2) & 0x03)..)?;
        }
    }
    Some(rest)
}

/// The beginning of a frame's uncompressed header (VP9 bitstream specification, section 6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FrameHeader {
    Keyframe {
        /// Absent where the header is cut off; none where 65,536 does not fit the descriptor.
        width: Option<u16>,
        height: Option<u16>,
    },
    /// A predicted or intra-only frame, or one that shows an earlier one again.
    Other,
}

impl FrameHeader {
    /// `None` if this is no VP9 frame, or too little of one to tell.
    fn read(frame: &[u8]) -> Option<Self> {
        let mut bits = Bits { bytes: frame, at: 0 };
        if bits.take(2)? != 2 {
            return None;
        }
        let profile = bits.take(1)? | bits.take(1)? << 1;
        if profile == 3 && bits.take(1)? != 0 {
            return None;
        }
        let show_existing_frame = bits.take(1)? == 1;
        if show_existing_frame {
            return Some(Self::Other);
        }
        let predicted = bits.take(1)? == 1;
        if predicted {
            return Some(Self::Other);
        }
        let _show_and_error_resilience = bits.take(2)?;
        match bits.take(24) {
            None => return Some(Self::Keyframe { width: None, height: None }),
            Some(0x49_83_42) => {}
            Some(_) => return None,
        }
        let size = Self::skip_colours(&mut bits, profile).and_then(|()| bits.take(16).zip(bits.take(16)));
        let side = |minus_one: u32| u16::try_from(minus_one + 1).ok();
        let (width, height) = size.map_or((None, None), |(w, h)| (side(w), side(h)));
        Some(Self::Keyframe { width, height })
    }

    fn skip_colours(bits: &mut Bits<'_>, profile: u32) -> Option<()> {
        const RGB: u32 = 7;
        if profile >= 2 {
            bits.take(1)?; // bit depth
        }
        if bits.take(3)? != RGB {
            bits.take(1)?; // range
            if profile & 1 == 1 {
                bits.take(3)?; // subsampling
            }
        } else if profile & 1 == 1 {
            bits.take(1)?;
        }
        Some(())
    }
}

/// Reads bits, the highest of a byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// The next `count` bits, at most 32.
    fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }
}
