//! Whatever the configuration, every packet has exactly one end, nothing arrives early, and a seed repeats everything.

use std::time::Duration;

use proptest::prelude::*;
use remotemedia_media::Bitrate;
use remotemedia_netsim::link::{Link, LinkConfig, Loss, Order};

fn loss() -> impl Strategy<Value = Loss> {
    let p = || 0.0..=1.0f64;
    prop_oneof![
        Just(Loss::None),
        p().prop_map(Loss::Random),
        (p(), p(), p(), p()).prop_map(|(to_bad, to_good, loss_good, loss_bad)| Loss::GilbertElliott {
            to_bad,
            to_good,
            loss_good,
            loss_bad
        }),
    ]
}

fn config() -> impl Strategy<Value = LinkConfig> {
    let times = (0u64..50_000, 0u64..20_000, 0u64..20_000);
    let shares = (0.0..0.5f64, 0.0..0.5f64);
    let sizes = (prop::option::of(0u32..5_000), 0usize..20_000, 200usize..2_000);
    (times, shares, sizes, loss(), any::<bool>(), prop::bool::weighted(0.1)).prop_map(
        |((delay, jitter, reorder_by), (reorder, duplicate), (rate, queue_bytes, mtu_bytes), loss, free, outage)| {
            LinkConfig {
                delay: Duration::from_micros(delay),
                jitter: Duration::from_micros(jitter),
                order: if free { Order::Free } else { Order::Fifo },
                reorder,
                reorder_by: Duration::from_micros(reorder_by),
                loss,
                duplicate,
                rate: rate.map(Bitrate::from_kbps),
                queue_bytes,
                mtu_bytes,
                outage,
                ..LinkConfig::default()
            }
        },
    )
}

type Sent = Vec<(u64, usize)>;

fn traffic() -> impl Strategy<Value = Sent> {
    prop::collection::vec((0u64..3_000, 1usize..1_500), 1..300)
}

/// Sends the traffic, receiving as the link asks to, and drains it. Answers what arrived, when, and when it was sent.
fn play(seed: u64, configs: &[LinkConfig], traffic: &Sent) -> (Link<usize>, Vec<(Duration, usize)>, Vec<Duration>) {
    let mut link = Link::new(configs[0].clone(), seed);
    let mut now = Duration::ZERO;
    for (n, config) in configs.iter().enumerate().skip(1) {
        link.schedule(Duration::from_millis(40 * n as u64), config.clone());
    }
    let (mut arrived, mut sent) = (Vec::new(), Vec::new());
    let drain = |link: &mut Link<usize>, until: Duration, arrived: &mut Vec<_>| {
        while let Some(at) = link.next_timeout().filter(|at| *at <= until) {
            while let Some(out) = link.receive(at) {
                assert!(out.at <= at, "came out before it was due");
                arrived.push((out.at, out.packet));
            }
        }
    };
    for (number, (gap, size)) in traffic.iter().enumerate() {
        now += Duration::from_micros(*gap);
        drain(&mut link, now, &mut arrived);
        link.send(now, *size, number);
        sent.push(now);
    }
    drain(&mut link, now + Duration::from_secs(3_600), &mut arrived);
    (link, arrived, sent)
}

proptest! {
    #[test]
    fn every_packet_has_one_end(
        seed: u64,
        configs in prop::collection::vec(config(), 1..4),
        traffic in traffic(),
    ) {
        let (link, arrived, sent) = play(seed, &configs, &traffic);
        let stats = link.stats();
        let stuck = link.next_timeout().is_none() && link.config().rate == Some(Bitrate::ZERO);
        let ended = stats.arrived + stats.lost + stats.outage + stats.queue_full + stats.too_large + stats.pipe_full;
        if stuck {
            prop_assert!(ended <= stats.sent);
        } else {
            prop_assert_eq!(ended, stats.sent);
            prop_assert_eq!(link.waiting_bytes(), 0);
        }
        prop_assert_eq!(arrived.len() as u64, stats.arrived + stats.duplicated);
        let least = configs.iter().map(|c| c.delay).min().unwrap_or_default();
        prop_assert!(arrived.iter().all(|(at, number)| *at >= sent[*number] + least), "something arrived early");
        prop_assert!(arrived.is_sorted_by_key(|(at, _)| *at), "arrivals went back in time");
    }

    #[test]
    fn fifo_keeps_the_order(seed: u64, config in config(), traffic in traffic()) {
        let config = LinkConfig { order: Order::Fifo, reorder: 0.0, ..config };
        let (link, arrived, _) = play(seed, &[config], &traffic);
        prop_assert!(arrived.is_sorted_by_key(|(_, number)| *number));
        prop_assert_eq!(link.stats().overtaken, 0);
    }

    #[test]
    fn the_same_seed_gives_the_same_arrivals(seed: u64, configs in prop::collection::vec(config(), 1..4), traffic in traffic()) {
        prop_assert_eq!(play(seed, &configs, &traffic).1, play(seed, &configs, &traffic).1);
    }

    #[test]
    fn asking_rarely_changes_no_arrival_time(seed: u64, config in config(), traffic in traffic()) {
        let (_, often, _) = play(seed, std::slice::from_ref(&config), &traffic);
        let mut link = Link::new(config, seed);
        let mut now = Duration::ZERO;
        for (number, (gap, size)) in traffic.iter().enumerate() {
            now += Duration::from_micros(*gap);
            link.send(now, *size, number);
        }
        let mut rarely: Vec<_> = std::iter::from_fn(|| link.receive(now + Duration::from_secs(3_600)))
            .map(|out| (out.at, out.packet))
            .collect();
        rarely.sort();
        let mut often = often;
        often.sort();
        prop_assert_eq!(rarely, often);
    }
}
