use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use remotemedia_media::{Bitrate, MediaKind};
use tokio::time::Instant;

use super::{
    actor::{Actor, End, Measured, Suspicion},
    is_polite,
    link::Link,
    peer::ReceivedCounters,
};
use crate::ReceiveMetrics;

/// How long a peer may be silent after signaling lost it. Control heartbeats and consent checks come more often.
const SILENCE: Duration = Duration::from_secs(1);
/// The same for a peer without heartbeats that sent no media lately: it is heard every two seconds at least.
const SILENCE_WITHOUT_HEARTBEAT: Duration = Duration::from_millis(2_500);
/// How long a peer that signaling lost is watched.
const MAX_SUSPICION: Duration = Duration::from_secs(10);
/// How often the status is measured.
pub(super) const STATUS_INTERVAL: Duration = Duration::from_secs(1);
/// How long the side that gives way waits for the other one to restart ICE.
pub(super) const RESTART_PATIENCE: Duration = Duration::from_secs(5);
/// How long an ICE restart may take before the next: its checks go on for as long.
const RESTART_INTERVAL: Duration = Duration::from_secs(4);

/// What time brings: deadlines, restarts, heartbeats, silence, measurements.
impl Actor {
    pub(super) fn next_timer(&self) -> Instant {
        let suspected = self.suspected.as_ref().map(|s| s.check_at);
        let timers = [
            self.deadline,
            self.attempt_due,
            self.answer_due.filter(|_| self.connected_at.is_some()),
            self.negotiate_at,
            self.restart_at,
            self.down_at,
            suspected,
            self.heartbeat_at,
            self.status_at,
            self.settle_at,
        ];
        let far = Instant::now() + Duration::from_secs(3_600);
        timers.into_iter().flatten().min().unwrap_or(far)
    }

