//! Keeps a DTLS 1.2 handshake going over a path that loses datagrams.
//!
//! The library under us stops its retransmission timer for good when a repeated flight reaches it while it waits for
//! the next one: the client whose flight 5 was lost hears the server's flight 4 again, and never repeats its own
//! (RFC 6347, section 4.2.4 says: repeat it). Its timer, besides, is one second and cannot be set. So this guard, which
//! sees every datagram, does both things outside of it: a flight that we have answered is kept away and answered
//! again, and our own flight is repeated after 50, 100, 200, … ms until the peer advances. What it repeats are the very
//! bytes that were sent: a peer that has them discards them as duplicates (section 4.1.2.6).

use std::time::{Duration, Instant};

/// The first repetition of a flight; each further one waits twice as long.
const FIRST_REPEAT: Duration = Duration::from_millis(50);
/// The longest wait between two repetitions.
const SLOWEST_REPEAT: Duration = Duration::from_millis(800);
/// Repetitions by the clock, about 24 s: long after every deadline of a connection attempt.
const MAX_REPEATS: u32 = 32;
/// Answers to repeated flights, so that replayed datagrams draw a bounded echo.
const MAX_ANSWERS: u32 = 32;
/// A flight's datagrams come in a burst: one answer for all of them.
const ANSWER_GAP: Duration = Duration::from_millis(10);
/// Datagrams kept of one flight. A flight with a long certificate chain has four.
const MAX_FLIGHT: usize = 8;
/// Encrypted handshake records remembered.
const MAX_ENCRYPTED: usize = 32;
/// No handshake has more messages; a higher number is a forgery that must not push ours aside.
const MAX_MESSAGE_SEQUENCE: u16 = 64;

const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

/// What is to become of a datagram that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may carry something new.
    Deliver,
    /// It only repeats what has been answered: answer it again with [`HandshakeGuard::answer`].
    Withhold,
}

/// What a datagram is to a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relevance {
    /// Nothing.
    None,
    /// Its beginning shows that the handshake is over for whoever sent it.
    AfterHandshake,
    /// It may be part of one.
    MayBeHandshake,
}

/// Tells DTLS records (RFC 7983, section 7), bare or relayed by a TURN server, from everything else.
pub(super) fn relevance(datagram: &[u8]) -> Relevance {
    match records_of(datagram).and_then(|mut records| records.next()) {
        None => Relevance::None,
        Some(record) if record.content_type == APPLICATION_DATA => Relevance::AfterHandshake,
        Some(_) => Relevance::MayBeHandshake,
    }
}

/// The state of one connection's handshake, as seen from outside. `R` is where a datagram was sent.
#[derive(Debug)]
pub(super) struct HandshakeGuard<R> {
    flight: Vec<Sent<R>>,
    /// The peer has sent something of the flight that follows ours, so it has all of ours.
    advanced: bool,
    /// Our last flight is out: nothing follows it, so the clock does not repeat it.
    last_flight: bool,
    done: bool,
    repeats: u32,
    answers: u32,
    last_sent: Option<Instant>,
    /// One more than the highest message number that has been heard.
    heard: u16,
    /// Message numbers below this belong to flights that ours has answered.
    answered: u16,
    /// Encrypted handshake records that have been heard, by record number, and whether ours has answered them.
    encrypted: Vec<(u64, bool)>,
}

#[derive(Clone, Debug)]
struct Sent<R> {
    key: Key,
    /// Whether it ends a side of the handshake.
    finishes: bool,
    datagram: Vec<u8>,
    route: R,
}

/// Tells a datagram of a flight from the others: it is the same when the library repeats it with new record numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    content_type: u8,
    epoch: u16,
    message: [u8; HANDSHAKE_HEADER],
}

impl<R> Default for HandshakeGuard<R> {
    fn default() -> Self {
        Self {
            flight: Vec::new(),
            advanced: false,
            last_flight: false,
            done: false,
            repeats: 0,
            answers: 0,
            last_sent: None,
            heard: 0,
            answered: 0,
            encrypted: Vec::new(),
        }
    }
}

