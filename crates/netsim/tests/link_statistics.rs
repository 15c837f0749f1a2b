//! Loss, bursts, duplicates, jitter and reordering come out as often as configured.

use std::{collections::BTreeMap, time::Duration};

use remotemedia_netsim::link::{Link, LinkConfig, LinkStats, Loss, Order};

const PACKETS: usize = 100_000;

/// One packet a millisecond; answers the numbers that arrived, in order, with their delays.
fn play(config: LinkConfig, seed: u64) -> (Vec<(usize, Duration)>, LinkStats) {
    let mut link = Link::new(config, seed);
    let sent = |number: usize| Duration::from_millis(number as u64);
    let mut arrived = Vec::new();
    for number in 0..PACKETS {
        link.send(sent(number), 1_000, number);
        arrived.extend(std::iter::from_fn(|| link.receive(sent(number))));
    }
    arrived.extend(std::iter::from_fn(|| link.receive(Duration::MAX / 2)));
    (arrived.into_iter().map(|out| (out.packet, out.at - sent(out.packet))).collect(), link.stats())
}

/// The lengths of the runs of numbers that are missing.
fn bursts(arrived: &[(usize, Duration)]) -> Vec<usize> {
    arrived.windows(2).map(|pair| pair[1].0 - pair[0].0 - 1).filter(|missing| *missing > 0).collect()
}

#[test]
fn random_loss_is_at_its_rate_and_without_memory() {
    for (seed, p) in [(1, 0.01), (2, 0.1), (3, 0.5)] {
        let (arrived, stats) = play(LinkConfig::default().with_loss(Loss::Random(p)), seed);
        let share = stats.lost as f64 / PACKETS as f64;
        // Five standard deviations of the binomial distribution.
        let tolerance = 5.0 * (p * (1.0 - p) / PACKETS as f64).sqrt();
        assert!((share - p).abs() < tolerance, "seed {seed}: lost {share}, configured {p}");
        let bursts = bursts(&arrived);
        let mean = bursts.iter().sum::<usize>() as f64 / bursts.len() as f64;
        assert!((mean - 1.0 / (1.0 - p)).abs() < 0.05, "seed {seed}: mean burst {mean} at loss {p}");
    }
}

#[test]
fn gilbert_elliott_loses_its_share_in_bursts_of_its_length() {
    for (seed, to_bad, to_good) in [(1, 0.01, 0.25), (2, 0.005, 0.1), (3, 0.02, 0.5)] {
        let loss = Loss::bursts(to_bad, to_good);
        let (arrived, stats) = play(LinkConfig::default().with_loss(loss), seed);
        let share = stats.lost as f64 / PACKETS as f64;
        assert!((share / loss.mean() - 1.0).abs() < 0.15, "seed {seed}: lost {share}, in theory {}", loss.mean());
        let bursts = bursts(&arrived);
        let mean = bursts.iter().sum::<usize>() as f64 / bursts.len() as f64;
        assert!((mean * to_good - 1.0).abs() < 0.1, "seed {seed}: mean burst {mean}, in theory {}", 1.0 / to_good);
        // Geometric lengths: each further packet is lost with probability 1 - to_good.
        let longer = bursts.iter().filter(|length| **length > 1).count() as f64 / bursts.len() as f64;
        assert!((longer - (1.0 - to_good)).abs() < 0.06, "seed {seed}: {longer} of the bursts go beyond one packet");
    }
}

#[test]
fn gilbert_elliott_loses_in_the_good_state_too() {
    let loss = Loss::GilbertElliott { to_bad: 0.02, to_good: 0.2, loss_good: 0.01, loss_bad: 0.6 };
    let (_, stats) = play(LinkConfig::default().with_loss(loss), 1);
    let share = stats.lost as f64 / PACKETS as f64;
    assert!((share / loss.mean() - 1.0).abs() < 0.1, "lost {share}, in theory {}", loss.mean());
}

#[test]
fn duplicates_come_at_their_rate_and_after_the_original() {
    let config = LinkConfig {
        duplicate: 0.02,
        jitter: Duration::from_millis(5),
        order: Order::Free,
        delay: Duration::from_millis(10),
        ..LinkConfig::default()
    };
    let (arrived, stats) = play(config, 1);
    let share = stats.duplicated as f64 / PACKETS as f64;
    assert!((share - 0.02).abs() < 0.003, "duplicated {share}");
    let mut first = BTreeMap::new();
    for (number, delay) in arrived {
        let original = *first.entry(number).or_insert(delay);
        assert!(delay >= original && delay <= Duration::from_millis(15));
    }
    assert_eq!(first.len(), PACKETS);
}

#[test]
fn jitter_is_uniform_between_its_bounds() {
    let (delay, jitter) = (Duration::from_millis(20), Duration::from_millis(8));
    let (arrived, stats) = play(LinkConfig { delay, jitter, order: Order::Free, ..LinkConfig::default() }, 1);
    let extra: Vec<f64> = arrived.iter().map(|(_, d)| (*d - delay).as_secs_f64() / jitter.as_secs_f64()).collect();
    assert!(extra.iter().all(|e| (0.0..=1.0).contains(e)));
    for tenth in 0..10 {
        let bounds = f64::from(tenth) / 10.0..f64::from(tenth + 1) / 10.0;
        let share = extra.iter().filter(|e| bounds.contains(e)).count() as f64 / extra.len() as f64;
        assert!((share - 0.1).abs() < 0.006, "{share} of the packets in tenth {tenth}");
    }
    assert!(
        stats.overtaken > PACKETS as u64 / 4,
        "8 ms of jitter at 1 ms spacing overtakes often: {}",
        stats.overtaken
    );
}

#[test]
fn held_back_packets_come_at_their_rate_and_delay_no_other() {
    let reorder_by = Duration::from_millis(5);
    let (arrived, stats) = play(LinkConfig { reorder: 0.03, reorder_by, ..LinkConfig::default() }, 1);
    let held = arrived.iter().filter(|(_, d)| *d == reorder_by).count();
    assert!((held as f64 / PACKETS as f64 - 0.03).abs() < 0.003, "held back {held}");
    assert_eq!(arrived.iter().filter(|(_, d)| d.is_zero()).count() + held, PACKETS);
    assert!(stats.overtaken > held as u64 * 9 / 10);
}
