use std::{fmt, sync::Arc, time::Instant};

use parking_lot::Mutex;
use remotemedia_congestion::{Estimator, Gcc};
use remotemedia_media::Bitrate;

use super::{
    events::{EventQueue, WireEvent},
    stats::{RoundTrip, WireStats},
};

/// What a connection's interceptors are set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WireConfig {
    /// Never send less than this, if there is as much to send.
    pub(crate) min: Bitrate,
    /// Where the estimate begins.
    pub(crate) start: Bitrate,
    /// Never send more.
    pub(crate) max: Bitrate,
}

/// Joins a connection's interceptors with the rest of the mesh: figures, events, bounds.
pub(crate) struct WireShared {
    pub(super) control: Mutex<Control>,
    pub(super) events: EventQueue,
}

pub(super) struct Control {
    pub(super) estimator: Box<dyn Estimator>,
    pub(super) stats: WireStats,
    pub(super) round_trip: RoundTrip,
    announced: Bitrate,
}

impl WireShared {
    pub(crate) fn new(config: &WireConfig) -> Arc<Self> {
        let estimator = Gcc::new(now(), config.min, config.start, config.max);
        let announced = estimator.target();
        Arc::new(Self {
            control: Mutex::new(Control {
                estimator: Box::new(estimator),
                stats: WireStats { target: announced, ..Default::default() },
                round_trip: RoundTrip::default(),
                announced,
            }),
            events: EventQueue::default(),
        })
    }

    /// All figures as of now: a copy of a few hundred bytes per stream.
    pub(crate) fn stats(&self) -> WireStats {
        let control = self.control.lock();
        WireStats {
            round_trip_time: control.round_trip.smoothed(),
            target: control.estimator.target(),
            events_dropped: self.events.dropped(),
            ..control.stats.clone()
        }
    }

    /// What may be sent now, all streams together.
    pub(crate) fn target(&self) -> Bitrate {
        self.control.lock().estimator.target()
    }

    /// Keeps the estimate within `min..=max` from now on; `start`, if given, is taken over as the estimate.
    pub(crate) fn set_bounds(&self, min: Bitrate, start: Option<Bitrate>, max: Bitrate) {
        let mut control = self.control.lock();
        control.estimator.set_bounds(now(), min, start, max);
        control.announce(&self.events);
    }

    /// The next event; `None` once the connection is gone and all have been read. For one reader, and cancel-safe.
    pub(crate) async fn next_event(&self) -> Option<WireEvent> {
        self.events.next().await
    }
}

impl fmt::Debug for WireShared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WireShared").field("target", &self.target()).finish_non_exhaustive()
    }
}

impl Control {
    /// Tells of a new target, if it differs enough for an encoder to care.
    pub(super) fn announce(&mut self, events: &EventQueue) {
        let (target, told) = (self.estimator.target(), self.announced);
        if target.as_bps().abs_diff(told.as_bps()) > told.as_bps() / 50 {
            self.announced = target;
            events.push(WireEvent::TargetBitrate(target));
        }
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
