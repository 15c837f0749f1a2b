use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use remotemedia_media::{Bitrate, MediaKind};
use rtc::rtcp::{receiver_report::ReceiverReport, reception_report::ReceptionReport, sender_report::SenderReport};

/// Figures of one connection since its beginning.
#[derive(Clone, Debug, Default)]
pub(crate) struct WireStats {
    /// Smoothed round-trip time, from the receiver's reports; `None` before the first.
    pub(crate) round_trip_time: Option<Duration>,
    /// What may be sent, all streams together.
    pub(crate) target: Bitrate,
    /// Packets that transport-wide feedback reported as arrived, and as lost.
    pub(crate) feedback_arrived: u64,
    /// See `feedback_arrived`.
    pub(crate) feedback_lost: u64,
    /// Transport-wide feedback messages.
    pub(crate) feedback_messages: u64,
    /// Media packets that the pacer dropped because they would have waited too long: whole frames.
    pub(crate) pacer_dropped: u64,
    /// Video frames that these were of.
    pub(crate) video_frames_dropped: u64,
    /// Retransmissions that were not sent: of dropped frames, too late, or sent a moment ago.
    pub(crate) retransmissions_skipped: u64,
    /// The longest that a packet waited in the pacer.
    pub(crate) pacer_longest_wait: Duration,
    /// Packets sent as padding for probes.
    pub(crate) padding_packets: u64,
    /// Events that nobody read in time.
    pub(crate) events_dropped: u64,
    /// Streams that we send, by SSRC.
    pub(crate) sent: HashMap<u32, SentStream>,
    /// Streams that we receive, by SSRC.
    pub(crate) received: HashMap<u32, ReceivedStream>,
}

/// A stream that we send.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct SentStream {
    /// Packets handed to the wire, without retransmissions.
    pub(crate) packets: u64,
    /// Their payload in bytes.
    pub(crate) bytes: u64,
    /// Packets sent again on request.
    pub(crate) retransmitted: u64,
    /// Share of packets lost between the receiver's last two reports, 0.0 to 1.0.
    pub(crate) fraction_lost: f64,
    /// Packets lost since the beginning, as the receiver counts.
    pub(crate) packets_lost: i64,
    /// Interarrival jitter at the receiver (RFC 3550, section 6.4.1).
    pub(crate) jitter: Duration,
    /// Packets that the receiver asked for again.
    pub(crate) nacked: u64,
    /// Requests for a keyframe by PLI.
    pub(crate) pli: u64,
    /// Requests for a keyframe by FIR, each counted once.
    pub(crate) fir: u64,
}

/// A stream that we receive.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct ReceivedStream {
    pub(crate) kind: Option<MediaKind>,
    /// Packets that arrived, without retransmissions.
    pub(crate) packets: u64,
    /// Their payload in bytes.
    pub(crate) bytes: u64,
    /// Share of packets lost between our last two reports, 0.0 to 1.0.
    pub(crate) fraction_lost: f64,
    /// Packets lost since the beginning; duplicates count against it.
    pub(crate) packets_lost: i64,
    /// Interarrival jitter.
    pub(crate) jitter: Duration,
    /// Packets that we asked for again.
    pub(crate) nacked: u64,
}

/// Measures round trips: when which sender report went out, and what the reports that answer it say.
#[derive(Debug, Default)]
pub(super) struct RoundTrip {
    /// Middle 32 bits of the NTP time, and when it was sent.
    sent: VecDeque<(u32, Instant)>,
    smoothed: Option<Duration>,
}

const MAX_REPORTS: usize = 64;

impl RoundTrip {
    pub(super) fn on_sender_report_sent(&mut self, now: Instant, report: &SenderReport) {
        if self.sent.len() == MAX_REPORTS {
            self.sent.pop_front();
        }
        self.sent.push_back(((report.ntp_time >> 16) as u32, now));
    }

    /// The round trip that a report block shows: from our report to this one, without the time it was held.
    pub(super) fn on_reception_report(&mut self, now: Instant, report: &ReceptionReport) -> Option<Duration> {
        if report.last_sender_report == 0 {
            return None;
        }
        let (_, sent) = self.sent.iter().rev().find(|(middle, _)| *middle == report.last_sender_report)?;
        let held = Duration::from_secs_f64(f64::from(report.delay) / 65_536.0);
        // More than was measured: the receiver's clock is coarse.
        let rtt = now.saturating_duration_since(*sent).saturating_sub(held);
        self.smoothed = Some(self.smoothed.map_or(rtt, |smoothed| (smoothed * 7 + rtt) / 8));
        Some(rtt)
    }

    pub(super) fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }
}

/// Loss fraction, total loss and jitter of a report block; the last is in ticks of the stream's RTP clock.
pub(super) fn reception(report: &ReceptionReport, clock_rate: u32) -> (f64, i64, Duration) {
    let jitter = f64::from(report.jitter) / f64::from(clock_rate.max(1));
    // 24 bits, signed (RFC 3550, section 6.4.1).
    let lost = i64::from((report.total_lost << 8) as i32 >> 8);
    (f64::from(report.fraction_lost) / 256.0, lost, Duration::from_secs_f64(jitter))
}

/// The report blocks of a sender or receiver report.
pub(super) fn report_blocks(packet: &dyn rtc::rtcp::Packet) -> &[ReceptionReport] {
    let any = packet.as_any();
    if let Some(report) = any.downcast_ref::<ReceiverReport>() {
        &report.reports
    } else if let Some(report) = any.downcast_ref::<SenderReport>() {
        &report.reports
    } else {
        &[]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_round_trip_leaves_out_the_time_the_report_was_held() {
        let start = Instant::now();
        let mut round_trip = RoundTrip::default();
        let sent = SenderReport { ntp_time: 0x1234_5678_9abc_def0, ..Default::default() };
        round_trip.on_sender_report_sent(start, &sent);
        let answer = ReceptionReport { last_sender_report: 0x5678_9abc, delay: 32_768, ..Default::default() };
        let rtt = round_trip.on_reception_report(start + Duration::from_millis(580), &answer);
        assert_eq!(rtt, Some(Duration::from_millis(80)));
        let unknown = ReceptionReport { last_sender_report: 7, ..Default::default() };
        assert_eq!(round_trip.on_reception_report(start, &unknown), None);
    }

    #[test]
    fn units_are_fractions_seconds_and_signed_counts() {
        let report = ReceptionReport { fraction_lost: 64, total_lost: 0xff_ffff, jitter: 900, ..Default::default() };
        assert_eq!(reception(&report, 90_000), (0.25, -1, Duration::from_millis(10)));
    }
}
