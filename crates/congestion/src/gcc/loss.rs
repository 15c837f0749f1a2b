use std::time::{Duration, Instant};

use remotemedia_media::Bitrate;

use crate::PacketResult;

/// Limits the rate while more than a tenth is lost (draft section 6). Between 2 % and 10 % it keeps the limit it has, and
/// below 2 % it lifts it by and by: losses of that size say little of a full path.
///
/// Where sending less does not lessen the loss, it is the path's own, and the limit goes: what counts from then on is
/// what is lost beyond it.
#[derive(Debug)]
pub(super) struct LossControl {
    limit: Option<Bitrate>,
    lost: u32,
    received: u32,
    updated: Instant,
    decreased: Option<Instant>,
    /// Rate and loss where the decreases began.
    episode: Option<(Bitrate, f64)>,
    /// Loss that has nothing to do with the rate.
    inherent: f64,
}

const HIGH: f64 = 0.10;
const LOW: f64 = 0.02;
const INTERVAL: Duration = Duration::from_millis(300);
const MIN_PACKETS: u32 = 20;
const RISE_PER_SECOND: f64 = 1.08;
/// A loss is the path's own if it stays at this share of itself while the rate goes down to that share.
const UNMOVED_LOSS: f64 = 0.75;
const MOVED_RATE: f64 = 0.75;

impl LossControl {
    pub(super) fn new(now: Instant) -> Self {
        Self { limit: None, lost: 0, received: 0, updated: now, decreased: None, episode: None, inherent: 0.0 }
    }

    pub(super) fn limit(&self) -> Option<Bitrate> {
        self.limit
    }

    pub(super) fn lift(&mut self) {
        self.limit = None;
    }

    /// A probe got through at `rate`.
    pub(super) fn on_probe(&mut self, rate: Bitrate) {
        self.limit = self.limit.map(|limit| limit.max(rate));
    }

    pub(super) fn on_feedback(&mut self, results: &[PacketResult]) {
        let received = results.iter().filter(|r| r.arrived_at.is_some()).count();
        self.received = self.received.saturating_add(u32::try_from(received).unwrap_or(u32::MAX));
        self.lost = self.lost.saturating_add(u32::try_from(results.len() - received).unwrap_or(u32::MAX));
    }

    pub(super) fn update(&mut self, now: Instant, target: Bitrate, throughput: Option<Bitrate>, rtt: Duration) {
        let passed = now.saturating_duration_since(self.updated);
        let total = self.lost.saturating_add(self.received);
        if passed < INTERVAL || total < MIN_PACKETS {
            return;
        }
        let loss = f64::from(self.lost) / f64::from(total);
        (self.lost, self.received, self.updated) = (0, 0, now);
        let current = self.limit.map_or(target, |limit| limit.min(target));
        self.inherent = self.inherent.min(loss);
        if loss > HIGH + self.inherent {
            let (rate, first) = *self.episode.get_or_insert((current, loss));
            if current <= rate.scale(MOVED_RATE) && loss >= first * UNMOVED_LOSS {
                (self.inherent, self.limit, self.episode) = (loss, None, None);
            } else if self.decreased.is_none_or(|at| now.saturating_duration_since(at) >= INTERVAL + rtt) {
                // Losses of before the last decrease are reported for a round trip more.
                let floor = throughput.map_or(Bitrate::ZERO, |t| t.scale(0.85)).min(current);
                self.limit = Some(current.scale(1.0 - 0.5 * loss).max(floor));
                self.decreased = Some(now);
            }
            return;
        }
        self.episode = None;
        if self.inherent > 0.0 {
            self.limit = None;
        } else if loss < LOW
            && let Some(limit) = self.limit
        {
            let seconds = passed.min(Duration::from_secs(1)).as_secs_f64();
            let raised = limit.scale(RISE_PER_SECOND.powf(seconds)) + Bitrate::from_bps(1_000);
            // Far above the delay's target it limits nothing.
            self.limit = (raised < target.scale(1.5)).then_some(raised);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SentPacket;

    fn feedback(now: Instant, lost: usize) -> Vec<PacketResult> {
        let sent = SentPacket { sequence: 0, size: 1_200, sent_at: now, probe: None };
        (0..100).map(|i| PacketResult { sent, arrived_at: (i >= lost).then_some(Duration::ZERO) }).collect()
    }

    fn limit_after(lost: usize) -> Option<Bitrate> {
        let start = Instant::now();
        let mut control = LossControl::new(start);
        control.on_feedback(&feedback(start, lost));
        let now = start + Duration::from_secs(1);
        control.update(now, Bitrate::from_kbps(1_000), None, Duration::from_millis(100));
        control.limit()
    }

    #[test]
    fn only_more_than_a_tenth_limits() {
        assert_eq!(limit_after(0), None);
        assert_eq!(limit_after(10), None);
        assert_eq!(limit_after(20), Some(Bitrate::from_kbps(900)));
    }

    #[test]
    fn a_loss_that_sending_less_does_not_lessen_limits_no_longer() {
        let start = Instant::now();
        let (mut control, mut now, mut lowest) = (LossControl::new(start), start, Bitrate::from_kbps(1_000));
        for _ in 0..20 {
            now += Duration::from_secs(1);
            control.on_feedback(&feedback(now, 20));
            control.update(now, Bitrate::from_kbps(1_000), None, Duration::from_millis(100));
            lowest = control.limit().map_or(lowest, |limit| limit.min(lowest));
        }
        assert_eq!(control.limit(), None);
        assert!(lowest >= Bitrate::from_kbps(600), "{lowest}");
        // More on top of it is congestion again.
        now += Duration::from_secs(1);
        control.on_feedback(&feedback(now, 45));
        control.update(now, Bitrate::from_kbps(1_000), None, Duration::from_millis(100));
        assert!(control.limit().is_some());
    }
}
