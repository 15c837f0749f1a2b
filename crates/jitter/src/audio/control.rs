use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{PlayoutConfig, PlayoutMode, delay::DelayEstimator};

/// Decides when the delay of playout should move, and how.
///
/// All times are microseconds. The delay that counts is the one in front of the next packet: how long the packet with the
/// least transit waits until a pull needs it. It only changes in steps of a whole pull; what a splice leaves over only shifts
/// where within a pull packets begin. A step costs sound on both its ways, so it has to be worth it: what is less, the reader
/// can make up for with its own clock.
#[derive(Debug)]
pub(crate) struct DelayControl {
    config: PlayoutConfig,
    estimator: DelayEstimator,
    /// Transit-scale delays of the last pulls, corrected for every splice since.
    delays: VecDeque<i64>,
    last_move: Option<Instant>,
    /// Since when the delay has been too long, or too short.
    wanting: Option<Wanting>,
    last_loss: Option<Instant>,
    /// Since when playout goes on without interruption.
    steady_since: Option<Instant>,
    noise: NoiseFloor,
    /// What was above the target in front of the next packet at the last pull.
    excess: Option<i64>,
}

/// What to do with the delay now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Adjustment {
    None,
    /// Leave out up to `most` microseconds, at a pause or where the sound is at least this similar to itself.
    Shorten {
        most: i64,
        similarity: f32,
    },
    /// Repeat a period, at a pause or where the sound is at least this similar to itself.
    Lengthen {
        similarity: f32,
    },
}

#[derive(Clone, Copy, Debug)]
struct Wanting {
    direction: Direction,
    since: Instant,
    /// It began when the delay had just been upset or was far off: it goes on until the delay is where it should be.
    hurried: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Shorter,
    Longer,
}

/// Pulls over which the least delay counts, so that one late pull is not taken for room.
const PULLS: usize = 25;
const FEWEST_PULLS: usize = 5;
/// The target is this much behind the last packet worth waiting for, for the unsteadiness of pulls.
const MARGIN: i64 = 1_000;
/// Room to spare before the delay is lowered by a whole pull, so that it does not swing.
const HYSTERESIS: i64 = 1_000;
/// Least time between two splices, unless the delay is far off.
const CALM: Duration = Duration::from_millis(60);
const HASTE: Duration = Duration::from_millis(20);
/// For so long after playout began or went on, sound is cut as soon as there is a place for it, and later only in need.
const SETTLING: Duration = Duration::from_secs(2);
const RELUCTANCE: Duration = Duration::from_secs(4);
/// What is wanting less than a pull is not inserted before a reader had the time to come later by itself.
const READERS_TURN: Duration = Duration::from_secs(1);
/// Once it has settled, a cut of less is not worth hurting the sound.
const LEAST_CUT: i64 = 5_000;
/// How far off is far.
const FAR: i64 = 60_000;
/// How long one loss or late packet keeps the start delay as floor.
const LOSS_MEMORY: Duration = Duration::from_secs(30);
/// The start delay is a floor after losses only if it is above this.
const FLOOR_ABOVE: Duration = Duration::from_millis(50);

impl DelayControl {
    pub(crate) fn new(config: PlayoutConfig) -> Self {
        Self {
            config,
            estimator: DelayEstimator::default(),
            delays: VecDeque::with_capacity(PULLS),
            last_move: None,
            wanting: None,
            last_loss: None,
            steady_since: None,
            noise: NoiseFloor::default(),
            excess: None,
        }
    }

    pub(crate) fn set_config(&mut self, config: PlayoutConfig) {
        self.config = config;
    }

    pub(crate) fn packet_arrived(&mut self, arrival: Instant, transit: i64) {
        self.estimator.add(arrival, transit);
    }

    /// A packet was missing when its turn came, or came after it.
    pub(crate) fn loss_seen(&mut self, now: Instant) {
        self.last_loss = Some(now);
    }

    /// The least transit of late.
    pub(crate) fn baseline(&self) -> i64 {
        self.estimator.baseline().unwrap_or_default()
    }

    pub(crate) fn start_micros(&self) -> i64 {
        micros(self.config.start)
    }

    /// The delay to aim for.
    pub(crate) fn target_micros(&self, now: Instant) -> i64 {
        let start = self.start_micros();
        if self.config.mode == PlayoutMode::Fixed {
            return start;
        }
        let lossy = self.last_loss.is_some_and(|at| now.saturating_duration_since(at) < LOSS_MEMORY);
        let floor = if lossy && self.config.start > FLOOR_ABOVE { start } else { 0 };
        let measured = (self.estimator.target() + MARGIN).max(floor);
        measured.clamp(micros(self.config.min), micros(self.config.max))
    }

    /// What is above the target in front of the next packet; `None` while nothing plays.
    pub(crate) fn room(&self) -> Option<i64> {
        self.excess
    }

    pub(crate) fn nothing_plays(&mut self) {
        self.excess = None;
    }

    pub(crate) fn target(&self, now: Instant) -> Duration {
        Duration::from_micros(u64::try_from(self.target_micros(now)).unwrap_or_default())
    }

    /// How much delay is wanting, at most `most`.
    pub(crate) fn deficit(&self, now: Instant, most: i64) -> i64 {
        let Some(delay) = self.delays.iter().min() else { return 0 };
        (self.target_micros(now) - (delay - self.baseline())).clamp(0, most)
    }

