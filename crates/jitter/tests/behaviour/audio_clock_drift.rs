//! Clocks that run apart, for ten minutes.

use std::time::Duration;

use crate::call::{Call, Fate, report, speech, tone};

#[test]
fn a_hundred_millionths_of_drift_neither_starve_nor_pile_up() {
    for ppm in [100.0, -100.0] {
        for signal in [speech, tone] {
            let call = Call { sender_ppm: ppm, signal, ..Call::new(11, Duration::from_secs(600)) };
            let mut longest = 0;
            let stats = call.run(
                |random, _| Fate::Delivered(random.up_to(Duration::from_millis(5))),
                |at, _, playout| {
                    if at > Duration::from_secs(10) {
                        longest = longest.max(playout.waiting_packets());
                    }
                },
            );
            report(&format!("drift of {ppm} ppm"), call.seed, &stats);
            assert!(stats.mean_delay() < Duration::from_millis(28), "{:?}", stats.mean_delay());
            assert!(stats.concealed_ratio() < 0.001, "{}", stats.concealed_ratio());
            assert!(longest <= 2, "{longest} packets waited");
        }
    }
}
