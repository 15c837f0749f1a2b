//! What one side heard and saw of the other, and whether that is good enough.

use std::time::Duration;

use remotemedia_webrtc::Codec;

use crate::{call::MEASURED, pictures, sound};

/// A machine whose processors have less than this to spare is busy.
const BUSY: f64 = 0.1;

/// What one side heard and saw of the other.
pub(crate) struct Heard {
    pub(crate) sent: usize,
    pub(crate) pictures: pictures::Comparison,
    pub(crate) sound: sound::Comparison,
    pub(crate) audio_latency: Vec<Duration>,
    pub(crate) packet_loss: f64,
    pub(crate) stretched: f64,
    pub(crate) concealed: f64,
}

impl Heard {
    pub(crate) fn print(&self, direction: &str) {
        let pictures = &self.pictures;
        println!("  {direction}:");
        println!(
            "    video: {} of {} pictures arrived ({:.1} %), PSNR mean {:.1} dB, least {:.1} dB, latency {}",
            pictures.arrived,
            self.sent,
            self.arrived_share() * 100.0,
            mean(&pictures.psnr),
            least(&pictures.psnr),
            spread(&pictures.latency),
        );
        println!(
            "    audio: {} s compared, correlation median {:.3}, least {:.3}, level {:+.2} dB, latency {}",
            self.sound.correlations.len(),
            median(&self.sound.correlations),
            least(&self.sound.correlations),
            self.sound.level_db,
            spread(&self.audio_latency),
        );
        println!(
            "    packets lost: {:.2} %; of the sound {:.2} % was stretched and {:.2} % concealed",
            self.packet_loss * 100.0,
            self.stretched * 100.0,
            self.concealed * 100.0,
        );
    }

    /// What was worse than it should be.
    pub(crate) fn complaints(&self, codec: Codec, idle: Option<f64>) -> Vec<String> {
        let checks = [
            (self.arrived_share() >= least_share(codec, idle), "too few pictures arrived"),
            (mean(&self.pictures.psnr) >= 30.0, "the mean PSNR is below 30 dB"),
            (least(&self.pictures.psnr) >= 25.0, "a picture has a PSNR below 25 dB"),
            (median(&self.sound.correlations) >= 0.97, "the median audio correlation is below 0.97"),
            (least(&self.sound.correlations) >= 0.9, "a second of audio correlates below 0.9"),
            (self.sound.level_db.abs() <= 1.0, "the audio level is more than 1 dB off"),
            (self.sound.covers(MEASURED), "too few seconds of audio could be compared"),
        ];
        checks.into_iter().filter(|(good, _)| !good).map(|(_, complaint)| complaint.to_string()).collect()
    }

    fn arrived_share(&self) -> f64 {
        self.pictures.arrived as f64 / self.sent.max(1) as f64
    }
}

/// The share of the pictures that has to arrive. Two VP9 encoders and decoders at 720p fill two cores: where the machine
/// was busy during the call, half of them is enough.
fn least_share(codec: Codec, idle: Option<f64>) -> f64 {
    if codec == Codec::Vp9 && idle.is_some_and(|idle| idle < BUSY) { 0.5 } else { 0.95 }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NAN, f64::min)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn spread(delays: &[Duration]) -> String {
    let mut sorted = delays.to_vec();
    sorted.sort();
    let at = |share: f64| sorted.get((sorted.len() as f64 * share) as usize).map_or(f64::NAN, Duration::as_secs_f64);
    format!("p50 {:.0} ms, p95 {:.0} ms", at(0.5) * 1_000.0, at(0.95) * 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_vp9_may_lose_pictures_and_only_where_the_machine_was_seen_to_be_busy() {
        assert_eq!(least_share(Codec::Vp9, Some(0.09)), 0.5);
        assert_eq!(least_share(Codec::Vp9, Some(0.1)), 0.95);
        assert_eq!(least_share(Codec::Vp9, None), 0.95);
        assert_eq!(least_share(Codec::Vp8, Some(0.0)), 0.95);
        assert_eq!(least_share(Codec::H264, Some(0.0)), 0.95);
    }
}
