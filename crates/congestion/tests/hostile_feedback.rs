//! Whatever a receiver reports, the estimator stays within its bounds and does not panic.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use remotemedia_congestion::{Estimator, Gcc, PacketResult, SentPacket};
use remotemedia_media::Bitrate;

proptest! {
    #[test]
    fn the_target_keeps_to_its_bounds(
        reports in proptest::collection::vec(
            (
                proptest::collection::vec((any::<u32>(), 0usize..70_000, proptest::option::of(any::<u64>())), 0..40),
                0u64..5_000_000,
            ),
            1..60,
        ),
        rtt in any::<u64>(),
        (min, max) in (0u64..10_000_000_000_000, 0u64..10_000_000_000_000),
    ) {
        let start = Instant::now();
        let (min, max) = (Bitrate::from_bps(min), Bitrate::from_bps(max));
        let mut estimator = Gcc::new(start, min, Bitrate::from_kbps(300), max);
        let (low, high) = (min.max(Gcc::FLOOR), max.max(min).max(Gcc::FLOOR));
        let mut now = start;
        for (packets, passed) in reports {
            now += Duration::from_micros(passed);
            let probe = estimator.next_probe().map(|p| p.id);
            let results: Vec<_> = packets
                .into_iter()
                .map(|(ago, size, arrived)| {
                    let sent_at = now.checked_sub(Duration::from_micros(ago.into())).unwrap_or(start);
                    let sent = SentPacket { sequence: u64::from(ago), size, sent_at, probe };
                    estimator.on_sent(now, sent);
                    PacketResult { sent, arrived_at: arrived.map(Duration::from_micros) }
                })
                .collect();
            estimator.on_feedback(now, &results);
            estimator.on_round_trip_time(now, Duration::from_micros(rtt));
            estimator.on_tick(now);
            prop_assert!((low..=high).contains(&estimator.target()), "{}", estimator.target());
        }
    }
}
