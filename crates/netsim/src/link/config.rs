use std::time::Duration;

use remotemedia_media::Bitrate;

/// What one direction of a path does to the packets sent into it.
///
/// The order is that of a real access link: the queue before the bottleneck (drop-tail by *waiting* bytes), the
/// bottleneck (serialisation at `rate`), the wire (loss, delay, jitter, reordering), duplication. The queue does not
/// count what is already on the wire, so a long and fast link carries its rate with a short queue.
///
/// ```
/// use std::time::Duration;
/// use remotemedia_media::Bitrate;
/// use remotemedia_netsim::link::{LinkConfig, Loss};
///
/// let mobile = LinkConfig {
///     delay: Duration::from_millis(25),
///     jitter: Duration::from_millis(10),
///     loss: Loss::bursts(0.01, 0.25),
///     rate: Some(Bitrate::from_kbps(2_000)),
///     queue_bytes: 50_000,
///     ..LinkConfig::default()
/// };
/// assert!((mobile.loss.mean() - 0.0385).abs() < 0.0001);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LinkConfig {
    /// How long a packet is on the wire at least. Default: 0.
    pub delay: Duration,
    /// What is added to `delay`, drawn uniformly from nothing to this for each packet. Default: 0.
    pub jitter: Duration,
    /// Whether jitter lets packets overtake each other. Default: [`Order::Fifo`].
    pub order: Order,
    /// The share of packets held back by a further `reorder_by`, whatever `order` says: 0 to 1. Default: 0.
    pub reorder: f64,
    /// How long those are held back. Default: 0.
    pub reorder_by: Duration,
    /// Which packets are lost on the wire. They have used the bottleneck. Default: none.
    pub loss: Loss,
    /// The share of packets that arrive twice: 0 to 1. The copy has its own jitter. Default: 0.
    pub duplicate: f64,
    /// What the bottleneck carries; `None`: no bottleneck. A rate of zero carries nothing until it changes.
    /// Default: `None`.
    pub rate: Option<Bitrate>,
    /// How many bytes may wait for the bottleneck, the packet being sent apart. A packet that would pass it is dropped.
    /// Default: 256 KiB.
    pub queue_bytes: usize,
    /// What each packet costs beside its payload, in queue and bottleneck: 28 bytes of IPv4 and UDP by default.
    pub overhead_bytes: usize,
    /// A larger payload vanishes (a path that drops what it cannot fragment). Default: 65,535, no limit for UDP.
    pub mtu_bytes: usize,
    /// Nothing gets onto the wire; what is on it still arrives. Default: `false`.
    pub outage: bool,
}

impl LinkConfig {
    /// A link with a delay and nothing else.
    pub fn with_delay(delay: Duration) -> Self {
        Self { delay, ..Self::default() }
    }

    /// The same link with that loss.
    #[must_use]
    pub fn with_loss(self, loss: Loss) -> Self {
        Self { loss, ..self }
    }

    /// The same link with that bottleneck.
    #[must_use]
    pub fn with_rate(self, rate: Bitrate) -> Self {
        Self { rate: Some(rate), ..self }
    }
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            order: Order::Fifo,
            reorder: 0.0,
            reorder_by: Duration::ZERO,
            loss: Loss::None,
            duplicate: 0.0,
            rate: None,
            queue_bytes: 256 * 1024,
            overhead_bytes: 28,
            mtu_bytes: 65_535,
            outage: false,
        }
    }
}

/// Whether jitter lets packets overtake each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// None overtakes another: a late packet delays those behind it, as queues on a path do.
    #[default]
    Fifo,
    /// Each packet is late by itself, as on parallel paths.
    Free,
}

/// Which packets are lost on the wire. Probabilities are from 0 to 1; what lies outside counts as the nearest of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Loss {
    /// None.
    #[default]
    None,
    /// Each with the same probability, independently.
    Random(f64),
    /// The Gilbert-Elliott channel (Gilbert 1960, Elliott 1963): a good and a bad state, changed before each packet.
    GilbertElliott {
        /// The probability of going from good to bad.
        to_bad: f64,
        /// The probability of going from bad to good; its inverse is the mean length of a bad spell, in packets.
        to_good: f64,
        /// The probability of a loss in the good state.
        loss_good: f64,
        /// The probability of a loss in the bad state.
        loss_bad: f64,
    },
}

impl Loss {
    /// Bursts: a bad spell starts with probability `to_bad` and ends with `to_good`, and loses every packet in it.
    pub const fn bursts(to_bad: f64, to_good: f64) -> Self {
        Self::GilbertElliott { to_bad, to_good, loss_good: 0.0, loss_bad: 1.0 }
    }

    /// The share of packets lost in the long run.
    pub fn mean(&self) -> f64 {
        match *self {
            Self::None => 0.0,
            Self::Random(p) => p.clamp(0.0, 1.0),
            Self::GilbertElliott { to_bad, to_good, loss_good, loss_bad } => {
                let (to_bad, to_good) = (to_bad.clamp(0.0, 1.0), to_good.clamp(0.0, 1.0));
                if to_bad + to_good == 0.0 {
                    // It never leaves the good state, in which it starts.
                    return loss_good.clamp(0.0, 1.0);
                }
                let bad = to_bad / (to_bad + to_good);
                loss_good.clamp(0.0, 1.0) * (1.0 - bad) + loss_bad.clamp(0.0, 1.0) * bad
            }
        }
    }
}
