//! One direction of a path, without I/O: packets and times in, packets and times out.
//!
//! Times are [`Duration`]s since an epoch of the caller's. The same seed, the same calls at the same times: the same
//! packets at the same times.

mod config;
mod stats;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::SmallRng};

pub use self::{
    config::{LinkConfig, Loss, Order},
    stats::LinkStats,
};

/// How many packets, copies included, a link holds on the wire; further ones are dropped and counted in
/// [`LinkStats::pipe_full`].
pub const MAX_PACKETS_ON_WIRE: usize = 65_536;

/// A packet that came out of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery<T> {
    /// When it came out, however late it was asked for. A next link takes this as its time, so that lateness does not
    /// add up.
    pub at: Duration,
    /// What was sent.
    pub packet: T,
}

/// One direction of a path.
///
/// It has a random stream of its own and takes the same number of draws for every packet, whatever the configuration
/// and whatever becomes of the packet. So turning one knob leaves the others' decisions as they were: the 17th packet
/// is lost with jitter and without.
///
/// ```
/// use std::time::Duration;
/// use remotemedia_netsim::link::{Link, LinkConfig};
///
/// let mut link = Link::new(LinkConfig::with_delay(Duration::from_millis(10)), 7);
/// link.send(Duration::ZERO, 1_200, "hello");
/// assert_eq!(link.next_timeout(), Some(Duration::from_millis(10)));
/// assert!(link.receive(Duration::from_millis(9)).is_none());
/// assert_eq!(link.receive(Duration::from_millis(12)).unwrap().at, Duration::from_millis(10));
/// ```
#[derive(Debug)]
pub struct Link<T> {
    config: LinkConfig,
    schedule: BTreeMap<Duration, LinkConfig>,
    rng: SmallRng,
    /// How far the link's state has been worked out.
    clock: Duration,
    in_bad_state: bool,
    sent: u64,
    waiting: VecDeque<Queued<T>>,
    waiting_bytes: usize,
    in_service: Option<InService<T>>,
    wire: BinaryHeap<Reverse<OnWire<T>>>,
    copies: u64,
    /// When the last packet in order comes out.
    last_arrival: Duration,
    newest_arrived: Option<u64>,
    stats: LinkStats,
}

/// What chance has in store for one packet.
#[derive(Clone, Copy, Debug)]
struct Draws {
    lost: bool,
    jitter: f64,
    reorder: f64,
    duplicate: f64,
    copy_jitter: f64,
}

#[derive(Debug)]
struct Queued<T> {
    number: u64,
    payload: usize,
    bytes: usize,
    since: Duration,
    draws: Draws,
    packet: T,
}

#[derive(Debug)]
struct InService<T> {
    /// What is still to be sent, in bits times nanoseconds per second: a rate in bit/s consumes itself per nanosecond.
    left: u128,
    queued: Queued<T>,
}

#[derive(Debug)]
struct OnWire<T> {
    at: Duration,
    number: u64,
    copy: u64,
    payload: usize,
    packet: T,
}

impl<T> OnWire<T> {
    fn key(&self) -> (Duration, u64, u64) {
        (self.at, self.number, self.copy)
    }
}

impl<T> PartialEq for OnWire<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<T> Eq for OnWire<T> {}

impl<T> PartialOrd for OnWire<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for OnWire<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl<T: Clone> Link<T> {
    /// A link at rest at the epoch.
    pub fn new(config: LinkConfig, seed: u64) -> Self {
        Self {
            config,
            schedule: BTreeMap::new(),
            rng: SmallRng::seed_from_u64(seed),
            clock: Duration::ZERO,
            in_bad_state: false,
            sent: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            in_service: None,
            wire: BinaryHeap::new(),
            copies: 0,
            last_arrival: Duration::ZERO,
            newest_arrived: None,
            stats: LinkStats::default(),
        }
    }

