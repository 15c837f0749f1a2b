//! A sender, a bottleneck and a receiver in virtual time: what an estimator makes of them.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use remotemedia_congestion::{Estimator, Pacer, PacerPacket, PacketResult, Priority, SentPacket};
use remotemedia_media::Bitrate;

/// A drop-tail bottleneck whose capacity changes, and random loss behind it.
pub(crate) struct Path {
    /// From when, and how much.
    pub(crate) capacity: Vec<(Duration, Bitrate)>,
    pub(crate) one_way_delay: Duration,
    pub(crate) queue: Duration,
    pub(crate) loss: f64,
    /// Behind the bottleneck, up to this much, in order.
    pub(crate) jitter: Duration,
    pub(crate) seed: u64,
}

/// What happened within one second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Second {
    pub(crate) capacity: f64,
    pub(crate) target: f64,
    pub(crate) delivered: f64,
    pub(crate) queue_max: Duration,
    pub(crate) sent: u32,
    pub(crate) lost: u32,
}

struct InFlight {
    packet: SentPacket,
    arrival: Option<Duration>,
}

const TICK: Duration = Duration::from_millis(1);
const FEEDBACK: Duration = Duration::from_millis(100);
const FRAME: Duration = Duration::from_micros(33_333);
const PACKET: usize = 1_200;

/// Sends video at the estimator's target for `length`; answers every second of it.
pub(crate) fn run(path: &Path, estimator: &mut dyn Estimator, epoch: Instant, length: Duration) -> Vec<Second> {
    let mut random = path.seed.wrapping_mul(2).wrapping_add(1);
    let mut uniform = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut pacer: Pacer<usize> = Pacer::new(estimator.pacing_rate(), Duration::from_millis(100));
    let (mut time, mut next_frame, mut next_feedback, mut next_tick) =
        (Duration::ZERO, Duration::ZERO, FEEDBACK, Duration::ZERO);
    let (mut sequence, mut frame, mut link_free, mut last_arrival) = (0, 0, Duration::ZERO, Duration::ZERO);
    let mut flight: VecDeque<InFlight> = VecDeque::new();
    let mut feedback: VecDeque<(Duration, Vec<PacketResult>)> = VecDeque::new();
    let mut seconds = vec![Second::default(); length.as_secs() as usize];
    while time < length {
        let now = epoch + time;
        let second = &mut seconds[time.as_secs() as usize];
        let capacity = path.capacity.iter().rev().find(|(from, _)| *from <= time).expect("a capacity from the start").1;
        second.capacity = capacity.as_bps() as f64;
        if time >= next_tick {
            next_tick += Duration::from_millis(25);
            estimator.on_tick(now);
        }
        if let Some(probe) = estimator.next_probe() {
            pacer.probe(probe);
        }
        pacer.set_rate(now, estimator.pacing_rate());
        second.target = estimator.target().as_bps() as f64;
        if time >= next_frame {
            next_frame += FRAME;
            frame += 1;
            let mut left = estimator.target().bytes_in(FRAME).max(100);
            while left > 0 {
                let size = left.min(PACKET);
                left -= size;
                pacer.push(now, PacerPacket { item: size, size, priority: Priority::Video, frame });
            }
        }
        loop {
            if pacer.padding_wanted(now) > 0 {
                pacer.push(now, PacerPacket { item: PACKET, size: PACKET, priority: Priority::Padding, frame: 0 });
            }
            let Some(paced) = pacer.pop(now) else { break };
            assert!(paced.waited <= Duration::from_millis(101), "waited {:?}", paced.waited);
            let packet = SentPacket { sequence, size: paced.item, sent_at: now, probe: paced.probe };
            sequence += 1;
            second.sent += 1;
            estimator.on_sent(now, packet);
            let queued = link_free.saturating_sub(time);
            second.queue_max = second.queue_max.max(queued);
            let mut arrival = None;
            if queued <= path.queue {
                link_free = link_free.max(time) + capacity.time_for(paced.item).expect("a capacity above zero");
                let lost = uniform() < path.loss;
                last_arrival = last_arrival.max(link_free + path.one_way_delay + path.jitter.mul_f64(uniform()));
                arrival = (!lost).then_some(last_arrival);
            }
            if arrival.is_none() {
                second.lost += 1;
            } else {
                second.delivered += paced.item as f64 * 8.0;
            }
            flight.push_back(InFlight { packet, arrival });
        }
        if time >= next_feedback {
            next_feedback += FEEDBACK;
            // A report ends with the last packet that arrived; those before it that did not are lost.
            let reported = flight.iter().rposition(|f| f.arrival.is_some_and(|a| a <= time)).map_or(0, |i| i + 1);
            let results: Vec<_> =
                flight.drain(..reported).map(|f| PacketResult { sent: f.packet, arrived_at: f.arrival }).collect();
            if !results.is_empty() {
                feedback.push_back((time + path.one_way_delay, results));
            }
        }
        while feedback.front().is_some_and(|(at, _)| *at <= time) {
            let (_, results) = feedback.pop_front().expect("it was there");
            estimator.on_feedback(now, &results);
        }
        time += TICK;
    }
    seconds
}

/// Share of the capacity that was delivered from second `from` to `to`, worst queue, and loss.
pub(crate) fn summary(seconds: &[Second], from: usize, to: usize) -> (f64, Duration, f64) {
    let part = &seconds[from..to];
    let delivered: f64 = part.iter().map(|s| s.delivered).sum();
    let capacity: f64 = part.iter().map(|s| s.capacity).sum();
    let (sent, lost): (u32, u32) = (part.iter().map(|s| s.sent).sum(), part.iter().map(|s| s.lost).sum());
    let mut queues: Vec<_> = part.iter().map(|s| s.queue_max).collect();
    queues.sort_unstable();
    let p95 = queues[(queues.len() - 1) * 95 / 100];
    (delivered / capacity, p95, f64::from(lost) / f64::from(sent.max(1)))
}
