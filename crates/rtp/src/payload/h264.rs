use bytes::{BufMut, Bytes, BytesMut};

use super::{FramePart, Part};
use crate::packetizer::cut_evenly;

// Types of NAL units (H.264, table 7-1; RFC 6184, table 1).
const SLICE: u8 = 1;
const IDR: u8 = 5;
const SPS: u8 = 7;
const DELIMITER: u8 = 9;
const FILLER: u8 = 12;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// Payloads of one access unit in Annex B form; `None` if it has no start code.
pub(crate) fn packetize(access_unit: &Bytes, limit: usize) -> Option<Vec<Bytes>> {
    let units = NalUnits::new(access_unit)?;
    let mut payloads = Vec::new();
    let mut group: Vec<&[u8]> = Vec::new();
    let mut group_len = 1;
    for unit in units.filter(|unit| !matches!(unit[0] & 0x1f, DELIMITER | FILLER)) {
        if group_len + 2 + unit.len() > limit {
            flush(access_unit, &mut group, &mut payloads);
            group_len = 1;
        }
        if unit.len() > limit {
            payloads.extend(fragment(unit, limit));
        } else {
            group_len += 2 + unit.len();
            group.push(unit);
        }
    }
    flush(access_unit, &mut group, &mut payloads);
    Some(payloads)
}

/// Sends the collected units: one as it is, several in a STAP-A.
fn flush(access_unit: &Bytes, group: &mut Vec<&[u8]>, payloads: &mut Vec<Bytes>) {
    match group.as_slice() {
        [] => {}
        [unit] => payloads.push(access_unit.slice_ref(unit)),
        units => {
            let mut out = BytesMut::with_capacity(1 + units.iter().map(|unit| 2 + unit.len()).sum::<usize>());
            let forbidden = units.iter().fold(0, |bit, unit| bit | unit[0] & 0x80);
            let importance = units.iter().map(|unit| unit[0] & 0x60).max().unwrap_or_default();
            out.put_u8(forbidden | importance | STAP_A);
            for unit in units {
                // A unit in a group is at most as long as the payload limit, which fits.
                out.put_u16(unit.len() as u16);
                out.extend_from_slice(unit);
            }
            payloads.push(out.freeze());
        }
    }
    group.clear();
}

fn fragment(unit: &[u8], limit: usize) -> Vec<Bytes> {
    let (header, body) = (unit[0], &unit[1..]);
    cut_evenly(
        body,
        limit,
        |_| 2,
        |out, piece| {
            out.put_u8(header & 0xe0 | FU_A);
            out.put_u8(header & 0x1f | if piece.first { 0x80 } else { 0 } | if piece.last { 0x40 } else { 0 });
        },
    )
}

/// Whether an access unit in Annex B form has an IDR slice.
pub(crate) fn is_keyframe(access_unit: &[u8]) -> bool {
    NalUnits::new(access_unit).is_some_and(|mut units| units.any(|unit| unit[0] & 0x1f == IDR))
}

/// Reads what kinds of NAL units a payload brings.
pub(crate) fn parse(payload: &Bytes) -> Part {
    let Some((&header, body)) = payload.split_first() else { return Part::Malformed };
    let mut seen = Seen::default();
    let mut continues = false;
    match header & 0x1f {
        _ if is_ignored(header, body) => {}
        1..=23 => seen.add(header, body.first()),
        STAP_A => {
            let Some(units) = split_aggregate(body) else { return Part::Malformed };
            for unit in units {
                seen.add(unit[0], unit.get(1));
            }
        }
        FU_A => {
            let Some((&fragment, data)) = body.split_first() else { return Part::Malformed };
            if fragment & 0x80 != 0 {
                seen.add(fragment & 0x1f, data.first());
            } else {
                continues = true;
                seen.keyframe = fragment & 0x1f == IDR;
            }
        }
        // The rest belongs to interleaved mode, which WebRTC does not negotiate.
        _ => return Part::Malformed,
    }
    Part::Data(FramePart {
        data: payload.clone(),
        starts: seen.first_of_picture,
        may_start: !continues,
        ends: false,
        keyframe: seen.keyframe,
        parameter_sets: seen.sequence_set,
        picture_id: None,
    })
}

