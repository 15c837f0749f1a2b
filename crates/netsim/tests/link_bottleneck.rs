//! The bottleneck carries its rate, its queue drops by what waits, and a change of rate takes hold at once.

use std::time::Duration;

use remotemedia_media::Bitrate;
use remotemedia_netsim::link::{Link, LinkConfig};

const MS: Duration = Duration::from_millis(1);
const PAYLOAD: usize = 1_222;
/// With 28 bytes of headers: 10,000 bits.
const PACKET: usize = 1_250;

/// Sends a packet every `gap` until `until`, then answers the times at which they came out.
fn flood(link: &mut Link<()>, gap: Duration, until: Duration) -> Vec<Duration> {
    let (mut now, mut out) = (Duration::ZERO, Vec::new());
    while now < until {
        link.send(now, PAYLOAD, ());
        now += gap;
    }
    out.extend(std::iter::from_fn(|| link.receive(until)).map(|d| d.at));
    out
}

#[test]
fn twice_the_rate_offered_is_the_rate_delivered() {
    let rate = Bitrate::from_kbps(2_000);
    let mut link = Link::new(LinkConfig { queue_bytes: 50_000, ..LinkConfig::default() }.with_rate(rate), 1);
    let out = flood(&mut link, MS * 5 / 2, Duration::from_secs(10));
    let delivered = (out.len() * PACKET * 8) as f64 / 10.0;
    assert!((delivered / 2e6 - 1.0).abs() < 0.002, "delivered {delivered} bit/s");
    let stats = link.stats();
    assert!(stats.queue_full > 0 && stats.peak_queue_bytes <= 50_000);
    assert!(stats.peak_queue_bytes > 50_000 - PACKET);
    // 50 kB at 2 Mbit/s.
    assert!(stats.peak_queue_delay <= MS * 205 && stats.peak_queue_delay > MS * 190, "{:?}", stats.peak_queue_delay);
}

/// What `str0m-netem` 0.4 gets wrong: a queue shorter than bandwidth times delay must not throttle the link.
#[test]
fn a_long_fat_link_carries_its_rate_with_a_short_queue() {
    let config = LinkConfig { delay: MS * 300, queue_bytes: 10 * PACKET, ..LinkConfig::default() };
    let mut link = Link::new(config.with_rate(Bitrate::from_kbps(15_000)), 1);
    let out = flood(&mut link, MS * 5 / 8, Duration::from_secs(10));
    let delivered = (out.len() * PACKET * 8) as f64 / 9.7;
    assert!((delivered / 15e6 - 1.0).abs() < 0.005, "delivered {delivered} bit/s");
}

#[test]
fn serialisation_comes_before_the_delay() {
    let mut link = Link::new(LinkConfig::with_delay(MS * 30).with_rate(Bitrate::from_kbps(1_000)), 1);
    (0..3).for_each(|_| link.send(Duration::ZERO, PAYLOAD, ()));
    let out: Vec<_> = std::iter::from_fn(|| link.receive(MS * 1_000)).map(|d| d.at).collect();
    assert_eq!(out, [MS * 40, MS * 50, MS * 60]);
}

#[test]
fn a_new_rate_serves_what_already_waits_the_packet_in_service_included() {
    let config = LinkConfig::default().with_rate(Bitrate::from_kbps(1_000));
    let mut link = Link::new(config.clone(), 1);
    (0..3).for_each(|_| link.send(Duration::ZERO, PAYLOAD, ()));
    // Half of the first is through by then; the other half takes 25 ms at a fifth of the rate.
    link.schedule(MS * 5, config.clone().with_rate(Bitrate::from_kbps(200)));
    link.schedule(MS * 80, config.with_rate(Bitrate::from_kbps(10_000)));
    let out: Vec<_> = std::iter::from_fn(|| link.receive(MS * 1_000)).map(|d| d.at).collect();
    assert_eq!(out, [MS * 30, MS * 80, MS * 81]);
}

#[test]
fn a_rate_of_zero_holds_everything_until_it_changes() {
    let config = LinkConfig::default().with_rate(Bitrate::ZERO);
    let mut link = Link::new(config.clone(), 1);
    (0..2).for_each(|_| link.send(Duration::ZERO, PAYLOAD, ()));
    assert_eq!(link.next_timeout(), None);
    assert!(link.receive(MS * 500).is_none());
    link.set_config(MS * 500, config.clone().with_rate(Bitrate::from_kbps(1_000)));
    assert_eq!(link.receive(MS * 1_000).map(|d| d.at), Some(MS * 510));
    link.set_config(MS * 1_000, LinkConfig { rate: None, ..config });
    assert_eq!(link.receive(MS * 1_000).map(|d| d.at), Some(MS * 520));
}

#[test]
fn without_a_bottleneck_what_waited_leaves_at_once() {
    let config = LinkConfig::default().with_rate(Bitrate::ZERO);
    let mut link = Link::new(config.clone(), 1);
    (0..5).for_each(|_| link.send(Duration::ZERO, PAYLOAD, ()));
    link.set_config(MS * 7, LinkConfig { rate: None, ..config });
    let out: Vec<_> = std::iter::from_fn(|| link.receive(MS * 7)).map(|d| d.at).collect();
    assert_eq!(out, [MS * 7; 5]);
    assert_eq!((link.waiting_bytes(), link.next_timeout()), (0, None));
}

#[test]
fn a_packet_over_the_largest_size_vanishes_and_is_counted() {
    let mut link = Link::new(LinkConfig { mtu_bytes: 1_200, ..LinkConfig::default() }, 1);
    link.send(MS, 1_201, "large");
    link.send(MS, 1_200, "fits");
    assert_eq!(link.receive(MS).map(|d| d.packet), Some("fits"));
    assert_eq!((link.receive(MS), link.stats().too_large), (None, 1));
}
