//! Joining the sound of two pipelines without a click.

use std::{collections::HashMap, sync::Arc, time::Duration};

use remotemedia_media::{AudioFrame, StreamId};

use super::Target;

/// How long the first samples of a pipeline lean towards the last one of the pipeline before it.
const LEAN: Duration = Duration::from_millis(10);

/// Streams whose last samples are remembered; those of peers that left are forgotten when there are more.
const MOST_STREAMS: usize = 256;

/// The streams that come out of a peer's pipelines.
#[derive(Debug, Default)]
pub(super) struct Splices {
    streams: HashMap<(Target, Option<StreamId>), Stream>,
}

/// Where a stream was left, and how it is led on from there: the difference between the last sample of what was and the first
/// of what comes is added to what comes, and fades out in a half-cosine. Nothing is delayed, nothing played twice, and there
/// is no step.
#[derive(Debug, Default)]
struct Stream {
    sample_rate: u32,
    last: Vec<f32>,
    /// Set when another pipeline takes over, until its first frame.
    begins: bool,
    offsets: Vec<f32>,
    /// How much of [`LEAN`] is over, in samples of one channel.
    position: usize,
}

impl Splices {
    /// Another pipeline takes over.
    pub(super) fn begin(&mut self) {
        self.streams.values_mut().for_each(|stream| stream.begins = true);
    }

    /// `frame`, which goes to `target`, as it is to sound.
    pub(super) fn pass(&mut self, target: &Target, frame: Arc<AudioFrame>) -> Arc<AudioFrame> {
        if frame.samples().is_empty() {
            return frame;
        }
        let key = (target.clone(), frame.stream_id.clone());
        if self.streams.len() >= MOST_STREAMS && !self.streams.contains_key(&key) {
            self.streams.clear();
        }
        self.streams.entry(key).or_default().pass(frame)
    }
}

impl Stream {
    fn pass(&mut self, mut frame: Arc<AudioFrame>) -> Arc<AudioFrame> {
        let channels = usize::from(frame.channels());
        let is_same = self.sample_rate == frame.sample_rate() && self.last.len() == channels;
        if !is_same {
            *self = Self { sample_rate: frame.sample_rate(), ..Self::default() };
        } else if std::mem::take(&mut self.begins) {
            self.offsets.clear();
            self.offsets.extend(self.last.iter().zip(frame.samples()).map(|(last, first)| last - first));
            self.position = 0;
        }
        let length = (LEAN.as_secs_f64() * f64::from(self.sample_rate)) as usize;
        if !self.offsets.is_empty() && self.position < length {
            let samples = Arc::make_mut(&mut frame).samples_mut();
            for moment in samples.chunks_exact_mut(channels).take(length - self.position) {
                let share = 0.5 + 0.5 * (std::f32::consts::PI * self.position as f32 / length as f32).cos();
                moment.iter_mut().zip(&self.offsets).for_each(|(sample, offset)| *sample += offset * share);
                self.position += 1;
            }
        }
        self.last.clear();
        self.last.extend_from_slice(&frame.samples()[frame.samples().len() - channels..]);
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(samples: &[f32]) -> Arc<AudioFrame> {
        Arc::new(AudioFrame::new(samples, 48_000, 1).unwrap())
    }

    #[test]
    fn sound_goes_on_where_it_was_left_and_is_itself_after_ten_milliseconds() {
        let mut splices = Splices::default();
        splices.pass(&Target::All, frame(&[0.5; 240]));
        splices.begin();
        let mut heard = vec![0.5];
        for _ in 0..4 {
            heard.extend_from_slice(splices.pass(&Target::All, frame(&[-0.5; 240])).samples());
        }
        let step = heard.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
        assert!(step < 0.005, "largest step {step}");
        assert!(heard[481..].iter().all(|sample| *sample == -0.5));
    }

    #[test]
    fn a_tone_that_changes_its_loudness_a_hundred_times_makes_no_step_above_its_own() {
        let mut splices = Splices::default();
        let tone = |n: usize| 0.4 * (std::f32::consts::TAU * 440.0 * n as f32 / 48_000.0).sin();
        let own = 0.4 * std::f32::consts::TAU * 440.0 / 48_000.0;
        let mut heard = Vec::new();
        for round in 0..100 {
            let gain = if round % 2 == 0 { 1.0 } else { 0.25 };
            for part in 0..3 {
                // No multiple of the period, so that every phase is met.
                let start = (round * 3 + part) * 487;
                let samples: Vec<f32> = (start..start + 487).map(|n| gain * tone(n)).collect();
                heard.extend_from_slice(splices.pass(&Target::All, frame(&samples)).samples());
            }
            splices.begin();
        }
        let step = heard.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
        assert!(step <= own * 1.05, "largest step {step}, the tone's own is {own}");
    }

    #[test]
    fn sound_that_nothing_took_over_is_left_alone() {
        let mut splices = Splices::default();
        let first = frame(&[0.5; 4]);
        assert!(Arc::ptr_eq(&splices.pass(&Target::All, Arc::clone(&first)), &first));
        let second = frame(&[-0.5; 4]);
        assert!(Arc::ptr_eq(&splices.pass(&Target::All, Arc::clone(&second)), &second));
    }

    #[test]
    fn sound_of_another_rate_begins_as_it_is() {
        let mut splices = Splices::default();
        splices.pass(&Target::All, frame(&[0.5; 4]));
        splices.begin();
        let other = Arc::new(AudioFrame::new(vec![-0.5; 4], 16_000, 1).unwrap());
        assert_eq!(splices.pass(&Target::All, other).samples(), [-0.5; 4]);
    }
}
