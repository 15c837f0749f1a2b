//! Google Congestion Control: draft-ietf-rmcat-gcc-02, with the trendline filter, the probes and the constants that
//! browsers have come to since (Carlucci et al., "Congestion Control for Web Real-Time Communication", 2017).

mod aimd;
mod delay;
mod loss;
mod probing;
mod throughput;

use std::time::{Duration, Instant};

use remotemedia_media::Bitrate;

use crate::{Estimator, PacketResult, ProbeCluster, SentPacket};
use aimd::RateControl;
use delay::DelayDetector;
use loss::LossControl;
use probing::Prober;
use throughput::Throughput;

/// Google Congestion Control: what browsers use.
///
/// It backs off when packets begin to queue along the path, or when more than a tenth is lost, and otherwise climbs:
/// by 8 % a second, or at once to what a probe has shown. Losses below a tenth do not hold it back, since a path may
/// lose without being full.
///
/// It differs from the browsers' own in two things: it also probes at intervals while the path is quiet, whether or not
/// the sender fills its target, so that it does not stay low after a path has recovered; and the loss rule is the
/// draft's, not the model-fitting one.
#[derive(Debug)]
pub struct Gcc {
    bounds: Bounds,
    delay: DelayDetector,
    rate: RateControl,
    loss: LossControl,
    throughput: Throughput,
    prober: Prober,
    rtt: Duration,
    /// The end of the feedback clock's last message: a report about older packets only is late.
    last_feedback: Option<Instant>,
    first_sent: Option<Instant>,
}

impl Gcc {
    /// The target never goes below this, whatever the bounds say.
    pub const FLOOR: Bitrate = Bitrate::from_kbps(5);

    /// An estimator that begins at `start` and stays within `min..=max`.
    pub fn new(now: Instant, min: Bitrate, start: Bitrate, max: Bitrate) -> Self {
        let bounds = Bounds::new(min, max);
        let start = bounds.clamp(start);
        Self {
            bounds,
            delay: DelayDetector::default(),
            rate: RateControl::new(now, start),
            loss: LossControl::new(now),
            throughput: Throughput::default(),
            prober: Prober::new(start),
            rtt: Duration::from_millis(200),
            last_feedback: None,
            first_sent: None,
        }
    }

    /// What the receiver took in lately; `None` until enough has been reported.
    pub fn throughput(&self) -> Option<Bitrate> {
        self.throughput.rate()
    }

    /// The round-trip time that it works with.
    pub fn round_trip_time(&self) -> Duration {
        self.rtt
    }

    fn set_rate(&mut self, now: Instant, rate: Bitrate) {
        self.rate.set(now, self.bounds.clamp(rate));
    }
}

impl Estimator for Gcc {
    fn on_sent(&mut self, now: Instant, packet: SentPacket) {
        self.first_sent.get_or_insert(now);
        self.prober.on_sent(now, packet.size);
    }

    fn on_feedback(&mut self, now: Instant, results: &[PacketResult]) {
        self.last_feedback = Some(now);
        self.loss.on_feedback(results);
        let mut arrived: Vec<(Duration, SentPacket)> =
            results.iter().filter_map(|r| r.arrived_at.map(|at| (at, r.sent))).collect();
        arrived.sort_unstable_by_key(|(at, sent)| (*at, sent.sequence));
        if let Some((_, last)) = arrived.last() {
            // The packet that waited least for this report: the others' waiting is no part of the path.
            self.on_round_trip_time(now, now.saturating_duration_since(last.sent_at));
        }
        let origin = *self.first_sent.get_or_insert(now);
        let mut probed = None;
        for (at, sent) in &arrived {
            let sent_after = sent.sent_at.saturating_duration_since(origin);
            self.throughput.on_arrival(sent_after, *at, sent.size);
            self.delay.on_arrival(sent_after, *at);
            probed = self.prober.on_arrival(sent_after, *at, sent).or(probed);
        }
        let throughput = self.throughput.rate();
        let usage = self.delay.usage();
        self.rate.update(now, usage, throughput, self.rtt);
        if let Some(probed) = probed {
            // A probe that shows less than what gets through anyway was disturbed.
            let least = throughput.map_or(Bitrate::ZERO, |t| t.scale(0.85)).min(self.rate.target());
            self.set_rate(now, probed.max(least));
            self.loss.on_probe(self.rate.target());
        }
        self.loss.update(now, self.rate.target(), throughput, self.rtt);
        self.set_rate(now, self.rate.target());
        let target = self.target();
        self.prober.on_estimate(now, target, self.bounds.max, usage, probed);
    }

    fn on_round_trip_time(&mut self, _now: Instant, rtt: Duration) {
        let rtt = rtt.clamp(Duration::from_millis(1), Duration::from_secs(5));
        self.rtt = (self.rtt * 7 + rtt) / 8;
    }

    fn on_tick(&mut self, now: Instant) {
        // Without a word from the receiver the path is unknown: half the rate for every second of silence.
        let silent = self.last_feedback.map(|at| now.saturating_duration_since(at));
        if silent.is_some_and(|s| s > FEEDBACK_TIMEOUT + self.rtt * 3) && self.prober.sending(now) {
            self.set_rate(now, self.rate.target().scale(0.5));
            self.last_feedback = Some(now);
        }
        let target = self.target();
        self.prober.on_tick(now, target, self.bounds.max, self.delay.usage());
    }

    fn set_bounds(&mut self, now: Instant, min: Bitrate, start: Option<Bitrate>, max: Bitrate) {
        self.bounds = Bounds::new(min, max);
        self.set_rate(now, start.unwrap_or(self.rate.target()));
        if start.is_some() {
            self.loss.lift();
            self.prober.restart(self.rate.target());
        }
    }

    fn target(&self) -> Bitrate {
        let limit = self.loss.limit().unwrap_or(self.bounds.max);
        self.bounds.clamp(self.rate.target().min(limit))
    }

    fn next_probe(&mut self) -> Option<ProbeCluster> {
        self.prober.next()
    }
}

/// Silence of the receiver that is taken for an outage; reports are due every 100 ms.
const FEEDBACK_TIMEOUT: Duration = Duration::from_millis(1_000);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bounds {
    min: Bitrate,
    max: Bitrate,
}

impl Bounds {
    fn new(min: Bitrate, max: Bitrate) -> Self {
        let min = min.max(Gcc::FLOOR);
        Self { min, max: max.max(min) }
    }

    fn clamp(&self, rate: Bitrate) -> Bitrate {
        rate.clamp(self.min, self.max)
    }
}
