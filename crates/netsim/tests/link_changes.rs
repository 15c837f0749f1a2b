//! Outages, scheduled changes, and knobs that leave each other's chance alone.

use std::{collections::BTreeSet, time::Duration};

use remotemedia_media::Bitrate;
use remotemedia_netsim::link::{Link, LinkConfig, Loss, Order};

const MS: Duration = Duration::from_millis(1);

/// One packet a millisecond for `count`; answers the numbers that arrived.
fn survivors(link: &mut Link<u32>, count: u32) -> BTreeSet<u32> {
    (0..count).for_each(|number| link.send(MS * number, 1_000, number));
    std::iter::from_fn(|| link.receive(Duration::from_secs(3_600))).map(|d| d.packet).collect()
}

#[test]
fn an_outage_loses_exactly_what_is_sent_in_it() {
    let mut link = Link::new(LinkConfig::with_delay(MS * 50), 1);
    link.schedule_outage(MS * 1_000, MS * 1_500);
    let survivors = survivors(&mut link, 3_000);
    assert_eq!(survivors, (0..1_000).chain(1_500..3_000).collect());
    assert_eq!((link.stats().outage, link.stats().lost), (500, 0));
}

#[test]
fn changes_inside_an_outage_are_part_of_it_and_hold_after_it() {
    let mut link = Link::new(LinkConfig::default(), 1);
    link.schedule(MS * 150, LinkConfig::with_delay(MS * 30));
    link.schedule_outage(MS * 100, MS * 200);
    assert_eq!(survivors(&mut link, 300), (0..100).chain(200..300).collect());
    assert_eq!(link.config(), &LinkConfig::with_delay(MS * 30));
}

#[test]
fn scheduled_changes_take_hold_at_their_time() {
    let mut link = Link::new(LinkConfig::default(), 1);
    link.schedule(MS * 10, LinkConfig::with_delay(MS * 5));
    link.schedule(MS * 20, LinkConfig::with_delay(MS * 9));
    for (sent, delay) in [(9, 0), (10, 5), (19, 5), (20, 9)] {
        link.send(MS * sent, 1_000, 0);
        assert_eq!(link.receive(MS * 40).map(|d| d.at), Some(MS * (sent + delay)));
        link = Link::new(LinkConfig::default(), 1);
        link.schedule(MS * 10, LinkConfig::with_delay(MS * 5));
        link.schedule(MS * 20, LinkConfig::with_delay(MS * 9));
    }
}

#[test]
fn the_same_packets_are_lost_whatever_the_other_knobs() {
    let lossy =
        |seed| LinkConfig::default().with_loss(if seed % 2 == 0 { Loss::Random(0.1) } else { Loss::bursts(0.05, 0.3) });
    for seed in 0..10 {
        let reference = survivors(&mut Link::new(lossy(seed), seed), 2_000);
        let others = [
            LinkConfig { jitter: MS * 20, order: Order::Free, ..lossy(seed) },
            LinkConfig { duplicate: 0.3, ..lossy(seed) },
            LinkConfig { reorder: 0.2, reorder_by: MS * 9, ..lossy(seed) },
            LinkConfig { delay: MS * 80, ..lossy(seed) }.with_rate(Bitrate::from_kbps(20_000)),
        ];
        for config in others {
            let mut link = Link::new(config.clone(), seed);
            assert_eq!(survivors(&mut link, 2_000), reference, "seed {seed}, {config:?}");
        }
        // A queue that drops takes some away, and gives none back.
        let mut narrow = Link::new(lossy(seed).with_rate(Bitrate::from_kbps(4_000)), seed);
        let narrow_survivors = survivors(&mut narrow, 2_000);
        assert!(narrow.stats().queue_full > 0);
        assert!(narrow_survivors.is_subset(&reference), "seed {seed}");
    }
}

#[test]
fn a_change_of_configuration_does_not_reseed() {
    let config = LinkConfig::default().with_loss(Loss::Random(0.2));
    let reference = survivors(&mut Link::new(config.clone(), 5), 2_000);
    let mut link = Link::new(config.clone(), 5);
    (0..20).for_each(|n| link.schedule(MS * (n * 97), LinkConfig { delay: MS * n, ..config.clone() }));
    assert_eq!(survivors(&mut link, 2_000), reference);
}

#[test]
fn a_full_wire_drops_and_counts() {
    let mut link = Link::new(LinkConfig::with_delay(Duration::from_secs(60)), 1);
    (0..70_000).for_each(|number| link.send(Duration::ZERO, 10, number));
    let stats = link.stats();
    assert_eq!(stats.pipe_full, 70_000 - survivors(&mut link, 0).len() as u64);
    assert!(stats.pipe_full > 4_000);
}