impl<R: Clone> HandshakeGuard<R> {
    /// A datagram was sent.
    pub(super) fn on_send(&mut self, now: Instant, datagram: &[u8], route: R) {
        if self.done {
            return;
        }
        let Some(records) = records_of(datagram) else { return };
        let Some(first) = records.clone().next().filter(|_| records.clone().any(|r| r.is_of_handshake())) else {
            return;
        };
        let finishes = records.clone().any(|r| r.content_type == CHANGE_CIPHER_SPEC || r.epoch > 0);
        let sent = Sent { key: first.key(), finishes, datagram: datagram.to_vec(), route };
        if let Some(same) = self.flight.iter_mut().find(|s| s.key == sent.key) {
            *same = sent;
            self.last_sent = Some(now);
            return;
        }
        if self.flight.is_empty() || self.advanced {
            self.flight.clear();
            self.advanced = false;
            self.repeats = 0;
            self.answers = 0;
            self.answered = self.heard;
            self.encrypted.iter_mut().for_each(|(_, answered)| *answered = true);
            self.last_flight = !self.encrypted.is_empty();
        }
        self.last_sent = Some(now);
        if self.flight.len() < MAX_FLIGHT {
            self.flight.push(sent);
        }
    }

    /// A datagram arrived.
    pub(super) fn on_receive(&mut self, _now: Instant, datagram: &[u8]) -> Verdict {
        let Some(records) = records_of(datagram) else { return Verdict::Deliver };
        let (mut handshake, mut all_answered) = (false, true);
        for record in records {
            match record.content_type {
                HANDSHAKE => {
                    handshake = true;
                    all_answered &= self.hear(&record);
                }
                // Whoever sends data under the new keys has our last flight.
                APPLICATION_DATA if self.last_flight => self.finish(),
                _ => {}
            }
        }
        if handshake && all_answered && !self.flight.is_empty() { Verdict::Withhold } else { Verdict::Deliver }
    }

    /// Whether the handshake is over on both sides, as far as can be seen.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Our flight again, for a peer that has shown that it lacks it.
    pub(super) fn answer(&mut self, now: Instant) -> Vec<(Vec<u8>, R)> {
        let too_soon = self.last_sent.is_some_and(|at| now.saturating_duration_since(at) < ANSWER_GAP);
        if self.advanced || too_soon || self.answers >= MAX_ANSWERS {
            return Vec::new();
        }
        self.answers += 1;
        self.again(now)
    }

    /// When our flight is to be repeated.
    pub(super) fn next_repeat(&self) -> Option<Instant> {
        let waiting = !self.flight.is_empty() && !self.advanced && !self.last_flight && self.repeats < MAX_REPEATS;
        let wait = FIRST_REPEAT.saturating_mul(1 << self.repeats.min(8)).min(SLOWEST_REPEAT);
        self.last_sent.filter(|_| waiting).map(|at| at + wait)
    }

    /// Our flight, if it is due to be repeated.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(Vec<u8>, R)> {
        if self.next_repeat().is_none_or(|due| due > now) {
            return Vec::new();
        }
        self.repeats += 1;
        self.again(now)
    }

    fn again(&mut self, now: Instant) -> Vec<(Vec<u8>, R)> {
        self.last_sent = Some(now);
        self.flight.iter().map(|s| (s.datagram.clone(), s.route.clone())).collect()
    }

    /// Notes a handshake record; answers whether it belongs to a flight that we have answered.
    fn hear(&mut self, record: &Record<'_>) -> bool {
        if record.epoch > 0 {
            if let Some((_, answered)) = self.encrypted.iter().find(|(number, _)| *number == record.number) {
                return *answered;
            }
            if self.encrypted.len() < MAX_ENCRYPTED {
                self.encrypted.push((record.number, false));
            }
            self.advanced = true;
            // Both sides have finished, the peer last.
            if self.flight.iter().any(|s| s.finishes) && !self.last_flight {
                self.finish();
            }
            return false;
        }
        let mut all_answered = true;
        for sequence in record.message_sequences() {
            all_answered &= sequence < self.answered;
            if sequence >= self.heard && sequence < MAX_MESSAGE_SEQUENCE {
                self.heard = sequence + 1;
                self.advanced = true;
            }
        }
        all_answered
    }

    fn finish(&mut self) {
        self.done = true;
        self.flight = Vec::new();
    }
}