    /// Sends a packet of `payload` bytes at `now`. A `now` before an earlier call's counts as that one.
    pub fn send(&mut self, now: Duration, payload: usize, packet: T) {
        self.advance(now);
        let number = self.sent;
        self.sent += 1;
        self.stats.sent += 1;
        self.stats.sent_bytes += payload as u64;
        let draws = self.draw();
        if payload > self.config.mtu_bytes {
            self.stats.too_large += 1;
            return;
        }
        let bytes = payload + self.config.overhead_bytes;
        let queued = Queued { number, payload, bytes, since: self.clock, draws, packet };
        if self.config.rate.is_none() && self.in_service.is_none() {
            self.put_on_wire(queued);
        } else if self.in_service.is_none() {
            self.serve(queued);
        } else if self.waiting_bytes + bytes > self.config.queue_bytes {
            self.stats.queue_full += 1;
        } else {
            self.waiting_bytes += bytes;
            self.stats.peak_queue_bytes = self.stats.peak_queue_bytes.max(self.waiting_bytes);
            self.waiting.push_back(queued);
        }
    }

    /// The next packet that is out of the link at `now`; call until `None`.
    pub fn receive(&mut self, now: Duration) -> Option<Delivery<T>> {
        self.advance(now);
        if self.wire.peek()?.0.at > self.clock {
            return None;
        }
        let Reverse(out) = self.wire.pop()?;
        if out.copy > 0 {
            self.stats.duplicated += 1;
        } else {
            self.stats.arrived += 1;
            self.stats.arrived_bytes += out.payload as u64;
            match self.newest_arrived {
                Some(newest) if newest > out.number => self.stats.overtaken += 1,
                _ => self.newest_arrived = Some(out.number),
            }
        }
        Some(Delivery { at: out.at, packet: out.packet })
    }

    /// When to call [`Link::receive`] next. `None` while nothing is under way (or nothing moves: a rate of zero).
    /// Something may come out later than this says, never earlier.
    pub fn next_timeout(&self) -> Option<Duration> {
        let out = self.wire.peek().map(|w| w.0.at);
        let served = self.service_end();
        // A change of configuration matters by itself only to packets that wait for the bottleneck.
        let change = self.in_service.as_ref().and_then(|_| self.schedule.keys().next().copied());
        [out, served, change].into_iter().flatten().min()
    }

    /// Changes the configuration at `now`. Chance, the loss state and what is under way stay: packets that wait go on
    /// at the new rate, those on the wire arrive when they would have.
    pub fn set_config(&mut self, now: Duration, config: LinkConfig) {
        self.advance(now);
        self.apply(config);
    }

    /// Changes the configuration at a time to come. Two changes for the same time: the last call decides.
    pub fn schedule(&mut self, at: Duration, config: LinkConfig) {
        if at <= self.clock {
            self.apply(config);
        } else {
            self.schedule.insert(at, config);
        }
    }

    /// An outage of the present configuration from `from` (inclusive) to `until` (exclusive). Changes scheduled before
    /// the call for times within are part of the outage; those scheduled later replace it from their time on.
    pub fn schedule_outage(&mut self, from: Duration, until: Duration) {
        let at = |time: Duration, link: &Self| {
            link.schedule.range(..=time).next_back().map_or_else(|| link.config.clone(), |(_, c)| c.clone())
        };
        let (before, after) = (at(from, self), at(until, self));
        for (_, config) in self.schedule.range_mut(from..until) {
            config.outage = true;
        }
        self.schedule(from, LinkConfig { outage: true, ..before });
        self.schedule(until, after);
    }

    /// The configuration now in force.
    pub fn config(&self) -> &LinkConfig {
        &self.config
    }

    /// What it did so far.
    pub fn stats(&self) -> LinkStats {
        self.stats
    }

