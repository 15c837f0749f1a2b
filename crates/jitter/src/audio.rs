mod catching_up;
mod concealment;
mod config;
mod control;
mod decoder;
mod delay;
mod pull_phase;
mod samples;
mod stats;
mod stretch;
mod timeline;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use bytes::Bytes;
use remotemedia_media::RtpTimestamp;

use self::{
    concealment::{Concealment, Pause},
    control::DelayControl,
    samples::SampleQueue,
    timeline::Timeline,
};
pub use self::{
    config::{PlayoutConfig, PlayoutConfigError, PlayoutMode},
    decoder::{PacketDecoder, UndecodablePacket},
    pull_phase::PullPhase,
    stats::PlayoutStats,
};

/// An audio packet as it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioPacket {
    /// Sequence number, extended over its wraps so that it only grows.
    pub sequence: u64,
    /// Media time of the first sample on the RTP clock.
    pub timestamp: RtpTimestamp,
    /// What the decoder takes. Nothing (padding) counts as received and has no sound.
    pub payload: Bytes,
    /// When it arrived.
    pub arrival: Instant,
}

/// Plays one stream of audio packets.
///
/// [`AudioPlayout::insert`] takes packets in any order, [`AudioPlayout::pull`] gives the samples that are due, decoding them
/// on the way. Between the two stands the delay: how far the playout is behind the fastest packet of the last 10 s.
///
/// - It starts at [`PlayoutConfig::start`]. In adaptive mode it then moves to where waiting longer would cost more than the
///   late packets that it saves; on a clean path that is the time to the next pull.
/// - It moves by cutting pauses, or by leaving out or repeating a single pitch period where the sound repeats itself. After a
///   stall it comes back the same way; what is more than 500 ms too old is skipped.
/// - A packet that is missing when its turn comes is decoded from the redundancy of the next one, or else concealed. When
///   nothing at all has come, playout waits, concealing: nothing of what arrives later is lost.
/// - A jump of the timestamp without one of the sequence number is a pause of the sender (DTX). It is filled with comfort noise
///   and not counted as loss, however long it was.
/// - When nothing has come for a second, what is made up fades out within half a second.
/// - A jump of more than 2 s between timestamps and arrival times begins the timeline anew.
///
/// At most 512 packets wait here; the oldest go first and count as discarded.
#[derive(Debug)]
pub struct AudioPlayout<D> {
    config: PlayoutConfig,
    decoder: D,
    packets: BTreeMap<u64, Waiting>,
    /// Sequence numbers of packets without sound.
    padding: BTreeSet<u64>,
    queue: SampleQueue,
    timeline: Timeline,
    control: DelayControl,
    /// Where playout stands; `None` until the first packet is due.
    position: Option<Position>,
    stats: PlayoutStats,
    concealment: Concealment,
    /// The first packet of the timeline since it began anew.
    oldest: u64,
}

/// Most packets that wait at a time: 10 s of 20 ms each.
const MOST_PACKETS: usize = 512;
/// A gap between consecutive packets up to this long is inaccuracy, not a pause.
const LEAST_PAUSE_MICROS: i64 = 2_500;
/// Length of the fade where something was cut out.
const FADE_MICROS: i64 = 5_000;
/// Below this mean square (-60 dBFS) sound is silence.
const SILENCE: f32 = 1e-6;

/// What one [`AudioPlayout::pull`] gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulled {
    /// Media time of the first sample; `None` before the first packet is due. It stands still while playout waits for packets.
    pub timestamp: Option<RtpTimestamp>,
    /// How many samples of each channel came out of packets; the others were made up.
    pub from_packets: usize,
}

#[derive(Debug)]
struct Waiting {
    /// Position of its first sample.
    start: i64,
    payload: Bytes,
    arrival: Instant,
}

/// Where playout stands, in samples on the extended media clock.
#[derive(Debug)]
struct Position {
    /// The next sample to decode.
    cursor: i64,
    /// The packet that should hold it.
    next: u64,
    /// Samples made up since packets ran out, while the cursor waits.
    waited: i64,
    /// Samples of the last packet decoded.
    packet_len: i64,
}

impl<D: PacketDecoder> AudioPlayout<D> {
    /// Playout through `decoder`.
    ///
    /// # Errors
    ///
    /// [`PlayoutConfigError`] if a value of `config` is out of range.
    pub fn new(config: PlayoutConfig, decoder: D) -> Result<Self, PlayoutConfigError> {
        config.check()?;
        Ok(Self {
            config,
            decoder,
            packets: BTreeMap::new(),
            padding: BTreeSet::new(),
            queue: SampleQueue::new(config.channels),
            timeline: Timeline::new(config.clock_rate, config.sample_rate),
            control: DelayControl::new(config),
            position: None,
            stats: PlayoutStats::default(),
            concealment: Concealment::default(),
            oldest: 0,
        })
    }

