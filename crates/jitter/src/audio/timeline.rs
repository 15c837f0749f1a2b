use std::time::{Duration, Instant};

use remotemedia_media::RtpTimestamp;

use super::AudioPacket;

/// Extends RTP timestamps and converts between them, samples and time.
#[derive(Debug)]
pub(crate) struct Timeline {
    clock_rate: i64,
    sample_rate: i64,
    latest: Option<Latest>,
}

/// The packet with the highest sequence number so far.
#[derive(Clone, Copy, Debug)]
struct Latest {
    sequence: u64,
    timestamp: RtpTimestamp,
    /// The timestamp, extended over its wraps.
    ticks: i64,
    transit: i64,
    /// Where time is counted from: the arrival of the first packet.
    epoch: Instant,
}

/// Where a packet stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    /// Position of its first sample.
    pub(crate) start: i64,
    /// Arrival time less media time in microseconds; only differences mean anything.
    pub(crate) transit: i64,
}

/// Transit times that differ by more are of different timelines.
const JUMP_MICROS: i64 = 2_000_000;

impl Timeline {
    pub(crate) fn new(clock_rate: u32, sample_rate: u32) -> Self {
        Self { clock_rate: i64::from(clock_rate), sample_rate: i64::from(sample_rate), latest: None }
    }

    /// Whether arrival and timestamp of `packet` do not go with those of the packets before. Old packets never jump: what is
    /// sent again late may be seconds behind.
    pub(crate) fn jumps(&self, packet: &AudioPacket) -> bool {
        self.latest.is_some_and(|latest| {
            packet.sequence > latest.sequence && (self.locate(packet).1 - latest.transit).abs() > JUMP_MICROS
        })
    }

    /// Takes `packet` into the timeline.
    pub(crate) fn place(&mut self, packet: &AudioPacket) -> Placed {
        let (ticks, transit) = self.locate(packet);
        if self.latest.is_none_or(|latest| packet.sequence > latest.sequence) {
            let epoch = self.latest.map_or(packet.arrival, |latest| latest.epoch);
            let (sequence, timestamp) = (packet.sequence, packet.timestamp);
            self.latest = Some(Latest { sequence, timestamp, ticks, transit, epoch });
        }
        Placed { start: ticks * self.sample_rate / self.clock_rate, transit }
    }

    /// Time from the moment that stands for the sample at `start` to `now`, in microseconds on the scale of transit times.
    pub(crate) fn delay_of(&self, start: i64, now: Instant) -> i64 {
        self.since_epoch(now) - self.micros(start)
    }

    /// `samples` of each channel as microseconds.
    pub(crate) fn micros(&self, samples: i64) -> i64 {
        samples * 1_000_000 / self.sample_rate
    }

    /// Microseconds as samples of each channel.
    pub(crate) fn samples(&self, micros: i64) -> i64 {
        micros * self.sample_rate / 1_000_000
    }

    /// The RTP timestamp of the sample at `position`.
    pub(crate) fn timestamp(&self, position: i64) -> RtpTimestamp {
        // Truncation to 32 bits is what the RTP clock does.
        RtpTimestamp((position * self.clock_rate / self.sample_rate) as u32)
    }

    fn locate(&self, packet: &AudioPacket) -> (i64, i64) {
        let ticks = match self.latest {
            Some(latest) => latest.ticks + i64::from(packet.timestamp.since(latest.timestamp)),
            None => i64::from(packet.timestamp.0),
        };
        let media = ticks * 1_000_000 / self.clock_rate;
        (ticks, self.since_epoch(packet.arrival) - media)
    }

    fn since_epoch(&self, time: Instant) -> i64 {
        let Some(latest) = self.latest else { return 0 };
        let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        match time.checked_duration_since(latest.epoch) {
            Some(after) => micros(after),
            None => -micros(latest.epoch.saturating_duration_since(time)),
        }
    }
}
