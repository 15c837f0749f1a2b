use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use remotemedia_media::Bitrate;

use super::delay::Usage;
use crate::{ProbeCluster, ProbeId, SentPacket};

/// Decides when to send a short run of packets faster than the target, and reads from their arrivals what the path
/// carries.
#[derive(Debug)]
pub(super) struct Prober {
    next_id: u32,
    wanted: VecDeque<ProbeCluster>,
    running: VecDeque<Cluster>,
    started: bool,
    last_probe: Option<Instant>,
    last_overuse: Option<Instant>,
    last_sent: Option<Instant>,
    start: Bitrate,
}

/// What came back of a probe.
#[derive(Debug)]
struct Cluster {
    probe: ProbeCluster,
    asked: Instant,
    packets: u32,
    bytes: usize,
    sent: Option<Span>,
    arrived: Option<Span>,
}

/// From the first to the last time, and the size of the packet there that the span does not include.
#[derive(Clone, Copy, Debug)]
struct Span {
    first: Duration,
    last: Duration,
    first_size: usize,
    last_size: usize,
}

const DURATION: Duration = Duration::from_millis(15);
const MIN_PACKETS: u32 = 5;
/// How much of a probe has to arrive.
const ENOUGH: f64 = 0.8;
/// A probe that arrives faster than twice its rate was held up and released in one go.
const MAX_COMPRESSION: f64 = 2.0;
/// Below this share of what was sent, the path was full: its capacity has been found.
const UNSATURATED: f64 = 0.9;
const TARGET_UTILISATION: f64 = 0.95;
const START_FACTORS: [f64; 2] = [3.0, 6.0];
/// A probe is followed by a faster one if it shows at least this share of its rate.
const GO_ON: f64 = 0.7;
const STEP: f64 = 2.0;
const INTERVAL: Duration = Duration::from_secs(5);
/// Quiet since the last overuse before a probe at intervals.
const QUIET: Duration = Duration::from_secs(2);
const RESULT_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_RUNNING: usize = 8;
const IDLE: Duration = Duration::from_millis(500);

impl Prober {
    pub(super) fn new(start: Bitrate) -> Self {
        Self {
            next_id: 0,
            wanted: VecDeque::new(),
            running: VecDeque::new(),
            started: false,
            last_probe: None,
            last_overuse: None,
            last_sent: None,
            start,
        }
    }

    /// Begins anew from `start`.
    pub(super) fn restart(&mut self, start: Bitrate) {
        self.start = start;
        self.started = false;
    }

    pub(super) fn next(&mut self) -> Option<ProbeCluster> {
        self.wanted.pop_front()
    }

    pub(super) fn on_sent(&mut self, now: Instant, _size: usize) {
        self.last_sent = Some(now);
    }

    /// Whether something was sent lately.
    pub(super) fn sending(&self, now: Instant) -> bool {
        self.last_sent.is_some_and(|at| now.saturating_duration_since(at) < IDLE)
    }

    /// A packet arrived; answers what the path carries, if that completes a probe.
    pub(super) fn on_arrival(&mut self, sent: Duration, arrival: Duration, packet: &SentPacket) -> Option<Bitrate> {
        let id = packet.probe?;
        let cluster = self.running.iter_mut().find(|c| c.probe.id == id)?;
        cluster.packets += 1;
        cluster.bytes = cluster.bytes.saturating_add(packet.size);
        Span::extend(&mut cluster.sent, sent, packet.size);
        Span::extend(&mut cluster.arrived, arrival, packet.size);
        cluster.result()
    }

    /// The estimate has changed, or a probe has ended.
    pub(super) fn on_estimate(
        &mut self,
        now: Instant,
        target: Bitrate,
        max: Bitrate,
        usage: Usage,
        probed: Option<Bitrate>,
    ) {
        if usage == Usage::Over {
            self.last_overuse = Some(now);
            self.wanted.clear();
            return;
        }
        let Some(probed) = probed else { return };
        let fastest = self.running.iter().map(|c| c.probe.rate).max().unwrap_or_default();
        if probed >= fastest.scale(GO_ON) && target < max && self.wanted.is_empty() {
            self.want(now, probed.scale(STEP), max);
        }
    }

    pub(super) fn on_tick(&mut self, now: Instant, target: Bitrate, max: Bitrate, usage: Usage) {
        self.running.retain(|c| now.saturating_duration_since(c.asked) < RESULT_TIMEOUT * 2);
        if !self.sending(now) {
            return;
        }
        if !self.started {
            self.started = true;
            for factor in START_FACTORS {
                self.want(now, self.start.scale(factor), max);
            }
            return;
        }
        let since = |at: Option<Instant>| at.map_or(Duration::MAX, |at| now.saturating_duration_since(at));
        if usage == Usage::Normal
            && target < max
            && since(self.last_probe) >= INTERVAL
            && since(self.last_overuse) >= QUIET
        {
            self.want(now, target.scale(STEP), max);
        }
    }

    fn want(&mut self, now: Instant, rate: Bitrate, max: Bitrate) {
        // A little above the maximum, so that the path is shown to carry it.
        let rate = rate.min(max.scale(1.05));
        if self.wanted.iter().any(|p| p.rate >= rate) {
            return;
        }
        let probe = ProbeCluster {
            id: ProbeId(self.next_id),
            rate,
            min_packets: MIN_PACKETS,
            min_bytes: rate.bytes_in(DURATION).max(1),
        };
        self.next_id = self.next_id.wrapping_add(1);
        self.last_probe = Some(now);
        self.wanted.push_back(probe);
        if self.running.len() == MAX_RUNNING {
            self.running.pop_front();
        }
        self.running.push_back(Cluster { probe, asked: now, packets: 0, bytes: 0, sent: None, arrived: None });
    }
}

impl Cluster {
    fn result(&self) -> Option<Bitrate> {
        let (sent, arrived) = (self.sent?, self.arrived?);
        let enough = f64::from(self.packets) >= f64::from(self.probe.min_packets) * ENOUGH
            && self.bytes as f64 >= self.probe.min_bytes as f64 * ENOUGH;
        let (sent_in, arrived_in) = (sent.seconds()?, arrived.seconds()?);
        if !enough {
            return None;
        }
        let send = (self.bytes - sent.last_size) as f64 * 8.0 / sent_in;
        let receive = (self.bytes - arrived.first_size) as f64 * 8.0 / arrived_in;
        if receive > send * MAX_COMPRESSION {
            return None;
        }
        let shown = if receive < send * UNSATURATED { receive * TARGET_UTILISATION } else { send.min(receive) };
        Some(Bitrate::from_bps(shown as u64))
    }
}

impl Span {
    fn extend(span: &mut Option<Self>, at: Duration, size: usize) {
        let span = span.get_or_insert(Self { first: at, last: at, first_size: size, last_size: size });
        if at < span.first {
            (span.first, span.first_size) = (at, size);
        }
        if at > span.last {
            (span.last, span.last_size) = (at, size);
        }
    }

    /// `None` if it is too short or too long to tell a rate.
    fn seconds(&self) -> Option<f64> {
        let span = self.last - self.first;
        (Duration::from_millis(1)..RESULT_TIMEOUT).contains(&span).then_some(span.as_secs_f64())
    }
}