    /// The bytes that wait for the bottleneck, overhead included, the packet being sent apart.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    fn draw(&mut self) -> Draws {
        let [state, loss, jitter, reorder, duplicate, copy_jitter] = self.rng.random::<[f64; 6]>();
        let lost = match self.config.loss {
            Loss::None => false,
            Loss::Random(p) => loss < p,
            Loss::GilbertElliott { to_bad, to_good, loss_good, loss_bad } => {
                let change = if self.in_bad_state { to_good } else { to_bad };
                self.in_bad_state ^= state < change;
                loss < if self.in_bad_state { loss_bad } else { loss_good }
            }
        };
        Draws { lost, jitter, reorder, duplicate, copy_jitter }
    }

    /// Works out what happens up to `now`, configuration changes in their places.
    fn advance(&mut self, now: Duration) {
        loop {
            let change = self.schedule.keys().next().copied().filter(|at| *at <= now);
            match (self.service_end().filter(|end| *end <= now), change) {
                (Some(end), change) if change.is_none_or(|at| end <= at) => {
                    self.clock = self.clock.max(end);
                    self.finish_service();
                }
                (_, Some(at)) => {
                    self.transmit_until(at);
                    if let Some(config) = self.schedule.remove(&at) {
                        self.apply(config);
                    }
                }
                (_, None) => {
                    self.transmit_until(now);
                    return;
                }
            }
        }
    }

    fn apply(&mut self, config: LinkConfig) {
        self.config = config;
        if self.config.rate.is_none() && self.in_service.is_some() {
            // The bottleneck is gone: what waited leaves at once.
            self.finish_service();
        }
    }

    fn transmit_until(&mut self, until: Duration) {
        if let (Some(service), Some(rate)) = (&mut self.in_service, self.config.rate) {
            let nanos = until.saturating_sub(self.clock).as_nanos();
            service.left = service.left.saturating_sub(nanos.saturating_mul(u128::from(rate.as_bps())));
        }
        self.clock = self.clock.max(until);
    }

    fn service_end(&self) -> Option<Duration> {
        let left = self.in_service.as_ref()?.left;
        let rate = u128::from(self.config.rate?.as_bps());
        let nanos = if left == 0 { 0 } else { left.checked_add(rate.checked_sub(1)?)?.checked_div(rate)? };
        Some(self.clock + Duration::from_nanos(u64::try_from(nanos).ok()?))
    }

    fn serve(&mut self, queued: Queued<T>) {
        let waited = self.clock.saturating_sub(queued.since);
        self.stats.peak_queue_delay = self.stats.peak_queue_delay.max(waited);
        self.in_service = Some(InService { left: queued.bytes as u128 * 8 * 1_000_000_000, queued });
    }

    fn finish_service(&mut self) {
        while let Some(done) = self.in_service.take() {
            self.put_on_wire(done.queued);
            let Some(next) = self.waiting.pop_front() else { return };
            self.waiting_bytes -= next.bytes;
            self.serve(next);
            if self.config.rate.is_some() {
                return;
            }
        }
    }

    fn put_on_wire(&mut self, queued: Queued<T>) {
        let Queued { number, payload, draws, packet, .. } = queued;
        if self.config.outage {
            self.stats.outage += 1;
            return;
        }
        if draws.lost {
            self.stats.lost += 1;
            return;
        }
        let twice = draws.duplicate < self.config.duplicate;
        if self.wire.len() + usize::from(twice) >= MAX_PACKETS_ON_WIRE {
            self.stats.pipe_full += 1;
            return;
        }
        let at = self.arrival(draws.jitter, draws.reorder < self.config.reorder);
        if twice {
            let at = self.arrival(draws.copy_jitter, false).max(at);
            self.copies += 1;
            self.wire.push(Reverse(OnWire { at, number, copy: self.copies, payload, packet: packet.clone() }));
        }
        self.wire.push(Reverse(OnWire { at, number, copy: 0, payload, packet }));
    }

    fn arrival(&mut self, jitter: f64, held_back: bool) -> Duration {
        let at = self.clock + self.config.delay + self.config.jitter.mul_f64(jitter);
        if held_back {
            // It leaves the order, so that those behind it are not held back with it.
            return at + self.config.reorder_by;
        }
        if self.config.order == Order::Free {
            return at;
        }
        self.last_arrival = self.last_arrival.max(at);
        self.last_arrival
    }
}