    pub(super) async fn on_timer(&mut self) -> Result<(), End> {
        let now = Instant::now();
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.deadline) {
            return Err(End::Failed);
        }
        if due(self.suspected.as_ref().map(|s| s.check_at)) {
            self.check_silence(now)?;
        }
        if due(self.attempt_due) {
            self.attempt_due = None;
            self.offer_afresh().await?;
        }
        if self.connected_at.is_some() && due(self.answer_due) {
            // The offer or its answer got lost on the way: offer what there is now.
            self.send_offer(false).await?;
        }
        if due(self.negotiate_at) {
            self.negotiate().await?;
        }
        if due(self.down_at) {
            self.on_path_lost();
        }
        if due(self.restart_at) {
            let up = self.link.as_ref().is_some_and(|l| l.up);
            let polite = is_polite(&self.shared, &self.peer);
            let pause = if polite { RESTART_PATIENCE } else { RESTART_INTERVAL };
            self.restart_at = (!up).then_some(now + pause);
            if !up {
                self.restart_ice().await?;
            }
        }
        if due(self.heartbeat_at) {
            self.heartbeat_at = Some(now + self.shared.config.heartbeat_interval);
            self.ping().await;
        }
        if due(self.settle_at) {
            self.settle_at = None;
            if let Some(link) = &self.link {
                link.runtime.settle();
            }
        }
        if due(self.status_at) {
            self.status_at = Some(now + STATUS_INTERVAL);
            self.measure(now);
            self.follow_flow(now);
        }
        Ok(())
    }

    /// Signaling lost the peer without a farewell. Its media decides whether it is gone.
    pub(super) async fn on_hint(&mut self) -> Result<(), End> {
        if self.connected_at.is_none() {
            // Without signaling there is no way on; the other side begins anew when it is back.
            return Ok(());
        }
        let now = Instant::now();
        let heartbeat = self.link.as_ref().is_some_and(Link::is_remotemedia);
        // Lately: at the last measurement, or since.
        let sends_media = self.peer.snapshot.lock().metrics.receive_bitrate.as_bps() > 0
            || self.peer.counters.bytes_received.load(Relaxed) > self.measured.bytes_received;
        let patience = if heartbeat || sends_media { SILENCE } else { SILENCE_WITHOUT_HEARTBEAT };
        self.suspected = Some(Suspicion { since: now, patience, check_at: now + patience });
        self.ping().await;
        Ok(())
    }

    fn check_silence(&mut self, now: Instant) -> Result<(), End> {
        let Some(suspicion) = &mut self.suspected else { return Ok(()) };
        let heard = self.link.as_ref().and_then(|l| l.runtime.last_received()).unwrap_or(suspicion.since);
        suspicion.check_at = heard.max(suspicion.since) + suspicion.patience;
        if suspicion.check_at <= now {
            tracing::debug!(peer = %self.peer.id, silent = ?(now - heard), "the peer is gone");
            return Err(End::Failed);
        }
        // It lives without signaling, which may come back. ICE watches over it from here on.
        if now - suspicion.since > MAX_SUSPICION {
            self.suspected = None;
        }
        Ok(())
    }

    fn measure(&mut self, now: Instant) {
        let sent = self.peer.media.counters();
        let counters = &self.peer.counters;
        let bytes_received = counters.bytes_received.load(Relaxed);
        let rate = |bytes: u64, before: u64, at: Instant| {
            let seconds = (now - at).as_secs_f64().max(0.001);
            Bitrate::from_bps((bytes.saturating_sub(before) as f64 * 8.0 / seconds) as u64)
        };
        let wire = self.link.as_ref().map(|l| l.wire.stats()).unwrap_or_default();
        if let Some(rtt) = wire.round_trip_time {
            // Media tells it more often than heartbeats, and also with peers that have none.
            counters.rtt_us.store(u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX).max(1), Relaxed);
        }
        let rtt = counters.rtt_us.load(Relaxed);
        let mut snapshot = self.peer.snapshot.lock();
        let metrics = &mut snapshot.metrics;
        // The first measurement has none before it: it tells of the time since the connection stood.
        if let Some(at) = self.measured.at.or(self.connected_at) {
            metrics.send_bitrate = rate(sent.bytes, self.measured.bytes_sent, at);
            metrics.receive_bitrate = rate(bytes_received, self.measured.bytes_received, at);
        }
        metrics.connected_for = self.connected_at.map(|at| now - at).unwrap_or_default();
        metrics.rtt = (rtt > 0).then(|| Duration::from_micros(rtt));
        let known = wire.round_trip_time.is_some();
        metrics.send_loss = known.then(|| mean_loss(wire.sent.values().map(|s| (s.packets, s.fraction_lost))));
        let received = wire.received.values().map(|s| (s.packets, s.fraction_lost));
        metrics.receive_loss = (!wire.received.is_empty()).then(|| mean_loss(received));
        metrics.target_bitrate = (wire.feedback_messages > 0).then_some(wire.target);
        metrics.retransmitted = wire.sent.values().map(|s| s.retransmitted).sum();
        metrics.retransmissions_requested = wire.received.values().map(|s| s.nacked).sum();
        metrics.packets_dropped_by_pacer = wire.pacer_dropped;
        metrics.packets_sent = sent.packets;
        metrics.bytes_sent = sent.bytes;
        metrics.video_frames_dropped = sent.video_frames_dropped + wire.video_frames_dropped;
        let received = |kind| {
            let ReceivedCounters { packets, missing } = counters.received(kind);
            let streams = || wire.received.values().filter(move |s| s.kind == Some(kind));
            ReceiveMetrics {
                packets: packets.load(Relaxed),
                lost: streams().map(|s| u64::try_from(s.packets_lost).unwrap_or_default()).sum(),
                missing: missing.load(Relaxed),
                // One that has ended keeps its last one.
                jitter: streams().max_by_key(|s| s.packets).map(|s| s.jitter).unwrap_or_default(),
            }
        };
        (metrics.audio_received, metrics.video_received) = (received(MediaKind::Audio), received(MediaKind::Video));
        metrics.packets_received = metrics.audio_received.packets + metrics.video_received.packets;
        metrics.bytes_received = bytes_received;
        metrics.packets_unread = counters.packets_unread.load(Relaxed);
        metrics.duplicates = counters.duplicates.load(Relaxed);
        metrics.keyframes_requested = counters.keyframes_requested.load(Relaxed);
        metrics.keyframes_requested_by_peer = counters.keyframes_requested_by_peer.load(Relaxed);
        metrics.messages_sent = counters.messages_sent.load(Relaxed);
        metrics.messages_received = counters.messages_received.load(Relaxed);
        self.measured = Measured { bytes_sent: sent.bytes, bytes_received, at: Some(now) };
    }
}

/// The mean of loss fractions, weighted by packets.
fn mean_loss(streams: impl Iterator<Item = (u64, f64)>) -> f64 {
    let (packets, lost) = streams.fold((0.0, 0.0), |(packets, lost), (count, fraction)| {
        (packets + count as f64, lost + count as f64 * fraction)
    });
    if packets > 0.0 { lost / packets } else { 0.0 }
}
