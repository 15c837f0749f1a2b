//! The estimator against a bottleneck that changes (RFC 8867, section 5.1), beside a port of the browsers' own.

mod goog_cc_anchor;
mod support;

use std::time::{Duration, Instant};

use goog_cc_anchor::GoogCcAnchor;
use remotemedia_congestion::{Estimator, Gcc};
use remotemedia_media::Bitrate;
use support::{Path, Second, run, summary};

fn kbps(kbps: u32) -> Bitrate {
    Bitrate::from_kbps(kbps)
}

fn variable_capacity(loss: f64, jitter: Duration, seed: u64) -> Path {
    let at = Duration::from_secs;
    Path {
        capacity: vec![(at(0), kbps(1_000)), (at(40), kbps(2_500)), (at(60), kbps(600)), (at(80), kbps(1_000))],
        one_way_delay: Duration::from_millis(50),
        queue: Duration::from_millis(300),
        loss,
        jitter,
        seed,
    }
}

fn print(name: &str, seconds: &[Second]) {
    let phases = [(0, 10), (20, 40), (40, 60), (50, 60), (60, 80), (80, 100)];
    let cells: Vec<_> = phases
        .iter()
        .map(|(from, to)| {
            let (used, queue, loss) = summary(seconds, *from, *to);
            format!("{from}-{to} s: {:.1} % / {} ms / {:.1} %", used * 100.0, queue.as_millis(), loss * 100.0)
        })
        .collect();
    println!("{name:10} {}", cells.join(" | "));
}

fn both(loss: f64, jitter: Duration, seed: u64) -> (Vec<Second>, Vec<Second>) {
    let (path, epoch, length) = (variable_capacity(loss, jitter, seed), Instant::now(), Duration::from_secs(100));
    let mut ours = Gcc::new(epoch, kbps(50), kbps(300), kbps(5_000));
    let ours = run(&path, &mut ours, epoch, length);
    // The port cannot change threads, which the trait asks for; here it need not.
    let theirs = std::thread::spawn(move || {
        let mut theirs = GoogCcAnchor::new(epoch, kbps(50), kbps(300), kbps(5_000));
        theirs.run(&path, epoch, length)
    });
    (ours, theirs.join().expect("the controller ran"))
}

#[test]
fn it_converges_follows_a_drop_and_recovers() {
    println!("share of capacity / queue p95 / loss");
    let (ours, theirs) = both(0.0, Duration::ZERO, 1);
    print("ours", &ours);
    print("goog_cc", &theirs);
    let used = |from, to| summary(&ours, from, to).0;
    assert!(used(20, 40) >= 0.85, "settled at 1 Mbit/s: {}", used(20, 40));
    assert!(used(50, 60) >= 0.75, "settled at 2.5 Mbit/s: {}", used(50, 60));
    assert!(used(80, 100) >= 0.75, "recovered to 1 Mbit/s: {}", used(80, 100));
    let followed = ours[60..64].iter().position(|s| s.target <= 600e3);
    assert!(followed.is_some_and(|s| s <= 2), "followed the drop to 0.6 Mbit/s in second {followed:?}");
    let (used_after_drop, _, _) = summary(&ours, 63, 80);
    assert!((0.7..=1.0).contains(&used_after_drop), "after the drop: {used_after_drop}");
    let (_, queue, loss) = summary(&ours, 65, 80);
    assert!(queue <= Duration::from_millis(150) && loss <= 0.02, "settled after the drop: {queue:?}, loss {loss}");
}

#[test]
fn random_loss_does_not_hold_it_back() {
    for (loss, least) in [(0.02, 0.80), (0.05, 0.80), (0.15, 0.50)] {
        let (ours, theirs) = both(loss, Duration::ZERO, 2);
        println!("random loss {loss}");
        print("ours", &ours);
        print("goog_cc", &theirs);
        let used = summary(&ours, 20, 40).0;
        assert!(used >= least, "at {loss} random loss: {used}");
    }
}

#[test]
fn jitter_is_no_congestion() {
    for (ms, least) in [(10, 0.80), (30, 0.75)] {
        let (ours, theirs) = both(0.0, Duration::from_millis(ms), 4);
        println!("jitter of up to {ms} ms");
        print("ours", &ours);
        print("goog_cc", &theirs);
        let used = summary(&ours, 20, 40).0;
        assert!(used >= least, "at {ms} ms of jitter: {used}");
    }
}

#[test]
fn a_fast_path_is_found_within_seconds_and_a_dead_one_left_alone() {
    let at = Duration::from_secs;
    let path = Path {
        capacity: vec![(at(0), kbps(20_000)), (at(20), Bitrate::from_bps(1))],
        one_way_delay: Duration::from_millis(20),
        queue: Duration::from_millis(300),
        loss: 0.0,
        jitter: Duration::ZERO,
        seed: 3,
    };
    let epoch = Instant::now();
    let mut estimator = Gcc::new(epoch, kbps(50), kbps(300), kbps(4_000));
    let seconds = run(&path, &mut estimator, epoch, Duration::from_secs(30));
    let reached = seconds.iter().position(|s| s.target >= 3_600e3);
    println!("300 kbit/s to 3.6 Mbit/s on a 20 Mbit/s path: second {reached:?}");
    assert!(reached.is_some_and(|s| s <= 3), "{reached:?}");
    assert!(seconds[29].target < 500e3, "sends {} bit/s into nowhere", seconds[29].target);
}

#[test]
fn bounds_act_at_once() {
    let now = Instant::now();
    let mut estimator = Gcc::new(now, kbps(100), kbps(1_000), kbps(2_000));
    assert_eq!(estimator.target(), kbps(1_000));
    estimator.set_bounds(now, kbps(100), None, kbps(400));
    assert_eq!(estimator.target(), kbps(400));
    estimator.set_bounds(now, kbps(100), Some(kbps(1_500)), kbps(3_000));
    assert_eq!(estimator.target(), kbps(1_500));
}