    /// Takes a packet.
    pub fn insert(&mut self, packet: AudioPacket) {
        if self.packets.contains_key(&packet.sequence) || self.padding.contains(&packet.sequence) {
            self.stats.packets_duplicated += 1;
            return;
        }
        self.stats.packets_received += 1;
        if packet.payload.is_empty() {
            // Its timestamp means nothing.
            self.padding.insert(packet.sequence);
            if self.padding.len() > MOST_PACKETS {
                self.padding.pop_first();
            }
            return;
        }
        if self.timeline.jumps(&packet) {
            self.reset();
            self.oldest = packet.sequence;
        }
        if packet.sequence < self.oldest {
            self.stats.packets_discarded += 1;
            return;
        }
        let placed = self.timeline.place(&packet);
        self.control.packet_arrived(packet.arrival, placed.transit);
        if self.position.as_ref().is_some_and(|position| packet.sequence < position.next) {
            self.stats.packets_discarded += 1;
            self.control.loss_seen(packet.arrival);
            return;
        }
        let waiting = Waiting { start: placed.start, payload: packet.payload, arrival: packet.arrival };
        self.packets.insert(packet.sequence, waiting);
        if self.packets.len() > MOST_PACKETS {
            self.packets.pop_first();
            self.stats.packets_discarded += 1;
        }
    }

    /// Fills `out` with the interleaved samples that are due at `now`. It wants to be called at a steady pace, once per length
    /// of `out`; the sound is silence until the first packet is due. A torn last sample of `out` is silence.
    pub fn pull(&mut self, now: Instant, out: &mut [f32]) -> Pulled {
        let wanted = out.len() / usize::from(self.config.channels);
        if wanted == 0 || !self.begin(now) {
            out.fill(0.0);
            return Pulled::default();
        }
        self.cut_excess(now);
        while self.queue.len() < wanted && self.step(now, wanted) {}
        self.adjust(now, wanted);
        let timestamp = self.position.as_ref().map(|position| {
            let first = position.cursor - self.queue.len() as i64;
            self.timeline.timestamp(first)
        });
        let (emitted, waited) = self.queue.emit(now, out);
        self.control.heard(out);
        self.stats.total_samples_received += wanted as u64;
        self.stats.jitter_buffer_emitted_count += emitted;
        self.stats.jitter_buffer_delay += waited;
        self.stats.jitter_buffer_target_delay += self.control.target(now) * u32::try_from(emitted).unwrap_or(u32::MAX);
        Pulled { timestamp, from_packets: usize::try_from(emitted).unwrap_or(wanted) }
    }

    /// Takes over `start`, `min`, `max` and `mode` of `config` from the next pull on; the formats stay as they are.
    ///
    /// # Errors
    ///
    /// [`PlayoutConfigError`] if one of them is out of range; nothing is changed then.
    pub fn set_delays(&mut self, config: &PlayoutConfig) -> Result<(), PlayoutConfigError> {
        let PlayoutConfig { start, min, max, mode, .. } = *config;
        let config = PlayoutConfig { start, min, max, mode, ..self.config };
        config.check()?;
        self.config = config;
        self.control.set_config(config);
        Ok(())
    }

    /// What was counted so far.
    pub fn stats(&self) -> PlayoutStats {
        self.stats
    }

    /// The delay that playout aims for at `now`, behind the fastest packet.
    pub fn target_delay(&self, now: Instant) -> Duration {
        self.control.target(now)
    }

    /// How many microseconds sooner the latest pulls could have come without missing a packet that was worth waiting for;
    /// negative, how much later they should have come. `None` while nothing plays. A reader that is free to choose moves its next
    /// pulls by as much ([`PullPhase`]): it hears everything that much sooner, or whole.
    pub fn room(&self) -> Option<i64> {
        self.control.room()
    }

    /// Whether a pull of `samples` of each channel would have to make up sound since nothing has come, for the first time since
    /// packets were there. A reader that can waits a little for a packet that may just be late.
    pub fn runs_dry(&self, samples: usize) -> bool {
        let starved = |position: &Position| position.waited == 0 && self.queue.len() < samples;
        self.packets.is_empty() && self.position.as_ref().is_some_and(starved)
    }