    /// Playout went on elsewhere: earlier delays mean nothing now.
    pub(crate) fn interrupted(&mut self) {
        self.delays.clear();
        // What has to be longer has to be so the more with packets missing.
        self.wanting = self.wanting.filter(|wanting| wanting.direction == Direction::Longer);
        self.steady_since = None;
    }

    /// The delay was changed by `by`.
    pub(crate) fn moved(&mut self, now: Instant, by: i64) {
        self.last_move = Some(now);
        self.delays.iter_mut().for_each(|delay| *delay += by);
    }

    /// Follows the level of what is emitted.
    pub(crate) fn heard(&mut self, samples: &[f32]) {
        self.noise.follow(samples);
    }

    /// Whether `samples` are a pause, in which nobody hears a cut.
    pub(crate) fn is_pause(&self, samples: &[f32]) -> bool {
        self.noise.is_pause(samples)
    }

    /// A pull of `chunk` is about to begin with a sample whose delay is `transit`; `offset` behind the beginning of some pull
    /// the next packet is needed.
    pub(crate) fn decide(&mut self, now: Instant, transit: i64, offset: i64, chunk: i64) -> Adjustment {
        if self.delays.len() == PULLS {
            self.delays.pop_front();
        }
        self.delays.push_back(transit);
        let least = self.delays.iter().min().copied().unwrap_or(transit);
        let needed_at = least - self.baseline() - offset;
        let excess = needed_at - self.target_micros(now);
        self.excess = Some(excess);
        let direction = if excess < 0 { Direction::Longer } else { Direction::Shorter };
        // What is before the next packet within its pull can go at no risk, and whole pulls where there is room for them.
        let most = offset + (excess - HYSTERESIS).max(0) / chunk.max(1) * chunk;
        let settling = now.saturating_duration_since(*self.steady_since.get_or_insert(now)) < SETTLING;
        let least_cut = if settling { 0 } else { LEAST_CUT };
        let worthwhile = match direction {
            Direction::Shorter => most > least_cut && self.delays.len() >= FEWEST_PULLS,
            Direction::Longer => self.is_worth_raising(now, needed_at, excess, chunk),
        };
        if !worthwhile {
            self.wanting = None;
            return Adjustment::None;
        }
        let far = excess.abs() > FAR;
        let mut wanting = match self.wanting {
            Some(wanting) if wanting.direction == direction => wanting,
            _ => Wanting { direction, since: now, hurried: false },
        };
        wanting.hurried |= settling || far;
        self.wanting = Some(wanting);
        let calm = if far { HASTE } else { CALM };
        if self.last_move.is_some_and(|at| now.saturating_duration_since(at) < calm) {
            return Adjustment::None;
        }
        // A reader with a clock of its own makes up for a little without hurting the sound, and the path may change again.
        let reluctance = match direction {
            Direction::Shorter if !wanting.hurried => RELUCTANCE,
            Direction::Longer if -excess < chunk => READERS_TURN,
            _ => Duration::ZERO,
        };
        let Some(patience) = now.saturating_duration_since(wanting.since).checked_sub(reluctance) else {
            return Adjustment::None;
        };
        match direction {
            Direction::Shorter => Adjustment::Shorten { most, similarity: similarity(patience, far) },
            // Too short a delay loses packets, which sounds worse than a rough splice.
            Direction::Longer => Adjustment::Lengthen { similarity: similarity(patience * 4, far) },
        }
    }

    /// Whether the whole pulls that make up for `excess`, less does not help, cost less than the packets missed at `needed_at`.
    fn is_worth_raising(&self, now: Instant, needed_at: i64, excess: i64, chunk: i64) -> bool {
        // What was configured holds whatever it costs.
        let forced =
            self.config.mode == PlayoutMode::Fixed || self.target_micros(now) > self.estimator.target() + MARGIN;
        let (wait, chunk) = (needed_at - MARGIN, chunk.max(1));
        let raised = wait + (-excess + chunk - 1) / chunk * chunk;
        forced || self.estimator.cost(wait) > self.estimator.cost(raised)
    }
}

/// How similar the sound has to be to itself for a splice: less and less, lest music or noise keep the delay for ever.
fn similarity(patience: Duration, far: bool) -> f32 {
    match patience.as_millis() {
        0..1_000 if !far => 0.9,
        0..2_000 => 0.75,
        2_000..4_000 => 0.5,
        _ => f32::MIN,
    }
}

/// Follows the quietest level of late, to tell pauses from speech.
#[derive(Debug)]
struct NoiseFloor {
    /// Mean square.
    level: f32,
}

impl Default for NoiseFloor {
    fn default() -> Self {
        Self { level: 1e-6 }
    }
}

/// Nothing above this mean square (-40 dBFS) is a pause.
const LOUDEST_PAUSE: f32 = 1e-4;

impl NoiseFloor {
    /// Down at once, up by half a percent a pull: slower than words follow one another.
    fn follow(&mut self, samples: &[f32]) {
        self.level = energy(samples).min(self.level * 1.005).max(1e-9);
    }

    fn is_pause(&self, samples: &[f32]) -> bool {
        let energy = energy(samples);
        energy < (self.level * 4.0).max(super::SILENCE) && energy < LOUDEST_PAUSE
    }
}

/// Mean square.
fn energy(samples: &[f32]) -> f32 {
    samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len().max(1) as f32
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