/// Writes what the payloads of one access unit hold, in order, with start codes. `None` if a fragment has no beginning or
/// nothing is left.
pub(crate) fn assemble<'a>(payloads: impl Iterator<Item = &'a Bytes> + Clone) -> Option<AccessUnit> {
    // A start code per unit: STAP-A units bring two bytes of length each, FU-A two bytes of header.
    let capacity = payloads.clone().map(|payload| payload.len() + START_CODE.len()).sum();
    let mut out = BytesMut::with_capacity(capacity);
    let mut idr = false;
    let mut in_fragment = false;
    let mut write = |out: &mut BytesMut, header: u8, body: &[u8]| {
        idr |= header & 0x1f == IDR;
        out.extend_from_slice(&START_CODE);
        out.put_u8(header);
        out.extend_from_slice(body);
    };
    for payload in payloads {
        let (&header, body) = payload.split_first()?;
        match header & 0x1f {
            STAP_A => split_aggregate(body)?.for_each(|unit| write(&mut out, unit[0], &unit[1..])),
            FU_A => {
                let (&fragment, data) = body.split_first()?;
                if fragment & 0x80 != 0 {
                    write(&mut out, header & 0xe0 | fragment & 0x1f, data);
                } else if in_fragment {
                    out.extend_from_slice(data);
                } else {
                    return None;
                }
                in_fragment = fragment & 0x40 == 0;
                continue;
            }
            _ if is_ignored(header, body) => {}
            _ => write(&mut out, header, body),
        }
        in_fragment = false;
    }
    (!out.is_empty()).then(|| AccessUnit { data: out.freeze(), idr })
}

pub(crate) struct AccessUnit {
    pub(crate) data: Bytes,
    pub(crate) idr: bool,
}

/// Types 0, 30 and 31 mean nothing (RFC 6184, section 5.2), and a unit of a header alone says nothing.
fn is_ignored(header: u8, body: &[u8]) -> bool {
    matches!(header & 0x1f, 0 | 30 | 31) || (header & 0x1f < STAP_A && body.is_empty())
}

/// The non-empty units of a STAP-A behind its header; `None` if a length points beyond the end.
fn split_aggregate(body: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let mut check = body;
    while !check.is_empty() {
        (_, check) = split_unit(check)?;
    }
    let mut rest = body;
    let units = std::iter::from_fn(move || {
        let unit;
        (unit, rest) = split_unit(rest)?;
        Some(unit)
    });
    Some(units.filter(|unit| !unit.is_empty()))
}

/// The first unit of an aggregate, which its length precedes, and what follows.
fn split_unit(aggregate: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = aggregate.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// What the units of a payload say about the picture.
#[derive(Default)]
struct Seen {
    any: bool,
    keyframe: bool,
    sequence_set: bool,
    first_of_picture: bool,
}

impl Seen {
    /// Adds a unit by its header and the byte behind it.
    fn add(&mut self, header: u8, next: Option<&u8>) {
        let kind = header & 0x1f;
        self.keyframe |= kind == IDR;
        self.sequence_set |= kind == SPS;
        let begins = match kind {
            // Supplemental information, parameter sets and the like stand in front of all slices of their picture (H.264,
            // section 7.4.1.2.3). If one before it is missing, the slices are complete all the same.
            6..=9 | 14..=18 => true,
            // A slice begins its picture if its first macroblock is number 0, which Exp-Golomb writes as a single 1.
            SLICE | IDR => next.is_some_and(|byte| byte & 0x80 != 0),
            _ => false,
        };
        self.first_of_picture |= begins && !self.any;
        self.any = true;
    }
}

/// Walks the non-empty NAL units of an Annex B byte stream.
struct NalUnits<'a> {
    rest: &'a [u8],
}

impl<'a> NalUnits<'a> {
    /// `None` if there is no start code.
    fn new(stream: &'a [u8]) -> Option<Self> {
        let (_, rest) = split_at_start_code(stream)?;
        Some(Self { rest })
    }
}

impl<'a> Iterator for NalUnits<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let (unit, rest) = split_at_start_code(self.rest).unwrap_or((self.rest, &[]));
            self.rest = rest;
            // Zeros before a start code or at the end are padding: a NAL unit never ends in one.
            let end = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            if end > 0 {
                return Some(&unit[..end]);
            }
        }
        None
    }
}

/// What stands before and after the next 00 00 01.
fn split_at_start_code(stream: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 2;
    while let Some(byte) = stream.get(at) {
        match byte {
            0 => at += 1,
            1 if stream[at - 2..at] == [0, 0] => return Some((&stream[..at - 2], &stream[at + 1..])),
            // Neither this byte nor the two behind it can be the 1 of a start code with this byte as a zero.
            _ => at += 3,
        }
    }
    None
}