    /// Packets that wait for their turn.
    pub fn waiting_packets(&self) -> usize {
        self.packets.len()
    }

    /// The decoder.
    pub fn decoder(&self) -> &D {
        &self.decoder
    }

    /// The decoder, to change its settings.
    pub fn decoder_mut(&mut self) -> &mut D {
        &mut self.decoder
    }

    /// Whether playout has begun; begins it when the first packet has waited for the start delay.
    fn begin(&mut self, now: Instant) -> bool {
        if self.position.is_some() {
            return true;
        }
        let Some((&next, first)) = self.packets.first_key_value() else { return false };
        let delay = self.timeline.delay_of(first.start, now) - self.control.baseline();
        if delay < self.control.start_micros() {
            return false;
        }
        let packet_len = self.config.sample_rate as i64 / 50;
        self.position = Some(Position { cursor: first.start, next, waited: 0, packet_len });
        true
    }

    /// Adds to the queue what comes next. Answers whether it may be called again.
    fn step(&mut self, now: Instant, wanted: usize) -> bool {
        let Some(position) = &mut self.position else { return false };
        let short = wanted.saturating_sub(self.queue.len());
        let Some((&sequence, packet)) = self.packets.first_key_value() else {
            self.wait(short);
            return true;
        };
        while self.padding.first().is_some_and(|padding| *padding <= position.next) {
            if self.padding.pop_first() == Some(position.next) {
                position.next = position.next.saturating_add(1);
            }
        }
        let in_order = sequence == position.next;
        let start = packet.start;
        let gap = start - position.cursor;
        if in_order && self.timeline.micros(gap) <= LEAST_PAUSE_MICROS {
            self.decode_front();
            return true;
        }
        if in_order {
            // The sender paused. Silence takes any length: the sound after it begins at the delay that is aimed for.
            let delay = self.timeline.delay_of(start, now) + self.timeline.micros(self.queue.len() as i64);
            if delay - self.control.baseline() < self.control.target_micros(now) {
                self.wait(short);
            } else {
                self.settle(Pause::Comfort);
                self.jump_to(start, sequence);
            }
            return true;
        }
        self.control.loss_seen(now);
        self.pass_missing(now, start, sequence);
        true
    }

    /// Decodes the packet in front, whose turn it is.
    fn decode_front(&mut self) {
        let Some((sequence, packet)) = self.packets.pop_first() else { return };
        self.settle(Pause::Concealment);
        let Some(position) = &mut self.position else { return };
        if std::mem::take(&mut position.waited) > 0 {
            self.control.interrupted();
        }
        position.next = sequence.saturating_add(1);
        position.cursor = packet.start;
        let mut decoded = Ok(());
        let len = self.queue.append(Some(packet.arrival), |out| decoded = self.decoder.decode(&packet.payload, out));
        if decoded.is_err() {
            self.stats.packets_undecodable += 1;
        }
        if len == 0 {
            let len = position.packet_len;
            position.cursor += len;
            self.conceal(len, Pause::Concealment);
            return;
        }
        position.cursor += len as i64;
        position.packet_len = len as i64;
        self.concealment.packet_decoded();
    }

    /// Goes on with the packet `sequence`, which begins at `start`, fading over from what would have come.
    fn jump_to(&mut self, start: i64, sequence: u64) {
        let Some(position) = &mut self.position else { return };
        position.cursor = start;
        position.next = sequence;
        position.waited = 0;
        if self.queue.len() == 0 {
            let mut tail = Vec::new();
            let samples = usize::try_from(self.timeline.samples(FADE_MICROS)).unwrap_or_default();
            self.decoder.conceal(samples, &mut tail);
            let gain = self.gain_after(self.concealment.made_up());
            tail.iter_mut().for_each(|sample| *sample *= gain);
            self.decode_front();
            self.queue.fade_from(&tail);
        }
        self.control.interrupted();
    }

    fn next_is_in_order(&self) -> bool {
        let (Some(position), Some((sequence, packet))) = (&self.position, self.packets.first_key_value()) else {
            return false;
        };
        *sequence == position.next && packet.start <= position.cursor
    }

    fn reset(&mut self) {
        self.settle(Pause::Concealment);
        self.stats.resets += 1;
        self.stats.packets_discarded += self.packets.len() as u64;
        self.packets.clear();
        self.padding.clear();
        self.queue.clear();
        self.timeline = Timeline::new(self.config.clock_rate, self.config.sample_rate);
        self.control = DelayControl::new(self.config);
        self.position = None;
        self.concealment.timeline_ended();
    }
}
