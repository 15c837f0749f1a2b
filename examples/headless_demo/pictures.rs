//! The moving pictures, and how much of them arrived.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use remotemedia_codecs::test_media::{Clip, draw_number, psnr_y, read_number};
use remotemedia_webrtc::VideoFrame;

use crate::Error;

/// Pictures of the clip, which is played over and over; each carries its number.
const LENGTH: u16 = 60;

/// The seeded clip: a pan over a textured scene with the noise of an indoor camera.
pub(crate) fn clip() -> Result<Arc<Vec<Arc<VideoFrame>>>, Error> {
    let clip = Clip::new(11, 1280, 720);
    let frames: Result<Vec<_>, Error> =
        (0..LENGTH).map(|n| Ok(Arc::new(draw_number(&clip.frame(n.into()), n)?))).collect();
    Ok(Arc::new(frames?))
}

/// Compares what arrives with the clip.
pub(crate) struct Comparison {
    clip: Arc<Vec<Arc<VideoFrame>>>,
    pub(crate) arrived: usize,
    pub(crate) psnr: Vec<f64>,
    pub(crate) latency: Vec<Duration>,
}

/// When each picture of the clip was last handed over.
pub(crate) type Sent = parking_lot::Mutex<HashMap<u16, Instant>>;

impl Comparison {
    pub(crate) fn new(clip: Arc<Vec<Arc<VideoFrame>>>) -> Self {
        Self { clip, arrived: 0, psnr: Vec::new(), latency: Vec::new() }
    }

    pub(crate) fn look_at(&mut self, frame: &VideoFrame, arrival: Instant, sent: &Sent) -> Result<(), Error> {
        let Some(number) = read_number(frame)? else { return Ok(()) };
        let Some(original) = self.clip.get(usize::from(number)) else { return Ok(()) };
        if let Some(at) = sent.lock().remove(&number) {
            self.arrived += 1;
            self.latency.push(arrival - at);
            self.psnr.extend(psnr_y(original, frame));
        }
        Ok(())
    }
}
