use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use remotemedia_media::Bitrate;

use crate::{ProbeCluster, ProbeId};

/// Spreads packets over time, at a rate and within a fixed delay.
///
/// Audio never waits. Video and retransmissions leave at the rate, in bursts of at most 5 ms. What would wait longer
/// than the bound is dropped, oldest frame first and as a whole. A frame that has begun to leave is finished, and one that
/// is too large for the bound is sent faster instead, so that the largest keyframe leaves within it, too.
#[derive(Debug)]
pub struct Pacer<T> {
    max_delay: Duration,
    rate: Bitrate,
    audio: VecDeque<Waiting<T>>,
    retransmissions: VecDeque<Waiting<T>>,
    video: VecDeque<Waiting<T>>,
    padding: VecDeque<Waiting<T>>,
    /// The frame whose packets are leaving.
    begun: Option<u64>,
    /// Of everything but audio.
    queued_bytes: usize,
    /// Bytes sent ahead of the rate, as of `updated`.
    debt: f64,
    updated: Option<Instant>,
    pending_probe: Option<ProbeCluster>,
    probe: Option<RunningProbe>,
    stats: PacerStats,
}

/// What a packet is sent as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// At once, whatever the rate.
    Audio,
    /// Before video: it completes a frame that is already on its way.
    Retransmission,
    /// At the rate.
    Video,
    /// Only when there is nothing else.
    Padding,
}

/// A packet to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacerPacket<T> {
    /// The packet itself.
    pub item: T,
    /// Bytes on the wire.
    pub size: usize,
    /// What it is sent as.
    pub priority: Priority,
    /// Packets of one frame have the same, and are dropped together.
    pub frame: u64,
}

/// A packet whose turn has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paced<T> {
    /// The packet itself.
    pub item: T,
    /// How long it waited.
    pub waited: Duration,
    /// The probe that it is part of.
    pub probe: Option<ProbeId>,
}

/// What a pacer has seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacerStats {
    /// Packets dropped because they would have waited too long.
    pub dropped_packets: u64,
    /// Frames that lost at least one packet that way.
    pub dropped_frames: u64,
    /// The longest that a packet waited.
    pub longest_wait: Duration,
}

#[derive(Debug)]
struct Waiting<T> {
    packet: PacerPacket<T>,
    since: Instant,
}

#[derive(Debug)]
struct RunningProbe {
    cluster: ProbeCluster,
    packets: u32,
    bytes: usize,
    started: Instant,
}

impl<T> Pacer<T> {
    /// How much may leave at once: timers are no finer than a millisecond.
    pub const BURST: Duration = Duration::from_millis(5);
    /// A probe that takes longer tells nothing.
    const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
    /// Packets that may wait, whatever the rate.
    const MAX_PACKETS: usize = 4_096;

    /// A pacer that sends at `rate` and lets nothing wait longer than `max_delay`.
    pub fn new(rate: Bitrate, max_delay: Duration) -> Self {
        Self {
            max_delay,
            rate: rate.max(Bitrate::from_bps(1)),
            audio: VecDeque::new(),
            retransmissions: VecDeque::new(),
            video: VecDeque::new(),
            padding: VecDeque::new(),
            begun: None,
            queued_bytes: 0,
            debt: 0.0,
            updated: None,
            pending_probe: None,
            probe: None,
            stats: PacerStats::default(),
        }
    }

    /// Sends at `rate` from now on.
    pub fn set_rate(&mut self, now: Instant, rate: Bitrate) {
        self.settle(now);
        self.rate = rate.max(Bitrate::from_bps(1));
    }

    /// The next video packet begins this probe; one that was waiting is replaced.
    pub fn probe(&mut self, cluster: ProbeCluster) {
        self.pending_probe = Some(cluster);
    }

    /// Ends the running probe, for want of anything to send in it.
    pub fn cancel_probe(&mut self) {
        self.probe = None;
    }