const RECORD_HEADER: usize = 13;
const HANDSHAKE_HEADER: usize = 12;

/// One DTLS record (RFC 6347, section 4.1).
#[derive(Clone, Copy, Debug)]
struct Record<'a> {
    content_type: u8,
    epoch: u16,
    /// Epoch and sequence number as one.
    number: u64,
    body: &'a [u8],
}

impl<'a> Record<'a> {
    fn is_of_handshake(&self) -> bool {
        matches!(self.content_type, HANDSHAKE | CHANGE_CIPHER_SPEC)
    }

    fn key(&self) -> Key {
        let mut message = [0; HANDSHAKE_HEADER];
        if self.content_type == HANDSHAKE && self.epoch == 0 {
            let len = self.body.len().min(HANDSHAKE_HEADER);
            message[..len].copy_from_slice(&self.body[..len]);
        }
        Key { content_type: self.content_type, epoch: self.epoch, message }
    }

    /// The numbers of the plaintext handshake messages in it (section 4.2.2).
    fn message_sequences(&self) -> impl Iterator<Item = u16> + use<'a> {
        let mut rest = self.body;
        std::iter::from_fn(move || {
            let (header, after) = rest.split_at_checked(HANDSHAKE_HEADER)?;
            let length = usize::from(header[9]) << 16 | usize::from(header[10]) << 8 | usize::from(header[11]);
            rest = after.get(length..).unwrap_or_default();
            Some(u16::from_be_bytes([header[4], header[5]]))
        })
    }
}

/// The records of a datagram; `None` if it holds none.
fn records_of(datagram: &[u8]) -> Option<impl Iterator<Item = Record<'_>> + Clone> {
    let payload = match datagram.first()? {
        CHANGE_CIPHER_SPEC..=63 => datagram,
        _ => relayed_payload(datagram)?,
    };
    let mut rest = payload;
    let records = std::iter::from_fn(move || {
        let (header, after) = rest.split_at_checked(RECORD_HEADER)?;
        let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
        let (body, after) = after.split_at_checked(length)?;
        rest = after;
        let number = header[3..11].iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        let epoch = u16::from_be_bytes([header[3], header[4]]);
        Some(Record { content_type: header[0], epoch, number, body })
    });
    matches!(payload.first()?, CHANGE_CIPHER_SPEC..=63).then_some(records)
}

/// What a TURN server passes on in ChannelData (RFC 8656, section 12.4), or in a Send or Data indication (section 11).
fn relayed_payload(datagram: &[u8]) -> Option<&[u8]> {
    const INDICATIONS: [u16; 2] = [0x0016, 0x0017];
    const DATA: u16 = 0x0013;
    let (head, rest) = datagram.split_at_checked(4)?;
    let (kind, length) = (u16::from_be_bytes([head[0], head[1]]), usize::from(u16::from_be_bytes([head[2], head[3]])));
    if (0x4000..0x5000).contains(&kind) {
        return rest.get(..length);
    }
    if !INDICATIONS.contains(&kind) {
        return None;
    }
    let mut attributes = rest.get(16..)?;
    while let Some((head, after)) = attributes.split_at_checked(4) {
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if u16::from_be_bytes([head[0], head[1]]) == DATA {
            return after.get(..length);
        }
        attributes = after.get(length.next_multiple_of(4)..)?;
    }
    None
}
