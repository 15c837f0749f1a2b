use bytes::{BufMut, Bytes};

use super::{FramePart, PictureId};
use crate::packetizer::cut_evenly;

/// X, then I alone, then M and 15 bits of picture id.
const DESCRIPTOR_LEN: usize = 4;

/// Payloads of one frame (RFC 7741, section 4.2). Partitions are not told apart: a receiver needs them for nothing.
pub(crate) fn packetize(frame: &[u8], limit: usize, picture_id: u16) -> Vec<Bytes> {
    cut_evenly(
        frame,
        limit,
        |_| DESCRIPTOR_LEN,
        |out, piece| {
            out.put_u8(if piece.first { 0x90 } else { 0x80 });
            out.put_u8(0x80);
            out.put_u16(0x8000 | picture_id);
        },
    )
}

/// Whether a frame is a keyframe by its frame tag and start code (RFC 6386, section 9.1).
pub(crate) fn is_keyframe(frame: &[u8]) -> bool {
    frame.first().is_some_and(|tag| tag & 1 == 0) && frame.get(3..6).is_none_or(|code| code == [0x9d, 0x01, 0x2a])
}

/// Reads the descriptor; `None` if it is cut off or nothing follows it.
pub(crate) fn parse(payload: &Bytes) -> Option<FramePart> {
    let (&flags, mut rest) = payload.split_first()?;
    let mut picture_id = None;
    if flags & 0x80 != 0 {
        let (&extension, after) = rest.split_first()?;
        rest = after;
        if extension & 0x80 != 0 {
            let (id, after) = PictureId::read(rest)?;
            picture_id = Some(id);
            rest = after;
        }
        if extension & 0x40 != 0 {
            rest = rest.get(1..)?; // TL0PICIDX
        }
        if extension & 0x30 != 0 {
            rest = rest.get(1..)?; // TID, Y and KEYIDX share a byte
        }
    }
    if rest.is_empty() {
        return None;
    }
    let starts = flags & 0x10 != 0 && flags & 0x07 == 0;
    Some(FramePart {
        data: payload.slice(payload.len() - rest.len()..),
        starts,
        may_start: starts,
        ends: false,
        keyframe: starts && is_keyframe(rest),
        parameter_sets: false,
        picture_id,
    })
}