    /// Queues a packet. Answers the packets that were dropped for it, oldest first: they waited, or would have waited,
    /// beyond the bound. If there is video among them, the receiver cannot go on without a keyframe.
    pub fn push(&mut self, now: Instant, packet: PacerPacket<T>) -> Vec<PacerPacket<T>> {
        self.settle(now);
        if packet.priority == Priority::Video && self.probe.is_none() {
            self.probe =
                self.pending_probe.take().map(|cluster| RunningProbe { cluster, packets: 0, bytes: 0, started: now });
        }
        let newest = packet.frame;
        if packet.priority != Priority::Audio {
            self.queued_bytes += packet.size;
        }
        let priority = packet.priority;
        self.queue(priority).push_back(Waiting { packet, since: now });
        let mut dropped = Vec::new();
        while self.overfull() {
            let before = dropped.len();
            self.drop_oldest(priority, newest, &mut dropped);
            if dropped.len() == before {
                break;
            }
        }
        dropped
    }

    /// The next packet that may leave now.
    pub fn pop(&mut self, now: Instant) -> Option<Paced<T>> {
        self.settle(now);
        let waiting = match self.audio.pop_front() {
            Some(audio) => audio,
            None if self.debt > self.allowance(now) && self.latest().is_none_or(|at| at > now) => return None,
            None => {
                let overdue = self.video.front().is_some_and(|w| w.since + self.max_delay * 9 / 10 <= now);
                let video = if overdue { self.video.pop_front() } else { None };
                let next = video.or_else(|| self.retransmissions.pop_front()).or_else(|| self.video.pop_front());
                let next = next.or_else(|| self.padding.pop_front())?;
                self.queued_bytes -= next.packet.size;
                if next.packet.priority == Priority::Video {
                    self.begun = Some(next.packet.frame);
                }
                next
            }
        };
        self.debt += waiting.packet.size as f64;
        let waited = now.saturating_duration_since(waiting.since);
        self.stats.longest_wait = self.stats.longest_wait.max(waited);
        let probe = self.count_probe(waiting.packet.size);
        Some(Paced { item: waiting.packet.item, waited, probe })
    }

    /// When [`Pacer::pop`] has something next, or a running probe wants padding; `None` while neither waits. It lies in
    /// the future once everything that may leave has been popped.
    pub fn next_deadline(&self) -> Option<Instant> {
        let updated = self.updated?;
        if !self.audio.is_empty() {
            return Some(updated);
        }
        if self.is_empty() && self.probe.is_none() {
            return None;
        }
        let excess = self.debt - self.allowance(updated);
        if excess <= 0.0 {
            return Some(updated);
        }
        let wait = Duration::from_secs_f64(excess / self.bytes_per_second(updated));
        let due = updated + wait.max(Duration::from_micros(1));
        Some(self.latest().map_or(due, |latest| due.min(latest.max(updated))))
    }

    /// Bytes of padding that the running probe could send now, for want of anything else.
    pub fn padding_wanted(&self, now: Instant) -> usize {
        if self.probe.is_none() || !self.is_empty() || self.debt_at(now) > self.allowance(now) {
            return 0;
        }
        self.probe.as_ref().map_or(0, |p| p.cluster.min_bytes.saturating_sub(p.bytes).max(1))
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.audio.is_empty() && self.retransmissions.is_empty() && self.video.is_empty() && self.padding.is_empty()
    }

    /// How long what waits will take at the current rate.
    pub fn expected_delay(&self) -> Duration {
        self.rate.time_for(self.queued_bytes).unwrap_or_default()
    }

    /// Counts since the beginning.
    pub fn stats(&self) -> PacerStats {
        self.stats
    }

    fn queue(&mut self, priority: Priority) -> &mut VecDeque<Waiting<T>> {
        match priority {
            Priority::Audio => &mut self.audio,
            Priority::Retransmission => &mut self.retransmissions,
            Priority::Video => &mut self.video,
            Priority::Padding => &mut self.padding,
        }
    }

    fn overfull(&self) -> bool {
        let packets = self.audio.len() + self.retransmissions.len() + self.video.len() + self.padding.len();
        if packets > Self::MAX_PACKETS {
            return true;
        }
        // The frame that is leaving does not count: it will be gone within its own bound.
        let late = |bytes| self.rate.time_for(bytes).is_none_or(|time| time > self.max_delay);
        late(self.queued_bytes) && late(self.queued_bytes - self.leaving().map(|w| w.packet.size).sum::<usize>())
    }

    /// What is left of the frame that is leaving.
    fn leaving(&self) -> impl Iterator<Item = &Waiting<T>> {
        self.video.iter().take_while(|w| Some(w.packet.frame) == self.begun)
    }

    /// Makes room: padding first, then what is oldest of the kind that was just queued.
    fn drop_oldest(&mut self, kind: Priority, newest: u64, dropped: &mut Vec<PacerPacket<T>>) {
        if let Some(padding) = self.padding.pop_front() {
            self.forget(padding, dropped);
        } else if kind == Priority::Video {
            let leaving = self.leaving().count();
            let Some(oldest) = self.video.get(leaving).map(|w| w.packet.frame).filter(|frame| *frame != newest) else {
                return;
            };
            self.stats.dropped_frames += 1;
            while self.video.get(leaving).is_some_and(|w| w.packet.frame == oldest) {
                if let Some(waiting) = self.video.remove(leaving) {
                    self.forget(waiting, dropped);
                }
            }
        } else if kind == Priority::Retransmission && self.retransmissions.len() > 1 {
            if let Some(waiting) = self.retransmissions.pop_front() {
                self.forget(waiting, dropped);
            }
        } else if kind == Priority::Audio
            && self.audio.len() > Self::MAX_PACKETS / 2
            && let Some(waiting) = self.audio.pop_front()
        {
            self.stats.dropped_packets += 1;
            dropped.push(waiting.packet);
        }
    }

    fn forget(&mut self, waiting: Waiting<T>, dropped: &mut Vec<PacerPacket<T>>) {
        self.queued_bytes -= waiting.packet.size;
        self.stats.dropped_packets += 1;
        dropped.push(waiting.packet);
    }

    fn count_probe(&mut self, size: usize) -> Option<ProbeId> {
        let probe = self.probe.as_mut()?;
        probe.packets += 1;
        probe.bytes += size;
        let id = probe.cluster.id;
        if probe.packets >= probe.cluster.min_packets && probe.bytes >= probe.cluster.min_bytes {
            self.probe = None;
        }
        Some(id)
    }

    /// Pays off debt at the rate, up to `now`.
    fn settle(&mut self, now: Instant) {
        self.debt = self.debt_at(now);
        self.updated = Some(self.updated.map_or(now, |at| at.max(now)));
        if self.probe.as_ref().is_some_and(|p| now.saturating_duration_since(p.started) > Self::PROBE_TIMEOUT) {
            self.probe = None;
        }
    }

    fn debt_at(&self, now: Instant) -> f64 {
        let Some(updated) = self.updated else { return 0.0 };
        let passed = now.saturating_duration_since(updated).as_secs_f64();
        (self.debt - passed * self.bytes_per_second(updated)).max(0.0)
    }

    /// When the packet that has waited longest has to leave, rate or no rate: a little short of the bound, since timers
    /// fire late and never early.
    fn latest(&self) -> Option<Instant> {
        let fronts = [self.retransmissions.front(), self.video.front()];
        fronts.into_iter().flatten().map(|w| w.since + self.max_delay * 9 / 10).min()
    }

    /// Bytes that may be sent ahead of the rate. A probe is spaced more finely than other traffic.
    fn allowance(&self, now: Instant) -> f64 {
        let burst = if self.probe.is_some() { Self::BURST / 5 } else { Self::BURST };
        self.bytes_per_second(now) * burst.as_secs_f64()
    }

    /// The rate; faster while a probe runs, or while it would not empty the queue in time.
    fn bytes_per_second(&self, now: Instant) -> f64 {
        let oldest =
            self.retransmissions.front().map(|w| w.since).into_iter().chain(self.video.front().map(|w| w.since));
        let needed = oldest.min().map_or(0.0, |since| {
            // Aimed a little short of the bound: timers fire late, never early.
            let left = (since + self.max_delay * 9 / 10).saturating_duration_since(now);
            self.queued_bytes as f64 / left.as_secs_f64().max(0.001)
        });
        let probe = self.probe.as_ref().map_or(0, |p| p.cluster.rate.as_bps());
        needed.max(self.rate.as_bps().max(probe) as f64 / 8.0)
    }
}
